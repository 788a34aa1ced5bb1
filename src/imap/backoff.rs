//! How long to wait before the next connection.

use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until};

const FIRST: Duration = Duration::from_secs(1);
const LONGEST: Duration = Duration::from_secs(60);
/// Looks that are asked for shorten a back-off no more often than this.
const WAKE_EVERY: Duration = Duration::from_secs(5);

/// Counts failures and rests after each.
#[derive(Debug, Default)]
pub(super) struct Backoff {
    /// In a row.
    failures: u32,
    woken: Option<Instant>,
}

impl Backoff {
    /// A connection that has done its work for a while ends the row of failures. One look alone does not: a mail in
    /// the history that breaks every connection must not make us sign in every second.
    pub(super) fn worked(&mut self, looked: bool, lived: Duration) {
        if looked && lived >= LONGEST {
            self.failures = 0;
        }
    }

    /// Rests for as long as the server suggested; otherwise ever longer, or until a look is requested.
    pub(super) async fn rest(&mut self, suggested: Option<Duration>, requests: &Notify) {
        if let Some(suggested) = suggested {
            tokio::time::sleep(suggested).await;
            return;
        }
        let ordinary = FIRST.saturating_mul(1 << self.failures.min(10)).min(LONGEST);
        self.failures = self.failures.saturating_add(1);
        let now = Instant::now();
        let until = now + ordinary.mul_f64(0.8 + 0.4 * fastrand::f64());
        let wakeable = self.woken.map_or(now, |woken| woken + WAKE_EVERY);
        let request = async {
            sleep_until(wakeable).await;
            requests.notified().await;
        };
        tokio::select! {
            () = sleep_until(until) => {}
            () = request => self.woken = Some(Instant::now()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn back_off_doubles_to_a_minute_and_is_woken_by_a_request_once_per_five_seconds() {
        let requests = Notify::new();
        let mut backoff = Backoff::default();
        let mut rested = Vec::new();
        for _ in 0..8 {
            let from = Instant::now();
            backoff.rest(None, &requests).await;
            rested.push(from.elapsed().as_secs_f64());
        }
        for (rested, expected) in rested.iter().zip([1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 60.0, 60.0]) {
            assert!((expected * 0.79..=expected * 1.21).contains(rested), "{rested} for {expected}");
        }
        for expected in [0.0, 5.0] {
            requests.notify_one();
            let from = Instant::now();
            backoff.rest(None, &requests).await;
            assert!((from.elapsed().as_secs_f64() - expected).abs() < 0.1, "{:?}", from.elapsed());
        }
    }

    #[test]
    fn only_a_connection_that_looked_and_lasted_ends_a_row_of_failures() {
        for (looked, lived, failures) in [(true, 59, 3), (false, 600, 3), (true, 60, 0)] {
            let mut backoff = Backoff { failures: 3, woken: None };
            backoff.worked(looked, Duration::from_secs(lived));
            assert_eq!(backoff.failures, failures, "{looked} {lived}");
        }
    }
}
