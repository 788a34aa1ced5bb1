//! Feeds the past to [`crate::backtest`]: from a state file, from files of mails, or from the mailbox itself.

mod files;
mod mails;
mod mbox;
mod stored;

use anyhow::{Result, bail};
use chrono::TimeDelta;

use crate::backtest::{Outcome, SPAN_MAX};
use crate::config::Config;
use crate::time::{Time, rfc3339};
pub use files::read as read_files;
pub use mails::Mails;
pub use stored::replay as replay_state;

/// Which part of the past is judged; without an end it is all that the source holds.
#[derive(Debug, Clone, Copy, Default)]
pub struct Asked {
    pub from: Option<Time>,
    pub until: Option<Time>,
}

/// What the configurations would have alarmed.
#[derive(Debug)]
pub struct Rerun {
    pub from: Time,
    pub until: Time,
    /// Mails in the span, and how many of them are reports to each configuration.
    pub mails: u64,
    pub reports: Vec<u64>,
    /// How often and how long a mailbox could not be looked at.
    pub blind: (usize, TimeDelta),
    /// One for each configuration.
    pub outcomes: Vec<Outcome>,
    /// What was left out, one sentence each.
    pub remarks: Vec<String>,
    /// What each configuration could not judge anew.
    pub doubts: Vec<Vec<String>>,
}

/// What is told while it goes on: how many mails are judged, and how many there are.
pub type Progress<'a> = &'a mut dyn FnMut(u64, u64);

impl Asked {
    /// The asked part of what there is.
    ///
    /// # Errors
    /// When nothing is left, or it is too long.
    fn of(self, first: Time, last: Time) -> Result<(Time, Time)> {
        let from = self.from.map_or(first, |from| from.max(first));
        let until = self.until.map_or(last, |until| until.min(last));
        if from >= until {
            bail!(
                "Nothing is left to judge: the source reaches from {} to {}.",
                rfc3339(first),
                rfc3339(last)
            );
        }
        if until - from > SPAN_MAX {
            bail!(
                "The span from {} to {} is longer than {} days; choose a part with --from and --until.",
                rfc3339(from),
                rfc3339(until),
                SPAN_MAX.num_days()
            );
        }
        Ok((from, until))
    }
}

/// When the virtual watchdogs start: long enough before the span to know everybody when it begins.
fn start(asked: Asked, configs: &[Config], from: Time, first: Time) -> Time {
    let warm_up = configs.iter().map(crate::backtest::warm_up).max().unwrap_or_default();
    if asked.from.is_some() { (from - warm_up).max(first) } else { from }
}
