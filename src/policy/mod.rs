//! Incident → who is told, when, and again when. Pure: `now` comes in, a plan goes out.
//!
//! Without any `[[route]]` every channel is told of what it wants at once. With routes, the first one that matches and
//! whose schedule is open decides; while none is open the alarm waits. What no route matches at all is told as if there
//! were no routes: an alarm never vanishes in a table.

mod moment;
mod route;
mod schedule;
mod silence;

use std::collections::BTreeMap;
use std::sync::Arc;

use chrono::TimeDelta;

use crate::config::Event;
use crate::incident::{Incident, Severity};
use crate::reason::Reason;
use crate::time::Time;
pub use moment::Moment;
pub use route::{Escalation, Route};
pub use schedule::{Hours, Schedule};
pub use silence::{Maintenance, Silenced, Silencing};

/// Everything the configuration says about who is told.
#[derive(Debug, Clone, Default)]
pub struct Policies {
    pub schedules: Vec<Arc<Schedule>>,
    /// In the file's order.
    pub routes: Vec<Route>,
    /// `[[silence]]`: recurring maintenance.
    pub maintenance: Vec<Maintenance>,
}

/// What routes and silences are matched with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Matter {
    pub event: Event,
    pub severity: Severity,
    /// Those it is about, with their providers.
    pub checkers: BTreeMap<String, String>,
    pub service: Option<String>,
    pub reason: Option<Reason>,
}

impl Matter {
    /// What `incident` is about; `provider_of` knows the providers of the checkers.
    pub fn of(incident: &Incident, provider_of: impl Fn(&str) -> Option<String>) -> Self {
        let with_provider = |(name, _): (&str, _)| {
            let provider = provider_of(name)?;
            Some((name.to_owned(), provider))
        };
        Self {
            event: incident.subject.event(),
            severity: incident.subject.severity(),
            checkers: incident.present().filter_map(with_provider).collect(),
            service: incident.subject.service().map(str::to_owned),
            reason: incident.cause.as_ref().map(|cause| cause.reason),
        }
    }
}

/// Who should have been told by now.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Plan {
    /// By channel: told again after this, as long as nobody has taken it.
    pub channels: BTreeMap<String, Option<TimeDelta>>,
    /// The next moment at which the plan may be another.
    pub next: Option<Time>,
}

impl Policies {
    /// Whether it matters to a route or to maintenance which checkers a matter is about.
    pub fn ask_who(&self) -> bool {
        self.routes.iter().any(Route::asks_who) || self.maintenance.iter().any(|one| one.silenced.asks_who())
    }

    /// Whether no alarm goes out about `matter` now, and when that may change.
    pub fn silenced<'a>(
        &self,
        matter: &Matter,
        by_hand: impl Iterator<Item = &'a Silencing>,
        now: Time,
    ) -> (bool, Option<Time>) {
        let recurring = self.maintenance.iter().map(|maintenance| maintenance.holds(matter, now));
        let all: Vec<(bool, Option<Time>)> =
            recurring.chain(by_hand.map(|silencing| silencing.holds(matter, now))).collect();
        (all.iter().any(|(holds, _)| *holds), all.iter().filter_map(|(_, change)| *change).min())
    }

    /// Who should have been told by `now` of a matter that was opened at `opened`; `usual` are the channels that want it
    /// where no route says otherwise, with how often they are told again.
    pub fn plan(
        &self,
        matter: &Matter,
        opened: Time,
        taken: bool,
        usual: &BTreeMap<String, Option<TimeDelta>>,
        now: Time,
    ) -> Plan {
        let matching: Vec<&Route> = self.routes.iter().filter(|route| route.matches(matter)).collect();
        if matching.is_empty() {
            return Plan { channels: usual.clone(), next: None };
        }
        let mut plan = Plan::default();
        let earliest = |next: &mut Option<Time>, time: Option<Time>| {
            *next = [*next, time].into_iter().flatten().min();
        };
        for route in matching {
            if let Some(schedule) = &route.schedule {
                earliest(&mut plan.next, schedule.next_change(now));
                if !schedule.is_open(now) {
                    continue;
                }
            }
            let told = route.channels.iter();
            told.for_each(|channel| {
                plan.channels.entry(channel.clone()).or_insert(route.repeat);
            });
            for step in route.escalations.iter().filter(|_| !taken) {
                let due = opened + step.after;
                if due > now {
                    earliest(&mut plan.next, Some(due));
                    continue;
                }
                step.channels.iter().for_each(|channel| {
                    plan.channels.entry(channel.clone()).or_insert(route.repeat);
                });
            }
            if !route.goes_on {
                break;
            }
        }
        plan
    }
}

#[cfg(test)]
mod tests;
