use std::collections::BTreeMap;

use chrono::{TimeZone, Utc};
use proptest::prelude::*;

use super::measure::usual_cycle;
use super::*;
use crate::config::Sources;
use crate::mail::RawMail;
use crate::time::Time;
use crate::trust::Keys;

const BASE: &str = "[watchdog]\nname = \"bresse8\"\n[mailbox]\nhost = \"outlook.office365.com\"\n\
                    user = \"monitor@domain.com\"\npassword = \"x\"\n";

fn load(text: &str) -> Config {
    let environment = BTreeMap::new();
    let sources = Sources { text, file: "w.toml", environment: &environment, overrides: &[] };
    Config::load_without_checkers(&sources).unwrap_or_else(|errors| panic!("{errors}\n{text}"))
}

fn at(second: i64) -> Time {
    Utc.with_ymd_and_hms(2026, 11, 20, 3, 0, 0).unwrap() + TimeDelta::seconds(second)
}

/// A mail with these header lines and this body, received at this second.
fn mail(second: i64, headers: &str, body: &str) -> RawMail {
    let bytes = format!("Message-ID: <{second}.{}@x>\r\n{headers}\r\n\r\n{body}\r\n", headers.len());
    RawMail {
        uid: 1,
        internal_date: Some(at(second)),
        seen: at(1_000_000),
        bytes: bytes.into_bytes(),
        truncated: false,
    }
}

fn report(second: i64, to: &str, subject: &str) -> RawMail {
    mail(second, &format!("To: {to}\r\nSubject: {subject}"), "")
}

fn survey(config: &Config, mails: impl IntoIterator<Item = RawMail>) -> Survey {
    let mut survey = Survey::new(config, &Keys::new());
    mails.into_iter().for_each(|mail| survey.take(&mail));
    survey
}

fn proposed(config: &str, mails: impl IntoIterator<Item = RawMail>) -> String {
    let config = load(config);
    propose(&survey(&config, mails), &config, &Extent::Everything)
}

/// What the configuration becomes when the proposal is appended to it.
fn appended(mails: impl IntoIterator<Item = RawMail>) -> Config {
    load(&format!("{BASE}{}", proposed(BASE, mails)))
}

fn services(checker: &Checker) -> Vec<&str> {
    checker.tests.iter().map(|test| test.service.as_str()).collect()
}

#[test]
fn a_checker_that_mails_whole_runs_is_proposed_with_all_that_can_be_measured() {
    let route = "Received: from smtp1-g21.free.fr by x.prod.outlook.com; Fri, 20 Nov 2026 03:00:00 +0000\r\n\
                 Received: from bresse1.local by smtp1-g21.free.fr; Fri, 20 Nov 2026 03:00:00 +0000\r\n";
    let subject = "DRYRUN.OK MSSQL1_Service.OK ESHOP_Service.NOK";
    let headers = format!("{route}To: bresse1+monitor@domain.com\r\nSubject: {subject}");
    let text = proposed(BASE, (0..4).map(|run| mail(run * 301, &headers, "")));
    assert_eq!(
        text,
        "# Found in 4 mails received from 2026-11-20T03:00:00Z to 2026-11-20T03:15:03Z, which are all there are. Correct \
         provider and timeout, which no mail tells.\n\
         \n\
         [[checker]]\n\
         # 4 mails, the last received 2026-11-20T03:15:03Z.\n\
         name = \"bresse1\"\n\
         address = \"bresse1+monitor@domain.com\"\n\
         # A guess; its mails come by: bresse1.local, smtp1-g21.free.fr, x.prod.outlook.com.\n\
         provider = \"free\"\n\
         # Measured: its runs are 5 min 1 s apart (median of 3; from 5 min 1 s to 5 min 1 s).\n\
         cycle = \"5m\"\n\
         # timeout, the longest time a test may take, is a placeholder: how long one takes cannot be seen, as all results \
         of a run come at once.\n\
         tests = [\n    \
             { service = \"ESHOP_Service\", timeout = \"30s\" },\n    \
             { service = \"MSSQL1_Service\", timeout = \"30s\" },\n\
         ]\n"
    );
    let config = load(&format!("{BASE}{text}"));
    let [checker] = config.checkers.as_slice() else { panic!("{:?}", config.checkers) };
    assert_eq!(checker.addresses, ["bresse1+monitor@domain.com"]);
    assert_eq!(services(checker), ["ESHOP_Service", "MSSQL1_Service"]);
    assert_eq!(checker.cycle, TimeDelta::minutes(5));
}

#[test]
fn results_in_mails_of_their_own_belong_to_the_run_before_them_and_show_how_long_it_takes() {
    // The first mail is the end of a run that began before.
    let mails = (0..5).flat_map(|run| {
        ["B.OK", "DRYRUN.OK", "A.OK"]
            .into_iter()
            .zip([0, 60, 150])
            .map(move |(subject, second)| report(run * 600 + second, "monitor+bresse2@domain.com", subject))
    });
    let text = proposed(BASE, mails);
    assert!(text.contains("the longest run took 9 min from its first mail to its last"), "{text}");
    assert!(text.contains("its runs are 10 min apart (median of 4;"), "{text}");
    let config = load(&format!("{BASE}{text}"));
    let checker = &config.checkers[0];
    assert_eq!((checker.name.as_str(), services(checker)), ("bresse2", vec!["A", "B"]));
    let together: TimeDelta = checker.tests.iter().map(|test| test.timeout).sum();
    assert!(together >= TimeDelta::minutes(9), "{together}");
}

#[test]
fn prose_that_looks_like_a_token_once_is_a_comment() {
    let mut mails: Vec<RawMail> =
        (0..5).map(|run| report(run * 300, "bresse1+monitor@domain.com", "DRYRUN.OK A.OK")).collect();
    mails.push(mail(1500, "To: bresse1+monitor@domain.com\r\nSubject: DRYRUN.OK A.OK", "see Foo.OK"));
    let text = proposed(BASE, mails.clone());
    assert!(text.contains("# Not taken for a service: \"see Foo\" (seen only once).\n"), "{text}");
    assert_eq!(services(&appended(mails).checkers[0]), ["A"]);
}

#[test]
fn a_service_that_is_no_longer_reported_is_a_comment() {
    let run = |run: i64| {
        report(
            run * 300,
            "b1+monitor@domain.com",
            if run < 30 { "DRYRUN.OK A.OK Old.OK" } else { "DRYRUN.OK A.OK" },
        )
    };
    let text = proposed(BASE, (0..40).map(run));
    assert!(text.contains("\"Old\" (in 30 mails, but hardly in the newest runs)"), "{text}");
    assert_eq!(services(&appended((0..40).map(run)).checkers[0]), ["A"]);
}

#[test]
fn who_only_looks_like_a_checker_is_named_and_not_proposed() {
    let talk = "To: boss@domain.com\r\nSubject: hello";
    let text = proposed(BASE, [mail(0, talk, "see Foo.OK"), mail(9, talk, "and not Bar.NOK")]);
    assert!(text.contains("2 mails to boss@domain.com: what looks like a token comes only once"), "{text}");
    assert_eq!(load(&format!("{BASE}{text}")).checkers.len(), 0);
}

#[test]
fn copies_forwards_bounces_and_alarms_prove_nothing() {
    let to = "To: bresse1+monitor@domain.com\r\n";
    let run = report(0, "bresse1+monitor@domain.com", "DRYRUN.OK A.OK");
    let text = proposed(BASE, [run.clone(), run]);
    assert!(text.contains("# 1 mail, the last received"), "{text}");
    let strangers = [
        mail(1, &format!("{to}Subject: Fwd: DRYRUN.OK A.OK"), ""),
        mail(2, &format!("{to}Subject: DRYRUN.OK A.OK\r\nX-Bresse-Incident: 1"), ""),
        mail(3, &format!("{to}Subject: DRYRUN.OK A.OK\r\nAuto-Submitted: auto-replied"), ""),
        mail(4, &format!("{to}From: MAILER-DAEMON@x\r\nSubject: DRYRUN.OK A.OK"), ""),
    ];
    assert_eq!(appended(strangers).checkers.len(), 0);
}

#[test]
fn the_mailbox_itself_and_people_in_copy_are_no_checkers() {
    let twice = |headers: &str| [mail(0, headers, ""), mail(300, headers, "")];
    let subject = "Subject: DRYRUN.OK A.OK\r\n";
    for (recipients, expected) in [
        ("To: bresse1+monitor@domain.com\r\nDelivered-To: monitor@domain.com", &["bresse1"][..]),
        ("To: bresse1@domain.com\r\nDelivered-To: monitor@domain.com", &["bresse1"]),
        ("To: bresse1+monitor@domain.com\r\nCc: boss@domain.com", &["bresse1"]),
        ("To: bresse1+monitor@domain.com\r\nDelivered-To: bresse1+monitor@x.onmicrosoft.com", &["bresse1"]),
        ("To: monitor+Bresse1@domain.com", &["bresse1"]),
        ("To: bresse1@domain.com, boss@domain.com", &[]),
        ("To: monitor@domain.com", &[]),
    ] {
        let config = appended(twice(&format!("{subject}{recipients}")));
        let names: Vec<&str> = config.checkers.iter().map(|checker| checker.name.as_str()).collect();
        assert_eq!(names, expected, "{recipients}");
    }
    let text = proposed(BASE, twice(&format!("{subject}To: monitor@domain.com")));
    assert!(text.contains("2 reports went to the mailbox itself"), "{text}");
    let text = proposed(BASE, twice(&format!("{subject}To: a@domain.com, b@domain.com")));
    assert!(text.contains("so their checker is not known: a@domain.com, b@domain.com."), "{text}");
}

#[test]
fn checkers_of_two_customers_with_one_name_stay_two() {
    let mails = [(0, "bresse1+monitor@a.com"), (1, "bresse1+monitor@b.com")]
        .map(|(second, to)| report(second, to, "DRYRUN.OK A.OK"));
    let config = appended(mails);
    let names: Vec<&str> = config.checkers.iter().map(|checker| checker.name.as_str()).collect();
    assert_eq!(names, ["bresse1", "bresse1-2"]);
}

#[test]
fn configured_checkers_are_left_out_and_their_differences_told() {
    let config = format!(
        "{BASE}[defaults]\nprovider = \"p\"\ntests = [{{ service = \"A\", timeout = \"1s\" }}, {{ service = \"My Gone\", \
         timeout = \"1s\" }}]\n[[checker]]\nname = \"bresse1\"\n[[checker]]\nname = \"bresse2\"\n"
    );
    let mails: Vec<RawMail> = (0..5)
        .map(|run| report(run * 1800, "bresse1+monitor@domain.com", "DRYRUN.OK A.OK [New.OK]"))
        .collect();
    let text = proposed(&config, mails.clone());
    assert!(text.lines().all(|line| line.starts_with("# ")), "{text}");
    for part in [
        "# Everybody who reports is configured already (1 checker), judging from 5 mails",
        "# bresse1 is configured, but not what it reports on: \"New\".",
        "# bresse1 is configured with tests that its newest mails do not report on: \"My Gone\".",
        "# bresse1 is configured with cycle = \"5m\", but its runs are 30 min apart (median of 4;",
        "# bresse2 is configured, but has written none of these mails.",
    ] {
        assert!(text.contains(part), "{part} is missing in {text}");
    }
    let good = config.replace(", { service = \"My Gone\", timeout = \"1s\" }", "").replace("bresse2", "b2")
        + "cycle = \"30m\"\n";
    let good = good
        .replace("[[checker]]\nname = \"bresse1\"\n", "[[checker]]\nname = \"bresse1\"\ncycle = \"30m\"\n");
    let text = proposed(&good, mails);
    assert!(!text.contains("bresse1 is configured with"), "{text}");
}

#[test]
fn nothing_found_is_one_sentence() {
    for mails in [vec![], vec![mail(0, "To: boss@domain.com\r\nSubject: hello", "how are you?")]] {
        let text = proposed(BASE, mails);
        assert_eq!(text.lines().count(), 1, "{text}");
        assert!(text.starts_with("# Nobody can be proposed as a checker from "), "{text}");
    }
}

#[test]
fn more_services_than_the_scanner_keeps_of_a_known_checker_are_all_found() {
    let tokens: String = (0..100).map(|number| format!("S{number:02}.OK ")).collect();
    let mails = (0..2).map(|run| mail(run, "To: b+monitor@x.com\r\nSubject: DRYRUN.OK", &tokens));
    assert_eq!(appended(mails).checkers[0].tests.len(), 100);
}

#[test]
fn cycles_are_those_that_people_choose_and_never_far_below_the_measured_one() {
    for (measured, expected) in [
        (0, 1),
        (58, 60),
        (61, 60),
        (290, 300),
        (301, 300),
        (312, 300),
        (320, 320),
        (333, 360),
        (335, 360),
        (410, 410),
        (416, 420),
        (3_590, 3_600),
        (3_800, 4_200),
        (86_390, 86_400),
        (10_000_000, 604_800),
    ] {
        assert_eq!(usual_cycle(TimeDelta::seconds(measured)), TimeDelta::seconds(expected), "{measured}");
    }
}

proptest! {
    #[test]
    fn whatever_mails_hold_the_proposal_is_configuration(
        locals in proptest::collection::vec("[!-?A-~é]{1,20}|nok|[a-z]{95,110}|monitor\\+[\"\\\\#a-z]{0,5}", 1..6),
        texts in proptest::collection::vec("\\PC{0,30}|[\"\\\\\\]\\[#\u{1}\u{85}a-zA-Z.' ]{0,20}|dryrun|NOKIA", 1..6),
        host in "[!-~\u{7}\u{7f}]{1,20}",
    ) {
        let body: String = texts.iter().map(|text| format!("{text}.OK\r\n{}.NOK\r\n", text.to_uppercase())).collect();
        let mails = locals.iter().flat_map(|local| {
            let headers = format!(
                "Received: from {host} by a.{host}; x\r\nTo: <{local}@d.com>\r\nSubject: DRYRUN.OK");
            [mail(0, &headers, &body), mail(300, &headers, &body)]
        });
        appended(mails);
    }

    #[test]
    fn a_proposed_cycle_is_allowed_and_hardly_shorter_than_the_measured_one(seconds in 1..604_800_i64) {
        let proposed = usual_cycle(TimeDelta::seconds(seconds)).num_seconds();
        prop_assert!((1..=604_800).contains(&proposed));
        prop_assert!(proposed >= seconds - 15 && proposed <= seconds + seconds / 5 + 10, "{proposed}");
    }
}
