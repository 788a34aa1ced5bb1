//! The canary, out through a real Postfix and back by a real Dovecot.

use std::thread::sleep;
use std::time::Duration;

use serde_json::Value;

use super::full::big_mail;
use crate::rig::{
    Dovecot, Inbox, Postfix, Protocol, SHORT, Sink, Watchdog, channel, config, mailbox, submit, wait_for,
};

const SOON: Duration = Duration::from_secs(30);

fn canary(postfix: &Postfix) -> String {
    format!(
        "[[channel]]\nname = \"relay\"\ntype = \"smtp\"\nhost = \"localhost\"\nport = {}\ntls = \"implicit\"\n\
         ca_file = \"{}\"\nfrom = \"bresse8@watchdog.example\"\nto = [\"oncall@domain.com\"]\nevents = [\"service\"]\n\
         [canary]\nchannel = \"relay\"\nto = \"canary+monitor@domain.com\"\nevery = \"1m\"\n",
        postfix.tls_port,
        postfix.ca_file.display()
    )
}

fn wait_for_canary(watchdog: &Watchdog, what: &str, reached: impl Fn(&Value) -> bool) -> Value {
    let seen = || {
        sleep(Duration::from_millis(300));
        Some(watchdog.last_seen()["canary"].clone()).filter(|canary| reached(canary))
    };
    wait_for(SOON, seen).unwrap_or_else(|| panic!("{what}: {:#}", watchdog.last_seen()))
}

#[test]
fn a_canary_measures_the_path_while_all_checkers_are_quiet_and_is_missed_when_it_does_not_come() {
    let (dovecot, sink) = (Dovecot::start_with_quota(200), Sink::start());
    let postfix = Postfix::relaying_to(&dovecot);
    // Until there is no room even for a mail that is smaller than a canary.
    let to = "monitor@domain.com";
    dovecot.deliver(to, &big_mail(190));
    while submit(Protocol::Lmtp, dovecot.lmtp_port, "boss@domain.com", to, &big_mail(0)).is_ok() {}
    let mailbox = mailbox(&dovecot) + "poll = \"1s\"\n";
    let watchdog =
        Watchdog::new(&(config(&mailbox, SHORT, &["bresse1"], &channel(&sink)) + &canary(&postfix)));
    let mut daemon = watchdog.spawn_run();
    let seen = wait_for_canary(&watchdog, "not missed", |canary| !canary["overdue"].is_null());
    assert_eq!(
        (&seen["received"], &seen["path"], &seen["error"]),
        (&Value::Null, &Value::Null, &Value::Null)
    );
    sink.wait_for_token("bresse1_Checker.NOK", SOON);
    let explained = watchdog.run(&["explain", "bresse1"]).stdout;
    assert!(explained.contains("The canary has not come through yet; the one sent at"), "{explained}");

    dovecot.empty();
    let seen = wait_for_canary(&watchdog, "not back", |canary| !canary["received"].is_null());
    assert_eq!((&seen["overdue"], &seen["path"]["mails"]), (&Value::Null, &1.into()), "{seen:#}");
    // It waited in the queue until there was room.
    assert!(seen["path"]["now_s"].as_f64().unwrap() > 2.0, "{seen:#}");
    let table = watchdog.last_seen();
    assert_eq!(table["other_mails"]["canary"], 1, "nobody's report: {table:#}");
    assert_eq!(table["checkers"][0]["last_received"], Value::Null, "{table:#}");
    assert!(table["undelivered"] == 0, "{table:#}");
    let mails = dovecot.texts();
    assert!(
        mails.contains("X-Bresse-Canary: ") && mails.contains("Auto-Submitted: auto-generated"),
        "{mails}"
    );
    assert!(!mails.to_uppercase().contains("NOK"), "{mails}");
    daemon.assert_running();
    assert_eq!(daemon.terminate(), 0);

    // `once` lets none go before its time, and knows those that a daemon let go.
    watchdog.run(&["once"]);
    assert_eq!(watchdog.last_seen()["canary"]["path"]["mails"], 1);
}
