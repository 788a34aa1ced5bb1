use super::*;
use crate::mail::{Status, Undelivered};
use crate::reason::Reason;
use crate::report::NotHeard;
use crate::view::LastSeen;

pub(super) fn in_junk(name: &str, second: i64) -> Observation {
    let mut observation = report("MONITOR", name, second, "DRYRUN.OK SQL.NOK");
    observation.mail.not_heard = Some(NotHeard::Junked);
    observation
}

pub(super) fn bounce(name: &str, second: i64, delayed: bool) -> Observation {
    let mut observation = report("MONITOR", name, second, "");
    observation.mail.not_heard = Some(NotHeard::DeliveryReport);
    let (status, said) = (Status::parse("5.2.2"), "552 5.2.2 full".to_owned());
    observation.mail.undelivered = Some(Undelivered { delayed, status, said });
    observation
}

#[test]
fn mails_in_junk_and_bounces_are_evidence_and_put_no_alarm_off() {
    let mut world = World::all_heard(0);
    ["b2", "b3", "b4"].iter().for_each(|name| world.hear(name, 300));
    world.engine.observe(&in_junk("b1", 300));
    world.engine.observe(&bounce("b1", 310, false));
    world.engine.observe(&bounce("b1", 320, true));
    world.look(DEADLINE);
    world.expect(&[]);
    assert_eq!(world.state("b1", DEADLINE), State::Late);
    world.look(DEADLINE + 1);
    world.expect(&["b1_Checker.NOK"]);
    let told = &world.letters[0].body;
    for clue in [
        "Reason: junked (certain)",
        "A mail of it came into the Junk folder: 2026-11-20 03:05:00",
        "A mail of it was refused: 2026-11-20 03:05:10",
        ", status 5.2.2, in its words: 552 5.2.2 full.",
        "A mail of it still waits on its way: 2026-11-20 03:05:20",
    ] {
        assert!(told.contains(clue), "{clue} is not in:\n{told}");
    }
    let trail = |world: &World| world.engine.facts()["b1"].trail.clone();
    let seen = trail(&world);
    assert_eq!(seen.junked, Some(at(300)));
    assert_eq!(seen.bounced.as_ref().map(|bounce| bounce.received), Some(at(310)));
    assert_eq!(seen.delayed.as_ref().map(|bounce| bounce.received), Some(at(320)));

    world.restart(config(), DEADLINE + 2);
    assert_eq!(trail(&world), seen, "it is stored");
    world.engine.observe(&in_junk("b1", DEADLINE + 10));
    world.look(DEADLINE + 10);
    world.expect(&[]);
    assert_eq!(trail(&world).junked, Some(at(DEADLINE + 10)), "also of one that is silent already");
    assert_eq!(world.state("b1", DEADLINE + 10), State::Silent);
}

#[test]
fn what_came_into_junk_while_blind_does_not_show_that_the_mailbox_was_up() {
    let mut world = World::all_heard(0);
    for second in (60..=900).step_by(60) {
        world.engine.look_failed("MONITOR", "no connection", at(second));
        world.tick(second);
    }
    world.expect(&["MONITOR_Mailbox.NOK"]);
    world.engine.observe(&in_junk("b1", 890));
    world.engine.observe_copy(&in_junk("b1", 890));
    world.look_after_a_gap(910);
    world.expect(&["MONITOR_Mailbox.OK"]);
}

#[test]
fn a_junk_folder_that_cannot_be_read_is_shown_and_makes_nobody_blind() {
    let mut world = World::all_heard(0);
    world.engine.junk_looked("MONITOR", Some("there is none"));
    world.look(60);
    let shown = |world: &World| LastSeen::of(&world.engine, at(60)).junk_unread;
    assert_eq!(shown(&world), BTreeMap::from([("MONITOR".to_owned(), "there is none".to_owned())]));
    assert_eq!((world.state("b1", 60), world.sent.len()), (State::Ok, 0));
    assert_eq!(world.disk.mailboxes["MONITOR"].junk_failure.as_deref(), Some("there is none"));
    world.engine.junk_looked("MONITOR", None);
    assert!(shown(&world).is_empty());
    world.engine.junk_looked("MONITOR", Some("there is none"));
    world.engine.reconfigure(config(), at(61));
    assert!(shown(&world).is_empty(), "the next look tells");
}

#[test]
fn a_silence_is_revised_when_the_mail_is_found_afterwards() {
    let reason = |evidence: Observation| {
        let mut world = World::all_heard(0);
        ["b2", "b3", "b4"].iter().for_each(|name| world.hear(name, 300));
        world.look(DEADLINE + 1);
        world.expect(&["b1_Checker.NOK"]);
        assert_eq!(world.reasons["b1"], Reason::CheckerDead);
        world.engine.observe(&evidence);
        world.look(DEADLINE + 60);
        world.expect(&[]);
        world.reasons["b1"]
    };
    assert_eq!(reason(in_junk("b1", 300)), Reason::Junked);
    assert_eq!(reason(bounce("b1", 300, false)), Reason::MailboxFull);
    assert_eq!(reason(bounce("b1", 300, true)), Reason::MailDelayed);
    assert_eq!(reason(in_junk("b1", 0)), Reason::CheckerDead, "it was heard since");
}
