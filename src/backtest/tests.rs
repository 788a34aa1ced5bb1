use std::collections::BTreeMap;

use super::*;
use crate::config::Sources;
use crate::engine::Look;
use crate::incident::{Incident, Subject};
use crate::intake::take_in;
use crate::ledger::Observation;
use crate::mail::RawMail;
use crate::report::tokens::Said;
use crate::report::{NotHeard, Roster};
use crate::time::Time;
use crate::trust::Why;
use chrono::{TimeDelta, TimeZone, Utc};

/// Silent after 300 + 10 + 30 + 60 = 400 s.
const CONFIG: &str = r#"
[watchdog]
name = "bresse8"
[mailbox]
host = "mail.example"
user = "monitor@domain.com"
password = "secret"
[defaults]
provider = "free"
tests = [ { service = "SQL", timeout = "10s" }, { service = "SHOP", timeout = "30s" } ]
[[checker]]
name = "b1"
[[checker]]
name = "b2"
provider = "orange"
"#;
/// How long every story goes on.
const END: i64 = 3600;

fn at(second: i64) -> Time {
    Utc.with_ymd_and_hms(2026, 11, 20, 3, 0, 0).unwrap() + TimeDelta::seconds(second)
}

/// The configuration with these keys set.
fn config(keys: &[(&str, &str)]) -> Config {
    let keys: Vec<(String, String)> =
        keys.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
    let environment = BTreeMap::new();
    let sources =
        Sources { text: CONFIG, file: "watchdog.toml", environment: &environment, overrides: &keys };
    Config::load(&sources).unwrap()
}

fn mail(config: &Config, checker: &str, second: i64, tokens: &str) -> Mail {
    let date = at(second).to_rfc2822();
    let text = format!(
        "To: {checker}+monitor@domain.com\r\nSubject: DRYRUN.OK {tokens}\r\nDate: {date}\r\n\
         Message-ID: <{second}@{checker}>\r\n\r\n"
    );
    let received = at(second);
    let raw = RawMail {
        uid: 1,
        internal_date: Some(received),
        seen: received,
        bytes: text.into_bytes(),
        truncated: false,
    };
    let observation =
        take_in(&raw, "MONITOR", &Roster::new(&config.checkers, &Default::default())).observation;
    Mail { found: Found { earliest: received, seen: received }, observation, copy: false }
}

/// What a checker writes instead of the run of this second: seconds and tokens. None: the usual.
type Change = dyn Fn(&str, i64) -> Option<Vec<(i64, &'static str)>>;

/// Both checkers write every 300 s that all is well, but for what `change` says of the second of the run.
fn story(config: &Config, change: &Change) -> Vec<Mail> {
    let mut mails = Vec::new();
    for (checker, offset) in [("b1", 0), ("b2", 150)] {
        for second in (offset..=END).step_by(300) {
            let written = change(checker, second).unwrap_or_else(|| vec![(second, "SQL.OK SHOP.OK")]);
            mails.extend(written.into_iter().map(|(second, tokens)| mail(config, checker, second, tokens)));
        }
    }
    mails.sort_by_key(|mail| mail.found);
    mails
}

fn replayed(config: &Config, sight: &Sight, mails: Vec<Mail>) -> Outcome {
    let mut replay = Replay::new(config, sight, at(0));
    mails.into_iter().for_each(|mail| replay.take(mail));
    replay.finish(at(0), at(END))
}

fn clear() -> Sight {
    Sight::clear(["MONITOR".to_owned()], at(0), at(END))
}

/// `TOKEN alarmed-recovered`, in seconds.
fn shown(outcome: &Outcome) -> Vec<String> {
    let second = |time: Time| (time - at(0)).num_seconds();
    let alarm = |alarm: &Alarm| {
        let over = alarm.recovered.map_or("end".to_owned(), |time| second(time).to_string());
        format!("{} {}-{over}", alarm.token, second(alarm.alarmed))
    };
    outcome.alarms.iter().map(alarm).collect()
}

/// What a story is called, the mails of one run if they are not the usual ones, the keys that are set, and what is then
/// alarmed: without them and with them.
type Case = (
    &'static str,
    &'static Change,
    &'static [(&'static str, &'static str)],
    &'static [&'static str],
    &'static [&'static str],
);

const CASES: [Case; 11] = [
    ("nothing happens", &|_, _| None, &[("defaults.missed_cycles", "2")], &[], &[]),
    (
        "drills are said to arrive or not, and nothing of checkers",
        &|_, _| None,
        &[("drill.every", "10m"), ("drill.proof_max_age", "11m")],
        &[],
        &[],
    ),
    (
        "two missed cycles are allowed and one mail is lost",
        &|checker, second| (checker == "b1" && second == 900).then(Vec::new),
        &[("defaults.missed_cycles", "2")],
        &["b1_Checker 1000-1200"],
        &[],
    ),
    (
        "a dead checker is alarmed one cycle later",
        &|checker, second| (checker == "b1" && second >= 900).then(Vec::new),
        &[("defaults.missed_cycles", "2")],
        &["b1_Checker 1000-end"],
        &["b1_Checker 1300-end"],
    ),
    (
        "a larger margin excuses a mail that is 110 s late",
        &|checker, second| (checker == "b1" && second == 900).then(|| vec![(1010, "SQL.OK SHOP.OK")]),
        &[("defaults.mail_path_margin", "90s")],
        &["b1_Checker 1000-1010"],
        &[],
    ),
    (
        "a longer test excuses it too",
        &|checker, second| (checker == "b1" && second == 900).then(|| vec![(1010, "SQL.OK SHOP.OK")]),
        &[(
            "defaults.tests",
            r#"[ { service = "SQL", timeout = "40s" }, { service = "SHOP", timeout = "30s" } ]"#,
        )],
        &["b1_Checker 1000-1010"],
        &[],
    ),
    (
        "both die, and a cycle shorter than theirs alarms even before",
        &|_, second| (second > 300).then(Vec::new),
        &[("defaults.cycle", "2m")],
        &["b2_Checker 550-end", "MONITOR_MailPath 700-end"],
        &["b1_Checker 220-300", "b2_Checker 370-end", "MONITOR_MailPath 520-end"],
    ),
    (
        "one bad result is not enough",
        &|checker, second| (checker == "b1" && second == 900).then(|| vec![(900, "SQL.NOK SHOP.OK")]),
        &[("defaults.nok_after", "2")],
        &["SQL 900-1200"],
        &[],
    ),
    (
        "a service that is not watched any more, and is reported on nevertheless",
        &|checker, second| (checker == "b1" && second == 900).then(|| vec![(900, "SQL.NOK SHOP.OK")]),
        &[("defaults.tests", r#"[ { service = "SHOP", timeout = "30s" } ]"#)],
        &["SQL 900-1200"],
        &["b1_Report 600-end", "b2_Report 750-end"],
    ),
    (
        "a service that nobody reports on",
        &|_, second| (second > 150).then(Vec::new),
        &[
            ("checker.1.tests", r#"[ { service = "DNS", timeout = "1s" } ]"#),
            ("defaults.missed_cycles", "100"),
        ],
        &["b1_Checker 400-end", "MONITOR_MailPath 550-end"],
        &["DNS 211-end"],
    ),
    (
        "a checker that never writes",
        &|_, _| None,
        &[("checker.1.address", "elsewhere@domain.com")],
        &[],
        &["b2_Checker 400-end"],
    ),
];

#[test]
fn another_configuration_alarms_otherwise() {
    for (name, change, keys, before, after) in CASES {
        for (config, expected) in [(config(&[]), before), (config(keys), after)] {
            let mails = story(&config, change);
            let outcome = replayed(&config, &clear(), mails);
            assert_eq!(shown(&outcome), *expected, "{name}");
        }
    }
}

fn look(from: i64, until: i64) -> Look {
    Look { mailbox: "MONITOR".into(), from: at(from), until: at(until), ahead: TimeDelta::zero() }
}

fn blind_at(second: i64) -> Incident {
    Incident::new(1, Subject::Mailbox("MONITOR".into()), at(second))
}

fn recorded(looks: &[Look], incidents: &[Incident]) -> Sight {
    let blind_after = BTreeMap::from([("MONITOR".to_owned(), TimeDelta::seconds(180))]);
    Sight::recorded(looks, incidents, &blind_after, None)
}

/// As [`story`], as a state file tells it.
fn stored_story(config: &Config, sight: &Sight, seen: impl Fn(i64) -> i64) -> Vec<Mail> {
    let mut mails = story(config, &|_, _| None);
    for mail in &mut mails {
        let received = mail.observation.received;
        let seen = at(seen((received - at(0)).num_seconds()));
        mail.found = sight.find("MONITOR", received, seen);
    }
    mails.sort_by_key(|mail| mail.found);
    mails
}

#[test]
fn what_the_watchdog_could_not_see_it_does_not_see_again() {
    let looks = [look(0, 1000), look(1700, END)];
    let seen = |second: i64| if (1001..1700).contains(&second) { 1701 } else { second + 1 };
    // Somebody tried: it is said, unless that much is allowed. Nobody tried: nothing is said.
    let cases: [(&[Incident], &str, &[&str]); 3] = [
        (&[blind_at(1180)], "3m", &["MONITOR_Mailbox 1180-1700"]),
        (&[blind_at(1180)], "15m", &[]),
        (&[], "3m", &[]),
    ];
    for (incidents, blind_after, expected) in cases {
        let sight = recorded(&looks, incidents);
        let config = config(&[("mailbox.blind_after", blind_after)]);
        let mails = stored_story(&config, &sight, seen);
        assert_eq!(shown(&replayed(&config, &sight, mails)), *expected, "{blind_after}");
        assert_eq!(sight.gaps(at(0), at(END)), (1, TimeDelta::seconds(700)));
        assert_eq!(sight.gaps(at(1200), at(1300)), (1, TimeDelta::seconds(100)));
        assert_eq!(sight.gaps(at(1800), at(END)).0, 0);
    }
}

#[test]
fn a_watchdog_that_was_off_has_not_been_blind() {
    let mailbox = "host = \"mail.example\"\nuser = \"monitor@domain.com\"\npassword = \"secret\"\n";
    let two = format!("[[mailbox]]\nname = \"A\"\n{mailbox}[[mailbox]]\nname = \"B\"\n{mailbox}");
    let (before, after) = CONFIG.split_once("[defaults]").unwrap();
    let text = format!("{}{two}[defaults]{after}", before.split_once("[mailbox]").unwrap().0);
    let environment = BTreeMap::new();
    let sources = Sources { text: &text, file: "w.toml", environment: &environment, overrides: &[] };
    let config = Config::load(&sources).unwrap();
    let look = |mailbox: &str, from, until| Look { mailbox: mailbox.into(), ..look(from, until) };
    let looks = [look("A", 0, 1000), look("A", 1700, END), look("B", 0, 1000), look("B", 1710, END)];
    let sight = Sight::recorded(&looks, &[], &BTreeMap::new(), None);
    let mut mails = story(&config, &|_, _| None);
    mails.iter_mut().for_each(|mail| mail.observation.mailbox = "A".into());
    assert_eq!(shown(&replayed(&config, &sight, mails)), Vec::<String>::new());
}

#[test]
fn a_mail_is_found_when_a_look_would_have_found_it() {
    let sight = recorded(&[look(0, 1000), look(1700, END), look(900, 1000)], &[]);
    let cases = [
        ("a poll found it: any look from its receipt on would have", 100, 155, (100, 155)),
        ("it was moved there later", 100, 600, (600, 600)),
        ("the last look before a gap", 999, 1001, (999, 1000)),
        ("it came while that look went on", 1001, 1002, (1000, 1000)),
        ("nobody looked", 1200, 1702, (1700, 1702)),
        ("read by a look that was never completed", 1100, 1300, (1100, 1300)),
        ("history", -5000, 1, (-5000, -5000)),
        ("history that was read late", -5000, 900, (-5000, -5000)),
    ];
    for (name, received, seen, (earliest, found)) in cases {
        let expected = Found { earliest: at(earliest), seen: at(found) };
        assert_eq!(sight.find("MONITOR", at(received), at(seen)), expected, "{name}");
    }
    assert_eq!(sight.extent(), Some((at(0), at(END))));
    let since = Sight::recorded(&[look(0, 10)], &[], &BTreeMap::new(), Some(at(-50)));
    assert_eq!(since.extent(), Some((at(-50), at(10))), "history counts as observed");
}

#[test]
fn what_stood_before_the_span_is_no_alarm_of_it() {
    let config = config(&[]);
    let dead = |checker: &str, second: i64| (checker == "b1" && second >= 300).then(Vec::new);
    let mut replay = Replay::new(&config, &clear(), at(0));
    story(&config, &dead).into_iter().for_each(|mail| replay.take(mail));
    let outcome = replay.finish(at(1000), at(END));
    assert_eq!((shown(&outcome), outcome.standing_before), (vec![], vec!["b1_Checker".to_owned()]));
}

#[test]
fn a_second_copy_and_a_mail_of_an_unknown_mailbox_change_nothing() {
    let config = config(&[]);
    let mut mails = story(&config, &|_, _| None);
    for mail in mails.clone() {
        let observation = Observation { mailbox: "OLD".into(), ..mail.observation };
        mails.push(Mail { observation, copy: true, ..mail });
    }
    mails.sort_by_key(|mail| (mail.found, mail.copy));
    assert_eq!(shown(&replayed(&config, &clear(), mails)), Vec::<String>::new());
}

#[test]
fn only_what_the_channels_want_is_alarmed() {
    let channel = "[[channel]]\nname = \"a\"\ntype = \"smtp\"\nhost = \"127.0.0.1\"\ntls = \"plain\"\nfrom = \"a@b.c\"\n\
                   to = [\"d@e.f\"]\nevents = [\"service\"]\nspacing = \"1d\"\n";
    let text = format!("{CONFIG}{channel}");
    let environment = BTreeMap::new();
    let sources = Sources { text: &text, file: "w.toml", environment: &environment, overrides: &[] };
    let config = Config::load(&sources).unwrap();
    let change = |checker: &str, second: i64| match (checker, second) {
        ("b1", 900..) => Some(vec![]),
        ("b2", 1050 | 1650) => Some(vec![(second, "SQL.NOK SHOP.OK")]),
        _ => None,
    };
    let outcome = replayed(&config, &clear(), story(&config, &change));
    assert_eq!(shown(&outcome), ["SQL 1050-1350", "SQL 1650-1950"]);
}

fn stored(config: &Config, checker: &str, tokens: &str) -> Observation {
    mail(config, checker, 100, tokens).observation
}

#[test]
fn a_stored_mail_is_understood_anew_as_far_as_it_tells() {
    let then = config(&[]);
    let now = config(&[(
        "defaults.tests",
        r#"[ { service = "SQL", timeout = "1s" }, { service = "DNS", timeout = "1s" } ]"#,
    )]);
    let mut recast = Recast::new(&now);
    let whole = recast.observation(stored(&then, "b1", "SQL.NOK SHOP.OK DNS.NOK")).mail;
    assert_eq!(whole.results, BTreeMap::from([("DNS".into(), Said::Nok), ("SQL".into(), Said::Nok)]));
    assert_eq!(whole.unknown, BTreeMap::from([("SHOP".into(), Said::Ok)]));
    let without = recast.observation(stored(&then, "b1", "SQL.OK")).mail;
    assert!(!without.results.contains_key("DNS"), "that it is not named is known");
    let remarks = recast.remarks();
    assert_eq!(remarks.len(), 1);
    assert!(remarks[0].starts_with("No stored report is from b2"), "{remarks:?}");

    let same = Recast::new(&then).observation(stored(&then, "b1", "SQL.NOK X.OK"));
    assert_eq!(same, stored(&then, "b1", "SQL.NOK X.OK"), "the same configuration changes nothing");
}

#[test]
fn who_counts_as_heard_may_change_with_the_configuration() {
    let then = config(&[]);
    let no_token = |mut observation: Observation| {
        observation.mail.dryrun = None;
        observation.mail.results.clear();
        observation.mail.not_heard = Some(NotHeard::NoToken);
        observation
    };
    let dns = config(&[("defaults.tests", r#"[ { service = "DNS", timeout = "1s" } ]"#)]);
    let recast = |config: &Config, observation| Recast::new(config).observation(observation).mail.not_heard;
    assert_eq!(recast(&dns, no_token(stored(&then, "b1", "DNS.OK"))), None);
    assert_eq!(recast(&then, no_token(stored(&then, "b1", "DNS.OK"))), Some(NotHeard::NoToken));
    let disbelieved = |mut observation: Observation| {
        observation.mail.not_heard = Some(NotHeard::Untrusted(Why::FromNotAllowed));
        observation
    };
    let strict = config(&[("defaults.trust", r#"{ from = ["b1@elsewhere.example"] }"#)]);
    assert_eq!(recast(&then, disbelieved(stored(&then, "b1", "SQL.OK"))), None, "nothing is asked");
    let asked = disbelieved(stored(&then, "b1", "SQL.OK"));
    assert_eq!(recast(&strict, asked.clone()), asked.mail.not_heard);
    let mut doubting = Recast::new(&strict);
    assert_eq!(doubting.observation(stored(&then, "b1", "SQL.OK")).mail.not_heard, None);
    assert!(doubting.remarks()[0].starts_with("What trust asks of a mail"), "{:?}", doubting.remarks());
    let renamed = config(&[("checker.0.name", "b9")]);
    assert_eq!(recast(&renamed, stored(&then, "b1", "SQL.OK")), Some(NotHeard::NobodyKnown));
    let mut recast = Recast::new(&renamed);
    recast.observation(stored(&then, "b2", "SQL.OK"));
    recast.observation(stored(&then, "stranger", "SQL.OK"));
    let remarks = recast.remarks();
    assert_eq!(remarks.len(), 1);
    assert!(remarks[0].contains("from b9") && remarks[0].contains("One mail to unknown"), "{remarks:?}");
}

fn alarm(token: &str, about: Subject, checkers: &[&str], alarmed: i64, recovered: Option<i64>) -> Alarm {
    Alarm {
        token: token.into(),
        about,
        checkers: checkers.iter().map(|name| (*name).to_owned()).collect(),
        began: at(alarmed - 400),
        alarmed: at(alarmed),
        recovered: recovered.map(at),
        reason: None,
        subject: format!("{token}.NOK"),
        short: false,
    }
}

#[test]
fn alarms_of_the_same_thing_at_the_same_time_stand_side_by_side() {
    let outcome = |alarms| Outcome { alarms, standing_before: vec![] };
    let service = || Subject::Service("SQL".into());
    let new = outcome(vec![
        alarm("b1_Checker", Subject::Silence, &["b1"], 100, Some(200)),
        alarm("b2_Checker", Subject::Silence, &["b2"], 500, Some(900)),
        alarm("SQL", service(), &["b1"], 1000, Some(2000)),
        alarm("b3_Checker", Subject::Silence, &["b3"], 3000, None),
    ]);
    let old = outcome(vec![
        alarm("b1_Checker", Subject::Silence, &["b1"], 300, Some(400)),
        alarm("MONITOR_Checkers", Subject::Silence, &["b2", "b3"], 450, Some(950)),
        alarm("SQL", service(), &["b1"], 1000, Some(1100)),
        alarm("SQL", service(), &["b2"], 1200, Some(1300)),
        alarm("b3_Checker", Subject::Silence, &["b3"], 2900, None),
    ]);
    let side = |alarm: Option<&Alarm>| alarm.map_or("-".to_owned(), |alarm| alarm.token.clone());
    let rows = rows(&new, Some(&old));
    let lines: Vec<String> = rows
        .iter()
        .map(|row| {
            let mark = [(row.is_new(), " new"), (row.is_lost(), " lost"), (row.covered, " told")];
            let marks: String = mark.iter().filter(|(holds, _)| *holds).map(|(_, word)| *word).collect();
            format!("{} {}{marks}", side(row.candidate), side(row.against))
        })
        .collect();
    let expected = [
        "b1_Checker - new",
        "- b1_Checker lost",
        "b2_Checker MONITOR_Checkers",
        "SQL SQL",
        "- SQL told",
        "b3_Checker b3_Checker",
    ];
    assert_eq!(lines, expected);
}

#[test]
fn percentiles_are_of_the_nearest_rank() {
    assert_eq!(Detection::of(&[]), None);
    let late = |seconds: i64| Alarm {
        began: at(0),
        alarmed: at(seconds),
        ..alarm("SQL", Subject::Service("SQL".into()), &[], 0, None)
    };
    let alarms: Vec<Alarm> = (1..=40).rev().map(late).collect();
    let seconds = TimeDelta::seconds;
    let expected = Detection { median: seconds(20), p95: seconds(38), longest: seconds(40) };
    assert_eq!(Detection::of(&alarms), Some(expected));
}
