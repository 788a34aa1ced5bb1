//! What a report, a deadline and a question about the past cost as the watchdog grows: more checkers, more reports in the
//! state file. `cargo bench --bench growth` takes minutes, and 6 GB of disk; `-- 1000000` goes on to so many reports only.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout, clippy::disallowed_methods)]

#[allow(dead_code)]
mod material;

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use bresse_watchdog::audit::{Judged, Note};
use bresse_watchdog::engine::{Engine, History, Snapshot};
use bresse_watchdog::intake::Key;
use bresse_watchdog::mail::RawMail;
use bresse_watchdog::report::Roster;
use bresse_watchdog::store::{Batch, Store};
use chrono::{DateTime, TimeDelta, Utc};
use material::{BATCH, LEAN, MAILBOX, batch, config, config_text, moment, now};
use rustix::time::{ClockId, clock_gettime};

const CHECKERS: [usize; 3] = [10, 1_000, 10_000];
const STORED: [usize; 3] = [10_000, 1_000_000, 10_000_000];
/// So many reports are measured.
const MEASURED: usize = 20_000;
/// The checkers of the file that grows.
const USUAL: usize = 7;
const ASKED: usize = 20;

fn main() {
    let most = std::env::args().filter_map(|argument| argument.parse().ok()).next().unwrap_or(usize::MAX);
    println!(
        "Processor time, one report of each checker in its turn, {BATCH} looked at and stored together at most:"
    );
    CHECKERS.into_iter().for_each(checkers);
    println!("A state file of {USUAL} checkers:");
    stored(most);
    println!("With the contents of the last {RETAINED} reports kept:");
    retained();
}

/// A watchdog with its state file.
struct World {
    folder: tempfile::TempDir,
    store: Store,
    engine: Engine,
    roster: Roster,
    checkers: usize,
    /// Reports so far.
    number: usize,
}

impl World {
    fn new(checkers: usize) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut store = open(folder.path());
        let config = config(checkers);
        let notes = vec![Note::start("bench"), Note::configuration(&Judged::of(&config))];
        store.commit(&Batch { at: now(), notes, ..Batch::default() }).unwrap();
        let roster = Roster::new(&config.checkers, &Default::default());
        let engine = Engine::restore(config, Snapshot::default(), now());
        Self { folder, store, engine, roster, checkers, number: 0 }
    }

    fn now(&self) -> DateTime<Utc> {
        moment(self.number, self.checkers)
    }

    fn next(&mut self, count: usize) -> Vec<RawMail> {
        let numbers = self.number..self.number + count;
        self.number += count;
        numbers
            .map(|number| material::mail(LEAN, number, self.checkers, moment(number, self.checkers)))
            .collect()
    }

    /// Takes in so many more reports. Returns the processor time without that of writing and parsing the mails.
    fn hear(&mut self, count: usize) -> Duration {
        let mut took = Duration::ZERO;
        let together = BATCH.min(self.checkers).min(count);
        for _ in 0..count / together {
            let mails = self.next(together);
            let taken = material::parse(&mails, &self.roster);
            took += processor_time(|| {
                let keys: Vec<Key> = taken.iter().map(|taken| taken.key).collect();
                assert!(self.store.known(&keys).unwrap().is_empty(), "they are new");
                taken.iter().for_each(|taken| self.engine.observe(&taken.observation));
                let now = self.now();
                self.engine.looked(MAILBOX, now, History::Complete, now);
                self.store(batch(taken, now));
            });
        }
        took
    }

    fn store(&mut self, mut batch: Batch) {
        batch.changes = self.engine.take_changes();
        self.store.commit(&batch).unwrap();
    }

    /// A look that finds nothing.
    fn look(&mut self) -> Duration {
        let now = self.now();
        processor_time(|| {
            self.engine.looked(MAILBOX, now, History::Complete, now);
            self.store(Batch { at: now, ..Batch::default() });
            self.engine.tick(now);
            self.engine.wants_look(now);
            self.engine.next_wake();
        })
    }

    /// All of them fall silent.
    fn fall_silent(&mut self) -> Duration {
        let later = self.now() + TimeDelta::hours(1);
        processor_time(|| {
            assert!(self.engine.wants_look(later), "deadlines have passed");
            self.engine.looked(MAILBOX, later, History::Complete, later);
            assert_eq!(
                self.engine.facts().values().filter(|facts| facts.silent.is_some()).count(),
                self.checkers
            );
            self.store(Batch { at: later, ..Batch::default() });
        })
    }

    fn bytes(&self) -> u64 {
        let size = |name: &str| std::fs::metadata(self.folder.path().join(name)).map_or(0, |file| file.len());
        size("watchdog.db") + size("watchdog.db-wal")
    }
}

fn open(folder: &Path) -> Store {
    Store::open(&folder.join("watchdog.db"), "bench").unwrap()
}

fn checkers(checkers: usize) {
    let mut world = World::new(checkers);
    // From then on each of them is known as long as it ever is.
    world.hear(20 * checkers);
    let report = world.hear(MEASURED.max(checkers));
    let look = (0..100).map(|_| world.look()).min().unwrap_or_default();
    let silence = world.fall_silent();
    let quiet = (0..10).map(|_| world.look()).min().unwrap_or_default();
    println!(
        "  {checkers:>6} checkers: {:>7} a report, {:>7} a look without news, {:>7} a deadline, {:>7} a look while all are silent",
        shown(per(report, MEASURED.max(checkers))),
        shown(look),
        shown(per(silence, checkers)),
        shown(quiet)
    );
}

fn stored(most: usize) {
    let mut world = World::new(USUAL);
    for size in STORED.into_iter().filter(|size| *size <= most) {
        world.checkers = USUAL;
        fill(&mut world, size - MEASURED.min(size / 2));
        let rest = size - world.number;
        let report = fill(&mut world, size);
        let asked = ask(&world);
        println!(
            "  {size:>8} reports: {:>7} a report, {:>5} bytes each, last-seen --as-of {:>6.1} ms (median of {ASKED})",
            shown(per(report, rest)),
            world.bytes() / u64::try_from(size).unwrap(),
            asked.as_secs_f64() * 1e3
        );
    }
}

/// Batches as of a mailbox that is read for the first time, oldest first.
fn fill(world: &mut World, until: usize) -> Duration {
    let mut took = Duration::ZERO;
    while world.number < until {
        let mails = world.next(BATCH.min(until - world.number));
        let taken = material::parse(&mails, &world.roster);
        took += processor_time(|| {
            let keys: Vec<Key> = taken.iter().map(|taken| taken.key).collect();
            assert!(world.store.known(&keys).unwrap().is_empty(), "they are new");
            taken.iter().for_each(|taken| world.engine.observe(&taken.observation));
            let now = world.now();
            world.engine.looked(MAILBOX, now, History::Complete, now);
            world.store(batch(taken, now));
        });
    }
    took
}

/// How long the command takes that tells how it stood at some time, from its start to its end.
fn ask(world: &World) -> Duration {
    let config = world.folder.path().join("watchdog.toml");
    let text = config_text(USUAL).replacen(
        "[watchdog]\n",
        &format!("[watchdog]\nstate = \"sqlite:{}\"\n", world.folder.path().join("watchdog.db").display()),
        1,
    );
    std::fs::write(&config, text).unwrap();
    let mut times: Vec<Duration> = (1..=ASKED)
        .map(|part| {
            let at = moment(world.number / ASKED * part, USUAL).to_rfc3339();
            let began = Instant::now();
            let ended = Command::new(env!("CARGO_BIN_EXE_bresse-watchdog"))
                .args(["last-seen", "--as-of", &at, "--config"])
                .arg(&config)
                .stdout(Stdio::null())
                .status();
            assert!(ended.unwrap().success(), "last-seen --as-of {at}");
            began.elapsed()
        })
        .collect();
    times.sort();
    times.get(ASKED / 2).copied().unwrap_or_default()
}

const RETAINED: usize = 50_000;

/// A file that keeps so many reports, as it grows.
fn retained() {
    let mut world = World::new(USUAL);
    let mut before = None;
    for part in 1..=4 {
        fill(&mut world, part * RETAINED);
        let now = world.now();
        let kept = now - (moment(RETAINED, USUAL) - moment(0, USUAL));
        while world.store.prune(kept, now).unwrap() {}
        let bytes = world.bytes();
        let grown = before.map_or(0, |before| (bytes - before) / u64::try_from(RETAINED).unwrap());
        println!(
            "  {:>8} reports: {:>6.1} MB, {grown} bytes for each that came since",
            world.number,
            bytes as f64 / 1e6
        );
        before = Some(bytes);
    }
}

fn per(time: Duration, count: usize) -> Duration {
    time / u32::try_from(count).unwrap()
}

fn shown(time: Duration) -> String {
    format!("{:.1} µs", time.as_secs_f64() * 1e6)
}

/// Of this thread: what else the machine does, and the disk, is not in it.
fn processor_time(work: impl FnOnce()) -> Duration {
    let now = || {
        let time = clock_gettime(ClockId::ThreadCPUTime);
        Duration::new(u64::try_from(time.tv_sec).unwrap(), u32::try_from(time.tv_nsec).unwrap())
    };
    let start = now();
    work();
    now() - start
}
