//! Incidents → what `incidents` and the API show of them. Pure.

use std::collections::BTreeSet;

use serde::Serialize;

use crate::config::Config;
use crate::incident::{Incident, Subject};
use crate::reason::{Confidence, Reason};
use crate::time::{Time, as_optional_rfc3339, as_rfc3339};

/// The list of the contract.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Incidents {
    pub incidents: Vec<IncidentLine>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct IncidentLine {
    pub id: String,
    /// Without `.NOK`; null when nothing was announced.
    pub token: Option<String>,
    pub state: Standing,
    #[serde(serialize_with = "as_rfc3339")]
    pub opened: Time,
    #[serde(serialize_with = "as_optional_rfc3339")]
    pub closed: Option<Time>,
    /// Those it is about; of a closed one all whom it was about.
    pub checkers: Vec<String>,
    pub providers: BTreeSet<String>,
    pub services: Vec<String>,
    pub reason: Option<Reason>,
    pub confidence: Option<Confidence>,
    /// Who has taken it, and until when.
    pub acknowledged_by: Option<String>,
    #[serde(serialize_with = "as_optional_rfc3339")]
    pub acknowledged_until: Option<Time>,
    pub note: Option<String>,
    /// The channels that had the alarm.
    pub channels: BTreeSet<String>,
    pub steps: Vec<StepLine>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Standing {
    Open,
    Acknowledged,
    Closed,
}

impl Standing {
    pub fn word(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Acknowledged => "acknowledged",
            Self::Closed => "closed",
        }
    }
}

/// One thing that happened to it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct StepLine {
    #[serde(serialize_with = "as_rfc3339")]
    pub at: Time,
    pub what: String,
    pub by: Option<String>,
    pub detail: Option<String>,
}

/// One message about it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct MessageLine {
    pub channel: String,
    pub recipient: String,
    pub subject: String,
    #[serde(serialize_with = "as_rfc3339")]
    pub composed: Time,
    pub state: Way,
    /// When it was delivered or dropped.
    #[serde(serialize_with = "as_optional_rfc3339")]
    pub ended: Option<Time>,
    pub attempts: u32,
    /// What the far side said; of a waiting one why it did not take it.
    pub answer: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Way {
    Waiting,
    Delivered,
    /// Its incident was over first, or its channel gone.
    Dropped,
}

impl Way {
    pub fn word(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Delivered => "delivered",
            Self::Dropped => "dropped",
        }
    }
}

impl IncidentLine {
    /// What is shown of `incident`, whose steps these are.
    pub fn of(incident: &Incident, steps: Vec<StepLine>, config: &Config) -> Self {
        let named = |names: Vec<&str>| names.into_iter().map(str::to_owned).collect::<Vec<_>>();
        let members = match incident.closed {
            None => named(incident.present().map(|(name, _)| name).collect()),
            Some(_) => incident.members.keys().cloned().collect(),
        };
        let (checkers, services) = match &incident.subject {
            Subject::Silence | Subject::Report(_) | Subject::Spoof(_) => (members, Vec::new()),
            Subject::Service(service) => (members, vec![service.clone()]),
            Subject::Mailbox(_)
            | Subject::Channel(_)
            | Subject::Clock
            | Subject::Expiry(_)
            | Subject::Drill
            | Subject::Proof
            | Subject::ChannelExpiry(_)
            | Subject::Dependence(_) => (Vec::new(), Vec::new()),
        };
        let provider_of = |name: &String| {
            config.checkers.iter().find(|checker| checker.name == *name).map(|one| one.provider.clone())
        };
        let taken = incident.acknowledged.as_ref();
        Self {
            id: incident.id(),
            token: incident.token().map(str::to_owned),
            state: match (incident.closed, taken) {
                (Some(_), _) => Standing::Closed,
                (None, Some(_)) => Standing::Acknowledged,
                (None, None) => Standing::Open,
            },
            opened: incident.opened,
            closed: incident.closed,
            providers: checkers.iter().filter_map(provider_of).collect(),
            checkers,
            services,
            reason: incident.cause.as_ref().map(|cause| cause.reason),
            confidence: incident.cause.as_ref().map(|cause| cause.confidence),
            acknowledged_by: taken.map(|taken| taken.by.clone()),
            acknowledged_until: taken.and_then(|taken| taken.until),
            note: taken.and_then(|taken| taken.note.clone()),
            channels: incident
                .announced
                .iter()
                .flat_map(|announced| announced.channels.keys().cloned())
                .collect(),
            steps,
        }
    }
}
