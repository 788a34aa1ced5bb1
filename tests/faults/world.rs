//! One installation against the embedded servers: a mailbox that is fed, a channel that is read, the built binary.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::Duration;

use bresse_watchdog::testbed::MailStore;
use bresse_watchdog::testbed::imap::{ImapOptions, ImapServer};
use bresse_watchdog::testbed::smtp::{SmtpOptions, SmtpSink};
use chrono::{DateTime, Utc};
use rusqlite::{Connection, OpenFlags};
use tokio::runtime::Runtime;

use crate::rig::{AlarmMail, Daemon, Feeder, PASSWORD, Report, USER, Watchdog, wait_for};

/// What must happen at once may take this long on a busy machine.
pub(crate) const SOON: Duration = Duration::from_secs(25);
/// Silent after 2 + 0.4 + 2 = 4.4 s; those alive report twice a second.
pub(crate) const SHORT: &str = "cycle = \"2s\"\nmail_path_margin = \"2s\"\nfindings = { DUPLICATE = \"ignore\", GAP = \"ignore\", OVERRUN = \"ignore\" }\n";
pub(crate) const SHORT_TESTS: &str = "tests = [ { service = \"MSSQL1_Service\", timeout = \"200ms\" }, \
                                      { service = \"ESHOP_Service\", timeout = \"200ms\" } ]";
pub(crate) const SHORT_DEADLINE: Duration = Duration::from_millis(4_400);
const SHORT_PERIOD: Duration = Duration::from_millis(500);
/// Silent after 400 s: what is there stays as it is while a test lasts.
pub(crate) const USUAL: &str =
    "cycle = \"5m\"\nmail_path_margin = \"60s\"\nfindings = { DUPLICATE = \"ignore\" }\n";

/// A mailbox that is served, and a channel into a sink.
pub(crate) struct Servers {
    pub(crate) mails: MailStore,
    pub(crate) imap: ImapServer,
    pub(crate) sink: SmtpSink,
    /// Last, because the servers run in it.
    runtime: Runtime,
}

impl Servers {
    pub(crate) fn start() -> Self {
        Self::start_with(&[])
    }

    /// The IMAP server offers these capabilities as well.
    pub(crate) fn start_with(capabilities: &[&str]) -> Self {
        let runtime = runtime();
        let context = runtime.enter();
        let mails = MailStore::new();
        let mut options = ImapOptions::new(mails.clone(), USER, PASSWORD);
        options.capabilities.extend(capabilities.iter().map(|name| (*name).to_owned()));
        let imap = ImapServer::start(options).unwrap();
        let sink = SmtpSink::start(SmtpOptions::default()).unwrap();
        drop(context);
        Self { mails, imap, sink, runtime }
    }

    /// For what of the servers is async.
    pub(crate) fn wait<T>(&self, work: impl Future<Output = T>) -> T {
        self.runtime.block_on(work)
    }

    /// `[mailbox]` for this server; short polls, and blind soon.
    pub(crate) fn mailbox(&self) -> String {
        mailbox(&self.imap, "")
    }

    pub(crate) fn channel(&self) -> String {
        channel("backup-mail", &self.sink, "")
    }

    /// The token of every mail sent so far, in the order of arrival.
    pub(crate) fn tokens(&self) -> Vec<String> {
        alarms(&self.sink).iter().map(AlarmMail::token).collect()
    }

    /// Waits for this token, wherever it stands among those sent.
    pub(crate) fn expect(&self, token: &str, limit: Duration) -> AlarmMail {
        let found = || alarms(&self.sink).into_iter().find(|mail| mail.token() == token);
        wait_for(limit, found).unwrap_or_else(|| panic!("no {token}, but {:?}", self.tokens()))
    }

    /// One report of `checker`, sent and received now.
    pub(crate) fn report(&self, checker: &str) -> u32 {
        self.deliver(&Report::new(checker, Utc::now()), Utc::now())
    }

    pub(crate) fn deliver(&self, report: &Report, received: DateTime<Utc>) -> u32 {
        self.mails.append("INBOX", report.mail(), received)
    }

    /// These checkers report until they are silenced, or the feeder is dropped.
    pub(crate) fn feed(&self, checkers: &[&str]) -> Feeder {
        let mails = self.mails.clone();
        Feeder::start(checkers, SHORT_PERIOD, move |report| {
            mails.append("INBOX", report.mail(), Utc::now());
            Ok(())
        })
    }

    /// Waits until every mail of `INBOX` is kept, and panics if one is kept twice or lost.
    pub(crate) fn assert_all_kept(&self, watchdog: &Watchdog) {
        let expected: Vec<String> = message_ids(&self.mails, "INBOX");
        assert_kept(&state_of(watchdog), &expected);
        assert_eq!(self.mails.changing_commands(), BTreeMap::new(), "the mailbox is never changed");
    }
}

pub(crate) fn runtime() -> Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap()
}

/// `[[mailbox]]` for a server; `more` holds further keys.
pub(crate) fn mailbox(server: &ImapServer, more: &str) -> String {
    let poll = if more.contains("poll") { "" } else { "poll = \"1s\"\n" };
    format!(
        "[[mailbox]]\nhost = \"127.0.0.1\"\nport = {}\ntls = \"plain\"\nuser = \"{USER}\"\n\
         password = {{ env = \"IMAP_PASSWORD\" }}\nblind_after = \"3s\"\n{poll}{more}\n",
        server.address().port(),
    )
}

pub(crate) fn channel(name: &str, sink: &SmtpSink, more: &str) -> String {
    let to = if more.contains("to =") { "" } else { "to = [\"oncall@elsewhere.example\"]\n" };
    format!(
        "[[channel]]\nname = \"{name}\"\ntype = \"smtp\"\nhost = \"127.0.0.1\"\nport = {}\ntls = \"plain\"\n\
         from = \"bresse8@watchdog.example\"\n{to}{more}\n",
        sink.address().port(),
    )
}

/// `[[checker]]` for each, with these times.
pub(crate) fn checkers(names: &[&str], times: &str) -> String {
    names
        .iter()
        .map(|name| {
            format!(
                "[[checker]]\nname = \"{name}\"\nprovider = \"provider-of-{name}\"\n{times}{SHORT_TESTS}\n"
            )
        })
        .collect()
}

/// A whole configuration with the state beside it.
pub(crate) fn config(parts: &[&str]) -> String {
    config_with_state(Path::new("watchdog.db"), parts)
}

pub(crate) fn config_with_state(state: &Path, parts: &[&str]) -> String {
    let state = state.display();
    format!("[watchdog]\nname = \"bresse8\"\nstate = \"sqlite:{state}\"\n\n{}", parts.join("\n"))
}

pub(crate) fn state_of(watchdog: &Watchdog) -> PathBuf {
    watchdog.path("watchdog.db")
}

/// Every mail the sink has accepted.
pub(crate) fn alarms(sink: &SmtpSink) -> Vec<AlarmMail> {
    sink.mails().into_iter().map(|mail| AlarmMail { recipients: mail.to, raw: mail.bytes }).collect()
}

pub(crate) fn message_ids(mails: &MailStore, folder: &str) -> Vec<String> {
    let id = |bytes: &[u8]| {
        let (_, after) = std::str::from_utf8(bytes).ok()?.split_once("Message-ID: <")?;
        Some(after.split_once('>')?.0.to_owned())
    };
    mails.mails(folder).iter().map(|mail| id(&mail.bytes).expect("a Message-ID")).collect()
}

/// The Message-ID of every report in a state file, each as often as it is kept; empty when there is none yet.
pub(crate) fn kept(state: &Path) -> Vec<String> {
    rows(state, "SELECT message_id FROM reports ORDER BY id")
}

/// The first column of every row, as text.
pub(crate) fn rows(state: &Path, sql: &str) -> Vec<String> {
    let ask = || -> rusqlite::Result<Vec<String>> {
        let db = Connection::open_with_flags(state, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
        db.busy_timeout(Duration::from_secs(5))?;
        let mut statement = db.prepare(sql)?;
        statement.query_map([], |row| row.get(0))?.collect()
    };
    ask().unwrap_or_default()
}

/// Waits until exactly these reports are kept, each once.
pub(crate) fn assert_kept(state: &Path, expected: &[String]) {
    let sorted = |ids: &[String]| {
        let mut ids: Vec<String> = ids.iter().map(|id| id.trim_matches(['<', '>']).to_owned()).collect();
        ids.sort();
        ids
    };
    let wanted = sorted(expected);
    let all = || (sorted(&kept(state)) == wanted).then_some(());
    if wait_for(SOON, all).is_none() {
        let found = sorted(&kept(state));
        let lost: Vec<_> = wanted.iter().filter(|id| !found.contains(id)).collect();
        let doubled = found.windows(2).filter(|pair| pair[0] == pair[1]).count();
        panic!("{} mails, {} kept, {doubled} of them twice, lost: {lost:?}", wanted.len(), found.len());
    }
}

/// Waits until `last-seen`, run beside the daemon, shows all these checkers in this state.
pub(crate) fn wait_for_state(watchdog: &Watchdog, names: &[&str], state: &str) {
    let reached = || {
        sleep(Duration::from_millis(100));
        let seen = watchdog.run(&["last-seen", "--format", "json"]);
        let table: serde_json::Value = serde_json::from_str(&seen.stdout).ok()?;
        let checkers = table["checkers"].as_array()?.clone();
        names
            .iter()
            .all(|name| checkers.iter().any(|c| c["name"] == *name && c["state"] == state))
            .then_some(())
    };
    wait_for(SOON, reached).unwrap_or_else(|| panic!("not all {state}: {:#}", watchdog.last_seen()));
}

/// The most memory the daemon ever held, in KiB.
pub(crate) fn peak_memory_kib(daemon: &Daemon) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", daemon.pid())).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).expect("VmHWM");
    line.split_whitespace().nth(1).and_then(|number| number.parse().ok()).expect("a number of KiB")
}

/// Runs every row at the same time, each on a thread of its own named after it; panics with the names of those that failed.
pub(crate) fn at_once<R: Send + 'static>(rows: Vec<(&'static str, R)>, test: fn(&R)) {
    let start = |(name, row): (&'static str, R)| {
        let thread = std::thread::Builder::new().name(name.to_owned());
        (name, thread.spawn(move || test(&row)).expect("a thread"))
    };
    let threads: Vec<_> = rows.into_iter().map(start).collect();
    let failed: Vec<&str> =
        threads.into_iter().filter_map(|(name, thread)| thread.join().is_err().then_some(name)).collect();
    assert!(failed.is_empty(), "failed: {failed:?} (the panics stand above)");
}
