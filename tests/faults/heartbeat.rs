//! The watchdog's own heartbeat: two watchdogs watch each other, and systemd and a dead-man service hear of completed
//! judgements only.

use std::io::{BufRead, BufReader, Write};
use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::net::UnixDatagram;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::{Duration, Instant};

use bresse_watchdog::testbed::MailStore;
use bresse_watchdog::testbed::imap::{Answer, Fault, ImapOptions, ImapServer};
use bresse_watchdog::testbed::smtp::{Delivery, SmtpOptions, SmtpSink};

use crate::rig::{AlarmMail, Daemon, PASSWORD, USER, Watchdog, wait_for};
use crate::world::{SOON, Servers, USUAL, alarms, checkers, config, runtime, state_of};

const DESCRIBED: &str = include_str!("../../docs/two-watchdogs.md");
/// Silent after 3 + 4 s.
const CYCLE: &str = "3s";
const MARGIN: &str = "4s";

/// One of the two, its own mailbox, and the server through which it sends.
struct Watcher {
    watchdog: Watchdog,
    peer: ImapServer,
    sink: SmtpSink,
    overrides: Vec<String>,
}

impl Watcher {
    /// `configuration` is as it is described; `own` is where the other one's runs arrive, and `others` where its own do.
    fn install(configuration: &str, monitor: &ImapServer, own: &MailStore, others: &MailStore) -> Self {
        let user =
            configuration.lines().filter_map(|line| line.strip_prefix("user     = \"")).nth(1).unwrap();
        let options = ImapOptions::new(own.clone(), user.trim_end_matches('"'), PASSWORD);
        let peer = ImapServer::start(options).unwrap();
        let folder_of = |to: &str| Some(if to.starts_with("watch+") { "INBOX" } else { "People" }.to_owned());
        let delivery = Delivery { store: others.clone(), folder_of: Arc::new(folder_of) };
        let sink =
            SmtpSink::start(SmtpOptions { delivery: Some(delivery), ..SmtpOptions::default() }).unwrap();
        let mut overrides =
            vec!["checker.0.cycle=".to_owned() + CYCLE, "heartbeat.cycle=".to_owned() + CYCLE];
        overrides.push("checker.0.mail_path_margin=".to_owned() + MARGIN);
        let servers =
            [("mailbox.0", monitor.address()), ("mailbox.1", peer.address()), ("channel.0", sink.address())];
        for (table, address) in servers {
            overrides.push(format!("{table}.host=127.0.0.1"));
            overrides.push(format!("{table}.port={}", address.port()));
            overrides.push(format!("{table}.tls=plain"));
        }
        let brief = ["poll=1s", "blind_after=3s"];
        overrides
            .extend(brief.iter().flat_map(|key| [format!("mailbox.0.{key}"), format!("mailbox.1.{key}")]));
        Self { watchdog: Watchdog::new(configuration), peer, sink, overrides }
    }

    fn run(&self, ping: &str) -> Daemon {
        let mut arguments = vec!["run"];
        for setting in &self.overrides {
            arguments.extend(["--set", setting]);
        }
        let variables = [
            ("PEER_PASSWORD", PASSWORD),
            ("BRESSE8_KEY", "the key of the eighth one"),
            ("BRESSE9_KEY", "the key of the ninth one"),
            ("PING_URL", ping),
        ];
        self.watchdog.spawn_run_with(&arguments, &variables)
    }

    /// The tokens of its alarms and recoveries.
    fn tokens(&self) -> Vec<String> {
        let to_people = |mail: &AlarmMail| mail.recipients.iter().all(|to| to.starts_with("oncall@"));
        alarms(&self.sink).iter().filter(|mail| to_people(mail)).map(AlarmMail::token).collect()
    }

    /// How often it has told of a run of its own.
    fn runs(&self) -> usize {
        let run = |mail: &AlarmMail| mail.recipients.iter().any(|to| to.starts_with("watch+"));
        alarms(&self.sink).iter().filter(|mail| run(mail)).count()
    }

    fn expect(&self, token: &str, limit: Duration) {
        let said = || self.tokens().iter().any(|said| said == token).then_some(());
        wait_for(limit, said).unwrap_or_else(|| panic!("no {token}, but {:?}", self.tokens()));
    }
}

/// A dead-man service: the first line of each request.
fn dead_man_service() -> (String, Receiver<String>) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let url = format!("http://{}/ping/uuid", listener.local_addr().unwrap());
    let (asked, requests) = channel();
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let mut stream = BufReader::new(stream);
            let mut first = String::new();
            let _ = stream.read_line(&mut first);
            let mut line = String::new();
            while stream.read_line(&mut line).is_ok_and(|read| read > 2) {
                line.clear();
            }
            let _ = stream.get_mut().write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nOK");
            if asked.send(first.trim_end().to_owned()).is_err() {
                return;
            }
        }
    });
    (url, requests)
}

#[test]
fn of_two_watchdogs_that_watch_each_other_the_living_one_alarms_the_dead_one_as_it_is_described() {
    let described: Vec<&str> =
        DESCRIBED.split("```toml\n").skip(1).map(|part| part.split("```").next().unwrap()).collect();
    let [eighth, ninth] = described[..] else { panic!("{} configurations", described.len()) };
    let runtime = runtime();
    let _context = runtime.enter();
    let monitor = ImapServer::start(ImapOptions::new(MailStore::new(), USER, PASSWORD)).unwrap();
    let (elsewhere, third) = (MailStore::new(), MailStore::new());
    elsewhere.create("People");
    third.create("People");
    let (ping, requests) = dead_man_service();
    let eighth = Watcher::install(eighth, &monitor, &elsewhere, &third);
    let ninth = Watcher::install(ninth, &monitor, &third, &elsewhere);
    let (one, mut other) = (eighth.run(&ping), ninth.run(&ping));

    // Several cycles of both, each signed and believed.
    let going = || (eighth.runs() >= 4 && ninth.runs() >= 4).then_some(());
    wait_for(SOON, going).unwrap_or_else(|| panic!("{} {}\n{}", eighth.runs(), ninth.runs(), other.log()));
    assert_eq!((eighth.tokens(), ninth.tokens()), (vec![], vec![]), "{}", other.log());
    let asked: Vec<String> = requests.try_iter().collect();
    assert!(asked.iter().all(|line| line == "GET /ping/uuid HTTP/1.1"), "{asked:?}");
    // Each run is mailed and the service asked, in whatever order these arrive.
    assert!(asked.len().abs_diff(eighth.runs() + ninth.runs()) <= 2, "{} requests", asked.len());

    one.kill_9();
    let killed = Instant::now();
    ninth.expect("bresse8_Checker.NOK", SOON);
    // 3 + 4 s after the last run it heard of, and a moment for the last look and the mail.
    assert!(killed.elapsed() < Duration::from_secs(7 + 5), "{:?}", killed.elapsed());
    let one = eighth.run(&ping);
    ninth.expect("bresse8_Checker.OK", SOON);
    other.assert_running();

    // The living one hears of what the other cannot do.
    runtime.block_on(eighth.peer.stop()).unwrap();
    ninth.expect("bresse8_PEER_Mailbox_Service.NOK", SOON);
    drop(one);
}

/// What systemd hears, on its socket.
struct Systemd {
    path: String,
    heard: Receiver<String>,
    _folder: tempfile::TempDir,
}

impl Systemd {
    fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("notify");
        let socket = UnixDatagram::bind(&path).unwrap();
        let (sender, heard) = channel();
        thread::spawn(move || {
            let mut bytes = [0; 4096];
            while let Ok(length) = socket.recv(&mut bytes) {
                if sender.send(String::from_utf8_lossy(&bytes[..length]).into_owned()).is_err() {
                    return;
                }
            }
        });
        Self { path: path.display().to_string(), heard, _folder: folder }
    }

    fn run(&self, watchdog: &Watchdog, watchdog_usec: &str) -> Daemon {
        let variables = [("NOTIFY_SOCKET", self.path.as_str()), ("WATCHDOG_USEC", watchdog_usec)];
        watchdog.spawn_run_with(&["run"], &variables)
    }

    fn expect(&self, state: &str) {
        self.expect_within(state, SOON);
    }

    fn expect_within(&self, state: &str, limit: Duration) {
        let heard = wait_for(limit, || self.heard.try_iter().any(|said| said.contains(state)).then_some(()));
        heard.unwrap_or_else(|| panic!("no {state}"));
    }

    /// Whether it is fed within this time; what came before does not count.
    fn fed_within(&self, time: Duration) -> bool {
        self.heard.try_iter().for_each(drop);
        thread::sleep(time);
        self.heard.try_iter().any(|said| said.contains("WATCHDOG=1"))
    }
}

#[test]
fn systemd_is_fed_by_judgements_that_are_stored_and_by_nothing_else() {
    let servers = Servers::start();
    let text = config(&[&servers.mailbox(), &checkers(&["bresse1"], USUAL), &servers.channel()]);
    let watchdog = Watchdog::new(&text);
    servers.report("bresse1");
    let systemd = Systemd::start();
    let daemon = systemd.run(&watchdog, "10000000");
    systemd.expect("READY=1");
    systemd.expect("WATCHDOG=1");
    assert!(systemd.fed_within(Duration::from_secs(3)), "once in every poll");
    assert!(daemon.log().contains("WatchdogSec"), "10 s are too short: {}", daemon.log());

    // The store is held by somebody else: it fails.
    let db = rusqlite::Connection::open(state_of(&watchdog)).unwrap();
    db.execute_batch("BEGIN IMMEDIATE").unwrap();
    let stuck = wait_for(SOON, || daemon.log().contains("cannot be stored").then_some(()));
    stuck.unwrap_or_else(|| panic!("{}", daemon.log()));
    assert!(!systemd.fed_within(Duration::from_secs(4)), "nothing is stored: {}", daemon.log());
    db.execute_batch("ROLLBACK").unwrap();
    systemd.expect("WATCHDOG=1");

    // The server does not answer: the reader waits, and the daemon's loop goes on.
    servers.imap.fault(Fault::on("EXAMINE", Answer::Stall));
    thread::sleep(Duration::from_secs(2));
    assert!(!systemd.fed_within(Duration::from_secs(4)), "nothing is judged: {}", daemon.log());
    servers.imap.clear_faults();
    // That the command is given up after 30 s is a judgement too.
    systemd.expect_within("WATCHDOG=1", Duration::from_secs(45));
    drop(daemon);

    let watchdog = Watchdog::new(&text);
    let patient = systemd.run(&watchdog, "900000000");
    systemd.expect("WATCHDOG=1");
    assert!(!patient.log().contains("WatchdogSec"), "{}", patient.log());
}
