//! The table as it stood at an earlier moment, worked out from the reports the watchdog had seen by then.
//!
//! It uses the present configuration: a checker that was configured then and is not now does not appear.

use anyhow::Result;

use crate::config::{Checker, Config};
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
    let observed = store.observed_until(time)?;
    let heard_until = observed.values().min().copied();
    let lines: Result<Vec<CheckerLine>> = config
        .checkers
        .iter()
        .map(|checker| {
            let mut facts = facts_as_of(store, checker, time)?;
            let watch = watch(config, &facts, &observed);
            facts.settle(watch.heard_until);
            Ok(checker_line(checker, &facts, watch, time))
        })
        .collect();
    Ok(LastSeen { as_of: time, heard_until, checkers: lines?, undelivered: 0, provisional: false })
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
    let watch = watch(config, &facts, &store.observed_until(time)?);
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

fn watch(config: &Config, facts: &Facts, observed: &std::collections::BTreeMap<String, Time>) -> Watch {
    let through = facts.newest_mailbox();
    let heard_until = match through {
        Some(mailbox) => observed.get(mailbox).copied(),
        None => observed.values().max().copied(),
    };
    let blind_after = config
        .mailboxes
        .iter()
        .filter(|mailbox| through.is_none_or(|name| name == mailbox.name))
        .map(|mailbox| mailbox.blind_after)
        .max()
        .unwrap_or_default();
    Watch { heard_until, blind_after, history_known: true, newest_known: true }
}
