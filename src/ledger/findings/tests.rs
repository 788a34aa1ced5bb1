use super::*;
use crate::ledger::Deadline;
use crate::ledger::arrivals::Arrival;
use crate::ledger::runs::{Piece, Runs};
use crate::report::tokens::Scanner;
use crate::report::{Tokens, Understood};
use chrono::{TimeDelta, TimeZone, Utc};
use fastrand::Rng;

/// The tests A and B, with timeouts of 40 s together.
const DEADLINE: Deadline = Deadline {
    cycle_ms: 300_000,
    missed_cycles: 1,
    timeouts_ms: 40_000,
    margin_ms: 60_000,
    margin_by: crate::ledger::MarginBy::Configuration,
};

fn at(second: i64) -> Time {
    Utc.with_ymd_and_hms(2026, 11, 20, 3, 0, 0).unwrap() + TimeDelta::seconds(second)
}

/// A mail that was received in `second`. Of the text, `sent=` is the second it was sent in (`sent=?`: it has no date),
/// `held` says that it was held on the way, and `cut` that it was not read to its end.
fn piece(second: i64, text: &str, deadline: Deadline) -> Piece {
    let mut tokens = Tokens::default();
    Scanner::new(["A", "B"]).scan(text, &mut tokens);
    let sent = text
        .split_once("sent=")
        .map_or(Some(second), |(_, sent)| sent.split_whitespace().next().unwrap().parse().ok());
    let mail = Understood {
        checker: Some("bresse1".into()),
        not_heard: None,
        sent: sent.map(at),
        dryrun: tokens.dryrun,
        dryrun_late: !tokens.dryrun_first,
        results: tokens.results,
        unknown: tokens.unknown,
        run: None,
        examined: Default::default(),
        truncated: text.contains("cut"),
        undelivered: None,
        problems: vec![],
        received: vec![],
    };
    let chain_ms = if text.contains("held") { 1 } else { 0 };
    Piece::new(
        Arrival {
            received: at(second),
            sent: mail.sent,
            run: mail.run,
            chain_ms,
            relaying_ms: 0,
            later_ms: 0,
        },
        deadline,
        &mail,
    )
}

fn settle(runs: &mut Runs, until: i64) -> BTreeMap<Breach, Finding> {
    let order_at = |arrival: Arrival| arrival.sent.unwrap_or(arrival.received);
    runs.settle(Some(at(until)), order_at, |arrival| arrival.chain_ms > 0).findings
}

type Mails<'a> = &'a [(i64, &'a str)];

/// What stands once everything up to `until` was read, in whichever order.
fn after(mails: Mails<'_>, until: i64) -> BTreeMap<Breach, Finding> {
    let read = |order: &[(i64, &str)]| {
        let mut runs = Runs::new(&["A", "B"]);
        order.iter().for_each(|(second, text)| runs.add(piece(*second, text, DEADLINE)));
        settle(&mut runs, until)
    };
    let found = read(mails);
    let mut order = mails.to_vec();
    for seed in 0..5 {
        Rng::with_seed(seed).shuffle(&mut order);
        assert_eq!(read(&order), found, "{order:?}");
    }
    found.into_iter().filter(|(_, finding)| finding.stands()).collect()
}

fn words(found: &BTreeMap<Breach, Finding>) -> String {
    found.keys().map(|breach| breach.word()).collect::<Vec<_>>().join(" ")
}

/// A run as it should be, in every second of these.
fn good(seconds: &[i64]) -> Vec<(i64, &'static str)> {
    seconds.iter().map(|second| (*second, "DRYRUN.OK A.OK B.OK")).collect()
}

#[test]
fn each_rule_is_found_broken_and_its_near_misses_are_not() {
    let cases: &[(&str, Mails<'_>, i64, &str)] = &[
        ("a run as it should be", &[(0, "DRYRUN.OK A.OK B.NOK")], 500, ""),
        ("several mails, in any order", &[(0, "DRYRUN.OK"), (9, "B.OK"), (30, "A.OK")], 500, ""),
        ("overtaken by its results", &[(1, "A.OK"), (3, "B.OK sent=2"), (50, "DRYRUN.OK sent=0")], 500, ""),
        ("a service is left out", &[(0, "DRYRUN.OK A.OK")], 1, "MISSING"),
        ("it may still come", &[(0, "DRYRUN.OK"), (5, "A.OK")], 100, ""),
        ("and has not come", &[(0, "DRYRUN.OK"), (5, "A.OK")], 101, "MISSING"),
        ("OK and NOK in one mail", &[(0, "DRYRUN.OK A.OK A.NOK B.OK")], 1, "CONTRADICTION"),
        ("and in two", &[(0, "DRYRUN.OK A.OK B.OK"), (9, "A.NOK")], 10, "CONTRADICTION"),
        ("nobody configured it", &[(0, "DRYRUN.OK A.OK B.OK Old.OK")], 1, "UNKNOWN_SERVICE"),
        ("prose is no name", &[(0, "DRYRUN.OK A.OK B.OK\nAll is well. Version 1.2.OKAY")], 1, ""),
        ("no DRYRUN", &[(0, "A.OK B.OK")], 101, "NO_DRYRUN"),
        ("it may have been overtaken", &[(0, "A.OK B.OK")], 100, ""),
        ("not first", &[(0, "A.OK DRYRUN.OK B.OK")], 1, "NO_DRYRUN"),
        ("not OK", &[(0, "DRYRUN.NOK A.OK B.OK")], 1, "NO_DRYRUN"),
        ("the same token twice in a mail", &[(0, "DRYRUN.OK A.OK B.OK\nDRYRUN.OK A.OK B.OK")], 1, ""),
        ("in two mails", &[(0, "DRYRUN.OK"), (1, "A.OK"), (2, "B.OK"), (3, "A.OK")], 500, "DUPLICATE"),
        (
            "two copies of a run",
            &[(0, "DRYRUN.OK A.OK B.OK"), (40, "DRYRUN.OK A.OK B.OK sent=0")],
            50,
            "DUPLICATE",
        ),
        ("started twice", &[(0, "DRYRUN.OK A.OK B.OK"), (2, "DRYRUN.OK A.OK B.OK")], 10, "DUPLICATE"),
        ("once more by hand", &[(0, "DRYRUN.OK A.OK B.OK"), (3, "DRYRUN.OK A.OK B.OK")], 10, ""),
        ("as long as it may take", &[(0, "DRYRUN.OK"), (20, "A.OK"), (41, "B.OK")], 500, ""),
        ("longer", &[(0, "DRYRUN.OK"), (20, "A.OK"), (42, "B.OK")], 50, "OVERRUN"),
        ("longer on the way only", &[(0, "DRYRUN.OK"), (20, "A.OK"), (90, "B.OK sent=40")], 500, ""),
        ("without a date, the way counts", &[(0, "DRYRUN.OK"), (1, "A.OK"), (95, "B.OK sent=?")], 500, ""),
        ("after it was over", &[(0, "DRYRUN.OK"), (1, "A.OK"), (180, "B.OK")], 500, "MISSING OVERRUN"),
        (
            "the next run, and its DRYRUN is lost",
            &[(0, "DRYRUN.OK A.OK B.OK"), (302, "A.OK")],
            500,
            "NO_DRYRUN",
        ),
        ("cut off", &[(0, "DRYRUN.OK A.OK cut")], 1, "TRUNCATED"),
    ];
    for (what, mails, until, expected) in cases {
        assert_eq!(words(&after(mails, *until)), *expected, "{what}");
    }
}

#[test]
fn a_run_that_is_missing_is_a_gap_unless_something_explains_it() {
    let gap = |seconds: &[i64]| words(&after(&good(seconds), seconds.iter().max().unwrap() + 100));
    assert_eq!(gap(&[0, 300, 600, 900]), "");
    assert_eq!(gap(&[0, 300, 640, 910]), "", "the runs took more or less time");
    assert_eq!(gap(&[0, 300, 750]), "", "late by half a cycle");
    assert_eq!(gap(&[0, 300, 751]), "GAP");
    assert_eq!(gap(&[0, 300, 900]), "GAP");
    assert_eq!(gap(&[0, 300, 900, 1200]), "", "the next one was in time");
    assert_eq!(gap(&[0]), "", "what was before is not known");
    let mut mails = good(&[0, 600]);
    mails.push((601, "DRYRUN.OK A.OK B.OK sent=300"));
    assert_eq!(words(&after(&mails, 700)), "", "one mail was late");
    mails[2] = (601, "A.OK B.OK sent=300");
    assert_eq!(words(&after(&mails, 700)), "", "it was a run all the same");
    let held = [(0, "DRYRUN.OK A.OK B.OK"), (5_000, "DRYRUN.OK A.OK B.OK sent=1200 held")];
    assert_eq!(words(&after(&held, 5_010)), "", "a queue is being released");
}

#[test]
fn a_checker_that_runs_more_often_than_configured_is_measured() {
    let gap = |seconds: &[i64]| words(&after(&good(seconds), seconds.iter().max().unwrap() + 100));
    assert_eq!(gap(&[0, 120, 240, 360, 480, 600]), "");
    assert_eq!(gap(&[0, 120, 240, 360, 600]), "GAP");
    assert_eq!(gap(&[0, 120, 240, 480, 720, 960]), "", "a new rhythm");
    assert_eq!(gap(&[0, 90, 180, 270, 450]), "", "the one that is missing may have been overtaken");
    assert_eq!(gap(&[0, 90, 180, 270, 450, 540]), "", "but has not come since, and then it was once only");
    assert_eq!(gap(&[0, 300, 450, 600, 900]), "", "one was made by hand");
    let twice = [(0, 2), (300, 302), (600, 602), (900, 902)].map(|(one, two)| [one, two]).concat();
    assert_eq!(gap(&twice), "DUPLICATE");
}

#[test]
fn a_gap_while_nobody_could_be_heard_is_nobodys_fault() {
    let with = |explain: &dyn Fn(&mut Runs)| {
        let mut runs = Runs::new(&["A", "B"]);
        good(&[0, 300, 1_200]).iter().for_each(|(second, text)| runs.add(piece(*second, text, DEADLINE)));
        explain(&mut runs);
        words(&settle(&mut runs, 1_200))
    };
    assert_eq!(with(&|_| {}), "GAP");
    assert_eq!(with(&|runs| runs.excuse(at(400), at(1_000), at(1_400))), "");
    assert_eq!(with(&|runs| runs.explain(at(300), at(1_200))), "");
    assert_eq!(with(&|runs| runs.explain(at(-900), at(-1))), "GAP", "another time");
}

#[test]
fn rows_begin_grow_and_end() {
    let mut runs = Runs::new(&["A", "B"]);
    let mut told = |second: i64, text: &str| {
        runs.add(piece(second, text, DEADLINE));
        let found = settle(&mut runs, second);
        let seconds = |time: Time| (time - at(0)).num_seconds();
        found.get(&Breach::UnknownService).map(|finding| {
            (finding.stands(), finding.streak(), seconds(finding.since()), seconds(finding.run()))
        })
    };
    let (bad, fine) = ("DRYRUN.OK A.OK B.OK C.OK", "DRYRUN.OK A.OK B.OK");
    assert_eq!(told(0, fine), None);
    assert_eq!(told(300, bad), Some((true, 1, 300, 300)));
    for run in 2..=12 {
        let second = run * 300;
        assert_eq!(told(second, bad), Some((true, u32::try_from(run).unwrap(), 300, second)));
    }
    assert_eq!(told(3_900, "DRYRUN.OK"), Some((true, 12, 300, 3_600)), "it may still name it");
    assert_eq!(told(3_910, "A.OK B.OK C.OK"), Some((true, 13, 300, 3_900)));
    for run in 14..23 {
        assert_eq!(told(run * 300, fine), Some((false, u32::try_from(run).unwrap() - 13, 4_200, 3_900)));
    }
    assert_eq!(told(23 * 300, fine), None, "history");
}

#[test]
fn history_that_is_read_newest_first_gives_the_same_rows() {
    let texts = |run: i64| match run {
        7..=30 => "DRYRUN.OK A.OK B.OK C.OK",
        _ => "DRYRUN.OK A.OK B.OK",
    };
    let all: Vec<(i64, &str)> = (0..=30).map(|run| (run * 300, texts(run))).collect();
    let read = |batches: &mut dyn Iterator<Item = &[(i64, &str)]>| {
        let mut runs = Runs::new(&["A", "B"]);
        for batch in batches {
            batch.iter().for_each(|(second, text)| runs.add(piece(*second, text, DEADLINE)));
            settle(&mut runs, 9_000);
        }
        let found = settle(&mut runs, 9_001);
        let finding = &found[&Breach::UnknownService];
        (words(&found), finding.since(), finding.streak(), finding.run())
    };
    let forward = read(&mut all.chunks(4));
    assert_eq!(forward, ("UNKNOWN_SERVICE".to_owned(), at(2_100), 24, at(9_000)));
    assert_eq!(read(&mut all.rchunks(4)), forward);
    assert_eq!(read(&mut all.chunks(31)), forward);
}

#[test]
fn in_history_no_run_follows_a_newer_one() {
    let mut runs = Runs::new(&["A", "B"]);
    let newer = good(&(20..30).map(|run| run * 300).collect::<Vec<_>>());
    newer.iter().for_each(|(second, text)| runs.add(piece(*second, text, DEADLINE)));
    assert_eq!(words(&settle(&mut runs, 9_000)), "");
    let (no_dryrun, breach) = ("A.OK B.OK", Breach::NoDryrun);
    [0, 300, 600].iter().for_each(|second| runs.add(piece(*second, no_dryrun, DEADLINE)));
    let found = settle(&mut runs, 9_000);
    assert_eq!((found[&breach].stands(), found[&breach].run()), (false, at(600)));
    assert_eq!(found.keys().collect::<Vec<_>>(), [&breach]);
}

#[test]
fn what_an_old_run_broke_is_over_when_newer_ones_are_known() {
    let mut runs = Runs::new(&["A", "B"]);
    good(&[3_000, 3_300, 3_600]).iter().for_each(|(second, text)| runs.add(piece(*second, text, DEADLINE)));
    settle(&mut runs, 3_600);
    (0..10).for_each(|run| runs.add(piece(run * 300, "DRYRUN.OK A.OK B.OK C.OK", DEADLINE)));
    let found = settle(&mut runs, 3_601);
    assert!(found.values().all(|finding| !finding.stands()), "{found:?}");
}

#[test]
fn a_changed_cycle_does_not_judge_the_past_anew() {
    let mut runs = Runs::new(&["A", "B"]);
    let slow = Deadline { cycle_ms: 600_000, ..DEADLINE };
    [0, 600, 1_200].iter().for_each(|second| runs.add(piece(*second, "DRYRUN.OK A.OK B.OK", slow)));
    runs.add(piece(1_500, "DRYRUN.OK A.OK B.OK", DEADLINE));
    assert_eq!(words(&settle(&mut runs, 1_500)), "");
}

#[test]
fn what_is_kept_is_bounded() {
    let mut runs = Runs::new(&["A", "B"]);
    for run in 0..2_000 {
        let names: String = (0..50).map(|name| format!("[X{name}.OK]")).collect();
        runs.add(piece(run * 2, &format!("DRYRUN.OK A.OK {names}"), DEADLINE));
        if runs.are_many() || run % 7 == 0 {
            settle(&mut runs, run * 2);
        }
    }
    let found = settle(&mut runs, 4_000);
    assert!(
        serde_json::to_string(&found).unwrap().len() < 2_500,
        "{}",
        serde_json::to_string(&found).unwrap()
    );
    assert!(serde_json::to_string(&runs).unwrap().len() < 10_000);
}
