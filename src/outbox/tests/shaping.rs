//! Paces, and what goes together.

use proptest::prelude::*;

use super::*;
use crate::config::Rate;

fn paced(messages: usize, per: i64) -> Channel {
    Channel { rate: Some(Rate { messages, per: TimeDelta::seconds(per) }), ..channel("mail", 0) }
}

fn combining(channel: Channel) -> Channel {
    Channel { combine: true, ..channel }
}

/// The numbers of what is taken, by attempt.
fn attempts(outbox: &mut Outbox, channel: &Channel, second: i64) -> Vec<Vec<u64>> {
    let taken = outbox.take_due(std::slice::from_ref(channel), at(second));
    taken.iter().map(|parts| parts.iter().map(|message| message.id).collect()).collect()
}

fn alarms(numbers: std::ops::RangeInclusive<u64>) -> Vec<Message> {
    numbers.map(|id| message(id, &format!("i{id}"), "a")).collect()
}

#[test]
fn half_of_a_rate_goes_at_once_and_the_rest_is_spread() {
    let channel = paced(10, 3_600);
    let mut outbox = outbox(&alarms(1..=100));
    let mut tried = vec![];
    let mut second = 0;
    while second <= 7_200 {
        for attempt in attempts(&mut outbox, &channel, second) {
            outbox.accepted(attempt[0]);
            tried.push(second / 60);
        }
        let next = outbox.next_due(std::slice::from_ref(&channel)).unwrap();
        second = if next <= at(second) { second } else { (next - at(0)).num_seconds() };
    }
    assert_eq!(tried, [0, 0, 0, 0, 0, 10, 20, 30, 40, 50, 60, 70, 80, 90, 100, 110, 120]);
}

#[test]
fn a_rate_of_one_and_of_two_can_be_used_up() {
    for (messages, expected) in [(1, vec![0, 60, 120]), (2, vec![0, 30, 60, 90, 120])] {
        let (channel, mut pace) = (paced(messages, 3_600), Pace::default());
        let tried: Vec<i64> = (0..=120)
            .filter(|minute| {
                let now = at(minute * 60);
                let may = pace.next(&channel).is_none_or(|next| next <= now);
                if may {
                    pace.note(&channel, now);
                }
                may
            })
            .collect();
        assert_eq!(tried, expected);
    }
}

#[test]
fn what_fails_counts_and_a_restart_does_not_make_it_forgotten() {
    let channel = paced(2, 600);
    let mut first = outbox(&alarms(1..=1));
    assert_eq!(attempts(&mut first, &channel, 0), [[1]]);
    first.failed(1, failure("451"), at(0));
    assert_eq!(first.next_due(std::slice::from_ref(&channel)), Some(at(300)));
    let paces = BTreeMap::from([("mail".to_owned(), first.pace("mail").unwrap().clone())]);
    let messages: Vec<Message> = first.iter().cloned().collect();
    let mut second = Outbox::restore(messages, paces, at(1));
    assert_eq!(attempts(&mut second, &channel, 299), [[0_u64; 0]; 0]);
    assert_eq!(attempts(&mut second, &channel, 300), [[1]]);
}

#[test]
fn a_clock_that_is_set_back_does_not_stop_a_channel() {
    let channel = paced(2, 600);
    let mut outbox = outbox(&alarms(1..=2));
    assert_eq!(attempts(&mut outbox, &channel, 86_400), [[1]]);
    assert_eq!(attempts(&mut outbox, &channel, 10), [[0_u64; 0]; 0]);
    assert_eq!(outbox.next_due(std::slice::from_ref(&channel)), Some(at(310)));
}

#[test]
fn a_burst_goes_together_and_what_may_go_alone_goes_alone() {
    let channel = combining(channel("mail", 30));
    let mut outbox = outbox(&alarms(1..=1));
    assert_eq!(attempts(&mut outbox, &channel, 0), [[1]], "one waits for nothing");
    outbox.accepted(1);
    alarms(2..=9).into_iter().for_each(|message| outbox.put(message));
    assert_eq!(attempts(&mut outbox, &channel, 29), [[0_u64; 0]; 0]);
    assert_eq!(attempts(&mut outbox, &channel, 30), [(2..=9).collect::<Vec<u64>>()]);
    assert_eq!(outbox.accepted(2).len(), 8);
    assert_eq!(outbox.iter().count(), 0);
    let unhurried = combining(paced(100, 60));
    alarms(10..=13).into_iter().for_each(|message| outbox.put(message));
    assert_eq!(attempts(&mut outbox, &unhurried, 60), [[10], [11], [12], [13]], "all of them may go");
    let separate = Channel { combine: false, ..channel };
    (10..=13).for_each(|id| drop(outbox.accepted(id)));
    alarms(14..=15).into_iter().for_each(|message| outbox.put(message));
    assert_eq!(attempts(&mut outbox, &separate, 120), [[14]]);
}

#[test]
fn recoveries_and_other_recipients_go_by_themselves_and_nothing_overtakes() {
    let channel = combining(channel("mail", 10));
    let of = |id, incident: &str, recipient: &str, kind| Message { kind, ..message(id, incident, recipient) };
    let mut outbox = outbox(&[
        of(1, "i", "a", Kind::Alarm),
        of(2, "j", "a", Kind::Alarm),
        of(3, "i", "a", Kind::Recovery),
        of(4, "k", "a", Kind::Recovery),
        of(5, "i", "b", Kind::Alarm),
        of(6, "k", "b", Kind::Notice),
    ]);
    let mut story = vec![];
    for step in 0..6 {
        for attempt in attempts(&mut outbox, &channel, step * 10) {
            outbox.accepted(attempt[0]);
            story.push(attempt);
        }
    }
    assert_eq!(story, [vec![1, 2], vec![3, 4], vec![5], vec![6]]);
}

#[test]
fn together_they_fail_and_are_tried_again_and_refused_ones_are_parted() {
    let channel = combining(channel("mail", 1));
    let mut outbox = outbox(&alarms(1..=4));
    assert_eq!(attempts(&mut outbox, &channel, 0), [[1, 2, 3, 4]]);
    assert_eq!(outbox.failed(1, failure("451"), at(0)).len(), 4);
    alarms(5..=5).into_iter().for_each(|message| outbox.put(message));
    assert_eq!(attempts(&mut outbox, &channel, 5), [[1, 2, 3, 4, 5]]);
    let refused = outbox.failed(1, refusal("550 one of them"), at(5));
    assert!(refused.iter().all(|(message, hand_over)| message.refused && *hand_over));
    let hour = 5 + 3_600;
    assert_eq!(attempts(&mut outbox, &channel, hour), [[1, 2]]);
    outbox.failed(1, refusal("550"), at(hour));
    assert_eq!(attempts(&mut outbox, &channel, hour + 1), [[3]], "one of two was the reason");
    alarms(6..=7).into_iter().for_each(|message| outbox.put(message));
    outbox.accepted(3);
    assert_eq!(attempts(&mut outbox, &channel, hour + 2), [[6, 7]], "those that nobody refused go first");
    outbox.accepted(6);
    assert_eq!(attempts(&mut outbox, &channel, hour + 3), [[4, 5]], "what is taken ends the suspicion");
}

#[test]
fn what_is_withdrawn_on_its_way_ends_nothing_else() {
    let channel = combining(channel("mail", 1));
    let mut outbox = outbox(&alarms(1..=3));
    assert_eq!(attempts(&mut outbox, &channel, 0), [[1, 2, 3]]);
    assert_eq!(outbox.withdraw(1).map(|message| message.id), Some(1));
    let left: Vec<u64> =
        outbox.failed(1, failure("451"), at(0)).iter().map(|(message, _)| message.id).collect();
    assert_eq!(left, [2, 3]);
    assert_eq!(attempts(&mut outbox, &channel, 5), [[2, 3]]);
}

#[test]
fn operations_do_not_grow_with_what_waits() {
    let work = |channel: &Channel, kinds: usize| {
        crate::linear::assert_linear(
            "outbox",
            |size| (size / 1_024) as u64,
            |count| {
                let mut outbox = Outbox::default();
                for id in 1..=*count {
                    outbox.put(message(id, &format!("i{id}"), &format!("r{}", id as usize % kinds)));
                }
                let mut second = 0;
                while outbox.iter().next().is_some() {
                    let taken = attempts(&mut outbox, channel, second);
                    if taken.is_empty() {
                        second += 1;
                    }
                    for (index, attempt) in taken.iter().enumerate() {
                        match (second, index) {
                            (0, 0) => drop(outbox.failed(attempt[0], refusal("550"), at(second))),
                            _ => drop(outbox.accepted(attempt[0])),
                        }
                    }
                    outbox.drop_refused("i1", "i1_Checker");
                    outbox.next_due(std::slice::from_ref(channel));
                    second += i64::from(second > 0) * 600;
                }
            },
        );
    };
    work(&channel("mail", 0), 1);
    work(&combining(paced(10, 60)), 7);
}

#[derive(Debug, Clone)]
enum Deed {
    /// Incident, token, recipient, kind.
    Put(u8, u8, u8, u8),
    Wait(i64),
    Accept(usize),
    Fail(usize),
    Refuse(usize),
    Patience(usize, i64),
    Withdraw(usize),
    Drop(u8),
    Restart,
}

fn deed() -> impl Strategy<Value = Deed> {
    prop_oneof![
        12 => (0..5_u8, 0..5_u8, 0..2_u8, 0..3_u8).prop_map(|(a, b, c, d)| Deed::Put(a, b, c, d)),
        6 => (0..120_i64).prop_map(Deed::Wait),
        1 => (0..9_000_i64).prop_map(Deed::Wait),
        6 => (0..9_usize).prop_map(Deed::Accept),
        2 => (0..9_usize).prop_map(Deed::Fail),
        1 => (0..9_usize).prop_map(Deed::Refuse),
        1 => (0..9_usize, 0..90_i64).prop_map(|(which, wait)| Deed::Patience(which, wait)),
        1 => (0..40_usize).prop_map(Deed::Withdraw),
        1 => (0..5_u8).prop_map(Deed::Drop),
        1 => Just(Deed::Restart),
    ]
}

fn limits() -> impl Strategy<Value = Channel> {
    let rate = proptest::option::of((1..6_usize, 1..900_i64));
    (rate, 0..60_i64, any::<bool>()).prop_map(|(rate, spacing, combine)| {
        let rate = rate.map(|(messages, per)| Rate { messages, per: TimeDelta::seconds(per) });
        Channel { rate, combine, ..channel("mail", spacing * i64::from(spacing > 30)) }
    })
}

/// A far side, and what the outbox made of it.
struct Trial {
    outbox: Outbox,
    channel: Channel,
    now: i64,
    /// When it was tried.
    tried: Vec<i64>,
    under_way: Vec<Vec<Message>>,
    /// Not accepted, withdrawn or dropped yet, in the order in which they were put.
    waiting: Vec<Message>,
    accepted: Vec<u64>,
}

impl Trial {
    fn take(&mut self) {
        for parts in self.outbox.take_due(std::slice::from_ref(&self.channel), at(self.now)) {
            let first = &parts[0];
            assert!(parts.iter().all(|part| (part.kind, &part.recipient) == (first.kind, &first.recipient)));
            assert!(parts.len() == 1 || self.channel.combine);
            for part in &parts {
                let before = self.waiting.iter().take_while(|other| other.id != part.id);
                let overtaken = |other: &&Message| {
                    other.address() == part.address()
                        && (other.incident == part.incident || other.token == part.token)
                };
                assert_eq!(before.filter(overtaken).count(), 0, "{} overtakes", part.id);
            }
            self.tried.push(self.now);
            self.under_way.push(parts);
        }
        assert!(self.under_way.len() <= IN_FLIGHT_MAX);
        let next = self.outbox.next_due(std::slice::from_ref(&self.channel));
        assert!(next.is_none_or(|next| next > at(self.now)), "it would be asked again at once, for ever");
        assert!(next.is_some() || !self.under_way.is_empty() || self.waiting.is_empty(), "nobody comes back");
    }

    fn end(&mut self, which: usize, how: impl FnOnce(&mut Outbox, u64, Time) -> bool) {
        if self.under_way.is_empty() {
            return;
        }
        let parts = self.under_way.remove(which % self.under_way.len());
        if how(&mut self.outbox, parts[0].id, at(self.now)) {
            let numbers: Vec<u64> = parts.iter().map(|part| part.id).collect();
            let waiting = self.waiting.iter().filter(|message| numbers.contains(&message.id));
            self.accepted.extend(waiting.map(|message| message.id));
            self.waiting.retain(|message| !numbers.contains(&message.id));
        }
    }

    fn forget(&mut self, gone: impl IntoIterator<Item = Message>) {
        for message in gone {
            self.waiting.retain(|other| other.id != message.id);
        }
    }

    fn obey(&mut self, deed: &Deed, id: u64) {
        match *deed {
            Deed::Put(incident, token, recipient, kind) => {
                let kind = [Kind::Alarm, Kind::Recovery, Kind::Notice][usize::from(kind)];
                let new = Message {
                    token: format!("t{token}"),
                    kind,
                    due: at(self.now),
                    ..message(id, &format!("i{incident}"), &format!("r{recipient}"))
                };
                self.waiting.push(new.clone());
                self.outbox.put(new);
            }
            Deed::Wait(seconds) => self.now += seconds,
            Deed::Accept(which) => self.end(which, |outbox, id, _| {
                outbox.accepted(id);
                true
            }),
            Deed::Fail(which) => self.end(which, |outbox, id, now| {
                outbox.failed(id, failure("451"), now);
                false
            }),
            Deed::Refuse(which) => self.end(which, |outbox, id, now| {
                outbox.failed(id, refusal("550"), now);
                false
            }),
            Deed::Patience(which, wait) => self.end(which, |outbox, id, now| {
                let retry_after = Some(TimeDelta::seconds(wait));
                outbox.failed(id, Failure { retry_after, ..failure("429") }, now);
                false
            }),
            Deed::Withdraw(which) => {
                let id = self.waiting.get(which).map(|message| message.id);
                let gone = id.and_then(|id| self.outbox.withdraw(id));
                self.forget(gone);
            }
            Deed::Drop(incident) => {
                let gone = self.outbox.drop_refused(&format!("i{incident}"), "t1");
                self.forget(gone);
            }
            Deed::Restart => {
                let paces = self.outbox.pace("mail").map(|pace| ("mail".to_owned(), pace.clone()));
                let messages: Vec<Message> = self.outbox.iter().cloned().collect();
                self.outbox = Outbox::restore(messages, paces.into_iter().collect(), at(self.now));
                self.under_way.clear();
            }
        }
    }
}

proptest! {
    #[test]
    fn whatever_happens_nothing_is_lost_overtaken_too_often_or_asked_for_ever(
        channel in limits(), deeds in proptest::collection::vec(deed(), 1..80)
    ) {
        let mut trial = Trial {
            outbox: Outbox::default(),
            channel,
            now: 0,
            tried: vec![],
            under_way: vec![],
            waiting: vec![],
            accepted: vec![],
        };
        for (index, deed) in deeds.iter().enumerate() {
            trial.obey(deed, index as u64 + 1);
            trial.take();
        }
        // The far side takes everything from now on.
        while !trial.waiting.is_empty() {
            while !trial.under_way.is_empty() {
                trial.obey(&Deed::Accept(0), 0);
                trial.take();
            }
            if let Some(next) = trial.outbox.next_due(std::slice::from_ref(&trial.channel)) {
                trial.now = (next - at(0)).num_seconds();
                trial.now += i64::from(at(trial.now) < next);
                trial.take();
            }
        }
        prop_assert_eq!(trial.outbox.iter().count(), 0);
        let unique: BTreeSet<u64> = trial.accepted.iter().copied().collect();
        prop_assert_eq!(unique.len(), trial.accepted.len(), "accepted twice");
        let Channel { rate, spacing, .. } = trial.channel;
        for (index, second) in trial.tried.iter().enumerate() {
            if let Some(rate) = rate {
                let within = |other: &&i64| **other - second < rate.per.num_seconds();
                prop_assert!(trial.tried[index..].iter().take_while(within).count() <= rate.messages);
            }
            let next = trial.tried.get(index + 1);
            prop_assert!(next.is_none_or(|next| next - second >= spacing.num_seconds()));
        }
    }
}
