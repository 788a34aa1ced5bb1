//! A line now and then, so that nobody takes a long run for one that hangs.

use std::time::{Duration, Instant};

const EVERY: Duration = Duration::from_secs(10);

/// How far a run has come.
pub(crate) struct Progress {
    what: &'static str,
    of: u64,
    began: Instant,
    told: Instant,
}

impl Progress {
    /// `what`, in the plural: `of` of them are to come.
    pub(crate) fn new(what: &'static str, of: u64) -> Self {
        let now = Instant::now();
        Self { what, of, began: now, told: now }
    }

    /// Prints how many are done, with some words, unless it did so a moment ago.
    pub(crate) fn reached(&mut self, done: u64, words: impl FnOnce() -> String) {
        if self.told.elapsed() < EVERY {
            return;
        }
        self.told = Instant::now();
        println!(
            "… {done} of {} {} after {} s{}",
            self.of,
            self.what,
            self.began.elapsed().as_secs(),
            words()
        );
    }
}
