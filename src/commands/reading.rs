//! Reads the mailboxes of a configuration once, newest mails first, for commands that keep no state.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Result, bail};
use tokio::sync::{Notify, mpsc};
use tokio::time::{Instant, timeout_at};

use crate::config::{Config, Mailbox};
use crate::engine::History;
use crate::imap::{self, Event};
use crate::mail::RawMail;
use crate::progress::Reading;
use crate::proposal::Extent;

/// So long a mailbox may let us wait before its first mail, and between two batches.
const SILENCE_MAX: Duration = Duration::from_secs(60);
/// So long a connection that broke may take to come back.
const RECOVERY_MAX: Duration = Duration::from_secs(15);
/// Batches that may wait; a full queue makes the readers wait.
const EVENTS_WAITING_MAX: usize = 2;

/// What is still wanted after a batch of mails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wanted {
    More,
    /// No older mails of this mailbox.
    EnoughOfThis,
    Nothing,
}

/// Reads all mailboxes side by side, newest mails first, for at most `longest`, and hands each batch with the name of its
/// mailbox to `on`.
///
/// # Errors
/// When a mailbox cannot be read at all, or `on` fails. One that breaks off later only ends the reading.
pub(super) async fn read(
    config: &Config,
    longest: Duration,
    mut on: impl FnMut(&str, &[RawMail]) -> Result<Wanted>,
) -> Result<Extent> {
    let (sender, mut events) = mpsc::channel(EVENTS_WAITING_MAX);
    // They end when nobody receives any more.
    for mailbox in &config.mailboxes {
        // What the server takes for spam was never heard.
        let mailbox = Mailbox { junk: None, ..mailbox.clone() };
        let requests = Arc::new(Notify::new());
        imap::spawn(mailbox, BTreeMap::new(), sender.clone(), requests, |_, mail: RawMail| Some(mail));
    }
    drop(sender);
    let end = Instant::now() + longest;
    let mut unread: BTreeSet<&str> = config.mailboxes.iter().map(|mailbox| mailbox.name.as_str()).collect();
    let mut begun = BTreeSet::new();
    let mut trouble = "the server fell silent".to_owned();
    let mut reading = Reading::default();
    let mut until = Instant::now() + SILENCE_MAX;
    while !unread.is_empty() {
        match timeout_at(until.min(end), events.recv()).await {
            Ok(Some(Event::Mails { mailbox, folder, mails, cursor, .. })) => {
                reading.reached(&mailbox, &folder, cursor);
                tracing::info!(mailbox, mails = mails.len(), "read");
                match on(&mailbox, &mails)? {
                    Wanted::More => {}
                    Wanted::EnoughOfThis => {
                        unread.remove(mailbox.as_str());
                    }
                    Wanted::Nothing => return Ok(Extent::Newest),
                }
                begun.insert(mailbox);
                until = Instant::now() + SILENCE_MAX;
            }
            Ok(Some(Event::Looked { mailbox, history, .. })) => {
                if history == History::Complete {
                    unread.remove(mailbox.as_str());
                }
                begun.insert(mailbox);
            }
            Ok(Some(Event::Failed { mailbox, error, .. })) if !begun.contains(&mailbox) => {
                bail!("The mailbox {mailbox} cannot be read: {error}");
            }
            // One that is read to its end is only watched any more.
            Ok(Some(Event::Failed { mailbox, error, .. })) if unread.contains(mailbox.as_str()) => {
                trouble = error;
                until = until.min(Instant::now() + RECOVERY_MAX);
            }
            Ok(Some(
                Event::Measured { .. }
                | Event::Certificate { .. }
                | Event::Failed { .. }
                | Event::Junk { .. },
            )) => {}
            Ok(None) | Err(_) => break,
        }
    }
    if end <= Instant::now() {
        trouble = format!("it took longer than {} s", longest.as_secs());
    }
    match unread.iter().find(|mailbox| !begun.contains(**mailbox)) {
        Some(mailbox) => bail!("The mailbox {mailbox} did not answer within {} s.", SILENCE_MAX.as_secs()),
        None if unread.is_empty() => Ok(Extent::Everything),
        None => Ok(Extent::Broken(trouble)),
    }
}
