//! Outages of ten thousand: what a person reads of them on a telephone.

use super::*;
use crate::config::Rate;
use crate::payload::everything;

const MANY: usize = 10_000;
/// Fifty checkers with fifty services of their own.
const SERVICES: usize = 2_500;
const PROVIDERS: [&str; 5] = ["free", "orange", "sfr", "ovh", "azure"];

fn name(number: usize) -> String {
    format!("bresse{number}")
}

fn fleet() -> Config {
    let checkers = (0..MANY).map(|number| checker_config(&name(number), PROVIDERS[number % 5])).collect();
    Config { checkers, ..config() }
}

#[track_caller]
fn assert_readable(message: &Message) {
    let (subject, lines) = (message.subject.chars().count(), message.body.lines().count());
    assert!(subject <= 80, "{subject}: {}", message.subject);
    assert!(lines <= 40 && message.body.len() <= 4_096, "{lines}, {}:\n{}", message.body.len(), message.body);
    let json = everything(message).to_string().len();
    assert!(json <= 12_000, "{json}");
}

/// All of them fall silent in the same second.
fn silent_together() -> World {
    let mut world = World::new(fleet());
    (0..MANY).for_each(|number| world.hear(&name(number), 0));
    world.look(0);
    world.look(DEADLINE + 1);
    world
}

/// What is said when ten thousand checkers fall silent.
pub(crate) fn alarm() -> Message {
    silent_together().letters.remove(0)
}

#[test]
fn ten_thousand_that_fall_silent_together_are_one_alarm_for_a_telephone() {
    let mut world = silent_together();
    world.expect(&["MONITOR_MailPath.NOK"]);
    let alarm = world.letters.remove(0);
    assert_readable(&alarm);
    insta::assert_snapshot!(format!("Subject: {}\n\n{}", alarm.subject, alarm.body));
    world.look(2 * DEADLINE);
    world.expect(&[]);
}

#[test]
fn ten_thousand_that_fall_silent_one_after_the_other_are_two_alarms_at_most() {
    let mut world = World::new(fleet());
    (0..MANY).for_each(|number| world.hear(&name(number), (300 * number / MANY) as i64));
    world.look(300);
    for second in (390..=DEADLINE + 400).step_by(30) {
        world.look(second);
    }
    let [first, second] = world.letters.as_slice() else { panic!("{:?}", world.sent) };
    assert_readable(first);
    assert_readable(second);
    assert_eq!(second.bulletin.about.checkers_count, MANY);
    assert!(second.subject.starts_with("MONITOR_MailPath.NOK 10000 checkers are silent"));
}

/// Fifty checkers test fifty services each, and all of them end so.
fn services(said: Said) -> World {
    let service = |checker: usize, number: usize| format!("SHOP{checker}x{number}_Service");
    let checker = |number: usize| Checker {
        tests: (0..50).map(|test| Test { service: service(number, test), ..Test::default() }).collect(),
        ..checker_config(&name(number), PROVIDERS[number % 5])
    };
    let mut site = Config { checkers: (0..50).map(checker).collect(), ..config() };
    site.channels[0].rate = Some(Rate { messages: 10, per: TimeDelta::hours(1) });
    site.channels[0].combine = true;
    let mut world = World::new(site);
    let all = |world: &mut World, said: Said, second: i64| {
        for number in 0..50 {
            let mut observation = report("MONITOR", &name(number), second, "DRYRUN.OK");
            observation.mail.results = (0..50).map(|test| (service(number, test), said)).collect();
            world.engine.observe(&observation);
        }
        world.look(second);
    };
    all(&mut world, Said::Nok, 0);
    if said == Said::Ok {
        all(&mut world, said, 300);
    }
    world
}

#[test]
fn thousands_of_services_that_fail_are_one_message_and_so_is_their_recovery() {
    let world = services(Said::Ok);
    let [alarm, recovery] = world.letters.as_slice() else { panic!("{:?}", world.sent) };
    for (letter, kind) in [(alarm, Kind::Alarm), (recovery, Kind::Recovery)] {
        assert_eq!(letter.kind, kind);
        assert_eq!(letter.bulletin.burst.as_ref().map(|burst| burst.count), Some(SERVICES));
        assert_readable(letter);
    }
    assert!(!everything(recovery).to_string().to_lowercase().contains("nok"));
    assert_eq!(world.deliveries.len(), 2 * SERVICES, "each of them is on record");
    insta::assert_snapshot!(format!(
        "Subject: {}\n\n{}\nSubject: {}\n\n{}",
        alarm.subject, alarm.body, recovery.subject, recovery.body
    ));
}
