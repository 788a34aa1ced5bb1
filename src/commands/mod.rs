//! The command line. Each command is a file; this one knows which there are.

mod alert_test;
mod audit;
mod backtest;
mod check;
mod demo;
mod drill;
mod digest;
mod explain;
mod incidents;
mod last_seen;
mod matrix;
mod once;
mod order;
mod output;
mod plugin;
mod policy;
mod propose;
mod reading;
mod run;
mod sign;
mod silence;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Error, Result, anyhow, bail};
use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::clock;
use crate::config::{Config, environment};
use crate::logs::{self, Logs};
use crate::time::{Time, moment};

/// Watches the checkers that watch your services.
///
/// Reads the mailbox the checkers write to, knows when each was last heard, and alarms by another way when one falls
/// silent or a service fails.
#[derive(Debug, Parser)]
#[command(name = "bresse-watchdog", version, max_term_width = 100)]
struct Cli {
    #[command(flatten)]
    global: Global,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Clone, Args)]
struct Global {
    /// The configuration [default: ./watchdog.toml, then /etc/bresse-watchdog/watchdog.toml]
    #[arg(long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Sets one key of the configuration, for instance mailbox.host=mail.example
    #[arg(long = "set", global = true, value_name = "KEY=VALUE", value_parser = key_value)]
    overrides: Vec<(String, String)>,
    /// How tables are printed
    #[arg(long, global = true, value_enum, default_value_t = Format::Table)]
    format: Format,
    /// How log lines are written: to standard error, to journald, or to a GELF server
    #[arg(long, global = true, value_enum, default_value_t = Log::Text)]
    log: Log,
    /// Where --log gelf sends them, by UDP
    #[arg(long, global = true, value_name = "HOST:PORT")]
    gelf: Option<String>,
    /// Log more: -v what is done, -vv every step
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    verbose: u8,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    Table,
    Json,
    Csv,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Log {
    Text,
    Json,
    Journald,
    Gelf,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Watch the mailbox, judge and alarm, until told to end
    Run,
    /// Read everything once, judge once, deliver what is due, print the table; exit status 0 to 3 as for Nagios
    Once,
    /// Print when each checker was last seen, from the state file
    LastSeen(last_seen::Options),
    /// Print every service as each provider sees it, and what it looks like, from the state file
    Matrix(matrix::Options),
    /// Say why a checker is in its state, or how one mail is understood
    Explain(explain::Options),
    /// Connect to everything, and say what works and what is unsafe; changes nothing
    Check,
    /// Read the mailbox and print [[checker]] blocks: who writes, which services, which cycle
    Propose,
    /// Judge the past with another configuration: what would have alarmed, when, and how late
    Backtest(backtest::Options),
    /// Send a marked test through one channel or all, and say what the far side answered
    AlertTest(alert_test::Options),
    /// Print the open incidents: what, since when, why, who has taken it
    Incidents(incidents::Options),
    /// Print what a digest would tell: what was heard and worked, what alarmed, who took it
    Digest(digest::Options),
    /// Say that you take an incident: no reminder until then
    Ack(order::Acknowledge),
    /// For a time let no alarm out about a checker, a provider or a service; or list and end such silences
    Silence(silence::Options),
    /// End an incident by hand; the same trouble alarms again only after it was well once
    Resolve(order::Resolve),
    /// Let a marked alarm out, and see whether somebody presses the link in it: the chain proves itself
    Drill(drill::Options),
    /// Try the policies: who would be told of an alarm, when, and why
    Policy(policy::Options),
    /// Make the headers of a signed report: from a checker's name, its tokens, and its key in the configuration
    Sign(sign::Options),
    /// The ledger: verify it, export it, print its head
    Audit(audit::Options),
    /// Show the whole thing in under a minute: simulated checkers, an embedded mail server, real alarms; needs no set-up
    Demo,
}

/// Parses the arguments and runs the command.
pub fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            let _ = error.print();
            // A wrong usage of a Nagios plugin is "unknown"; `--help` and `--version` are no fault.
            return ExitCode::from(if error.use_stderr() { 3 } else { 0 });
        }
    };
    // The demo breaks its mailbox on purpose, and its story says so.
    let quiet = matches!(cli.command, Command::Demo);
    let plugin = matches!(cli.command, Command::Once)
        || matches!(&cli.command, Command::LastSeen(options) if options.check);
    let logging = log(&cli.global, if quiet { "error" } else { "warn" });
    match logging.and_then(|()| execute(cli)) {
        Ok(status) => ExitCode::from(status),
        Err(error) => {
            output::complain(&format!("{error:#}"));
            ExitCode::from(if plugin { 3 } else { 1 })
        }
    }
}

fn execute(cli: Cli) -> Result<u8> {
    let global = &cli.global;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .context("The runtime cannot start")?;
    let status = match cli.command {
        Command::Run => runtime.block_on(run::run(global)),
        Command::Once => runtime.block_on(once::once(global)),
        Command::LastSeen(options) => last_seen::last_seen(global, &options),
        Command::Matrix(options) => matrix::matrix(global, &options),
        Command::Explain(options) => runtime.block_on(explain::explain(global, &options)),
        Command::Check => runtime.block_on(check::check(global)),
        Command::Propose => runtime.block_on(propose::propose(global)),
        Command::Backtest(options) => runtime.block_on(backtest::backtest(global, &options)),
        Command::AlertTest(options) => runtime.block_on(alert_test::alert_test(global, &options)),
        Command::Incidents(options) => incidents::incidents(global, &options),
        Command::Digest(options) => digest::digest(global, &options),
        Command::Ack(options) => runtime.block_on(order::acknowledge(global, options)),
        Command::Silence(options) => runtime.block_on(silence::silence(global, options)),
        Command::Resolve(options) => runtime.block_on(order::resolve(global, options)),
        Command::Drill(options) => runtime.block_on(drill::drill(global, options)),
        Command::Policy(options) => policy::policy(global, &options),
        Command::Sign(options) => runtime.block_on(sign::sign(global, &options)),
        Command::Audit(options) => audit::audit(global, &options),
        Command::Demo => runtime.block_on(demo::demo(global)),
    };
    // A name look-up that hangs in the C library must not keep a command that is done.
    runtime.shutdown_background();
    status
}

impl Global {
    /// The configuration; what is unwise in it is logged.
    fn load(&self) -> Result<Config> {
        let config = environment::load(self.config.as_deref(), &self.overrides)?;
        config.warnings.iter().for_each(|warning| tracing::warn!("{warning}"));
        Ok(config)
    }
}

fn log(global: &Global, usual: &str) -> Result<()> {
    let level = match global.verbose {
        0 => usual,
        1 => "info",
        _ => "debug",
    };
    let to = match (global.log, &global.gelf) {
        (Log::Text, None) => Logs::Text,
        (Log::Json, None) => Logs::Json,
        (Log::Journald, None) => Logs::Journald,
        (Log::Gelf, Some(place)) => Logs::Gelf(place.clone()),
        (Log::Gelf, None) => bail!("--log gelf needs --gelf HOST:PORT beside it."),
        (Log::Text | Log::Json | Log::Journald, Some(_)) => bail!("--gelf needs --log gelf beside it."),
    };
    logs::start(&to, level).map_err(Error::msg)
}

fn key_value(text: &str) -> Result<(String, String)> {
    let (key, value) = text.split_once('=').ok_or_else(|| anyhow!("write KEY=VALUE"))?;
    Ok((key.trim().to_owned(), value.to_owned()))
}

/// A TIME of the command line: RFC 3339, or a span before now such as `-90m`.
fn time(text: &str) -> Result<Time> {
    moment(text, clock::now()).map_err(|sentence| anyhow!(sentence))
}
