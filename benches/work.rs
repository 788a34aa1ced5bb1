//! What one core does: parsing, judging and storing reports. `cargo bench --bench work` prints reports a second.
//!
//! With the name of a stage as its argument it goes through the stages up to that one, once and over a fixed input:
//! `benches/instructions` counts what each adds.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout, clippy::disallowed_methods)]

use std::collections::BTreeMap;
use std::hint::black_box;
use std::path::Path;
use std::time::{Duration, Instant};

use bresse_watchdog::config::{Config, Sources};
use bresse_watchdog::engine::{Engine, History, Snapshot};
use bresse_watchdog::imap::Cursor;
use bresse_watchdog::intake::{Key, Taken, take_in};
use bresse_watchdog::mail::RawMail;
use bresse_watchdog::report::Roster;
use bresse_watchdog::store::{Batch, Kept, Place, Store};
use chrono::{DateTime, TimeDelta, Utc};

const LEAN: &str = include_str!("mails/lean.eml");
const EXCHANGE: &str = include_str!("mails/exchange.eml");
const CHECKERS: usize = 7;
const MAILBOX: &str = "MONITOR";
/// Reports that are read, judged and stored together.
const BATCH: usize = 4_000;
/// For counting: enough that starting up does not matter.
const COUNTED: usize = 4_000;
const MEASURING: Duration = Duration::from_secs(3);

fn main() {
    let stage = std::env::args().nth(1).filter(|argument| argument != "--bench");
    match stage.as_deref() {
        None => speed(),
        Some("mails") => drop(black_box(mails(LEAN, COUNTED))),
        Some("parse") => drop(black_box(parse(&mails(LEAN, COUNTED)))),
        Some("parse-exchange") => drop(black_box(parse(&mails(EXCHANGE, COUNTED)))),
        Some("mails-exchange") => drop(black_box(mails(EXCHANGE, COUNTED))),
        Some("judge") => drop(black_box(judge(&parse(&mails(LEAN, COUNTED))))),
        Some("store") => {
            let taken = parse(&mails(LEAN, COUNTED));
            let engine = judge(&taken);
            let folder = tempfile::tempdir().unwrap();
            store(folder.path(), taken, engine);
        }
        Some(other) => panic!("there is no stage {other}"),
    }
}

fn speed() {
    println!("On one core, reports a second:");
    for (name, template) in [("lean", LEAN), ("exchange", EXCHANGE)] {
        let mails = mails(template, BATCH);
        let bytes = mails.iter().map(|mail| mail.bytes.len()).sum::<usize>() / BATCH;
        let rate = rate(|| drop(black_box(parse(&mails))));
        println!("  parse {name:9} {rate:>10.0}   (mails of {bytes} bytes)");
    }
    let taken = parse(&mails(LEAN, BATCH));
    println!("  judge           {:>10.0}", rate(|| drop(black_box(judge(&taken)))));
    let rate = rate(|| {
        let folder = tempfile::tempdir().unwrap();
        store(folder.path(), taken.clone(), judge(&taken));
    });
    println!("  judge and store {rate:>10.0}   (into a new file, one transaction)");
}

/// The best of all tries of `work`, which does [`BATCH`] reports.
fn rate(mut work: impl FnMut()) -> f64 {
    let (start, mut best) = (Instant::now(), Duration::MAX);
    while start.elapsed() < MEASURING {
        let began = Instant::now();
        work();
        best = best.min(began.elapsed());
    }
    f64::from(u32::try_from(BATCH).unwrap()) / best.as_secs_f64()
}

fn now() -> DateTime<Utc> {
    DateTime::from_timestamp(1_795_000_000, 0).unwrap()
}

/// Ends now, with seven checkers' runs every five minutes.
fn mails(template: &str, count: usize) -> Vec<RawMail> {
    let template = template.replace('\n', "\r\n");
    let mail = |number: usize| {
        let ago = i64::try_from(count - number).unwrap() * 300 / i64::try_from(CHECKERS).unwrap();
        let at = now() - TimeDelta::seconds(ago);
        let text = template
            .replace("{checker}", &format!("bresse{}", number % CHECKERS + 1))
            .replace("{number}", &number.to_string())
            .replace("{date}", &at.to_rfc2822());
        let uid = u32::try_from(number + 1).unwrap();
        RawMail { uid, internal_date: Some(at), seen: now(), bytes: text.into_bytes(), truncated: false }
    };
    (0..count).map(mail).collect()
}

fn config() -> Config {
    let checkers: String = (1..=CHECKERS)
        .map(|number| format!("[[checker]]\nname = \"bresse{number}\"\nprovider = \"provider{number}\"\n"))
        .collect();
    let text = format!(
        "[watchdog]\nname = \"bresse8\"\n[mailbox]\nhost = \"127.0.0.1\"\ntls = \"plain\"\n\
         user = \"monitor@domain.com\"\npassword = \"none\"\n[defaults]\ntests = [\n\
         {{ service = \"MSSQL1_Service\", timeout = \"10s\" }}, {{ service = \"ESHOP_Service\", timeout = \"30s\" }} ]\n\
         {checkers}"
    );
    let sources = Sources { text: &text, file: "bench.toml", environment: &BTreeMap::new(), overrides: &[] };
    Config::load(&sources).expect("a valid configuration")
}

fn parse(mails: &[RawMail]) -> Vec<Taken> {
    let roster = Roster::new(&config().checkers, &Default::default());
    let taken: Vec<Taken> = mails.iter().map(|mail| take_in(mail, MAILBOX, &roster)).collect();
    assert!(taken.iter().all(|taken| taken.observation.mail.heard()), "every mail is a report");
    taken
}

fn judge(taken: &[Taken]) -> Engine {
    let mut engine = Engine::restore(config(), Snapshot::default(), now());
    taken.iter().for_each(|taken| engine.observe(&taken.observation));
    engine.looked(MAILBOX, now(), History::Complete, now());
    engine
}

fn store(folder: &Path, taken: Vec<Taken>, mut engine: Engine) {
    let mut store = Store::open(&folder.join("watchdog.db"), "bench").unwrap();
    let keys: Vec<Key> = taken.iter().map(|taken| taken.key).collect();
    assert!(store.known(&keys).unwrap().is_empty(), "the store is new");
    let place = Place { mailbox: MAILBOX.to_owned(), folder: "INBOX".to_owned(), junk: false };
    let high = u32::try_from(taken.len()).unwrap();
    let cursors = vec![(place.clone(), Cursor { uidvalidity: 1, high, low: 1 })];
    let mails = taken.into_iter().map(|taken| Kept { place: place.clone(), taken }).collect();
    let changes = engine.take_changes();
    store.commit(&Batch { at: now(), mails, cursors, changes, notes: Vec::new() }).unwrap();
}
