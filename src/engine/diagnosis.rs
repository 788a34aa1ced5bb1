//! Why: gathers the evidence about each checker that is not heard as it should be, and keeps the incidents' causes.

use std::collections::{BTreeMap, BTreeSet};

use super::Engine;
use super::mailbox::receiving;
use crate::fullness::Fullness;
use crate::incident::{Incident, Subject};
use crate::ledger::Facts;
use crate::reason::{Cause, Clue, Confidence, Evidence, Held, Reason, Together, diagnose};
use crate::time::Time;
use crate::verdict::judge;

/// With whom the members of an incident fell silent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Company {
    Alone,
    All { count: usize },
    Provider { provider: String, count: usize },
    Some { count: usize, shared: Vec<String> },
}

impl Company {
    fn borrowed(&self) -> Together<'_> {
        match self {
            Self::Alone => Together::Alone,
            Self::All { count } => Together::All { count: *count },
            Self::Provider { provider, count } => Together::Provider { provider, count: *count },
            Self::Some { count, shared } => Together::Some { count: *count, shared },
        }
    }
}

/// With whom each silent checker fell silent, worked out once for many questions.
#[derive(Debug, Default)]
pub struct Companies {
    /// By the number of the incident.
    companies: BTreeMap<u64, Company>,
    /// In which incident each of them is.
    incidents: BTreeMap<String, u64>,
}

impl Companies {
    /// Everybody who is silent.
    pub(super) fn silent(&self) -> impl Iterator<Item = &str> {
        self.incidents.keys().map(String::as_str)
    }
}

impl Engine {
    /// With whom everybody who is silent fell silent.
    pub fn companies(&self) -> Companies {
        let mut companies = Companies::default();
        for incident in self.open_about(&Subject::Silence) {
            companies.companies.insert(incident.number, self.company(incident));
            let present = incident.present().map(|(name, _)| (name.to_owned(), incident.number));
            companies.incidents.extend(present);
        }
        companies
    }

    /// Why a checker is silent or delayed; None when there is nothing to explain.
    pub fn cause(&self, name: &str, companies: &Companies, now: Time) -> Option<Cause> {
        let number = companies.incidents.get(name);
        let company = number.and_then(|number| companies.companies.get(number)).unwrap_or(&Company::Alone);
        self.cause_in(name, company, now)
    }

    fn cause_in(&self, name: &str, company: &Company, now: Time) -> Option<Cause> {
        let facts = self.facts.get(name)?;
        let watch = self.watch_of(facts);
        let verdict = judge(facts, watch, now);
        let held = facts.held().map(|held| Held {
            received: held.received,
            held_ms: held.held.num_milliseconds(),
            hop: held.hop.map(|hop| hop.to_string()),
        });
        let receiving = receiving(&facts.heard_through, facts.deadline, &self.mailboxes);
        let full = receiving.iter().find_map(|(name, mailbox)| {
            let fullness = mailbox.fullness.filter(Fullness::is_full)?;
            Some((name.as_str(), fullness.words()))
        });
        diagnose(&Evidence {
            state: verdict.state,
            heard_at: verdict.heard_at,
            last_received: facts.last_received,
            watched_since: facts.watched_since,
            heard_until: watch.heard_until,
            cycle: facts.deadline.cycle(),
            deadline: verdict.deadline.total(),
            together: company.borrowed(),
            newest_heard: self.newest_heard,
            canary_received: self
                .canary()
                .and_then(|canary| canary.returned)
                .map(|returned| returned.received),
            canary_missing: self.canary_overdue(),
            login_refused: receiving.iter().find_map(|(_, mailbox)| mailbox.refused_login()),
            junked: facts.trail.junked,
            bounced: facts.trail.bounced.as_ref(),
            delayed: facts.trail.delayed.as_ref(),
            full: full.as_ref().map(|(name, words)| (*name, words.as_str())),
            held: held.as_ref(),
            spoof: facts.spoofs.newest.as_ref(),
            clock: facts.clock_offset().map(|clock| (clock.offset, clock.uncertainty)),
        })
    }

    /// With whom the members of `incident` fell silent, those among them who are heard again.
    fn company(&self, incident: &Incident) -> Company {
        let was_heard = |name: &str| self.facts.get(name).is_some_and(Facts::was_ever_heard);
        // Who was silent before, or was never heard, says nothing about what happened now.
        let members: BTreeSet<&str> = incident.fell_silent().filter(|name| was_heard(name)).collect();
        if members.len() < 2 || incident.apart {
            return Company::Alone;
        }
        let others = self.config.checkers.iter().filter(|one| !members.contains(one.name.as_str()));
        let last = incident.last_beginning();
        let others: Vec<_> = others.filter(|one| self.is_witness(&one.name, last)).collect();
        if others.is_empty() {
            return Company::All { count: members.len() };
        }
        let (spoke, quiet): (BTreeSet<&str>, BTreeSet<&str>) =
            members.into_iter().partition(|name| self.spoke(name));
        let of = |names: &BTreeSet<&str>| -> BTreeSet<&str> {
            let of_them = self.config.checkers.iter().filter(|one| names.contains(one.name.as_str()));
            of_them.map(|one| one.provider.as_str()).collect()
        };
        let (count, providers, works) = (quiet.len(), of(&quiet), of(&spoke));
        let only = providers.first().filter(|_| providers.len() == 1);
        match only {
            _ if count < 2 => Company::Alone,
            Some(provider)
                if !works.contains(provider) && others.iter().all(|one| one.provider != *provider) =>
            {
                Company::Provider { provider: (*provider).to_owned(), count }
            }
            _ => Company::Some { count, shared: self.shared_by(&quiet) },
        }
    }

    /// Whether a silent checker is known to have written since: its own cause is another than that of those who did not.
    pub(super) fn spoke(&self, name: &str) -> bool {
        let Some(facts) = self.facts.get(name).filter(|facts| facts.silent.is_some()) else { return false };
        let cause = |until| self.cause_in(name, &Company::Alone, until);
        let reason = self.watch_of(facts).heard_until.and_then(cause).map(|cause| cause.reason);
        matches!(reason, Some(Reason::Junked | Reason::Rejected | Reason::MailboxFull))
    }

    /// Whether a checker was heard after the `last` of others fell silent, or still is.
    pub(super) fn is_witness(&self, name: &str, last: Option<Time>) -> bool {
        let Some(facts) = self.facts.get(name) else { return false };
        if facts.silent.is_none() || last.is_none() {
            return facts.was_ever_heard();
        }
        let window = facts.deadline.together_within();
        facts.heard_at().zip(last).is_some_and(|(heard_at, last)| heard_at > last + window)
    }

    /// The first relays that all of these used last, and nobody else.
    fn shared_by(&self, members: &BTreeSet<&str>) -> Vec<String> {
        let mut of_members = members.iter().filter_map(|name| self.facts.get(*name)).map(Facts::relays);
        let Some(first) = of_members.next() else { return Vec::new() };
        let mut shared: BTreeSet<&String> = first.iter().collect();
        of_members.for_each(|relays| shared.retain(|relay| relays.contains(relay)));
        for (_, facts) in self.facts.iter().filter(|(name, _)| !members.contains(name.as_str())) {
            facts.relays().iter().for_each(|relay| {
                shared.remove(relay);
            });
        }
        shared.into_iter().cloned().collect()
    }

    /// After a judgement: what the silences are put down to now, and which checkers' rows in the store that changes.
    pub(super) fn revise_causes(&mut self, judged: BTreeSet<String>, heard_until: Time, now: Time) {
        if !self.wants_review(heard_until) {
            // Nobody among these is silent.
            return self.revise_reasons(judged, &Companies::default(), now);
        }
        let companies = self.companies();
        for (number, company) in &companies.companies {
            let cause = self.incidents.get(number).and_then(|incident| self.cause_of(incident, company, now));
            self.put_down(*number, cause);
        }
        self.revise_reasons(judged, &companies, now);
        self.note_review(&companies);
    }

    /// What these, and everybody who is silent, are put down to now: the store is told of what changed.
    pub(super) fn revise_reasons(&mut self, judged: BTreeSet<String>, companies: &Companies, now: Time) {
        let mut names = judged;
        names.extend(companies.incidents.keys().cloned());
        for name in names {
            // Blindness comes and goes with time alone, and whoever shows the table sees it.
            let heard_until = self.facts.get(&name).and_then(|facts| self.watch_of(facts).heard_until);
            let cause = self.cause(&name, companies, heard_until.unwrap_or(now));
            let reason = cause.map(|cause| cause.reason);
            if self.reasons.get(&name).copied() == reason {
                continue;
            }
            match reason {
                Some(reason) => self.reasons.insert(name.clone(), reason),
                None => self.reasons.remove(&name),
            };
            self.dirty.facts.insert(name);
        }
    }

    /// Puts the incident down to what is known now.
    pub(super) fn revise_cause(&mut self, number: u64, now: Time) {
        let Some(incident) = self.incidents.get(&number) else { return };
        let cause = self.cause_of_mailbox(incident);
        let cause = cause.or_else(|| self.cause_of(incident, &self.company(incident), now));
        self.put_down(number, cause);
    }

    fn put_down(&mut self, number: u64, cause: Option<Cause>) {
        let Some(cause) = cause else { return };
        if let Some(incident) = self.incidents.get_mut(&number)
            && incident.cause.as_ref().is_none_or(|before| before.reason != cause.reason)
        {
            incident.cause = Some(cause);
            self.dirty.incidents.insert(number);
        }
    }

    /// Of an incident about a mailbox itself.
    fn cause_of_mailbox(&self, incident: &Incident) -> Option<Cause> {
        let (reason, clue) = match &incident.subject {
            Subject::Mailbox(name) => {
                let state = self.mailboxes.get(name)?;
                let refused = state.refused_login();
                refused.map_or((Reason::WatcherBlind, Clue::Unread { since: state.heard_until }), |error| {
                    (Reason::AuthExpired, Clue::LoginRefused { error: error.to_owned() })
                })
            }
            Subject::Expiry(_) | Subject::ChannelExpiry(_) => {
                let first = self.endings(&incident.subject).min_by_key(|ending| ending.at)?;
                (Reason::AuthExpired, Clue::Ends { what: first.what, at: first.at })
            }
            _ => return None,
        };
        Some(Cause { reason, confidence: Confidence::Certain, clues: vec![clue] })
    }

    /// What most of those who are still silent are put down to, with the clues of the first of them; when all are heard
    /// again, what their mails tell of it afterwards.
    fn cause_of(&self, incident: &Incident, company: &Company, now: Time) -> Option<Cause> {
        let mut votes: BTreeMap<Reason, (usize, Cause)> = BTreeMap::new();
        for (name, _) in incident.present() {
            if let Some(cause) = self.cause_in(name, company, now) {
                votes.entry(cause.reason).or_insert((0, cause)).0 += 1;
            }
        }
        // Of equal ones the first, which is the stronger.
        let most = votes.into_values().rev().max_by_key(|(count, _)| *count).map(|(_, cause)| cause);
        most.or_else(|| self.cause_told_by_the_return(incident, now))
    }

    /// Those who are heard by mails that were held had not been silent at all: known only now, and only of them.
    fn cause_told_by_the_return(&self, incident: &Incident, now: Time) -> Option<Cause> {
        let names = || incident.fell_silent();
        let held = names().filter_map(|name| self.cause_in(name, &Company::Alone, now));
        let mut held = held.filter(|cause| cause.reason == Reason::MailDelayed).peekable();
        let first = held.peek().cloned()?;
        (held.count() * 2 > names().count()).then_some(first)
    }
}
