//! Facts and kept mails → all that is shown of one checker: the deadline sum, the mail path by its hops, the latest mails
//! as they were understood. Pure.

use chrono::TimeDelta;
use serde::Serialize;

use crate::config::Checker;
use crate::ledger::arrivals::Arrival;
use crate::ledger::path::{self, Journey, Latencies};
use crate::ledger::{Facts, MarginBy, Outcome, StoredReport};
use crate::text::quoted;
use crate::time::{Time, as_optional_rfc3339, as_rfc3339, as_seconds};
use crate::view::{CheckerLine, PathLine};
use crate::words;

/// So many of the latest mails are shown.
const MAILS_SHOWN: usize = 20;
/// Fewer mails show nothing of the path: the quickest of them is what the others are compared with.
const MAILS_MIN: usize = 3;
/// Characters of a host's name, and of a name that nobody configured.
const NAME_CHARS_MAX: usize = 60;
/// Names that nobody configured, of one mail.
const UNKNOWN_SHOWN: usize = 5;

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Detail {
    #[serde(serialize_with = "as_rfc3339")]
    pub as_of: Time,
    /// As in the last-seen table.
    pub checker: CheckerLine,
    pub deadline: DeadlineSum,
    /// Its clock minus the true time; null until it is known.
    pub clock_offset: Option<ClockLine>,
    /// Its latest mail that was held on the way.
    pub held: Option<HeldLine>,
    /// Null while too few mails with a date are kept.
    pub path: Option<PathTable>,
    /// Newest first.
    pub mails: Vec<MailLine>,
    /// The latest mails of it that were not heard, newest first.
    pub other_mails: Vec<OtherMail>,
}

/// `cycle × missed_cycles + Σ timeouts + margin`, with its parts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct DeadlineSum {
    #[serde(serialize_with = "as_seconds")]
    pub cycle_s: TimeDelta,
    pub missed_cycles: u32,
    pub tests: Vec<TestLine>,
    #[serde(serialize_with = "as_seconds")]
    pub margin_s: TimeDelta,
    /// The margin follows what was measured.
    pub margin_measured: bool,
    /// Only the mail path can still excuse an older checker.
    #[serde(serialize_with = "as_seconds")]
    pub late_after_s: TimeDelta,
    #[serde(serialize_with = "as_seconds")]
    pub total_s: TimeDelta,
    /// Its age counts from here.
    #[serde(serialize_with = "as_optional_rfc3339")]
    pub counted_from: Option<Time>,
    /// The moment after which it is silent.
    #[serde(serialize_with = "as_optional_rfc3339")]
    pub silent_after: Option<Time>,
    /// The sum in words.
    pub words: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct TestLine {
    pub service: String,
    #[serde(serialize_with = "as_seconds")]
    pub timeout_s: TimeDelta,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct ClockLine {
    #[serde(serialize_with = "as_seconds")]
    pub ahead_s: TimeDelta,
    /// The truth is within this of it.
    #[serde(serialize_with = "as_seconds")]
    pub uncertainty_s: TimeDelta,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct HeldLine {
    #[serde(serialize_with = "as_rfc3339")]
    pub received: Time,
    #[serde(serialize_with = "as_seconds")]
    pub held_s: TimeDelta,
    /// `smtp.free.fr → mx.domain.com`; null when no part of the way explains it.
    pub hop: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PathTable {
    /// When the oldest and the newest of its mails were received.
    #[serde(serialize_with = "as_rfc3339")]
    pub from: Time,
    #[serde(serialize_with = "as_rfc3339")]
    pub until: Time,
    pub whole: HopLine,
    /// In the order of the way.
    pub hops: Vec<HopLine>,
}

/// How long mails took on a part of the way.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct HopLine {
    /// Null: the checker.
    pub from: Option<String>,
    /// Null: the mailbox.
    pub by: Option<String>,
    #[serde(flatten)]
    pub took: PathLine,
}

/// A report as it was understood.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct MailLine {
    #[serde(serialize_with = "as_rfc3339")]
    pub received: Time,
    #[serde(serialize_with = "as_optional_rfc3339")]
    pub sent: Option<Time>,
    #[serde(serialize_with = "as_rfc3339")]
    pub seen: Time,
    pub mailbox: String,
    pub folder: String,
    pub uid: u32,
    /// What it says of the auto test that begins a run; null when nothing.
    pub dryrun: Option<&'static str>,
    pub results: Vec<Said>,
    /// Names in it that nobody configured; the first few.
    pub unknown: Vec<String>,
    pub problems: Vec<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Said {
    pub service: String,
    /// `OK` or `NOK`.
    pub result: &'static str,
}

/// A mail that was not heard.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct OtherMail {
    #[serde(serialize_with = "as_rfc3339")]
    pub received: Time,
    /// A machine word: `junked`, say.
    pub reason: String,
    pub sender: Option<String>,
    pub subject: String,
}

impl Detail {
    /// `reports` are its latest ones, newest first: the path is measured by all of them.
    pub fn of(
        checker: &Checker,
        line: CheckerLine,
        facts: &Facts,
        reports: &[StoredReport],
        other_mails: Vec<OtherMail>,
        as_of: Time,
    ) -> Self {
        let clock = |clock: crate::ledger::ClockOffset| ClockLine {
            ahead_s: clock.offset,
            uncertainty_s: clock.uncertainty,
        };
        let held = |held: crate::ledger::Held| HeldLine {
            received: held.received,
            held_s: held.held,
            hop: held.hop.map(|hop| hop.to_string()),
        };
        Self {
            as_of,
            checker: line,
            deadline: deadline(checker, facts),
            clock_offset: facts.clock_offset().map(clock),
            held: facts.held().map(held),
            path: path_table(reports, checker.cycle),
            mails: reports.iter().take(MAILS_SHOWN).map(mail_line).collect(),
            other_mails,
        }
    }
}

fn deadline(checker: &Checker, facts: &Facts) -> DeadlineSum {
    let sum = facts.deadline_in_force();
    let test =
        |test: &crate::config::Test| TestLine { service: test.service.clone(), timeout_s: test.timeout };
    DeadlineSum {
        cycle_s: sum.cycle(),
        missed_cycles: sum.missed_cycles,
        tests: checker.tests.iter().map(test).collect(),
        margin_s: sum.total() - sum.late_after(),
        margin_measured: sum.margin_by == MarginBy::Measurement,
        late_after_s: sum.late_after(),
        total_s: sum.total(),
        counted_from: facts.base(),
        silent_after: facts.base().map(|base| base + sum.total()),
        words: words::deadline_sum(sum),
    }
}

fn path_table(reports: &[StoredReport], cycle: TimeDelta) -> Option<PathTable> {
    let journeys = reports.iter().map(|report| {
        let seen = &report.observation;
        Journey { arrival: Arrival::of(seen), chain: &seen.mail.received }
    });
    let table = path::table(journeys.collect(), cycle).filter(|table| table.whole.mails >= MAILS_MIN)?;
    let hop = |from: Option<&str>, by: Option<&str>, took: Latencies| HopLine {
        from: from.map(|host| quoted(host, NAME_CHARS_MAX)),
        by: by.map(|host| quoted(host, NAME_CHARS_MAX)),
        took: took.into(),
    };
    let (from, until) = table.span;
    let hops = table.parts.iter().map(|part| hop(part.from.as_deref(), part.by.as_deref(), part.latencies));
    Some(PathTable { from, until, whole: hop(None, None, table.whole), hops: hops.collect() })
}

fn mail_line(report: &StoredReport) -> MailLine {
    let seen = &report.observation;
    let said = |(name, said): (&String, &crate::report::Said)| Said {
        service: name.clone(),
        result: Outcome::from(*said).word(),
    };
    let unknown = seen.mail.unknown.keys().take(UNKNOWN_SHOWN);
    MailLine {
        received: seen.received,
        sent: seen.mail.sent,
        seen: seen.seen,
        mailbox: seen.mailbox.clone(),
        folder: report.folder.clone(),
        uid: report.uid,
        dryrun: seen.mail.dryrun.map(|said| Outcome::from(said).word()),
        results: seen.mail.results.iter().map(said).collect(),
        unknown: unknown.map(|name| quoted(name, NAME_CHARS_MAX)).collect(),
        problems: seen.mail.problems.clone(),
    }
}
