use super::*;
use crate::fullness::{Fullness, Source, Usage};
use crate::mail::Hop;
use crate::reason::Clue;
use crate::reason::Reason::{
    self, AuthExpired, CheckerDead, CommonCause, MailPathDown, MailboxFull, NeverSeen, ProviderDown, Unknown,
    WatcherBlind,
};

impl World {
    fn reason(&self, name: &str, second: i64) -> Option<Reason> {
        self.engine.cause(name, &self.engine.companies(), at(second)).map(|cause| cause.reason)
    }

    fn disk_reason(&self, name: &str) -> Option<Reason> {
        self.reasons.get(name).copied()
    }

    /// Everybody but these is heard every 300 seconds until `second`.
    fn without(&mut self, dead: &[&str], second: i64) {
        for run in (300..=second).step_by(300) {
            for name in ["b1", "b2", "b3", "b4"].iter().filter(|name| !dead.contains(name)) {
                self.hear(name, run);
            }
            self.look(run);
        }
        self.look(second);
    }
}

#[test]
fn who_fell_silent_with_whom_is_the_reason() {
    let cases: &[(&[&str], Reason)] = &[
        (&["b4"], CheckerDead),
        (&["b1"], CheckerDead),
        (&["b1", "b2"], ProviderDown),
        (&["b2", "b3"], CommonCause),
        (&["b1", "b2", "b3"], CommonCause),
        (&["b1", "b2", "b3", "b4"], MailPathDown),
    ];
    for (dead, expected) in cases {
        let mut world = World::all_heard(0);
        world.without(dead, DEADLINE + 1);
        for name in ["b1", "b2", "b3", "b4"] {
            let silent = dead.contains(&name);
            assert_eq!(world.reason(name, DEADLINE + 1), silent.then_some(*expected), "{name} of {dead:?}");
            let stored = world.disk_reason(name);
            assert_eq!(stored, silent.then_some(*expected), "as the store was told of {name}");
        }
        let cause = world.engine.open_incidents().next().unwrap().cause.clone().unwrap();
        assert_eq!(cause.reason, *expected);
        assert!(world.letters[0].body.contains(&format!("Reason: {}", expected.word())), "{dead:?}");
    }
}

#[test]
fn the_first_of_all_to_fall_silent_has_no_reason_until_others_are_missed_too() {
    let mut world = World::new(config());
    for (name, second) in [("b1", 0), ("b2", 60), ("b3", 120), ("b4", 180)] {
        world.hear(name, second);
    }
    world.look(180);
    world.look_until(181, DEADLINE + 1);
    assert_eq!(world.reason("b1", DEADLINE + 1), Some(Unknown));
    assert!(world.letters[0].body.contains("Nobody else was heard either"), "{}", world.letters[0].body);
    world.look_until(DEADLINE + 2, DEADLINE + 181);
    assert_eq!(world.reason("b1", DEADLINE + 181), Some(MailPathDown));
    assert_eq!(world.disk_reason("b1"), Some(MailPathDown), "the store is told of the revision");
}

#[test]
fn who_is_heard_later_shows_that_the_mail_path_works() {
    let mut world = World::new(config());
    ["b1", "b2", "b3", "b4"].iter().for_each(|name| world.hear(name, if *name == "b1" { 0 } else { 200 }));
    world.look(200);
    world.look(DEADLINE + 1);
    assert_eq!(world.reason("b1", DEADLINE + 1), Some(Unknown));
    ["b2", "b3", "b4"].iter().for_each(|name| world.hear(name, 500));
    world.look(500);
    assert_eq!(world.reason("b1", 500), Some(CheckerDead));
    assert_eq!(world.disk_reason("b1"), Some(CheckerDead));
}

#[test]
fn those_who_stay_silent_after_a_common_cause_are_judged_each_for_itself() {
    let mut world = World::all_heard(0);
    world.look(DEADLINE + 1);
    world.expect(&["MONITOR_MailPath.NOK"]);
    world.hear("b3", 500);
    world.hear("b4", 500);
    world.look(500);
    assert_eq!(world.reason("b1", 500), Some(MailPathDown), "the others may still come");
    for run in [800, 1100] {
        world.hear("b3", run);
        world.hear("b4", run);
        world.look(run);
    }
    world.expect(&["MONITOR_MailPath.OK", "free_Provider.NOK"]);
    assert_eq!(world.reason("b1", 1100), Some(CheckerDead));
}

#[test]
fn who_was_never_heard_says_nothing_about_the_others() {
    let mut world = World::new(config());
    ["b2", "b3"].iter().for_each(|name| world.hear(name, 0));
    world.look(DEADLINE + 1);
    assert_eq!(world.reason("b4", DEADLINE + 1), Some(NeverSeen));
    assert_eq!(world.reason("b2", DEADLINE + 1), Some(MailPathDown));
}

#[test]
fn what_only_the_silent_share_is_named() {
    let mut world = World::new(config());
    let through = |relay: &str| Hop { by: Some(relay.to_owned()), ..Hop::default() };
    let relays = [("b1", "relay-a"), ("b2", "relay-b"), ("b3", "relay-a"), ("b4", "relay-b")];
    for (run, speaking) in [(0, &relays[..]), (300, &[relays[1], relays[3]])] {
        for (name, relay) in speaking {
            let mut seen = report("MONITOR", name, run, "DRYRUN.OK SQL.OK SHOP.OK");
            seen.mail.received = vec![through("mx.domain.com"), through(relay)];
            world.engine.observe(&seen);
        }
        world.look(run);
    }
    world.look(DEADLINE + 1);
    let cause = world.engine.cause("b3", &world.engine.companies(), at(DEADLINE + 1)).unwrap();
    assert_eq!(cause.clues[0], Clue::SomeTogether { count: 2, shared: vec!["relay-a".to_owned()] });
}

#[test]
fn a_full_mailbox_is_the_reason_as_long_as_nobody_is_heard() {
    let full = |used| {
        let storage = Usage::new(used, 100, Source::Quota);
        Fullness::new(at(0), storage, None)
    };
    let mut world = World::all_heard(0);
    world.engine.measured("MONITOR", full(100));
    world.without(&["b1", "b2", "b3", "b4"], DEADLINE + 1);
    assert_eq!(world.reason("b1", DEADLINE + 1), Some(MailboxFull));
    assert!(world.letters[0].body.contains("MONITOR is full: 100 % full"), "{}", world.letters[0].body);
    // Somebody made room, and nobody writes all the same.
    world.engine.measured("MONITOR", full(50));
    world.look(DEADLINE + 2);
    assert_eq!(world.reason("b1", DEADLINE + 2), Some(MailPathDown));

    let mut world = World::all_heard(0);
    world.engine.measured("MONITOR", full(100));
    world.without(&["b4"], DEADLINE + 1);
    assert_eq!(world.reason("b4", DEADLINE + 1), Some(CheckerDead), "the others' mails found room");
}

#[test]
fn a_refused_login_is_the_reason_for_being_blind() {
    let mut world = World::all_heard(0);
    world.engine.login_refused("MONITOR", "AADSTS7000222: keys are expired", at(100));
    world.tick(300);
    assert_eq!(world.reason("b1", 300), Some(AuthExpired));
    world.engine.look_failed("MONITOR", "no route to host", at(310));
    assert_eq!(world.reason("b1", 310), Some(WatcherBlind));
}
