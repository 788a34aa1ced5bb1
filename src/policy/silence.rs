//! `[[silence]]` and the `silence` command: for what, and when, no alarm goes out. Judging goes on, and a recovery whose
//! alarm was announced is told.

use std::collections::BTreeSet;
use std::fmt::{self, Display, Formatter};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{Matter, Schedule};
use crate::time::Time;

/// What is silenced: each of these checkers, all of these providers, each of these services. Nothing named is everything.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Silenced {
    pub checkers: BTreeSet<String>,
    pub providers: BTreeSet<String>,
    pub services: BTreeSet<String>,
}

/// Recurring maintenance, of the configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Maintenance {
    pub silenced: Silenced,
    pub schedule: Arc<Schedule>,
}

/// What a person silenced, once.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Silencing {
    /// Never used twice in one store.
    pub id: u64,
    pub silenced: Silenced,
    pub from: Time,
    /// Then it holds no more.
    pub until: Time,
    pub by: String,
    pub note: Option<String>,
}

/// `checker b1, provider free`, or `everything`.
impl Display for Silenced {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let named = [("checker", &self.checkers), ("provider", &self.providers), ("service", &self.services)];
        let all: Vec<String> = named
            .iter()
            .flat_map(|(what, names)| names.iter().map(move |name| format!("{what} {name}")))
            .collect();
        if all.is_empty() { f.write_str("everything") } else { f.write_str(&all.join(", ")) }
    }
}

impl Silenced {
    /// Whether it matters which checkers a matter is about.
    pub fn asks_who(&self) -> bool {
        !self.checkers.is_empty() || !self.providers.is_empty()
    }

    /// Whether all that the matter is about is silenced.
    pub fn covers(&self, matter: &Matter) -> bool {
        let nothing_named = self.checkers.is_empty() && self.providers.is_empty() && self.services.is_empty();
        let each = |(name, provider): (&String, &String)| {
            self.checkers.contains(name) || self.providers.contains(provider)
        };
        nothing_named
            || matter.service.as_ref().is_some_and(|service| self.services.contains(service))
            || (!matter.checkers.is_empty() && matter.checkers.iter().all(each))
    }
}

impl Maintenance {
    /// Whether it holds for `matter` at `now`, and when that may change.
    pub fn holds(&self, matter: &Matter, now: Time) -> (bool, Option<Time>) {
        if !self.silenced.covers(matter) {
            return (false, None);
        }
        (self.schedule.is_open(now), self.schedule.next_change(now))
    }
}

impl Silencing {
    /// As for [`Maintenance::holds`].
    pub fn holds(&self, matter: &Matter, now: Time) -> (bool, Option<Time>) {
        if !self.silenced.covers(matter) || self.until <= now {
            return (false, None);
        }
        let holds = self.from <= now;
        (holds, Some(if holds { self.until } else { self.from }))
    }
}
