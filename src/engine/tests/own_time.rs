use super::*;

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
