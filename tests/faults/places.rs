//! Several folders and several mailboxes.

use std::thread::sleep;
use std::time::Duration;

use bresse_watchdog::testbed::MailStore;
use bresse_watchdog::testbed::imap::{ImapOptions, ImapServer};
use chrono::Utc;

use crate::rig::{Feeder, PASSWORD, Report, USER, Watchdog};
use crate::world::{
    SHORT, SHORT_DEADLINE, SOON, Servers, USUAL, assert_kept, checkers, config, mailbox, message_ids,
    state_of, wait_for_state,
};

#[test]
fn every_folder_is_read_also_one_with_an_umlaut_and_a_mail_that_is_moved_counts_once() {
    let servers = Servers::start();
    // RFC 3501, section 5.1.3: modified UTF-7.
    let umlaut = "&ANw-berwachung & Alarme".replace(" & ", " &- ");
    let read = mailbox(&servers.imap, "folders = [\"INBOX\", \"Überwachung & Alarme\"]");
    let watchdog =
        Watchdog::new(&config(&[&read, &checkers(&["bresse1", "bresse2"], USUAL), &servers.channel()]));
    servers.report("bresse1");
    let there = Report::new("bresse2", Utc::now()).mail();
    servers.mails.append(&umlaut, there.clone(), Utc::now());
    let daemon = watchdog.spawn_run();
    wait_for_state(&watchdog, &["bresse1", "bresse2"], "ok");
    // IDLE sees the first folder only; the second is found by the poll.
    let later = Report::new("bresse2", Utc::now()).mail();
    let uid = servers.mails.append(&umlaut, later.clone(), Utc::now());
    let mut expected = message_ids(&servers.mails, "INBOX");
    expected.extend(message_ids(&servers.mails, &umlaut));
    assert_kept(&state_of(&watchdog), &expected);
    servers.mails.append("INBOX", later, Utc::now());
    assert!(servers.mails.expunge(&umlaut, uid));
    servers.report("bresse1");
    expected.extend(message_ids(&servers.mails, "INBOX").last().cloned());
    assert_kept(&state_of(&watchdog), &expected);
    assert_eq!(servers.tokens(), Vec::<String>::new());
    assert!(servers.mails.changing_commands().is_empty());
    drop(daemon);
}

pub(crate) fn a_folder_that_does_not_exist_is_named_with_those_that_do() {
    let servers = Servers::start();
    servers.mails.create("Archive");
    let read = mailbox(&servers.imap, "folders = [\"Monitoring\"]");
    let watchdog = Watchdog::new(&config(&[&read, &checkers(&["bresse1"], USUAL), &servers.channel()]));
    let once = watchdog.run(&["once"]);
    assert_eq!(once.status, 3, "{once:?}");
    assert!(once.stderr.contains("Monitoring") && once.stderr.contains("Archive"), "{}", once.stderr);
    assert_eq!(servers.tokens(), ["MONITOR_Mailbox.NOK"]);
}

/// A second mailbox beside that of the servers.
fn second(servers: &Servers) -> (MailStore, ImapServer) {
    servers.wait(async {
        let mails = MailStore::new();
        let imap = ImapServer::start(ImapOptions::new(mails.clone(), USER, PASSWORD)).unwrap();
        (mails, imap)
    })
}

pub(crate) fn a_checker_is_heard_through_both_mailboxes_and_one_blind_does_not_make_it_silent() {
    let servers = Servers::start();
    let (right_mails, right) = second(&servers);
    let both = [mailbox(&servers.imap, "name = \"left\""), mailbox(&right, "name = \"right\"")].concat();
    let watchdog =
        Watchdog::new(&config(&[&both, &checkers(&["bresse1", "bresse2"], SHORT), &servers.channel()]));
    let left_mails = servers.mails.clone();
    let into_right = right_mails.clone();
    // bresse1 writes to both, bresse2 to the left one only.
    let feeder = Feeder::start(&["bresse1", "bresse2"], Duration::from_millis(500), move |report| {
        let mail = report.mail();
        if report.to().starts_with("bresse1") {
            into_right.append("INBOX", mail.clone(), Utc::now());
        }
        left_mails.append("INBOX", mail, Utc::now());
        Ok(())
    });
    let daemon = watchdog.spawn_run();
    wait_for_state(&watchdog, &["bresse1", "bresse2"], "ok");
    servers.wait(servers.imap.stop()).unwrap();
    servers.expect("left_Mailbox.NOK", SOON);
    sleep(SHORT_DEADLINE + Duration::from_secs(1));
    assert_eq!(servers.tokens(), ["left_Mailbox.NOK"]);
    wait_for_state(&watchdog, &["bresse1"], "ok");
    wait_for_state(&watchdog, &["bresse2"], "blind");
    // What is heard through the other mailbox is still judged.
    feeder.silence("bresse1");
    servers.expect("bresse1_Checker.NOK", SOON);
    feeder.revive("bresse1");
    servers.expect("bresse1_Checker.OK", SOON);
    servers.wait(servers.imap.restart()).unwrap();
    // The pause between two tries has grown meanwhile.
    servers.expect("left_Mailbox.OK", Duration::from_secs(50));
    wait_for_state(&watchdog, &["bresse1", "bresse2"], "ok");
    drop(feeder);
    assert_eq!(
        servers.tokens(),
        ["left_Mailbox.NOK", "bresse1_Checker.NOK", "bresse1_Checker.OK", "left_Mailbox.OK"]
    );
    assert_kept(&state_of(&watchdog), &message_ids(&servers.mails, "INBOX"));
    assert!(right_mails.changing_commands().is_empty());
    drop(daemon);
}
