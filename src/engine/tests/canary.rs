//! The watchdog's own mail, out and back.

use super::*;
use crate::config::Canary as CanaryConfig;

fn with_canary() -> Config {
    let canary = CanaryConfig {
        channel: "mail".into(),
        to: "canary@domain.com".into(),
        every: TimeDelta::seconds(600),
        patience: TimeDelta::seconds(60),
    };
    Config { canary: Some(canary), ..config() }
}

impl World {
    fn release(&mut self, id: &str, second: i64) -> Option<Release> {
        assert!(self.engine.wants_canary(at(second)), "at {second}");
        let release = self.engine.release_canary(Some(id.to_owned()), at(second));
        assert!(!self.engine.wants_canary(at(second)), "one at a time");
        release
    }

    fn times(&self) -> Option<(usize, i64, i64, i64, i64)> {
        let of = self.engine.canary()?.latencies()?;
        let s = |length: TimeDelta| length.num_seconds();
        Some((of.mails, s(of.now), s(of.median), s(of.p99), s(of.max)))
    }
}

#[test]
fn a_canary_flies_at_its_pace_and_its_way_is_measured() {
    let mut world = World::new(with_canary());
    let release = world.release("c1", 0).unwrap();
    assert_eq!((release.channel.as_str(), release.to.as_str()), ("mail", "canary@domain.com"));
    assert!(!release.letter.subject.to_lowercase().contains("nok"));
    world.engine.canary_sent("c1", &Sent::Accepted("250".into()));
    assert_eq!(world.times(), None);
    world.engine.canary_came("c1", at(4));
    assert_eq!(world.times(), Some((1, 4, 4, 4, 4)));
    // Read again, or somebody else's.
    world.engine.canary_came("c1", at(400));
    world.engine.canary_came("c9", at(400));
    assert_eq!(world.times(), Some((1, 4, 4, 4, 4)));

    assert!(!world.engine.wants_canary(at(599)));
    assert!(world.engine.next_wake().unwrap() <= at(600));
    for number in 1..=99_i64 {
        let id = format!("n{number}");
        world.release(&id, 600 * number);
        // A mailbox whose clock is behind.
        let took = if number == 99 { -3 } else { number };
        world.engine.canary_came(&id, at(600 * number + took));
    }
    assert_eq!(world.times(), Some((100, 0, 48, 97, 98)));
}

#[test]
fn one_that_does_not_come_back_is_missed_only_as_far_as_the_mailbox_was_read() {
    let mut world = World::new(with_canary());
    world.release("c1", 0);
    world.look(60);
    assert_eq!(world.engine.canary_overdue(), None, "it may take its time");
    world.look(61);
    assert_eq!(world.engine.canary_overdue(), Some(at(0)));
    world.release("c2", 600);
    world.engine.canary_came("c2", at(603));
    assert_eq!(world.engine.canary_overdue(), None, "a later one came through");
    world.engine.canary_came("c1", at(700));
    assert_eq!(world.times(), Some((2, 700, 3, 700, 700)), "a late one is measured all the same");
}

#[test]
fn lost_canaries_fill_nothing_up() {
    let mut world = World::new(with_canary());
    for number in 0..1000_i64 {
        world.release(&format!("c{number}"), 600 * number);
        world.engine.canary_sent(&format!("c{number}"), &Sent::Accepted("250".into()));
    }
    assert_eq!(world.engine.outbox().iter().count(), 0);
    let kept = serde_json::to_string(world.engine.canary().unwrap()).unwrap();
    assert!(kept.len() < 1000, "{kept}");
}

#[test]
fn one_that_the_channel_does_not_take_is_not_missed_and_the_next_follows_at_its_time() {
    let mut world = World::new(with_canary());
    world.release("c1", 0);
    world.engine.canary_sent("c1", &Sent::failed("no route"));
    world.look(100);
    assert_eq!(world.engine.canary_overdue(), None);
    assert_eq!(world.engine.canary().unwrap().unsent.as_deref(), Some("no route"));
    assert!(!world.engine.wants_canary(at(599)));
    assert!(world.engine.release_canary(None, at(600)).is_none());
    assert!(!world.engine.wants_canary(at(601)), "no randomness is no reason for a tight loop");
}

#[test]
fn it_is_known_again_after_a_restart_and_another_way_begins_anew() {
    let mut world = World::new(with_canary());
    world.release("c1", 0);
    world.store();
    world.restart(with_canary(), 10);
    assert!(!world.engine.wants_canary(at(599)));
    world.engine.canary_came("c1", at(5));
    assert_eq!(world.times(), Some((1, 5, 5, 5, 5)));
    let mut other = with_canary();
    other.canary.as_mut().unwrap().to = "other@domain.com".into();
    world.engine.reconfigure(other, at(20));
    world.release("c2", 600);
    assert_eq!(world.times(), None);
    world.engine.reconfigure(config(), at(700));
    assert!(world.engine.canary().is_none() && !world.engine.wants_canary(at(9999)));
}

/// It flies on another way than the checkers' mails: that it gets through does not prove that theirs did not wait.
#[test]
fn a_canary_says_nothing_about_blindness() {
    let mut canary = report("MONITOR", "b1", 0, "");
    canary.mail.checker = None;
    canary.mail.not_heard = Some(NotHeard::Canary);
    let run = |with_canary: bool| {
        let mut world = World::all_heard(0);
        world.engine.look_failed("MONITOR", "down", at(10));
        world.engine.look_failed("MONITOR", "down", at(900));
        if with_canary {
            for second in [300, 600, 995] {
                canary.received = at(second);
                world.engine.observe(&canary);
                world.engine.observe_copy(&canary);
            }
        }
        world.look_after_a_gap(1000);
        (world.state("b1", 1000), world.engine.mailboxes()["MONITOR"].clone(), world.sent)
    };
    let mut run = run;
    assert_eq!(run(true), run(false));
}

#[test]
fn a_canary_tells_a_dead_checker_from_a_dead_path_where_there_is_only_one() {
    let mut lonely = with_canary();
    lonely.checkers.truncate(1);
    for (back, expected) in [(Some(290), Reason::CheckerDead), (None, Reason::MailPathDown)] {
        let mut world = World::new(lonely.clone());
        world.hear("b1", 0);
        world.look(0);
        world.release("c1", 280);
        if let Some(second) = back {
            world.engine.canary_came("c1", at(second));
        }
        world.look_until(1, DEADLINE + 1);
        let cause = world.engine.cause("b1", &world.engine.companies(), at(DEADLINE + 1)).unwrap();
        assert_eq!(cause.reason, expected, "{cause:?}");
        assert!(world.letters[0].body.contains("own canary"), "{}", world.letters[0].body);
    }
}
