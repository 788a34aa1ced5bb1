//! The state as it was known at a moment of the past.

use super::*;

#[test]
fn a_moment_of_the_past_is_judged_as_it_was_at_that_moment() {
    let mut world = World::new();
    world.report("left", "bresse1", -60);
    world.report("right", "bresse1", -50);
    world.look("right", -45);
    world.look("left", 0);
    world.commit();
    let then = world.at(170);
    let lines = |table: LastSeen| -> Vec<String> {
        table
            .checkers
            .iter()
            .map(|line| format!("{} {:?} {:?}", line.name, line.state, line.heard_at))
            .collect()
    };
    let past = lines(past::last_seen(&world.store, &config(CONFIG), then).unwrap());
    assert_eq!(past, lines(LastSeen::of(&world.engine, then)));
    assert!(past[0].starts_with("bresse1 Ok"), "the left mailbox was read later: {past:?}");
}

#[test]
fn a_run_that_was_over_at_a_moment_of_the_past_lacked_what_it_lacked_then() {
    let mut world = World::new();
    world.take("left", "bresse1", "DRYRUN.OK", -300);
    world.take("left", "bresse1", "MSSQL1_Service.OK", -299);
    for second in [-290, -150] {
        world.look("left", second);
        world.look("right", second);
        world.commit();
    }
    let results = |second| -> Vec<&str> {
        let table = past::last_seen(&world.store, &config(CONFIG), world.at(second)).unwrap();
        table.checkers[0].services.iter().map(|service| service.result).collect()
    };
    assert_eq!(results(-280), ["OK", "UNKNOWN"], "the run may still name it");
    assert_eq!(results(-150), ["OK", "MISSING"], "Σ timeouts + margin = 100 s are over");
}

#[test]
fn what_became_of_a_mail_that_was_not_heard_is_known_afterwards_as_of_any_moment() {
    let mut world = World::new();
    let mail = "To: bresse1+monitor@domain.com\r\nSubject: DRYRUN.OK MSSQL1_Service.OK\r\n\r\n";
    let raw = RawMail {
        uid: 1,
        internal_date: Some(world.at(100)),
        seen: world.at(160),
        bytes: mail.as_bytes().to_vec(),
        truncated: false,
    };
    let junk = Place { mailbox: "left".to_owned(), folder: "Junk".to_owned(), junk: true };
    let taken = take_in_junk(&raw, "left", &world.roster).unwrap();
    world.engine.observe(&taken.observation);
    world.batch.mails.push(Kept { place: junk.into(), taken, body: None });
    world.take("left", "bresse2", "nothing to say", 100);
    world.look("left", 170);
    world.commit();

    let junked = |time| {
        let engine = past::engine(&world.store, &config(CONFIG), time).unwrap();
        assert_eq!(engine.facts()["bresse2"].trail.junked, None);
        assert_eq!(engine.facts()["bresse1"].last_received, None);
        engine.facts()["bresse1"].trail.junked
    };
    assert_eq!(junked(world.at(159)), None, "not seen yet");
    assert_eq!(junked(world.at(160)), Some(world.at(100)));
    assert_eq!(world.store.other_mails(world.at(160)).unwrap()["junked"], 1);
    assert_eq!(count(&world.store, "reports"), 0);
}
