//! After a complete look: which checkers fell silent or are heard again.

use std::collections::BTreeSet;

use chrono::TimeDelta;

use super::Engine;
use super::fleet::Place;
use crate::incident::{End, Incident, Subject};
use crate::ledger::Silence;
use crate::time::Time;
use crate::verdict::{State, judge, silence_is_over};

/// One who fell silent, or is again in the configuration and still silent.
#[derive(Debug, PartialEq, Eq)]
struct Fallen {
    name: String,
    since: Time,
    /// How far from each other silences are one incident, for it.
    window: TimeDelta,
}

/// Those who fell silent in one look, in groups: who lies within the longer of both windows of another belongs to its group.
/// In the order in which they fell silent, because in any other one who joins may belong to two groups that began without it.
fn together(mut fallen: Vec<Fallen>) -> Vec<Vec<Fallen>> {
    struct Group {
        first: usize,
        last: Time,
        reach: Time,
    }
    fallen.sort_by_key(|one| one.since);
    let mut groups: Vec<Group> = Vec::new();
    for (place, Fallen { since, window, .. }) in fallen.iter().enumerate() {
        let mut group = Group { first: place, last: *since, reach: *since + *window };
        let belongs = |before: &mut Group| before.reach >= *since || before.last >= *since - *window;
        while let Some(before) = groups.pop_if(belongs) {
            group = Group { first: before.first, reach: before.reach.max(group.reach), ..group };
        }
        groups.push(group);
    }
    let mut groups: Vec<_> = groups.iter().rev().map(|group| fallen.split_off(group.first)).collect();
    groups.reverse();
    groups
}

impl Engine {
    /// Judges every checker something was read about, and every one whose deadline has passed. The look began at `looked`,
    /// by a clock that is certainly `ahead` of the server's.
    pub(super) fn judge(&mut self, looked: Time, ahead: TimeDelta, now: Time) {
        let heard_until = looked - ahead;
        for name in std::mem::take(&mut self.unwatched) {
            let Some(facts) = self.facts.get_mut(&name) else { continue };
            facts.watched_since = Some(heard_until);
            self.dirty.facts.insert(name.clone());
            self.touched.insert(name);
        }
        let mut names = std::mem::take(&mut self.touched);
        names.extend(self.names_at(self.timers.passed(self.by_servers(now))));
        names.iter().for_each(|name| self.settle_facts(name));
        // Who is heard again leaves before others join: nobody joins a silence that is over.
        names.iter().for_each(|name| self.judge_return(name, now));
        let fallen = names.iter().filter_map(|name| self.judge_silence(name, now)).collect();
        self.join_silences(fallen, now);
        let doubtful = self.doubtful(&names, heard_until);
        self.note_who_spoke(&doubtful);
        self.review_silences(&doubtful, now);
        for name in &names {
            self.judge_services(name, now);
            self.judge_reports(name, now);
            self.judge_spoof(name, heard_until, now);
            self.set_timer(name, now);
        }
        if !names.is_empty() {
            self.revise_splits();
        }
        self.settle(looked, now);
        names.extend(self.names_at(self.late.passed(heard_until)));
        self.review_silences(&BTreeSet::new(), now);
        self.revise_reasons(names, now);
        // Who is told may depend on what the incident turned out to be.
        self.dirty.incidents.tell_grown(now);
        self.dirty.incidents.changed(now).into_iter().for_each(|number| self.follow(number, now));
    }

    /// The next moment at which this checker has to be judged although nothing was read.
    pub(super) fn set_timer(&mut self, name: &str, now: Time) {
        let Some((place, facts)) = self.index.get(name).zip(self.facts.get(name)) else { return };
        let verdict = judge(facts, self.watch_of(facts), now);
        let silence = verdict.silent_after.filter(|_| verdict.state != State::Silent);
        let spoof = facts.spoofs_over_at().filter(|_| self.spoof_incident(name).is_some());
        let next = [silence, facts.next_close(), spoof].into_iter().flatten().min();
        self.timers.set(*place, next);
        let late =
            verdict.base.filter(|_| silence.is_some()).map(|base| base + verdict.deadline.late_after());
        self.late.set(*place, late);
    }

    fn settle_facts(&mut self, name: &str) {
        let Some(facts) = self.facts.get(name) else { return };
        // What a run seems to lack may stand in the part of the history that is not read yet.
        let watch = self.watch_of(facts);
        let heard_until = watch.heard_until.filter(|_| watch.history_known);
        // Of whom something was read the store is told anyway.
        let before = (!self.dirty.facts.contains(name)).then(|| facts.clone());
        let Some(facts) = self.facts.get_mut(name) else { return };
        facts.settle(heard_until);
        self.newest_heard = self.newest_heard.max(facts.heard_at());
        if before.is_some_and(|before| before != *facts) {
            self.dirty.facts.insert(name.to_owned());
        }
        self.note_brief(name);
    }

    fn names_at(&self, places: impl Iterator<Item = Place>) -> Vec<String> {
        places
            .filter_map(|place| self.config.checkers.get(place))
            .map(|checker| checker.name.clone())
            .collect()
    }

    fn judge_return(&mut self, name: &str, now: Time) {
        let Some(facts) = self.facts.get(name) else { return };
        let heard_at = facts.heard_at().filter(|_| silence_is_over(facts, self.watch_of(facts)));
        let Some(heard_at) = heard_at else { return };
        let last_heard = facts.silent.and_then(|silence| silence.heard_at);
        self.set_silent(name, None);
        if let Some(from) = last_heard.filter(|_| self.fell_silent_with_others(name)) {
            if let Some(facts) = self.facts.get_mut(name) {
                facts.explain(from, heard_at);
            }
            self.settle_facts(name);
        }
        self.end_silence(name, End::Recovered(heard_at), now);
    }

    fn fell_silent_with_others(&self, name: &str) -> bool {
        self.silence_of(name)
            .is_some_and(|incident| !incident.apart && incident.fell_silent().nth(1).is_some())
    }

    /// Returns it when it belongs to an incident from now on.
    fn judge_silence(&mut self, name: &str, now: Time) -> Option<Fallen> {
        let facts = self.facts.get(name)?;
        let window = facts.deadline.together_within().max(TimeDelta::zero());
        let fallen = |since| Some(Fallen { name: name.to_owned(), since, window });
        match facts.silent {
            Some(silence) if silence.resolved => None,
            // A silent checker without an incident: its configuration was taken away and given back.
            Some(silence) if self.silence_of(name).is_none() => {
                fallen(silence.heard_at.unwrap_or(silence.judged))
            }
            Some(_) => None,
            None if judge(facts, self.watch_of(facts), now).state != State::Silent => None,
            None => {
                let heard_at = facts.heard_at();
                let since = heard_at.or(facts.watched_since).unwrap_or(now);
                self.set_silent(
                    name,
                    Some(Silence { judged: now, heard_at, resolved: false, incident: None }),
                );
                fallen(since)
            }
        }
    }

    fn set_silent(&mut self, name: &str, silent: Option<Silence>) {
        if let Some(facts) = self.facts.get_mut(name) {
            facts.silent = silent;
            self.dirty.facts.insert(name.to_owned());
            self.note_brief(name);
        }
    }

    fn join_silences(&mut self, fallen: Vec<Fallen>, now: Time) {
        // Nobody joins because of another who fell silent in the same look, unless it is one of its group.
        let groups: Vec<(Option<u64>, Vec<Fallen>)> = together(fallen)
            .into_iter()
            .map(|group| {
                let joined = group.iter().filter_map(|one| self.rolls.joined_by(one.since, one.window));
                (joined.min(), group)
            })
            .collect();
        for (number, group) in groups {
            let number = number.unwrap_or_else(|| {
                self.open(Incident::new(self.last_incident + 1, Subject::Silence, now), now)
            });
            for Fallen { name, since, .. } in group {
                self.join_silence(number, &name, since, now);
            }
        }
    }

    /// Ends a checker's silence, and recovers the alarm that was about it alone. Returns the incident: what that is put down
    /// to has to be revised when everybody has left who leaves now.
    pub(super) fn end_silence(&mut self, name: &str, end: End, now: Time) -> Option<u64> {
        let number = self.silence_of(name)?.number;
        self.leave_silence(number, name, end);
        let is_left = self.rolls.get(number).is_none_or(|roll| roll.present.is_empty());
        let incident = self.incidents.get_mut(&number)?;
        let first = incident.recovering_since.is_none() && matches!(end, End::Recovered(_));
        if first && !is_left {
            incident.recovering_since = Some(now);
        }
        if first {
            self.enroll(number);
        }
        let incident = self.incidents.get(&number)?;
        let token = format!("{name}_Checker");
        if incident.owed().any(|announced| announced.token == token) {
            self.revise_cause(number, now);
            self.recover_token(number, &token, now);
        }
        Some(number)
    }
}
