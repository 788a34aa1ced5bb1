use std::collections::BTreeSet;

use chrono::TimeDelta;
use secrecy::SecretString;
use tokio::time::timeout;

use super::super::peer::{Contents, Fault, Peer};
use super::windows::{BATCH_BYTES_MAX, BATCH_MAILS_MAX};
use super::*;
use crate::config::{Secret, Server, Tls};
use crate::fullness::{Fullness, Limits, Source};

mod junk;
mod panics;
mod windows;

fn mailbox(port: u16, folders: &[&str], poll: TimeDelta) -> Mailbox {
    Mailbox {
        name: "MONITOR".to_owned(),
        server: Server {
            host: "127.0.0.1".to_owned(),
            port,
            tls: Tls::Plain,
            ca_file: None,
            pin_sha256: None,
        },
        user: "me@x".to_owned(),
        login: Login::Password(Secret::Value(SecretString::from("hunter2"))),
        folders: folders.iter().map(|folder| (*folder).to_owned()).collect(),
        junk: None,
        poll,
        blind_after: TimeDelta::seconds(180),
        limits: Limits::default(),
        provider: None,
    }
}

/// A reader under test and all it has told.
struct Watch {
    events: mpsc::Receiver<Event<RawMail>>,
    requests: Arc<Notify>,
    task: JoinHandle<()>,
    /// In the order in which they came, by folder.
    uids: Vec<(String, u32)>,
    cursors: BTreeMap<String, Cursor>,
    failures: Vec<String>,
    /// What was told of the Junk folder.
    junk: Vec<Option<String>>,
    fullness: Vec<Option<Fullness>>,
}

impl Watch {
    fn start(peer: &Peer, folders: &[&str], poll: TimeDelta, cursors: BTreeMap<String, Cursor>) -> Self {
        Self::of(mailbox(peer.port, folders, poll), cursors)
    }

    fn of(mailbox: Mailbox, cursors: BTreeMap<String, Cursor>) -> Self {
        let (sender, events) = mpsc::channel(4);
        let requests = Arc::new(Notify::new());
        let task = spawn(mailbox, cursors.clone(), sender, Arc::clone(&requests), |_, mail| Some(mail));
        let (uids, failures, junk, fullness) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        Self { events, requests, task, uids, cursors, failures, junk, fullness }
    }

    fn inbox(peer: &Peer) -> Self {
        Self::start(peer, &["INBOX"], TimeDelta::seconds(3600), BTreeMap::new())
    }

    /// Takes events up to and including the next look; checks each cursor against the mails it comes with.
    async fn look(&mut self) -> History {
        loop {
            let event =
                timeout(Duration::from_secs(20), self.events.recv()).await.expect("no look within 20 s");
            match event.expect("the reader has ended") {
                Event::Mails { folder, mails, cursor, .. } => {
                    let bytes: usize = mails.iter().map(|mail| mail.bytes.len()).sum();
                    assert!(mails.len() <= BATCH_MAILS_MAX && (mails.len() == 1 || bytes <= BATCH_BYTES_MAX));
                    assert!(
                        mails.iter().all(|mail| (cursor.low..=cursor.high).contains(&mail.uid)),
                        "{cursor:?}"
                    );
                    if let Some(before) = self.cursors.get(&folder)
                        && before.uidvalidity == cursor.uidvalidity
                    {
                        // What a stored cursor covers would not be read again after a crash.
                        assert!(
                            mails.iter().all(|mail| !(before.low..=before.high).contains(&mail.uid)),
                            "{before:?}"
                        );
                    }
                    self.uids.extend(mails.iter().map(|mail| (folder.clone(), mail.uid)));
                    self.cursors.insert(folder, cursor);
                }
                Event::Looked { history, .. } => return history,
                Event::Measured { fullness, .. } => self.fullness.push(fullness),
                Event::Certificate { .. } => {}
                Event::Failed { error, .. } => self.failures.push(error),
                Event::Junk { error, .. } => self.junk.push(error),
            }
        }
    }

    async fn complete(&mut self) {
        while self.look().await == History::Filling {}
    }

    async fn failure(&mut self) -> String {
        while self.failures.is_empty() {
            let event =
                timeout(Duration::from_secs(20), self.events.recv()).await.expect("no event within 20 s");
            if let Some(Event::Failed { error, .. }) = event {
                self.failures.push(error);
            }
        }
        self.failures.remove(0)
    }

    fn seen(&self) -> Vec<u32> {
        self.uids.iter().map(|(_, uid)| *uid).collect()
    }

    fn cursor(&self) -> (u32, u32, u32) {
        let cursor = self.cursors["INBOX"];
        (cursor.uidvalidity, cursor.low, cursor.high)
    }
}

#[tokio::test]
async fn a_mail_that_comes_while_history_is_filled_is_read_first() {
    let peer = Peer::start(&[("INBOX", Contents::dense(20_000))]).await;
    let mut watch = Watch::inbox(&peer);
    watch.look().await;
    peer.change(|world| world.folders.get_mut("INBOX").unwrap().add());
    watch.requests.notify_one();
    assert_eq!(watch.look().await, History::Filling);
    assert_eq!(watch.seen().last(), Some(&20_001));
    watch.complete().await;
    assert_eq!((watch.seen().len(), watch.cursor()), (20_001, (7, 1, 20_001)));
}

#[tokio::test]
async fn a_pushed_mail_is_read_at_once_without_another_examine() {
    let peer = Peer::start(&[("INBOX", Contents::dense(3))]).await;
    let mut watch = Watch::inbox(&peer);
    watch.complete().await;
    while peer.asked("IDLE") == 0 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let examined = peer.asked("EXAMINE");
    // Changes made before the server idles are not pushed.
    tokio::time::sleep(Duration::from_millis(50)).await;
    peer.change(|world| world.folders.get_mut("INBOX").unwrap().add());
    watch.look().await;
    assert_eq!((watch.seen(), watch.cursor()), (vec![3, 2, 1, 4], (7, 1, 4)));
    assert_eq!(peer.asked("EXAMINE"), examined);
}

#[tokio::test]
async fn a_full_look_is_taken_every_poll_with_idle_and_without() {
    for capabilities in ["IMAP4rev1 IDLE", "IMAP4rev1"] {
        let peer = Peer::start(&[("INBOX", Contents::dense(3))]).await;
        peer.change(|world| world.capabilities = capabilities.to_owned());
        let mut watch = Watch::start(&peer, &["INBOX"], TimeDelta::milliseconds(200), BTreeMap::new());
        for _ in 0..4 {
            watch.look().await;
        }
        assert!(peer.asked("EXAMINE") >= 4);
        assert_eq!(peer.asked("IDLE") > 0, capabilities.contains("IDLE"));
        assert_eq!(watch.seen(), [3, 2, 1]);
    }
}

#[tokio::test]
async fn a_refused_idle_becomes_polling() {
    let peer = Peer::start(&[("INBOX", Contents::dense(3))]).await;
    peer.change(|world| world.faults = vec![("IDLE".to_owned(), Fault::Says("TAG NO not today\r\n"))]);
    let mut watch = Watch::start(&peer, &["INBOX"], TimeDelta::milliseconds(200), BTreeMap::new());
    for _ in 0..4 {
        watch.look().await;
    }
    assert_eq!((peer.asked("IDLE"), watch.failures.len()), (1, 0));
}

#[tokio::test]
async fn a_restart_goes_on_where_the_stored_cursor_ends() {
    let peer = Peer::start(&[("INBOX", Contents::dense(3_000))]).await;
    let stored = Cursor { uidvalidity: 7, high: 2_990, low: 11 };
    let stored = BTreeMap::from([("INBOX".to_owned(), stored)]);
    let mut watch = Watch::start(&peer, &["INBOX"], TimeDelta::seconds(3600), stored);
    watch.complete().await;
    let expected: Vec<u32> = (2_991..=3_000).chain((1..=10).rev()).collect();
    assert_eq!((watch.seen(), watch.cursor()), (expected, (7, 1, 3_000)));
}

#[tokio::test]
async fn a_renumbered_folder_is_read_anew() {
    let peer = Peer::start(&[("INBOX", Contents::dense(20))]).await;
    let mut watch = Watch::inbox(&peer);
    watch.complete().await;
    peer.change(|world| {
        world.folders.insert("INBOX".to_owned(), Contents { uidvalidity: 8, ..Contents::dense(5) })
    });
    watch.requests.notify_one();
    while watch.cursor().0 == 7 {
        watch.look().await;
    }
    assert_eq!((watch.seen().split_off(20), watch.cursor()), (vec![5, 4, 3, 2, 1], (8, 1, 5)));
}

#[tokio::test]
async fn a_uidnext_that_goes_back_loses_no_mail() {
    let peer = Peer::start(&[("INBOX", Contents::dense(20))]).await;
    let mut watch = Watch::inbox(&peer);
    watch.complete().await;
    peer.change(|world| world.folders.insert("INBOX".to_owned(), Contents::dense(15)));
    watch.requests.notify_one();
    while watch.cursor().2 != 15 {
        watch.look().await;
    }
    peer.change(|world| world.folders.get_mut("INBOX").unwrap().add());
    watch.requests.notify_one();
    while watch.cursor().2 != 16 {
        watch.look().await;
    }
    assert_eq!(watch.seen().last(), Some(&16));
}

#[tokio::test]
async fn every_folder_is_read_and_a_look_covers_all() {
    let mut big = Contents::dense(3);
    big.mails.values_mut().for_each(|mail| mail.resize(1 << 20, b'x'));
    let peer = Peer::start(&[("INBOX", Contents::dense(700)), ("Junk &- Co", big)]).await;
    let mut watch = Watch::start(&peer, &["INBOX", "Junk & Co"], TimeDelta::seconds(3600), BTreeMap::new());
    assert_eq!(watch.look().await, History::Filling);
    // The few big mails of the other folder do not narrow the first window of this one.
    assert_eq!(watch.uids.len(), 503);
    watch.complete().await;
    let all: BTreeSet<(String, u32)> = watch.uids.iter().cloned().collect();
    assert_eq!((all.len(), watch.uids.len()), (703, 703));
}

/// What must end a connection and be told, and must not be taken for an empty mailbox.
#[tokio::test]
async fn a_failure_is_told_and_the_next_connection_goes_on_without_a_gap() {
    for (command, fault, told) in [
        (
            "UID FETCH",
            Fault::Says("TAG NO server busy\r\n"),
            "127.0.0.1: the server refuses UID FETCH: server busy",
        ),
        (
            "UID FETCH",
            Fault::Closes,
            "127.0.0.1: the server closed the connection in the middle of UID FETCH",
        ),
        ("EXAMINE", Fault::Says("* BYE maintenance\r\n"), "127.0.0.1: the server ended the connection"),
        (
            "AUTHENTICATE",
            Fault::Says("TAG NO wrong\r\n"),
            "127.0.0.1: the server refuses user and password of me@x (wrong)",
        ),
        ("IDLE", Fault::Closes, "127.0.0.1: the server closed the connection in the middle of IDLE"),
    ] {
        let peer = Peer::start(&[("INBOX", Contents::dense(30))]).await;
        peer.change(|world| world.faults = vec![(command.to_owned(), fault)]);
        let mut watch = Watch::inbox(&peer);
        watch.requests.notify_one();
        let mut error = None;
        while error.is_none() || watch.uids.len() < 30 {
            watch.look().await;
            error = error.or_else(|| watch.failures.pop());
        }
        let error = error.unwrap();
        assert!(error.starts_with(told), "{command}: {error}");
        assert_eq!(watch.seen(), (1..=30).rev().collect::<Vec<_>>());
    }
}

#[tokio::test]
async fn a_suggested_backoff_is_not_shortened_by_requests_and_an_ordinary_one_is() {
    let peer = Peer::start(&[("INBOX", Contents::dense(1))]).await;
    let throttled = "TAG NO Request is throttled. Suggested Backoff Time: 700 milliseconds\r\n";
    peer.change(|world| {
        world.faults =
            vec![("EXAMINE".to_owned(), Fault::Says(throttled)), ("EXAMINE".to_owned(), Fault::Closes)];
    });
    let mut watch = Watch::inbox(&peer);
    assert!(watch.failure().await.contains("throttles"));
    let told = Instant::now();
    watch.requests.notify_one();
    watch.failure().await;
    assert!(told.elapsed() >= Duration::from_millis(700), "{:?}", told.elapsed());
    let told = Instant::now();
    watch.requests.notify_one();
    watch.look().await;
    assert!(told.elapsed() < Duration::from_millis(700), "{:?}", told.elapsed());
}

#[tokio::test]
async fn the_reader_ends_with_its_listener() {
    let peer = Peer::start(&[("INBOX", Contents::dense(1))]).await;
    let mut watch = Watch::inbox(&peer);
    watch.complete().await;
    drop(watch.events);
    timeout(Duration::from_secs(5), watch.task).await.expect("still reading").unwrap();
}

#[tokio::test]
async fn a_server_that_pushes_without_news_is_not_asked_in_a_tight_loop() {
    let peer = Peer::start(&[("INBOX", Contents::dense(1))]).await;
    let mut watch = Watch::inbox(&peer);
    watch.complete().await;
    for _ in 0..40 {
        tokio::time::sleep(Duration::from_millis(10)).await;
        peer.change(|_| ());
    }
    assert!((1..=2).contains(&peer.asked("NOOP")), "{}", peer.asked("NOOP"));
}

#[tokio::test]
async fn how_full_it_is_is_told_before_the_look_that_is_judged() {
    let peer = Peer::start(&[("INBOX", Contents::dense(3))]).await;
    peer.change(|world| {
        world.capabilities = "IMAP4rev1 AUTH=PLAIN SASL-IR IDLE QUOTA".to_owned();
        let full = Fault::Says("* QUOTAROOT INBOX \"\"\r\n* QUOTA \"\" (STORAGE 100 100)\r\nTAG OK done\r\n");
        world.faults = vec![("GETQUOTAROOT".to_owned(), full)];
    });
    let mut watch = Watch::inbox(&peer);
    watch.look().await;
    let seen = watch.fullness[0].unwrap().storage.unwrap();
    assert_eq!((seen.used, seen.limit, seen.source), (102_400, 102_400, Source::Quota));
    watch.requests.notify_one();
    watch.look().await;
    assert_eq!((watch.fullness.len(), watch.failures.len()), (1, 0), "not with every look");
}

#[tokio::test]
async fn a_server_that_hangs_over_its_quota_costs_one_connection_and_the_mailbox_is_read() {
    let peer = Peer::start(&[("INBOX", Contents::dense(3))]).await;
    peer.change(|world| {
        world.capabilities = "IMAP4rev1 AUTH=PLAIN SASL-IR IDLE QUOTA".to_owned();
        world.faults = vec![("GETQUOTAROOT".to_owned(), Fault::Closes)];
    });
    let mut watch = Watch::inbox(&peer);
    for _ in 0..3 {
        watch.requests.notify_one();
        watch.look().await;
    }
    assert_eq!((watch.seen(), watch.failures.len(), peer.asked("GETQUOTAROOT")), (vec![3, 2, 1], 1, 1));
}

#[tokio::test]
async fn mails_are_weighed_beside_the_reading_without_losing_any() {
    let folders = [("INBOX", Contents::dense(12_000)), ("Archive", Contents::dense(5))];
    let peer = Peer::start(&folders).await;
    let mut mailbox = mailbox(peer.port, &["INBOX", "Archive"], TimeDelta::milliseconds(300));
    mailbox.limits.size = Some(1 << 30);
    let mut watch = Watch::of(mailbox, BTreeMap::new());
    watch.complete().await;
    peer.change(|world| world.folders.get_mut("INBOX").unwrap().add());
    while watch.fullness.iter().flatten().next().is_none() || watch.uids.len() < 12_006 {
        watch.look().await;
    }
    let seen = watch.fullness.iter().flatten().next_back().unwrap().storage.unwrap();
    assert!((590..610).contains(&(seen.used / 12_005)) && seen.source == Source::Configured, "{seen:?}");
    assert_eq!((watch.uids.len(), watch.failures.len(), peer.asked("RFC822.SIZE")), (12_006, 0, 3));
}

#[tokio::test]
async fn a_refused_token_is_not_used_again() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let token_url = format!("http://{}/token", listener.local_addr().unwrap());
    tokio::spawn(async move {
        for token in ["old", "new", "newer"] {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut request = Vec::new();
            while !request.ends_with(b"scope=s") {
                tokio::io::AsyncReadExt::read_buf(&mut stream, &mut request).await.unwrap();
            }
            let body = format!("{{\"access_token\":\"{token}\",\"expires_in\":3600}}");
            let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len());
            tokio::io::AsyncWriteExt::write_all(&mut stream, answer.as_bytes()).await.unwrap();
        }
    });
    let peer = Peer::start(&[("INBOX", Contents::dense(1))]).await;
    peer.change(|world| {
        // The second failure is none of the token's.
        let refused = Fault::Says("TAG NO AUTHENTICATE failed.\r\n");
        world.faults = vec![("AUTHENTICATE".to_owned(), refused), ("EXAMINE".to_owned(), Fault::Closes)];
    });
    let mut mailbox = mailbox(peer.port, &["INBOX"], TimeDelta::seconds(3600));
    mailbox.login = Login::OAuth2(crate::config::OAuth2 {
        token_url: token_url.parse().unwrap(),
        client_id: "c".to_owned(),
        client_secret: Secret::Value(SecretString::from("hunter2")),
        scope: "s".to_owned(),
        client_secret_expires: None,
    });
    let mut watch = Watch::of(mailbox, BTreeMap::new());
    watch.complete().await;
    assert_eq!(watch.failures.len(), 2, "{:?}", watch.failures);
    assert!(!watch.failures.iter().any(|told| told.contains("hunter2") || told.contains("old")));
    // base64 of `user=me@x^Aauth=Bearer old^A^A` and of the same with `new`.
    assert_eq!(peer.asked("AUTHENTICATE XOAUTH2 dXNlcj1tZUB4AWF1dGg9QmVhcmVyIG9sZAEB"), 1);
    assert_eq!(peer.asked("AUTHENTICATE XOAUTH2 dXNlcj1tZUB4AWF1dGg9QmVhcmVyIG5ldwEB"), 2);
}
