//! The shell around the core: feeds it what the readers saw, stores what it decided, and only then sends.
//!
//! `run` and `once` differ only in when they stop.

mod daemon;
mod front;
mod heartbeat;
pub(crate) mod independence;
mod digests;
mod once;
mod refresh;
mod store_alarm;
mod take;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use anyhow::{Context, Result};
use chrono::TimeDelta;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{Notify, mpsc};
use tokio::task::{JoinHandle, JoinSet};

use crate::audit::{Judged, Note};
use crate::config::Config;
use crate::engine::{Engine, Release, Snapshot};
use crate::fullness::Fullness;
use crate::imap::{self, Cursor, Event};
use crate::independence::Answers;
use crate::orders::Order;
use crate::outbox::{Message, Sent};
use crate::progress::Reading;
use crate::report::Roster;
use crate::store::{Batch, Place, Store};
use crate::time::Time;
use crate::trust::Keys;
use crate::{channel, clock, intake, links, nonce};
pub use daemon::{run, run_until};
use digests::Digests;
pub use once::{Once, once};
use refresh::Refreshing;
use take::Arrival;

/// Events of all readers that may wait; a full queue makes the readers wait, which bounds memory.
const EVENTS_WAITING_MAX: usize = 4;

/// Between two times at which old mails are looked for, and between two pieces when there is more.
const PRUNING: TimeDelta = TimeDelta::hours(1);
const NEXT_PIECE: TimeDelta = TimeDelta::seconds(5);

/// So many events that wait already are stored together.
const EVENTS_TOGETHER_MAX: usize = 8;

/// The core, its memory on disk, and what has not been written there yet.
struct Service {
    engine: Engine,
    store: Store,
    roster: Arc<Roster>,
    cursors: BTreeMap<Place, Cursor>,
    batch: Batch,
    /// Keys of the mails in `batch`.
    keys: BTreeSet<intake::Key>,
    /// What is known of the signed runs that mails in `batch` are about.
    runs: BTreeMap<intake::RunKey, intake::SameRun>,
    reading: Reading,
    /// Taken from the outbox with the batch; sent once it is stored.
    due: Vec<Message>,
    refreshing: Refreshing,
    digests: Digests,
    /// None: at once.
    next_prune: Option<Time>,
    /// Let go with the batch; sent once it is stored.
    canary: Option<Release>,
    deliveries: JoinSet<(Parcel, Sent)>,
    /// What DNS is being asked about the channels.
    asking: JoinSet<Answers>,
}

/// What is on its way to a channel.
enum Parcel {
    /// Of the outbox, by its number.
    Message(u64),
    /// By its identifier.
    Canary(String),
    /// The watchdog's own, by when it began.
    Run(Time),
    Ping,
}

impl Service {
    fn open(config: Config, keys: &Keys) -> Result<Self> {
        survive_file_size_limit()?;
        let store = Store::open(&config.state, &config.name)?;
        let snapshot = Snapshot { link_key: link_key(&store)?, ..store.load()? };
        let cursors = store.cursors()?;
        let roster = Arc::new(Roster::new(&config.checkers, keys));
        let notes = vec![Note::start(env!("CARGO_PKG_VERSION")), Note::configuration(&Judged::of(&config))];
        let engine = Engine::restore(config, snapshot, clock::now());
        Ok(Self {
            engine,
            store,
            roster,
            cursors,
            batch: Batch { notes, ..Batch::default() },
            keys: BTreeSet::new(),
            runs: BTreeMap::new(),
            reading: Reading::default(),
            due: Vec::new(),
            canary: None,
            deliveries: JoinSet::new(),
            asking: JoinSet::new(),
            refreshing: Refreshing::default(),
            digests: Digests::default(),
            next_prune: None,
        })
    }

    /// Takes in one event of a reader.
    ///
    /// # Errors
    /// When the store cannot be read. The event may be given again: it still holds what was not taken in.
    fn take(&mut self, event: &mut Event<Arrival>) -> Result<()> {
        match event {
            Event::Mails { mailbox, folder, junk, mails, cursor } => {
                let place = Place { mailbox: mailbox.clone(), folder: folder.clone(), junk: *junk };
                self.take_mails(&place, mails, *cursor)?;
                if !*junk {
                    self.reading.reached(mailbox, folder, *cursor);
                }
            }
            Event::Looked { mailbox, started, history } => {
                tracing::debug!(mailbox, %started, ?history, "complete look");
                self.engine.looked(mailbox, *started, *history, clock::now());
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

    fn take_fullness(&mut self, mailbox: &str, fullness: Option<Fullness>) {
        let before = self.engine.mailboxes().get(mailbox).and_then(|state| state.fullness);
        let told = before.is_some_and(|before| before.is_nearly_full());
        if let Some(now) = fullness.filter(|now| now.is_nearly_full() && !told) {
            tracing::warn!(mailbox, fullness = now.words(), "make room in the mailbox, or raise its limit");
        }
        self.engine.measured(mailbox, fullness);
    }

    /// Stores everything decided so far, and sends what is due only after that.
    ///
    /// # Errors
    /// When the store cannot write. Nothing is lost and nothing was sent: call it again.
    fn settle(&mut self) -> Result<()> {
        let now = clock::now();
        self.engine.tick(now);
        self.tell_head(now)?;
        let due = self.engine.take_due(now);
        self.due.extend(due);
        if self.engine.wants_canary(now) {
            self.canary = self.engine.release_canary(nonce::unguessable(), now);
        }
        self.store_only()?;
        for message in std::mem::take(&mut self.due) {
            self.send(message);
        }
        self.refresh(now);
        self.ask_dns(now);
        // From what is stored by now.
        self.make_digests(now);
        if let Some(release) = self.canary.take() {
            self.send_canary(release);
        }
        self.prune(now)
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

    /// Prunes a piece of what is kept no longer.
    fn prune(&mut self, now: Time) -> Result<()> {
        let Some(kept) = self.engine.config().retention.mails else { return Ok(()) };
        if self.next_prune.is_none_or(|next| next <= now) {
            let more = self.store.prune(now - kept, now)?;
            self.next_prune = Some(now + if more { NEXT_PIECE } else { PRUNING });
        }
        Ok(())
    }

    /// Stores everything decided so far.
    fn store_only(&mut self) -> Result<()> {
        self.batch.changes.merge(self.engine.take_changes());
        if self.batch.is_empty() {
            return Ok(());
        }
        self.batch.at = clock::now();
        self.store.commit(&self.batch)?;
        for (place, cursor) in std::mem::take(&mut self.batch).cursors {
            self.cursors.insert(place, cursor);
        }
        self.keys.clear();
        self.runs.clear();
        Ok(())
    }

    /// Takes over a new configuration. What was not stored yet is read again by the new readers.
    fn reconfigure(&mut self, config: Config, keys: &Keys) {
        self.roster = Arc::new(Roster::new(&config.checkers, keys));
        self.batch.notes.push(Note::configuration(&Judged::of(&config)));
        self.engine.reconfigure(config, clock::now());
    }

    fn send(&mut self, message: Message) {
        let channels = &self.engine.config().channels;
        let Some(channel) = channels.iter().find(|channel| channel.name == message.channel).cloned() else {
            // While the store failed, a new configuration took the channel away; the engine has moved the message on.
            return;
        };
        let parcel = Parcel::Message(message.id);
        let turn = self.refreshing.turn(&channel);
        self.attempt(parcel, async move {
            let _turn = turn.await;
            channel::deliver(&channel, &message, clock::now()).await
        });
    }

    fn send_canary(&mut self, release: Release) {
        let channels = &self.engine.config().channels;
        let Some(channel) = channels.iter().find(|channel| channel.name == release.channel).cloned() else {
            return;
        };
        let parcel = Parcel::Canary(release.id.clone());
        self.attempt(parcel, async move { channel::release(&channel, &release, clock::now()).await });
    }

    fn attempt(&mut self, parcel: Parcel, attempt: impl Future<Output = Sent> + Send + 'static) {
        // A panic in a channel must not leave its message on the way for ever.
        let attempt = tokio::spawn(attempt);
        self.deliveries.spawn(async move {
            let broken = |error| Sent::failed(format!("the attempt broke off ({error})"));
            (parcel, attempt.await.unwrap_or_else(broken))
        });
    }

    /// When [`Self::settle`] wants to be called next, if nothing else happens.
    fn next_wake(&self) -> Option<Time> {
        let own = [self.refreshing.next(), self.next_digest(), self.engine.next_head()];
        self.engine.next_wake().into_iter().chain(own.into_iter().flatten()).min()
    }

    /// Takes in how an attempt ended.
    fn delivered(&mut self, parcel: Parcel, sent: Sent) {
        let id = match parcel {
            Parcel::Message(id) => id,
            Parcel::Canary(id) => {
                match &sent {
                    Sent::Accepted(answer) => tracing::debug!(answer, "a canary was let go"),
                    Sent::Failed { error, .. } | Sent::Refused(error) => {
                        tracing::warn!(error, "the channel does not take the canary");
                    }
                }
                self.engine.canary_sent(&id, &sent);
                return;
            }
            Parcel::Run(began) => return self.run_delivered(began, &sent),
            Parcel::Ping => return heartbeat::pinged(&sent),
        };
        if let Some(message) = self.engine.outbox().get(id) {
            let (subject, channel) = (&message.subject, &message.channel);
            match &sent {
                Sent::Accepted(answer) => tracing::info!(subject, channel, answer, "delivered"),
                Sent::Failed { error, .. } | Sent::Refused(error) => {
                    tracing::warn!(subject, channel, attempts = message.attempts, error, "not delivered");
                }
            }
        }
        self.engine.sent(id, sent, clock::now());
    }

    fn obey(&mut self, order: &Order) -> Result<String, String> {
        let outcome = self.engine.obey(order, clock::now());
        match &outcome {
            Ok(sentence) => tracing::info!(sentence, "an order was carried out"),
            Err(sentence) => tracing::warn!(sentence, "an order was refused"),
        }
        outcome
    }

    fn start_readers(&self) -> Readers {
        Readers::start(self.engine.config(), &self.cursors, &self.roster)
    }
}

/// Carries out an order while no daemon runs. What there is to tell is told by the next `run` or `once`.
///
/// # Errors
/// When the state cannot be opened ([`crate::store::InUse`] when a process holds it) or written.
pub fn obey(config: Config, order: &Order) -> Result<Result<String, String>> {
    // No mail is read for it, so nobody's key is needed.
    let mut service = Service::open(config, &Keys::new())?;
    let outcome = service.obey(order);
    service.batch.notes.push(Note::stop());
    service.store_only()?;
    Ok(outcome)
}

/// None when the system has no randomness to give.
fn link_key(store: &Store) -> Result<Option<links::Key>> {
    let Some(new) = nonce::bytes() else { return Ok(None) };
    Ok(Some(links::Key::new(&store.link_secret(&new)?)))
}

/// SIGXFSZ ends a process that writes beyond its limit (setrlimit(2)). With a handler the write fails instead, and that
/// is alarmed.
fn survive_file_size_limit() -> Result<()> {
    let exceeded = SignalKind::from_raw(rustix::process::Signal::XFSZ.as_raw());
    // Tokio never takes a handler away again.
    signal(exceeded).map(drop).context("Signals cannot be handled")
}

/// One reader per mailbox; dropping them ends them.
struct Readers {
    events: mpsc::Receiver<Event<Arrival>>,
    requests: Vec<Arc<Notify>>,
    tasks: Vec<JoinHandle<()>>,
}

impl Readers {
    fn start(config: &Config, cursors: &BTreeMap<Place, Cursor>, roster: &Arc<Roster>) -> Self {
        let (sender, events) = mpsc::channel(EVENTS_WAITING_MAX);
        let mut readers = Self { events, requests: Vec::new(), tasks: Vec::new() };
        for mailbox in &config.mailboxes {
            let read = |place: &Place| match place.junk {
                true => mailbox.junk.as_ref() == Some(&place.folder),
                false => mailbox.folders.contains(&place.folder),
            };
            let known = cursors
                .iter()
                .filter(|(place, _)| place.mailbox == mailbox.name && read(place))
                .map(|(place, cursor)| (place.folder.clone(), *cursor))
                .collect();
            let request = Arc::new(Notify::new());
            readers.requests.push(Arc::clone(&request));
            let (its, roster) = (mailbox.clone(), Arc::clone(roster));
            let digest = move |folder: &str, raw| Arrival::of(&raw, folder, &its, &roster);
            readers.tasks.push(imap::spawn(mailbox.clone(), known, sender.clone(), request, digest));
        }
        readers
    }

    fn look(&self) {
        self.requests.iter().for_each(|request| request.notify_one());
    }
}

impl Drop for Readers {
    fn drop(&mut self) {
        self.tasks.iter().for_each(JoinHandle::abort);
    }
}
