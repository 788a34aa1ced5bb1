//! Who was found in the newest mails: configured checkers, others, and reports in folders that nobody reads.

use std::collections::{BTreeMap, BTreeSet};

use chrono::TimeDelta;

use super::{Facts, Finding, Level, Reading};
use crate::config::{Checker, Margin, duration};
use crate::ledger::Deadline;
use crate::ledger::path::slower_than;
use crate::mail;
use crate::mail::RawMail;
use crate::proposal::Survey;
use crate::report::{Roster, understand};
use crate::time::{Time, rfc3339, span};

/// An older report outside of the folders that are read was filed there by somebody.
const FRESH: TimeDelta = TimeDelta::days(1);

/// A single slow moment is an event, not the path.
const SLOW_MOMENTS_MIN: usize = 2;

/// Fresh reports of configured checkers, by folder.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Strays {
    pub folders: BTreeMap<String, Stray>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Stray {
    pub reports: usize,
    pub checkers: BTreeSet<String>,
}

impl Strays {
    /// Takes in one mail of a folder that is not configured.
    pub fn take(&mut self, folder: &str, raw: &RawMail, roster: &Roster, now: Time) {
        let received = raw.received();
        if now - received > FRESH {
            return;
        }
        let understood = understand(&mut mail::parse(&raw.bytes, raw.truncated), roster);
        if understood.heard()
            && let Some(checker) = understood.checker
        {
            let stray = self.folders.entry(folder.to_owned()).or_default();
            stray.reports += 1;
            stray.checkers.insert(checker);
        }
    }
}

pub(super) fn findings(facts: &Facts<'_>) -> Vec<Finding> {
    if facts.mailboxes.iter().all(|mailbox| mailbox.reading == Reading::Not) {
        return Vec::new();
    }
    let mut found = checkers(facts);
    found.extend(facts.config.checkers.iter().filter_map(|checker| margin(checker, &facts.survey)));
    let strangers = facts.survey.strangers().map(|(address, writer)| {
        let text = format!(
            "somebody reports to this address ({} of the newest mails) and is not configured; see `propose`",
            writer.mails()
        );
        Finding::new(Level::Warn, &format!("address {address}"), text)
    });
    found.extend(strangers);
    found
}

fn checkers(facts: &Facts<'_>) -> Vec<Finding> {
    let Facts { config, now, survey, .. } = facts;
    let (mut found, mut fresh, mut untold) = (Vec::new(), 0, 0);
    let all_read = everything_was_read(facts);
    for checker in &config.checkers {
        let last = survey.configured(&checker.name).and_then(|writer| writer.last_received());
        let allowed = Deadline::of(checker).total();
        // A checker that runs once a day cannot be found in the mails of an hour.
        let far_enough = all_read || survey.span().is_some_and(|(oldest, _)| *now - oldest > allowed);
        let text = match last {
            Some(last) if *now - last <= allowed => {
                fresh += 1;
                continue;
            }
            None if !far_enough => {
                untold += 1;
                continue;
            }
            Some(last) => {
                let age = span(*now - last);
                format!(
                    "its last report came {age} ago ({}), which is more than its deadline of {}",
                    rfc3339(last),
                    span(allowed)
                )
            }
            None => not_found(checker),
        };
        found.push(Finding::new(Level::Warn, &format!("checker {}", checker.name), text));
    }
    let mails = survey.mails();
    if untold > 0 {
        let text =
            format!("{untold} not found, but the newest {mails} mails do not reach back far enough to tell");
        found.push(Finding::new(Level::Warn, "checkers", text));
    }
    let text =
        format!("{fresh} of {} have reported in time, by the newest {mails} mails", config.checkers.len());
    found.insert(0, Finding::new(Level::Ok, "checkers", text));
    found
}

/// Whether the mail path's margin, or the ceiling of a measured one, is shorter than what mails take now and then. A queue
/// that was held once is no usual path.
fn margin(checker: &Checker, survey: &Survey) -> Option<Finding> {
    let (allowed, key) = match checker.mail_path_margin {
        Margin::Fixed(margin) => (margin, "mail_path_margin"),
        Margin::Measured { ceiling, .. } => (ceiling, "ceiling of mail_path_margin"),
    };
    let seen = slower_than(allowed, survey.arrivals(&checker.name).to_vec(), checker.cycle);
    if seen.slow < SLOW_MOMENTS_MIN || seen.slow * 100 <= seen.moments {
        return None;
    }
    let text = format!(
        "in {} of its newest {} runs the mail took longer than its {key} of {}, up to {}: each of those can be a false \
         alarm; write a longer one{}",
        seen.slow,
        seen.moments,
        duration::display(allowed),
        span(seen.slowest),
        if matches!(checker.mail_path_margin, Margin::Fixed(_)) { ", or \"auto\"" } else { "" }
    );
    Some(Finding::new(Level::Warn, &format!("checker {}", checker.name), text))
}

fn not_found(checker: &Checker) -> String {
    format!(
        "none of the newest mails is its report: it is silent, or writes to another address than {}",
        checker.addresses.join(", ")
    )
}

/// The sample holds every mail of the configured folders.
fn everything_was_read(facts: &Facts<'_>) -> bool {
    let there = facts.mailboxes.iter().filter_map(|mailbox| mailbox.probe.as_ref().ok());
    let there: u64 = there
        .flat_map(|probe| &probe.folders)
        .filter(|folder| folder.configured)
        .map(|folder| u64::from(folder.messages.unwrap_or(u32::MAX)))
        .sum();
    facts.mailboxes.iter().all(|mailbox| mailbox.reading == Reading::Done)
        && u64::try_from(facts.survey.mails()).is_ok_and(|taken| taken >= there)
}
