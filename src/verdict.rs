//! Facts → verdict: what a checker's silence means at a given moment. Pure; computed, never stored.
//!
//! Silence counts only up to `heard_until`, the beginning of the last complete look at the mailbox. Blind is not
//! silent; what was silent stays silent while blind. Ages count by the server's clock, blindness by the watchdog's.

use chrono::TimeDelta;
use serde::Serialize;

use crate::ledger::{Deadline, Facts};
use crate::time::Time;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// Never heard, and its deadline has not passed since it was first watched for.
    Waiting,
    Ok,
    /// Only the mail path can still excuse it.
    Late,
    Silent,
    /// It would be ok or late, but the mailbox was not read for too long.
    Blind,
}

impl State {
    pub fn word(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Ok => "ok",
            Self::Late => "late",
            Self::Silent => "silent",
            Self::Blind => "blind",
        }
    }
}

/// What is known of the mailboxes that receive a checker's mails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Watch {
    /// The beginning of the last complete look, by the server's clock as receipts are; None before the first one.
    pub heard_until: Option<Time>,
    /// The watchdog's clock is certainly so much ahead of the server's; never negative.
    pub ahead: TimeDelta,
    pub blind_after: TimeDelta,
    /// Whether all mails were read, down to the oldest.
    pub history_known: bool,
    /// Whether the newest mail of a checker that was heard is known. Each source is read newest first, so it is not
    /// while several of them are still being read, or one is read again.
    pub newest_known: bool,
}

/// A state with what it rests on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Verdict {
    pub state: State,
    pub heard_at: Option<Time>,
    /// Age counts from here: what was heard last, or the beginning of the watch, or a grace after the mailbox was down.
    pub base: Option<Time>,
    pub deadline: Deadline,
    /// The moment after which it is silent; None while nothing counts yet.
    pub silent_after: Option<Time>,
}

/// What of the facts about a checker a verdict counts with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Basis {
    pub heard_at: Option<Time>,
    /// Age counts from here.
    pub base: Option<Time>,
    /// The one in force.
    pub deadline: Deadline,
    /// It was judged silent before.
    pub silent: bool,
}

/// Judges one checker at `now`.
pub fn judge(facts: &Facts, watch: Watch, now: Time) -> Verdict {
    let basis = Basis {
        heard_at: facts.heard_at(),
        base: facts.base(),
        deadline: facts.deadline_in_force(),
        silent: facts.silent.is_some(),
    };
    judge_by(basis, watch, now)
}

/// As [`judge`], by what is counted with alone.
pub fn judge_by(basis: Basis, watch: Watch, now: Time) -> Verdict {
    let Basis { heard_at, deadline, .. } = basis;
    // A checker not found so far may still be found in the part of the history that is not read yet.
    let base = basis.base.filter(|_| heard_at.is_some() || watch.history_known);
    let silent_after = base.map(|base| base + deadline.total());
    let state = state(Basis { base, ..basis }, watch, now);
    Verdict { state, heard_at, base, deadline, silent_after }
}

/// Whether a mail newer than the one the silence was counted from proves that the checker lives.
pub fn silence_is_over(facts: &Facts, watch: Watch) -> bool {
    let Some((silence, heard_at)) = facts.silent.zip(facts.heard_at()) else { return false };
    let in_time = watch.heard_until.is_none_or(|until| until - heard_at <= facts.deadline_in_force().total());
    Some(heard_at) > silence.heard_at && in_time
}

fn state(counted: Basis, watch: Watch, now: Time) -> State {
    let silence = counted.base.zip(watch.heard_until).map(|(base, until)| until - base);
    let passed = silence.is_some_and(|silence| silence > counted.deadline.total());
    if counted.silent || (passed && watch.newest_known) {
        return State::Silent;
    }
    if counted.heard_at.is_none() {
        return State::Waiting;
    }
    if watch.heard_until.is_none_or(|until| now - watch.ahead - until > watch.blind_after) {
        return State::Blind;
    }
    if silence.is_some_and(|silence| silence > counted.deadline.late_after()) {
        State::Late
    } else {
        State::Ok
    }
}

#[cfg(test)]
mod tests;
