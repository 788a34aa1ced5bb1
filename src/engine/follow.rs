//! What policies make of an open incident as time goes on: who is told later, who is told again.

use std::collections::{BTreeMap, BTreeSet};

use chrono::TimeDelta;

use super::Engine;
use crate::incident::{Incident, Subject, What};
use crate::outbox::Kind;
use crate::policy::{Matter, Plan};
use crate::time::Time;
use crate::words;

/// A channel with `repeat = true` that no route is about repeats so often.
const REPEAT: TimeDelta = TimeDelta::minutes(15);

impl Engine {
    /// Who should have been told of an incident by now.
    pub(super) fn plan(&self, incident: &Incident, now: Time) -> Plan {
        if incident.subject == Subject::Drill {
            return self.plan_of_drill(incident);
        }
        let policies = &self.config.policies;
        // Ten thousand may be in it, and most configurations never ask.
        let ask_who = policies.ask_who() || self.silences.values().any(|one| one.silenced.asks_who());
        let checker = |name: &str| self.checker(name).filter(|_| ask_who);
        let matter = Matter::of(incident, |name| checker(name).map(|checker| checker.provider.clone()));
        let (silenced, change) = policies.silenced(&matter, self.silences.values(), now);
        if silenced {
            return Plan { channels: BTreeMap::new(), next: change };
        }
        let usual = self.config.channels_for(matter.event).map(|channel| {
            let repeat = channel.repeat.unwrap_or(false).then_some(REPEAT);
            (channel.name.clone(), repeat)
        });
        let taken = incident.acknowledged.is_some();
        let mut plan = policies.plan(&matter, incident.opened, taken, &usual.collect(), now);
        plan.next = [plan.next, change].into_iter().flatten().min();
        self.go_around(&mut plan, &incident.subject);
        let wants = |name: &str| {
            let channel = self.config.channels.iter().find(|channel| channel.name == name);
            channel.filter(|channel| channel.events.contains(&matter.event))
        };
        plan.channels = std::mem::take(&mut plan.channels)
            .into_iter()
            .filter_map(|(name, repeat)| {
                let channel = wants(&name)?;
                Some((name, repeat.filter(|_| channel.repeat != Some(false))))
            })
            .collect();
        plan
    }

    /// Follows up on every incident whose time has come.
    pub(super) fn follow_up(&mut self, now: Time) {
        let due = self.follow_ups.due(now);
        due.into_iter().for_each(|number| self.follow(number, now));
    }

    /// Follows up on every open incident: what the plans rest on has changed.
    pub(super) fn follow_all(&mut self, now: Time) {
        let open: Vec<u64> = self.open_incidents().map(|incident| incident.number).collect();
        open.into_iter().for_each(|number| self.follow(number, now));
    }

    /// Tells those who should have been told by now and were not, reminds those who are due, and notes when to come back.
    pub(super) fn follow(&mut self, number: u64, now: Time) {
        self.follow_ups.set(number, None);
        let Some(incident) = self.incidents.get(&number).filter(|incident| incident.closed.is_none()) else {
            return;
        };
        let plan = self.plan(incident, now);
        let Some(standing) = incident.owed().last() else { return };
        let token = standing.token.clone();
        let untold = |name: &&String| !standing.channels.contains_key(*name);
        let new: BTreeSet<String> = plan.channels.keys().filter(untold).cloned().collect();
        let taken = incident.acknowledged.is_some();
        let due_again = |(name, repeat): (&String, &Option<TimeDelta>)| {
            let last = standing.channels.get(name)?;
            Some((name.clone(), *last + (*repeat)?)).filter(|_| !taken)
        };
        let again: BTreeMap<String, Time> = plan.channels.iter().filter_map(due_again).collect();
        let (due, later): (Vec<_>, Vec<_>) = again.into_iter().partition(|(_, time)| *time <= now);
        let due: BTreeSet<String> = due.into_iter().map(|(name, _)| name).collect();
        let repeats = plan.channels.iter().filter(|(name, _)| new.contains(*name) || due.contains(*name));
        let soonest = repeats.filter_map(|(_, repeat)| repeat.filter(|_| !taken)).min();
        let next =
            later.into_iter().map(|(_, time)| time).chain(plan.next).chain(soonest.map(|span| now + span));
        if let Some(next) = next.min() {
            self.follow_ups.set(number, Some(next));
        }
        self.tell(number, &token, &new, What::Escalated, now);
        self.tell(number, &token, &due, What::Repeated, now);
    }

    /// Says a standing alarm to these channels: for the first time, or again.
    pub(super) fn tell(
        &mut self,
        number: u64,
        token: &str,
        channels: &BTreeSet<String>,
        what: What,
        now: Time,
    ) {
        let Some(incident) = self.incidents.get(&number).filter(|_| !channels.is_empty()) else { return };
        let mut letter = words::alarm(incident, token, &self.scene(incident, now));
        if what == What::Repeated {
            letter = words::reminder(&letter, token);
        }
        let Some(incident) = self.incidents.get_mut(&number) else { return };
        let ordinal = incident.messages + 1;
        if let Some(standing) = incident.announced.iter_mut().find(|announced| announced.token == token) {
            standing.tell(channels, ordinal, now);
        }
        self.say(number, token, (Kind::Alarm, &letter), self.addresses(channels), now);
        let told = format!("{token} to {}", super::announce::listed(channels));
        self.note_step(number, what, None, Some(told), now);
    }
}
