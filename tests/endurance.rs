//! Real servers, the built binary, and everything that can befall the two between them: kills, lost power, disks and
//! networks that fail, and a day's traffic.
//!
//! `cargo test --test endurance` runs what a change is to be tried with. The long modes, one at a time:
//!
//! ```text
//! tests/run --profile quick --test endurance -- --long kill [--seed N]    1,000 kills at random instants, about 15 minutes
//! tests/run --profile quick --test endurance -- --long power [--seed N]   the power lost at 5,000 instants, about 20 minutes
//! tests/run --profile quick --test endurance -- --long soak               a day's traffic of 1,000 checkers in ten minutes
//! ```
//!
//! Each says how far it has come, and in its last line what was tried and what came of it; it ends with 0 only when all of
//! it held.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::disallowed_methods)]
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "figures are for people")]

mod rig;

#[path = "endurance/disk.rs"]
mod disk;
#[path = "endurance/disks.rs"]
mod disks;
#[path = "endurance/kill.rs"]
mod kill;
#[path = "endurance/network.rs"]
mod network;
#[path = "endurance/power.rs"]
mod power;
#[path = "endurance/record.rs"]
mod record;
#[path = "endurance/servers.rs"]
mod servers;
#[path = "endurance/site.rs"]
mod site;
#[path = "endurance/soak.rs"]
mod soak;
#[path = "endurance/state.rs"]
mod state;
#[path = "endurance/world.rs"]
mod world;

use std::panic::catch_unwind;
use std::process::ExitCode;

use libtest_mimic::{Arguments, Trial};

/// They mostly wait, and a machine with two cores would run them two at a time.
const AT_ONCE: usize = 64;
const KILLS: usize = 50;
const KILLS_LONG: usize = 1_000;
/// At each the disk is rebuilt in four ways.
const INSTANTS: usize = 60;
const INSTANTS_LONG: usize = 5_000;

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["--long", mode] => long(mode, fastrand::u64(..)),
        ["--long", mode, "--seed", seed] => long(mode, seed.parse().expect("a number behind --seed")),
        ["--in-namespace", row, "--not", outside] => {
            network::inside(row, outside.parse().expect("the number of a namespace"));
            ExitCode::SUCCESS
        }
        _ => {
            let mut arguments = Arguments::from_args();
            arguments.test_threads.get_or_insert(AT_ONCE);
            libtest_mimic::run(&arguments, trials()).exit_code()
        }
    }
}

/// The last line says what came of it.
fn long(mode: &str, seed: u64) -> ExitCode {
    let tried = catch_unwind(|| match mode {
        "kill" => Some(kill::again_and_again(KILLS_LONG, seed)),
        "soak" => Some(soak::soaks(&soak::OF_1000)),
        "power" => Some(power::goes_at(INSTANTS_LONG, seed)),
        _ => None,
    });
    match tried {
        Ok(Some(held)) => {
            println!("{held}");
            ExitCode::SUCCESS
        }
        Ok(None) => {
            eprintln!("--long knows kill, power and soak");
            ExitCode::FAILURE
        }
        Err(_) => {
            println!("{mode}: not everything held with seed {seed}; the panic above says what");
            ExitCode::FAILURE
        }
    }
}

fn trial(name: &str, test: impl FnOnce() + Send + 'static) -> Trial {
    Trial::test(name, move || {
        test();
        Ok(())
    })
}

fn trials() -> Vec<Trial> {
    let networks = network::rows()
        .into_iter()
        .map(|(row, _)| trial(&format!("network: {row}"), move || network::in_a_namespace(row)));
    let disks = disks::rows().into_iter().map(|(row, test)| trial(&format!("disk: {row}"), test));
    let servers = servers::rows().into_iter().map(|(row, test)| trial(&format!("server: {row}"), test));
    let mut trials = alone();
    trials.extend(networks.chain(servers).chain(disks));
    trials
}

fn alone() -> Vec<Trial> {
    vec![
        trial("kill_9 at 50 random instants under load loses and doubles nothing", || {
            println!("{}", kill::again_and_again(KILLS, fastrand::u64(..)));
        }),
        trial("a day's traffic of 40 checkers is kept, and memory and files stay as they are", || {
            println!("{}", soak::soaks(&soak::OF_40));
        }),
        trial("what was handed over survives a power loss at any instant", || {
            println!("{}", power::goes_at(INSTANTS, fastrand::u64(..)));
        }),
    ]
}
