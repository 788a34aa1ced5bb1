//! `[mailbox]`, or several `[[mailbox]]`.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use chrono::TimeDelta;

use super::node::{Content, Node, Table};
use super::report::{Reported, quoted};
use super::section::{Item, Section, Unique};
use super::{Login, Mailbox, login, server, value};
use crate::fullness::{self, Limits};

const MAX_MAILBOXES: usize = 100;
const MAX_FOLDERS: usize = 100;

const POLL: RangeInclusive<TimeDelta> = TimeDelta::seconds(1)..=TimeDelta::hours(1);
const DEFAULT_POLL: TimeDelta = TimeDelta::seconds(60);
const BLIND_AFTER: RangeInclusive<TimeDelta> = TimeDelta::seconds(1)..=TimeDelta::days(1);
const DEFAULT_BLIND_AFTER: TimeDelta = TimeDelta::minutes(3);

const SIZE_LIMIT: RangeInclusive<u64> = 1 << 10..=1 << 50;
const MESSAGE_LIMIT: RangeInclusive<u64> = 1..=1_000_000_000;

/// Alarms about the only mailbox are `MONITOR_Mailbox.NOK`.
const ONLY_NAME: &str = "MONITOR";

pub(super) fn read_all(
    root: &mut Section<'_>,
    environment: &BTreeMap<String, String>,
) -> Result<Vec<Mailbox>, Reported> {
    let found = root.optional("mailbox", |item| {
        if !item.is_list() {
            return Ok(vec![read(item.section("[mailbox]")?, None, environment)?]);
        }
        let mut names = Unique::default();
        // How many there are decides whether a name is needed, so the tables come first and their keys after.
        let sections = item.list(1..=MAX_MAILBOXES, |element| element.section("[[mailbox]]"))?;
        let several = sections.len() > 1;
        let mailboxes: Vec<_> = sections
            .into_iter()
            .map(|section| read(section, several.then_some(&mut names), environment))
            .collect();
        mailboxes.into_iter().collect()
    })?;
    found.ok_or_else(|| root.missing("mailbox", "there is no [mailbox]; the watchdog needs one to read"))
}

/// `names` holds those of the other mailboxes, if there are any.
fn read(
    mut section: Section<'_>,
    names: Option<&mut Unique>,
    environment: &BTreeMap<String, String>,
) -> Result<Mailbox, Reported> {
    let name = match names {
        None => section
            .optional("name", |item| value::name(&item))
            .map(|name| name.unwrap_or_else(|| ONLY_NAME.to_owned())),
        Some(names) => section.required("name", |item| {
            let name = value::name(&item)?;
            names.claim_item(&name, &item)?;
            Ok(name)
        }),
    };
    let server = server::read(&mut section, &server::IMAP);
    let user = section.required("user", |item| value::line(&item));
    let login = login(&mut section, environment);
    let folders = folders_and_junk(&mut section);
    let poll = section.optional("poll", |item| item.duration(POLL));
    let blind_after = section.optional("blind_after", |item| item.duration(BLIND_AFTER));
    let size = section.optional("size_limit", |item| size(&item));
    let messages = section.optional("message_limit", |item| item.integer(MESSAGE_LIMIT));
    let provider = section.optional("provider", |item| value::name(&item));
    section.finish();
    let (folders, junk) = folders?;
    Ok(Mailbox {
        name: name?,
        server: server?,
        user: user?,
        login: login?,
        folders,
        junk,
        poll: poll?.unwrap_or(DEFAULT_POLL),
        blind_after: blind_after?.unwrap_or(DEFAULT_BLIND_AFTER),
        limits: Limits { size: size?, messages: messages? },
        provider: provider?,
    })
}

/// A whole number with its unit: `50GB`.
fn size(item: &Item<'_>) -> Result<u64, Reported> {
    let text = item.text()?;
    let digits = text.trim_end_matches(|c: char| !c.is_ascii_digit());
    let unit = text.get(digits.len()..).unwrap_or_default();
    let unit = fullness::UNITS.iter().find(|(name, _)| *name == unit);
    let Some((_, unit)) = unit.filter(|_| !digits.is_empty()) else {
        return Err(item.wrong(format!("{} is not a size; write 500MB, 50GB or 1TB", quoted(text))));
    };
    let size = digits.parse::<u64>().ok().and_then(|count| count.checked_mul(*unit));
    size.filter(|size| SIZE_LIMIT.contains(size)).ok_or_else(|| {
        let (from, to) = (fullness::bytes(*SIZE_LIMIT.start()), fullness::bytes(*SIZE_LIMIT.end()));
        item.wrong(format!("{} is not between {from} and {to}", quoted(text)))
    })
}

fn login(section: &mut Section<'_>, environment: &BTreeMap<String, String>) -> Result<Login, Reported> {
    let login = login::read(section, environment)?;
    login.ok_or_else(|| section.missing("password", "either password or oauth2 is required"))
}

fn folders_and_junk(section: &mut Section<'_>) -> Result<(Vec<String>, Option<String>), Reported> {
    let folders = section.optional("folders", folders);
    let junk = section.optional("junk", |item| folder(&item));
    let folders = folders?.unwrap_or_else(|| vec!["INBOX".to_owned()]);
    match junk? {
        Some(junk) if folders.contains(&junk) => {
            let what = format!(
                "{} is among folders too; what lies in Junk is never heard: leave one of the two out",
                quoted(&junk)
            );
            Err(section.wrong("junk", what))
        }
        junk => Ok((folders, junk)),
    }
}

fn folders(item: Item<'_>) -> Result<Vec<String>, Reported> {
    let mut seen: Vec<String> = Vec::new();
    item.list(1..=MAX_FOLDERS, |item| {
        let folder = folder(&item)?;
        if seen.contains(&folder) {
            return Err(item.wrong(format!("{} is listed twice", quoted(&folder))));
        }
        seen.push(folder.clone());
        Ok(folder)
    })
}

fn folder(item: &Item<'_>) -> Result<String, Reported> {
    let mut folder = value::line(item)?;
    // The one mailbox name without regard to case (RFC 3501, section 5.1).
    if folder.eq_ignore_ascii_case("INBOX") {
        folder.make_ascii_uppercase();
    }
    Ok(folder)
}

/// The first mailbox's user before anything is validated, so that an error elsewhere in the mailbox does not hide those
/// of the checkers, whose default addresses are made from it.
pub(super) fn first_user(root: &Table) -> Option<String> {
    let table = match &root.get("mailbox")?.content {
        Content::Table(table) => table,
        Content::List(list) => match list.first() {
            Some(Node { content: Content::Table(table), .. }) => table,
            _ => return None,
        },
        _ => return None,
    };
    match &table.get("user")?.content {
        Content::Text(user) => Some(user.clone()),
        _ => None,
    }
}
