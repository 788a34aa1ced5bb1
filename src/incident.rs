//! Verdicts → incidents: what belongs together, and under which name it is announced. Pure.
//!
//! Silences that began within one cycle + margin of each other are one incident. The first is announced at once; the
//! later ones join, and are named by at most one more message, once nobody else can join any more.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::bulletin::About;
use crate::config::Event;
use crate::ledger::Outcome;
use crate::reason::Cause;
use crate::time::Time;

/// An incident of several silences is announced at most this often: first, and once more with all who joined.
const ANNOUNCEMENTS_MAX: usize = 2;

/// What an incident is about.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Subject {
    /// One checker or several are silent.
    Silence,
    /// A service is NOK or MISSING, whoever saw it.
    Service(String),
    /// The mailbox of this name in alarms cannot be read.
    Mailbox(String),
    /// The runs of this checker break the rules of reporting.
    Report(String),
    /// The watchdog's clock is not that of the mail server; its members are mailboxes.
    Clock,
    /// Mails in the name of this checker are not believed to be its own.
    Spoof(String),
    /// The channel of this name does not take messages; its members are the recipients who do not get them.
    Channel(String),
    /// What opens the mailbox of this name ends soon; the members are its credentials.
    Expiry(String),
    /// Nothing is wrong: an alarm that shows whether alarms arrive. Its members are channels.
    Drill,
    /// Nobody knows whether alarms arrive; its members are the channels that have not proved it for too long.
    Proof,
    /// What the channel of this name signs in with ends soon; the members are its credentials.
    ChannelExpiry(String),
    /// Nobody would hear of the loss of its members, things of [`crate::independence::Lost`]: so grave is it.
    Dependence(Severity),
}

impl Subject {
    /// The kind of alarm, by which a channel says whether it wants it.
    pub fn event(&self) -> Event {
        match self {
            Self::Silence | Self::Report(_) | Self::Spoof(_) => Event::Checker,
            Self::Service(_) => Event::Service,
            Self::Mailbox(_)
            | Self::Channel(_)
            | Self::Clock
            | Self::Expiry(_)
            | Self::ChannelExpiry(_)
            | Self::Drill
            | Self::Proof
            | Self::Dependence(_) => Event::Mailbox,
        }
    }

    pub fn severity(&self) -> Severity {
        match self {
            Self::Silence | Self::Service(_) | Self::Mailbox(_) | Self::Channel(_) => Severity::Critical,
            // What the far side does with alarms that matter less is not what has to be proved.
            Self::Drill => Severity::Critical,
            // What is forged counts for nothing; a death that it should hide is critical by itself.
            Self::Report(_)
            | Self::Clock
            | Self::Spoof(_)
            | Self::Expiry(_)
            | Self::ChannelExpiry(_)
            | Self::Proof => Severity::Warning,
            Self::Dependence(severity) => *severity,
        }
    }

    /// The service it is about.
    pub fn service(&self) -> Option<&str> {
        match self {
            Self::Service(service) => Some(service),
            Self::Silence
            | Self::Mailbox(_)
            | Self::Channel(_)
            | Self::Report(_)
            | Self::Clock
            | Self::Spoof(_)
            | Self::Expiry(_)
            | Self::Drill
            | Self::Proof
            | Self::ChannelExpiry(_)
            | Self::Dependence(_) => None,
        }
    }

    /// The word in the store.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Silence => "silence",
            Self::Service(_) => "service",
            Self::Mailbox(_) => "mailbox",
            Self::Report(_) => "report",
            Self::Clock => "clock",
            Self::Spoof(_) => "spoof",
            Self::Channel(_) => "channel",
            Self::Expiry(_) => "expiry",
            Self::Drill => "drill",
            Self::Proof => "proof",
            Self::ChannelExpiry(_) => "channel_expiry",
            Self::Dependence(_) => "dependence",
        }
    }
}

/// How much it matters, for routes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// Something will break, or tells less than it should.
    Warning,
    /// Something does not work, or nobody can say whether it does.
    Critical,
}

impl Severity {
    /// The word in the configuration and in JSON.
    pub fn word(self) -> &'static str {
        match self {
            Self::Warning => "warning",
            Self::Critical => "critical",
        }
    }
}

/// How a checker's part in an incident ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum End {
    Recovered(Time),
    /// Taken out of the configuration.
    Removed(Time),
    /// A person said that it is over.
    Resolved(Time),
}

/// A checker's part in an incident.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Member {
    /// Silence: when it was last heard, or first watched for. Service: when its bad results began. Report: when its runs began
    /// to break the rules.
    pub since: Time,
    /// Service: what was seen.
    pub outcome: Option<Outcome>,
    /// Service: what it sees changes all the time.
    pub flapping: Option<Flapping>,
    /// An announcement has named it.
    pub named: bool,
    pub end: Option<End>,
}

/// So many changes between good and bad within so long, or more. It lasts until there was none for as long.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Flapping {
    pub changes: u32,
    pub within_ms: i64,
}

/// An alarm that went out and is owed a recovery.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Announced {
    /// Without `.NOK`.
    pub token: String,
    pub at: Time,
    /// Who was told, and when the last time.
    pub channels: BTreeMap<String, Time>,
    /// The number of the first notice to each of them.
    pub first: BTreeMap<String, u32>,
    /// Whom it was about, and why.
    pub about: About,
    pub recovered: Option<Time>,
}

impl Announced {
    /// The notice of this number goes to these channels.
    pub fn tell(&mut self, channels: &BTreeSet<String>, ordinal: u32, now: Time) {
        self.channels.extend(channels.iter().map(|name| (name.clone(), now)));
        channels.iter().for_each(|name| {
            self.first.entry(name.clone()).or_insert(ordinal);
        });
    }
}

/// Somebody has taken an incident.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Acknowledgement {
    pub by: String,
    pub at: Time,
    /// Then it counts no more; None: until the incident is over.
    pub until: Option<Time>,
    pub note: Option<String>,
}

/// One thing that happened to an incident, for an auditor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// What people call the incident.
    pub incident: String,
    pub at: Time,
    pub what: What,
    pub by: Option<String>,
    /// The token, the channels, the note.
    pub detail: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum What {
    Opened,
    Announced,
    HandedOver,
    /// Told to more channels, as the policies say.
    Escalated,
    Repeated,
    Silenced,
    Acknowledged,
    AcknowledgementEnded,
    Recovered,
    Resolved,
    /// A drill came through a channel, and its link was pressed.
    Proved,
    /// In its time no link was pressed.
    NotProved,
    Closed,
}

impl What {
    /// The word in the store and in JSON.
    pub fn word(self) -> &'static str {
        match self {
            Self::Opened => "opened",
            Self::Announced => "announced",
            Self::HandedOver => "handed_over",
            Self::Escalated => "escalated",
            Self::Repeated => "repeated",
            Self::Silenced => "silenced",
            Self::Acknowledged => "acknowledged",
            Self::AcknowledgementEnded => "acknowledgement_ended",
            Self::Recovered => "recovered",
            Self::Resolved => "resolved",
            Self::Proved => "proved",
            Self::NotProved => "not_proved",
            Self::Closed => "closed",
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Incident {
    /// Never used twice in one store.
    pub number: u64,
    pub subject: Subject,
    pub opened: Time,
    pub closed: Option<Time>,
    pub members: BTreeMap<String, Member>,
    pub announced: Vec<Announced>,
    /// Announcements that named somebody for the first time.
    pub alarms: usize,
    /// Messages composed so far; numbers them within the incident.
    pub messages: u32,
    /// When the first of several silent checkers was heard again.
    pub recovering_since: Option<Time>,
    /// Its members only seemed to fall silent together: what they had in common is over.
    pub apart: bool,
    /// What it is put down to, as far as is known. Revised while it is open.
    pub cause: Option<Cause>,
    pub acknowledged: Option<Acknowledgement>,
}

impl Incident {
    pub fn new(number: u64, subject: Subject, now: Time) -> Self {
        Self {
            number,
            subject,
            opened: now,
            closed: None,
            members: BTreeMap::new(),
            announced: Vec::new(),
            alarms: 0,
            messages: 0,
            recovering_since: None,
            apart: false,
            cause: None,
            acknowledged: None,
        }
    }

    /// What people and mails call it: `20261120-42`.
    pub fn id(&self) -> String {
        format!("{}-{}", self.opened.format("%Y%m%d"), self.number)
    }

    /// The token of the latest announcement, or None when nothing was announced yet.
    pub fn token(&self) -> Option<&str> {
        self.announced.last().map(|announced| announced.token.as_str())
    }

    pub fn join(&mut self, checker: &str, since: Time, outcome: Option<Outcome>) {
        let named = self.members.get(checker).is_some_and(|member| member.named);
        let member = Member { since, outcome, flapping: None, named, end: None };
        self.members.insert(checker.to_owned(), member);
    }

    /// Ends a checker's part. Does nothing when it has none, or it is over.
    pub fn leave(&mut self, checker: &str, end: End) -> bool {
        match self.members.get_mut(checker) {
            Some(member) if member.end.is_none() => {
                member.end = Some(end);
                true
            }
            _ => false,
        }
    }

    pub fn has(&self, checker: &str) -> bool {
        self.members.get(checker).is_some_and(|member| member.end.is_none())
    }

    /// Those whose part is not over.
    pub fn present(&self) -> impl Iterator<Item = (&str, &Member)> {
        self.members
            .iter()
            .filter(|(_, member)| member.end.is_none())
            .map(|(name, member)| (name.as_str(), member))
    }

    /// The time for which a checker was not heard, from its last mail to its next, when others fell silent with it and it was
    /// heard again by `now`.
    pub fn silence_with_others(&self, checker: &str, now: Time) -> Option<(Time, Time)> {
        let together = !self.apart && self.fell_silent().nth(1).is_some();
        let member = self.members.get(checker).filter(|_| together)?;
        match member.end {
            Some(End::Recovered(at)) if at <= now => Some((member.since, at)),
            _ => None,
        }
    }

    /// Those who fell silent, whether or not they are heard again.
    pub fn fell_silent(&self) -> impl Iterator<Item = &str> {
        let removed = |member: &Member| matches!(member.end, Some(End::Removed(_)));
        self.members.iter().filter(move |(_, member)| !removed(member)).map(|(name, _)| name.as_str())
    }

    /// When the last of its members fell silent.
    pub fn last_beginning(&self) -> Option<Time> {
        self.members.values().map(|member| member.since).max()
    }

    /// Tokens that were announced and not recovered yet.
    pub fn owed(&self) -> impl Iterator<Item = &Announced> {
        self.announced.iter().filter(|announced| announced.recovered.is_none())
    }

    pub fn has_unnamed(&self) -> bool {
        self.present().any(|(_, member)| !member.named)
    }

    /// Whether more silences may join: not during a recovery, and not after those who joined were named.
    pub fn takes_more(&self) -> bool {
        self.recovering_since.is_none() && self.alarms < ANNOUNCEMENTS_MAX
    }
}

/// The number in what people call an incident; [`Incident::id`] makes sure of the day.
pub fn number_of(id: &str) -> Option<u64> {
    id.rsplit_once('-')?.1.parse().ok()
}

/// Where a checker stands when a token is chosen.
#[derive(Debug, Clone, Copy)]
pub struct Standing<'a> {
    pub name: &'a str,
    pub provider: &'a str,
    /// It was heard after the others fell silent, or still is. Who was silent before, or never heard, tells nothing.
    pub witness: bool,
    /// It wrote, and its mails are known to lie elsewhere.
    pub spoke: bool,
}

/// The token (without `.NOK`) that fits the silence of `silent`, given all configured checkers.
pub fn silence_token(silent: &BTreeSet<&str>, all: &[Standing<'_>]) -> String {
    let mut names = silent.iter();
    if let (Some(only), None) = (names.next(), names.next()) {
        return format!("{only}_Checker");
    }
    let mut others = all.iter().filter(|one| !silent.contains(one.name) && one.witness).peekable();
    if others.peek().is_none() {
        return "MONITOR_MailPath".to_owned();
    }
    let of_silent = || all.iter().filter(|one| silent.contains(one.name));
    let providers: BTreeSet<&str> = of_silent().map(|one| one.provider).collect();
    let spoke: BTreeSet<bool> = of_silent().map(|one| one.spoke).collect();
    let mut of = providers.iter();
    if let (Some(provider), None) = (of.next(), of.next())
        && spoke.len() == 1
        && others.all(|one| one.provider != *provider)
    {
        return format!("{provider}_Provider");
    }
    "MONITOR_Checkers".to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use chrono::{TimeDelta, TimeZone, Utc};

    fn at(second: i64) -> Time {
        Utc.with_ymd_and_hms(2026, 11, 20, 3, 0, 0).unwrap() + TimeDelta::seconds(second)
    }

    #[test]
    fn the_token_names_what_the_silent_have_in_common() {
        let fleet: &[(&str, &str)] = &[("b1", "free"), ("b2", "free"), ("b3", "orange"), ("b4", "sfr")];
        let cases: &[(&[&str], &[&str], &str)] = &[
            (&["b1"], &["b2", "b3", "b4"], "b1_Checker"),
            (&["b1", "b2"], &["b3", "b4"], "free_Provider"),
            (&["b1", "b2"], &["b4"], "free_Provider"),
            (&["b1", "b3"], &["b2", "b4"], "MONITOR_Checkers"),
            (&["b1", "b2", "b3"], &["b4"], "MONITOR_Checkers"),
            (&["b1", "b2", "b3", "b4"], &[], "MONITOR_MailPath"),
            (&["b1", "b2", "b3"], &[], "MONITOR_MailPath"),
            (&["b3", "b4"], &["b1"], "MONITOR_Checkers"),
            (&["b4"], &[], "b4_Checker"),
        ];
        for (silent, witnesses, expected) in cases {
            let all: Vec<Standing<'_>> = fleet
                .iter()
                .map(|(name, provider)| Standing {
                    name,
                    provider,
                    witness: witnesses.contains(name),
                    spoke: false,
                })
                .collect();
            assert_eq!(silence_token(&silent.iter().copied().collect(), &all), *expected);
        }
    }

    #[test]
    fn a_member_that_comes_back_into_the_incident_is_not_named_twice() {
        let mut incident = Incident::new(1, Subject::Service("A".into()), at(0));
        incident.join("b1", at(0), Some(Outcome::Nok));
        for member in incident.members.values_mut() {
            member.named = true;
        }
        assert!(incident.leave("b1", End::Recovered(at(5))));
        assert!(!incident.leave("b1", End::Recovered(at(6))));
        incident.join("b1", at(10), Some(Outcome::Nok));
        assert!(incident.has("b1") && !incident.has_unnamed());
    }
}
