//! The drill: out through a channel, and back as the handler of the signed link gives it to the daemon.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::thread;
use std::time::Duration;

use serde_json::{Value, json};

use crate::rig::{AlarmMail, Watchdog, free_port, wait_for};
use crate::world::{SOON, Servers, USUAL, alarms, checkers, config};

/// Nobody is waited for longer than this.
const DRILL: &str = "[drill]\nevery = \"1d\"\nschedule = \"never\"\nprove_within = \"10s\"\n\
     [[schedule]]\nname = \"never\"\nhours = \"sun 00:00-00:01\"\ntimezone = \"Pacific/Kiritimati\"\n";

fn drills(servers: &Servers, token: &str) -> Vec<AlarmMail> {
    alarms(&servers.sink).into_iter().filter(|mail| mail.token() == token).collect()
}

/// What the handler of the link sends, one line there and one back.
fn press(state: &Path, channel: Option<&str>) -> Value {
    let mut stream = UnixStream::connect(state.with_extension("db.socket")).unwrap();
    stream.set_read_timeout(Some(SOON)).unwrap();
    let order = json!({ "order": "acknowledge", "incident": "MONITOR_Drill.NOK", "by": "the flow", "channel": channel });
    stream.write_all(format!("{order}\n").as_bytes()).unwrap();
    let mut answer = String::new();
    BufReader::new(stream).read_line(&mut answer).unwrap();
    serde_json::from_str(&answer).unwrap()
}

/// The link in a mail, as whoever reads it finds it.
fn link(mail: &AlarmMail, base: &str) -> String {
    let body = mail.body();
    let at = body.find(base).unwrap_or_else(|| panic!("no link: {body}"));
    body.get(at..).unwrap().split_whitespace().next().unwrap().to_owned()
}

/// What the action HTTP of a flow does: a POST without a body. Returns the status line and the page.
fn post(link: &str, port: u16) -> String {
    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).unwrap();
    stream.set_read_timeout(Some(SOON)).unwrap();
    let path = link.split_once("//").unwrap().1.split_once('/').unwrap().1;
    let head = format!(
        "POST /{path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

#[test]
fn the_link_in_a_drill_proves_its_channel_when_a_flow_posts_to_it() {
    let servers = Servers::start();
    let port = free_port();
    let base = format!("http://127.0.0.1:{port}/");
    let web = format!("[web]\nlisten = \"127.0.0.1:{port}\"\npublic_url = \"{base}\"\n");
    let parts = [&*servers.mailbox(), &checkers(&["bresse1"], USUAL), &servers.channel(), &web];
    let watchdog = Watchdog::new(&config(&parts));
    servers.report("bresse1");
    let daemon = watchdog.spawn_run();
    let socket = watchdog.path("watchdog.db.socket");
    wait_for(SOON, || socket.exists().then_some(())).expect("a daemon that listens");
    assert_eq!(watchdog.run(&["drill"]).status, 0);
    let link = link(&servers.expect("MONITOR_Drill.NOK", SOON), &base);
    let answer = post(&link, port);
    assert!(answer.starts_with("HTTP/1.1 200 ") && answer.contains("has proved itself"), "{answer}");
    servers.expect("MONITOR_Drill.OK", SOON).assert_nothing_says_nok();
    assert!(watchdog.last_seen()["chains"][0]["proved"].is_string());
    let again = post(&link, port);
    assert!(again.starts_with("HTTP/1.1 409 ") && again.contains("There is no open incident"), "{again}");
    assert_eq!(daemon.terminate(), 0);
}

#[test]
fn a_drill_is_followed_until_its_link_is_pressed_and_what_it_proved_is_kept() {
    let servers = Servers::start();
    let parts = [&servers.mailbox(), &checkers(&["bresse1"], USUAL), &servers.channel(), DRILL];
    let watchdog = Watchdog::new(&config(&parts));
    servers.report("bresse1");
    let refused = watchdog.run(&["drill"]);
    assert_eq!(refused.status, 1);
    assert!(refused.stderr.contains("No daemon watches with the state"), "{refused:?}");

    let daemon = watchdog.spawn_run();
    let state = watchdog.path("watchdog.db");
    wait_for(SOON, || state.with_extension("db.socket").exists().then_some(()))
        .expect("a daemon that listens");
    thread::scope(|scope| {
        let command = scope.spawn(|| watchdog.run(&["drill", "--wait", "--by", "Anna"]));
        let alarm = servers.expect("MONITOR_Drill.NOK", SOON);
        assert!(alarm.body().contains("Nothing is wrong"), "{}", alarm.body());
        let taken = press(&state, None);
        assert_eq!(taken["done"], true, "{taken}");
        assert!(taken["sentence"].as_str().unwrap().contains("only the link"), "{taken}");
        let elsewhere = press(&state, Some("teams"));
        assert_eq!(elsewhere["done"], false, "{elsewhere}");
        let proved = press(&state, Some("backup-mail"));
        assert_eq!(proved["done"], true, "{proved}");
        let command = command.join().unwrap();
        assert_eq!(command.status, 0, "{command:?}");
        assert!(
            command.stdout.contains("The chain through backup-mail has proved itself in "),
            "{command:?}"
        );
    });
    servers.expect("MONITOR_Drill.OK", SOON).assert_nothing_says_nok();
    daemon.kill_9();
    let chain = watchdog.last_seen()["chains"][0].clone();
    assert_eq!((&chain["channel"], &chain["too_old"]), (&"backup-mail".into(), &false.into()), "{chain}");
    let took = chain["took_s"].as_f64().unwrap();
    assert!(chain["proved"].is_string() && took > 0.0 && took < 10.0, "{chain}");
    let table = watchdog.run(&["last-seen"]).stdout;
    assert!(table.contains("The chain through backup-mail last proved itself "), "{table}");
}

#[test]
fn a_drill_that_nobody_answers_ends_in_time_also_when_the_daemon_died_in_the_middle() {
    let servers = Servers::start();
    let parts = [&servers.mailbox(), &checkers(&["bresse1"], USUAL), &servers.channel(), DRILL];
    let watchdog = Watchdog::new(&config(&parts));
    servers.report("bresse1");
    let daemon = watchdog.spawn_run();
    let socket = watchdog.path("watchdog.db.socket");
    wait_for(SOON, || socket.exists().then_some(())).expect("a daemon that listens");
    thread::scope(|scope| {
        let command = scope.spawn(|| watchdog.run(&["drill", "--channel", "backup-mail", "--wait", "1m"]));
        servers.expect("MONITOR_Drill.NOK", SOON);
        thread::sleep(Duration::from_millis(100));
        daemon.kill_9();
        let daemon = watchdog.spawn_run();
        let command = command.join().unwrap();
        assert_eq!(
            (command.status, command.stderr.trim()),
            (1, "The drill is over, and not proved: backup-mail.")
        );
        servers.expect("MONITOR_Drill.OK", SOON).assert_nothing_says_nok();
        assert_eq!(daemon.terminate(), 0);
    });
    assert!(watchdog.last_seen()["chains"][0]["proved"].is_null());
    assert!(watchdog.last_seen()["chains"][0]["unproved"].is_string());
    assert_eq!(drills(&servers, "MONITOR_Drill.OK").len(), 1);
    assert_eq!(drills(&servers, "MONITOR_Proof.NOK").len(), 0);
}
