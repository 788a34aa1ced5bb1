//! What is to be sent, and when to try. Pure: the attempt is counted before it is made, and a message is gone only
//! after the far side said yes.
//!
//! Messages of one incident to one recipient keep their order, and so do those under one token: a recovery never overtakes
//! its alarm, nor the next alarm a recovery.
//!
//! A channel may have a pace: a spacing and a rate, which count attempts. When more waits for it than it may take, and its
//! configuration allows it, alarms go together in one message, and so do recoveries; see [`combined`]. They stay messages
//! of their own here, so that each is gone, or tried again, for itself.

mod combine;
mod pace;
mod ready;
mod set_back;

use std::collections::{BTreeMap, BTreeSet};

use chrono::TimeDelta;
use serde::{Deserialize, Serialize};

use crate::bulletin::Bulletin;
use crate::config::{Channel, ChannelKind, Config};
use crate::time::Time;
use crate::words::Letter;
pub use combine::combined;
pub use pace::Pace;
use ready::Ready;

/// The wait after the first failure; it doubles with each further one.
const RETRY_FIRST: TimeDelta = TimeDelta::seconds(5);
const RETRY_LONGEST: TimeDelta = TimeDelta::minutes(5);
/// The wait after the far side refused for good: somebody may have mended it.
const RETRY_REFUSED: TimeDelta = TimeDelta::hours(1);
/// A far side that asks for more patience than this does not get it.
const RETRY_AFTER_MAX: TimeDelta = TimeDelta::hours(1);
/// So many failures in a row hand the message over to the fallback channels.
const FAILURES_UNTIL_HAND_OVER: u32 = 3;
/// A far side that asks for more patience than this hands the message over at once: an alarm cannot wait.
const WAIT_UNTIL_HAND_OVER: TimeDelta = TimeDelta::seconds(30);
/// So many messages of one channel are on their way at once, each over a connection or in a process of its own.
const IN_FLIGHT_MAX: usize = 4;
/// Of one that takes each by a short request. What is stored of them is synced once for all that ended meanwhile.
const REQUESTS_IN_FLIGHT_MAX: usize = 32;

/// Where one message goes.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Address {
    /// The channel's name.
    pub channel: String,
    pub recipient: String,
}

impl Address {
    /// Every address of a channel.
    pub fn of(channel: &Channel) -> impl Iterator<Item = Self> {
        let address = |recipient| Self { channel: channel.name.clone(), recipient };
        channel.recipients().into_iter().map(address)
    }

    /// Every address that something is sent to.
    pub fn all(config: &Config) -> BTreeSet<Self> {
        let digests = config.digests.iter().flat_map(|digest| {
            let address = |to: &String| Self { channel: digest.channel.clone(), recipient: to.clone() };
            digest.to.iter().map(address)
        });
        config.channels.iter().flat_map(Self::of).chain(digests).collect()
    }
}

/// What a message is, for whoever wants only some of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// `.NOK`: somebody must act.
    Alarm,
    /// `.OK`: what was alarmed under this token is over.
    Recovery,
    /// Neither: who took it, a test.
    Notice,
}

/// What is said at one moment about one token, to however many addresses.
#[derive(Debug, Clone)]
pub struct Notice<'a> {
    /// Its number among the incident's notices, from 1.
    pub ordinal: u32,
    pub kind: Kind,
    pub letter: &'a Letter,
    /// The same for machines, with the incident and the token.
    pub bulletin: Bulletin,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Message {
    /// Ascending in the order of composing.
    pub id: u64,
    /// What people call it.
    pub incident: String,
    /// As in [`Notice`].
    pub ordinal: u32,
    /// Without `.NOK` or `.OK`.
    pub token: String,
    pub kind: Kind,
    pub bulletin: Bulletin,
    pub channel: String,
    pub recipient: String,
    pub subject: String,
    pub body: String,
    /// The same as HTML, for a mail.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub html: Option<String>,
    pub created: Time,
    pub attempts: u32,
    pub due: Time,
    pub last_error: Option<String>,
    /// The far side refused it for good.
    pub refused: bool,
    /// So many attempts ended so.
    pub refusals: u32,
    /// The fallback channels have been given a copy.
    pub handed_over: bool,
}

impl Message {
    /// Never tried, and due at once. `id` is not used twice in one store; what goes past the outbox has 0.
    pub fn new(id: u64, notice: &Notice<'_>, to: Address, now: Time) -> Self {
        Self {
            id,
            incident: notice.bulletin.incident.clone(),
            ordinal: notice.ordinal,
            token: notice.bulletin.token.clone(),
            kind: notice.kind,
            bulletin: notice.bulletin.clone(),
            channel: to.channel,
            recipient: to.recipient,
            subject: notice.letter.subject.clone(),
            body: notice.letter.body.clone(),
            html: None,
            created: now,
            attempts: 0,
            due: now,
            last_error: None,
            refused: false,
            refusals: 0,
            handed_over: false,
        }
    }

    /// The far side may have it: an attempt ended without a clear no.
    pub fn is_in_doubt(&self) -> bool {
        self.refusals < self.attempts
    }

    pub fn address(&self) -> Address {
        Address { channel: self.channel.clone(), recipient: self.recipient.clone() }
    }
}

/// How an attempt ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Sent {
    /// What the far side answered.
    Accepted(String),
    /// Another try may help.
    Failed {
        error: String,
        /// The far side asked not to be tried again before.
        retry_after: Option<TimeDelta>,
    },
    /// The far side will not take it, however often it is tried.
    Refused(String),
}

impl Sent {
    /// Another try may help, at any time.
    pub fn failed(error: impl Into<String>) -> Self {
        Self::Failed { error: error.into(), retry_after: None }
    }
}

/// Why an attempt did not end well.
#[derive(Debug, Clone, Copy)]
pub struct Failure<'a> {
    pub error: &'a str,
    /// The far side will not take it, however often it is tried.
    pub refused: bool,
    /// The far side asked not to be tried again before.
    pub retry_after: Option<TimeDelta>,
}

/// What keeps its order: the address, and the incident or the token.
type Lane = (Address, String);

/// Every message that is not delivered yet.
#[derive(Debug, Default)]
pub struct Outbox {
    messages: BTreeMap<u64, Message>,
    lanes: BTreeMap<Lane, BTreeSet<u64>>,
    /// By channel.
    ready: BTreeMap<String, Ready>,
    /// By channel and the first of those that are tried together.
    on_their_way: BTreeMap<String, BTreeMap<u64, Vec<u64>>>,
    /// All of them.
    flying: BTreeSet<u64>,
    /// What the far side will not take, by incident.
    refused: BTreeSet<(String, u64)>,
    paces: BTreeMap<String, Pace>,
    /// The far side's wish: the channel's next message may not go before this.
    not_before: BTreeMap<String, Time>,
    /// So many refused messages may go together, since more of them were refused together: one of them may be the reason.
    together_max: BTreeMap<String, usize>,
    /// When it was last asked what is due.
    asked: Option<Time>,
}

impl Outbox {
    /// What a store held; all of it is due at once, as far as its channels may be tried.
    pub fn restore(
        messages: impl IntoIterator<Item = Message>,
        paces: BTreeMap<String, Pace>,
        now: Time,
    ) -> Self {
        let mut outbox = Self { paces, ..Self::default() };
        // Whatever comes later in a lane must find what stands before it.
        let messages: BTreeMap<u64, Message> =
            messages.into_iter().map(|message| (message.id, message)).collect();
        messages.into_values().for_each(|message| outbox.put(Message { due: now, ..message }));
        outbox
    }

    /// Adds a message that was composed after all the others.
    pub fn put(&mut self, message: Message) {
        let id = message.id;
        for lane in lanes_of(&message) {
            self.lanes.entry(lane).or_default().insert(id);
        }
        if message.refused {
            self.refused.insert((message.incident.clone(), id));
        }
        self.hurry(&message);
        self.messages.insert(id, message);
        self.make_ready(id);
    }

    /// A refused message that stands before a new one is tried again at once: the new one may be an alarm.
    fn hurry(&mut self, new: &Message) {
        let before: Vec<u64> = lanes_of(new)
            .iter()
            .filter_map(|lane| self.lanes.get(lane))
            .flat_map(|lane| lane.range(..new.id).copied())
            .collect();
        for id in before {
            let Some(message) = self.messages.get_mut(&id).filter(|message| message.refused) else {
                continue;
            };
            let ready = self.ready.entry(message.channel.clone()).or_default();
            if ready.remove(message) {
                message.due = message.due.min(new.due);
                ready.insert(message);
            }
        }
    }

    /// Lets a message go when nothing stands before it any more.
    fn make_ready(&mut self, id: u64) {
        let Some(message) = self.messages.get(&id).filter(|_| !self.flying.contains(&id)) else { return };
        let first = |lane: &Lane| self.lanes.get(lane).and_then(BTreeSet::first) == Some(&id);
        if lanes_of(message).iter().all(first) {
            self.ready.entry(message.channel.clone()).or_default().insert(message);
        }
    }

    pub fn get(&self, id: u64) -> Option<&Message> {
        self.messages.get(&id)
    }

    pub fn iter(&self) -> impl Iterator<Item = &Message> {
        self.messages.values()
    }

    /// When a channel was tried; None for one without limits, or never tried.
    pub fn pace(&self, channel: &str) -> Option<&Pace> {
        self.paces.get(channel)
    }

    /// Takes what may be tried at `now`, counted as tried, each inner list by one attempt and known by its first message. The
    /// counts and the paces must be stored before the attempts are made.
    pub fn take_due(&mut self, channels: &[Channel], now: Time) -> Vec<Vec<Message>> {
        self.follow_clock(now);
        channels.iter().flat_map(|channel| self.take_due_of(channel, now)).collect()
    }

    /// The next moment at which [`Self::take_due`] could give something, if nothing else happens.
    pub fn next_due(&self, channels: &[Channel]) -> Option<Time> {
        let of = |channel: &Channel| {
            let due = self.ready.get(&channel.name)?.next_due()?;
            let allowed = self.not_before(channel);
            (self.attempts_left(channel) > 0).then_some(allowed.map_or(due, |allowed| allowed.max(due)))
        };
        channels.iter().filter_map(of).min()
    }

    /// The attempt that is known by this message was accepted: all that it said is gone.
    pub fn accepted(&mut self, id: u64) -> Vec<Message> {
        let accepted = self.land(id);
        if let Some(message) = accepted.first() {
            self.together_max.remove(&message.channel);
        }
        accepted.iter().for_each(|message| self.remove(message));
        accepted
    }

    /// Takes back a message that nobody waits for any more.
    pub fn withdraw(&mut self, id: u64) -> Option<Message> {
        let message = self.messages.get(&id)?.clone();
        self.remove(&message);
        Some(message)
    }

    /// The attempt that is known by this message failed: all that it said waits, and when the far side asked for patience,
    /// so does its channel. Returns the messages, and whether the fallback channels must take over.
    pub fn failed(&mut self, id: u64, failure: Failure<'_>, now: Time) -> Vec<(Message, bool)> {
        let landed = self.land(id);
        let Some(first) = landed.first() else { return Vec::new() };
        let patience = failure.retry_after.unwrap_or_default().clamp(TimeDelta::zero(), RETRY_AFTER_MAX);
        // They stay together. Whoever is new among them does not wait as long as the old.
        let attempts = landed.iter().map(|message| message.attempts).min().unwrap_or_default();
        let wait = if failure.refused { RETRY_REFUSED } else { retry_after(attempts) };
        let due = now + wait.max(patience);
        if patience > TimeDelta::zero() {
            let earliest = self.not_before.entry(first.channel.clone()).or_insert(now);
            *earliest = (*earliest).max(now + patience);
        }
        if failure.refused {
            self.together_max.insert(first.channel.clone(), (landed.len() / 2).max(1));
        }
        landed.iter().filter_map(|message| self.wait(message.id, &failure, patience, due)).collect()
    }

    fn wait(
        &mut self,
        id: u64,
        failure: &Failure<'_>,
        patience: TimeDelta,
        due: Time,
    ) -> Option<(Message, bool)> {
        let message = self.messages.get_mut(&id)?;
        message.last_error = Some(failure.error.to_owned());
        message.refused = failure.refused;
        message.refusals = message.refusals.saturating_add(u32::from(failure.refused));
        message.due = due;
        let stuck = failure.refused
            || message.attempts >= FAILURES_UNTIL_HAND_OVER
            || patience > WAIT_UNTIL_HAND_OVER;
        let hand_over = stuck && !message.handed_over;
        message.handed_over |= hand_over;
        let refused = (message.incident.clone(), id);
        if failure.refused {
            self.refused.insert(refused)
        } else {
            self.refused.remove(&refused)
        };
        self.ready.entry(message.channel.clone()).or_default().insert(message);
        Some((message.clone(), hand_over))
    }

    /// Drops what a recovery has overtaken: alarms of this incident under this token that the far side refused for good, and
    /// what waits behind them. Returns them.
    pub fn drop_refused(&mut self, incident: &str, token: &str) -> Vec<Message> {
        let overtaken = |message: &&Message| message.token == token && message.kind != Kind::Recovery;
        let of_incident = (incident.to_owned(), 0)..=(incident.to_owned(), u64::MAX);
        let refused = self.refused.range(of_incident).filter(|(_, id)| !self.flying.contains(id));
        let refused = refused.filter_map(|(_, id)| self.messages.get(id)).filter(overtaken);
        let behind = |message: &Message| {
            let lane = self.lanes.get(&(message.address(), message.incident.clone()));
            lane.into_iter().flat_map(move |lane| lane.range(message.id..).copied()).collect::<Vec<u64>>()
        };
        let numbers: BTreeSet<u64> = refused.flat_map(behind).collect();
        let gone = numbers.iter().filter_map(|id| self.messages.get(id)).filter(overtaken);
        let gone: Vec<u64> = gone.map(|message| message.id).collect();
        gone.into_iter().filter_map(|id| self.withdraw(id)).collect()
    }

    /// So many attempts may be under way beside those that are.
    fn attempts_left(&self, channel: &Channel) -> usize {
        let under_way = self.on_their_way.get(&channel.name).map_or(0, BTreeMap::len);
        in_flight_max(&channel.kind).saturating_sub(under_way)
    }

    /// The channel may not be tried before.
    fn not_before(&self, channel: &Channel) -> Option<Time> {
        let pace = self.paces.get(&channel.name).filter(|_| Pace::limits(channel));
        let wished = self.not_before.get(&channel.name).copied();
        wished.max(pace.and_then(|pace| pace.next(channel)))
    }

    fn take_due_of(&mut self, channel: &Channel, now: Time) -> Vec<Vec<Message>> {
        if let Some(pace) = self.paces.get_mut(&channel.name) {
            pace.take_clock_back(now);
        }
        let together = channel.combine && self.is_crowded(channel, now);
        let mut taken = Vec::new();
        while self.attempts_left(channel) > 0
            && self.not_before(channel).is_none_or(|earliest| earliest <= now)
            && let Some(ready) = self.ready.get(&channel.name)
            && let Some(first) = ready.first_due(now).and_then(|id| self.messages.get(&id))
        {
            let count = match (together, first.refused) {
                (false, _) => 1,
                (true, false) => usize::MAX,
                (true, true) => self.together_max.get(&channel.name).copied().unwrap_or(usize::MAX),
            };
            let numbers = ready.alike(first, count, now);
            taken.push(self.take(channel, &numbers, now));
        }
        taken
    }

    /// Whether more is due than may be tried now, message by message.
    fn is_crowded(&self, channel: &Channel, now: Time) -> bool {
        let pace = self.paces.get(&channel.name);
        let allowed =
            pace.map_or_else(|| Pace::default().allowance(channel, now), |pace| pace.allowance(channel, now));
        let attempts = self.attempts_left(channel).min(allowed);
        self.ready.get(&channel.name).is_some_and(|ready| ready.has_more_due_than(attempts, now))
    }

    /// Takes these for one attempt.
    fn take(&mut self, channel: &Channel, numbers: &[u64], now: Time) -> Vec<Message> {
        if Pace::limits(channel) {
            self.paces.entry(channel.name.clone()).or_default().note(channel, now);
        }
        let mut taken = Vec::new();
        for id in numbers {
            let Some(message) = self.messages.get_mut(id) else { continue };
            self.ready.entry(channel.name.clone()).or_default().remove(message);
            message.attempts = message.attempts.saturating_add(1);
            taken.push(message.clone());
        }
        taken.sort_by_key(|message| message.id);
        let numbers: Vec<u64> = taken.iter().map(|message| message.id).collect();
        self.flying.extend(numbers.iter().copied());
        if let Some(first) = numbers.first() {
            self.on_their_way.entry(channel.name.clone()).or_default().insert(*first, numbers);
        }
        taken
    }

    /// Ends an attempt. Returns what it said, without what was withdrawn meanwhile.
    fn land(&mut self, id: u64) -> Vec<Message> {
        let landed = self.on_their_way.values_mut().find_map(|attempts| attempts.remove(&id));
        let landed = landed.unwrap_or_default();
        landed.iter().for_each(|id| {
            self.flying.remove(id);
        });
        landed.iter().filter_map(|id| self.messages.get(id)).cloned().collect()
    }

    fn remove(&mut self, message: &Message) {
        self.flying.remove(&message.id);
        self.messages.remove(&message.id);
        self.refused.remove(&(message.incident.clone(), message.id));
        if let Some(ready) = self.ready.get_mut(&message.channel) {
            ready.remove(message);
        }
        for lane in lanes_of(message) {
            let Some(waiting) = self.lanes.get_mut(&lane) else { continue };
            waiting.remove(&message.id);
            match waiting.first().copied() {
                Some(next) => self.make_ready(next),
                None => {
                    self.lanes.remove(&lane);
                }
            }
        }
    }
}

fn in_flight_max(kind: &ChannelKind) -> usize {
    match kind {
        ChannelKind::Webhook(_) | ChannelKind::Teams(_) | ChannelKind::Alertmanager(_) => {
            REQUESTS_IN_FLIGHT_MAX
        }
        ChannelKind::Smtp(_) | ChannelKind::Command(_) | ChannelKind::File(_) => IN_FLIGHT_MAX,
    }
}

fn lanes_of(message: &Message) -> [Lane; 2] {
    [(message.address(), message.incident.clone()), (message.address(), message.token.clone())]
}

/// 5 s, 10 s, 20 s … 5 min.
fn retry_after(attempts: u32) -> TimeDelta {
    let doublings = attempts.saturating_sub(1).min(10);
    (RETRY_FIRST * (1 << doublings)).min(RETRY_LONGEST)
}

#[cfg(test)]
mod tests;
