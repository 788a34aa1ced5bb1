//! Many fall silent one after another: what is worked out of each look's news alone is what would be worked out anew, and
//! what is stored bit by bit is what a restart finds.

use proptest::prelude::*;

use super::trail::{bounce, in_junk};
use super::*;
use crate::fullness::{Fullness, Source, Usage};
use crate::incident::Subject;
use crate::orders::Order;

/// More are not asked one by one after each look.
const CHECKED_MAX: usize = 50;

impl World {
    /// Why those are silent who are, as it was told and as it would be worked out anew.
    pub(super) fn check_reasons(&self, second: i64) {
        if self.engine.config().checkers.len() > CHECKED_MAX {
            return;
        }
        let companies = self.engine.companies();
        for incident in self.engine.open_about(&Subject::Silence) {
            for (name, _) in incident.present() {
                let cause = self.engine.cause(name, &companies, at(second));
                let told = self.reasons.get(name).copied();
                assert_eq!(told, cause.map(|cause| cause.reason), "{name} in second {second}");
            }
            let cause = self.engine.cause_of(incident, at(second)).map(|cause| cause.reason);
            let told = incident.cause.as_ref().map(|cause| cause.reason);
            assert_eq!(told, cause, "{} in second {second}", incident.id());
        }
    }
}

fn name(number: usize) -> String {
    format!("bresse{number}")
}

/// Three of each provider.
fn fleet(checkers: usize) -> Config {
    let provider = |number: usize| ["free", "orange", "sfr"][number / 3 % 3];
    let checkers = (0..checkers).map(|number| checker_config(&name(number), provider(number))).collect();
    Config { checkers, ..config() }
}

#[derive(Debug, Clone)]
enum Deed {
    /// All of those whose bit is set.
    Hear(u16),
    Junk(usize),
    Bounce(usize, bool),
    Full(bool),
    Wait(i64),
    Resolve(usize),
    Restart,
}

fn deed() -> impl Strategy<Value = Deed> {
    prop_oneof![
        6 => any::<u16>().prop_map(Deed::Hear),
        2 => (0..9_usize).prop_map(Deed::Junk),
        1 => (0..9_usize, any::<bool>()).prop_map(|(checker, delayed)| Deed::Bounce(checker, delayed)),
        1 => any::<bool>().prop_map(Deed::Full),
        8 => (1..400_i64).prop_map(Deed::Wait),
        1 => (0..3_usize).prop_map(Deed::Resolve),
        1 => Just(Deed::Restart),
    ]
}

fn obey(world: &mut World, deed: &Deed, now: &mut i64) {
    match deed {
        Deed::Hear(those) => {
            (0..9).filter(|bit| those >> bit & 1 == 1).for_each(|bit| world.hear(&name(bit), *now));
        }
        Deed::Junk(checker) => world.engine.observe(&in_junk(&name(*checker), *now)),
        Deed::Bounce(checker, delayed) => world.engine.observe(&bounce(&name(*checker), *now, *delayed)),
        Deed::Full(full) => {
            let storage = Usage::new(if *full { 100 } else { 50 }, 100, Source::Quota);
            world.engine.measured("MONITOR", Fullness::new(at(*now), storage, None));
        }
        Deed::Wait(seconds) => *now += seconds,
        Deed::Resolve(which) => {
            let open = world.engine.open_incidents().nth(*which).map(Incident::id);
            open.into_iter().for_each(|id| {
                let order = Order::Resolve { incident: id, by: "Anna".into(), note: None };
                let _ = world.engine.obey(&order, at(*now));
            });
        }
        Deed::Restart => world.restart(fleet(9), *now),
    }
    world.look(*now);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn the_reasons_are_what_they_would_be_if_all_were_worked_out_anew(
        deeds in proptest::collection::vec(deed(), 1..80)
    ) {
        let (mut world, mut now) = (World::new(fleet(9)), 0);
        deeds.iter().for_each(|deed| obey(&mut world, deed, &mut now));
    }
}

const MANY: usize = 400;

/// One falls silent every second from [`DEADLINE`] on.
fn falling() -> World {
    let mut world = World::new(fleet(MANY));
    (0..MANY).for_each(|number| world.hear(&name(number), i64::try_from(number).unwrap()));
    world.look(i64::try_from(MANY).unwrap());
    world
}

fn members(incidents: &[Incident]) -> usize {
    incidents.iter().map(|incident| incident.members.len()).sum()
}

#[test]
fn an_incident_that_many_join_is_not_stored_at_each_of_them_and_a_restart_finds_them_all() {
    let mut world = falling();
    let (mut written, mut before) = (0, 0);
    for second in DEADLINE + 1..=DEADLINE + 300 {
        world.look(second);
        written += usize::from(members(&world.disk.incidents) != before);
        before = members(&world.disk.incidents);
    }
    let silent = world.engine.facts().values().filter(|facts| facts.silent.is_some()).count();
    assert_eq!((silent, world.engine.open_incidents().count()), (300, 1));
    assert!(before < 300 && before * 5 / 4 >= 299, "{before} are written");
    assert!(written < 60, "it was written {written} times");
    let known = world.engine.open_incidents().next().unwrap().clone();
    world.revive(fleet(MANY), DEADLINE + 301);
    assert_eq!(world.engine.open_incidents().collect::<Vec<_>>(), [&known]);
    world.deliver(DEADLINE + 301);
    assert_eq!(members(&world.disk.incidents), 300, "they are written then");
}

#[test]
fn the_last_who_joined_is_stored_when_nobody_joins_any_more() {
    let mut world = falling();
    (DEADLINE + 1..=DEADLINE + 20).for_each(|second| world.look(second));
    // They still may fall silent with the others.
    (100..MANY).for_each(|number| world.hear(&name(number), DEADLINE + 20));
    (DEADLINE + 21..=DEADLINE + 100).for_each(|second| world.look(second));
    assert!(members(&world.disk.incidents) < 100);
    world.look(DEADLINE + 109);
    assert!(members(&world.disk.incidents) < 100);
    world.look(DEADLINE + 110);
    assert_eq!(members(&world.disk.incidents), 100);
}
