//! What people order: to take an incident, to end it by hand; and what follows when an acknowledgement ends.

use std::collections::BTreeSet;

use super::Engine;
use crate::incident::{Acknowledgement, End, Incident, Step, Subject, What};
use crate::ledger::Silence;
use crate::orders::{ACKNOWLEDGED_MAX, Order};
use crate::outbox::Kind;
use crate::policy::Silencing;
use crate::time::{Time, rfc3339};
use crate::words;

/// So many open incidents are named when none of them was meant.
const OPEN_NAMED_MAX: usize = 10;

impl Engine {
    /// Does what a person ordered, and says in one sentence what was done.
    ///
    /// # Errors
    /// One sentence: there is no such incident, or it cannot be done to this one.
    pub fn obey(&mut self, order: &Order, now: Time) -> Result<String, String> {
        match order {
            Order::Acknowledge { incident, by, until, note, channel } => {
                let number = self.named(incident)?;
                if by.is_empty() {
                    return Err("Say who takes it: an acknowledgement needs a name.".to_owned());
                }
                let acknowledgement =
                    Acknowledgement { by: by.clone(), at: now, until: *until, note: note.clone() };
                match channel.as_deref() {
                    Some(channel) if self.is_drill(number) => self.prove(number, channel, by, now),
                    link => self.acknowledge(number, acknowledgement, link, now),
                }
            }
            Order::Resolve { incident, by, note } => {
                let number = self.named(incident)?;
                self.resolve(number, by, note.as_deref(), now)
            }
            Order::Silence { silenced, from, until, by, note } => {
                let silencing = Silencing {
                    id: 0,
                    silenced: silenced.clone(),
                    from: *from,
                    until: *until,
                    by: by.clone(),
                    note: note.clone(),
                };
                self.silence(silencing, now)
            }
            Order::EndSilence { id, .. } => self.end_silencing(*id, now),
            Order::Drill { channel, by } => self.order_drill(channel.as_deref(), by, now),
        }
    }

    /// The open incident of this identifier, number or token.
    fn named(&self, name: &str) -> Result<u64, String> {
        let token = name.strip_suffix(".NOK").unwrap_or(name);
        let is = |incident: &&Incident| {
            incident.id() == name
                || incident.number.to_string() == name
                || incident.owed().any(|announced| announced.token.eq_ignore_ascii_case(token))
        };
        if let Some(incident) = self.open_incidents().find(is) {
            return Ok(incident.number);
        }
        let open: Vec<String> = self.open_incidents().map(Incident::id).take(OPEN_NAMED_MAX).collect();
        Err(match open.as_slice() {
            [] => format!("There is no open incident {name}; none is open."),
            open => format!("There is no open incident {name}; open are: {}.", open.join(", ")),
        })
    }

    fn is_drill(&self, number: u64) -> bool {
        self.incidents.get(&number).is_some_and(|incident| incident.subject == Subject::Drill)
    }

    /// `link` is the channel whose link was pressed.
    fn acknowledge(
        &mut self,
        number: u64,
        by: Acknowledgement,
        link: Option<&str>,
        now: Time,
    ) -> Result<String, String> {
        if by.until.is_some_and(|until| until <= now || until - now > ACKNOWLEDGED_MAX) {
            return Err(format!(
                "An acknowledgement ends after now, and {} days from now at the latest.",
                ACKNOWLEDGED_MAX.num_days()
            ));
        }
        let Some(incident) = self.incidents.get_mut(&number) else { return Err("It is over.".to_owned()) };
        let until = by.until.map_or("it is over".to_owned(), rfc3339);
        let mut done = format!("{} has taken incident {}, until {until}.", by.by, incident.id());
        if incident.subject == Subject::Drill {
            done.push_str(" It is a drill: only the link in the message of a channel proves that channel.");
        }
        incident.acknowledged = Some(by.clone());
        self.acknowledgement_ends.set(number, by.until);
        self.dirty.incidents.insert(number);
        let told = [link.map(|channel| format!("by the link in the message of {channel}")), by.note];
        let told: Vec<String> = told.into_iter().flatten().collect();
        let told = Some(told.join(": ")).filter(|told| !told.is_empty());
        self.note_step(number, What::Acknowledged, Some(by.by), told, now);
        self.tell_who_knows(number, now);
        self.follow(number, now);
        Ok(done)
    }

    /// Those who had the alarm hear who took it.
    fn tell_who_knows(&mut self, number: u64, now: Time) {
        let Some(incident) = self.incidents.get(&number) else { return };
        let channels: BTreeSet<String> =
            incident.owed().flat_map(|announced| announced.channels.keys().cloned()).collect();
        let Some(token) = incident.token().map(str::to_owned).filter(|_| !channels.is_empty()) else {
            return;
        };
        let letter = words::acknowledged(incident, &token, self.signature(now));
        self.say(number, &token, (Kind::Notice, &letter), self.addresses(&channels), now);
    }

    /// Ends what a person says is over. The checkers go on being judged: the same trouble alarms again only after it has
    /// ended once.
    fn resolve(&mut self, number: u64, by: &str, note: Option<&str>, now: Time) -> Result<String, String> {
        let Some(incident) = self.incidents.get_mut(&number) else { return Err("It is over.".to_owned()) };
        if let Some(ends) = own_end(&incident.subject) {
            return Err(format!(
                "Incident {} cannot be ended by hand: it ends by itself {ends}. Acknowledge it instead.",
                incident.id()
            ));
        }
        let done = format!("Incident {} is resolved.", incident.id());
        let members: Vec<String> = incident.present().map(|(name, _)| name.to_owned()).collect();
        for name in &members {
            incident.leave(name, End::Resolved(now));
            let about_checkers = !matches!(incident.subject, Subject::Channel(_));
            let Some(facts) = self.facts.get_mut(name).filter(|_| about_checkers) else { continue };
            match &incident.subject {
                Subject::Service(service) => {
                    facts.resolved.insert(service.clone());
                }
                _ => facts.silent = facts.silent.map(|silence| Silence { resolved: true, ..silence }),
            }
            self.dirty.facts.insert(name.clone());
        }
        self.note_step(number, What::Resolved, Some(by.to_owned()), note.map(str::to_owned), now);
        self.close(number, now);
        Ok(done)
    }

    /// Whoever took it did not end it in time: everybody who had the alarm is reminded.
    pub(super) fn end_acknowledgements(&mut self, now: Time) {
        for number in self.acknowledgement_ends.due(now) {
            self.acknowledgement_ends.set(number, None);
            let Some(incident) = self.incidents.get_mut(&number) else { continue };
            let by = incident.acknowledged.take().map(|by| by.by);
            self.dirty.incidents.insert(number);
            self.note_step(number, What::AcknowledgementEnded, by, None, now);
            let standing = self.incidents.get(&number).and_then(|incident| incident.owed().last());
            let Some(standing) = standing else { continue };
            let (token, told) = (standing.token.clone(), standing.channels.keys().cloned().collect());
            self.tell(number, &token, &told, What::Repeated, now);
            self.follow(number, now);
        }
    }

    pub(super) fn note_step(
        &mut self,
        number: u64,
        what: What,
        by: Option<String>,
        detail: Option<String>,
        now: Time,
    ) {
        let Some(incident) = self.incidents.get(&number) else { return };
        self.dirty.steps.push(Step { incident: incident.id(), at: now, what, by, detail });
    }
}

/// When what nobody can end by hand ends by itself.
fn own_end(subject: &Subject) -> Option<&'static str> {
    match subject {
        Subject::Silence | Subject::Service(_) | Subject::Channel(_) => None,
        Subject::Mailbox(_) => Some("as soon as the mailbox is read again"),
        Subject::Report(_) => Some("when the runs of the checker keep the rules again"),
        Subject::Clock => Some("when the clocks agree again"),
        Subject::Spoof(_) => Some("when no such mail has come for a while"),
        Subject::Expiry(_) | Subject::ChannelExpiry(_) => Some("when the credential is renewed"),
        Subject::Drill => Some("when its links are pressed, or its time is over"),
        Subject::Proof => Some("with the next drill that is proved"),
        Subject::Dependence(_) => Some("when a channel survives again, or `accept_dependence` says why not"),
    }
}
