//! Digests are made beside the loop, which goes on watching: they read the state file by a connection of their own.

use anyhow::{Context, Result};
use chrono::TimeDelta;
use tokio::task::{JoinError, JoinSet};

use super::Service;
use crate::config::Config;
use crate::engine::DueDigest;
use crate::store::Store;
use crate::time::Time;
use crate::words::{self, Letter};
use crate::{clock, summary};

/// After one that could not be made.
const RETRY: TimeDelta = TimeDelta::minutes(5);

/// A digest as it is to be sent: as text, and as HTML.
type Made = (Letter, String);

#[derive(Default)]
pub(super) struct Digests {
    /// One at a time.
    pub(super) task: JoinSet<Vec<(DueDigest, Result<Made>)>>,
    not_before: Option<Time>,
}

/// What a task of [`Digests`] returns, or why it broke off.
pub(super) type Ended = Result<Vec<(DueDigest, Result<Made>)>, JoinError>;

impl Service {
    /// Begins to make those that are due.
    pub(super) fn make_digests(&mut self, now: Time) {
        if !self.digests.task.is_empty() || self.digests.not_before.is_some_and(|time| now < time) {
            return;
        }
        let due = self.flow.engine.due_digests(now);
        if !due.is_empty() {
            let config = self.flow.engine.config().clone();
            self.digests.task.spawn_blocking(move || make_all(&config, due));
        }
    }

    /// When [`Self::make_digests`] has something to do.
    pub(super) fn next_digest(&self) -> Option<Time> {
        let next = self.flow.engine.next_digest().filter(|_| self.digests.task.is_empty())?;
        Some(self.digests.not_before.map_or(next, |earliest| earliest.max(next)))
    }

    /// Takes in what was made; one that could not be is tried again.
    pub(super) fn digests_made(&mut self, ended: Ended) {
        let now = clock::now();
        self.digests.not_before = None;
        let made = ended.unwrap_or_else(|error| {
            tracing::error!(%error, "a digest broke off");
            self.digests.not_before = Some(now + RETRY);
            Vec::new()
        });
        for (due, made) in made {
            match made {
                Ok((letter, html)) => {
                    tracing::info!(subject = letter.subject, "a digest is queued");
                    self.flow.engine.digest_made(&due, &letter, &html, now);
                }
                Err(error) => {
                    tracing::warn!(error = format!("{error:#}"), "a digest cannot be made");
                    self.digests.not_before = Some(now + RETRY);
                }
            }
        }
    }
}

fn make_all(config: &Config, due: Vec<DueDigest>) -> Vec<(DueDigest, Result<Made>)> {
    due.into_iter()
        .map(|due| {
            let made = make(config, &due).context("The digest waits");
            (due, made)
        })
        .collect()
}

fn make(config: &Config, due: &DueDigest) -> Result<Made> {
    let store = Store::open_read_only(&config.state)?;
    let times = (Some(due.due), clock::now());
    let digest = summary::digest(&store, config, &due.digest, due.period, times)?;
    Ok(words::digest(&digest))
}
