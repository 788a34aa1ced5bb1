//! `[[route]]`: which alarms go where, how often, and to whom next.

use std::collections::BTreeSet;
use std::sync::Arc;

use chrono::TimeDelta;

use super::{Matter, Schedule};
use crate::config::Event;
use crate::incident::Severity;
use crate::reason::Reason;

/// An empty set of conditions matches everything.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Route {
    pub events: BTreeSet<Event>,
    pub severities: BTreeSet<Severity>,
    pub checkers: BTreeSet<String>,
    pub providers: BTreeSet<String>,
    pub services: BTreeSet<String>,
    pub reasons: BTreeSet<Reason>,
    pub channels: BTreeSet<String>,
    /// None: always.
    pub schedule: Option<Arc<Schedule>>,
    /// Told again after this, until somebody takes it; None: once.
    pub repeat: Option<TimeDelta>,
    /// In the order of their times.
    pub escalations: Vec<Escalation>,
    /// The routes after this one are asked too.
    pub goes_on: bool,
}

/// When nobody has taken it for so long, these are told too.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Escalation {
    pub after: TimeDelta,
    pub channels: BTreeSet<String>,
}

impl Route {
    pub(super) fn asks_who(&self) -> bool {
        !self.checkers.is_empty() || !self.providers.is_empty()
    }

    pub fn matches(&self, matter: &Matter) -> bool {
        let mut checkers = matter.checkers.keys();
        let mut providers = matter.checkers.values();
        let one = |wanted: bool, found: bool| !wanted || found;
        one(!self.events.is_empty(), self.events.contains(&matter.event))
            && one(!self.severities.is_empty(), self.severities.contains(&matter.severity))
            && one(!self.checkers.is_empty(), checkers.any(|name| self.checkers.contains(name)))
            && one(!self.providers.is_empty(), providers.any(|provider| self.providers.contains(provider)))
            && one(
                !self.services.is_empty(),
                matter.service.as_ref().is_some_and(|service| self.services.contains(service)),
            )
            && one(
                !self.reasons.is_empty(),
                matter.reason.is_some_and(|reason| self.reasons.contains(&reason)),
            )
    }
}
