use super::*;

#[test]
fn a_nok_is_alarmed_under_the_services_own_name_and_recovers() {
    let mut world = World::all_heard(0);
    world.report("b1", 300, "DRYRUN.OK SQL.NOK SHOP.OK");
    world.look(300);
    world.expect(&["SQL.NOK"]);
    world.report("b1", 600, "DRYRUN.OK SQL.NOK SHOP.OK");
    ["b2", "b3", "b4"].iter().for_each(|name| world.hear(name, 600));
    world.look(600);
    world.expect(&[]);
    world.hear("b1", 900);
    world.look(900);
    world.expect(&["SQL.OK"]);
}

#[test]
fn a_second_voice_joins_and_the_recovery_waits_for_both() {
    let mut world = World::all_heard(0);
    world.report("b1", 300, "DRYRUN.OK SQL.NOK SHOP.OK");
    world.look(300);
    world.report("b2", 301, "DRYRUN.OK SQL.NOK SHOP.OK");
    world.look(301);
    world.expect(&["SQL.NOK"]);
    world.hear("b1", 310);
    world.look(310);
    world.expect(&[]);
    world.hear("b2", 311);
    world.look(311);
    world.expect(&["SQL.OK"]);
}

#[test]
fn a_service_that_all_see_fail_is_not_put_down_to_the_mail_path_that_brought_it() {
    for seen_by in [&["b1", "b2", "b3", "b4"][..], &["b1", "b2"], &["b2", "b3"]] {
        let mut world = World::all_heard(0);
        seen_by.iter().for_each(|name| world.report(name, 300, "DRYRUN.OK SQL.NOK SHOP.OK"));
        world.look(300);
        world.expect(&["SQL.NOK"]);
        assert_eq!(world.letters[0].bulletin.about.reason, None, "{seen_by:?}");
    }
}

#[test]
fn missing_and_contradiction_alarm_like_a_nok_in_words_of_their_own() {
    let mut world = World::all_heard(0);
    world.report("b1", 300, "DRYRUN.OK SQL.OK");
    world.report("b2", 300, "DRYRUN.OK SQL.OK SQL.NOK SHOP.OK");
    world.look(300);
    world.expect(&["SHOP.NOK", "SQL.NOK"]);
    assert!(world.letters[0].subject.contains("MISSING"), "{}", world.letters[0].subject);
    assert!(world.letters[1].body.contains("OK and NOK in the same run"), "{}", world.letters[1].body);
}

#[test]
fn a_nok_that_was_followed_by_ok_before_it_was_read_is_history() {
    let mut world = World::all_heard(0);
    world.report("b1", 300, "DRYRUN.OK SQL.NOK SHOP.OK");
    world.hear("b1", 350);
    world.look(360);
    world.expect(&[]);
    world.report("b1", 310, "DRYRUN.OK SQL.NOK SHOP.OK");
    world.look(361);
    world.expect(&[]);
}

#[test]
fn results_in_mails_of_their_own_are_missing_when_their_time_is_over() {
    let mut world = World::all_heard(0);
    world.report("b1", 300, "DRYRUN.OK");
    world.report("b1", 305, "SQL.OK");
    world.look(310);
    world.expect(&[]);
    world.look(350);
    assert_eq!(
        world.engine.next_wake(),
        Some(at(400) + TimeDelta::milliseconds(1)),
        "Σ timeouts + margin = 100 s"
    );
    ["b2", "b3", "b4"].iter().for_each(|name| world.hear(name, 390));
    world.look(399);
    world.expect(&[]);
    world.look(401);
    world.expect(&["SHOP.NOK"]);
    world.report("b1", 330, "SHOP.OK");
    world.look(402);
    world.expect(&["SHOP.OK"]);
}

/// Everybody reports in this order, a second apart; the subjects of what is sent.
fn subjects_after(config: Config, runs: &[(&str, &str)]) -> Vec<String> {
    let mut world = World::new(config);
    ["b1", "b2", "b3", "b4"].iter().for_each(|name| world.hear(name, 0));
    world.look(0);
    for (second, (name, sql)) in (300..).zip(runs) {
        world.report(name, second, &format!("DRYRUN.OK SQL.{sql} SHOP.OK"));
    }
    world.look(310);
    world.letters.iter().map(|letter| letter.subject.clone()).collect()
}

#[test]
fn an_alarm_says_what_the_service_looks_like_when_all_that_was_read_is_known() {
    let one = [("b3", "NOK"), ("b1", "OK"), ("b2", "OK"), ("b4", "OK")];
    assert_eq!(subjects_after(config(), &one), ["SQL.NOK down from orange, works from free, sfr"]);
    let two = [("b3", "NOK"), ("b1", "OK"), ("b2", "OK"), ("b4", "NOK")];
    assert_eq!(subjects_after(config(), &two), ["SQL.NOK down from 2 of 3 providers: orange, sfr"]);
    let first = [("b3", "NOK")];
    assert_eq!(subjects_after(config(), &first), ["SQL.NOK seen by b3, not confirmed"]);
    let mut strict = config();
    strict.quorum.by_service.insert("SQL".into(), 3);
    let two = [("b3", "NOK"), ("b4", "NOK"), ("b1", "OK"), ("b2", "OK")];
    assert_eq!(subjects_after(strict, &two), ["SQL.NOK down from orange, sfr, works from free"]);
}

#[test]
fn what_a_silent_checker_said_last_neither_alarms_nor_recovers() {
    let mut world = World::new(config());
    world.report("b1", -90_000, "DRYRUN.OK SQL.NOK SHOP.OK");
    ["b2", "b3", "b4"].iter().for_each(|name| world.hear(name, 0));
    world.look(1);
    world.expect(&["b1_Checker.NOK"]);
    world.report("b1", 100, "DRYRUN.OK SQL.NOK SHOP.OK");
    world.look(100);
    world.expect(&["b1_Checker.OK", "SQL.NOK"]);
    ["b2", "b3", "b4"].iter().for_each(|name| world.hear(name, 490));
    world.look(501);
    world.expect(&["b1_Checker.NOK"]);
    assert_eq!(world.engine.open_incidents().count(), 2, "silence is no recovery");
}

#[test]
fn hysteresis_counts_runs_in_a_row() {
    let mut patient = config();
    for checker in &mut patient.checkers {
        checker.nok_after = 2;
        checker.ok_after = 3;
    }
    let mut world = World::new(patient);
    let mut run = |second: i64, sql: &str, expected: &[&str]| {
        world.report("b1", second, &format!("DRYRUN.OK SQL.{sql} SHOP.OK"));
        ["b2", "b3", "b4"].iter().for_each(|name| world.hear(name, second));
        world.look(second);
        world.expect(expected);
    };
    run(300, "NOK", &[]);
    run(600, "OK", &[]);
    run(900, "NOK", &[]);
    run(1_200, "NOK", &["SQL.NOK"]);
    run(1_500, "OK", &[]);
    run(1_800, "OK", &[]);
    run(2_100, "NOK", &[]);
    run(2_400, "OK", &[]);
    run(2_700, "OK", &[]);
    run(3_000, "OK", &["SQL.OK"]);
}

#[test]
fn a_service_that_is_no_longer_tested_closes_its_incident() {
    let mut world = World::all_heard(0);
    world.report("b1", 300, "DRYRUN.OK SQL.NOK SHOP.OK");
    world.look(300);
    world.expect(&["SQL.NOK"]);
    let mut smaller = config();
    smaller.checkers[0].tests.remove(0);
    world.engine.reconfigure(smaller, at(310));
    world.deliver(310);
    world.expect(&["SQL.OK"]);
}

#[test]
fn a_mail_that_was_cut_off_before_a_service_ends_no_alarm_about_it() {
    let mut world = World::all_heard(0);
    world.report("b1", 300, "DRYRUN.OK SQL.NOK SHOP.OK");
    ["b2", "b3", "b4"].iter().for_each(|name| world.hear(name, 300));
    world.look(310);
    world.expect(&["SQL.NOK"]);
    let mut cut = report("MONITOR", "b1", 600, "DRYRUN.OK SHOP.OK");
    cut.mail.truncated = true;
    world.engine.observe(&cut);
    ["b2", "b3", "b4"].iter().for_each(|name| world.hear(name, 600));
    world.look(700);
    world.expect(&[]);
    ["b1", "b2", "b3", "b4"].iter().for_each(|name| world.hear(name, 900));
    world.look(910);
    world.expect(&["SQL.OK"]);
}

#[test]
fn what_a_held_mail_says_waits_until_no_newer_run_can_lie_below_the_first_window() {
    let mut world = World::all_heard(300);
    world.engine.renumbered("MONITOR");
    // The newest mails of all: a run that was held for half an hour, and one of somebody else that was not.
    let held = report("MONITOR", "b1", 500, "DRYRUN.OK SQL.NOK SHOP.OK");
    world.engine.observe(&Observation { received: at(1_990), seen: at(2_000), ..held });
    world.report("b2", 1_995, "DRYRUN.OK SQL.OK SHOP.NOK");
    world.engine.looked("MONITOR", at(2_000), History::Filling, at(2_000));
    world.deliver(2_000);
    world.expect(&["SHOP.NOK"]);
    ["b1", "b3", "b4"].iter().for_each(|name| world.hear(name, 1_800));
    world.look_after_a_gap(2_010);
    world.expect(&[]);
}
