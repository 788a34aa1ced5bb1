//! `/lb/{group}`, asked by a real HAProxy.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Duration;

use chrono::Utc;

use crate::rig::{PASSWORD, Report, USER, free_port, wait_for};
use crate::site::{Site, TOKEN};
use crate::world::{SHORT, SOON, Servers, USUAL, checkers};

const HAPROXY: &str = "/usr/sbin/haproxy";

/// A proxy in front of two shops, of which the second is used while the first is drained.
struct HaProxy {
    child: Child,
    port: u16,
    dir: tempfile::TempDir,
}

impl HaProxy {
    fn start(watchdog: u16) -> Self {
        assert!(Path::new(HAPROXY).exists(), "{HAPROXY} is missing: run ./tests/run, which installs it");
        let (port, shop, reserve) = (free_port(), shop("shop"), shop("reserve"));
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("haproxy.cfg");
        let text = format!(
            "defaults\n  mode http\n  timeout connect 5s\n  timeout client 10s\n  timeout server 10s\n\
             frontend people\n  bind 127.0.0.1:{port}\n  default_backend shops\n\
             backend shops\n  option httpchk\n\
             \x20 http-check send meth GET uri /lb/ESHOP_Service hdr Authorization \"Bearer {TOKEN}\"\n\
             \x20 http-check expect status 200\n\
             \x20 server shop 127.0.0.1:{shop} check addr 127.0.0.1 port {watchdog} inter 300ms fall 2 rise 2\n\
             \x20 server reserve 127.0.0.1:{reserve} backup\n"
        );
        fs::write(&path, text).unwrap();
        let log = File::create(dir.path().join("log")).unwrap();
        let child = Command::new(HAPROXY)
            .args(["-db", "-f"])
            .arg(&path)
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .expect("start HAProxy");
        Self { child, port, dir }
    }

    /// Waits until people are served by this shop.
    #[track_caller]
    fn expect(&self, name: &str) {
        let mut last = None;
        let reached = || {
            last = served_by(self.port);
            (last.as_deref() == Some(name)).then_some(())
        };
        if wait_for(SOON, reached).is_none() {
            let log = fs::read_to_string(self.dir.path().join("log")).unwrap();
            panic!("served by {last:?} instead of {name}\n{log}");
        }
    }
}

impl Drop for HaProxy {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Says its name to everybody, as long as the test lasts.
fn shop(name: &'static str) -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let _ = stream.read(&mut [0; 4096]);
            let length = name.len();
            let _ = write!(
                stream,
                "HTTP/1.1 200 OK\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{name}"
            );
        }
    });
    port
}

fn served_by(port: u16) -> Option<String> {
    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).ok()?;
    stream.set_read_timeout(Some(Duration::from_secs(10))).ok()?;
    write!(stream, "GET / HTTP/1.0\r\n\r\n").ok()?;
    let mut text = String::new();
    stream.read_to_string(&mut text).ok()?;
    Some(text.split_once("\r\n\r\n")?.1.to_owned())
}

#[test]
fn haproxy_drains_a_backend_whose_service_fails_and_takes_it_back() {
    let servers = Servers::start();
    servers.report("bresse1");
    let site = Site::start(&[&servers.mailbox(), &checkers(&["bresse1"], USUAL), &servers.channel()], "");
    let proxy = HaProxy::start(site.port);
    proxy.expect("shop");
    // Runs are told apart by whole seconds.
    thread::sleep(Duration::from_millis(1_100));
    servers.deliver(&Report::new("bresse1", Utc::now()).nok("ESHOP_Service"), Utc::now());
    proxy.expect("reserve");
    thread::sleep(Duration::from_millis(1_100));
    servers.report("bresse1");
    proxy.expect("shop");
}

#[test]
fn a_group_is_answered_with_what_is_down_in_it_and_only_to_whom_it_may() {
    let servers = Servers::start();
    let feeder = servers.feed(&["bresse1", "bresse2", "bresse3"]);
    let names = ["bresse1", "bresse2", "bresse3"];
    let site = Site::start(&[&servers.mailbox(), &checkers(&names, SHORT), &servers.channel()], "");
    for group in ["all", "provider-of-bresse1", "MSSQL1_Service"] {
        let answer = site.wait_for(&format!("/lb/{group}"), |answer| answer.status == 200);
        assert_eq!(answer.body, "OK\n");
    }
    assert_eq!(site.ask("GET", "/lb/all", "").status, 401, "no token, and no address list");
    assert_eq!(site.get("/lb/bresse1").status, 404, "a checker is no group");
    assert_eq!(site.get("/lb/all?unknown=perhaps").status, 400);

    feeder.silence("bresse1");
    let down = site.wait_for("/lb/all", |answer| answer.status == 503);
    assert_eq!(down.body, "provider-of-bresse1: no checker of it is heard: bresse1\n");
    assert_eq!(site.get("/lb/provider-of-bresse1").status, 503);
    assert_eq!(site.get("/lb/provider-of-bresse2").body, "OK\n");
    assert_eq!(site.get("/lb/ESHOP_Service").body, "OK\n", "others see that it works");
    feeder.revive("bresse1");
    site.wait_for("/lb/all", |answer| answer.status == 200);
}

#[test]
fn a_blind_watchdog_is_healthy_and_takes_nothing_out_of_service() {
    let nobody = free_port();
    let mailbox = format!(
        "[mailbox]\nhost = \"127.0.0.1\"\nport = {nobody}\ntls = \"plain\"\nuser = \"{USER}\"\n\
         password = \"{PASSWORD}\"\nblind_after = \"3s\"\npoll = \"1s\"\n"
    );
    let site =
        Site::start(&[&mailbox, &checkers(&["bresse1"], USUAL)], "lb_from = [\"10.0.0.0/8\", \"127.0.0.1\"]");
    let blind = "bresse_watchdog_mailbox_blind{mailbox=\"MONITOR\"} 1\n";
    site.wait_for("/metrics", |answer| answer.body.contains(blind));
    assert_eq!(site.get("/healthz").body, "OK\n");
    let asked = |query: &str| site.ask("GET", &format!("/lb/all{query}"), "").status;
    assert_eq!(
        (asked(""), asked("?unknown=last"), asked("?unknown=up"), asked("?unknown=down")),
        (200, 200, 200, 503)
    );
    // HAProxy's oldest way of asking.
    assert_eq!(site.ask("OPTIONS", "/lb/all", "").status, 200);
    assert_eq!(site.ask("GET", "/metrics", "").status, 401, "the address list is for load balancers alone");
}
