//! How full a mailbox is: by the server's own quota, or by its contents against configured limits. Pure.

use serde::{Deserialize, Serialize};

use crate::time::Time;

/// From here on a mailbox is nearly full: time to make room.
const NEARLY_FULL_PERCENT: u64 = 90;
/// Full is what has less room than this share of its limit …
const ROOM_PER_LIMIT: u64 = 100;
/// … and, where the server counts itself, than a mail may need.
const ROOM_BYTES: u64 = 1 << 20;
const ROOM_MESSAGES: u64 = 10;

/// What may be in a mailbox where its server has no quota, or does not tell it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of all mails in the folders that are read.
    pub size: Option<u64>,
    /// Mails in the folders that are read.
    pub messages: Option<u64>,
}

/// Who says how much there is, and how much there may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Source {
    /// The server: it refuses what goes beyond (RFC 9208).
    Quota,
    /// The contents of the folders that are read, and the configuration. The server counts otherwise (deleted mails,
    /// its own overhead), so this is an estimate.
    Configured,
}

/// One resource of a mailbox: bytes, or mails.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Usage {
    pub used: u64,
    /// Never 0.
    pub limit: u64,
    pub source: Source,
}

impl Usage {
    /// None where the limit is 0, with which some servers say that there is none.
    pub fn new(used: u64, limit: u64, source: Source) -> Option<Self> {
        (limit > 0).then_some(Self { used, limit, source })
    }

    /// Rounded down; more than 100 when a server lets a mailbox grow beyond its quota.
    pub fn percent(self) -> u64 {
        let percent = u128::from(self.used) * 100 / u128::from(self.limit.max(1));
        u64::try_from(percent).unwrap_or(u64::MAX)
    }

    fn is_full(self, room: u64) -> bool {
        let share = self.limit / ROOM_PER_LIMIT;
        let needed = if self.source == Source::Quota { share.min(room) } else { share };
        self.limit.saturating_sub(self.used) <= needed
    }
}

/// How full a mailbox was when it was measured. At least one of the two is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fullness {
    pub measured: Time,
    /// In bytes.
    pub storage: Option<Usage>,
    pub messages: Option<Usage>,
}

impl Fullness {
    /// None when neither is known.
    pub fn new(measured: Time, storage: Option<Usage>, messages: Option<Usage>) -> Option<Self> {
        (storage.is_some() || messages.is_some()).then_some(Self { measured, storage, messages })
    }

    /// A mail that comes now is refused, as far as can be told.
    pub fn is_full(&self) -> bool {
        self.storage.is_some_and(|storage| storage.is_full(ROOM_BYTES))
            || self.messages.is_some_and(|messages| messages.is_full(ROOM_MESSAGES))
    }

    pub fn is_nearly_full(&self) -> bool {
        self.percent() >= NEARLY_FULL_PERCENT || self.is_full()
    }

    /// Of what is scarcer.
    pub fn percent(&self) -> u64 {
        [self.storage, self.messages].into_iter().flatten().map(Usage::percent).max().unwrap_or_default()
    }

    /// `97 % full (48.5 GB of 50 GB, 812000 of 1000000 mails)`.
    pub fn words(&self) -> String {
        let storage = self.storage.map(|of| format!("{} of {}", bytes(of.used), bytes(of.limit)));
        let messages = self.messages.map(|of| format!("{} of {} mails", of.used, of.limit));
        let parts: Vec<String> = storage.into_iter().chain(messages).collect();
        format!("{} % full ({})", self.percent(), parts.join(", "))
    }
}

/// The units in which sizes are written and shown, largest first. Microsoft's GB has 1024³ bytes, and so has this one.
pub(crate) const UNITS: [(&str, u64); 4] =
    [("TB", 1 << 40), ("GB", 1 << 30), ("MB", 1 << 20), ("KB", 1 << 10)];

/// For people: `48.5 GB`, `12 KB`, `100 bytes`.
pub(crate) fn bytes(count: u64) -> String {
    let Some((unit, length)) = UNITS.iter().find(|(_, length)| count >= *length) else {
        return format!("{count} bytes");
    };
    let tenths = u128::from(count) * 10 / u128::from(*length);
    match (tenths / 10, tenths % 10) {
        (whole, 0) => format!("{whole} {unit}"),
        (whole, tenth) => format!("{whole}.{tenth} {unit}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GB: u64 = 1 << 30;

    fn fullness(storage: Option<(u64, u64)>, messages: Option<(u64, u64)>, source: Source) -> Fullness {
        let usage = |(used, limit)| Usage::new(used, limit, source);
        Fullness::new(Time::default(), storage.and_then(usage), messages.and_then(usage)).unwrap()
    }

    #[test]
    fn full_is_when_the_next_mails_have_no_room() {
        use Source::{Configured, Quota};
        let cases = [
            // (storage, messages, source, percent, nearly full, full)
            (Some((0, 50 * GB)), None, Quota, 0, false, false),
            (Some((45 * GB, 50 * GB)), None, Quota, 90, true, false),
            (Some((50 * GB - (2 << 20), 50 * GB)), None, Quota, 99, true, false),
            (Some((50 * GB - (1 << 20), 50 * GB)), None, Quota, 99, true, true),
            // What is counted by oneself is not exact to the last mail.
            (Some((50 * GB - GB / 4, 50 * GB)), None, Configured, 99, true, true),
            (Some((60 * GB, 50 * GB)), None, Quota, 120, true, true),
            (Some((100_000, 102_400)), None, Quota, 97, true, false),
            (Some((102_000, 102_400)), None, Quota, 99, true, true),
            (None, Some((89, 100)), Quota, 89, false, false),
            (None, Some((99, 100)), Quota, 99, true, true),
            (None, Some((999_989, 1_000_000)), Quota, 99, true, false),
            (None, Some((999_990, 1_000_000)), Quota, 99, true, true),
            (Some((0, GB)), Some((3, 3)), Quota, 100, true, true),
            (Some((u64::MAX, u64::MAX)), None, Quota, 100, true, true),
            (Some((u64::MAX, 1)), None, Configured, u64::MAX, true, true),
        ];
        for (storage, messages, source, percent, nearly, full) in cases {
            let seen = fullness(storage, messages, source);
            let found = (seen.percent(), seen.is_nearly_full(), seen.is_full());
            assert_eq!(found, (percent, nearly, full), "{storage:?} {messages:?} {source:?}");
        }
    }

    #[test]
    fn a_limit_of_nothing_is_none() {
        assert_eq!(Usage::new(7, 0, Source::Quota), None);
        assert_eq!(Fullness::new(Time::default(), None, None), None);
    }

    #[test]
    fn people_read_how_full_it_is() {
        let seen = fullness(Some((48 * GB + GB / 2, 50 * GB)), Some((812_000, 1_000_000)), Source::Quota);
        assert_eq!(seen.words(), "97 % full (48.5 GB of 50 GB, 812000 of 1000000 mails)");
        assert_eq!(bytes(100), "100 bytes");
        assert_eq!(bytes(12 * 1024), "12 KB");
        assert_eq!(bytes(u64::MAX), "16777215.9 TB");
    }
}
