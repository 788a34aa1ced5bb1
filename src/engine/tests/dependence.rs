//! Whether anybody would hear of a loss.

use super::*;
use crate::incident::{Severity, Subject};
use crate::independence::Answers;

const DAY: i64 = 86_400;
const HOUR: i64 = 3_600;

/// The mailbox is on mail.example for domain.com; the channel on `host`, to people.example.
fn site(host: &str) -> Config {
    let mut config = config();
    if let ChannelKind::Smtp(smtp) = &mut config.channels[0].kind {
        smtp.server.host = host.to_owned();
    }
    config
}

fn answers() -> Answers {
    let mail_hosts = [("domain.com", "mx.domain.com"), ("people.example", "mx.people.example")];
    let hosts =
        ["mail.example", "smtp.other.example", "smtp.free.example", "mx.domain.com", "mx.people.example"];
    let address = |(number, host): (usize, &str)| {
        (host.to_owned(), Ok([format!("192.0.{number}.1").parse().unwrap()].into()))
    };
    Answers {
        mail_hosts: mail_hosts.map(|(domain, host)| (domain.to_owned(), Ok([host.to_owned()].into()))).into(),
        addresses: hosts.into_iter().enumerate().map(address).collect(),
        url_hosts: BTreeMap::new(),
    }
}

fn silence() -> Answers {
    let mut answers = answers();
    answers.addresses.values_mut().for_each(|answer| *answer = Err("DNS is down".to_owned()));
    answers
}

/// Without checkers, which would fall silent over these spans.
fn world(mut config: Config) -> World {
    config.checkers.clear();
    let mut world = World::new(config);
    world.engine.watch_dependence(at(0));
    world
}

impl World {
    fn answered(&mut self, answers: &Answers, second: i64) -> Option<(Time, String)> {
        let open = self.engine.answered(answers, at(second));
        self.deliver(second);
        open
    }

    fn severity(&self) -> Severity {
        self.engine.open_incidents().next().unwrap().subject.severity()
    }
}

#[test]
fn it_is_asked_for_at_the_start_and_once_a_day_by_time_alone() {
    let mut engine = World::new(config()).engine;
    assert!(!engine.wants_answers(at(0)), "`once` and the replay do not want to know");
    let mut world = world(site("smtp.other.example"));
    for day in 0..3 {
        let now = day * DAY;
        assert!(world.engine.next_wake().unwrap() <= at(now));
        assert!(world.engine.wants_answers(at(now)));
        assert!(!world.engine.wants_answers(at(now)), "it is on its way");
        assert_eq!(world.answered(&answers(), now + 5), None);
        world.look(now + DAY - 1);
        assert!(!world.engine.wants_answers(at(now + DAY - 1)));
        assert!(world.engine.next_wake().unwrap() <= at(now + DAY));
    }
    world.expect(&[]);
}

#[test]
fn a_mailbox_whose_loss_nobody_would_hear_of_is_alarmed_once_and_recovers() {
    let mut world = world(site("mail.example"));
    world.answered(&answers(), 1);
    world.expect(&["MONITOR_Dependence.NOK"]);
    assert_eq!(world.severity(), Severity::Critical);
    let alarm = world.letters.last().unwrap();
    assert!(alarm.body.contains("mail.example is on the same host as the mailbox"), "{}", alarm.body);
    world.look(DAY);
    world.answered(&answers(), DAY);
    world.expect(&[]);

    // The channel moves away by DNS or by the configuration; it is asked anew at once.
    let mut moved = site("smtp.other.example");
    moved.checkers.clear();
    world.engine.reconfigure(moved, at(DAY + 10));
    assert!(world.engine.wants_answers(at(DAY + 10)));
    world.tick(DAY + 10);
    world.expect(&[]);
    world.answered(&answers(), DAY + 12);
    world.expect(&["MONITOR_Dependence.OK"]);
    assert_eq!(world.engine.open_incidents().count(), 0);
}

#[test]
fn a_dns_outage_neither_alarms_nor_recovers_and_is_told_with_its_beginning() {
    let mut world = world(site("smtp.other.example"));
    assert!(world.engine.wants_answers(at(0)));
    let why = "DNS is down".to_owned();
    assert_eq!(world.answered(&silence(), 5), Some((at(5), why.clone())));
    assert!(world.engine.wants_answers(at(5 + HOUR)), "sooner than tomorrow");
    assert_eq!(world.answered(&silence(), 6 + HOUR), Some((at(5), why.clone())));
    world.expect(&[]);
    assert_eq!(world.answered(&answers(), 2 * HOUR), None);
    assert_eq!(world.answered(&silence(), DAY), Some((at(DAY), why)));
    world.expect(&[]);

    let mut near = answers();
    near.addresses.insert("smtp.other.example".to_owned(), Ok(["192.0.0.77".parse().unwrap()].into()));
    world.answered(&near, DAY + 1);
    world.expect(&["MONITOR_Dependence.NOK"]); // the same network as the mailbox
    world.answered(&silence(), DAY + 2);
    world.expect(&[]);
    world.answered(&answers(), DAY + 3);
    world.expect(&["MONITOR_Dependence.OK"]);
}

#[test]
fn the_loss_of_a_provider_that_nobody_would_hear_of_is_a_warning_until_a_mailbox_joins_it() {
    let mut config = site("smtp.free.example");
    config.checkers.truncate(1);
    let mut world = World::new(config);
    world.hear("b1", 0);
    world.look(0);
    world.answered(&answers(), 1);
    world.expect(&["MONITOR_Dependence.NOK"]);
    assert_eq!(world.severity(), Severity::Warning);
    let mut near = answers();
    near.addresses.insert("smtp.free.example".to_owned(), Ok(["192.0.0.77".parse().unwrap()].into()));
    world.answered(&near, 2);
    world.expect(&["MONITOR_Dependence.NOK"]);
    assert_eq!(world.severity(), Severity::Critical);
    world.answered(&answers(), 3);
    world.expect(&[]);
    assert_eq!(world.severity(), Severity::Warning);
    let of = |incident: &Incident| incident.present().map(|(name, _)| name.to_owned()).collect::<Vec<_>>();
    assert_eq!(of(world.engine.open_incidents().next().unwrap()), ["the provider free"]);
}

#[test]
fn what_is_accepted_is_not_alarmed_and_what_was_alarmed_is_closed_when_it_is() {
    let accept = |mut config: Config| {
        config.checkers.clear();
        config.accept_dependence = Some("the pager is here too".to_owned());
        config
    };
    let mut quiet = world(accept(site("mail.example")));
    quiet.answered(&answers(), 1);
    quiet.expect(&[]);

    let mut loud = world(site("mail.example"));
    loud.answered(&answers(), 1);
    loud.expect(&["MONITOR_Dependence.NOK"]);
    loud.engine.reconfigure(accept(site("mail.example")), at(2));
    loud.tick(2);
    loud.expect(&["MONITOR_Dependence.OK"]);
}

#[test]
fn a_restart_alarms_nothing_twice() {
    let mut config = site("mail.example");
    config.checkers.clear();
    let mut world = world(config.clone());
    world.answered(&answers(), 1);
    world.expect(&["MONITOR_Dependence.NOK"]);
    world.restart(config, 60);
    world.engine.watch_dependence(at(60));
    world.answered(&answers(), 61);
    world.expect(&[]);
    let about = world.engine.open_incidents().next().unwrap().subject.clone();
    assert_eq!(about, Subject::Dependence(Severity::Critical));
}
