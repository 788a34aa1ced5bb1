use super::*;
use crate::config::{Breach, Reaction};
use crate::view::{Health, LastSeen};

const FINE: &str = "DRYRUN.OK SQL.OK SHOP.OK";

fn reacting(breach: Breach, reaction: Reaction) -> Config {
    let mut config = config();
    for checker in &mut config.checkers {
        checker.findings = checker.findings.clone().with(breach, reaction);
    }
    config
}

impl World {
    /// b1 says this in the run of `second`, and the others are well.
    #[track_caller]
    fn run(&mut self, second: i64, text: &str, expected: &[&str]) {
        self.report("b1", second, text);
        ["b2", "b3", "b4"].iter().for_each(|name| self.hear(name, second));
        self.look(second);
        self.expect(expected);
    }

    fn findings(&self, name: &str, second: i64) -> Vec<&'static str> {
        let table = LastSeen::of(&self.engine, at(second));
        let line = table.checkers.into_iter().find(|line| line.name == name).unwrap();
        line.findings.into_iter().map(|finding| finding.name).collect()
    }

    fn health(&self, second: i64) -> Health {
        LastSeen::of(&self.engine, at(second)).health(TimeDelta::minutes(3))
    }
}

#[test]
fn what_persists_is_gathered_in_one_alarm_and_recovers_when_the_runs_are_clean() {
    let mut world = World::all_heard(0);
    world.run(300, "DRYRUN.OK SQL.OK SHOP.OK Old.OK", &[]);
    assert_eq!((world.findings("b1", 300), world.health(300)), (vec!["UNKNOWN_SERVICE"], Health::Warning));
    world.run(600, "SQL.OK DRYRUN.OK SHOP.OK Old.OK", &[]);
    world.run(900, "SQL.OK DRYRUN.OK SHOP.OK Old.OK", &["b1_Report.NOK"]);
    let alarm = world.letters.last().unwrap();
    assert!(alarm.subject.ends_with("UNKNOWN_SERVICE, NO_DRYRUN"), "{}", alarm.subject);
    world.run(1_200, "SQL.OK DRYRUN.OK SHOP.OK", &[]);
    world.restart(config(), 1_250);
    world.run(1_500, FINE, &["b1_Report.OK"]);
    assert_eq!((world.findings("b1", 1_500), world.health(1_500)), (vec![], Health::Well));
    world.run(1_800, "DRYRUN.OK SQL.OK SHOP.OK Old.OK", &[]);
}

#[test]
fn what_comes_and_goes_is_shown_and_not_alarmed() {
    let mut world = World::all_heard(0);
    for run in 1..10 {
        world.run(run * 600 - 300, "DRYRUN.OK SQL.OK SHOP.OK Old.OK", &[]);
        assert_eq!(world.findings("b1", run * 600 - 300), ["UNKNOWN_SERVICE"]);
        world.run(run * 600, FINE, &[]);
        assert!(world.findings("b1", run * 600).is_empty());
    }
}

#[test]
fn the_recovery_waits_for_as_many_clean_runs_as_a_service_does() {
    let mut patient = config();
    patient.checkers.iter_mut().for_each(|checker| {
        checker.ok_after = 2;
        checker.findings.report_after = 1;
    });
    let mut world = World::new(patient);
    world.run(0, "DRYRUN.NOK SQL.OK SHOP.OK", &["b1_Report.NOK"]);
    world.run(300, FINE, &[]);
    world.run(600, "DRYRUN.NOK SQL.OK SHOP.OK", &[]);
    world.run(900, FINE, &[]);
    world.run(1_200, FINE, &["b1_Report.OK"]);
}

#[test]
fn each_finding_can_be_alarmed_at_once_reported_or_ignored() {
    let breaking: &[(Breach, &str)] = &[
        (Breach::Missing, "DRYRUN.OK SQL.OK"),
        (Breach::Contradiction, "DRYRUN.OK SQL.OK SHOP.OK SHOP.NOK"),
        (Breach::UnknownService, "DRYRUN.OK SQL.OK SHOP.OK Old.OK"),
        (Breach::NoDryrun, "DRYRUN.NOK SQL.OK SHOP.OK"),
    ];
    for (breach, text) in breaking {
        let alarm = if breach.is_of_a_service() { "SHOP" } else { "b1_Report" };
        let mut world = World::new(reacting(*breach, Reaction::Alarm));
        world.run(0, text, &[&format!("{alarm}.NOK")]);
        world.run(300, FINE, &[&format!("{alarm}.OK")]);

        let mut world = World::new(reacting(*breach, Reaction::Report));
        world.run(0, text, &[]);
        assert_eq!((world.findings("b1", 0), world.health(0)), (vec![breach.word()], Health::Warning));
        world.run(300, text, &[]);
        world.run(600, text, &["b1_Report.NOK"]);
        world.run(900, FINE, &["b1_Report.OK"]);

        let mut world = World::new(reacting(*breach, Reaction::Ignore));
        (0..5).for_each(|run| world.run(run * 300, text, &[]));
        assert_eq!((world.findings("b1", 1_200), world.health(1_200)), (vec![], Health::Well));
    }
}

#[test]
fn a_run_that_is_missing_is_a_finding_and_a_common_silence_is_none() {
    let mut lenient = reacting(Breach::Gap, Reaction::Alarm);
    lenient.checkers.iter_mut().for_each(|checker| checker.missed_cycles = 3);
    let mut world = World::new(lenient);
    world.run(0, FINE, &[]);
    ["b2", "b3", "b4"].iter().for_each(|name| world.hear(name, 300));
    world.look(300);
    world.run(600, FINE, &["b1_Report.NOK"]);
    world.run(900, FINE, &["b1_Report.OK"]);
    world.look(2_500);
    world.expect(&["MONITOR_MailPath.NOK"]);
    world.look(2_999);
    ["b1", "b2", "b3", "b4"].iter().for_each(|name| world.hear(name, 3_000));
    world.look(3_000);
    world.expect(&["MONITOR_MailPath.OK"]);
    assert!(world.findings("b1", 3_000).is_empty());
}

#[test]
fn a_lone_checker_that_was_silent_shows_what_was_missing() {
    let mut world = World::all_heard(0);
    let others =
        |world: &mut World, second| ["b2", "b3", "b4"].iter().for_each(|name| world.hear(name, second));
    others(&mut world, 300);
    world.look(DEADLINE + 1);
    world.expect(&["b1_Checker.NOK"]);
    others(&mut world, 600);
    world.hear("b1", 600);
    world.look(600);
    world.expect(&["b1_Checker.OK"]);
    assert_eq!(world.findings("b1", 600), ["GAP"]);
    world.run(900, FINE, &[]);
    assert!(world.findings("b1", 900).is_empty());
}

#[test]
fn the_reports_of_a_silent_checker_are_not_judged() {
    let mut world = World::new(config());
    ["b2", "b3", "b4"].iter().for_each(|name| world.hear(name, 0));
    for run in 0..4 {
        world.report("b1", run * 300 - 90_000, "DRYRUN.NOK SQL.OK SHOP.OK");
    }
    world.look(1);
    world.expect(&["b1_Checker.NOK"]);
    assert!(world.findings("b1", 1).is_empty());
}

#[test]
fn what_was_over_before_it_was_read_is_not_alarmed() {
    let mut world = World::new(config());
    ["b2", "b3", "b4"].iter().for_each(|name| world.hear(name, 0));
    world.hear("b1", 0);
    (1..9).rev().for_each(|run| world.report("b1", run * -300, "DRYRUN.NOK SQL.OK SHOP.OK Old.OK"));
    world.look(1);
    world.expect(&[]);
    let known = &world.engine.facts()["b1"].findings;
    assert_eq!(known[&Breach::NoDryrun].run(), at(-300), "it is recorded");
}

#[test]
fn a_mail_without_a_valid_token_is_no_run() {
    let mut world = World::all_heard(0);
    for second in [10, 120, 250, 350] {
        let mut mail = report("MONITOR", "b1", second, "Old.OK");
        mail.mail.not_heard = Some(NotHeard::NoToken);
        world.engine.observe(&mail);
        world.look(second);
    }
    world.expect(&[]);
    assert!(world.findings("b1", 350).is_empty());
    assert_eq!(world.health(350), Health::Warning, "it is a complaint");
}

#[test]
fn a_checker_that_is_no_longer_configured_closes_the_alarm_about_its_reports() {
    let mut world = World::all_heard(0);
    for run in 1..=3 {
        let expected: &[&str] = if run == 3 { &["b1_Report.NOK"] } else { &[] };
        world.run(run * 300, "DRYRUN.NOK SQL.OK SHOP.OK", expected);
    }
    let mut smaller = config();
    smaller.checkers.remove(0);
    world.engine.reconfigure(smaller, at(910));
    world.deliver(910);
    world.expect(&["b1_Report.OK"]);
    assert!(world.letters.last().unwrap().subject.contains("no longer in the configuration"));
}

#[test]
fn runs_that_are_started_twice_persist_until_they_are_not() {
    let mut world = World::all_heard(0);
    let mut sent = vec![];
    for run in 1..10 {
        for second in [run * 300, run * 300 + 2] {
            world.hear("b1", second);
            ["b2", "b3", "b4"].iter().filter(|_| second % 300 == 0).for_each(|name| world.hear(name, second));
            world.look(second);
            sent.append(&mut world.sent);
        }
    }
    assert_eq!(sent, ["b1_Report.NOK"]);
    world.run(3_000, FINE, &[]);
    world.run(3_300, FINE, &["b1_Report.OK"]);
}
