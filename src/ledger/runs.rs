//! Mails → runs → services: which results belong together, and what a run that is over has failed to say.
//!
//! A mail with DRYRUN and at least one result is a whole run. Results in mails of their own belong to the run of the
//! DRYRUN before them; that run is over Σ timeouts + margin after its first mail.
//!
//! The mails of the newest runs are kept as they came, and what they amount to is worked out anew after every look: a
//! mail that was overtaken, or a better estimate of the checker's clock, needs no correction of what was concluded.

use std::collections::BTreeMap;

use chrono::TimeDelta;
use serde::{Deserialize, Serialize};

use super::arrivals::Arrival;
use super::services::{Outcome, Service};
use crate::report::{Said, Understood};
use crate::time::Time;

/// The newest runs are kept open to mails that overtook each other; older ones are history.
const RUNS_MAX: usize = 6;
/// So many mails are kept; a run that consists of more is kept as one.
const PIECES_MAX: usize = 256;

/// What one mail contributes to a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Piece {
    arrival: Arrival,
    /// Σ timeouts + margin when it was read: a changed configuration does not judge it anew.
    allowed_ms: i64,
    dryrun: bool,
    /// It came as a whole run.
    whole: bool,
    truncated: bool,
    results: BTreeMap<String, Said>,
}

impl Piece {
    pub fn new(arrival: Arrival, allowed: TimeDelta, mail: &Understood) -> Self {
        Self {
            arrival,
            allowed_ms: allowed.num_milliseconds(),
            dryrun: mail.dryrun.is_some(),
            whole: mail.whole_run(),
            truncated: mail.truncated,
            results: mail.results.clone(),
        }
    }

    fn allowed(&self) -> TimeDelta {
        TimeDelta::milliseconds(self.allowed_ms)
    }

    fn absorb(&mut self, other: &Self) {
        self.truncated |= other.truncated;
        for (service, result) in &other.results {
            merge(self.results.entry(service.clone()), *result);
        }
    }
}

/// A checker's newest runs, and what the older ones told.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Runs {
    pieces: Vec<Piece>,
    history: BTreeMap<String, Service>,
    /// The configured services. No run before the given moment lacks a service that was added then.
    expected: BTreeMap<String, Option<Time>>,
    /// Everything up to here was read.
    heard_until: Option<Time>,
    excuse: Option<Excuse>,
}

/// The mailbox was down: what was sent to it waits in the queues of the senders.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct Excuse {
    /// Runs that were over by the last look before it are over.
    down_since: Time,
    /// Runs that began after the first look are not concerned.
    up_at: Time,
    /// The others are not over earlier.
    until: Time,
}

/// A mail in its place among the others.
type Placed<'a> = (Time, &'a Piece);

impl Runs {
    pub fn new(services: &[&str]) -> Self {
        Self {
            expected: services.iter().map(|service| ((*service).to_owned(), None)).collect(),
            ..Self::default()
        }
    }

    pub fn add(&mut self, piece: Piece) {
        self.pieces.push(piece);
    }

    /// Whether it is time to [`Self::settle`], for the sake of the room they take.
    pub fn are_many(&self) -> bool {
        self.pieces.len() >= PIECES_MAX
    }

    /// Takes over the configured services.
    pub fn expect(&mut self, services: &[&str], now: Time) {
        let known = |service: &str| self.expected.get(service).copied().unwrap_or(Some(now));
        self.expected = services.iter().map(|service| ((*service).to_owned(), known(service))).collect();
        self.history.retain(|service, _| self.expected.contains_key(service));
    }

    /// Gives the runs that were open when the mailbox went down time until `until`.
    pub fn excuse(&mut self, down_since: Time, up_at: Time, until: Time) {
        self.excuse = Some(Excuse { down_since, up_at, until });
    }

    /// What all runs tell of the services, when everything up to `heard_until` was read. `order_at` gives a mail's place.
    pub fn settle(
        &mut self,
        heard_until: Option<Time>,
        order_at: impl Fn(Arrival) -> Time,
    ) -> BTreeMap<String, Service> {
        self.heard_until = self.heard_until.max(heard_until);
        let placed = self.placed(order_at);
        let runs = cut(&placed);
        let (old, kept) = runs.split_at(self.too_old(&runs));
        let mut history = self.history.clone();
        old.iter().for_each(|run| self.tell(run, &mut history));
        let mut services = history.clone();
        kept.iter().for_each(|run| self.tell(run, &mut services));
        let pieces = kept.iter().flat_map(|run| kept_pieces(run)).collect();
        self.pieces = pieces;
        self.history = history;
        services
    }

    /// When the oldest run that is still open will be over; None when there is no open run.
    pub fn next_close(&self, order_at: impl Fn(Arrival) -> Time) -> Option<Time> {
        let placed = self.placed(order_at);
        cut(&placed).iter().filter(|run| !self.is_over(run)).filter_map(|run| self.over_at(run)).min()
    }

    /// In their order; of equal ones the DRYRUN first.
    fn placed(&self, order_at: impl Fn(Arrival) -> Time) -> Vec<Placed<'_>> {
        let mut placed: Vec<Placed<'_>> =
            self.pieces.iter().map(|piece| (order_at(piece.arrival), piece)).collect();
        placed.sort_by_key(|(at, piece)| (*at, !piece.dryrun, piece.arrival));
        placed
    }

    /// So many of the oldest runs are let go.
    fn too_old(&self, runs: &[&[Placed<'_>]]) -> usize {
        let mut room = PIECES_MAX / 2;
        let fitting = runs.iter().rev().take(RUNS_MAX).take_while(|run| {
            let fits = run.len() <= room;
            room = room.saturating_sub(run.len());
            fits
        });
        runs.len() - fitting.count().max(1).min(runs.len())
    }

    fn is_over(&self, run: &[Placed<'_>]) -> bool {
        run.first().is_some_and(|(_, first)| first.dryrun)
            && (run.iter().any(|(_, piece)| piece.whole)
                || self.over_at(run).is_some_and(|over| Some(over) < self.heard_until))
    }

    /// When a run of several mails is over. A whole run has nothing to wait for, and results without a DRYRUN are no run.
    fn over_at(&self, run: &[Placed<'_>]) -> Option<Time> {
        let (began, first) = run.first()?;
        if !first.dryrun || run.iter().any(|(_, piece)| piece.whole) {
            return None;
        }
        let over = run.iter().map(|(_, piece)| piece.arrival.received + piece.allowed()).min()?;
        match self.excuse {
            Some(excuse) if over >= excuse.down_since && *began <= excuse.up_at => {
                Some(over.max(excuse.until))
            }
            _ => Some(over),
        }
    }

    /// Adds what a run says: its results merged, and what it lacks when it is over.
    fn tell(&self, run: &[Placed<'_>], services: &mut BTreeMap<String, Service>) {
        let Some((at, _)) = run.first() else { return };
        let mut said: BTreeMap<&str, Said> = BTreeMap::new();
        for (service, result) in run.iter().flat_map(|(_, piece)| &piece.results) {
            merge(said.entry(service), *result);
        }
        let lacking =
            if run.iter().any(|(_, piece)| piece.truncated) { Outcome::Unread } else { Outcome::Missing };
        let over = self.is_over(run);
        let received = run.iter().map(|(_, piece)| piece.arrival.received).min();
        for (service, added) in &self.expected {
            let outcome = match said.get(service.as_str()) {
                Some(said) => Outcome::from(*said),
                None if over && *added <= received => lacking,
                None => continue,
            };
            services
                .entry(service.clone())
                .and_modify(|known| known.learn(*at, outcome))
                .or_insert_with(|| Service::new(*at, outcome));
        }
    }
}

fn merge<K: Ord>(known: std::collections::btree_map::Entry<'_, K, Said>, result: Said) {
    known.and_modify(|before| *before = before.and(result)).or_insert(result);
}

/// Cuts before every DRYRUN (but not between two copies of one), and before a result that was sent when the run before it
/// was over: its own DRYRUN was lost.
fn cut<'s, 'p>(placed: &'s [Placed<'p>]) -> Vec<&'s [Placed<'p>]> {
    let mut runs = Vec::new();
    let mut rest = placed;
    while let Some((began, first)) = rest.first() {
        let another = |(at, piece): &Placed<'_>| match piece.dryrun {
            true => at > began || !first.dryrun,
            false => *at > *began + first.allowed(),
        };
        let length = rest.iter().skip(1).position(another).map_or(rest.len(), |next| next + 1);
        let (run, after) = rest.split_at(length);
        runs.push(run);
        rest = after;
    }
    runs
}

/// The mails of a run, as one when they are too many.
fn kept_pieces(run: &[Placed<'_>]) -> Vec<Piece> {
    if run.len() <= PIECES_MAX / 2 {
        return run.iter().map(|(_, piece)| (*piece).clone()).collect();
    }
    let Some(((_, first), rest)) = run.split_first() else { return Vec::new() };
    let mut one = (*first).clone();
    rest.iter().for_each(|(_, piece)| one.absorb(piece));
    vec![one]
}

#[cfg(test)]
mod tests {
    use super::*;
    use Outcome::{Contradiction, Missing, Nok, Ok, Unread};
    use chrono::{TimeZone, Utc};

    fn at(second: i64) -> Time {
        Utc.with_ymd_and_hms(2026, 11, 20, 3, 0, 0).unwrap() + TimeDelta::seconds(second)
    }

    /// A mail that was sent and received in `second`, or in the second of the text's `sent=`.
    fn piece(second: i64, text: &str) -> Piece {
        let results = text.split_whitespace().filter_map(|token| match token.split_once('.') {
            Some(("DRYRUN", _)) | None => None,
            Some((name, "OK")) => Some((name.to_owned(), Said::Ok)),
            Some((name, _)) => Some((name.to_owned(), Said::Nok)),
        });
        let results: BTreeMap<String, Said> = results.collect();
        let dryrun = text.contains("DRYRUN");
        let sent = text.split_once("sent=").map_or(second, |(_, sent)| sent.parse().unwrap());
        Piece {
            arrival: Arrival { received: at(second), sent: Some(at(sent)), chain_ms: 0, relaying_ms: 0 },
            allowed_ms: 100_000,
            dryrun,
            whole: dryrun && !results.is_empty(),
            truncated: text.contains("cut"),
            results,
        }
    }

    fn sent(arrival: Arrival) -> Time {
        arrival.sent.unwrap()
    }

    /// What is known of A and B once everything up to `until` was read.
    fn settle(runs: &mut Runs, until: i64) -> [Option<(Outcome, i64)>; 2] {
        let services = runs.settle(Some(at(until)), sent);
        ["A", "B"].map(|name| {
            services.get(name).map(|known| (known.outcome(), (known.since() - at(0)).num_seconds()))
        })
    }

    fn after(pieces: &[(i64, &str)], until: i64) -> [Option<(Outcome, i64)>; 2] {
        let mut runs = Runs::new(&["A", "B"]);
        pieces.iter().for_each(|(second, text)| runs.add(piece(*second, text)));
        let forward = settle(&mut runs, until);
        let mut runs = Runs::new(&["A", "B"]);
        pieces.iter().rev().for_each(|(second, text)| runs.add(piece(*second, text)));
        assert_eq!(settle(&mut runs, until), forward, "read newest first");
        forward
    }

    #[test]
    fn what_a_whole_run_lacks_is_missing_at_once() {
        assert_eq!(after(&[(0, "DRYRUN.OK A.OK")], 0), [Some((Ok, 0)), Some((Missing, 0))]);
    }

    #[test]
    fn a_run_of_several_mails_is_over_after_the_time_its_tests_may_take() {
        let mut runs = Runs::new(&["A", "B"]);
        runs.add(piece(0, "DRYRUN.OK"));
        runs.add(piece(5, "A.OK"));
        assert_eq!(settle(&mut runs, 100), [Some((Ok, 0)), None]);
        assert_eq!(runs.next_close(sent), Some(at(100)));
        assert_eq!(settle(&mut runs, 101), [Some((Ok, 0)), Some((Missing, 0))]);
        assert_eq!(runs.next_close(sent), None);
        runs.add(piece(120, "B.NOK sent=6"));
        assert_eq!(settle(&mut runs, 120), [Some((Ok, 0)), Some((Nok, 0))], "it came after all");
    }

    #[test]
    fn opposite_mails_of_one_run_contradict_and_of_two_runs_do_not() {
        let pieces = [(0, "DRYRUN.OK"), (1, "A.OK"), (2, "A.NOK"), (300, "DRYRUN.OK"), (301, "A.OK")];
        assert_eq!(after(&pieces[..3], 3), [Some((Contradiction, 0)), None]);
        assert_eq!(after(&pieces, 301), [Some((Ok, 300)), Some((Missing, 0))]);
    }

    #[test]
    fn a_dryrun_that_was_overtaken_by_its_results_takes_them_back() {
        let mut runs = Runs::new(&["A", "B"]);
        runs.add(piece(0, "DRYRUN.OK"));
        runs.add(piece(1, "A.OK"));
        runs.add(piece(51, "A.NOK"));
        assert_eq!(settle(&mut runs, 51), [Some((Contradiction, 0)), None]);
        runs.add(piece(52, "DRYRUN.OK sent=50"));
        assert_eq!(settle(&mut runs, 52), [Some((Nok, 50)), None]);
    }

    #[test]
    fn results_whose_dryrun_was_lost_count_but_nothing_is_missing_and_no_other_run_contradicts() {
        assert_eq!(after(&[(0, "A.NOK")], 1000), [Some((Nok, 0)), None]);
        let lost = [(0, "DRYRUN.OK"), (1, "A.NOK"), (2, "B.OK"), (301, "A.OK"), (302, "B.OK")];
        assert_eq!(after(&lost, 1000), [Some((Ok, 301)), Some((Ok, 0))]);
    }

    #[test]
    fn a_dryrun_alone_is_a_run_in_which_everything_will_be_missing() {
        assert_eq!(after(&[(0, "DRYRUN.OK")], 101), [Some((Missing, 0)), Some((Missing, 0))]);
    }

    #[test]
    fn two_copies_of_a_dryrun_are_one_run() {
        let pieces = [(0, "DRYRUN.OK"), (1, "A.OK"), (2, "B.OK"), (30, "DRYRUN.OK sent=0")];
        assert_eq!(after(&pieces, 500), [Some((Ok, 0)), Some((Ok, 0))]);
    }

    #[test]
    fn what_was_cut_off_is_not_missing() {
        assert_eq!(after(&[(0, "DRYRUN.OK A.OK cut")], 0), [Some((Ok, 0)), Some((Unread, 0))]);
    }

    #[test]
    fn a_run_two_back_may_still_turn_out_to_lack_something() {
        let mut runs = Runs::new(&["A"]);
        runs.add(piece(0, "DRYRUN.OK"));
        runs.add(piece(60, "DRYRUN.OK A.NOK"));
        assert_eq!(runs.settle(Some(at(60)), sent)["A"].streak(), 1);
        assert_eq!(runs.settle(Some(at(101)), sent)["A"].streak(), 2);
    }

    #[test]
    fn what_waits_in_the_queues_after_the_mailbox_was_down_is_not_missing_yet() {
        let mut runs = Runs::new(&["A", "B"]);
        runs.add(piece(0, "DRYRUN.OK B.OK"));
        runs.add(piece(200, "DRYRUN.OK"));
        runs.add(piece(201, "A.OK"));
        assert_eq!(settle(&mut runs, 299), [Some((Ok, 200)), Some((Ok, 0))]);
        runs.excuse(at(299), at(2_000), at(2_400));
        assert_eq!(settle(&mut runs, 2_000), [Some((Ok, 200)), Some((Ok, 0))]);
        assert_eq!(runs.next_close(sent), Some(at(2_400)));
        assert_eq!(settle(&mut runs, 2_401), [Some((Ok, 200)), Some((Missing, 200))]);
    }

    #[test]
    fn what_was_missing_before_the_mailbox_was_down_stays_missing() {
        let mut runs = Runs::new(&["A"]);
        runs.add(piece(0, "DRYRUN.OK"));
        assert_eq!(settle(&mut runs, 101)[0], Some((Missing, 0)));
        runs.excuse(at(150), at(2_000), at(2_400));
        assert_eq!(settle(&mut runs, 2_000)[0], Some((Missing, 0)));
    }

    #[test]
    fn runs_from_before_a_service_was_added_do_not_lack_it() {
        let mut runs = Runs::new(&["A"]);
        runs.add(piece(0, "DRYRUN.OK A.OK"));
        runs.expect(&["A", "B"], at(100));
        assert_eq!(settle(&mut runs, 100), [Some((Ok, 0)), None]);
        runs.add(piece(300, "DRYRUN.OK A.OK"));
        assert_eq!(settle(&mut runs, 300), [Some((Ok, 0)), Some((Missing, 300))]);
    }

    #[test]
    fn old_runs_are_let_go_and_what_they_told_stays() {
        let mut runs = Runs::new(&["A", "B"]);
        for run in 0..20 {
            runs.add(piece(run * 300, "DRYRUN.OK A.OK B.NOK"));
            settle(&mut runs, run * 300);
        }
        assert_eq!(runs.pieces.len(), RUNS_MAX);
        assert_eq!(settle(&mut runs, 6000), [Some((Ok, 0)), Some((Nok, 0))]);
        assert_eq!(runs.settle(None, sent)["B"].streak(), 20);
    }

    #[test]
    fn a_run_of_very_many_mails_is_bounded_and_not_over_too_early() {
        let mut runs = Runs::new(&["A", "B"]);
        runs.add(piece(0, "DRYRUN.OK"));
        for _ in 0..1000 {
            runs.add(piece(1, "A.OK"));
            if runs.are_many() {
                runs.settle(None, sent);
            }
        }
        assert!(runs.pieces.len() < PIECES_MAX);
        assert_eq!(settle(&mut runs, 100), [Some((Ok, 0)), None]);
        assert_eq!(settle(&mut runs, 101), [Some((Ok, 0)), Some((Missing, 0))]);
    }
}
