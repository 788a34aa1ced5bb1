//! The daemon as a process: signals, a changed configuration, and that there is only one.

use std::fs;
use std::thread::sleep;
use std::time::{Duration, Instant};

use bresse_watchdog::testbed::imap::{Answer, Fault};
use bresse_watchdog::testbed::smtp::{SmtpFault, Stage};
use chrono::{TimeDelta, Utc};

use crate::rig::{Report, Watchdog, wait_for};
use crate::world::{
    SHORT, SHORT_DEADLINE, SOON, Servers, USUAL, at_once, checkers, config, rows, state_of, wait_for_state,
};

fn rewrite(watchdog: &Watchdog, config: &str) {
    fs::write(watchdog.path("watchdog.toml"), config).unwrap();
}

pub(crate) fn a_new_configuration_is_in_force_after_sighup_and_ends_the_alarm_of_who_was_removed() {
    let servers = Servers::start();
    let with = |names: &[&str]| config(&[&servers.mailbox(), &checkers(names, SHORT), &servers.channel()]);
    let watchdog = Watchdog::new(&with(&["bresse1", "bresse2"]));
    let feeder = servers.feed(&["bresse1"]);
    let mut daemon = watchdog.spawn_run();
    servers.expect("bresse2_Checker.NOK", SOON);
    rewrite(&watchdog, &with(&["bresse1", "bresse3"]));
    daemon.hang_up();
    let recovery = servers.expect("bresse2_Checker.OK", SOON);
    assert!(recovery.body().contains("removed from the configuration"), "{}", recovery.body());
    recovery.assert_nothing_says_nok();
    // A checker that is new and never writes is silent one deadline later.
    servers.expect("bresse3_Checker.NOK", SOON);
    wait_for_state(&watchdog, &["bresse1"], "ok");
    assert_eq!(rows(&state_of(&watchdog), "SELECT name FROM last_seen"), ["bresse1", "bresse3"]);
    drop(feeder);
    assert_eq!(servers.tokens()[..3], ["bresse2_Checker.NOK", "bresse2_Checker.OK", "bresse3_Checker.NOK"]);
    assert_eq!(daemon.terminate(), 0);
}

#[test]
fn an_invalid_configuration_changes_nothing_and_is_said() {
    let servers = Servers::start();
    let watchdog =
        Watchdog::new(&config(&[&servers.mailbox(), &checkers(&["bresse1"], SHORT), &servers.channel()]));
    let feeder = servers.feed(&["bresse1"]);
    let mut daemon = watchdog.spawn_run();
    wait_for_state(&watchdog, &["bresse1"], "ok");
    for (invalid, complaint) in
        [("[watchdog]\nnaem = 1\n", "naem"), ("", "watchdog"), ("[[[", "watchdog.toml")]
    {
        rewrite(&watchdog, invalid);
        daemon.hang_up();
        let said = || {
            let log = daemon.log();
            let last = log.rsplit("the new configuration is invalid").next()?.to_owned();
            (last.len() < log.len() && last.contains(complaint)).then_some(())
        };
        wait_for(SOON, said).unwrap_or_else(|| panic!("{invalid:?}: {}", daemon.log()));
    }
    feeder.silence("bresse1");
    servers.expect("bresse1_Checker.NOK", SOON);
    feeder.revive("bresse1");
    servers.expect("bresse1_Checker.OK", SOON);
    drop(daemon);
}

pub(crate) fn a_shorter_cycle_does_not_judge_the_past_but_the_next_mail_counts_by_it() {
    let servers = Servers::start();
    let with =
        |times: &str| config(&[&servers.mailbox(), &checkers(&["bresse1"], times), &servers.channel()]);
    let watchdog = Watchdog::new(&with(USUAL));
    let ago = Utc::now() - TimeDelta::seconds(100);
    servers.deliver(&Report::new("bresse1", ago), ago);
    let mut daemon = watchdog.spawn_run();
    wait_for_state(&watchdog, &["bresse1"], "ok");
    rewrite(&watchdog, &with(SHORT));
    daemon.hang_up();
    sleep(SHORT_DEADLINE + Duration::from_secs(2));
    assert_eq!(servers.tokens(), Vec::<String>::new(), "it was promised 400 s when it wrote");
    servers.report("bresse1");
    servers.expect("bresse1_Checker.NOK", SOON);
    drop(daemon);
}

#[test]
fn sigterm_ends_it_with_0_within_six_seconds_whatever_hangs() {
    type Hang = fn(&Servers);
    let rows: Vec<(&str, Hang)> = vec![
        ("nothing hangs", |_| {}),
        ("IMAP hangs", |servers| servers.imap.fault(Fault::on("UID FETCH", Answer::Stall))),
        ("SMTP hangs", |servers| {
            servers.sink.fault(SmtpFault::Hang { at: Stage::Data });
            servers.deliver(&Report::new("bresse1", Utc::now()).nok("MSSQL1_Service"), Utc::now());
        }),
        ("IMAP is away", |servers| servers.wait(servers.imap.stop()).unwrap()),
    ];
    at_once(rows, |hang| {
        let servers = Servers::start();
        let watchdog =
            Watchdog::new(&config(&[&servers.mailbox(), &checkers(&["bresse1"], USUAL), &servers.channel()]));
        hang(&servers);
        servers.report("bresse1");
        let daemon = watchdog.spawn_run();
        sleep(Duration::from_secs(3));
        let told = Instant::now();
        assert_eq!(daemon.terminate(), 0);
        assert!(told.elapsed() < Duration::from_secs(6), "{:?}", told.elapsed());
    });
}

#[test]
fn a_second_process_says_who_holds_the_state_and_alarms_nobody_and_after_a_kill_the_next_starts() {
    let servers = Servers::start();
    let watchdog =
        Watchdog::new(&config(&[&servers.mailbox(), &checkers(&["bresse1"], USUAL), &servers.channel()]));
    servers.report("bresse1");
    let daemon = watchdog.spawn_run();
    wait_for_state(&watchdog, &["bresse1"], "ok");
    for (command, status) in [("run", 1), ("once", 3)] {
        let second = watchdog.run(&[command]);
        assert_eq!(second.status, status, "{second:?}");
        let lines: Vec<&str> = second.stderr.lines().filter(|line| line.contains("in use")).collect();
        assert_eq!(lines.len(), 1, "{}", second.stderr);
        assert!(lines[0].contains(&daemon.pid().to_string()) && lines[0].contains("bresse8"), "{}", lines[0]);
    }
    assert_eq!(servers.tokens(), Vec::<String>::new(), "the first one works, so nothing is wrong");
    wait_for_state(&watchdog, &["bresse1"], "ok");
    daemon.kill_9();
    let once = watchdog.run(&["once"]);
    assert_eq!(once.status, 0, "{once:?}");
    servers.assert_all_kept(&watchdog);
}
