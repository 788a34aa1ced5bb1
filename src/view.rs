//! Engine → the last-seen table: the same value for the terminal, JSON, CSV and the exit status. Pure.

mod canary;
mod chains;
mod mailboxes;

use std::collections::BTreeMap;

use chrono::TimeDelta;
use serde::{Serialize, Serializer};

use crate::audit::{FindingThen, Standing};
use crate::config::{self, Breach, Checker, Reaction, Test};
use crate::engine::{Engine, Offset};
use crate::incident::Subject;
use crate::ledger::Outcome;
use crate::reason::Reason;
use crate::time::{Time, as_optional_rfc3339, as_rfc3339, seconds};
use crate::verdict::{State, Verdict, judge};
pub use canary::{CanaryLine, PathLine};
pub use chains::ChainLine;
pub use mailboxes::{EndingLine, FullnessLine, MailboxLine};

/// The table of the contract.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LastSeen {
    #[serde(serialize_with = "as_rfc3339")]
    pub as_of: Time,
    /// Up to when every mailbox was read; null before that.
    #[serde(serialize_with = "as_optional_rfc3339")]
    pub heard_until: Option<Time>,
    pub checkers: Vec<CheckerLine>,
    pub mailboxes: Vec<MailboxLine>,
    /// Null when there is none in the configuration.
    pub canary: Option<CanaryLine>,
    /// What drills proved of the channels.
    pub chains: Vec<ChainLine>,
    /// Messages that are not delivered yet.
    pub undelivered: usize,
    /// History is still being read: who was not found yet may still be.
    pub provisional: bool,
    /// How many mails were nobody's report, by the reason.
    pub other_mails: BTreeMap<String, u64>,
    /// Mailboxes of which the Junk folder cannot be read, and why.
    pub junk_unread: BTreeMap<String, String>,
    /// An alarm stands that a mailbox cannot be read. Whoever will not try again is blind at once, however lately it was
    /// read.
    #[serde(skip)]
    pub unreadable: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct CheckerLine {
    pub name: String,
    pub provider: String,
    pub state: State,
    /// Why it is silent or delayed.
    pub reason: Option<Reason>,
    #[serde(serialize_with = "as_optional_rfc3339")]
    pub last_received: Option<Time>,
    #[serde(serialize_with = "as_optional_rfc3339")]
    pub last_sent: Option<Time>,
    #[serde(serialize_with = "as_optional_rfc3339")]
    pub heard_at: Option<Time>,
    pub age_s: Option<i64>,
    #[serde(serialize_with = "as_seconds")]
    pub deadline_s: TimeDelta,
    /// The age beyond which it is late.
    #[serde(skip)]
    pub late_s: TimeDelta,
    pub services: Vec<ServiceLine>,
    /// The rules of reporting that its runs break, but for those that are ignored.
    pub findings: Vec<FindingLine>,
    /// A mail of it that could not be understood, newer than its last report, or lately one that is not believed to be its own.
    pub complaint: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ServiceLine {
    pub name: String,
    /// `OK`, `NOK`, `MISSING` or `UNKNOWN`.
    pub result: &'static str,
    #[serde(serialize_with = "as_optional_rfc3339")]
    pub since: Option<Time>,
    /// It is bad in a way that is alarmed.
    #[serde(skip)]
    pub critical: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FindingLine {
    /// `UNKNOWN_SERVICE`, say.
    pub name: &'static str,
    /// The first of the runs in a row that show it.
    #[serde(serialize_with = "as_rfc3339")]
    pub since: Time,
    /// How many they are.
    pub runs: u32,
    /// The newest of them.
    #[serde(serialize_with = "as_rfc3339")]
    pub last_run: Time,
    /// A sentence about that one.
    pub what: String,
}

/// How well all is, in the order of the Nagios plugin convention.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Health {
    Well,
    /// Something is late, degraded or undelivered.
    Warning,
    /// A checker is silent or a service NOK or MISSING.
    Critical,
    /// Blind.
    Unknown,
}

impl Health {
    pub fn exit_status(self) -> u8 {
        match self {
            Self::Well => 0,
            Self::Warning => 1,
            Self::Critical => 2,
            Self::Unknown => 3,
        }
    }
}

impl LastSeen {
    /// The table as the engine knows it at `as_of`. Of other mails it knows nothing.
    pub fn of(engine: &Engine, as_of: Time) -> Self {
        let companies = engine.companies();
        let line = |checker: &Checker| {
            let facts = engine.facts().get(&checker.name)?;
            let verdict = judge(facts, engine.watch_of(facts), as_of);
            let reason = engine.cause(&checker.name, &companies, as_of).map(|cause| cause.reason);
            Some(CheckerLine::of(checker, &Standing::of(facts, reason), &verdict, as_of))
        };
        let heard = engine.mailboxes().values().map(|mailbox| mailbox.heard_until);
        let mailbox = |config: &config::Mailbox| {
            Some(MailboxLine::of(config, engine.mailboxes().get(&config.name)?, as_of))
        };
        Self {
            as_of,
            heard_until: heard.min().flatten(),
            checkers: engine.config().checkers.iter().filter_map(line).collect(),
            mailboxes: engine.config().mailboxes.iter().filter_map(mailbox).collect(),
            canary: CanaryLine::of(engine),
            chains: ChainLine::all(engine, as_of),
            undelivered: engine.outbox().iter().count(),
            other_mails: BTreeMap::new(),
            junk_unread: engine
                .mailboxes()
                .iter()
                .filter_map(|(name, state)| Some((name.clone(), state.junk_failure.clone()?)))
                .collect(),
            provisional: engine.mailboxes().values().any(|mailbox| !mailbox.history_known),
            unreadable: engine
                .open_incidents()
                .any(|incident| matches!(incident.subject, Subject::Mailbox(_))),
        }
    }

    /// The first that holds of: blind, critical, warning, well.
    pub fn health(&self, blind_after: TimeDelta) -> Health {
        let blind = self.unreadable || self.heard_until.is_none_or(|until| self.as_of - until > blind_after);
        let any = |state| self.checkers.iter().any(|checker| checker.state == state);
        let mut services = self.checkers.iter().flat_map(|checker| &checker.services);
        let degraded = |checker: &CheckerLine| checker.complaint.is_some() || !checker.findings.is_empty();
        if blind || any(State::Blind) {
            Health::Unknown
        } else if any(State::Silent) || services.any(|service| service.critical) {
            Health::Critical
        } else if any(State::Late)
            || self.undelivered > 0
            || self.checkers.iter().any(degraded)
            || self.mailboxes.iter().any(MailboxLine::degraded)
            || self.canary.as_ref().is_some_and(CanaryLine::degraded)
            || self.chains.iter().any(|chain| chain.too_old)
        {
            Health::Warning
        } else {
            Health::Well
        }
    }
}

impl CheckerLine {
    /// What a checker's standing shows when this is the verdict on it.
    pub fn of(checker: &Checker, standing: &Standing, verdict: &Verdict, as_of: Time) -> Self {
        let service = |test: &Test| service_line(checker, &test.service, standing, verdict.state);
        Self {
            name: checker.name.clone(),
            provider: checker.provider.clone(),
            state: verdict.state,
            reason: standing.reason,
            last_received: standing.last_received,
            last_sent: standing.last_sent,
            heard_at: verdict.heard_at,
            age_s: verdict.heard_at.map(|heard| (as_of - heard).num_seconds()),
            deadline_s: verdict.deadline.total(),
            late_s: verdict.deadline.late_after(),
            services: checker.tests.iter().map(service).collect(),
            findings: finding_lines(checker, standing, verdict.state),
            complaint: complaint(standing, as_of),
        }
    }
}

fn complaint(standing: &Standing, as_of: Time) -> Option<String> {
    let disbelieved = standing.disbelieved.as_ref().filter(|one| one.until >= as_of);
    standing
        .complaint
        .clone()
        .or_else(|| disbelieved.map(|one| format!("a mail in its name is not believed: {}", one.why)))
}

/// An old OK is never shown as OK: what a silent or unseen checker said last is not known to be true.
fn service_line(checker: &Checker, service: &str, standing: &Standing, state: State) -> ServiceLine {
    let current = standing.services.get(service).filter(|_| speaks(state));
    let outcome = current.map_or(Outcome::Unread, |known| known.outcome);
    ServiceLine {
        name: service.to_owned(),
        result: outcome.word(),
        since: current.map(|known| known.since),
        critical: outcome.is_bad() && checker.findings.alarms(outcome.breach()),
    }
}

/// What a silent checker did wrong before is over with its silence.
fn finding_lines(checker: &Checker, standing: &Standing, state: State) -> Vec<FindingLine> {
    let shown = |breach: Breach| speaks(state) && checker.findings.reaction(breach) != Reaction::Ignore;
    let line = |(breach, finding): (&Breach, &FindingThen)| FindingLine {
        name: breach.word(),
        since: finding.since,
        runs: finding.runs,
        last_run: finding.last_run,
        what: finding.what.clone(),
    };
    standing.findings.iter().filter(|(breach, _)| shown(**breach)).map(line).collect()
}

/// Whether what it said last is known to be true still.
fn speaks(state: State) -> bool {
    matches!(state, State::Ok | State::Late)
}

/// `{ "least": -4.5, "most": 0.6 }`
fn as_range<S: Serializer>(offset: &Option<Offset>, serializer: S) -> Result<S::Ok, S::Error> {
    let bounds = offset
        .map(|offset| BTreeMap::from([("least", seconds(offset.least())), ("most", seconds(offset.most()))]));
    bounds.serialize(serializer)
}

/// Whole seconds as an integer, because that is what nearly every deadline is.
fn as_seconds<S: Serializer>(length: &TimeDelta, serializer: S) -> Result<S::Ok, S::Error> {
    if length.subsec_nanos() == 0 {
        serializer.serialize_i64(length.num_seconds())
    } else {
        serializer.serialize_f64(seconds(*length))
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::expiry::Credential;
    use chrono::{TimeZone, Utc};

    const BLIND_AFTER: TimeDelta = TimeDelta::minutes(3);

    /// A checker that is well.
    pub(crate) fn line(name: &str) -> CheckerLine {
        let as_of = Utc.with_ymd_and_hms(2026, 11, 20, 3, 0, 0).unwrap();
        let service = ServiceLine { name: "SQL".into(), result: "OK", since: Some(as_of), critical: false };
        CheckerLine {
            name: name.into(),
            provider: "free".into(),
            state: State::Ok,
            reason: None,
            last_received: Some(as_of),
            last_sent: Some(as_of),
            heard_at: Some(as_of),
            age_s: Some(0),
            deadline_s: TimeDelta::seconds(400),
            late_s: TimeDelta::seconds(340),
            services: vec![service],
            findings: vec![],
            complaint: None,
        }
    }

    pub(crate) fn well() -> LastSeen {
        let as_of = Utc.with_ymd_and_hms(2026, 11, 20, 3, 0, 0).unwrap();
        LastSeen {
            as_of,
            heard_until: Some(as_of - BLIND_AFTER),
            checkers: vec![line("bresse1")],
            mailboxes: vec![],
            canary: None,
            chains: vec![],
            undelivered: 0,
            provisional: false,
            other_mails: BTreeMap::new(),
            junk_unread: BTreeMap::new(),
            unreadable: false,
        }
    }

    fn status(change: impl FnOnce(&mut LastSeen, &mut CheckerLine)) -> u8 {
        let mut table = well();
        let mut checker = table.checkers.remove(0);
        change(&mut table, &mut checker);
        table.checkers.push(checker);
        table.health(BLIND_AFTER).exit_status()
    }

    #[test]
    fn the_exit_status_is_the_first_that_holds_of_blind_critical_and_warning() {
        assert_eq!(status(|_, _| {}), 0);
        assert_eq!(status(|_, checker| checker.state = State::Waiting), 0);
        assert_eq!(status(|_, checker| checker.state = State::Late), 1);
        assert_eq!(status(|_, checker| checker.complaint = Some("no result".into())), 1);
        assert_eq!(status(|table, _| table.undelivered = 1), 1);
        let finding = FindingLine {
            name: "GAP",
            since: well().as_of,
            runs: 1,
            last_run: well().as_of,
            what: "it came late".into(),
        };
        assert_eq!(status(|_, checker| checker.findings.push(finding)), 1);
        assert_eq!(status(|_, checker| checker.services[0].critical = true), 2);
        let line = |nearly_full, soon| MailboxLine {
            name: "MONITOR".into(),
            heard_until: None,
            clock_offset_s: None,
            login_refused: false,
            fullness: Some(FullnessLine {
                measured: Time::default(),
                percent: 90,
                nearly_full,
                full: false,
                storage: None,
                messages: None,
                words: String::new(),
            }),
            endings: vec![EndingLine { what: Credential::Certificate, at: Time::default(), soon }],
        };
        for (line, expected) in [(line(false, false), 0), (line(true, false), 1), (line(false, true), 1)] {
            assert_eq!(status(|table, _| table.mailboxes.push(line.clone())), expected, "{line:?}");
        }
        let silent_and_undelivered = |table: &mut LastSeen, checker: &mut CheckerLine| {
            checker.state = State::Silent;
            table.undelivered = 1;
        };
        assert_eq!(status(silent_and_undelivered), 2);
        assert_eq!(status(|_, checker| checker.state = State::Blind), 3);
        let too_long_ago = well().as_of - BLIND_AFTER - TimeDelta::milliseconds(1);
        assert_eq!(status(|table, _| table.heard_until = Some(too_long_ago)), 3);
        assert_eq!(status(|table, _| table.heard_until = None), 3);
        let unreadable_and_silent = |table: &mut LastSeen, checker: &mut CheckerLine| {
            checker.state = State::Silent;
            table.unreadable = true;
        };
        assert_eq!(status(unreadable_and_silent), 3);
    }
}
