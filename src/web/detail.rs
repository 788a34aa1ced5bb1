//! All that is shown of one checker, read from the state.

use anyhow::Result;

use crate::config::Config;
use crate::detail::Detail;
use crate::ledger::Facts;
use crate::store::Store;
use crate::time::Time;
use crate::view::CheckerLine;

/// The mail path is measured by so many of the latest mails: two days of a checker that writes every five minutes.
const REPORTS_READ: u32 = 600;
/// So many of the latest mails that were not heard are shown.
const OTHER_MAILS_READ: u32 = 10;

/// `line` is what the last-seen table says of it. None for one that is not configured.
///
/// # Errors
/// When the state cannot be read.
pub(super) fn read(store: &Store, config: &Config, line: CheckerLine, now: Time) -> Result<Option<Detail>> {
    let Some(checker) = config.checkers.iter().find(|checker| checker.name == line.name) else {
        return Ok(None);
    };
    let facts = store.facts_of(&checker.name)?.unwrap_or_else(|| Facts::new(checker));
    let reports = store.reports_of(&checker.name, now, REPORTS_READ)?;
    let others = store.other_mails_of(&checker.name, OTHER_MAILS_READ)?;
    Ok(Some(Detail::of(checker, line, &facts, &reports, others, now)))
}
