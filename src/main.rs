//! The command line: arguments in, exit status out.

use std::process::ExitCode;

use bresse_watchdog::commands;

fn main() -> ExitCode {
    commands::main()
}
