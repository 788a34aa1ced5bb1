//! Who belongs to each open silence, by their places: what has to be known of all of them after every look with news.

use std::collections::{BTreeMap, BTreeSet};

use chrono::TimeDelta;

use super::Engine;
use super::fleet::Place;
use crate::incident::{End, Incident, Subject};
use crate::time::Time;

/// The members of one incident that are configured.
#[derive(Debug, Default)]
pub(super) struct Roll {
    /// Those who are silent, by when that began.
    pub(super) present: BTreeSet<(Time, Place)>,
    /// Those of them whom no announcement has named.
    pub(super) unnamed: BTreeSet<Place>,
    /// Those whose part is over, but not those who were taken out of the configuration.
    pub(super) back: BTreeSet<Place>,
    /// When the last of all its members fell silent.
    pub(super) last: Option<Time>,
    /// Others may join.
    takes_more: bool,
}

impl Roll {
    pub(super) fn of(incident: &Incident, index: &BTreeMap<String, Place>) -> Self {
        let mut roll = Self { takes_more: incident.takes_more(), ..Self::default() };
        for (name, member) in &incident.members {
            roll.last = roll.last.max(Some(member.since));
            let Some(place) = index.get(name) else { continue };
            match member.end {
                None => roll.join(*place, member.since, member.named),
                Some(End::Removed(_)) => {}
                Some(End::Recovered(_) | End::Resolved(_)) => {
                    roll.back.insert(*place);
                }
            }
        }
        roll
    }

    fn join(&mut self, place: Place, since: Time, named: bool) {
        self.last = self.last.max(Some(since));
        self.present.insert((since, place));
        self.back.remove(&place);
        if !named {
            self.unnamed.insert(place);
        }
    }

    /// Those who fell silent, whether or not they are heard again.
    pub(super) fn fell_silent(&self) -> impl Iterator<Item = Place> {
        self.present.iter().map(|(_, place)| *place).chain(self.back.iter().copied())
    }

    /// Whether a silence that began at `since` belongs to it.
    pub(super) fn admits(&self, since: Time, window: TimeDelta) -> bool {
        self.takes_more && near(&self.present, since, window, Place::MIN, Place::MAX).next().is_some()
    }
}

/// Those within `window` of `since`, which is negative for nobody.
fn near<T: Ord + Copy>(
    row: &BTreeSet<(Time, T)>,
    since: Time,
    window: TimeDelta,
    least: T,
    most: T,
) -> impl Iterator<Item = T> {
    let window = window.max(TimeDelta::zero());
    row.range((since - window, least)..=(since + window, most)).map(|(_, one)| *one)
}

#[derive(Debug, Default)]
pub(super) struct Rolls {
    /// By the number of the incident.
    rolls: BTreeMap<u64, Roll>,
    /// When those fell silent whom others may join.
    joinable: BTreeSet<(Time, (u64, Place))>,
}

impl Rolls {
    pub(super) fn get(&self, number: u64) -> Option<&Roll> {
        self.rolls.get(&number)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (u64, &Roll)> {
        self.rolls.iter().map(|(number, roll)| (*number, roll))
    }

    /// Puts in what is known of an incident anew.
    pub(super) fn put(&mut self, number: u64, roll: Roll) {
        self.remove(number);
        if roll.takes_more {
            self.joinable.extend(roll.present.iter().map(|(since, place)| (*since, (number, *place))));
        }
        self.rolls.insert(number, roll);
    }

    pub(super) fn remove(&mut self, number: u64) {
        let Some(roll) = self.rolls.remove(&number).filter(|roll| roll.takes_more) else { return };
        for (since, place) in &roll.present {
            self.joinable.remove(&(*since, (number, *place)));
        }
    }

    fn join(&mut self, number: u64, place: Place, since: Time, named: bool) {
        let Some(roll) = self.rolls.get_mut(&number) else { return };
        roll.join(place, since, named);
        if roll.takes_more {
            self.joinable.insert((since, (number, place)));
        }
    }

    fn leave(&mut self, number: u64, place: Place, since: Time, end: End) {
        let Some(roll) = self.rolls.get_mut(&number) else { return };
        roll.present.remove(&(since, place));
        roll.unnamed.remove(&place);
        if !matches!(end, End::Removed(_)) {
            roll.back.insert(place);
        }
        self.joinable.remove(&(since, (number, place)));
    }

    /// The first incident that admits who has been silent `since` then.
    pub(super) fn joined_by(&self, since: Time, window: TimeDelta) -> Option<u64> {
        // Nearly always everybody belongs to the same one.
        let mut rolls = self.rolls.iter().filter(|(_, roll)| roll.takes_more && !roll.present.is_empty());
        let (first, roll) = rolls.next()?;
        if roll.admits(since, window) {
            return Some(*first);
        }
        let least = (u64::MIN, Place::MIN);
        let most = (u64::MAX, Place::MAX);
        near(&self.joinable, since, window, least, most).map(|(number, _)| number).min()
    }
}

impl Engine {
    /// Looks again who belongs to an open silence, and whether others may join.
    pub(super) fn enroll(&mut self, number: u64) {
        let open = |incident: &&Incident| incident.closed.is_none() && incident.subject == Subject::Silence;
        match self.incidents.get(&number).filter(open) {
            Some(incident) => {
                self.rolls.put(number, Roll::of(incident, &self.index));
                self.splits.set(number, self.split_time(incident));
            }
            None => self.rolls.remove(number),
        }
    }

    /// The places of the checkers have changed.
    pub(super) fn enroll_anew(&mut self) {
        let numbers: Vec<u64> = self.open_about(&Subject::Silence).map(|incident| incident.number).collect();
        self.rolls = Rolls::default();
        numbers.into_iter().for_each(|number| self.enroll(number));
    }

    /// A silent checker joins an open silence.
    pub(super) fn join_silence(&mut self, number: u64, name: &str, since: Time, now: Time) {
        let Some(incident) = self.incidents.get_mut(&number) else { return };
        incident.join(name, since, None);
        let named = incident.members.get(name).is_some_and(|member| member.named);
        self.opened.joined(name, number);
        self.dirty.incidents.joined(number, incident.members.len(), now);
        if let Some(silence) = self.facts.get_mut(name).and_then(|facts| facts.silent.as_mut()) {
            silence.incident = Some(number);
            self.dirty.facts.insert(name.to_owned());
        }
        if let Some(place) = self.index.get(name) {
            self.rolls.join(number, *place, since, named);
        }
    }

    /// What a store held: who joined last may stand in the row of the checker alone.
    pub(super) fn take_up_joined(&mut self) {
        for (name, facts) in &self.facts {
            let Some(silence) = facts.silent.filter(|silence| !silence.resolved) else { continue };
            let Some(number) = silence.incident.filter(|_| !self.opened.is_silent(name)) else { continue };
            let joins =
                |incident: &&mut Incident| incident.closed.is_none() && incident.subject == Subject::Silence;
            let Some(incident) = self.incidents.get_mut(&number).filter(joins) else { continue };
            incident.join(name, silence.heard_at.or(facts.watched_since).unwrap_or(silence.judged), None);
            self.opened.joined(name, number);
            self.dirty.incidents.insert(number);
        }
    }

    /// Its part in an open silence is over.
    pub(super) fn leave_silence(&mut self, number: u64, name: &str, end: End) {
        let Some(incident) = self.incidents.get_mut(&number) else { return };
        let since = incident.members.get(name).map(|member| member.since);
        incident.leave(name, end);
        self.opened.left(name);
        self.dirty.incidents.insert(number);
        if let Some((place, since)) = self.index.get(name).zip(since) {
            self.rolls.leave(number, *place, since, end);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use chrono::{TimeZone, Utc};

    fn at(second: i64) -> Time {
        Utc.with_ymd_and_hms(2026, 11, 20, 3, 0, 0).unwrap() + TimeDelta::seconds(second)
    }

    #[test]
    fn silences_that_began_together_are_one_incident() {
        let mut incident = Incident::new(1, Subject::Silence, at(400));
        incident.join("b1", at(0), None);
        let window = TimeDelta::seconds(360);
        let joined_by = |incident: &Incident, since| {
            let mut rolls = Rolls::default();
            rolls.put(1, Roll::of(incident, &BTreeMap::from([("b1".to_owned(), 0)])));
            rolls.joined_by(since, window)
        };
        assert_eq!(joined_by(&incident, at(360)), Some(1));
        assert_eq!(joined_by(&incident, at(-360)), Some(1));
        assert_eq!(joined_by(&incident, at(361)), None);
        incident.recovering_since = Some(at(500));
        assert_eq!(joined_by(&incident, at(10)), None, "who falls silent during the recovery is on its own");
    }

    #[test]
    fn who_fell_silent_in_between_joins_the_first_that_is_near() {
        let mut rolls = Rolls::default();
        for (number, place) in [(1, 0), (2, 1), (3, 2)] {
            let mut roll = Roll { takes_more: true, ..Roll::default() };
            roll.join(place, at(1_000 * i64::try_from(number).unwrap()), false);
            rolls.put(number, roll);
        }
        let window = TimeDelta::seconds(600);
        assert_eq!(rolls.joined_by(at(2_500), window), Some(2));
        assert_eq!(rolls.joined_by(at(2_700), window), Some(3));
        rolls.leave(2, 1, at(2_000), End::Recovered(at(2_400)));
        assert_eq!(rolls.joined_by(at(2_500), window), Some(3));
        rolls.remove(3);
        assert_eq!(rolls.joined_by(at(2_500), window), None);
    }
}
