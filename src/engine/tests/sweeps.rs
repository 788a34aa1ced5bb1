//! Ten times as many checkers, services or incidents take ten times as long, and not a hundred times.

use super::*;
use crate::linear::assert_linear_between;

const SIZES: [usize; 2] = [200, 2_000];

fn name(number: usize) -> String {
    format!("bresse{number}")
}

/// Each checker tests two services of its own.
fn engine(checkers: usize) -> Engine {
    let service = |number: usize, test| Test { service: format!("SHOP{number}x{test}"), ..Test::default() };
    let checker = |number: usize| Checker {
        tests: (0..2).map(|test| service(number, test)).collect(),
        ..checker_config(&name(number), ["free", "orange", "sfr"][number % 3])
    };
    let config = Config { checkers: (0..checkers).map(checker).collect(), ..config() };
    Engine::restore(config, Snapshot::default(), at(0))
}

fn hear(engine: &mut Engine, checkers: std::ops::Range<usize>, second: i64, said: Said) {
    for number in checkers {
        let mut observation = report("MONITOR", &name(number), second, "DRYRUN.OK");
        observation.mail.results = (0..2).map(|test| (format!("SHOP{number}x{test}"), said)).collect();
        engine.observe(&observation);
    }
}

/// A look every minute, or at `to`.
fn look_until(engine: &mut Engine, from: i64, to: i64) {
    for second in (from..to).step_by(60).chain([to]) {
        engine.looked("MONITOR", at(second), History::Complete, at(second));
        engine.take_changes();
    }
}

/// Two services of each checker have failed, and the messages that say so wait.
fn failing(checkers: usize) -> Engine {
    let mut engine = engine(checkers);
    hear(&mut engine, 0..checkers, 0, Said::Nok);
    look_until(&mut engine, 0, 0);
    engine
}

fn heard(checkers: usize, said: Said) -> Engine {
    let mut engine = engine(checkers);
    hear(&mut engine, 0..checkers, 0, said);
    engine
}

#[test]
fn services_that_fail_together_are_announced_in_linear_time() {
    assert_linear_between(
        "services",
        SIZES,
        |size| heard(size, Said::Nok),
        |engine| look_until(engine, 0, 0),
    );
}

#[test]
fn a_report_costs_the_same_however_many_incidents_are_open() {
    assert_linear_between("reports", SIZES, failing, |engine| {
        hear(engine, 0..engine.config().checkers.len(), 60, Said::Nok);
        look_until(engine, 60, 60);
    });
}

#[test]
fn a_delivery_costs_the_same_however_many_incidents_are_open() {
    assert_linear_between("deliveries", SIZES, failing, |engine| {
        loop {
            engine.tick(at(1));
            engine.wants_look(at(1));
            let due = engine.take_due(at(1));
            engine.take_changes();
            if due.is_empty() {
                return;
            }
            for message in due {
                engine.sent(message.id, Sent::Accepted("250 ok".into()), at(1));
                engine.next_wake();
            }
        }
    });
}

/// Half of them fell silent, long after that the others.
fn silent(checkers: usize) -> Engine {
    let mut engine = heard(checkers, Said::Ok);
    look_until(&mut engine, 0, 0);
    for second in (60..1_000).step_by(120) {
        hear(&mut engine, checkers / 2..checkers, second, Said::Ok);
        look_until(&mut engine, second, second);
    }
    look_until(&mut engine, 1_000, 1_200);
    engine
}

#[test]
fn checkers_fall_silent_in_linear_time() {
    assert_linear_between("silent", SIZES, silent, |engine| look_until(engine, 1_200, 1_500));
}

#[test]
fn checkers_are_heard_again_in_linear_time() {
    let both = |checkers| {
        let mut engine = silent(checkers);
        look_until(&mut engine, 1_200, 1_500);
        engine
    };
    assert_linear_between("returns", SIZES, both, |engine| {
        let checkers = engine.config().checkers.len();
        for part in 0..10_usize {
            let second = 1_510 + i64::try_from(part).unwrap();
            hear(engine, part * checkers / 10..(part + 1) * checkers / 10, second, Said::Ok);
            look_until(engine, second, second);
        }
        assert!(engine.facts().values().all(|facts| facts.silent.is_none()));
    });
}

#[test]
fn silences_that_have_nothing_to_do_with_each_other_are_announced_in_linear_time() {
    // Nobody was heard within a cycle and a margin of anybody else.
    let apart = |checkers| {
        let mut engine = engine(checkers);
        (0..checkers).for_each(|number| {
            hear(&mut engine, number..number + 1, -361 * i64::try_from(number + 2).unwrap(), Said::Ok);
        });
        engine
    };
    assert_linear_between("apart", SIZES, apart, |engine| {
        look_until(engine, 0, 0);
        assert_eq!(engine.open_incidents().count(), engine.config().checkers.len());
        look_until(engine, 60, 180);
        assert_eq!(engine.open_incidents().count(), engine.config().checkers.len());
    });
}
