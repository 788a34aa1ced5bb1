//! The path as its newest mails show it: how long they took, in all and on each part of the way. Worked out when
//! somebody asks; the store keeps the chain of every report, so nothing of it need be remembered.

use std::collections::BTreeMap;

use chrono::TimeDelta;

use super::SlowHop;
use super::way::{Segment, segments};
use crate::ledger::arrivals::Arrival;
use crate::mail::Hop;
use crate::site;
use crate::time::Time;

/// A moment is compared with the ones before and after it, so many altogether: a clock that was set is believed when it
/// stays so.
const MOMENTS: usize = 5;
/// So many parts of the way are shown, those that most mails took.
const PARTS_MAX: usize = 12;

/// One mail with its way.
#[derive(Debug, Clone, Copy)]
pub struct Journey<'a> {
    pub arrival: Arrival,
    pub chain: &'a [Hop],
}

/// How long some mails took.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Latencies {
    pub mails: usize,
    /// Of the mail received last.
    pub now: TimeDelta,
    pub median: TimeDelta,
    pub p99: TimeDelta,
    pub max: TimeDelta,
}

/// How often a path was slower than was allowed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Slower {
    pub moments: usize,
    pub slow: usize,
    pub slowest: TimeDelta,
}

/// A part of the way. Hosts of one domain are one: large providers have hundreds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// None: the checker.
    pub from: Option<String>,
    /// None: the mailbox.
    pub by: Option<String>,
    pub latencies: Latencies,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Table {
    pub whole: Latencies,
    /// When the oldest and the newest of its mails were received.
    pub span: (Time, Time),
    /// In the order of the way.
    pub parts: Vec<Part>,
}

/// What these mails of one checker show, in whatever order they come; None when none of them has a date.
pub fn table(mut journeys: Vec<Journey<'_>>, cycle: TimeDelta) -> Option<Table> {
    journeys.sort_by_key(|journey| journey.arrival);
    let arrivals: Vec<Arrival> = journeys.iter().map(|journey| journey.arrival).collect();
    let starts = starts(&arrivals, cycle);
    let whole = whole(&arrivals, &starts)?;
    let mut ways: BTreeMap<Key, Way> = BTreeMap::new();
    for (Journey { arrival, chain }, start) in journeys.iter().zip(starts) {
        note(&mut ways, &segments(start, chain, arrival.received));
    }
    let span = (arrivals.first()?.received, arrivals.last()?.received);
    Some(Table { whole, span, parts: parts(ways) })
}

/// How many moments there were, and in how many of them even the quickest mail took longer than `margin`, up to how long.
/// A released queue is one moment.
pub fn slower_than(margin: TimeDelta, mut arrivals: Vec<Arrival>, cycle: TimeDelta) -> Slower {
    arrivals.sort_unstable();
    let mut moments: BTreeMap<i64, TimeDelta> = BTreeMap::new();
    for (arrival, start) in arrivals.iter().zip(starts(&arrivals, cycle)) {
        let Some(took) = start.map(|start| arrival.received - start) else { continue };
        moments.entry(slot(arrival, cycle)).and_modify(|least| *least = took.min(*least)).or_insert(took);
    }
    let slow = moments.values().filter(|took| **took > margin);
    Slower {
        moments: moments.len(),
        slow: slow.clone().count(),
        slowest: slow.max().copied().unwrap_or_default(),
    }
}

/// How long each of these mails took, None where it has no date. They are in the order of their receipt.
pub fn durations(arrivals: &[Arrival], cycle: TimeDelta) -> Vec<Option<TimeDelta>> {
    let took = |(arrival, start): (&Arrival, Option<Time>)| {
        start.map(|start| (arrival.received - start).max(TimeDelta::zero()))
    };
    arrivals.iter().zip(starts(arrivals, cycle)).map(took).collect()
}

/// The part of the way on which these mails, which took so long each, spent the most time together.
pub fn slowest_part(journeys: &[(Journey<'_>, TimeDelta)]) -> Option<SlowHop> {
    let mut ways: BTreeMap<Key, Way> = BTreeMap::new();
    for (Journey { arrival, chain }, took) in journeys {
        note(&mut ways, &segments(Some(arrival.received - *took), chain, arrival.received));
    }
    let sum = |way: &Way| way.took.iter().sum::<TimeDelta>();
    let ((from, by), way) = ways.into_iter().max_by_key(|(_, way)| sum(way))?;
    let longest = way.took.iter().max().copied()?;
    Some(SlowHop { from: way.from.shown(from), by: way.by.shown(by), took: longest })
}

fn whole(arrivals: &[Arrival], starts: &[Option<Time>]) -> Option<Latencies> {
    let took = arrivals
        .iter()
        .zip(starts)
        .filter_map(|(arrival, start)| start.map(|start| (arrival.received - start).max(TimeDelta::zero())));
    latencies(took.collect())
}

/// When each mail left its checker, by a true clock: its date, put right by what the quickest mails around it show. The
/// mails are in the order of their receipt.
fn starts(arrivals: &[Arrival], cycle: TimeDelta) -> Vec<Option<Time>> {
    let mut moments: BTreeMap<i64, i64> = BTreeMap::new();
    for arrival in arrivals {
        if let Some(submitted) = arrival.submitted_ms() {
            moments
                .entry(slot(arrival, cycle))
                .and_modify(|least| *least = submitted.min(*least))
                .or_insert(submitted);
        }
    }
    let least: Vec<i64> = moments.values().copied().collect();
    let windows: Vec<i64> =
        least.windows(MOMENTS.min(least.len()).max(1)).filter_map(|few| few.iter().min().copied()).collect();
    // Of all windows that hold a moment, the one that agrees with it best: a single slow moment lies in none that is
    // slow throughout, and a step lies between two windows.
    let behind: BTreeMap<i64, i64> = moments
        .keys()
        .enumerate()
        .filter_map(|(place, slot)| {
            let from = (place + 1).saturating_sub(MOMENTS);
            let holding = windows.iter().skip(from).take(place + 1 - from);
            Some((*slot, holding.copied().max()?))
        })
        .collect();
    let start = |arrival: &Arrival| {
        let sent = arrival.sent?;
        behind.get(&slot(arrival, cycle)).map(|behind| sent + TimeDelta::milliseconds(*behind))
    };
    arrivals.iter().map(start).collect()
}

/// The moment a mail belongs to: a burst is one, because all that waited in a queue comes at once.
fn slot(arrival: &Arrival, cycle: TimeDelta) -> i64 {
    arrival.received.timestamp_millis().div_euclid((cycle.num_milliseconds() / 2).max(1))
}

pub(crate) fn latencies(took: Vec<TimeDelta>) -> Option<Latencies> {
    let now = *took.last()?;
    let mut sorted = took;
    sorted.sort_unstable();
    let mails = sorted.len();
    let rank = |percent: usize| sorted.get((mails * percent).div_ceil(100).saturating_sub(1)).copied();
    Some(Latencies { mails, now, median: rank(50)?, p99: rank(99)?, max: *sorted.last()? })
}

/// The domains at both ends of a part.
type Key = (Option<String>, Option<String>);

/// What is gathered of one part of the way.
#[derive(Debug, Default)]
struct Way {
    took: Vec<TimeDelta>,
    /// Where it lies on the way, from 0 to 1000, summed.
    places: usize,
    from: Names,
    by: Names,
}

/// The hosts at one end of it, as far as they can be told in a word.
#[derive(Debug, Default)]
enum Names {
    #[default]
    None,
    One(String),
    Several,
}

impl Names {
    fn add(&mut self, host: Option<&str>) {
        *self = match (std::mem::take(self), host) {
            (known, None) => known,
            (Self::None, Some(host)) => Self::One(host.to_owned()),
            (Self::One(known), Some(host)) if known == host => Self::One(known),
            _ => Self::Several,
        };
    }

    fn shown(self, site: Option<String>) -> Option<String> {
        match self {
            Self::None => None,
            Self::One(host) => Some(host),
            Self::Several => site.map(|site| format!("*.{site}")),
        }
    }
}

fn note(ways: &mut BTreeMap<Key, Way>, segments: &[Segment<'_>]) {
    let last = segments.len().saturating_sub(1).max(1);
    // A mail may cross one provider in several steps: they are one part.
    let mut of_mail: BTreeMap<Key, TimeDelta> = BTreeMap::new();
    for (place, segment) in segments.iter().enumerate() {
        let site =
            |host: Option<&str>| host.map(|host| site::of(host).unwrap_or_else(|| host.to_lowercase()));
        let key = (site(segment.from), site(segment.by));
        let way = ways.entry(key.clone()).or_default();
        way.from.add(segment.from);
        way.by.add(segment.by);
        if !of_mail.contains_key(&key) {
            way.places += place * 1000 / last;
        }
        let sum = of_mail.entry(key).or_default();
        *sum += segment.took;
    }
    for (key, took) in of_mail {
        ways.entry(key).or_default().took.push(took);
    }
}

fn parts(ways: BTreeMap<Key, Way>) -> Vec<Part> {
    let mut ways: Vec<(Key, Way)> = ways.into_iter().collect();
    ways.sort_by_key(|(_, way)| std::cmp::Reverse(way.took.len()));
    ways.truncate(PARTS_MAX);
    ways.sort_by_key(|(_, way)| way.places / way.took.len().max(1));
    ways.into_iter()
        .filter_map(|((from, by), way)| {
            let latencies = latencies(way.took)?;
            Some(Part { from: way.from.shown(from), by: way.by.shown(by), latencies })
        })
        .collect()
}
