//! Why those are silent who are: worked out again only for those of whom it may be another reason now. That is whoever
//! something was read about, who fell silent with others than before, and of whom something that a reason rests on has
//! changed or grown old.

use std::collections::{BTreeMap, BTreeSet};
use std::mem::{Discriminant, discriminant};

use chrono::TimeDelta;

use super::Engine;
use super::diagnosis::Company;
use super::fleet::Place;
use super::timers::Schedule;
use crate::fullness::Fullness;
use crate::incident::Incident;
use crate::ledger::Facts;
use crate::reason::{Cause, Reason, Together};
use crate::time::Time;

#[derive(Debug, Default)]
pub(super) struct Review {
    /// Somebody fell silent, is heard again or for the first time, or something was read about somebody silent.
    pub(super) is_due: bool,
    /// Of each silent one: whoever is heard after this tells something of its silence.
    heard_after: Schedule<Place>,
    /// Of each silent one: a look that began after this finds evidence too old.
    fresh_until: Schedule<Place>,
    /// What the reasons rest on; None: they have to be worked out anew.
    rests_on: Option<RestsOn>,
    /// With whom those of each incident fell silent, by its number, as far as their reasons depend on it.
    companies: BTreeMap<u64, Discriminant<Company>>,
}

/// What the reasons rest on beside the checkers.
#[derive(Debug, Default, PartialEq, Eq)]
struct RestsOn {
    canary_received: Option<Time>,
    canary_missing: Option<Time>,
    /// Of each mailbox: whether it is full, and how much its server's time is set back by what is known of the clocks.
    mailboxes: Vec<(bool, TimeDelta)>,
}

impl Review {
    /// This checker belongs to no open silence.
    fn forget(&mut self, place: Place) {
        self.heard_after.set(place, None);
        self.fresh_until.set(place, None);
    }
}

impl Engine {
    /// Everybody who is silent has to be asked again.
    pub(super) fn review_anew(&mut self) {
        self.review = Review { is_due: true, ..Review::default() };
    }

    /// Those who are silent, and of whom it may be another reason now. Something was read about `judged`, in a look that
    /// began at `heard_until` by the server's clock.
    pub(super) fn doubtful(&mut self, judged: &BTreeSet<String>, heard_until: Time) -> BTreeSet<Place> {
        let rests_on = Some(self.rests_on());
        let doubtful: BTreeSet<Place> = if self.review.rests_on == rests_on {
            let judged = judged.iter().filter(|name| self.silence_of(name).is_some());
            let judged = judged.filter_map(|name| self.index.get(name).copied());
            let overtaken = self.newest_heard.map(|newest| self.review.heard_after.before(newest));
            let grown_old = self.review.fresh_until.before(heard_until);
            judged.chain(overtaken.into_iter().flatten().copied()).chain(grown_old.copied()).collect()
        } else {
            self.rolls.iter().flat_map(|(_, roll)| roll.present.iter().map(|(_, place)| *place)).collect()
        };
        self.review.rests_on = rests_on;
        self.review.is_due |= !doubtful.is_empty();
        doubtful
    }

    /// Whether they are known to have written is asked first: what the others are put down to depends on it.
    pub(super) fn note_who_spoke(&mut self, places: &BTreeSet<Place>) {
        for place in places {
            let name = self.config.checkers.get(*place).map(|checker| checker.name.as_str());
            let spoke = name.is_some_and(|name| self.spoke(name));
            self.fleet.get_mut(*place).into_iter().for_each(|brief| brief.spoke = spoke);
        }
    }

    /// Works out what the silences are put down to now, when it may be something else.
    pub(super) fn review_silences(&mut self, doubtful: &BTreeSet<Place>, now: Time) {
        if !std::mem::take(&mut self.review.is_due) {
            return;
        }
        let mut asked: BTreeMap<u64, Vec<Place>> = BTreeMap::new();
        for place in doubtful {
            let name = self.config.checkers.get(*place).map(|checker| checker.name.as_str());
            let number = name.and_then(|name| self.silence_of(name)).map(|incident| incident.number);
            match number {
                Some(number) => asked.entry(number).or_default().push(*place),
                None => self.review.forget(*place),
            }
        }
        let mut companies = BTreeMap::new();
        for (number, roll) in self.rolls.iter() {
            let Some(incident) = self.incidents.get(&number) else { continue };
            let company = self.company(incident);
            if self.review.companies.get(&number) != Some(&discriminant(&company)) {
                asked.insert(number, roll.present.iter().map(|(_, place)| *place).collect());
            } else if self.dirty.incidents.untold().contains(&number) {
                asked.entry(number).or_default();
            }
            companies.insert(number, company);
        }
        for (number, places) in asked {
            let company = companies.get(&number).copied().unwrap_or(Company::Alone);
            places.into_iter().for_each(|place| self.review_one(place, company, now));
            let cause = self.incidents.get(&number).and_then(|incident| self.cause_voted(incident, now));
            self.put_down(number, cause);
        }
        self.review.companies =
            companies.iter().map(|(number, company)| (*number, discriminant(company))).collect();
    }

    /// Why this silent checker is silent, and until when that holds.
    fn review_one(&mut self, place: Place, company: Company, now: Time) {
        let Some(name) = self.config.checkers.get(place).map(|checker| checker.name.clone()) else { return };
        let Some(facts) = self.facts.get(&name) else { return };
        let from = facts.heard_at().or(facts.watched_since);
        let cycle = facts.deadline.cycle();
        let due = from.map(|from| from + cycle - cycle / 10).filter(|due| self.newest_heard <= Some(*due));
        let (deadline, until) = (facts.deadline_in_force().total(), self.watch_of(facts).heard_until);
        let ends = evidence(facts).map(|at| at + deadline).filter(|end| until <= Some(*end));
        let fresh_until = ends.min();
        self.review.heard_after.set(place, due);
        self.review.fresh_until.set(place, fresh_until);
        // What they share is told, but makes no other reason.
        let reason = self.reason_of(&name, self.together(company, &[]), now);
        self.fleet.get_mut(place).into_iter().for_each(|brief| brief.reason = reason);
        self.note_reason(name, reason);
    }

    fn reason_of(&self, name: &str, together: Together<'_>, now: Time) -> Option<Reason> {
        // Blindness comes and goes with time alone, and whoever shows the table sees it.
        let heard_until = self.facts.get(name).and_then(|facts| self.watch_of(facts).heard_until);
        self.cause_in(name, together, heard_until.unwrap_or(now)).map(|cause| cause.reason)
    }

    /// What these are put down to who belong to no silence: the store is told of what changed.
    pub(super) fn revise_reasons(&mut self, judged: BTreeSet<String>, now: Time) {
        for name in judged {
            if self.silence_of(&name).is_some() {
                continue;
            }
            let reason = self.reason_of(&name, Together::Alone, now);
            if let Some(place) = self.index.get(&name) {
                self.review.forget(*place);
            }
            self.note_reason(name, reason);
        }
    }

    /// What everybody is put down to, under a configuration that is new or after the start.
    pub(super) fn revise_all_reasons(&mut self, now: Time) {
        let silent: BTreeSet<Place> =
            self.rolls.iter().flat_map(|(_, roll)| roll.present.iter().map(|(_, place)| *place)).collect();
        self.note_who_spoke(&silent);
        self.review_anew();
        self.review_silences(&silent, now);
        self.revise_reasons(self.index.keys().cloned().collect(), now);
        self.review_anew();
    }

    fn note_reason(&mut self, name: String, reason: Option<Reason>) {
        if self.reasons.get(&name).copied() == reason {
            return;
        }
        match reason {
            Some(reason) => self.reasons.insert(name.clone(), reason),
            None => self.reasons.remove(&name),
        };
        self.dirty.facts.insert(name);
    }

    /// As [`Self::cause_of`], by the reasons that are known already.
    fn cause_voted(&self, incident: &Incident, now: Time) -> Option<Cause> {
        let reason_at = |place: &Place| self.fleet.get(*place).reason;
        let mut votes: BTreeMap<Reason, usize> = BTreeMap::new();
        let roll = self.rolls.get(incident.number)?;
        for reason in roll.present.iter().filter_map(|(_, place)| reason_at(place)) {
            *votes.entry(reason).or_default() += 1;
        }
        let Some((reason, _)) = votes.into_iter().rev().max_by_key(|(_, count)| *count) else {
            return self.cause_of(incident, now);
        };
        if incident.cause.as_ref().is_some_and(|cause| cause.reason == reason) {
            return None;
        }
        let of_it = |name: &str| self.index.get(name).and_then(reason_at) == Some(reason);
        let (first, _) = incident.present().find(|(name, _)| of_it(name))?;
        let (company, shared) = self.company_and_shared(incident);
        self.cause_in(first, self.together(company, &shared), now)
    }

    fn rests_on(&self) -> RestsOn {
        let returned = self.canary().and_then(|canary| canary.returned);
        RestsOn {
            canary_received: returned.map(|returned| returned.received),
            canary_missing: self.canary_overdue(),
            mailboxes: self
                .mailboxes
                .values()
                .map(|mailbox| (mailbox.fullness.as_ref().is_some_and(Fullness::is_full), mailbox.ahead()))
                .collect(),
        }
    }
}

/// When that was received which tells of a silence as long as it is fresh.
fn evidence(facts: &Facts) -> impl Iterator<Item = Time> {
    let bounced = facts.trail.bounced.as_ref().map(|bounce| bounce.received);
    let spoof = facts.spoofs.newest.as_ref().map(|spoof| spoof.received);
    let held = facts.held().map(|held| held.received);
    [facts.trail.junked, bounced, spoof, held].into_iter().flatten()
}
