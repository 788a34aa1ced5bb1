//! `[[channel]]`: what every kind has, and one file for the keys of each.

mod endpoint;
mod local;
mod reach;
mod smtp;
mod webhook;

use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeInclusive;
use std::path::PathBuf;

use chrono::TimeDelta;

use super::report::Reported;
use super::section::{Item, Section, Unique};
use super::{Event, value};
pub use endpoint::Endpoint;
pub(super) use endpoint::read_secret as read_secret_endpoint;
pub(crate) use endpoint::{parse_url, shown_host};
pub use reach::{Hidden, Reach};
pub use smtp::Smtp;
pub use webhook::{Content, Preset, Verb, Webhook};

const MAX_CHANNELS: usize = 100;

const SPACING: RangeInclusive<TimeDelta> = TimeDelta::zero()..=TimeDelta::days(1);

const RATE_MESSAGES: RangeInclusive<usize> = 1..=1_000;
const RATE_PER: RangeInclusive<TimeDelta> = TimeDelta::seconds(1)..=TimeDelta::days(7);

pub(super) const EVENTS: [(&str, Event); 3] =
    [("checker", Event::Checker), ("service", Event::Service), ("mailbox", Event::Mailbox)];

/// One way to reach people.
#[derive(Debug, Clone)]
pub struct Channel {
    pub name: String,
    /// Used only for what another channel could not deliver.
    pub fallback: bool,
    /// The kinds of alarm it wants; all by default.
    pub events: BTreeSet<Event>,
    /// Whether an alarm is said again while it lasts: never, or every 15 minutes where no route says how often. None: as
    /// the routes say.
    pub repeat: Option<bool>,
    /// At least this long between two attempts; zero by default.
    pub spacing: TimeDelta,
    /// No more attempts than this; any number by default.
    pub rate: Option<Rate>,
    /// Whether what is more than may be sent goes together in one message.
    pub combine: bool,
    /// Who runs what it goes through, if the user said so.
    pub provider: Option<String>,
    pub kind: ChannelKind,
}

/// So many attempts in any span of this length, and no more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    /// 1 to 1000.
    pub messages: usize,
    /// 1 s to 7 d.
    pub per: TimeDelta,
}

#[derive(Debug, Clone)]
pub enum ChannelKind {
    Smtp(Smtp),
    Webhook(Webhook),
    /// The address of a Workflows webhook of Microsoft Teams, which is a secret.
    Teams(Endpoint),
    /// Where an Alertmanager answers; its API is below.
    Alertmanager(Endpoint),
    /// A program and its arguments; at least one word.
    Command(Vec<String>),
    /// JSON lines are added to it.
    File(PathBuf),
}

impl ChannelKind {
    /// The word in the configuration.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Smtp(_) => "smtp",
            Self::Webhook(_) => "webhook",
            Self::Teams(_) => "teams",
            Self::Alertmanager(_) => "alertmanager",
            Self::Command(_) => "command",
            Self::File(_) => "file",
        }
    }

    /// Whether its far side keeps each alarm until it gets the recovery of just that one.
    fn knows_alarms(&self) -> bool {
        match self {
            Self::Alertmanager(_) => true,
            Self::Webhook(webhook) => matches!(webhook.content, Content::Preset(Preset::Pagerduty)),
            Self::Smtp(_) | Self::Teams(_) | Self::Command(_) | Self::File(_) => false,
        }
    }
}

impl Channel {
    /// Whom one message of this channel goes to, each alone. Never a secret.
    pub fn recipients(&self) -> Vec<String> {
        match &self.kind {
            ChannelKind::Smtp(smtp) => smtp.to.clone(),
            ChannelKind::Command(words) => words.first().cloned().into_iter().collect(),
            ChannelKind::File(path) => vec![path.display().to_string()],
            ChannelKind::Webhook(_) | ChannelKind::Teams(_) | ChannelKind::Alertmanager(_) => {
                vec![self.host().unwrap_or_else(|| self.kind.word()).to_owned()]
            }
        }
    }

    /// Whether somebody, or something that acts for him, may press the link in its messages.
    pub fn is_answered(&self) -> bool {
        let ping = |webhook: &Webhook| webhook.content == Content::Preset(Preset::Ping);
        match &self.kind {
            ChannelKind::File(_) => false,
            ChannelKind::Webhook(webhook) => !ping(webhook),
            ChannelKind::Smtp(_)
            | ChannelKind::Teams(_)
            | ChannelKind::Alertmanager(_)
            | ChannelKind::Command(_) => true,
        }
    }

    /// The machine that takes its messages; None when that is this one, or not known before they are sent.
    pub fn host(&self) -> Option<&str> {
        match &self.kind {
            ChannelKind::Smtp(smtp) => Some(&smtp.server.host),
            ChannelKind::Webhook(Webhook { endpoint, .. })
            | ChannelKind::Teams(endpoint)
            | ChannelKind::Alertmanager(endpoint) => endpoint.host.as_deref(),
            ChannelKind::Command(_) | ChannelKind::File(_) => None,
        }
    }
}

#[derive(Clone, Copy)]
enum Type {
    Smtp,
    Webhook,
    Teams,
    Alertmanager,
    Command,
    File,
}

const TYPES: [(&str, Type); 6] = [
    ("smtp", Type::Smtp),
    ("webhook", Type::Webhook),
    ("teams", Type::Teams),
    ("alertmanager", Type::Alertmanager),
    ("command", Type::Command),
    ("file", Type::File),
];

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
    let rate = section.optional("rate", rate);
    let combine = section.optional("combine", |item| item.boolean());
    let provider = section.optional("provider", |item| value::name(&item));
    let kind = match section.optional("type", |item| item.choice(&TYPES)) {
        // What else such a channel holds nobody can judge.
        Err(reported) => Err(reported),
        Ok(None) => {
            let words: Vec<&str> = TYPES.iter().map(|(word, _)| *word).collect();
            let sentence = format!("this required key is missing; it is one of {}", words.join(", "));
            Err(section.missing("type", sentence))
        }
        Ok(Some(given)) => {
            let kind = kind(given, &mut section, environment);
            section.finish();
            kind
        }
    };
    let (rate, kind) = (rate?, kind?);
    let combine = match combine? {
        Some(true) if kind.knows_alarms() => {
            let sentence = "this kind of channel ends each alarm by its own recovery; combine cannot be true";
            return Err(section.wrong("combine", sentence));
        }
        Some(combine) => combine,
        None => rate.is_some() && matches!(kind, ChannelKind::Smtp(_) | ChannelKind::Teams(_)),
    };
    Ok(Channel {
        name: name?,
        fallback: fallback?.unwrap_or(false),
        events: events?.map_or_else(all_events, BTreeSet::from_iter),
        repeat: repeat?,
        spacing: spacing?.unwrap_or(TimeDelta::zero()),
        rate,
        combine,
        provider: provider?,
        kind,
    })
}

fn kind(
    given: Type,
    section: &mut Section<'_>,
    environment: &BTreeMap<String, String>,
) -> Result<ChannelKind, Reported> {
    match given {
        Type::Smtp => smtp::read(section, environment).map(ChannelKind::Smtp),
        Type::Webhook => webhook::read(section, environment).map(ChannelKind::Webhook),
        Type::Teams => endpoint::read_secret(section, environment).map(ChannelKind::Teams),
        Type::Alertmanager => endpoint::read(section, environment).map(ChannelKind::Alertmanager),
        Type::Command => local::command(section).map(ChannelKind::Command),
        Type::File => local::file(section).map(ChannelKind::File),
    }
}

fn rate(item: Item<'_>) -> Result<Rate, Reported> {
    let mut section = item.section("rate")?;
    let messages = section.required("messages", |item| item.integer(RATE_MESSAGES));
    let per = section.required("per", |item| item.duration(RATE_PER));
    section.finish();
    Ok(Rate { messages: messages?, per: per? })
}

fn all_events() -> BTreeSet<Event> {
    EVENTS.iter().map(|(_, event)| *event).collect()
}
