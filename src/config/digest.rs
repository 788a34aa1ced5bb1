//! `[digest]`, or several `[[digest]]`.

use std::collections::BTreeSet;

use chrono::NaiveTime;
use chrono_tz::Tz;

use super::report::{Reported, quoted};
use super::section::{Item, Section, Unique, nearest};
use super::{Channel, ChannelKind, Checker, Digest, value};
use crate::digest::{Calendar, Every};

const MAX_DIGESTS: usize = 100;
const MAX_RECIPIENTS: usize = 100;
const MAX_NAMES: usize = 1_000;
const EVERY: [(&str, Every); 2] = [("day", Every::Day), ("week", Every::Week)];

/// What a digest may refer to, of the same configuration; what could not be read of it is not held against it.
struct Known<'a> {
    channels: Option<&'a [Channel]>,
    checkers: Option<&'a [Checker]>,
    zone: Tz,
}

pub(super) fn read_all(
    root: &mut Section<'_>,
    zone: Tz,
    checkers: Option<&[Checker]>,
    channels: Option<&[Channel]>,
) -> Result<Vec<Digest>, Reported> {
    let known = Known { channels, checkers, zone };
    let found = root.optional("digest", |item| {
        if !item.is_list() {
            return Ok(vec![read(item.section("[digest]")?, None, &known)?]);
        }
        let mut names = Unique::default();
        // How many there are decides whether a name is needed, so the tables come first and their keys after.
        let sections = item.list(1..=MAX_DIGESTS, |element| element.section("[[digest]]"))?;
        let several = sections.len() > 1;
        let digests: Vec<_> = sections
            .into_iter()
            .map(|section| read(section, several.then_some(&mut names), &known))
            .collect();
        digests.into_iter().collect()
    })?;
    Ok(found.unwrap_or_default())
}

/// `names` holds those of the other digests, if there are any.
fn read(mut section: Section<'_>, names: Option<&mut Unique>, known: &Known<'_>) -> Result<Digest, Reported> {
    let name = match names {
        None => section.optional("name", |item| value::name(&item)),
        Some(names) => section
            .required("name", |item| {
                let name = value::name(&item)?;
                names.claim_item(&name, &item)?;
                Ok(name)
            })
            .map(Some),
    };
    let channel = section.required("channel", |item| mail_channel(&item, known));
    let to = section
        .optional("to", |item| item.one_or_list(1..=MAX_RECIPIENTS, |item| value::mail_address(&item)));
    let every = section.optional("every", |item| item.choice(&EVERY));
    let at = section.optional("at", |item| time(&item));
    let of = |get: fn(&Checker) -> &String| -> Option<BTreeSet<&str>> {
        known.checkers.map(|checkers| checkers.iter().map(|checker| get(checker).as_str()).collect())
    };
    let (of_checkers, of_providers) = (of(|checker| &checker.name), of(|checker| &checker.provider));
    let checkers = names_of(&mut section, "checkers", "checker", of_checkers);
    let providers = names_of(&mut section, "providers", "provider", of_providers);
    section.finish();
    let (channel, recipients) = channel?;
    Ok(Digest {
        name: name?,
        channel,
        to: to?.unwrap_or(recipients),
        calendar: Calendar {
            every: every?.unwrap_or(Every::Day),
            at: at?.unwrap_or(DEFAULT_AT),
            zone: known.zone,
        },
        checkers: checkers?,
        providers: providers?,
    })
}

pub(super) const DEFAULT_AT: NaiveTime = match NaiveTime::from_hms_opt(7, 0, 0) {
    Some(time) => time,
    None => NaiveTime::MIN,
};

/// The name of a channel that sends mail, and whom it usually sends to.
fn mail_channel(item: &Item<'_>, known: &Known<'_>) -> Result<(String, Vec<String>), Reported> {
    let name = value::line(item)?;
    let Some(channels) = known.channels else { return Ok((name, Vec::new())) };
    match channels.iter().find(|channel| channel.name == name).map(|channel| &channel.kind) {
        Some(ChannelKind::Smtp(smtp)) => Ok((name, smtp.to.clone())),
        Some(_) => {
            Err(item.wrong(format!("the channel {} sends no mail, and a digest is one", quoted(&name))))
        }
        None => {
            let names: Vec<&str> = channels.iter().map(|channel| channel.name.as_str()).collect();
            let near = nearest(&name, &names);
            Err(item.wrong(format!("there is no [[channel]] with the name {}{near}", quoted(&name))))
        }
    }
}

pub(super) fn time(item: &Item<'_>) -> Result<NaiveTime, Reported> {
    let text = item.text()?;
    let time = NaiveTime::parse_from_str(text, "%H:%M").ok().filter(|_| text.len() == 5);
    time.ok_or_else(|| item.wrong(format!("{} is no time of day; write \"07:00\"", quoted(text))))
}

/// Names of things that are configured; absent is all of them.
fn names_of(
    section: &mut Section<'_>,
    key: &'static str,
    what: &str,
    known: Option<BTreeSet<&str>>,
) -> Result<BTreeSet<String>, Reported> {
    let read = |item: &Item<'_>| {
        let text = item.text()?;
        match &known {
            Some(known) if !known.contains(text) => {
                let near = nearest(text, known);
                Err(item.wrong(format!("there is no {what} {}{near}", quoted(text))))
            }
            _ => Ok(text.to_owned()),
        }
    };
    let names = section.optional(key, |item| item.one_or_list(1..=MAX_NAMES, |item| read(&item)))?;
    Ok(names.into_iter().flatten().collect())
}
