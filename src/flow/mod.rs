//! The core with its memory on disk: what the readers saw goes in, what follows is stored, and only then what is to be
//! sent comes out.
//!
//! It knows no clock and waits for nothing: every call has its `now`, and between any two of them the process may die.
//! What it took in and did not store is read again then; what it gave out and heard no answer of is sent again.

mod take;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use anyhow::Result;
use chrono::TimeDelta;

use crate::audit::{Judged, Note};
use crate::config::{Config, Retention};
use crate::engine::{Engine, Snapshot};
use crate::fullness::Fullness;
use crate::imap::{Cursor, Event};
use crate::intake;
use crate::links::{self, SECRET_BYTES};
use crate::outbox::Message;
use crate::report::Roster;
use crate::store::{Batch, Place, Store};
use crate::time::Time;
use crate::trust::Keys;
pub use take::Arrival;

/// Between two times at which old mails are looked for, and between two pieces when there is more.
const PRUNING: TimeDelta = TimeDelta::hours(1);
const NEXT_PIECE: TimeDelta = TimeDelta::seconds(5);

/// The core, its memory on disk, and what has not been written there yet.
#[derive(Debug)]
pub struct Flow {
    /// For what goes neither through the mailbox nor through the store first: answers of channels, orders of people.
    pub engine: Engine,
    pub store: Store,
    roster: Arc<Roster>,
    cursors: BTreeMap<Place, Cursor>,
    batch: Batch,
    /// Keys of the mails that were taken in with `batch`.
    keys: BTreeSet<intake::Key>,
    /// What is known of the signed runs that mails in `batch` are about.
    runs: BTreeMap<intake::RunKey, intake::SameRun>,
    /// Taken from the outbox with the batch; given out once it is stored.
    due: Vec<Message>,
    /// None: at once.
    next_prune: Option<Time>,
    /// What was received before is kept no more.
    kept_since: Option<Time>,
}

impl Flow {
    /// Takes up what the state of `config` holds. `new_secret` becomes that of the links in alarms when the state has none
    /// yet; without it they have none in this process.
    ///
    /// # Errors
    /// When the state cannot be opened ([`crate::store::InUse`] when a process holds it), read or written.
    pub fn open(
        config: Config,
        keys: &Keys,
        new_secret: Option<[u8; SECRET_BYTES]>,
        now: Time,
    ) -> Result<Self> {
        let store = Store::open(&config.state, &config.name)?;
        let secret = new_secret.map(|new| store.link_secret(&new)).transpose()?;
        let snapshot = Snapshot { link_key: secret.map(|secret| links::Key::new(&secret)), ..store.load()? };
        let (cursors, kept_since) = (store.cursors()?, store.kept_since()?);
        let roster = Arc::new(Roster::new(&config.checkers, keys));
        let notes = vec![Note::start(env!("CARGO_PKG_VERSION")), Note::configuration(&Judged::of(&config))];
        let engine = Engine::restore(config, snapshot, now);
        Ok(Self {
            engine,
            store,
            roster,
            cursors,
            batch: Batch { notes, ..Batch::default() },
            keys: BTreeSet::new(),
            runs: BTreeMap::new(),
            due: Vec::new(),
            next_prune: None,
            kept_since,
        })
    }

    /// Takes in one event of a reader.
    ///
    /// # Errors
    /// When the store cannot be read. The event may be given again: it still holds what was not taken in.
    pub fn take(&mut self, event: &mut Event<Arrival>, now: Time) -> Result<()> {
        match event {
            Event::Mails { mailbox, folder, junk, mails, cursor } => {
                let place = Place { mailbox: mailbox.clone(), folder: folder.clone(), junk: *junk };
                self.take_mails(place, mails, *cursor)?;
            }
            Event::Looked { mailbox, started, history } => {
                tracing::debug!(mailbox, %started, ?history, "complete look");
                self.engine.looked(mailbox, *started, *history, now);
            }
            Event::Junk { mailbox, error } => {
                match error {
                    Some(error) => tracing::warn!(mailbox, error, "the Junk folder cannot be read"),
                    None => tracing::debug!(mailbox, "the Junk folder is read"),
                }
                self.engine.junk_looked(mailbox, error.as_deref());
            }
            Event::Measured { mailbox, fullness } => self.take_fullness(mailbox, *fullness),
            Event::Certificate { mailbox, validity } => self.engine.certificate_seen(mailbox, *validity),
            Event::Failed { mailbox, at, error, login_refused } => {
                tracing::warn!(mailbox, error, login_refused, "the mailbox cannot be read");
                if *login_refused {
                    self.engine.login_refused(mailbox, error, *at);
                } else {
                    self.engine.look_failed(mailbox, error, *at);
                }
            }
        }
        Ok(())
    }

    /// Decides what time alone brings, and takes from the outbox what is due.
    ///
    /// # Errors
    /// When the store cannot be read. Nothing is lost: call it again.
    pub fn decide(&mut self, now: Time) -> Result<()> {
        self.engine.tick(now);
        self.tell_head(now)?;
        let due = self.engine.take_due(now);
        self.due.extend(due);
        Ok(())
    }

    /// Stores everything decided so far, and returns what may be sent from now on.
    ///
    /// # Errors
    /// When the store cannot write. Nothing is lost and nothing is to be sent: call it again.
    pub fn commit(&mut self, now: Time) -> Result<Vec<Message>> {
        self.batch.changes.merge(self.engine.take_changes());
        if !self.batch.is_empty() {
            self.batch.at = now;
            self.store.commit(&self.batch)?;
            self.cursors.extend(std::mem::take(&mut self.batch).cursors);
            self.keys.clear();
            self.runs.clear();
        }
        Ok(std::mem::take(&mut self.due))
    }

    /// Prunes a piece of what is kept no longer, when it is time to.
    ///
    /// # Errors
    /// When the store cannot write.
    pub fn prune(&mut self, now: Time) -> Result<()> {
        let Retention { mails, ledger } = self.engine.config().retention;
        if self.next_prune.is_some_and(|next| next > now) {
            return Ok(());
        }
        let mut more = false;
        if let Some(kept) = mails.or(ledger) {
            more |= self.store.prune(now - kept, now)?;
        }
        if let Some(kept) = ledger {
            more |= self.store.cut(kept, now)?;
            self.kept_since = self.store.kept_since()?;
        }
        self.next_prune = Some(now + if more { NEXT_PIECE } else { PRUNING });
        Ok(())
    }

    /// Takes over a new configuration. What was not stored yet is read again by the new readers.
    pub fn reconfigure(&mut self, config: Config, keys: &Keys, now: Time) {
        self.roster = Arc::new(Roster::new(&config.checkers, keys));
        self.note(Note::configuration(&Judged::of(&config)));
        self.engine.reconfigure(config, now);
    }

    /// For the audit chain alone, with what is stored next.
    pub fn note(&mut self, note: Note) {
        self.batch.notes.push(note);
    }

    /// Who may write, as the readers ask it.
    pub fn roster(&self) -> &Arc<Roster> {
        &self.roster
    }

    /// How far every folder is read, as it is stored.
    pub fn cursors(&self) -> &BTreeMap<Place, Cursor> {
        &self.cursors
    }

    /// When [`Self::decide`] wants to be called next, if nothing else happens.
    pub fn next_wake(&self) -> Option<Time> {
        self.engine.next_wake().into_iter().chain(self.engine.next_head()).min()
    }

    /// Queues the head of the ledger as it is stored by now, when it is due.
    fn tell_head(&mut self, now: Time) -> Result<()> {
        if self.engine.next_head().is_some_and(|due| due <= now)
            && let Some(head) = self.store.own_head()?
        {
            self.engine.tell_head(head, now);
        }
        Ok(())
    }

    fn take_fullness(&mut self, mailbox: &str, fullness: Option<Fullness>) {
        let before = self.engine.mailboxes().get(mailbox).and_then(|state| state.fullness);
        let told = before.is_some_and(|before| before.is_nearly_full());
        if let Some(now) = fullness.filter(|now| now.is_nearly_full() && !told) {
            tracing::warn!(mailbox, fullness = now.words(), "make room in the mailbox, or raise its limit");
        }
        self.engine.measured(mailbox, fullness);
    }
}
