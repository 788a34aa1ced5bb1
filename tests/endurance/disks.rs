//! Disks that fail under the running daemon, a state file that others lock or damage, and many who want it.

use std::fs;
use std::process::Command;
use std::thread::sleep;

use rusqlite::Connection;
use rustix::io::Errno;

use crate::disk;
use crate::rig::{Daemon, Dovecot, Inbox, Report, Sink, Watchdog, channel, mailbox, wait_for};
use crate::site::{self, PERIOD};
use crate::state::{NAME, SOON, assert_kept, assert_ledger_is_whole, message_id, wait_for_state};
use crate::world::{SOON_BLIND, World};

const STORE: &str = "MONITOR_Store.NOK";

pub(crate) fn rows() -> Vec<(&'static str, fn())> {
    vec![
        ("writing fails", || fails("write", Errno::IO, "the disk reports an error")),
        ("syncing fails", || fails("sync", Errno::IO, "the disk reports an error")),
        ("it becomes read-only", || fails("write", Errno::ROFS, "the disk reports an error")),
        ("reading fails at the start", reading_fails),
        ("it is mounted read-only", mounted_read_only),
        ("another program locks the state", locked),
        ("the state is damaged under the daemon", damaged),
        ("eight daemons want one state", eight_at_once),
    ]
}

fn fails(operation: &str, error: Errno, words: &str) {
    World::start_on_disk(SOON_BLIND).trouble(
        STORE,
        words,
        |world| disk::set_fault(&world.watchdog, Some((operation, error.raw_os_error()))),
        |world| disk::set_fault(&world.watchdog, None),
    );
}

fn locked() {
    let holder = std::cell::RefCell::new(None);
    World::start(SOON_BLIND).trouble(
        STORE,
        "locked",
        |world| {
            let db = Connection::open(world.watchdog.path(NAME)).unwrap();
            db.busy_timeout(SOON).unwrap();
            db.execute_batch("BEGIN IMMEDIATE").unwrap();
            *holder.borrow_mut() = Some(db);
        },
        |_| holder.borrow_mut().take().unwrap().execute_batch("ROLLBACK").unwrap(),
    );
}

/// Two checkers that reported now, and are silent 400 s later.
struct Usual {
    dovecot: Dovecot,
    sink: Sink,
    watchdog: Watchdog,
    sent: Vec<String>,
}

impl Usual {
    fn new() -> Self {
        let (dovecot, sink) = (Dovecot::start(), Sink::start());
        let mailbox = mailbox(&dovecot) + "poll = \"1s\"\n";
        let watchdog =
            Watchdog::new(&site::config_as_usual(&mailbox, &["bresse1", "bresse2"], &channel(&sink)));
        let mut usual = Self { dovecot, sink, watchdog, sent: Vec::new() };
        usual.report();
        usual
    }

    fn report(&mut self) {
        for name in ["bresse1", "bresse2"] {
            let report = Report::new(name, chrono::Utc::now());
            let mail = report.mail();
            self.dovecot.deliver(&report.to(), &mail);
            self.sent.push(message_id(&mail));
        }
    }

    fn is_well(&self, said: &[&str]) {
        wait_for_state(&self.watchdog, &["bresse1", "bresse2"], "ok");
        assert_kept(&self.watchdog.path(NAME), &self.sent, SOON);
        assert_eq!(self.sink.tokens(), said);
        assert_ledger_is_whole(&self.watchdog);
    }
}

fn reading_fails() {
    let usual = Usual::new();
    assert_eq!(usual.watchdog.run(&["once"]).status, 0);
    disk::set_fault(&usual.watchdog, Some(("read", Errno::IO.raw_os_error())));
    let _daemon = disk::spawn_run(&usual.watchdog, false);
    let alarm = usual.sink.wait_for_token(STORE, SOON);
    assert!(alarm.body().contains("the disk reports an error"), "{}", alarm.body());
    assert_eq!(usual.sink.tokens(), [STORE]);
}

fn mounted_read_only() {
    let mut usual = Usual::new();
    let folder = usual.watchdog.path("disk");
    fs::create_dir(&folder).unwrap();
    let mount = |options: &str| {
        let mounted =
            Command::new("mount").args(["-t", "tmpfs", "-o", options, "tmpfs"]).arg(&folder).status();
        assert!(mounted.unwrap().success(), "this test mounts a tmpfs and needs root");
    };
    let file = usual.watchdog.path("watchdog.toml");
    let text = fs::read_to_string(&file).unwrap();
    fs::write(file, text.replace("sqlite:watchdog.db", "sqlite:disk/watchdog.db")).unwrap();
    mount("size=8m");
    let state = folder.join(NAME);
    assert_eq!(usual.watchdog.run(&["once"]).status, 0);
    mount("remount,ro");
    let once = usual.watchdog.run(&["once"]);
    let seen = usual.watchdog.run(&["last-seen"]);
    mount("remount,rw");
    usual.report();
    let after = usual.watchdog.run(&["once"]);
    assert_kept(&state, &usual.sent, SOON);
    let _ = Command::new("umount").arg("--lazy").arg(&folder).status();
    assert_eq!(once.status, 3, "{once:?}");
    assert!(once.stderr.contains("watchdog.db") && once.stderr.contains("Read-only"), "{once:?}");
    assert!(seen.stderr.contains("watchdog.db") || seen.stdout.contains("bresse1"), "{seen:?}");
    assert_eq!(after.status, 0, "{after:?}");
    assert_eq!(usual.sink.tokens()[0], STORE);
}

/// The daemon may not notice at once: what it needs is in its memory. Whoever starts next says it (as soon as a
/// page is needed that the WAL does not hold), and reads the mailbox anew once the file is out of the way.
fn damaged() {
    let mut usual = Usual::new();
    for _ in 0..20 {
        usual.report();
    }
    // An orderly end leaves all of it in the file itself.
    assert_eq!(usual.watchdog.run(&["once"]).status, 0);
    let state = usual.watchdog.path(NAME);
    let daemon = usual.watchdog.spawn_run();
    wait_for_state(&usual.watchdog, &["bresse1", "bresse2"], "ok");
    let mut bytes = fs::read(&state).unwrap();
    bytes[4_096..].fill(0x55);
    let db = fs::File::options().write(true).open(&state).unwrap();
    std::os::unix::fs::FileExt::write_all_at(&db, &bytes, 0).unwrap();
    sleep(PERIOD * 3);
    daemon.kill_9();
    let once = usual.watchdog.run(&["once"]);
    assert_eq!(once.status, 3, "{once:?}");
    assert!(once.stderr.contains("move it away"), "{once:?}");
    assert!(usual.sink.tokens().iter().all(|token| token == STORE), "{:?}", usual.sink.tokens());
    for ending in ["", "-wal", "-shm"] {
        let name = |folder: &str| usual.watchdog.path(&format!("{folder}{NAME}{ending}"));
        let _ = fs::rename(name(""), name("damaged-"));
    }
    let said = usual.sink.tokens();
    let said: Vec<&str> = said.iter().map(String::as_str).collect();
    let daemon = usual.watchdog.spawn_run();
    usual.report();
    usual.is_well(&said);
    assert_eq!(daemon.terminate(), 0);
}

fn eight_at_once() {
    let mut usual = Usual::new();
    let mut daemons: Vec<Daemon> = (0..8).map(|_| usual.watchdog.spawn_run()).collect();
    let one_is_left = || {
        daemons.retain_mut(Daemon::is_running);
        (daemons.len() <= 1).then_some(())
    };
    wait_for(SOON, one_is_left).expect("only one may run");
    usual.report();
    usual.is_well(&[]);
    assert_eq!(daemons.len(), 1);
    let log = daemons[0].log();
    assert_eq!(log.matches("is in use by").count(), 7, "{log}");
    assert_eq!(daemons.remove(0).terminate(), 0);
}
