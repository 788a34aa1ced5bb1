//! Channels that do not take their messages.

use super::*;
use crate::bulletin::State as Said;
use crate::outbox::Sent;

/// `mail` and `other` are told of everything; b4 is silent and both have the alarm in hand.
fn two_channels() -> World {
    let mut two = config();
    two.channels.push(channel_config("other", false));
    let mut world = World::new(two);
    ["b1", "b2", "b3"].iter().for_each(|name| world.hear(name, 390));
    world.look(390);
    world.engine.looked("MONITOR", at(DEADLINE + 1), History::Complete, at(DEADLINE + 1));
    world
}

/// What goes out at `second`; those for `refusing` channels are refused, all others accepted.
fn attempt(world: &mut World, second: i64, refusing: &[&str]) -> Vec<(String, String)> {
    let mut told = vec![];
    loop {
        let due = world.engine.take_due(at(second));
        world.store();
        if due.is_empty() {
            return told;
        }
        for message in due {
            let sent = match refusing.contains(&message.channel.as_str()) {
                true => Sent::Refused("410 gone".into()),
                false => Sent::Accepted("ok".into()),
            };
            world.engine.sent(message.id, sent, at(second));
            told.push((message.channel.clone(), message.subject.split(' ').next().unwrap().to_owned()));
            world.letters.push(message);
        }
    }
}

fn told<'a>(pairs: &'a [(String, String)], channel: &str) -> Vec<&'a str> {
    pairs.iter().filter(|(name, _)| name == channel).map(|(_, token)| token.as_str()).collect()
}

fn tokens(world: &World) -> Vec<String> {
    world.engine.open_incidents().filter_map(|incident| incident.token().map(str::to_owned)).collect()
}

#[test]
fn a_channel_that_refuses_is_alarmed_through_the_other_and_recovers_when_it_accepts() {
    let mut world = two_channels();
    let first = attempt(&mut world, 401, &["mail"]);
    assert_eq!(told(&first, "mail"), ["b4_Checker.NOK"]);
    assert_eq!(told(&first, "other"), ["b4_Checker.NOK", "mail_Channel.NOK"]);
    let alarm = world.letters.iter().find(|letter| letter.token == "mail_Channel").unwrap();
    insta::assert_snapshot!(format!("Subject: {}\n\n{}", alarm.subject, alarm.body));
    assert_eq!(alarm.bulletin.state, Said::Firing);

    let later = attempt(&mut world, 401 + 3_600, &["mail"]);
    assert_eq!(later, [("mail".to_owned(), "b4_Checker.NOK".to_owned())], "it is alarmed once");

    let mended = attempt(&mut world, 401 + 7_200, &[]);
    assert_eq!(told(&mended, "mail"), ["b4_Checker.NOK"]);
    assert_eq!(told(&mended, "other"), ["mail_Channel.OK"]);
    let recovery = world.letters.last().unwrap();
    assert!(!format!("{}{}", recovery.subject, recovery.body).to_lowercase().contains("nok"));
    assert_eq!(tokens(&world), ["b4_Checker"]);
}

#[test]
fn a_failure_is_an_alarm_the_third_time_and_survives_a_restart() {
    let mut world = two_channels();
    let mut now = 401;
    for tried in 1..=3 {
        let due = world.engine.take_due(at(now));
        world.store();
        for message in due {
            let sent =
                if message.channel == "mail" { Sent::failed("503") } else { Sent::Accepted("ok".into()) };
            world.engine.sent(message.id, sent, at(now));
        }
        assert_eq!(tokens(&world).contains(&"mail_Channel".to_owned()), tried == 3, "{tried}");
        now += 60;
    }
    world.store();
    let config = world.engine.config().clone();
    world.restart(config, now);
    assert_eq!(tokens(&world), ["b4_Checker"], "everything was accepted");
    assert!(world.sent.contains(&"mail_Channel.OK".to_owned()), "{:?}", world.sent);
}

#[test]
fn one_that_asks_for_much_patience_hands_over_and_is_alarmed_at_once() {
    let mut world = two_channels();
    let due = world.engine.take_due(at(401));
    let mail = due.iter().find(|message| message.channel == "mail").unwrap();
    let patience = Sent::Failed { error: "429".into(), retry_after: Some(TimeDelta::seconds(600)) };
    world.engine.sent(mail.id, patience, at(401));
    assert_eq!(tokens(&world), ["b4_Checker", "mail_Channel"]);
}

#[test]
fn one_of_several_recipients_who_is_refused_stands_until_he_is_not() {
    let mut several = config();
    let ChannelKind::Smtp(smtp) = &mut several.channels[0].kind else { panic!() };
    smtp.to.push("second@people.example".into());
    several.channels.push(channel_config("other", false));
    let mut world = World::new(several);
    world.look(390);
    world.engine.looked("MONITOR", at(DEADLINE + 1), History::Complete, at(DEADLINE + 1));
    for message in world.engine.take_due(at(401)) {
        let refused = message.recipient == "mail@people.example";
        let sent = if refused { Sent::Refused("550".into()) } else { Sent::Accepted("250".into()) };
        world.engine.sent(message.id, sent, at(401));
    }
    assert_eq!(
        tokens(&world),
        ["MONITOR_MailPath", "mail_Channel"],
        "the other recipient's yes ends nothing"
    );
    attempt(&mut world, 401 + 3_600, &[]);
    assert_eq!(tokens(&world), ["MONITOR_MailPath"]);
}

#[test]
fn when_all_refuse_each_is_alarmed_once_and_nothing_grows() {
    let mut world = two_channels();
    for round in 0..50 {
        attempt(&mut world, 401 + round * 3_600, &["mail", "other"]);
    }
    let mut open = tokens(&world);
    open.sort();
    assert_eq!(open, ["b4_Checker", "mail_Channel", "other_Channel"]);
    assert_eq!(world.engine.outbox().iter().count(), 4, "two alarms about b4 and one for each channel");
    attempt(&mut world, 401 + 60 * 3_600, &[]);
    attempt(&mut world, 401 + 61 * 3_600, &[]);
    assert_eq!(tokens(&world), ["b4_Checker"]);
    assert_eq!(world.engine.outbox().iter().count(), 0);
}

#[test]
fn when_only_the_failing_channel_would_be_told_the_fallback_is() {
    let mut world = World::new(Config {
        channels: vec![channel_config("mail", false), channel_config("backup", true)],
        ..config()
    });
    world.look(390);
    world.engine.looked("MONITOR", at(DEADLINE + 1), History::Complete, at(DEADLINE + 1));
    let told_all = attempt(&mut world, 401, &["mail"]);
    assert_eq!(told(&told_all, "backup"), ["MONITOR_MailPath.NOK", "mail_Channel.NOK"]);

    let mut alone = World::new(config());
    alone.look(390);
    alone.engine.looked("MONITOR", at(DEADLINE + 1), History::Complete, at(DEADLINE + 1));
    assert_eq!(attempt(&mut alone, 401, &["mail"]).len(), 1, "nobody else can be told");
    assert!(tokens(&alone).contains(&"mail_Channel".to_owned()), "it is known all the same");
    attempt(&mut alone, 4_001, &[]);
    assert_eq!(tokens(&alone), ["MONITOR_MailPath"]);
}

#[test]
fn a_channel_that_is_removed_ends_its_alarm_and_says_so() {
    let mut world = two_channels();
    attempt(&mut world, 401, &["mail"]);
    let mut less = world.engine.config().clone();
    less.channels.remove(0);
    world.engine.reconfigure(less, at(500));
    let told_all = attempt(&mut world, 500, &[]);
    assert_eq!(
        told(&told_all, "other"),
        ["b4_Checker.NOK", "mail_Channel.OK"],
        "what it had not said others say"
    );
    assert!(world.letters.last().unwrap().subject.contains("no longer in the configuration"));
    assert_eq!(tokens(&world), ["b4_Checker"]);
}

#[test]
fn a_person_may_end_it() {
    let mut world = two_channels();
    attempt(&mut world, 401, &["mail"]);
    let order =
        crate::orders::Order::Resolve { incident: "mail_Channel".into(), by: "Anna".into(), note: None };
    world.engine.obey(&order, at(500)).unwrap();
    let told_all = attempt(&mut world, 500, &["mail"]);
    assert_eq!(told(&told_all, "other"), ["mail_Channel.OK"]);
    assert_eq!(tokens(&world), ["b4_Checker"]);
}

#[test]
fn what_stands_can_be_told_again_and_is_known_by_what_it_was_about_at_first() {
    let mut world = two_channels();
    attempt(&mut world, 401, &[]);
    let channel = world.engine.config().channels[0].clone();
    let standing = world.engine.standing(&channel, at(460));
    let [one] = standing.as_slice() else { panic!("{standing:?}") };
    assert_eq!(
        (one.token.as_str(), one.bulletin.about.checkers.as_slice()),
        ("b4_Checker", &["b4".to_owned()][..])
    );
    assert_eq!(one.bulletin.announced.providers, ["sfr"]);

    world.hear("b4", 500);
    world.engine.looked("MONITOR", at(500), History::Complete, at(500));
    assert_eq!(world.engine.standing(&channel, at(500)), [], "what is over does not stand");
    attempt(&mut world, 500, &[]);
    let recovery = world.letters.last().unwrap();
    assert_eq!((recovery.bulletin.state, recovery.kind), (Said::Resolved, Kind::Recovery));
    assert_eq!(recovery.bulletin.announced, one.bulletin.announced, "it is found by the same key");
    assert_eq!(recovery.bulletin.about.checkers, ["b4"]);
}
