use super::*;

/// Heard at 0, then the mailbox cannot be read any more; the last try failed at 900.
fn blind() -> World {
    let mut world = World::all_heard(0);
    for second in (60..=900).step_by(60) {
        world.engine.look_failed("MONITOR", "no connection", at(second));
        world.tick(second);
    }
    world.expect(&["MONITOR_Mailbox.NOK"]);
    world
}

#[test]
fn blind_is_one_alarm_about_the_mailbox_and_none_about_checkers() {
    let world = blind();
    assert_eq!(world.state("b1", 900), State::Blind);
    assert!(world.letters[0].body.contains("no connection"));
    assert_eq!(
        world.engine.next_wake(),
        Some(at(DEADLINE) + TimeDelta::milliseconds(1)),
        "no wake-up for blindness"
    );
}

#[test]
fn blindness_begins_after_its_time_and_not_before() {
    let mut world = World::all_heard(0);
    world.tick(180);
    world.expect(&[]);
    world.engine.tick(at(180) + TimeDelta::milliseconds(1));
    world.deliver(181);
    world.expect(&["MONITOR_Mailbox.NOK"]);
}

#[test]
fn mails_that_came_meanwhile_show_that_only_the_watchdog_was_cut_off() {
    let mut world = blind();
    world.hear("b1", 890);
    world.hear("b2", 895);
    world.look_after_a_gap(910);
    world.expect(&["MONITOR_Mailbox.OK", "MONITOR_Checkers.NOK"]);
}

#[test]
fn a_mailbox_that_was_down_gives_everybody_one_more_deadline() {
    let mut world = blind();
    world.look_after_a_gap(910);
    world.expect(&["MONITOR_Mailbox.OK"]);
    world.hear("b1", 1_100);
    world.hear("b2", 1_100);
    world.hear("b3", 1_100);
    world.look(1_200);
    world.look(910 + DEADLINE);
    world.expect(&[]);
    world.look(910 + DEADLINE + 1);
    world.expect(&["b4_Checker.NOK"]);
}

/// Numbered anew while nobody could read; the first window shows one mail alone, which came after the last try.
fn first_window() -> World {
    let mut world = blind();
    world.engine.renumbered("MONITOR");
    world.hear("b1", 905);
    world.engine.looked("MONITOR", at(910), History::Filling, at(910));
    world.deliver(910);
    world.expect(&["MONITOR_Mailbox.OK"]);
    world.restart(config(), 911);
    world
}

#[test]
fn what_came_in_meanwhile_may_lie_below_the_first_window_of_a_mailbox_that_is_numbered_anew() {
    let mut world = first_window();
    world.hear("b2", 895);
    world.look_after_a_gap(920);
    world.expect(&["MONITOR_Checkers.NOK"]);
}

#[test]
fn a_mailbox_that_was_down_is_known_to_have_been_when_all_of_it_is_read_again() {
    let mut world = first_window();
    world.engine.looked("MONITOR", at(970), History::Filling, at(970));
    world.hear("b2", 0);
    world.look_after_a_gap(1_000);
    ["b1", "b2", "b3"].iter().for_each(|name| world.hear(name, 1_100));
    world.look(910 + DEADLINE);
    world.expect(&[]);
    world.look(910 + DEADLINE + 1);
    world.expect(&["b4_Checker.NOK"]);
}

#[test]
fn the_first_mail_of_a_revived_mailbox_does_not_prove_that_it_was_up() {
    let mut world = blind();
    world.hear("b1", 905);
    world.look_after_a_gap(910);
    world.expect(&["MONITOR_Mailbox.OK"]);
}

#[test]
fn a_mail_from_before_the_first_failure_does_not_prove_that_the_mailbox_was_up_later() {
    let mut world = World::all_heard(0);
    for second in (60..=900).step_by(60) {
        world.engine.look_failed("MONITOR", "no connection", at(second));
        world.tick(second);
    }
    world.hear("b1", 40);
    world.look_after_a_gap(910);
    world.expect(&["MONITOR_Mailbox.NOK", "MONITOR_Mailbox.OK"]);
}

#[test]
fn a_restart_forgets_neither_the_failures_nor_since_when_it_tries() {
    let mut world = World::all_heard(0);
    for second in (60..=900).step_by(60) {
        world.restart(config(), second - 5);
        world.engine.look_failed("MONITOR", "no connection", at(second));
        world.tick(second);
    }
    world.expect(&["MONITOR_Mailbox.NOK"]);
    assert_eq!(world.letters[0].created, at(240), "the first try after its time");
    world.restart(config(), 903);
    world.hear("b1", 905);
    world.look_after_a_gap(910);
    world.expect(&["MONITOR_Mailbox.OK"]);
}

#[test]
fn a_watchdog_that_was_off_for_long_after_a_failure_counts_the_mails_of_all_that_time() {
    let mut world = World::all_heard(0);
    world.engine.look_failed("MONITOR", "no connection", at(30));
    world.store();
    world.restart(config(), 5_000);
    ["b1", "b2", "b3"].iter().for_each(|name| world.hear(name, 4_600));
    ["b1", "b2", "b3"].iter().for_each(|name| world.hear(name, 4_900));
    world.look_after_a_gap(5_010);
    world.expect(&["b4_Checker.NOK"]);
}

#[test]
fn nor_does_it_where_blindness_is_told_sooner_than_a_reader_tries_again() {
    let mut hasty = config();
    hasty.mailboxes[0].blind_after = TimeDelta::seconds(2);
    let mut world = World::new(hasty);
    ["b1", "b2", "b3", "b4"].iter().for_each(|name| world.hear(name, 0));
    world.look_after_a_gap(1);
    world.engine.look_failed("MONITOR", "no connection", at(880));
    world.tick(880);
    world.hear("b1", 890);
    world.look_after_a_gap(910);
    world.expect(&["MONITOR_Mailbox.NOK", "MONITOR_Mailbox.OK"]);
}

#[test]
fn a_grace_is_given_once_per_silence_of_the_mailbox() {
    let mut world = World::all_heard(0);
    world.look_after_a_gap(600);
    world.expect(&[]);
    world.look_after_a_gap(1_200);
    world.expect(&["MONITOR_MailPath.NOK"]);
}

#[test]
fn what_was_silent_before_stays_silent_and_is_not_alarmed_again() {
    let mut world = World::all_heard(0);
    ["b1", "b2", "b3"].iter().for_each(|name| world.hear(name, 390));
    world.look(DEADLINE + 1);
    world.expect(&["b4_Checker.NOK"]);
    world.engine.look_failed("MONITOR", "gone", at(DEADLINE + 60));
    world.tick(DEADLINE + 300);
    world.expect(&["MONITOR_Mailbox.NOK"]);
    assert_eq!(world.state("b4", DEADLINE + 300), State::Silent);
    world.look_after_a_gap(DEADLINE + 310);
    world.expect(&["MONITOR_Mailbox.OK"]);
}

#[test]
fn giving_up_is_blind_at_once() {
    let mut world = World::all_heard(0);
    world.engine.look_failed("MONITOR", "wrong password", at(5));
    world.engine.give_up("MONITOR", at(5));
    world.deliver(5);
    world.expect(&["MONITOR_Mailbox.NOK"]);
    world.engine.give_up("MONITOR", at(6));
    world.deliver(6);
    world.expect(&[]);
}

#[test]
fn a_checker_heard_through_two_mailboxes_is_judged_by_the_one_that_is_read() {
    let mut two = config();
    two.mailboxes.push(mailbox_config("SECOND"));
    let mut world = World::new(two);
    let look = |world: &mut World, mailbox: &str, second: i64| {
        world.engine.looked(mailbox, at(second), History::Complete, at(second));
        world.deliver(second);
    };
    look(&mut world, "SECOND", 0);
    for name in ["b1", "b2", "b3", "b4"] {
        world.hear(name, 10);
        world.engine.observe_copy(&report("SECOND", name, 11, "DRYRUN.OK SQL.OK SHOP.OK"));
    }
    world.look(20);
    look(&mut world, "SECOND", 20);
    for second in (60..=DEADLINE).step_by(60) {
        ["b1", "b2", "b3"].iter().for_each(|name| {
            world.engine.observe(&report("SECOND", name, second, "DRYRUN.OK SQL.OK SHOP.OK"))
        });
        look(&mut world, "SECOND", second);
        world.tick(second);
    }
    world.expect(&["MONITOR_Mailbox.NOK"]);
    assert_eq!(world.state("b1", DEADLINE), State::Ok, "blind in one mailbox is not blind");
    look(&mut world, "SECOND", DEADLINE + 12);
    world.expect(&["b4_Checker.NOK"]);
}
