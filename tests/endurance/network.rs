//! Networks that fail, in namespaces of the tests' own: the kernel loses packets there, and names are answered by us.
//!
//! Each row is a process of its own (`--in-namespace ROW`), which sees no network but its own loopback, and its own
//! `/etc/resolv.conf`.

use std::fs;
use std::io::Write;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::thread::sleep;
use std::time::Duration;

use bresse_watchdog::testbed::dns::{DnsServer, Record};
use tokio::runtime::Runtime;

use crate::rig::{Dovecot, PASSWORD, wait_for};
use crate::servers::forward;
use crate::state::SOON;
use crate::world::{PATIENT, SOON_BLIND, World};

const NAME: &str = "imap.example";
/// Nobody answers there.
const BROKEN_IPV6: Ipv6Addr = Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, 1);
const ELSEWHERE: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 2);
const HERE: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
const NAMESERVER: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::new(127, 0, 0, 53)), 53);

pub(crate) fn rows() -> Vec<(&'static str, fn())> {
    vec![
        ("a fifth of all packets are lost", packets_are_lost),
        ("a black hole", black_hole),
        ("a half-open connection", half_open),
        ("DNS is gone", dns_is_gone),
        ("DNS is poisoned", dns_is_poisoned),
        ("IPv6 is broken", ipv6_is_broken),
    ]
}

/// The network namespace this process is in.
fn namespace() -> u64 {
    fs::metadata("/proc/self/ns/net").unwrap().ino()
}

/// Runs a row in a namespace of its own; panics with all that it said when it fails.
pub(crate) fn in_a_namespace(row: &str) {
    let output = Command::new("unshare")
        .args(["--net", "--mount", "--fork", "--kill-child=KILL", "--"])
        .arg(std::env::current_exe().unwrap())
        .args(["--in-namespace", row, "--not", &namespace().to_string()])
        .stdin(Stdio::null())
        .output()
        .expect("unshare is missing: run ./tests/run, which installs it");
    let said = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{row} ({}):\n{said}", output.status);
}

/// What [`in_a_namespace`] starts. `outside`: the namespace that must not be touched.
pub(crate) fn inside(row: &str, outside: u64) {
    assert_ne!(namespace(), outside, "this is not a network of the test's own");
    run("ip", &["link", "set", "lo", "up"]);
    let (_, test) = rows().into_iter().find(|(name, _)| *name == row).expect("a row");
    test();
}

fn run(program: &str, arguments: &[&str]) {
    let status = Command::new(program).args(arguments).status();
    let status =
        status.unwrap_or_else(|_| panic!("{program} is missing: run ./tests/run, which installs it"));
    assert!(status.success(), "{program} {arguments:?}: {status}");
}

/// From now on these rules hold for what arrives, and no others.
fn filter(rules: &str) {
    let chain = "type filter hook input priority 0; policy accept;";
    let table = format!("flush ruleset\ntable inet fault {{ chain arriving {{ {chain}\n{rules}\n}}\n}}\n");
    let nft = Command::new("nft").args(["-f", "-"]).stdin(Stdio::piped()).spawn();
    let mut nft = nft.expect("nft is missing: run ./tests/run, which installs it");
    nft.stdin.take().unwrap().write_all(table.as_bytes()).unwrap();
    assert!(nft.wait().unwrap().success(), "nft refuses:\n{table}");
}

fn packets_are_lost() {
    World::start(PATIENT).unharmed(|world| {
        let port = world.dovecot.imaps_port;
        filter(&format!(
            "tcp sport {port} numgen random mod 5 == 0 counter drop\ntcp dport {port} numgen random mod 5 == 0 counter drop"
        ));
        sleep(Duration::from_secs(15));
        let counted = Command::new("nft").args(["list", "ruleset"]).output().unwrap();
        let counted = String::from_utf8_lossy(&counted.stdout).into_owned();
        assert_eq!(counted.matches("counter packets").count(), 2, "{counted}");
        assert!(!counted.contains("counter packets 0"), "nothing was lost: {counted}");
    });
}

fn black_hole() {
    World::start(SOON_BLIND).outage(
        "",
        |world| {
            let port = world.dovecot.imaps_port;
            filter(&format!("tcp sport {port} drop\ntcp dport {port} drop"));
        },
        |_| filter(""),
    );
}

/// The server died and is back, and the connection's end never reached the watchdog.
fn half_open() {
    World::start(SOON_BLIND).outage_that_heals(|world| {
        filter(&format!("tcp sport {} tcp flags & (fin | rst) != 0 drop", world.dovecot.imaps_port));
        reconnect(world);
    });
}

/// Answers questions for names until it is dropped.
struct Names {
    runtime: Runtime,
    server: Option<DnsServer>,
}

impl Names {
    fn start(records: Vec<Record>) -> Self {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let mut names = Self { runtime, server: None };
        names.say(records);
        // Bound over the machine's own in this process's mount namespace only.
        let dir = tempfile::tempdir().unwrap().keep();
        let file = dir.join("resolv.conf");
        fs::write(&file, format!("nameserver {}\noptions timeout:1 attempts:2\n", NAMESERVER.ip())).unwrap();
        let real =
            fs::canonicalize("/etc/resolv.conf").unwrap_or_else(|_| Path::new("/etc/resolv.conf").to_owned());
        run("mount", &["--bind", file.to_str().unwrap(), real.to_str().unwrap()]);
        names
    }

    fn say(&mut self, records: Vec<Record>) {
        self.server = None;
        let zone = [(NAME.to_owned(), records)].into_iter().collect::<std::collections::BTreeMap<_, _>>();
        let start = || self.runtime.block_on(DnsServer::start_at(NAMESERVER, zone.clone())).ok();
        self.server = Some(wait_for(SOON, start).expect("the port for DNS"));
    }
}

fn by_name(dovecot: Dovecot, options: &str) -> World {
    let port = dovecot.imaps_port;
    World::start_at(dovecot, NAME, port, options)
}

fn reconnect(world: &mut World) {
    world.dovecot.kill_9();
    world.dovecot.start_again();
}

fn dns_is_gone() {
    let names = std::cell::RefCell::new(Names::start(vec![Record::Address(HERE)]));
    by_name(Dovecot::start(), SOON_BLIND).outage(
        "imap.example",
        |world| {
            names.borrow_mut().say(vec![Record::Silence]);
            reconnect(world);
        },
        |_| names.borrow_mut().say(vec![Record::Address(HERE)]),
    );
}

/// Somebody who would like to know the password answers under the server's name.
fn dns_is_poisoned() {
    let names = std::cell::RefCell::new(Names::start(vec![Record::Address(HERE)]));
    let (dovecot, stranger) = (Dovecot::start(), Dovecot::start());
    let elsewhere = TcpListener::bind((ELSEWHERE, dovecot.imaps_port)).unwrap();
    forward(elsewhere, stranger.imaps_port, &Arc::default());
    by_name(dovecot, SOON_BLIND).outage(
        "certificate",
        |world| {
            names.borrow_mut().say(vec![Record::Address(IpAddr::V4(ELSEWHERE))]);
            reconnect(world);
        },
        |_| {
            let log = stranger.log();
            assert!(log.contains("SSL alert"), "nobody came and left:\n{log}");
            assert!(!log.contains("Login: user=") && !log.contains(PASSWORD), "{log}");
            names.borrow_mut().say(vec![Record::Address(HERE)]);
        },
    );
}

fn ipv6_is_broken() {
    run("ip", &["-6", "address", "add", &format!("{BROKEN_IPV6}/128"), "dev", "lo", "nodad"]);
    filter(&format!("ip6 daddr {BROKEN_IPV6} tcp dport 1-65535 counter drop"));
    let _names = Names::start(vec![Record::Address(IpAddr::V6(BROKEN_IPV6)), Record::Address(HERE)]);
    by_name(Dovecot::start(), PATIENT).unharmed(|world| {
        reconnect(world);
        sleep(Duration::from_secs(5));
        let counted = Command::new("nft").args(["list", "ruleset"]).output().unwrap();
        let counted = String::from_utf8_lossy(&counted.stdout).into_owned();
        assert!(!counted.contains("counter packets 0"), "IPv6 was never tried: {counted}");
    });
}
