//! The watchdog's clock and the mail server's do not agree.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use chrono::{TimeDelta, Utc};

use crate::rig::{Feeder, Watchdog, wait_for};
use crate::world::{SOON, Servers, checkers, config};

/// Looks that agree must lie ten seconds apart, four of them before anything is known, and more to prove that a clock was
/// set.
const ESTIMATED: Duration = Duration::from_secs(100);

/// They report much more often than their cycle, so that there are enough arrivals to learn from.
const OFTEN: &str = "cycle = \"5m\"\nfindings = { DUPLICATE = \"ignore\" }\n";

pub(crate) fn a_server_whose_clock_is_an_hour_ahead_is_alarmed_until_it_agrees() {
    let servers = Servers::start();
    let watchdog = Watchdog::new(&config(&[
        &servers.mailbox(),
        &checkers(&["bresse1", "bresse2"], OFTEN),
        &servers.channel(),
    ]));
    let ahead = Arc::new(AtomicI64::new(3_600));
    let (mails, shift) = (servers.mails.clone(), Arc::clone(&ahead));
    let feeder = Feeder::start(&["bresse1", "bresse2"], Duration::from_secs(1), move |report| {
        let stamped = Utc::now() + TimeDelta::seconds(shift.load(Ordering::SeqCst));
        mails.append("INBOX", report.mail(), stamped);
        Ok(())
    });
    let mut daemon = watchdog.spawn_run();
    let subject = servers.expect("MONITOR_Clock.NOK", ESTIMATED).subject();
    assert!(subject.contains("the clock of bresse8 is") && subject.contains("behind that of"), "{subject}");
    let known = || {
        let bounds = watchdog.last_seen()["mailboxes"][0]["clock_offset_s"].clone();
        Some((bounds["least"].as_f64()?, bounds["most"].as_f64()?))
    };
    let (least, most) = wait_for(SOON, known).expect("the bounds");
    assert!(least <= -3_600.0 && -3_600.0 <= most && most - least < 10.0, "{least} to {most}");
    let explained = watchdog.run(&["explain", "bresse1"]).stdout;
    assert!(
        explained.contains("Own clock      ") && explained.contains(" behind, beside MONITOR's"),
        "{explained}"
    );

    ahead.store(0, Ordering::SeqCst);
    servers.expect("MONITOR_Clock.OK", ESTIMATED);
    daemon.assert_running();
    drop(feeder);
    assert_eq!(servers.tokens(), ["MONITOR_Clock.NOK", "MONITOR_Clock.OK"]);
    servers.assert_all_kept(&watchdog);
}
