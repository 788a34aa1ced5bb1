//! Incidents → messages: who is told what, once, and that every announced token gets its recovery.

use std::collections::{BTreeMap, BTreeSet};

use super::fleet::{Brief, Place};
use super::roll::Roll;
use super::{Delivery, Engine};
use crate::bulletin::{About, Bulletin};
use crate::config::{Checker, Mailbox};
use crate::expiry;
use crate::incident::{self, Announced, Incident, Standing, Subject, What, silence_token};
use crate::matrix::{Heard, ServiceRow};
use crate::outbox::{Address, Kind, Message, Notice};
use crate::time::Time;
use crate::words::{self, CheckerCard, Letter, MailboxCard, Scene, Signature};

pub(super) fn listed(channels: &BTreeSet<String>) -> String {
    channels.iter().map(String::as_str).collect::<Vec<_>>().join(", ")
}

impl Engine {
    /// Says what there is to say about every open incident that has changed or waits, and closes what is over.
    pub(super) fn settle(&mut self, looked: Time, now: Time) {
        let mut changed = self.dirty.incidents.take_unsettled();
        changed.extend(self.splits.due(looked));
        for number in changed {
            let open = self.incidents.get(&number).filter(|incident| incident.closed.is_none());
            let Some(incident) = open else { continue };
            match incident.subject {
                Subject::Silence => self.settle_silence(number, looked, now),
                Subject::Service(_) | Subject::Report(_) => self.settle_one(number, now),
                Subject::Mailbox(_)
                | Subject::Channel(_)
                | Subject::Clock
                | Subject::Spoof(_)
                | Subject::Expiry(_)
                | Subject::Drill
                | Subject::Proof
                | Subject::ChannelExpiry(_)
                | Subject::Dependence(_) => {}
            }
        }
    }

    pub(super) fn open(&mut self, incident: Incident, now: Time) -> u64 {
        self.open_by(incident, None, now)
    }

    /// As above; a person wanted it.
    pub(super) fn open_by(&mut self, incident: Incident, by: Option<String>, now: Time) -> u64 {
        let number = incident.number;
        self.last_incident = number;
        self.take_up(incident);
        self.dirty.incidents.insert(number);
        self.note_step(number, What::Opened, by, None, now);
        number
    }

    pub(super) fn take_up(&mut self, incident: Incident) {
        self.opened.insert(&incident);
        self.dirty.incidents.unsettle(incident.number);
        let until = incident.acknowledged.as_ref().and_then(|by| by.until);
        self.acknowledgement_ends.set(incident.number, until);
        let number = incident.number;
        self.incidents.insert(number, incident);
        self.enroll(number);
    }

    /// Ends an incident: every token that was announced and not recovered yet is recovered.
    pub(super) fn close(&mut self, number: u64, now: Time) {
        let Some(incident) = self.incidents.get_mut(&number) else { return };
        incident.closed = Some(now);
        self.opened.remove(incident);
        self.rolls.remove(number);
        self.acknowledgement_ends.set(number, None);
        self.splits.set(number, None);
        self.note_step(number, What::Closed, None, None, now);
        let Some(incident) = self.incidents.get(&number) else { return };
        let tokens: Vec<String> = incident.owed().map(|announced| announced.token.clone()).collect();
        self.dirty.incidents.insert(number);
        tokens.iter().for_each(|token| self.recover_token(number, token, now));
    }

    /// Announces the incident's present members under `token`.
    pub(super) fn announce(&mut self, number: u64, token: String, now: Time) {
        self.revise_cause(number, now);
        let Some(incident) = self.incidents.get(&number) else { return };
        let letter = words::alarm(incident, &token, &self.scene(incident, now));
        let plan = self.plan(incident, now);
        let channels: BTreeSet<String> = plan.channels.keys().cloned().collect();
        let to = self.addresses(&channels);
        let about = About::of(incident, false, |name| self.provider_of(name));
        self.note_announcement(number, &token, &channels, now);
        let Some(incident) = self.incidents.get_mut(&number) else { return };
        incident.alarms += usize::from(incident.has_unnamed());
        incident
            .members
            .values_mut()
            .filter(|member| member.end.is_none())
            .for_each(|member| member.named = true);
        let ordinal = incident.messages + 1;
        match incident.announced.iter_mut().find(|announced| announced.token == token) {
            Some(before) => {
                if before.recovered.take().is_some() {
                    before.channels.clear();
                    before.first.clear();
                    before.about = about;
                }
                before.tell(&channels, ordinal, now);
            }
            None => {
                let mut announced = Announced {
                    token: token.clone(),
                    at: now,
                    channels: BTreeMap::new(),
                    first: BTreeMap::new(),
                    about,
                    recovered: None,
                };
                announced.tell(&channels, ordinal, now);
                incident.announced.push(announced);
                self.opened.announced(&token, number);
            }
        }
        self.enroll(number);
        self.say(number, &token, (Kind::Alarm, &letter), to, now);
        self.follow(number, now);
    }

    fn note_announcement(&mut self, number: u64, token: &str, channels: &BTreeSet<String>, now: Time) {
        let (what, to) = match channels.is_empty() {
            true => (What::Silenced, "nobody yet".to_owned()),
            false => (What::Announced, listed(channels)),
        };
        self.note_step(number, what, None, Some(format!("{token} to {to}")), now);
    }

    /// Sends the recovery of one announced token to the channels that had its alarm. Does nothing for other tokens.
    pub(super) fn recover_token(&mut self, number: u64, token: &str, now: Time) {
        let Some(incident) = self.incidents.get_mut(&number) else { return };
        let owed = |announced: &&mut Announced| announced.token == token && announced.recovered.is_none();
        let Some(announced) = incident.announced.iter_mut().find(owed) else { return };
        announced.recovered = Some(now);
        let (channels, first): (BTreeSet<String>, _) =
            (announced.channels.keys().cloned().collect(), announced.first.clone());
        let id = incident.id();
        let Some(incident) = self.incidents.get(&number) else { return };
        let letter = words::recovery(incident, token, &self.scene(incident, now));
        let dropped = self.outbox.drop_refused(&id, token);
        // Who refused only a reminder had the alarm, and so may have who refused it after a lost answer.
        let never_had = |message: &&Message| {
            first.get(&message.channel) == Some(&message.ordinal) && !message.is_in_doubt()
        };
        let untold: BTreeSet<Address> = dropped.iter().filter(never_had).map(Message::address).collect();
        for message in dropped {
            self.dirty.messages.remove(&message.id);
            self.dirty.deliveries.push(Delivery { message, at: now, answer: None });
        }
        let told = format!("{token} to {}", listed(&channels));
        self.note_step(number, What::Recovered, None, Some(told), now);
        let mut to = self.addresses(&channels);
        to.retain(|address| !untold.contains(address));
        self.say(number, token, (Kind::Recovery, &letter), to, now);
    }

    /// Gives a copy of an alarm that a channel could not deliver to the fallback channels that do not have it yet.
    pub(super) fn hand_over(&mut self, message: &Message, error: &str, now: Time) {
        if message.kind != Kind::Alarm {
            return;
        }
        let fallbacks: BTreeSet<String> = self
            .config
            .channels
            .iter()
            .filter(|channel| channel.fallback)
            .map(|channel| channel.name.clone())
            .collect();
        let Some(number) = incident::number_of(&message.incident) else { return };
        let open = self.incidents.get_mut(&number).filter(|incident| incident.id() == message.incident);
        let Some(incident) = open.filter(|incident| incident.closed.is_none()) else { return };
        // Through another channel a drill would prove nothing.
        if incident.subject == Subject::Drill {
            return;
        }
        // What is recovered already would stand for ever where it is told only now.
        let stands =
            |announced: &&mut Announced| announced.token == message.token && announced.recovered.is_none();
        let Some(announced) = incident.announced.iter_mut().find(stands) else { return };
        let new: BTreeSet<String> =
            fallbacks.into_iter().filter(|name| !announced.channels.contains_key(name)).collect();
        announced.tell(&new, incident.messages + 1, now);
        let letter = Letter { subject: message.subject.clone(), body: message.body.clone() };
        let letter = words::handed_over(&letter, &message.channel, error);
        let told = format!("{} from {} to {}", message.token, message.channel, listed(&new));
        let to = self.addresses(&new);
        self.say(number, &message.token, (Kind::Alarm, &letter), to, now);
        self.note_step(number, What::HandedOver, None, Some(told), now);
    }

    /// Who recovers together may have become others, or their deadlines.
    pub(super) fn revise_splits(&mut self) {
        let recovering: Vec<u64> = self.splits.keys().copied().collect();
        for number in recovering {
            let time = self.incidents.get(&number).and_then(|incident| self.split_time(incident));
            self.splits.set(number, time);
        }
    }

    /// When the common recovery of a silence is over for those who are still silent.
    pub(super) fn split_time(&self, incident: &Incident) -> Option<Time> {
        let since = incident.recovering_since?;
        let roll = self.rolls.get(incident.number)?;
        let longest = roll.present.iter().map(|(_, place)| self.fleet.get(*place).deadline).max()?;
        Some(since + longest)
    }

    fn settle_silence(&mut self, number: u64, looked: Time, now: Time) {
        let Some((incident, roll)) = self.incidents.get(&number).zip(self.rolls.get(number)) else { return };
        if !roll.unnamed.is_empty() {
            // As long as somebody waits to be named.
            self.dirty.incidents.unsettle(number);
        }
        if self.split_time(incident).is_some_and(|split| split < looked) {
            if !self.newest_known_of(incident) {
                return;
            }
            self.split(number, now);
        }
        let Some((incident, roll)) = self.incidents.get(&number).zip(self.rolls.get(number)) else { return };
        if roll.present.is_empty() {
            self.close(number, now);
        } else if !roll.unnamed.is_empty()
            && (incident.owed().next().is_none() || !self.waits(incident, roll, looked))
        {
            // When no alarm stands any more, those who joined are named at once.
            let token = self.fitting_token(incident);
            self.announce(number, token, now);
        }
    }

    /// Nobody is still silent whose newest mail may not be read yet.
    fn newest_known_of(&self, incident: &Incident) -> bool {
        let mut present = incident.present().filter_map(|(name, _)| self.facts.get(name));
        present.all(|facts| self.watch_of(facts).newest_known)
    }

    /// After a common recovery: those who are still silent become an incident of their own. Only one whose own token stands
    /// stays, and so does that token.
    fn split(&mut self, number: u64, now: Time) {
        let Some(incident) = self.incidents.get_mut(&number) else { return };
        incident.recovering_since = None;
        self.splits.set(number, None);
        self.dirty.incidents.insert(number);
        self.review.is_due = true;
        self.enroll(number);
        let Some(incident) = self.incidents.get_mut(&number) else { return };
        let own: BTreeSet<String> = incident.present().map(|(name, _)| format!("{name}_Checker")).collect();
        let (kept, over): (Vec<&Announced>, Vec<&Announced>) =
            incident.owed().partition(|announced| own.contains(&announced.token));
        if over.is_empty() && !kept.is_empty() {
            return;
        }
        let stays = |name: &str| kept.iter().any(|announced| announced.token == format!("{name}_Checker"));
        let over: Vec<String> = over.iter().map(|announced| announced.token.clone()).collect();
        let moving: Vec<(String, Time)> = incident
            .present()
            .filter(|(name, _)| !stays(name))
            .map(|(name, member)| (name.to_owned(), member.since))
            .collect();
        if kept.is_empty() {
            self.close(number, now);
        } else {
            moving.iter().for_each(|(name, _)| {
                incident.members.remove(name);
            });
            self.enroll(number);
            over.iter().for_each(|token| self.recover_token(number, token, now));
        }
        if moving.is_empty() {
            return;
        }
        let mut rest = Incident::new(self.last_incident + 1, Subject::Silence, now);
        rest.apart = true;
        moving.iter().for_each(|(name, since)| rest.join(name, *since, None));
        let token = self.fitting_token(&rest);
        let number = self.open(rest, now);
        self.announce(number, token, now);
    }

    /// Whether those who joined are not named yet, for one cycle and margin of theirs at most: during a common recovery, and
    /// while a checker that is not silent yet could still belong to this incident when its deadline passes.
    fn waits(&self, incident: &Incident, roll: &Roll, looked: Time) -> bool {
        let waited = |place: &Place| {
            let brief = self.fleet.get(*place);
            brief.silent.is_some_and(|judged| looked - judged > brief.together_within)
        };
        if roll.unnamed.iter().any(waited) {
            return false;
        }
        let may_join = |brief: &Brief| {
            let since = brief.from.filter(|_| brief.silent.is_none());
            since.is_some_and(|since| roll.admits(since, brief.together_within))
        };
        incident.recovering_since.is_some() || self.fleet.all().iter().any(may_join)
    }

    fn fitting_token(&self, incident: &Incident) -> String {
        let silent: BTreeSet<&str> = incident.present().map(|(name, _)| name).collect();
        let last = incident.last_beginning();
        // Of one alone nobody else need be asked.
        let asked = self.config.checkers.iter().enumerate().filter(|_| silent.len() > 1);
        let all: Vec<Standing<'_>> = asked
            .map(|(place, Checker { name, provider, .. })| {
                let (witness, spoke) = (self.is_witness(place, last), self.fleet.get(place).spoke);
                Standing { name, provider, witness, spoke }
            })
            .collect();
        let token = silence_token(&silent, &all);
        // The recovery of one incident must not be taken for that of another.
        match silent.first() {
            Some(first) if self.stands_elsewhere(&token, incident) => format!("{first}_Checkers"),
            _ => token,
        }
    }

    /// An incident with a token of its own: announced once, and closed when everybody has left it.
    fn settle_one(&mut self, number: u64, now: Time) {
        let Some(incident) = self.incidents.get_mut(&number) else { return };
        let token = match &incident.subject {
            Subject::Service(service) => service.clone(),
            Subject::Report(checker) => format!("{checker}_Report"),
            Subject::Silence
            | Subject::Mailbox(_)
            | Subject::Channel(_)
            | Subject::Clock
            | Subject::Spoof(_)
            | Subject::Expiry(_)
            | Subject::Drill
            | Subject::Proof
            | Subject::ChannelExpiry(_)
            | Subject::Dependence(_) => return,
        };
        if incident.present().next().is_none() {
            self.close(number, now);
        } else if incident.announced.is_empty() {
            self.announce(number, token, now);
        }
    }

    /// Every address of these channels, in the order of the configuration.
    pub(super) fn addresses(&self, channels: &BTreeSet<String>) -> Vec<Address> {
        let channels = self.config.channels.iter().filter(|channel| channels.contains(&channel.name));
        channels.flat_map(Address::of).collect()
    }

    /// One more notice of an incident, under one of its tokens, to each of these addresses.
    pub(super) fn say(
        &mut self,
        number: u64,
        token: &str,
        (kind, letter): (Kind, &Letter),
        to: Vec<Address>,
        now: Time,
    ) {
        let Some(incident) = self.incidents.get_mut(&number) else { return };
        incident.messages += 1;
        self.dirty.incidents.insert(number);
        let Some(incident) = self.incidents.get(&number) else { return };
        let bulletin = self.bulletin(incident, token, kind);
        let notice = Notice { ordinal: incident.messages, kind, letter, bulletin };
        for address in to {
            self.last_message += 1;
            let message = self.message(self.last_message, &notice, address, now);
            self.dirty.messages.insert(message.id, message.clone());
            self.outbox.put(message);
        }
    }

    pub(super) fn bulletin(&self, incident: &Incident, token: &str, kind: Kind) -> Bulletin {
        Bulletin::of(incident, token, kind, &self.config.name, |name| self.provider_of(name))
    }

    fn provider_of(&self, checker: &str) -> Option<String> {
        self.checker(checker).map(|checker| checker.provider.clone())
    }

    pub(super) fn signature(&self, now: Time) -> Signature<'_> {
        Signature { watchdog: &self.config.name, zone: self.config.timezone, now }
    }

    /// The checkers that test any of these services.
    fn testing(&self, services: &BTreeSet<&str>, now: Time) -> Vec<Heard<'_>> {
        let places: BTreeSet<usize> =
            services.iter().filter_map(|service| self.testers.get(*service)).flatten().copied().collect();
        let checkers = places.into_iter().filter_map(|place| self.config.checkers.get(place));
        checkers.filter_map(|checker| Heard::of(self, checker, now)).collect()
    }

    pub(super) fn scene<'a>(&'a self, incident: &Incident, now: Time) -> Scene<'a> {
        let service = match &incident.subject {
            Subject::Service(service) => {
                let quorum = self.config.quorum.of(service);
                Some(ServiceRow::of(service, quorum, |services| self.testing(services, now), now))
            }
            Subject::Silence
            | Subject::Mailbox(_)
            | Subject::Channel(_)
            | Subject::Report(_)
            | Subject::Clock
            | Subject::Spoof(_)
            | Subject::Expiry(_)
            | Subject::Drill
            | Subject::Proof
            | Subject::ChannelExpiry(_)
            | Subject::Dependence(_) => None,
        };
        let findings = match &incident.subject {
            Subject::Report(name) => self.findings_of_report(name),
            Subject::Silence
            | Subject::Mailbox(_)
            | Subject::Channel(_)
            | Subject::Service(_)
            | Subject::Clock
            | Subject::Spoof(_)
            | Subject::Expiry(_)
            | Subject::Drill
            | Subject::Proof
            | Subject::ChannelExpiry(_)
            | Subject::Dependence(_) => Vec::new(),
        };
        let card = |position: usize| {
            let checker = self.config.checkers.get(position)?;
            let facts = self.facts.get(&checker.name)?;
            Some(CheckerCard {
                name: &checker.name,
                provider: &checker.provider,
                silent: facts.silent.is_some(),
                deadline: facts.deadline_in_force(),
                heard_at: facts.heard_at(),
                watched_since: facts.watched_since,
                last_received: facts.last_received,
                last_sent: facts.last_sent,
                spoofs: Some(&facts.spoofs),
            })
        };
        let members: BTreeSet<usize> =
            incident.members.keys().filter_map(|name| self.index.get(name)).copied().collect();
        let mailbox = |config: &'a Mailbox| {
            let state = self.mailboxes.get(&config.name)?;
            Some(MailboxCard {
                name: &config.name,
                host: &config.server.host,
                heard_until: state.heard_until,
                error: state.last_failure.as_ref().map(|(_, error)| error.as_str()),
                offset: state.clock.offset(now),
                endings: expiry::endings(config, state.certificate).collect(),
            })
        };
        Scene {
            by: self.signature(now),
            mailboxes: self.config.mailboxes.iter().filter_map(mailbox).collect(),
            checkers: members.into_iter().filter_map(card).collect(),
            heard: matches!(incident.subject, Subject::Silence).then(|| self.heard()),
            findings,
            service,
            channel: self.channel_card(&incident.subject),
            drill: self.drill_card(),
            matrix: self.dependence.matrix(),
        }
    }
}
