//! What each way to people shares with what it has to alarm about: when that is lost, which channels still work. Pure.
//!
//! What is shared is shown by evidence: a host, a mail host, a registered domain (by the rule of [`crate::site`], not by
//! the list of all public suffixes), an operator, a network, a declared provider. Without all of the evidence a channel is
//! never called independent, only not known.

mod place;

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use serde::Serialize;

use crate::config::{Channel, Config, Event, Hidden, Mailbox};
use crate::site;
pub use place::{BLOCK_BITS_V4, BLOCK_BITS_V6};
use place::{Place, Shared, normal};

/// So many providers of checkers are looked at, by name; what only the others share is not seen.
pub const PROVIDERS_MAX: usize = 1_000;

/// What DNS is to be asked.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Questions {
    /// Where mail for these goes to.
    pub domains: BTreeSet<String>,
    /// The addresses of these, and of the mail hosts that are found.
    pub hosts: BTreeSet<String>,
}

/// What is known from outside of the configuration. An error says why it is not known.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Answers {
    /// By domain.
    pub mail_hosts: BTreeMap<String, Result<BTreeSet<String>, String>>,
    /// By host name.
    pub addresses: BTreeMap<String, Result<BTreeSet<IpAddr>, String>>,
    /// By channel: the hosts of the URLs that stand in a file or are told by a program.
    pub url_hosts: BTreeMap<String, String>,
}

impl Answers {
    /// Why not everything was answered.
    pub fn failure(&self) -> Option<&str> {
        let mail_hosts = self.mail_hosts.values().find_map(|answer| answer.as_ref().err());
        mail_hosts
            .or_else(|| self.addresses.values().find_map(|answer| answer.as_ref().err()))
            .map(String::as_str)
    }
}

impl Questions {
    /// What has to be known of `config`, whose channels have these URLs outside of it.
    pub fn of(config: &Config, url_hosts: &BTreeMap<String, String>) -> Self {
        let mut questions = Self::default();
        for mailbox in &config.mailboxes {
            questions.domains.extend(site::domain(&mailbox.user));
            questions.add_host(&mailbox.server.host);
            mailbox.login.host().into_iter().for_each(|host| questions.add_host(host));
        }
        for channel in &config.channels {
            let reach = channel.reach();
            questions.domains.extend(reach.recipients.iter().filter_map(|to| site::domain(to)));
            let servers = reach.servers.iter().chain(url_hosts.get(&channel.name));
            servers.for_each(|host| questions.add_host(host));
        }
        questions
    }

    fn add_host(&mut self, host: &str) {
        if host.parse::<IpAddr>().is_err() && !crate::config::is_loopback(host) {
            self.hosts.insert(normal(host));
        }
    }
}

/// What may be lost.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Lost {
    /// The mailbox of this name, and whoever runs it.
    Mailbox(String),
    /// The provider of checkers.
    Provider(String),
}

impl Lost {
    /// `the mailbox MONITOR`.
    pub fn words(&self) -> String {
        match self {
            Self::Mailbox(name) => format!("the mailbox {name}"),
            Self::Provider(name) => format!("the provider {name}"),
        }
    }

    fn event(&self) -> Event {
        match self {
            Self::Mailbox(_) => Event::Mailbox,
            Self::Provider(_) => Event::Checker,
        }
    }
}

/// What becomes of a channel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Fate {
    /// It shares nothing that is known to be lost, and all that matters is known.
    Works,
    Lost,
    Unknown,
}

/// One channel, when one thing is lost.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Line {
    pub channel: String,
    pub fate: Fate,
    /// It is told of such a loss at all.
    pub told: bool,
    /// What it shares, a phrase each: "its server … shares … with …".
    pub shared: Vec<String>,
    /// What is not known, a phrase each.
    pub unknown: Vec<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Loss {
    pub lost: Lost,
    /// In the order of the configuration.
    pub channels: Vec<Line>,
}

/// Whether anybody hears of a loss.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    Heard,
    /// No channel is known to survive it, but some may.
    Unknown,
    Unheard,
}

impl Loss {
    pub fn verdict(&self) -> Verdict {
        let mut told = self.channels.iter().filter(|line| line.told).map(|line| line.fate);
        if told.clone().any(|fate| fate == Fate::Works) {
            return Verdict::Heard;
        }
        if told.any(|fate| fate == Fate::Unknown) { Verdict::Unknown } else { Verdict::Unheard }
    }

    /// Those with this fate.
    pub fn with(&self, fate: Fate) -> impl Iterator<Item = &Line> {
        self.channels.iter().filter(move |line| line.fate == fate)
    }
}

/// For each thing that may be lost, which channels still work.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Matrix {
    /// The mailboxes, then the providers by name. Empty without channels.
    pub losses: Vec<Loss>,
}

impl Matrix {
    pub fn of(config: &Config, answers: &Answers) -> Self {
        let ways: Vec<Way<'_>> = config.channels.iter().map(|channel| Way::of(channel, answers)).collect();
        if ways.is_empty() {
            return Self::default();
        }
        let of_mailbox = |mailbox: &Mailbox| {
            let home = Home::of(mailbox, answers);
            let lost = Lost::Mailbox(mailbox.name.clone());
            let channels = ways.iter().map(|way| way.without_mailbox(&home, &lost)).collect();
            Loss { lost, channels }
        };
        let of_provider = |provider: &str| {
            let lost = Lost::Provider(provider.to_owned());
            let channels = ways.iter().map(|way| way.without_provider(provider, &lost)).collect();
            Loss { lost, channels }
        };
        let providers: BTreeSet<&str> = config.checkers.iter().map(|checker| &*checker.provider).collect();
        let mailboxes = config.mailboxes.iter().map(of_mailbox);
        Self { losses: mailboxes.chain(providers.into_iter().take(PROVIDERS_MAX).map(of_provider)).collect() }
    }
}

/// All that a mailbox needs.
struct Home<'a> {
    provider: Option<&'a str>,
    places: Vec<Place>,
}

impl<'a> Home<'a> {
    fn of(mailbox: &'a Mailbox, answers: &Answers) -> Self {
        let hosts = std::iter::once(&*mailbox.server.host).chain(mailbox.login.host());
        let mut places: Vec<Place> = hosts.map(|host| Place::server(host, answers)).collect();
        places.extend(site::domain(&mailbox.user).map(|domain| Place::mail(&domain, answers)));
        Self { provider: mailbox.provider.as_deref(), places }
    }
}

/// What one thing that a channel needs has in common with what is lost.
enum Tie {
    Shared(String),
    Unknown(String),
    /// Cannot be seen from here, so that the user's word counts.
    Hidden(String),
    Nothing,
}

/// What the declared providers say.
enum Declared {
    Same(String),
    Other,
    Nothing,
}

/// All that a channel needs.
struct Way<'a> {
    channel: &'a Channel,
    provider: Option<&'a str>,
    servers: Vec<Place>,
    recipients: Vec<Place>,
    hidden: Option<Hidden>,
}

impl<'a> Way<'a> {
    fn of(channel: &'a Channel, answers: &Answers) -> Self {
        let mut reach = channel.reach();
        if let Some(host) = answers.url_hosts.get(&channel.name).filter(|_| reach.hidden == Some(Hidden::Url))
        {
            reach.servers.push(host.clone());
            reach.hidden = None;
        }
        let domains: BTreeSet<String> = reach.recipients.iter().filter_map(|to| site::domain(to)).collect();
        Self {
            channel,
            provider: channel.provider.as_deref(),
            servers: reach.servers.iter().map(|host| Place::server(host, answers)).collect(),
            recipients: domains.iter().map(|domain| Place::mail(domain, answers)).collect(),
            hidden: reach.hidden,
        }
    }

    fn without_mailbox(&self, home: &Home<'_>, lost: &Lost) -> Line {
        let what = lost.words();
        let declared = declared(self.provider, home.provider, &what);
        let tie = |place: &Place| {
            let all = || std::iter::once(place).chain(&home.places);
            if let Some(shared) = home.places.iter().filter_map(|other| place.shares(other)).min() {
                return Tie::Shared(shares_words(place, &shared, &what));
            }
            // Nobody's word stands in for DNS.
            if let Some(why) = all().find_map(|place| place.unknown.clone()) {
                return Tie::Unknown(why);
            }
            if place.local && home.places.iter().any(|place| place.local) {
                let text = format!("{} is on the same host as {what}, this one", place.shown);
                return Tie::Hidden(format!("{text}: what is behind both is yours to judge (see provider)"));
            }
            let local = all().find(|place| place.local);
            local.map_or(Tie::Nothing, |local| Tie::Hidden(behind(&local.shown)))
        };
        self.line(lost, declared, tie)
    }

    fn without_provider(&self, provider: &str, lost: &Lost) -> Line {
        let what = lost.words();
        let declared = declared(self.provider, Some(provider), &what);
        let tie = |place: &Place| match place.is_of(provider) {
            Some(shared) => Tie::Shared(format!("{} is of {what}, by {shared}", place.shown)),
            None if place.local => Tie::Hidden(behind(&place.shown)),
            None => Tie::Hidden(format!("who runs {}: say so with provider = \"…\"", place.shown)),
        };
        self.line(lost, declared, tie)
    }

    fn line(&self, lost: &Lost, declared: Declared, tie: impl Fn(&Place) -> Tie) -> Line {
        // Another provider than the lost one is the user's word for what cannot be seen from here.
        let vouched = matches!(declared, Declared::Other);
        let (mut shared, mut unknown) = (Vec::new(), Vec::new());
        let mut judge = |tie: Tie| match tie {
            Tie::Shared(text) => {
                shared.push(text);
                Fate::Lost
            }
            Tie::Hidden(_) if vouched => Fate::Works,
            Tie::Hidden(text) | Tie::Unknown(text) => {
                if !unknown.contains(&text) {
                    unknown.push(text);
                }
                Fate::Unknown
            }
            Tie::Nothing => Fate::Works,
        };
        let mut needed = Vec::new();
        if let Declared::Same(text) = declared {
            needed.push(judge(Tie::Shared(text)));
        }
        needed.extend(self.hidden.map(|hidden| judge(Tie::Hidden(hidden_words(hidden).to_owned()))));
        needed.extend(self.servers.iter().map(|place| judge(tie(place))));
        let recipients: Vec<Fate> = self.recipients.iter().map(|place| judge(tie(place))).collect();
        needed.extend(best(&recipients));
        let told = self.channel.events.contains(&lost.event());
        Line { channel: self.channel.name.clone(), fate: worst(&needed), told, shared, unknown }
    }
}

fn declared(own: Option<&str>, other: Option<&str>, what: &str) -> Declared {
    match own.zip(other) {
        Some((own, other)) if own.to_lowercase() == other.to_lowercase() => {
            Declared::Same(format!("its provider {own} is that of {what}"))
        }
        Some(_) => Declared::Other,
        None => Declared::Nothing,
    }
}

/// All of them are needed.
fn worst(fates: &[Fate]) -> Fate {
    [Fate::Lost, Fate::Unknown].into_iter().find(|fate| fates.contains(fate)).unwrap_or(Fate::Works)
}

/// One of them is enough.
fn best(fates: &[Fate]) -> Option<Fate> {
    [Fate::Works, Fate::Unknown, Fate::Lost].into_iter().find(|fate| fates.contains(fate))
}

fn shares_words(place: &Place, shared: &Shared, what: &str) -> String {
    match shared {
        Shared::Host(host) if *host == normal(&place.shown) => {
            format!("{} is on the same host as {what}", place.shown)
        }
        shared => format!("{} shares {shared} with {what}", place.shown),
    }
}

fn behind(local: &str) -> String {
    format!("{local} is on this machine: what is behind it is yours to judge (see provider)")
}

fn hidden_words(hidden: Hidden) -> &'static str {
    match hidden {
        Hidden::Program => "what its program needs is yours to judge (see provider)",
        Hidden::File => "who reads its file, and how, is yours to judge (see provider)",
        Hidden::Url => "its url could not be fetched",
    }
}

#[cfg(test)]
mod tests;
