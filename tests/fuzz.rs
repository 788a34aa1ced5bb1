//! Bytes from outside that nobody would send: whatever they are, nothing panics, takes more memory than is said below, or
//! more time than its size explains.
//!
//! Inputs are mutations of what is kept in `fixtures/`. By itself every target tries so many, the same ones each time. For as
//! long as you like, in all, and others each time:
//!
//! ```text
//! tests/fuzz/guided --minutes 60 [target]
//! ```
//!
//! That is `cargo test --profile quick --test fuzz -- --minutes 60 [target]` in a build that counts the branches it takes (see
//! `guide`): an input that leads where none has led is changed further. Only for what runs in this process: the daemon
//! behind `http` and `control` is another one. Written into `fixtures/fuzz/TARGET/`, where every later run begins, is what
//! failed and what led further.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::print_stdout)]
#![allow(clippy::disallowed_methods, reason = "what others answer takes real time")]

#[path = "fuzz/answers.rs"]
mod answers;
#[path = "fuzz/daemon.rs"]
mod daemon;
#[path = "fuzz/guide.rs"]
mod guide;
#[path = "fuzz/imap.rs"]
mod imap;
#[path = "fuzz/mutate.rs"]
mod mutate;
#[path = "rig/progress.rs"]
mod progress;
#[path = "fuzz/pure.rs"]
mod pure;

use std::collections::BTreeMap;
use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use fastrand::Rng;
use guide::Guide;
use libtest_mimic::{Arguments, Failed, Trial};
use peak_alloc::PeakAlloc;
use progress::Progress;
use rustix::time::{ClockId, clock_gettime};

#[global_allocator]
static MEMORY: PeakAlloc = PeakAlloc;

static EXECUTIONS: AtomicU64 = AtomicU64::new(0);

/// No input is longer.
const INPUT_BYTES_MAX: usize = 64 << 10;
/// What an input of no length may take: buffers of fixed sizes.
const MEMORY_BYTES: usize = 512 << 10;
/// And for each of its bytes: some copies of the text, and the structures that describe it.
const MEMORY_PER_BYTE: usize = 200;
/// Processor time, in a debug build. What is quadratic in 64 KiB takes minutes.
const TIME: Duration = Duration::from_millis(100);
const TIME_PER_KIB: Duration = Duration::from_millis(10);
/// A longer input that leads further is not kept for later runs.
const KEPT_BYTES_MAX: usize = 2 << 10;
/// The inputs of a short run are the same everywhere.
const SEED: u64 = 20_261_120;

/// Panics when an input does what none may.
type Try = Box<dyn Fn(&[u8]) + Send + Sync>;

/// One entrance for bytes from outside.
struct Target {
    name: &'static str,
    /// Inputs to begin with.
    corpus: Vec<Vec<u8>>,
    /// Words that mean something there.
    words: &'static [&'static str],
    /// Executions of a short run.
    executions: u32,
    /// All the work is done in this thread and this process, so that its memory and its time can be measured.
    measured: bool,
    run: Try,
}

fn main() -> ExitCode {
    let mut words: Vec<String> = std::env::args().collect();
    let minutes = words.iter().position(|word| word == "--minutes").map(|place| {
        words.remove(place);
        words.remove(place).parse::<u64>().expect("--minutes wants a number")
    });
    let mut arguments = Arguments::from_iter(words);
    // One after the other: memory is counted for the whole process.
    arguments.test_threads = Some(1);
    let targets = pure::targets().into_iter().chain([imap::target()]).chain(answers::targets());
    let mut targets: Vec<Target> = targets.chain(daemon::targets()).collect();
    targets.retain(|target| arguments.filter.as_ref().is_none_or(|asked| target.name.contains(asked)));
    let (entrances, begun) = (targets.len(), now(ClockId::Monotonic));
    let each = minutes.map(|minutes| Duration::from_secs(60 * minutes) / u32::try_from(entrances).unwrap());
    let trials = targets.into_iter().map(|target| {
        Trial::test(target.name, move || each.map_or_else(|| short(&target), |limit| long(&target, limit)))
    });
    let ended = libtest_mimic::run(&arguments, trials.collect());
    println!(
        "{} inputs at {entrances} entrances in {} s{}: {} entrances failed",
        EXECUTIONS.load(Ordering::Relaxed),
        (now(ClockId::Monotonic) - begun).as_secs(),
        if minutes.is_some() && Guide::of_this_build().is_some() {
            ", guided by the branches they take"
        } else {
            ""
        },
        ended.num_failed
    );
    ended.exit_code()
}

fn short(target: &Target) -> Result<(), Failed> {
    let kept = kept(target.name);
    for input in target.corpus.iter().chain(&kept) {
        attempt(target, input)?;
    }
    let mut random = Rng::with_seed(SEED);
    let corpus = [target.corpus.as_slice(), &kept].concat();
    for _ in 0..target.executions {
        attempt(target, &mutate::input(&mut random, &corpus, target.words))?;
    }
    Ok(())
}

/// Goes on after a failure, to find others; each kind of failure is kept once.
fn long(target: &Target, limit: Duration) -> Result<(), Failed> {
    let seed = fastrand::u64(..);
    let (mut random, begun) = (Rng::with_seed(seed), now(ClockId::Monotonic));
    let (mut executions, mut failures) = (0_u64, BTreeMap::new());
    let mut corpus = target.corpus.clone();
    corpus.extend(kept(target.name));
    let mut guide = Guide::of_this_build();
    let mut progress = Progress::new("seconds", limit.as_secs());
    let known = corpus.len();
    println!("{}: {known} inputs to begin with, seed {seed}", target.name);
    let mut first = corpus.clone().into_iter();
    while now(ClockId::Monotonic) - begun < limit {
        let given = first.next();
        let is_given = given.is_some();
        let input = given.unwrap_or_else(|| mutate::input(&mut random, &corpus, target.words));
        executions += 1;
        let ended = attempt(target, &input);
        if guide.as_mut().is_some_and(|guide| guide.news() > 0) && !is_given {
            if ended.is_ok() && input.len() <= KEPT_BYTES_MAX {
                keep(target.name, &input);
            }
            corpus.push(input.clone());
        }
        progress.reached((now(ClockId::Monotonic) - begun).as_secs(), || {
            format!(", {executions} executions, {} inputs led further", corpus.len() - known)
        });
        if let Err(failure) = ended {
            let told = failure.message().unwrap_or_default().to_owned();
            let kind = told.lines().next().unwrap_or_default().to_owned();
            if failures.insert(kind, told).is_none() {
                keep(target.name, &input);
            }
        }
    }
    let rate = executions as f64 / (now(ClockId::Monotonic) - begun).as_secs_f64();
    println!(
        "{}: {executions} executions, {rate:.0} a second, {} inputs led further, {} kinds of failures",
        target.name,
        corpus.len() - known,
        failures.len()
    );
    if failures.is_empty() {
        Ok(())
    } else {
        Err(Failed::from(failures.into_values().collect::<Vec<_>>().join("\n")))
    }
}

fn attempt(target: &Target, input: &[u8]) -> Result<(), Failed> {
    static PANIC: Mutex<String> = Mutex::new(String::new());
    std::panic::set_hook(Box::new(|panic| *PANIC.lock().unwrap() = panic.to_string().replace('\n', " ")));
    EXECUTIONS.fetch_add(1, Ordering::Relaxed);
    let before = MEMORY.current_usage();
    MEMORY.reset_peak_usage();
    let begun = now(ClockId::ThreadCPUTime);
    let ended = catch_unwind(AssertUnwindSafe(|| (target.run)(input)));
    let (took, peak) = (now(ClockId::ThreadCPUTime) - begun, MEMORY.peak_usage().saturating_sub(before));
    let shown = || String::from_utf8_lossy(input).chars().take(2_000).collect::<String>();
    if ended.is_err() {
        return Err(Failed::from(format!("{}\n{}", PANIC.lock().unwrap(), shown())));
    }
    let kib = u32::try_from(input.len().div_ceil(1024)).unwrap();
    if target.measured && took > TIME + TIME_PER_KIB * kib {
        return Err(Failed::from(format!("too much time\n{took:?} for {} bytes\n{}", input.len(), shown())));
    }
    if target.measured && peak > MEMORY_BYTES + MEMORY_PER_BYTE * input.len() {
        return Err(Failed::from(format!("too much memory\n{peak} for {} bytes\n{}", input.len(), shown())));
    }
    Ok(())
}

fn now(clock: ClockId) -> Duration {
    let time = clock_gettime(clock);
    Duration::new(u64::try_from(time.tv_sec).unwrap(), u32::try_from(time.tv_nsec).unwrap())
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn folder_of(target: &str) -> PathBuf {
    root().join("fixtures/fuzz").join(target)
}

/// What once made this target fail, or led it further than anything before.
fn kept(target: &str) -> Vec<Vec<u8>> {
    files(&folder_of(target), &[""])
}

fn keep(target: &str, input: &[u8]) {
    let name =
        format!("{:016x}", input.iter().fold(5_381_u64, |sum, byte| sum.wrapping_mul(33) ^ u64::from(*byte)));
    fs::create_dir_all(folder_of(target)).unwrap();
    fs::write(folder_of(target).join(name), input).unwrap();
}

/// The files of a folder whose names end in one of these ways, in the order of their names; none when there is no folder.
fn files(folder: &Path, endings: &[&str]) -> Vec<Vec<u8>> {
    let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
    let mut paths: Vec<PathBuf> =
        entries.map(|entry| entry.unwrap().path()).filter(|path| path.is_file()).collect();
    paths.retain(|path| endings.iter().any(|ending| path.to_string_lossy().ends_with(ending)));
    paths.sort();
    paths.iter().map(|path| fs::read(path).unwrap()).filter(|bytes| bytes.len() <= INPUT_BYTES_MAX).collect()
}
