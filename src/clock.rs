//! The one place where time enters.

use std::io;

use chrono::{DateTime, Utc};
use rustix::fd::OwnedFd;
use rustix::io::Errno;
use rustix::time::{Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// Now, by the system's wall clock.
#[allow(clippy::disallowed_methods)]
pub fn now() -> DateTime<Utc> {
    Utc::now()
}

/// Sleeps until the wall clock shows `time`. A suspend of the machine counts, which tokio's own timers do not see; and
/// it ends early when the clock is set, so that the caller looks at the new time.
pub async fn sleep_until(time: DateTime<Utc>) {
    if let Err(error) = wall_clock_timer(time).await {
        tracing::warn!(%error, "no wall-clock timer; a suspend of this machine will not be noticed");
        let wait = (time - now()).to_std().unwrap_or_default();
        tokio::time::sleep(wait).await;
    }
}

// tokio replaced this constructor by an unsafe one because not every type keeps its descriptor open; OwnedFd does.
#[allow(deprecated)]
fn watched(timer: OwnedFd) -> io::Result<AsyncFd<OwnedFd>> {
    AsyncFd::with_interest(timer, Interest::READABLE)
}

async fn wall_clock_timer(time: DateTime<Utc>) -> io::Result<()> {
    let timer = rustix::time::timerfd_create(
        TimerfdClockId::Realtime,
        TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC,
    )?;
    // Zero would disarm it; every moment before 1970 is over anyway.
    let nanoseconds = i64::from(time.timestamp_subsec_nanos()).clamp(1, 999_999_999);
    let at = Timespec { tv_sec: time.timestamp().max(0), tv_nsec: nanoseconds };
    let once = Itimerspec { it_interval: Timespec { tv_sec: 0, tv_nsec: 0 }, it_value: at };
    rustix::time::timerfd_settime(
        &timer,
        TimerfdTimerFlags::ABSTIME | TimerfdTimerFlags::CANCEL_ON_SET,
        &once,
    )?;
    let timer = watched(timer)?;
    loop {
        let mut ready = timer.readable().await?;
        let mut expirations = [0; 8];
        match rustix::io::read(timer.get_ref(), &mut expirations) {
            // CANCELED: the clock was set, or the machine woke up (timerfd_create(2)).
            Ok(_) | Err(Errno::CANCELED) => return Ok(()),
            Err(Errno::AGAIN) => ready.clear_ready(),
            Err(error) => return Err(error.into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use chrono::TimeDelta;

    #[tokio::test]
    async fn it_wakes_at_the_moment_and_at_once_when_that_is_over() {
        let start = now();
        let later = start + TimeDelta::milliseconds(30);
        sleep_until(later).await;
        assert!(now() >= later);
        sleep_until(start).await;
        sleep_until(DateTime::from_timestamp(-5, 0).unwrap()).await;
        assert!(now() - later < TimeDelta::seconds(5));
    }
}
