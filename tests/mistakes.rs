//! Every mistake in the set-up is answered by one clear sentence, whoever makes it.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::disallowed_methods)]

mod rig;

use std::time::{Duration, Instant};

use rig::{
    Dovecot, Finished, Inbox, PASSWORD, Sink, USER, USUAL, Watchdog, channel, config, free_port, mailbox,
    mailbox_at, wait_for,
};

struct Mistake {
    /// `[mailbox]`, the part of the configuration that most mistakes are made in.
    mailbox: String,
    password: &'static str,
    /// Words the complaint needs, in any letter case; of `one|other` either will do.
    words: String,
    /// What `once` alarms for it: a watchdog that cannot watch says so.
    alarm: Option<&'static str>,
}

impl Mistake {
    fn of_the_mailbox(mailbox: String, words: &str) -> Self {
        Self { mailbox, password: PASSWORD, words: words.to_owned(), alarm: Some("MONITOR_Mailbox.NOK") }
    }

    fn of_the_file(mailbox: String, words: &str) -> Self {
        Self { alarm: None, ..Self::of_the_mailbox(mailbox, words) }
    }

    fn assert_said_clearly(&self) {
        let sink = Sink::start();
        self.assert_said_clearly_of(&config(&self.mailbox, USUAL, &["bresse1"], &channel(&sink)), &sink);
    }

    /// `check` says one sentence; `once` says it too, alarms if it is blind, and ends with 3 within its 30 s.
    fn assert_said_clearly_of(&self, config: &str, sink: &Sink) {
        let watchdog = Watchdog::with_password(config, self.password);
        let check = watchdog.run(&["check"]);
        assert_eq!(check.status, 1, "{check:?}");
        let lines: Vec<_> = check.stderr.lines().filter(|line| !line.trim().is_empty()).collect();
        assert_eq!(lines.len(), 1, "`check` must say one sentence: {}", check.stderr);
        self.assert_complaint(&check);
        assert_eq!(sink.tokens(), Vec::<String>::new(), "`check` alarms nobody");

        let started = Instant::now();
        let once = watchdog.run(&["once"]);
        let took = started.elapsed();
        assert_eq!(once.status, 3, "{once:?}");
        assert!(took < Duration::from_secs(40), "`once` took {took:?}");
        self.assert_complaint(&once);
        assert_eq!(sink.tokens(), self.alarm.as_slice());
    }

    fn assert_complaint(&self, finished: &Finished) {
        let said = finished.stderr.to_lowercase();
        for group in self.words.to_lowercase().split_whitespace() {
            assert!(
                group.split('|').any(|word| said.contains(word)),
                "{group} is missing in: {}",
                finished.stderr
            );
        }
        for text in [&finished.stdout, &finished.stderr] {
            assert!(!text.contains(self.password), "the password is shown: {text}");
            assert!(!text.contains("panicked"), "{text}");
        }
    }
}

#[test]
fn an_unreachable_host() {
    let port = free_port();
    let nobody = mailbox_at(&format!("host = \"127.0.0.1\"\nport = {port}\ntls = \"implicit\""));
    Mistake::of_the_mailbox(nobody, &format!("127.0.0.1 {port} connect|reach|refused")).assert_said_clearly();
}

#[test]
fn a_wrong_password() {
    let dovecot = Dovecot::start();
    let words = format!("password|credentials {USER}");
    let mistake = Mistake::of_the_mailbox(mailbox(&dovecot), &words);
    Mistake { password: "a-wrong-one", ..mistake }.assert_said_clearly();
}

#[test]
fn an_expired_certificate() {
    let dovecot = Dovecot::start_with_expired_certificate();
    Mistake::of_the_mailbox(mailbox(&dovecot), "certificate expired").assert_said_clearly();
}

#[test]
fn a_certificate_of_an_authority_nobody_named() {
    let dovecot = Dovecot::start();
    let mailbox =
        mailbox_at(&format!("host = \"localhost\"\nport = {}\ntls = \"implicit\"", dovecot.imaps_port));
    Mistake::of_the_mailbox(mailbox, "certificate ca_file").assert_said_clearly();
}

#[test]
fn a_folder_that_does_not_exist() {
    let dovecot = Dovecot::start();
    let mailbox = mailbox(&dovecot) + "folders = [\"Monitoring\"]\n";
    Mistake::of_the_mailbox(mailbox, "folder Monitoring").assert_said_clearly();
}

#[test]
fn a_key_that_does_not_exist() {
    let dovecot = Dovecot::start();
    // The key stands in the file's last line of `[mailbox]`; `config` puts five lines and this section before it.
    let mailbox = mailbox(&dovecot) + "pol = \"60s\"\n";
    let line = 5 + mailbox.lines().count();
    Mistake::of_the_file(mailbox, &format!("watchdog.toml {line} `pol`|\"pol\"|'pol' poll"))
        .assert_said_clearly();
}

#[test]
fn a_file_that_is_not_toml() {
    let dovecot = Dovecot::start();
    let mailbox = mailbox(&dovecot) + "poll = \n";
    let line = 5 + mailbox.lines().count();
    Mistake::of_the_file(mailbox, &format!("watchdog.toml {line}")).assert_said_clearly();
}

#[test]
fn a_state_file_that_cannot_be_written() {
    let (dovecot, sink) = (Dovecot::start(), Sink::start());
    let mistake = Mistake::of_the_file(mailbox(&dovecot), "watchdog.toml/watchdog.db state|store|database");
    let mistake = Mistake { alarm: Some("MONITOR_Store.NOK"), ..mistake };
    // Below a file, where even root can make none.
    let config = config(&mistake.mailbox, USUAL, &["bresse1"], &channel(&sink));
    mistake.assert_said_clearly_of(
        &config.replace("sqlite:watchdog.db", "sqlite:watchdog.toml/watchdog.db"),
        &sink,
    );
}

#[test]
fn the_daemon_ends_with_the_sentence_when_the_file_is_wrong() {
    let dovecot = Dovecot::start();
    let sink = Sink::start();
    let config = config(&(mailbox(&dovecot) + "pol = \"60s\"\n"), USUAL, &["bresse1"], &channel(&sink));
    let watchdog = Watchdog::new(&config);
    let run = watchdog.run(&["run"]);
    assert_eq!(run.status, 1, "{run:?}");
    assert!(run.stderr.contains("watchdog.toml") && run.stderr.contains("poll"), "{}", run.stderr);
    assert!(wait_for(Duration::from_millis(500), || sink.mails().pop()).is_none(), "nobody is alarmed");
}
