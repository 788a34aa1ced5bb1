//! What is to be sent, and when to try. Pure: the attempt is counted before it is made, and a message is gone only
//! after the far side said yes.
//!
//! Messages of one incident to one recipient keep their order, and so do those under one token: a recovery never overtakes
//! its alarm, nor the next alarm a recovery.

use std::collections::{BTreeMap, BTreeSet};

use chrono::TimeDelta;
use serde::{Deserialize, Serialize};

use crate::bulletin::Bulletin;
use crate::config::Channel;
use crate::time::Time;
use crate::words::Letter;

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
/// So many messages of one channel are on their way at once.
const IN_FLIGHT_PER_CHANNEL: usize = 4;

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
}

/// What a message is, for whoever wants only some of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
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
    pub created: Time,
    pub attempts: u32,
    pub due: Time,
    pub last_error: Option<String>,
    /// The far side refused it for good.
    pub refused: bool,
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
            created: now,
            attempts: 0,
            due: now,
            last_error: None,
            refused: false,
            handed_over: false,
        }
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
    /// Heads of lanes that are not on their way, by channel and due time.
    ready: BTreeMap<String, BTreeSet<(Time, u64)>>,
    in_flight: BTreeMap<String, BTreeSet<u64>>,
    /// Spacing, or the far side's wish: the channel's next message may not go before this.
    not_before: BTreeMap<String, Time>,
}

impl Outbox {
    /// What a store held; all of it is due at once.
    pub fn restore(messages: impl IntoIterator<Item = Message>, now: Time) -> Self {
        let mut outbox = Self::default();
        for message in messages {
            outbox.put(Message { due: now, ..message });
        }
        outbox
    }

    pub fn put(&mut self, message: Message) {
        let id = message.id;
        for lane in lanes_of(&message) {
            self.lanes.entry(lane).or_default().insert(id);
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
            if ready.remove(&(message.due, id)) {
                message.due = message.due.min(new.due);
                ready.insert((message.due, id));
            }
        }
    }

    /// Lets a message go when nothing stands before it any more.
    fn make_ready(&mut self, id: u64) {
        let Some(message) = self.messages.get(&id).filter(|message| !self.is_flying(message)) else { return };
        let first = |lane: &Lane| self.lanes.get(lane).and_then(BTreeSet::first) == Some(&id);
        if lanes_of(message).iter().all(first) {
            let entry = (message.due, id);
            self.ready.entry(message.channel.clone()).or_default().insert(entry);
        }
    }

    pub fn get(&self, id: u64) -> Option<&Message> {
        self.messages.get(&id)
    }

    pub fn iter(&self) -> impl Iterator<Item = &Message> {
        self.messages.values()
    }

    /// Takes what may be tried at `now`, counted as tried. The count must be stored before the attempt is made.
    pub fn take_due(&mut self, channels: &[Channel], now: Time) -> Vec<Message> {
        channels.iter().flat_map(|channel| self.take_due_of(channel, now)).collect()
    }

    /// The next moment at which [`Self::take_due`] could give something, if nothing else happens.
    pub fn next_due(&self, channels: &[Channel]) -> Option<Time> {
        let of = |channel: &Channel| {
            if self.in_flight.get(&channel.name).is_some_and(|flying| flying.len() >= IN_FLIGHT_PER_CHANNEL) {
                return None;
            }
            let (due, _) = self.ready.get(&channel.name)?.first()?;
            Some(self.not_before.get(&channel.name).map_or(*due, |earliest| (*earliest).max(*due)))
        };
        channels.iter().filter_map(of).min()
    }

    /// The message was accepted: it is gone.
    pub fn accepted(&mut self, id: u64) -> Option<Message> {
        let message = self.messages.get(&id)?.clone();
        self.remove(&message);
        Some(message)
    }

    /// The attempt failed: the message waits, and when the far side asked for patience, so does its channel. Returns the
    /// message, and whether the fallback channels must take over.
    pub fn failed(&mut self, id: u64, failure: Failure<'_>, now: Time) -> Option<(Message, bool)> {
        self.land(id);
        let message = self.messages.get_mut(&id)?;
        let refused = failure.refused;
        let patience = failure.retry_after.unwrap_or_default().clamp(TimeDelta::zero(), RETRY_AFTER_MAX);
        message.last_error = Some(failure.error.to_owned());
        message.refused = refused;
        let wait = if refused { RETRY_REFUSED } else { retry_after(message.attempts) };
        message.due = now + wait.max(patience);
        let stuck =
            refused || message.attempts >= FAILURES_UNTIL_HAND_OVER || patience > WAIT_UNTIL_HAND_OVER;
        let hand_over = stuck && !message.handed_over;
        message.handed_over |= hand_over;
        let message = message.clone();
        if patience > TimeDelta::zero() {
            let earliest = self.not_before.entry(message.channel.clone()).or_insert(now);
            *earliest = (*earliest).max(now + patience);
        }
        self.ready.entry(message.channel.clone()).or_default().insert((message.due, id));
        Some((message, hand_over))
    }

    /// Drops what a recovery has overtaken: alarms of this incident that the far side refused for good. Returns them.
    pub fn drop_refused(&mut self, incident: &str) -> Vec<Message> {
        let gone: Vec<Message> = self
            .messages
            .values()
            .filter(|message| message.incident == incident && message.refused && !self.is_flying(message))
            .cloned()
            .collect();
        gone.iter().for_each(|message| self.remove(message));
        gone
    }

    fn is_flying(&self, message: &Message) -> bool {
        self.in_flight.get(&message.channel).is_some_and(|flying| flying.contains(&message.id))
    }

    fn take_due_of(&mut self, channel: &Channel, now: Time) -> Vec<Message> {
        let mut taken = Vec::new();
        let flying = self.in_flight.entry(channel.name.clone()).or_default();
        let Some(ready) = self.ready.get_mut(&channel.name) else { return taken };
        while flying.len() < IN_FLIGHT_PER_CHANNEL
            && self.not_before.get(&channel.name).is_none_or(|earliest| *earliest <= now)
            && let Some((due, id)) = ready.first().copied()
            && due <= now
        {
            ready.pop_first();
            flying.insert(id);
            if channel.spacing > TimeDelta::zero() {
                self.not_before.insert(channel.name.clone(), now + channel.spacing);
            }
            if let Some(message) = self.messages.get_mut(&id) {
                message.attempts = message.attempts.saturating_add(1);
                taken.push(message.clone());
            }
        }
        taken
    }

    fn land(&mut self, id: u64) {
        self.in_flight.values_mut().for_each(|flying| {
            flying.remove(&id);
        });
    }

    fn remove(&mut self, message: &Message) {
        self.land(message.id);
        self.messages.remove(&message.id);
        if let Some(ready) = self.ready.get_mut(&message.channel) {
            ready.remove(&(message.due, message.id));
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
