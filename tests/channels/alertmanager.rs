//! A real Alertmanager, private and on loopback.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde_json::Value;

use crate::rig::{Report, Watchdog, free_port, wait_for};
use crate::world::{SOON, Servers, USUAL, checkers, config};

const PROGRAM: &str = "/usr/bin/prometheus-alertmanager";

struct Alertmanager {
    child: Child,
    port: u16,
    dir: tempfile::TempDir,
}

impl Alertmanager {
    fn start() -> Self {
        assert!(Path::new(PROGRAM).exists(), "{PROGRAM} is missing: run ./tests/run, which installs it");
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("am.yml"), "route:\n  receiver: nobody\nreceivers:\n- name: nobody\n")
            .unwrap();
        let port = free_port();
        Self { child: Self::spawn(dir.path(), port), port, dir }.ready()
    }

    /// As after a power cut: its memory is gone.
    fn restart(mut self) -> Self {
        let _ = self.child.kill();
        let _ = self.child.wait();
        self.child = Self::spawn(self.dir.path(), self.port);
        self.ready()
    }

    fn spawn(dir: &Path, port: u16) -> Child {
        let log = File::create(dir.join("log")).unwrap();
        Command::new(PROGRAM)
            .arg(format!("--config.file={}", dir.join("am.yml").display()))
            .arg(format!("--storage.path={}", dir.join("data").display()))
            .arg(format!("--web.listen-address=127.0.0.1:{port}"))
            // Alone: no gossip, and no port for it.
            .arg("--cluster.listen-address=")
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .process_group(0)
            .spawn()
            .expect("start the Alertmanager")
    }

    fn ready(self) -> Self {
        let up = || self.get("/api/v2/status");
        if wait_for(SOON, up).is_none() {
            panic!("no Alertmanager:\n{}", fs::read_to_string(self.dir.path().join("log")).unwrap());
        }
        self
    }

    fn get(&self, path: &str) -> Option<Value> {
        let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)).ok()?;
        stream.set_read_timeout(Some(Duration::from_secs(10))).ok()?;
        write!(stream, "GET {path} HTTP/1.0\r\nHost: localhost\r\n\r\n").ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).ok()?;
        let (head, body) = answer.split_once("\r\n\r\n")?;
        head.contains(" 200 ").then(|| serde_json::from_str(body).ok())?
    }

    /// Those that fire.
    fn alerts(&self) -> Vec<Value> {
        self.get("/api/v2/alerts").and_then(|alerts| alerts.as_array().cloned()).unwrap_or_default()
    }

    fn names(&self) -> Vec<String> {
        let name = |alert: &Value| alert["labels"]["alertname"].as_str().unwrap_or_default().to_owned();
        let mut names: Vec<String> = self.alerts().iter().map(name).collect();
        names.sort();
        names
    }

    fn expect(&self, names: &[&str]) {
        let reached = || (self.names() == names).then_some(());
        wait_for(SOON, reached).unwrap_or_else(|| panic!("{:?} instead of {names:?}", self.names()));
    }
}

impl Drop for Alertmanager {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn an_alertmanager_takes_alarm_and_recovery_and_learns_anew_what_stands() {
    let servers = Servers::start();
    let mut alertmanager = Alertmanager::start();
    let channel = format!(
        "[[channel]]\nname = \"am\"\ntype = \"alertmanager\"\nevents = [\"service\"]\nurl = \"http://127.0.0.1:{}\"\n",
        alertmanager.port
    );
    let text = config(&[&servers.mailbox(), &checkers(&["bresse1", "bresse2"], USUAL), &channel]);
    let watchdog = Watchdog::new(&text);
    servers.report("bresse2");
    let check = watchdog.run(&["check"]);
    assert!(check.stdout.contains("ok   channel am: the Alertmanager on 127.0.0.1 answers"), "{check:?}");
    servers.deliver(
        &Report::new("bresse1", chrono::Utc::now()).nok("MSSQL1_Service").nok("ESHOP_Service"),
        chrono::Utc::now(),
    );
    let daemon = watchdog.spawn_run();
    alertmanager.expect(&["ESHOP_Service", "MSSQL1_Service"]);
    let alerts = alertmanager.alerts();
    let alert = alerts.iter().find(|alert| alert["labels"]["alertname"] == "ESHOP_Service").unwrap();
    let labels = &alert["labels"];
    assert_eq!(
        (
            &labels["severity"],
            &labels["service"],
            &labels["checker"],
            &labels["provider"],
            &labels["watchdog"]
        ),
        (
            &"critical".into(),
            &"ESHOP_Service".into(),
            &"bresse1".into(),
            &"provider-of-bresse1".into(),
            &"bresse8".into()
        )
    );
    let summary = alert["annotations"]["summary"].as_str().unwrap();
    assert!(summary.starts_with("ESHOP_Service.NOK "), "{summary}");
    let ends: chrono::DateTime<chrono::Utc> = alert["endsAt"].as_str().unwrap().parse().unwrap();
    assert!(ends - chrono::Utc::now() > chrono::TimeDelta::hours(23), "{ends}");

    // One recovers, though another checker saw it fail meanwhile, so that it is about more than when it was alarmed.
    std::thread::sleep(Duration::from_millis(1_100));
    servers.deliver(&Report::new("bresse2", chrono::Utc::now()).nok("ESHOP_Service"), chrono::Utc::now());
    std::thread::sleep(Duration::from_millis(1_100));
    servers.deliver(&Report::new("bresse1", chrono::Utc::now()).nok("MSSQL1_Service"), chrono::Utc::now());
    std::thread::sleep(Duration::from_millis(1_100));
    servers.report("bresse2");
    alertmanager.expect(&["MSSQL1_Service"]);

    // It forgets what it was told. A daemon that starts tells it at once, one that runs within a minute.
    daemon.kill_9();
    alertmanager = alertmanager.restart();
    assert_eq!(alertmanager.names(), Vec::<String>::new());
    let daemon = watchdog.spawn_run();
    alertmanager.expect(&["MSSQL1_Service"]);
    servers.report("bresse1");
    alertmanager.expect(&[]);
    drop(daemon);
}
