//! The drill: an alarm about nothing that goes the whole way to a person, or to the flow that acts for one, and back by
//! the link in it. What comes back proves that a real alarm would have arrived, and in what time.
//!
//! Everything else about the channels shows only that the far side took a message: a flow that was switched off behind
//! it, a filter, a team that was deleted, nobody notices before the night it matters.

use std::collections::{BTreeMap, BTreeSet};

use chrono::TimeDelta;
use serde::{Deserialize, Serialize};

use super::Engine;
use crate::config::Pace;
use crate::incident::{End, Incident, Subject, What};
use crate::policy::{Matter, Plan};
use crate::time::{Time, rfc3339, span};
use crate::words::DrillCard;

const DRILL: &str = "MONITOR_Drill";
const PROOF: &str = "MONITOR_Proof";
/// A drill at a time of the clock that was missed by more than this is left out: nobody wants Monday's at night.
const LATE_MAX: TimeDelta = TimeDelta::hours(1);

/// What came back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Proof {
    pub at: Time,
    took_ms: i64,
}

impl Proof {
    /// From when the drill began until the link was pressed.
    pub fn took(self) -> TimeDelta {
        TimeDelta::milliseconds(self.took_ms)
    }
}

/// What is known of one channel and all that comes after it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Chain {
    /// Since then it has to prove itself again and again; None: it need not.
    pub owed_since: Option<Time>,
    pub proof: Option<Proof>,
    /// When the last drill began, if that one was not proved.
    pub unproved: Option<Time>,
}

impl Chain {
    /// From when on its proof is too old; one that never proved itself has as long from when that was first asked.
    pub fn too_old_at(&self, max_age: TimeDelta) -> Option<Time> {
        let since = self.owed_since?;
        Some(self.proof.map_or(since, |proof| proof.at.max(since)) + max_age)
    }
}

/// What is known of all drills so far.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Drills {
    /// When the last one began that nobody ordered.
    begun: Option<Time>,
    /// By channel.
    chains: BTreeMap<String, Chain>,
}

impl Drills {
    /// By channel.
    pub fn chains(&self) -> &BTreeMap<String, Chain> {
        &self.chains
    }
}

impl Engine {
    /// What is known of the channels that have to prove themselves, or have done so.
    pub fn chains(&self) -> &BTreeMap<String, Chain> {
        &self.drills.chains
    }

    /// Begins a drill because a person wants it.
    pub(super) fn order_drill(
        &mut self,
        channel: Option<&str>,
        by: &str,
        now: Time,
    ) -> Result<String, String> {
        if let Some((incident, until)) = self.drill_under_way() {
            let id = incident.id();
            return Err(format!("The drill {id} is under way until {}; wait for its end.", rfc3339(until)));
        }
        let channels = match channel {
            Some(name) if self.config.channels.iter().any(|one| one.name == name) => [name.to_owned()].into(),
            Some(name) => {
                let names: Vec<&str> = self.config.channels.iter().map(|one| one.name.as_str()).collect();
                return Err(format!("There is no channel {name}; there are: {}.", names.join(", ")));
            }
            None => self.drilled(),
        };
        if channels.is_empty() {
            return Err("There is no channel whose messages anybody could answer, so nothing can be proved."
                .to_owned());
        }
        let through = super::announce::listed(&channels);
        let id = self.begin_drill(channels, Some(by.to_owned()), now);
        let until = rfc3339(now + self.config.drill.prove_within);
        Ok(format!("The drill {id} goes through {through}; it is to be proved until {until}."))
    }

    /// The link in a drill's message to this channel was pressed.
    pub(super) fn prove(
        &mut self,
        number: u64,
        channel: &str,
        by: &str,
        now: Time,
    ) -> Result<String, String> {
        let Some(incident) = self.incidents.get_mut(&number) else { return Err("It is over.".to_owned()) };
        let Some(began) = incident.members.get(channel).map(|member| member.since) else {
            return Err(format!("The drill {} did not go through the channel {channel}.", incident.id()));
        };
        if !incident.leave(channel, End::Recovered(now)) {
            return Ok(format!("The chain through {channel} has proved itself already."));
        }
        let over = incident.present().next().is_none();
        self.dirty.incidents.insert(number);
        // The clock may have been set meanwhile.
        let took = (now - began).max(TimeDelta::zero());
        let chain = self.drills.chains.entry(channel.to_owned()).or_default();
        chain.proof = Some(Proof { at: now, took_ms: took.num_milliseconds() });
        chain.unproved = None;
        self.dirty.drills = true;
        let told = format!("through {channel} after {}", span(took));
        self.note_step(number, What::Proved, Some(by.to_owned()), Some(told), now);
        if over {
            self.close(number, now);
        }
        self.end_missing_proof(channel, End::Recovered(now), now);
        Ok(format!("The chain through {channel} has proved itself, {} after the drill began.", span(took)))
    }

    /// Ends the drill whose time is over, begins the one that is due, and alarms proofs that are too old.
    pub(super) fn tend_drills(&mut self, now: Time) {
        self.end_drill(now);
        self.begin_due_drill(now);
        self.notice_missing_proofs(now);
    }

    /// When [`Self::tend_drills`] will have something to do.
    pub(super) fn drill_times(&self) -> impl Iterator<Item = Time> {
        let under_way = self.drill_under_way().map(|(_, until)| until);
        let proofs = self.missing_proofs().map(|(_, time)| time);
        under_way.or(self.drill_due).into_iter().chain(proofs)
    }

    /// Under a new configuration: who has to prove himself, and when the next drill begins.
    pub(super) fn take_over_drill(&mut self, now: Time) {
        let owed = if self.config.drill.pace.is_some() { self.drilled() } else { BTreeSet::new() };
        let before = self.drills.chains.clone();
        let chains = &mut self.drills.chains;
        owed.iter().for_each(|name| {
            chains.entry(name.clone()).or_default().owed_since.get_or_insert(now);
        });
        chains
            .iter_mut()
            .filter(|(name, _)| !owed.contains(*name))
            .for_each(|(_, chain)| chain.owed_since = None);
        let channels: BTreeSet<&str> = self.config.channels.iter().map(|one| one.name.as_str()).collect();
        let blank = Chain::default();
        chains.retain(|name, chain| channels.contains(name.as_str()) && *chain != blank);
        self.dirty.drills |= *chains != before;
        for incident in self.incidents.values_mut().filter(|incident| incident.closed.is_none()) {
            let stays = |name: &str| match incident.subject {
                Subject::Drill => channels.contains(name),
                Subject::Proof => owed.contains(name),
                _ => true,
            };
            let gone = incident.present().map(|(name, _)| name.to_owned());
            let gone: Vec<String> = gone.filter(|name| !stays(name)).collect();
            for name in gone {
                incident.leave(&name, End::Removed(now));
                self.dirty.incidents.insert(incident.number);
            }
        }
        self.drill_due = self.next_drill(now);
    }

    /// A drill goes through its own channels at once, whatever the policies say, and once.
    pub(super) fn plan_of_drill(&self, incident: &Incident) -> Plan {
        let present = incident.present().map(|(name, _)| (name.to_owned(), None));
        Plan { channels: present.collect(), next: None }
    }

    pub(super) fn drill_card(&self) -> DrillCard<'_> {
        let config = &self.config.drill;
        DrillCard {
            chains: &self.drills.chains,
            prove_within: config.prove_within,
            proof_max_age: config.proof_max_age,
        }
    }

    /// The channels that drills go through.
    fn drilled(&self) -> BTreeSet<String> {
        let answered = || self.config.channels.iter().filter(|channel| channel.is_answered());
        let chosen = self.config.drill.channels.clone();
        chosen.unwrap_or_else(|| answered().map(|channel| channel.name.clone()).collect())
    }

    fn drill_under_way(&self) -> Option<(&Incident, Time)> {
        let incident = self.open_about(&Subject::Drill).next()?;
        Some((incident, incident.opened + self.config.drill.prove_within))
    }

    fn begin_drill(&mut self, channels: BTreeSet<String>, by: Option<String>, now: Time) -> String {
        let mut incident = Incident::new(self.last_incident + 1, Subject::Drill, now);
        channels.iter().for_each(|channel| incident.join(channel, now, None));
        let id = incident.id();
        let number = self.open_by(incident, by, now);
        self.announce(number, DRILL.to_owned(), now);
        id
    }

    /// The first moment from `from` on at which a drill may begin.
    fn next_drill(&self, from: Time) -> Option<Time> {
        let drill = &self.config.drill;
        let is_open = |at: Time| drill.schedule.as_ref().is_none_or(|schedule| schedule.is_open(at));
        match drill.pace.as_ref()? {
            Pace::Every(every) => {
                let due = self.drills.begun.map_or(from, |begun| (begun + *every).max(from));
                let opens = || drill.schedule.as_ref().and_then(|schedule| schedule.next_change(due));
                if is_open(due) { Some(due) } else { opens() }
            }
            Pace::At(moments) => {
                let missed = from - LATE_MAX;
                let after = self.drills.begun.map_or(missed, |begun| begun.max(missed));
                let zone = self.config.timezone;
                moments.iter().filter_map(|one| one.next(zone, after, |at| is_open(at.max(from)))).min()
            }
        }
    }

    fn begin_due_drill(&mut self, now: Time) {
        if self.drill_due.is_none_or(|due| due > now) || self.drill_under_way().is_some() {
            return;
        }
        // It may have closed since.
        self.drill_due = self.next_drill(now);
        if self.drill_due.is_none_or(|due| due > now) {
            return;
        }
        let nothing = Incident::new(0, Subject::Drill, now);
        let matter = Matter::of(&nothing, |_| None);
        let (silenced, change) = self.config.policies.silenced(&matter, self.silences.values(), now);
        if silenced {
            self.drill_due = change.and_then(|change| self.next_drill(change));
            return;
        }
        self.drills.begun = Some(now);
        self.dirty.drills = true;
        self.drill_due = self.next_drill(now);
        let channels = self.drilled();
        if !channels.is_empty() {
            self.begin_drill(channels, None, now);
        }
    }

    /// What is not proved in time is not proved.
    fn end_drill(&mut self, now: Time) {
        let Some((incident, until)) = self.drill_under_way() else { return };
        if until > now {
            return;
        }
        let (number, began) = (incident.number, incident.opened);
        let unproved: BTreeSet<String> = incident.present().map(|(name, _)| name.to_owned()).collect();
        for channel in &unproved {
            self.drills.chains.entry(channel.clone()).or_default().unproved = Some(began);
            self.dirty.drills = true;
        }
        let within = span(self.config.drill.prove_within);
        let told = format!("through {} within {within}", super::announce::listed(&unproved));
        self.note_step(number, What::NotProved, None, Some(told), now);
        self.close(number, now);
    }

    /// The channels whose proof is or will be too old, and from when on; without those that are alarmed.
    fn missing_proofs(&self) -> impl Iterator<Item = (&str, Time)> {
        let alarmed = self.proof_incident();
        let max_age = self.config.drill.proof_max_age;
        let chains = self.drills.chains.iter();
        let untold = chains.filter(move |(name, _)| alarmed.is_none_or(|incident| !incident.has(name)));
        untold.filter_map(move |(name, chain)| Some((name.as_str(), chain.too_old_at(max_age)?)))
    }

    fn notice_missing_proofs(&mut self, now: Time) {
        let missing = self.missing_proofs().filter(|(_, time)| *time <= now);
        let missing: Vec<(String, Time)> = missing.map(|(name, time)| (name.to_owned(), time)).collect();
        if missing.is_empty() {
            return;
        }
        let known = self.proof_incident().map(|incident| incident.number);
        let number = known
            .unwrap_or_else(|| self.open(Incident::new(self.last_incident + 1, Subject::Proof, now), now));
        let Some(incident) = self.incidents.get_mut(&number) else { return };
        missing.iter().for_each(|(channel, since)| incident.join(channel, *since, None));
        self.dirty.incidents.insert(number);
        self.announce(number, PROOF.to_owned(), now);
    }

    fn end_missing_proof(&mut self, channel: &str, end: End, now: Time) {
        let Some(number) = self.proof_incident().map(|incident| incident.number) else { return };
        let Some(incident) = self.incidents.get_mut(&number) else { return };
        if incident.leave(channel, end) {
            self.dirty.incidents.insert(number);
        }
        if incident.present().next().is_none() {
            self.close(number, now);
        }
    }

    fn proof_incident(&self) -> Option<&Incident> {
        self.open_about(&Subject::Proof).next()
    }
}
