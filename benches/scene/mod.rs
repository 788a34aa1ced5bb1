//! The built binary between an embedded mailbox and an embedded sink for its alarms, both in this process.

use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use bresse_watchdog::testbed::MailStore;
use bresse_watchdog::testbed::imap::{ImapOptions, ImapServer};
use bresse_watchdog::testbed::smtp::{AcceptedMail, SmtpOptions, SmtpSink};
use chrono::{DateTime, TimeDelta, Utc};
use tempfile::TempDir;

const USER: &str = "monitor@domain.com";
const PASSWORD: &str = "right-horse-battery";
pub(crate) const SERVICE: &str = "MSSQL1_Service";
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// Servers, and `run` between them.
pub(crate) struct Scene {
    mails: MailStore,
    pub(crate) imap: ImapServer,
    sink: SmtpSink,
    folder: TempDir,
    daemon: Option<Child>,
}

impl Scene {
    pub(crate) fn new() -> Self {
        let mails = MailStore::new();
        let imap = ImapServer::start(ImapOptions::new(mails.clone(), USER, PASSWORD)).unwrap();
        let sink = SmtpSink::start(SmtpOptions::default()).unwrap();
        Self { mails, imap, sink, folder: tempfile::tempdir().unwrap(), daemon: None }
    }

    pub(crate) fn run(&mut self, checkers: &str) {
        let channel = format!(
            "[[channel]]\nname = \"mail\"\ntype = \"smtp\"\nhost = \"127.0.0.1\"\nport = {}\ntls = \"plain\"\n\
             from = \"bresse0@watchdog.example\"\nto = [\"oncall@elsewhere.example\"]\n",
            self.sink.address().port()
        );
        self.run_with(checkers, &channel);
    }

    pub(crate) fn run_with(&mut self, checkers: &str, channel: &str) {
        let text = config(self.imap.address(), checkers, channel);
        std::fs::write(self.folder.path().join("watchdog.toml"), text).unwrap();
        let daemon = Command::new(env!("CARGO_BIN_EXE_bresse-watchdog"))
            .arg("run")
            .current_dir(self.folder.path())
            .env("IMAP_PASSWORD", PASSWORD)
            .stdin(Stdio::null())
            .spawn()
            .expect("start the binary");
        self.daemon = Some(daemon);
    }

    pub(crate) async fn next_alarm(&self) -> AcceptedMail {
        self.sink.next_mail(PATIENCE).await.expect("an alarm")
    }

    pub(crate) fn report(&self, checker: &str, result: &str, at: DateTime<Utc>) {
        let date = at.to_rfc2822();
        let mail = format!(
            "From: {checker}@checker.example\r\nTo: {checker}+{USER}\r\nDate: {date}\r\n\
             Message-ID: <{}.{checker}@checker.example>\r\n\
             Subject: DRYRUN.OK {SERVICE}.{result}\r\n\r\nOne run.\r\n",
            Utc::now().timestamp_micros()
        );
        self.mails.append("INBOX", mail, at);
    }
}

impl Drop for Scene {
    fn drop(&mut self) {
        if let Some(daemon) = &mut self.daemon {
            let _ = daemon.kill();
            let _ = daemon.wait();
        }
    }
}

fn config(imap: SocketAddr, checkers: &str, channel: &str) -> String {
    format!(
        "[watchdog]\nname = \"bresse0\"\n[mailbox]\nhost = \"127.0.0.1\"\nport = {}\ntls = \"plain\"\n\
         user = \"{USER}\"\npassword = {{ env = \"IMAP_PASSWORD\" }}\n{checkers}{channel}",
        imap.port()
    )
}

pub(crate) fn checker(name: &str, cycle: &str, timeout_ms: i64) -> String {
    format!(
        "[[checker]]\nname = \"{name}\"\nprovider = \"provider-of-{name}\"\naddress = \"{name}+{USER}\"\n\
         cycle = \"{cycle}\"\nmail_path_margin = \"0s\"\n\
         findings = {{ DUPLICATE = \"ignore\" }}\n\
         tests = [ {{ service = \"{SERVICE}\", timeout = \"{timeout_ms}ms\" }} ]\n"
    )
}

/// A report that a service is NOK (in even rounds, from 0) or that it is OK again, pushed while the watchdog is in IDLE,
/// and how long it took until the sink took the alarm or the recovery.
pub(crate) async fn push(scene: &Scene, round: usize) -> TimeDelta {
    let idles = u64::try_from(round).unwrap() + 1;
    assert!(scene.imap.wait_for("IDLE", idles, PATIENCE).await, "the watchdog waits for a push");
    // Runs are told apart by whole seconds. Pushes come at any moment of one.
    let rest = 1_000_000 - u64::from(Utc::now().timestamp_subsec_micros()).min(1_000_000);
    let moment =
        Duration::from_micros(rest) + Duration::from_millis(u64::try_from(round * 37 % 400).unwrap());
    tokio::time::sleep(moment).await;
    let result = if round.is_multiple_of(2) { "NOK" } else { "OK" };
    let pushed = Utc::now();
    scene.report("bresse1", result, pushed);
    let mail = scene.next_alarm().await;
    let subject = String::from_utf8_lossy(&mail.bytes).contains(&format!("{SERVICE}.{result}"));
    assert!(subject, "an alarm of {result}");
    mail.accepted_at - pushed
}

pub(crate) fn show(what: &str, mut times: Vec<TimeDelta>) {
    times.sort();
    let at = |percent: usize| {
        let index = (times.len() * percent / 100).min(times.len() - 1);
        times
            .get(index)
            .map_or(0.0, |time| f64::from(i32::try_from(time.num_microseconds().unwrap()).unwrap()) / 1e3)
    };
    let count = times.len();
    println!(
        "  {what:9} median {:6.1} ms, 99 % {:6.1} ms, slowest {:6.1} ms of {count}",
        at(50),
        at(99),
        at(100)
    );
}
