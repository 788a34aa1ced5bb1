//! Which UIDs to read next. Pure: the reader asks, fetches, and tells what it found.

use super::Cursor;
use super::session::Examined;

/// UIDs in the first window of a connection; also the newest mails read before anything is judged.
pub(super) const WIDTH_FIRST: u32 = 500;
/// What a window should bring: enough to make the round trip not matter, little enough to hold in memory.
const MAILS_WANTED: u64 = 1_000;
const BYTES_WANTED: u64 = 4 << 20;
/// A sparse region is crossed in growing steps; a dense one behind it must not come as too much of a surprise.
const GROWTH_MAX: u64 = 8;
const SHRINK_ON_OVERFLOW: u32 = 16;

/// The cursor to go on from: the known one where it still holds for this folder.
pub(super) fn reconcile(known: Option<Cursor>, folder: &Examined) -> Cursor {
    let last = folder.uidnext.map(|uidnext| uidnext.saturating_sub(1));
    let mut cursor = match known {
        Some(known) if known.uidvalidity == folder.uidvalidity => known,
        // Nothing read yet: all of the folder is history.
        _ => {
            let high = last.unwrap_or(0);
            Cursor { uidvalidity: folder.uidvalidity, high, low: high.saturating_add(1) }
        }
    };
    // Against RFC 3501 UIDNEXT can go back, after a restore for instance: the UIDs above it will be given out again.
    cursor.high = last.map_or(cursor.high, |last| cursor.high.min(last));
    cursor.low = cursor.low.clamp(1, cursor.high.saturating_add(1));
    if folder.exists == 0 {
        cursor.low = 1;
    }
    cursor
}

/// Nothing of the folder has been read yet, not even its newest mails.
pub(super) fn is_fresh(cursor: Cursor) -> bool {
    cursor.low > cursor.high && cursor.low > 1
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Direction {
    /// Above what has been read, up to the UID `last`.
    Newer { last: u32 },
    /// History: below what has been read.
    Older,
}

impl Direction {
    /// The first and the last UID of the next window.
    pub(super) fn next(self, cursor: Cursor, pace: &Pace) -> Option<(u32, u32)> {
        let (first, last) = match self {
            Self::Newer { last } => {
                (cursor.high.checked_add(1)?, cursor.high.saturating_add(pace.width).min(last))
            }
            Self::Older => (cursor.low.saturating_sub(pace.width).max(1), cursor.low.checked_sub(1)?),
        };
        (first <= last).then_some((first, last))
    }

    /// The cursor once the window is stored that [`Self::next`] told.
    pub(super) fn over(self, cursor: Cursor, (first, last): (u32, u32)) -> Cursor {
        match self {
            Self::Newer { .. } => self.advance(cursor, last),
            Self::Older => self.advance(cursor, first),
        }
    }

    /// The cursor once everything up to (or down to) `uid` is stored.
    pub(super) fn advance(self, cursor: Cursor, uid: u32) -> Cursor {
        match self {
            Self::Newer { .. } => Cursor { high: uid, ..cursor },
            Self::Older => Cursor { low: uid, ..cursor },
        }
    }
}

/// How many UIDs the next window spans, learnt from how densely they are taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Pace {
    width: u32,
}

impl Pace {
    pub(super) fn new() -> Self {
        Self { width: WIDTH_FIRST }
    }

    /// A window of `span` UIDs held so much.
    pub(super) fn learn(&mut self, span: u32, mails: usize, bytes: usize) {
        // A window that the folder's end cut short says little about how wide the next may be.
        let widest = u64::from(span.max(self.width)) * GROWTH_MAX;
        let span = u64::from(span.max(1));
        let scaled = |wanted: u64, found: usize| span.saturating_mul(wanted) / (found as u64).max(1);
        let next = scaled(MAILS_WANTED, mails).min(scaled(BYTES_WANTED, bytes)).clamp(1, widest);
        self.width = u32::try_from(next).unwrap_or(u32::MAX);
    }

    /// A window of `span` UIDs held more than a window may. None when it cannot be made smaller.
    pub(super) fn overflowed(&mut self, span: u32) -> Option<()> {
        self.width = (span / SHRINK_ON_OVERFLOW).max(1);
        (span > 1).then_some(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn folder(uidvalidity: u32, uidnext: u32, exists: u32) -> Examined {
        Examined { uidvalidity, uidnext: Some(uidnext), exists }
    }

    fn cursor(uidvalidity: u32, low: u32, high: u32) -> Cursor {
        Cursor { uidvalidity, high, low }
    }

    #[test]
    fn a_first_start_reads_the_newest_window_first() {
        let start = reconcile(None, &folder(7, 10_001, 10_000));
        assert_eq!(start, cursor(7, 10_001, 10_000));
        assert!(is_fresh(start));
        assert_eq!(Direction::Newer { last: 10_000 }.next(start, &Pace::new()), None);
        assert_eq!(Direction::Older.next(start, &Pace::new()), Some((9_501, 10_000)));
    }

    #[test]
    fn an_empty_folder_has_no_history_whatever_its_uidnext() {
        for uidnext in [Some(1), Some(4_000_000_000), None] {
            let start = reconcile(None, &Examined { uidvalidity: 7, uidnext, exists: 0 });
            assert_eq!((start.low, is_fresh(start)), (1, false));
            assert_eq!(Direction::Older.next(start, &Pace::new()), None);
        }
    }

    #[test]
    fn a_changed_uidvalidity_starts_over_and_the_same_one_does_not() {
        let known = cursor(7, 40, 90);
        assert_eq!(reconcile(Some(known), &folder(7, 95, 50)), known);
        assert_eq!(reconcile(Some(known), &folder(8, 95, 50)), cursor(8, 95, 94));
    }

    #[test]
    fn a_uidnext_that_went_back_takes_the_cursor_with_it() {
        assert_eq!(reconcile(Some(cursor(7, 40, 90)), &folder(7, 61, 20)), cursor(7, 40, 60));
        assert_eq!(reconcile(Some(cursor(7, 40, 90)), &folder(7, 11, 5)), cursor(7, 11, 10));
    }

    #[test]
    fn a_sparse_folder_is_crossed_in_a_few_windows() {
        let mut at = reconcile(None, &folder(1, 4_000_000_000, 3));
        let mut pace = Pace::new();
        let mut windows = 0;
        while let Some((first, last)) = Direction::Older.next(at, &pace) {
            pace.learn(last - first + 1, 0, 0);
            at = Direction::Older.over(at, (first, last));
            windows += 1;
        }
        assert!(windows <= 10, "{windows}");
    }

    #[test]
    fn a_dense_folder_is_read_in_windows_of_a_thousand() {
        let mut pace = Pace::new();
        for _ in 0..5 {
            let width = pace.width;
            pace.learn(width, width as usize, width as usize * 600);
        }
        assert_eq!(pace.width, 1_000);
        pace.learn(1_000, 1_000, 8 << 20);
        assert_eq!(pace.width, 500);
    }

    #[test]
    fn a_single_new_mail_does_not_make_the_windows_narrow() {
        let mut pace = Pace::new();
        pace.learn(1, 1, 600);
        assert_eq!(pace.width, 1_000);
    }

    #[test]
    fn a_window_of_one_uid_cannot_shrink() {
        let mut pace = Pace::new();
        assert_eq!(pace.overflowed(500), Some(()));
        assert_eq!(pace.width, 31);
        assert_eq!(pace.overflowed(1), None);
    }

    proptest! {
        #[test]
        fn windows_tile_the_folder_without_gap_or_overlap(
            uidnext in 1..=u32::MAX,
            later in 0..5_000_u32,
            findings in proptest::collection::vec((0..9_000_usize, 0..9_000_000_usize), 1..20),
        ) {
            let start = reconcile(None, &folder(1, uidnext, 1));
            let mut findings = findings.iter().cycle();
            let mut pace = Pace::new();
            let mut at = start;
            for _ in 0..200 {
                let Some((first, last)) = Direction::Older.next(at, &pace) else { break };
                prop_assert!(1 <= first && first <= last && last == at.low - 1);
                at = Direction::Older.over(at, (first, last));
                let (mails, bytes) = *findings.next().unwrap();
                pace.learn(last - first + 1, mails, bytes);
                prop_assert!(pace.width >= 1);
            }
            let end = uidnext.saturating_add(later);
            let newer = Direction::Newer { last: end - 1 };
            while let Some((first, last)) = newer.next(at, &pace) {
                prop_assert!(first == at.high + 1 && last < end);
                at = newer.over(at, (first, last));
                pace.learn(last - first + 1, 1, 600);
            }
            prop_assert_eq!(at.high, end - 1);
        }

        #[test]
        fn a_cursor_is_sane_after_any_folder_and_any_stored_value(
            known in (any::<u32>(), any::<u32>(), any::<u32>()),
            uidvalidity in any::<u32>(),
            uidnext in proptest::option::of(1..=u32::MAX),
            exists in 0..3_u32,
        ) {
            let known = cursor(known.0, known.1, known.2);
            let at = reconcile(Some(known), &Examined { uidvalidity, uidnext, exists });
            prop_assert_eq!(at.uidvalidity, uidvalidity);
            prop_assert!(at.low >= 1 && at.low <= at.high.saturating_add(1));
            prop_assert!(uidnext.is_none_or(|uidnext| at.high < uidnext));
        }
    }
}
