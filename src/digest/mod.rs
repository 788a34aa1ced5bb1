//! A day or a week in one mail: what was heard and what worked, of the time that was observed; what alarmed, who took it,
//! and how the watchdog itself did. Pure: rows of the store in, text and HTML out.
//!
//! It is no alarm and no recovery: it has no token with a result, and [`crate::words`] sees to it that it says no `NOK`.

pub mod availability;
pub mod calendar;
mod compose;
mod html;
mod page;
pub mod survey;
mod text;

use chrono::TimeDelta;
use chrono_tz::Tz;

use crate::config::Breach;
use crate::expiry::Credential;
use crate::reason::Reason;
use crate::time::Time;
use availability::Availability;
pub use calendar::{Calendar, Every, Period};

/// What stands before the words in its subject.
pub const TOKEN: &str = "MONITOR_Digest";
/// A credential that ends within this is mentioned.
pub const ENDS_SOON: TimeDelta = TimeDelta::days(30);

/// All that a digest tells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Digest {
    /// The watchdog's own name.
    pub watchdog: String,
    /// Which one of several it is.
    pub name: Option<String>,
    pub zone: Tz,
    pub period: Period,
    /// When it should have been made; None: somebody asked for it.
    pub due: Option<Time>,
    pub made: Time,
    /// Time of the period in which at least one mailbox was read.
    pub observed: TimeDelta,
    /// In the order of the configuration.
    pub checkers: Vec<CheckerPart>,
    /// All that lasted for some of the period, in the order of their opening.
    pub incidents: Vec<IncidentPart>,
    /// All that lasted for some of the period.
    pub silences: Vec<SilencePart>,
    /// The rules of reporting that are broken at the end.
    pub findings: Vec<FindingPart>,
    pub deliveries: Deliveries,
    pub endings: Vec<EndingPart>,
    /// What the drills have proved by now.
    pub chains: Vec<ChainPart>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CheckerPart {
    pub name: String,
    pub provider: String,
    pub availability: Availability,
    /// None: no mail of it has a date.
    pub path: Option<PathTimes>,
}

/// How long the mails of one checker took.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PathTimes {
    pub mails: usize,
    pub median: TimeDelta,
    pub p99: TimeDelta,
    pub longest: TimeDelta,
    /// Where the slowest of them spent their time.
    pub slowest: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IncidentPart {
    pub id: String,
    /// Its token without a result; or what it is about, when nothing was announced.
    pub what: String,
    pub opened: Time,
    pub closed: Option<Time>,
    pub announced: Option<Time>,
    /// Who took it first, and when.
    pub taken: Option<(String, Time)>,
    pub reason: Option<Reason>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SilencePart {
    pub checker: String,
    pub since: Time,
    /// None: it lasts.
    pub until: Option<Time>,
    pub reason: Option<Reason>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FindingPart {
    pub checker: String,
    pub breach: Breach,
    pub since: Time,
    /// Runs in a row.
    pub runs: u32,
}

/// How the watchdog's own messages went.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Deliveries {
    /// How long each took that was accepted in the period.
    pub took: Vec<TimeDelta>,
    /// Of these, those that more than one attempt was needed for.
    pub retried: usize,
    /// Never accepted: their incident was over before, or the address was taken out of the configuration.
    pub dropped: usize,
    /// Not accepted yet, the oldest first.
    pub waiting: Vec<Waiting>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Waiting {
    pub subject: String,
    pub channel: String,
    pub since: Time,
    pub attempts: u32,
    pub error: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EndingPart {
    pub mailbox: String,
    pub what: Credential,
    pub at: Time,
}

/// What is known of the chain behind one channel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChainPart {
    pub channel: String,
    /// When a drill last came through, and how long it took.
    pub proof: Option<(Time, TimeDelta)>,
    /// When the last drill began, if it was not proved.
    pub unproved: Option<Time>,
}

/// A digest as it is sent, before anything is broken up in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rendered {
    pub subject: String,
    pub text: String,
    pub html: String,
}

impl Digest {
    pub fn render(&self) -> Rendered {
        let page = compose::page(self);
        Rendered { subject: compose::subject(self), text: text::render(&page), html: html::render(&page) }
    }
}

#[cfg(test)]
mod tests;
