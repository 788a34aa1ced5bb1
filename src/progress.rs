//! How far long work has come: a bar on standard error where that is a terminal, and nothing elsewhere.

use std::collections::BTreeMap;
use std::io::{IsTerminal, Write};

use chrono::TimeDelta;

use crate::clock;
use crate::imap::Cursor;
use crate::time::Time;

/// What is done sooner shows no bar.
const PATIENCE: TimeDelta = TimeDelta::milliseconds(500);
/// Between two drawings.
const REDRAWN: TimeDelta = TimeDelta::milliseconds(100);
const WIDTH: u64 = 30;

/// Cleared from the terminal when it is dropped.
pub(crate) struct Progress {
    /// None where nobody would see it.
    next: Option<Time>,
    shown: bool,
}

impl Progress {
    pub(crate) fn start() -> Self {
        let next = std::io::stderr().is_terminal().then(|| clock::now() + PATIENCE);
        Self { next, shown: false }
    }

    /// So many of all are done.
    pub(crate) fn reached(&mut self, done: u64, total: u64) {
        let Some(next) = self.next else { return };
        let now = clock::now();
        if now < next {
            return;
        }
        self.next = Some(now + REDRAWN);
        self.shown = true;
        // The cursor goes back, so that a line of the log is written over the bar and not behind it.
        let _ = write!(std::io::stderr(), "{}\r", bar(done, total));
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if self.shown {
            let _ = write!(std::io::stderr(), "\r\x1b[K");
        }
    }
}

/// The first reading of mailboxes, of all their folders together. It is counted by UIDs: how many mails there are nobody
/// knows before.
#[derive(Default)]
pub(crate) struct Reading {
    folders: BTreeMap<(String, String), Cursor>,
    progress: Option<Progress>,
}

impl Reading {
    /// A folder has been read so far.
    pub(crate) fn reached(&mut self, mailbox: &str, folder: &str, cursor: Cursor) {
        let place = (mailbox.to_owned(), folder.to_owned());
        if cursor.low <= 1 && !self.folders.contains_key(&place) {
            return;
        }
        self.folders.insert(place, cursor);
        if self.folders.values().all(|cursor| cursor.low <= 1) {
            *self = Self::default();
            return;
        }
        let (done, total) = self.extent();
        self.progress.get_or_insert_with(Progress::start).reached(done, total);
    }

    fn extent(&self) -> (u64, u64) {
        let total = self.folders.values().map(|cursor| u64::from(cursor.high)).sum();
        let left: u64 = self.folders.values().map(|cursor| u64::from(cursor.low.saturating_sub(1))).sum();
        (u64::saturating_sub(total, left), total)
    }
}

/// `[=====     ] 50 %  1000 of 2000`
fn bar(done: u64, total: u64) -> String {
    let total = total.max(done).max(1);
    let filled = done.saturating_mul(WIDTH) / total;
    let fill = |sign: &str, count: u64| sign.repeat(usize::try_from(count).unwrap_or_default());
    let percent = done.saturating_mul(100) / total;
    format!("[{}{}] {percent:>3} %  {done} of {total}", fill("=", filled), fill(" ", WIDTH - filled))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bar_grows_from_nothing_to_all_and_never_beyond() {
        assert!(bar(0, 200).starts_with("[                              ]   0 %"));
        assert!(bar(100, 200).starts_with("[===============               ]  50 %"));
        for (done, total) in [(200, 200), (300, 200), (0, 0)] {
            assert!(bar(done, total).len() >= 40, "{done} of {total}");
        }
        assert!(bar(300, 200).starts_with("[==============================] 100 %"));
    }

    #[test]
    fn only_folders_whose_history_is_being_read_count_until_all_of_them_are_read() {
        let cursor = |low, high| Cursor { uidvalidity: 1, low, high };
        let mut reading = Reading::default();
        reading.reached("A", "INBOX", cursor(1, 500));
        assert!(reading.folders.is_empty(), "there is no history to read");
        reading.reached("A", "INBOX", cursor(801, 1_000));
        assert_eq!(reading.extent(), (200, 1_000));
        reading.reached("B", "INBOX", cursor(101, 200));
        assert_eq!(reading.extent(), (300, 1_200));
        reading.reached("A", "INBOX", cursor(1, 1_000));
        assert_eq!(reading.extent(), (1_100, 1_200), "one folder is read to its beginning");
        reading.reached("B", "INBOX", cursor(1, 200));
        assert!(reading.folders.is_empty() && reading.progress.is_none(), "the bar goes");
    }
}
