//! `propose`: reads the mailbox and prints `[[checker]]` blocks.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Result, bail};
use tokio::sync::{Notify, mpsc};
use tokio::time::{Instant, timeout_at};

use super::{Global, output};
use crate::config::{Config, Mailbox, environment};
use crate::engine::History;
use crate::imap::{self, Event};
use crate::keys;
use crate::proposal::{Extent, Survey, propose as write};

/// No more mails are read: some days of many checkers, some months of a few.
const MAILS_MAX: usize = 20_000;
/// So long a mailbox may let us wait before its first mail, and between two batches.
const SILENCE_MAX: Duration = Duration::from_secs(60);
/// So long a connection that broke may take to come back.
const RECOVERY_MAX: Duration = Duration::from_secs(15);
const TOTAL_MAX: Duration = Duration::from_secs(600);
/// Batches that may wait; a full queue makes the readers wait.
const EVENTS_WAITING_MAX: usize = 2;

pub(super) async fn propose(global: &Global) -> Result<u8> {
    let config = environment::load_without_checkers(global.config.as_deref(), &global.overrides)?;
    let mut survey = Survey::new(&config, &keys::fetch(&config).await?);
    let extent = read(&config, &mut survey).await?;
    output::print(&output::plain(&write(&survey, &config, &extent)))?;
    Ok(0)
}

/// Reads all mailboxes side by side, newest mails first.
///
/// # Errors
/// When a mailbox cannot be read at all. One that breaks off later only ends the reading.
async fn read(config: &Config, survey: &mut Survey) -> Result<Extent> {
    let (sender, mut events) = mpsc::channel(EVENTS_WAITING_MAX);
    // They end when nobody receives any more.
    for mailbox in &config.mailboxes {
        // What the server takes for spam is no ground for a proposal.
        let mailbox = Mailbox { junk: None, ..mailbox.clone() };
        imap::spawn(mailbox, BTreeMap::new(), sender.clone(), Arc::new(Notify::new()));
    }
    drop(sender);
    let end = Instant::now() + TOTAL_MAX;
    let mut unread: BTreeSet<&str> = config.mailboxes.iter().map(|mailbox| mailbox.name.as_str()).collect();
    let (mut begun, mut taken) = (BTreeSet::new(), 0);
    let mut trouble = "the server fell silent".to_owned();
    let mut until = Instant::now() + SILENCE_MAX;
    while !unread.is_empty() {
        match timeout_at(until.min(end), events.recv()).await {
            Ok(Some(Event::Mails { mailbox, mails, .. })) => {
                tracing::info!(mailbox, mails = mails.len(), "read");
                mails.iter().for_each(|mail| survey.take(mail));
                taken += mails.len();
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
            Ok(Some(Event::Failed { .. } | Event::Junk { .. })) => {}
            Ok(None) | Err(_) => break,
        }
        if taken >= MAILS_MAX {
            return Ok(Extent::Newest);
        }
    }
    if end <= Instant::now() {
        trouble = format!("it took longer than {} s", TOTAL_MAX.as_secs());
    }
    match unread.iter().find(|mailbox| !begun.contains(**mailbox)) {
        Some(mailbox) => bail!("The mailbox {mailbox} did not answer within {} s.", SILENCE_MAX.as_secs()),
        None if unread.is_empty() => Ok(Extent::Everything),
        None => Ok(Extent::Broken(trouble)),
    }
}
