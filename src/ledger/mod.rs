//! The facts about each checker, as far as its mails tell. Taking in a mail is idempotent in its effect on what is
//! true now, and does not depend on the order of reading: history is read newest first.

pub mod arrivals;
pub mod runs;
pub mod services;

use std::collections::{BTreeMap, BTreeSet};

use chrono::TimeDelta;
use serde::{Deserialize, Serialize};

use crate::config::Checker;
use crate::mail::Hop;
use crate::report::{NotHeard, Understood};
use crate::time::Time;
use arrivals::{Arrival, Arrivals, Rhythm};
use runs::Piece;
pub use runs::Runs;
pub use services::{Outcome, Service};

/// So many relays of a mail are remembered.
const RELAYS_MAX: usize = 2;

/// One mail that a mailbox held, with the times that are kept apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Observation {
    pub mailbox: String,
    /// INTERNALDATE, but never later than `seen`.
    pub received: Time,
    /// When the watchdog first held it.
    pub seen: Time,
    pub mail: Understood,
}

/// A report as it was kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredReport {
    pub message_id: Option<String>,
    pub folder: String,
    pub uid: u32,
    pub observation: Observation,
}

/// `cycle × missed_cycles + Σ timeouts + margin`, kept as its parts because every alarm shows them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Deadline {
    pub cycle_ms: i64,
    pub missed_cycles: u32,
    pub timeouts_ms: i64,
    pub margin_ms: i64,
}

impl Deadline {
    pub fn of(checker: &Checker) -> Self {
        Self {
            cycle_ms: checker.cycle.num_milliseconds(),
            missed_cycles: checker.missed_cycles,
            timeouts_ms: checker.tests.iter().map(|test| test.timeout.num_milliseconds()).sum(),
            margin_ms: checker.mail_path_margin.num_milliseconds(),
        }
    }

    pub fn cycle(self) -> TimeDelta {
        TimeDelta::milliseconds(self.cycle_ms)
    }

    /// An older checker is silent.
    pub fn total(self) -> TimeDelta {
        self.late_after() + TimeDelta::milliseconds(self.margin_ms)
    }

    /// Silences that began within this of each other are one incident: one cycle and the mail path's margin.
    pub fn together_within(self) -> TimeDelta {
        TimeDelta::milliseconds(self.cycle_ms.saturating_add(self.margin_ms))
    }

    /// Only the mail path can still excuse an older checker.
    pub fn late_after(self) -> TimeDelta {
        let cycles = self.cycle_ms.saturating_mul(i64::from(self.missed_cycles));
        TimeDelta::milliseconds(cycles.saturating_add(self.timeouts_ms))
    }
}

/// A deadline that was in force before the configuration was changed. It goes on for the mail it was counted from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Former {
    pub deadline: Deadline,
    pub until_heard_after: Time,
}

/// The judgement that a checker is silent, and what it rested on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Silence {
    pub judged: Time,
    pub heard_at: Option<Time>,
    /// A person said that it is over.
    pub resolved: bool,
}

/// A mail from a known checker that says nothing it may say.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Complaint {
    pub received: Time,
    pub what: String,
}

/// All that is known of one checker.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Facts {
    /// The first complete look with this checker in the configuration.
    pub watched_since: Option<Time>,
    /// The mail received last, of those that count as heard.
    pub last_received: Option<Time>,
    pub last_sent: Option<Time>,
    pub services: BTreeMap<String, Service>,
    /// When each mailbox last received it.
    pub heard_through: BTreeMap<String, Time>,
    pub complaint: Option<Complaint>,
    pub deadline: Deadline,
    pub former: Option<Former>,
    /// After a mailbox was down, age counts from here at the earliest.
    pub grace_from: Option<Time>,
    /// It was judged silent, and stays so until a newer mail proves that it lives.
    pub silent: Option<Silence>,
    /// The first relays of the mail received last, in the order of its way.
    relays: Vec<String>,
    /// Services whose present trouble a person said is over.
    pub resolved: BTreeSet<String>,
    arrivals: Arrivals,
    runs: Runs,
}

impl Facts {
    pub fn new(checker: &Checker) -> Self {
        Self {
            watched_since: None,
            last_received: None,
            last_sent: None,
            services: BTreeMap::new(),
            heard_through: BTreeMap::new(),
            complaint: None,
            deadline: Deadline::of(checker),
            former: None,
            grace_from: None,
            silent: None,
            relays: Vec::new(),
            resolved: BTreeSet::new(),
            arrivals: Arrivals::default(),
            runs: Runs::new(&services_of(checker)),
        }
    }

    /// The latest moment at which the checker is known to have lived.
    pub fn heard_at(&self) -> Option<Time> {
        self.arrivals.heard_at(self.rhythm())
    }

    /// Age counts from here: what was heard last, or the beginning of the watch, or a grace after a mailbox was down.
    pub fn base(&self) -> Option<Time> {
        let from = self.heard_at().or(self.watched_since)?;
        Some(self.grace_from.map_or(from, |grace| grace.max(from)))
    }

    /// Received − sent as it usually is, once that is known: its clock's offset and the path's delay together.
    pub fn usual_delay_ms(&self) -> Option<i64> {
        self.arrivals.usual_delay_ms(self.rhythm())
    }

    /// The first relays of the mail received last, in the order of its way; at most two.
    pub fn relays(&self) -> &[String] {
        &self.relays
    }

    /// Takes in a mail that is addressed to this checker alone. What it means is known after [`Self::settle`].
    pub fn observe(&mut self, seen: &Observation) {
        match seen.mail.not_heard {
            None => self.hear(seen),
            Some(NotHeard::NoToken) => self.complain(seen),
            Some(_) => {}
        }
    }

    /// Notes that a mailbox receives this checker. Returns whether that is news.
    pub fn heard_through_too(&mut self, seen: &Observation) -> bool {
        let arrival = Arrival::new(seen.received, seen.mail.sent, &seen.mail.received);
        let left_at = self.arrivals.left_at(arrival, self.rhythm());
        let before = self.heard_through.get(&seen.mailbox).copied();
        if before >= Some(left_at) {
            return false;
        }
        self.heard_through.insert(seen.mailbox.clone(), left_at);
        true
    }

    /// The mailbox was down, some time between two looks, `down_since` and `from`: age counts from then at the earliest, and what an open run lacks may still wait in
    /// a queue for one more deadline.
    pub fn excuse(&mut self, down_since: Time, from: Time) {
        self.grace_from = Some(from);
        self.runs.excuse(down_since, from, from + self.deadline_in_force().total());
    }

    /// Works out what all mails taken in so far amount to, when everything up to `heard_until` was read. The order in
    /// which they were taken in does not matter.
    pub fn settle(&mut self, heard_until: Option<Time>) {
        let rhythm = self.rhythm();
        self.arrivals.settle(rhythm);
        self.services = self.runs.settle(heard_until, |arrival| self.arrivals.order_at(arrival, rhythm));
    }

    /// When the next run whose results come in mails of their own will be over.
    pub fn next_close(&self) -> Option<Time> {
        let rhythm = self.rhythm();
        self.runs.next_close(|arrival| self.arrivals.order_at(arrival, rhythm))
    }

    /// Takes over a changed configuration at `now`. The past is not judged anew: until the checker is heard again, it
    /// keeps the longer of the two deadlines.
    pub fn reconfigure(&mut self, checker: &Checker, now: Time) {
        let deadline = Deadline::of(checker);
        if deadline != self.deadline {
            let standing = self.former.map_or(self.deadline, |former| former.deadline);
            let longer = if standing.total() > self.deadline.total() { standing } else { self.deadline };
            self.former = Some(Former { deadline: longer, until_heard_after: now });
            self.deadline = deadline;
        }
        let configured = services_of(checker);
        self.services.retain(|name, _| configured.contains(&name.as_str()));
        self.resolved.retain(|name| configured.contains(&name.as_str()));
        self.runs.expect(&configured, now);
    }

    /// The deadline in force: the former one as long as it is the longer and age counts from before the change.
    pub fn deadline_in_force(&self) -> Deadline {
        let from = self.base();
        match self.former {
            Some(former)
                if from.is_none_or(|from| from <= former.until_heard_after)
                    && former.deadline.total() > self.deadline.total() =>
            {
                former.deadline
            }
            _ => self.deadline,
        }
    }

    fn hear(&mut self, seen: &Observation) {
        let mail = &seen.mail;
        let arrival = Arrival::new(seen.received, mail.sent, &mail.received);
        self.arrivals.add(arrival, self.rhythm());
        if (Some(seen.received), mail.sent) > (self.last_received, self.last_sent) {
            self.last_received = Some(seen.received);
            self.last_sent = mail.sent;
            self.relays = first_relays(&mail.received);
        }
        self.heard_through_too(seen);
        if self.complaint.as_ref().is_some_and(|complaint| complaint.received <= seen.received) {
            self.complaint = None;
        }
        self.runs.add(Piece::new(arrival, self.run_allowance(), mail));
        if self.runs.are_many() {
            self.settle(None);
        }
    }

    fn complain(&mut self, seen: &Observation) {
        if self.last_received.is_none_or(|last| last < seen.received) {
            let unknown: Vec<&str> = seen.mail.unknown.iter().map(String::as_str).collect();
            let what = if unknown.is_empty() {
                "its mail holds no result".to_owned()
            } else {
                format!("its mail names only services that are not configured: {}", unknown.join(", "))
            };
            self.complaint = Some(Complaint { received: seen.received, what });
        }
    }

    fn rhythm(&self) -> Rhythm {
        Rhythm {
            cycle: TimeDelta::milliseconds(self.deadline.cycle_ms),
            margin: TimeDelta::milliseconds(self.deadline.margin_ms),
        }
    }

    fn run_allowance(&self) -> TimeDelta {
        TimeDelta::milliseconds(self.deadline.timeouts_ms.saturating_add(self.deadline.margin_ms))
    }
}

/// A checker's own mail server and the one that submits for it, say. Later ones are the mailbox's, and everybody's.
fn first_relays(chain: &[Hop]) -> Vec<String> {
    chain.iter().rev().filter_map(|hop| hop.by.clone()).take(RELAYS_MAX).collect()
}

fn services_of(checker: &Checker) -> Vec<&str> {
    checker.tests.iter().map(|test| test.service.as_str()).collect()
}
