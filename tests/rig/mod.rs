//! The rig: private Dovecot and Postfix instances, a watched SMTP sink and the built binary, for the tests.
//!
//! Everything lives in a temporary directory of its own, listens on loopback only, on ports no other test
//! has, and ends with the value that started it. No system service, account or file is touched.
//!
//! Root is needed: Postfix's master insists on it, and Dovecot needs it to give mail an owner. What is missing
//! makes a test fail with a sentence, never pass unseen.

#![allow(dead_code, reason = "each test binary uses its own part of the rig")]
#![allow(unused_imports, reason = "each test binary uses its own part of the rig")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::string_slice,
    reason = "what goes wrong here must fail the test, with a backtrace"
)]
#![allow(clippy::disallowed_methods, reason = "real servers run by the real clock")]
#![allow(clippy::print_stderr, reason = "a failing test shows what the daemon logged")]
#![allow(clippy::print_stdout, reason = "a long run says how far it has come")]

mod certificates;
mod config;
mod dovecot;
mod http;
mod imap;
mod inbox;
mod postfix;
mod progress;
mod reports;
mod sink;
mod smtp;
mod tls;
mod watchdog;

use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::Path;
use std::process::Child;
use std::sync::atomic::{AtomicU16, Ordering};
use std::thread;
use std::time::{Duration, Instant};

pub(crate) use certificates::Authority;
pub(crate) use config::{
    SHORT, SHORT_DEADLINE, SHORT_PERIOD, USUAL, channel, channel_at, config, mailbox, mailbox_at,
};
pub(crate) use dovecot::{Dovecot, PASSWORD, USER};
pub(crate) use http::{Answer, ask, ask_over};
pub(crate) use imap::ImapClient;
pub(crate) use inbox::{AlarmMail, Inbox, assert_own_mail, assert_recovery_of};
pub(crate) use postfix::Postfix;
pub(crate) use progress::Progress;
pub(crate) use reports::{Feeder, Report};
pub(crate) use rustix::process::Signal;
use rustix::process::{Pid, WaitId, WaitIdOptions};
pub(crate) use sink::{Sink, Step};
pub(crate) use smtp::{Protocol, submit};
pub(crate) use tls::tls_over;
pub(crate) use watchdog::{Daemon, Finished, Watchdog};

/// How long a server may take to start or to stop.
const SERVER_PATIENCE: Duration = Duration::from_secs(20);

/// Panics unless this process is root and `program` is installed.
fn need(program: &str) {
    assert!(
        rustix::process::geteuid().is_root(),
        "these tests start mail servers and need root: run ./tests/run as root"
    );
    assert!(Path::new(program).exists(), "{program} is missing: run ./tests/run, which installs it");
}

/// A directory that other users may pass through: the servers' processes are not all root.
///
/// It is directly under /tmp because the path of a unix socket may not exceed 107 bytes.
fn directory() -> tempfile::TempDir {
    use std::os::unix::fs::PermissionsExt;
    let dir =
        tempfile::Builder::new().prefix("bresse-rig-").tempdir_in("/tmp").expect("make a directory in /tmp");
    std::fs::set_permissions(dir.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
    dir
}

/// A loopback port that is free now and is given to nobody else in this process.
///
/// Below 32768, where Linux begins to take ports for outgoing connections; the process's id decides where the
/// search starts, so that two test runs on one machine rarely meet.
pub(crate) fn free_port() -> u16 {
    const FIRST: u16 = 20_000;
    const COUNT: u16 = 12_000;
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let start = u16::try_from((std::process::id() * 97) % u32::from(COUNT)).unwrap();
    (0..COUNT)
        .map(|_| FIRST + (start + NEXT.fetch_add(1, Ordering::Relaxed) % COUNT) % COUNT)
        .find(|port| TcpListener::bind((Ipv4Addr::LOCALHOST, *port)).is_ok())
        .expect("no free port from 20000 to 31999")
}

/// Asks every 20 ms until `question` has an answer; `None` when `limit` has passed.
pub(crate) fn wait_for<T>(limit: Duration, mut question: impl FnMut() -> Option<T>) -> Option<T> {
    let end = Instant::now() + limit;
    loop {
        if let Some(answer) = question() {
            return Some(answer);
        }
        if Instant::now() >= end {
            return None;
        }
        thread::sleep(Duration::from_millis(20));
    }
}

/// Waits until something accepts connections on `port`; panics with the server's log when nothing does.
fn wait_until_listening(port: u16, server: &str, log: &Path) {
    let listening = || TcpStream::connect((Ipv4Addr::LOCALHOST, port)).ok();
    if wait_for(SERVER_PATIENCE, listening).is_none() {
        let log = std::fs::read_to_string(log).unwrap_or_else(|error| error.to_string());
        panic!("{server} does not listen on port {port}; its log:\n{log}");
    }
}

/// Asks a server, which leads a process group of its own, to end, and ends what is left of the group: Dovecot lets
/// open sessions go on after its master.
fn end(child: &mut Child) {
    let pid = Pid::from_child(child);
    signal(child, Signal::TERM);
    // NOWAIT leaves the process's number taken, so that the group killed below is surely the server's.
    let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
    let _ = wait_for(SERVER_PATIENCE, || rustix::process::waitid(WaitId::Pid(pid), options).ok().flatten());
    // An error means that there is nothing left to end.
    let _ = rustix::process::kill_process_group(pid, Signal::KILL);
    let _ = child.kill();
    let _ = child.wait();
}

/// Only for a child that has not been waited for: until then its number is not given to another process.
fn signal(child: &Child, signal: Signal) {
    // An error means that the process has ended, which its owner sees when it waits.
    let _ = rustix::process::kill_process(Pid::from_child(child), signal);
}
