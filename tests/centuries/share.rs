//! Many worlds, side by side.

use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use crate::plan::{Made, Plan};
use crate::run::live;
use crate::tally::Tally;

/// Reports in one world.
const REPORTS: i64 = 40_000;
/// What continuous integration demands.
const WHOLE_REPORTS: u64 = 1_000_000;
const CORE_REPORTS: u64 = 5_000_000;
const FAULTS: u64 = 100_000;
/// Of so many worlds one is lived through twice, and one with and without kills.
const TWICE_EVERY: u64 = 16;
/// More than so many say no more.
const VIOLATIONS_MAX: usize = 10;

/// "Nothing the core does depends on hash order or wall time."
pub(crate) fn twice(seed: u64, made: Made, reports: i64) -> Result<(), String> {
    let plan = Plan::random(seed, made, reports);
    let (one, other) = (live(&plan)?, live(&plan)?);
    let same = one.digest == other.digest && one.table == other.table && one.tally == other.tally;
    if same { Ok(()) } else { Err(format!("{made:?} world {seed} was another one the second time")) }
}

/// "A killed and restarted watchdog ends in the state that an unkilled one reaches."
pub(crate) fn killed(seed: u64, made: Made, reports: i64) -> Result<(), String> {
    let killed = Plan::gentle(seed, made, reports);
    let spared = Plan { dies_once_in: 0, ..killed.clone() };
    let (killed, spared) = (live(&killed)?, live(&spared)?);
    let differ = killed.table.iter().zip(&spared.table).find(|(one, other)| one != other);
    match differ {
        Some((one, other)) => Err(format!("{made:?} world {seed}, killed and not:\n{one}\n{other}")),
        None => Ok(()),
    }
}

/// Lives through worlds on every core, from seed 0 on, until `enough`.
fn many(made: Made, enough: impl Fn(&Tally) -> bool + Sync) -> bool {
    let (began, next) = (Instant::now(), AtomicU64::new(0));
    let all = Mutex::new((Tally::default(), Vec::<String>::new()));
    let work = || {
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            let lived = live(&Plan::random(seed, made, REPORTS));
            let checked = match seed % TWICE_EVERY {
                1 => twice(seed, made, REPORTS / 20),
                2 => killed(seed, made, REPORTS / 20),
                _ => Ok(()),
            };
            let (tally, violations) = &mut *all.lock().unwrap();
            match lived {
                Ok(ended) => *tally += &ended.tally,
                Err(error) => violations.push(error),
            }
            violations.extend(checked.err());
            if enough(tally) || violations.len() > VIOLATIONS_MAX {
                return;
            }
        }
    };
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    std::thread::scope(|scope| (0..cores).for_each(|_| drop(scope.spawn(work))));
    let (tally, violations) = all.into_inner().unwrap();
    violations.iter().for_each(|violation| println!("VIOLATION: {violation}"));
    let minutes = began.elapsed().as_secs_f64() / 60.0;
    let faults: Vec<String> =
        tally.faults.iter().map(|(kind, count)| format!("  {count:>9} {kind}")).collect();
    println!("{}", faults.join("\n"));
    println!(
        "{made:?}: {tally}, {} violations; {:.1} million reports a minute on {cores} cores, {:.1} minutes",
        violations.len(),
        tally.reports as f64 / 1e6 / minutes,
        minutes
    );
    violations.is_empty()
}

fn exit(good: bool) -> ExitCode {
    if good { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// What continuous integration lives through.
pub(crate) fn share() -> ExitCode {
    let whole = many(Made::Whole, |tally| tally.reports >= WHOLE_REPORTS && tally.all_faults() >= FAULTS);
    let core = many(Made::Core, |tally| tally.reports >= CORE_REPORTS);
    exit(whole && core)
}

/// A tenth of them with the store.
pub(crate) fn years(years: u64) -> ExitCode {
    let years = years as f64;
    let whole = many(Made::Whole, |tally| tally.checker_years() >= years / 10.0);
    let core = many(Made::Core, |tally| tally.checker_years() >= years * 0.9);
    exit(whole && core)
}

pub(crate) fn seed(seed: u64) -> ExitCode {
    let mut good = true;
    for made in [Made::Whole, Made::Core] {
        match live(&Plan::random(seed, made, REPORTS)) {
            Ok(ended) => println!("{made:?}: {}", ended.tally),
            Err(error) => {
                good = false;
                println!("VIOLATION: {error}");
            }
        }
    }
    exit(good)
}
