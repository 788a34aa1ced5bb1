//! A checker that speaks and is not heard, because its mails are sorted into Junk, or refused.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::sleep;
use std::time::Duration;

use crate::rig::{
    Dovecot, Feeder, Inbox, Postfix, Protocol, Report, SHORT, SHORT_PERIOD, Sink, Watchdog,
    assert_recovery_of, channel, config, mailbox, submit, wait_for,
};

/// What must happen at once may take this long on a busy machine.
const SOON: Duration = Duration::from_secs(20);
const NAMES: [&str; 2] = ["bresse1", "bresse2"];

/// Reports of both checkers, by LMTP; those of `bresse1` go to `elsewhere` while the switch is on.
fn feed(dovecot: &Dovecot, elsewhere: impl Fn(&Report) + Send + 'static) -> (Feeder, Arc<AtomicBool>) {
    let (port, switch) = (dovecot.lmtp_port, Arc::new(AtomicBool::new(false)));
    let switched = Arc::clone(&switch);
    let feeder = Feeder::start(&NAMES, SHORT_PERIOD, move |report| {
        if switched.load(Ordering::SeqCst) && report.to().starts_with("bresse1+") {
            elsewhere(report);
            return Ok(());
        }
        submit(Protocol::Lmtp, port, &report.from(), &report.to(), &report.mail())
    });
    (feeder, switch)
}

fn wait_until_heard(watchdog: &Watchdog) {
    let heard = || {
        sleep(Duration::from_millis(200));
        NAMES.iter().all(|name| watchdog.checker(name)["state"] == "ok").then_some(())
    };
    wait_for(SOON, heard).unwrap_or_else(|| panic!("{:#}", watchdog.last_seen()));
}

/// What `explain` says of `bresse1`, once it holds `part`.
fn explained(watchdog: &Watchdog, part: &str) -> String {
    let explain = || Some(watchdog.run(&["explain", "bresse1"]).stdout).filter(|text| text.contains(part));
    wait_for(SOON, explain)
        .unwrap_or_else(|| panic!("{part} is not in:\n{}", watchdog.run(&["explain", "bresse1"]).stdout))
}

#[test]
fn mails_that_go_into_junk_are_not_heard_and_the_alarm_says_where_they_are() {
    let (dovecot, sink) = (Dovecot::start(), Sink::start());
    dovecot.make_folder("Junk");
    let filter = dovecot.appender("Junk");
    let (_feeder, junks) = feed(&dovecot, move |report| filter(&report.mail()));
    let mailbox = mailbox(&dovecot) + "junk = \"Junk\"\n";
    let watchdog = Watchdog::new(&config(&mailbox, SHORT, &NAMES, &channel(&sink)));
    let mut daemon = watchdog.spawn_run();
    wait_until_heard(&watchdog);

    junks.store(true, Ordering::SeqCst);
    // With a look every minute, the one before the judgement is the only one that can have found the mails.
    let alarm = sink.wait_for_token("bresse1_Checker.NOK", SOON);
    assert!(alarm.body().contains("Reason: junked (certain)"), "{}", alarm.body());
    let entry = watchdog.checker("bresse1");
    assert_eq!((&entry["state"], &entry["reason"]), (&"silent".into(), &"junked".into()), "{entry:#}");
    let text = explained(&watchdog, "In Junk");
    assert!(text.contains("its newest mail there, which does not count as heard"), "{text}");
    let counted = watchdog.last_seen()["other_mails"]["junked"].as_u64();
    assert!(counted >= Some(1), "{counted:?}");
    assert_eq!(watchdog.checker("bresse2")["state"], "ok");

    junks.store(false, Ordering::SeqCst);
    assert_recovery_of(&alarm, &sink.wait_for_token("bresse1_Checker.OK", SOON));
    let entry = watchdog.checker("bresse1");
    assert_eq!((&entry["state"], entry["reason"].is_null()), (&"ok".into(), true), "{entry:#}");
    assert_eq!(sink.tokens(), ["bresse1_Checker.NOK", "bresse1_Checker.OK"]);
    daemon.assert_running();
}

#[test]
fn a_mail_that_is_moved_out_of_junk_is_heard() {
    let (dovecot, sink) = (Dovecot::start(), Sink::start());
    dovecot.make_folder("Junk");
    dovecot.appender("Junk")(&Report::new("bresse1", chrono::Utc::now()).mail());
    let mailbox = mailbox(&dovecot) + "junk = \"Junk\"\n";
    let watchdog = Watchdog::new(&config(&mailbox, SHORT, &["bresse1"], &channel(&sink)));
    watchdog.run(&["once"]);
    assert!(watchdog.checker("bresse1")["last_received"].is_null());
    dovecot.move_all("Junk", "INBOX");
    watchdog.run(&["once"]);
    assert!(watchdog.checker("bresse1")["last_received"].is_string(), "{:#}", watchdog.checker("bresse1"));
}

#[test]
fn a_junk_folder_that_is_missing_is_told_and_one_that_is_there_is_proposed() {
    let (dovecot, sink) = (Dovecot::start(), Sink::start());
    for name in NAMES {
        let report = Report::new(name, chrono::Utc::now());
        dovecot.deliver(&report.to(), &report.mail());
    }
    let with = |junk: &str| {
        let mailbox = mailbox(&dovecot) + junk;
        Watchdog::new(&config(&mailbox, SHORT, &NAMES, &channel(&sink)))
    };
    let watchdog = with("junk = \"Spam\"\n");
    let checked = watchdog.run(&["check"]);
    let told =
        "its Junk folder cannot be read, all else works without it: the folder \"Spam\" cannot be opened";
    assert!(checked.status == 0 && checked.stdout.contains(told), "{checked:?}");
    let once = watchdog.run(&["once"]);
    assert_eq!(once.status, 0, "{once:?}");
    assert!(once.stdout.contains("The Junk folder of MONITOR cannot be read"), "{once:?}");

    dovecot.make_folder("Junk");
    let checked = with("").run(&["check"]);
    assert!(checked.stdout.contains("spam goes to its folder \"Junk\", which is not read"), "{checked:?}");
}

#[test]
fn a_bounce_that_comes_into_the_mailbox_names_what_the_mail_system_said() {
    let (dovecot, sink) = (Dovecot::start(), Sink::start());
    let reply = "5.7.68 TenantInboundAttribution; Direct Send not allowed for this organization";
    let postfix = Postfix::refusing(&dovecot, "bresse1+monitor@domain.com", reply);
    // What bounces goes back to its sender, an alias of the mailbox.
    let submit = move |report: &Report| {
        postfix.submit("bresse1@domain.com", &report.to(), &report.mail()).expect("queued");
    };
    let (_feeder, refuses) = feed(&dovecot, submit);
    let watchdog = Watchdog::new(&config(&mailbox(&dovecot), SHORT, &NAMES, &channel(&sink)));
    let _daemon = watchdog.spawn_run();
    wait_until_heard(&watchdog);

    refuses.store(true, Ordering::SeqCst);
    let alarm = sink.wait_for_token("bresse1_Checker.NOK", SOON);
    let told = alarm.body();
    assert!(told.contains("Reason: rejected (certain)"), "{told}");
    assert!(told.contains("status 5.7.68") && told.contains("Direct Send not allowed"), "{told}");
    let entry = watchdog.checker("bresse1");
    assert_eq!((&entry["state"], &entry["reason"]), (&"silent".into(), &"rejected".into()), "{entry:#}");
    let text = explained(&watchdog, "Bounced");
    assert!(text.contains("status 5.7.68, said: ") && text.contains("Direct Send not allowed"), "{text}");
}
