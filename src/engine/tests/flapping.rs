use super::*;
use crate::config::Flap;
use proptest::prelude::*;

const CYCLE: i64 = 300;

fn flapping(changes: u32, minutes: i64) -> Config {
    let mut config = config();
    for checker in &mut config.checkers {
        checker.flap = Some(Flap { changes, within: TimeDelta::minutes(minutes) });
    }
    config
}

/// b1 sees SQL so, `+` OK and `-` NOK, in one run after the other, and the others see it OK.
fn see(world: &mut World, from: i64, sql: &str) -> Vec<String> {
    for (result, run) in sql.chars().zip(from..) {
        let second = run * CYCLE;
        let result = if result == '+' { "OK" } else { "NOK" };
        world.report("b1", second, &format!("DRYRUN.OK SQL.{result} SHOP.OK"));
        ["b2", "b3", "b4"].iter().for_each(|name| world.hear(name, second));
        world.look(second);
    }
    std::mem::take(&mut world.sent)
}

#[test]
fn a_service_that_keeps_changing_is_announced_once_and_recovers_when_it_is_steady() {
    let mut world = World::new(flapping(4, 60));
    let sent = see(&mut world, 0, "+-+-+-+-+-+++++++++++");
    assert_eq!(sent, ["SQL.NOK", "SQL.OK", "SQL.NOK", "SQL.NOK"]);
    assert!(world.letters[3].subject.starts_with("SQL.NOK flapping"), "{}", world.letters[3].subject);
    assert!(world.letters[3].body.contains("4 times or more within 1 h"), "{}", world.letters[3].body);
    assert_eq!(see(&mut world, 21, "++"), ["SQL.OK"]);
    assert_eq!(see(&mut world, 23, "+-"), ["SQL.NOK"], "as before");
}

#[test]
fn what_is_bad_in_the_end_stays_alarmed_and_is_recovered_like_any_other() {
    let mut world = World::new(flapping(4, 60));
    assert_eq!(see(&mut world, 0, "+-+-+-"), ["SQL.NOK", "SQL.OK", "SQL.NOK", "SQL.NOK"]);
    assert_eq!(see(&mut world, 6, &"-".repeat(30)), [""; 0]);
    assert_eq!(see(&mut world, 36, "+"), ["SQL.OK"], "it had been steady");
}

#[test]
fn alternations_that_no_row_of_bad_results_ever_shows_are_flapping_too() {
    let mut patient = flapping(6, 60);
    patient.checkers.iter_mut().for_each(|checker| checker.nok_after = 2);
    let mut world = World::new(patient);
    assert_eq!(see(&mut world, 0, "+-+-+-+-"), ["SQL.NOK"]);
}

#[test]
fn a_restart_does_not_forget_that_it_was_announced() {
    let mut world = World::new(flapping(4, 60));
    see(&mut world, 0, "+-+-+-");
    world.restart(flapping(4, 60), 6 * CYCLE - 10);
    assert_eq!(see(&mut world, 6, "+-+-+-"), [""; 0]);
}

#[test]
fn without_flap_detection_every_change_is_told() {
    let mut world = World::new(config());
    assert_eq!(see(&mut world, 0, "+-+-+-+").len(), 6);
}

#[test]
fn history_that_ended_well_is_not_flapping() {
    let mut world = World::new(flapping(4, 600));
    for (result, run) in "-+-+-+-+".chars().zip(-8..) {
        let result = if result == '+' { "OK" } else { "NOK" };
        world.report("b1", run * CYCLE, &format!("DRYRUN.OK SQL.{result} SHOP.OK"));
    }
    assert_eq!(see(&mut world, 0, "++"), [""; 0]);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_announced_token_is_recovered_once_and_the_final_state_is_never_hidden(
        sql in "([+-]{1,12}|\\+{1,12}|-{1,12}){1,4}",
        (changes, minutes) in (2_u32..8, 5_i64..90),
        (nok_after, ok_after) in (1_u32..4, 1_u32..4),
        restart in 0_i64..40,
    ) {
        for last in ["+", "-"] {
            let mut config = flapping(changes, minutes);
            config.checkers.iter_mut().for_each(|checker| {
                (checker.nok_after, checker.ok_after) = (nok_after, ok_after);
            });
            let mut world = World::new(config.clone());
            let (before, after) = sql.split_at(usize::try_from(restart).unwrap().min(sql.len()));
            let mut sent = see(&mut world, 0, before);
            let from = i64::try_from(before.len()).unwrap();
            world.restart(config, from * CYCLE - 10);
            sent.extend(see(&mut world, from, after));
            let length = i64::try_from(sql.len()).unwrap();
            // So long that nothing flaps any more.
            sent.extend(see(&mut world, length, &last.repeat(24)));
            let (mut open, mut alarms) = (false, 0);
            for token in &sent {
                match token.as_str() {
                    "SQL.OK" => {
                        prop_assert!(open, "{sent:?}");
                        (open, alarms) = (false, 0);
                    }
                    "SQL.NOK" => {
                        prop_assert!(!open || world.letters.iter().any(|one| one.subject.contains("flapping")));
                        (open, alarms) = (true, alarms + 1);
                    }
                    other => prop_assert!(false, "{other}"),
                }
            }
            prop_assert_eq!(open, last == "-", "{:?} {:?}", sql, sent);
            let plain = sql.as_bytes().windows(2).filter(|two| two[0] != two[1]).count();
            prop_assert!(sent.len() <= 2 * plain + 3, "no more is said than there are changes: {sent:?}");
            let stands = world.engine.open_incidents().count();
            prop_assert_eq!(stands, usize::from(open));
        }
    }
}
