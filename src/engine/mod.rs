//! The core as one state machine: events in with their time, changes and messages out. No I/O, no clock.
//!
//! The shell feeds it what the readers saw and how deliveries ended, stores [`Engine::take_changes`] in one
//! transaction, and only then acts on [`Engine::take_due`]. What it holds can always be restored from the store.

mod announce;
mod channels;
mod canary;
mod changes;
mod dependence;
mod diagnosis;
mod digests;
mod head;
mod drill;
mod follow;
mod heartbeat;
mod expiry;
mod fleet;
mod judge;
mod links;
mod mailbox;
mod offset;
mod open;
mod orders;
mod reconfigure;
mod reports;
mod review;
mod roll;
mod silences;
mod services;
mod spoof;
mod timers;

use std::collections::{BTreeMap, BTreeSet};

use chrono::TimeDelta;

use crate::audit::Standing;
use crate::config::{Checker, Config};
use crate::incident::Incident;
use crate::ledger::{Facts, Observation};
use crate::links::Key;
use crate::outbox::{Failure, Message, Outbox, Sent, combined};
use crate::policy::Silencing;
use crate::reason::Reason;
use crate::report::NotHeard;
use crate::tally::Tally;
use crate::time::Time;
use crate::verdict::{Verdict, Watch, judge};
pub use canary::{Canary, Release};
use changes::Dirty;
pub use changes::{Changes, Delivery, Look, MailboxRow, Row, Snapshot};
use dependence::Dependence;
pub use diagnosis::Companies;
pub use digests::DueDigest;
pub use drill::{Chain, Drills, Proof};
use fleet::Fleet;
use heartbeat::Heartbeat;
pub use heartbeat::Run;
pub use mailbox::{BETWEEN_TRIES, History, Looked, Mailbox, watch_of};
pub use offset::{Comparison, Offset};
use open::Opened;
use review::Review;
use roll::Rolls;
use timers::{Schedule, Timers};

#[derive(Debug)]
pub struct Engine {
    config: Config,
    /// Where each checker stands in the configuration.
    index: BTreeMap<String, usize>,
    /// The places of the checkers that test each service.
    testers: BTreeMap<String, Vec<usize>>,
    facts: BTreeMap<String, Facts>,
    mailboxes: BTreeMap<String, Mailbox>,
    canary: Canary,
    drills: Drills,
    /// When the next one by schedule begins.
    drill_due: Option<Time>,
    heartbeat: Heartbeat,
    dependence: Dependence,
    /// Open ones, and closed ones until the store was told.
    incidents: BTreeMap<u64, Incident>,
    /// The open ones.
    opened: Opened,
    /// Of the silences among them.
    rolls: Rolls,
    outbox: Outbox,
    last_incident: u64,
    last_message: u64,
    timers: Timers,
    /// When each checker becomes late: no look is asked for then.
    late: Timers,
    /// When the policies have to be asked again about an incident.
    follow_ups: Schedule<u64>,
    /// When the acknowledgements of open incidents end that have an end.
    acknowledgement_ends: Schedule<u64>,
    /// When the common recovery of a silence is over for those who are still silent.
    splits: Schedule<u64>,
    /// What people silenced.
    silences: BTreeMap<u64, Silencing>,
    last_silence: u64,
    link_key: Option<Key>,
    /// Up to when each digest has told.
    digests: BTreeMap<String, Time>,
    /// When the head of the ledger was last queued.
    head_told: Option<Time>,
    /// Checkers something was read about since they were last judged.
    touched: BTreeSet<String>,
    /// Checkers that no look has been complete for yet.
    unwatched: BTreeSet<String>,
    /// Of those who are silent or delayed, as the store was told.
    reasons: BTreeMap<String, Reason>,
    /// When anybody was heard last.
    newest_heard: Option<Time>,
    fleet: Fleet,
    review: Review,
    tally: Tally,
    dirty: Dirty,
}

impl Engine {
    /// Takes up what a store held, under a configuration that may have changed meanwhile.
    pub fn restore(config: Config, snapshot: Snapshot, now: Time) -> Self {
        let mut engine = Self {
            config: config.clone(),
            index: BTreeMap::new(),
            testers: BTreeMap::new(),
            facts: snapshot.facts,
            mailboxes: snapshot.mailboxes,
            canary: snapshot.canary,
            drills: snapshot.drills,
            drill_due: None,
            heartbeat: Heartbeat::default(),
            dependence: Dependence::default(),
            incidents: BTreeMap::new(),
            opened: Opened::default(),
            rolls: Rolls::default(),
            outbox: Outbox::restore(snapshot.messages, snapshot.paces, now),
            last_incident: snapshot.last_incident,
            last_message: snapshot.last_message,
            timers: Timers::default(),
            late: Timers::default(),
            follow_ups: Schedule::default(),
            acknowledgement_ends: Schedule::default(),
            splits: Schedule::default(),
            silences: snapshot.silences.into_iter().map(|silence| (silence.id, silence)).collect(),
            last_silence: snapshot.last_silence,
            link_key: snapshot.link_key,
            digests: snapshot.digests,
            head_told: snapshot.head_told,
            touched: BTreeSet::new(),
            unwatched: BTreeSet::new(),
            reasons: BTreeMap::new(),
            newest_heard: None,
            fleet: Fleet::default(),
            review: Review::default(),
            tally: Tally::from(now),
            dirty: Dirty::default(),
        };
        snapshot.incidents.into_iter().for_each(|incident| engine.take_up(incident));
        engine.take_up_joined();
        engine.take_over(config, now);
        engine.newest_heard = engine.facts.values().filter_map(Facts::heard_at).max();
        for (name, state) in &mut engine.mailboxes {
            state.restart(now, mailbox::blind_after(&engine.config, name).unwrap_or_default());
            engine.dirty.mailboxes.insert(name.clone());
        }
        engine.revise_all_reasons(now);
        engine
    }

    pub fn config(&self) -> &Config {
        &self.config
    }

    /// Takes in one mail. What it means is judged when the look that found it is complete.
    pub fn observe(&mut self, observation: &Observation) {
        if self.note_receipt(observation) {
            self.mailbox_changed(&observation.mailbox);
        }
        let Some(name) = &observation.mail.checker else { return };
        let Some(facts) = self.facts.get_mut(name) else { return };
        facts.observe(observation);
        let counts = observation.received >= self.tally.since;
        self.tally.heard(name, observation, counts.then(|| facts.clock_offset()).flatten());
        // The first of many mails of a checker has noted it.
        if !self.touched.contains(name) {
            self.touched.insert(name.clone());
        }
        if !self.dirty.facts.contains(name) {
            self.dirty.facts.insert(name.clone());
        }
    }

    /// Takes in another copy of a mail that is known: it only tells that this mailbox receives the checker. Returns whether
    /// that is news.
    pub fn observe_copy(&mut self, observation: &Observation) -> bool {
        self.note_receipt(observation);
        let Some(name) = observation.mail.checker.as_ref().filter(|_| observation.mail.heard()) else {
            return false;
        };
        let news = self.facts.get_mut(name).is_some_and(|facts| facts.observe_copy(observation));
        if news {
            self.touched.insert(name.clone());
            self.dirty.facts.insert(name.clone());
        }
        news
    }

    /// A report that was taken in as this checker's own, received then, turns out to be an older one that was sent again.
    pub fn suspect_replay(&mut self, checker: &str, received: Time) {
        if let Some(facts) = self.facts.get_mut(checker) {
            facts.suspect_replay(received);
            self.touched.insert(checker.to_owned());
            self.dirty.facts.insert(checker.to_owned());
        }
    }

    /// What time alone does: a mailbox that was not read for too long, an acknowledgement or a credential that ends, a drill
    /// that is due or over. Silence is judged after a look only.
    pub fn tick(&mut self, now: Time) {
        self.notice_blindness(now);
        self.notice_expiry(now);
        self.end_acknowledgements(now);
        self.follow_up(now);
        self.forget_silences(now);
        self.tend_drills(now);
    }

    /// Whether a deadline passed that no look has been asked for yet.
    pub fn wants_look(&mut self, now: Time) -> bool {
        let split = self.splits.last_before(now);
        self.timers.ask(self.by_servers(now), split.map(|time| self.by_servers(time)))
    }

    /// When the engine wants to be called next, if nothing else happens.
    pub fn next_wake(&self) -> Option<Time> {
        let blind = self.blind_times().map(|(_, time)| time);
        let ahead = self.ahead();
        let split = |from: Option<Time>| {
            self.splits.first_from(from.map(|from| from + ahead)).map(|time| time - ahead)
        };
        let deadlines = self.timers.next(split).map(|time| time + ahead);
        deadlines
            .into_iter()
            .chain(blind)
            .chain(self.acknowledgement_ends.first())
            .chain(self.follow_ups.first())
            .chain(self.expiry_times())
            .chain(self.canary_due())
            .chain(self.drill_times())
            .chain(self.heartbeat_due())
            .chain(self.dependence.due())
            .chain(self.outbox.next_due(&self.config.channels))
            .min()
    }

    /// Messages to be tried now, counted as tried: [`Self::take_changes`] must be stored before they are sent. One may say
    /// what several in the outbox say.
    pub fn take_due(&mut self, now: Time) -> Vec<Message> {
        let due = self.outbox.take_due(&self.config.channels, now);
        for message in due.iter().flatten() {
            self.dirty.messages.insert(message.id, message.clone());
        }
        let tried = due.iter().filter_map(|parts| parts.first()).map(|message| &message.channel);
        self.dirty.paces.extend(tried.filter(|name| self.outbox.pace(name).is_some()).cloned());
        due.iter().filter_map(|parts| combined(parts, self.signature(now))).collect()
    }

    /// How the attempt to send a message that was taken ended.
    pub fn sent(&mut self, id: u64, outcome: Sent, now: Time) {
        if let Some(message) = self.outbox.get(id) {
            self.tally.attempted(&message.channel, &outcome);
        }
        match outcome {
            Sent::Accepted(answer) => {
                let accepted = self.outbox.accepted(id);
                let address = accepted.first().map(Message::address);
                for message in accepted {
                    self.dirty.messages.remove(&message.id);
                    self.dirty.deliveries.push(Delivery { message, at: now, answer: Some(answer.clone()) });
                }
                if let Some(address) = address {
                    self.channel_works(&address, now);
                }
            }
            Sent::Failed { error, retry_after } => {
                self.failed(id, Failure { error: &error, refused: false, retry_after }, now);
            }
            Sent::Refused(error) => {
                self.failed(id, Failure { error: &error, refused: true, retry_after: None }, now);
            }
        }
    }

    /// Everything the store must be told, since the last time.
    pub fn take_changes(&mut self) -> Changes {
        let mut dirty = std::mem::take(&mut self.dirty);
        for name in &dirty.facts {
            if let Some(facts) = self.facts.get_mut(name) {
                facts.condense();
            }
        }
        let untold = dirty.incidents.take_untold();
        self.dirty.incidents = dirty.incidents;
        let incidents: Vec<Incident> =
            untold.iter().filter_map(|number| self.incidents.get(number)).cloned().collect();
        for incident in incidents.iter().filter(|incident| incident.closed.is_some()) {
            self.incidents.remove(&incident.number);
        }
        Changes {
            checkers: dirty.facts.iter().filter_map(|name| self.row(name)).collect(),
            removed: dirty.removed.into_iter().collect(),
            mailboxes: dirty.mailboxes.iter().filter_map(|name| self.mailbox_row(name)).collect(),
            incidents,
            messages: dirty.messages.into_values().collect(),
            paces: dirty
                .paces
                .into_iter()
                .filter_map(|name| Some((name.clone(), self.outbox.pace(&name)?.clone())))
                .collect(),
            deliveries: dirty.deliveries,
            looks: dirty.looks,
            steps: dirty.steps,
            silences: dirty.silences.into_values().collect(),
            canary: dirty.canary.then(|| self.canary.clone()),
            drills: dirty.drills.then(|| self.drills.clone()),
            digests: dirty.digests,
            head_told: dirty.head_told,
        }
    }

    /// The verdict on one configured checker.
    pub fn verdict(&self, name: &str, now: Time) -> Option<Verdict> {
        self.facts.get(name).map(|facts| judge(facts, self.watch_of(facts), now))
    }

    pub fn facts(&self) -> &BTreeMap<String, Facts> {
        &self.facts
    }

    pub fn mailboxes(&self) -> &BTreeMap<String, Mailbox> {
        &self.mailboxes
    }

    pub fn open_incidents(&self) -> impl Iterator<Item = &Incident> {
        self.incidents.values().filter(|incident| incident.closed.is_none())
    }

    /// What people silenced that holds or will hold, in the order of their orders.
    pub fn silences(&self) -> impl Iterator<Item = &Silencing> {
        self.silences.values()
    }

    /// What the links in alarms are signed with.
    pub fn link_key(&self) -> Option<&Key> {
        self.link_key.as_ref()
    }

    pub fn outbox(&self) -> &Outbox {
        &self.outbox
    }

    /// What was counted since this engine was made.
    pub fn tally(&self) -> &Tally {
        &self.tally
    }

    /// What is known of the mailboxes that receive this checker: of those that did lately, the one read last.
    pub fn watch_of(&self, facts: &Facts) -> Watch {
        watch_of(&facts.heard_through, facts.deadline, &self.mailboxes, &self.config)
    }

    /// The watchdog's clock is certainly so much ahead of every mail server's.
    fn ahead(&self) -> TimeDelta {
        self.mailboxes.values().map(Mailbox::ahead).min().unwrap_or_default()
    }

    /// A moment of the watchdog's clock as the servers show it at the latest: deadlines count from receipts.
    fn by_servers(&self, time: Time) -> Time {
        time - self.ahead()
    }

    /// What lies in Junk may have been put there by hand: it does not prove that the mailbox received anything. Nor does a
    /// canary prove it of the checkers' mails, in whose queues it did not wait.
    fn note_receipt(&mut self, observation: &Observation) -> bool {
        let proves_nothing = matches!(observation.mail.not_heard, Some(NotHeard::Junked | NotHeard::Canary));
        let mailbox = self.mailboxes.get_mut(&observation.mailbox).filter(|_| !proves_nothing);
        mailbox.map(|mailbox| mailbox.received(observation.received)).is_some()
    }

    fn mailbox_changed(&mut self, name: &str) {
        if !self.dirty.mailboxes.contains(name) {
            self.dirty.mailboxes.insert(name.to_owned());
        }
    }

    fn row(&self, name: &str) -> Option<Row> {
        let position = *self.index.get(name)?;
        let provider = self.config.checkers.get(position)?.provider.clone();
        let reason = self.reasons.get(name).copied();
        let facts = self.facts.get(name)?.clone();
        let standing = Standing::of(&facts, reason);
        Some(Row { name: name.to_owned(), provider, position, facts, reason, standing })
    }

    fn mailbox_row(&self, name: &str) -> Option<MailboxRow> {
        let config = self.config.mailboxes.iter().find(|mailbox| mailbox.name == name)?;
        let state = self.mailboxes.get(name)?.clone();
        Some(MailboxRow { name: name.to_owned(), blind_after: config.blind_after, state })
    }

    fn checker(&self, name: &str) -> Option<&Checker> {
        self.index.get(name).and_then(|index| self.config.checkers.get(*index))
    }

    fn failed(&mut self, id: u64, failure: Failure<'_>, now: Time) {
        for (message, hand_over) in self.outbox.failed(id, failure, now) {
            self.dirty.messages.insert(message.id, message.clone());
            if hand_over {
                self.hand_over(&message, failure.error, now);
                self.channel_fails(&message, now);
            }
        }
    }
}

#[cfg(test)]
pub(crate) mod tests;
