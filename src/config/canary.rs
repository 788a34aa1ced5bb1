//! `[canary]`.

use std::ops::RangeInclusive;

use chrono::TimeDelta;

use super::report::Reported;
use super::section::Section;
use super::{Canary, Channel, Checker, Margin, own_mail};

const EVERY: RangeInclusive<TimeDelta> = TimeDelta::minutes(1)..=TimeDelta::days(1);
const DEFAULT_EVERY: TimeDelta = TimeDelta::minutes(10);

/// `channels` and `checkers` are those of the same configuration; what could not be read of them is not held against
/// it.
pub(super) fn read(
    root: &mut Section<'_>,
    channels: &Result<Vec<Channel>, Reported>,
    checkers: &Result<Vec<Checker>, Reported>,
) -> Result<Option<Canary>, Reported> {
    root.optional("canary", |item| {
        let mut section = item.section("[canary]")?;
        let channel = section.required("channel", |item| own_mail::channel(&item, channels, "a canary"));
        let advice = "give the canary one of its own that arrives in the mailbox";
        let to = section.required("to", |item| own_mail::address(&item, checkers, advice));
        let every = section.optional("every", |item| item.duration(EVERY));
        section.finish();
        let margins = checkers.iter().flatten().map(|checker| match checker.mail_path_margin {
            Margin::Fixed(longest) | Margin::Measured { ceiling: longest, .. } => longest,
        });
        let patience = margins.max().unwrap_or_default();
        Ok(Canary { channel: channel?, to: to?, every: every?.unwrap_or(DEFAULT_EVERY), patience })
    })
}
