//! What is counted since the process began, for whoever draws curves of it. Pure; nothing is judged by it, and nothing of
//! it is stored.

use std::collections::BTreeMap;

use chrono::TimeDelta;

use crate::ledger::{ClockOffset, Observation};
use crate::outbox::Sent;
use crate::time::Time;

/// The upper bounds of the classes that times are counted in, in seconds. What took longer is counted in the sum alone.
pub const BOUNDS_SECONDS: [i64; 13] = [1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1_800, 3_600, 21_600];

/// How many mails took how long.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Histogram {
    /// By the least of [`BOUNDS_SECONDS`] that is not exceeded.
    classes: [u64; BOUNDS_SECONDS.len()],
    pub mails: u64,
    pub sum: TimeDelta,
}

impl Histogram {
    fn add(&mut self, took: TimeDelta) {
        let class = BOUNDS_SECONDS.iter().position(|bound| took <= TimeDelta::seconds(*bound));
        if let Some(count) = class.and_then(|class| self.classes.get_mut(class)) {
            *count += 1;
        }
        self.mails += 1;
        self.sum = self.sum.checked_add(&took).unwrap_or(TimeDelta::MAX);
    }

    /// Each bound in seconds, and how many mails did not exceed it.
    pub fn cumulative(&self) -> impl Iterator<Item = (i64, u64)> {
        let mut sum = 0;
        BOUNDS_SECONDS.into_iter().zip(self.classes).map(move |(bound, count)| {
            sum += count;
            (bound, sum)
        })
    }
}

/// How the attempts to send through one channel ended.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Attempts {
    pub accepted: u64,
    /// Another try may have helped.
    pub failed: u64,
    /// The far side will never take it.
    pub refused: u64,
}

#[derive(Debug, Clone)]
pub struct Tally {
    /// Mails received before are history that is read anew, and are not counted.
    pub since: Time,
    /// From checker to mailbox, by the checker's name.
    journeys: BTreeMap<String, Histogram>,
    /// By the channel's name.
    attempts: BTreeMap<String, Attempts>,
}

impl Tally {
    pub fn from(since: Time) -> Self {
        Self { since, journeys: BTreeMap::new(), attempts: BTreeMap::new() }
    }

    /// A report of `checker` was taken in, whose clock is known to be off by so much.
    pub(crate) fn heard(&mut self, checker: &str, seen: &Observation, clock: Option<ClockOffset>) {
        let Some(sent) = seen.mail.sent.filter(|_| seen.mail.heard() && seen.received >= self.since) else {
            return;
        };
        // A clock that may be right is taken for right.
        let ahead = clock.map(|clock| (clock.offset, clock.uncertainty));
        let ahead = ahead.filter(|(offset, uncertainty)| offset.abs() > *uncertainty);
        let took = seen.received - sent + ahead.map_or(TimeDelta::zero(), |(offset, _)| offset);
        let took = took.max(TimeDelta::zero());
        match self.journeys.get_mut(checker) {
            Some(journeys) => journeys.add(took),
            None => self.journeys.entry(checker.to_owned()).or_default().add(took),
        }
    }

    pub(crate) fn attempted(&mut self, channel: &str, outcome: &Sent) {
        let attempts = self.attempts.entry(channel.to_owned()).or_default();
        match outcome {
            Sent::Accepted(_) => attempts.accepted += 1,
            Sent::Failed { .. } => attempts.failed += 1,
            Sent::Refused(_) => attempts.refused += 1,
        }
    }

    /// How long the reports of `checker` took.
    pub fn journeys(&self, checker: &str) -> Histogram {
        self.journeys.get(checker).copied().unwrap_or_default()
    }

    pub fn attempts(&self, channel: &str) -> Attempts {
        self.attempts.get(channel).copied().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::Understood;

    fn mail(sent: Time) -> Understood {
        Understood {
            checker: Some("b1".into()),
            not_heard: None,
            sent: Some(sent),
            run: None,
            examined: Default::default(),
            dryrun: None,
            dryrun_late: false,
            results: BTreeMap::new(),
            unknown: BTreeMap::new(),
            truncated: false,
            problems: vec![],
            undelivered: None,
            received: vec![],
        }
    }

    #[test]
    fn a_mail_is_counted_below_every_bound_it_did_not_exceed() {
        let mut histogram = Histogram::default();
        for seconds in [0, 1, 2, 31, 40_000] {
            histogram.add(TimeDelta::seconds(seconds));
        }
        let below = |wanted| histogram.cumulative().find(|(bound, _)| *bound == wanted).unwrap().1;
        assert_eq!((below(1), below(2), below(30), below(60), below(21_600)), (2, 3, 3, 4, 4));
        assert_eq!((histogram.mails, histogram.sum), (5, TimeDelta::seconds(40_034)));
    }

    #[test]
    fn a_mail_takes_from_its_date_to_its_receipt_by_a_clock_that_is_put_right() {
        let at = |second| Time::default() + TimeDelta::seconds(second);
        let took = |sent, received, clock: Option<(i64, i64)>| {
            let clock = clock.map(|(offset, uncertainty)| ClockOffset {
                offset: TimeDelta::seconds(offset),
                uncertainty: TimeDelta::seconds(uncertainty),
            });
            let seen = Observation {
                mailbox: "MONITOR".into(),
                received: at(received),
                seen: at(received),
                mail: mail(at(sent)),
            };
            let mut tally = Tally::from(at(100));
            tally.heard("b1", &seen, clock);
            let histogram = tally.journeys("b1");
            (histogram.mails, histogram.sum.num_seconds())
        };
        assert_eq!(took(180, 200, None), (1, 20));
        assert_eq!(took(180, 200, Some((-10, 12))), (1, 20), "the clock may be right");
        assert_eq!(took(120, 200, Some((-60, 12))), (1, 20), "it is a minute behind");
        assert_eq!(took(230, 200, Some((50, 12))), (1, 20), "it is ahead");
        assert_eq!(took(230, 200, None), (1, 0), "no mail arrives before it was sent");
        assert_eq!(took(80, 99, None), (0, 0), "it was there before the start");
    }
}
