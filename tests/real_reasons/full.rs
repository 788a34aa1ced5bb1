//! A mailbox that takes no more mail, and one whose server's certificate nobody renews.

use std::sync::Arc;
use std::thread::sleep;
use std::time::Duration;

use chrono::{TimeDelta, Utc};
use serde_json::Value;

use crate::rig::{
    Daemon, Dovecot, Feeder, Inbox, Postfix, Report, SHORT, SHORT_PERIOD, Sink, USUAL, Watchdog,
    assert_recovery_of, channel, config, mailbox, wait_for,
};

/// How full a mailbox is is measured every 30 s.
const MEASURED: Duration = Duration::from_secs(60);
const SOON: Duration = Duration::from_secs(30);

fn wait_for_mailbox(watchdog: &Watchdog, what: &str, reached: impl Fn(&Value) -> bool) -> Value {
    let seen = || {
        sleep(Duration::from_millis(500));
        Some(watchdog.last_seen()["mailboxes"][0].clone()).filter(|mailbox| reached(mailbox))
    };
    wait_for(MEASURED, seen).unwrap_or_else(|| panic!("{what}: {:#}", watchdog.last_seen()))
}

fn full(mailbox: &Value) -> bool {
    mailbox["fullness"]["full"] == true
}

/// A person's mail with an attachment.
pub(crate) fn big_mail(kib: usize) -> Vec<u8> {
    let line = "x".repeat(62) + "\r\n";
    let head = format!(
        "From: boss@domain.com\r\nTo: monitor@domain.com\r\nDate: {}\r\nSubject: photos\r\n\r\n",
        Utc::now().to_rfc2822()
    );
    (head + &line.repeat(kib * 16)).into_bytes()
}

#[test]
fn a_full_mailbox_is_told_from_dead_checkers() {
    let (dovecot, sink) = (Dovecot::start_with_quota(200), Sink::start());
    let postfix = Arc::new(Postfix::relaying_to(&dovecot));
    let mailbox = mailbox(&dovecot) + "poll = \"1s\"\n";
    let watchdog = Watchdog::new(&config(&mailbox, SHORT, &["bresse1"], &channel(&sink)));
    let relay = Arc::clone(&postfix);
    let _alive = Feeder::start(&["bresse1"], SHORT_PERIOD, move |report| {
        relay.submit(&report.from(), &report.to(), &report.mail())
    });
    let mut daemon: Daemon = watchdog.spawn_run();
    let seen = wait_for_mailbox(&watchdog, "not measured", |mailbox| !mailbox["fullness"].is_null());
    assert_eq!(seen["fullness"]["storage"]["limit"], 200 * 1024, "{seen:#}");
    assert_eq!(seen["fullness"]["storage"]["source"], "quota", "{seen:#}");
    assert_eq!(seen["fullness"]["nearly_full"], false, "{seen:#}");

    dovecot.deliver("monitor@domain.com", &big_mail(180));
    let alarm = sink.wait_for_token("bresse1_Checker.NOK", SOON + MEASURED);
    let seen = wait_for_mailbox(&watchdog, "not full", full);
    assert!(seen["fullness"]["percent"].as_u64().unwrap() >= 99, "{seen:#}");
    let reason = || {
        let checker = watchdog.checker("bresse1");
        (checker["state"] == "silent" && checker["reason"] == "mailbox_full").then_some(())
    };
    wait_for(SOON, reason).unwrap_or_else(|| panic!("{:#}", watchdog.last_seen()));
    let check = watchdog.run(&["check"]);
    assert!(check.stdout.contains("a full one takes no reports"), "{}", check.stdout);
    let table = watchdog.run(&["last-seen"]);
    assert!(table.stdout.contains("The mailbox MONITOR is "), "{}", table.stdout);

    dovecot.empty();
    // What waited in the queue comes first, then what is sent now.
    assert_recovery_of(&alarm, &sink.wait_for_token("bresse1_Checker.OK", SOON));
    wait_for_mailbox(&watchdog, "still full", |mailbox| mailbox["fullness"]["nearly_full"] == false);
    daemon.assert_running();
}

#[test]
fn a_certificate_near_its_end_is_alarmed_until_it_is_renewed() {
    let (mut dovecot, sink) = (Dovecot::start_with_certificate_for(3), Sink::start());
    let watchdog = Watchdog::new(&config(&mailbox(&dovecot), USUAL, &["bresse1"], &channel(&sink)));
    let report = Report::new("bresse1", Utc::now());
    dovecot.deliver(&report.to(), &report.mail());
    assert_eq!(watchdog.run(&["once"]).status, 1, "degraded");
    assert_eq!(watchdog.run(&["once"]).status, 1);
    let alarm = sink.wait_for_token("MONITOR_Expiry.NOK", Duration::ZERO);
    assert!(alarm.body().contains("TLS certificate of localhost"), "{}", alarm.body());
    assert_eq!(sink.tokens().len(), 1, "once");
    let ending = watchdog.last_seen()["mailboxes"][0]["endings"][0].clone();
    let day = (Utc::now() + TimeDelta::days(3)).format("%Y-%m-%dT00:00:00Z").to_string();
    assert_eq!(
        (&ending["what"], &ending["at"], &ending["soon"]),
        (&"certificate".into(), &day.into(), &true.into())
    );
    assert!(watchdog.run(&["check"]).stdout.contains("was not renewed"));

    dovecot.stop();
    dovecot.renew_certificate(60);
    dovecot.start_again();
    assert_eq!(watchdog.run(&["once"]).status, 0);
    assert_recovery_of(&alarm, &sink.wait_for_token("MONITOR_Expiry.OK", Duration::ZERO));
    assert!(!watchdog.run(&["check"]).stdout.contains("was not renewed"));
}
