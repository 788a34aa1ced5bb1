use chrono::TimeDelta;
use secrecy::SecretString;

use super::super::peer::{SILENCE, session};
use super::super::session::Capabilities;
use super::*;
use crate::config::{Login, Secret, Server, Tls};
use crate::fullness::Limits;

fn mailbox(folders: &[&str], limits: Limits) -> Mailbox {
    let (host, tls) = ("127.0.0.1".to_owned(), Tls::Plain);
    Mailbox {
        name: "MONITOR".to_owned(),
        server: Server { host, port: 1, tls, ca_file: None, pin_sha256: None },
        user: "me@x".to_owned(),
        login: Login::Password(Secret::Value(SecretString::from("hunter2"))),
        folders: folders.iter().map(|folder| (*folder).to_owned()).collect(),
        junk: None,
        poll: TimeDelta::seconds(60),
        blind_after: TimeDelta::seconds(180),
        limits,
        provider: None,
    }
}

/// A session with a server that offers `capabilities` and is asked what `script` expects.
async fn session_with(capabilities: &str, script: &[(&str, &str)]) -> Session {
    let offer = format!("* CAPABILITY IMAP4rev1 {capabilities}\r\nTAG OK done\r\n");
    let whole: Vec<(&str, &str)> =
        [("CAPABILITY", offer.as_str())].into_iter().chain(script.iter().copied()).collect();
    let mut session = session(&whole);
    session.capabilities = Capabilities::ask(&mut session.wire).await.unwrap();
    session
}

fn limits(size: Option<u64>, messages: Option<u64>) -> Limits {
    Limits { size, messages }
}

type Seen = Option<(u64, u64, Source)>;

fn seen(usage: Option<Usage>) -> Seen {
    usage.map(|usage| (usage.used, usage.limit, usage.source))
}

#[tokio::test]
async fn the_servers_quota_comes_first_and_configured_limits_fill_its_gaps() {
    use Source::{Configured, Quota};
    let quota = "* QUOTA \"\" (STORAGE 97 100)\r\nTAG OK done\r\n";
    let size = "* STATUS INBOX (SIZE 5000)\r\nTAG OK done\r\n";
    let (ask_quota, ask_size) = ("GETQUOTAROOT \"INBOX\"", "STATUS \"INBOX\" (SIZE)");
    type Script<'a> = &'a [(&'a str, &'a str)];
    let cases: &[(&str, Limits, Script<'_>, Seen, Seen)] = &[
        ("QUOTA", limits(None, None), &[(ask_quota, quota)], Some((99_328, 102_400, Quota)), None),
        (
            "QUOTA STATUS=SIZE",
            limits(Some(1), Some(100)),
            &[(ask_quota, quota)],
            Some((99_328, 102_400, Quota)),
            Some((12, 100, Configured)),
        ),
        ("STATUS=SIZE", limits(Some(6000), None), &[(ask_size, size)], Some((5000, 6000, Configured)), None),
        (
            "QUOTA STATUS=SIZE",
            limits(Some(6000), None),
            &[(ask_quota, "TAG NO not for you\r\n"), (ask_size, size)],
            Some((5000, 6000, Configured)),
            None,
        ),
        ("QUOTA", limits(None, None), &[(ask_quota, "* QUOTA \"\" (((\r\nTAG OK done\r\n")], None, None),
        ("STATUS=SIZE", limits(Some(6000), None), &[(ask_size, "TAG BAD what?\r\n")], None, None),
        ("", limits(Some(6000), Some(10)), &[], None, Some((12, 10, Configured))),
        ("", limits(None, None), &[], None, None),
    ];
    for (capabilities, limits, script, storage, messages) in cases {
        let mut session = session_with(capabilities, script).await;
        let mut gauge = Gauge::default();
        gauge.counted("INBOX", 12);
        let mailbox = mailbox(&["INBOX"], *limits);
        let found = gauge.measure(&mut session, &mailbox).await.unwrap().expect("it is time");
        let (found_storage, found_messages) =
            found.map_or((None, None), |found| (seen(found.storage), seen(found.messages)));
        assert_eq!((found_storage, found_messages), (*storage, *messages), "{capabilities} {limits:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn it_is_not_measured_with_every_look() {
    let answer = "* QUOTA \"\" (STORAGE 1 100)\r\nTAG OK done\r\n";
    let mut session = session_with("QUOTA", &[("GETQUOTAROOT", answer), ("GETQUOTAROOT", answer)]).await;
    let (mut gauge, mailbox) = (Gauge::default(), mailbox(&["INBOX"], Limits::default()));
    assert!(gauge.measure(&mut session, &mailbox).await.unwrap().is_some());
    assert!(gauge.measure(&mut session, &mailbox).await.unwrap().is_none());
    tokio::time::advance(MEASURE_EVERY).await;
    assert!(gauge.measure(&mut session, &mailbox).await.unwrap().is_some());
}

#[tokio::test(start_paused = true)]
async fn a_server_that_hangs_over_it_is_left_in_peace_for_a_while() {
    let mailbox = mailbox(&["INBOX"], limits(Some(1000), None));
    let mut gauge = Gauge::default();
    let mut hanging = session_with("QUOTA", &[("GETQUOTAROOT", SILENCE)]).await;
    assert!(gauge.measure(&mut hanging, &mailbox).await.is_err());

    let size = "* STATUS INBOX (SIZE 1)\r\nTAG OK done\r\n";
    let mut fresh = session_with("STATUS=SIZE", &[("STATUS", size)]).await;
    tokio::time::advance(MEASURE_EVERY * 2).await;
    assert!(gauge.measure(&mut fresh, &mailbox).await.unwrap().is_none());
    assert_eq!(gauge.unweighed(&session(&[]), &mailbox), None);
    tokio::time::advance(PAUSE_AFTER_TROUBLE).await;
    assert!(gauge.measure(&mut fresh, &mailbox).await.unwrap().is_some());
}

#[tokio::test(start_paused = true)]
async fn where_nothing_tells_the_size_all_mails_are_weighed_in_parts_once_a_day() {
    let one = |number: u32| format!("* {number} FETCH (RFC822.SIZE 600)\r\n");
    let part = |first: u32, last: u32| (first..=last).map(one).collect::<String>() + "TAG OK done\r\n";
    let (inbox, rest, archive) = (part(1, 10_000), part(10_001, 12_000), part(1, 3));
    let mut session = session_with(
        "IDLE",
        &[
            ("FETCH 1:3 (RFC822.SIZE)", &archive),
            ("FETCH 1:10000 (RFC822.SIZE)", &inbox),
            ("FETCH 10001:12000 (RFC822.SIZE)", &rest),
        ],
    )
    .await;
    let mailbox = mailbox(&["INBOX", "Archive"], limits(Some(10_000_000), None));
    let mut gauge = Gauge::default();
    gauge.counted("INBOX", 12_000);
    gauge.counted("Archive", 3);
    let mut weighed = Vec::new();
    while let Some(folder) = gauge.unweighed(&session, &mailbox) {
        weighed.push(folder);
        assert_eq!(gauge.measure_now(&mut session, &mailbox).await.unwrap(), None, "a part is no sum");
        gauge.weigh(&mut session, folder).await.unwrap();
    }
    assert_eq!(weighed, ["Archive", "INBOX", "INBOX"], "the folder that stays selected comes last");

    let used = async |gauge: &mut Gauge, session: &mut Session| {
        gauge.measure_now(session, &mailbox).await.unwrap().unwrap().storage.unwrap().used
    };
    assert_eq!(used(&mut gauge, &mut session).await, 12_003 * 600);
    // Until the next weighing the sum follows the count.
    gauge.counted("INBOX", 6_000);
    assert_eq!(used(&mut gauge, &mut session).await, 6_003 * 600);
    tokio::time::advance(WEIGH_EVERY).await;
    assert_eq!(gauge.unweighed(&session, &mailbox), Some("Archive"));
}

#[tokio::test]
async fn a_server_that_tells_no_sizes_is_asked_once_and_is_no_empty_mailbox() {
    for answer in ["TAG NO gone\r\n", "* 1 FETCH (FLAGS ())\r\nTAG OK done\r\n"] {
        let mut session = session_with("IDLE", &[("FETCH 1:10000 (RFC822.SIZE)", answer)]).await;
        let mailbox = mailbox(&["INBOX", "Empty"], limits(Some(1000), None));
        let mut gauge = Gauge::default();
        gauge.counted("INBOX", 40_000);
        gauge.counted("Empty", 0);
        while let Some(folder) = gauge.unweighed(&session, &mailbox) {
            gauge.weigh(&mut session, folder).await.unwrap();
        }
        assert_eq!(gauge.measure_now(&mut session, &mailbox).await.unwrap(), None, "{answer:?}");
    }
}
