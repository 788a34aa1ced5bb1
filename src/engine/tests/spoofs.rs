//! Mails that are not believed, and runs that are signed.

use super::*;
use crate::config::Trust;
use crate::report::NotHeard;
use crate::trust::Why;
use std::sync::Arc;

const HOUR: i64 = 3_600;
const FINE: &str = "DRYRUN.OK SQL.OK SHOP.OK";

/// `b1` has to sign.
fn signing() -> Config {
    let mut config = config();
    let hmac = vec![Secret::Value("sixteen letters.".to_owned().into())];
    config.checkers[0].trust = Some(Arc::new(Trust { from: vec![], auth_results: None, hmac }));
    config
}

fn forged(name: &str, second: i64, text: &str) -> Observation {
    let mut seen = report("MONITOR", name, second, text);
    seen.mail.not_heard = Some(NotHeard::Untrusted(Why::NotSigned));
    seen.mail.examined.author = Some("somebody@elsewhere.example".into());
    seen
}

/// Received in `second`, of the run that began in `run` by the checker's clock.
fn signed(name: &str, second: i64, run: i64, text: &str) -> Observation {
    let mut seen = report("MONITOR", name, second, text);
    seen.mail.run = Some(at(run));
    seen.mail.sent = Some(at(run));
    seen
}

fn heard_at(world: &World, name: &str) -> Option<i64> {
    world.engine.facts()[name].heard_at().map(|heard| (heard - at(0)).num_seconds())
}

#[test]
fn forged_reports_refresh_nothing_open_no_service_and_are_one_alarm_while_they_come() {
    let mut world = World::all_heard(0);
    for second in (60..=DEADLINE).step_by(60) {
        world.engine.observe(&forged("b1", second, "DRYRUN.OK SQL.NOK SHOP.OK"));
        ["b2", "b3", "b4"].iter().for_each(|name| world.hear(name, second));
        world.look(second);
    }
    world.expect(&["b1_Spoof.NOK"]);
    assert!(world.letters[0].body.contains("somebody@elsewhere.example"), "{}", world.letters[0].body);
    world.look(DEADLINE + 1);
    world.expect(&["b1_Checker.NOK"]);
    assert_eq!(heard_at(&world, "b1"), Some(0));
    assert_eq!(world.engine.facts()["b1"].services["SQL"].outcome().word(), "OK", "what it said itself");
}

#[test]
fn the_alarm_is_over_after_a_quiet_hour_and_says_how_many_there_were() {
    let mut world = World::all_heard(0);
    let alive = |world: &mut World, second| {
        ["b1", "b2", "b3", "b4"].iter().for_each(|name| world.hear(name, second));
    };
    for second in (100..=HOUR).step_by(100) {
        alive(&mut world, second);
        if second <= 300 {
            world.engine.observe(&forged("b1", second, FINE));
        }
        world.look(second);
    }
    world.expect(&["b1_Spoof.NOK"]);
    world.restart(config(), HOUR + 1);
    for second in (HOUR + 100..=HOUR + 300).step_by(100) {
        alive(&mut world, second);
        world.look(second);
    }
    world.expect(&[]);
    assert_eq!(
        world.engine.next_wake(),
        Some(at(HOUR + 300) + TimeDelta::milliseconds(1)),
        "an hour after the last"
    );
    world.look(HOUR + 301);
    world.expect(&["b1_Spoof.OK"]);
    let body = &world.letters.last().unwrap().body;
    assert!(body.contains("3 mails were not believed"), "{body}");
    // The next one counts anew.
    world.engine.observe(&forged("b1", HOUR + 310, FINE));
    world.look(HOUR + 311);
    world.expect(&["b1_Spoof.NOK"]);
    assert_eq!(world.engine.facts()["b1"].spoofs.count, 1);
}

#[test]
fn a_first_start_says_nothing_of_mails_from_before_it_asked_for_trust() {
    let mut world = World::new(signing());
    world.engine.observe(&forged("b1", -DEADLINE - 1, FINE));
    world.engine.observe(&forged("b1", -30 * 24 * HOUR, FINE));
    world.look(1);
    world.expect(&[]);
    assert_eq!(world.engine.facts()["b1"].spoofs.count, 0);
    // But what came a moment ago shows a configuration that does not fit.
    world.engine.observe(&forged("b1", -DEADLINE + 1, FINE));
    world.look(2);
    world.expect(&["b1_Spoof.NOK"]);
}

#[test]
fn what_is_asked_anew_is_asked_of_later_mails_only() {
    let mut world = World::all_heard(0);
    ["b1", "b2", "b3", "b4"].iter().for_each(|name| world.hear(name, 1_200));
    world.look(1_200);
    world.sent.clear();
    world.engine.reconfigure(signing(), at(1_300));
    world.engine.observe(&forged("b1", 800, FINE));
    world.look(1_301);
    world.expect(&[]);
    // A restart with the same configuration asks for the same.
    world.restart(signing(), 1_310);
    world.engine.observe(&forged("b1", 850, FINE));
    world.look(1_311);
    world.expect(&[]);
    world.engine.observe(&forged("b1", 1_305, FINE));
    world.look(1_312);
    world.expect(&["b1_Spoof.NOK"]);
}

#[test]
fn a_checker_that_leaves_the_configuration_takes_its_alarm_with_it() {
    let mut world = World::all_heard(0);
    world.engine.observe(&forged("b1", 10, FINE));
    world.look(11);
    world.expect(&["b1_Spoof.NOK"]);
    let mut smaller = config();
    smaller.checkers.remove(0);
    world.engine.reconfigure(smaller, at(20));
    world.deliver(20);
    world.expect(&["b1_Spoof.OK"]);
    assert!(
        world.letters[1].subject.contains("no longer in the configuration"),
        "{}",
        world.letters[1].subject
    );
}

#[test]
fn rubbish_in_the_name_of_a_checker_is_no_complaint_about_it() {
    let mut world = World::all_heard(0);
    let mut seen = forged("b1", 10, "");
    seen.mail.not_heard = Some(NotHeard::NoToken);
    seen.mail.examined.signature = Some(Err(Why::NotSigned));
    world.engine.observe(&seen);
    world.look(11);
    assert!(world.engine.facts()["b1"].complaint.is_none());
    world.expect(&[]);
}

/// The runs of a life of an hour, and then nothing.
fn life() -> Vec<Observation> {
    (0..=12).map(|run| signed("b1", run * 300 + 2, run * 300, FINE)).collect()
}

/// What is known of `b1` after these mails, read in this order, first and after one more look.
fn after(mails: &[Observation], until: i64) -> World {
    let mut world = World::new(signing());
    ["b2", "b3", "b4"].iter().for_each(|name| world.hear(name, until));
    mails.iter().for_each(|mail| world.engine.observe(mail));
    world.look(until);
    world
}

#[test]
fn a_life_that_is_sent_again_a_day_later_proves_nothing_in_whatever_order_it_is_read() {
    const DAY: i64 = 24 * HOUR;
    let mut mails = life();
    mails.extend((0..=12).map(|run| signed("b1", run * 300 + DAY, run * 300, FINE)));
    for _ in 0..2 {
        let world = after(&mails, DAY + HOUR);
        assert_eq!(heard_at(&world, "b1"), Some(HOUR + 2));
        assert_eq!(world.state("b1", DAY + HOUR), State::Silent);
        mails.reverse();
    }
    // Nor one run that is sent again and again, when it is all that is known.
    let mut one: Vec<Observation> = (0..20).map(|copy| signed("b1", 2 + copy * 300, 0, FINE)).collect();
    for _ in 0..2 {
        assert_eq!(heard_at(&after(&one, 6_000), "b1"), Some(2));
        one.reverse();
    }
}

#[test]
fn a_lower_run_that_comes_late_refreshes_nothing_even_when_nothing_is_usual_yet() {
    let mut mails = vec![signed("b1", 302, 300, FINE), signed("b1", 900, 0, "DRYRUN.OK SQL.OK")];
    for _ in 0..2 {
        assert_eq!(heard_at(&after(&mails, 901), "b1"), Some(302));
        mails.reverse();
    }
}

#[test]
fn what_is_sent_again_makes_no_delay_usual() {
    let mut mails = life();
    mails.extend((0..=12).map(|run| signed("b1", run * 300 + 5 * HOUR, run * 300, FINE)));
    // And now a new run that was held for two hours.
    mails.push(signed("b1", 9 * HOUR, 7 * HOUR, FINE));
    for _ in 0..2 {
        assert_eq!(heard_at(&after(&mails, 9 * HOUR + 1), "b1"), Some(7 * HOUR + 2));
        mails.reverse();
    }
}

#[test]
fn a_copy_that_was_read_first_takes_its_place_behind_the_original() {
    let mut world = World::new(signing());
    world.engine.observe(&signed("b1", 900, 0, FINE));
    world.engine.observe_copy(&signed("b1", 2, 0, FINE));
    world.look(901);
    assert_eq!(heard_at(&world, "b1"), Some(2));
}

#[test]
fn a_report_that_was_only_held_is_history_and_nobody_is_accused() {
    let mut mails = life();
    // The run of second 3,000 waited in a queue, was overtaken, and says NOK.
    mails[10] = signed("b1", 3_602 + 100, 3_000, "DRYRUN.OK SQL.NOK SHOP.OK");
    for _ in 0..2 {
        let mut world = after(&mails, 3_750);
        assert_eq!(heard_at(&world, "b1"), Some(3_602), "the newest run decides");
        assert_eq!(world.engine.facts()["b1"].services["SQL"].outcome().word(), "OK");
        world.expect(&[]);
        mails.reverse();
    }
}

#[test]
fn several_mails_of_one_run_belong_together_whenever_they_come() {
    let mut world = World::all_heard(0);
    world.engine.reconfigure(signing(), at(1));
    world.engine.observe(&signed("b1", 310, 300, "SQL.OK"));
    world.engine.observe(&signed("b1", 302, 300, "DRYRUN.OK"));
    world.engine.observe(&signed("b1", 340, 300, "SHOP.NOK"));
    // The DRYRUN of the next run is lost, and it comes soon: by its number it is another run all the same.
    world.engine.observe(&signed("b1", 360, 350, "SHOP.OK"));
    world.look(361);
    world.expect(&[]);
    assert_eq!(world.engine.facts()["b1"].services["SHOP"].outcome().word(), "OK");
}

#[test]
fn run_numbers_that_go_back_prove_nothing_are_alarmed_and_heal_when_they_pass_the_highest() {
    let mut world = World::new(signing());
    let alive = |world: &mut World, second| {
        ["b2", "b3", "b4"].iter().for_each(|name| world.hear(name, second));
    };
    // An hour ahead, and set right after 1,500 seconds.
    for second in (300..=1_500).step_by(300) {
        world.engine.observe(&signed("b1", second + 2, second + HOUR, FINE));
        alive(&mut world, second + 2);
        world.look(second + 3);
    }
    world.expect(&[]);
    for second in (1_800..=4_800).step_by(300) {
        world.engine.observe(&signed("b1", second + 2, second, FINE));
        alive(&mut world, second + 2);
        world.look(second + 3);
    }
    world.expect(&["b1_Checker.NOK", "b1_Spoof.NOK"]);
    let body = &world.letters[1].body;
    assert!(body.contains("run numbers") && body.contains("its clock was set back"), "{body}");
    assert_eq!(heard_at(&world, "b1"), Some(1_502));
    for second in (5_100..=9_600).step_by(300) {
        world.engine.observe(&signed("b1", second + 2, second, FINE));
        alive(&mut world, second + 2);
        world.look(second + 3);
    }
    world.expect(&["b1_Checker.OK", "b1_Spoof.OK"]);
}

#[test]
fn to_begin_or_to_stop_signing_forgets_nobody() {
    let mut world = World::all_heard(0);
    world.engine.reconfigure(signing(), at(10));
    assert_eq!(heard_at(&world, "b1"), Some(0));
    // Its clock is three hours slow.
    world.engine.observe(&signed("b1", 300, 300 - 3 * HOUR, FINE));
    world.look(300);
    assert_eq!(heard_at(&world, "b1"), Some(300));
    world.engine.reconfigure(config(), at(310));
    assert_eq!(heard_at(&world, "b1"), Some(300));
    world.hear("b1", 600);
    world.look(600);
    assert_eq!(heard_at(&world, "b1"), Some(600));
}
