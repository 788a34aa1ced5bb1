//! How far a long command has come: a bar on standard error where that is a terminal, and nothing elsewhere.

use std::io::{IsTerminal, Write};

use chrono::TimeDelta;

use crate::clock;
use crate::time::Time;

/// What is done sooner shows no bar.
const PATIENCE: TimeDelta = TimeDelta::milliseconds(500);
/// Between two drawings.
const REDRAWN: TimeDelta = TimeDelta::milliseconds(100);
/// Between two looks at the clock.
const STEPS_PER_LOOK: u64 = 256;
const WIDTH: u64 = 30;

/// Cleared from the terminal when it is dropped.
pub(super) struct Progress {
    total: u64,
    next: Option<Time>,
    shown: bool,
}

impl Progress {
    pub(super) fn of(total: u64) -> Self {
        let next = std::io::stderr().is_terminal().then(|| clock::now() + PATIENCE);
        Self { total, next, shown: false }
    }

    /// So many of all are done.
    pub(super) fn reached(&mut self, done: u64) {
        let Some(next) = self.next.filter(|_| done.is_multiple_of(STEPS_PER_LOOK)) else { return };
        let now = clock::now();
        if now < next {
            return;
        }
        self.next = Some(now + REDRAWN);
        self.shown = true;
        let _ = write!(std::io::stderr(), "\r{}", bar(done, self.total));
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if self.shown {
            let _ = write!(std::io::stderr(), "\r\x1b[K");
        }
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
}
