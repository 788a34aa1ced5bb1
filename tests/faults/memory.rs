//! What a process still knows that has no more need of it.

use std::fs::{self, File};
use std::os::unix::fs::FileExt;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::rig::{Daemon, PASSWORD, USER, Watchdog};
use crate::world::{SHORT, Servers, checkers, config, wait_for_state};

/// Connected and signed in, it needs no password until the next connection.
#[test]
fn a_password_is_overwritten_once_it_was_used() {
    let servers = Servers::start();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("password");
    fs::write(&file, PASSWORD).unwrap();
    let mailbox = servers
        .mailbox()
        .replace("{ env = \"IMAP_PASSWORD\" }", &format!("{{ file = \"{}\" }}", file.display()));
    let config = config(&[&mailbox, &checkers(&["bresse1"], SHORT), &servers.channel()]);
    let watchdog = Watchdog::with_password(&config, "of no use");
    let feeder = servers.feed(&["bresse1"]);
    let daemon = watchdog.spawn_run();
    wait_for_state(&watchdog, &["bresse1"], "ok");
    let memory = memory_of(&daemon);
    let holds =
        |what: &str| memory.iter().any(|part| part.windows(what.len()).any(|found| found == what.as_bytes()));
    assert!(holds(USER), "what it does know is found");
    assert!(!holds(PASSWORD), "the password is still there");
    // As it went out: AUTHENTICATE PLAIN.
    let sent = STANDARD.encode(format!("\0{USER}\0{PASSWORD}"));
    assert!(!holds(&sent), "the password is still there as it was sent");
    drop(feeder);
    assert_eq!(daemon.terminate(), 0);
}

/// All that it can write, which is where text is.
fn memory_of(daemon: &Daemon) -> Vec<Vec<u8>> {
    let maps = fs::read_to_string(format!("/proc/{}/maps", daemon.pid())).unwrap();
    let memory = File::open(format!("/proc/{}/mem", daemon.pid())).unwrap();
    let writable =
        maps.lines().filter(|line| line.split(' ').nth(1).is_some_and(|rights| rights.starts_with("rw")));
    let read = |line: &str| {
        let (from, until) = line.split(' ').next()?.split_once('-')?;
        let [from, until] = [from, until].map(|address| u64::from_str_radix(address, 16).unwrap());
        let mut bytes = vec![0; usize::try_from(until - from).unwrap()];
        // A region may be gone by now, or be the kernel's.
        memory.read_exact_at(&mut bytes, from).ok().map(|()| bytes)
    };
    writable.filter_map(read).collect()
}
