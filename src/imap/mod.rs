//! Reading mailboxes by IMAP. Only EXAMINE and PEEK: nothing in a mailbox is ever changed.
//!
//! From the network upwards: `incoming` finds its answers and bounds them, `wire` runs commands, `connect` and `auth` open
//! a session, `session`, `fetch`, `quota` and `idle` are its commands, `plan` decides which UIDs come next, `gauge`
//! measures how full it is, `reader` does it all for ever. `junk` is the folder that is read beside the others.

mod auth;
mod backoff;
mod certificate;
mod connect;
mod error;
mod fetch;
mod fetched;
mod gauge;
mod idle;
mod incoming;
mod junk;
mod mend;
#[cfg(test)]
mod peer;
mod plan;
mod probe;
mod quota;
mod reader;
mod sample;
mod session;
mod unasked;
mod utf7;
mod wire;

use chrono::{DateTime, Utc};

use crate::engine::History;
use crate::expiry::Validity;
use crate::fullness::Fullness;

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

impl Cursor {
    /// Whether a mail that `later` covers came into the folder after all that this cursor covers.
    pub fn lacks(self, later: Self, uid: u32) -> bool {
        self.uidvalidity == later.uidvalidity && uid > self.high
    }
}

/// What a mailbox's reader tells the main loop; `M` is what it makes of a mail.
#[derive(Debug)]
pub enum Event<M> {
    /// Mails of one folder and the cursor that is true once they are stored. `junk`: it is the Junk folder.
    Mails { mailbox: String, folder: String, junk: bool, mails: Vec<M>, cursor: Cursor },
    /// From now on the Junk folder can be read, or cannot for this reason.
    Junk { mailbox: String, error: Option<String> },
    /// Every configured folder was read up to its end by a look that began at `started`; all its mails came before
    /// this event. Silence counts up to `started`.
    Looked { mailbox: String, started: DateTime<Utc>, history: History },
    /// How full the mailbox is; None when nobody says how much it may hold. Comes before the look it belongs to.
    Measured { mailbox: String, fullness: Option<Fullness> },
    /// The certificate of the mailbox's server, when its dates matter.
    Certificate { mailbox: String, validity: Option<Validity> },
    /// A look could not be completed.
    Failed {
        mailbox: String,
        at: DateTime<Utc>,
        error: String,
        /// User, password or token were refused.
        login_refused: bool,
    },
}
