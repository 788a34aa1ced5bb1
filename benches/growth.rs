//! What a report, a deadline and a question about the past cost as the watchdog grows: more checkers, more reports in the
//! state file. `cargo bench --bench growth` takes a quarter of an hour, and 4 GB of disk; `-- 1000000` goes on to so many
//! reports only, and `-- checkers`, `-- stored` or `-- retained` is one part of it.

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

const PARTS: [&str; 3] = ["checkers", "stored", "retained"];
const CHECKERS: [usize; 3] = [10, 1_000, 10_000];
const STORED: [usize; 3] = [10_000, 1_000_000, 10_000_000];
/// So many reports are measured.
const MEASURED: usize = 20_000;
/// The checkers of the file that grows.
const USUAL: usize = 7;
const ASKED: usize = 20;
/// Who writes in one second is looked at together after an outage.
const SECONDS_A_CYCLE: usize = 300;
/// So many looks are tried to find the shortest.
const LOOKS: usize = 100;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|one| !one.starts_with('-')).collect();
    let most = arguments.iter().filter_map(|argument| argument.parse().ok()).next().unwrap_or(usize::MAX);
    let named = |part: &str| PARTS.contains(&part) && arguments.iter().any(|argument| argument == part);
    let wanted = |part: &str| named(part) || !PARTS.into_iter().any(named);
    if wanted("checkers") {
        println!(
            "Processor time, one report of each checker in its turn, {BATCH} looked at and stored together at most:"
        );
        CHECKERS.into_iter().for_each(checkers);
    }
    if wanted("stored") {
        println!("A state file of {USUAL} checkers:");
        stored(most);
    }
    if wanted("retained") {
        println!(
            "With the contents kept for {} days, and everything for {}:",
            CONTENTS_KEPT.num_days(),
            ALL_KEPT.num_days()
        );
        retained();
    }
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

    /// Takes in so many more reports, so many of them together. Returns the processor time without that of writing and
    /// parsing the mails.
    fn hear(&mut self, count: usize, together: usize) -> Duration {
        let (mut took, until) = (Duration::ZERO, self.number + count);
        while self.number < until {
            let mails = self.next(together.min(until - self.number));
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

    /// A look that finds no mail.
    fn look(&mut self, now: DateTime<Utc>) -> Duration {
        processor_time(|| {
            self.engine.wants_look(now);
            self.engine.looked(MAILBOX, now, History::Complete, now);
            self.store(Batch { at: now, ..Batch::default() });
            self.engine.tick(now);
            self.engine.next_wake();
        })
    }

    /// All of them fall silent, one after another as they wrote, while somebody looks every second. Returns the processor
    /// time of the looks after which more were silent, and when the last one was.
    fn fall_silent(&mut self) -> (Duration, DateTime<Utc>) {
        let (mut took, mut now, mut silent) = (Duration::ZERO, self.now(), 0);
        while silent < self.checkers {
            now += TimeDelta::seconds(1);
            let look = self.look(now);
            let before = silent;
            silent = self.engine.facts().values().filter(|facts| facts.silent.is_some()).count();
            if silent > before {
                took += look;
            }
        }
        (took, now)
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
    let together = BATCH.min(checkers);
    // From then on each of them is known as long as it ever is.
    world.hear(20 * checkers, together);
    let measured = MEASURED.max(checkers);
    let report = world.hear(measured, together);
    let now = world.now();
    let quiet = |world: &mut World, now| (0..LOOKS).map(|_| world.look(now)).min().unwrap_or_default();
    let look = quiet(&mut world, now);
    let (silence, now) = world.fall_silent();
    let silent = quiet(&mut world, now);
    // So much later nobody writes too late.
    world.number += 2 * checkers;
    let back = world.hear(checkers, (checkers / SECONDS_A_CYCLE).max(1));
    assert!(world.engine.facts().values().all(|facts| facts.silent.is_none()), "all are heard again");
    println!(
        "  {checkers:>6} checkers: {:>7} a report, {:>7} a look without news, {:>7} a deadline, {:>7} a look while all are silent, \
         {:>7} a return",
        shown(per(report, measured)),
        shown(look),
        shown(per(silence, checkers)),
        shown(silent),
        shown(per(back, checkers))
    );
}

fn stored(most: usize) {
    let mut world = World::new(USUAL);
    for size in STORED.into_iter().filter(|size| *size <= most) {
        let rest = MEASURED.min(size / 2);
        // As of a mailbox that is read for the first time, oldest first.
        world.hear(size - rest - world.number, BATCH);
        let report = world.hear(rest, BATCH);
        let asked = ask(&world);
        println!(
            "  {size:>8} reports: {:>7} a report, {:>5} bytes each, last-seen --as-of {:>6.1} ms (median of {ASKED})",
            shown(per(report, rest)),
            world.bytes() / u64::try_from(size).unwrap(),
            asked.as_secs_f64() * 1e3
        );
    }
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
                .stderr(Stdio::null())
                .status();
            assert!(ended.unwrap().success(), "last-seen --as-of {at}");
            began.elapsed()
        })
        .collect();
    times.sort();
    times.get(ASKED / 2).copied().unwrap_or_default()
}

/// The days of which reports are kept: of the contents, and of everything.
const CONTENTS_KEPT: TimeDelta = TimeDelta::days(10);
const ALL_KEPT: TimeDelta = TimeDelta::days(30);
const DAYS: usize = 120;

/// A file that keeps what is younger than that, as it grows.
fn retained() {
    let mut world = World::new(USUAL);
    let (mut pruning, mut longest) = (Duration::ZERO, Duration::ZERO);
    for day in 1..=DAYS {
        world.hear(288 * USUAL, USUAL);
        let now = world.now();
        loop {
            let mut more = false;
            let step = processor_time(|| {
                more |= world.store.prune(now - CONTENTS_KEPT, now).unwrap();
                more |= world.store.cut(ALL_KEPT, now).unwrap();
            });
            (pruning, longest) = (pruning + step, longest.max(step));
            if !more {
                break;
            }
        }
        if day % 15 == 0 {
            println!(
                "  day {day:>3}, {:>7} reports so far: {:>6.1} MB",
                world.number,
                world.bytes() as f64 / 1e6
            );
        }
    }
    let verified = world.store.verify(None, |_| {}).unwrap();
    println!(
        "  {} reports are left, kept since {}; pruning took {} a report, a step {} at most",
        verified.reports,
        verified.kept_since.expect("some was cut"),
        shown(per(pruning, world.number)),
        shown(longest)
    );
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
