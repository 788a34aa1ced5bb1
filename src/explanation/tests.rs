use super::*;
use crate::config::{Config, Sources};
use crate::ledger::Observation;
use crate::mail;
use crate::report::{Roster, understand};
use crate::trust::{Key, Keys, Why};
use crate::verdict::judge;
use chrono::{TimeZone, Utc};
use chrono_tz::Tz;

const CONFIG: &str = r#"
[watchdog]
name = "bresse8"
[mailbox]
host = "mail.example"
user = "monitor@domain.com"
password = "secret"
[[checker]]
name = "bresse1"
provider = "free"
tests = [ { service = "MSSQL1_Service", timeout = "10s" }, { service = "ESHOP_Service", timeout = "30s" } ]
"#;

fn at(minute: u32, second: u32) -> Time {
    Utc.with_ymd_and_hms(2026, 11, 20, 3, minute, second).unwrap()
}

fn config() -> Config {
    load(CONFIG)
}

fn load(text: &str) -> Config {
    let sources = Sources { text, file: "watchdog.toml", environment: &Default::default(), overrides: &[] };
    Config::load(&sources).unwrap()
}

fn read(text: &str) -> (Mail, Understood) {
    let mail = mail::parse(text.as_bytes(), false);
    (mail.clone(), understand(&mut mail.clone(), &Roster::new(&config().checkers, &Default::default())))
}

const REPORT: &str = "From: bresse1@checker.example\nTo: bresse1+monitor@domain.com\nSubject: one run\n\
    Date: Fri, 20 Nov 2026 03:00:00 +0000\n\nDRYRUN.OK\nMSSQL1_Service.NOK\nOld.OK\n";

#[test]
fn a_state_is_told_with_the_sum_and_the_mails_it_rests_on() {
    let config = config();
    let checker = &config.checkers[0];
    let mut facts = Facts::new(checker);
    let (_, mail) = read(REPORT);
    let observation = Observation { mailbox: "MONITOR".to_owned(), received: at(0, 4), seen: at(0, 5), mail };
    facts.observe(&observation);
    facts.settle(Some(at(1, 0)));
    let report = StoredReport { message_id: None, folder: "INBOX".to_owned(), uid: 7, observation };
    let told = |heard_until: Time, now: Time| {
        let blind_after = TimeDelta::minutes(3);
        let watch = Watch {
            heard_until: Some(heard_until),
            blind_after,
            history_known: true,
            newest_known: true,
            ahead: TimeDelta::zero(),
        };
        let (verdict, reports) = (judge(&facts, watch, now), std::slice::from_ref(&report));
        let by = Signature { watchdog: "bresse8", zone: Tz::UTC, now };
        Known { checker, facts: &facts, watch, verdict, cause: None, by, canary: None, reports, offsets: &[] }
            .text()
    };
    insta::assert_snapshot!(told(at(1, 0), at(1, 1)));
    let first_lines = |text: String| text.lines().take(2).collect::<Vec<_>>().join(" ");
    assert_eq!(
        first_lines(told(at(6, 0), at(6, 1))),
        "bresse1 (free) is late. 5 min 56 s without a mail: only the mail path can still excuse it, until 6 min 40 s."
    );
    assert_eq!(
        first_lines(told(at(7, 0), at(7, 1))),
        "bresse1 (free) is silent. 6 min 56 s without a mail, and 6 min 40 s are allowed."
    );
    assert_eq!(
        first_lines(told(at(1, 0), at(9, 0))),
        "bresse1 (free) is blind. The mailbox was not read for too long: nobody can say how it is."
    );
}

/// A report of the minute, by a clock three hours ahead.
fn relayed(minute: u32, took: i64) -> Observation {
    let left = at(minute, 0);
    let stamp = |second: i64| (left + TimeDelta::seconds(second)).to_rfc2822();
    let text = format!(
        "Received: from smtp.free.fr by mx.domain.com with ESMTP; {}\nReceived: from bresse1.lan by smtp.free.fr; {}\n{}",
        stamp(1 + took),
        stamp(1),
        REPORT.replace(
            "20 Nov 2026 03:00:00",
            &(left + TimeDelta::hours(3)).format("20 Nov 2026 %H:%M:%S").to_string()
        ),
    );
    let received = left + TimeDelta::seconds(took + 2);
    Observation { mailbox: "MONITOR".to_owned(), received, seen: received, mail: read(&text).1 }
}

#[test]
fn the_path_the_clock_and_a_held_mail_are_told() {
    let config = config();
    let checker = &config.checkers[0];
    let mut facts = Facts::new(checker);
    let mails: Vec<Observation> =
        (0..8).map(|run| relayed(run * 5, if run == 7 { 590 } else { 1 })).collect();
    mails.iter().for_each(|mail| facts.observe(mail));
    facts.settle(Some(at(46, 0)));
    let kept = |observation: &Observation| StoredReport {
        message_id: None,
        folder: "INBOX".to_owned(),
        uid: 7,
        observation: observation.clone(),
    };
    let reports: Vec<StoredReport> = mails.iter().rev().map(kept).collect();
    let watch = Watch {
        heard_until: Some(at(46, 0)),
        blind_after: TimeDelta::minutes(3),
        history_known: true,
        newest_known: true,
        ahead: TimeDelta::zero(),
    };
    let verdict = judge(&facts, watch, at(46, 0));
    let by = Signature { watchdog: "bresse8", zone: Tz::UTC, now: at(46, 0) };
    let known = Known {
        checker,
        facts: &facts,
        watch,
        verdict,
        cause: None,
        by,
        canary: None,
        reports: &reports,
        offsets: &[],
    };
    insta::assert_snapshot!(known.text());
}

#[test]
fn a_mail_is_told_with_what_it_is_taken_for_and_why() {
    let texts = [
        REPORT.to_owned(),
        REPORT.replace("bresse1+", "bresse9+"),
        REPORT.replace("Subject: ", "Subject: Fwd: "),
        "Subject: =?utf-8?Q?a=1B[2Jb?=\n\nHello\n".to_owned(),
    ];
    let told: Vec<String> = texts
        .iter()
        .map(|text| {
            let (mail, understood) = read(text);
            of_mail(&mail, &understood)
        })
        .collect();
    insta::assert_snapshot!(told.join("———\n"));
}

#[test]
fn mails_that_were_not_heard_are_told_with_what_became_of_them() {
    let config = config();
    let checker = &config.checkers[0];
    let mut facts = Facts::new(checker);
    let mut observe = |minute, text: &str, junked: bool| {
        let mut mail = read(text).1;
        if junked {
            mail.not_heard = Some(NotHeard::Junked);
        }
        let received = at(minute, 0);
        facts.observe(&Observation { mailbox: "MONITOR".to_owned(), received, seen: received, mail });
    };
    let bounce =
        "Return-Path: <>\n\n<bresse1+monitor@domain.com>:\nRemote host said: 552 5.2.2 Mailbox full\n";
    let delay = "Return-Path: <>\nContent-Type: multipart/report; boundary=a\n\n--a\nContent-Type: message/delivery-status\n\n\
        Final-Recipient: rfc822; bresse1+monitor@domain.com\nAction: delayed\nStatus: 4.4.1\n--a--\n";
    observe(1, REPORT, true);
    observe(2, bounce, false);
    observe(3, delay, false);
    let watch = Watch {
        heard_until: Some(at(4, 0)),
        blind_after: TimeDelta::minutes(3),
        history_known: true,
        newest_known: true,
        ahead: TimeDelta::zero(),
    };
    let verdict = judge(&facts, watch, at(4, 0));
    let by = Signature { watchdog: "bresse8", zone: Tz::UTC, now: at(4, 0) };
    let known = Known {
        checker,
        facts: &facts,
        watch,
        verdict,
        cause: None,
        by,
        canary: None,
        reports: &[],
        offsets: &[],
    };
    let shown = known.text();
    let trail: Vec<&str> = shown.lines().filter(|line| line.contains("03:0")).collect();
    insta::assert_snapshot!(trail.join("\n"));
    let (mail, understood) = read(bounce);
    let told = of_mail(&mail, &understood);
    assert!(told.contains("Checker        bresse1\n"), "{told}");
    assert!(told.contains("Bounced        said: Remote host said: 552 5.2.2 Mailbox full\n"), "{told}");
}

const TRUST: &str = "trust = { from = [\"free.example\", \"root@bresse1.example\"], auth_results = { server = \"mx.domain.com\" }, \
    hmac = { file = \"never read\" } }\n";

#[test]
fn what_a_mail_was_asked_for_is_told_with_its_answers() {
    let config = load(&format!("{CONFIG}{TRUST}"));
    let key = Key::new(b"sixteen letters.").unwrap();
    let stamp = |run| {
        let signature = key.sign("bresse1", run, ["DRYRUN.OK", "MSSQL1_Service.NOK"]);
        format!("X-Bresse-Run: {run}\nX-Bresse-Signature: {signature}\n")
    };
    let results = "Authentication-Results: mx.domain.com; dmarc=pass header.from=free.example\n";
    let good = REPORT.replace("From: bresse1@checker.example\n", "From: c@free.example\n");
    let keys = Keys::from([("bresse1".to_owned(), [key.clone()].into())]);
    let roster = Roster::new(&config.checkers, &keys);
    let told: Vec<String> =
        [format!("{results}{}{good}", stamp(1_795_143_598)), format!("{}{REPORT}", stamp(1_795_143_598))]
            .iter()
            .map(|text| {
                let mail = mail::parse(text.as_bytes(), false);
                of_mail(&mail, &understand(&mut mail.clone(), &roster))
            })
            .collect();
    insta::assert_snapshot!(told.join("———\n"));
}

#[test]
fn what_a_checker_is_asked_for_is_told_with_what_failed() {
    let config = load(&format!("{CONFIG}{TRUST}"));
    let checker = &config.checkers[0];
    let mut facts = Facts::new(checker);
    facts.ask(checker, at(0, 0));
    let (_, mut mail) = read(REPORT);
    mail.run = Some(at(0, 0));
    let mut observation =
        Observation { mailbox: "MONITOR".to_owned(), received: at(0, 4), seen: at(0, 5), mail };
    facts.observe(&observation);
    observation.received = at(0, 30);
    observation.mail.not_heard = Some(NotHeard::Untrusted(Why::SignatureWrong));
    observation.mail.examined.author = Some("evil@elsewhere.example\u{1b}".to_owned());
    facts.observe(&observation);
    facts.settle(Some(at(1, 0)));
    let (heard_until, blind_after) = (Some(at(1, 0)), TimeDelta::minutes(3));
    let watch =
        Watch { heard_until, blind_after, history_known: true, newest_known: true, ahead: TimeDelta::zero() };
    let (verdict, by) =
        (judge(&facts, watch, at(1, 1)), Signature { watchdog: "bresse8", zone: Tz::UTC, now: at(1, 1) });
    let text = Known {
        checker,
        facts: &facts,
        watch,
        verdict,
        cause: None,
        by,
        canary: None,
        reports: &[],
        offsets: &[],
    }
    .text();
    let lines: Vec<&str> = text
        .lines()
        .filter(|line| {
            ["Believed when", "Highest run", "Not believed"].iter().any(|what| line.starts_with(what))
        })
        .collect();
    insta::assert_snapshot!(lines.join("\n"));
}
