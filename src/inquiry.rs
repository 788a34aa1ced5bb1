//! One checker in full: its line of the table, the deadline's parts, and why it is in its state. For `explain` and the API.

use anyhow::Result;
use serde::Serialize;

use crate::config::{Checker, Config};
use crate::engine::{Engine, Mailbox, Offset};
use crate::explanation::Known;
use crate::ledger::{Deadline, Facts};
use crate::past;
use crate::store::Store;
use crate::time::{Time, seconds};
use crate::verdict::judge;
use crate::view::{CanaryLine, CheckerLine, LastSeen};
use crate::words::Signature;

/// The mail path is measured by so many of the latest mails: a week of a checker that writes every five minutes.
const REPORTS_READ: u32 = 2_000;

#[derive(Debug, Serialize)]
pub(crate) struct Inquiry {
    /// As in the last-seen table.
    pub checker: CheckerLine,
    pub deadline: DeadlineLine,
    /// For people.
    pub explanation: String,
}

/// `cycle × missed_cycles + Σ timeouts + margin`, in seconds.
#[derive(Debug, Serialize)]
pub(crate) struct DeadlineLine {
    pub cycle_s: f64,
    pub missed_cycles: u32,
    pub timeouts_s: f64,
    pub margin_s: f64,
    pub total_s: f64,
}

impl From<Deadline> for DeadlineLine {
    fn from(deadline: Deadline) -> Self {
        let of = |milliseconds: i64| milliseconds as f64 / 1000.0;
        Self {
            cycle_s: of(deadline.cycle_ms),
            missed_cycles: deadline.missed_cycles,
            timeouts_s: of(deadline.timeouts_ms),
            margin_s: of(deadline.margin_ms),
            total_s: seconds(deadline.total()),
        }
    }
}

/// The configured checker of this name, in letters of any case.
pub(crate) fn named<'a>(config: &'a Config, name: &str) -> Option<&'a Checker> {
    config.checkers.iter().find(|checker| checker.name.eq_ignore_ascii_case(name))
}

/// All that is known of a checker at `now`, or at `as_of`; None when none has this name.
///
/// # Errors
/// When the store cannot be read.
pub(crate) fn inquire(
    store: &Store,
    config: &Config,
    name: &str,
    (as_of, now): (Option<Time>, Time),
) -> Result<Option<Inquiry>> {
    let at = as_of.unwrap_or(now);
    let engine = match as_of {
        Some(time) => past::engine(store, config, time)?,
        None => Engine::restore(config.clone(), store.load()?, now),
    };
    // Whoever was configured then has an answer, and nobody else.
    let Some(checker) = named(engine.config(), name) else { return Ok(None) };
    let facts = engine.facts().get(&checker.name).cloned().unwrap_or_else(|| Facts::new(checker));
    let watch = engine.watch_of(&facts);
    let verdict = judge(&facts, watch, at);
    let deadline = verdict.deadline.into();
    let reports = store.reports_of(&checker.name, at, REPORTS_READ)?;
    let offset = |(name, state): (&'_ String, &Mailbox)| Some((name.clone(), state.clock.offset(at)?));
    let offsets: Vec<(String, Offset)> = engine.mailboxes().iter().filter_map(offset).collect();
    let known = Known {
        checker,
        facts: &facts,
        watch,
        verdict,
        cause: engine.cause(&checker.name, &engine.companies(), at),
        by: Signature { watchdog: &config.name, zone: config.timezone, now: at },
        // What is known of it is not what was known then.
        canary: CanaryLine::of(&engine).filter(|_| as_of.is_none()),
        reports: &reports,
        offsets: &offsets,
    };
    let explanation = known.text();
    let table = match as_of {
        Some(time) => past::last_seen(store, config, time)?,
        None => LastSeen::of(&engine, at),
    };
    let line = table.checkers.into_iter().find(|line| line.name == checker.name);
    Ok(line.map(|checker| Inquiry { checker, deadline, explanation }))
}
