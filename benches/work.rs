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
use bresse_watchdog::intake::{Key, Taken};
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
