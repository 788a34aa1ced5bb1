//! How soon the built binary alarms: after a push, after a deadline, and when everybody falls silent at once. The
//! mailbox and the alarms' recipient are the embedded servers, in this process. `cargo bench --bench reaction`.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout, clippy::disallowed_methods)]

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use bresse_watchdog::testbed::MailStore;
use bresse_watchdog::testbed::imap::{ImapOptions, ImapServer};
use bresse_watchdog::testbed::smtp::{AcceptedMail, SmtpOptions, SmtpSink};
use chrono::{DateTime, SubsecRound, TimeDelta, Utc};
use tempfile::TempDir;

const USER: &str = "monitor@domain.com";
const PASSWORD: &str = "right-horse-battery";
const SERVICE: &str = "MSSQL1_Service";
const PUSHES: usize = 250;
const DEADLINES: usize = 200;
const OUTAGE: usize = 10_000;
const PATIENCE: Duration = Duration::from_secs(60);

#[tokio::main]
async fn main() {
    pushes().await;
    deadlines().await;
    outage().await;
}

/// Servers, and `run` between them.
struct Scene {
    mails: MailStore,
    imap: ImapServer,
    sink: SmtpSink,
    folder: TempDir,
    daemon: Option<Child>,
}

impl Scene {
    fn new() -> Self {
        let mails = MailStore::new();
        let imap = ImapServer::start(ImapOptions::new(mails.clone(), USER, PASSWORD)).unwrap();
        let sink = SmtpSink::start(SmtpOptions::default()).unwrap();
        Self { mails, imap, sink, folder: tempfile::tempdir().unwrap(), daemon: None }
    }

    fn run(&mut self, checkers: &str) {
        let text = config(self.imap.address(), self.sink.address(), checkers);
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

    async fn next_alarm(&self) -> AcceptedMail {
        self.sink.next_mail(PATIENCE).await.expect("an alarm")
    }

    fn report(&self, checker: &str, result: &str, at: DateTime<Utc>) {
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

fn config(imap: SocketAddr, sink: SocketAddr, checkers: &str) -> String {
    format!(
        "[watchdog]\nname = \"bresse0\"\n[mailbox]\nhost = \"127.0.0.1\"\nport = {}\ntls = \"plain\"\n\
         user = \"{USER}\"\npassword = {{ env = \"IMAP_PASSWORD\" }}\n{checkers}\
         [[channel]]\nname = \"mail\"\ntype = \"smtp\"\nhost = \"127.0.0.1\"\nport = {}\ntls = \"plain\"\n\
         from = \"bresse0@watchdog.example\"\nto = [\"oncall@elsewhere.example\"]\n",
        imap.port(),
        sink.port()
    )
}

fn checker(name: &str, cycle: &str, timeout_ms: i64) -> String {
    format!(
        "[[checker]]\nname = \"{name}\"\nprovider = \"provider-of-{name}\"\naddress = \"{name}+{USER}\"\n\
         cycle = \"{cycle}\"\nmail_path_margin = \"0s\"\n\
         tests = [ {{ service = \"{SERVICE}\", timeout = \"{timeout_ms}ms\" }} ]\n"
    )
}

/// A report that a service is NOK, and one that it is OK again, each pushed while the watchdog is in IDLE.
async fn pushes() {
    let mut scene = Scene::new();
    scene.report("bresse1", "OK", Utc::now());
    scene.run(&checker("bresse1", "1h", 1_000));
    let (mut alarms, mut recoveries) = (Vec::new(), Vec::new());
    for round in 0..2 * PUSHES {
        let idles = u64::try_from(round).unwrap() + 1;
        assert!(scene.imap.wait_for("IDLE", idles, PATIENCE).await, "the watchdog waits for a push");
        let (result, times) = if round % 2 == 0 { ("NOK", &mut alarms) } else { ("OK", &mut recoveries) };
        let pushed = Utc::now();
        scene.report("bresse1", result, pushed);
        let mail = scene.next_alarm().await;
        let subject = String::from_utf8_lossy(&mail.bytes).contains(&format!("{SERVICE}.{result}"));
        assert!(subject, "an alarm of {result}");
        times.push(mail.accepted_at - pushed);
    }
    println!("From the push to the sink's 250:");
    show("alarm", alarms);
    show("recovery", recoveries);
}

/// Checkers whose deadlines pass one after another.
async fn deadlines() {
    let mut scene = Scene::new();
    let now = Utc::now().trunc_subsecs(0);
    let first = now + TimeDelta::seconds(5);
    let (mut checkers, mut expected) = (String::new(), Vec::new());
    for number in 0..DEADLINES {
        let step = i32::try_from(number).unwrap();
        // Heard so far apart that their silences are not one incident: more than cycle and margin.
        let heard = now - TimeDelta::seconds(3) * step;
        // 1,000 is no multiple of it: every fraction of a second has its turn.
        let deadline = first + TimeDelta::milliseconds(103) * step;
        let name = format!("bresse{}", number + 1);
        checkers += &checker(&name, "1s", (deadline - heard).num_milliseconds() - 1_000);
        scene.report(&name, "OK", heard);
        expected.push((format!("{name}_Checker.NOK"), deadline));
    }
    scene.run(&checkers);
    let mut times = Vec::new();
    for _ in 0..DEADLINES {
        let mail = scene.next_alarm().await;
        let text = String::from_utf8_lossy(&mail.bytes).into_owned();
        let subject = text.lines().find(|line| line.starts_with("Subject:")).expect("a subject");
        let found = expected.iter().find(|(token, _)| subject.contains(&format!(" {token}")));
        let (_, deadline) = found.unwrap_or_else(|| panic!("an alarm of one checker: {subject}"));
        times.push(mail.accepted_at - *deadline);
    }
    println!("From the deadline to the sink's 250:");
    show("alarm", times);
}

/// Everybody was last heard in the same second, and falls silent in the same second.
async fn outage() {
    let mut scene = Scene::new();
    let heard = Utc::now().trunc_subsecs(0);
    let deadline = heard + TimeDelta::seconds(30);
    let mut checkers = String::new();
    for number in 1..=OUTAGE {
        let name = format!("bresse{number}");
        scene.report(&name, "OK", heard);
        let _ = write!(checkers, "{}", checker(&name, "1s", 29_000));
    }
    scene.run(&checkers);
    let mail = scene.next_alarm().await;
    assert!(String::from_utf8_lossy(&mail.bytes).contains("MONITOR_MailPath.NOK"), "everybody in one alarm");
    println!("{OUTAGE} checkers silent in the same second, from the deadline to the sink's 250:");
    show("one alarm", vec![mail.accepted_at - deadline]);
}

fn show(what: &str, mut times: Vec<TimeDelta>) {
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
