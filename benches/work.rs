//! What one core does: parsing, judging and storing reports. `cargo bench --bench work` prints reports a second.
//!
//! With the name of a stage as its argument it goes through the stages up to that one, once and over a fixed input:
//! `benches/instructions` counts what each adds.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout, clippy::disallowed_methods)]

#[allow(dead_code)]
mod material;

use std::hint::black_box;
use std::path::Path;
use std::time::{Duration, Instant};

use bresse_watchdog::engine::{Engine, History, Snapshot};
use bresse_watchdog::intake::{Key, Taken, take_in};
use bresse_watchdog::mail::RawMail;
use bresse_watchdog::report::Roster;
use bresse_watchdog::store::Store;
use chrono::TimeDelta;
use material::{BATCH, LEAN, MAILBOX, batch, config, now};

const EXCHANGE: &str = include_str!("mails/exchange.eml");
const CHECKERS: usize = 7;
/// For counting: enough that starting up does not matter.
const COUNTED: usize = 4_000;
const MEASURING: Duration = Duration::from_secs(3);
const HOSTILE_TRIES: usize = 20;

fn main() {
    let stage = std::env::args().nth(1).filter(|argument| argument != "--bench");
    match stage.as_deref() {
        None => speed(),
        Some("mails") => drop(black_box(mails(LEAN))),
        Some("parse") => drop(black_box(parse(&mails(LEAN)))),
        Some("parse-exchange") => drop(black_box(parse(&mails(EXCHANGE)))),
        Some("mails-exchange") => drop(black_box(mails(EXCHANGE))),
        Some("judge") => judge(parse(&mails(LEAN))),
        Some("store") => store(parse(&mails(LEAN))),
        Some(other) => panic!("there is no stage {other}"),
    }
}

fn speed() {
    println!("On one core, reports a second:");
    for (name, template) in [("lean", LEAN), ("exchange", EXCHANGE)] {
        let mails = mails(template);
        let bytes = mails.iter().map(|mail| mail.bytes.len()).sum::<usize>() / COUNTED;
        let rate = rate(|| (), |()| drop(black_box(parse(&mails))));
        println!("  parse {name:9} {rate:>10.0}   (mails of {bytes} bytes)");
    }
    let taken = parse(&mails(LEAN));
    println!("  judge           {:>10.0}", rate(|| taken.clone(), judge));
    let rate = rate(|| taken.clone(), store);
    println!("  judge and store {rate:>10.0}   (into a new file, {BATCH} in a transaction)");
    hostile();
}

/// What one mail costs whose headers or text were made to be expensive. Linear means: a column is ten times the one before.
fn hostile() {
    println!("Hostile mails, microseconds to read one of:     1 KB     10 KB    100 KB      1 MB");
    for (name, head, unit, tail) in [
        ("encoded words", "Subject: ", "=?utf-8?Q?=C3=A9?=\r\n ", "\r\n\r\n"),
        ("one line of =?", "Subject: ", "=?", "\r\n\r\n"),
        ("folded recipients", "To: ", "a@b.c,\r\n ", "\r\n\r\n"),
        ("open brackets", "To: ", "<\"(", "\r\n\r\n"),
        ("Received headers", "", "Received: from (((a by b; Fri, 20 Nov 2026 03:11:58 +0100\r\n", "\r\n"),
        ("headers of one byte", "", "a:\r\n", "\r\n"),
        ("parts without end", "Content-Type: multipart/mixed; boundary=a\r\n\r\n", "--a\r\n\r\n", ""),
        ("nested HTML", "Content-Type: text/html\r\n\r\n", "<a <b &", ""),
        ("tokens", "To: bresse1+monitor@domain.com\r\n\r\n", "x.OK ", ""),
        ("quoted-printable", "Content-Transfer-Encoding: quoted-printable\r\n\r\n", "=\u{e9}=3D", ""),
    ] {
        print!("  {name:36}");
        for size in [1_000, 10_000, 100_000, 1_000_000] {
            let text = [head, &unit.repeat(size / unit.len()), tail].concat();
            print!("{:>10.1}", cost(text.into_bytes()).as_secs_f64() * 1e6);
        }
        println!();
    }
}

/// The best of some tries.
fn cost(bytes: Vec<u8>) -> Duration {
    let roster = Roster::new(&config(CHECKERS).checkers, &Default::default());
    let raw = RawMail { uid: 1, internal_date: None, seen: now(), bytes, truncated: false };
    let once = || {
        let began = Instant::now();
        black_box(take_in(&raw, MAILBOX, &roster));
        began.elapsed()
    };
    (0..HOSTILE_TRIES).map(|_| once()).min().unwrap()
}

/// The best of all tries of `work`, which does [`COUNTED`] reports.
fn rate<I>(input: impl Fn() -> I, work: impl Fn(I)) -> f64 {
    let (start, mut best) = (Instant::now(), Duration::MAX);
    while start.elapsed() < MEASURING {
        let input = input();
        let began = Instant::now();
        work(input);
        best = best.min(began.elapsed());
    }
    f64::from(u32::try_from(COUNTED).unwrap()) / best.as_secs_f64()
}

/// Ends now, with seven checkers' runs every five minutes.
fn mails(template: &str) -> Vec<RawMail> {
    let mail = |number: usize| {
        let ago = i64::try_from(COUNTED - number).unwrap() * 300 / i64::try_from(CHECKERS).unwrap();
        let mail = material::mail(template, number, CHECKERS, now() - TimeDelta::seconds(ago));
        RawMail { seen: now(), ..mail }
    };
    (0..COUNTED).map(mail).collect()
}

fn parse(mails: &[RawMail]) -> Vec<Taken> {
    let roster = Roster::new(&config(CHECKERS).checkers, &Default::default());
    material::parse(mails, &roster)
}

/// As a mailbox is read for the first time: newest first, so many at once, and `stored` after each time.
fn read(mut taken: Vec<Taken>, mut stored: impl FnMut(Vec<Taken>, &mut Engine)) {
    let mut engine = Engine::restore(config(CHECKERS), Snapshot::default(), now());
    let mut newest = true;
    while !taken.is_empty() {
        let together = taken.split_off(taken.len().saturating_sub(BATCH));
        together.iter().for_each(|taken| engine.observe(&taken.observation));
        if std::mem::take(&mut newest) {
            engine.looked(MAILBOX, now(), History::Filling, now());
        }
        stored(together, &mut engine);
    }
    engine.looked(MAILBOX, now(), History::Complete, now());
    drop(black_box(engine));
}

fn judge(taken: Vec<Taken>) {
    read(taken, |_, _| {});
}

fn store(taken: Vec<Taken>) {
    let folder = tempfile::tempdir().unwrap();
    let mut store = open(folder.path());
    read(taken, |together, engine| {
        let keys: Vec<Key> = together.iter().map(|taken| taken.key).collect();
        assert!(store.known(&keys).unwrap().is_empty(), "the store has none of them");
        let mut batch = batch(together, now());
        batch.changes = engine.take_changes();
        store.commit(&batch).unwrap();
    });
}

fn open(folder: &Path) -> Store {
    Store::open(&folder.join("watchdog.db"), "bench").unwrap()
}
