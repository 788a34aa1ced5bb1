//! An alarm about nothing, out and back by its link.

use super::*;
use crate::config::{Drill, Pace};
use crate::incident::{Subject, What};
use crate::orders::Order;
use crate::policy::{Hours, Moment, Schedule, Silenced};
use std::sync::Arc;

const DAY: i64 = 86_400;

/// Through both channels, every day, to be proved within half an hour. Nobody is watched, so that nothing else happens.
fn drilled() -> Config {
    let drill = Drill { pace: Some(Pace::Every(TimeDelta::days(1))), ..Drill::default() };
    Config {
        channels: vec![channel_config("mail", false), channel_config("teams", false)],
        drill,
        mailboxes: vec![],
        checkers: vec![],
        ..config()
    }
}

fn press(incident: &str, channel: Option<&str>) -> Order {
    Order::Acknowledge {
        incident: incident.into(),
        by: "Anna".into(),
        until: None,
        note: None,
        channel: channel.map(str::to_owned),
    }
}

fn order(channel: Option<&str>) -> Order {
    Order::Drill { channel: channel.map(str::to_owned), by: "Anna".into() }
}

impl World {
    fn drill_order(&mut self, order: &Order, second: i64) -> Result<String, String> {
        let said = self.engine.obey(order, at(second));
        self.deliver(second);
        said
    }

    /// Time goes on as the engine asks for it, without any look.
    fn tick_until(&mut self, from: i64, to: i64) {
        let mut now = at(from);
        while now <= at(to) {
            self.engine.tick(now);
            self.deliver((now - at(0)).num_seconds());
            let wake = self.engine.next_wake().unwrap_or(at(to + 1));
            now = wake.max(now + TimeDelta::seconds(1));
        }
    }

    fn proved(&self, channel: &str) -> Option<(i64, i64)> {
        let proof = self.engine.chains().get(channel)?.proof?;
        Some(((proof.at - at(0)).num_seconds(), proof.took().num_seconds()))
    }

    fn what(&self) -> Vec<&'static str> {
        self.steps.iter().map(|step| step.what.word()).collect()
    }
}

/// A drill that began by itself at second 0.
fn under_way() -> World {
    let mut world = World::new(drilled());
    world.tick(0);
    world.expect(&["MONITOR_Drill.NOK", "MONITOR_Drill.NOK"]);
    world
}

#[test]
fn a_drill_says_plainly_that_nothing_is_wrong_and_what_to_do() {
    let world = under_way();
    let letter = &world.letters[0];
    assert_eq!(letter.subject, "MONITOR_Drill.NOK DRILL, nothing is wrong: press the link in this message");
    for words in [
        "This is a drill of watchdog. Nothing is wrong",
        "press the link in this message",
        "2026-11-20 03:30:00 UTC",
    ] {
        assert!(letter.body.contains(words), "{words}: {}", letter.body);
    }
}

#[test]
fn each_channel_is_proved_by_its_own_link_with_the_time_it_took() {
    let mut world = under_way();
    assert_eq!(
        world.drill_order(&press("MONITOR_Drill.NOK", Some("teams")), 41).unwrap(),
        "The chain through teams has proved itself, 41 s after the drill began."
    );
    world.expect(&[]);
    assert_eq!((world.proved("teams"), world.proved("mail")), (Some((41, 41)), None));
    assert!(world.drill_order(&press("1", Some("teams")), 50).unwrap().contains("already"));
    assert_eq!(world.proved("teams"), Some((41, 41)), "the first press counts");
    world.drill_order(&press("1", Some("mail")), 100).unwrap();
    world.expect(&["MONITOR_Drill.OK", "MONITOR_Drill.OK"]);
    let told = world.letters.last().unwrap();
    assert!(
        told.subject.ends_with("the drill is over, proved: mail in 1 min 40 s, teams in 41 s"),
        "{}",
        told.subject
    );
    assert!(!format!("{}{}", told.subject, told.body).to_lowercase().contains("nok"), "{}", told.body);
    assert_eq!(world.what(), ["opened", "announced", "proved", "proved", "closed", "recovered"]);
    let proof = world.steps.iter().find(|step| step.what == What::Proved).unwrap();
    assert_eq!(proof.by.as_deref(), Some("Anna"));
    assert_eq!(proof.detail.as_deref(), Some("through teams after 41 s"));
}

#[test]
fn what_is_not_proved_in_time_is_closed_and_said_to_be_not_proved() {
    let mut world = under_way();
    world.drill_order(&press("1", Some("mail")), 5).unwrap();
    world.tick(1799);
    world.expect(&[]);
    assert!(world.engine.next_wake().unwrap() <= at(1800));
    world.tick(1800);
    world.expect(&["MONITOR_Drill.OK", "MONITOR_Drill.OK"]);
    let told = world.letters.last().unwrap();
    assert!(told.subject.ends_with("the drill is over, not proved: teams"), "{}", told.subject);
    assert!(told.body.contains("The chain through mail has proved itself in 5 s"), "{}", told.body);
    let chain = &world.engine.chains()["teams"];
    assert_eq!((chain.proof, chain.unproved), (None, Some(at(0))));
    let late = world.drill_order(&press("1", Some("teams")), 1801).unwrap_err();
    assert_eq!(late, "There is no open incident 1; none is open.");
}

#[test]
fn who_takes_a_drill_by_command_or_presses_the_link_of_another_channel_proves_nothing() {
    let mut world = under_way();
    let said = world.drill_order(&press("1", None), 10).unwrap();
    assert!(said.ends_with("only the link in the message of a channel proves that channel."), "{said}");
    world.expect(&["MONITOR_Drill.notice", "MONITOR_Drill.notice"]);
    let said = world.drill_order(&press("1", Some("phone")), 11).unwrap_err();
    assert_eq!(said, "The drill 20261120-1 did not go through the channel phone.");
    assert_eq!((world.proved("mail"), world.proved("teams")), (None, None));
    assert!(!world.what().contains(&"proved"));
}

#[test]
fn the_link_in_a_real_alarm_takes_it_and_says_through_which_channel() {
    let mut world = World::all_heard(0);
    ["b1", "b2", "b3"].iter().for_each(|name| world.hear(name, 390));
    world.look(DEADLINE + 1);
    world.drill_order(&press("b4_Checker", Some("mail")), 500).unwrap();
    assert_eq!(world.steps.last().unwrap().detail.as_deref(), Some("by the link in the message of mail"));
    assert!(world.engine.chains().is_empty(), "how fast a person wakes up is not how fast the chain is");
}

#[test]
fn a_drill_under_way_goes_on_after_the_process_died_also_when_its_time_ran_out_meanwhile() {
    let mut world = under_way();
    world.store();
    world.restart(drilled(), 600);
    assert!(world.engine.next_wake().unwrap() <= at(1800));
    world.tick(601);
    world.expect(&[]);
    world.drill_order(&press("1", Some("mail")), 700).unwrap();
    world.restart(drilled(), 5000);
    world.tick(5000);
    world.expect(&["MONITOR_Drill.OK", "MONITOR_Drill.OK"]);
    assert_eq!(world.proved("mail"), Some((700, 700)));
    world.restart(drilled(), 6000);
    assert_eq!(world.proved("mail"), Some((700, 700)), "a proof is kept");
    world.tick_until(6000, DAY - 1);
    world.expect(&[]);
    world.tick(DAY);
    world.expect(&["MONITOR_Drill.NOK", "MONITOR_Drill.NOK"]);
}

/// What was not stored was not sent: the process dies before the drill is on disk, and the next one begins it.
#[test]
fn a_drill_that_died_before_it_was_stored_begins_anew_and_is_told_once() {
    let mut world = World::new(drilled());
    world.store();
    world.engine.tick(at(0));
    world.restart(drilled(), 5);
    world.tick(5);
    world.expect(&["MONITOR_Drill.NOK", "MONITOR_Drill.NOK"]);
    assert_eq!(world.what(), ["opened", "announced"]);
}

#[test]
fn a_proof_that_is_too_old_is_alarmed_once_for_each_channel_and_ended_by_the_next() {
    let drill = Drill { pace: Some(Pace::Every(TimeDelta::days(7))), ..Drill::default() };
    let weekly = || Config { drill: drill.clone(), ..drilled() };
    let mut world = World::new(weekly());
    world.tick(0);
    world.drill_order(&press("1", Some("mail")), 40).unwrap();
    world.sent.clear();
    // Nobody presses anything else.
    world.tick_until(1, 8 * DAY - 1);
    let (alarm, over) = ("MONITOR_Drill.NOK", "MONITOR_Drill.OK");
    world.expect(&[over, over, alarm, alarm, over, over]);
    world.tick(8 * DAY);
    world.expect(&["MONITOR_Proof.NOK", "MONITOR_Proof.NOK"]);
    let letter = world.letters.last().unwrap();
    assert!(
        letter.subject.contains("the chain through teams has not proved itself for too long"),
        "{}",
        letter.subject
    );
    assert!(
        letter
            .body
            .contains("The chain through teams has never proved itself; the drill 1 d ago was not proved."),
        "{}",
        letter.body
    );
    world.tick(8 * DAY + 39);
    world.expect(&[]);
    world.tick(8 * DAY + 40);
    world.expect(&["MONITOR_Proof.NOK", "MONITOR_Proof.NOK"]);
    assert!(world.letters.last().unwrap().subject.contains("through mail, teams"));
    world.restart(weekly(), 8 * DAY + 50);
    world.tick(8 * DAY + 60);
    world.expect(&[]);
    world.drill_order(&order(Some("mail")), 8 * DAY + 100).unwrap();
    world.expect(&["MONITOR_Drill.NOK"]);
    world.drill_order(&press("MONITOR_Drill", Some("mail")), 8 * DAY + 110).unwrap();
    world.expect(&["MONITOR_Drill.OK"]);
    world.drill_order(&order(Some("teams")), 8 * DAY + 200).unwrap();
    world.drill_order(&press("MONITOR_Drill", Some("teams")), 8 * DAY + 210).unwrap();
    world.sent.sort();
    world.expect(&["MONITOR_Drill.NOK", "MONITOR_Drill.OK", "MONITOR_Proof.OK", "MONITOR_Proof.OK"]);
}

#[test]
fn a_drill_may_be_ordered_also_without_a_table_for_it_and_one_at_a_time() {
    let mut world = World::new(Config { drill: Drill::default(), ..drilled() });
    world.tick_until(0, 30 * DAY);
    world.expect(&[]);
    assert_eq!(
        world.drill_order(&order(Some("Teams")), 30 * DAY).unwrap_err(),
        "There is no channel Teams; there are: mail, teams."
    );
    let said = world.drill_order(&order(None), 30 * DAY).unwrap();
    assert_eq!(
        said,
        "The drill 20261220-1 goes through mail, teams; it is to be proved until 2026-12-20T03:30:00Z."
    );
    assert_eq!(
        world.steps.iter().rfind(|step| step.what == What::Opened).unwrap().by.as_deref(),
        Some("Anna")
    );
    let said = world.drill_order(&order(None), 30 * DAY + 1).unwrap_err();
    assert_eq!(said, "The drill 20261220-1 is under way until 2026-12-20T03:30:00Z; wait for its end.");
    world.tick_until(30 * DAY + 1, 60 * DAY);
    world.sent.retain(|token| token.contains("Proof"));
    world.expect(&[]);
}

#[test]
fn drills_begin_within_the_hours_only_and_by_the_clock_on_the_wall() {
    let zone = Tz::Europe__Paris;
    let hours = vec![Hours::parse("mon-fri 08:00-18:00").unwrap()];
    let holidays = ["2026-11-25".parse().unwrap()].into();
    let office = Arc::new(Schedule { name: "office".into(), zone, hours, holidays });
    let begun = |pace: Pace, schedule: Option<&Arc<Schedule>>, days: i64| {
        let drill = Drill { pace: Some(pace), schedule: schedule.cloned(), ..Drill::default() };
        let mut world = World::new(Config { timezone: zone, drill, ..drilled() });
        world.tick_until(0, days * DAY);
        let told = |step: &&Step| step.detail.as_ref().is_some_and(|to| to.starts_with("MONITOR_Drill"));
        let drills = world.steps.iter().filter(|step| step.what == What::Announced).filter(told);
        let times = drills.map(|step| step.at.with_timezone(&zone));
        times.map(|time| time.format("%a %d %H:%M").to_string()).collect::<Vec<_>>()
    };
    // It is Friday, 04:00 in Paris.
    assert_eq!(
        begun(Pace::Every(TimeDelta::days(1)), Some(&office), 7),
        ["Fri 20 08:00", "Mon 23 08:00", "Tue 24 08:00", "Thu 26 08:00"]
    );
    let at = |text: &str| Pace::At(vec![Moment::parse(text).unwrap()]);
    assert_eq!(
        begun(at("daily 09:30"), Some(&office), 7),
        ["Fri 20 09:30", "Mon 23 09:30", "Tue 24 09:30", "Thu 26 09:30"]
    );
    assert_eq!(begun(at("sat 09:30"), None, 9), ["Sat 21 09:30", "Sat 28 09:30"]);
    assert_eq!(begun(at("sat 09:30"), Some(&office), 30), [""; 0]);
}

/// The drill at 09:30 belongs to the clock on the wall before and after it is put forward.
#[test]
fn a_drill_by_the_clock_is_not_moved_by_summer_time_and_a_day_of_it_comes_once() {
    let zone = Tz::Europe__Paris;
    let pace = Pace::At(vec![Moment::parse("02:30").unwrap()]);
    let config =
        Config { timezone: zone, drill: Drill { pace: Some(pace), ..Drill::default() }, ..drilled() };
    for (start, expected) in [
        ("2026-03-28T00:00:00Z", ["28 02:30", "29 03:30", "30 02:30"]),
        ("2026-10-24T00:00:00Z", ["24 02:30", "25 02:30", "26 02:30"]),
    ] {
        let mut now: Time = start.parse().unwrap();
        let end = now + TimeDelta::days(3);
        let mut engine = Engine::restore(config.clone(), Snapshot::default(), now);
        let mut begun = Vec::new();
        while now < end {
            engine.tick(now);
            for message in engine.take_due(now) {
                engine.sent(message.id, Sent::Accepted("250".into()), now);
            }
            let steps = engine.take_changes().steps.into_iter().filter(|step| step.what == What::Announced);
            let drills = steps.filter(|step| step.detail.as_ref().is_some_and(|to| to.contains("_Drill")));
            begun.extend(drills.map(|step| step.at.with_timezone(&zone).format("%d %H:%M").to_string()));
            now = engine.next_wake().unwrap_or(end).max(now + TimeDelta::seconds(1));
        }
        assert_eq!(begun, expected);
    }
}

#[test]
fn a_drill_that_was_missed_by_more_than_an_hour_waits_for_its_next_time() {
    let pace = || Pace::At(vec![Moment::parse("04:00").unwrap()]);
    let config = || Config { drill: Drill { pace: Some(pace()), ..Drill::default() }, ..drilled() };
    for (back, expected) in [(3600 + 3599, 2), (3600 + 3601, 0)] {
        let mut world = World::new(config());
        world.tick(3500);
        world.restart(config(), back);
        world.tick(back);
        assert_eq!(world.sent.len(), expected, "{back}");
    }
}

#[test]
fn a_silence_puts_a_drill_off_that_nobody_ordered() {
    let mut world = World::new(drilled());
    let silence = Order::Silence {
        silenced: Silenced::default(),
        from: at(0),
        until: at(3600),
        by: "Anna".into(),
        note: None,
    };
    world.drill_order(&silence, 0).unwrap();
    world.tick_until(0, 3599);
    world.expect(&[]);
    world.drill_order(&order(Some("mail")), 3599).unwrap();
    world.expect(&["MONITOR_Drill.NOK"]);
    world.drill_order(&press("MONITOR_Drill", Some("mail")), 3599).unwrap();
    world.expect(&["MONITOR_Drill.OK"]);
    world.tick(3600);
    world.expect(&["MONITOR_Drill.NOK", "MONITOR_Drill.NOK"]);
}

#[test]
fn a_drill_is_not_handed_over_and_ends_with_the_channels_that_are_removed() {
    let channels = vec![channel_config("mail", false), channel_config("phone", true)];
    let drill = Drill { channels: Some(["mail".to_owned()].into()), ..drilled().drill };
    let mut world = World::new(Config { channels, drill, ..drilled() });
    world.engine.tick(at(0));
    for second in [0, 10, 30] {
        let due = world.engine.take_due(at(second));
        due.iter().for_each(|message| world.engine.sent(message.id, Sent::failed("down"), at(second)));
    }
    assert!(
        world
            .engine
            .outbox()
            .iter()
            .all(|message| message.token != "MONITOR_Drill" || message.channel == "mail")
    );
    assert!(world.engine.outbox().iter().any(|message| message.token == "mail_Channel"));
    let phone = Config { channels: vec![channel_config("phone", false)], ..config() };
    world.engine.reconfigure(phone, at(60));
    world.store();
    assert!(world.engine.open_incidents().all(|incident| incident.subject != Subject::Drill));
    assert!(world.engine.chains().is_empty());
}

#[test]
fn who_answers_nothing_is_not_drilled_unless_he_is_named() {
    let file = Channel { kind: ChannelKind::File("alarms.jsonl".into()), ..channel_config("record", false) };
    let channels = || vec![channel_config("mail", false), file.clone()];
    let mut world = World::new(Config { channels: channels(), ..drilled() });
    world.tick(0);
    world.expect(&["MONITOR_Drill.NOK"]);
    assert_eq!(world.engine.chains().keys().collect::<Vec<_>>(), ["mail"]);
    let mut world = World::new(Config { channels: vec![file.clone()], drill: Drill::default(), ..drilled() });
    assert!(world.drill_order(&order(None), 0).unwrap_err().contains("nothing can be proved"));
    world.drill_order(&order(Some("record")), 0).unwrap();
    world.expect(&["MONITOR_Drill.NOK"]);
}

#[test]
fn nobody_ends_by_hand_what_ends_by_itself_and_is_told_when_it_will() {
    let mut world = under_way();
    let resolve = Order::Resolve { incident: "MONITOR_Drill".into(), by: "Anna".into(), note: None };
    assert_eq!(
        world.drill_order(&resolve, 1).unwrap_err(),
        "Incident 20261120-1 cannot be ended by hand: it ends by itself when its links are pressed, or its time is over. \
         Acknowledge it instead."
    );
}

#[test]
fn a_channel_that_is_removed_does_not_let_its_drill_out_again_through_the_others() {
    let mut world = World::new(drilled());
    world.engine.tick(at(0));
    for message in world.engine.take_due(at(0)) {
        let taken = message.channel == "teams";
        let sent = if taken { Sent::Accepted("202".into()) } else { Sent::failed("down") };
        world.engine.sent(message.id, sent, at(0));
    }
    let teams = Config { channels: vec![channel_config("teams", false)], ..drilled() };
    world.engine.reconfigure(teams, at(10));
    world.deliver(10);
    world.expect(&[]);
    world.drill_order(&press("1", Some("teams")), 20).unwrap();
    world.expect(&["MONITOR_Drill.OK"]);
}
