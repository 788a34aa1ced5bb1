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

use std::collections::BTreeMap;
use std::sync::Arc;

use anyhow::{Context, Result};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{Notify, mpsc};
use tokio::task::{JoinHandle, JoinSet};

use crate::audit::Note;
use crate::config::Config;
use crate::engine::Release;
use crate::flow::{Arrival, Flow};
use crate::imap::{self, Cursor, Event};
use crate::independence::Answers;
use crate::orders::Order;
use crate::outbox::{Message, Sent};
use crate::progress::Reading;
use crate::report::Roster;
use crate::store::Place;
use crate::time::Time;
use crate::trust::Keys;
use crate::{channel, clock, nonce};
pub use daemon::{run, run_until};
use digests::Digests;
pub use once::{Once, once};
use refresh::Refreshing;

/// Events of all readers that may wait; a full queue makes the readers wait, which bounds memory.
const EVENTS_WAITING_MAX: usize = 4;

/// So many events that wait already are stored together at most.
pub const EVENTS_TOGETHER_MAX: usize = 6;

/// The flow in real time, and what is on its way because of it.
struct Service {
    flow: Flow,
    reading: Reading,
    refreshing: Refreshing,
    digests: Digests,
    /// Let go with what is stored next; sent once it is.
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
        Ok(Self {
            flow: Flow::open(config, keys, nonce::bytes(), clock::now())?,
            reading: Reading::default(),
            canary: None,
            deliveries: JoinSet::new(),
            asking: JoinSet::new(),
            refreshing: Refreshing::default(),
            digests: Digests::default(),
        })
    }

    /// Takes in one event of a reader.
    ///
    /// # Errors
    /// When the store cannot be read. The event may be given again: it still holds what was not taken in.
    fn take(&mut self, event: &mut Event<Arrival>) -> Result<()> {
        self.flow.take(event, clock::now())?;
        if let Event::Mails { mailbox, folder, junk: false, cursor, .. } = event {
            self.reading.reached(mailbox, folder, *cursor);
        }
        Ok(())
    }

    /// Stores everything decided so far, and sends what is due only after that.
    ///
    /// # Errors
    /// When the store cannot write. Nothing is lost and nothing was sent: call it again.
    fn settle(&mut self) -> Result<()> {
        let now = clock::now();
        self.flow.decide(now)?;
        if self.flow.engine.wants_canary(now) {
            self.canary = self.flow.engine.release_canary(nonce::unguessable(), now);
        }
        for message in self.flow.commit(clock::now())? {
            self.send(message);
        }
        self.refresh(now);
        self.ask_dns(now);
        // From what is stored by now.
        self.make_digests(now);
        if let Some(release) = self.canary.take() {
            self.send_canary(release);
        }
        self.flow.prune(now)
    }

    /// Stores everything decided so far, as the last thing that this process does.
    fn store_last(&mut self) -> Result<()> {
        self.flow.note(Note::stop());
        // What would be sent now is sent by the next process.
        self.flow.commit(clock::now()).map(drop)
    }

    fn reconfigure(&mut self, config: Config, keys: &Keys) {
        self.flow.reconfigure(config, keys, clock::now());
    }

    fn send(&mut self, message: Message) {
        let channels = &self.flow.engine.config().channels;
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
        let channels = &self.flow.engine.config().channels;
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
        let own = [self.refreshing.next(), self.next_digest()];
        self.flow.next_wake().into_iter().chain(own.into_iter().flatten()).min()
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
                self.flow.engine.canary_sent(&id, &sent);
                return;
            }
            Parcel::Run(began) => return self.run_delivered(began, &sent),
            Parcel::Ping => return heartbeat::pinged(&sent),
        };
        if let Some(message) = self.flow.engine.outbox().get(id) {
            let (subject, channel) = (&message.subject, &message.channel);
            match &sent {
                Sent::Accepted(answer) => tracing::info!(subject, channel, answer, "delivered"),
                Sent::Failed { error, .. } | Sent::Refused(error) => {
                    tracing::warn!(subject, channel, attempts = message.attempts, error, "not delivered");
                }
            }
        }
        self.flow.engine.sent(id, sent, clock::now());
    }

    fn obey(&mut self, order: &Order) -> Result<String, String> {
        let outcome = self.flow.engine.obey(order, clock::now());
        match &outcome {
            Ok(sentence) => tracing::info!(sentence, "an order was carried out"),
            Err(sentence) => tracing::warn!(sentence, "an order was refused"),
        }
        outcome
    }

    fn start_readers(&self) -> Readers {
        Readers::start(self.flow.engine.config(), self.flow.cursors(), self.flow.roster())
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
    service.store_last()?;
    Ok(outcome)
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
