//! How soon the built binary alarms: after a push, after a deadline, and when everybody falls silent at once. The
//! mailbox and the alarms' recipient are the embedded servers, in this process. `cargo bench --bench reaction`.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout, clippy::disallowed_methods)]

mod scene;

use std::fmt::Write as _;

use chrono::{SubsecRound, TimeDelta, Utc};
use scene::{Scene, checker, push, show};

const PUSHES: usize = 150;
const DEADLINES: usize = 200;
const OUTAGE: usize = 10_000;

#[tokio::main]
async fn main() {
    pushes().await;
    deadlines().await;
    outage().await;
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
        // Heard so far apart that their silences are not one incident: more than cycle and margin.
        let heard = now - TimeDelta::seconds(3) * step;
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
