//! The table as it stood at an earlier moment, worked out from the reports the watchdog had seen by then.
//!
//! It uses the present configuration: a checker that was configured then and is not now does not appear.

use std::collections::BTreeMap;

use anyhow::Result;

use crate::config::{Checker, Config};
use crate::engine::{Mailbox, watch_of};
use crate::ledger::Facts;
use crate::store::Store;
use crate::time::Time;
use crate::verdict::Watch;
use crate::view::{CheckerLine, LastSeen, checker_line};

/// So many of a checker's reports decide its state: more than any run has mails, and enough to know what is usual.
const REPORTS_MAX: u32 = 200;

/// The last-seen table as of `time`.
///
/// # Errors
/// When the store cannot be read.
pub(crate) fn last_seen(store: &Store, config: &Config, time: Time) -> Result<LastSeen> {
    let mailboxes = mailboxes_as_of(store, config, time)?;
    // A mailbox that was not configured then says nothing about that time.
    let heard_until = mailboxes.values().filter_map(|mailbox| mailbox.heard_until).min();
    let lines: Result<Vec<CheckerLine>> = config
        .checkers
        .iter()
        .map(|checker| {
            let mut facts = facts_as_of(store, checker, time)?;
            let watch = watch_of(&facts, &mailboxes, config);
            facts.settle(watch.heard_until);
            Ok(checker_line(checker, &facts, watch, time))
        })
        .collect();
    Ok(LastSeen {
        as_of: time,
        heard_until,
        checkers: lines?,
        undelivered: 0,
        provisional: false,
        other_mails: store.other_mails(time)?,
        unreadable: false,
    })
}

/// What was known of a checker at `time`, and of the mailboxes that receive it.
///
/// # Errors
/// When the store cannot be read.
pub(crate) fn facts_and_watch(
    store: &Store,
    config: &Config,
    checker: &Checker,
    time: Time,
) -> Result<(Facts, Watch)> {
    let mut facts = facts_as_of(store, checker, time)?;
    let watch = watch_of(&facts, &mailboxes_as_of(store, config, time)?, config);
    facts.settle(watch.heard_until);
    Ok((facts, watch))
}

/// Only mails that the watchdog had seen by then.
fn facts_as_of(store: &Store, checker: &Checker, time: Time) -> Result<Facts> {
    let mut facts = Facts::new(checker);
    facts.watched_since = store.watched_since(&checker.name)?.filter(|since| *since <= time);
    for report in store.reports_of(&checker.name, time, REPORTS_MAX)?.iter().rev() {
        facts.observe(&report.observation);
    }
    Ok(facts)
}

fn mailboxes_as_of(store: &Store, config: &Config, time: Time) -> Result<BTreeMap<String, Mailbox>> {
    let observed = store.observed_until(time)?;
    let read = |name: &String| (name.clone(), Mailbox::read_until(observed.get(name).copied()));
    Ok(config.mailboxes.iter().map(|mailbox| read(&mailbox.name)).collect())
}
