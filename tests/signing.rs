//! Reports that are signed, from the sender to the table: the senders of the README, `sign`, and what a replay does.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::disallowed_methods)]

mod rig;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;
use std::time::Duration;

use bresse_watchdog::testbed::MailStore;
use bresse_watchdog::testbed::imap::{ImapOptions, ImapServer};
use bresse_watchdog::testbed::smtp::{SmtpOptions, SmtpSink};
use chrono::{DateTime, TimeDelta, Utc};
use rig::{Finished, PASSWORD, Watchdog, channel_at, free_port};

const USER: &str = "monitor@domain.com";
const KEY: &str = "0123456789abcdef0123456789abcdef";
const TOKENS: [&str; 3] = ["DRYRUN.OK", "MSSQL1_Service.OK", "ESHOP_Service.NOK"];

/// `bresse1` has to sign with the key in the file `key`.
fn config(imap_port: u16, smtp_port: u16) -> String {
    let channel = channel_at(&format!("host = \"127.0.0.1\"\nport = {smtp_port}\ntls = \"plain\""));
    format!(
        "[watchdog]\nname = \"bresse8\"\nstate = \"sqlite:watchdog.db\"\n[mailbox]\nhost = \"127.0.0.1\"\nport = {imap_port}\n\
         tls = \"plain\"\nuser = \"{USER}\"\npassword = {{ env = \"IMAP_PASSWORD\" }}\n[[checker]]\nname = \"bresse1\"\n\
         provider = \"free\"\ntests = [ {{ service = \"MSSQL1_Service\", timeout = \"10s\" }}, \
         {{ service = \"ESHOP_Service\", timeout = \"30s\" }} ]\ntrust = {{ hmac = {{ file = \"key\" }} }}\n{channel}"
    )
}

fn watchdog(imap_port: u16, smtp_port: u16) -> Watchdog {
    let watchdog = Watchdog::new(&config(imap_port, smtp_port));
    fs::write(watchdog.path("key"), format!("{KEY}\n")).unwrap();
    watchdog
}

fn run(watchdog: &Watchdog, arguments: &[&str]) -> Finished {
    tokio::task::block_in_place(|| watchdog.run(arguments))
}

/// The block of the README that begins with this line.
fn shown_in_readme(fence: &str) -> String {
    let readme = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/README.md")).unwrap();
    let (_, section) = readme.split_once("## Signed reports").unwrap();
    let (_, block) = section.split_once(&format!("```{fence}\n")).unwrap();
    block.split_once("```").unwrap().0.to_owned()
}

fn assert_believed(watchdog: &Watchdog, mail: &[u8]) {
    fs::write(watchdog.path("mail.eml"), mail).unwrap();
    let told = run(watchdog, &["explain", "--mail", "mail.eml"]);
    assert!(told.stdout.starts_with("This mail proves that bresse1 lives."), "{told:?}");
    assert!(told.stdout.contains("\nTrust          signature: good, of run "), "{told:?}");
    assert!(told.stdout.contains("DRYRUN OK, ESHOP_Service NOK, MSSQL1_Service OK"), "{told:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_python_sender_of_the_readme_is_believed() {
    let sink = SmtpSink::start(SmtpOptions::default()).unwrap();
    let watchdog = watchdog(free_port(), free_port());
    let script = shown_in_readme("python")
        .replace("/etc/bresse/key", &watchdog.path("key").display().to_string())
        .replace("\"localhost\"", &format!("\"127.0.0.1\", {}", sink.address().port()));
    assert!(
        script.lines().filter(|line| !line.is_empty() && !line.contains("import")).count() <= 10,
        "{script}"
    );
    let sent = tokio::task::block_in_place(|| Command::new("python3").args(["-c", &script]).output());
    let sent = sent.expect("python3 is missing: run ./tests/run, which installs it");
    assert!(sent.status.success(), "{}", String::from_utf8_lossy(&sent.stderr));
    assert_believed(&watchdog, &sink.mails()[0].bytes);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_shell_sender_of_the_readme_is_believed() {
    let watchdog = watchdog(free_port(), free_port());
    let script =
        shown_in_readme("sh").replace("/etc/bresse/key", &watchdog.path("key").display().to_string());
    let (sendmail, mail) = (watchdog.path("sendmail"), watchdog.path("sent.eml"));
    fs::write(&sendmail, format!("#!/bin/sh\ntest \"$1\" = -t && cat >{}\n", mail.display())).unwrap();
    fs::set_permissions(&sendmail, fs::Permissions::from_mode(0o755)).unwrap();
    let path = format!("{}:/usr/bin:/bin", sendmail.parent().unwrap().display());
    let sent = tokio::task::block_in_place(|| {
        Command::new("sh").args(["-euc", &script]).env_clear().env("PATH", path).output()
    });
    let sent = sent.unwrap();
    let why = String::from_utf8_lossy(&sent.stderr);
    assert!(sent.status.success() && why.is_empty(), "{why} (openssl is missing? run ./tests/run)");
    assert_believed(&watchdog, &fs::read(mail).unwrap());
}

#[tokio::test(flavor = "multi_thread")]
async fn sign_makes_the_same_headers_and_says_what_it_cannot_sign() {
    let watchdog = watchdog(free_port(), free_port());
    let sign = |arguments: &[&str]| run(&watchdog, &[&["sign"], arguments].concat());
    let signed = sign(&["bresse1", "--run", "1795143600", TOKENS[0], TOKENS[1], TOKENS[2]]);
    assert_eq!((signed.status, signed.stderr.as_str()), (0, ""));
    let other = sign(&["bresse1", "--run", "1795143600", TOKENS[2], TOKENS[0], TOKENS[1], TOKENS[0]]);
    assert_eq!(signed.stdout, other.stdout, "neither order nor repetition matters");
    assert_believed(&watchdog, &report(&signed.stdout, "1", &TOKENS));
    for (arguments, complaint) in [
        (&["bresse9", "DRYRUN.OK"][..], "There is no checker bresse9; configured are: bresse1."),
        (&["bresse1", "DRYRUN"], "\"DRYRUN\" is no token"),
        (&["bresse1", "Other.OK"], "bresse1 has no test \"Other\""),
    ] {
        let refused = sign(arguments);
        assert!(refused.status == 1 && refused.stderr.contains(complaint), "{refused:?}");
    }
    fs::write(watchdog.path("key"), "too short\n").unwrap();
    let refused = sign(&["bresse1", "DRYRUN.OK"]);
    assert!(refused.status == 1 && refused.stderr.contains("fewer than 16 bytes"), "{refused:?}");
    assert!(!refused.stderr.contains("too short"), "no error shows a secret: {refused:?}");
}

/// A mail of `bresse1` with these headers of its own.
fn report(headers: &str, message_id: &str, tokens: &[&str]) -> Vec<u8> {
    let (headers, body) = (headers.replace('\n', "\r\n"), tokens.join("\r\n"));
    format!(
        "From: bresse1@free.example\r\nTo: bresse1+monitor@domain.com\r\nSubject: run\r\n\
         Message-ID: <{message_id}@free.example>\r\n{headers}\r\n{body}\r\n"
    )
    .into_bytes()
}

/// The mailbox's server, the channel's, and what lies in the mailbox.
struct World {
    store: MailStore,
    smtp: SmtpSink,
    watchdog: Watchdog,
    _imap: ImapServer,
}

impl World {
    fn start() -> Self {
        let store = MailStore::new();
        let imap = ImapServer::start(ImapOptions::new(store.clone(), USER, PASSWORD)).unwrap();
        let smtp = SmtpSink::start(SmtpOptions::default()).unwrap();
        let watchdog = watchdog(imap.address().port(), smtp.address().port());
        Self { store, smtp, watchdog, _imap: imap }
    }

    /// What `bresse1` sends of its run of then, received now.
    fn sign(&self, run_at: DateTime<Utc>, message_id: &str) -> Vec<u8> {
        let number = run_at.timestamp().to_string();
        let signed = run(
            &self.watchdog,
            &["sign", "bresse1", "--run", &number, "DRYRUN.OK", "MSSQL1_Service.OK", "ESHOP_Service.OK"],
        );
        report(&signed.stdout, message_id, &["DRYRUN.OK", "MSSQL1_Service.OK", "ESHOP_Service.OK"])
    }

    fn receive(&self, mail: Vec<u8>, at: DateTime<Utc>) {
        self.store.append("INBOX", mail, at);
    }

    /// The tokens that were sent by one more `once`.
    fn once(&self) -> Vec<String> {
        let before = self.smtp.mails().len();
        run(&self.watchdog, &["once"]);
        let mails = self.smtp.mails();
        let subject = |data: &[u8]| {
            let text = String::from_utf8_lossy(data).into_owned();
            let line = text.lines().find_map(|line| line.strip_prefix("Subject: ")).unwrap().to_owned();
            line.split(' ').next().unwrap().to_owned()
        };
        mails[before..].iter().map(|mail| subject(&mail.bytes)).collect()
    }

    fn untrusted(&self) -> Vec<String> {
        let db = rusqlite::Connection::open(self.watchdog.path("watchdog.db")).unwrap();
        let mut rows = db.prepare("SELECT reason || ' ' || why FROM other_mails ORDER BY id").unwrap();
        rows.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect()
    }
}

fn ago(seconds: i64) -> DateTime<Utc> {
    Utc::now() - TimeDelta::seconds(seconds)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replay_is_listed_and_alarmed_and_keeps_nobody_alive() {
    let world = World::start();
    let mail = world.sign(ago(390), "first");
    world.receive(mail.clone(), ago(388));
    assert_eq!(world.once(), Vec::<String>::new());
    assert_eq!(world.watchdog.checker("bresse1")["state"], "late");

    // The very same mail is a copy, whoever delivers it again; with another Message-ID it pretends to be another.
    world.receive(mail.clone(), ago(1));
    assert_eq!(world.once(), Vec::<String>::new());
    let pretended = String::from_utf8(mail).unwrap().replace("<first@", "<second@");
    world.receive(pretended.into_bytes(), ago(1));
    let silent_at = ago(388) + TimeDelta::seconds(400);
    assert_eq!(world.once()[..1], ["bresse1_Spoof.NOK"]);
    assert_eq!(world.untrusted(), ["untrusted replayed"]);
    tokio::time::sleep((silent_at - Utc::now()).to_std().unwrap_or_default() + Duration::from_secs(1)).await;
    world.once();
    assert_eq!(world.watchdog.checker("bresse1")["state"], "silent");

    // The next run is believed.
    world.receive(world.sign(ago(2), "third"), ago(1));
    assert_eq!(world.once(), ["bresse1_Checker.OK"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_first_start_reads_replays_before_their_originals_and_is_not_deceived() {
    let world = World::start();
    // Dead for two hours; everything it sent in its last hour was sent again, as if it lived.
    for number in 0..12 {
        let (run, again) = (7_200 + number * 300, 5 + number * 300);
        let mail = world.sign(ago(run), &format!("run{number}"));
        world.receive(mail.clone(), ago(run - 2));
        let pretended = String::from_utf8(mail).unwrap().replace("<run", "<again");
        world.receive(pretended.into_bytes(), ago(again));
    }
    let mut tokens = world.once();
    tokens.sort();
    assert_eq!(tokens, ["bresse1_Checker.NOK", "bresse1_Spoof.NOK"]);
    let age = world.watchdog.checker("bresse1")["age_s"].as_i64().unwrap();
    assert!((7_190..7_400).contains(&age), "{age}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_far_in_the_future_is_not_believed_and_costs_the_later_ones_nothing() {
    let world = World::start();
    world.receive(world.sign(Utc::now() + TimeDelta::days(2), "ahead"), ago(2));
    world.once();
    assert_eq!(world.untrusted(), ["untrusted run_in_the_future"]);
    world.receive(world.sign(ago(3), "right"), ago(1));
    world.once();
    assert_eq!(world.watchdog.checker("bresse1")["state"], "ok");
}
