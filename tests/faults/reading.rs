//! What is odd but readable goes unnoticed: no alarm, no mail lost or doubled.

use std::thread::sleep;
use std::time::Duration;

use bresse_watchdog::testbed::imap::{Answer, Fault};
use chrono::{TimeDelta, Utc};
use serde_json::Value;

use crate::rig::{Report, Watchdog, wait_for};
use crate::world::{
    SHORT, SHORT_DEADLINE, SOON, Servers, USUAL, assert_kept, at_once, checkers, config, kept, message_ids,
    state_of, wait_for_state,
};

type Oddity = Box<dyn Fn(&Servers) + Send>;

fn lasting(fault: Fault) -> Oddity {
    Box::new(move |servers| servers.imap.fault(fault.clone()))
}

fn once(fault: Fault) -> Oddity {
    Box::new(move |servers| servers.imap.fault_once(fault.clone()))
}

#[test]
fn oddities_of_servers_are_no_outage() {
    let unknown = || Answer::Before("* XNOTIFY 42 (MAILBOX \"INBOX\") {not a literal".to_owned());
    let rows: Vec<(&str, Oddity)> = vec![
        ("one byte at a time", lasting(Fault::Chunked { bytes: 1, pause: Duration::ZERO })),
        (
            "one mail without INTERNALDATE, once",
            Box::new(|servers| {
                let uid = servers.report("bresse1") + 3;
                servers.imap.fault_once(Fault::NilInternalDate { uid });
            }),
        ),
        ("it ends inside FETCH, once", once(Fault::InFetch { after_mails: 1, answer: Answer::Eof })),
        ("IDLE is refused", lasting(Fault::on("IDLE", Answer::No("Not now".to_owned())))),
        ("IDLE never pushes", lasting(Fault::IdleDead)),
        ("IDLE begins with a burst", lasting(Fault::IdleBurst { lines: 200 })),
        ("EXAMINE is answered with unknown data", lasting(Fault::on("EXAMINE", unknown()))),
        ("UID FETCH is answered with unknown data", lasting(Fault::on("UID FETCH", unknown()))),
        (
            "FETCH is interspersed with unknown data",
            lasting(Fault::InFetch { after_mails: 1, answer: unknown() }),
        ),
        ("IDLE is answered with unknown data", lasting(Fault::on("IDLE", unknown()))),
        ("the folder is renumbered", Box::new(|servers| servers.mails.set_uidvalidity("INBOX", 77))),
        (
            "the folder is renumbered again and again",
            Box::new(|servers| {
                // Each ends the connection. Over before it is made again: two pauses between tries are longer than `blind_after`.
                for uidvalidity in 100..105 {
                    servers.mails.set_uidvalidity("INBOX", uidvalidity);
                    sleep(Duration::from_millis(150));
                }
            }),
        ),
        ("the connection breaks", Box::new(|servers| servers.wait(servers.imap.drop_connections()))),
    ];
    at_once(rows, oddity);
}

fn oddity(begin: &Oddity) {
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
    sleep(SHORT_DEADLINE + Duration::from_secs(2));
    daemon.assert_running();
    wait_for_state(&watchdog, &["bresse1", "bresse2"], "ok");
    drop(feeder);
    servers.assert_all_kept(&watchdog);
    assert_eq!(servers.tokens(), Vec::<String>::new());
}

#[test]
fn what_is_deleted_from_the_mailbox_stays_known_and_what_comes_then_is_read() {
    let servers = Servers::start();
    let watchdog =
        Watchdog::new(&config(&[&servers.mailbox(), &checkers(&["bresse1"], USUAL), &servers.channel()]));
    let first: Vec<u32> = (0..20).map(|_| servers.report("bresse1")).collect();
    let mut expected = message_ids(&servers.mails, "INBOX");
    let daemon = watchdog.spawn_run();
    assert_kept(&state_of(&watchdog), &expected);
    first.iter().for_each(|uid| assert!(servers.mails.expunge("INBOX", *uid)));
    for _ in 0..5 {
        servers.report("bresse1");
        sleep(Duration::from_millis(100));
    }
    expected.extend(message_ids(&servers.mails, "INBOX"));
    assert_kept(&state_of(&watchdog), &expected);
    assert_eq!(servers.tokens(), Vec::<String>::new());
    drop(daemon);
}

#[test]
fn a_mail_whose_text_the_server_withholds_hides_no_other() {
    let servers = Servers::start();
    let watchdog =
        Watchdog::new(&config(&[&servers.mailbox(), &checkers(&["bresse1"], USUAL), &servers.channel()]));
    (0..5).for_each(|_| {
        servers.report("bresse1");
    });
    servers.imap.fault(Fault::NilBody { uid: 3 });
    let daemon = watchdog.spawn_run();
    let mut expected = message_ids(&servers.mails, "INBOX");
    expected.remove(2);
    assert_kept(&state_of(&watchdog), &expected);
    assert!(daemon.log().contains("without their text"), "{}", daemon.log());
    drop(daemon);
}

#[test]
fn a_connection_that_breaks_after_any_number_of_mails_costs_and_doubles_none() {
    let servers = Servers::start();
    let watchdog =
        Watchdog::new(&config(&[&servers.mailbox(), &checkers(&["bresse1"], USUAL), &servers.channel()]));
    (0..8).for_each(|_| {
        servers.report("bresse1");
    });
    (0..=8).for_each(|after_mails| {
        servers.imap.fault_once(Fault::InFetch { after_mails, answer: Answer::Eof });
    });
    // Too few tries fit between two long pauses; each start tries at once.
    let state = state_of(&watchdog);
    let expected = message_ids(&servers.mails, "INBOX");
    for _ in 0..12 {
        let daemon = watchdog.spawn_run();
        let done = wait_for(Duration::from_secs(1), || (kept(&state).len() == expected.len()).then_some(()));
        daemon.kill_9();
        if done.is_some() {
            break;
        }
    }
    assert_kept(&state, &expected);
}

fn service(seen: &Value, name: &str) -> Value {
    let services = seen["services"].as_array().unwrap();
    services.iter().find(|service| service["name"] == name).unwrap()["result"].clone()
}

/// A report whose results stand behind so many bytes.
fn long_report(checker: &str, padding: usize) -> Vec<u8> {
    let report = String::from_utf8(Report::new(checker, Utc::now()).mail()).unwrap();
    let (head, _) = report.split_once("\r\n\r\n").unwrap();
    let head = head.replace("DRYRUN.OK MSSQL1_Service.OK ESHOP_Service.OK", "DRYRUN.OK MSSQL1_Service.OK");
    let line = format!("{}\r\n", "all the rows of a long answer ".repeat(2));
    let body = line.repeat(padding / line.len() + 1);
    format!("{head}\r\n\r\n{body}ESHOP_Service.OK\r\n").into_bytes()
}

#[test]
fn a_token_behind_64_kib_is_read_and_one_behind_1_mib_is_unknown_but_not_missing() {
    let servers = Servers::start();
    let watchdog = Watchdog::new(&config(&[
        &servers.mailbox(),
        &checkers(&["bresse1", "bresse2"], USUAL),
        &servers.channel(),
    ]));
    servers.mails.append("INBOX", long_report("bresse1", 70_000), Utc::now());
    servers.mails.append("INBOX", long_report("bresse2", 1_200_000), Utc::now());
    let once = watchdog.run(&["once"]);
    let (first, second) = (watchdog.checker("bresse1"), watchdog.checker("bresse2"));
    assert_eq!(service(&first, "ESHOP_Service"), "OK");
    assert_eq!(service(&second, "MSSQL1_Service"), "OK");
    assert_eq!(service(&second, "ESHOP_Service"), "UNKNOWN");
    assert_eq!(servers.tokens(), Vec::<String>::new());
    assert_eq!(once.status, 1, "what was cut off is said: {once:?}");
    servers.assert_all_kept(&watchdog);
}

/// `count` reports of these checkers in turn, the newest just now, one cycle apart.
fn history(servers: &Servers, count: usize, names: &[String]) {
    let now = Utc::now();
    for run in (0..count / names.len()).rev() {
        for name in names {
            let at = now - TimeDelta::minutes(5) * i32::try_from(run).unwrap();
            servers.deliver(&Report::new(name, at), at);
        }
    }
}

#[test]
fn a_mailbox_of_20000_mails_tells_who_lives_before_it_is_read_and_survives_a_kill_in_the_middle() {
    let servers = Servers::start();
    let living: Vec<String> = (1..=9).map(|number| format!("bresse{number}")).collect();
    // It died long ago: its last mail lies below everything else.
    let died = Utc::now() - TimeDelta::days(30);
    servers.deliver(&Report::new("bresse10", died), died);
    history(&servers, 20_000, &living);
    let names: Vec<&str> = living.iter().map(String::as_str).chain(["bresse10"]).collect();
    // An unoptimised build on a busy machine may take longer than 3 s for what it has read.
    let mailbox = servers.mailbox().replace("blind_after = \"3s\"", "blind_after = \"2m\"");
    let watchdog = Watchdog::new(&config(&[&mailbox, &checkers(&names, USUAL), &servers.channel()]));
    // About 8 s for all of it.
    servers.imap.fault(Fault::Chunked { bytes: 16 << 10, pause: Duration::from_millis(5) });
    let daemon = watchdog.spawn_run();
    let state = state_of(&watchdog);
    let early = || {
        let seen = watchdog.run(&["last-seen", "--format", "json"]);
        let table: Value = serde_json::from_str(&seen.stdout).ok()?;
        let right = |checker: &&Value| {
            let wanted = if checker["name"] == "bresse10" { "waiting" } else { "ok" };
            checker["state"] == wanted
        };
        (table["checkers"].as_array()?.iter().filter(right).count() == 10).then_some(table)
    };
    let table = wait_for(SOON, early).unwrap_or_else(|| panic!("{:#}", watchdog.last_seen()));
    assert_eq!(table["provisional"], true, "known before the history was");
    let middle = || (kept(&state).len() > 4_000).then_some(());
    wait_for(SOON, middle).expect("more of the history");
    daemon.kill_9();
    let so_far = kept(&state).len();
    assert!(so_far < 20_000, "the kill came too late to be in the middle: {so_far}");
    servers.imap.clear_faults();
    let daemon = watchdog.spawn_run();
    servers.assert_all_kept(&watchdog);
    servers.expect("bresse10_Checker.NOK", 3 * SOON);
    wait_for(SOON, || (watchdog.last_seen()["provisional"] == false).then_some(())).expect("the end");
    let dead = watchdog.checker("bresse10");
    assert_eq!(dead["last_received"], died.format("%Y-%m-%dT%H:%M:%SZ").to_string());
    assert_eq!(servers.tokens(), ["bresse10_Checker.NOK"]);
    drop(daemon);
}

/// How full a mailbox is must not decide whether it can be read.
#[test]
fn what_a_server_says_of_its_quota_is_no_outage() {
    let said = |text: &str| -> Oddity {
        let text = text.to_owned();
        Box::new(move |servers| servers.imap.set_quota(&text))
    };
    let rows: Vec<(&str, Oddity)> = vec![
        ("nothing", said("")),
        ("nesting", said(&format!("* QUOTA \"\" {}\r\n", "(".repeat(200)))),
        ("no numbers", said("* QUOTA \"\" (STORAGE much more)\r\n* QUOTA\r\n* QUOTA {3\r\n* STATUS x\r\n")),
        ("numbers beyond all", said("* QUOTA x (STORAGE 99999999999999999999999 1 MESSAGE -1 -1)\r\n")),
        ("far too much", said(&"* QUOTA \"\" (STORAGE 1 0)\r\n".repeat(100_000))),
        ("no limit", said("* QUOTA \"\" (STORAGE 7 0 MESSAGE 7 0)\r\n* QUOTAROOT INBOX \"\"\r\n")),
        ("no", lasting(Fault::on("GETQUOTAROOT", Answer::No("[NOPERM] not yours".to_owned())))),
        ("bad", lasting(Fault::on("GETQUOTAROOT", Answer::Bad("what?".to_owned())))),
        ("an end", lasting(Fault::on("GETQUOTAROOT", Answer::Eof))),
        ("a byte that is none", lasting(Fault::on("GETQUOTAROOT", Answer::Bytes(b"* (\xff\r\n".to_vec())))),
    ];
    at_once(rows, |begin: &Oddity| {
        let servers = Servers::start_with(&["QUOTA"]);
        begin(&servers);
        let watchdog =
            Watchdog::new(&config(&[&servers.mailbox(), &checkers(&["bresse1"], USUAL), &servers.channel()]));
        servers.report("bresse1");
        let mut daemon = watchdog.spawn_run();
        wait_for_state(&watchdog, &["bresse1"], "ok");
        assert!(servers.wait(servers.imap.wait_for("GETQUOTAROOT", 1, SOON)), "it is asked");
        servers.report("bresse1");
        servers.assert_all_kept(&watchdog);
        assert_eq!(watchdog.last_seen()["mailboxes"][0]["fullness"], Value::Null);
        assert_eq!(servers.tokens(), Vec::<String>::new());
        daemon.assert_running();
    });
}
