//! The past, judged by another configuration: what would have alarmed, when, and how late. Pure.
//!
//! ```text
//! state, files, mailbox ─▶ Sight (when a look was possible) ─▶ Replay (the engine in virtual time) ─▶ Outcome ─▶ rows
//!                          Recast (stored mails, understood anew) ┘
//! ```
//!
//! What a state file cannot tell: a pause shorter than the `blind_after` of that time leaves no trace, and which of two
//! mailboxes received a mail second is not kept. What people ordered (a silence resolved by hand) is not replayed, nor is
//! the watchdog's own clock compared again.

mod alarm;
mod compare;
mod recast;
mod replay;
mod sight;

use chrono::TimeDelta;

use crate::config::Config;
use crate::ledger::Deadline;
pub use alarm::{Alarm, Outcome};
pub use compare::{Detection, Row, rows};
pub use recast::Recast;
pub use replay::{Mail, Replay};
pub use sight::{Found, Gap, Sight, Span};

/// A longer span is a mistake: a mail with a wrong date, mostly.
pub const SPAN_MAX: TimeDelta = TimeDelta::days(3 * 366);
/// What is usual for a checker is known after fewer deadlines.
const WARM_UP_DEADLINES: i32 = 12;
const WARM_UP_MIN: TimeDelta = TimeDelta::days(1);

/// So long before the span the virtual watchdog starts, so that it knows everybody when the span begins.
pub fn warm_up(config: &Config) -> TimeDelta {
    let longest = config.checkers.iter().map(|checker| Deadline::of(checker).total()).max();
    (longest.unwrap_or_default() * WARM_UP_DEADLINES).clamp(WARM_UP_MIN, SPAN_MAX)
}

#[cfg(test)]
mod tests;
