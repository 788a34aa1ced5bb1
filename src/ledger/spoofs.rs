//! Mails in a checker's name that are not believed, as far as they are alarmed. Order of reading does not matter.

use chrono::TimeDelta;
use serde::{Deserialize, Serialize};

use crate::config::Trust;
use crate::sha256::sha256;
use crate::time::Time;
use crate::trust::Why;

/// An alarm about such mails is over when none has come for so long, or for one deadline of the checker if that is longer.
const QUIET: TimeDelta = TimeDelta::hours(1);
/// So many moments of receipt in a row, half a cycle long, without a run beyond the highest: the counter went back. A
/// mail that was held and overtaken comes late by itself, and a released queue at one moment.
const MOMENTS_BACK: usize = 3;
/// What is kept of the name that a mail gives itself.
const AUTHOR_CHARS_MAX: usize = 200;

/// The newest mail that was not believed.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Spoof {
    pub received: Time,
    pub why: Why,
    /// Whoever stood in its `From`.
    pub author: Option<String>,
}

/// What there is to say about mails that only claim to be of this checker.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Spoofs {
    pub newest: Option<Spoof>,
    /// Since the last alarm about them was over.
    pub count: u32,
    /// What is asked of the mails, as a hash, and since when: older ones could not know.
    asked: Option<(u64, Time)>,
}

impl Spoofs {
    /// Takes over what is asked of the checker's mails.
    pub fn ask(&mut self, trust: Option<&Trust>, now: Time) {
        let hash = trust.map(fingerprint);
        if hash != self.asked.map(|(known, _)| known) {
            self.asked = hash.map(|hash| (hash, now));
        }
    }

    /// Since when the mails are asked for what they are asked for now.
    pub fn asked_since(&self) -> Option<Time> {
        self.asked.map(|(_, since)| since)
    }

    /// Takes in a mail that is not believed. One from before it was asked for is nobody's forgery; those of the last
    /// `deadline` before it are told, so that a wrong configuration shows at once.
    pub fn add(&mut self, received: Time, why: Why, author: Option<&str>, deadline: TimeDelta) {
        if self.asked.is_some_and(|(_, since)| received < since - deadline) {
            return;
        }
        self.count = self.count.saturating_add(1);
        let author = author.map(|author| author.chars().take(AUTHOR_CHARS_MAX).collect());
        self.note(Spoof { received, why, author });
    }

    pub fn note(&mut self, spoof: Spoof) {
        self.newest = self.newest.take().max(Some(spoof));
    }

    /// When the alarm about them is over, if no other comes.
    pub fn over_at(&self, deadline: TimeDelta) -> Option<Time> {
        self.newest.as_ref().map(|newest| newest.received + QUIET.max(deadline))
    }
}

/// `Debug` of a secret shows where it is, but not what it is: a key that is changed asks for the same.
fn fingerprint(trust: &Trust) -> u64 {
    let hash = sha256(format!("{trust:?}").as_bytes());
    hash.iter().take(8).fold(0, |number, byte| number << 8 | u64::from(*byte))
}

/// The signed run numbers of a checker, as far as they show whether they go forward.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counter {
    highest: Option<Time>,
    /// The newest moments of receipt, ascending, each with its highest run.
    moments: Vec<(Time, Time)>,
}

impl Counter {
    pub fn add(&mut self, received: Time, run: Time, cycle: TimeDelta) {
        self.highest = self.highest.max(Some(run));
        let half_cycle = (cycle.num_milliseconds() / 2).max(1);
        let slot = |at: Time| at.timestamp_millis().div_euclid(half_cycle);
        match self.moments.iter_mut().find(|(at, _)| slot(*at) == slot(received)) {
            Some((at, highest)) => (*at, *highest) = ((*at).max(received), (*highest).max(run)),
            None => self.moments.push((received, run)),
        }
        self.moments.sort_unstable();
        let old = self.moments.len().saturating_sub(MOMENTS_BACK);
        self.moments.drain(..old);
    }

    /// When the newest mail came, if its run and those of the moments before it stay below the highest one.
    pub fn went_back(&self) -> Option<Time> {
        let (highest, (newest, _)) = self.highest.zip(self.moments.last().copied())?;
        let below = self.moments.iter().all(|(_, run)| *run < highest);
        (below && self.moments.len() == MOMENTS_BACK).then_some(newest)
    }

    /// The highest run number so far.
    pub fn highest(&self) -> Option<Time> {
        self.highest
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use chrono::{TimeZone, Utc};

    const CYCLE: TimeDelta = TimeDelta::minutes(5);

    fn at(minute: i64) -> Time {
        Utc.with_ymd_and_hms(2026, 11, 20, 0, 0, 0).unwrap() + TimeDelta::minutes(minute)
    }

    /// (received, run) in minutes; the answer is the same in whatever order they are read.
    fn went_back(mails: &[(i64, i64)]) -> Option<i64> {
        let read = |mails: &mut dyn Iterator<Item = &(i64, i64)>| {
            let mut counter = Counter::default();
            mails.for_each(|(received, run)| counter.add(at(*received), at(*run), CYCLE));
            counter.went_back().map(|newest| (newest - at(0)).num_minutes())
        };
        let forward = read(&mut mails.iter());
        assert_eq!(read(&mut mails.iter().rev()), forward, "read newest first");
        assert_eq!(read(&mut mails.iter().chain(mails)), forward, "read twice");
        forward
    }

    #[test]
    fn a_counter_goes_back_when_three_moments_stay_below_the_highest_run() {
        for (mails, expected) in [
            (&[(0, 0), (5, 5), (10, 10), (15, 15)][..], None),
            // The clock was three hours ahead and is set right.
            (&[(0, 180), (5, 185), (10, 10), (15, 15)][..], None),
            (&[(0, 180), (5, 185), (10, 10), (15, 15), (20, 20)][..], Some(20)),
            (&[(0, 12), (5, 17), (10, 10), (15, 15), (20, 20)][..], None),
            // Held in a queue and overtaken; a queue released at once.
            (&[(0, 0), (10, 10), (11, 5), (15, 15)][..], None),
            (&[(0, 0), (60, 60), (61, 5), (61, 10), (61, 15), (61, 20)][..], None),
        ] {
            assert_eq!(went_back(mails), expected, "{mails:?}");
        }
    }
}
