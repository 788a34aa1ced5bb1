//! The watchdog of a story: the core, driven as the service drives it, with a store and a channel that always work.

use std::collections::{BTreeMap, BTreeSet};

use bresse_watchdog::config::{Checker, Config};
use bresse_watchdog::engine::{Engine, History, Snapshot};
use bresse_watchdog::expiry::Validity;
use bresse_watchdog::fullness::{Fullness, Source, Usage};
use bresse_watchdog::intake::{Again, Key, RunKey, SameRun, Taken, take_in, take_in_junk};
use bresse_watchdog::mail::RawMail;
use bresse_watchdog::outbox::{Kind, Message, Sent};
use bresse_watchdog::report::Roster;
use bresse_watchdog::time::Time;
use bresse_watchdog::trust::{self, Why};
use chrono::TimeDelta;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::post::SHARED_KEY;

/// On a first start the newest mails are read first, so many at a time.
const WINDOW: usize = 5;

pub(crate) type Step = Result<(), String>;

/// What was said to people.
#[derive(Debug, Clone)]
pub(crate) struct Letter {
    pub(crate) at: Time,
    pub(crate) token: String,
    pub(crate) kind: Kind,
    pub(crate) incident: String,
    pub(crate) subject: String,
    pub(crate) body: String,
    /// The configured checkers, in their order.
    pub(crate) checkers: Vec<String>,
}

/// A mailbox on its server.
pub(crate) struct Mailbox {
    pub(crate) name: String,
    /// Why it cannot be read.
    pub(crate) error: Option<String>,
    /// What is wrong is the login.
    pub(crate) login_refused: bool,
    /// It takes no mail either.
    pub(crate) down: bool,
    /// Bytes in it, and bytes that may be.
    pub(crate) quota: Option<(u64, u64)>,
    pub(crate) certificate: Option<Validity>,
    unread: Vec<Arrived>,
    next_uid: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Folder {
    Inbox,
    Junk,
}

struct Arrived {
    folder: Folder,
    at: Time,
    bytes: Vec<u8>,
    uid: u32,
}

impl Mailbox {
    pub(crate) fn new(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            error: None,
            login_refused: false,
            down: false,
            quota: None,
            certificate: None,
            unread: vec![],
            next_uid: 0,
        }
    }

    pub(crate) fn take(&mut self, folder: Folder, bytes: &[u8], at: Time) {
        self.next_uid += 1;
        self.unread.push(Arrived { folder, at, bytes: bytes.to_vec(), uid: self.next_uid });
    }
}

#[derive(Default)]
pub(crate) struct Watchdog {
    /// None while its process is off.
    pub(crate) engine: Option<Engine>,
    pub(crate) letters: Vec<Letter>,
    /// How much its clock is ahead of the true time, which all times here are.
    pub(crate) clock_ahead: TimeDelta,
    /// What its store holds.
    disk: Snapshot,
    known: BTreeSet<Key>,
    runs: BTreeMap<RunKey, SameRun>,
}

impl Watchdog {
    /// A new process that finds what the one before it has stored.
    pub(crate) fn start(&mut self, config: &Config, now: Time) {
        self.store();
        let disk = Snapshot {
            facts: self.disk.facts.iter().map(|(name, facts)| (name.clone(), stored(facts))).collect(),
            mailboxes: self
                .disk
                .mailboxes
                .iter()
                .map(|(name, state)| (name.clone(), stored(state)))
                .collect(),
            incidents: self.disk.incidents.iter().map(stored).collect(),
            messages: self.disk.messages.iter().map(stored).collect(),
            paces: self.disk.paces.iter().map(|(name, pace)| (name.clone(), stored(pace))).collect(),
            silences: self.disk.silences.iter().map(stored).collect(),
            canary: stored(&self.disk.canary),
            drills: stored(&self.disk.drills),
            digests: self.disk.digests.clone(),
            link_key: None,
            ..self.disk
        };
        self.engine = Some(Engine::restore(config.clone(), disk, now + self.clock_ahead));
    }

    /// When it wants to do something next.
    pub(crate) fn next_wake(&self) -> Option<Time> {
        let wake = self.engine.as_ref().and_then(Engine::next_wake);
        wake.map(|wake| wake - self.clock_ahead)
    }

    pub(crate) fn stop(&mut self) {
        self.store();
        self.engine = None;
    }

    /// Reads a mailbox to its end, if it can be read.
    ///
    /// # Errors
    /// As [`Self::deliver`].
    pub(crate) fn look(&mut self, mailbox: &mut Mailbox, backwards: bool, now: Time) -> Step {
        let now = now + self.clock_ahead;
        let Some(engine) = &mut self.engine else { return Ok(()) };
        let name = mailbox.name.as_str();
        engine.certificate_seen(name, mailbox.certificate);
        if let Some(error) = &mailbox.error {
            if mailbox.login_refused {
                engine.login_refused(name, error, now);
            } else {
                engine.look_failed(name, error, now);
            }
            return self.deliver(now);
        }
        let storage = mailbox.quota.and_then(|(used, limit)| Usage::new(used, limit, Source::Quota));
        engine.measured(name, Fullness::new(now, storage, None));
        let roster = roster(engine.config());
        let config = engine.config().mailboxes.iter().find(|mailbox| mailbox.name == name);
        let reads_junk = config.is_some_and(|mailbox| mailbox.junk.is_some());
        let first = engine.mailboxes().get(name).is_none_or(|state| state.heard_until.is_none());
        let mut mails = std::mem::take(&mut mailbox.unread);
        if first || backwards {
            mails.reverse();
        }
        let mut windows = mails.chunks(if first { WINDOW } else { usize::MAX }).peekable();
        while let Some(window) = windows.next() {
            for mail in window {
                let raw = RawMail {
                    uid: mail.uid,
                    internal_date: Some(mail.at),
                    seen: now,
                    bytes: mail.bytes.clone(),
                    truncated: false,
                };
                let taken = match mail.folder {
                    Folder::Inbox => Some(take_in(&raw, name, &roster)),
                    Folder::Junk if reads_junk => take_in_junk(&raw, name, &roster),
                    Folder::Junk => None,
                };
                let Some(mut taken) = taken else { continue };
                let is_known = !self.known.insert(taken.key);
                let copy = is_known || said_before(&mut self.runs, &mut taken, engine) == Some(Again::Copy);
                let news = if copy {
                    engine.observe_copy(&taken.observation)
                } else {
                    engine.observe(&taken.observation);
                    true
                };
                // What lay there before the first look says nothing about the clocks.
                if news && !first && mail.folder == Folder::Inbox {
                    engine.arrived(&taken.observation, mail.at);
                }
            }
            if windows.peek().is_some() {
                engine.looked(name, now, History::Filling, now);
            }
        }
        engine.looked(name, now, History::Complete, now);
        self.deliver(now)
    }

    /// What the service does after every event. Whether a look is wanted.
    ///
    /// # Errors
    /// As [`Self::deliver`].
    pub(crate) fn settle(&mut self, now: Time) -> Result<bool, String> {
        let now = now + self.clock_ahead;
        let Some(engine) = &mut self.engine else { return Ok(false) };
        engine.tick(now);
        let wants_look = engine.wants_look(now);
        self.deliver(now)?;
        Ok(wants_look)
    }

    /// Incidents and tokens that were alarmed and not recovered.
    pub(crate) fn standing(&self) -> BTreeSet<(String, String)> {
        let mut standing = BTreeSet::new();
        for letter in &self.letters {
            let key = (letter.incident.clone(), letter.token.clone());
            match letter.kind {
                Kind::Alarm => standing.insert(key),
                Kind::Recovery => standing.remove(&key),
                Kind::Notice => false,
            };
        }
        standing
    }

    /// Stores what changed, sends what is due, and the channel takes it at once.
    ///
    /// # Errors
    /// When a message breaks a rule that holds for all of them.
    fn deliver(&mut self, now: Time) -> Step {
        loop {
            let Some(engine) = &mut self.engine else { return Ok(()) };
            let due = engine.take_due(now);
            self.store();
            if due.is_empty() {
                return Ok(());
            }
            for message in due {
                if let Some(engine) = &mut self.engine {
                    engine.sent(message.id, Sent::Accepted("250 ok".into()), now);
                }
                self.said(message, now)?;
            }
        }
    }

    fn said(&mut self, message: Message, now: Time) -> Step {
        let begins = |result: &str| message.subject.starts_with(&format!("{}.{result} ", message.token));
        let (alarm, recovery) = (message.kind == Kind::Alarm, message.kind == Kind::Recovery);
        if alarm != begins("NOK") || recovery != begins("OK") {
            return Err(format!("a subject that does not begin with its token: {}", message.subject));
        }
        let text = format!("{}\n{}", message.subject, message.body);
        if !alarm && text.to_lowercase().contains("nok") {
            return Err(format!("what is no alarm contains NOK: {text}"));
        }
        if recovery && !self.standing().contains(&(message.incident.clone(), message.token.clone())) {
            return Err(format!("a recovery of what was not alarmed: {}", message.subject));
        }
        let config = self.engine.as_ref().map(Engine::config);
        let checkers = config.into_iter().flat_map(|config| &config.checkers);
        self.letters.push(Letter {
            at: now - self.clock_ahead,
            token: message.token,
            kind: message.kind,
            incident: message.incident,
            subject: message.subject,
            body: message.body,
            checkers: checkers.map(|checker| checker.name.clone()).collect(),
        });
        Ok(())
    }

    fn store(&mut self) {
        let Some(engine) = &mut self.engine else { return };
        let changes = engine.take_changes();
        self.disk.facts.extend(changes.checkers.into_iter().map(|row| (row.name, row.facts)));
        changes.removed.iter().for_each(|name| {
            self.disk.facts.remove(name);
        });
        self.disk.mailboxes.extend(changes.mailboxes.into_iter().map(|row| (row.name, row.state)));
        for incident in changes.incidents {
            self.disk.last_incident = self.disk.last_incident.max(incident.number);
            self.disk.incidents.retain(|known| known.number != incident.number);
            if incident.closed.is_none() {
                self.disk.incidents.push(incident);
            }
        }
        for message in changes.messages {
            self.disk.last_message = self.disk.last_message.max(message.id);
            self.disk.messages.retain(|known| known.id != message.id);
            self.disk.messages.push(message);
        }
        if let Some(canary) = changes.canary {
            self.disk.canary = canary;
        }
        if let Some(drills) = changes.drills {
            self.disk.drills = drills;
        }
        for silence in changes.silences {
            self.disk.last_silence = self.disk.last_silence.max(silence.id);
            self.disk.silences.retain(|known| known.id != silence.id);
            self.disk.silences.push(silence);
        }
        self.disk.paces.extend(changes.paces);
        for delivery in changes.deliveries {
            self.disk.messages.retain(|known| known.id != delivery.message.id);
        }
    }
}

/// Whoever has to sign, signs with the key that all stories share.
fn roster(config: &Config) -> Roster {
    let signing = |checker: &&Checker| checker.trust.as_ref().is_some_and(|trust| trust.signs());
    let key = || trust::Key::new(SHARED_KEY.as_bytes()).unwrap();
    let keys = config.checkers.iter().filter(signing).map(|checker| (checker.name.clone(), [key()].into()));
    Roster::new(&config.checkers, &keys.collect())
}

/// As the service does it: a signed report is held against others of the same run.
fn said_before(
    runs: &mut BTreeMap<RunKey, SameRun>,
    taken: &mut Taken,
    engine: &mut Engine,
) -> Option<Again> {
    let key = taken.run_key?;
    let (checker, received) = (taken.observation.mail.checker.clone()?, taken.observation.received);
    let this = SameRun { received, message_id: taken.message_id.clone() };
    let Some(other) = runs.get(&key) else {
        runs.insert(key, this);
        return None;
    };
    let again = taken.compared_with(other);
    match again {
        Again::Copy => {}
        Again::Replay => taken.distrust(Why::Replayed),
        Again::Original => {
            engine.suspect_replay(&checker, other.received);
            runs.insert(key, this);
        }
    }
    Some(again)
}

/// As the store gives it back.
fn stored<T: Serialize + DeserializeOwned>(value: &T) -> T {
    serde_json::from_str(&serde_json::to_string(value).unwrap()).unwrap()
}
