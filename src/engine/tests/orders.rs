use super::*;
use crate::orders::Order;

fn take(incident: &str, until: Option<i64>) -> Order {
    Order::Acknowledge {
        incident: incident.into(),
        by: "Anna".into(),
        until: until.map(at),
        note: Some("driving there".into()),
        channel: None,
    }
}

fn resolve(incident: &str) -> Order {
    Order::Resolve { incident: incident.into(), by: "Anna".into(), note: None }
}

impl World {
    fn obey(&mut self, order: &Order, second: i64) -> Result<String, String> {
        let said = self.engine.obey(order, at(second));
        self.deliver(second);
        said
    }
}

/// b4 fell silent; its alarm went out.
fn alarmed() -> World {
    let mut world = World::all_heard(0);
    ["b1", "b2", "b3"].iter().for_each(|name| world.hear(name, 390));
    world.look(DEADLINE + 1);
    world.expect(&["b4_Checker.NOK"]);
    world
}

#[test]
fn who_took_it_is_told_to_those_who_had_the_alarm_and_the_recovery_comes_all_the_same() {
    let mut world = alarmed();
    assert_eq!(
        world.obey(&take("b4_Checker.NOK", None), 500).unwrap(),
        "Anna has taken incident 20261120-1, until it is over."
    );
    world.expect(&["b4_Checker.notice"]);
    let letter = world.letters.last().unwrap();
    assert_eq!(letter.subject, "Taken by Anna: b4_Checker");
    assert!(letter.body.contains("driving there"), "{}", letter.body);
    world.hear("b4", 600);
    world.look(600);
    world.expect(&["b4_Checker.OK"]);
}

#[test]
fn an_acknowledgement_that_ends_reminds_once_also_across_a_restart() {
    let mut world = alarmed();
    world.obey(&take("1", Some(600)), 500).unwrap();
    world.expect(&["b4_Checker.notice"]);
    world.restart(config(), 550);
    assert!(world.engine.next_wake().is_some_and(|wake| wake <= at(600)));
    world.look(560);
    world.tick(599);
    world.expect(&[]);
    world.tick(600);
    world.expect(&["b4_Checker.NOK"]);
    assert!(world.letters.last().unwrap().subject.starts_with("b4_Checker.NOK still: b4 is silent"));
    world.tick(700);
    world.expect(&[]);
    let steps: Vec<&str> = world.steps.iter().map(|step| step.what.word()).collect();
    assert_eq!(steps, ["opened", "announced", "acknowledged", "acknowledgement_ended", "repeated"]);
}

#[test]
fn what_is_resolved_by_hand_alarms_again_only_after_it_was_well_once() {
    let mut world = alarmed();
    world.obey(&resolve("20261120-1"), 500).unwrap();
    world.expect(&["b4_Checker.OK"]);
    assert!(world.letters.last().unwrap().subject.contains("closed by hand"));
    assert_eq!(world.state("b4", 500), State::Silent, "it is still judged");
    world.restart(config(), 550);
    world.look(700);
    world.expect(&[]);
    world.hear("b4", 800);
    ["b1", "b2", "b3"].iter().for_each(|name| world.hear(name, 800));
    world.look(800);
    world.expect(&[]);
    ["b1", "b2", "b3"].iter().for_each(|name| world.hear(name, 1190));
    world.look(800 + DEADLINE + 1);
    world.expect(&["b4_Checker.NOK"]);
}

#[test]
fn a_service_that_is_resolved_by_hand_stays_quiet_until_it_was_good_once() {
    let mut world = World::all_heard(0);
    world.report("b1", 300, "DRYRUN.OK SQL.NOK SHOP.OK");
    world.look(300);
    world.expect(&["SQL.NOK"]);
    world.obey(&resolve("SQL"), 310).unwrap();
    world.expect(&["SQL.OK"]);
    for (second, text, expected) in [
        (600, "DRYRUN.OK SQL.NOK SHOP.OK", &[][..]),
        (900, "DRYRUN.OK SQL.OK SHOP.OK", &[][..]),
        (1200, "DRYRUN.OK SQL.NOK SHOP.OK", &["SQL.NOK"][..]),
    ] {
        ["b2", "b3", "b4"].iter().for_each(|name| world.hear(name, second));
        world.report("b1", second, text);
        world.look(second);
        world.expect(expected);
    }
}

#[test]
fn what_cannot_be_done_is_said_and_changes_nothing() {
    let mut world = alarmed();
    for (order, sentence) in [
        (take("b9_Checker", None), "There is no open incident b9_Checker; open are: 20261120-1."),
        (take("1", Some(500)), "An acknowledgement ends after now, and 30 days from now at the latest."),
        (
            take("1", Some(500 + 30 * 86_400 + 1)),
            "An acknowledgement ends after now, and 30 days from now at the latest.",
        ),
    ] {
        assert_eq!(world.obey(&order, 500).unwrap_err(), sentence);
    }
    world.expect(&[]);
    let mut blind = World::all_heard(0);
    blind.tick(1000);
    blind.expect(&["MONITOR_Mailbox.NOK"]);
    assert!(blind.obey(&resolve("MONITOR_Mailbox"), 1001).unwrap_err().contains("ends by itself"));
}
