//! The facts about each checker, as far as its mails tell. Taking in a mail is idempotent in its effect on what is
//! true now, and does not depend on the order of reading: history is read newest first.

pub mod arrivals;
pub mod few;
pub mod findings;
pub mod path;
pub mod runs;
pub mod series;
pub mod services;
pub mod spoofs;
mod swings;
mod trail;

use std::collections::{BTreeMap, BTreeSet};

use chrono::TimeDelta;
use serde::{Deserialize, Serialize};

use crate::config::{Breach, Checker, Margin};
use crate::mail::Hop;
use crate::report::{NotHeard, Understood};
use crate::time::Time;
use crate::trust::Why;
use arrivals::{Arrival, Arrivals, Rhythm};
use few::Few;
pub use findings::{DryrunFlaw, Evidence, Finding};
use path::Path;
pub use path::{ClockOffset, Held, SlowHop};
use runs::Piece;
pub use runs::Runs;
pub use services::{Outcome, Service};
use spoofs::Counter;
pub use spoofs::{Spoof, Spoofs};
pub use trail::{Bounce, Trail};

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
    pub margin_by: MarginBy,
}

/// Where the margin of a deadline comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum MarginBy {
    Configuration,
    /// It is to be measured, and not enough mails are known yet.
    Default,
    Measurement,
}

impl Deadline {
    /// As it is before anything was measured.
    pub fn of(checker: &Checker) -> Self {
        let (margin, margin_by) = match checker.mail_path_margin {
            Margin::Fixed(margin) => (margin, MarginBy::Configuration),
            measured @ Margin::Measured { .. } => (measured.at_first(), MarginBy::Default),
        };
        Self {
            cycle_ms: checker.cycle.num_milliseconds(),
            missed_cycles: checker.missed_cycles,
            timeouts_ms: checker.tests.iter().map(|test| test.timeout.num_milliseconds()).sum(),
            margin_ms: margin.num_milliseconds(),
            margin_by,
        }
    }

    pub fn cycle(self) -> TimeDelta {
        TimeDelta::milliseconds(self.cycle_ms)
    }

    fn with_measured(self, margin_ms: i64) -> Self {
        Self { margin_ms, margin_by: MarginBy::Measurement, ..self }
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

impl Former {
    /// The deadline in force for an age that counts from `base`: the former one as long as it is the longer and age counts
    /// from before the change.
    pub fn in_force(former: Option<Self>, deadline: Deadline, base: Option<Time>) -> Deadline {
        match former {
            Some(former)
                if base.is_none_or(|base| base <= former.until_heard_after)
                    && former.deadline.total() > deadline.total() =>
            {
                former.deadline
            }
            _ => deadline,
        }
    }
}

/// The judgement that a checker is silent, and what it rested on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Silence {
    pub judged: Time,
    pub heard_at: Option<Time>,
    /// A person said that it is over.
    pub resolved: bool,
    /// The number of the incident that it joined.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub incident: Option<u64>,
}

/// A mail from a known checker that says nothing it may say. It is no run, so it is no [`Finding`]: whoever knows the
/// address can send one, and must not be able to make something persist, or runs fall out of memory.
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
    pub services: Few<String, Service>,
    /// The rules of reporting that its runs break, or broke lately.
    pub findings: BTreeMap<Breach, Finding>,
    /// When each mailbox last received it.
    pub heard_through: Few<String, Time>,
    pub complaint: Option<Complaint>,
    pub deadline: Deadline,
    pub former: Option<Former>,
    /// After a mailbox was down, age counts from here at the earliest.
    pub grace_from: Option<Time>,
    /// It was judged silent, and stays so until a newer mail proves that it lives.
    pub silent: Option<Silence>,
    /// What became of its mails that were not heard.
    pub trail: Trail,
    /// The first relays of the mail received last, in the order of its way.
    relays: Vec<String>,
    /// Services whose present trouble a person said is over.
    pub resolved: BTreeSet<String>,
    /// Mails in its name that are not believed.
    pub spoofs: Spoofs,
    /// Its mails have to be signed.
    signs: bool,
    counter: Counter,
    arrivals: Arrivals,
    path: Path,
    runs: Runs,
}

impl Facts {
    pub fn new(checker: &Checker) -> Self {
        Self {
            watched_since: None,
            last_received: None,
            last_sent: None,
            services: Few::default(),
            findings: BTreeMap::new(),
            heard_through: Few::default(),
            complaint: None,
            deadline: Deadline::of(checker),
            former: None,
            grace_from: None,
            silent: None,
            trail: Trail::default(),
            relays: Vec::new(),
            resolved: BTreeSet::new(),
            spoofs: Spoofs::default(),
            signs: signs(checker),
            counter: Counter::default(),
            arrivals: Arrivals::default(),
            path: Path::new(checker.mail_path_margin),
            runs: Runs::new(&services_of(checker)),
        }
    }

    /// The latest moment at which the checker is known to have lived.
    pub fn heard_at(&self) -> Option<Time> {
        self.arrivals.heard_at(self.rhythm())
    }

    /// Whether [`Self::heard_at`] knows of any.
    pub fn was_ever_heard(&self) -> bool {
        self.arrivals.any()
    }

    /// Age counts from here: what was heard last, or the beginning of the watch, or a grace after a mailbox was down.
    pub fn base(&self) -> Option<Time> {
        let from = self.heard_at().or(self.watched_since)?;
        Some(self.grace_from.map_or(from, |grace| grace.max(from)))
    }

    /// The newest of its latest mails that was held on the way; None when all of them came straight through.
    pub fn held(&self) -> Option<Held> {
        let (arrival, left_at) = self.arrivals.newest_held(self.rhythm())?;
        let held = arrival.received - left_at;
        let relay = self.relays.first().map(String::as_str);
        let hop = self.path.slow_hop(arrival, self.arrivals.usual_submission_ms(), relay, held);
        Some(Held { received: arrival.received, held, hop })
    }

    /// How wrong its clock is, from three mails with a date on. That of a good clock is within its uncertainty.
    pub fn clock_offset(&self) -> Option<ClockOffset> {
        self.arrivals.clock_offset()
    }

    /// The first relays of the mail received last, in the order of its way; at most two.
    pub fn relays(&self) -> &[String] {
        &self.relays
    }

    /// Takes in a mail that is addressed to this checker alone, or a delivery report about it. What it means is known
    /// after [`Self::settle`].
    pub fn observe(&mut self, seen: &Observation) {
        self.trail.observe(seen);
        match seen.mail.not_heard {
            None => self.hear(seen),
            // Rubbish that is not even its own says nothing about it.
            Some(NotHeard::NoToken) if seen.mail.examined.why().is_none() => self.complain(seen),
            Some(NotHeard::Untrusted(why)) => self.disbelieve(seen, why),
            Some(_) => {}
        }
    }

    /// Takes in another copy of a mail that is known: it tells that this mailbox receives the checker and, of a signed run,
    /// when it was first received, should the copy be the older one. Returns whether that is news.
    pub fn observe_copy(&mut self, seen: &Observation) -> bool {
        if seen.mail.run.is_some() {
            self.arrivals.add(Arrival::of(seen), self.rhythm());
        }
        self.heard_through_too(seen) || seen.mail.run.is_some()
    }

    /// A report that was taken in as its own, received then, turns out to be an older one that was sent again. What it has
    /// proved was proved by the older one.
    pub fn suspect_replay(&mut self, received: Time) {
        self.spoofs.add(received, Why::Replayed, None, self.deadline_in_force().total());
    }

    /// Notes that a mailbox receives this checker. Returns whether that is news.
    fn heard_through_too(&mut self, seen: &Observation) -> bool {
        let before = self.heard_through.get(&seen.mailbox).copied();
        // No mail left after it was received: of history nothing more has to be asked.
        if before >= Some(seen.received) {
            return false;
        }
        let left_at = self.arrivals.left_at(Arrival::of(seen), self.rhythm());
        if before >= Some(left_at) {
            return false;
        }
        self.heard_through.insert(seen.mailbox.clone(), left_at);
        true
    }

    /// The mailbox was down, some time between two looks, `down_since` and `from`: age counts from then at the earliest,
    /// and what an open run lacks may still wait in a queue for one more deadline.
    pub fn excuse(&mut self, down_since: Time, from: Time) {
        self.grace_from = Some(from);
        self.runs.excuse(down_since, from, from + self.deadline_in_force().total());
    }

    /// Together with others it was not heard between these times: no run is missing there through its own fault.
    pub fn explain(&mut self, from: Time, to: Time) {
        self.runs.explain(from, to);
    }

    /// Works out what all mails taken in so far amount to, when everything up to `heard_until` was read. The order in
    /// which they were taken in does not matter.
    pub fn settle(&mut self, heard_until: Option<Time>) {
        self.arrivals.settle(self.rhythm());
        if let Some(heard_until) = heard_until {
            self.follow_path(heard_until);
            self.arrivals.work_out(self.rhythm());
        }
        let places = self.arrivals.places(self.rhythm());
        let summary = self.runs.settle(
            heard_until,
            |arrival| places.order_at(arrival),
            |arrival| places.left_at(arrival) < arrival.received,
        );
        self.services = summary.services;
        self.findings = summary.findings;
        if let Some(received) = self.runs_went_back() {
            self.spoofs.note(Spoof { received, why: Why::RunWentBack, author: None });
        }
    }

    /// Works out what history amounts to so far, before it is stored, when much of it was taken in since the last look.
    pub fn condense(&mut self) {
        if self.runs.are_many_to_store() {
            self.settle(None);
        }
    }

    /// The services that each run has to name, and since when one that was added later.
    pub fn expected(&self) -> impl Iterator<Item = (&str, Option<Time>)> {
        self.runs.expected()
    }

    /// When the next run whose results come in mails of their own will be over.
    pub fn next_close(&self) -> Option<Time> {
        self.runs.next_close(|| {
            let places = self.arrivals.places(self.rhythm());
            move |arrival| places.order_at(arrival)
        })
    }

    /// The highest run number that the checker has signed: a mail of a lower one proves nothing new.
    pub fn highest_run(&self) -> Option<Time> {
        self.counter.highest()
    }

    /// When the newest mail came, if the run numbers that the checker signs have gone back: its clock was set back, say.
    pub fn runs_went_back(&self) -> Option<Time> {
        self.counter.went_back()
    }

    /// When the alarm about mails that are not believed is over, if no other comes.
    pub fn spoofs_over_at(&self) -> Option<Time> {
        self.spoofs.over_at(self.deadline_in_force().total())
    }

    /// Takes over what is asked of its mails from `now` on. What was heard stays heard.
    pub fn ask(&mut self, checker: &Checker, now: Time) {
        if self.signs != signs(checker) {
            self.arrivals.start_anew(self.rhythm());
            self.counter = Counter::default();
            self.signs = signs(checker);
        }
        self.spoofs.ask(checker.trust.as_deref(), now);
    }

    /// Takes over a changed configuration at `now`. The past is not judged anew: until the checker is heard again, it
    /// keeps the longer of the two deadlines.
    pub fn reconfigure(&mut self, checker: &Checker, now: Time) {
        self.path.configure(checker.mail_path_margin);
        let measured = self.deadline.margin_by == MarginBy::Measurement;
        let margin_ms = self.path.bounded_ms(self.deadline.margin_ms).filter(|_| measured);
        let configured = Deadline::of(checker);
        self.change_deadline(
            margin_ms.map_or(configured, |margin_ms| configured.with_measured(margin_ms)),
            now,
        );
        let configured = services_of(checker);
        self.services.retain(|name| configured.contains(&name.as_str()));
        self.resolved.retain(|name| configured.contains(&name.as_str()));
        self.runs.expect(&configured, now);
        self.ask(checker, now);
    }

    /// Takes over the margin that follows from the path as it was measured, when everything up to `heard_until` was read.
    fn follow_path(&mut self, heard_until: Time) {
        let measured = self.deadline.margin_by == MarginBy::Measurement;
        let present = Some(self.deadline.margin_ms).filter(|_| measured);
        let Some(margin_ms) = self.path.margin_ms(present) else { return };
        if present != Some(margin_ms) {
            self.path.note_margin(heard_until, margin_ms);
            self.change_deadline(self.deadline.with_measured(margin_ms), self.base().unwrap_or(heard_until));
        }
    }

    /// Takes over the measured margin that was in force at `time`, as `known` remembers it, and keeps it: what is read again
    /// of that time may be less than what was known.
    pub fn recall_margin(&mut self, known: &Self, time: Time) {
        if let Some(margin_ms) = known.path.margin_at(time).and_then(|ms| self.path.bounded_ms(ms)) {
            self.deadline = self.deadline.with_measured(margin_ms);
            self.path.configure(Margin::Fixed(TimeDelta::milliseconds(margin_ms)));
        }
    }

    /// Age that counts from `until_heard_after` at the latest keeps the longer of the two deadlines.
    fn change_deadline(&mut self, deadline: Deadline, until_heard_after: Time) {
        if deadline != self.deadline {
            self.former = Some(Former { deadline: self.deadline_in_force(), until_heard_after });
            self.deadline = deadline;
        }
    }

    /// The deadline in force.
    pub fn deadline_in_force(&self) -> Deadline {
        match self.former {
            Some(_) => Former::in_force(self.former, self.deadline, self.base()),
            None => self.deadline,
        }
    }

    fn hear(&mut self, seen: &Observation) {
        let mail = &seen.mail;
        let arrival = Arrival::of(seen);
        if let Some(run) = mail.run {
            self.counter.add(seen.received, run, self.rhythm().cycle);
        }
        self.arrivals.add(arrival, self.rhythm());
        self.path.add(arrival, &mail.received, self.rhythm());
        if (Some(seen.received), mail.sent) > (self.last_received, self.last_sent) {
            self.last_received = Some(seen.received);
            self.last_sent = mail.sent;
            self.relays = first_relays(&mail.received);
        }
        self.heard_through_too(seen);
        if self.complaint.as_ref().is_some_and(|complaint| complaint.received <= seen.received) {
            self.complaint = None;
        }
        self.runs.add(Piece::new(arrival, self.deadline, mail));
        if self.runs.are_many() {
            self.settle(None);
        }
    }

    fn disbelieve(&mut self, seen: &Observation, why: Why) {
        let author = seen.mail.examined.author.as_deref();
        self.spoofs.add(seen.received, why, author, self.deadline_in_force().total());
    }

    fn complain(&mut self, seen: &Observation) {
        if self.last_received.is_none_or(|last| last < seen.received) {
            let unknown: Vec<&str> = seen.mail.unknown.keys().map(String::as_str).collect();
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
}

/// A checker's own mail server and the one that submits for it, say. Later ones are the mailbox's, and everybody's.
fn first_relays(chain: &[Hop]) -> Vec<String> {
    chain.iter().rev().filter_map(|hop| hop.by.clone()).take(RELAYS_MAX).collect()
}

fn signs(checker: &Checker) -> bool {
    checker.trust.as_ref().is_some_and(|trust| trust.signs())
}

fn services_of(checker: &Checker) -> Vec<&str> {
    checker.tests.iter().map(|test| test.service.as_str()).collect()
}
