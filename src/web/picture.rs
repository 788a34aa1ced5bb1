//! What the daemon knows at one moment, painted when somebody asks.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use chrono::TimeDelta;
use tokio::sync::{Notify, watch};
use tokio::time::timeout;

use crate::down::Board;
use crate::engine::Engine;
use crate::incidents::IncidentLine;
use crate::matrix::Matrix;
use crate::policy::Silencing;
use crate::tally::Tally;
use crate::time::Time;
use crate::view::LastSeen;

/// A picture no older than this is new enough for everybody.
const FRESH: TimeDelta = TimeDelta::seconds(1);
/// The daemon is taken for stuck when it does not paint for so long.
const PAINTING_LIMIT: Duration = Duration::from_secs(5);
/// So long after somebody asked for one it may be painted.
const WAITED_FOR: TimeDelta = TimeDelta::seconds(6);

#[derive(Debug)]
pub(crate) struct Picture {
    /// When it was painted.
    pub at: Time,
    pub last_seen: LastSeen,
    pub matrix: Matrix,
    /// The open ones, in the order of their opening, without their steps.
    pub incidents: Vec<IncidentLine>,
    /// What people silenced that holds or will hold.
    pub silences: Vec<Silencing>,
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
            silences: engine.silences().filter(|silence| silence.until > now).cloned().collect(),
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

/// With how often pictures had been outdated when it was painted. The clock may be set back between the two.
type Newest = Option<(u64, Arc<Picture>)>;

/// The daemon's side.
pub(crate) struct Easel {
    newest: watch::Sender<Newest>,
    wanted: Arc<Notify>,
    outdated: Arc<AtomicU64>,
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

    /// Whoever has given an order sees what became of it: no picture painted before is shown as fresh any more.
    pub(crate) fn outdate(&self) {
        self.outdated.fetch_add(1, Ordering::Relaxed);
    }

    /// Done when somebody wants a picture that is not there.
    pub(crate) async fn wanted(&self) {
        self.wanted.notified().await;
    }

    pub(crate) fn show(&self, picture: Picture) {
        let outdated = self.outdated.load(Ordering::Relaxed);
        self.newest.send_replace(Some((outdated, Arc::new(picture))));
    }
}

/// The side of whoever asks.
#[derive(Clone)]
pub(crate) struct Viewer {
    newest: watch::Receiver<Newest>,
    wanted: Arc<Notify>,
    /// So often, up to now.
    outdated: Arc<AtomicU64>,
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
        // One from the future was painted before the clock was set back.
        let fresh = |at: Time| (-WAITED_FOR..FRESH).contains(&(now - at));
        let is_fresh = |newest: &Newest| {
            newest.as_ref().is_some_and(|(painted, picture)| *painted >= outdated && fresh(picture.at))
        };
        if !is_fresh(&newest.borrow_and_update()) {
            self.wanted.notify_one();
        }
        let painted = timeout(patience, newest.wait_for(is_fresh)).await;
        let picture = |newest: &Newest| newest.as_ref().map(|(_, picture)| Arc::clone(picture));
        let found = painted.ok().and_then(|painted| painted.ok().and_then(|newest| picture(&newest)));
        found.ok_or_else(|| picture(&self.newest.borrow()))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::config::{Config, Sources};
    use crate::engine::Snapshot;

    fn engine() -> Engine {
        let text = "[watchdog]\nname = \"bresse8\"\n[mailbox]\nhost = \"mail.example\"\nuser = \"monitor@domain.com\"\n\
                    password = \"secret\"\n[[checker]]\nname = \"bresse1\"\nprovider = \"free\"\ncycle = \"5m\"\n\
                    tests = [ { service = \"SQL\", timeout = \"10s\" } ]\n";
        let environment = BTreeMap::new();
        let sources = Sources { text, file: "watchdog.toml", environment: &environment, overrides: &[] };
        Engine::restore(Config::load(&sources).unwrap(), Snapshot::default(), at(0))
    }

    fn at(second: i64) -> Time {
        Time::UNIX_EPOCH + TimeDelta::seconds(second)
    }

    /// Paints at `at` when asked.
    async fn asked(easel: &Easel, now: Time) -> Option<Time> {
        let paint = async {
            easel.wanted().await;
            easel.show(Picture::of(&engine(), Work::default(), now));
            std::future::pending().await
        };
        let viewer = easel.viewer();
        tokio::select! {
            picture = viewer.fresh(now) => picture.ok().map(|picture| picture.at),
            () = paint => None,
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_clock_that_was_set_back_neither_keeps_an_old_picture_nor_refuses_a_new_one() {
        let easel = Easel::default();
        assert_eq!(asked(&easel, at(10_000)).await, Some(at(10_000)));
        assert_eq!(asked(&easel, at(5_000)).await, Some(at(5_000)), "not the one of the future");
        easel.outdate();
        assert_eq!(asked(&easel, at(4_000)).await, Some(at(4_000)), "after an order");
    }
}
