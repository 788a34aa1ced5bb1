//! What keeps the watchdog from reading is one alarm about the mailbox and none about checkers.

use std::thread::sleep;
use std::time::Duration;

use bresse_watchdog::testbed::imap::{Answer, DONE, Fault, GREETING};

use crate::rig::Watchdog;
use crate::world::{
    SHORT, SHORT_DEADLINE, SOON, Servers, at_once, checkers, config, peak_memory_kib, wait_for_state,
};

/// A dead connection is noticed within one poll + 30 s; then comes a pause and a new one.
const NOTICED: Duration = Duration::from_secs(1 + 30 + 15);
/// In a debug build, with 500 MB announced.
const MEMORY_MAX_KIB: u64 = 100 << 10;

/// How an outage begins; it ends when the faults are cleared and the server listens.
type Begin = Box<dyn Fn(&Servers) + Send>;

fn lasting(fault: Fault) -> Begin {
    Box::new(move |servers| servers.imap.fault(fault.clone()))
}

fn once(fault: Fault) -> Begin {
    Box::new(move |servers| servers.imap.fault_once(fault.clone()))
}

fn refusal() -> Answer {
    Answer::No("Server Unavailable. 15".to_owned())
}

#[test]
fn every_outage_is_one_alarm_and_one_recovery_and_costs_no_mail() {
    let nonsense = |seed| {
        let mut random = fastrand::Rng::with_seed(seed);
        let mut bytes: Vec<u8> = (0..2_000).map(|_| random.u8(..)).collect();
        bytes.extend_from_slice(b"\r\n");
        Answer::Bytes(bytes)
    };
    let bye = || Answer::Bye("Session invalidated - AccountForceLogoff".to_owned());
    let rows: Vec<(&str, Begin)> = vec![
        ("EXAMINE is answered with NO", lasting(Fault::on("EXAMINE", refusal()))),
        (
            "EXAMINE is answered with BAD",
            lasting(Fault::on("EXAMINE", Answer::Bad("Command Error. 12".into()))),
        ),
        ("UID FETCH is answered with NO", lasting(Fault::on("UID FETCH", refusal()))),
        ("UID FETCH is answered with BAD", lasting(Fault::on("UID FETCH", Answer::Bad("Error. 11".into())))),
        ("it ends inside FETCH", lasting(Fault::InFetch { after_mails: 1, answer: Answer::Eof })),
        ("it ends inside a mail", lasting(Fault::Cut { after_bytes: 300 })),
        ("it says BYE instead of greeting", lasting(Fault::on(GREETING, bye()))),
        ("it says BYE to UID FETCH", lasting(Fault::on("UID FETCH", bye()))),
        ("it says BYE inside FETCH", lasting(Fault::InFetch { after_mails: 1, answer: bye() })),
        ("it stalls at EXAMINE", once(Fault::on("EXAMINE", Answer::Stall))),
        ("it stalls at UID FETCH", once(Fault::on("UID FETCH", Answer::Stall))),
        ("it stalls inside FETCH", once(Fault::InFetch { after_mails: 1, answer: Answer::Stall })),
        ("it stalls before IDLE begins", once(Fault::on("IDLE", Answer::Stall))),
        ("it stalls in IDLE", once(Fault::on(DONE, Answer::Stall))),
        ("it sends random bytes", lasting(Fault::on("UID FETCH", nonsense(7)))),
        ("it sends other random bytes", lasting(Fault::on("EXAMINE", nonsense(77)))),
        ("it refuses the password", lasting(Fault::LoginRefused)),
        ("it does not listen", Box::new(|servers| servers.wait(servers.imap.stop()).unwrap())),
        ("it announces 500 MB", lasting(Fault::HugeLiteral { announced_bytes: 500_000_000 })),
    ];
    at_once(rows, outage);
}

/// The parser panics on what such a mail looks like.
#[test]
fn a_mail_whose_date_the_server_does_not_know_is_read_as_if_it_had_just_come() {
    let servers = Servers::start();
    let watchdog =
        Watchdog::new(&config(&[&servers.mailbox(), &checkers(&["bresse1"], SHORT), &servers.channel()]));
    let uid = servers.report("bresse1");
    servers.imap.fault(Fault::NilInternalDate { uid });
    let daemon = watchdog.spawn_run();
    wait_for_state(&watchdog, &["bresse1"], "ok");
    servers.assert_all_kept(&watchdog);
    assert_eq!(servers.tokens(), Vec::<String>::new());
    assert_eq!(daemon.terminate(), 0);
}

fn outage(begin: &Begin) {
    let servers = Servers::start();
    let watchdog = Watchdog::new(&config(&[
        &servers.mailbox(),
        &checkers(&["bresse1", "bresse2"], SHORT),
        &servers.channel(),
    ]));
    let feeder = servers.feed(&["bresse1", "bresse2"]);
    let mut daemon = watchdog.spawn_run();
    wait_for_state(&watchdog, &["bresse1", "bresse2"], "ok");
    begin(&servers);
    // A login is refused, and a greeting comes, only on a new connection.
    servers.wait(servers.imap.drop_connections());
    servers.expect("MONITOR_Mailbox.NOK", SOON);
    sleep(SHORT_DEADLINE + Duration::from_secs(2));
    assert_eq!(servers.tokens(), ["MONITOR_Mailbox.NOK"], "while it lasts");
    servers.imap.clear_faults();
    servers.wait(servers.imap.restart()).unwrap();
    servers.expect("MONITOR_Mailbox.OK", NOTICED);
    sleep(SHORT_DEADLINE);
    drop(feeder);
    daemon.assert_running();
    assert_eq!(servers.tokens(), ["MONITOR_Mailbox.NOK", "MONITOR_Mailbox.OK"], "afterwards");
    servers.assert_all_kept(&watchdog);
    assert!(peak_memory_kib(&daemon) < MEMORY_MAX_KIB, "{} KiB", peak_memory_kib(&daemon));
    assert_eq!(daemon.terminate(), 0);
}

pub(crate) fn a_throttling_server_is_left_alone_for_as_long_as_it_asks() {
    let servers = Servers::start();
    let watchdog =
        Watchdog::new(&config(&[&servers.mailbox(), &checkers(&["bresse1"], SHORT), &servers.channel()]));
    let feeder = servers.feed(&["bresse1"]);
    let daemon = watchdog.spawn_run();
    wait_for_state(&watchdog, &["bresse1"], "ok");
    servers.imap.fault_once(Fault::on("EXAMINE", Answer::Throttled { backoff_ms: 8_000 }));
    // The deadlines that pass meanwhile ask for looks, which must not shorten the pause.
    servers.expect("MONITOR_Mailbox.NOK", SOON);
    let asked = servers.imap.commands();
    sleep(Duration::from_secs(3));
    assert_eq!(servers.imap.commands(), asked, "it asked for 8 s of peace");
    servers.expect("MONITOR_Mailbox.OK", SOON);
    drop(feeder);
    assert_eq!(servers.tokens(), ["MONITOR_Mailbox.NOK", "MONITOR_Mailbox.OK"]);
    servers.assert_all_kept(&watchdog);
    drop(daemon);
}

#[test]
fn an_outage_during_which_the_daemon_is_killed_is_one_alarm_and_one_recovery_all_the_same() {
    let servers = Servers::start();
    let watchdog =
        Watchdog::new(&config(&[&servers.mailbox(), &checkers(&["bresse1"], SHORT), &servers.channel()]));
    let feeder = servers.feed(&["bresse1"]);
    let daemon = watchdog.spawn_run();
    wait_for_state(&watchdog, &["bresse1"], "ok");
    servers.wait(servers.imap.stop()).unwrap();
    servers.expect("MONITOR_Mailbox.NOK", SOON);
    daemon.kill_9();
    let daemon = watchdog.spawn_run();
    sleep(SHORT_DEADLINE + Duration::from_secs(1));
    assert_eq!(servers.tokens(), ["MONITOR_Mailbox.NOK"]);
    servers.wait(servers.imap.restart()).unwrap();
    servers.expect("MONITOR_Mailbox.OK", SOON);
    drop(feeder);
    servers.assert_all_kept(&watchdog);
    assert_eq!(servers.tokens(), ["MONITOR_Mailbox.NOK", "MONITOR_Mailbox.OK"]);
    drop(daemon);
}
