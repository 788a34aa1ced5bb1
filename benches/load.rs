//! Whether people who look and load balancers that ask delay an alarm: the time from a push to the sink's 250, in turns
//! without and with 500 viewers of the live page and `/lb/all` asked 2,000 times a second, by a process of its own at the
//! lowest priority.
//!
//! `cargo bench --bench load [-- RATE]`. Ends with 1 when the median is later by more than 100 ms, or when fewer requests
//! than that were answered or fewer viewers fed: then the figures say nothing. It takes six minutes; the machine should
//! be quiet.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout, clippy::disallowed_methods)]

mod scene;

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::process::{Child, Command, ExitCode, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use chrono::{TimeDelta, Utc};
use scene::{Scene, checker, push, show};
use sha2::{Digest, Sha256};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::timeout;

const RATE: u64 = 2_000;
/// Of which each asks and waits for the answer, again and again.
const CONNECTIONS: u64 = 64;
const TURNS: usize = 8;
const PUSHES_A_TURN: usize = 16;
/// Of the page as it changes.
const VIEWERS: u64 = 500;
const TOKEN: &str = "a-viewer-at-the-bench";
/// The server beats every 5 s.
const UNFED_MAX: Duration = Duration::from_secs(15);
const DELAY_MAX: TimeDelta = TimeDelta::milliseconds(100);
/// The first argument of the process that asks.
const GENERATE: &str = "generate";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    let number = |index: usize| arguments.get(index).and_then(|argument| argument.parse::<u64>().ok());
    if arguments.first().is_some_and(|first| first == GENERATE) {
        let port = number(1).and_then(|port| u16::try_from(port).ok());
        generate(port.expect("a port"), number(2).expect("a rate"));
        return ExitCode::SUCCESS;
    }
    let rate = number(0).unwrap_or(RATE);
    let runtime = tokio::runtime::Runtime::new().unwrap();
    if runtime.block_on(measure(rate)) { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

async fn measure(rate: u64) -> bool {
    let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().port();
    let hash = hex(&Sha256::digest(TOKEN));
    let web = format!(
        "[web]\nlisten = \"127.0.0.1:{port}\"\nlb_from = \"127.0.0.1\"\n\
         token = [{{ name = \"viewer\", role = \"read\", sha256 = \"{hash}\" }}]\n"
    );
    let mut scene = Scene::new();
    scene.report("bresse1", "OK", Utc::now());
    scene.run(&format!("{web}{}", checker("bresse1", "1h", 1_000)));
    let (mut quiet, mut loaded, mut asked, mut asking) = (Vec::new(), Vec::new(), 0, Duration::ZERO);
    let mut fed = VIEWERS;
    for turn in 0..2 * TURNS {
        let load = (turn % 2 == 1).then(|| (Load::start(port, rate), Instant::now()));
        for round in turn * PUSHES_A_TURN..(turn + 1) * PUSHES_A_TURN {
            let took = push(&scene, round).await;
            if load.is_some() { loaded.push(took) } else { quiet.push(took) }
        }
        if let Some((load, began)) = load {
            asking += began.elapsed();
            let answers = load.end();
            asked += answers.asked;
            fed = fed.min(answers.fed);
        }
    }
    println!("From the push to the sink's 250:");
    let answered = asked as f64 / asking.as_secs_f64();
    let later = median(&loaded) - median(&quiet);
    show("quiet", quiet);
    show("loaded", loaded);
    let later_ms = later.num_microseconds().unwrap_or(i64::MAX) as f64 / 1e3;
    println!(
        "  {answered:.0} of {rate} requests a second were answered, {fed} of {VIEWERS} viewers fed; the median is \
         {later_ms:.1} ms later"
    );
    later <= DELAY_MAX && answered >= 0.95 * rate as f64 && fed == VIEWERS
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn median(times: &[TimeDelta]) -> TimeDelta {
    let mut times = times.to_vec();
    times.sort_unstable();
    times.get(times.len() / 2).copied().unwrap_or_default()
}

/// The process that asks.
struct Load {
    child: Child,
}

impl Load {
    fn start(port: u16, rate: u64) -> Self {
        let child = Command::new("nice")
            .args(["-n", "19"])
            .arg(std::env::current_exe().unwrap())
            .args([GENERATE, &port.to_string(), &rate.to_string()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("start nice");
        Self { child }
    }

    fn end(mut self) -> Answers {
        // It ends when its standard input does.
        drop(self.child.stdin.take());
        let mut text = String::new();
        self.child.stdout.take().unwrap().read_to_string(&mut text).unwrap();
        self.child.wait().unwrap();
        let numbers: Vec<u64> = text.split_whitespace().filter_map(|word| word.parse().ok()).collect();
        let [asked, fed] = numbers[..] else { panic!("two numbers: {text}") };
        Answers { asked, fed }
    }
}

struct Answers {
    asked: u64,
    /// Viewers who got events to the end.
    fed: u64,
}

/// Asks and looks until standard input ends, and prints how many answers came and how many viewers were fed.
fn generate(port: u16, rate: u64) {
    let (answers, over) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicBool::new(false)));
    let (ended, ends) = mpsc::channel::<()>();
    for _ in 0..CONNECTIONS {
        let (answers, over, ended) = (Arc::clone(&answers), Arc::clone(&over), ended.clone());
        thread::spawn(move || {
            ask(port, Duration::from_nanos(1_000_000_000 * CONNECTIONS / rate.max(1)), &answers, &over);
            drop(ended);
        });
    }
    drop(ended);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let fed = runtime.block_on(async {
        let looking: Vec<_> = (0..VIEWERS).map(|_| tokio::spawn(look(port))).collect();
        let _ = tokio::task::spawn_blocking(|| std::io::stdin().read_to_end(&mut Vec::new())).await;
        looking.iter().filter(|viewer| !viewer.is_finished()).count()
    });
    over.store(true, Ordering::Relaxed);
    let _ = ends.recv();
    println!("{} {fed}", answers.load(Ordering::Relaxed));
}

/// Takes events for as long as they come.
async fn look(port: u16) {
    let mut stream = tokio::net::TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await.unwrap();
    let request = format!("GET /live HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {TOKEN}\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut buffer = vec![0; 65_536];
    let mut first = true;
    loop {
        let read = timeout(UNFED_MAX, stream.read(&mut buffer)).await;
        let Ok(Ok(1..)) = read else { return };
        if std::mem::take(&mut first) && !buffer.starts_with(b"HTTP/1.1 200 ") {
            return;
        }
    }
}

/// One connection that is kept: asks every `pace`, and at once when it is late.
fn ask(port: u16, pace: Duration, answers: &AtomicU64, over: &AtomicBool) {
    let mut reader =
        BufReader::new(TcpStream::connect((Ipv4Addr::LOCALHOST, port)).expect("the daemon listens"));
    reader.get_ref().set_nodelay(true).unwrap();
    let mut next = Instant::now();
    while !over.load(Ordering::Relaxed) {
        thread::sleep(next.saturating_duration_since(Instant::now()));
        next += pace;
        reader.get_mut().write_all(b"GET /lb/all HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
        answers.fetch_add(u64::from(answered(&mut reader)), Ordering::Relaxed);
    }
}

/// With 200 or, while the service that is pushed is NOK, with 503.
fn answered(reader: &mut BufReader<TcpStream>) -> bool {
    let (mut line, mut ok, mut length) = (String::new(), false, 0);
    loop {
        line.clear();
        assert!(reader.read_line(&mut line).unwrap() > 0, "the daemon keeps the connection");
        let lower = line.to_ascii_lowercase();
        if lower.starts_with("http/1.1 ") {
            ok = ["http/1.1 200 ", "http/1.1 503 "].iter().any(|status| lower.starts_with(status));
        } else if let Some(value) = lower.strip_prefix("content-length:") {
            length = value.trim().parse().unwrap();
        } else if line == "\r\n" {
            break;
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).unwrap();
    ok
}
