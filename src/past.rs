//! The core as it stood at an earlier moment, worked out from the reports the watchdog had seen by then.
//!
//! It uses the present configuration: a checker that was configured then and is not now does not appear.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::Result;

use crate::config::{Checker, Config};
use crate::engine::{Engine, Mailbox, Snapshot, watch_of};
use crate::incident::{End, Incident};
use crate::ledger::{Facts, Silence};
use crate::matrix::Matrix;
use crate::store::Store;
use crate::time::Time;
use crate::verdict::{State, judge};
use crate::view::LastSeen;

/// So many of a checker's reports decide its state: more than any run has mails, and enough to know what is usual.
const REPORTS_MAX: u32 = 200;
/// And so many of its mails that were not heard: the newest of each kind is among them, unless one came in floods.
const TRAIL_MAX: u32 = 50;

/// The last-seen table as of `time`.
///
/// # Errors
/// When the store cannot be read.
pub(crate) fn last_seen(store: &Store, config: &Config, time: Time) -> Result<LastSeen> {
    let mut table = LastSeen::of(&engine(store, config, time)?, time);
    // A mailbox that was not configured then says nothing about that time.
    table.heard_until = store.observed_until(time)?.into_values().min();
    table.provisional = false;
    // Of canaries and drills only what is true now is kept.
    table.canary = None;
    table.chains = Vec::new();
    table.other_mails = store.other_mails(time)?;
    Ok(table)
}

/// Every service from every provider as of `time`.
///
/// # Errors
/// When the store cannot be read.
pub(crate) fn matrix(store: &Store, config: &Config, time: Time) -> Result<Matrix> {
    let mut matrix = Matrix::of(&engine(store, config, time)?, time);
    matrix.heard_until = store.observed_until(time)?.into_values().min();
    Ok(matrix)
}

/// What the core knew at `time`, of the silences at least.
///
/// # Errors
/// When the store cannot be read.
pub(crate) fn engine(store: &Store, config: &Config, time: Time) -> Result<Engine> {
    let mailboxes = mailboxes_as_of(store, config, time)?;
    let mut facts = BTreeMap::new();
    for checker in &config.checkers {
        let mut known = facts_as_of(store, checker, time)?;
        let watch = watch_of(&known.heard_through, known.deadline, &mailboxes, config);
        known.settle(watch.heard_until);
        if judge(&known, watch, time).state == State::Silent {
            known.silent = Some(Silence { judged: time, heard_at: known.heard_at(), resolved: false });
        }
        facts.insert(checker.name.clone(), known);
    }
    let silent: BTreeSet<&str> = facts
        .iter()
        .filter(|(_, known): &(_, &Facts)| known.silent.is_some())
        .map(|(name, _)| name.as_str())
        .collect();
    let mut incidents = store.silences(time)?;
    incidents.iter_mut().for_each(|incident| take_back(incident, &silent, time));
    let snapshot = Snapshot { facts, mailboxes, incidents, ..Snapshot::default() };
    Ok(Engine::restore(config.clone(), snapshot, time))
}

/// An incident as it stood at `time`, when these were silent.
fn take_back(incident: &mut Incident, silent: &BTreeSet<&str>, time: Time) {
    let over =
        |end: End| matches!(end, End::Recovered(at) | End::Removed(at) | End::Resolved(at) if at <= time);
    incident.closed = None;
    for member in incident.members.values_mut() {
        member.end = member.end.filter(|end| over(*end));
    }
    incident.members.retain(|name, member| member.end.is_some() || silent.contains(name.as_str()));
}

/// Only mails that the watchdog had seen by then.
fn facts_as_of(store: &Store, checker: &Checker, time: Time) -> Result<Facts> {
    let mut facts = Facts::new(checker);
    let known = store.facts_of(&checker.name)?;
    facts.watched_since = known.as_ref().and_then(|known| known.watched_since).filter(|since| *since <= time);
    if let Some(known) = &known {
        facts.recall_margin(known, time);
    }
    for report in store.reports_of(&checker.name, time, REPORTS_MAX)?.iter().rev() {
        facts.observe(&report.observation);
    }
    for mail in store.trail_of(&checker.name, time, TRAIL_MAX)? {
        facts.observe(&mail);
    }
    Ok(facts)
}

fn mailboxes_as_of(store: &Store, config: &Config, time: Time) -> Result<BTreeMap<String, Mailbox>> {
    let observed = store.observed_until(time)?;
    let read = |name: &String| (name.clone(), Mailbox::read_until(observed.get(name).copied()));
    Ok(config.mailboxes.iter().map(|mailbox| read(&mailbox.name)).collect())
}
