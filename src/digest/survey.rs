//! The reports of one checker → its part of a digest. Pure, and bounded: few of them are held at a time.

use chrono::TimeDelta;

use super::availability::{Availability, Spans, Tally};
use super::{PathTimes, Period};
use crate::ledger::Facts;
use crate::ledger::arrivals::Arrival;
use crate::ledger::path::{self, Journey, durations, slowest_part};
use crate::mail::Hop;
use crate::report::Said;
use crate::time::Time;

/// So many reports are put in order at a time: those of a month at the usual cycle.
const TOGETHER_MAX: usize = 10_000;
/// The slowest part of the way is where so many of the slowest mails spent their time.
const SLOWEST_MAX: usize = 5;

/// What is asked of a kept report.
#[derive(Debug)]
pub struct PastReport<'a> {
    pub id: i64,
    pub arrival: Arrival,
    /// It is a whole run, all of which was read.
    pub whole: bool,
    pub results: Vec<(&'a str, Said)>,
}

#[derive(Debug)]
struct Kept {
    arrival: Arrival,
    id: i64,
    whole: bool,
    /// By the place of the service in `services`.
    results: Vec<(usize, Said)>,
}

/// A mail that was among the slowest, and which one it is in the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct SlowMail {
    took: TimeDelta,
    arrival: Arrival,
    pub id: i64,
}

#[derive(Debug)]
pub struct Survey<'a> {
    tally: Tally<'a>,
    services: Vec<&'a str>,
    period: Period,
    cycle: TimeDelta,
    kept: Vec<Kept>,
    took: Vec<TimeDelta>,
    /// Slowest first.
    slowest: Vec<SlowMail>,
}

impl<'a> Survey<'a> {
    /// `facts` are those of the checker, and `observed` what was read of the mailboxes that receive it.
    pub fn new(facts: &'a Facts, observed: &'a Spans, period: Period) -> Self {
        let deadline = facts.deadline_in_force();
        Self {
            tally: Tally::new(observed, period, deadline.total(), facts.watched_since, facts.expected()),
            services: facts.expected().map(|(service, _)| service).collect(),
            period,
            cycle: deadline.cycle(),
            kept: Vec::new(),
            took: Vec::new(),
            slowest: Vec::new(),
        }
    }

    /// Takes in a report, in the order of their receipt. Those one deadline before and after the period tell too.
    pub fn add(&mut self, report: &PastReport<'_>) {
        let place = |name: &str| self.services.iter().position(|service| *service == name);
        let results = report.results.iter().filter_map(|(name, said)| Some((place(name)?, *said))).collect();
        self.kept.push(Kept { arrival: report.arrival, id: report.id, whole: report.whole, results });
        if self.kept.len() >= TOGETHER_MAX {
            self.settle();
        }
    }

    /// The slowest mails; what their ways were is asked only now.
    pub fn slowest(&mut self) -> Vec<SlowMail> {
        self.settle();
        self.slowest.clone()
    }

    /// `ways` are the `Received` chains of the slowest mails. Everything received up to `known_until` was taken in.
    pub fn finish(
        mut self,
        ways: &[(SlowMail, Vec<Hop>)],
        known_until: Time,
    ) -> (Availability, Option<PathTimes>) {
        self.settle();
        let journeys: Vec<(Journey<'_>, TimeDelta)> =
            ways.iter().map(|(mail, chain)| (Journey { arrival: mail.arrival, chain }, mail.took)).collect();
        let slowest = slowest_part(&journeys).map(|part| part.to_string());
        let times = path::latencies(self.took).map(|times| PathTimes {
            mails: times.mails,
            median: times.median,
            p99: times.p99,
            longest: times.max,
            slowest,
        });
        (self.tally.finish(known_until), times)
    }

    fn settle(&mut self) {
        let kept = std::mem::take(&mut self.kept);
        let arrivals: Vec<Arrival> = kept.iter().map(|report| report.arrival).collect();
        let mut placed: Vec<(Time, Kept)> = Vec::with_capacity(kept.len());
        for (report, took) in kept.into_iter().zip(durations(&arrivals, self.cycle)) {
            let received = report.arrival.received;
            if let Some(took) = took.filter(|_| self.period.from <= received && received < self.period.until)
            {
                self.took.push(took);
                self.note_slow(SlowMail { took, arrival: report.arrival, id: report.id });
            }
            placed.push((received - took.unwrap_or_default(), report));
        }
        placed.sort_by_key(|(left, report)| (*left, report.arrival.received));
        for (left, report) in placed {
            let named = report.results.iter();
            let named = named.filter_map(|(place, said)| Some((*self.services.get(*place)?, *said)));
            self.tally.report(left, report.whole, named);
        }
    }

    fn note_slow(&mut self, mail: SlowMail) {
        let place = self.slowest.partition_point(|known| *known > mail);
        if place < SLOWEST_MAX {
            self.slowest.insert(place, mail);
            self.slowest.truncate(SLOWEST_MAX);
        }
    }
}
