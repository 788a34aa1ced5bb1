//! What must hold: each invariant is a function with its sentence.

use std::collections::BTreeSet;

use bresse_watchdog::engine::Engine;
use bresse_watchdog::incident::{Incident, Subject};
use bresse_watchdog::outbox::{Kind, Message};

use super::{Held, Moment, Told, Truth};
use crate::site::{CHANNELS, MINUTE, Ms, SECOND, SERVICES};
use crate::world::World;

/// A look that was asked for ends within this.
const LOOK_MAX: Ms = 5 * SECOND;
/// A refused message is tried again after an hour.
const CHANNEL_IDLE_MAX: Ms = 75 * MINUTE;

impl Truth {
    /// Everything that must hold whenever the watchdog has stored what it decided.
    pub(crate) fn holds(&mut self, world: &World, moment: &Moment<'_>) -> Held {
        self.silences_are_alarmed(moment)?;
        self.alarms_have_their_evidence(world, moment)?;
        self.results_are_believed(world, moment)?;
        self.blindness_is_said(moment)?;
        self.channels_that_work_are_used(world, moment)
    }

    /// "No silence longer than its deadline goes without an alarm whenever the mailbox was readable": within one poll of the
    /// deadline where it was readable just then, and with the next complete look where it was not.
    fn silences_are_alarmed(&mut self, moment: &Moment<'_>) -> Held {
        while let Some((due, place)) = self.overdue.first().copied() {
            let patience = moment.off_of(&self.known[place]) + SECOND;
            let judged = self.looked.is_some_and(|looked| looked > due + patience);
            // A look is asked for at the deadline itself: nobody waits for the next poll.
            let in_time = moment.well_since + MINUTE < due && moment.now > due + patience + LOOK_MAX;
            if !judged && !in_time {
                return Ok(());
            }
            let name = &moment.site.watched[place].name;
            let alarmed = moment
                .engine
                .open_incidents()
                .any(|one| one.subject == Subject::Silence && one.has(name) && one.token().is_some());
            if !alarmed {
                let facts = moment.engine.facts().get(name);
                return Err(format!(
                    "{name} is silent for longer than its deadline, since {due}, and it is not alarmed (judged {judged}, \
                     looked {:?}, read {:?}, well since {}): {facts:?}",
                    self.looked, self.read, moment.well_since
                ));
            }
            self.overdue.remove(&(due, place));
            self.due[place] = None;
            self.known[place].silent = true;
        }
        Ok(())
    }

    /// "No alarm without its evidence."
    fn alarms_have_their_evidence(&mut self, world: &World, moment: &Moment<'_>) -> Held {
        let engine = moment.engine;
        let mut count = 0;
        for incident in engine.open_incidents() {
            count += 1;
            let (look, mut examined) = self.examined.remove(&incident.number).unwrap_or_default();
            let now = look_of(incident);
            if now != look {
                for (name, _) in incident.present() {
                    let Some(place) = self.by_name.get(name).copied() else { continue };
                    if examined.insert(place)
                        && self.known[place].dates_are_understood(world.clock_set[place])
                    {
                        self.is_evident(incident, place, world, moment)?;
                    }
                }
            }
            self.examined.insert(incident.number, (now, examined));
        }
        if self.examined.len() > count {
            let open: BTreeSet<u64> = engine.open_incidents().map(|incident| incident.number).collect();
            self.examined.retain(|number, _| open.contains(number));
        }
        Ok(())
    }

    fn is_evident(&self, incident: &Incident, place: usize, world: &World, moment: &Moment<'_>) -> Held {
        let (known, name) = (&self.known[place], &moment.site.watched[place].name);
        match &incident.subject {
            Subject::Silence => {
                let lived = known.lived.or(known.watched).max(known.excused).unwrap_or_default();
                let silent = moment.now - lived;
                if silent + moment.off_of(known) + SECOND < moment.deadlines(place).0 {
                    return Err(format!(
                        "{name} is alarmed as silent {silent} ms after it was heard or excused: {incident:?}\n{:?}\n{:#?}",
                        moment.engine.facts().get(name),
                        known.shown()
                    ));
                }
            }
            Subject::Service(service) if !world.is_split(place) && known.runs_are_in_order(moment.off) => {
                let service = SERVICES.iter().position(|one| one == service).unwrap();
                // What a mail says that came straight is alarmed at once, though a newer run may lie among those that are not
                // read again yet: it overtook that one.
                let straight = moment.site.watched[place].timeouts() + moment.site.watched[place].margin;
                let in_time = self.anew && known.said_bad(service, straight + SECOND);
                if !in_time && !known.newest[service].is_some_and(|newest| newest.bad) {
                    let newest = known.newest[service];
                    return Err(format!(
                        "{name} said nothing bad of a service, but {newest:?}: {incident:?}\n{:#?}",
                        known.shown()
                    ));
                }
            }
            Subject::Spoof(_) if !known.forged => {
                return Err(format!("nobody wrote in the name of {name}: {incident:?}"));
            }
            _ => {}
        }
        Ok(())
    }

    /// "A service alarms with its first bad result and recovers with its first good one": with the complete look that found it.
    fn results_are_believed(&mut self, world: &World, moment: &Moment<'_>) -> Held {
        for place in std::mem::take(&mut self.heard) {
            let (known, name) = (&self.known[place], &moment.site.watched[place].name);
            let silent = moment.engine.facts().get(name).is_none_or(|facts| facts.silent.is_some());
            let understood =
                known.dates_are_understood(world.clock_set[place]) && known.runs_are_in_order(moment.off);
            if silent || !understood || world.is_split(place) {
                continue;
            }
            for (service, newest) in SERVICES.iter().zip(known.newest) {
                let Some(newest) = newest.filter(|newest| newest.certain) else { continue };
                let subject = Subject::Service((*service).to_owned());
                let mut open = moment.engine.open_incidents().filter(|one| one.subject == subject);
                let alarmed = open.any(|one| one.has(name) && one.token().is_some());
                if alarmed != newest.bad {
                    return Err(format!(
                        "{name} said {newest:?} of {service}, alarmed: {alarmed}\n{:?}\n{:#?}",
                        moment.engine.facts().get(name),
                        known.shown()
                    ));
                }
            }
        }
        Ok(())
    }

    /// "Blind is always said", and not before anybody is.
    fn blindness_is_said(&mut self, moment: &Moment<'_>) -> Held {
        let said = moment.engine.open_incidents().find(|one| matches!(one.subject, Subject::Mailbox(_)));
        let after = moment.site.blind_after;
        let from = self.seen.unwrap_or_default().max(moment.awake_since);
        if said.is_none() && moment.now - from > after + LOOK_MAX + moment.off {
            return Err(format!("nobody could read for {} ms, and that is not said", moment.now - from));
        }
        let looked = self.seen.max(self.read);
        let fresh = said.filter(|one| std::mem::replace(&mut self.blindness, one.number) != one.number);
        if let Some(incident) = fresh
            && let Some(looked) = looked
            && moment.now - looked + moment.off + SECOND < after
        {
            return Err(format!("blindness is said too early: {incident:?}"));
        }
        Ok(())
    }

    /// "At least once": what is composed goes out while its channel works.
    fn channels_that_work_are_used(&self, world: &World, moment: &Moment<'_>) -> Held {
        for message in moment.engine.outbox().iter() {
            let place = CHANNELS.iter().position(|name| *name == message.channel).unwrap();
            let since = world.far_well_since[place].max(moment.awake_since);
            let works = world.far[place] == crate::world::Far::Takes && moment.now - since > CHANNEL_IDLE_MAX;
            let waits = moment.now - crate::mails::ms(message.created);
            if works && waits > 2 * MINUTE + 2 * moment.off {
                return Err(format!("a message waits for {waits} ms: {message:?}"));
            }
        }
        Ok(())
    }

    /// A message is given out: from now on the watchdog cannot know that nobody has it.
    pub(crate) fn given_out(&mut self, message: &Message) {
        if message.kind == Kind::Alarm {
            self.told.entry(key(message)).or_default().perhaps = true;
        }
    }

    /// The far side took a message. "At most once on the healthy path. An alarm has `.NOK` in its subject, and nothing else
    /// contains `NOK`. Nobody hears of an end who may not have heard of the beginning, nor of an end twice."
    pub(crate) fn accepted(&mut self, message: &Message, now: Ms, answered: bool) -> Held {
        let text = || format!("{}\n{}", message.subject, message.body);
        let alarm = message.kind == Kind::Alarm;
        if alarm != message.subject.starts_with(&format!("{}.NOK", message.token)) {
            return Err(format!("a wrong subject: {}", message.subject));
        }
        if !alarm && text().to_lowercase().contains("nok") {
            return Err(format!("what is no alarm contains NOK: {}", text()));
        }
        if let Some(before) = self.accepted.insert(message.id, message.token.clone()) {
            self.again += 1;
            if !self.in_doubt.contains(&message.id) {
                return Err(format!("said twice: {}", message.subject));
            }
            if before != message.token {
                return Err(format!("one number for two messages: {before} and {}", message.subject));
            }
        }
        self.unstored.insert(message.id);
        if !answered {
            self.in_doubt.insert(message.id);
        }
        let place = CHANNELS.iter().position(|name| *name == message.channel).unwrap();
        self.last_accepted[place] = now;
        let doubt = self.in_doubt.contains(&message.id);
        let told = self.told.entry(key(message)).or_default();
        match message.kind {
            Kind::Alarm => *told = Told { perhaps: true, alarmed: true, recovered: false },
            Kind::Notice => {}
            Kind::Recovery => {
                if !told.perhaps {
                    return Err(format!("a recovery of what was not alarmed: {}", message.subject));
                }
                if told.recovered && !doubt {
                    return Err(format!("recovered twice: {}", message.subject));
                }
                told.recovered = true;
            }
        }
        Ok(())
    }

    /// When all has been well for long: "every announced alarm is recovered", and nothing is left to say.
    pub(crate) fn ends_well(&self, engine: &Engine) -> Held {
        if let Some((key, _)) = self.told.iter().find(|(_, told)| told.alarmed && !told.recovered) {
            return Err(format!("never recovered: {key:?}"));
        }
        if let Some(message) = engine.outbox().iter().next() {
            return Err(format!("never delivered: {message:?}"));
        }
        for incident in engine.open_incidents() {
            // A channel to which nothing is to be sent cannot show that it works.
            let idle = match &incident.subject {
                Subject::Channel(name) => {
                    let place = CHANNELS.iter().position(|one| one == name).unwrap();
                    self.last_accepted[place] < crate::mails::ms(incident.opened)
                }
                _ => false,
            };
            if !idle {
                return Err(format!("never over: {incident:?}"));
            }
        }
        Ok(())
    }
}

/// It is another one when somebody joined or left.
fn look_of(incident: &Incident) -> u64 {
    incident.members.values().fold(1, |look: u64, member| {
        (look ^ u64::from(member.end.is_some())).wrapping_mul(0x0100_0000_01b3)
            ^ member.since.timestamp_millis().cast_unsigned()
    })
}

/// Whom it tells of what.
fn key(message: &Message) -> [String; 4] {
    [&message.channel, &message.recipient, &message.incident, &message.token].map(String::clone)
}
