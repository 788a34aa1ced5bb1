//! `backtest`, run as its users run it: on files, on a mailbox, on a state file, and in a pipeline.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::disallowed_methods)]

mod rig;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;

use bresse_watchdog::testbed::MailStore;
use bresse_watchdog::testbed::imap::{ImapOptions, ImapServer};
use chrono::{DateTime, TimeDelta, Utc};
use rig::{Finished, PASSWORD, Report, USER, Watchdog, config, free_port, mailbox_at};
use serde_json::Value;

const PLACES: &str = "cycle = \"5m\"\nmail_path_margin = \"60s\"\ntests = [ \
    { service = \"MSSQL1_Service\", timeout = \"10s\" }, { service = \"ESHOP_Service\", timeout = \"30s\" } ]\n";

/// Two hours of two checkers: bresse1 misses the run an hour ago, and bresse2 sees a service fail twice.
fn mails() -> Vec<(DateTime<Utc>, Vec<u8>)> {
    let start = Utc::now() - TimeDelta::minutes(118);
    let mut mails = vec![];
    for run in 0..24 {
        let at = start + TimeDelta::minutes(5 * run);
        if run != 12 {
            mails.push((at, Report::new("bresse1", at).mail()));
        }
        let report = Report::new("bresse2", at);
        mails.push((at, if run == 5 || run == 6 { report.nok("ESHOP_Service") } else { report }.mail()));
    }
    mails
}

/// A folder with the configuration in force, and with `new.toml`, in which a checker may miss two cycles.
fn watchdog(port: u16) -> Watchdog {
    let mailbox = mailbox_at(&format!("host = \"127.0.0.1\"\nport = {port}\ntls = \"plain\""));
    let old = config(&mailbox, PLACES, &["bresse1", "bresse2"], "");
    let watchdog = Watchdog::new(&old);
    let new = old.replace("cycle = \"5m\"", "missed_cycles = 2\ncycle = \"5m\"");
    fs::write(watchdog.path("new.toml"), new).unwrap();
    watchdog
}

fn in_folder(watchdog: &Watchdog, name: &str) {
    fs::create_dir(watchdog.path(name)).unwrap();
    for (number, (_, mail)) in mails().into_iter().enumerate() {
        fs::write(watchdog.path(name).join(format!("{number}.eml")), mail).unwrap();
    }
}

fn compared(watchdog: &Watchdog, source: &str, more: &[&str]) -> Finished {
    let usual = ["backtest", source, "--config", "new.toml", "--against", "watchdog.toml"];
    tokio::task::block_in_place(|| watchdog.run(&[&usual, more].concat()))
}

fn json(finished: &Finished) -> Value {
    assert_eq!((finished.status, finished.stderr.as_str()), (0, ""), "{finished:?}");
    serde_json::from_str(&finished.stdout).unwrap()
}

/// Token, and whether the new and the old configuration alarm it.
fn alarms(json: &Value) -> Vec<(&str, bool, bool)> {
    let alarm = |row: &'_ Value| (row["candidate"].is_object(), row["against"].is_object());
    let rows = json["alarms"].as_array().unwrap().iter();
    rows.map(|row| (row["token"].as_str().unwrap(), alarm(row).0, alarm(row).1)).collect()
}

const EXPECTED: [(&str, bool, bool); 2] = [("ESHOP_Service", true, true), ("bresse1_Checker", false, true)];

#[tokio::test(flavor = "multi_thread")]
async fn mails_in_files_are_judged_whatever_they_lie_in() {
    let watchdog = watchdog(free_port());
    in_folder(&watchdog, "folder");
    let mut mbox = String::new();
    let maildir = watchdog.path("maildir");
    for part in ["cur", "new", "tmp"] {
        fs::create_dir_all(maildir.join(part)).unwrap();
    }
    for (number, (at, mail)) in mails().into_iter().enumerate() {
        let text = String::from_utf8(mail).unwrap();
        let _ = write!(mbox, "From x@y {}\r\n{text}\r\n", at.format("%a %b %e %H:%M:%S %Y"));
        let part = if number % 2 == 0 { "cur" } else { "new" };
        fs::write(maildir.join(part).join(format!("{}.{number}.host:2,S", at.timestamp())), text).unwrap();
    }
    fs::write(maildir.join("tmp/1.2.3"), "Subject: not yet there\r\n\r\n").unwrap();
    fs::write(watchdog.path("mbox"), mbox).unwrap();
    for source in ["folder", "mbox", "maildir"] {
        let found = json(&compared(&watchdog, source, &["--format", "json"]));
        assert_eq!(alarms(&found), EXPECTED, "{source}");
        assert_eq!((&found["mails"], &found["remarks"]), (&47.into(), &Value::Array(vec![])), "{source}");
        let lost = &found["alarms"][1]["against"];
        assert_eq!((&lost["reason"], &lost["short"]), (&"checker_dead".into(), &true.into()), "{source}");
        assert_eq!(lost["late_s"], 400.001, "{source}");
        assert_eq!(found["against"]["only_here"], 1, "{source}");
    }
    assert!(!watchdog.path("watchdog.db").exists(), "no state is made");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_mailbox_itself_and_the_state_tell_the_same() {
    let store = MailStore::new();
    let imap = ImapServer::start(ImapOptions::new(store.clone(), USER, PASSWORD)).unwrap();
    for (at, mail) in mails() {
        store.append("INBOX", mail, at);
    }
    let watchdog = watchdog(imap.address().port());
    let found = json(&compared(&watchdog, "mailbox", &["--format", "json"]));
    assert_eq!(alarms(&found), EXPECTED);
    assert_eq!(store.changing_commands(), BTreeMap::new());
    assert!(!watchdog.path("watchdog.db").exists(), "no state is made");

    tokio::task::block_in_place(|| watchdog.run(&["once"]));
    for source in ["watchdog.db", "sqlite:watchdog.db"] {
        let found = json(&compared(&watchdog, source, &["--format", "json"]));
        assert_eq!(alarms(&found), EXPECTED, "{source}");
    }
    let recent = json(&compared(&watchdog, "watchdog.db", &["--from", "-30m", "--format", "json"]));
    assert_eq!(alarms(&recent), [], "only the last half hour");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pipeline_is_told_by_the_status_and_one_sentence() {
    let watchdog = watchdog(free_port());
    in_folder(&watchdog, "folder");
    let swapped = |more: &[&str]| {
        let usual = ["backtest", "folder", "--config", "watchdog.toml", "--against", "new.toml"];
        tokio::task::block_in_place(|| watchdog.run(&[&usual, more].concat()))
    };
    let fine: [&[&str]; 4] = [
        &[],
        &["--max-alarms", "1"],
        &["--fail-on", "new-alarms"],
        // The alarm that is lost recovered with the next mail: that is what the new configuration is for.
        &["--fail-on", "new-alarms,lost-alarms"],
    ];
    for more in fine {
        let finished = compared(&watchdog, "folder", more);
        assert_eq!((finished.status, finished.stderr.as_str()), (0, ""), "{more:?} {finished:?}");
    }
    let failed = [
        (compared(&watchdog, "folder", &["--max-alarms", "0"]), "The backtest fails: 1 alarm, and 0 may be."),
        (
            swapped(&["--fail-on", "new-alarms"]),
            "The backtest fails: 1 new alarm, the first is bresse1_Checker.NOK of",
        ),
        (
            compared(&watchdog, "folder", &["--set", "checker.1.tests=[]", "--fail-on", "lost-alarms"]),
            "The backtest fails: 1 lost alarm that did not recover at once, the first is ESHOP_Service.NOK of",
        ),
    ];
    for (finished, beginning) in failed {
        assert_eq!((finished.status, finished.stderr.lines().count()), (1, 1), "{finished:?}");
        assert!(finished.stderr.starts_with(beginning), "{}", finished.stderr);
        assert!(
            finished.stdout.contains("bresse1_Checker.NOK") || beginning.contains("0"),
            "{}",
            finished.stdout
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_judged_is_said() {
    let watchdog = watchdog(free_port());
    in_folder(&watchdog, "folder");
    fs::create_dir(watchdog.path("empty")).unwrap();
    fs::write(watchdog.path("letter.txt"), "Dear aunt,\n").unwrap();
    fs::write(watchdog.path("damaged.db"), "SQLite format 3\0 and nothing else").unwrap();
    rustix::fs::mkfifoat(rustix::fs::CWD, watchdog.path("pipe"), rustix::fs::Mode::RUSR).unwrap();
    let cases: [(&str, &[&str], &str); 8] = [
        ("nowhere", &[], "nowhere cannot be read: No such file"),
        ("sqlite:nowhere.db", &[], "There is no state file nowhere.db yet"),
        ("damaged.db", &[], "The state file damaged.db"),
        ("empty", &[], "There is no mail to judge."),
        ("letter.txt", &[], "There is no mail to judge."),
        ("pipe", &[], "pipe cannot be read: it is no file"),
        ("folder", &["--from", "2030-01-01T00:00:00Z"], "There is no mail to judge."),
        ("mailbox", &[], "The mailbox MONITOR cannot be read: "),
    ];
    for (source, more, beginning) in cases {
        let finished = compared(&watchdog, source, more);
        assert_eq!((finished.status, finished.stderr.lines().count()), (1, 1), "{source} {finished:?}");
        assert!(finished.stderr.starts_with(beginning), "{source}: {}", finished.stderr);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn hostile_files_are_passed_over_and_counted() {
    use std::os::unix::fs::symlink;
    let watchdog = watchdog(free_port());
    in_folder(&watchdog, "folder");
    let folder = watchdog.path("folder");
    symlink("/etc/passwd", folder.join("link.eml")).unwrap();
    symlink(&folder, folder.join("loop")).unwrap();
    rustix::fs::mkfifoat(rustix::fs::CWD, folder.join("pipe.eml"), rustix::fs::Mode::RUSR).unwrap();
    fs::File::create(folder.join("huge.eml")).unwrap().set_len(1 << 40).unwrap();
    fs::write(folder.join("notes.txt"), "DRYRUN.OK").unwrap();
    fs::write(folder.join("undated.eml"), "Subject: \u{1b}[2J\r\n\r\n").unwrap();
    let finished = compared(&watchdog, "folder", &[]);
    assert_eq!((finished.status, finished.stderr.as_str()), (0, ""), "{finished:?}");
    assert!(!finished.stdout.contains('\u{1b}'));
    for line in
        ["Mails without any date, left out: 2.", "Files and links that are no .eml files, left out: 4."]
    {
        assert!(finished.stdout.contains(line), "{line} is missing in {}", finished.stdout);
    }
    assert!(finished.stdout.contains(": 47 mails."), "{}", finished.stdout);
    let widest = finished.stdout.lines().map(|line| line.chars().count()).max().unwrap();
    assert!(widest <= 100, "{}", finished.stdout);
}

#[tokio::test(flavor = "multi_thread")]
async fn csv_has_one_line_for_each_alarm() {
    let watchdog = watchdog(free_port());
    in_folder(&watchdog, "folder");
    let finished = compared(&watchdog, "folder", &["--format", "csv"]);
    let lines: Vec<&str> = finished.stdout.lines().collect();
    assert_eq!(lines.len(), 3, "{}", finished.stdout);
    assert!(
        lines[0].starts_with("token,kind,reason,checkers,subject,covered,candidate_began,"),
        "{}",
        lines[0]
    );
    assert!(lines[2].starts_with("bresse1_Checker,silence,checker_dead,bresse1,"), "{}", lines[2]);
    assert!(lines[2].contains(",false,,,,,,20"), "nothing of the new configuration: {}", lines[2]);
}
