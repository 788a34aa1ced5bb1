//! What a message is about, for machines: what the letter's sentences tell, structured, small and bounded. Pure.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::incident::{End, Incident, Severity, Subject};
use crate::outbox::{Kind, Message};
use crate::reason::Reason;
use crate::time::Time;

/// So many checkers and providers are named; the rest is only counted.
const NAMED_MAX: usize = 20;

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bulletin {
    /// What people call the incident.
    pub incident: String,
    /// Without `.NOK` or `.OK`.
    pub token: String,
    pub state: State,
    pub severity: Severity,
    /// The watchdog's own name.
    pub watchdog: String,
    pub opened: Time,
    /// As it is now.
    pub about: About,
    /// As it was when this token was first alarmed: whoever keys the alarm by it finds it again at the recovery.
    pub announced: About,
    pub services: Vec<String>,
    /// Where a person can take the incident.
    pub link: Option<String>,
    /// When one message says several: what they are. Incident and token are then those of the first of the most severe.
    pub burst: Option<Burst>,
}

/// Several messages in one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Burst {
    pub count: usize,
    /// The same for the same messages, and different for others.
    pub key: u64,
    /// The first twenty, the most severe first.
    pub parts: Vec<Part>,
}

/// One of several messages in one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Part {
    pub incident: String,
    pub token: String,
    pub severity: Severity,
    pub opened: Time,
    pub subject: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    Firing,
    Resolved,
    /// Neither: who took it.
    Notice,
    Test,
}

impl State {
    /// The word in JSON.
    pub fn word(self) -> &'static str {
        match self {
            Self::Firing => "firing",
            Self::Resolved => "resolved",
            Self::Notice => "notice",
            Self::Test => "test",
        }
    }
}

impl From<Kind> for State {
    fn from(kind: Kind) -> Self {
        match kind {
            Kind::Alarm => Self::Firing,
            Kind::Recovery => Self::Resolved,
            Kind::Notice => Self::Notice,
        }
    }
}

/// Whom an incident is about, and why.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct About {
    /// The first twenty by name.
    pub checkers: Vec<String>,
    /// How many they are altogether.
    pub checkers_count: usize,
    /// The first twenty by name.
    pub providers: Vec<String>,
    pub reason: Option<Reason>,
}

impl About {
    /// Those whose part is not over, or with `over` those whose part is.
    pub fn of(incident: &Incident, over: bool, provider_of: impl Fn(&str) -> Option<String>) -> Self {
        let members = match incident.subject {
            Subject::Silence | Subject::Service(_) | Subject::Report(_) | Subject::Spoof(_) => {
                Some(&incident.members)
            }
            Subject::Mailbox(_)
            | Subject::Clock
            | Subject::Channel(_)
            | Subject::Expiry(_)
            | Subject::Drill
            | Subject::Proof
            | Subject::ChannelExpiry(_)
            | Subject::Dependence(_) => None,
        };
        let wanted = |end: Option<End>| end.is_some() == over;
        let names = members.into_iter().flatten().filter(|(_, member)| wanted(member.end));
        let names: Vec<&String> = names.map(|(name, _)| name).collect();
        let mut providers: Vec<String> = names.iter().filter_map(|name| provider_of(name)).collect();
        providers.sort();
        providers.dedup();
        providers.truncate(NAMED_MAX);
        Self {
            checkers_count: names.len(),
            checkers: names.into_iter().take(NAMED_MAX).cloned().collect(),
            providers,
            reason: incident.cause.as_ref().map(|cause| cause.reason),
        }
    }

    fn combined<'a>(abouts: impl Iterator<Item = &'a Self>) -> Self {
        let (mut checkers, mut providers, mut reasons) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
        let mut most = 0;
        for about in abouts {
            checkers.extend(&about.checkers);
            providers.extend(&about.providers);
            reasons.insert(about.reason);
            most = most.max(about.checkers_count);
        }
        let common = (reasons.len() == 1).then(|| reasons.first().copied().flatten());
        Self {
            checkers_count: checkers.len().max(most),
            checkers: checkers.into_iter().take(NAMED_MAX).cloned().collect(),
            providers: providers.into_iter().take(NAMED_MAX).cloned().collect(),
            reason: common.flatten(),
        }
    }
}

impl Bulletin {
    /// What there is to say of an incident under one of its tokens.
    pub fn of(
        incident: &Incident,
        token: &str,
        kind: Kind,
        watchdog: &str,
        provider_of: impl Fn(&str) -> Option<String>,
    ) -> Self {
        let about = About::of(incident, kind == Kind::Recovery, provider_of);
        let announced = incident.announced.iter().find(|announced| announced.token == token);
        Self {
            incident: incident.id(),
            token: token.to_owned(),
            state: kind.into(),
            severity: incident.subject.severity(),
            watchdog: watchdog.to_owned(),
            opened: incident.opened,
            announced: announced.map_or_else(|| about.clone(), |announced| announced.about.clone()),
            about,
            services: incident.subject.service().map(str::to_owned).into_iter().collect(),
            link: None,
            burst: None,
        }
    }

    /// What is about no checker and no service: the watchdog's own state, a test.
    pub fn own(incident: &str, token: &str, state: State, watchdog: &str, opened: Time) -> Self {
        Self {
            incident: incident.to_owned(),
            token: token.to_owned(),
            state,
            severity: if state == State::Test { Severity::Warning } else { Severity::Critical },
            watchdog: watchdog.to_owned(),
            opened,
            about: About::default(),
            announced: About::default(),
            services: Vec::new(),
            link: None,
            burst: None,
        }
    }

    /// What there is to say of several messages in one, of which `lead` belongs to the first.
    pub fn combined(lead: &Self, parts: &[&Message]) -> Self {
        let bulletins = || parts.iter().map(|part| &part.bulletin);
        let services: BTreeSet<&String> = bulletins().flat_map(|one| &one.services).collect();
        let part = |part: &&Message| Part {
            incident: part.incident.clone(),
            token: part.token.clone(),
            severity: part.bulletin.severity,
            opened: part.bulletin.opened,
            subject: part.subject.clone(),
        };
        Self {
            opened: bulletins().map(|one| one.opened).min().unwrap_or(lead.opened),
            about: About::combined(bulletins().map(|one| &one.about)),
            services: services.into_iter().take(NAMED_MAX).cloned().collect(),
            link: None,
            burst: Some(Burst {
                count: parts.len(),
                key: key_of(parts),
                parts: parts.iter().take(NAMED_MAX).map(part).collect(),
            }),
            ..lead.clone()
        }
    }
}

/// FNV-1a, in whatever order they are.
fn key_of(parts: &[&Message]) -> u64 {
    let numbers: BTreeSet<u64> = parts.iter().map(|part| part.id).collect();
    let bytes = numbers.into_iter().flat_map(u64::to_le_bytes);
    bytes.fold(0xcbf2_9ce4_8422_2325, |key, byte| (key ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}
