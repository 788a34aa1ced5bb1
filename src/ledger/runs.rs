//! Mails → runs: which results belong together, and what a run that is over has failed to say.
//!
//! A mail with DRYRUN and at least one result is a whole run. Results in mails of their own belong to the run of the
//! DRYRUN before them; that run is over Σ timeouts + margin after its first mail.

use std::collections::BTreeMap;

use chrono::TimeDelta;
use serde::{Deserialize, Serialize};

use super::services::Outcome;
use crate::report::{Said, Understood};
use crate::time::Time;

/// The newest runs are kept open to mails that overtook each other; older ones are history.
const RUNS_MAX: usize = 3;
/// A checker that mails more pieces than this within its newest runs loses the oldest of them.
const PIECES_MAX: usize = 256;

/// What one mail contributes to a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Piece {
    /// Its place in the order of the checker's runs.
    pub at: Time,
    pub received: Time,
    pub dryrun: bool,
    pub truncated: bool,
    pub results: BTreeMap<String, Said>,
}

impl Piece {
    pub fn new(at: Time, received: Time, mail: &Understood) -> Self {
        Self {
            at,
            received,
            dryrun: mail.dryrun.is_some(),
            truncated: mail.truncated,
            results: mail.results.clone(),
        }
    }

    fn is_whole_run(&self) -> bool {
        self.dryrun && !self.results.is_empty()
    }
}

/// One statement about one service, for [`super::services::Service::learn`].
pub type Statement = (String, Time, Outcome);

/// The pieces of a checker's newest runs.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Runs {
    /// Ascending by `at`; of equal ones the DRYRUN first.
    pieces: Vec<Piece>,
    /// Runs that began before this are closed: what they lacked has been said.
    closed_before: Option<Time>,
}

impl Runs {
    /// Takes a mail in and returns what is now known of the runs it touches, in their order.
    pub fn add(&mut self, piece: Piece, services: &[&str]) -> Vec<Statement> {
        let full = self.pieces.iter().filter(|known| known.dryrun).count() >= RUNS_MAX;
        if full && self.pieces.first().is_some_and(|oldest| piece.at < oldest.at) {
            return statements(&[piece], services, false);
        }
        let place =
            self.pieces.partition_point(|known| (known.at, !known.dryrun) <= (piece.at, !piece.dryrun));
        let touched = piece.at;
        self.pieces.insert(place, piece);
        self.forget();
        // A DRYRUN takes results away from the run before it, so that one is told anew too.
        let run_of = |index: usize| self.pieces.get(index).is_some_and(|piece| piece.dryrun);
        let runs = self.groups();
        let own =
            runs.iter().rposition(|run| run.first().is_some_and(|first| first.at <= touched)).unwrap_or(0);
        let from = if run_of(place) { own.saturating_sub(1) } else { own };
        runs.iter().skip(from).flat_map(|run| statements(run, services, self.is_closed(run))).collect()
    }

    /// When the oldest run that is still open will be over; None when there is no open run.
    pub fn next_close(&self, allowed: TimeDelta) -> Option<Time> {
        self.groups().iter().filter(|run| !self.is_closed(run)).filter_map(|run| over_at(run, allowed)).min()
    }

    /// Closes every run that was over at `heard_until`, and returns what they lacked.
    pub fn close(&mut self, heard_until: Time, allowed: TimeDelta, services: &[&str]) -> Vec<Statement> {
        let mut said = Vec::new();
        let mut closed_before = self.closed_before;
        for run in self.groups().iter().filter(|run| !self.is_closed(run)) {
            if over_at(run, allowed).is_some_and(|over| over <= heard_until) {
                said.extend(statements(run, services, true));
                closed_before = closed_before.max(run.first().map(|first| first.at));
            }
        }
        self.closed_before = closed_before;
        said
    }

    fn is_closed(&self, run: &[Piece]) -> bool {
        run.first().is_some_and(|first| self.closed_before.is_some_and(|before| first.at <= before))
    }

    /// The pieces, cut before every DRYRUN.
    fn groups(&self) -> Vec<&[Piece]> {
        let mut groups = Vec::new();
        let mut rest = self.pieces.as_slice();
        while !rest.is_empty() {
            let length =
                rest.iter().skip(1).position(|piece| piece.dryrun).map_or(rest.len(), |next| next + 1);
            let (group, after) = rest.split_at(length);
            groups.push(group);
            rest = after;
        }
        groups
    }

    fn forget(&mut self) {
        let starts: Vec<usize> = self
            .pieces
            .iter()
            .enumerate()
            .filter_map(|(index, piece)| piece.dryrun.then_some(index))
            .collect();
        let by_runs =
            starts.len().checked_sub(RUNS_MAX).and_then(|index| starts.get(index)).copied().unwrap_or(0);
        let by_pieces = self.pieces.len().saturating_sub(PIECES_MAX);
        self.pieces.drain(..by_runs.max(by_pieces));
    }
}

/// When a run of several mails is over. A whole run has nothing to wait for, and results without a DRYRUN are no run.
fn over_at(run: &[Piece], allowed: TimeDelta) -> Option<Time> {
    let first = run.first()?;
    if !first.dryrun || first.is_whole_run() {
        return None;
    }
    run.iter().map(|piece| piece.received).min().map(|received| received + allowed)
}

/// What a run says: its results merged, and for a run that is over what it lacks.
fn statements(run: &[Piece], services: &[&str], closed: bool) -> Vec<Statement> {
    let Some(first) = run.first() else { return Vec::new() };
    let mut said: BTreeMap<&str, Said> = BTreeMap::new();
    for (service, result) in run.iter().flat_map(|piece| &piece.results) {
        said.entry(service).and_modify(|before| *before = before.and(*result)).or_insert(*result);
    }
    let lacking = if run.iter().any(|piece| piece.truncated) { Outcome::Unread } else { Outcome::Missing };
    let over = first.dryrun && (closed || first.is_whole_run());
    services
        .iter()
        .filter_map(|service| match said.get(service) {
            Some(said) => Some(((*service).to_owned(), first.at, Outcome::from(*said))),
            None => over.then(|| ((*service).to_owned(), first.at, lacking)),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use Outcome::{Contradiction, Missing, Nok, Ok, Unread};
    use chrono::{TimeZone, Utc};

    const SERVICES: [&str; 2] = ["A", "B"];
    const ALLOWED: TimeDelta = TimeDelta::seconds(100);

    fn at(second: i64) -> Time {
        Utc.with_ymd_and_hms(2026, 11, 20, 3, 0, 0).unwrap() + TimeDelta::seconds(second)
    }

    fn piece(second: i64, text: &str) -> Piece {
        let results = text.split_whitespace().filter_map(|token| match token.split_once('.') {
            Some(("DRYRUN", _)) | None => None,
            Some((name, "OK")) => Some((name.to_owned(), Said::Ok)),
            Some((name, _)) => Some((name.to_owned(), Said::Nok)),
        });
        Piece {
            at: at(second),
            received: at(second),
            dryrun: text.contains("DRYRUN"),
            truncated: text.contains("cut"),
            results: results.collect(),
        }
    }

    fn add(runs: &mut Runs, second: i64, text: &str) -> Vec<(String, i64, Outcome)> {
        seconds(runs.add(piece(second, text), &SERVICES))
    }

    fn seconds(statements: Vec<Statement>) -> Vec<(String, i64, Outcome)> {
        statements
            .into_iter()
            .map(|(name, time, outcome)| (name, (time - at(0)).num_seconds(), outcome))
            .collect()
    }

    fn expect(expected: &[(&str, i64, Outcome)]) -> Vec<(String, i64, Outcome)> {
        expected.iter().map(|(name, second, outcome)| ((*name).to_owned(), *second, *outcome)).collect()
    }

    #[test]
    fn what_a_whole_run_lacks_is_missing_at_once() {
        let mut runs = Runs::default();
        assert_eq!(add(&mut runs, 0, "DRYRUN.OK A.OK"), expect(&[("A", 0, Ok), ("B", 0, Missing)]));
        assert_eq!(runs.next_close(ALLOWED), None);
    }

    #[test]
    fn a_run_of_several_mails_is_over_after_the_time_its_tests_may_take() {
        let mut runs = Runs::default();
        assert_eq!(add(&mut runs, 0, "DRYRUN.OK"), []);
        assert_eq!(add(&mut runs, 5, "A.OK"), expect(&[("A", 0, Ok)]));
        assert_eq!(runs.next_close(ALLOWED), Some(at(100)));
        assert_eq!(runs.close(at(99), ALLOWED, &SERVICES), []);
        assert_eq!(
            seconds(runs.close(at(100), ALLOWED, &SERVICES)),
            expect(&[("A", 0, Ok), ("B", 0, Missing)])
        );
        assert_eq!(runs.next_close(ALLOWED), None);
        assert_eq!(add(&mut runs, 6, "B.NOK"), expect(&[("A", 0, Ok), ("B", 0, Nok)]), "it came after all");
    }

    #[test]
    fn opposite_mails_of_one_run_contradict_and_of_two_runs_do_not() {
        let mut runs = Runs::default();
        add(&mut runs, 0, "DRYRUN.OK");
        add(&mut runs, 1, "A.OK");
        assert_eq!(add(&mut runs, 2, "A.NOK"), expect(&[("A", 0, Contradiction)]));
        add(&mut runs, 300, "DRYRUN.OK");
        assert_eq!(add(&mut runs, 301, "A.OK"), expect(&[("A", 300, Ok)]));
    }

    #[test]
    fn a_dryrun_that_was_overtaken_by_its_results_takes_them_back() {
        let mut runs = Runs::default();
        add(&mut runs, 0, "DRYRUN.OK");
        add(&mut runs, 1, "A.OK");
        assert_eq!(add(&mut runs, 301, "A.NOK"), expect(&[("A", 0, Contradiction)]));
        assert_eq!(add(&mut runs, 300, "DRYRUN.OK"), expect(&[("A", 0, Ok), ("A", 300, Nok)]));
    }

    #[test]
    fn results_without_a_dryrun_count_but_nothing_is_missing() {
        let mut runs = Runs::default();
        assert_eq!(add(&mut runs, 0, "A.NOK"), expect(&[("A", 0, Nok)]));
        assert_eq!(runs.next_close(ALLOWED), None);
        assert_eq!(runs.close(at(1000), ALLOWED, &SERVICES), []);
    }

    #[test]
    fn a_dryrun_alone_is_a_run_in_which_everything_will_be_missing() {
        let mut runs = Runs::default();
        add(&mut runs, 0, "DRYRUN.OK");
        let closed = seconds(runs.close(at(100), ALLOWED, &SERVICES));
        assert_eq!(closed, expect(&[("A", 0, Missing), ("B", 0, Missing)]));
    }

    #[test]
    fn what_was_cut_off_is_not_missing() {
        let mut runs = Runs::default();
        assert_eq!(add(&mut runs, 0, "DRYRUN.OK A.OK cut"), expect(&[("A", 0, Ok), ("B", 0, Unread)]));
    }

    #[test]
    fn history_speaks_for_itself_and_is_not_kept() {
        let mut runs = Runs::default();
        for run in 1..=3 {
            add(&mut runs, run * 300, "DRYRUN.OK A.OK B.OK");
        }
        assert_eq!(add(&mut runs, 0, "DRYRUN.OK A.NOK"), expect(&[("A", 0, Nok), ("B", 0, Missing)]));
        assert_eq!(runs.pieces.len(), 3);
    }

    #[test]
    fn the_same_run_is_not_closed_twice() {
        let mut runs = Runs::default();
        add(&mut runs, 0, "DRYRUN.OK");
        assert_eq!(runs.close(at(100), ALLOWED, &SERVICES).len(), 2);
        assert_eq!(runs.close(at(200), ALLOWED, &SERVICES), []);
    }

    #[test]
    fn a_flood_of_pieces_is_bounded() {
        let mut runs = Runs::default();
        for second in 0..1000 {
            add(&mut runs, second, "A.OK");
        }
        assert_eq!(runs.pieces.len(), PIECES_MAX);
    }
}
