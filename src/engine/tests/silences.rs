use super::*;

#[test]
fn a_checker_is_alarmed_once_its_deadline_is_confirmed_by_a_look_and_not_before() {
    let mut world = World::all_heard(0);
    for name in ["b1", "b2", "b3"] {
        world.hear(name, 300);
    }
    world.look(DEADLINE);
    world.expect(&[]);
    world.look(DEADLINE + 1);
    world.expect(&["b4_Checker.NOK"]);
    world.look_until(DEADLINE + 2, DEADLINE + 200);
    world.expect(&[]);
    world.hear("b4", 610);
    world.look(610);
    world.expect(&["b4_Checker.OK"]);
    assert_eq!(world.state("b4", 610), State::Ok);
}

#[test]
fn a_timer_asks_for_a_look_right_after_the_deadline_and_only_once() {
    let mut world = World::all_heard(0);
    let wake = world.engine.next_wake().unwrap();
    assert_eq!(wake, at(180) + TimeDelta::milliseconds(1), "blindness would be noticed first");
    world.look(350);
    assert_eq!(world.engine.next_wake(), Some(at(DEADLINE) + TimeDelta::milliseconds(1)));
    assert!(!world.engine.wants_look(at(DEADLINE)));
    assert!(world.engine.wants_look(at(DEADLINE) + TimeDelta::milliseconds(1)));
    assert!(!world.engine.wants_look(at(DEADLINE + 5)), "asked for already");
}

#[test]
fn silences_days_apart_are_incidents_of_their_own() {
    let day = 86_400;
    let mut world = World::new(config());
    world.hear("b1", -3 * day);
    world.hear("b2", -2 * day);
    world.hear("b3", -day);
    world.hear("b4", 0);
    world.look(10);
    world.expect(&["b1_Checker.NOK", "b2_Checker.NOK", "b3_Checker.NOK"]);
    assert_eq!(world.engine.open_incidents().count(), 3);
}

#[test]
fn who_falls_silent_in_the_same_look_is_one_alarm_under_the_token_that_fits() {
    let cases: &[(&[&str], &str)] = &[
        (&["b1", "b2"], "free_Provider"),
        (&["b2", "b3"], "MONITOR_Checkers"),
        (&["b1", "b2", "b3", "b4"], "MONITOR_MailPath"),
    ];
    for (dead, token) in cases {
        let mut world = World::all_heard(0);
        for name in ["b1", "b2", "b3", "b4"].iter().filter(|name| !dead.contains(name)) {
            world.hear(name, 380);
        }
        world.look(DEADLINE + 1);
        world.expect(&[&format!("{token}.NOK")]);
        dead.iter().for_each(|name| world.hear(name, DEADLINE + 50));
        world.look(DEADLINE + 50);
        world.expect(&[&format!("{token}.OK")]);
        assert_eq!(world.engine.open_incidents().count(), 0);
    }
}

#[test]
fn silences_that_began_together_are_one_incident_whatever_the_names_and_the_cycles_are() {
    // The third lies between two that are too far from each other.
    let chain: [&[(&str, i64)]; 2] = [
        &[("b1", -2_000), ("b2", -1_400), ("b3", -1_700)],
        &[("b1", -1_700), ("b2", -1_400), ("b3", -2_000)],
    ];
    for silent in chain {
        let mut world = World::new(config());
        silent.iter().for_each(|(name, second)| world.hear(name, *second));
        world.hear("b4", 0);
        world.look(10);
        world.expect(&["MONITOR_Checkers.NOK"]);
    }
    // Who writes every two hours may have died when the other did, whichever of the two is looked at first.
    let cases =
        [(0, [-9_000, -5_000]), (1, [-5_000, -9_000]), (0, [-9_000, -12_000]), (1, [-12_000, -9_000])];
    for (seldom, [first, second]) in cases {
        let mut fleet = config();
        fleet.checkers[seldom].cycle = TimeDelta::seconds(7_200);
        let mut world = World::new(fleet);
        for (name, second) in [("b1", first), ("b2", second), ("b3", 0), ("b4", 0)] {
            world.hear(name, second);
        }
        world.look(10);
        world.expect(&["free_Provider.NOK"]);
    }
}

#[test]
fn silences_that_come_one_by_one_are_named_by_at_most_one_more_mail() {
    let mut world = World::new(config());
    for (name, second) in [("b1", 0), ("b2", 60), ("b3", 120), ("b4", 180)] {
        world.hear(name, second);
    }
    world.look(180);
    world.look_until(181, DEADLINE + 1);
    world.expect(&["b1_Checker.NOK"]);
    world.look_until(DEADLINE + 2, DEADLINE + 180);
    world.expect(&[]);
    world.look(DEADLINE + 181);
    world.expect(&["MONITOR_MailPath.NOK"]);
    let last = world.letters.last().unwrap();
    assert!(["b1", "b2", "b3", "b4"].iter().all(|name| last.body.contains(name)), "{}", last.body);
    for (name, second) in [("b1", 700), ("b2", 710), ("b3", 720), ("b4", 730)] {
        world.hear(name, second);
        world.look(second);
    }
    world.expect(&["b1_Checker.OK", "MONITOR_MailPath.OK"]);
}

#[test]
fn a_second_silence_waits_until_nobody_else_can_join_and_then_is_named() {
    let mut world = World::new(config());
    for (name, second) in [("b1", 0), ("b2", 100), ("b3", 300), ("b4", 310)] {
        world.hear(name, second);
    }
    world.look(310);
    world.look_until(311, 501);
    world.expect(&["b1_Checker.NOK"]);
    // b3 and b4 could still belong to it, until they are heard again.
    world.hear("b3", 600);
    world.hear("b4", 610);
    world.look(610);
    world.expect(&["free_Provider.NOK"]);
}

#[test]
fn those_who_joined_do_not_wait_long_for_a_checker_that_writes_seldom() {
    let mut fleet = config();
    fleet.checkers[3].cycle = TimeDelta::seconds(7_200);
    let mut world = World::new(fleet);
    for (name, second) in [("b1", 0), ("b2", 100), ("b3", 0), ("b4", 0)] {
        world.hear(name, second);
    }
    world.look(100);
    world.hear("b3", 390);
    world.look(DEADLINE + 1);
    world.expect(&["b1_Checker.NOK"]);
    for second in [501, 700, 861] {
        world.hear("b3", second);
        world.look(second);
    }
    world.expect(&[]);
    world.look(862);
    world.expect(&["free_Provider.NOK"]);
}

#[test]
fn who_joined_and_is_not_named_is_alarmed_when_the_one_that_was_recovers() {
    let mut world = World::new(config());
    for (name, second) in [("b1", 0), ("b2", 100), ("b3", 300), ("b4", 310)] {
        world.hear(name, second);
    }
    world.look(310);
    world.look_until(399, 501);
    world.expect(&["b1_Checker.NOK"]);
    world.hear("b1", 505);
    world.look(505);
    world.expect(&["b1_Checker.OK", "b2_Checker.NOK"]);
}

#[test]
fn nobody_joins_a_silence_that_is_over_in_the_same_look() {
    let mut world = World::new(config());
    for (name, second) in [("b1", 100), ("b2", 0), ("b3", 300), ("b4", 310)] {
        world.hear(name, second);
    }
    world.look(310);
    world.look(DEADLINE + 1);
    world.expect(&["b2_Checker.NOK"]);
    world.hear("b2", 500);
    world.look(501);
    world.expect(&["b2_Checker.OK", "b1_Checker.NOK"]);
}

#[test]
fn a_second_mail_is_the_last_even_under_the_same_token() {
    let mut fleet = config();
    fleet.checkers[1].cycle = TimeDelta::seconds(2_000);
    fleet.checkers.push(checker_config("b5", "ovh"));
    let mut world = World::new(fleet);
    for (name, second) in [("b1", 0), ("b3", 0), ("b4", 100), ("b2", 0)] {
        world.hear(name, second);
    }
    for second in (100..=2_200).step_by(100) {
        world.hear("b5", second);
        world.look(second + 1);
    }
    world.expect(&["MONITOR_Checkers.NOK", "MONITOR_Checkers.NOK", "b2_Checker.NOK"]);
}

#[test]
fn after_a_common_recovery_begins_the_others_get_one_deadline() {
    let mut world = World::all_heard(0);
    world.look(DEADLINE + 1);
    world.expect(&["MONITOR_MailPath.NOK"]);
    world.look(990);
    world.hear("b1", 1_000);
    world.hear("b2", 1_010);
    world.look(1_010);
    world.expect(&[]);
    world.hear("b1", 1_300);
    world.hear("b2", 1_310);
    world.look_until(1_311, 1_010 + DEADLINE);
    world.expect(&[]);
    world.look(1_010 + DEADLINE + 1);
    world.expect(&["MONITOR_MailPath.OK", "MONITOR_Checkers.NOK"]);
    assert!(
        world
            .letters
            .iter()
            .any(|letter| letter.kind == Kind::Recovery && letter.body.contains("b3 is still silent"))
    );
    world.hear("b3", 1_500);
    world.hear("b4", 1_510);
    world.look(1_510);
    world.expect(&["MONITOR_Checkers.OK"]);
}

#[test]
fn nobody_is_still_silent_whose_newest_mail_lies_in_a_mailbox_that_is_not_read_again_yet() {
    let mut world = World::all_heard(0);
    world.look(DEADLINE + 1);
    world.expect(&["MONITOR_MailPath.NOK"]);
    ["b1", "b2", "b4"].iter().for_each(|name| world.hear(name, 1_000));
    world.look(1_000);
    world.sent.clear();
    ["b1", "b2", "b4"].iter().for_each(|name| world.hear(name, 1_300));
    world.look(1_300);
    world.engine.renumbered("MONITOR");
    for second in [1_390, 1_000 + DEADLINE + 1] {
        world.engine.looked("MONITOR", at(second), History::Filling, at(second));
        world.deliver(second);
    }
    world.expect(&[]);
    world.hear("b3", 1_380);
    world.look(1_000 + DEADLINE + 5);
    assert!(world.sent.iter().all(|token| token.ends_with(".OK")), "{:?}", world.sent);
}

#[test]
fn the_split_asks_for_a_look_of_its_own() {
    let mut world = World::all_heard(0);
    world.look(DEADLINE + 1);
    world.look(990);
    world.hear("b1", 1_000);
    world.look(1_000);
    world.look(1_380);
    world.hear("b1", 1_390);
    world.look(1_390);
    let split = at(1_000 + DEADLINE) + TimeDelta::milliseconds(1);
    assert_eq!(world.engine.next_wake(), Some(split));
    assert!(world.engine.wants_look(split));
}

#[test]
fn one_left_over_whose_own_token_was_announced_is_not_alarmed_again() {
    let mut world = World::new(config());
    for (name, second) in [("b1", 0), ("b2", 10), ("b3", 390), ("b4", 391)] {
        world.hear(name, second);
    }
    world.look(391);
    world.look_until(400, 420);
    world.expect(&["b1_Checker.NOK", "free_Provider.NOK"]);
    for name in ["b2", "b3", "b4"] {
        world.hear(name, 700);
    }
    world.look(700);
    for second in [1_000, 1_101] {
        ["b2", "b3", "b4"].iter().for_each(|name| world.hear(name, second));
        world.look(second);
    }
    world.expect(&["free_Provider.OK"]);
    world.hear("b1", 1_200);
    world.look(1_200);
    world.expect(&["b1_Checker.OK"]);
    let about_b1 = world.letters.iter().filter(|letter| letter.token == "b1_Checker");
    let incidents: BTreeSet<&str> = about_b1.map(|letter| letter.incident.as_str()).collect();
    assert_eq!(incidents.len(), 1, "the recovery belongs to its alarm");
}

#[test]
fn the_look_that_ends_a_common_recovery_names_who_had_joined() {
    let mut world = World::new(config());
    for (name, second) in [("b1", 0), ("b2", 10), ("b3", 20), ("b4", 310)] {
        world.hear(name, second);
    }
    world.look(310);
    world.look_until(400, 425);
    world.expect(&["b1_Checker.NOK"]);
    world.hear("b3", 430);
    world.look(430);
    for second in [600, 900] {
        ["b3", "b4"].iter().for_each(|name| world.hear(name, second));
    }
    world.expect(&[]);
    world.look_after_a_gap(1_000);
    world.expect(&["free_Provider.NOK"]);
}

#[test]
fn two_groups_at_once_never_share_a_token() {
    let mut fleet = config();
    fleet.checkers.push(checker_config("b5", "ovh"));
    let mut world = World::new(fleet);
    for (name, second) in [("b1", -5_000), ("b3", -5_000), ("b2", -3_000), ("b4", -3_000), ("b5", 0)] {
        world.hear(name, second);
    }
    world.look(10);
    world.expect(&["MONITOR_Checkers.NOK", "b2_Checkers.NOK"]);
    for name in ["b1", "b3", "b5"] {
        world.hear(name, 100);
    }
    world.look(100);
    world.expect(&["MONITOR_Checkers.OK"]);
}

#[test]
fn a_removed_member_begins_no_common_recovery() {
    let mut world = World::new(config());
    for (name, second) in [("b1", 0), ("b2", 0), ("b3", 100), ("b4", 310)] {
        world.hear(name, second);
    }
    world.look(310);
    world.look(DEADLINE + 1);
    world.expect(&["free_Provider.NOK"]);
    let mut smaller = config();
    smaller.checkers.remove(0);
    world.engine.reconfigure(smaller, at(DEADLINE + 2));
    world.hear("b4", 480);
    world.look(501);
    world.expect(&["MONITOR_Checkers.NOK"]);
}

#[test]
fn a_held_mail_that_proves_an_earlier_life_does_not_end_the_silence() {
    let mut world = World::all_heard(0);
    for name in ["b1", "b2", "b3"] {
        world.hear(name, 390);
    }
    world.look(DEADLINE + 1);
    world.expect(&["b4_Checker.NOK"]);
    ["b1", "b2", "b3"].iter().for_each(|name| world.hear(name, 780));
    world.look(799);
    let mut held = report("MONITOR", "b4", 800, "DRYRUN.OK SQL.OK SHOP.OK");
    held.mail.sent = Some(at(300));
    held.mail.received =
        [800, 301].map(|second| crate::mail::Hop { from: None, by: None, at: Some(at(second)) }).to_vec();
    world.engine.observe(&held);
    world.look(800);
    world.expect(&[]);
    assert_eq!(world.state("b4", 800), State::Silent);
    assert_eq!(world.engine.facts()["b4"].heard_at(), Some(at(301)));
}

#[test]
fn a_checker_that_never_wrote_is_silent_one_deadline_after_the_first_look() {
    let mut world = World::new(config());
    world.hear("b1", 390);
    world.hear("b2", 390);
    world.hear("b3", 390);
    world.look(DEADLINE);
    assert_eq!(world.state("b4", DEADLINE), State::Waiting);
    world.look(DEADLINE + 1);
    world.expect(&["b4_Checker.NOK"]);
    assert!(world.letters[0].body.contains("never"), "{}", world.letters[0].body);
}

#[test]
fn nobody_is_called_silent_while_history_may_still_hold_his_mails() {
    let mut world = World::new(config());
    let mut engine = Engine::restore(config(), Snapshot::default(), at(0));
    for second in (0..=5_000).step_by(100) {
        engine.looked("MONITOR", at(second), History::Filling, at(second));
    }
    assert_eq!(engine.open_incidents().count(), 0);
    engine.looked("MONITOR", at(5_150), History::Complete, at(5_150));
    assert_eq!(engine.open_incidents().count(), 1);
    world.expect(&[]);
}

#[test]
fn nobody_is_called_silent_by_what_was_known_before_the_mailbox_was_numbered_anew() {
    let mut world = World::all_heard(0);
    ["b1", "b2", "b3"].iter().for_each(|name| world.hear(name, 390));
    world.engine.renumbered("MONITOR");
    for second in [DEADLINE + 1, DEADLINE + 61] {
        world.engine.looked("MONITOR", at(second), History::Filling, at(second));
        world.deliver(second);
    }
    world.expect(&[]);
    world.look(DEADLINE + 62);
    world.expect(&["b4_Checker.NOK"]);
}

#[test]
fn a_removed_checker_closes_its_incident_with_a_recovery_that_says_so() {
    let mut world = World::all_heard(0);
    ["b1", "b2", "b3"].iter().for_each(|name| world.hear(name, 390));
    world.look(DEADLINE + 1);
    world.expect(&["b4_Checker.NOK"]);
    let mut smaller = config();
    smaller.checkers.pop();
    world.engine.reconfigure(smaller, at(DEADLINE + 10));
    world.deliver(DEADLINE + 10);
    world.expect(&["b4_Checker.OK"]);
    assert!(world.letters.last().unwrap().body.contains("removed from the configuration"));
}
