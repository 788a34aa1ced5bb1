//! A far side that forgets is told again what stands: past the outbox, because it is no news to anybody.

use std::collections::BTreeMap;
use std::sync::Arc;

use chrono::TimeDelta;
use tokio::sync::{OwnedRwLockReadGuard, RwLock};
use tokio::task::JoinSet;

use super::Service;
use crate::channel;
use crate::config::Channel;
use crate::outbox::Sent;
use crate::time::Time;

/// An Alertmanager that was started anew misses nothing for longer than this. Prometheus repeats as often.
const EVERY: TimeDelta = TimeDelta::seconds(60);

#[derive(Default)]
pub(super) struct Refreshing {
    next: Option<Time>,
    /// By channel. What stands is told only while nothing else is on its way, and nothing else is sent meanwhile: an alarm
    /// must not arrive after its recovery.
    turns: BTreeMap<String, Arc<RwLock<()>>>,
    pub(super) tasks: JoinSet<()>,
}

impl Refreshing {
    /// When [`Service::refresh`] has something to do.
    pub(super) fn next(&self) -> Option<Time> {
        self.next
    }

    /// Waits until what stands was told, and keeps it from being told again as long as it is held.
    pub(super) fn turn(
        &mut self,
        channel: &Channel,
    ) -> impl Future<Output = Option<OwnedRwLockReadGuard<()>>> + Send + use<> {
        let turn = channel::forgets(channel)
            .then(|| Arc::clone(self.turns.entry(channel.name.clone()).or_default()));
        async move {
            match turn {
                Some(turn) => Some(turn.read_owned().await),
                None => None,
            }
        }
    }
}

impl Service {
    /// Once a minute: tells what stands to the channels that forget it.
    pub(super) fn refresh(&mut self, now: Time) {
        while self.refreshing.tasks.try_join_next().is_some() {}
        // It is farther off only where the clock was set back.
        if self.refreshing.next.is_some_and(|next| next > now && next <= now + EVERY) {
            return;
        }
        let forgetful = |channel: &&Channel| channel::forgets(channel);
        let channels: Vec<Channel> =
            self.flow.engine.config().channels.iter().filter(forgetful).cloned().collect();
        self.refreshing.next = (!channels.is_empty()).then(|| now + EVERY);
        for channel in channels {
            let standing = self.flow.engine.standing(&channel, now);
            let turn = Arc::clone(self.refreshing.turns.entry(channel.name.clone()).or_default());
            let Some(turn) = turn.try_write_owned().ok().filter(|_| !standing.is_empty()) else { continue };
            self.refreshing.tasks.spawn(async move {
                match channel::refresh(&channel, &standing, now).await {
                    Sent::Accepted(answer) => {
                        tracing::debug!(channel = channel.name, answer, "told what stands")
                    }
                    Sent::Failed { error, .. } | Sent::Refused(error) => {
                        tracing::warn!(channel = channel.name, error, "what stands could not be told again");
                    }
                }
                drop(turn);
            });
        }
    }
}
