//! Mails → runs → services: which results belong together, and what a run that is over has failed to say.
//!
//! A mail with DRYRUN and at least one result is a whole run. Results in mails of their own belong to the run of the
//! DRYRUN before them; that run is over Σ timeouts + margin after its first mail.
//!
//! The mails of the newest runs are kept as they came, and what they amount to is worked out anew after every look: a
//! mail that was overtaken, or a better estimate of the checker's clock, needs no correction of what was concluded.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use chrono::TimeDelta;
use serde::{Deserialize, Serialize};

use super::Deadline;
use super::arrivals::Arrival;
use super::few::Few;
use super::findings::{self, Begun, DryrunFlaw, Finding, Findings, NAMES_MAX, Run, Surroundings};
use super::services::{Outcome, Service};
use crate::config::Breach;
use crate::report::{Said, Understood};
use crate::time::Time;

/// The newest runs are kept open to mails that overtook each other; older ones are history.
const RUNS_MAX: usize = 6;
/// So many mails are kept; a run that consists of more is kept as one.
const PIECES_MAX: usize = 256;
/// So many of one run.
const RUN_PIECES_MAX: usize = PIECES_MAX / 2;
/// From so many on they are worked out before they are stored, be a look complete or not.
const PIECES_STORED_MAX: usize = 24;
/// So many of the latest spans in which mails were lost are known.
const EXPLAINED_MAX: usize = 4;

/// What one mail contributes to a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Piece {
    pub(super) arrival: Arrival,
    /// As these were when it was read: a changed configuration does not judge it anew.
    cycle_ms: i64,
    timeouts_ms: i64,
    margin_ms: i64,
    pub(super) dryrun: bool,
    /// What is wrong with its DRYRUN.
    pub(super) flaw: Option<DryrunFlaw>,
    /// It came as a whole run.
    whole: bool,
    pub(super) truncated: bool,
    pub(super) results: Few<String, Said>,
    /// The first few names that nobody configured.
    pub(super) unknown: BTreeSet<String>,
    /// Services that several mails named, when it stands for them all.
    pub(super) again: BTreeSet<String>,
}

impl Piece {
    pub fn new(arrival: Arrival, deadline: Deadline, mail: &Understood) -> Self {
        let flaw = match mail.dryrun {
            Some(Said::Ok) if mail.dryrun_late => Some(DryrunFlaw::NotFirst),
            Some(Said::Nok | Said::Both) => Some(DryrunFlaw::NotOk),
            Some(Said::Ok) | None => None,
        };
        Self {
            arrival,
            cycle_ms: deadline.cycle_ms,
            timeouts_ms: deadline.timeouts_ms,
            margin_ms: deadline.margin_ms,
            dryrun: mail.dryrun.is_some(),
            flaw,
            whole: mail.whole_run(),
            truncated: mail.truncated,
            results: Few::from(&mail.results),
            unknown: mail.unknown.keys().take(NAMES_MAX).cloned().collect(),
            again: BTreeSet::new(),
        }
    }

    pub(super) fn cycle(&self) -> TimeDelta {
        TimeDelta::milliseconds(self.cycle_ms)
    }

    pub(super) fn timeouts(&self) -> TimeDelta {
        TimeDelta::milliseconds(self.timeouts_ms)
    }

    pub(super) fn margin(&self) -> TimeDelta {
        TimeDelta::milliseconds(self.margin_ms)
    }

    /// After its first mail, a run may go on for so long.
    fn allowed(&self) -> TimeDelta {
        self.timeouts() + self.margin()
    }

    fn absorb(&mut self, other: &Self) {
        self.truncated |= other.truncated;
        self.flaw = self.flaw.or(other.flaw);
        for (service, result) in other.results.iter() {
            if self.again.len() < NAMES_MAX && self.results.get(service) == Some(result) {
                self.again.insert(service.clone());
            }
            if let Some(known) = self.results.insert_or_get(service.clone(), *result) {
                *known = known.and(*result);
            }
        }
        self.unknown.extend(other.unknown.iter().cloned());
        while self.unknown.len() > NAMES_MAX {
            self.unknown.pop_last();
        }
    }
}

/// A checker's newest runs, and what the older ones told.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Runs {
    pieces: Vec<Piece>,
    history: History,
    /// The configured services. No run before the given moment lacks a service that was added then.
    expected: Few<String, Option<Time>>,
    /// Everything up to here was read.
    heard_until: Option<Time>,
    excuse: Option<Excuse>,
    /// Spans in which mails were lost or waited, through no fault of the checker.
    explained: Vec<(Time, Time)>,
}

/// What the runs that were let go amount to.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
struct History {
    services: Few<String, Service>,
    findings: Findings,
}

/// What all runs amount to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Summary {
    pub services: Few<String, Service>,
    pub findings: BTreeMap<Breach, Finding>,
}

/// The mailbox was down: what was sent to it waits in the queues of the senders.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct Excuse {
    /// Runs that were over by the last look before it are over.
    down_since: Time,
    /// Runs that began after the first look are not concerned.
    up_at: Time,
    /// The others are not over earlier.
    until: Time,
}

/// A mail in its place among the others.
#[derive(Debug, Clone, Copy)]
pub(super) struct Placed<'a> {
    pub(super) at: Time,
    pub(super) piece: &'a Piece,
}

impl Runs {
    pub fn new(services: &[&str]) -> Self {
        Self {
            expected: Few::from(&services.iter().map(|service| ((*service).to_owned(), None)).collect()),
            ..Self::default()
        }
    }

    pub fn add(&mut self, piece: Piece) {
        self.pieces.push(piece);
    }

    /// Whether it is time to [`Self::settle`], for the sake of the room they take.
    pub fn are_many(&self) -> bool {
        self.pieces.len() >= PIECES_MAX
    }

    /// Whether they should be settled before they are stored: each would be written, and written again.
    pub fn are_many_to_store(&self) -> bool {
        self.pieces.len() > PIECES_STORED_MAX
    }

    /// Takes over the configured services.
    pub fn expect(&mut self, services: &[&str], now: Time) {
        let known = |service: &str| self.expected.get(service).copied().unwrap_or(Some(now));
        let expected = services.iter().map(|service| ((*service).to_owned(), known(service))).collect();
        self.expected = Few::from(&expected);
        self.history.services.retain(|service| self.expected.contains_key(service));
    }

    /// The services that are expected, and since when one that was added later.
    pub fn expected(&self) -> impl Iterator<Item = (&str, Option<Time>)> {
        self.expected.iter().map(|(service, added)| (service.as_str(), *added))
    }

    /// Gives the runs that were open when the mailbox went down time until `until`.
    pub fn excuse(&mut self, down_since: Time, up_at: Time, until: Time) {
        self.excuse = Some(Excuse { down_since, up_at, until });
        self.explain(down_since, until);
    }

    /// Runs that are missing between these times are nobody's fault.
    pub fn explain(&mut self, from: Time, to: Time) {
        self.explained.push((from, to));
        self.explained.sort_unstable();
        let old = self.explained.len().saturating_sub(EXPLAINED_MAX);
        self.explained.drain(..old);
    }

    /// What all runs tell, when everything up to `heard_until` was read. `order_at` gives a mail's place, and `was_held`
    /// says whether it was held on the way.
    pub fn settle(
        &mut self,
        heard_until: Option<Time>,
        order_at: impl Fn(Arrival) -> Time,
        was_held: impl Fn(Arrival) -> bool,
    ) -> Summary {
        self.heard_until = self.heard_until.max(heard_until);
        self.sort(&order_at);
        let placed = self.placed(order_at);
        let runs = cut(&placed);
        let old = self.too_old(&runs);
        let mut let_go = self.judged(&placed, &runs, &|piece| was_held(piece.arrival));
        let judged = let_go.split_off(let_go.partition_point(|(run, _)| *run < old));
        let (old, kept) = runs.split_at(old);
        let mut history = Cow::Borrowed(&self.history);
        if !old.is_empty() {
            // History grows backwards.
            let history = history.to_mut();
            let newest = history.findings.begun().last().map(|newest| newest.at);
            let (older, newer) =
                old.split_at(old.partition_point(|run| run.first().map(|first| first.at) <= newest));
            older.iter().rev().chain(newer).for_each(|run| self.tell(run, &mut history.services));
            let newer = let_go.split_off(let_go.partition_point(|(_, run)| Some(run.begun.at) <= newest));
            let_go.into_iter().rev().chain(newer).for_each(|(_, run)| history.findings.learn(run));
        }
        let History { mut services, mut findings } = history.as_ref().clone();
        kept.iter().for_each(|run| self.tell(run, &mut services));
        judged.into_iter().for_each(|(_, run)| findings.learn(run));
        let gone: usize = old.iter().map(|run| run.len()).sum();
        let too_long = kept.iter().any(|run| run.len() > RUN_PIECES_MAX);
        let as_one: Option<Vec<Piece>> =
            too_long.then(|| kept.iter().flat_map(|run| kept_pieces(run)).collect());
        if let Cow::Owned(grown) = history {
            self.history = grown;
        }
        match as_one {
            Some(pieces) => self.pieces = pieces,
            None => drop(self.pieces.drain(..gone)),
        }
        // A checker of which little is known stays so for long, and there may be ten thousand.
        let few = self.pieces.len() < RUNS_MAX;
        self.pieces.shrink_to(if few { 0 } else { RUNS_MAX + 1 });
        Summary { services, findings: findings.into_map() }
    }

    /// When the oldest run that is still open will be over; None when there is no open run.
    pub fn next_close<F: Fn(Arrival) -> Time>(&self, order: impl FnOnce() -> F) -> Option<Time> {
        // Of whole runs, which nearly all are, nothing more is waited for.
        if self.pieces.iter().all(|piece| piece.whole) {
            return None;
        }
        let placed = self.placed(order());
        cut(&placed).iter().filter(|run| !self.is_closed(run)).filter_map(|run| self.closes_at(run)).min()
    }

    /// What can be said of each run, with its place among `runs`.
    fn judged(
        &self,
        placed: &[Placed<'_>],
        runs: &[&[Placed<'_>]],
        was_held: &dyn Fn(&Piece) -> bool,
    ) -> Vec<(usize, findings::Judged)> {
        let before = self.history.findings.begun();
        let mut begun: Option<Begun> = None;
        let mut places = Vec::new();
        let mut wholes: Vec<Run<'_>> = Vec::new();
        let mut end = 0;
        for (place, run) in runs.iter().enumerate() {
            let from = end;
            end += run.len();
            let Some(first) = run.first() else { continue };
            let let_go = before.iter().rev().find(|run| run.at <= first.at).copied();
            let previous = [begun, let_go].into_iter().flatten().max_by_key(|run| run.at);
            if previous.is_some_and(|previous| is_late_for(previous, first)) {
                let mails = places.last().and_then(|(_, from)| placed.get(*from..end));
                // The run they belong to may have been let go.
                if let Some((whole, mails)) = wholes.last_mut().zip(mails).filter(|_| begun == previous) {
                    whole.mails = mails;
                }
                continue;
            }
            begun = Some(Begun { at: first.at, dryrun: first.piece.dryrun });
            places.push((place, from));
            wholes.push(Run { mails: run, closed: self.is_closed(run), lacking: self.lacking(run) });
        }
        let newest = self.pieces.iter().map(|piece| piece.arrival.received).max();
        let received_until = newest.filter(|_| self.heard_until.is_some());
        let around = Surroundings { before, received_until, explained: &self.explained, was_held };
        places.into_iter().map(|(place, _)| place).zip(findings::judge(&wholes, &around)).collect()
    }

    /// Puts the mails into the order of [`Self::placed`], where they nearly always are already.
    fn sort(&mut self, order_at: impl Fn(Arrival) -> Time) {
        self.pieces.sort_by_cached_key(|piece| (order_at(piece.arrival), !piece.dryrun, piece.arrival));
    }

    /// In their order; of equal ones the DRYRUN first.
    fn placed(&self, order_at: impl Fn(Arrival) -> Time) -> Vec<Placed<'_>> {
        let mut placed: Vec<Placed<'_>> =
            self.pieces.iter().map(|piece| Placed { at: order_at(piece.arrival), piece }).collect();
        placed.sort_by_key(|mail| (mail.at, !mail.piece.dryrun, mail.piece.arrival));
        placed
    }

    /// So many of the oldest runs are let go.
    fn too_old(&self, runs: &[&[Placed<'_>]]) -> usize {
        let mut room = RUN_PIECES_MAX;
        let fitting = runs.iter().rev().take(RUNS_MAX).take_while(|run| {
            let fits = run.len() <= room;
            room = room.saturating_sub(run.len());
            fits
        });
        runs.len() - fitting.count().max(1).min(runs.len())
    }

    /// Whether nothing more is to be expected of a run.
    fn is_closed(&self, run: &[Placed<'_>]) -> bool {
        self.closes_at(run).is_none_or(|closes| Some(closes) < self.heard_until)
    }

    /// Whether what a run has not said is missing. Results without a DRYRUN are no run that could lack something.
    fn is_over(&self, run: &[Placed<'_>]) -> bool {
        run.first().is_some_and(|first| first.piece.dryrun) && self.is_closed(run)
    }

    /// When a run of several mails is over. A whole run has nothing to wait for.
    fn closes_at(&self, run: &[Placed<'_>]) -> Option<Time> {
        if run.iter().any(|mail| mail.piece.whole) {
            return None;
        }
        let began = run.first()?.at;
        let over = run.iter().map(|mail| mail.piece.arrival.received + mail.piece.allowed()).min()?;
        match self.excuse {
            Some(excuse) if over >= excuse.down_since && began <= excuse.up_at => {
                Some(over.max(excuse.until))
            }
            _ => Some(over),
        }
    }

    /// The configured services that a run which is over has not named; None when that cannot be said.
    fn lacking(&self, run: &[Placed<'_>]) -> Option<BTreeSet<String>> {
        let cut_off = run.iter().any(|mail| mail.piece.truncated);
        if cut_off || !self.is_over(run) {
            return None;
        }
        let received = run.iter().map(|mail| mail.piece.arrival.received).min();
        let named = |service: &String| run.iter().any(|mail| mail.piece.results.contains_key(service));
        let lacking = self.expected.iter().filter(|(service, added)| **added <= received && !named(service));
        Some(lacking.map(|(service, _)| service.clone()).collect())
    }

    /// Adds what a run says: its results merged, and what it lacks when it is over.
    fn tell(&self, run: &[Placed<'_>], services: &mut Few<String, Service>) {
        let Some(first) = run.first() else { return };
        let said = |service: &str| {
            run.iter().filter_map(|mail| mail.piece.results.get(service)).copied().reduce(Said::and)
        };
        let cut_off = run.iter().any(|mail| mail.piece.truncated);
        let lacking = if cut_off { Outcome::Unread } else { Outcome::Missing };
        let over = self.is_over(run);
        let received = run.iter().map(|mail| mail.piece.arrival.received).min();
        for (service, added) in self.expected.iter() {
            let outcome = match said(service) {
                Some(said) => Outcome::from(said),
                None if over && *added <= received => lacking,
                None => continue,
            };
            match services.get_mut(service) {
                Some(known) => known.learn(first.at, outcome),
                None => {
                    services.insert_or_get(service.clone(), Service::new(first.at, outcome));
                }
            }
        }
    }
}

/// Whether these mails without a DRYRUN are late results of the run before them, and not a run that lost its own: the next
/// one was not due yet.
fn is_late_for(run: Begun, first: &Placed<'_>) -> bool {
    run.dryrun && !first.piece.dryrun && first.at < run.at + first.piece.cycle() * 3 / 4
}

/// Cuts between runs of different numbers, where those are signed. Otherwise before every DRYRUN (but not between two
/// copies of one), and before a result that was sent when the run before it was over: its own DRYRUN was lost.
fn cut<'s, 'p>(placed: &'s [Placed<'p>]) -> Vec<&'s [Placed<'p>]> {
    let mut runs = Vec::new();
    let mut rest = placed;
    while let Some(first) = rest.first() {
        let another = |mail: &Placed<'_>| match (first.piece.arrival.run, mail.piece.arrival.run) {
            (Some(run), Some(other)) => run != other,
            _ if mail.piece.dryrun => mail.at > first.at || !first.piece.dryrun,
            _ => mail.at > first.at + first.piece.allowed(),
        };
        let length = rest.iter().skip(1).position(another).map_or(rest.len(), |next| next + 1);
        let (run, after) = rest.split_at(length);
        runs.push(run);
        rest = after;
    }
    runs
}

/// The mails of a run, as one when they are too many.
fn kept_pieces(run: &[Placed<'_>]) -> Vec<Piece> {
    if run.len() <= RUN_PIECES_MAX {
        return run.iter().map(|mail| mail.piece.clone()).collect();
    }
    let Some((first, rest)) = run.split_first() else { return Vec::new() };
    let mut one = first.piece.clone();
    rest.iter().for_each(|mail| one.absorb(mail.piece));
    vec![one]
}

#[cfg(test)]
mod tests;
