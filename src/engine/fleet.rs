//! What the judgement of others asks of each checker, in a row by their places in the configuration. After every look with
//! news something is asked of all of them, and it would take long to gather it from their facts each time.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound::{Excluded, Unbounded};

use chrono::TimeDelta;

use super::Engine;
use crate::reason::Reason;
use crate::time::Time;

/// Where a checker stands in the configuration.
pub(super) type Place = usize;

/// What others are told of one checker, as far as its mails were judged.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Brief {
    /// Those of one provider have the same number.
    pub(super) provider: usize,
    /// When it was heard last or, if it never was, first watched for.
    pub(super) from: Option<Time>,
    pub(super) was_ever_heard: bool,
    /// When it was judged silent.
    pub(super) silent: Option<Time>,
    /// Who fell silent within so much of it fell silent with it.
    pub(super) together_within: TimeDelta,
    /// The deadline in force.
    pub(super) deadline: TimeDelta,
    /// It is silent, and is known to have written since: its own cause is another than that of those who did not.
    pub(super) spoke: bool,
    /// Why it is silent, if it belongs to an open silence.
    pub(super) reason: Option<Reason>,
}

impl Brief {
    pub(super) fn is_heard(&self) -> bool {
        self.was_ever_heard && self.silent.is_none()
    }

    /// When a silent one was heard last.
    fn fell_silent_after(&self) -> Option<Time> {
        self.from.filter(|_| self.was_ever_heard && self.silent.is_some())
    }
}

#[derive(Debug, Default)]
pub(super) struct Fleet {
    briefs: Vec<Brief>,
    /// How many are heard: every alarm about a silence says it.
    heard: usize,
    /// Likewise of each provider.
    heard_of: Vec<usize>,
    /// Those who are silent, by when they were heard last.
    silent: BTreeSet<(Time, Place)>,
}

impl Fleet {
    /// Everything but the providers is still to be told.
    fn of<'a>(providers: impl Iterator<Item = &'a str>) -> Self {
        let mut numbers = BTreeMap::new();
        let mut number = |provider| {
            let next = numbers.len();
            *numbers.entry(provider).or_insert(next)
        };
        let brief = |provider| Brief { provider: number(provider), ..Brief::default() };
        let briefs: Vec<Brief> = providers.map(brief).collect();
        Self { briefs, heard_of: vec![0; numbers.len()], ..Self::default() }
    }

    pub(super) fn get(&self, place: Place) -> Brief {
        self.briefs.get(place).copied().unwrap_or_default()
    }

    pub(super) fn all(&self) -> &[Brief] {
        &self.briefs
    }

    pub(super) fn get_mut(&mut self, place: Place) -> Option<&mut Brief> {
        self.briefs.get_mut(place)
    }

    pub(super) fn heard(&self) -> usize {
        self.heard
    }

    pub(super) fn heard_of(&self, provider: usize) -> usize {
        self.heard_of.get(provider).copied().unwrap_or_default()
    }

    /// Those who are silent and were heard after `time`.
    pub(super) fn silent_after(&self, time: Time) -> impl Iterator<Item = (Time, Place)> {
        self.silent.range((Excluded((time, Place::MAX)), Unbounded)).copied()
    }

    /// Returns whether the checker begins or ends to be heard.
    fn put(&mut self, place: Place, brief: Brief) -> bool {
        let Some(known) = self.briefs.get_mut(place) else { return false };
        let before = std::mem::replace(known, brief);
        if before.fell_silent_after() != brief.fell_silent_after() {
            before.fell_silent_after().map(|time| self.silent.remove(&(time, place)));
            brief.fell_silent_after().map(|time| self.silent.insert((time, place)));
        }
        if before.is_heard() == brief.is_heard() {
            return false;
        }
        let count = |count: &mut usize| {
            *count = if brief.is_heard() { *count + 1 } else { count.saturating_sub(1) };
        };
        count(&mut self.heard);
        self.heard_of.get_mut(brief.provider).into_iter().for_each(count);
        true
    }
}

impl Engine {
    /// Notes what others are told of this checker from now on.
    pub(super) fn note_brief(&mut self, name: &str) {
        let Some((place, facts)) = self.index.get(name).zip(self.facts.get(name)) else { return };
        let heard_at = facts.heard_at();
        let brief = Brief {
            from: heard_at.or(facts.watched_since),
            was_ever_heard: facts.was_ever_heard(),
            silent: facts.silent.map(|silence| silence.judged),
            together_within: facts.deadline.together_within(),
            deadline: facts.deadline_in_force().total(),
            ..self.fleet.get(*place)
        };
        let spoke = brief.spoke && brief.silent.is_some();
        self.review.is_due |= self.fleet.put(*place, Brief { spoke, ..brief });
    }

    /// The places of the checkers have changed, or what is known of all of them.
    pub(super) fn note_places_anew(&mut self) {
        self.note_briefs_anew();
        self.enroll_anew();
        let silent = self.rolls.iter().flat_map(|(_, roll)| roll.present.iter().map(|(_, place)| *place));
        let silent = silent.collect();
        self.note_who_spoke(&silent);
        self.review_anew();
    }

    fn note_briefs_anew(&mut self) {
        self.fleet = Fleet::of(self.config.checkers.iter().map(|checker| checker.provider.as_str()));
        let names: Vec<String> = self.facts.keys().cloned().collect();
        for name in names {
            self.note_brief(&name);
            let reason = self.reasons.get(&name).copied();
            let brief = self.index.get(&name).and_then(|place| self.fleet.get_mut(*place));
            brief.into_iter().for_each(|brief| brief.reason = reason);
        }
    }

    /// How many checkers are heard, of how many.
    pub(super) fn heard(&self) -> (usize, usize) {
        (self.fleet.heard(), self.facts.len())
    }
}
