//! A second, naive judgement, held against the product on random short worlds.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

#[path = "reference/backtest.rs"]
mod backtest;
#[path = "reference/compare.rs"]
mod compare;
#[path = "reference/model.rs"]
mod model;
#[path = "reference/stage.rs"]
mod stage;
#[path = "reference/world.rs"]
mod world;

use stage::{Showing, Stage};
use world::World;

/// So many worlds are tried by default.
const WORLDS: u64 = 300;

/// Worlds that once showed a defect, of the product or of the model.
const FAILED_ONCE: [u64; 22] = [
    17, 56, 89, 194, 232, 371, 378, 383, 427, 441, 456, 465, 542, 664, 671, 720, 772, 811, 913, 976, 2368,
    2447,
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

fn try_world(seed: u64) {
    let world = World::random(seed);
    if complaint(&world).is_none() {
        return;
    }
    let world = shrunk(world);
    let text = complaint(&world).expect("it failed a moment ago");
    panic!("seed {seed}\n{world}\n{text}");
}

#[test]
fn the_product_agrees_with_the_naive_judgement_in_random_worlds() {
    (0..WORLDS).for_each(try_world);
}

#[test]
fn what_once_was_judged_differently_is_not_any_more() {
    FAILED_ONCE.into_iter().for_each(try_world);
}
