//! Reading mailboxes by IMAP. Only EXAMINE and PEEK: nothing in a mailbox is ever changed.
//!
//! From the network upwards: `guard` bounds what a server may send, `wire` runs commands, `connect` and `auth` open
//! a session, `session`, `fetch` and `idle` are its commands, `plan` decides which UIDs come next, `reader` does it
//! all for ever.

mod auth;
mod backoff;
mod connect;
mod error;
mod fetch;
mod guard;
mod idle;
#[cfg(test)]
mod peer;
mod plan;
mod probe;
mod reader;
mod sample;
mod session;
mod unasked;
mod utf7;
mod wire;

use chrono::{DateTime, Utc};

pub use probe::{Folder, Probe, probe};
pub use reader::spawn;
pub use sample::{Sampled, sample};

/// How far one folder has been read. Stored in the same transaction as the mails it covers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cursor {
    pub uidvalidity: u32,
    /// Every UID up to this one has been read, except the history below `low`.
    pub high: u32,
    /// UIDs below this one are history not read yet; 1 when there is none left.
    pub low: u32,
}

/// One mail as the server gave it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RawMail {
    pub uid: u32,
    /// INTERNALDATE (RFC 3501, section 2.3.3).
    pub internal_date: Option<DateTime<Utc>>,
    /// When the watchdog first held it.
    pub seen: DateTime<Utc>,
    pub bytes: Vec<u8>,
    /// The server has more of it than `bytes` holds.
    pub truncated: bool,
}

impl RawMail {
    /// INTERNALDATE, but never later than the watchdog held the mail; that moment where the server gave no date.
    pub fn received(&self) -> DateTime<Utc> {
        self.internal_date.map_or(self.seen, |date| date.min(self.seen))
    }
}

/// What a mailbox's reader tells the main loop.
#[derive(Debug)]
pub enum Event {
    /// Mails of one folder and the cursor that is true once they are stored.
    Mails { mailbox: String, folder: String, mails: Vec<RawMail>, cursor: Cursor },
    /// Every configured folder was read up to its end by a look that began at `started`; all its mails came before
    /// this event. Silence counts up to `started`.
    Looked { mailbox: String, started: DateTime<Utc>, history: History },
    /// A look could not be completed.
    Failed { mailbox: String, at: DateTime<Utc>, error: String },
}

/// How much of the past is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum History {
    /// Older mails are still being fetched, newest first.
    Filling,
    Complete,
}
