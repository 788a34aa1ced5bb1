//! When the causes of silences have to be worked out again. After most looks they need not: who is silent was not heard,
//! nobody else fell silent, and nothing that a cause rests on has changed or grown old.

use chrono::TimeDelta;

use super::Engine;
use super::diagnosis::Companies;
use crate::fullness::Fullness;
use crate::ledger::Facts;
use crate::time::Time;

#[derive(Debug, Default)]
pub(super) struct Review {
    /// Somebody fell silent, is heard again or for the first time, or something was read about somebody silent.
    pub(super) is_due: bool,
    /// Whoever is heard after this tells something of a silence.
    heard_after: Option<Time>,
    /// A look that began after this finds evidence too old.
    fresh_until: Option<Time>,
    rests_on: RestsOn,
}

/// What the causes rest on beside the checkers.
#[derive(Debug, Default, PartialEq, Eq)]
struct RestsOn {
    canary_received: Option<Time>,
    canary_missing: Option<Time>,
    /// Of each mailbox: whether it is full, and how much its server's time is set back by what is known of the clocks.
    mailboxes: Vec<(bool, TimeDelta)>,
}

impl Engine {
    /// Whether the causes may be others now. The look began at `heard_until`, by the server's clock.
    pub(super) fn wants_review(&self, heard_until: Time) -> bool {
        let Review { is_due, heard_after, fresh_until, rests_on } = &self.review;
        *is_due
            || heard_after.is_some_and(|after| self.newest_heard > Some(after))
            || fresh_until.is_some_and(|until| heard_until > until)
            || *rests_on != self.rests_on()
    }

    /// The causes were worked out: notes what they rest on, and how long they hold.
    pub(super) fn note_review(&mut self, companies: &Companies) {
        let silent = || companies.silent().filter_map(|name| self.facts.get(name));
        let due = silent().filter_map(|facts| {
            let from = facts.heard_at().or(facts.watched_since)?;
            let cycle = facts.deadline.cycle();
            Some(from + cycle - cycle / 10).filter(|due| self.newest_heard <= Some(*due))
        });
        let fresh = silent().flat_map(|facts| {
            let (deadline, until) = (facts.deadline_in_force().total(), self.watch_of(facts).heard_until);
            evidence(facts).map(move |at| at + deadline).filter(move |end| until <= Some(*end))
        });
        self.review = Review {
            is_due: false,
            heard_after: due.min(),
            fresh_until: fresh.min(),
            rests_on: self.rests_on(),
        };
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
