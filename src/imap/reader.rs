//! Reads one mailbox for ever: looks for new mails, fills in history, waits.

mod windows;

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use chrono::{DateTime, Utc};
use tokio::sync::{Mutex as AsyncMutex, MutexGuard, Notify, mpsc};
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::{Instant, sleep_until};

use self::windows::Until;
use super::auth::Credential;
use super::backoff::Backoff;
use super::certificate::Shown;
use super::connect;
use super::error::Error;
use super::fetch::Flight;
use super::gauge::Gauge;
use super::idle::Woken;
use super::junk::JunkWatch;
use super::plan::{self, Direction, Pace};
use super::session::Session;
use super::{Cursor, Event};
use crate::clock;
use crate::config::{Login, Mailbox};
use crate::engine::History;
use crate::mail::RawMail;
use crate::oauth2::TokenSource;

/// RFC 2177 allows 29 minutes; Exchange Online stops pushing long before that without a word.
const IDLE_MAX: Duration = Duration::from_secs(300);
/// A server that pushes without having anything new must not be asked in a tight loop.
const PUSH_PAUSE: Duration = Duration::from_secs(1);
const POLL_DEFAULT: Duration = Duration::from_secs(60);

/// Reads `mailbox` from `cursors` (one per folder; none means a first start) until the receiver of `events` is dropped
/// or the task is aborted. Each permit of `requests` is one look as soon as possible, which begins after the request.
///
/// `digest` makes of each mail, with the folder it lies in, what is handed over, or None: of no interest. It is called as
/// soon as the mail has come, because what is made of it takes less memory than the mail, and while others wait for the disk.
pub fn spawn<M: Send + 'static>(
    mailbox: Mailbox,
    cursors: BTreeMap<String, Cursor>,
    events: mpsc::Sender<Event<M>>,
    requests: Arc<Notify>,
    digest: impl Fn(&str, RawMail) -> Option<M> + Send + Sync + 'static,
) -> JoinHandle<()> {
    tokio::spawn(supervise(Arc::new(Shared::new(mailbox, cursors, events, requests, Box::new(digest))), run))
}

/// What is made of a mail of a folder.
type DigestIn<M> = Box<dyn Fn(&str, RawMail) -> Option<M> + Send + Sync>;

/// What outlives a connection.
struct Shared<M> {
    mailbox: Mailbox,
    tokens: Option<TokenSource>,
    cursors: Mutex<BTreeMap<String, Cursor>>,
    /// Held by each connection in its turn.
    gauge: AsyncMutex<Gauge>,
    events: mpsc::Sender<Event<M>>,
    requests: Arc<Notify>,
    digest: DigestIn<M>,
    /// The current connection has completed a look.
    looked: AtomicBool,
    junk: JunkWatch,
}

impl<M> Shared<M> {
    fn new(
        mailbox: Mailbox,
        cursors: BTreeMap<String, Cursor>,
        events: mpsc::Sender<Event<M>>,
        requests: Arc<Notify>,
        digest: DigestIn<M>,
    ) -> Self {
        let tokens = match &mailbox.login {
            Login::OAuth2(oauth2) => Some(TokenSource::new(oauth2.clone())),
            Login::Password(_) => None,
        };
        let cursors = Mutex::new(cursors);
        let (looked, junk, gauge) = (AtomicBool::new(false), JunkWatch::default(), AsyncMutex::default());
        Self { mailbox, tokens, cursors, gauge, events, requests, digest, looked, junk }
    }

    fn cursor(&self, folder: &str) -> Option<Cursor> {
        self.cursors.lock().unwrap_or_else(PoisonError::into_inner).get(folder).copied()
    }

    /// Hands over mails and, with them, how far the folder is read.
    async fn tell(&self, folder: &str, mails: Vec<M>, cursor: Cursor) -> Result<(), Error> {
        if mails.is_empty() && self.cursor(folder) == Some(cursor) {
            return Ok(());
        }
        let (mailbox, folder) = (self.mailbox.name.clone(), folder.to_owned());
        let junk = self.mailbox.junk.as_ref() == Some(&folder);
        self.send(Event::Mails { mailbox, folder: folder.clone(), junk, mails, cursor }).await?;
        self.cursors.lock().unwrap_or_else(PoisonError::into_inner).insert(folder, cursor);
        Ok(())
    }

    /// Tells how the reading of the Junk folder ended, if that is news.
    async fn tell_junk(&self, error: Option<String>) -> Result<(), Error> {
        if !self.junk.end(error.as_deref()) {
            return Ok(());
        }
        self.send(Event::Junk { mailbox: self.mailbox.name.clone(), error }).await
    }

    async fn send(&self, event: Event<M>) -> Result<(), Error> {
        self.events.send(event).await.map_err(|_| Error::Ended)
    }

    /// The first folder whose history is not read to its beginning.
    fn unfinished(&self) -> Option<&str> {
        let unfinished = |folder: &&String| self.cursor(folder).is_none_or(|cursor| cursor.low > 1);
        self.mailbox.folders.iter().find(unfinished).map(String::as_str)
    }

    fn poll(&self) -> Duration {
        self.mailbox.poll.to_std().unwrap_or(POLL_DEFAULT)
    }
}

/// Opens one connection after another with `run`. Each is a task of its own, for imap-proto may panic on an answer; those
/// that are known to make it panic are mended (see `mend`).
async fn supervise<M: Send + 'static, F>(shared: Arc<Shared<M>>, run: impl Fn(Arc<Shared<M>>) -> F)
where
    F: Future<Output = Result<Infallible, Error>> + Send + 'static,
{
    let mut backoff = Backoff::default();
    loop {
        let opened = Instant::now();
        let mut connection = JoinSet::new();
        connection.spawn(run(Arc::clone(&shared)));
        let ended = tokio::select! {
            ended = connection.join_next() => ended,
            () = shared.events.closed() => return,
        };
        let error = match ended {
            Some(Ok(Err(Error::Ended))) | None => return,
            Some(Ok(Err(error))) => error,
            Some(Ok(Ok(never))) => match never {},
            Some(Err(_)) => Error::Protocol("an answer on which the parser fails".to_owned()),
        };
        let told = error.at(&shared.mailbox.server.host);
        let sent = if shared.junk.was_busy() {
            // The next connection leaves that folder alone, and may read the others.
            shared.tell_junk(Some(told)).await
        } else {
            let (mailbox, login_refused) = (shared.mailbox.name.clone(), error.is_refused_login());
            shared.send(Event::Failed { mailbox, at: clock::now(), error: told, login_refused }).await
        };
        if sent.is_err() {
            return;
        }
        backoff.worked(shared.looked.swap(false, Ordering::Relaxed), opened.elapsed());
        tokio::select! {
            () = backoff.rest(error.backoff(), &shared.requests) => {}
            () = shared.events.closed() => return,
        }
    }
}

/// One connection, from its opening to its failure.
async fn run<M: Send>(shared: Arc<Shared<M>>) -> Result<Infallible, Error> {
    let credential = Credential::obtain(&shared.mailbox, shared.tokens.as_ref()).await?;
    let session = match connect::open(&shared.mailbox, &credential).await {
        Ok(session) => session,
        Err(error) => {
            if let (Error::Denied(_), Some(tokens)) = (&error, &shared.tokens) {
                tokens.forget().await;
            }
            return Err(error);
        }
    };
    // Signed in, and for hours maybe: the password is read anew for the next connection.
    drop(credential);
    let can_idle = session.capabilities.has("IDLE");
    let mut certificate = Shown::new(session.certificate);
    shared.send(certificate.event(&shared.mailbox)).await?;
    let mut reader = Reader {
        shared: &shared,
        session,
        gauge: shared.gauge.lock().await,
        selected: None,
        paces: BTreeMap::new(),
        looked_at: Instant::now(),
        can_idle,
    };
    loop {
        let history = reader.look().await?;
        if certificate.look_again(&shared.mailbox.server).await {
            shared.send(certificate.event(&shared.mailbox)).await?;
        }
        match history {
            History::Filling => reader.fill().await?,
            History::Complete if reader.weigh().await? => reader.wait().await?,
            History::Complete => {}
        }
    }
}

struct Reader<'a, M> {
    shared: &'a Shared<M>,
    session: Session,
    gauge: MutexGuard<'a, Gauge>,
    selected: Option<&'a str>,
    /// By folder: their mails differ in size and density.
    paces: BTreeMap<&'a str, Pace>,
    /// When the last look at all folders began.
    looked_at: Instant,
    can_idle: bool,
}

impl<'a, M: Send> Reader<'a, M> {
    /// Reads every folder up to its end.
    async fn look(&mut self) -> Result<History, Error> {
        let started = clock::now();
        self.looked_at = Instant::now();
        let shared = self.shared;
        self.look_at_junk().await?;
        // The first folder comes last, so that it stays selected for IDLE.
        for folder in shared.mailbox.folders.iter().rev() {
            let (mut cursor, uidnext) = self.select(folder).await?;
            if plan::is_fresh(cursor) {
                self.paces.remove(folder.as_str());
                cursor = self.read_on(folder, Direction::Older, cursor, Until::OneWindow).await?.cursor;
            }
            let newer = Direction::Newer { last: uidnext.map_or(0, |uidnext| uidnext.saturating_sub(1)) };
            cursor = self.read_on(folder, newer, cursor, Until::TheEnd).await?.cursor;
            shared.tell(folder, Vec::new(), cursor).await?;
        }
        // Before the look is announced, because who is silent is judged then.
        if let Some(fullness) = self.gauge.measure(&mut self.session, &shared.mailbox).await? {
            shared.send(Event::Measured { mailbox: shared.mailbox.name.clone(), fullness }).await?;
        }
        self.announce(started).await
    }

    /// Before the other folders: what a look finds there is known when the silent checkers are judged.
    async fn look_at_junk(&mut self) -> Result<(), Error> {
        let shared = self.shared;
        let Some(folder) = shared.mailbox.junk.as_deref().filter(|_| shared.junk.begin()) else {
            return Ok(());
        };
        self.selected = Some(folder);
        let digest = |mail| (shared.digest)(folder, mail);
        match self.session.read_junk(folder, shared.cursor(folder), &digest).await {
            Ok((mails, cursor)) => {
                shared.tell_junk(None).await?;
                shared.tell(folder, mails, cursor).await
            }
            Err(error @ (Error::Setup(_) | Error::Refused { .. })) => {
                shared.tell_junk(Some(error.at(&shared.mailbox.server.host))).await
            }
            Err(fatal) => Err(fatal),
        }
    }

    /// Adds up the sizes of mails where no command tells them. False when a look is due before that is done.
    async fn weigh(&mut self) -> Result<bool, Error> {
        let mailbox = &self.shared.mailbox;
        while let Some(folder) = self.gauge.unweighed(&self.session, mailbox) {
            if !self.reselect(folder).await? {
                return Ok(false);
            }
            self.gauge.weigh(&mut self.session, folder).await?;
            if self.look_is_due() {
                return Ok(false);
            }
        }
        match mailbox.folders.first() {
            Some(first) => self.reselect(first).await,
            None => Ok(true),
        }
    }

    /// False when the folder was renumbered or emptied since the last look: the next one sorts that out.
    async fn reselect(&mut self, folder: &'a str) -> Result<bool, Error> {
        if self.selected == Some(folder) {
            return Ok(true);
        }
        let (cursor, _) = self.select(folder).await?;
        Ok(Some(cursor) == self.shared.cursor(folder))
    }

    fn pace(&mut self, folder: &'a str) -> &mut Pace {
        self.paces.entry(folder).or_insert_with(Pace::new)
    }

    /// EXAMINEs a folder and returns where to go on in it, and its UIDNEXT.
    async fn select(&mut self, folder: &'a str) -> Result<(Cursor, Option<u32>), Error> {
        let examined = self.session.examine(folder).await?;
        self.selected = Some(folder);
        self.gauge.counted(folder, examined.exists);
        Ok((plan::reconcile(self.shared.cursor(folder), &examined), examined.uidnext))
    }

    async fn announce(&mut self, started: DateTime<Utc>) -> Result<History, Error> {
        let history = if self.shared.unfinished().is_none() { History::Complete } else { History::Filling };
        self.shared.looked.store(true, Ordering::Relaxed);
        self.shared
            .send(Event::Looked { mailbox: self.shared.mailbox.name.clone(), started, history })
            .await?;
        Ok(history)
    }

    /// Reads history, a window at least, until there is none left or a look is due.
    async fn fill(&mut self) -> Result<(), Error> {
        while let Some(folder) = self.shared.unfinished() {
            if !self.reselect(folder).await? {
                return Ok(());
            }
            let Some(cursor) = self.shared.cursor(folder) else { return Ok(()) };
            if self.read_on(folder, Direction::Older, cursor, Until::ALookIsDue).await?.look_is_due {
                return Ok(());
            }
        }
        Ok(())
    }

    fn look_is_due(&mut self) -> bool {
        self.looked_at.elapsed() >= self.shared.poll() || self.session.wire.take_news() || self.requested()
    }

    fn requested(&self) -> bool {
        let mut request = std::pin::pin!(self.shared.requests.notified());
        // True when a permit was there to take; a fresh `Notified` that stays pending takes none.
        request.as_mut().enable()
    }

    /// Waits until a look is due; reads what the server announces meanwhile.
    async fn wait(&mut self) -> Result<(), Error> {
        let due = self.looked_at + self.shared.poll();
        while Instant::now() < due {
            let until = due.min(Instant::now() + IDLE_MAX);
            let woken = if self.can_idle {
                self.session.idle(until, &self.shared.requests).await?
            } else {
                pause(until, &self.shared.requests).await
            };
            match woken {
                Woken::Requested => return Ok(()),
                Woken::Refused => self.can_idle = false,
                // Not every server pushes what has come; Exchange Online falls silent after a while.
                Woken::Elapsed if until == due => {}
                Woken::Push | Woken::Elapsed => match self.read_news().await? {
                    News::Mails => {}
                    News::Nothing => {
                        let until = Instant::now() + PUSH_PAUSE;
                        if pause(until, &self.shared.requests).await == Woken::Requested {
                            return Ok(());
                        }
                    }
                    News::NeedsLook => return Ok(()),
                },
            }
        }
        Ok(())
    }

    /// Reads what is new in the first folder, which is selected, without the price of a full look.
    async fn read_news(&mut self) -> Result<News, Error> {
        let started = clock::now();
        let Some(folder) = self.shared.mailbox.folders.first() else { return Ok(News::NeedsLook) };
        // A FETCH alone answers from what the server has told so far; only after this it knows all that came before.
        self.session.noop().await?;
        self.session.wire.take_news();
        let Some(cursor) = self.shared.cursor(folder) else { return Ok(News::NeedsLook) };
        let Some(first) = cursor.high.checked_add(1) else { return Ok(News::NeedsLook) };
        let shared = self.shared;
        let digest = |mail| (shared.digest)(folder, mail);
        let window = self.session.fetch(first, None, &digest).await?;
        if window.overflow {
            return Ok(News::NeedsLook);
        }
        let newest = window.mails.last().map(|mail| mail.uid);
        let end = Cursor { high: newest.unwrap_or(cursor.high), ..cursor };
        let newer = Direction::Newer { last: u32::MAX };
        self.deliver(folder, window, newer, (cursor, end), &mut Flight::new()).await?;
        // Who asks for a look is about to judge, and must know what lies in Junk.
        if self.requested() {
            return Ok(News::NeedsLook);
        }
        if self.shared.mailbox.folders.len() == 1 {
            self.announce(started).await?;
        }
        Ok(if newest.is_some() { News::Mails } else { News::Nothing })
    }
}

enum News {
    Mails,
    /// A mail was deleted, or the server cried wolf.
    Nothing,
    /// More than one window holds, which a full look reads in several; or a full look was asked for.
    NeedsLook,
}

async fn pause(until: Instant, requests: &Notify) -> Woken {
    tokio::select! {
        () = requests.notified() => Woken::Requested,
        () = sleep_until(until) => Woken::Elapsed,
    }
}

#[cfg(test)]
mod tests;
