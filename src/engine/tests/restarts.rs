use super::*;

#[test]
fn nothing_is_said_twice_and_nothing_is_forgotten_by_a_restart() {
    let mut world = World::all_heard(0);
    ["b1", "b2", "b3"].iter().for_each(|name| world.hear(name, 390));
    world.report("b1", 395, "DRYRUN.OK SQL.NOK SHOP.OK");
    world.look(DEADLINE + 1);
    world.expect(&["SQL.NOK", "b4_Checker.NOK"]);
    world.restart(config(), 410);
    world.look(410);
    world.expect(&[]);
    world.hear("b4", 420);
    world.hear("b1", 420);
    world.look(420);
    world.expect(&["b4_Checker.OK", "SQL.OK"]);
}

#[test]
fn an_alarm_that_was_stored_and_not_accepted_is_sent_after_the_restart() {
    let mut world = World::all_heard(0);
    ["b1", "b2", "b3"].iter().for_each(|name| world.hear(name, 390));
    world.look(390);
    world.engine.looked("MONITOR", at(DEADLINE + 1), History::Complete, at(DEADLINE + 1));
    let tried = world.engine.take_due(at(DEADLINE + 1));
    world.store();
    assert_eq!(tried.len(), 1);
    world.restart(config(), 410);
    world.expect(&["b4_Checker.NOK"]);
    assert_eq!(world.letters[0].attempts, 2);
}

#[test]
fn a_restart_after_hours_reads_the_mailbox_before_it_judges() {
    let mut world = World::all_heard(0);
    world.restart(config(), 20_000);
    world.tick(20_000);
    world.expect(&[]);
    ["b1", "b2", "b3"].iter().for_each(|name| world.hear(name, 19_990));
    world.look_after_a_gap(20_005);
    world.expect(&["b4_Checker.NOK"]);
}

#[test]
fn a_checker_removed_while_the_watchdog_was_off_is_recovered_at_the_start() {
    let mut world = World::all_heard(0);
    ["b1", "b2", "b3"].iter().for_each(|name| world.hear(name, 390));
    world.look(DEADLINE + 1);
    world.expect(&["b4_Checker.NOK"]);
    let mut smaller = config();
    smaller.checkers.pop();
    world.restart(smaller, 450);
    world.expect(&["b4_Checker.OK"]);
}

#[test]
fn a_checker_added_by_a_new_configuration_is_watched_from_its_first_look() {
    let mut world = World::all_heard(0);
    world.look(300);
    let mut larger = config();
    larger.checkers.push(checker_config("b5", "ovh"));
    world.engine.reconfigure(larger, at(300));
    ["b1", "b2", "b3", "b4"].iter().for_each(|name| world.hear(name, 300));
    world.look(305);
    ["b1", "b2", "b3", "b4"].iter().for_each(|name| world.hear(name, 600));
    world.look(305 + DEADLINE);
    world.expect(&[]);
    world.look(305 + DEADLINE + 1);
    world.expect(&["b5_Checker.NOK"]);
}

#[test]
fn incident_numbers_are_never_used_twice() {
    let mut world = World::all_heard(0);
    world.report("b1", 300, "DRYRUN.OK SQL.NOK SHOP.OK");
    world.look(300);
    world.hear("b1", 310);
    world.look(310);
    world.restart(config(), 320);
    world.report("b1", 330, "DRYRUN.OK SQL.NOK SHOP.OK");
    world.look(330);
    let incidents: BTreeSet<&str> = world.letters.iter().map(|letter| letter.incident.as_str()).collect();
    assert_eq!(incidents.len(), 2, "{incidents:?}");
}
