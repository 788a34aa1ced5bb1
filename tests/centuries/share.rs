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
/// What a share has to reach.
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
        None if killed.table.len() != spared.table.len() => {
            Err(format!("{made:?} world {seed}: somebody is missing"))
        }
        None => Ok(()),
    }
}

/// What came of many worlds.
struct Lived {
    made: Made,
    tally: Tally,
    violations: Vec<String>,
    minutes: f64,
    threads: usize,
}

impl Lived {
    /// Millions of reports a minute.
    fn rate(&self) -> f64 {
        self.tally.reports as f64 / 1e6 / self.minutes
    }
}

/// Lives through worlds on every core, from seed 0 on, until `enough`.
fn many(made: Made, enough: impl Fn(&Tally) -> bool + Sync) -> Lived {
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
            for error in lived.map(|ended| *tally += &ended.tally).err().into_iter().chain(checked.err()) {
                println!("VIOLATION: {error}");
                violations.push(error);
            }
            if enough(tally) || violations.len() > VIOLATIONS_MAX {
                return;
            }
        }
    };
    let threads = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    std::thread::scope(|scope| (0..threads).for_each(|_| drop(scope.spawn(work))));
    let (tally, violations) = all.into_inner().unwrap();
    let minutes = began.elapsed().as_secs_f64() / 60.0;
    let lived = Lived { made, tally, violations, minutes, threads };
    print(&lived);
    lived
}

fn print(lived: &Lived) {
    let Lived { made, tally, violations, minutes, threads } = lived;
    tally.faults.iter().for_each(|(kind, count)| println!("  {count:>9} {kind}"));
    println!(
        "{made:?}: {tally}, {} violations; {:.1} million reports a minute on {threads} threads, {minutes:.1} minutes",
        violations.len(),
        lived.rate(),
    );
}

/// In one line, the last one.
fn conclude(whole: &Lived, core: &Lived) -> ExitCode {
    let mut tally = whole.tally.clone();
    tally += &core.tally;
    let violations = whole.violations.len() + core.violations.len();
    println!(
        "{} checker-years, {} reports, {} faults, {} alarms, {violations} violations; \
         {:.1} million reports a minute with the store, {:.1} million by the core alone, on {} threads",
        grouped(tally.checker_years() as u64),
        grouped(tally.reports),
        grouped(tally.all_faults()),
        grouped(tally.alarms),
        whole.rate(),
        core.rate(),
        core.threads
    );
    exit(violations == 0)
}

/// `1234567` as `1,234,567`.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

fn exit(good: bool) -> ExitCode {
    if good { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Some minutes of it.
pub(crate) fn share() -> ExitCode {
    let whole = many(Made::Whole, |tally| tally.reports >= WHOLE_REPORTS && tally.all_faults() >= FAULTS);
    let core = many(Made::Core, |tally| tally.reports >= CORE_REPORTS);
    conclude(&whole, &core)
}

/// A tenth of them with the store.
pub(crate) fn years(years: u64) -> ExitCode {
    let years = years as f64;
    let whole = many(Made::Whole, |tally| tally.checker_years() >= years / 10.0);
    let core = many(Made::Core, |tally| tally.checker_years() >= years * 0.9);
    conclude(&whole, &core)
}

pub(crate) fn seed(seed: u64, reports: Option<u64>) -> ExitCode {
    let reports = reports.map_or(REPORTS, |reports| i64::try_from(reports).unwrap());
    let mut good = true;
    for made in [Made::Whole, Made::Core] {
        match live(&Plan::random(seed, made, reports)) {
            Ok(ended) => println!("{made:?}: {}", ended.tally),
            Err(error) => {
                good = false;
                println!("VIOLATION: {error}");
            }
        }
    }
    exit(good)
}
