//! The Junk folder: its newest mails, a few with each look, and nothing that goes wrong there hides the other folders.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::{Instant, timeout};

use super::Cursor;
use super::error::Error;
use super::fetch::Digest;
use super::plan;
use super::session::{Examined, Session};

/// Nothing older than so many mails is read: what became of a mail matters until the next deadline, and spam may be
/// there by the hundred thousand.
const NEWEST_MAX: u32 = 1_000;
/// So many are read with one look, because the other folders wait.
const STEP_MAX: usize = 50;
/// One look spends no longer here; `once` gives up a mailbox that says nothing for 12 s.
const LIMIT: Duration = Duration::from_secs(5);
/// After a failure the folder is left alone for so long.
const REST: Duration = Duration::from_secs(600);

/// What outlives a connection.
#[derive(Debug, Default)]
pub(super) struct JunkWatch(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    /// A connection is reading there. Where it ends then, that was the reason: imap-proto panics on some mails.
    busy: bool,
    rests_until: Option<Instant>,
    /// What was told last: whether the folder could be read.
    told: Option<Option<String>>,
}

impl JunkWatch {
    fn with<R>(&self, change: impl FnOnce(&mut State) -> R) -> R {
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// False when the folder is left alone for now.
    pub(super) fn begin(&self) -> bool {
        self.with(|state| {
            state.busy = state.rests_until.is_none_or(|until| until <= Instant::now());
            state.busy
        })
    }

    /// The connection has come back from there, with or without an error. Returns whether that is news.
    pub(super) fn end(&self, error: Option<&str>) -> bool {
        self.with(|state| {
            state.busy = false;
            state.rests_until = error.map(|_| Instant::now() + REST);
            let outcome = Some(error.map(str::to_owned));
            std::mem::replace(&mut state.told, outcome.clone()) != outcome
        })
    }

    /// Whether a connection that has ended did so while it was reading there.
    pub(super) fn was_busy(&self) -> bool {
        self.with(|state| state.busy)
    }
}

/// What one look reads of the folder.
#[derive(Debug, PartialEq, Eq)]
struct Step {
    /// The first and the last UID.
    window: Option<(u32, u32)>,
    /// True once the window is stored.
    cursor: Cursor,
}

/// `newest` are the UIDs of the folder's newest mails, ascending; all that is to be read is among them.
fn step(cursor: Cursor, end: u32, newest: &[u32]) -> Step {
    let unread_from = newest.partition_point(|uid| *uid <= cursor.high);
    let (old, new) = newest.split_at(unread_from);
    let old = old.get(..old.partition_point(|uid| *uid < cursor.low)).unwrap_or_default();
    let of_new = !new.is_empty();
    let wanted = if of_new { new } else { old };
    let (left, taken) = wanted.split_at(wanted.len().saturating_sub(STEP_MAX));
    let window = taken.first().copied().zip(taken.last().copied());
    let low = match (window, left.is_empty()) {
        // More came at once than one look takes: the rest is history, and what is read twice is known by its key.
        (Some((first, _)), false) => first,
        _ if of_new => cursor.low,
        _ => 1,
    };
    Step { window, cursor: Cursor { high: cursor.high.max(end), low, ..cursor } }
}

impl Session {
    /// Reads on in the Junk folder, where it stopped the last time.
    ///
    /// # Errors
    /// [`Error::Setup`] and [`Error::Refused`] leave the connection as it was; after all others it is of no use.
    pub(super) async fn read_junk<M>(
        &mut self,
        folder: &str,
        known: Option<Cursor>,
        digest: Digest<'_, M>,
    ) -> Result<(Vec<M>, Cursor), Error> {
        let read = async {
            let examined = self.examine(folder).await?;
            self.read_step(plan::reconcile(known, &examined), examined, digest).await
        };
        let slow = Error::Silent { command: "the reading of the Junk folder", limit: LIMIT };
        timeout(LIMIT, read).await.unwrap_or(Err(slow))
    }

    async fn read_step<M>(
        &mut self,
        cursor: Cursor,
        folder: Examined,
        digest: Digest<'_, M>,
    ) -> Result<(Vec<M>, Cursor), Error> {
        let end = folder.uidnext.map_or(cursor.high, |uidnext| uidnext.saturating_sub(1));
        if end <= cursor.high && cursor.low <= 1 {
            return Ok((Vec::new(), cursor));
        }
        let newest = self.newest_uids(folder.exists, NEWEST_MAX).await?;
        let step = step(cursor, end, &newest);
        let Some((first, last)) = step.window else { return Ok((Vec::new(), step.cursor)) };
        let window = self.fetch(first, Some(last), digest).await?;
        if window.overflow {
            return Err(Error::Protocol("more of each mail than was asked for".to_owned()));
        }
        Ok((window.cut_off(digest).collect(), step.cursor))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cursor(low: u32, high: u32) -> Cursor {
        Cursor { uidvalidity: 7, high, low }
    }

    /// All windows of a folder that holds `mails` from `cursor` on, and where it ends.
    fn windows(mut cursor: Cursor, mails: &[u32]) -> (Vec<(u32, u32)>, Cursor) {
        let end = mails.last().copied().unwrap_or(0);
        let newest = &mails[mails.len().saturating_sub(NEWEST_MAX as usize)..];
        let mut windows = Vec::new();
        while end > cursor.high || cursor.low > 1 {
            let step = step(cursor, end, newest);
            assert_ne!(step.cursor, cursor, "it never ends");
            windows.extend(step.window);
            cursor = step.cursor;
        }
        (windows, cursor)
    }

    #[test]
    fn a_first_start_reads_the_newest_mails_only_a_step_at_a_time() {
        let mails: Vec<u32> = (1..=100_000).collect();
        let (windows, end) = windows(cursor(100_001, 100_000), &mails);
        assert_eq!((windows.len(), windows[0], windows[19]), (20, (99_951, 100_000), (99_001, 99_050)));
        assert_eq!(end, cursor(1, 100_000));
    }

    #[test]
    fn what_is_new_is_read_before_history_and_history_goes_on_afterwards() {
        let mails: Vec<u32> = (1..=120).collect();
        let begun = step(cursor(101, 100), 100, &mails[..100]).cursor;
        assert_eq!(begun, cursor(51, 100));
        let (found, end) = windows(begun, &mails);
        assert_eq!((found, end), (vec![(101, 120), (1, 50)], cursor(1, 120)));
    }

    #[test]
    fn a_flood_is_read_from_its_newest_mail_down() {
        let mails: Vec<u32> = (1..=180).collect();
        let (found, end) = windows(cursor(1, 60), &mails);
        assert_eq!((found, end), (vec![(131, 180), (81, 130), (31, 80), (1, 30)], cursor(1, 180)));
    }

    #[tokio::test(start_paused = true)]
    async fn after_a_failure_the_folder_rests_and_only_news_are_told() {
        let watch = JunkWatch::default();
        assert!(watch.begin() && watch.was_busy() && watch.end(Some("gone")) && !watch.was_busy());
        assert!(!watch.begin() && !watch.was_busy());
        tokio::time::advance(REST).await;
        assert!(watch.begin() && !watch.end(Some("gone")));
        tokio::time::advance(REST).await;
        assert!(watch.begin() && watch.end(None));
        assert!(watch.begin() && !watch.end(None));
    }

    #[test]
    fn uids_without_mails_are_passed_over() {
        assert_eq!(step(cursor(1, 60), 70, &[60]), Step { window: None, cursor: cursor(1, 70) });
        assert_eq!(step(cursor(61, 60), 60, &[]), Step { window: None, cursor: cursor(1, 60) });
        let sparse = [3, 70_000, 3_999_999_999];
        assert_eq!(
            step(cursor(4_000_000_000, 3_999_999_999), 3_999_999_999, &sparse),
            Step { window: Some((3, 3_999_999_999)), cursor: cursor(1, 3_999_999_999) }
        );
    }
}
