//! How soon the built binary alarms: after a push, after a deadline, and when everybody falls silent at once. The
//! mailbox and the alarms' recipient are the embedded servers, in this process. `cargo bench --bench reaction`.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout, clippy::disallowed_methods)]

mod scene;

use std::fmt::Write as _;

use std::time::Duration;

use chrono::{DateTime, SubsecRound, TimeDelta, Utc};
use scene::{Scene, checker, push, show};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};

const PUSHES: usize = 150;
const DEADLINES: usize = 200;
const OUTAGE: usize = 10_000;
/// Heard so far apart, their silences are not one incident: more than cycle and margin.
const APART: TimeDelta = TimeDelta::seconds(3);

#[tokio::main]
async fn main() {
    pushes().await;
    deadlines().await;
    outage().await;
    alone().await;
}

/// A report that a service is NOK, and one that it is OK again, each pushed while the watchdog is in IDLE.
async fn pushes() {
    let mut scene = Scene::new();
    scene.report("bresse1", "OK", Utc::now());
    scene.run(&checker("bresse1", "1h", 1_000));
    let (mut alarms, mut recoveries) = (Vec::new(), Vec::new());
    for round in 0..2 * PUSHES {
        let times = if round % 2 == 0 { &mut alarms } else { &mut recoveries };
        times.push(push(&scene, round).await);
    }
    println!("From the push to the sink's 250:");
    show("alarm", alarms);
    show("recovery", recoveries);
}

/// Checkers whose deadlines pass one after another.
async fn deadlines() {
    let mut scene = Scene::new();
    let now = Utc::now().trunc_subsecs(0);
    let first = now + TimeDelta::seconds(5);
    let (mut checkers, mut expected) = (String::new(), Vec::new());
    for number in 0..DEADLINES {
        let step = i32::try_from(number).unwrap();
        let heard = now - APART * step;
        // 1,000 is no multiple of it: every fraction of a second has its turn.
        let deadline = first + TimeDelta::milliseconds(103) * step;
        let name = format!("bresse{}", number + 1);
        checkers += &checker(&name, "1s", (deadline - heard).num_milliseconds() - 1_000);
        scene.report(&name, "OK", heard);
        expected.push((format!("{name}_Checker.NOK"), deadline));
    }
    scene.run(&checkers);
    let mut times = Vec::new();
    for _ in 0..DEADLINES {
        let mail = scene.next_alarm().await;
        let text = String::from_utf8_lossy(&mail.bytes).into_owned();
        let subject = text.lines().find(|line| line.starts_with("Subject:")).expect("a subject");
        let found = expected.iter().find(|(token, _)| subject.contains(&format!(" {token}")));
        let (_, deadline) = found.unwrap_or_else(|| panic!("an alarm of one checker: {subject}"));
        times.push(mail.accepted_at - *deadline);
    }
    println!("From the deadline to the sink's 250:");
    show("alarm", times);
}

/// Everybody was last heard in the same second, and falls silent in the same second.
async fn outage() {
    let mut scene = Scene::new();
    let heard = Utc::now().trunc_subsecs(0);
    let deadline = heard + TimeDelta::seconds(30);
    let mut checkers = String::new();
    for number in 1..=OUTAGE {
        let name = format!("bresse{number}");
        scene.report(&name, "OK", heard);
        let _ = write!(checkers, "{}", checker(&name, "1s", 29_000));
    }
    scene.run(&checkers);
    let mail = scene.next_alarm().await;
    assert!(String::from_utf8_lossy(&mail.bytes).contains("MONITOR_MailPath.NOK"), "everybody in one alarm");
    println!("{OUTAGE} checkers silent in the same second, from the deadline to the sink's 250:");
    show("one alarm", vec![mail.accepted_at - deadline]);
}

/// Everybody falls silent in the same second, each for itself: as many alarms, by HTTP.
async fn alone() {
    let mut scene = Scene::new();
    let now = Utc::now().trunc_subsecs(0);
    let deadline = now + TimeDelta::seconds(60);
    let mut checkers = String::new();
    for number in 1..=OUTAGE {
        let name = format!("bresse{number}");
        let heard = now - APART * i32::try_from(number).unwrap();
        scene.report(&name, "OK", heard);
        checkers += &checker(&name, "1s", (deadline - heard).num_milliseconds() - 1_000);
    }
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://127.0.0.1:{}/hook", listener.local_addr().unwrap().port());
    scene
        .run_with(&checkers, &format!("[[channel]]\nname = \"hook\"\ntype = \"webhook\"\nurl = \"{url}\"\n"));
    let (taken, mut times) = unbounded_channel();
    tokio::spawn(async move {
        while let Ok((connection, _)) = listener.accept().await {
            tokio::spawn(take_post(connection, taken.clone()));
        }
    });
    let mut ages = Vec::new();
    while ages.len() < OUTAGE {
        let limit = if ages.is_empty() { Duration::from_secs(180) } else { scene::PATIENCE };
        let accepted = tokio::time::timeout(limit, times.recv()).await.expect("an alarm").unwrap();
        ages.push(accepted - deadline);
    }
    let (first, last) = (*ages.iter().min().unwrap(), *ages.iter().max().unwrap());
    let rate = |time: TimeDelta| {
        f64::from(u32::try_from(OUTAGE).unwrap()) * 1e3 / time.num_milliseconds().max(1) as f64
    };
    println!(
        "{OUTAGE} checkers silent in the same second, an alarm each by HTTP, from the deadline to the sink's 200:"
    );
    show("alarms", ages);
    println!(
        "  {:.0} a second from the deadline on, {:.0} from the first to the last",
        rate(last),
        rate(last - first)
    );
}

/// Answers one request with 200.
async fn take_post(mut connection: TcpStream, taken: UnboundedSender<DateTime<Utc>>) {
    let (mut request, mut piece) = (Vec::new(), [0; 16 << 10]);
    while !is_whole(&request) {
        match connection.read(&mut piece).await {
            Ok(count @ 1..) => request.extend_from_slice(piece.get(..count).unwrap_or_default()),
            _ => return,
        }
    }
    let _ = taken.send(Utc::now());
    let _ = connection.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n").await;
}

fn is_whole(request: &[u8]) -> bool {
    let text = String::from_utf8_lossy(request);
    let Some((head, body)) = text.split_once("\r\n\r\n") else { return false };
    let lines = head.lines().filter_map(|line| line.split_once(": "));
    let length = lines
        .filter(|(name, _)| name.eq_ignore_ascii_case("content-length"))
        .find_map(|(_, value)| value.parse().ok());
    body.len() >= length.unwrap_or(0_usize)
}
