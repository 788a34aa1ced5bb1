//! `[[channel]]`.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeInclusive;

use chrono::TimeDelta;

use super::report::Reported;
use super::section::{Section, Unique};
use super::{Channel, ChannelKind, Event, Smtp, secret, server, value};

const MAX_CHANNELS: usize = 100;
const MAX_RECIPIENTS: usize = 100;

const SPACING: RangeInclusive<TimeDelta> = TimeDelta::zero()..=TimeDelta::days(1);

pub(super) const EVENTS: [(&str, Event); 3] =
    [("checker", Event::Checker), ("service", Event::Service), ("mailbox", Event::Mailbox)];

pub(super) fn read_all(
    root: &mut Section<'_>,
    environment: &BTreeMap<String, String>,
) -> Result<Vec<Channel>, Reported> {
    let mut names = Unique::default();
    let channels = root.optional("channel", |item| {
        item.list(0..=MAX_CHANNELS, |element| read(element.section("[[channel]]")?, &mut names, environment))
    });
    let channels = channels?.unwrap_or_default();
    let place = root.place_of("channel");
    if channels.is_empty() {
        root.report.warn(&place, "there is no [[channel]], so no alarm reaches anybody");
        return Ok(channels);
    }
    for (word, event) in EVENTS {
        if !channels.iter().any(|channel| channel.events.contains(&event)) {
            let sentence =
                format!("no [[channel]] has \"{word}\" in events, so alarms of that kind reach nobody");
            root.report.warn(&place, sentence);
        }
    }
    Ok(channels)
}

fn read(
    mut section: Section<'_>,
    names: &mut Unique,
    environment: &BTreeMap<String, String>,
) -> Result<Channel, Reported> {
    let name = section.required("name", |item| {
        let name = value::name(&item)?;
        names.claim_item(&name, &item)?;
        Ok(name)
    });
    let fallback = section.optional("fallback", |item| item.boolean());
    let events = section.optional("events", |item| item.list(1..=EVENTS.len(), |item| item.choice(&EVENTS)));
    let repeat = section.optional("repeat", |item| item.boolean());
    let spacing = section.optional("spacing", |item| item.duration(SPACING));
    let kind = match section.optional("type", |item| item.choice(&[("smtp", ())])) {
        // What else such a channel holds nobody can judge.
        Err(reported) => Err(reported),
        Ok(given) => {
            let smtp = smtp(&mut section, environment).map(ChannelKind::Smtp);
            section.finish();
            match given {
                Some(()) => smtp,
                None => Err(section.missing("type", "this required key is missing; write type = \"smtp\"")),
            }
        }
    };
    Ok(Channel {
        name: name?,
        fallback: fallback?.unwrap_or(false),
        events: events?.map_or_else(all_events, BTreeSet::from_iter),
        repeat: repeat?,
        spacing: spacing?.unwrap_or(TimeDelta::zero()),
        kind: kind?,
    })
}

fn all_events() -> BTreeSet<Event> {
    EVENTS.iter().map(|(_, event)| *event).collect()
}

fn smtp(section: &mut Section<'_>, environment: &BTreeMap<String, String>) -> Result<Smtp, Reported> {
    let server = server::read(section, &server::SUBMISSION);
    let user = section.optional("user", |item| value::line(&item));
    let password = section.optional("password", |item| secret::read(item, environment));
    let login = match (user, password) {
        (Ok(Some(_)), Ok(None)) => Err(section.wrong("user", "user needs password beside it")),
        (Ok(None), Ok(Some(_))) => Err(section.wrong("password", "password needs user beside it")),
        (user, password) => user.and_then(|user| Ok(user.zip(password?))),
    };
    let from = section.required("from", |item| value::mail_address(&item));
    let mut recipients = Unique::default();
    let to = section.required("to", |item| {
        item.one_or_list(1..=MAX_RECIPIENTS, |item| {
            let address = value::mail_address(&item)?;
            recipients.claim_item(&address, &item)?;
            Ok(address)
        })
    });
    Ok(Smtp { server: server?, login: login?, from: from?, to: to? })
}
