//! `[canary]`.

use std::ops::RangeInclusive;

use chrono::TimeDelta;

use super::report::{Reported, quoted};
use super::section::Section;
use super::{Canary, Channel, ChannelKind, Checker, Margin, value};

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
        let channel = section.required("channel", |item| {
            let name = value::line(&item)?;
            let channels = channels.as_ref().map_err(|reported| *reported)?;
            let found = channels.iter().find(|channel| channel.name == name);
            match found.map(|channel| &channel.kind) {
                Some(ChannelKind::Smtp(_)) => Ok(name),
                Some(_) => {
                    Err(item
                        .wrong(format!("the channel {} sends no mail, and a canary is one", quoted(&name))))
                }
                None => Err(item.wrong(format!("there is no [[channel]] with the name {}", quoted(&name)))),
            }
        });
        let to = section.required("to", |item| {
            let address = value::mail_address(&item)?;
            let checkers = checkers.as_ref().map_err(|reported| *reported)?;
            match checkers.iter().find(|checker| checker.addresses.contains(&address)) {
                None => Ok(address),
                Some(checker) => Err(item.wrong(format!(
                    "{} is the address of {}; give the canary one of its own that arrives in the mailbox",
                    quoted(&address),
                    checker.name
                ))),
            }
        });
        let every = section.optional("every", |item| item.duration(EVERY));
        section.finish();
        let margins = checkers.iter().flatten().map(|checker| match checker.mail_path_margin {
            Margin::Fixed(longest) | Margin::Measured { ceiling: longest, .. } => longest,
        });
        let patience = margins.max().unwrap_or_default();
        Ok(Canary { channel: channel?, to: to?, every: every?.unwrap_or(DEFAULT_EVERY), patience })
    })
}
