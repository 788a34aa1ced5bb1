use super::*;
use crate::config::{Checker, Test};
use crate::ledger::{Deadline, Facts, MarginBy, Observation};
use crate::report::{Said, Understood};
use chrono::{TimeZone, Utc};
use proptest::prelude::*;

const CYCLE: i64 = 300;
const DAY: i64 = 288;

fn at(second: i64) -> Time {
    Utc.with_ymd_and_hms(2026, 11, 20, 0, 0, 0).unwrap() + TimeDelta::seconds(second)
}

fn auto(floor: i64, ceiling: i64) -> Margin {
    Margin::Measured { floor: TimeDelta::seconds(floor), ceiling: TimeDelta::seconds(ceiling) }
}

fn checker(margin: Margin) -> Checker {
    Checker {
        name: "bresse1".into(),
        provider: "free".into(),
        addresses: vec!["bresse1+monitor@domain.com".into()],
        tests: vec![Test { service: "SQL".into(), timeout: TimeDelta::seconds(40), ..Test::default() }],
        cycle: TimeDelta::seconds(CYCLE),
        mail_path_margin: margin,
        missed_cycles: 1,
        nok_after: 1,
        ok_after: 1,
        findings: crate::config::Findings::default(),
        flap: None,
        trust: None,
    }
}

fn fixed() -> Checker {
    checker(Margin::Fixed(TimeDelta::seconds(60)))
}

/// A mail by `free` and `mx`, with a clock that is right.
#[derive(Debug, Clone)]
struct Mail {
    left: i64,
    /// From the checker to `free`, on to `mx`, and into the mailbox.
    took: [i64; 3],
    /// Of the checker, ahead.
    clock: i64,
    /// Stamps that are wrong: the hop (0 is `free`), and by how much.
    wrong: Option<(usize, i64)>,
}

impl Mail {
    fn run(number: i64) -> Self {
        Self { left: number * CYCLE, took: [1, 2, 0], clock: 0, wrong: None }
    }

    fn received(&self) -> i64 {
        self.left + self.took.iter().sum::<i64>()
    }

    fn chain(&self) -> Vec<Hop> {
        let hop = |from: &str, by: &str, second| Hop {
            from: Some(from.into()),
            by: Some(by.into()),
            at: Some(at(second)),
        };
        let [first, second, _] = self.took;
        let mut chain = vec![
            hop("smtp.free.fr", "mx.domain.com", self.left + first + second),
            hop("bresse1.lan", "smtp.free.fr", self.left + first),
        ];
        if let Some((hop, by)) = self.wrong {
            chain.reverse();
            chain[hop].at = chain[hop].at.map(|at| at + TimeDelta::seconds(by));
            chain.reverse();
        }
        chain
    }

    fn observation(&self) -> Observation {
        self.with_chain(self.chain())
    }

    fn with_chain(&self, received: Vec<Hop>) -> Observation {
        Observation {
            mailbox: "MONITOR".into(),
            received: at(self.received()),
            seen: at(self.received() + 1),
            mail: Understood {
                checker: Some("bresse1".into()),
                not_heard: None,
                dryrun_late: false,
                sent: Some(at(self.left + self.clock)),
                dryrun: Some(Said::Ok),
                results: [("SQL".to_owned(), Said::Ok)].into(),
                unknown: [].into(),
                undelivered: None,
                truncated: false,
                problems: vec![],
                run: None,
                examined: Default::default(),
                received,
            },
        }
    }
}

/// As after a look that read these mails in this order.
fn after<'a>(checker: &Checker, mails: impl IntoIterator<Item = &'a Mail>) -> Facts {
    let (mut facts, mut until) = (Facts::new(checker), 0);
    for mail in mails {
        facts.observe(&mail.observation());
        until = until.max(mail.received());
    }
    facts.settle(Some(at(until)));
    facts
}

fn between(part: &Part) -> String {
    let hop = SlowHop { from: part.from.clone(), by: part.by.clone(), took: part.latencies.max };
    hop.to_string()
}

fn runs(numbers: std::ops::Range<i64>) -> Vec<Mail> {
    numbers.map(Mail::run).collect()
}

fn offset(facts: &Facts) -> (i64, i64) {
    let clock = facts.clock_offset().unwrap();
    (clock.offset.num_seconds(), clock.uncertainty.num_seconds())
}

fn hop(facts: &Facts) -> String {
    let hop = facts.held().expect("a mail was held").hop;
    hop.map_or("nowhere".to_owned(), |hop| format!("{hop}: {}", hop.took.num_seconds()))
}

#[test]
fn a_clock_hours_off_is_known_to_the_second_from_three_mails_on() {
    for clock in [-10_800, -90, 0, 10_800] {
        let mails: Vec<Mail> = runs(0..8)
            .into_iter()
            .map(|mail| Mail { clock, took: [1 + mail.left / CYCLE % 3, 4, 1], ..mail })
            .collect();
        assert_eq!(after(&fixed(), &mails[..2]).clock_offset(), None);
        for read in 3..=8 {
            let (found, uncertainty) = offset(&after(&fixed(), &mails[..read]));
            assert!((found - clock).abs() <= uncertainty && uncertainty <= 7, "{found} ± {uncertainty}");
        }
    }
}

#[test]
fn a_clock_that_was_set_is_measured_anew_after_some_cycles() {
    let mut mails = runs(0..20);
    mails.iter_mut().skip(12).for_each(|mail| mail.clock = 7_200);
    assert_eq!(offset(&after(&fixed(), &mails[..12])).0, -1);
    assert_eq!(offset(&after(&fixed(), &mails[..17])).0, 7_199);
}

#[test]
fn the_stamps_of_the_checkers_own_computer_do_not_hide_its_clock() {
    let mails = runs(0..8).into_iter().map(|mail| Mail { clock: -10_800, ..mail });
    let mut facts = Facts::new(&fixed());
    for mail in mails {
        let mut chain = mail.chain();
        let own = |from: Option<&str>| Hop {
            from: from.map(str::to_owned),
            by: Some("bresse1.lan".into()),
            at: Some(at(mail.left + mail.clock)),
        };
        chain.extend([own(Some("localhost")), own(None)]);
        facts.observe(&mail.with_chain(chain));
    }
    facts.settle(Some(at(3_000)));
    let (found, uncertainty) = offset(&facts);
    assert!((found + 10_800).abs() <= uncertainty && uncertainty <= 4, "{found} ± {uncertainty}");
}

#[test]
fn forged_and_wrong_stamps_poison_neither_the_clock_nor_what_is_usual() {
    let good = after(&fixed(), &runs(0..8));
    for wrong in [-1_000_000_000, -86_400, -600, 600, 86_400, 1_000_000_000] {
        for hop in [0, 1] {
            let mut mails = runs(0..8);
            mails.iter_mut().step_by(2).for_each(|mail| mail.wrong = Some((hop, wrong)));
            assert_eq!(offset(&after(&fixed(), &mails)).0, offset(&good).0, "{wrong} at {hop}");
        }
    }
    let mut mails = runs(0..8);
    mails.extend([
        Mail { clock: 1_000_000_000, ..Mail::run(8) },
        Mail { clock: -1_000_000_000, ..Mail::run(9) },
    ]);
    assert_eq!(offset(&after(&fixed(), &mails)).0, offset(&good).0);
}

#[test]
fn the_hop_where_a_mail_was_held_is_named() {
    for (took, expected) in [
        ([1, 602, 0], "smtp.free.fr → mx.domain.com: 602"),
        ([600, 2, 0], "the checker → smtp.free.fr: 599"),
        ([1, 2, 600], "mx.domain.com → the mailbox: 600"),
        ([300, 602, 100], "smtp.free.fr → mx.domain.com: 602"),
    ] {
        let mut mails = runs(0..8);
        mails.push(Mail { took, ..Mail::run(8) });
        let facts = after(&fixed(), &mails);
        assert_eq!(hop(&facts), expected);
        let held = facts.held().unwrap();
        assert_eq!(held.received, at(mails[8].received()));
        assert!(held.held >= TimeDelta::seconds(598), "{held:?}");
    }
    assert_eq!(after(&fixed(), &runs(0..9)).held(), None);
}

#[test]
fn a_queue_that_was_released_is_told_by_its_newest_mail_until_some_came_straight() {
    let mut mails = runs(0..8);
    // Held from run 8 to run 10, released together.
    mails.extend((8..11).map(|run| Mail { took: [1, 3_300 - run * CYCLE + run, 0], ..Mail::run(run) }));
    let facts = after(&fixed(), &mails);
    assert_eq!(facts.held().unwrap().received, at(mails[10].received()));
    assert_eq!(hop(&facts), "smtp.free.fr → mx.domain.com: 310");
    mails.extend(runs(12..20));
    assert_eq!(after(&fixed(), &mails).held(), None);
}

#[test]
fn a_hop_that_is_always_slow_or_whose_clock_is_wrong_is_not_blamed() {
    let slow = |mail: Mail| Mail { took: [1, 2, 90], ..mail };
    let mut mails: Vec<Mail> = runs(0..8).into_iter().map(slow).collect();
    mails.push(Mail { took: [1, 82, 90], ..Mail::run(8) });
    assert_eq!(hop(&after(&fixed(), &mails)), "smtp.free.fr → mx.domain.com: 82");

    for wrong in [-10_800, -300, 300, 10_800] {
        for relay in [0, 1] {
            let mut mails: Vec<Mail> =
                runs(0..8).into_iter().map(|mail| Mail { wrong: Some((relay, wrong)), ..mail }).collect();
            mails.push(Mail { took: [400, 2, 0], wrong: Some((relay, wrong)), ..Mail::run(8) });
            let told = hop(&after(&fixed(), &mails));
            let by_the_stamps = wrong == -300 && relay == 0;
            let expected = if by_the_stamps { "nowhere" } else { "the checker → " };
            assert!(told.starts_with(expected), "{wrong} at {relay}: {told}");
        }
    }
}

#[test]
fn names_of_hosts_are_cut_and_a_chain_without_names_is_told() {
    let mut mails = runs(0..9);
    mails[8].took = [1, 602, 0];
    let mut facts = Facts::new(&fixed());
    for mail in &mails {
        let chain = mail.chain().into_iter().map(|hop| Hop { from: None, by: None, at: hop.at }).collect();
        facts.observe(&mail.with_chain(chain));
    }
    facts.settle(Some(at(10_000)));
    assert_eq!(hop(&facts), "an unnamed host → an unnamed host: 600");

    let mut facts = Facts::new(&fixed());
    for mail in &mails {
        let long = |hop: Hop| Hop { by: hop.by.map(|by| format!("{}\u{1b}.{by}", "x".repeat(200))), ..hop };
        facts.observe(&mail.with_chain(mail.chain().into_iter().map(long).collect()));
    }
    facts.settle(Some(at(10_000)));
    let by = facts.held().unwrap().hop.unwrap().by.unwrap();
    assert_eq!(by.chars().count(), HOST_CHARS_MAX + 1);
}

fn margin(facts: &Facts) -> (i64, MarginBy) {
    (facts.deadline.margin_ms / 1000, facts.deadline.margin_by)
}

#[test]
fn the_margin_follows_the_path_between_its_bounds() {
    let slow_now_and_then = |mail: Mail| {
        let slow = mail.left / CYCLE % 40 == 0;
        Mail { took: [1, if slow { 50 } else { 2 }, 0], ..mail }
    };
    let mails: Vec<Mail> = runs(0..2 * DAY).into_iter().map(slow_now_and_then).collect();
    for (bounds, read, expected) in [
        (auto(30, 600), 99, (60, MarginBy::Default)),
        (auto(90, 600), 99, (90, MarginBy::Default)),
        (auto(10, 20), 99, (20, MarginBy::Default)),
        (auto(30, 600), mails.len(), (180, MarginBy::Measurement)),
        (auto(30, 100), mails.len(), (100, MarginBy::Measurement)),
        (auto(240, 600), mails.len(), (240, MarginBy::Measurement)),
    ] {
        assert_eq!(margin(&after(&checker(bounds), &mails[..read])), expected, "{bounds:?} {read}");
    }
    let quick = runs(0..DAY);
    assert_eq!(margin(&after(&checker(auto(0, 600)), &quick)), (10, MarginBy::Measurement));
    let off = quick.into_iter().map(|mail| Mail { clock: -10_800, ..mail }).collect::<Vec<_>>();
    assert_eq!(margin(&after(&checker(auto(0, 600)), &off)), (10, MarginBy::Measurement));
    assert_eq!(margin(&after(&fixed(), &mails)), (60, MarginBy::Configuration));
}

#[test]
fn nothing_is_measured_before_all_of_the_history_was_read() {
    let mut facts = Facts::new(&checker(auto(30, 600)));
    runs(0..DAY).iter().for_each(|mail| facts.observe(&mail.observation()));
    facts.settle(None);
    assert_eq!(margin(&facts).1, MarginBy::Default);
    facts.settle(Some(at(DAY * CYCLE)));
    assert_eq!(margin(&facts).1, MarginBy::Measurement);
}

#[test]
fn a_changed_margin_does_not_judge_anew_what_was_heard_before() {
    let mut facts = after(&checker(auto(10, 600)), &runs(0..99));
    let before = (facts.heard_at(), facts.deadline_in_force().total());
    assert_eq!(before.1, TimeDelta::seconds(400));
    let last = Mail::run(99);
    facts.observe(&last.observation());
    facts.settle(Some(at(last.received())));
    assert_eq!(margin(&facts), (10, MarginBy::Measurement));
    assert_eq!(facts.deadline_in_force().total(), TimeDelta::seconds(400), "as long as nothing newer came");
    let next = Mail::run(100);
    facts.observe(&next.observation());
    facts.settle(Some(at(next.received())));
    assert_eq!(facts.deadline_in_force().total(), TimeDelta::seconds(350));
}

#[test]
fn a_mail_that_was_held_by_the_margin_of_its_time_proves_no_more_when_the_margin_grows() {
    let mut facts = after(&checker(auto(10, 600)), &runs(0..100));
    assert_eq!(margin(&facts), (10, MarginBy::Measurement));
    for run in 100..103 {
        facts.observe(&Mail { took: [1, 100, 0], ..Mail::run(run) }.observation());
    }
    facts.settle(Some(at(102 * CYCLE + 101)));
    assert_eq!(margin(&facts), (450, MarginBy::Measurement));
    assert_eq!(facts.heard_at(), Some(at(102 * CYCLE + 1)), "when it left the first relay");
    assert_eq!(facts.held().unwrap().held, TimeDelta::seconds(100));
    assert_eq!(hop(&facts), "smtp.free.fr → mx.domain.com: 100");
}

#[test]
fn a_deadline_that_is_over_does_not_come_back_with_the_next_change() {
    let fixed = |seconds| checker(Margin::Fixed(TimeDelta::seconds(seconds)));
    let mut facts = Facts::new(&fixed(600));
    for (run, margin) in [(0, 60), (1, 30)] {
        let mail = Mail::run(run);
        facts.observe(&mail.observation());
        facts.settle(Some(at(mail.received())));
        facts.reconfigure(&fixed(margin), at(mail.received()));
    }
    assert_eq!(facts.deadline_in_force().total(), TimeDelta::seconds(400));
}

#[test]
fn another_configuration_keeps_what_was_measured_within_its_bounds() {
    let mut facts = after(&checker(auto(0, 600)), &runs(0..DAY));
    facts.reconfigure(&checker(auto(30, 600)), at(DAY * CYCLE));
    assert_eq!(margin(&facts), (30, MarginBy::Measurement));
    facts.reconfigure(&fixed(), at(DAY * CYCLE));
    assert_eq!(margin(&facts), (60, MarginBy::Configuration));
    facts.reconfigure(&checker(auto(0, 600)), at(DAY * CYCLE));
    assert_eq!(margin(&facts), (60, MarginBy::Default));
    facts.settle(Some(at(DAY * CYCLE)));
    assert_eq!(margin(&facts), (10, MarginBy::Measurement));
}

#[test]
fn the_margin_of_a_moment_in_the_past_is_remembered() {
    let known = after(&checker(auto(0, 600)), &runs(0..DAY));
    let mut then = Facts::new(&checker(auto(0, 600)));
    then.recall_margin(&known, at(0));
    assert_eq!(margin(&then), (60, MarginBy::Default), "before it was measured");
    then.recall_margin(&known, at(DAY * CYCLE));
    runs(0..DAY).iter().step_by(2).for_each(|mail| then.observe(&mail.observation()));
    then.settle(Some(at(DAY * CYCLE)));
    assert_eq!(then.deadline, known.deadline);
}

#[test]
fn what_is_remembered_is_small_whoever_writes() {
    let size = |facts: &Facts| serde_json::to_string(&facts.path).unwrap().len();
    let mut facts = Facts::new(&checker(auto(30, 600)));
    for mail in runs(0..8 * DAY) {
        facts.observe(&Mail { took: [1, 2 + mail.left / CYCLE % 5, 0], ..mail }.observation());
    }
    facts.settle(Some(at(8 * DAY * CYCLE)));
    assert!(size(&facts) < 2_000, "{}", size(&facts));

    let mut hostile = Facts::new(&checker(auto(30, 600)));
    for (number, mail) in (0..).zip(runs(0..2_000)) {
        let hops = (0..100).map(|hop| Hop {
            from: Some("y".repeat(255)),
            by: Some(format!("{}{number}.{hop}", "x".repeat(240))),
            at: Some(at(mail.left - hop * number)),
        });
        let clock = (number * 7_919 % 1_000_003) * 1_000;
        hostile.observe(&Mail { clock, ..mail }.with_chain(hops.collect()));
    }
    hostile.settle(Some(at(2_000 * CYCLE)));
    assert!(size(&hostile) < 30_000, "{}", size(&hostile));
}

#[test]
fn the_table_shows_each_part_of_the_way_and_all_of_it() {
    let mut mails: Vec<Mail> = runs(0..200)
        .into_iter()
        .map(|mail| Mail { took: [1, 2 + mail.left / CYCLE % 3, 1], clock: -10_800, ..mail })
        .collect();
    mails.iter_mut().skip(120).for_each(|mail| mail.clock = 55);
    mails[50].took = [1, 600, 0];
    mails[60].took = [700, 2, 0];
    let chains: Vec<Vec<Hop>> = mails.iter().map(Mail::chain).collect();
    let mut journeys: Vec<Journey<'_>> = mails
        .iter()
        .zip(&chains)
        .map(|(mail, chain)| Journey { arrival: Arrival::of(&mail.observation()), chain })
        .collect();
    journeys.reverse();
    let table = table(journeys, TimeDelta::seconds(CYCLE)).unwrap();
    let shown = |took: &Latencies| {
        let seconds = [took.now, took.median, took.p99, took.max].map(|took| took.num_seconds());
        format!("{} mails {seconds:?}", took.mails)
    };
    let mut lines: Vec<String> =
        table.parts.iter().map(|part| format!("{}: {}", between(part), shown(&part.latencies))).collect();
    lines.push(shown(&table.whole));
    insta::assert_snapshot!(lines.join("\n"));
}

#[test]
fn the_hosts_of_one_provider_are_one_part() {
    let hop = |from: String, by: String, second| Hop { from: Some(from), by: Some(by), at: Some(at(second)) };
    let mails = runs(0..30);
    let chains: Vec<Vec<Hop>> = (0..)
        .zip(&mails)
        .map(|(number, mail)| {
            let host = |name: &str| format!("{name}{number}.prod.outlook.com");
            vec![
                hop(host("PR3"), host("DB9"), mail.left + 3),
                hop(host("AM7"), host("PR3"), mail.left + 2),
                hop("smtp.free.fr".into(), host("AM7"), mail.left + 1),
            ]
        })
        .collect();
    let journeys = mails.iter().zip(&chains).map(|(mail, chain)| Journey {
        arrival: Arrival::new(at(mail.received()), Some(at(mail.left)), chain),
        chain,
    });
    let parts = table(journeys.collect(), TimeDelta::seconds(CYCLE)).unwrap().parts;
    let names: Vec<String> = parts.iter().map(between).collect();
    assert_eq!(
        names,
        ["the checker → *.outlook.com", "*.outlook.com → *.outlook.com", "*.outlook.com → the mailbox"]
    );
    assert_eq!(parts[1].latencies.max, TimeDelta::seconds(2));
}

#[test]
fn how_often_a_path_was_too_slow_counts_a_released_queue_once() {
    let mut mails = runs(0..100);
    for mail in &mut mails[10..22] {
        mail.took = [1, 22 * CYCLE - mail.left, 0];
    }
    mails[50].took = [1, 90, 0];
    let arrivals: Vec<Arrival> = mails.iter().map(|mail| Arrival::of(&mail.observation())).collect();
    let slower =
        |margin| slower_than(TimeDelta::seconds(margin), arrivals.clone(), TimeDelta::seconds(CYCLE));
    let (margin, long) = (slower(60), slower(600));
    assert_eq!((margin.moments, margin.slow, long.slow), (88, 1, 0));
    assert_eq!(margin.slowest, TimeDelta::seconds(90));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn the_order_of_reading_changes_nothing(
        mails in proptest::collection::vec((0_i64..3, 0_i64..4, 0_usize..40), 5..150),
        clock in -20_000_i64..20_000,
        seed in any::<u64>(),
    ) {
        let mut mails: Vec<Mail> = (0..)
            .zip(mails)
            .map(|(run, (first, second, fate))| {
                let mut mail = Mail { took: [first, second, 0], clock, ..Mail::run(run) };
                match fate {
                    0 => mail.took[1] = 700,
                    1 => mail.took[0] = 700,
                    2 => mail.wrong = Some((0, 1_000_000)),
                    3 => mail.wrong = Some((1, -700)),
                    _ => {}
                }
                mail
            })
            .collect();
        let told = |mails: &[Mail]| {
            let facts = after(&checker(auto(5, 600)), mails);
            (facts.held(), facts.clock_offset(), facts.deadline, facts.heard_at())
        };
        let forward = told(&mails);
        fastrand::Rng::with_seed(seed).shuffle(&mut mails);
        prop_assert_eq!(told(&mails), forward);
    }
}

#[test]
fn before_anything_was_measured_the_sum_says_so() {
    let facts = Facts::new(&checker(auto(30, 600)));
    assert_eq!(facts.deadline, Deadline { margin_by: MarginBy::Default, ..Deadline::of(&fixed()) });
}
