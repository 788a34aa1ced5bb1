//! The watchdog's own runs.

use super::*;
use crate::config::{Heartbeat as Settings, RunMail};
use crate::engine::Run;

fn with_heartbeat(mailboxes: &[&str]) -> Config {
    let mail = RunMail { channel: "mail".into(), to: "watch@third.example".into(), hmac: None };
    let heartbeat = Settings { mail: Some(mail), ping: None, cycle: TimeDelta::seconds(300) };
    let mailboxes = mailboxes.iter().map(|name| mailbox_config(name)).collect();
    Config { heartbeat: Some(heartbeat), mailboxes, ..config() }
}

impl World {
    /// A look whose judgement is stored, and the run that is told then.
    fn work(&mut self, second: i64) -> Option<Run> {
        self.look(second);
        self.engine.judgement_stored();
        self.engine.take_run(at(second))
    }

    fn failed(&mut self, run: &Run, second: i64) {
        self.engine.run_sent(run.began, &Sent::failed("broken"), at(second));
    }
}

#[test]
fn a_run_is_told_once_in_a_cycle_and_only_when_the_work_is_done() {
    let mut world = World::new(with_heartbeat(&["MONITOR"]));
    assert_eq!(world.engine.take_run(at(0)), None, "nothing is stored yet");
    let run = world.work(1).expect("the first one at once");
    assert_eq!(
        run.tokens,
        [
            "DRYRUN.OK",
            "watchdog_Mailbox_Service.OK",
            "watchdog_Outbox_Service.OK",
            "watchdog_Store_Service.OK"
        ]
    );
    assert_eq!(run.letter.subject, "DRYRUN.OK");
    assert!(!run.letter.body.to_lowercase().contains("nok"), "{}", run.letter.body);
    world.engine.run_sent(run.began, &Sent::Accepted("250".into()), at(2));
    assert_eq!(world.work(300), None, "not yet");
    assert_eq!(world.engine.next_wake(), Some(at(301)), "it does not wait for the next look");
    assert_eq!(world.engine.take_run(at(301)).map(|run| run.began), Some(at(301)));
    // From here nothing is judged any more, however often somebody asks.
    for second in [601, 700, 5_000] {
        world.engine.tick(at(second));
        assert_eq!(world.engine.take_run(at(second)), None, "{second}");
    }
    assert!(world.work(5_001).is_some());
}

#[test]
fn a_clock_that_is_set_back_does_not_silence_it_for_longer_than_a_cycle() {
    let mut world = World::new(with_heartbeat(&["MONITOR"]));
    assert!(world.work(10_000).is_some());
    assert_eq!(world.work(6_400), None, "not yet");
    assert!(world.work(6_700).is_some());
}

#[test]
fn a_mail_that_is_not_taken_is_tried_again_until_the_next_run_takes_its_place() {
    let mut world = World::new(with_heartbeat(&["MONITOR"]));
    let first = world.work(0).unwrap();
    let mut tried = vec![];
    for second in 0..300 {
        if second == 0 || world.engine.take_run_again(at(second)).is_some() {
            tried.push(second);
            assert_eq!(world.engine.take_run_again(at(second)), None, "one attempt at a time");
            world.failed(&first, second);
        }
    }
    assert_eq!(tried, [0, 10, 30, 70, 150]);
    let second = world.work(300).unwrap();
    world.failed(&first, 301);
    assert_eq!(world.engine.take_run_again(at(330)), None, "the old one is over");
    world.failed(&second, 301);
    assert_eq!(world.engine.take_run_again(at(311)), Some(second.clone()));
    world.engine.run_sent(second.began, &Sent::Refused("550".into()), at(312));
    assert_eq!(world.engine.take_run_again(at(599)), None, "a refusal is final");
}

#[test]
fn what_fails_is_told_as_a_checker_tells_it() {
    let mut world = World::new(with_heartbeat(&["MONITOR", "PEER"]));
    world.engine.judgement_stored();
    assert_eq!(world.engine.take_run(at(1)), None, "whether PEER can be read is open");
    world.engine.look_failed("PEER", "refused", at(100));
    assert_eq!(world.work(100), None);
    world.tick(181);
    world.engine.store_failed();
    let run = world.work(182).unwrap();
    let failed: Vec<&str> = run.tokens.iter().map(String::as_str).filter(|t| t.ends_with("NOK")).collect();
    assert_eq!(failed, ["watchdog_PEER_Mailbox_Service.NOK", "watchdog_Store_Service.NOK"]);
    assert_eq!(run.letter.subject, "DRYRUN.OK watchdog_PEER_Mailbox_Service.NOK watchdog_Store_Service.NOK");
    world.engine.looked("PEER", at(400), History::Complete, at(400));
    let run = world.work(500).unwrap();
    assert!(run.tokens.iter().all(|token| token.ends_with(".OK")), "{:?}", run.tokens);
    assert!(run.tokens.contains(&"watchdog_MONITOR_Mailbox_Service.OK".to_owned()));
}

#[test]
fn a_channel_that_takes_nothing_is_a_test_that_failed() {
    let mut world = World::new(with_heartbeat(&["MONITOR"]));
    world.report("b1", 1, "DRYRUN.OK SQL.NOK SHOP.OK");
    world.engine.looked("MONITOR", at(1), History::Complete, at(1));
    let due = world.engine.take_due(at(1));
    assert_eq!(due.len(), 1);
    world.engine.sent(due[0].id, Sent::Refused("550".into()), at(2));
    let run = world.work(2).unwrap();
    assert!(run.tokens.contains(&"watchdog_Outbox_Service.NOK".to_owned()), "{:?}", run.tokens);
}
