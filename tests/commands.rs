//! `propose`, `check` and `matrix`, run against the embedded servers.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::disallowed_methods)]

mod rig;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use bresse_watchdog::testbed::MailStore;
use bresse_watchdog::testbed::dns::{DnsServer, Record, Zone};
use bresse_watchdog::testbed::imap::{Answer, Fault, GREETING, ImapOptions, ImapServer};
use bresse_watchdog::testbed::smtp::{SmtpFault, SmtpOptions, SmtpSink, Stage};
use chrono::{DateTime, TimeDelta, Utc};
use rig::{Finished, PASSWORD, Report, Watchdog, channel_at, free_port};
use serde_json::Value;

const USER: &str = "monitor@domain.com";

/// The two servers and what lies in the mailbox.
struct World {
    store: MailStore,
    imap: ImapServer,
    smtp: SmtpSink,
}

impl World {
    fn start() -> Self {
        let store = MailStore::new();
        let imap = ImapServer::start(ImapOptions::new(store.clone(), USER, PASSWORD)).unwrap();
        let smtp = SmtpSink::start(SmtpOptions::default()).unwrap();
        Self { store, imap, smtp }
    }

    /// This checker's runs of the last hour, 5 minutes apart, the last one a minute ago.
    fn hour_of(&self, checker: &str) {
        for run in (0..12).rev() {
            let at = ago(TimeDelta::minutes(1 + 5 * run));
            self.store.append("INBOX", Report::new(checker, at).mail(), at);
        }
    }

    fn config(&self, checkers: &str) -> String {
        let (imap, smtp) = (self.imap.address().port(), self.smtp.address().port());
        let channel = channel_at(&format!("host = \"127.0.0.1\"\nport = {smtp}\ntls = \"plain\""));
        format!("{}{checkers}{channel}", without_channel(imap))
    }

    fn assert_untouched(&self, watchdog: &Watchdog) {
        assert_eq!(self.store.changing_commands(), BTreeMap::new());
        assert_eq!(self.smtp.mails(), []);
        for name in ["watchdog.db", "watchdog.db.lock"] {
            assert!(!watchdog.path(name).exists(), "{name} was made");
        }
    }
}

fn without_channel(imap_port: u16) -> String {
    format!(
        "[watchdog]\nname = \"bresse8\"\n[mailbox]\nhost = \"127.0.0.1\"\nport = {imap_port}\ntls = \"plain\"\n\
         user = \"{USER}\"\npassword = {{ env = \"IMAP_PASSWORD\" }}\n"
    )
}

const TWO_CHECKERS: &str = "[defaults]\nprovider = \"free\"\ntests = [ { service = \"MSSQL1_Service\", timeout = \"10s\" }, \
    { service = \"ESHOP_Service\", timeout = \"30s\" } ]\n[[checker]]\nname = \"bresse1\"\n[[checker]]\nname = \"bresse2\"\n";

fn ago(time: TimeDelta) -> DateTime<Utc> {
    Utc::now() - time
}

fn run(watchdog: &Watchdog, arguments: &[&str]) -> Finished {
    tokio::task::block_in_place(|| watchdog.run(arguments))
}

fn warnings(check: &Finished) -> Vec<&str> {
    check.stdout.lines().filter(|line| line.starts_with("warn ")).collect()
}

/// The lines without the warning that nobody knows what is behind the servers of these tests.
fn own_warnings(check: &Finished) -> Vec<&str> {
    warnings(check).into_iter().filter(|line| !line.starts_with("warn independence: ")).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_proposed_makes_a_configuration_with_which_all_is_well() {
    let world = World::start();
    world.hour_of("bresse1");
    world.hour_of("bresse2");
    let watchdog = Watchdog::new(&without_channel(world.imap.address().port()));
    let proposed = run(&watchdog, &["propose"]);
    assert_eq!((proposed.status, proposed.stderr.as_str()), (0, ""), "{proposed:?}");
    world.assert_untouched(&watchdog);

    let complete = Watchdog::new(&(world.config("") + &proposed.stdout));
    let check = run(&complete, &["check"]);
    assert_eq!((check.status, check.stderr.as_str()), (0, ""), "{check:?}\n{}", proposed.stdout);
    assert_eq!(own_warnings(&check), Vec::<&str>::new(), "{}", check.stdout);
    for line in [
        "ok   mailbox MONITOR: signed in to 127.0.0.1 as monitor@domain.com; folders INBOX (24 mails)",
        "ok   checkers: 2 of 2 have reported in time, by the newest 24 mails",
        "ok   channel backup-mail: connected to 127.0.0.1 without signing in; nothing was sent",
    ] {
        assert!(check.stdout.contains(line), "{line} is missing in {}", check.stdout);
    }
    world.assert_untouched(&complete);

    let again = run(&complete, &["propose"]);
    assert!(
        again.stdout.starts_with("# Everybody who reports is configured already (2 checkers)"),
        "{again:?}"
    );
    assert_eq!(again.stdout.lines().count(), 1, "{}", again.stdout);
}

#[tokio::test(flavor = "multi_thread")]
async fn propose_reads_history_beyond_the_newest_mails() {
    let world = World::start();
    for run in (0..1200).rev() {
        let at = ago(TimeDelta::minutes(run));
        world.store.append("INBOX", Report::new("bresse1", at).mail(), at);
    }
    let watchdog = Watchdog::new(&without_channel(world.imap.address().port()));
    let proposed = run(&watchdog, &["propose"]);
    assert!(proposed.stdout.contains("# 1200 mails, the last received"), "{proposed:?}");
    assert!(proposed.stdout.contains("cycle = \"1m\""), "{}", proposed.stdout);
    assert!(proposed.stdout.contains("which are all there are"), "{}", proposed.stdout);
}

#[tokio::test(flavor = "multi_thread")]
async fn propose_says_in_one_sentence_that_it_found_nobody_or_cannot_read() {
    let world = World::start();
    let watchdog = Watchdog::new(&without_channel(world.imap.address().port()));
    let proposed = run(&watchdog, &["propose"]);
    assert_eq!((proposed.status, proposed.stdout.lines().count()), (0, 1), "{proposed:?}");
    assert!(proposed.stdout.contains("Nobody can be proposed as a checker from 0 mails"), "{proposed:?}");

    world.imap.fault(Fault::LoginRefused);
    for watchdog in [watchdog, Watchdog::new(&without_channel(free_port()))] {
        let proposed = run(&watchdog, &["propose"]);
        assert_eq!((proposed.status, proposed.stdout.as_str()), (1, ""), "{proposed:?}");
        assert_eq!(proposed.stderr.lines().count(), 1, "{}", proposed.stderr);
        assert!(proposed.stderr.starts_with("The mailbox MONITOR cannot be read: "), "{}", proposed.stderr);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn propose_uses_what_it_has_read_when_the_server_goes_away() {
    let world = World::start();
    for run in (0..1200).rev() {
        let at = ago(TimeDelta::minutes(run));
        world.store.append("INBOX", Report::new("bresse1", at).mail(), at);
    }
    // Every connection breaks in the second window, which is the first to have so many mails.
    (1000..1200).for_each(|uid| assert!(world.store.expunge("INBOX", uid)));
    world.imap.fault(Fault::InFetch { after_mails: 400, answer: Answer::Eof });
    let watchdog = Watchdog::new(&without_channel(world.imap.address().port()));
    let proposed = run(&watchdog, &["propose"]);
    assert_eq!(proposed.status, 0, "{proposed:?}");
    // A server that goes away without having read the next command resets the connection.
    let early = ["the server closed", "the connection broke"];
    let told = |why: &&str| proposed.stdout.contains(&format!("reading ended early (127.0.0.1: {why}"));
    assert!(early.iter().any(told), "{proposed:?}");
    assert!(proposed.stdout.contains("# 300 mails, the last received"), "{}", proposed.stdout);
}

#[tokio::test(flavor = "multi_thread")]
async fn no_control_character_of_a_mail_or_server_reaches_the_terminal() {
    let world = World::start();
    let tokens = "Subject: =?utf-8?Q?DRYRUN.OK_x=1B]0;y=07z.OK_=C2=9B31m.OK?=\r\n\r\n";
    let strange = format!("To: <bresse9\u{1b}[31m+monitor@domain.com>\r\n{tokens}");
    let known = format!("To: <bresse1+monitor@domain.com>\r\n{tokens}");
    for _ in 0..2 {
        world.store.append("INBOX", strange.as_str(), Utc::now());
        world.store.append("INBOX", known.as_str(), Utc::now());
        world.store.append("Junk\u{1b}[2J", Report::new("bresse1", Utc::now()).mail(), Utc::now());
    }
    world.imap.fault(Fault::on("LIST", Answer::Before("* OK \u{1b}[2J".to_owned())));
    let refusal = SmtpFault::Reply { at: Stage::Greeting, code: 554, text: "go\u{1b}[2Jaway".to_owned() };
    world.smtp.fault(refusal);
    let bare = Watchdog::new(&without_channel(world.imap.address().port()));
    let configured = Watchdog::new(&world.config(TWO_CHECKERS));
    for finished in [
        run(&bare, &["propose"]),
        run(&configured, &["propose"]),
        run(&configured, &["check"]),
        run(&configured, &["check", "--format", "csv"]),
    ] {
        let shown = finished.stdout + &finished.stderr;
        assert!(!shown.contains(|c: char| c.is_control() && c != '\n'), "{shown:?}");
        assert!(!shown.is_empty());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn check_finds_strangers_strays_and_the_missing_and_changes_nothing() {
    let world = World::start();
    world.hour_of("bresse1");
    world.hour_of("bresse9");
    for hours in [1, 48] {
        let at = ago(TimeDelta::hours(hours));
        world.store.append("Junk", Report::new("bresse2", at).mail(), at);
    }
    let watchdog = Watchdog::new(&world.config(TWO_CHECKERS));
    let check = run(&watchdog, &["check"]);
    assert_eq!((check.status, check.stderr.as_str()), (0, ""), "{check:?}");
    let warnings = own_warnings(&check);
    let expected = [
        "warn mailbox MONITOR: spam goes to its folder \"Junk\", which is not read",
        "warn mailbox MONITOR: its Junk folder \"Junk\" holds 1 fresh report of bresse2, not counted as heard",
        "warn checker bresse2: none of the newest mails is its report",
        "warn address bresse9+monitor@domain.com: somebody reports to this address (12 of the newest mails)",
    ];
    assert_eq!(warnings.len(), expected.len(), "{warnings:#?}");
    for (warning, beginning) in warnings.iter().zip(expected) {
        assert!(warning.starts_with(beginning), "{warning}");
    }
    world.assert_untouched(&watchdog);

    let json: Value = serde_json::from_str(&run(&watchdog, &["check", "--format", "json"]).stdout).unwrap();
    assert_eq!(json["ok"], true);
    assert_eq!(json["findings"][0]["level"], "ok");
    assert_eq!(json["findings"][0]["what"], "configuration");
}

#[tokio::test(flavor = "multi_thread")]
async fn check_says_each_failure_in_one_sentence() {
    let world = World::start();
    world.imap.fault(Fault::LoginRefused);
    world.smtp.fault(SmtpFault::Reply { at: Stage::Greeting, code: 554, text: "go away".to_owned() });
    let config =
        world.config(TWO_CHECKERS).replace("[mailbox]", "state = \"sqlite:missing/watchdog.db\"\n[mailbox]");
    let watchdog = Watchdog::new(&config);
    let check = run(&watchdog, &["check"]);
    assert_eq!(check.status, 1, "{check:?}");
    let lines: Vec<&str> = check.stderr.lines().collect();
    let beginnings = ["state: ", "mailbox MONITOR: ", "channel backup-mail: "];
    assert_eq!(lines.len(), beginnings.len(), "{lines:#?}");
    for (line, beginning) in lines.iter().zip(beginnings) {
        assert!(line.starts_with(beginning), "{line}");
        assert!(check.stdout.contains(&format!("FAIL {line}")), "{line} is missing in {}", check.stdout);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn check_names_the_process_that_holds_the_state_and_leaves_it_alone() {
    let world = World::start();
    world.hour_of("bresse1");
    let watchdog = Watchdog::new(&world.config(TWO_CHECKERS));
    let mut daemon = watchdog.spawn_run();
    assert!(world.imap.wait_for("IDLE", 1, Duration::from_secs(20)).await, "{}", daemon.log());
    let check = run(&watchdog, &["check"]);
    assert_eq!(check.status, 0, "{check:?}");
    let held = format!("ok   state: watchdog.db is in use by process {} (bresse8)", daemon.pid());
    assert!(check.stdout.contains(&held), "{held} is missing in {}", check.stdout);
    daemon.assert_running();
}

#[tokio::test(flavor = "multi_thread")]
async fn check_ends_within_a_minute_when_everything_hangs() {
    let world = World::start();
    world.hour_of("bresse1");
    world.imap.fault(Fault::on("UID FETCH", Answer::Stall));
    let greeted = World::start();
    greeted.imap.fault(Fault::on(GREETING, Answer::Stall));
    world.smtp.fault(SmtpFault::Hang { at: Stage::Greeting });
    let second = format!(
        "[[mailbox]]\nname = \"SECOND\"\nhost = \"127.0.0.1\"\nport = {}\ntls = \"plain\"\nuser = \"{USER}\"\n\
         password = {{ env = \"IMAP_PASSWORD\" }}\n",
        greeted.imap.address().port()
    );
    let config =
        world.config(&(second + TWO_CHECKERS)).replacen("[mailbox]", "[[mailbox]]\nname = \"FIRST\"", 1);
    let watchdog = Watchdog::new(&config);
    let started = Instant::now();
    let check = run(&watchdog, &["check"]);
    let took = started.elapsed();
    assert!(took < Duration::from_secs(60), "{took:?}");
    assert_eq!(check.status, 1, "{check:?}");
    let lines: Vec<&str> = check.stderr.lines().collect();
    assert_eq!(lines.len(), 2, "{lines:#?}");
    assert!(
        lines[0].starts_with("mailbox SECOND: ") && lines[1].starts_with("channel backup-mail: "),
        "{lines:#?}"
    );
    let unread =
        "warn mailbox FIRST: not all of its newest mails could be looked at: it took longer than 20 s";
    assert!(check.stdout.contains(unread), "{}", check.stdout);
}

#[tokio::test(flavor = "multi_thread")]
async fn runs_that_break_the_rules_are_shown_everywhere_and_alarmed_when_they_go_on() {
    let world = World::start();
    world.hour_of("bresse1");
    let checker = |tests: &str| {
        world.config(&format!("[[checker]]\nname = \"bresse1\"\nprovider = \"free\"\ntests = [{tests}]\n"))
    };
    let one = "{ service = \"MSSQL1_Service\", timeout = \"10s\" }";
    let watchdog = Watchdog::new(&checker(one));
    let subjects = || -> Vec<String> {
        let mails = world.smtp.mails();
        let text = |data: &[u8]| String::from_utf8_lossy(data).into_owned();
        let subject =
            |mail: String| mail.lines().find(|line| line.starts_with("Subject: ")).map(str::to_owned);
        mails.iter().filter_map(|mail| subject(text(&mail.bytes))).collect()
    };

    let once = run(&watchdog, &["once"]);
    assert_eq!(once.status, 1, "{once:?}");
    assert!(once.stdout.contains("MSSQL1_Service OK (! UNKNOWN_SERVICE)"), "{}", once.stdout);
    assert_eq!(subjects().len(), 1);
    assert!(subjects()[0].starts_with("Subject: bresse1_Report.NOK "), "{:?}", subjects());

    let json: Value =
        serde_json::from_str(&run(&watchdog, &["last-seen", "--format", "json"]).stdout).unwrap();
    let finding = &json["checkers"][0]["findings"][0];
    assert_eq!((&finding["name"], &finding["runs"]), (&"UNKNOWN_SERVICE".into(), &12.into()), "{finding}");
    assert!(finding["what"].as_str().unwrap().contains("ESHOP_Service"), "{finding}");
    let then = run(&watchdog, &["last-seen", "--format", "csv"]);
    assert!(then.stdout.lines().nth(1).unwrap().ends_with(",UNKNOWN_SERVICE"), "{then:?}");
    let why = run(&watchdog, &["explain", "bresse1"]);
    assert!(
        why.stdout.contains("UNKNOWN_SERVICE: it names ESHOP_Service, which nobody configured"),
        "{why:?}"
    );

    let both = format!("{one}, {{ service = \"ESHOP_Service\", timeout = \"30s\" }}");
    std::fs::write(watchdog.path("watchdog.toml"), checker(&both)).unwrap();
    world.store.append("INBOX", Report::new("bresse1", Utc::now()).mail(), Utc::now());
    let once = run(&watchdog, &["once"]);
    assert_eq!(once.status, 0, "{once:?}");
    assert!(subjects()[1].starts_with("Subject: bresse1_Report.OK "), "{:?}", subjects());
    assert_eq!(subjects().len(), 2);
}

/// What `matrix --format json` says of ESHOP_Service: the verdict, from where, and the results by provider.
fn eshop(watchdog: &Watchdog, more: &[&str]) -> (String, Value, String) {
    let matrix = run(watchdog, &[&["matrix", "--format", "json"], more].concat());
    assert_eq!((matrix.status, matrix.stderr.as_str()), (0, ""), "{matrix:?}");
    let matrix: Value = serde_json::from_str(&matrix.stdout).unwrap();
    assert_eq!(matrix["providers"], serde_json::json!(["free", "orange", "sfr"]));
    let row = &matrix["services"][1];
    assert_eq!(row["name"], "ESHOP_Service");
    let cells = row["cells"].as_array().unwrap();
    let results: Vec<&str> = cells.iter().map(|cell| cell["result"].as_str().unwrap()).collect();
    (row["verdict"].as_str().unwrap().to_owned(), row["from"].clone(), results.join(" "))
}

#[tokio::test(flavor = "multi_thread")]
async fn the_matrix_says_what_a_service_looks_like_and_what_it_looked_like_then() {
    let world = World::start();
    let tests = "tests = [ { service = \"MSSQL1_Service\", timeout = \"10s\" }, { service = \"ESHOP_Service\", timeout = \"30s\" } ]\n";
    let checkers: String = ["free", "orange", "sfr"]
        .iter()
        .enumerate()
        .map(|(index, provider)| {
            format!("[[checker]]\nname = \"bresse{}\"\nprovider = \"{provider}\"\n{tests}", index + 1)
        })
        .collect();
    let watchdog = Watchdog::new(&world.config(&checkers));
    let report = |checker: &str, seconds: i64, nok: bool| {
        let at = ago(TimeDelta::seconds(seconds));
        let report = Report::new(checker, at);
        let report = if nok { report.nok("ESHOP_Service") } else { report };
        world.store.append("INBOX", report.mail(), at);
    };
    let missing = run(&watchdog, &["matrix"]);
    assert_eq!((missing.status, missing.stderr.lines().count()), (1, 1), "{missing:?}");

    ["bresse1", "bresse2"].iter().for_each(|name| report(name, 60, false));
    assert_eq!(run(&watchdog, &["once"]).status, 0);
    let all_well = ("ok".to_owned(), serde_json::json!([]), "OK OK UNKNOWN".to_owned());
    assert_eq!(eshop(&watchdog, &[]), all_well);
    let then = Utc::now().to_rfc3339();

    report("bresse2", 10, true);
    report("bresse1", 5, false);
    assert_eq!(run(&watchdog, &["once"]).status, 2);
    let path = ("seen_down_from".to_owned(), serde_json::json!(["orange"]), "OK NOK UNKNOWN".to_owned());
    assert_eq!(eshop(&watchdog, &[]), path);
    assert_eq!(eshop(&watchdog, &["--as-of", &then]), all_well);
    let table = run(&watchdog, &["matrix"]);
    assert_eq!((table.status, table.stderr.as_str()), (0, ""), "{table:?}");
    assert!(table.stdout.starts_with("SERVICE         LOOKS LIKE      free  orange  sfr\n"), "{table:?}");
    assert!(table.stdout.contains("ESHOP_Service   seen_down_from  OK    NOK     waiting\n"), "{table:?}");
    let before = run(&watchdog, &["matrix", "--as-of", "-90m", "--format", "csv"]);
    assert!(before.stdout.contains("ESHOP_Service,unconfirmed,free,UNKNOWN,,,,0,1\n"), "{before:?}");
}

/// The mail hosts of the mailbox's domain and of the recipients'.
fn zone(records: &[(&str, &str)]) -> Zone {
    let mut zone = Zone::new();
    for (number, (domain, host)) in records.iter().enumerate() {
        zone.entry((*domain).to_owned()).or_default().push(Record::MailHost((*host).to_owned()));
        let address = format!("192.0.{number}.1").parse().unwrap();
        zone.entry((*host).to_owned()).or_default().push(Record::Address(address));
    }
    zone
}

const SHARED_MX: [(&str, &str); 2] =
    [("domain.com", "mx.hosting.example"), ("elsewhere.example", "mx.hosting.example")];
const OWN_MX: [(&str, &str); 2] =
    [("domain.com", "mx.hosting.example"), ("elsewhere.example", "mx.elsewhere.example")];

#[tokio::test(flavor = "multi_thread")]
async fn check_fails_when_every_recipient_is_in_the_mail_system_of_the_mailbox() {
    let world = World::start();
    world.hour_of("bresse1");
    world.hour_of("bresse2");
    let dns = DnsServer::start(zone(&SHARED_MX)).await.unwrap();
    let watchdog = Watchdog::new(&world.config(TWO_CHECKERS)).with_dns(dns.address());
    let check = run(&watchdog, &["check"]);
    assert_eq!(check.status, 1, "{check:?}");
    let lines: Vec<&str> = check.stderr.lines().collect();
    assert_eq!(lines.len(), 1, "{lines:#?}");
    assert!(
        lines[0].starts_with("independence: no channel would survive the loss of the mailbox MONITOR"),
        "{lines:#?}"
    );
    let why = "the mail system of elsewhere.example shares the mail host mx.hosting.example with the mailbox MONITOR";
    assert!(check.stdout.contains(why), "{}", check.stdout);
    world.assert_untouched(&watchdog);

    let json: Value = serde_json::from_str(&run(&watchdog, &["check", "--format", "json"]).stdout).unwrap();
    assert_eq!(json["independence"]["losses"][0]["lost"]["mailbox"], "MONITOR", "{json:#}");
    assert_eq!(json["independence"]["losses"][0]["channels"][0]["fate"], "lost", "{json:#}");

    let reason = "the guards look at the screen";
    let accepted = world
        .config(TWO_CHECKERS)
        .replace("[watchdog]", &format!("[watchdog]\naccept_dependence = \"{reason}\""));
    let check = run(&Watchdog::new(&accepted).with_dns(dns.address()), &["check"]);
    assert_eq!((check.status, check.stderr.as_str()), (0, ""), "{check:?}");
    assert!(check.stdout.contains(&format!("accepted: {reason}")), "{}", check.stdout);
}

#[tokio::test(flavor = "multi_thread")]
async fn check_prints_which_channels_still_work_without_what() {
    let world = World::start();
    world.hour_of("bresse1");
    world.hour_of("bresse2");
    let dns = DnsServer::start(zone(&OWN_MX)).await.unwrap();
    let log = "[[channel]]\nname = \"log\"\ntype = \"file\"\npath = \"alarms.jsonl\"\n";
    // Both servers are on this machine, so only the user's word tells them apart.
    let config = (world.config(TWO_CHECKERS) + log)
        .replace("[mailbox]", "[mailbox]\nprovider = \"office\"")
        .replace("type = \"smtp\"", "type = \"smtp\"\nprovider = \"hosting\"");
    let watchdog = Watchdog::new(&config).with_dns(dns.address());
    let check = run(&watchdog, &["check"]);
    assert_eq!((check.status, check.stderr.as_str()), (0, ""), "{check:?}");
    let survives = "ok   independence: backup-mail would still work without the mailbox MONITOR";
    assert!(check.stdout.contains(survives), "{}", check.stdout);
    let (_, table) = check.stdout.split_once("IF THIS IS LOST").unwrap();
    assert!(table.lines().all(|line| line.chars().count() <= 80), "{}", check.stdout);
    let words: Vec<&str> = table.split_whitespace().collect();
    let expected = "STILL WORK LOST TOO NOT KNOWN the mailbox MONITOR, the provider free backup-mail - log";
    assert_eq!(words.join(" "), expected, "{}", check.stdout);

    let silent: Zone =
        OWN_MX.iter().map(|(domain, _)| ((*domain).to_owned(), vec![Record::Silence])).collect();
    let silent = DnsServer::start(silent).await.unwrap();
    let check = run(&Watchdog::new(&config).with_dns(silent.address()), &["check"]);
    assert_eq!((check.status, check.stderr.as_str()), (0, ""), "{check:?}");
    let unknown =
        "warn independence: whether a channel would survive the loss of the mailbox MONITOR is not known";
    assert!(check.stdout.contains(unknown), "{}", check.stdout);
    assert!(check.stdout.contains("DNS does not answer"), "{}", check.stdout);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_daemon_alarms_a_dependence_once_and_not_while_dns_is_silent() {
    let world = World::start();
    world.hour_of("bresse1");
    world.hour_of("bresse2");
    let tokens = || -> Vec<String> {
        let mails = world.smtp.mails();
        let subjects = mails.iter().map(|mail| String::from_utf8_lossy(&mail.bytes).into_owned());
        let token = |text: String| {
            let subject = text.lines().find_map(|line| line.strip_prefix("Subject: "))?;
            subject.split_whitespace().next().map(str::to_owned)
        };
        subjects.filter_map(token).collect()
    };
    let wait = |expected: &[&str]| {
        rig::wait_for(Duration::from_secs(20), || (tokens() == expected).then_some(()))
            .unwrap_or_else(|| panic!("{:?} instead of {expected:?}", tokens()));
    };
    let shared = DnsServer::start(zone(&SHARED_MX)).await.unwrap();
    let watchdog = Watchdog::new(&world.config(TWO_CHECKERS)).with_dns(shared.address());
    let daemon = watchdog.spawn_run();
    tokio::task::block_in_place(|| wait(&["MONITOR_Dependence.NOK"]));
    tokio::task::block_in_place(|| daemon.terminate());

    let silent: Zone =
        SHARED_MX.iter().map(|(domain, _)| ((*domain).to_owned(), vec![Record::Silence])).collect();
    let silent = DnsServer::start(silent).await.unwrap();
    let watchdog = watchdog.with_dns(silent.address());
    let daemon = watchdog.spawn_run();
    let told = || daemon.log().contains("could not all be worked out").then_some(());
    tokio::task::block_in_place(|| rig::wait_for(Duration::from_secs(30), told))
        .unwrap_or_else(|| panic!("{}", daemon.log()));
    assert_eq!(tokens(), ["MONITOR_Dependence.NOK"], "{}", daemon.log());
    tokio::task::block_in_place(|| daemon.terminate());

    let own = DnsServer::start(zone(&OWN_MX)).await.unwrap();
    let config = world
        .config(TWO_CHECKERS)
        .replace("[mailbox]", "[mailbox]\nprovider = \"office\"")
        .replace("type = \"smtp\"", "type = \"smtp\"\nprovider = \"hosting\"");
    std::fs::write(watchdog.path("watchdog.toml"), config).unwrap();
    let watchdog = watchdog.with_dns(own.address());
    let _daemon = watchdog.spawn_run();
    tokio::task::block_in_place(|| wait(&["MONITOR_Dependence.NOK", "MONITOR_Dependence.OK"]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_first_read_shows_on_a_terminal_how_far_it_is_and_nowhere_else() {
    // So many take longer than the bar waits before it shows itself.
    const REPORTS: i64 = 36_000;
    let world = World::start();
    for minute in (0..REPORTS).rev() {
        let at = ago(TimeDelta::minutes(5 * minute + 1));
        world.store.append("INBOX", Report::new("bresse1", at).mail(), at);
    }
    let plain = run(&Watchdog::new(&world.config(TWO_CHECKERS)), &["once"]);
    assert!(!plain.stderr.contains(&format!(" of {REPORTS}")), "{}", plain.stderr);
    let watchdog = Watchdog::new(&world.config(TWO_CHECKERS));
    let seen = tokio::task::block_in_place(|| watchdog.run_on_terminal("once"));
    assert!(seen.contains(&format!(" of {REPORTS}\r")), "{seen}");
    let drawn: Vec<&str> = seen.split('\r').filter(|line| line.starts_with('[')).collect();
    assert!(!drawn.is_empty() && drawn.is_sorted(), "it grows: {drawn:?}");
    assert!(!drawn.iter().any(|line| line.contains("100 %")), "what is done needs no bar: {drawn:?}");
    assert!(seen.contains("\r\u{1b}[K"), "the bar is cleared away: {seen}");
}
