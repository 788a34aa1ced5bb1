//! What the daemon knows at one moment, painted when somebody asks.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use chrono::TimeDelta;
use tokio::sync::{Notify, watch};
use tokio::time::timeout;

use crate::down::Board;
use crate::engine::Engine;
use crate::incidents::IncidentLine;
use crate::matrix::Matrix;
use crate::tally::Tally;
use crate::time::Time;
use crate::view::LastSeen;

/// A picture no older than this is new enough for everybody.
const FRESH: TimeDelta = TimeDelta::seconds(1);
/// The daemon is taken for stuck when it does not paint for so long.
const PAINTING_LIMIT: Duration = Duration::from_secs(5);

#[derive(Debug)]
pub(crate) struct Picture {
    /// When it was painted.
    pub at: Time,
    pub last_seen: LastSeen,
    pub matrix: Matrix,
    /// The open ones, in the order of their opening, without their steps.
    pub incidents: Vec<IncidentLine>,
    pub board: Board,
    pub tally: Tally,
    /// What is not delivered yet, by the channel's name.
    pub waiting: BTreeMap<String, Waiting>,
    pub work: Work,
}

/// Messages of one channel.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Waiting {
    pub messages: usize,
    /// When the oldest was composed.
    pub oldest: Option<Time>,
}

/// What the daemon knows of its own work.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Work {
    /// When the last judgement was completed.
    pub judged: Option<Time>,
    /// How many were completed since the start.
    pub judgements: u64,
    /// Nothing can be stored, so nothing is read or sent.
    pub store_fails: bool,
}

impl Picture {
    pub(crate) fn of(engine: &Engine, work: Work, now: Time) -> Self {
        let line = |incident| IncidentLine::of(incident, Vec::new(), engine.config());
        let (last_seen, matrix) = (LastSeen::of(engine, now), Matrix::of(engine, now));
        Self {
            at: now,
            board: Board::of(engine, &last_seen, &matrix),
            last_seen,
            matrix,
            incidents: engine.open_incidents().map(line).collect(),
            tally: engine.tally().clone(),
            waiting: waiting(engine),
            work,
        }
    }
}

fn waiting(engine: &Engine) -> BTreeMap<String, Waiting> {
    let mut waiting: BTreeMap<String, Waiting> = BTreeMap::new();
    for message in engine.outbox().iter() {
        let of_channel = waiting.entry(message.channel.clone()).or_default();
        of_channel.messages += 1;
        of_channel.oldest = [of_channel.oldest, Some(message.created)].into_iter().flatten().min();
    }
    waiting
}

/// The daemon's side.
pub(crate) struct Easel {
    newest: watch::Sender<Option<Arc<Picture>>>,
    wanted: Arc<Notify>,
    outdated: Arc<AtomicI64>,
}

impl Default for Easel {
    fn default() -> Self {
        Self { newest: watch::channel(None).0, wanted: Arc::default(), outdated: Arc::default() }
    }
}

impl Easel {
    pub(crate) fn viewer(&self) -> Viewer {
        Viewer {
            newest: self.newest.subscribe(),
            wanted: Arc::clone(&self.wanted),
            outdated: Arc::clone(&self.outdated),
        }
    }

    /// Whoever has given an order sees what became of it: no picture painted up to `now` is shown as fresh any more.
    pub(crate) fn outdate(&self, now: Time) {
        self.outdated.store(now.timestamp_micros(), Ordering::Relaxed);
    }

    /// Done when somebody wants a picture that is not there.
    pub(crate) async fn wanted(&self) {
        self.wanted.notified().await;
    }

    pub(crate) fn show(&self, picture: Picture) {
        self.newest.send_replace(Some(Arc::new(picture)));
    }
}

/// The side of whoever asks.
#[derive(Clone)]
pub(crate) struct Viewer {
    newest: watch::Receiver<Option<Arc<Picture>>>,
    wanted: Arc<Notify>,
    /// Pictures painted until then, in microseconds since 1970, are.
    outdated: Arc<AtomicI64>,
}

impl Viewer {
    /// A picture painted at `now`, or up to a second before.
    ///
    /// # Errors
    /// When the daemon does not paint one in time: the last one there is.
    pub(crate) async fn fresh(&self, now: Time) -> Result<Arc<Picture>, Option<Arc<Picture>>> {
        self.fresh_within(now, PAINTING_LIMIT).await
    }

    /// As [`Self::fresh`], for whoever has less patience.
    ///
    /// # Errors
    /// As there.
    pub(crate) async fn fresh_within(
        &self,
        now: Time,
        patience: Duration,
    ) -> Result<Arc<Picture>, Option<Arc<Picture>>> {
        let mut newest = self.newest.clone();
        let outdated = self.outdated.load(Ordering::Relaxed);
        let fresh = |at: Time| now - at < FRESH && at.timestamp_micros() > outdated;
        let is_fresh =
            |picture: &Option<Arc<Picture>>| picture.as_ref().is_some_and(|picture| fresh(picture.at));
        if !is_fresh(&newest.borrow_and_update()) {
            self.wanted.notify_one();
        }
        let painted = timeout(patience, newest.wait_for(is_fresh)).await;
        let found = painted.ok().and_then(|painted| painted.ok().and_then(|picture| picture.clone()));
        found.ok_or_else(|| self.newest.borrow().clone())
    }
}
