use super::*;

fn with_fallback() -> World {
    let mut config = config();
    config.channels.push(channel_config("backup", true));
    let mut world = World::new(config);
    ["b1", "b2", "b3", "b4"].iter().for_each(|name| world.hear(name, 0));
    world.look(0);
    ["b1", "b2", "b3"].iter().for_each(|name| world.hear(name, 390));
    world.look(390);
    world.engine.looked("MONITOR", at(DEADLINE + 1), History::Complete, at(DEADLINE + 1));
    world
}

fn due(world: &mut World, second: i64) -> Vec<Message> {
    let due = world.engine.take_due(at(second));
    world.store();
    due
}

#[test]
fn a_refused_alarm_goes_to_the_fallback_at_once_and_says_why() {
    let mut world = with_fallback();
    let alarm = due(&mut world, 401).remove(0);
    assert_eq!(alarm.channel, "mail");
    world.engine.sent(alarm.id, Sent::Refused("550 no such user".into()), at(402));
    let copy = due(&mut world, 402).remove(0);
    assert_eq!((copy.channel.as_str(), copy.subject.as_str()), ("backup", alarm.subject.as_str()));
    assert!(copy.body.contains("550 no such user"), "{}", copy.body);
    world.engine.sent(copy.id, Sent::Accepted("250".into()), at(403));
    world.store();

    world.hear("b4", 500);
    world.engine.looked("MONITOR", at(500), History::Complete, at(500));
    let recoveries = due(&mut world, 500);
    let channels: Vec<&str> = recoveries.iter().map(|message| message.channel.as_str()).collect();
    assert_eq!(channels, ["backup"], "who never had the alarm gets no recovery");
    assert!(world.disk.messages.iter().all(|message| message.id != alarm.id), "the refused alarm is dropped");
}

#[test]
fn a_failing_alarm_goes_to_the_fallback_after_the_third_try() {
    let mut world = with_fallback();
    let mut now = DEADLINE + 1;
    for tried in 1..=3 {
        let alarm = due(&mut world, now).remove(0);
        assert_eq!((alarm.channel.as_str(), alarm.attempts), ("mail", tried));
        world.engine.sent(alarm.id, Sent::failed("451 later"), at(now));
        now += 30;
    }
    let told = due(&mut world, now).into_iter().map(|message| (message.channel, message.token));
    let told: Vec<String> = told.map(|(channel, token)| format!("{channel} {token}")).collect();
    assert_eq!(told, ["mail b4_Checker", "backup b4_Checker", "backup mail_Channel"]);
}

#[test]
fn who_refused_an_alarm_after_its_answer_was_lost_hears_of_its_end() {
    let mut world = with_fallback();
    let alarm = due(&mut world, 401).remove(0);
    world.engine.sent(alarm.id, Sent::failed("the answer was lost"), at(402));
    let again = due(&mut world, 420).remove(0);
    world.engine.sent(again.id, Sent::Refused("550 no such user".into()), at(421));
    let copy = due(&mut world, 421).remove(0);
    world.engine.sent(copy.id, Sent::Accepted("250".into()), at(422));
    world.hear("b4", 500);
    world.engine.looked("MONITOR", at(500), History::Complete, at(500));
    let channels: Vec<String> = due(&mut world, 500).into_iter().map(|message| message.channel).collect();
    assert!(channels.contains(&"mail".to_owned()), "it may have had the alarm: {channels:?}");
}

#[test]
fn what_is_recovered_while_its_incident_goes_on_is_not_handed_over_any_more() {
    let mut both = config();
    both.channels.push(channel_config("backup", true));
    let mut world = World::new(both);
    ["b1", "b2", "b3", "b4"].iter().for_each(|name| world.hear(name, 0));
    world.look(0);
    ["b1", "b2"].iter().for_each(|name| world.hear(name, 390));
    world.hear("b3", 60);
    for second in [150, 300, DEADLINE + 1] {
        world.engine.looked("MONITOR", at(second), History::Complete, at(second));
    }
    for second in [DEADLINE + 1, DEADLINE + 10] {
        let alarm = due(&mut world, second).remove(0);
        assert_eq!((alarm.channel.as_str(), alarm.token.as_str()), ("mail", "b4_Checker"));
        world.engine.sent(alarm.id, Sent::failed("451 later"), at(second));
    }
    world.engine.looked("MONITOR", at(DEADLINE + 61), History::Complete, at(DEADLINE + 61));
    world.hear("b4", DEADLINE + 70);
    world.engine.looked("MONITOR", at(DEADLINE + 80), History::Complete, at(DEADLINE + 80));
    assert!(world.engine.open_incidents().any(|incident| incident.has("b3")), "it goes on");
    let alarm = due(&mut world, DEADLINE + 80).remove(0);
    world.engine.sent(alarm.id, Sent::failed("451 later"), at(DEADLINE + 80));
    let told = due(&mut world, DEADLINE + 120);
    let late: Vec<&str> = told
        .iter()
        .filter(|message| message.channel == "backup" && message.kind == Kind::Alarm)
        .map(|message| message.token.as_str())
        .collect();
    assert!(!late.contains(&"b4_Checker"), "it would stand there for ever: {late:?}");
}

#[test]
fn a_channel_gets_only_the_events_it_wants() {
    let mut picky = config();
    picky.channels[0].events = [Event::Service].into();
    picky.channels.push(channel_config("other", false));
    let mut world = World::new(picky);
    ["b1", "b2", "b3", "b4"].iter().for_each(|name| world.hear(name, 0));
    world.look(0);
    world.report("b1", 300, "DRYRUN.OK SQL.NOK SHOP.OK");
    ["b2", "b3"].iter().for_each(|name| world.hear(name, 390));
    world.look(DEADLINE + 1);
    let told: Vec<(&str, &str)> =
        world.letters.iter().map(|letter| (letter.channel.as_str(), letter.token.as_str())).collect();
    assert_eq!(told, [("mail", "SQL"), ("other", "SQL"), ("other", "b4_Checker")]);
}

#[test]
fn every_recipient_gets_a_mail_of_his_own() {
    let mut two = config();
    let ChannelKind::Smtp(smtp) = &mut two.channels[0].kind else { panic!() };
    smtp.to.push("second@people.example".into());
    let mut world = World::new(two);
    world.look(DEADLINE + 1);
    let recipients: Vec<&str> = world.letters.iter().map(|letter| letter.recipient.as_str()).collect();
    assert_eq!(recipients, ["mail@people.example", "second@people.example"]);
}

#[test]
fn the_alarm_of_a_channel_that_was_taken_away_is_announced_through_the_others() {
    let mut world = with_fallback();
    let mut moved = config();
    moved.channels = vec![channel_config("new", false)];
    world.engine.reconfigure(moved, at(DEADLINE + 5));
    let messages = due(&mut world, DEADLINE + 5);
    let told: Vec<(&str, &str)> =
        messages.iter().map(|message| (message.channel.as_str(), message.token.as_str())).collect();
    assert_eq!(told, [("new", "b4_Checker")]);
}
