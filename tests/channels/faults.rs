//! HTTP servers that take alarms badly, all told by one daemon.

use std::fs;
use std::thread::sleep;
use std::time::Duration;

use bresse_watchdog::testbed::smtp::SmtpFault;
use bresse_watchdog::testbed::smtp::Stage;
use chrono::Utc;

use crate::hook::{Fault, Hook};
use crate::rig::{Authority, Report, Watchdog, wait_for};
use crate::world::{SOON, Servers, USUAL, checkers, config, rows, state_of};

const ALARM: &str = "MSSQL1_Service.NOK";
const RECOVERY: &str = "MSSQL1_Service.OK";

fn service_fails(servers: &Servers) {
    servers.deliver(&Report::new("bresse1", Utc::now()).nok("MSSQL1_Service"), Utc::now());
}

fn service_works(servers: &Servers) {
    // Runs are told apart by whole seconds.
    sleep(Duration::from_millis(1_100));
    servers.report("bresse1");
}

fn webhook(name: &str, hook: &Hook, more: &str) -> String {
    let url = hook.url("/hook?sig=hunter2");
    format!("[[channel]]\nname = \"{name}\"\ntype = \"webhook\"\nurl = \"{url}\"\n{more}\n")
}

/// What happens to the first attempt, and how many are needed.
fn misbehaviours() -> Vec<(&'static str, Option<Fault>)> {
    let teams = "Webhook message delivery failed with error: Microsoft Teams endpoint returned HTTP error 429 with \
                 ContextId tcid=0";
    vec![
        ("healthy", None),
        ("error-500", Some(Fault::Answer(500, "X-A: b", "oops"))),
        ("error-429", Some(Fault::Answer(429, "X-A: b", ""))),
        ("later-429", Some(Fault::Answer(429, "Retry-After: 8", ""))),
        ("error-under-200", Some(Fault::Answer(200, "X-A: b", teams))),
        ("reset", Some(Fault::Reset)),
        ("endless", Some(Fault::Endless)),
        ("wrong-certificate", Some(Fault::WrongCertificate)),
        // Given up after 25 s; the daemon is killed before that.
        ("hang", Some(Fault::Hang)),
        ("drip", Some(Fault::Drip)),
    ]
}

#[test]
fn every_alarm_and_its_recovery_arrive_whatever_happens_to_the_first_attempt_and_across_a_kill() {
    let servers = Servers::start();
    let dir = tempfile::tempdir().unwrap();
    let authority = Authority::new(dir.path());
    let mut channels = String::new();
    let mut hooks = Vec::new();
    for (name, fault) in misbehaviours() {
        let tls = matches!(fault, Some(Fault::WrongCertificate));
        let hook = if tls { Hook::start_tls(&authority) } else { Hook::start() };
        if let Some(fault) = fault {
            hook.fault_once(fault);
        }
        let ca_file = format!("ca_file = \"{}\"", authority.ca_file().display());
        let more = format!("events = [\"service\"]\n{}", if tls { &ca_file } else { "" });
        channels.push_str(&webhook(name, &hook, &more));
        hooks.push((name, hook));
    }
    let watchdog = Watchdog::new(&config(&[&servers.mailbox(), &checkers(&["bresse1"], USUAL), &channels]));
    let daemon = watchdog.spawn_run();
    service_fails(&servers);
    let stuck = |name: &str| ["hang", "drip"].contains(&name);
    for (_, hook) in hooks.iter().filter(|(name, _)| !stuck(name)) {
        hook.expect(ALARM);
    }
    for (name, hook) in hooks.iter().filter(|(name, _)| stuck(name)) {
        wait_for(SOON, || hook.requests().pop()).unwrap_or_else(|| panic!("{name} was never asked"));
    }
    // What was accepted is known to be: the kill doubles nothing.
    let waiting = || (rows(&state_of(&watchdog), "SELECT channel FROM outbox").len() == 2).then_some(());
    wait_for(SOON, waiting).expect("two are left");
    let log = daemon.log();
    daemon.kill_9();
    let daemon = watchdog.spawn_run();
    hooks.iter().for_each(|(_, hook)| drop(hook.expect(ALARM)));
    service_works(&servers);
    hooks.iter().for_each(|(_, hook)| drop(hook.expect(RECOVERY)));
    for (name, hook) in &hooks {
        assert_eq!(hook.tokens(), [ALARM, RECOVERY], "{name}");
        let alarms: Vec<_> = hook.requests().into_iter().filter(|request| request.token() == ALARM).collect();
        let ids: Vec<_> = alarms.iter().map(|request| request.header("Idempotency-Key")).collect();
        assert!(
            ids[0].is_some() && ids.iter().all(|id| *id == ids[0]),
            "{name}: every try has one key: {ids:?}"
        );
        // Those whose request never came whole were asked once more than shows.
        let tries = if ["healthy", "reset", "wrong-certificate"].contains(name) { 1 } else { 2 };
        assert_eq!(alarms.len(), tries, "{name}");
        if *name == "later-429" {
            let waited = alarms[1].at - alarms[0].at;
            assert!(waited >= Duration::from_secs(7), "it asked for 8 s and got {waited:?}");
        }
        assert!(!hook.accepted()[1].body.to_lowercase().contains("nok"), "{name}");
    }
    for text in
        [log, daemon.log(), String::from_utf8_lossy(&fs::read(state_of(&watchdog)).unwrap()).into_owned()]
    {
        assert!(!text.contains("hunter2"), "the URL's secret is shown: {text}");
    }
}

#[test]
fn a_channel_that_refuses_is_alarmed_through_the_others_and_recovers_when_it_accepts() {
    let servers = Servers::start();
    let text = "5.3.4 no".to_owned();
    servers.sink.fault(SmtpFault::Reply { at: Stage::Dot, code: 554, text });
    let (gone, well) = (Hook::start(), Hook::start());
    gone.fault(Some(Fault::Answer(302, "Location: http://127.0.0.1:1/elsewhere", "")));
    let channels = [
        webhook("gone", &gone, ""),
        webhook("well", &well, ""),
        servers.channel(),
        "[[channel]]\nname = \"record\"\ntype = \"file\"\npath = \"alarms.jsonl\"\n".to_owned(),
        "[[channel]]\nname = \"program\"\ntype = \"command\"\ncommand = [\"tee\", \"-a\", \"told.jsonl\"]\n"
            .to_owned(),
    ]
    .concat();
    let watchdog = Watchdog::new(&config(&[&servers.mailbox(), &checkers(&["bresse1"], USUAL), &channels]));
    let daemon = watchdog.spawn_run();
    service_fails(&servers);
    let alarm = well.expect("gone_Channel.NOK");
    let said = alarm.json()["body"].to_string();
    assert!(said.contains("302") && said.contains("no redirect is followed"), "{said}");
    well.expect("backup-mail_Channel.NOK");
    let told = |file: &str| -> Vec<String> {
        let text = fs::read_to_string(watchdog.path(file)).unwrap_or_default();
        let token = |line: &str| {
            serde_json::from_str::<serde_json::Value>(line).ok()?["token"].as_str().map(str::to_owned)
        };
        text.lines().filter_map(token).collect()
    };
    for file in ["alarms.jsonl", "told.jsonl"] {
        let all = || {
            ["MSSQL1_Service", "gone_Channel", "backup-mail_Channel"]
                .iter()
                .all(|token| told(file).contains(&(*token).to_owned()))
        };
        wait_for(SOON, || all().then_some(())).unwrap_or_else(|| panic!("{file}: {:?}", told(file)));
    }
    assert_eq!(gone.tokens(), Vec::<String>::new());
    // What was refused is tried again in an hour, and at once after a restart.
    daemon.kill_9();
    gone.fault(None);
    servers.sink.clear_faults();
    let daemon = watchdog.spawn_run();
    well.expect("gone_Channel.OK");
    well.expect("backup-mail_Channel.OK");
    gone.expect(ALARM);
    servers.expect(ALARM, SOON);
    let of_itself = |tokens: Vec<String>, name: &str| tokens.iter().any(|token| token.starts_with(name));
    assert!(!of_itself(gone.tokens(), "gone_Channel"), "{:?}", gone.tokens());
    assert!(!of_itself(servers.tokens(), "backup-mail_Channel"), "{:?}", servers.tokens());
    drop(daemon);
}
