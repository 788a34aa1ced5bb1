//! The canary: a mail of the watchdog's own that flies to the mailbox through a channel, and comes back by being read.
//!
//! It tells that the mailbox takes mail, and how long the path takes, when all checkers are quiet. It is nobody's
//! report, and no receipt that says anything about blindness: the watchdog's own mails do not wait in the checkers'
//! queues, so one that gets through does not prove that theirs did.

use chrono::TimeDelta;
use serde::{Deserialize, Serialize};

use super::Engine;
use crate::config;
use crate::ledger::path::{Latencies, latencies};
use crate::outbox::Sent;
use crate::time::Time;
use crate::words::{self, Letter};

/// Those not back yet that are remembered. A queue may release several; older ones are given up.
const FLYING_MAX: usize = 8;
/// A day and a half at the default pace, and enough that a 99th percentile is not the maximum.
const TIMES_MAX: usize = 200;

/// One canary on its way.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Flight {
    /// By which it is known when it arrives. Nobody else can know it before.
    id: String,
    sent: Time,
}

/// One that came back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Returned {
    pub sent: Time,
    /// By the mailbox.
    pub received: Time,
}

/// What is known of all canaries so far.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Canary {
    /// The channel and the address of them all: of another way nothing that is known here holds.
    way: (String, String),
    /// Oldest first.
    flying: Vec<Flight>,
    /// When one was last let go, taken by the channel or not.
    pub released: Option<Time>,
    /// Of those that came back, the one that was sent last.
    pub returned: Option<Returned>,
    /// How long the latest ones took, oldest first.
    took_ms: Vec<i64>,
    /// Why the channel did not take the last one.
    pub unsent: Option<String>,
}

/// A canary to be sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Release {
    pub id: String,
    pub channel: String,
    pub to: String,
    pub letter: Letter,
}

impl Canary {
    fn release(&mut self, id: String, now: Time) {
        self.flying.push(Flight { id, sent: now });
        let surplus = self.flying.len().saturating_sub(FLYING_MAX);
        self.flying.drain(..surplus);
    }

    /// The channel did not take it: nothing is on its way.
    fn fell(&mut self, id: &str, error: &str) {
        self.flying.retain(|flight| flight.id != id);
        self.unsent = Some(error.to_owned());
    }

    /// False when it is none of ours, or was seen before.
    fn came(&mut self, id: &str, received: Time) -> bool {
        let Some(found) = self.flying.iter().position(|flight| flight.id == id) else { return false };
        let sent = self.flying.remove(found).sent;
        // The two clocks may differ, and a mail is never faster than light.
        let took = (received - sent).max(TimeDelta::zero());
        self.took_ms.push(took.num_milliseconds());
        let surplus = self.took_ms.len().saturating_sub(TIMES_MAX);
        self.took_ms.drain(..surplus);
        if self.returned.is_none_or(|before| before.sent <= sent) {
            self.returned = Some(Returned { sent, received });
        }
        true
    }

    /// When the latest one was sent that should be back by now: it is not among the mails read up to `heard_until`,
    /// and none that was sent later came.
    fn overdue(&self, heard_until: Option<Time>, patience: TimeDelta) -> Option<Time> {
        let due = heard_until? - patience;
        let latest = self.flying.iter().map(|flight| flight.sent).filter(|sent| *sent < due).max()?;
        self.returned.is_none_or(|returned| returned.sent < latest).then_some(latest)
    }

    /// How long the latest ones took; None before the first is back.
    pub fn latencies(&self) -> Option<Latencies> {
        latencies(self.took_ms.iter().copied().map(TimeDelta::milliseconds).collect())
    }
}

impl Engine {
    /// Whether a canary is to be let go.
    pub fn wants_canary(&self, now: Time) -> bool {
        self.canary_due().is_some_and(|due| due <= now)
    }

    /// Lets one go under an identifier that nobody can guess, if there is one. [`Self::take_changes`] must be stored
    /// before it is sent, or it would not be known when it comes back.
    pub fn release_canary(&mut self, id: Option<String>, now: Time) -> Option<Release> {
        let config::Canary { channel, to, .. } = self.config.canary.clone()?;
        self.dirty.canary = true;
        let way = (channel.clone(), to.clone());
        if self.canary.way != way {
            self.canary = Canary { way, ..Canary::default() };
        }
        self.canary.released = Some(now);
        let Some(id) = id else {
            self.canary.unsent = Some("this machine has no random numbers to give".to_owned());
            return None;
        };
        self.canary.release(id.clone(), now);
        Some(Release { id, channel, to, letter: words::canary(self.signature(now)) })
    }

    /// How the attempt to send one ended. There is no other: the next one follows at its time.
    pub fn canary_sent(&mut self, id: &str, outcome: &Sent) {
        match outcome {
            Sent::Accepted(_) => self.canary.unsent = None,
            Sent::Failed { error, .. } | Sent::Refused(error) => self.canary.fell(id, error),
        }
        self.dirty.canary = true;
    }

    /// A mail with this identifier was received.
    pub fn canary_came(&mut self, id: &str, received: Time) {
        self.dirty.canary |= self.canary.came(id, received);
    }

    /// None when there is none in the configuration.
    pub fn canary(&self) -> Option<&Canary> {
        self.config.canary.as_ref().map(|_| &self.canary)
    }

    /// When the latest one was sent that should be back by now, by what was read of all mailboxes.
    pub fn canary_overdue(&self) -> Option<Time> {
        let heard_until = self.mailboxes.values().map(|mailbox| mailbox.heard_until).min().flatten();
        self.canary.overdue(heard_until, self.config.canary.as_ref()?.patience)
    }

    /// When the next one is due; the first one at once.
    pub(super) fn canary_due(&self) -> Option<Time> {
        let every = self.config.canary.as_ref()?.every;
        Some(self.canary.released.map_or(Time::UNIX_EPOCH, |released| released + every))
    }
}
