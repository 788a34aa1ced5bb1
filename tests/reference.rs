//! A second, naive judgement, held against the product on random short worlds, each of them shown in four ways.
//!
//! `cargo test --test reference` plays some hundred and all that ever were judged differently;
//! `cargo test --profile quick --test reference -- worlds 20000` so many, on every core, and prints in its last line what it saw;
//! `-- world 7139` that one.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]
#![allow(clippy::print_stdout, clippy::disallowed_methods)]

#[path = "reference/backtest.rs"]
mod backtest;
#[path = "reference/compare.rs"]
mod compare;
#[path = "reference/model.rs"]
mod model;
#[path = "rig/progress.rs"]
mod progress;
#[path = "reference/stage.rs"]
mod stage;
#[path = "reference/world.rs"]
mod world;

use std::panic::catch_unwind;
use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use libtest_mimic::{Arguments, Failed, Trial};
use progress::Progress;
use stage::{Showing, Stage};
use world::World;

/// So many worlds are tried by default.
const WORLDS: u64 = 300;

/// Worlds that once showed a defect, of the product or of the model.
const FAILED_ONCE: [u64; 31] = [
    17, 56, 89, 194, 232, 371, 378, 383, 427, 441, 456, 465, 542, 664, 671, 720, 772, 811, 913, 976, 2368,
    2447, 3360, 3503, 4054, 5880, 6421, 7139, 8273, 13601, 14031,
];

const SHOWINGS: [Showing; 3] = [Showing::Shuffled, Showing::NewestFirst, Showing::Restarts];

/// The first thing that is wrong with the product in this world.
fn complaint(world: &World) -> Option<String> {
    let plain = match Stage::play(world, Showing::Plain) {
        Ok(standings) => standings,
        Err(text) => return Some(text),
    };
    for showing in SHOWINGS {
        match Stage::play(world, showing) {
            Err(text) => return Some(format!("{showing:?}: {text}")),
            Ok(other) => {
                if let Some((one, two)) = plain.iter().zip(&other).find(|(one, two)| !one.agrees_with(two)) {
                    return Some(format!("{showing:?} differs:\n{one:#?}\n{two:#?}"));
                }
            }
        }
    }
    None
}

/// Leaves out events as long as the world still fails.
fn shrunk(mut world: World) -> World {
    let mut size = world.events.len() / 2;
    while size > 0 {
        let mut from = 0;
        while from < world.events.len() {
            let mut fewer = world.clone();
            fewer.events.drain(from..(from + size).min(world.events.len()));
            if complaint(&fewer).is_some() {
                world = fewer;
            } else {
                from += size;
            }
        }
        size /= 2;
    }
    world
}

fn try_world(seed: u64) -> Result<(), String> {
    let world = World::random(seed);
    if complaint(&world).is_none() {
        return Ok(());
    }
    let world = shrunk(world);
    let text = complaint(&world).expect("it failed a moment ago");
    Err(format!("seed {seed}\n{world}\n{text}"))
}

fn try_all(seeds: impl IntoIterator<Item = u64>) -> Result<(), Failed> {
    seeds.into_iter().try_for_each(try_world).map_err(Failed::from)
}

/// Plays the worlds `0..count` on every core.
fn try_many(count: u64) -> ExitCode {
    let (began, next, differ) = (Instant::now(), AtomicU64::new(0), AtomicU64::new(0));
    let progress = Mutex::new(Progress::new("worlds", count));
    let work = || {
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= count {
                return;
            }
            // What panics is wrong too, and must not take the other worlds of its thread with it.
            let tried = catch_unwind(|| try_world(seed));
            if let Err(text) = tried.unwrap_or_else(|_| Err(format!("seed {seed} panics"))) {
                differ.fetch_add(1, Ordering::Relaxed);
                println!("{text}");
            }
            progress.lock().unwrap().reached(seed, || format!(", {} differ", differ.load(Ordering::Relaxed)));
        }
    };
    let threads = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    std::thread::scope(|scope| (0..threads).for_each(|_| drop(scope.spawn(work))));
    let (differ, seconds) = (differ.into_inner(), began.elapsed().as_secs_f64());
    println!(
        "{count} worlds, each shown in four ways, {differ} judged differently, {seconds:.0} s on {threads} threads"
    );
    if differ == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    match words.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        ["worlds", count] => return try_many(count.parse().expect("worlds wants a number")),
        ["world", seed] => {
            let tried = try_world(seed.parse().expect("world wants the number of one"));
            return tried.map_or_else(
                |text| {
                    println!("{text}");
                    ExitCode::FAILURE
                },
                |()| ExitCode::SUCCESS,
            );
        }
        _ => {}
    }
    let trials = vec![
        Trial::test("the_product_agrees_with_the_naive_judgement_in_random_worlds", || try_all(0..WORLDS)),
        Trial::test("what_once_was_judged_differently_is_not_any_more", || try_all(FAILED_ONCE)),
        Trial::test("replaying_what_a_live_watchdog_saw_gives_its_announcements", || {
            backtest::replayed().map_err(Failed::from)
        }),
    ];
    libtest_mimic::run(&Arguments::from_args(), trials).exit_code()
}
