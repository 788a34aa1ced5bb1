//! Simulated centuries: the product's core, store and flow in a time of their own, in worlds where everything fails.
//!
//! `cargo test --test centuries` lives through a few worlds of each kind and all that ever failed. With the words below
//! behind `--` it does more, prints what it counted, and ends with 1 when anything did not hold; a release build does
//! ten times as much in the same time:
//!
//! ```text
//! cargo test --profile quick --test centuries -- share            a million reports with the store, five without
//! cargo test --profile quick --test centuries -- years 10000      so many checker-years, half an hour and more
//! cargo test --profile quick --test centuries -- seed 17 800      one world of each kind, of so many reports (default 40000)
//! ```

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]
#![allow(clippy::print_stdout, clippy::disallowed_methods, clippy::disallowed_types)]

mod disk;
#[path = "centuries/known.rs"]
mod known;
#[path = "centuries/machine.rs"]
mod machine;
#[path = "centuries/mails.rs"]
mod mails;
#[path = "centuries/numbers.rs"]
mod numbers;
#[path = "centuries/plan.rs"]
mod plan;
#[path = "centuries/run.rs"]
mod run;
#[path = "centuries/server.rs"]
mod server;
#[path = "centuries/share.rs"]
mod share;
#[path = "centuries/site.rs"]
mod site;
#[path = "centuries/tally.rs"]
mod tally;
#[path = "centuries/truth.rs"]
mod truth;
#[path = "centuries/world.rs"]
mod world;

use std::process::ExitCode;

use libtest_mimic::{Arguments, Failed, Trial};
use plan::{Made, Plan};
use run::live;

/// Worlds that once showed a defect, of the product or of the simulation: of how many reports they are, and what it was.
const FAILED_ONCE: [(Made, u64, i64, &str); 2] = [
    (Made::Whole, 13, 6_000, "who sleeps already is not woken by a shorter sleep"),
    (Made::Core, 215, 6_000, "of two copies of a mail the one that was held is read first"),
];

/// In a debug build.
const FEW: u64 = 3;
const REPORTS: i64 = 800;

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let number = |place: usize| words.get(place).and_then(|word| word.parse::<u64>().ok());
    match (words.first().map(String::as_str), number(1)) {
        (Some("share"), None) => share::share(),
        (Some("years"), Some(years)) => share::years(years),
        (Some("seed"), Some(seed)) => share::seed(seed, number(2)),
        _ => libtest_mimic::run(&Arguments::from_args(), trials()).exit_code(),
    }
}

fn trials() -> Vec<Trial> {
    let mut trials = Vec::new();
    for made in [Made::Whole, Made::Core] {
        for seed in 0..FEW {
            trials.push(Trial::test(format!("{made:?} world {seed}"), move || {
                live(&Plan::random(seed, made, REPORTS)).map(drop).map_err(Failed::from)
            }));
        }
        trials.push(Trial::test(format!("{made:?}: the same seed twice decides the same"), move || {
            share::twice(7, made, REPORTS).map_err(Failed::from)
        }));
        trials.push(Trial::test(format!("{made:?}: who is killed ends as who is not"), move || {
            (20..22).try_for_each(|seed| share::killed(seed, made, REPORTS)).map_err(Failed::from)
        }));
        for (_, seed, reports, why) in FAILED_ONCE.iter().filter(|(of, ..)| *of == made) {
            trials.push(Trial::test(format!("{made:?} world {seed}: {why}"), move || {
                live(&Plan::random(*seed, made, *reports)).map(drop).map_err(Failed::from)
            }));
        }
    }
    trials
}
