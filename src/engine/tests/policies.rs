use std::sync::Arc;

use proptest::prelude::*;

use super::*;
use crate::orders::Order;
use crate::policy::{Escalation, Hours, Maintenance, Policies, Route, Schedule, Silenced};

fn set(names: &[&str]) -> BTreeSet<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

fn route(channels: &[&str]) -> Route {
    Route {
        events: BTreeSet::new(),
        severities: BTreeSet::new(),
        checkers: BTreeSet::new(),
        providers: BTreeSet::new(),
        services: BTreeSet::new(),
        reasons: BTreeSet::new(),
        channels: set(channels),
        schedule: None,
        repeat: None,
        escalations: vec![],
        goes_on: false,
    }
}

/// Open from 03:00 plus these minutes on, which is where the tests' seconds begin.
fn open(from: &str, to: &str) -> Arc<Schedule> {
    Arc::new(Schedule {
        name: "s".into(),
        zone: Tz::UTC,
        hours: vec![Hours::parse(&format!("daily {from}-{to}")).unwrap()],
        holidays: BTreeSet::new(),
    })
}

fn site(routes: Vec<Route>) -> Config {
    Config {
        channels: ["mail", "phone", "boss"].map(|name| channel_config(name, false)).into(),
        policies: Policies { routes, ..Policies::default() },
        ..config()
    }
}

/// b4 is silent from second 401 on; the others go on.
fn silent_b4(site: Config) -> World {
    let mut world = World::new(site);
    ["b1", "b2", "b3", "b4"].iter().for_each(|name| world.hear(name, 0));
    world.look(0);
    world.others(390);
    world.look(DEADLINE + 1);
    world
}

impl World {
    fn others(&mut self, second: i64) {
        ["b1", "b2", "b3"].iter().for_each(|name| self.hear(name, second));
    }

    /// Time goes on to `second`; the others are heard, and the engine is woken when it wants to be.
    fn go_on(&mut self, second: i64) {
        let mut now = self.last_look;
        while now < second {
            now = (now + 100).min(second);
            self.others(now);
            self.look_after_a_gap(now);
            self.tick(now);
        }
    }

    fn told(&mut self) -> Vec<String> {
        let ending = |letter: &Message| match letter.kind {
            Kind::Alarm if letter.subject.contains(" still:") => "again",
            Kind::Alarm => "NOK",
            Kind::Recovery => "OK",
            Kind::Notice => "notice",
        };
        let told = std::mem::take(&mut self.letters);
        self.sent.clear();
        told.iter().map(|letter| format!("{} {}", letter.channel, ending(letter))).collect()
    }
}

#[test]
fn an_alarm_is_repeated_until_somebody_takes_it_and_escalated_until_then() {
    let step = Escalation { after: TimeDelta::seconds(600), channels: set(&["phone"]) };
    let route = Route { repeat: Some(TimeDelta::seconds(900)), escalations: vec![step], ..route(&["mail"]) };
    let mut world = silent_b4(site(vec![route]));
    assert_eq!(world.told(), ["mail NOK"]);
    world.go_on(1000);
    assert_eq!(world.told(), [] as [&str; 0]);
    world.go_on(1001);
    assert_eq!(world.told(), ["phone NOK"]);
    world.go_on(1301);
    assert_eq!(world.told(), ["mail again"]);
    world.go_on(1901);
    assert_eq!(world.told(), ["phone again"]);
    let taken = Order::Acknowledge {
        incident: "1".into(),
        by: "Anna".into(),
        until: None,
        note: None,
        channel: None,
    };
    world.engine.obey(&taken, at(2000)).unwrap();
    world.deliver(2000);
    assert_eq!(world.told(), ["mail notice", "phone notice"]);
    world.go_on(9000);
    assert_eq!(world.told(), [] as [&str; 0]);
    world.hear("b4", 9001);
    world.look(9001);
    assert_eq!(world.told(), ["mail OK", "phone OK"], "whoever had it hears of its end");
}

#[test]
fn an_alarm_waits_for_a_schedule_and_is_told_then_or_never() {
    // Second 401 is 03:06:41.
    let office = Route { schedule: Some(open("03:30", "04:00")), ..route(&["mail"]) };
    let mut world = silent_b4(site(vec![office.clone()]));
    assert_eq!(world.told(), [] as [&str; 0]);
    world.go_on(1799);
    assert_eq!(world.told(), [] as [&str; 0]);
    world.go_on(1800);
    assert_eq!(world.told(), ["mail NOK"]);
    world.hear("b4", 5000);
    world.others(5000);
    world.look(5000);
    assert_eq!(world.told(), ["mail OK"], "the recovery does not wait for the schedule");
    let mut world = silent_b4(site(vec![office]));
    for second in [500, 800, 1100, 1400, 1700, 1900] {
        world.others(second);
        world.hear("b4", second);
        world.look(second);
        world.tick(second);
    }
    assert_eq!(world.told(), [] as [&str; 0], "nobody had the alarm, so nobody hears of its end");
}

#[test]
fn a_silence_stops_the_alarm_but_not_the_judging_nor_the_recovery() {
    let silence = |from, until| Order::Silence {
        silenced: Silenced { checkers: set(&["b4"]), ..Silenced::default() },
        from: at(from),
        until: at(until),
        by: "Anna".into(),
        note: None,
    };
    let mut world = World::new(site(vec![route(&["mail"])]));
    world.engine.obey(&silence(0, 1000), at(0)).unwrap();
    ["b1", "b2", "b3", "b4"].iter().for_each(|name| world.hear(name, 0));
    world.look(0);
    world.others(390);
    world.look(DEADLINE + 1);
    assert_eq!(world.state("b4", DEADLINE + 1), State::Silent);
    assert_eq!(world.told(), [] as [&str; 0]);
    world.restart(site(vec![route(&["mail"])]), 600);
    world.go_on(999);
    assert_eq!(world.told(), [] as [&str; 0]);
    world.go_on(1000);
    assert_eq!(world.told(), ["mail NOK"], "the silence is over and the trouble is not");
    world.engine.obey(&silence(1001, 9000), at(1001)).unwrap();
    world.hear("b4", 1100);
    world.look(1100);
    assert_eq!(world.told(), ["mail OK"]);
    let unknown = Order::Silence {
        silenced: Silenced { services: set(&["SQ"]), ..Silenced::default() },
        from: at(1100),
        until: at(1200),
        by: "Anna".into(),
        note: None,
    };
    assert_eq!(
        world.engine.obey(&unknown, at(1100)).unwrap_err(),
        "There is no service SQ in the configuration."
    );
}

#[test]
fn recurring_maintenance_silences_and_a_silence_that_is_ended_lets_the_alarm_out() {
    let mut maintained = site(vec![]);
    maintained.channels.truncate(1);
    let silenced = Silenced { providers: set(&["sfr"]), ..Silenced::default() };
    maintained.policies.maintenance =
        vec![Maintenance { silenced: silenced.clone(), schedule: open("03:00", "03:20") }];
    let mut world = silent_b4(maintained);
    let by_hand =
        Order::Silence { silenced, from: at(500), until: at(90_000), by: "Anna".into(), note: None };
    world.engine.obey(&by_hand, at(500)).unwrap();
    world.go_on(1300);
    assert_eq!(world.told(), [] as [&str; 0]);
    world.engine.obey(&Order::EndSilence { id: 1, by: "Anna".into() }, at(1300)).unwrap();
    world.deliver(1300);
    assert_eq!(world.told(), ["mail NOK"]);
}

#[test]
fn a_channel_says_for_itself_whether_it_repeats() {
    let mut site = site(vec![]);
    site.channels[0].repeat = Some(true);
    site.channels[1].repeat = Some(false);
    let mut world = silent_b4(site);
    assert_eq!(world.told(), ["mail NOK", "phone NOK", "boss NOK"]);
    world.go_on(401 + 899);
    assert_eq!(world.told(), [] as [&str; 0]);
    world.go_on(401 + 900);
    assert_eq!(world.told(), ["mail again"]);
}

#[derive(Debug, Clone)]
enum Deed {
    Hear(usize),
    Nok(usize),
    Wait(i64),
    Take(u64, i64),
    Resolve(u64),
    Silence(usize, i64),
    Drill(usize),
    Press(usize),
    Restart,
}

fn deed() -> impl Strategy<Value = Deed> {
    prop_oneof![
        6 => (0..4_usize).prop_map(Deed::Hear),
        2 => (0..4_usize).prop_map(Deed::Nok),
        6 => (1..900_i64).prop_map(Deed::Wait),
        1 => (1..6_u64, 10..2_000_i64).prop_map(|(number, span)| Deed::Take(number, span)),
        1 => (1..6_u64).prop_map(Deed::Resolve),
        1 => (0..4_usize, 10..2_000_i64).prop_map(|(checker, span)| Deed::Silence(checker, span)),
        1 => (0..4_usize).prop_map(Deed::Drill),
        1 => (0..3_usize).prop_map(Deed::Press),
        1 => Just(Deed::Restart),
    ]
}

const NAMES: [&str; 4] = ["b1", "b2", "b3", "b4"];
const CHANNELS: [&str; 3] = ["mail", "phone", "boss"];

fn do_it(world: &mut World, deed: &Deed, site: &Config, now: &mut i64) {
    let by = || "Anna".to_owned();
    let order = match deed {
        Deed::Hear(checker) => {
            world.hear(NAMES[*checker], *now);
            None
        }
        Deed::Nok(checker) => {
            world.report(NAMES[*checker], *now, "DRYRUN.OK SQL.NOK SHOP.OK");
            None
        }
        Deed::Wait(seconds) => {
            *now += seconds;
            None
        }
        Deed::Take(number, span) => Some(Order::Acknowledge {
            incident: number.to_string(),
            by: by(),
            until: Some(at(*now + span)),
            note: None,
            channel: None,
        }),
        Deed::Resolve(number) => Some(Order::Resolve { incident: number.to_string(), by: by(), note: None }),
        Deed::Silence(checker, span) => Some(Order::Silence {
            silenced: Silenced { checkers: set(&[NAMES[*checker]]), ..Silenced::default() },
            from: at(*now),
            until: at(*now + span),
            by: by(),
            note: None,
        }),
        Deed::Drill(channel) => {
            Some(Order::Drill { channel: CHANNELS.get(*channel).map(|name| (*name).to_owned()), by: by() })
        }
        Deed::Press(channel) => Some(Order::Acknowledge {
            incident: "MONITOR_Drill".into(),
            by: by(),
            until: None,
            note: None,
            channel: Some(CHANNELS[*channel].to_owned()),
        }),
        Deed::Restart => {
            world.restart(site.clone(), *now);
            None
        }
    };
    if let Some(order) = order {
        let _ = world.engine.obey(&order, at(*now));
    }
    world.look(*now);
    world.tick(*now);
    *now += 1;
}

proptest! {
    /// What each channel hears of each token: an alarm first, and one recovery for as long as an alarm stands.
    #[test]
    fn every_alarm_gets_exactly_one_recovery_per_channel_that_had_it(deeds in proptest::collection::vec(deed(), 1..60)) {
        let step = Escalation { after: TimeDelta::seconds(600), channels: set(&["phone"]) };
        let by_day = Route {
            schedule: Some(open("03:10", "03:40")),
            repeat: Some(TimeDelta::seconds(300)),
            escalations: vec![step],
            ..route(&["mail"])
        };
        let site = site(vec![Route { goes_on: true, ..by_day }, route(&["boss"])]);
        let mut world = World::new(site.clone());
        let mut now = 1;
        deeds.iter().for_each(|deed| do_it(&mut world, deed, &site, &mut now));
        // All is well again: what is open ends.
        for _ in 0..8 {
            NAMES.iter().for_each(|name| world.hear(name, now));
            world.look(now);
            world.tick(now);
            now += 300;
        }
        prop_assert_eq!(world.engine.open_incidents().count(), 0);
        let mut standing: BTreeMap<(String, String), bool> = BTreeMap::new();
        for letter in &world.letters {
            let alarmed = standing.entry((letter.channel.clone(), letter.token.clone())).or_default();
            let text = format!("{}{}", letter.subject, letter.body).to_lowercase();
            match letter.kind {
                Kind::Alarm => *alarmed = true,
                Kind::Recovery => {
                    prop_assert!(*alarmed, "a recovery without an alarm: {} to {}", letter.subject, letter.channel);
                    *alarmed = false;
                    prop_assert!(!text.contains("nok"), "{}", text);
                }
                Kind::Notice => prop_assert!(!text.contains("nok"), "{}", text),
            }
        }
        for ((channel, token), alarmed) in standing {
            prop_assert!(!alarmed, "{} never heard that {} is over", channel, token);
        }
    }
}
