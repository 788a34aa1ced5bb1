//! A mail server that takes alarms badly: each arrives all the same, in order, and at most once more than accepted.

use std::io::Write;
use std::net::{Ipv4Addr, TcpListener};
use std::thread::sleep;
use std::time::{Duration, Instant};

use bresse_watchdog::testbed::smtp::{SmtpFault, SmtpOptions, SmtpSink, Stage};
use chrono::Utc;

use crate::rig::{AlarmMail, Daemon, Report, Watchdog, wait_for};
use crate::world::{
    SOON, Servers, USUAL, alarms, at_once, channel, checkers, config, kept, peak_memory_kib, rows, state_of,
};

const ALARM: &str = "MSSQL1_Service.NOK";
const RECOVERY: &str = "MSSQL1_Service.OK";
/// The first retry comes within 10 s; the rest is the slowness of a busy machine.
const FIRST_RETRY: Duration = Duration::from_secs(10 + 3);
/// An attempt is given up after 25 s.
const AFTER_A_HANG: Duration = Duration::from_secs(25 + 10 + 3);

struct Bad {
    fault: SmtpFault,
    within: Duration,
    /// How often the alarm arrives.
    copies: usize,
}

fn installed(servers: &Servers, channels: &str) -> (Watchdog, Daemon) {
    let watchdog = Watchdog::new(&config(&[&servers.mailbox(), &checkers(&["bresse1"], USUAL), channels]));
    let daemon = watchdog.spawn_run();
    (watchdog, daemon)
}

fn service_fails(servers: &Servers) {
    servers.deliver(&Report::new("bresse1", Utc::now()).nok("MSSQL1_Service"), Utc::now());
}

fn service_works(servers: &Servers) {
    // Runs are told apart by whole seconds.
    sleep(Duration::from_millis(1_100));
    servers.report("bresse1");
}

pub(crate) fn an_alarm_survives_whatever_happens_to_its_first_attempt_and_its_recovery_follows() {
    let soon = |fault| Bad { fault, within: FIRST_RETRY, copies: 1 };
    let later = |fault| Bad { fault, within: AFTER_A_HANG, copies: 1 };
    let refused = |at, code| soon(SmtpFault::Reply { at, code, text: "4.3.2 Try again".to_owned() });
    let rows = vec![
        ("421 instead of a greeting", refused(Stage::Greeting, 421)),
        ("421 to EHLO", refused(Stage::Hello, 421)),
        ("450 to MAIL", refused(Stage::Mail, 450)),
        ("450 to RCPT", refused(Stage::Rcpt, 450)),
        ("451 to DATA", refused(Stage::Data, 451)),
        ("452 to the mail", refused(Stage::Dot, 452)),
        ("it ends instead of greeting", soon(SmtpFault::Drop { at: Stage::Greeting })),
        ("it ends at RCPT", soon(SmtpFault::Drop { at: Stage::Rcpt })),
        ("it ends at DATA", soon(SmtpFault::Drop { at: Stage::Data })),
        ("it ends when the mail has come", soon(SmtpFault::Drop { at: Stage::Dot })),
        ("it hangs before greeting", later(SmtpFault::Hang { at: Stage::Greeting })),
        ("it hangs at DATA", later(SmtpFault::Hang { at: Stage::Data })),
        ("it hangs when the mail has come", later(SmtpFault::Hang { at: Stage::Dot })),
        ("it accepts and ends", Bad { copies: 2, ..soon(SmtpFault::AcceptThenDrop) }),
        ("it accepts and hangs", Bad { copies: 2, ..later(SmtpFault::AcceptThenHang) }),
    ];
    at_once(rows, |bad| {
        let servers = Servers::start();
        servers.sink.fault_once(bad.fault.clone());
        let (_watchdog, daemon) = installed(&servers, &servers.channel());
        service_fails(&servers);
        let arrived = || (servers.tokens().len() == bad.copies).then_some(());
        wait_for(bad.within, arrived).unwrap_or_else(|| panic!("only {:?}", servers.tokens()));
        service_works(&servers);
        servers.expect(RECOVERY, SOON);
        let mut expected = vec![ALARM; bad.copies];
        expected.push(RECOVERY);
        assert_eq!(servers.tokens(), expected);
        let first = alarms(&servers.sink);
        let ids: Vec<_> = first.iter().map(|mail| mail.header("Message-ID")).collect();
        assert!(ids[..bad.copies].iter().all(|id| *id == ids[0]), "copies are known by their id: {ids:?}");
        drop(daemon);
    });
}

#[test]
fn a_recovery_waits_for_its_alarm() {
    let servers = Servers::start();
    let busy = SmtpFault::Reply { at: Stage::Dot, code: 451, text: "4.3.2 Busy".to_owned() };
    servers.sink.fault(busy);
    let (watchdog, daemon) = installed(&servers, &servers.channel());
    service_fails(&servers);
    let state = state_of(&watchdog);
    let sql = "SELECT subject FROM outbox WHERE attempts = 2 AND last_error IS NOT NULL";
    wait_for(SOON, || rows(&state, sql).pop()).expect("two attempts");
    // The alarm is tried again in 10 s; the recovery could go at once.
    servers.sink.clear_faults();
    service_works(&servers);
    servers.expect(RECOVERY, SOON);
    assert_eq!(servers.tokens(), [ALARM, RECOVERY]);
    drop(daemon);
}

#[test]
fn a_server_that_was_away_gets_the_alarm_when_it_is_back() {
    let servers = Servers::start();
    servers.wait(servers.sink.stop()).unwrap();
    let (watchdog, daemon) = installed(&servers, &servers.channel());
    service_fails(&servers);
    let tried =
        || rows(&state_of(&watchdog), "SELECT subject FROM outbox WHERE last_error IS NOT NULL").pop();
    wait_for(SOON, tried).expect("an attempt");
    servers.wait(servers.sink.restart()).unwrap();
    servers.expect(ALARM, FIRST_RETRY);
    assert_eq!(servers.tokens(), [ALARM]);
    drop(daemon);
}

#[test]
fn an_alarm_that_is_not_delivered_when_the_daemon_dies_is_due_at_once_when_it_starts() {
    let servers = Servers::start();
    servers.wait(servers.sink.stop()).unwrap();
    let (watchdog, daemon) = installed(&servers, &servers.channel());
    service_fails(&servers);
    // After the second failure 10 s pass until the next try.
    let tried = || {
        let sql = "SELECT subject FROM outbox WHERE attempts = 2 AND last_error IS NOT NULL AND due_ms > \
                   CAST(strftime('%s', 'now') AS INTEGER) * 1000 + 7000";
        rows(&state_of(&watchdog), sql).pop()
    };
    wait_for(SOON, tried).expect("two attempts");
    daemon.kill_9();
    servers.wait(servers.sink.restart()).unwrap();
    let started = Instant::now();
    let daemon = watchdog.spawn_run();
    servers.expect(ALARM, Duration::from_secs(6));
    assert!(started.elapsed() < Duration::from_secs(6));
    assert_eq!(servers.tokens(), [ALARM]);
    drop(daemon);
}

#[test]
fn a_refused_alarm_goes_through_the_fallback_with_the_reason_and_only_there_it_is_recovered() {
    let servers = Servers::start();
    let spare = servers.wait(async { SmtpSink::start(SmtpOptions::default()).unwrap() });
    let text = "5.7.1 You are on a list".to_owned();
    servers.sink.fault(SmtpFault::Reply { at: Stage::Rcpt, code: 550, text });
    let both = [servers.channel(), channel("spare", &spare, "fallback = true")].concat();
    let (watchdog, daemon) = installed(&servers, &both);
    service_fails(&servers);
    // The channel that refuses is alarmed there as well, in whatever order the two arrive.
    let arrived = || alarms(&spare).into_iter().find(|mail| mail.token() == ALARM);
    let body = wait_for(SOON, arrived).expect("the alarm by the fallback").body();
    assert!(body.contains("backup-mail") && body.contains("5.7.1 You are on a list"), "{body}");
    servers.sink.clear_faults();
    service_works(&servers);
    let recovered = || alarms(&spare).into_iter().find(|mail| mail.token() == RECOVERY);
    wait_for(SOON, recovered).expect("the recovery by the fallback").assert_nothing_says_nok();
    let empty = || rows(&state_of(&watchdog), "SELECT subject FROM outbox").is_empty().then_some(());
    wait_for(SOON, empty).expect("nothing waits any more");
    assert_eq!(servers.tokens(), Vec::<String>::new(), "who never had the alarm needs no recovery");
    drop(daemon);
}

pub(crate) fn an_alarm_that_fails_again_and_again_goes_through_the_fallback_too() {
    let servers = Servers::start();
    let spare = servers.wait(async { SmtpSink::start(SmtpOptions::default()).unwrap() });
    servers.wait(servers.sink.stop()).unwrap();
    let both = [servers.channel(), channel("spare", &spare, "fallback = true")].concat();
    let (watchdog, daemon) = installed(&servers, &both);
    service_fails(&servers);
    let of_spare = || -> Vec<String> {
        let tokens = alarms(&spare).iter().map(AlarmMail::token).collect::<Vec<_>>();
        tokens.into_iter().filter(|token| !token.starts_with("backup-mail_Channel")).collect()
    };
    wait_for(SOON, || of_spare().pop()).expect("the alarm by the fallback, after three failures");
    servers.wait(servers.sink.restart()).unwrap();
    service_works(&servers);
    // The next try would come in 20 s, and at once after a restart.
    daemon.kill_9();
    let daemon = watchdog.spawn_run();
    servers.expect(RECOVERY, SOON);
    let told = || (of_spare().len() == 2).then_some(());
    wait_for(SOON, told).expect("the recovery by the fallback");
    assert_eq!(servers.tokens(), [ALARM, RECOVERY]);
    assert_eq!(of_spare(), [ALARM, RECOVERY]);
    drop(daemon);
}

#[test]
fn every_recipient_gets_a_mail_alone_and_one_that_is_refused_holds_up_no_other() {
    let servers = Servers::start();
    let text = "5.1.1 No such user".to_owned();
    servers.sink.fault_once(SmtpFault::Reply { at: Stage::Rcpt, code: 550, text });
    let to = "to = [\"anne@elsewhere.example\", \"bob@elsewhere.example\", \"carl@elsewhere.example\"]";
    let (watchdog, daemon) = installed(&servers, &channel("backup-mail", &servers.sink, to));
    service_fails(&servers);
    wait_for(SOON, || (alarms(&servers.sink).len() == 2).then_some(())).expect("two of three");
    service_works(&servers);
    wait_for(SOON, || (alarms(&servers.sink).len() == 4).then_some(())).expect("two recoveries");
    let mails = alarms(&servers.sink);
    for mail in &mails {
        let [only] = mail.recipients.as_slice() else { panic!("{:?}", mail.recipients) };
        assert_eq!(mail.header("To").as_ref(), Some(only), "nobody sees the others");
    }
    let mut told: Vec<_> = mails.iter().map(|mail| (mail.recipients[0].clone(), mail.token())).collect();
    told.sort();
    told.dedup();
    assert_eq!(told.len(), 4, "each of two had alarm and recovery: {told:?}");
    let empty = || rows(&state_of(&watchdog), "SELECT subject FROM outbox").is_empty().then_some(());
    wait_for(SOON, empty).expect("nothing waits any more");
    drop(daemon);
}

#[test]
fn once_ends_with_1_while_a_mail_is_undelivered_and_delivers_it_the_next_time() {
    let servers = Servers::start();
    let watchdog =
        Watchdog::new(&config(&[&servers.mailbox(), &checkers(&["bresse1"], USUAL), &servers.channel()]));
    service_fails(&servers);
    assert_eq!(watchdog.run(&["once"]).status, 2, "a service is NOK");
    assert_eq!(servers.tokens(), [ALARM]);
    service_works(&servers);
    servers.wait(servers.sink.stop()).unwrap();
    assert_eq!(watchdog.run(&["once"]).status, 1, "all is well, but nobody could be told");
    assert_eq!(watchdog.run(&["last-seen", "--check"]).status, 1);
    servers.wait(servers.sink.restart()).unwrap();
    assert_eq!(watchdog.run(&["once"]).status, 0);
    assert_eq!(servers.tokens(), [ALARM, RECOVERY]);
    assert_eq!(kept(&state_of(&watchdog)).len(), 2);
}

#[test]
fn a_mail_server_that_talks_without_end_costs_no_memory() {
    let servers = Servers::start();
    let endless = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let port = endless.local_addr().unwrap().port();
    // Ends with the connection: the daemon's answer is to hang up.
    let talker = std::thread::spawn(move || {
        let (mut stream, _) = endless.accept().unwrap();
        stream.write_all(b"220 ").unwrap();
        let (mut sent, talk) = (0_u64, vec![b'a'; 1 << 16]);
        while sent < 1 << 30 && stream.write_all(&talk).is_ok() {
            sent += talk.len() as u64;
        }
        sent
    });
    let mut to_endless = servers.channel();
    to_endless =
        to_endless.replace(&format!("port = {}", servers.sink.address().port()), &format!("port = {port}"));
    let (_watchdog, daemon) = installed(&servers, &to_endless);
    service_fails(&servers);
    let sent = talker.join().unwrap();
    assert!(sent < 100 << 20, "it listened to {sent} bytes of a greeting");
    assert!(peak_memory_kib(&daemon) < 100 << 10, "{} KiB", peak_memory_kib(&daemon));
}
