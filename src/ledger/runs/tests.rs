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
        arrival: Arrival {
            received: at(second),
            sent: Some(at(sent)),
            run: None,
            chain_ms: 0,
            relaying_ms: 0,
            later_ms: 0,
        },
        cycle_ms: 300_000,
        timeouts_ms: 40_000,
        margin_ms: 60_000,
        dryrun,
        flaw: None,
        whole: dryrun && !results.is_empty(),
        truncated: text.contains("cut"),
        results: Few::from(&results),
        unknown: BTreeSet::new(),
        again: BTreeSet::new(),
    }
}

fn sent(arrival: Arrival) -> Time {
    arrival.sent.unwrap()
}

fn services(runs: &mut Runs, heard_until: Option<Time>) -> Few<String, Service> {
    runs.settle(heard_until, sent, |_| false).services
}

/// What is known of A and B once everything up to `until` was read.
fn settle(runs: &mut Runs, until: i64) -> [Option<(Outcome, i64)>; 2] {
    let services = services(runs, Some(at(until)));
    ["A", "B"]
        .map(|name| services.get(name).map(|known| (known.outcome(), (known.since() - at(0)).num_seconds())))
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
    assert_eq!(runs.next_close(|| sent), Some(at(100)));
    assert_eq!(settle(&mut runs, 101), [Some((Ok, 0)), Some((Missing, 0))]);
    assert_eq!(runs.next_close(|| sent), None);
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
    assert_eq!(services(&mut runs, Some(at(60)))["A"].streak(), 1);
    assert_eq!(services(&mut runs, Some(at(101)))["A"].streak(), 2);
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
    assert_eq!(runs.next_close(|| sent), Some(at(2_400)));
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
    assert_eq!(services(&mut runs, None)["B"].streak(), 20);
}

#[test]
fn a_run_of_very_many_mails_is_bounded_and_not_over_too_early() {
    let mut runs = Runs::new(&["A", "B"]);
    runs.add(piece(0, "DRYRUN.OK"));
    for _ in 0..1000 {
        runs.add(piece(1, "A.OK"));
        if runs.are_many() {
            services(&mut runs, None);
        }
    }
    assert!(runs.pieces.len() < PIECES_MAX);
    assert_eq!(settle(&mut runs, 100), [Some((Ok, 0)), None]);
    assert_eq!(settle(&mut runs, 101), [Some((Ok, 0)), Some((Missing, 0))]);
}
