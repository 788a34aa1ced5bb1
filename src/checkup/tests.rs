use std::collections::BTreeMap;

use chrono::{TimeDelta, TimeZone, Utc};

use super::*;
use crate::config::{Margin, Sources};
use crate::expiry::Validity;
use crate::fullness::{Fullness, Source, Usage};
use crate::imap::Folder;
use crate::independence::Answers;
use crate::mail::RawMail;
use crate::report::Roster;
use crate::trust::Keys;

fn now() -> Time {
    Utc.with_ymd_and_hms(2026, 11, 20, 3, 0, 0).unwrap()
}

fn config(mailbox: &str, channel: &str) -> Config {
    let text = format!(
        "[watchdog]\nname = \"bresse8\"\n[mailbox]\nuser = \"monitor@domain.com\"\n{mailbox}\n[defaults]\nprovider = \"p\"\n\
         tests = []\n[[checker]]\nname = \"bresse1\"\n[[checker]]\nname = \"bresse2\"\n[[channel]]\nname = \"mail\"\n\
         type = \"smtp\"\nfrom = \"bresse8@elsewhere.example\"\n{channel}\n"
    );
    let environment = BTreeMap::from([("P".to_owned(), "secret".to_owned())]);
    let sources = Sources { text: &text, file: "w.toml", environment: &environment, overrides: &[] };
    Config::load(&sources).unwrap_or_else(|errors| panic!("{errors}"))
}

const MAILBOX: &str = "host = \"outlook.office365.com\"\npassword = { env = \"P\" }";
const CHANNEL: &str = "host = \"smtp.elsewhere.example\"\nto = \"oncall@elsewhere.example\"";

fn probe(capabilities: &[&str], messages: u32) -> Probe {
    let folder = |name: &str, configured, messages| {
        let name = name.to_owned();
        Folder { name, configured, messages, junk: false }
    };
    Probe {
        capabilities: capabilities.iter().map(|name| (*name).to_owned()).collect(),
        folders: vec![folder("INBOX", true, Some(messages)), folder("Old", false, None)],
        junk: None,
        fullness: None,
        certificate: None,
    }
}

fn report(age: TimeDelta, to: &str) -> RawMail {
    let bytes = format!("Message-ID: <{age}.{to}>\r\nTo: {to}\r\nSubject: DRYRUN.OK\r\n\r\n");
    RawMail {
        uid: 1,
        internal_date: Some(now() - age),
        seen: now(),
        bytes: bytes.into_bytes(),
        truncated: false,
    }
}

/// The mailbox is at Microsoft; whom to alarm, elsewhere.
fn answers() -> Answers {
    let mail_hosts = [
        ("domain.com", "domain-com.mail.protection.outlook.com"),
        ("elsewhere.example", "mx.elsewhere.example"),
        ("b.example", "mx.elsewhere.example"),
    ];
    let addresses = [
        ("outlook.office365.com", "52.97.151.1"),
        ("smtp.office365.com", "52.98.1.1"),
        ("domain-com.mail.protection.outlook.com", "52.101.73.1"),
        ("smtp.elsewhere.example", "192.0.2.25"),
        ("mx.elsewhere.example", "192.0.2.26"),
        ("x.example", "198.51.100.1"),
    ];
    let host = |(domain, host): (&str, &str)| (domain.to_owned(), Ok([host.to_owned()].into()));
    let address = |(host, address): (&str, &str)| (host.to_owned(), Ok([address.parse().unwrap()].into()));
    Answers {
        mail_hosts: mail_hosts.into_iter().map(host).collect(),
        addresses: addresses.into_iter().map(address).collect(),
        url_hosts: BTreeMap::new(),
    }
}

/// All is well, and both checkers wrote a minute ago.
fn facts(config: &Config) -> Facts<'_> {
    let mut survey = Survey::new(config, &Keys::new());
    for checker in ["bresse1", "bresse2"] {
        survey.take(&report(TimeDelta::minutes(1), &format!("{checker}+monitor@domain.com")));
    }
    Facts {
        config,
        now: now(),
        state: Ok(Examined { exists: true, holder: None, readable_by_all: false, open_folder: None }),
        keys: Ok(()),
        mailboxes: vec![MailboxFacts {
            probe: Ok(probe(&["IDLE"], 2)),
            reading: Reading::Done,
            strays: Strays::default(),
        }],
        survey,
        channels: vec![Ok(None)],
        matrix: Matrix::of(config, &answers()),
    }
}

fn lines(facts: &Facts<'_>, level: Level) -> Vec<String> {
    let found = findings(facts).into_iter().filter(|finding| finding.level == level);
    found.map(|finding| format!("{}: {}", finding.what, finding.text)).collect()
}

/// The only warning.
fn warning(facts: &Facts<'_>) -> String {
    let warnings = lines(facts, Level::Warn);
    let [warning] = warnings.as_slice() else { panic!("{warnings:#?}") };
    warning.clone()
}

#[test]
fn when_all_is_well_each_part_has_one_line() {
    let config = config(MAILBOX, CHANNEL);
    let facts = facts(&config);
    assert_eq!(lines(&facts, Level::Warn), Vec::<String>::new());
    assert_eq!(lines(&facts, Level::Fail), Vec::<String>::new());
    assert_eq!(
        lines(&facts, Level::Ok),
        [
            "configuration: bresse8: 1 mailbox, 2 checkers, 1 channel",
            "state: watchdog.db can be used; no process has it open",
            "mailbox MONITOR: signed in to outlook.office365.com as monitor@domain.com; folders INBOX (2 mails)",
            "mailbox MONITOR: the server tells no quota: set size_limit or message_limit to be told when the mailbox \
             fills up",
            "trust: no checker has to show that a mail is its own: who knows its address can write in its name (see trust)",
            "checkers: 2 of 2 have reported in time, by the newest 2 mails",
            "channel mail: connected to smtp.elsewhere.example without signing in; nothing was sent",
            "independence: mail would still work without the mailbox MONITOR",
        ]
    );
}

/// A hundred reports of `bresse1`, five minutes apart; every tenth took so long.
fn with_slow_mails(facts: &mut Facts<'_>, took: TimeDelta) {
    for run in 1..=100 {
        let took = if run % 10 == 0 { took } else { TimeDelta::seconds(1) };
        let age = TimeDelta::minutes(5 * run);
        let mut mail = report(age, "bresse1+monitor@domain.com");
        let date = format!("Date: {}\r\n", (now() - age - took).to_rfc2822());
        mail.bytes.splice(0..0, date.into_bytes());
        facts.survey.take(&mail);
    }
}

#[test]
fn a_margin_that_the_mails_contradict_is_warned_about() {
    let fixed = |seconds| Margin::Fixed(TimeDelta::seconds(seconds));
    let up_to = |seconds| Margin::Measured { floor: TimeDelta::zero(), ceiling: TimeDelta::seconds(seconds) };
    for (margin, took, expected) in [
        (fixed(60), 59, None),
        (
            fixed(60),
            95,
            Some("took longer than its mail_path_margin of 1m, up to 1 min 34 s: each of those can"),
        ),
        (fixed(60), 95, Some("write a longer one, or \"auto\"")),
        (fixed(120), 95, None),
        (up_to(600), 95, None),
        (up_to(60), 95, Some("took longer than its ceiling of mail_path_margin of 1m, up")),
    ] {
        let mut config = config(MAILBOX, CHANNEL);
        config.checkers[0].mail_path_margin = margin;
        let mut facts = facts(&config);
        with_slow_mails(&mut facts, TimeDelta::seconds(took));
        match expected {
            Some(expected) => assert!(warning(&facts).contains(expected), "{}", warning(&facts)),
            None => assert_eq!(lines(&facts, Level::Warn), Vec::<String>::new()),
        }
    }
}

#[test]
fn how_full_a_mailbox_is_is_told_and_warned_about() {
    let limited = config(&format!("{MAILBOX}\nsize_limit = \"50GB\""), CHANNEL);
    let mut facts = facts(&limited);
    assert!(lines(&facts, Level::Ok)[3].contains("`run` adds up"), "{:#?}", lines(&facts, Level::Ok));
    for (used, level, told) in [
        (10, Level::Ok, "mailbox MONITOR: it is 10 % full (10 KB of 100 KB)"),
        (
            95,
            Level::Warn,
            "mailbox MONITOR: it is 95 % full (95 KB of 100 KB): make room, or raise its limit; a full one takes no reports",
        ),
    ] {
        let storage = Usage::new(used << 10, 100 << 10, Source::Quota);
        facts.mailboxes[0].probe.as_mut().unwrap().fullness = Fullness::new(now(), storage, None);
        assert!(lines(&facts, level).contains(&told.to_owned()), "{:#?}", lines(&facts, level));
    }
}

#[test]
fn a_certificate_that_was_not_renewed_is_warned_about_wherever_it_stands() {
    let config = config(MAILBOX, CHANNEL);
    let mut facts = facts(&config);
    let validity =
        |days| Validity { from: now() - TimeDelta::days(80), until: now() + TimeDelta::days(days) };
    facts.mailboxes[0].probe.as_mut().unwrap().certificate = Some(validity(10));
    facts.channels = vec![Ok(Some(validity(10)))];
    assert_eq!(lines(&facts, Level::Warn), Vec::<String>::new());
    facts.mailboxes[0].probe.as_mut().unwrap().certificate = Some(validity(5));
    facts.channels = vec![Ok(Some(validity(6)))];
    assert_eq!(
        lines(&facts, Level::Warn),
        [
            "mailbox MONITOR: the certificate of outlook.office365.com ends on 2026-11-25, in 5 d, and was not renewed: \
             find out why",
            "channel mail: the certificate of smtp.elsewhere.example ends on 2026-11-26, in 6 d, and was not renewed: \
             find out why",
        ]
    );
}

#[test]
fn a_canary_is_told_with_the_harm_that_it_can_do() {
    let text = format!("{CHANNEL}\n[canary]\nchannel = \"mail\"\nto = \"canary@domain.com\"");
    let config = config(MAILBOX, &text);
    let facts = facts(&config);
    let told = "canary: a mail every 10m through mail to canary@domain.com; none was sent now".to_owned();
    assert_eq!(lines(&facts, Level::Ok).last(), Some(&told));
    assert!(warning(&facts).contains("is lulled by them"));
    let elsewhere = self::config(MAILBOX, &text.replace("@domain.com", "@elsewhere.example"));
    let warnings = lines(&self::facts(&elsewhere), Level::Warn);
    assert!(warnings[0].contains("another domain"), "{warnings:#?}");
}

#[test]
fn a_heartbeat_is_told_with_what_it_says_and_whom_it_would_lull() {
    let text = format!(
        "{CHANNEL}\n[heartbeat]\nchannel = \"mail\"\nto = \"bresse8+watch@third.example\"\nhmac = {{ env = \"P\" }}\n\
         ping = {{ url = {{ file = \"/ping\" }} }}"
    );
    let heartbeat = config(MAILBOX, &text);
    let told = lines(&facts(&heartbeat), Level::Ok);
    assert_eq!(
        told.split_at(told.len() - 2).1,
        [
            "heartbeat: a run report every 5m through mail to bresse8+watch@third.example, signed, with DRYRUN and \
             bresse8_Mailbox_Service, bresse8_Outbox_Service, bresse8_Store_Service; none was sent now",
            "heartbeat: a request to the server that its url names every 5m; none was sent now",
        ]
    );
    assert_eq!(lines(&facts(&heartbeat), Level::Warn), Vec::<String>::new());
    // All aliases of the one mailbox.
    for to in ["monitor+bresse8@domain.com", "monitor@domain.com", "bresse1+other@domain.com"] {
        let shared = config(MAILBOX, &text.replace("bresse8+watch@third.example", to));
        assert!(warning(&facts(&shared)).contains("is lulled by the watchdog's own runs"), "{to}");
    }
}

#[test]
fn each_failure_is_one_finding_and_says_nothing_of_what_could_not_be_seen() {
    let config = config(MAILBOX, CHANNEL);
    let mut facts = facts(&config);
    facts.state = Err("no state".to_owned());
    facts.mailboxes[0].probe = Err("no mailbox".to_owned());
    facts.mailboxes[0].reading = Reading::Not;
    facts.survey = Survey::new(&config, &Keys::new());
    facts.channels = vec![Err("no channel".to_owned())];
    assert_eq!(
        lines(&facts, Level::Fail),
        ["state: no state", "mailbox MONITOR: no mailbox", "channel mail: no channel"]
    );
    assert_eq!(lines(&facts, Level::Warn), Vec::<String>::new());
}

#[test]
fn the_state_says_who_holds_it_and_who_could_read_it() {
    let config = config(MAILBOX, CHANNEL);
    let mut facts = facts(&config);
    facts.state = Ok(Examined {
        exists: true,
        holder: Some("process 7 (b)".to_owned()),
        readable_by_all: true,
        open_folder: None,
    });
    assert_eq!(lines(&facts, Level::Ok)[1], "state: watchdog.db is in use by process 7 (b)");
    assert!(warning(&facts).contains("every user of this machine may read watchdog.db"));
    facts.state =
        Ok(Examined { exists: true, holder: None, readable_by_all: false, open_folder: Some(0o755) });
    assert!(warning(&facts).contains("its mode is 0755"));
    facts.state = Ok(Examined { exists: false, holder: None, readable_by_all: false, open_folder: None });
    assert_eq!(lines(&facts, Level::Ok)[1], "state: watchdog.db is not there yet and can be made");
}

#[test]
fn a_server_that_cannot_announce_mail_and_one_that_is_slow_are_warned_about() {
    let config = config(MAILBOX, CHANNEL);
    let mut facts = facts(&config);
    facts.mailboxes[0].probe = Ok(probe(&["IMAP4REV1"], 2));
    assert!(warning(&facts).contains("(no IDLE), so a mail is seen only at the next look, every 1m"));
    facts.mailboxes[0].probe = Ok(probe(&["IDLE"], 2));
    facts.mailboxes[0].reading = Reading::Broken("it took longer than 20 s".to_owned());
    assert!(warning(&facts).contains("not all of its newest mails could be looked at: it took longer"));
}

#[test]
fn a_client_secret_is_announced_thirty_days_before_it_ends() {
    for (day, expected) in [
        ("2026-12-21", None),
        ("2026-12-19", Some("its client secret ends on 2026-12-19, in 28 d 21 h")),
        ("2026-11-20", Some("its client secret has ended on 2026-11-20")),
    ] {
        let mailbox = format!(
            "host = \"outlook.office365.com\"\noauth2 = {{ token_url = \"https://x.example/\", client_id = \"c\", \
             client_secret = {{ env = \"P\" }}, client_secret_expires = {day} }}"
        );
        let config = config(&mailbox, CHANNEL);
        let facts = facts(&config);
        match expected {
            Some(expected) => assert!(warning(&facts).contains(expected), "{}", warning(&facts)),
            None => assert_eq!(lines(&facts, Level::Warn), Vec::<String>::new(), "{day}"),
        }
    }
}

#[test]
fn a_channels_client_secret_is_announced_too() {
    let channel = format!(
        "{CHANNEL}\nuser = \"w\"\noauth2 = {{ token_url = \"https://x.example/\", client_id = \"c\", \
         client_secret = {{ env = \"P\" }}, client_secret_expires = 2026-12-19 }}"
    );
    let config = config(MAILBOX, &channel);
    let told = warning(&facts(&config));
    assert!(told.starts_with("channel mail: its client secret ends on 2026-12-19"), "{told}");
}

#[test]
fn a_checker_that_is_late_or_not_found_is_warned_about_as_far_as_the_mails_tell() {
    let config = config(MAILBOX, CHANNEL);
    let mut facts = facts(&config);
    facts.survey = Survey::new(&config, &Keys::new());
    facts.survey.take(&report(TimeDelta::minutes(7), "bresse1+monitor@domain.com"));
    let warnings = lines(&facts, Level::Warn);
    assert!(warnings[0].starts_with("checker bresse1: its last report came 7 min ago"), "{warnings:?}");
    assert!(warnings[0].contains("its deadline of 6 min"), "{warnings:?}");
    assert!(
        warnings[1].starts_with("checker bresse2: none of the newest mails is its report"),
        "{warnings:?}"
    );
    // Of 2 mails, one recent one was looked at: bresse2 may have written the other.
    facts.survey = Survey::new(&config, &Keys::new());
    facts.survey.take(&report(TimeDelta::minutes(1), "bresse1+monitor@domain.com"));
    assert!(warning(&facts).starts_with("checkers: 1 not found, but the newest 1 mails do not reach back"));
}

#[test]
fn who_writes_without_being_configured_is_named() {
    let config = config(MAILBOX, CHANNEL);
    let mut facts = facts(&config);
    facts.survey.take(&report(TimeDelta::minutes(2), "bresse9+monitor@domain.com"));
    assert!(
        warning(&facts).starts_with("address bresse9+monitor@domain.com: somebody reports to this address")
    );
}

#[test]
fn only_fresh_reports_of_known_checkers_make_a_folder_worth_a_warning() {
    let config = config(MAILBOX, CHANNEL);
    let roster = Roster::new(&config.checkers, &Keys::new());
    let mut facts = facts(&config);
    let strays = &mut facts.mailboxes[0].strays;
    strays.take("Archive", &report(TimeDelta::hours(25), "bresse1+monitor@domain.com"), &roster, now());
    strays.take("Sent", &report(TimeDelta::minutes(1), "somebody@domain.com"), &roster, now());
    strays.take("Old", &report(TimeDelta::hours(23), "bresse2+monitor@domain.com"), &roster, now());
    let warning = warning(&facts);
    assert!(
        warning.contains("its folder \"Old\" is not read, but holds 1 fresh report of bresse2"),
        "{warning}"
    );
}

#[test]
fn a_channel_that_falls_with_the_mailbox_is_unsafe_and_a_failure_when_there_is_no_other() {
    let office = "host = \"outlook.office365.com\"\npassword = { env = \"P\" }";
    let to = "to = \"oncall@elsewhere.example\"";
    let second =
        format!("[[channel]]\nname = \"second\"\ntype = \"smtp\"\nfrom = \"a@b.example\"\n{CHANNEL}");
    for (host, expected) in [
        (
            "host = \"outlook.office365.com\"",
            "outlook.office365.com is on the same host as the mailbox MONITOR",
        ),
        ("host = \"smtp.office365.com\"", "smtp.office365.com shares the domain office365.com"),
    ] {
        let both = config(office, &format!("{host}\n{to}\n{second}"));
        let warning = warning(&Facts { channels: vec![Ok(None), Ok(None)], ..facts(&both) });
        assert!(warning.starts_with("channel mail: ") && warning.contains(expected), "{warning}");
        assert!(warning.ends_with("would go down with it"), "{warning}");

        let alone = config(office, &format!("{host}\n{to}"));
        let failures = lines(&facts(&alone), Level::Fail);
        let [failure] = failures.as_slice() else { panic!("{failures:#?}") };
        let beginning = "independence: no channel would survive the loss of the mailbox MONITOR";
        assert!(failure.starts_with(beginning) && failure.contains("accept_dependence"), "{failure}");

        let accepted = Config { accept_dependence: Some("we have a pager".to_owned()), ..alone };
        assert_eq!(lines(&facts(&accepted), Level::Fail), Vec::<String>::new());
        let warnings = lines(&facts(&accepted), Level::Warn);
        assert_eq!(warnings[1], format!("{beginning}; accepted: we have a pager"));
    }
}

#[test]
fn what_cannot_be_worked_out_is_said_and_is_no_failure() {
    let local = "host = \"localhost\"\ntls = \"plain\"\npassword = { env = \"P\" }";
    let on_this_machine =
        config(local, "host = \"127.0.0.1\"\ntls = \"plain\"\nto = \"oncall@elsewhere.example\"");
    let open = warning(&facts(&on_this_machine));
    let beginning =
        "independence: whether a channel would survive the loss of the mailbox MONITOR is not known (mail: ";
    assert!(open.starts_with(beginning) && open.contains("is on the same host as"), "{open}");

    let config = config(MAILBOX, CHANNEL);
    let unknown = Facts { matrix: Matrix::of(&config, &Answers::default()), ..facts(&config) };
    assert!(warning(&unknown).starts_with(beginning), "{}", warning(&unknown));
    assert_eq!(lines(&unknown, Level::Fail), Vec::<String>::new());
}

#[test]
fn a_provider_whose_loss_nobody_would_hear_of_is_warned_about() {
    let channel = format!("{CHANNEL}\nprovider = \"P\"");
    let config = config(MAILBOX, &channel);
    let warning = warning(&facts(&config));
    assert!(
        warning.starts_with("independence: no channel would survive the loss of the provider p"),
        "{warning}"
    );
}

#[test]
fn an_alarm_into_the_watched_mailbox_or_its_mail_system_is_unsafe() {
    let shares = "the mail system of domain.com shares the mail host domain-com.mail.protection.outlook.com";
    for (recipient, expected) in [
        ("monitor@domain.com", Some("leads into the mailbox")),
        ("Monitor+alarm@domain.com", Some("leads into the mailbox")),
        ("bresse2+monitor@domain.com", Some("leads into the mailbox")),
        ("bresse2@domain.com", Some("leads into the mailbox")),
        ("oncall@domain.com", None),
    ] {
        let config = config(
            MAILBOX,
            &format!("host = \"smtp.elsewhere.example\"\nto = [\"{recipient}\", \"a@b.example\"]"),
        );
        let warnings = lines(&facts(&config), Level::Warn);
        assert!(warnings.iter().any(|warning| warning.contains(shares)), "{recipient}: {warnings:#?}");
        let leads = warnings.iter().find(|warning| !warning.contains(shares));
        assert_eq!(leads.is_some(), expected.is_some(), "{recipient}: {warnings:#?}");
        assert!(leads.is_none_or(|warning| warning.contains(expected.unwrap())), "{warnings:#?}");
    }
}

#[test]
fn what_the_configuration_warns_about_is_repeated() {
    let config = config("host = \"outlook.office365.com\"\npassword = \"here\"", CHANNEL);
    assert!(warning(&facts(&config)).contains("the secret stands in plain text"));
}

#[test]
fn a_junk_folder_is_proposed_counted_or_told_to_be_unreadable() {
    let spam = Folder { name: "Junk Email".to_owned(), configured: false, messages: None, junk: true };
    let seen = |config: &Config, junk: Option<Result<u32, String>>| {
        let mut facts = facts(config);
        let mut probe = probe(&["IDLE"], 2);
        probe.folders.push(spam.clone());
        facts.mailboxes[0].probe = Ok(Probe { junk, ..probe });
        (lines(&facts, Level::Ok)[2].clone(), lines(&facts, Level::Warn))
    };
    let (_, warnings) = seen(&config(MAILBOX, CHANNEL), None);
    assert_eq!(
        warnings,
        [
            "mailbox MONITOR: spam goes to its folder \"Junk Email\", which is not read: a checker whose mails end there \
             looks dead; junk = \"Junk Email\" tells the difference"
        ]
    );
    let with_junk = config(&format!("{MAILBOX}\njunk = \"Junk Email\""), CHANNEL);
    let (read, warnings) = seen(&with_junk, Some(Ok(1)));
    assert!(read.ends_with("folders INBOX (2 mails); Junk folder Junk Email (1 mail)"), "{read}");
    assert_eq!(warnings, Vec::<String>::new());
    let (_, warnings) = seen(&with_junk, Some(Err("no such folder".to_owned())));
    assert_eq!(
        warnings,
        ["mailbox MONITOR: its Junk folder cannot be read, all else works without it: no such folder"]
    );
}

#[test]
fn reports_in_junk_are_no_reason_to_read_it_as_an_ordinary_folder() {
    let config = config(&format!("{MAILBOX}\njunk = \"Spam\""), CHANNEL);
    let roster = Roster::new(&config.checkers, &Keys::new());
    let mut facts = facts(&config);
    let strays = &mut facts.mailboxes[0].strays;
    strays.take("Spam", &report(TimeDelta::hours(1), "bresse2+monitor@domain.com"), &roster, now());
    assert_eq!(
        warning(&facts),
        "mailbox MONITOR: its Junk folder \"Spam\" holds 1 fresh report of bresse2, not counted as heard: have the \
         server let these senders through"
    );
}
