use super::*;
use std::collections::BTreeMap;

use crate::config::{Checker, Findings, Margin, Test};
use crate::ledger::{Observation, Silence};
use crate::report::{Said, Understood};
use chrono::{TimeZone, Utc};

/// cycle 300 s + timeouts 10 s + 30 s + margin 60 s: late after 340 s, silent after 400 s.
fn checker() -> Checker {
    let test = |service: &str, seconds| Test {
        service: service.into(),
        timeout: TimeDelta::seconds(seconds),
        ..Test::default()
    };
    Checker {
        name: "bresse1".into(),
        provider: "free".into(),
        addresses: vec!["bresse1+monitor@domain.com".into()],
        tests: vec![test("MSSQL1_Service", 10), test("ESHOP_Service", 30)],
        cycle: TimeDelta::minutes(5),
        mail_path_margin: Margin::Fixed(TimeDelta::seconds(60)),
        missed_cycles: 1,
        nok_after: 1,
        ok_after: 1,
        findings: Findings::default(),
        flap: None,
        trust: None,
    }
}

fn at(second: i64) -> Time {
    Utc.with_ymd_and_hms(2026, 11, 20, 3, 0, 0).unwrap() + TimeDelta::seconds(second)
}

fn report(second: i64) -> Observation {
    let results =
        BTreeMap::from([("MSSQL1_Service".to_owned(), Said::Ok), ("ESHOP_Service".to_owned(), Said::Ok)]);
    let mail = Understood {
        checker: Some("bresse1".into()),
        not_heard: None,
        sent: Some(at(second)),
        dryrun: Some(Said::Ok),
        dryrun_late: false,
        results,
        unknown: Default::default(),
        truncated: false,
        problems: vec![],
        undelivered: None,
        run: None,
        examined: Default::default(),
        received: vec![],
    };
    Observation { mailbox: "MONITOR".into(), received: at(second), seen: at(second), mail }
}

fn watch(heard_until: i64) -> Watch {
    Watch {
        heard_until: Some(at(heard_until)),
        blind_after: TimeDelta::minutes(3),
        history_known: true,
        newest_known: true,
        ahead: TimeDelta::zero(),
    }
}

fn heard(second: i64) -> Facts {
    let mut facts = Facts::new(&checker());
    facts.watched_since = Some(at(0));
    facts.observe(&report(second));
    facts
}

fn with(mut facts: Facts, change: impl Fn(&mut Facts)) -> Facts {
    change(&mut facts);
    facts
}

fn never_heard() -> Facts {
    let mut facts = Facts::new(&checker());
    facts.watched_since = Some(at(0));
    facts
}

#[test]
fn each_state_begins_and_ends_at_its_boundary() {
    let with_grace = |from| with(heard(0), |facts| facts.grace_from = Some(at(from)));
    let silent = with(heard(0), |facts| {
        facts.silent =
            Some(Silence { judged: at(400), heard_at: Some(at(0)), resolved: false, incident: None })
    });
    let cases: &[(&str, Facts, i64, i64, State)] = &[
        ("heard just now", heard(0), 0, 0, State::Ok),
        ("the last moment of ok", heard(0), 340, 340, State::Ok),
        ("the first moment of late", heard(0), 341, 341, State::Late),
        ("the last moment of late", heard(0), 400, 400, State::Late),
        ("the first moment of silence", heard(0), 401, 401, State::Silent),
        ("silence counts up to the last look only", heard(0), 341, 500, State::Late),
        ("the last moment before blindness", heard(0), 100, 280, State::Ok),
        ("blind is not silent", heard(0), 100, 5_000, State::Blind),
        ("what would be late is blind too", heard(0), 350, 5_000, State::Blind),
        ("silent stays silent while blind", heard(0), 401, 5_000, State::Silent),
        ("judged silent stays silent", silent, 300, 5_000, State::Silent),
        ("never heard, waiting", never_heard(), 400, 400, State::Waiting),
        ("never heard and its time is over", never_heard(), 401, 401, State::Silent),
        ("a grace moves the deadline", with_grace(1_000), 1_400, 1_400, State::Late),
        ("a grace ends", with_grace(1_000), 1_401, 1_401, State::Silent),
        ("a grace before the last mail is nothing", with_grace(-1_000), 401, 401, State::Silent),
    ];
    for (what, facts, heard_until, now, expected) in cases {
        assert_eq!(judge(facts, watch(*heard_until), at(*now)).state, *expected, "{what}");
    }
}

#[test]
fn blindness_counts_by_the_watchdogs_own_clock() {
    let watch = Watch { ahead: TimeDelta::seconds(600), ..watch(100) };
    assert_eq!(judge(&heard(0), watch, at(880)).state, State::Ok, "three minutes, and ten that it is ahead");
    assert_eq!(judge(&heard(0), watch, at(881)).state, State::Blind);
}

#[test]
fn nobody_is_judged_before_the_first_look() {
    let blind = Watch { heard_until: None, ..watch(0) };
    assert_eq!(judge(&never_heard(), blind, at(9_999)).state, State::Waiting);
    assert_eq!(judge(&heard(0), blind, at(9_999)).state, State::Blind);
}

#[test]
fn a_checker_not_found_yet_waits_for_the_end_of_the_history() {
    let filling = Watch { history_known: false, ..watch(9_999) };
    assert_eq!(judge(&never_heard(), filling, at(9_999)).state, State::Waiting);
    assert_eq!(judge(&heard(0), filling, at(9_999)).state, State::Silent, "its last mail is known");
}

#[test]
fn a_changed_cycle_never_judges_the_past_anew() {
    let quick = Checker { cycle: TimeDelta::minutes(1), ..checker() };
    let slow = Checker { cycle: TimeDelta::minutes(60), ..checker() };
    let changed = |facts: Facts, checker: &Checker| {
        let mut facts = facts;
        facts.reconfigure(checker, at(300));
        facts
    };
    let state = |facts: &Facts, second| judge(facts, watch(second), at(second)).state;
    assert_eq!(state(&changed(heard(0), &quick), 400), State::Late, "the old deadline goes on");
    assert_eq!(state(&changed(heard(0), &quick), 401), State::Silent);
    assert_eq!(state(&changed(heard(0), &slow), 401), State::Ok, "the new one is longer");
    let mut again = changed(heard(0), &quick);
    again.observe(&report(310));
    assert_eq!(state(&again, 310 + 161), State::Silent, "heard since: the new deadline counts");
    let back = changed(changed(heard(0), &quick), &slow);
    assert_eq!(state(&back, 401), State::Ok);
    let silent = changed(
        with(heard(0), |facts| {
            facts.silent =
                Some(Silence { judged: at(299), heard_at: Some(at(0)), resolved: false, incident: None })
        }),
        &slow,
    );
    assert_eq!(state(&silent, 400), State::Silent, "what was silent stays silent");
}

#[test]
fn missed_cycles_are_counted_whole() {
    let mut facts = heard(0);
    facts.reconfigure(&Checker { missed_cycles: 3, ..checker() }, at(0));
    assert_eq!(facts.deadline.total(), TimeDelta::seconds(3 * 300 + 40 + 60));
}
