//! A day's traffic, hurried: as many reports as a day has, in rounds that follow each other faster.
//!
//! A checker's run every five minutes is 288 runs a day. Here a round, one report of every checker, begins every two
//! seconds or sooner; the watchdog is told of a cycle of ten. Nothing else is compressed: real mails come into a mailbox of a
//! real Dovecot, and the built binary reads them by IMAP over TLS, judges by the real clock, and keeps them.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::ops::Range;
use std::thread::{self, sleep};
use std::time::{Duration, Instant};

use chrono::Utc;

use crate::rig::{
    Dovecot, Inbox, PASSWORD, Progress, Report, Sink, USER, Watchdog, channel, mailbox, wait_for,
};
use crate::site;
use crate::state::{self, NAME, assert_ledger_is_whole, assert_sent_is_what_was_taken, cursor_is_not_ahead};

/// Deliver at the same time, each over a connection of its own.
const SENDERS: usize = 4;
/// So late may a busy machine be.
const TIMES: (&str, &str) = ("10s", "60s");
/// Finds a service failing in one round, and is silent in those that the plan says.
const UNLUCKY: &str = "bresse7";
/// How long after the last report everything is kept.
const BACKLOG: Duration = Duration::from_secs(120);
/// Until then what is known of each checker, and the cache of the state, fill.
const WARM_UP: f64 = 0.6;
/// By so much of itself the memory may grow afterwards: what the allocator keeps goes up and down.
const GROWTH_MAX: f64 = 0.05;
/// A connection that is replaced is open twice for a moment.
const FILES_MORE_MAX: usize = 3;

/// How much, and how fast.
pub(crate) struct Plan {
    checkers: usize,
    every: Duration,
    /// The rounds in which one checker says nothing: longer than its deadline, or none.
    silent: Range<usize>,
}

/// A checker's runs in a day.
const ROUNDS: usize = 288;
/// Ten minutes.
pub(crate) const OF_1000: Plan =
    Plan { checkers: 1_000, every: Duration::from_millis(2_083), silent: 100..160 };
/// One minute.
pub(crate) const OF_40: Plan = Plan { checkers: 40, every: Duration::from_millis(208), silent: 0..0 };

impl Plan {
    fn report(&self, name: &str, round: usize) -> Option<Report> {
        let report = Report::new(name, Utc::now());
        match name {
            UNLUCKY if self.silent.contains(&round) => None,
            UNLUCKY if round == ROUNDS / 4 => Some(report.nok("ESHOP_Service")),
            _ => Some(report),
        }
    }

    /// In the order of the alphabet.
    fn tokens(&self) -> &[&str] {
        let all = &["ESHOP_Service.NOK", "ESHOP_Service.OK", "bresse7_Checker.NOK", "bresse7_Checker.OK"];
        if self.silent.is_empty() { &all[..2] } else { all }
    }
}

/// What the daemon held at one moment.
#[derive(Debug, Clone, Copy)]
struct Sample {
    at_s: f64,
    memory_kib: f64,
    files: usize,
}

pub(crate) fn soaks(plan: &Plan) -> String {
    let (dovecot, sink) = (Dovecot::start_for_many(), Sink::start());
    let names: Vec<String> = (1..=plan.checkers).map(|number| format!("bresse{number}")).collect();
    let all: Vec<&str> = names.iter().map(String::as_str).collect();
    let mailbox = mailbox(&dovecot) + "poll = \"1s\"\nblind_after = \"60s\"\n";
    let watchdog = Watchdog::new(&crate::rig::config(&mailbox, &site::times(TIMES), &all, &channel(&sink)));
    let mut daemon = watchdog.spawn_run();
    let state = watchdog.path(NAME);
    let started = Instant::now();
    let (mut samples, mut sent) = (Vec::new(), 0);
    let mut progress = Progress::new("rounds", ROUNDS as u64);
    for round in 0..ROUNDS {
        sent += deliver(plan, round, &names, dovecot.imap_port);
        let next = plan.every.mul_f64((round + 1) as f64);
        loop {
            samples.push(sample(daemon.pid(), started));
            let Some(left) = next.checked_sub(started.elapsed()) else { break };
            sleep(left.min(Duration::from_secs(1)));
        }
        progress.reached(round as u64 + 1, || {
            let memory = samples.last().map_or(0.0, |sample| sample.memory_kib / 1024.0);
            format!(", {sent} reports sent, {memory:.1} MiB")
        });
    }
    let took = started.elapsed();
    daemon.assert_running();
    let kept = || state::number(&state, "SELECT COUNT(*) FROM reports");
    let wanted = i64::try_from(sent).unwrap();
    let all_kept = wait_for(BACKLOG, || {
        sleep(Duration::from_secs(1));
        (kept() >= wanted).then_some(())
    });
    let behind = started.elapsed().saturating_sub(took);
    samples.push(sample(daemon.pid(), started));
    assert!(all_kept.is_some(), "{} of {sent} reports are kept", kept());
    assert_eq!(daemon.terminate(), 0);
    let mut tokens = sink.tokens();
    tokens.sort();
    assert_eq!(tokens, plan.tokens());
    let distinct = state::number(&state, "SELECT COUNT(DISTINCT message_id) FROM reports");
    assert_eq!((kept(), distinct), (wanted, wanted), "each report once");
    cursor_is_not_ahead(&state).unwrap();
    assert_sent_is_what_was_taken(&state, &sink.mails());
    assert_ledger_is_whole(&watchdog);
    let flat = assert_flat(&samples);
    format!(
        "{sent} reports of {} checkers in {} s, the last kept {} s later; none missed, none doubled, only \
         what was due alarmed; {flat}",
        plan.checkers,
        took.as_secs(),
        behind.as_secs(),
    )
}

/// One report of everybody who is alive; how many those are.
fn deliver(plan: &Plan, round: usize, names: &[String], port: u16) -> usize {
    thread::scope(|scope| {
        let send = |names: &[String]| {
            let reports: Vec<Report> = names.iter().filter_map(|name| plan.report(name, round)).collect();
            append(port, &reports).unwrap();
            reports.len()
        };
        let senders: Vec<_> =
            names.chunks(names.len().div_ceil(SENDERS)).map(|part| scope.spawn(move || send(part))).collect();
        senders.into_iter().map(|sender| sender.join().expect("a sender delivers")).sum()
    })
}

/// Puts them into the mailbox by one command (MULTIAPPEND, RFC 3502, and LITERAL+, RFC 7888): for a delivery of its own Dovecot
/// opens the mailbox anew for each mail, and takes both cores for less than half of them.
fn append(port: u16, reports: &[Report]) -> std::io::Result<()> {
    let mut stream = BufReader::new(TcpStream::connect((Ipv4Addr::LOCALHOST, port))?);
    stream.get_ref().set_read_timeout(Some(Duration::from_secs(60)))?;
    stream.get_ref().set_nodelay(true)?;
    answer(&mut stream, "* OK")?;
    stream.get_mut().write_all(format!("a LOGIN {USER} \"{PASSWORD}\"\r\n").as_bytes())?;
    answer(&mut stream, "a OK")?;
    let mut command = b"b APPEND INBOX".to_vec();
    for mail in reports.iter().map(Report::mail) {
        command.extend_from_slice(format!(" {{{}+}}\r\n", mail.len()).as_bytes());
        command.extend_from_slice(&mail);
    }
    command.extend_from_slice(b"\r\n");
    stream.get_mut().write_all(&command)?;
    answer(&mut stream, "b OK")
}

/// Reads up to the line that begins so.
fn answer(stream: &mut BufReader<TcpStream>, wanted: &str) -> std::io::Result<()> {
    loop {
        let mut line = String::new();
        if stream.read_line(&mut line)? == 0
            || line.starts_with(wanted.get(..2).unwrap_or_default()) && !line.starts_with(wanted)
        {
            return Err(std::io::Error::other(format!("{wanted} expected: {line:?}")));
        }
        if line.starts_with(wanted) {
            return Ok(());
        }
    }
}

fn sample(pid: u32, started: Instant) -> Sample {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).expect("VmRSS");
    let memory_kib = line.split_whitespace().nth(1).unwrap().parse().unwrap();
    let files = fs::read_dir(format!("/proc/{pid}/fd")).unwrap().count();
    Sample { at_s: started.elapsed().as_secs_f64(), memory_kib, files }
}

/// Panics unless memory and open files stay as they are once the daemon is warm; the figures, for people.
fn assert_flat(samples: &[Sample]) -> String {
    let end_s = samples.last().expect("samples").at_s;
    let warm: Vec<Sample> = samples.iter().copied().filter(|sample| sample.at_s >= end_s * WARM_UP).collect();
    let count = warm.len() as f64;
    let mean = |of: fn(&Sample) -> f64| warm.iter().map(of).sum::<f64>() / count;
    let (at, memory) = (mean(|sample| sample.at_s), mean(|sample| sample.memory_kib));
    let spread: f64 = warm.iter().map(|sample| (sample.at_s - at).powi(2)).sum();
    let with: f64 = warm.iter().map(|sample| (sample.at_s - at) * (sample.memory_kib - memory)).sum();
    let grown = with / spread * (warm[warm.len() - 1].at_s - warm[0].at_s);
    let (fewest, most) =
        (warm.iter().map(|sample| sample.files).min(), warm.iter().map(|sample| sample.files).max());
    let (fewest, most) = (fewest.unwrap(), most.unwrap());
    let figures = format!(
        "memory {:.1} MiB on average, growing by {:.2} MiB along the line through it; {fewest} to {most} open files",
        memory / 1024.0,
        grown / 1024.0
    );
    assert!(grown < memory * GROWTH_MAX, "{figures}: {samples:?}");
    assert!(most - fewest <= FILES_MORE_MAX, "{figures}");
    figures
}
