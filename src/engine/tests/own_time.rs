use super::*;
use crate::mail::Hop;

/// The watchdog's clock minus the server's at `mailbox`: it looks every 30 s and finds one report in the middle.
fn reports_come(world: &mut World, mailbox: &str, from: i64, to: i64, offset: i64) {
    for second in (from..to).step_by(30) {
        let mut observation = report(mailbox, "b1", second + 15, "DRYRUN.OK SQL.OK SHOP.OK");
        observation.seen = at(second + 30);
        if mailbox == "MONITOR" {
            world.engine.observe(&observation);
            ["b2", "b3", "b4"].iter().for_each(|name| world.hear(name, second + 15));
        } else {
            assert!(world.engine.observe_copy(&observation));
        }
        world.engine.arrived(&observation, at(second + 15 - offset));
        world.engine.looked(mailbox, at(second + 30), History::Complete, at(second + 30));
        world.last_look = second + 30;
        world.deliver(second + 30);
    }
}

#[test]
fn a_clock_that_is_off_is_alarmed_once_and_recovers_when_it_is_right_again() {
    let mut world = World::all_heard(0);
    reports_come(&mut world, "MONITOR", 0, 300, 0);
    world.expect(&[]);
    reports_come(&mut world, "MONITOR", 300, 390, 100);
    world.expect(&[]);
    reports_come(&mut world, "MONITOR", 390, 600, 100);
    world.expect(&["MONITOR_Clock.NOK"]);
    insta::assert_snapshot!(format!("{}\n\n{}", world.letters[0].subject, world.letters[0].body));
    world.restart(config(), 600);
    reports_come(&mut world, "MONITOR", 600, 900, 100);
    world.expect(&[]);
    reports_come(&mut world, "MONITOR", 900, 1_110, 0);
    world.expect(&["MONITOR_Clock.OK"]);
    assert_eq!(world.engine.open_incidents().count(), 0);
}

#[test]
fn a_clock_that_is_a_little_off_is_no_alarm() {
    for offset in [-29, 29] {
        let mut world = World::all_heard(0);
        reports_come(&mut world, "MONITOR", 0, 600, offset);
        world.expect(&[]);
    }
}

#[test]
fn only_who_is_heard_tells_of_the_clock() {
    let mut world = World::all_heard(0);
    for second in (0..300).step_by(30) {
        let mut stranger = report("MONITOR", "b1", second + 15, "");
        stranger.mail.not_heard = Some(NotHeard::NobodyKnown);
        world.engine.observe(&stranger);
        world.engine.arrived(&stranger, at(second + 15 - 1_000));
        world.look(second + 30);
    }
    assert_eq!(world.engine.mailboxes()["MONITOR"].clock, Comparison::default());
}

#[test]
fn one_alarm_for_several_servers_and_its_recovery_when_none_differs() {
    let mut two = config();
    two.mailboxes.push(mailbox_config("SECOND"));
    let mut world = World::new(two.clone());
    ["b1", "b2", "b3", "b4"].iter().for_each(|name| world.hear(name, 0));
    world.look(0);
    world.engine.looked("SECOND", at(0), History::Complete, at(0));
    for from in (0..300).step_by(30) {
        reports_come(&mut world, "MONITOR", from, from + 30, -80);
        reports_come(&mut world, "SECOND", from, from + 30, 80);
    }
    world.expect(&["MONITOR_Clock.NOK"]);
    for from in (300..510).step_by(30) {
        reports_come(&mut world, "MONITOR", from, from + 30, 0);
        reports_come(&mut world, "SECOND", from, from + 30, 80);
    }
    world.expect(&[]);
    two.mailboxes.pop();
    world.engine.reconfigure(two, at(520));
    world.deliver(520);
    world.expect(&["MONITOR_Clock.OK"]);
}

/// A report that came two seconds after it was sent, seen by a clock that is behind.
fn seen_by_a_clock_behind(world: &mut World, name: &str, (sent, text): (i64, &str), seen: i64) {
    let mut observation = report("MONITOR", name, sent, text);
    (observation.received, observation.seen) = (at(seen), at(seen));
    observation.mail.received = vec![Hop { from: None, by: None, at: Some(at(sent + 2)) }];
    world.engine.observe(&observation);
}

/// Everybody was heard four times by a right clock, which is set back by ten minutes after that.
fn before_the_clock_is_set_back() -> World {
    let mut world = World::all_heard(0);
    for second in [300, 600, 900] {
        ["b1", "b2", "b3", "b4"].iter().for_each(|name| world.hear(name, second));
        world.look(second + 5);
    }
    world
}

const BAD: &str = "DRYRUN.OK SQL.NOK SHOP.OK";
const GOOD: &str = "DRYRUN.OK SQL.OK SHOP.OK";

#[test]
fn a_clock_that_was_set_back_makes_no_new_result_history() {
    let mut world = before_the_clock_is_set_back();
    for run in 4..20 {
        let text = if run % 2 == 0 { BAD } else { GOOD };
        seen_by_a_clock_behind(&mut world, "b1", (run * 300, text), run * 300 - 595);
        let second = run * 300 - 594;
        world.engine.looked("MONITOR", at(second), History::Complete, at(second));
        world.deliver(second);
        world.sent.retain(|token| token.starts_with("SQL"));
        world.expect(if run % 2 == 0 { &["SQL.NOK"] } else { &["SQL.OK"] });
    }
}

#[test]
fn runs_that_a_clock_that_is_behind_sees_at_once_are_in_their_order() {
    for reversed in [false, true] {
        let mut world = before_the_clock_is_set_back();
        let mut runs = [(1_500, BAD), (1_800, GOOD)];
        if reversed {
            runs.reverse();
        }
        for run in runs {
            seen_by_a_clock_behind(&mut world, "b1", run, 1_210);
        }
        world.look(1_211);
        world.expect(&[]);
    }
}

#[test]
fn no_mail_was_held_because_a_clock_that_was_behind_is_put_right() {
    let mut world = before_the_clock_is_set_back();
    for run in 4..16 {
        for name in ["b1", "b2", "b3", "b4"] {
            seen_by_a_clock_behind(&mut world, name, (run * 300, GOOD), run * 300 - 595);
        }
        let second = run * 300 - 594;
        world.engine.looked("MONITOR", at(second), History::Complete, at(second));
        world.deliver(second);
    }
    for run in 16..30 {
        for name in ["b1", "b2", "b3", "b4"] {
            let mut observation = report("MONITOR", name, run * 300, GOOD);
            (observation.received, observation.seen) = (at(run * 300 + 2), at(run * 300 + 5));
            observation.mail.received = vec![Hop { from: None, by: None, at: Some(at(run * 300 + 2)) }];
            world.engine.observe(&observation);
        }
        world.look(run * 300 + 6);
        world.expect(&[]);
    }
}
