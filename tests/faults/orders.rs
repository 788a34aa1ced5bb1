//! What people order by the command line, with a daemon and without one.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use serde_json::Value;

use crate::rig::{Watchdog, wait_for};
use crate::world::{SHORT, SOON, Servers, alarms, checkers, config};

/// What an order may take that reaches the daemon at once.
const AT_ONCE: Duration = Duration::from_secs(5);

fn open_incident(watchdog: &Watchdog) -> Value {
    let listed = watchdog.run(&["incidents", "--format", "json"]);
    assert_eq!(listed.status, 0, "{listed:?}");
    let list: Value = serde_json::from_str(&listed.stdout).unwrap();
    list["incidents"][0].clone()
}

#[test]
fn an_order_reaches_the_running_daemon_at_once_and_is_kept() {
    let servers = Servers::start();
    let names = ["bresse1", "bresse2"];
    let watchdog =
        Watchdog::new(&config(&[&servers.mailbox(), &checkers(&names, SHORT), &servers.channel()]));
    let feeder = servers.feed(&["bresse1"]);
    let daemon = watchdog.spawn_run();
    servers.expect("bresse2_Checker.NOK", SOON);
    let socket = watchdog.path("watchdog.db.socket");
    assert_eq!(fs::metadata(&socket).unwrap().permissions().mode() & 0o777, 0o600);

    let taken =
        watchdog.run(&["ack", "bresse2_Checker.NOK", "--by", "Anna", "--note", "driving", "--for", "3s"]);
    assert_eq!(taken.status, 0, "{taken:?}");
    let incident = open_incident(&watchdog);
    assert_eq!((&incident["state"], &incident["acknowledged_by"]), (&"acknowledged".into(), &"Anna".into()));
    assert_eq!(incident["reason"], "never_seen");
    let told =
        || alarms(&servers.sink).into_iter().find(|mail| mail.subject() == "Taken by Anna: bresse2_Checker");
    wait_for(AT_ONCE, told).unwrap().assert_nothing_says_nok();
    let reminded =
        || alarms(&servers.sink).into_iter().find(|mail| mail.subject().contains("_Checker.NOK still: "));
    wait_for(SOON, reminded).expect("the acknowledgement ended");

    let ended = watchdog.run(&["resolve", "bresse2_Checker", "--by", "Anna"]);
    assert_eq!(ended.status, 0, "{ended:?}");
    servers.expect("bresse2_Checker.OK", AT_ONCE).assert_nothing_says_nok();
    assert_eq!(open_incident(&watchdog), Value::Null);
    let closed = watchdog.run(&["incidents", "--since", "-1h", "--format", "json"]);
    let closed: Value = serde_json::from_str(&closed.stdout).unwrap();
    let steps: Vec<&str> = closed["incidents"][0]["steps"]
        .as_array()
        .unwrap()
        .iter()
        .map(|step| step["what"].as_str().unwrap())
        .collect();
    assert_eq!(
        steps,
        [
            "opened",
            "announced",
            "acknowledged",
            "acknowledgement_ended",
            "repeated",
            "resolved",
            "closed",
            "recovered"
        ]
    );

    let unknown = watchdog.run(&["ack", "bresse1_Checker"]);
    assert_eq!(unknown.status, 1);
    assert_eq!(unknown.stderr.trim(), "There is no open incident bresse1_Checker; none is open.");
    drop(feeder);
    assert_eq!(daemon.terminate(), 0);
    assert!(!socket.exists(), "nobody is left who could answer");
}

#[test]
fn without_a_daemon_an_order_is_kept_for_the_next_one_also_beside_the_socket_of_a_killed_one() {
    let servers = Servers::start();
    let watchdog =
        Watchdog::new(&config(&[&servers.mailbox(), &checkers(&["bresse1"], SHORT), &servers.channel()]));
    let daemon = watchdog.spawn_run();
    servers.expect("bresse1_Checker.NOK", SOON);
    daemon.kill_9();
    assert!(watchdog.path("watchdog.db.socket").exists());

    let ended = watchdog.run(&["resolve", "bresse1_Checker"]);
    assert_eq!(ended.status, 0, "{ended:?}");
    assert_eq!(watchdog.run(&["incidents"]).stdout, "No incident is open.\n");
    let daemon = watchdog.spawn_run();
    servers.expect("bresse1_Checker.OK", SOON);
    assert_eq!(daemon.terminate(), 0);
}

#[test]
fn policies_can_be_tried_and_a_silence_by_hand_is_listed_and_ended() {
    let servers = Servers::start();
    let policies = "[[schedule]]\nname = \"office\"\nhours = \"mon-fri 08:00-18:00\"\ntimezone = \"Europe/Paris\"\n\
                    [[route]]\nevents = [\"checker\"]\nschedule = \"office\"\nchannels = [\"backup-mail\"]\nrepeat = \"15m\"\n";
    let parts = [&servers.mailbox(), &checkers(&["bresse1"], SHORT), &servers.channel(), policies];
    let watchdog = Watchdog::new(&config(&parts));
    let told = |arguments: &[&str]| watchdog.run(&[&["policy", "test"], arguments].concat()).stdout;
    assert_eq!(
        told(&["--at", "2026-11-20T16:59:59Z", "--checker", "bresse1"]),
        "At 2026-11-20 16:59:59 UTC:\n  route 1 is open (office): backup-mail\n\
         Told by then: backup-mail (again every 15m)\nThat may change: 2026-11-20 17:00:00 UTC\n"
    );
    assert_eq!(
        told(&["--at", "2026-11-20T17:00:00Z"]),
        "At 2026-11-20 17:00:00 UTC:\n  route 1 is closed now (office)\nTold by then: nobody yet\n\
         That may change: 2026-11-23 07:00:00 UTC\n"
    );
    assert!(told(&["--event", "service", "--service", "ESHOP_Service"]).contains("no [[route]] is about it"));
    assert_eq!(watchdog.run(&["policy", "test", "--checker", "bresse7"]).status, 1);

    let without_state = watchdog.run(&["silence", "--checker", "bresse1", "--for", "1h"]);
    assert_eq!(without_state.status, 1, "{without_state:?}");
    watchdog.run(&["once"]);
    let silenced = watchdog.run(&["silence", "--checker", "bresse1", "--for", "1h", "--by", "Anna"]);
    assert_eq!(silenced.status, 0, "{silenced:?}");
    assert!(watchdog.run(&["silence", "list"]).stdout.contains("checker bresse1"));
    assert_eq!(watchdog.run(&["silence", "end", "1"]).stdout, "Silence 1 has ended.\n");
    assert_eq!(watchdog.run(&["silence", "list"]).stdout, "Nothing is silenced by hand.\n");
    assert_eq!(watchdog.run(&["silence", "--for", "1h"]).status, 1);
}
