//! Which services changed, in the eyes of each checker.

use chrono::TimeDelta;

use super::Engine;
use crate::config::{Checker, Flap};
use crate::incident::{End, Flapping, Incident, Subject};
use crate::ledger::{Deadline, Facts, Outcome, Service};
use crate::time::Time;

/// What a checker says of a service.
struct Seen {
    service: String,
    since: Time,
    outcome: Outcome,
    standing: Standing,
    /// How often it changed lately, when that is too often.
    flapping: Option<Flapping>,
    /// It has not changed for so long that it flaps no more.
    steady: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Standing {
    Bad,
    Good,
    /// Not often enough in a row, or not known.
    Open,
}

impl Engine {
    /// What a silent checker said last is not known to be true any more: it neither opens nor closes anything.
    pub(super) fn judge_services(&mut self, name: &str, now: Time) {
        let Some((facts, checker)) = self.facts.get(name).zip(self.checker(name)) else { return };
        if facts.silent.is_some() {
            return;
        }
        let current = facts.services.iter().filter(|(_, known)| !self.may_be_outdated(facts, known));
        let seen: Vec<Seen> = current.filter_map(|(service, known)| seen(checker, service, known)).collect();
        seen.iter().for_each(|seen| self.judge_service(name, seen, now));
    }

    /// Whether a newer run may lie among mails that are not read yet. Those are read newest first: only a mail that was held
    /// on the way can be of an older run than they are.
    fn may_be_outdated(&self, facts: &Facts, known: &Service) -> bool {
        let Deadline { timeouts_ms, margin_ms, .. } = facts.deadline;
        let straight = TimeDelta::milliseconds(timeouts_ms.saturating_add(margin_ms));
        let held = facts.last_received.is_some_and(|received| received - known.at() > straight);
        held && !self.watch_of(facts).history_known
    }

    /// What a person resolved alarms again only after it was good once.
    fn is_resolved(&mut self, name: &str, seen: &Seen) -> bool {
        let Some(facts) = self.facts.get_mut(name) else { return false };
        if seen.standing == Standing::Good && facts.resolved.remove(&seen.service) {
            self.dirty.facts.insert(name.to_owned());
        }
        facts.resolved.contains(&seen.service)
    }

    fn judge_service(&mut self, name: &str, seen: &Seen, now: Time) {
        if self.is_resolved(name, seen) {
            return;
        }
        let open = self.open_about(&Subject::Service(seen.service.clone())).next();
        let member = open.and_then(|incident| incident.members.get(name)).filter(|one| one.end.is_none());
        let (number, joined) = (open.map(|incident| incident.number), member.is_some());
        let flapped = member.and_then(|member| member.flapping);
        let flapping = seen.flapping.or(flapped.filter(|_| !seen.steady));
        let joins =
            !joined && (seen.standing == Standing::Bad || flapping.is_some() && seen.outcome.is_bad());
        if number.is_none() && !joins {
            return;
        }
        let number = number.unwrap_or_else(|| {
            let subject = Subject::Service(seen.service.clone());
            self.open(Incident::new(self.last_incident + 1, subject, now), now)
        });
        let Some(incident) = self.incidents.get_mut(&number) else { return };
        // One that flaps stays, and what it says meanwhile is not told, until it has been steady.
        let leaves = joined && flapping.is_none() && seen.standing == Standing::Good;
        if joins {
            incident.join(name, seen.since, Some(seen.outcome));
        }
        let known_to_flap = incident.present().any(|(_, member)| member.flapping.is_some());
        if let Some(member) = incident.members.get_mut(name).filter(|_| joined || joins) {
            member.flapping = flapping;
        }
        if leaves {
            incident.leave(name, End::Recovered(seen.since));
        }
        if joins || leaves || flapping != flapped {
            self.dirty.incidents.insert(number);
        }
        let told = self.incidents.get(&number).is_some_and(|incident| !incident.announced.is_empty());
        if told && (joined || joins) && flapping.is_some() && !known_to_flap {
            self.announce(number, seen.service.clone(), now);
        }
    }
}

fn seen(checker: &Checker, service: &str, known: &Service) -> Option<Seen> {
    let outcome = known.outcome();
    if outcome == Outcome::Unread || !checker.findings.alarms(outcome.breach()) {
        return None;
    }
    let (nok_after, ok_after) = checker.hysteresis(service);
    let standing = match outcome.is_bad() {
        true if known.streak() >= nok_after => Standing::Bad,
        false if known.streak() >= ok_after => Standing::Good,
        _ => Standing::Open,
    };
    let changes = |flap: Flap| u32::try_from(known.changes(flap.within)).unwrap_or(u32::MAX);
    let too_many = checker.flap.filter(|flap| changes(*flap) >= flap.changes);
    Some(Seen {
        service: service.to_owned(),
        since: known.since(),
        outcome,
        standing,
        flapping: too_many
            .map(|flap| Flapping { changes: flap.changes, within_ms: flap.within.num_milliseconds() }),
        steady: checker.flap.is_none_or(|flap| changes(flap) == 0),
    })
}
