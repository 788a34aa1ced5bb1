//! The rig tested by itself: what the other tests rely on is shown to hold.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::disallowed_methods)]

mod rig;

use std::time::{Duration, Instant};

use chrono::{DateTime, TimeDelta, Utc};
use rig::{
    Dovecot, Feeder, ImapClient, Inbox, PASSWORD, Postfix, Protocol, Report, Sink, Step, USER, submit,
    wait_for,
};

const LIMIT: Duration = Duration::from_secs(20);

fn whole_seconds_ago(seconds: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(Utc::now().timestamp() - seconds, 0).unwrap()
}

fn wait_for_messages(dovecot: &Dovecot, count: usize) {
    let arrived = || (dovecot.status("messages") == count.to_string()).then_some(());
    wait_for(LIMIT, arrived).unwrap_or_else(|| panic!("not {count} mails: {}", dovecot.status("messages")));
}

#[test]
fn dovecot_answers_over_tls_to_who_trusts_its_authority_and_knows_the_password() {
    let dovecot = Dovecot::start();
    let stranger = Dovecot::start();
    dovecot.deliver("bresse1+monitor@domain.com", &Report::new("bresse1", Utc::now()).mail());

    for connect in [
        ImapClient::connect(dovecot.imaps_port, &dovecot.ca_file),
        ImapClient::connect_starttls(dovecot.imap_port, &dovecot.ca_file),
    ] {
        let mut client = connect.expect("TLS");
        let refused = client.login(USER, "wrong").unwrap_err();
        assert!(refused.contains("AUTHENTICATIONFAILED"), "{refused}");
        client.login(USER, PASSWORD).expect("LOGIN");
        let selected = client.command("EXAMINE INBOX").unwrap();
        assert!(selected.contains("* 1 EXISTS"), "{selected}");
        let fetched = client.command("FETCH 1 (BODY.PEEK[HEADER.FIELDS (SUBJECT DELIVERED-TO)])").unwrap();
        assert!(fetched.contains("DRYRUN.OK MSSQL1_Service.OK ESHOP_Service.OK"), "{fetched}");
    }
    let refused =
        ImapClient::connect(dovecot.imaps_port, &stranger.ca_file).err().expect("a foreign authority");
    assert!(refused.contains("certificate"), "{refused}");
}

#[test]
fn an_expired_certificate_is_noticed() {
    let dovecot = Dovecot::start_with_expired_certificate();
    let refused =
        ImapClient::connect(dovecot.imaps_port, &dovecot.ca_file).err().expect("an expired certificate");
    assert!(refused.to_lowercase().contains("expired"), "{refused}");
}

#[test]
fn dovecot_stops_and_starts_again_with_the_same_ports_and_mail() {
    let mut dovecot = Dovecot::start();
    dovecot.deliver("bresse1+monitor@domain.com", &Report::new("bresse1", Utc::now()).mail());
    let port = dovecot.imaps_port;
    let mut session = dovecot.connect();
    dovecot.stop();
    assert!(session.command("NOOP").is_err(), "an open session ends with the server");
    assert!(std::net::TcpStream::connect(("127.0.0.1", port)).is_err(), "it still listens");
    dovecot.start_again();
    assert_eq!(dovecot.imaps_port, port);
    assert!(dovecot.connect().command("EXAMINE INBOX").unwrap().contains("* 1 EXISTS"));
}

#[test]
fn a_hundred_thousand_mails_are_there_in_order_with_their_dates() {
    let dovecot = Dovecot::start();
    let date = |number: i64| DateTime::from_timestamp(1_700_000_000 + number * 43, 0).unwrap();
    let started = Instant::now();
    dovecot.fill((0..100_000).map(|number| (date(number), Report::new("bresse1", date(number)).mail())));
    let took = started.elapsed();
    assert!(took < Duration::from_secs(60), "filling took {took:?}");

    let mut client = dovecot.connect();
    client.command("EXAMINE INBOX").unwrap();
    for number in [0, 1, 54_321, 99_999] {
        let command =
            format!("UID FETCH {} (INTERNALDATE RFC822.SIZE BODY.PEEK[HEADER.FIELDS (DATE)])", number + 1);
        let fetched = client.command(&command).unwrap();
        let date = date(number);
        assert!(
            fetched.contains(&date.format("INTERNALDATE \"%d-%b-%Y %H:%M:%S +0000\"").to_string()),
            "{fetched}"
        );
        assert!(fetched.contains(&date.format("Date: %a, %d %b %Y %H:%M:%S").to_string()), "{fetched}");
    }
}

#[test]
fn a_dated_mail_keeps_its_date_and_gets_the_next_uid() {
    let dovecot = Dovecot::start();
    let date = whole_seconds_ago(7200);
    dovecot.fill([(date - TimeDelta::days(1), Report::new("bresse1", date).mail())]);
    dovecot.deliver_dated(&Report::new("bresse1", date).mail(), date);
    let mut client = dovecot.connect();
    client.command("EXAMINE INBOX").unwrap();
    let fetched = client.command("UID FETCH 2 (INTERNALDATE)").unwrap();
    assert!(fetched.contains(&date.format("%d-%b-%Y %H:%M:%S +0000").to_string()), "{fetched}");
}

fn before_and_now_differ(before: &str, dovecot: &Dovecot, what: &str) -> String {
    let now = dovecot.snapshot();
    assert_ne!(before, now, "not noticed: {what}");
    now
}

#[test]
fn a_snapshot_stays_when_the_mailbox_is_only_read_and_changes_with_anything_more() {
    let dovecot = Dovecot::start();
    for _ in 0..2 {
        dovecot.deliver("bresse1+monitor@domain.com", &Report::new("bresse1", Utc::now()).mail());
    }
    let before = dovecot.snapshot();
    assert_eq!(before, dovecot.snapshot());

    let mut client = dovecot.connect();
    client.command("EXAMINE INBOX").unwrap();
    client.command("UID FETCH 1:* (FLAGS INTERNALDATE BODY.PEEK[])").unwrap();
    client.command("LOGOUT").unwrap();
    assert_eq!(before, dovecot.snapshot(), "reading changes nothing");

    let mut client = dovecot.connect();
    client.command("SELECT INBOX").unwrap();
    client.command("LOGOUT").unwrap();
    let before = before_and_now_differ(&before, &dovecot, "SELECT takes \\Recent away");

    // A flag that is set and taken away leaves only its trace in HIGHESTMODSEQ.
    let mut client = dovecot.connect();
    client.command("SELECT INBOX").unwrap();
    client.command("UID STORE 1 +FLAGS (\\Seen)").unwrap();
    before_and_now_differ(&before, &dovecot, "a flag");
    client.command("UID STORE 1 -FLAGS (\\Seen)").unwrap();
    before_and_now_differ(&before, &dovecot, "a flag that was there for a moment");
}

#[test]
fn postfix_delivers_by_lmtp_and_keeps_what_is_held() {
    let dovecot = Dovecot::start();
    let postfix = Postfix::relaying_to(&dovecot);
    let send = || {
        let report = Report::new("bresse1", Utc::now());
        postfix.submit(&report.from(), &report.to(), &report.mail()).unwrap();
    };
    send();
    wait_for_messages(&dovecot, 1);

    postfix.hold();
    send();
    std::thread::sleep(Duration::from_secs(3));
    assert_eq!(dovecot.status("messages"), "1", "a held mail was delivered");
    postfix.release();
    wait_for_messages(&dovecot, 2);
    send();
    wait_for_messages(&dovecot, 3);
}

#[test]
fn postfix_delivers_what_dovecot_could_not_take_soon_after_it_is_back() {
    let mut dovecot = Dovecot::start();
    let postfix = Postfix::relaying_to(&dovecot);
    dovecot.stop();
    let report = Report::new("bresse1", Utc::now());
    postfix.submit(&report.from(), &report.to(), &report.mail()).unwrap();
    std::thread::sleep(Duration::from_secs(3));
    dovecot.start_again();
    let started = Instant::now();
    wait_for_messages(&dovecot, 1);
    assert!(started.elapsed() < Duration::from_secs(8), "it took {:?}", started.elapsed());
}

#[test]
fn a_second_postfix_delivers_into_a_maildir_and_relays_for_nobody_else() {
    let postfix = Postfix::into_maildir();
    let mail = b"From: a@b.example\r\nSubject: bresse1_Checker.NOK is silent\r\n\r\nBody.\r\n";
    postfix.submit("a@b.example", "oncall@elsewhere.example", mail).unwrap();
    let mail = postfix.wait_for_token("bresse1_Checker.NOK", LIMIT);
    assert_eq!(mail.recipients, ["oncall@elsewhere.example"]);
    assert_eq!(postfix.tokens(), ["bresse1_Checker.NOK"]);
    assert!(postfix.submit("a@b.example", "oncall@third.example", b"Subject: x\r\n\r\n").is_err());
}

#[test]
fn the_sink_keeps_mails_as_they_were_sent() {
    let sink = Sink::start();
    let raw = b"Subject: =?utf-8?q?bresse1=5FChecker=2EOK_again?=\r\n\r\n.dot\r\n..\r\n";
    submit(Protocol::Smtp, sink.port, "a@b.example", "oncall@elsewhere.example", raw).unwrap();
    let mails = sink.mails();
    assert_eq!(mails.len(), 1);
    assert_eq!(mails[0].raw, raw);
    assert_eq!(mails[0].recipients, ["oncall@elsewhere.example"]);
    assert_eq!(
        (mails[0].token().as_str(), mails[0].body().as_str()),
        ("bresse1_Checker.OK", ".dot\r\n..\r\n")
    );
    mails[0].assert_nothing_says_nok();
}

#[test]
fn the_sink_stops_a_client_at_each_step_and_keeps_only_what_it_accepted() {
    use Step::{AfterAccepting, BeforeAccepting, Connected, Data, Recipient, Sender};
    for step in [Connected, Sender, Recipient, Data, BeforeAccepting, AfterAccepting] {
        let sink = Sink::start();
        let port = sink.port;
        sink.pause_at(step);
        let client =
            std::thread::spawn(move || submit(Protocol::Smtp, port, "a@b", "c@d", b"Subject: x\r\n\r\n"));
        assert!(sink.wait_until_paused(LIMIT), "{step:?} was not reached");
        sink.drop_paused();
        assert_eq!(client.join().unwrap().is_ok(), step == AfterAccepting, "{step:?}");
        assert_eq!(sink.mails().len(), usize::from(step == AfterAccepting), "{step:?}");
        // Only one client is stopped.
        submit(Protocol::Smtp, port, "a@b", "c@d", b"Subject: y\r\n\r\n").unwrap();
    }
}

#[test]
#[should_panic(expected = "a filter on NOK finds this mail")]
fn a_nok_hidden_in_an_encoded_header_is_found() {
    let raw = b"Subject: fine.OK\r\nX-Note: =?utf-8?b?bm9r?=\r\n\r\nGood.\r\n".to_vec();
    rig::AlarmMail { recipients: Vec::new(), raw }.assert_nothing_says_nok();
}

#[test]
fn the_feeder_reports_until_a_checker_is_silenced() {
    let sink = Sink::start();
    let port = sink.port;
    let deliver =
        move |report: &Report| submit(Protocol::Smtp, port, &report.from(), &report.to(), &report.mail());
    let feeder = Feeder::start(&["bresse1", "bresse2"], Duration::from_millis(50), deliver);
    let count = |name: &str| {
        sink.mails().iter().filter(|mail| mail.recipients[0].starts_with(&format!("{name}+monitor@"))).count()
    };
    wait_for(LIMIT, || (count("bresse1") > 1 && count("bresse2") > 1).then_some(())).expect("both report");
    feeder.silence("bresse2");
    feeder.find_nok("bresse1", "ESHOP_Service");
    let (first, second) = (count("bresse1"), count("bresse2"));
    wait_for(LIMIT, || (count("bresse1") > first + 1).then_some(())).expect("the other goes on");
    assert_eq!(count("bresse2"), second);
    let last = sink.mails().pop().unwrap();
    assert_eq!(last.subject(), "DRYRUN.OK MSSQL1_Service.OK ESHOP_Service.NOK");
    feeder.revive("bresse2");
    wait_for(LIMIT, || (count("bresse2") > second).then_some(())).expect("the silenced one reports again");
}
