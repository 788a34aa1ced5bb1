//! The binary, end to end, against real Dovecot and Postfix.
//!
//! The checkers of the tests with `USUAL` times are silent or alive by the dates of mails that are already there;
//! those with `SHORT` times live and die while the test watches.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::disallowed_methods)]

mod rig;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::thread::sleep;
use std::time::{Duration, Instant};

use chrono::{DateTime, TimeDelta, Utc};
use rig::{
    Dovecot, Feeder, Inbox, Postfix, Protocol, Report, SHORT, SHORT_DEADLINE, SHORT_PERIOD, Sink, Step,
    USUAL, Watchdog, assert_own_mail, assert_recovery_of, channel, channel_at, config, mailbox, mailbox_at,
    submit, wait_for,
};
use serde_json::Value;

/// What must happen at once may take this long on a busy machine.
const SOON: Duration = Duration::from_secs(20);

fn seconds_ago(seconds: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(Utc::now().timestamp() - seconds, 0).unwrap()
}

fn time(value: &Value) -> DateTime<Utc> {
    value.as_str().and_then(|text| text.parse().ok()).unwrap_or_else(|| panic!("{value} is not a time"))
}

/// Reports straight into the mailbox, again and again.
fn feed_by_lmtp(dovecot: &Dovecot, checkers: &[&str]) -> Feeder {
    let port = dovecot.lmtp_port;
    Feeder::start(checkers, SHORT_PERIOD, move |report| {
        submit(Protocol::Lmtp, port, &report.from(), &report.to(), &report.mail())
    })
}

/// Reports by way of a mail server, which keeps them while the mailbox is down.
fn feed_by_postfix(postfix: &Arc<Postfix>, checkers: &[&str]) -> Feeder {
    let postfix = Arc::clone(postfix);
    Feeder::start(checkers, SHORT_PERIOD, move |report| {
        postfix.submit(&report.from(), &report.to(), &report.mail())
    })
}

/// Waits until `last-seen`, run beside the daemon, shows these checkers in this state.
fn wait_for_state(watchdog: &Watchdog, checkers: &[&str], state: &str) {
    let reached = || {
        sleep(Duration::from_millis(200));
        checkers.iter().all(|name| watchdog.checker(name)["state"] == state).then_some(())
    };
    wait_for(SOON, reached).unwrap_or_else(|| panic!("not all {state}: {:#}", watchdog.last_seen()));
}

/// A mailbox in which `bresse1` has just reported and `bresse2` fell silent two hours ago.
fn one_alive_one_silent() -> Dovecot {
    let dovecot = Dovecot::start();
    let dates = [("bresse2", 7500), ("bresse1", 7400), ("bresse2", 7200), ("bresse1", 5)];
    dovecot.fill(dates.map(|(name, ago)| (seconds_ago(ago), Report::new(name, seconds_ago(ago + 2)).mail())));
    dovecot
}

/// Seven checkers, a report every five minutes for 49 days, and now and then a service NOK that recovered.
fn fill_with_100_000_reports(dovecot: &Dovecot, last_heard: &[(&str, DateTime<Utc>)]) {
    const RUNS: i32 = 14_286;
    let mut reports = Vec::new();
    for (name, last) in last_heard {
        for run in 0..RUNS {
            let received = *last - TimeDelta::minutes(5) * run;
            let report = Report::new(name, received - TimeDelta::seconds(2));
            reports.push((received, if run % 1000 == 500 { report.nok("ESHOP_Service") } else { report }));
        }
    }
    assert!(reports.len() >= 100_000);
    reports.sort_by_key(|(received, _)| *received);
    dovecot.fill(reports.iter().map(|(received, report)| (*received, report.mail())));
}

#[test]
fn in_100_000_old_reports_exactly_the_three_silent_checkers_are_found() {
    const DAY: i64 = 86_400;
    let last_heard = [
        ("bresse1", seconds_ago(3)),
        ("bresse2", seconds_ago(2 * DAY + 17)),
        ("bresse3", seconds_ago(40)),
        ("bresse4", seconds_ago(5 * DAY + 1234)),
        ("bresse5", seconds_ago(100)),
        ("bresse6", seconds_ago(11 * DAY + 7)),
        ("bresse7", seconds_ago(1)),
    ];
    let silent = ["bresse2", "bresse4", "bresse6"];
    let (dovecot, sink) = (Dovecot::start(), Sink::start());
    fill_with_100_000_reports(&dovecot, &last_heard);
    let names = last_heard.map(|(name, _)| name);
    let watchdog = Watchdog::new(&config(&mailbox(&dovecot), USUAL, &names, &channel(&sink)));

    let once = watchdog.run(&["once"]);
    assert_eq!(once.status, 2, "{once:?}");
    let mut tokens = sink.tokens();
    tokens.sort();
    assert_eq!(tokens, silent.map(|name| format!("{name}_Checker.NOK")));
    let incidents: BTreeSet<_> = sink.mails().iter().map(assert_own_mail).collect();
    assert_eq!(incidents.len(), 3, "they fell silent days apart: {incidents:?}");

    let table = watchdog.last_seen();
    assert_eq!(table["checkers"].as_array().unwrap().len(), 7);
    for (name, last) in last_heard {
        let entry = watchdog.checker(name);
        let (state, result) = if silent.contains(&name) { ("silent", "UNKNOWN") } else { ("ok", "OK") };
        assert_eq!(entry["state"], state, "{entry:#}");
        assert_eq!(entry["deadline_s"], 400, "{entry:#}");
        assert_eq!(time(&entry["last_received"]), last, "{entry:#}");
        assert_eq!(time(&entry["last_sent"]), last - TimeDelta::seconds(2), "{entry:#}");
        assert_eq!(time(&entry["heard_at"]), last, "{entry:#}");
        let services: Vec<_> = entry["services"].as_array().unwrap().iter().collect();
        assert_eq!(services.len(), 2, "{entry:#}");
        assert!(services.iter().all(|service| service["result"] == result), "{entry:#}");
    }

    assert_eq!(watchdog.run(&["once"]).status, 2);
    assert_eq!(sink.mails().len(), 3, "the second `once` says nothing new: {:?}", sink.tokens());

    let report = Report::new("bresse4", Utc::now());
    dovecot.deliver(&report.to(), &report.mail());
    assert_eq!(watchdog.run(&["once"]).status, 2, "two are still silent");
    assert_eq!(sink.tokens()[3..], ["bresse4_Checker.OK"]);
    let alarm = sink.wait_for_token("bresse4_Checker.NOK", Duration::ZERO);
    assert_recovery_of(&alarm, &sink.mails()[3]);
    assert_eq!(watchdog.checker("bresse4")["state"], "ok");
}

#[test]
fn a_stopped_imap_server_is_one_alarm_and_what_died_meanwhile_is_found_afterwards() {
    let mut dovecot = Dovecot::start();
    let (postfix, sink) = (Arc::new(Postfix::relaying_to(&dovecot)), Sink::start());
    let names = ["bresse1", "bresse2", "bresse3"];
    let mailbox = mailbox(&dovecot) + "poll = \"1s\"\nblind_after = \"2s\"\n";
    let watchdog = Watchdog::new(&config(&mailbox, SHORT, &names, &channel(&sink)));
    let feeder = feed_by_postfix(&postfix, &names);
    let mut daemon = watchdog.spawn_run();
    wait_for_state(&watchdog, &names, "ok");

    dovecot.stop();
    sink.wait_for_token("MONITOR_Mailbox.NOK", SOON);
    feeder.silence("bresse2");
    wait_for_state(&watchdog, &names, "blind");
    // Longer than the checkers' deadline: who cannot read must not judge.
    sleep(SHORT_DEADLINE + Duration::from_secs(4));
    assert_eq!(sink.tokens(), ["MONITOR_Mailbox.NOK"]);

    dovecot.start_again();
    let recovery = sink.wait_for_token("MONITOR_Mailbox.OK", SOON);
    let readable_since = Instant::now();
    assert_recovery_of(&sink.mails()[0], &recovery);
    sink.wait_for_token("bresse2_Checker.NOK", SOON);
    let took = readable_since.elapsed();
    assert!(
        took < SHORT_DEADLINE + Duration::from_secs(5),
        "one deadline is {SHORT_DEADLINE:?}; it took {took:?}"
    );

    sleep(SHORT_DEADLINE);
    assert_eq!(sink.tokens(), ["MONITOR_Mailbox.NOK", "MONITOR_Mailbox.OK", "bresse2_Checker.NOK"]);
    wait_for_state(&watchdog, &["bresse1", "bresse3"], "ok");
    daemon.assert_running();
}

#[test]
fn a_queue_released_late_proves_life_only_for_the_time_before_it_was_held() {
    let (dovecot, sink) = (Dovecot::start(), Sink::start());
    let postfix = Arc::new(Postfix::relaying_to(&dovecot));
    let names = ["bresse1", "bresse2"];
    let mailbox = mailbox(&dovecot) + "poll = \"1s\"\n";
    let watchdog = Watchdog::new(&config(&mailbox, SHORT, &names, &channel(&sink)));
    let _alive = feed_by_lmtp(&dovecot, &["bresse1"]);
    let dying = feed_by_postfix(&postfix, &["bresse2"]);
    let _daemon = watchdog.spawn_run();
    wait_for_state(&watchdog, &names, "ok");

    postfix.hold();
    let alarm = sink.wait_for_token("bresse2_Checker.NOK", SOON);
    dying.silence("bresse2");
    sleep(SHORT_DEADLINE + Duration::from_secs(1));
    postfix.release();
    sleep(Duration::from_secs(5));
    assert_eq!(sink.tokens(), ["bresse2_Checker.NOK"], "old mail is no sign of life");
    let entry = watchdog.checker("bresse2");
    assert_eq!(entry["state"], "silent", "{entry:#}");
    let held_for = time(&entry["last_received"]) - time(&entry["heard_at"]);
    assert!(held_for > TimeDelta::seconds(6), "it left the checker long before it was received: {entry:#}");

    dying.revive("bresse2");
    assert_recovery_of(&alarm, &sink.wait_for_token("bresse2_Checker.OK", SOON));
}

#[test]
fn kill_9_at_any_step_of_a_delivery_loses_no_alarm() {
    let dovecot = one_alive_one_silent();
    use Step::{AfterAccepting, BeforeAccepting, Connected, Data, Recipient, Sender};
    for step in [Connected, Sender, Recipient, Data, BeforeAccepting, AfterAccepting] {
        let sink = Sink::start();
        let config = config(&mailbox(&dovecot), USUAL, &["bresse1", "bresse2"], &channel(&sink));
        let watchdog = Watchdog::new(&config);
        sink.pause_at(step);
        let daemon = watchdog.spawn_run();
        assert!(sink.wait_until_paused(SOON), "{step:?} was never reached:\n{}", daemon.log());
        daemon.kill_9();
        sink.drop_paused();

        let daemon = watchdog.spawn_run();
        sink.wait_for_token("bresse2_Checker.NOK", SOON);
        // Only a mail that was accepted may come twice: whether the answer was read is not known.
        sleep(Duration::from_secs(1));
        let most = if step == AfterAccepting { 2 } else { 1 };
        let tokens = sink.tokens();
        assert!(
            tokens.len() <= most && tokens.iter().all(|token| token == "bresse2_Checker.NOK"),
            "{tokens:?}"
        );
        assert_eq!(daemon.terminate(), 0, "SIGTERM is a normal end");

        assert_eq!(watchdog.run(&["once"]).status, 2);
        assert_eq!(sink.tokens(), tokens, "{step:?}: what was delivered is not sent again");
    }
}

#[test]
fn kill_9_at_random_moments_of_the_first_seconds_loses_no_alarm_and_no_recovery() {
    let mut random = fastrand::Rng::new();
    println!("seed {}", random.get_seed());
    for _ in 0..3 {
        let (dovecot, sink) = (one_alive_one_silent(), Sink::start());
        let config = config(&mailbox(&dovecot), USUAL, &["bresse1", "bresse2"], &channel(&sink));
        let watchdog = Watchdog::new(&config);
        let mut run_and_kill = || {
            for _ in 0..4 {
                let daemon = watchdog.spawn_run();
                sleep(Duration::from_millis(random.u64(0..900)));
                daemon.kill_9();
            }
        };

        run_and_kill();
        let daemon = watchdog.spawn_run();
        let alarm = sink.wait_for_token("bresse2_Checker.NOK", SOON);
        daemon.kill_9();

        let report = Report::new("bresse2", Utc::now());
        dovecot.deliver(&report.to(), &report.mail());
        run_and_kill();
        let _daemon = watchdog.spawn_run();
        let recovery = sink.wait_for_token("bresse2_Checker.OK", SOON);
        assert_recovery_of(&alarm, &recovery);
        assert!(
            sink.tokens().iter().all(|token| token.starts_with("bresse2_Checker.")),
            "{:?}",
            sink.tokens()
        );
    }
}

#[test]
fn kill_9_around_a_checkers_death_and_return_loses_no_alarm() {
    let mut random = fastrand::Rng::new();
    println!("seed {}", random.get_seed());
    let (dovecot, sink) = (Dovecot::start(), Sink::start());
    let names = ["bresse1", "bresse2"];
    // The watchdog's own absence must not count as a mailbox that cannot be read.
    let mailbox = mailbox(&dovecot) + "poll = \"1s\"\nblind_after = \"15s\"\n";
    let watchdog = Watchdog::new(&config(&mailbox, SHORT, &names, &channel(&sink)));
    let feeder = feed_by_lmtp(&dovecot, &names);
    let mut daemon = Some(watchdog.spawn_run());
    wait_for_state(&watchdog, &names, "ok");
    let mut kill_again_and_again = |limit: Duration| {
        let end = Instant::now() + limit;
        while Instant::now() < end {
            sleep(Duration::from_millis(random.u64(100..1800)));
            daemon.take().unwrap().kill_9();
            daemon = Some(watchdog.spawn_run());
        }
    };

    feeder.silence("bresse2");
    kill_again_and_again(SHORT_DEADLINE + Duration::from_secs(4));
    sink.wait_for_token("bresse2_Checker.NOK", SOON);
    feeder.revive("bresse2");
    kill_again_and_again(Duration::from_secs(5));
    sink.wait_for_token("bresse2_Checker.OK", SOON);
    assert!(sink.tokens().iter().all(|token| token.starts_with("bresse2_Checker.")), "{:?}", sink.tokens());
    wait_for_state(&watchdog, &names, "ok");
}

#[test]
fn a_report_goes_all_the_way_and_alarms_come_through_a_real_server() {
    let dovecot = Dovecot::start();
    let (postfix, foreign) = (Arc::new(Postfix::relaying_to(&dovecot)), Postfix::into_maildir());
    let names = ["bresse1", "bresse2"];
    let mailbox = mailbox(&dovecot) + "poll = \"1s\"\n";
    let channel = channel_at(&format!(
        "host = \"localhost\"\nport = {}\ntls = \"starttls\"\nca_file = \"{}\"",
        foreign.port,
        foreign.ca_file.display()
    ));
    let watchdog = Watchdog::new(&config(&mailbox, SHORT, &names, &channel));
    let feeder = feed_by_postfix(&postfix, &names);
    let daemon = watchdog.spawn_run();
    wait_for_state(&watchdog, &names, "ok");

    feeder.find_nok("bresse1", "MSSQL1_Service");
    let alarm = foreign.wait_for_token("MSSQL1_Service.NOK", SOON);
    assert!(alarm.body().contains("bresse1"), "seen by whom?\n{}", alarm.body());
    feeder.revive("bresse1");
    assert_recovery_of(&alarm, &foreign.wait_for_token("MSSQL1_Service.OK", SOON));

    feeder.silence("bresse2");
    let alarm = foreign.wait_for_token("bresse2_Checker.NOK", SOON);
    assert!(alarm.body().contains("bresse2") && alarm.body().contains("UTC"), "{}", alarm.body());
    feeder.revive("bresse2");
    assert_recovery_of(&alarm, &foreign.wait_for_token("bresse2_Checker.OK", SOON));

    let expected = ["MSSQL1_Service.NOK", "MSSQL1_Service.OK", "bresse2_Checker.NOK", "bresse2_Checker.OK"];
    assert_eq!(foreign.tokens(), expected);
    assert_eq!(daemon.terminate(), 0, "SIGTERM is a normal end");
    assert_eq!(dovecot.status("unseen"), dovecot.status("messages"), "a mail was marked as seen");
}

#[test]
fn nothing_in_the_mailbox_is_changed_by_reading_it() {
    let (dovecot, sink) = (one_alive_one_silent(), Sink::start());
    let mut person = dovecot.connect();
    person.command("SELECT INBOX").unwrap();
    person.command("UID STORE 1 +FLAGS (\\Seen \\Flagged)").unwrap();
    person.command("LOGOUT").unwrap();
    let mailbox = mailbox_at(&format!(
        "host = \"127.0.0.1\"\nport = {}\ntls = \"starttls\"\nca_file = \"{}\"\npoll = \"1s\"",
        dovecot.imap_port,
        dovecot.ca_file.display()
    ));
    let watchdog = Watchdog::new(&config(&mailbox, USUAL, &["bresse1", "bresse2"], &channel(&sink)));
    // One mail that nobody has looked at: a program that SELECTs would take its \Recent away.
    let report = Report::new("bresse1", Utc::now());
    dovecot.deliver(&report.to(), &report.mail());
    let before = dovecot.snapshot();

    let check = watchdog.run(&["check"]);
    assert_eq!(check.status, 0, "{check:?}");
    assert_eq!(before, dovecot.snapshot(), "`check` changed something");
    assert_eq!(sink.tokens(), Vec::<String>::new(), "`check` alarms nobody");
    assert_eq!(watchdog.run(&["once"]).status, 2);
    assert_eq!(before, dovecot.snapshot(), "`once` changed something");
    let daemon = watchdog.spawn_run();
    let first_look = time(&watchdog.last_seen()["heard_until"]);
    wait_for(SOON, || {
        (time(&watchdog.last_seen()["heard_until"]) > first_look + TimeDelta::seconds(3)).then_some(())
    })
    .expect("the daemon looks every second");
    assert_eq!(daemon.terminate(), 0);
    assert_eq!(before, dovecot.snapshot(), "`run` changed something");
}

#[test]
fn a_second_process_on_the_same_state_says_who_holds_it() {
    let (dovecot, sink) = (one_alive_one_silent(), Sink::start());
    let watchdog =
        Watchdog::new(&config(&mailbox(&dovecot), USUAL, &["bresse1", "bresse2"], &channel(&sink)));
    let daemon = watchdog.spawn_run();
    sink.wait_for_token("bresse2_Checker.NOK", SOON);
    let second = watchdog.run(&["once"]);
    assert_eq!(second.status, 3, "{second:?}");
    assert!(second.stderr.contains(&daemon.pid().to_string()), "{}", second.stderr);
    assert_eq!(sink.mails().len(), 1);

    daemon.kill_9();
    assert_eq!(watchdog.run(&["once"]).status, 2, "the lock dies with the process");
}
