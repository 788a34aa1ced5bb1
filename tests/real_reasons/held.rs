//! Mails that were held on the way, and clocks that are wrong.

use std::sync::Arc;
use std::thread::sleep;
use std::time::{Duration, Instant};

use chrono::{TimeDelta, Utc};

use crate::rig::{
    Dovecot, Feeder, Inbox, Postfix, Report, SHORT, SHORT_DEADLINE, SHORT_PERIOD, Sink, Watchdog, channel,
    config, mailbox, wait_for,
};

/// What must happen at once may take this long on a busy machine.
const SOON: Duration = Duration::from_secs(20);
/// Ten minutes of a site whose checkers run every five minutes; these run every two seconds.
const HELD: Duration = Duration::from_secs(4);

/// A mailbox behind a mail server, a watchdog, and where its alarms go.
struct Site {
    _dovecot: Dovecot,
    postfix: Arc<Postfix>,
    sink: Sink,
    watchdog: Watchdog,
}

impl Site {
    fn new() -> Self {
        let (dovecot, sink) = (Dovecot::start(), Sink::start());
        let postfix = Arc::new(Postfix::relaying_to(&dovecot));
        let mailbox = mailbox(&dovecot) + "poll = \"1s\"\n";
        let watchdog = Watchdog::new(&config(&mailbox, SHORT, &["bresse1"], &channel(&sink)));
        Self { _dovecot: dovecot, postfix, sink, watchdog }
    }

    fn submit(&self, report: &Report) {
        self.postfix.submit(&report.from(), &report.to(), &report.mail()).unwrap();
    }

    /// Reports of a clock that is so much ahead.
    fn feed(&self, runs: u32, ahead: TimeDelta) {
        for _ in 0..runs {
            self.submit(&Report::new("bresse1", Utc::now() + ahead));
            sleep(SHORT_PERIOD);
        }
    }

    /// Waits until `explain` says this of the checker; the whole line.
    fn wait_for_line(&self, beginning: &str) -> String {
        let mut told = String::new();
        let found = wait_for(SOON, || {
            let explained = self.watchdog.run(&["explain", "bresse1"]);
            told = explained.stdout + &explained.stderr;
            sleep(Duration::from_millis(200));
            told.lines().find(|line| line.starts_with(beginning)).map(str::to_owned)
        });
        found.unwrap_or_else(|| panic!("explain never said {beginning:?}:\n{told}"))
    }

    fn wait_for_reason(&self, state: &str, reason: &str) {
        let mut entry = serde_json::Value::Null;
        let reached = wait_for(SOON, || {
            entry = self.watchdog.checker("bresse1");
            sleep(Duration::from_millis(100));
            (entry["state"] == state && entry["reason"] == reason).then_some(())
        });
        reached.unwrap_or_else(|| panic!("never {state} for {reason}: {entry:#}"));
    }
}

#[test]
fn a_released_queue_tells_that_the_mail_was_delayed_and_on_which_hop() {
    let site = Site::new();
    let postfix = Arc::clone(&site.postfix);
    let feeder = Feeder::start(&["bresse1"], SHORT_PERIOD, move |report| {
        postfix.submit(&report.from(), &report.to(), &report.mail())
    });
    let _daemon = site.watchdog.spawn_run();
    let end = Instant::now() + SHORT_DEADLINE + SHORT_PERIOD;
    site.wait_for_line("bresse1 (provider-of-bresse1) is ok.");
    sleep(end.saturating_duration_since(Instant::now()));

    site.postfix.hold();
    site.sink.wait_for_token("bresse1_Checker.NOK", SOON);
    feeder.silence("bresse1");
    sleep(HELD);
    site.postfix.release();

    let held = site.wait_for_line("Held ");
    assert!(held.contains(" on its way from relay.example to "), "{held}");
    site.wait_for_reason("silent", "mail_delayed");
    let explained = site.watchdog.run(&["explain", "bresse1"]).stdout;
    assert!(explained.contains("relay.example → "), "the table of the hops:\n{explained}");

    feeder.revive("bresse1");
    site.sink.wait_for_token("bresse1_Checker.OK", SOON);
}

#[test]
fn a_mail_that_waited_in_its_checkers_own_queue_was_held_before_the_first_relay() {
    let site = Site::new();
    let _daemon = site.watchdog.spawn_run();
    site.feed(4, TimeDelta::zero());
    site.wait_for_line("bresse1 (provider-of-bresse1) is ok.");
    site.submit(&Report::new("bresse1", Utc::now() - TimeDelta::seconds(30)));
    let held = site.wait_for_line("Held ");
    assert!(held.contains(" on its way from the checker to relay.example"), "{held}");
}

#[test]
fn a_clock_three_hours_off_is_told_to_within_seconds_and_its_checker_is_well() {
    let site = Site::new();
    let _daemon = site.watchdog.spawn_run();
    site.feed(5, TimeDelta::hours(3));
    let clock = site.wait_for_line("Its clock ");
    assert!(
        clock.contains("is 2h59m5") || clock.contains("is 3h ahead") || clock.contains("is 3h1s"),
        "{clock}"
    );
    assert!(["(± 1s)", "(± 2s)", "(± 3s)", "(± 4s)"].iter().any(|give| clock.ends_with(give)), "{clock}");
    site.feed(1, TimeDelta::hours(3));
    site.wait_for_reason("ok", "clock_skew");
    assert!(site.sink.tokens().is_empty(), "{:?}", site.sink.tokens());
}
