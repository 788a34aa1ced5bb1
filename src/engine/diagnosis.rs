//! Why: gathers the evidence about each checker that is not heard as it should be, and keeps the incidents' causes.

use std::collections::{BTreeMap, BTreeSet};

use super::Engine;
use super::fleet::{Brief, Place};
use super::mailbox::receiving;
use super::roll::Roll;
use crate::fullness::Fullness;
use crate::incident::{Incident, Subject};
use crate::ledger::Facts;
use crate::reason::{Cause, Clue, Confidence, Evidence, Held, Reason, Together, diagnose};
use crate::time::Time;
use crate::verdict::judge;

/// With whom the members of an incident fell silent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Company {
    Alone,
    All {
        count: usize,
    },
    /// That of the checker at this place.
    Provider {
        of: Place,
        count: usize,
    },
    Some {
        count: usize,
    },
}

/// With whom each silent checker fell silent, worked out once for many questions.
#[derive(Debug, Default)]
pub struct Companies {
    /// By the number of the incident, with what they share.
    companies: BTreeMap<u64, (Company, Vec<String>)>,
    /// In which incident each of them is.
    incidents: BTreeMap<String, u64>,
}

impl Engine {
    /// With whom everybody who is silent fell silent.
    pub fn companies(&self) -> Companies {
        let mut companies = Companies::default();
        for incident in self.open_about(&Subject::Silence) {
            companies.companies.insert(incident.number, self.company_and_shared(incident));
            let present = incident.present().map(|(name, _)| (name.to_owned(), incident.number));
            companies.incidents.extend(present);
        }
        companies
    }

    /// Why a checker is silent or delayed; None when there is nothing to explain.
    pub fn cause(&self, name: &str, companies: &Companies, now: Time) -> Option<Cause> {
        let number = companies.incidents.get(name);
        let company = number.and_then(|number| companies.companies.get(number));
        let together = company.map_or(Together::Alone, |(company, shared)| self.together(*company, shared));
        self.cause_in(name, together, now)
    }

    pub(super) fn together<'a>(&'a self, company: Company, shared: &'a [String]) -> Together<'a> {
        match company {
            Company::Alone => Together::Alone,
            Company::All { count } => Together::All { count },
            Company::Provider { of, count } => match self.config.checkers.get(of) {
                Some(checker) => Together::Provider { provider: &checker.provider, count },
                None => Together::Alone,
            },
            Company::Some { count } => Together::Some { count, shared },
        }
    }

    pub(super) fn cause_in(&self, name: &str, together: Together<'_>, now: Time) -> Option<Cause> {
        let facts = self.facts.get(name)?;
        let watch = self.watch_of(facts);
        let verdict = judge(facts, watch, now);
        let held = facts.held().map(|held| Held {
            received: held.received,
            held_ms: held.held.num_milliseconds(),
            hop: held.hop.map(|hop| hop.to_string()),
        });
        let receiving = receiving(&facts.heard_through, facts.deadline, &self.mailboxes);
        let full = receiving.clone().find_map(|(name, mailbox)| {
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
            together,
            newest_heard: self.newest_heard,
            canary_received: self
                .canary()
                .and_then(|canary| canary.returned)
                .map(|returned| returned.received),
            canary_missing: self.canary_overdue(),
            login_refused: receiving.clone().find_map(|(_, mailbox)| mailbox.refused_login()),
            junked: facts.trail.junked,
            bounced: facts.trail.bounced.as_ref(),
            delayed: facts.trail.delayed.as_ref(),
            full: full.as_ref().map(|(name, words)| (*name, words.as_str())),
            held: held.as_ref(),
            spoof: facts.spoofs.newest.as_ref(),
            clock: facts.clock_offset().map(|clock| (clock.offset, clock.uncertainty)),
        })
    }

    pub(super) fn company_and_shared(&self, incident: &Incident) -> (Company, Vec<String>) {
        let company = self.company(incident);
        let shared = match company {
            Company::Some { .. } => {
                let members = self.rolls.get(incident.number).into_iter().flat_map(Roll::fell_silent);
                self.shared_by(members.filter(|place| {
                    let brief = self.fleet.get(*place);
                    brief.was_ever_heard && !brief.spoke
                }))
            }
            Company::Alone | Company::All { .. } | Company::Provider { .. } => Vec::new(),
        };
        (company, shared)
    }

    /// With whom the members of `incident` fell silent, those among them who are heard again.
    pub(super) fn company(&self, incident: &Incident) -> Company {
        // Of those who are heard nothing is put down to their company: that all see a service fail is no matter of the mail.
        let Some(roll) = self.rolls.get(incident.number) else { return Company::Alone };
        // Who was silent before, or was never heard, says nothing about what happened now.
        let members = || {
            let briefs = roll.fell_silent().map(|place| (place, self.fleet.get(place)));
            briefs.filter(|(_, brief)| brief.was_ever_heard)
        };
        if incident.apart || members().nth(1).is_none() {
            return Company::Alone;
        }
        let later = self.silent_later(roll);
        let heard = members().filter(|(_, brief)| brief.is_heard()).count();
        if self.fleet.heard() == heard && later.is_empty() {
            return Company::All { count: members().count() };
        }
        let quiet = || members().filter(|(_, brief)| !brief.spoke);
        let (count, first) = (quiet().count(), quiet().next());
        let Some((of, Brief { provider, .. })) = first.filter(|_| count > 1) else { return Company::Alone };
        let of_it = |(_, brief): &(Place, Brief)| brief.provider == provider;
        let all_of_it = quiet().all(|one| of_it(&one))
            && members().filter(of_it).all(|(_, brief)| !brief.spoke)
            && self.fleet.heard_of(provider)
                == members().filter(of_it).filter(|(_, brief)| brief.is_heard()).count()
            && later.iter().all(|place| self.fleet.get(*place).provider != provider);
        if all_of_it { Company::Provider { of, count } } else { Company::Some { count } }
    }

    /// Those who are silent, and were heard after the last of these fell silent.
    fn silent_later(&self, roll: &Roll) -> Vec<Place> {
        let Some(last) = roll.last else { return Vec::new() };
        let heard_long_after = |time: Time, place| time > last + self.fleet.get(place).together_within;
        let later = self.fleet.silent_after(last).filter(|(time, place)| heard_long_after(*time, *place));
        let mut later: Vec<Place> = later.map(|(_, place)| place).collect();
        if !later.is_empty() {
            let members: BTreeSet<Place> = roll.fell_silent().collect();
            later.retain(|place| !members.contains(place));
        }
        later
    }

    /// Whether a silent checker is known to have written since.
    pub(super) fn spoke(&self, name: &str) -> bool {
        let Some(facts) = self.facts.get(name).filter(|facts| facts.silent.is_some()) else { return false };
        let cause = |until| self.cause_in(name, Together::Alone, until);
        let reason = self.watch_of(facts).heard_until.and_then(cause).map(|cause| cause.reason);
        matches!(reason, Some(Reason::Junked | Reason::Rejected | Reason::MailboxFull))
    }

    /// Whether a checker was heard after the `last` of others fell silent, or still is.
    pub(super) fn is_witness(&self, place: Place, last: Option<Time>) -> bool {
        let brief = self.fleet.get(place);
        let heard_at = brief.from.filter(|_| brief.was_ever_heard);
        match last.filter(|_| brief.silent.is_some()) {
            Some(last) => heard_at.is_some_and(|heard_at| heard_at > last + brief.together_within),
            None => heard_at.is_some(),
        }
    }

    /// The first relays that all of these used last, and nobody else.
    fn shared_by(&self, places: impl Iterator<Item = Place>) -> Vec<String> {
        let names = places.filter_map(|place| self.config.checkers.get(place));
        let members: BTreeSet<&str> = names.map(|checker| checker.name.as_str()).collect();
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

    /// Puts the incident down to what is known now.
    pub(super) fn revise_cause(&mut self, number: u64, now: Time) {
        let Some(incident) = self.incidents.get(&number) else { return };
        let cause = self.cause_of_mailbox(incident);
        let cause = cause.or_else(|| self.cause_of(incident, now));
        self.put_down(number, cause);
    }

    pub(super) fn put_down(&mut self, number: u64, cause: Option<Cause>) {
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
    pub(super) fn cause_of(&self, incident: &Incident, now: Time) -> Option<Cause> {
        let (company, shared) = self.company_and_shared(incident);
        let together = self.together(company, &shared);
        let mut votes: BTreeMap<Reason, (usize, Cause)> = BTreeMap::new();
        for (name, _) in incident.present() {
            if let Some(cause) = self.cause_in(name, together, now) {
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
        let held = names().filter_map(|name| self.cause_in(name, Together::Alone, now));
        let mut held = held.filter(|cause| cause.reason == Reason::MailDelayed).peekable();
        let first = held.peek().cloned()?;
        (held.count() * 2 > names().count()).then_some(first)
    }
}
