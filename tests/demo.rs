//! `demo` from the outside, where its output is no terminal.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::disallowed_methods)]

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

const STORY: [&str; 6] = [
    "ESHOP_Service.NOK",
    "ESHOP_Service.OK",
    "bresse3_Checker.NOK",
    "bresse3_Checker.OK",
    "MONITOR_Mailbox.NOK",
    "MONITOR_Mailbox.OK",
];
const LIMIT: Duration = Duration::from_secs(60);

/// The command on its way, with a folder of its own for temporary files.
struct Demo {
    child: Child,
    started: Instant,
    temporary: TempDir,
}

impl Demo {
    fn start() -> Self {
        let temporary = tempfile::tempdir().unwrap();
        let child = Command::new(env!("CARGO_BIN_EXE_bresse-watchdog"))
            .arg("demo")
            .current_dir(temporary.path())
            .env("TMPDIR", temporary.path())
            // A real configuration in the environment must not get into the demo.
            .env("BRESSE_WATCHDOG_MAILBOX__PORT", "9")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        Self { child, started: Instant::now(), temporary }
    }

    /// Exit status and what was written to standard error; panics when it does not end in time.
    fn end(&mut self, limit: Duration) -> (i32, String) {
        let status = loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                break status;
            }
            if self.started.elapsed() > limit {
                let _ = self.child.kill();
                panic!("the demo has not ended after {limit:?}");
            }
            std::thread::sleep(Duration::from_millis(50));
        };
        let mut stderr = String::new();
        self.child.stderr.take().unwrap().read_to_string(&mut stderr).unwrap();
        (status.code().expect("ended by a signal"), stderr)
    }

    fn assert_nothing_is_left(&self) {
        let left: Vec<_> = fs::read_dir(self.temporary.path()).unwrap().collect();
        assert!(left.is_empty(), "{left:?}");
    }
}

#[test]
fn the_demo_tells_its_story_in_plain_lines_within_a_minute() {
    let mut demo = Demo::start();
    // Less than a pipe holds, so it can be read at the end.
    let (status, stderr) = demo.end(LIMIT);
    let mut stdout = String::new();
    demo.child.stdout.take().unwrap().read_to_string(&mut stdout).unwrap();

    assert_eq!((status, stderr.as_str()), (0, ""), "{stdout}");
    let subjects: Vec<&str> =
        stdout.lines().filter_map(|line| Some(line.split_once("  mail to oncall@…: ")?.1)).collect();
    let tokens: Vec<&str> = subjects.iter().map(|subject| subject.split(' ').next().unwrap()).collect();
    assert_eq!(tokens, STORY, "{stdout}");
    assert_eq!(subjects[2], "bresse3_Checker.NOK bresse3 is silent (bouygues), others are heard");

    let everywhere: Vec<&str> =
        stdout.split_whitespace().filter(|word| word.ends_with(".OK") || word.ends_with(".NOK")).collect();
    assert_eq!(everywhere, STORY, "each token stands in the whole output once");
    assert!(!stdout.contains('\x1b') && !stdout.contains('\r'), "{stdout:?}");
    for state in ["late", "silent", "blind"] {
        assert!(
            stdout.split_whitespace().any(|word| word.trim_end_matches(':') == state),
            "{state}: {stdout}"
        );
    }
    assert!(stdout.lines().all(|line| line.chars().count() < 100), "{stdout}");
    demo.assert_nothing_is_left();
}

#[test]
fn an_interrupt_ends_the_demo_at_once_and_leaves_nothing_behind() {
    let mut demo = Demo::start();
    let mut stdout = BufReader::new(demo.child.stdout.take().unwrap());
    let mut line = String::new();
    while !line.contains("── 0 s") {
        line.clear();
        assert_ne!(stdout.read_line(&mut line).unwrap(), 0);
    }
    kill_process(Pid::from_child(&demo.child), Signal::INT).unwrap();
    let (status, stderr) = demo.end(Duration::from_secs(10));
    assert_eq!(status, 1);
    assert_eq!(stderr, "The demo was ended before its story was over; nothing of it remains.\n");
    demo.assert_nothing_is_left();
}

#[test]
fn a_reader_that_has_seen_enough_ends_the_demo_without_a_complaint() {
    let mut demo = Demo::start();
    let mut stdout = BufReader::new(demo.child.stdout.take().unwrap());
    stdout.read_line(&mut String::new()).unwrap();
    drop(stdout);
    assert_eq!(demo.end(Duration::from_secs(20)), (0, String::new()));
    demo.assert_nothing_is_left();
}
