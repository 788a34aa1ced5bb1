//! Digests: when one is due, and that each period is told once. What they say the shell finds out, which takes a while.

use super::Engine;
use crate::bulletin::{Bulletin, State};
use crate::config;
use crate::digest::{Period, TOKEN};
use crate::incident::Severity;
use crate::outbox::{Address, Kind, Message, Notice};
use crate::time::Time;
use crate::words::Letter;

/// One that is to be made and sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DueDigest {
    /// As it is configured.
    pub digest: config::Digest,
    pub period: Period,
    /// When it was to be sent.
    pub due: Time,
}

impl Engine {
    /// Those whose time has come.
    pub fn due_digests(&self, now: Time) -> Vec<DueDigest> {
        let due = |digest: &config::Digest| {
            let told = *self.digests.get(digest.key())?;
            let period = digest.calendar.due(told, now)?;
            let due = digest.calendar.next_due(told);
            Some(DueDigest { digest: digest.clone(), period, due })
        };
        self.config.digests.iter().filter_map(due).collect()
    }

    /// When the next one will be due.
    pub fn next_digest(&self) -> Option<Time> {
        let next = |digest: &config::Digest| {
            self.digests.get(digest.key()).map(|told| digest.calendar.next_due(*told))
        };
        self.config.digests.iter().filter_map(next).min()
    }

    /// Queues one that was made, to each of its recipients, and remembers that its period is told: both are stored at once.
    /// Does nothing when it is no longer configured, or was told meanwhile.
    pub fn digest_made(&mut self, made: &DueDigest, letter: &Letter, html: &str, now: Time) {
        let key = made.digest.key();
        let wanted = self.config.digests.contains(&made.digest);
        let Some(told) = self.digests.get_mut(key).filter(|told| wanted && **told < made.period.until) else {
            return;
        };
        *told = made.period.until;
        self.dirty.digests.insert(key.to_owned(), Some(made.period.until));
        // Several digests of a day are no thread.
        let id = format!("digest-{}-{}", made.period.until.format("%Y%m%d"), self.last_message + 1);
        let mut bulletin = Bulletin::own(&id, TOKEN, State::Notice, &self.config.name, now);
        bulletin.severity = Severity::Warning;
        let notice = Notice { ordinal: 1, kind: Kind::Notice, letter, bulletin };
        for recipient in &made.digest.to {
            self.last_message += 1;
            let to = Address { channel: made.digest.channel.clone(), recipient: recipient.clone() };
            let message = Message::new(self.last_message, &notice, to, now);
            let message = Message { html: Some(html.to_owned()), ..message };
            self.dirty.messages.insert(message.id, message.clone());
            self.outbox.put(message);
        }
    }

    /// Under a new configuration: a new digest begins with the present day or week.
    pub(super) fn take_over_digests(&mut self, now: Time) {
        let configured = |key: &String| self.config.digests.iter().any(|digest| digest.key() == key);
        let gone: Vec<String> = self.digests.keys().filter(|key| !configured(key)).cloned().collect();
        for key in gone {
            self.digests.remove(&key);
            self.dirty.digests.insert(key, None);
        }
        for digest in &self.config.digests {
            if !self.digests.contains_key(digest.key()) {
                let told = digest.calendar.current(now);
                self.digests.insert(digest.key().to_owned(), told);
                self.dirty.digests.insert(digest.key().to_owned(), Some(told));
            }
        }
    }
}
