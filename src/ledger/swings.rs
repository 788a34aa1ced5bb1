//! How often a service changed between good and bad, whatever the order in which its runs became known.

use chrono::TimeDelta;
use serde::{Deserialize, Serialize};

use super::services::Outcome;
use crate::config::{FLAP_CHANGES_MAX, FLAP_WITHIN_MAX};
use crate::time::{Time, exact};

/// Runs in a row that were all bad or all good.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct Stretch {
    #[serde(with = "exact")]
    first: Time,
    #[serde(with = "exact")]
    last: Time,
    bad: bool,
}

/// The latest changes, as many and as old as a configuration may ask about.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub(super) struct Swings {
    /// Ascending; each is the opposite of the one before.
    stretches: Vec<Stretch>,
}

impl Swings {
    /// Takes in one run. One that could not be read is no change.
    pub(super) fn learn(&mut self, at: Time, outcome: Outcome) {
        if outcome == Outcome::Unread {
            return;
        }
        let bad = outcome.is_bad();
        match self.stretches.last_mut() {
            Some(newest) if newest.bad == bad && at >= newest.first => newest.last = newest.last.max(at),
            _ => match self.stretches.first_mut() {
                // As history is read.
                Some(oldest) if oldest.bad == bad && at < oldest.first => oldest.first = at,
                _ => self.put_in(at, bad),
            },
        }
        self.forget();
    }

    /// The changes within so long before `newest`.
    pub(super) fn changes(&self, newest: Time, within: TimeDelta) -> usize {
        self.stretches.iter().skip(1).filter(|stretch| stretch.first > newest - within).count()
    }

    fn put_in(&mut self, at: Time, bad: bool) {
        let point = |at: Time, bad: bool| Stretch { first: at, last: at, bad };
        if let Some(around) = self.stretches.iter().position(|one| one.first <= at && at <= one.last) {
            let before = self.stretches.remove(around);
            if before.bad == bad {
                self.stretches.insert(around, before);
                return;
            }
            // Of the runs in between only the outermost are known here.
            let ends = [before.first, before.last].into_iter().filter(|end| *end != at);
            self.stretches.extend(ends.map(|end| point(end, before.bad)));
        }
        self.stretches.push(point(at, bad));
        self.stretches.sort_by_key(|stretch| stretch.first);
        self.stretches.dedup_by(|next, before| {
            let same = next.bad == before.bad;
            if same {
                before.last = next.last;
            }
            same
        });
    }

    fn forget(&mut self) {
        let oldest = self.stretches.last().map(|newest| newest.last - FLAP_WITHIN_MAX);
        let many = self.stretches.len().saturating_sub(FLAP_CHANGES_MAX as usize + 1);
        let old = self.stretches.iter().skip(1).take_while(|next| Some(next.first) < oldest).count();
        self.stretches.drain(..many.max(old));
        self.stretches.shrink_to_fit();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use chrono::{TimeZone, Utc};
    use proptest::prelude::*;

    fn at(minute: i64) -> Time {
        Utc.with_ymd_and_hms(2026, 11, 20, 0, 0, 0).unwrap() + TimeDelta::minutes(minute)
    }

    /// `+` good, `-` bad, `?` not read; one every five minutes.
    fn runs(text: &str) -> Vec<(Time, Outcome)> {
        let outcome = |said| match said {
            '+' => Outcome::Ok,
            '-' => Outcome::Missing,
            _ => Outcome::Unread,
        };
        text.chars().zip(0..).map(|(said, run)| (at(run * 5), outcome(said))).collect()
    }

    fn after(runs: &[(Time, Outcome)]) -> Swings {
        let mut swings = Swings::default();
        runs.iter().for_each(|(at, outcome)| swings.learn(*at, *outcome));
        swings
    }

    #[test]
    fn changes_are_counted_within_the_time_asked_for() {
        let newest = |runs: &[(Time, Outcome)]| runs.last().map(|(at, _)| *at).unwrap();
        let cases = [("+", 60, 0), ("+-", 60, 1), ("-+-", 60, 2), ("+-+-++++", 60, 4), ("+-+-++++", 25, 2)];
        for (text, minutes, expected) in [("-?-?-", 60, 0), ("+?-", 60, 1)].into_iter().chain(cases) {
            let runs = runs(text);
            assert_eq!(after(&runs).changes(newest(&runs), TimeDelta::minutes(minutes)), expected, "{text}");
        }
    }

    #[test]
    fn a_result_that_is_revised_is_no_change() {
        let mut swings = after(&runs("++-"));
        swings.learn(at(10), Outcome::Ok);
        swings.learn(at(15), Outcome::Ok);
        assert_eq!(swings.changes(at(15), TimeDelta::hours(1)), 0);
    }

    #[test]
    fn what_is_kept_is_bounded() {
        assert_eq!(after(&runs(&"+-".repeat(500))).stretches.len(), FLAP_CHANGES_MAX as usize + 1);
        let quiet = after(&runs(&format!("+-{}", "+".repeat(400))));
        assert_eq!(quiet.stretches.len(), 1, "a change more than a day ago");
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn the_order_of_reading_does_not_matter(text in "[+-]{1,40}", order in any::<u64>()) {
            let forward = runs(&text);
            let mut shuffled = forward.clone();
            fastrand::Rng::with_seed(order).shuffle(&mut shuffled);
            let newest = at(5 * i64::try_from(text.len()).unwrap());
            let mut backward = forward.clone();
            backward.reverse();
            let changes = |runs: &[(Time, Outcome)], hours| {
                after(runs).changes(newest, TimeDelta::hours(hours))
            };
            let naive = forward.windows(2).filter(|two| {
                two[0].1 != two[1].1 && two[1].0 > newest - TimeDelta::hours(2)
            });
            prop_assert_eq!(changes(&forward, 2), naive.count().min(FLAP_CHANGES_MAX as usize));
            prop_assert_eq!(changes(&backward, 2), changes(&forward, 2));
            prop_assert!(changes(&shuffled, 24) <= changes(&forward, 24), "an interior run may be forgotten");
        }
    }
}
