//! Mails → who writes what. Takes mails in any order; a second copy of a mail changes nothing.

use std::collections::{BTreeMap, BTreeSet};

use super::measure::Writer;
use crate::config::Config;
use crate::intake::{Key, key};
use crate::ledger::arrivals::Arrival;
use crate::mail::RawMail;
use crate::mail::{self, Hop, Mail};
use crate::report::tokens::Scanner;
use crate::report::{NotHeard, Roster, Tokens, understand};
use crate::time::Time;
use crate::trust::{Keys, Why};

/// Hosts kept of the way that the newest mail of a writer took.
const ROUTE_MAX: usize = 6;
/// Sets of addresses kept of mails that are addressed to several.
const AMBIGUOUS_MAX: usize = 20;

/// Whether one address of a mail names its checker.
enum Addressee {
    One(String),
    /// Several that differ: it cannot be said who speaks.
    Several(Vec<String>),
    /// None but the mailbox itself.
    Nobody,
}

/// What a number of mails tells about those who wrote them.
pub struct Survey {
    roster: Roster,
    strange: Scanner,
    /// The mailboxes' own addresses.
    own: BTreeSet<String>,
    keys: BTreeSet<Key>,
    span: Option<(Time, Time)>,
    /// By name.
    configured: BTreeMap<String, Writer>,
    /// Of the configured checkers' reports.
    arrivals: BTreeMap<String, Vec<Arrival>>,
    /// By name: how many mails are not believed, and the newest of them.
    untrusted: BTreeMap<String, (usize, Time, Why)>,
    /// By address.
    strangers: BTreeMap<String, Writer>,
    /// How many reports were addressed to these several addresses at once.
    ambiguous: BTreeMap<Vec<String>, usize>,
    unaddressed: usize,
}

impl Survey {
    /// `keys` are those of the configured checkers that have to sign.
    pub fn new(config: &Config, keys: &Keys) -> Self {
        Self {
            roster: Roster::new(&config.checkers, keys),
            strange: Scanner::for_strangers(),
            own: config.mailboxes.iter().map(|mailbox| mailbox.user.to_lowercase()).collect(),
            keys: BTreeSet::new(),
            span: None,
            configured: BTreeMap::new(),
            arrivals: BTreeMap::new(),
            untrusted: BTreeMap::new(),
            strangers: BTreeMap::new(),
            ambiguous: BTreeMap::new(),
            unaddressed: 0,
        }
    }

    /// Takes in one mail.
    pub fn take(&mut self, raw: &RawMail) {
        let mut mail = mail::parse(&raw.bytes, raw.truncated);
        let received = raw.received();
        if !self.keys.insert(key(&mail, received)) {
            return;
        }
        let span = self.span.unwrap_or((received, received));
        self.span = Some((span.0.min(received), span.1.max(received)));
        let mut strange = Tokens::default();
        self.strange.scan(&mail.subject, &mut strange);
        mail.texts.iter().for_each(|text| self.strange.scan(text, &mut strange));
        let (recipients, route, forward) = (mail.recipients.clone(), route(&mail), mail.marks.forward);
        let understood = understand(&mut mail, &self.roster);
        if let Some(checker) = understood.checker.as_ref().filter(|_| understood.heard()) {
            let arrival = Arrival::new(received, understood.sent, &understood.received);
            self.arrivals.entry(checker.clone()).or_default().push(arrival);
        }
        match (understood.not_heard, understood.checker) {
            (None | Some(NotHeard::NoToken), Some(checker)) => {
                let names: Vec<&str> =
                    understood.results.keys().chain(understood.unknown.keys()).map(String::as_str).collect();
                let writer = self.configured.entry(checker).or_default();
                writer.add(received, understood.dryrun.is_some(), &names, route);
            }
            (Some(NotHeard::Untrusted(why)), Some(checker)) => {
                let (count, newest, reason) = self.untrusted.entry(checker).or_insert((0, received, why));
                *count += 1;
                (*newest, *reason) = (*newest, *reason).max((received, why));
            }
            (Some(NotHeard::NobodyKnown), _) if !forward => {
                self.take_strange(received, &recipients, &strange, route);
            }
            _ => {}
        }
    }

    /// Of a configured checker: how many mails in its name are not believed, and why the newest is not.
    pub fn untrusted(&self, checker: &str) -> Option<(usize, Why)> {
        self.untrusted.get(checker).map(|(count, _, why)| (*count, *why))
    }

    fn take_strange(&mut self, received: Time, recipients: &[String], tokens: &Tokens, route: Vec<String>) {
        if tokens.dryrun.is_none() && tokens.unknown.is_empty() {
            return;
        }
        match self.addressee(recipients) {
            Addressee::One(address) => {
                let names: Vec<&str> = tokens.unknown.keys().map(String::as_str).collect();
                let writer = self.strangers.entry(address).or_default();
                writer.add(received, tokens.dryrun.is_some(), &names, route);
            }
            Addressee::Several(addresses)
                if self.ambiguous.len() < AMBIGUOUS_MAX || self.ambiguous.contains_key(&addresses) =>
            {
                *self.ambiguous.entry(addresses).or_default() += 1;
            }
            Addressee::Several(_) => {}
            Addressee::Nobody => self.unaddressed += 1,
        }
    }

    fn addressee(&self, recipients: &[String]) -> Addressee {
        // Delivered-To and the like add the mailbox that an alias leads to.
        let others: Vec<&String> = recipients.iter().filter(|address| !self.own.contains(*address)).collect();
        // A person in copy has no tag.
        let tagged: Vec<&String> = others.iter().filter(|address| has_tag(address)).copied().collect();
        let candidates = if tagged.is_empty() { others } else { tagged };
        let names: BTreeSet<String> = candidates.iter().map(|address| self.name_of(address)).collect();
        match (candidates.first(), names.len()) {
            (None, _) => Addressee::Nobody,
            (Some(first), 1) => Addressee::One((*first).clone()),
            _ => Addressee::Several(candidates.into_iter().cloned().collect()),
        }
    }

    /// What an address calls its checker: `bresse1` of `bresse1+monitor@` and of `monitor+bresse1@`.
    pub(super) fn name_of(&self, address: &str) -> String {
        let (local, domain) = address.rsplit_once('@').unwrap_or((address, ""));
        let mailbox = |name: &str| name == "monitor" || self.own.contains(&format!("{name}@{domain}"));
        match local.split_once('+') {
            Some((name, tag)) if mailbox(name) && !tag.is_empty() => tag.to_owned(),
            Some((name, tag)) if mailbox(tag) && !name.is_empty() => name.to_owned(),
            _ => local.to_owned(),
        }
    }

    /// How many mails were taken in, each counted once.
    pub fn mails(&self) -> usize {
        self.keys.len()
    }

    /// When the oldest and the newest of them were received.
    pub fn span(&self) -> Option<(Time, Time)> {
        self.span
    }

    /// What this configured checker wrote.
    pub fn configured(&self, name: &str) -> Option<&Writer> {
        self.configured.get(name)
    }

    /// When this configured checker's reports arrived, in no order.
    pub fn arrivals(&self, name: &str) -> &[Arrival] {
        self.arrivals.get(name).map_or(&[], Vec::as_slice)
    }

    /// Who reports without being configured, by address.
    pub fn strangers(&self) -> impl Iterator<Item = (&str, &Writer)> {
        self.strange_writers().filter(|(_, writer)| writer.reports())
    }

    /// Addresses of mails in which something looks like a token, but that are no reports.
    pub(super) fn bystanders(&self) -> impl Iterator<Item = (&str, &Writer)> {
        self.strange_writers().filter(|(_, writer)| !writer.reports())
    }

    fn strange_writers(&self) -> impl Iterator<Item = (&str, &Writer)> {
        self.strangers.iter().map(|(address, writer)| (address.as_str(), writer))
    }

    pub(super) fn ambiguous(&self) -> impl Iterator<Item = (&[String], usize)> {
        self.ambiguous.iter().map(|(addresses, mails)| (addresses.as_slice(), *mails))
    }

    /// Reports that are addressed to the mailbox itself only.
    pub(super) fn unaddressed(&self) -> usize {
        self.unaddressed
    }
}

fn has_tag(address: &str) -> bool {
    address.rsplit_once('@').is_some_and(|(local, _)| local.contains('+'))
}

/// The hosts a mail came by, the first one first.
fn route(mail: &Mail) -> Vec<String> {
    let mut route: Vec<String> = Vec::new();
    let hosts = mail.received.iter().rev().flat_map(|Hop { from, by, .. }| [from, by]);
    for host in hosts.flatten().take(ROUTE_MAX) {
        if !route.contains(host) {
            route.push(host.clone());
        }
    }
    route
}
