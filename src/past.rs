//! The core as it stood at an earlier moment: what the audit chain says was known of each checker then, under the
//! configuration in force then, and beside it what the reports tell that had been seen by then.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::Result;
use chrono::TimeDelta;

use crate::audit::{Judged, Standing};
use crate::config::{Checker, Config};
use crate::engine::{Engine, Looked, Mailbox, Snapshot, watch_of};
use crate::incident::{End, Incident};
use crate::ledger::Facts;
use crate::matrix::Matrix;
use crate::reason::Reason;
use crate::store::Store;
use crate::time::Time;
use crate::verdict::{State, Watch, judge_by};
use crate::view::{CheckerLine, LastSeen, MailboxLine};

/// So many of a checker's reports decide its state: more than any run has mails, and enough to know what is usual.
const REPORTS_MAX: u32 = 200;
/// And so many of its mails that were not heard: the newest of each kind is among them, unless one came in floods.
const TRAIL_MAX: u32 = 50;
/// And so many of the silences before.
const SILENCES_MAX: u32 = 50;

/// The configuration in force at `time`, as far as something is judged by it; today's where the chain does not tell of one.
///
/// # Errors
/// [`crate::store::NotKept`], or when the store cannot be read.
pub(crate) fn config(store: &Store, today: &Config, time: Time) -> Result<Config> {
    store.demand_kept(time)?;
    let told = store.configuration(time)?.and_then(|text| Judged::read(&text));
    Ok(told.map_or_else(|| today.clone(), |judged| judged.in_place_of(today)))
}

/// The last-seen table as it stood at `time`. Of canaries, of messages under way, of how full mailboxes were and of what
/// was the matter with their Junk folders only what is true now is kept: nothing is said of these.
///
/// # Errors
/// When the store cannot be read.
pub(crate) fn last_seen(store: &Store, today: &Config, time: Time) -> Result<LastSeen> {
    let config = config(store, today, time)?;
    let mailboxes = mailboxes_as_of(store, &config, time)?;
    let mut checkers = Vec::new();
    for checker in &config.checkers {
        let standing = store.standing(&checker.name, time)?;
        let standing = standing.unwrap_or_else(|| Standing::of(&Facts::new(checker), None));
        checkers.push(line(checker, &standing, &mailboxes, &config, time));
    }
    let mailbox = |one| Some(MailboxLine::of(one, mailboxes.get(&one.name)?, time));
    Ok(LastSeen {
        as_of: time,
        heard_until: mailboxes.values().map(|mailbox| mailbox.heard_until).min().flatten(),
        checkers,
        mailboxes: config.mailboxes.iter().filter_map(mailbox).collect(),
        canary: None,
        chains: Vec::new(),
        undelivered: 0,
        provisional: false,
        other_mails: store.other_mails(time)?,
        junk_unread: BTreeMap::new(),
        unreadable: false,
    })
}

fn line(
    checker: &Checker,
    standing: &Standing,
    mailboxes: &BTreeMap<String, Mailbox>,
    config: &Config,
    time: Time,
) -> CheckerLine {
    let watch = watch_of(&standing.heard_through, standing.deadline, mailboxes, config);
    // Who was silent was judged so, and that was told.
    let watch = Watch { newest_known: false, ..watch };
    let verdict = judge_by(standing.basis(), watch, time);
    let line = CheckerLine::of(checker, standing, &verdict, time);
    let blind = verdict.state == State::Blind;
    CheckerLine { reason: if blind { Some(Reason::WatcherBlind) } else { line.reason }, ..line }
}

/// Every service from every provider as of `time`.
///
/// # Errors
/// When the store cannot be read.
pub(crate) fn matrix(store: &Store, today: &Config, time: Time) -> Result<Matrix> {
    Ok(Matrix::of(&engine(store, today, time)?, time))
}

/// What the core knew at `time`, of the checkers and the silences at least.
///
/// # Errors
/// When the store cannot be read.
pub(crate) fn engine(store: &Store, today: &Config, time: Time) -> Result<Engine> {
    let config = config(store, today, time)?;
    let mailboxes = mailboxes_as_of(store, &config, time)?;
    let mut facts = BTreeMap::new();
    for checker in &config.checkers {
        let mut known = facts_as_of(store, checker, time)?;
        let watch = watch_of(&known.heard_through, known.deadline, &mailboxes, &config);
        known.settle(watch.heard_until);
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
    Ok(Engine::restore(config, snapshot, time))
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

/// Only mails that the watchdog had seen by then, and what the chain says was known then.
fn facts_as_of(store: &Store, checker: &Checker, time: Time) -> Result<Facts> {
    let mut facts = Facts::new(checker);
    if let Some(known) = store.facts_of(&checker.name)? {
        facts.recall_margin(&known, time);
    }
    for report in store.reports_of(&checker.name, time, REPORTS_MAX)?.iter().rev() {
        facts.observe(&report.observation);
    }
    for mail in store.trail_of(&checker.name, time, TRAIL_MAX)? {
        facts.observe(&mail);
    }
    // No run is missing through its own fault while it was not heard together with others.
    for incident in store.silences_before(time, SILENCES_MAX)? {
        if let Some((since, heard_at)) = incident.silence_with_others(&checker.name, time) {
            facts.explain(since, heard_at);
        }
    }
    if let Some(standing) = store.standing(&checker.name, time)? {
        facts.watched_since = standing.watched_since;
        facts.heard_through = standing.heard_through;
        facts.deadline = standing.deadline;
        facts.former = standing.former;
        facts.grace_from = standing.grace_from;
        facts.silent = standing.silent;
    }
    Ok(facts)
}

fn mailboxes_as_of(store: &Store, config: &Config, time: Time) -> Result<BTreeMap<String, Mailbox>> {
    let (observed, looked) = (store.observed_until(time)?, store.looked_until(time)?);
    // Looks are kept for a while; before that it is known only that somebody looked often enough.
    let read = |name: &String| {
        let somebody = || observed.get(name).map(|at| Looked { at: *at, ahead: TimeDelta::zero() });
        (name.clone(), Mailbox::read_until(looked.get(name).copied().or_else(somebody)))
    };
    Ok(config.mailboxes.iter().map(|mailbox| read(&mailbox.name)).collect())
}

#[cfg(test)]
mod tests;
