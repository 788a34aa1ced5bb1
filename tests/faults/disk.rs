//! A state file that cannot be read or written is said aloud, never overwritten, and costs nothing once it works again.

use std::fs::{self, File, Permissions};
use std::io::Write;
use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread::sleep;
use std::time::Duration;

use rustix::process::{Pid, Resource, Rlimit, prlimit};
use tempfile::TempDir;

use crate::rig::{PASSWORD, Watchdog};
use crate::world::{
    SHORT, SHORT_DEADLINE, SOON, Servers, USUAL, assert_kept, checkers, config, config_with_state, kept,
    message_ids, rows, state_of, wait_for_state,
};

/// Debian's and everybody's `nobody`.
const NOBODY: u32 = 65_534;

fn installed(servers: &Servers) -> Watchdog {
    Watchdog::new(&config(&[&servers.mailbox(), &checkers(&["bresse1"], USUAL), &servers.channel()]))
}

/// `once` ends with 3, one sentence that holds these words, and the alarm about the store.
fn assert_said(servers: &Servers, watchdog: &Watchdog, words: &[&str]) {
    let once = watchdog.run(&["once"]);
    assert_eq!(once.status, 3, "{once:?}");
    let sentence = once.stderr.lines().find(|line| line.starts_with("The state file"));
    let sentence = sentence.unwrap_or_else(|| panic!("no sentence about the state file: {}", once.stderr));
    for word in words {
        assert!(sentence.contains(word), "{word:?} is missing: {sentence}");
    }
    assert_eq!(servers.tokens().last().map(String::as_str), Some("MONITOR_Store.NOK"), "{once:?}");
}

#[test]
fn a_damaged_state_file_is_named_with_what_to_do_alarmed_and_left_as_it_is() {
    type Damage = fn(&mut Vec<u8>);
    let damages: [(&str, Damage); 5] = [
        ("it is text", |bytes| *bytes = b"These are my notes. Do not delete!\n".repeat(40)),
        ("its head is overwritten", |bytes| bytes[..100].fill(0x55)),
        ("its end is cut off", |bytes| bytes.truncate(bytes.len() / 2)),
        ("all but its first page is overwritten", |bytes| bytes[4096..].fill(0x55)),
        ("single bits are flipped", |bytes| {
            let mut random = fastrand::Rng::with_seed(3);
            let end = bytes.len();
            (0..end / 20).for_each(|_| bytes[random.usize(100..end)] ^= 1 << random.u8(..8));
        }),
    ];
    for (name, damage) in damages {
        let servers = Servers::start();
        let watchdog = installed(&servers);
        (0..50).for_each(|_| {
            servers.report("bresse1");
        });
        assert_eq!(watchdog.run(&["once"]).status, 0);
        let state = state_of(&watchdog);
        let mut bytes = fs::read(&state).unwrap();
        damage(&mut bytes);
        fs::write(&state, &bytes).unwrap();
        eprintln!("{name}:");
        assert_said(&servers, &watchdog, &["watchdog.db", "move it away"]);
        assert!(fs::read(&state).unwrap() == bytes, "{name}: it may still be of use to somebody");
        let seen = watchdog.run(&["last-seen"]);
        assert_eq!(seen.status, 1, "{seen:?}");
        assert!(seen.stderr.contains("watchdog.db"), "{name}: {seen:?}");
    }
}

#[test]
fn a_database_of_another_program_is_not_touched() {
    let servers = Servers::start();
    let watchdog = installed(&servers);
    let state = state_of(&watchdog);
    let db = rusqlite::Connection::open(&state).unwrap();
    db.execute_batch("CREATE TABLE invoices (id INTEGER); INSERT INTO invoices VALUES (7);").unwrap();
    drop(db);
    let before = fs::read(&state).unwrap();
    assert_said(&servers, &watchdog, &["watchdog.db", "another program"]);
    assert!(fs::read(&state).unwrap() == before);
}

#[test]
fn a_folder_that_may_not_be_written_is_named() {
    let servers = Servers::start();
    let watchdog = installed(&servers);
    let folder = watchdog.path("");
    fs::set_permissions(&folder, Permissions::from_mode(0o555)).unwrap();
    // Root may write everywhere.
    let once = Command::new(env!("CARGO_BIN_EXE_bresse-watchdog"))
        .arg("once")
        .current_dir(&folder)
        .env("IMAP_PASSWORD", PASSWORD)
        .uid(NOBODY)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&once.stderr);
    assert_eq!(once.status.code(), Some(3), "{said}");
    assert!(said.contains("watchdog.db") && said.contains("writable"), "{said}");
    assert_eq!(servers.tokens(), ["MONITOR_Store.NOK"]);
}

/// A small file system of its own; needs root.
struct Disk {
    dir: TempDir,
}

impl Disk {
    fn mount(kib: u32) -> Self {
        let dir = tempfile::Builder::new().prefix("bresse-disk-").tempdir_in("/tmp").unwrap();
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &format!("size={kib}k"), "tmpfs"])
            .arg(dir.path())
            .status();
        assert!(mounted.is_ok_and(|status| status.success()), "this test mounts a tmpfs and needs root");
        Self { dir }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn fill(&self) {
        let mut filler = File::create(self.path("filler")).unwrap();
        for size in [4096, 1] {
            while filler.write_all(&vec![b'x'; size]).is_ok() {}
        }
    }

    fn make_room(&self) {
        fs::remove_file(self.path("filler")).unwrap();
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("--lazy").arg(self.dir.path()).status();
    }
}

fn on_disk(state: &Path, servers: &Servers, times: &str) -> Watchdog {
    let checkers = checkers(&["bresse1", "bresse2"], times);
    Watchdog::new(&config_with_state(state, &[&servers.mailbox(), &checkers, &servers.channel()]))
}

#[test]
fn a_full_disk_is_alarmed_and_when_there_is_room_nothing_is_missing() {
    let servers = Servers::start();
    let disk = Disk::mount(1024);
    let state = disk.path("watchdog.db");
    let watchdog = on_disk(&state, &servers, SHORT);
    let feeder = servers.feed(&["bresse1", "bresse2"]);
    let mut daemon = watchdog.spawn_run();
    wait_for_state(&watchdog, &["bresse1", "bresse2"], "ok");
    disk.fill();
    let alarm = servers.expect("MONITOR_Store.NOK", SOON);
    assert!(alarm.body().contains("disk is full"), "{}", alarm.body());
    // The checkers live; one of them falls silent unseen.
    feeder.silence("bresse2");
    sleep(SHORT_DEADLINE + Duration::from_secs(3));
    daemon.assert_running();
    assert_eq!(servers.tokens(), ["MONITOR_Store.NOK"]);
    disk.make_room();
    servers.expect("MONITOR_Store.OK", SOON).assert_nothing_says_nok();
    servers.expect("bresse2_Checker.NOK", SOON);
    feeder.revive("bresse2");
    servers.expect("bresse2_Checker.OK", SOON);
    drop(feeder);
    assert_kept(&state, &message_ids(&servers.mails, "INBOX"));
    let tokens = servers.tokens();
    assert_eq!(tokens.len(), 4, "{tokens:?}");
    assert_eq!(rows(&state, "PRAGMA integrity_check"), ["ok"]);
    assert_eq!(daemon.terminate(), 0);
}

#[test]
fn a_daemon_that_ends_on_a_full_disk_has_lost_nothing_when_it_starts_again() {
    let servers = Servers::start();
    let disk = Disk::mount(1024);
    let state = disk.path("watchdog.db");
    let watchdog = on_disk(&state, &servers, USUAL);
    servers.report("bresse1");
    servers.report("bresse2");
    let daemon = watchdog.spawn_run();
    wait_for_state(&watchdog, &["bresse1", "bresse2"], "ok");
    disk.fill();
    (0..20).for_each(|_| {
        servers.report("bresse1");
    });
    servers.expect("MONITOR_Store.NOK", SOON);
    assert_eq!(daemon.terminate(), 0);
    let before = kept(&state).len();
    assert!(before < 22, "the disk was not full");
    assert_said(&servers, &watchdog, &["watchdog.db", "disk is full"]);
    disk.make_room();
    assert_eq!(watchdog.run(&["once"]).status, 0);
    assert_kept(&state, &message_ids(&servers.mails, "INBOX"));
}

#[test]
fn a_full_disk_at_the_first_start_is_said() {
    let servers = Servers::start();
    let disk = Disk::mount(64);
    disk.fill();
    let watchdog = on_disk(&disk.path("watchdog.db"), &servers, USUAL);
    assert_said(&servers, &watchdog, &["watchdog.db", "disk is full"]);
    disk.make_room();
    servers.report("bresse1");
    servers.report("bresse2");
    // 64 KiB hold the tables of an empty state, and little more.
    let once = watchdog.run(&["once"]);
    assert!(once.status == 0 || once.stderr.contains("disk is full"), "{once:?}");
}

#[test]
fn a_state_file_that_belongs_to_somebody_else_is_named() {
    let servers = Servers::start();
    let watchdog = installed(&servers);
    servers.report("bresse1");
    assert_eq!(watchdog.run(&["once"]).status, 0);
    let folder = watchdog.path("");
    fs::set_permissions(&folder, Permissions::from_mode(0o777)).unwrap();
    for name in ["watchdog.db", "watchdog.db.lock"] {
        fs::set_permissions(folder.join(name), Permissions::from_mode(0o644)).unwrap();
    }
    chown(folder.join("watchdog.db.lock"), Some(NOBODY), None).unwrap();
    let once = Command::new(env!("CARGO_BIN_EXE_bresse-watchdog"))
        .arg("once")
        .current_dir(&folder)
        .env("IMAP_PASSWORD", PASSWORD)
        .uid(NOBODY)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&once.stderr);
    assert_eq!(once.status.code(), Some(3), "{said}");
    assert!(said.contains("watchdog.db") && said.contains("owner"), "{said}");
    assert_eq!(servers.tokens(), ["MONITOR_Store.NOK"]);
}

#[test]
fn a_limit_on_file_sizes_is_alarmed_and_does_not_kill() {
    let servers = Servers::start();
    let watchdog = installed(&servers);
    servers.report("bresse1");
    let mut daemon = watchdog.spawn_run();
    wait_for_state(&watchdog, &["bresse1"], "ok");
    let pid = Pid::from_raw(i32::try_from(daemon.pid()).unwrap());
    let limit = |bytes| {
        prlimit(pid, Resource::Fsize, Rlimit { current: bytes, maximum: None }).unwrap();
    };
    limit(Some(4096));
    servers.report("bresse1");
    let alarm = servers.expect("MONITOR_Store.NOK", SOON);
    assert!(alarm.body().contains("watchdog.db"), "{}", alarm.body());
    daemon.assert_running();
    limit(None);
    servers.expect("MONITOR_Store.OK", SOON);
    servers.assert_all_kept(&watchdog);
}
