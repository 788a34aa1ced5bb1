//! Messages → alarms: when each token was announced, what it was about, and when it recovered.

use std::collections::{BTreeMap, BTreeSet};

use chrono::TimeDelta;

use crate::config::Config;
use crate::engine::Mailbox;
use crate::incident::{Incident, Subject};
use crate::ledger::Deadline;
use crate::outbox::{Kind, Message};
use crate::reason::Reason;
use crate::time::Time;

/// One announced token with its recovery.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Alarm {
    /// Without `.NOK`.
    pub token: String,
    /// What the incident is about.
    pub about: Subject,
    /// Whom it named.
    pub checkers: BTreeSet<String>,
    /// When what it is about began: when the first silent checker was last heard, the first bad run, the last look before the
    /// watchdog was blind.
    pub began: Time,
    pub alarmed: Time,
    /// None when it stood to the end.
    pub recovered: Option<Time>,
    /// What it is put down to, as far as was known in the end.
    pub reason: Option<Reason>,
    /// The subject of the mail.
    pub subject: String,
    /// It recovered by itself within one cycle and margin of those it named, with their next mail: probably a false alarm.
    pub short: bool,
}

impl Alarm {
    /// How long after its beginning it was alarmed.
    pub fn late(&self) -> TimeDelta {
        (self.alarmed - self.began).max(TimeDelta::zero())
    }

    /// How long it stood.
    pub fn lasted(&self) -> Option<TimeDelta> {
        self.recovered.map(|recovered| recovered - self.alarmed)
    }

    /// Whether both tell people of the same thing at the same time.
    pub fn is_the_same_as(&self, other: &Self) -> bool {
        let over = |alarm: &Self| alarm.recovered.unwrap_or(Time::MAX_UTC);
        let same_thing = self.token == other.token
            || (self.about == other.about && !self.checkers.is_disjoint(&other.checkers));
        same_thing && self.alarmed <= over(other) && other.alarmed <= over(self)
    }
}

/// What one configuration would have alarmed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// In the span, in the order of their announcement.
    pub alarms: Vec<Alarm>,
    /// Tokens that were announced before the span and stood at its beginning.
    pub standing_before: Vec<String>,
}

/// Announcements as they are made.
#[derive(Debug, Default)]
pub(super) struct Journal {
    pub(super) alarms: Vec<Alarm>,
    /// The place in `alarms` of every token that stands, by incident and token.
    standing: BTreeMap<(String, String), usize>,
}

impl Journal {
    /// What was alarmed from `from` on by this configuration.
    pub(super) fn outcome(self, config: &Config, from: Time) -> Outcome {
        let checkers = config.checkers.iter();
        let cycles: BTreeMap<&str, TimeDelta> = checkers
            .map(|checker| (checker.name.as_str(), Deadline::of(checker).together_within()))
            .collect();
        let longest = cycles.values().max().copied().unwrap_or_default();
        let (before, mut alarms): (Vec<Alarm>, Vec<Alarm>) =
            self.alarms.into_iter().partition(|alarm| alarm.alarmed < from);
        for alarm in &mut alarms {
            let cycles = alarm.checkers.iter().filter_map(|name| cycles.get(name.as_str()));
            let cycle = cycles.max().copied().unwrap_or(longest);
            alarm.short = alarm.lasted().is_some_and(|lasted| lasted <= cycle);
        }
        let standing = before.into_iter().filter(|alarm| alarm.recovered.is_none_or(|over| over >= from));
        Outcome { alarms, standing_before: standing.map(|alarm| alarm.token).collect() }
    }

    pub(super) fn note(
        &mut self,
        message: &Message,
        incident: Option<&Incident>,
        mailboxes: &BTreeMap<String, Mailbox>,
    ) {
        let key = (message.incident.clone(), message.token.clone());
        let Some(incident) = incident else { return };
        let reason = incident.cause.as_ref().map(|cause| cause.reason);
        let standing = self.standing.get(&key).copied();
        if let Some(alarm) = standing.and_then(|place| self.alarms.get_mut(place)) {
            alarm.reason = reason.or(alarm.reason);
        }
        match message.kind {
            Kind::Notice => return,
            Kind::Recovery => {
                self.standing.remove(&key);
                if let Some(alarm) = standing.and_then(|place| self.alarms.get_mut(place)) {
                    alarm.recovered = Some(message.created);
                }
                return;
            }
            Kind::Alarm => {}
        }
        let named: BTreeSet<String> = incident.present().map(|(name, _)| name.to_owned()).collect();
        if let Some(alarm) = standing.and_then(|place| self.alarms.get_mut(place)) {
            alarm.checkers.extend(named);
            return;
        }
        self.standing.insert(key, self.alarms.len());
        let first = incident.present().map(|(_, member)| member.since).min();
        let last_look = match &incident.subject {
            Subject::Mailbox(name) => mailboxes.get(name).and_then(|mailbox| mailbox.heard_until),
            _ => None,
        };
        self.alarms.push(Alarm {
            token: message.token.clone(),
            about: incident.subject.clone(),
            checkers: named,
            began: first.or(last_look).unwrap_or(incident.opened),
            alarmed: message.created,
            recovered: None,
            reason,
            subject: message.subject.clone(),
            short: false,
        });
    }
}
