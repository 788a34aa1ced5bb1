//! One full read, one judgement, and what is due delivered.

use std::collections::BTreeSet;
use std::time::Duration;

use anyhow::Result;
use tokio::time::{Instant, timeout, timeout_at};

use super::store_alarm::StoreAlarm;
use super::{EVENTS_TOGETHER_MAX, Service};
use crate::clock;
use crate::config::Config;
use crate::engine::History;
use crate::imap::Event;
use crate::keys;
use crate::view::{Health, LastSeen};

/// So long a mailbox that cannot be read is tried.
const TRYING: Duration = Duration::from_secs(12);
/// So long one that is being read may be silent between two batches of mails.
const READING: Duration = Duration::from_secs(30);
/// So long deliveries may take altogether.
const DELIVERING: Duration = Duration::from_secs(30);

/// So long the making of digests may take; one that takes longer is for a daemon.
const DIGESTING: Duration = Duration::from_secs(60);

/// What one pass found.
#[derive(Debug)]
pub struct Once {
    pub table: LastSeen,
    pub health: Health,
    /// Why a mailbox could not be read, one sentence each.
    pub failures: Vec<String>,
}

/// Reads every mailbox to its end, judges, and delivers what is due.
///
/// # Errors
/// When the state cannot be opened or written; that is alarmed too, as far as the channels work.
pub async fn once(config: Config) -> Result<Once> {
    let keys = keys::fetch(&config).await?;
    let outcome = match Service::open(config.clone(), &keys) {
        Ok(mut service) => service.pass().await,
        Err(error) => Err(error),
    };
    if let Err(error) = &outcome {
        StoreAlarm::report_once(&config, error).await;
    }
    outcome
}

impl Service {
    async fn pass(&mut self) -> Result<Once> {
        let failures = self.read_everything().await?;
        if let Ok(Some(made)) = timeout(DIGESTING, self.digests.task.join_next()).await {
            self.digests_made(made);
        }
        self.deliver_due().await?;
        let now = clock::now();
        let table = LastSeen {
            other_mails: self.flow.store.other_mails(now)?,
            ..LastSeen::of(&self.flow.engine, now)
        };
        let health = table.health(self.flow.engine.config().blind_after());
        Ok(Once { table, health, failures })
    }

    /// Returns what could not be read.
    async fn read_everything(&mut self) -> Result<Vec<String>> {
        let mut readers = self.start_readers();
        let mut unread: BTreeSet<String> =
            self.flow.engine.config().mailboxes.iter().map(|mailbox| mailbox.name.clone()).collect();
        let mut until = Instant::now() + TRYING;
        while !unread.is_empty() {
            let Ok(Some(event)) = timeout_at(until, readers.events.recv()).await else { break };
            let mut next = Some(event);
            let mut taken = 0;
            // What waits already is stored together: each commit waits for the disk.
            while let Some(mut event) = next {
                self.take(&mut event)?;
                match event {
                    Event::Looked { mailbox, history: History::Complete, .. } => {
                        unread.remove(&mailbox);
                    }
                    Event::Looked { .. } | Event::Mails { .. } => until = Instant::now() + READING,
                    Event::Measured { .. }
                    | Event::Certificate { .. }
                    | Event::Failed { .. }
                    | Event::Junk { .. } => {}
                }
                taken += 1;
                next = (taken < EVENTS_TOGETHER_MAX).then(|| readers.events.try_recv().ok()).flatten();
            }
            self.settle()?;
        }
        let now = clock::now();
        unread.iter().for_each(|mailbox| self.flow.engine.give_up(mailbox, now));
        self.settle()?;
        Ok(unread.iter().map(|mailbox| self.failure_of(mailbox)).collect())
    }

    fn failure_of(&self, mailbox: &str) -> String {
        let known = self.flow.engine.mailboxes().get(mailbox).and_then(|state| state.last_failure.as_ref());
        known.map_or_else(
            || format!("The mailbox {mailbox} did not answer in time."),
            |(_, error)| error.clone(),
        )
    }

    async fn deliver_due(&mut self) -> Result<()> {
        let deadline = Instant::now() + DELIVERING;
        self.settle()?;
        self.flow.engine.judgement_stored();
        self.beat();
        while !self.deliveries.is_empty() {
            match timeout(deadline.saturating_duration_since(Instant::now()), self.deliveries.join_next())
                .await
            {
                Ok(Some(Ok((parcel, sent)))) => self.delivered(parcel, sent),
                Ok(Some(Err(error))) => tracing::error!(%error, "a delivery broke off"),
                Ok(None) | Err(_) => break,
            }
            self.settle()?;
            self.beat();
        }
        let refreshed = async { while self.refreshing.tasks.join_next().await.is_some() {} };
        let _ = timeout(deadline.saturating_duration_since(Instant::now()), refreshed).await;
        self.store_last()
    }
}
