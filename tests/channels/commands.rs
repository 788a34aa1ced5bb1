//! `check` and `alert-test` with every kind of channel.

use crate::hook::{Fault, Hook};
use crate::rig::Watchdog;
use crate::world::{Servers, USUAL, checkers, config};

fn channels(hook: &Hook) -> String {
    let url = hook.url("/x?sig=hunter2");
    [
        format!("[[channel]]\nname = \"hook\"\ntype = \"webhook\"\nurl = \"{url}\"\npreset = \"slack\"\n"),
        "[[channel]]\nname = \"teams\"\ntype = \"teams\"\nurl = { file = \"teams-url\" }\n".to_owned(),
        "[[channel]]\nname = \"program\"\ntype = \"command\"\ncommand = [\"sh\", \"-c\", \"cat > told\"]\n"
            .to_owned(),
        "[[channel]]\nname = \"record\"\ntype = \"file\"\npath = \"alarms.jsonl\"\n".to_owned(),
    ]
    .concat()
}

#[test]
fn check_tries_every_channel_and_sends_nothing_and_alert_test_sends_one_that_says_so() {
    let servers = Servers::start();
    servers.report("bresse1");
    let hook = Hook::start();
    let text = config(&[&servers.mailbox(), &checkers(&["bresse1"], USUAL), &channels(&hook)]);
    let watchdog = Watchdog::new(&text);
    std::fs::write(watchdog.path("teams-url"), hook.url("/teams?sig=hunter2")).unwrap();
    let check = watchdog.run(&["check"]);
    assert_eq!(check.status, 0, "{check:?}");
    for channel in ["hook", "teams", "program", "record"] {
        assert!(check.stdout.contains(&format!("ok   channel {channel}: ")), "{}", check.stdout);
    }
    assert_eq!((hook.connections(), hook.requests().len()), (2, 0), "connected, and nothing sent");
    assert!(!watchdog.path("told").exists() && !watchdog.path("alarms.jsonl").exists());

    let test = watchdog.run(&["alert-test"]);
    assert_eq!(test.status, 0, "{test:?}");
    let sent = hook.requests();
    let lines: Vec<&str> = sent.iter().map(|request| request.line.as_str()).collect();
    assert_eq!(lines, ["POST /x?sig=hunter2", "POST /teams?sig=hunter2"]);
    for text in sent
        .iter()
        .map(|request| request.body.clone())
        .chain(["told", "alarms.jsonl"].map(|file| std::fs::read_to_string(watchdog.path(file)).unwrap()))
    {
        assert!(text.contains("bresse8_Test") && !text.to_lowercase().contains("nok"), "{text}");
    }
    hook.fault(Some(Fault::Answer(404, "X-A: b", "no such hook")));
    let refused = watchdog.run(&["alert-test", "teams"]);
    assert_eq!(refused.status, 1);
    assert!(refused.stdout.contains("no such hook"), "{}", refused.stdout);
    for output in [check, test, refused] {
        assert!(!format!("{output:?}").contains("hunter2"), "{output:?}");
    }
}
