//! What the core reads.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use bresse_watchdog::config::{Config, Sources};
use bresse_watchdog::engine::{Engine, History, Snapshot};
use bresse_watchdog::intake;
use bresse_watchdog::links::{self, Link};
use bresse_watchdog::mail::authentication::Results;
use bresse_watchdog::mail::{self, RawMail, parse_mail_date};
use bresse_watchdog::orders::Order;
use bresse_watchdog::report::tokens::Scanner;
use bresse_watchdog::report::{Roster, Tokens, understand};
use bresse_watchdog::rerun::{Asked, Mails, read_files};
use bresse_watchdog::trust::Keys;
use bresse_watchdog::view::LastSeen;
use chrono::{TimeDelta, TimeZone, Utc};

use crate::{Target, Try, files, root};

const MAIL: &[&str] = &[
    "DRYRUN.OK",
    "MSSQL1_Service.NOK",
    ".OK",
    "NOK",
    "[",
    "]",
    "Content-Type: multipart/report; boundary=x\r\n",
    "Content-Transfer-Encoding: quoted-printable\r\n",
    "Content-Transfer-Encoding: base64\r\n",
    "charset=utf-7",
    "charset=iso-2022-jp",
    "charset=utf-16",
    "To: bresse1+monitor@domain.com\r\n",
    "Received: from a by b; ",
    "Date: Fri, 20 Nov 2026 03:00:00 +0100\r\n",
    "Authentication-Results: mx; dkim=pass\r\n",
    "--x\r\n",
    "--x--\r\n",
    "<table><tr><td>",
    "<script>",
    "<!--",
    "&nbsp;",
    "=0D=0A=",
    "(((((((",
    "X-Bresse-Run: 1\r\n",
    "X-Bresse-Signature: v1=00\r\n",
    "Auto-Submitted: auto-replied\r\n",
    "Status: 5.7.1\r\n",
    "Action: failed\r\n",
];
const HEADER: &[&str] = &[
    "; dkim=pass",
    " header.d=",
    "smtp.mailfrom=",
    "/1",
    "(",
    ")",
    "\\(",
    "\"",
    "=",
    ";",
    "none",
    "+0000",
    "Feb 30 ",
    "24:60:61",
];
const TOML: &[&str] = &[
    "[[checker]]\n",
    "[mailbox]\n",
    "name = ",
    "= { env = \"X\" }",
    "= { command = [\"a\"] }",
    "[",
    "[[",
    "{",
    "\"\"\"",
    "'''",
    "1979-05-27",
    "90s",
    "1h30m",
    "NOK",
    "\\u0000",
    "0x7fffffffffffffff",
    "inf",
    "mon-fri 09:30",
    "a.b.c = 1\n",
];

pub(crate) fn targets() -> Vec<Target> {
    let mails = [
        files(&root().join("fixtures/mail"), &[".eml"]),
        files(&root().join("fixtures/mail/malformed"), &[".eml"]),
    ]
    .concat();
    let lines = |name: &str| -> Vec<Vec<u8>> {
        let lines = mails.iter().flat_map(|mail| mail.split(|byte| *byte == b'\n'));
        let found = lines.filter_map(|line| line.strip_prefix(format!("{name}: ").as_bytes()));
        let found: Vec<Vec<u8>> = found.map(<[u8]>::to_vec).collect();
        assert!(!found.is_empty(), "no {name} in the corpus");
        found
    };
    let mut configs = files(&root().join("fixtures/config"), &[".toml"]);
    configs.push(fs::read(root().join("watchdog.toml")).unwrap());
    let subjects = lines("Subject");
    vec![
        target("mail", mails.clone(), MAIL, 1_500, mail_target()),
        target("tokens", subjects, MAIL, 3_000, tokens_target()),
        target("received", chains(&mails), HEADER, 1_500, received_target()),
        target("bounce", bounces(&mails), MAIL, 1_500, Box::new(bounce)),
        target("authentication", lines("Authentication-Results"), HEADER, 5_000, Box::new(authentication)),
        target("date", lines("Date"), HEADER, 10_000, Box::new(date)),
        target("configuration", configs, TOML, 400, Box::new(configuration)),
        target("order", orders(), &["{", "[", "\"by\":", "null", "1e999", "\\ud800"], 3_000, Box::new(order)),
        target("link", vec![b"20261120-42\nteams\n1795140000\n00".to_vec()], HEADER, 3_000, Box::new(link)),
        target(
            "past",
            mboxes(&mails),
            &["\n\nFrom ", "\nFrom a@b Fri Nov 20 03:00:00 2026\n", "\n>From "],
            100,
            past_target(),
        ),
    ]
}

fn target(
    name: &'static str,
    corpus: Vec<Vec<u8>>,
    words: &'static [&'static str],
    executions: u32,
    run: Try,
) -> Target {
    Target { name, corpus, words, executions, measured: true, run }
}

fn site() -> Config {
    const FILE: &str = "fixtures/mail/watchdog.toml";
    let text = fs::read_to_string(root().join(FILE)).unwrap();
    let sources = Sources { text: &text, file: FILE, environment: &BTreeMap::new(), overrides: &[] };
    Config::load(&sources).unwrap_or_else(|errors| panic!("{errors}"))
}

/// A mail as a reader hands it over.
fn mail_target() -> Try {
    let config = site();
    Box::new(move |bytes| {
        let roster = Roster::new(&config.checkers, &Keys::new());
        let raw = RawMail {
            uid: 1,
            internal_date: None,
            seen: Utc.timestamp_opt(1_795_140_000, 0).unwrap(),
            bytes: bytes.to_vec(),
            truncated: false,
        };
        let taken = intake::take_in(&raw, "MONITOR", &roster);
        assert_eq!(taken, intake::take_in(&raw, "MONITOR", &roster), "the same mail twice");
        intake::take_in_junk(&raw, "MONITOR", &roster);
        // What is cut off in the middle is a mail as well.
        let _ = understand(&mut mail::parse(bytes, true), &roster);
    })
}

/// The chains of the corpus, without the name of their first header.
fn chains(mails: &[Vec<u8>]) -> Vec<Vec<u8>> {
    let chain = |mail: &Vec<u8>| {
        let text = String::from_utf8_lossy(mail).replace("\r\n", "\n");
        let (mut chain, mut inside) = (String::new(), false);
        for line in text.split("\n\n").next()?.split_inclusive('\n') {
            inside = if line.starts_with([' ', '\t']) { inside } else { line.starts_with("Received: ") };
            chain.push_str(if inside { line } else { "" });
        }
        chain.strip_prefix("Received: ").map(|chain| chain.as_bytes().to_vec())
    };
    let found: BTreeSet<Vec<u8>> = mails.iter().filter_map(chain).collect();
    assert!(found.len() > 15, "{} chains in the corpus", found.len());
    found.into_iter().collect()
}

/// Where a mail was, and when, goes from the mail into what is judged and shown.
fn received_target() -> Try {
    let config = site();
    Box::new(move |bytes| {
        let roster = Roster::new(&config.checkers, &Keys::new());
        let head = b"To: bresse1+monitor@domain.com\r\nSubject: DRYRUN.OK\r\nReceived: ";
        let seen = Utc.timestamp_opt(1_795_140_000, 0).unwrap();
        let mail = [head, bytes, b"\r\n\r\n"].concat();
        let hops = mail::parse(&mail, false).received;
        assert!(
            hops.len() <= 100 && hops.iter().all(|hop| hop.from.as_ref().is_none_or(|name| name.len() < 256))
        );
        let raw = RawMail { uid: 1, internal_date: Some(seen), seen, bytes: mail, truncated: false };
        let mut engine = Engine::restore(config.clone(), Snapshot::default(), seen);
        engine.observe(&intake::take_in(&raw, "MONITOR", &roster).observation);
        engine.looked("MONITOR", seen, History::Complete, seen);
        let later = seen + TimeDelta::hours(1);
        engine.looked("MONITOR", later, History::Complete, later);
        engine.tick(later);
        let _ = (engine.take_due(later), LastSeen::of(&engine, later));
    })
}

/// The machine-readable parts of the corpus' delivery reports, and the texts of those that have none.
fn bounces(mails: &[Vec<u8>]) -> Vec<Vec<u8>> {
    let part = |mail: &Vec<u8>| {
        let text = String::from_utf8_lossy(mail).replace("\r\n", "\n");
        let (_, body) =
            text.split_once("message/delivery-status").or_else(|| text.split_once("MAILER-DAEMON"))?;
        let (_, body) = body.split_once("\n\n")?;
        Some(body.split("\n--").next()?.as_bytes().to_vec())
    };
    let found: BTreeSet<Vec<u8>> = mails.iter().filter_map(part).collect();
    assert!(found.len() > 10, "{} delivery reports in the corpus", found.len());
    found.into_iter().collect()
}

/// What a mail server says of a mail that it could not deliver, for machines and for people.
fn bounce(bytes: &[u8]) {
    let head = "From: MAILER-DAEMON@mx.example\r\nContent-Type: ";
    let for_machines = "multipart/report; report-type=delivery-status; boundary=x\r\n\r\n--x\r\n\
                        Content-Type: message/delivery-status\r\n\r\n";
    for begin in [for_machines, "text/plain\r\n\r\n"] {
        let mail = [head.as_bytes(), begin.as_bytes(), bytes].concat();
        let Some(report) = mail::parse(&mail, false).delivery else { continue };
        assert!(report.failed.len() <= 16 && report.returned_to.len() <= 256);
        for failed in &report.failed {
            assert!(failed.addresses.iter().all(|address| address.len() <= 320), "{failed:?}");
            assert!(failed.why.said.chars().count() <= 201 && !failed.why.said.contains('\n'), "{failed:?}");
        }
    }
}

fn tokens_target() -> Try {
    let scanner = Scanner::new(["MSSQL1_Service", "ESHOP_Service", "a", "a b.c", "é"]);
    Box::new(move |bytes| {
        let text = String::from_utf8_lossy(bytes);
        for scanner in [&scanner, &Scanner::for_strangers()] {
            let (mut once, mut twice) = (Tokens::default(), Tokens::default());
            scanner.scan(&text, &mut once);
            scanner.scan(&text, &mut twice);
            scanner.scan(&text, &mut twice);
            assert_eq!(once, twice, "the same token twice is one");
            let _ = scanner.name_at_end(&text);
        }
    })
}

fn authentication(bytes: &[u8]) {
    let Some(results) = Results::read(&String::from_utf8_lossy(bytes)) else { return };
    for method in ["dkim", "spf", "dmarc", ""] {
        for statement in results.of(method) {
            let _ = (statement.property("header.from"), statement.domain("header.d"));
        }
    }
}

/// Whatever date is read can be written, and is then read as the same.
fn date(bytes: &[u8]) {
    let Some(read) = parse_mail_date(&String::from_utf8_lossy(bytes)) else { return };
    let again = parse_mail_date(&read.to_rfc2822());
    assert_eq!(again.map(|again| again.timestamp()), Some(read.timestamp()));
}

fn configuration(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let sources =
        Sources { text: &text, file: "watchdog.toml", environment: &BTreeMap::new(), overrides: &[] };
    match Config::load(&sources) {
        Ok(config) => {
            Roster::new(&config.checkers, &Keys::new());
        }
        Err(errors) => assert!(!errors.to_string().is_empty(), "an error without a word"),
    }
}

fn orders() -> Vec<Vec<u8>> {
    [
        r#"{"order":"acknowledge","incident":"20261120-42","by":"Anna","until":"2026-11-20T05:00:00Z","note":null}"#,
        r#"{"order":"resolve","incident":"20261120-42","by":"Anna","note":"x"}"#,
        r#"{"order":"end_silence","id":7,"by":"Anna"}"#,
        r#"{"order":"drill","channel":"teams","by":"Anna"}"#,
    ]
    .map(|text| text.as_bytes().to_vec())
    .to_vec()
}

/// An order is cut to bounded texts; cutting it again changes nothing.
fn order(bytes: &[u8]) {
    let Ok(order) = serde_json::from_slice::<Order>(bytes) else { return };
    let bounded = order.bounded();
    assert_eq!(bounded.clone().bounded(), bounded);
    let written = serde_json::to_vec(&bounded).unwrap();
    assert_eq!(serde_json::from_slice::<Order>(&written).unwrap(), bounded);
}

/// No link that the key did not make is believed.
fn link(bytes: &[u8]) {
    let key = links::Key::new(&[7; 32]);
    let text = String::from_utf8_lossy(bytes);
    let mut parts = text.splitn(4, '\n');
    let [incident, channel, until, signature] = [(); 4].map(|()| parts.next().unwrap_or_default());
    let until = until.parse().unwrap_or(i64::MAX);
    let verified: Result<Link, _> =
        key.verify((incident, channel, until), signature, Utc.timestamp_opt(1_795_000_000, 0).unwrap());
    assert!(verified.is_err(), "{verified:?}");
}

fn mboxes(mails: &[Vec<u8>]) -> Vec<Vec<u8>> {
    let begin = b"From a@b Fri Nov 20 03:00:00 2026\n";
    let two = |pair: &[Vec<u8>]| pair.iter().flat_map(|mail| [&begin[..], mail, b"\n\n"].concat()).collect();
    mails.chunks(2).map(two).filter(|mbox: &Vec<u8>| mbox.len() < 8 << 10).collect()
}

/// A file that `backtest` is given.
fn past_target() -> Try {
    let configs = vec![site()];
    let folder = tempfile::tempdir().unwrap();
    // Judging takes as long as the past that is asked for, not as the file is long.
    let until = Utc.timestamp_opt(1_795_140_000, 0).unwrap();
    let day = Asked { from: Some(until - TimeDelta::days(1)), until: Some(until) };
    Box::new(move |bytes| {
        let path = folder.path().join("mbox");
        fs::write(&path, bytes).unwrap();
        let mut mails = Mails::new(&configs, &[Keys::new()], day);
        let _ = read_files(&path, "MONITOR", &mut mails);
        let _ = mails.replay(None, &mut |_, _| {});
    })
}
