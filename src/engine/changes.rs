//! What passes between the core and its store: what is remembered, and what has to be written.

use std::collections::{BTreeMap, BTreeSet};

use chrono::TimeDelta;

use super::{Canary, Drills, Mailbox};
use crate::audit::Standing;
use crate::incident::{Incident, Step};
use crate::ledger::Facts;
use crate::links::Key;
use crate::outbox::{Message, Pace};
use crate::policy::Silencing;
use crate::reason::Reason;
use crate::time::Time;

/// What the store remembers of the core.
#[derive(Debug, Default)]
pub struct Snapshot {
    pub facts: BTreeMap<String, Facts>,
    pub mailboxes: BTreeMap<String, Mailbox>,
    pub canary: Canary,
    pub drills: Drills,
    /// Open ones.
    pub incidents: Vec<Incident>,
    pub messages: Vec<Message>,
    /// Of the channels.
    pub paces: BTreeMap<String, Pace>,
    /// The highest numbers ever used.
    pub last_incident: u64,
    pub last_message: u64,
    /// Those that are not over.
    pub silences: Vec<Silencing>,
    pub last_silence: u64,
    /// Of the links in alarms; without it they have none.
    pub link_key: Option<Key>,
    /// Up to when each digest has told.
    pub digests: BTreeMap<String, Time>,
    /// When the head of the ledger was last queued.
    pub head_told: Option<Time>,
}

/// A complete look, as an auditor will ask for it: nothing was missed from `from` to `until`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Look {
    pub mailbox: String,
    /// The look before, or `until` when the time between was not observed.
    pub from: Time,
    pub until: Time,
    /// The watchdog's clock, whose times these are, was certainly so much ahead of the server's; never negative.
    pub ahead: TimeDelta,
}

/// A message that left the outbox.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delivery {
    pub message: Message,
    pub at: Time,
    /// What the far side answered; None when the message was dropped because its incident ended before it was taken.
    pub answer: Option<String>,
}

/// A configured checker with what is known of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    pub name: String,
    pub provider: String,
    /// Its place in the configuration.
    pub position: usize,
    pub facts: Facts,
    /// Why it is silent or delayed.
    pub reason: Option<Reason>,
    /// What the table says of it from now on.
    pub standing: Standing,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MailboxRow {
    pub name: String,
    pub blind_after: TimeDelta,
    pub state: Mailbox,
}

/// What has to be written in one transaction.
#[derive(Debug, Default)]
pub struct Changes {
    pub checkers: Vec<Row>,
    /// Checkers that are no longer configured.
    pub removed: Vec<String>,
    pub mailboxes: Vec<MailboxRow>,
    pub incidents: Vec<Incident>,
    /// New or changed.
    pub messages: Vec<Message>,
    /// Of the channels that were tried.
    pub paces: Vec<(String, Pace)>,
    pub deliveries: Vec<Delivery>,
    pub looks: Vec<Look>,
    pub steps: Vec<Step>,
    /// New or ended.
    pub silences: Vec<Silencing>,
    pub canary: Option<Canary>,
    pub drills: Option<Drills>,
    /// Up to when each digest has told; None when it is no longer configured.
    pub digests: BTreeMap<String, Option<Time>>,
    pub head_told: Option<Time>,
}

impl Changes {
    /// Adds what came later; of two values for the same thing the later one is written last.
    pub fn merge(&mut self, later: Self) {
        self.checkers.extend(later.checkers);
        self.removed.extend(later.removed);
        self.mailboxes.extend(later.mailboxes);
        self.incidents.extend(later.incidents);
        self.messages.extend(later.messages);
        self.paces.extend(later.paces);
        self.deliveries.extend(later.deliveries);
        self.looks.extend(later.looks);
        self.steps.extend(later.steps);
        self.silences.extend(later.silences);
        self.canary = later.canary.or(self.canary.take());
        self.drills = later.drills.or(self.drills.take());
        self.digests.extend(later.digests);
        self.head_told = later.head_told.or(self.head_told);
    }

    pub fn is_empty(&self) -> bool {
        self.checkers.is_empty() && self.mailboxes.is_empty() && !self.holds_decisions()
    }

    /// Whether anything was found out but what the mails say, which they say again when they are read again.
    pub fn holds_decisions(&self) -> bool {
        !(self.removed.is_empty()
            && self.incidents.is_empty()
            && self.messages.is_empty()
            && self.paces.is_empty()
            && self.deliveries.is_empty()
            && self.looks.is_empty()
            && self.steps.is_empty()
            && self.silences.is_empty()
            && self.canary.is_none()
            && self.drills.is_none()
            && self.digests.is_empty()
            && self.head_told.is_none())
    }
}

/// Incidents that changed.
#[derive(Debug, Default)]
pub(super) struct Marked {
    /// The store was not told yet.
    untold: BTreeSet<u64>,
    /// It was not looked yet what there is to say about them.
    unsettled: BTreeSet<u64>,
    /// Others joined them, which the store was told in the rows of those alone.
    grown: BTreeMap<u64, Grown>,
}

/// Who joined an incident since the store was told of all its members.
#[derive(Debug, Clone, Copy)]
struct Grown {
    members: usize,
    joined: usize,
    lately: Time,
}

/// An incident of so many members is written whenever one more joins.
const SMALL: usize = 32;
/// A larger one when it has grown by one in so many.
const GROWN_BY: usize = 4;
/// Or when nobody has joined for so long.
const NOT_GROWN_FOR: TimeDelta = TimeDelta::seconds(10);

impl Marked {
    pub(super) fn insert(&mut self, number: u64) {
        self.untold.insert(number);
        self.unsettled.insert(number);
        self.grown.remove(&number);
    }

    /// One more checker joined, which makes so many. The row of the incident holds all of them: when ten thousand join one
    /// after another, it is not written ten thousand times.
    pub(super) fn joined(&mut self, number: u64, members: usize, now: Time) {
        if members <= SMALL || self.untold.contains(&number) {
            return self.insert(number);
        }
        self.unsettled.insert(number);
        let joined = self.grown.get(&number).map_or(1, |grown| grown.joined + 1);
        self.grown.insert(number, Grown { members, joined, lately: now });
    }

    /// Lets the store be told of those that have grown by much, or grow no more.
    pub(super) fn tell_grown(&mut self, now: Time) {
        let told = |grown: &Grown| {
            grown.joined * GROWN_BY >= grown.members || (now - grown.lately).abs() >= NOT_GROWN_FOR
        };
        let due = self.grown.iter().filter(|(_, grown)| told(grown)).map(|(number, _)| *number);
        due.collect::<Vec<_>>().into_iter().for_each(|number| {
            self.grown.remove(&number);
            self.untold.insert(number);
        });
    }

    /// Those that changed since the store was told, and those that others joined now.
    pub(super) fn changed(&self, now: Time) -> BTreeSet<u64> {
        let grown = self.grown.iter().filter(|(_, grown)| grown.lately == now);
        self.untold.iter().chain(grown.map(|(number, _)| number)).copied().collect()
    }

    /// It has to be settled after the next look, though nothing changes.
    pub(super) fn unsettle(&mut self, number: u64) {
        self.unsettled.insert(number);
    }

    pub(super) fn untold(&self) -> &BTreeSet<u64> {
        &self.untold
    }

    pub(super) fn take_untold(&mut self) -> BTreeSet<u64> {
        std::mem::take(&mut self.untold)
    }

    pub(super) fn take_unsettled(&mut self) -> BTreeSet<u64> {
        std::mem::take(&mut self.unsettled)
    }
}

/// What changed since the store was last told.
#[derive(Debug, Default)]
pub(super) struct Dirty {
    pub(super) facts: BTreeSet<String>,
    pub(super) removed: BTreeSet<String>,
    pub(super) mailboxes: BTreeSet<String>,
    pub(super) incidents: Marked,
    pub(super) messages: BTreeMap<u64, Message>,
    pub(super) paces: BTreeSet<String>,
    pub(super) deliveries: Vec<Delivery>,
    pub(super) looks: Vec<Look>,
    pub(super) steps: Vec<Step>,
    pub(super) silences: BTreeMap<u64, Silencing>,
    pub(super) canary: bool,
    pub(super) drills: bool,
    pub(super) digests: BTreeMap<String, Option<Time>>,
    pub(super) head_told: Option<Time>,
}
