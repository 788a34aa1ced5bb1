//! A mail before anything of it is understood.

use chrono::{DateTime, Utc};

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
