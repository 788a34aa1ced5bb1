//! Spans of time → a strip per checker: when it was heard, when a service was bad, when it was silent, and when nobody
//! looked. Pure.
//!
//! A strip has a fixed number of buckets, so that 90 days cost as little to draw as one. A bucket shows the worst that
//! was known in it; what nobody observed is told apart from both good and bad.

use std::collections::BTreeMap;

use chrono::TimeDelta;
use serde::{Serialize, Serializer};

use crate::incident::{End, Incident, Subject};
use crate::time::{Time, as_rfc3339};

/// How far back a strip shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub enum Window {
    #[serde(rename = "24h")]
    Day,
    #[serde(rename = "7d")]
    Week,
    #[serde(rename = "90d")]
    Quarter,
}

impl Window {
    pub const ALL: [Self; 3] = [Self::Day, Self::Week, Self::Quarter];

    /// As it is asked for.
    pub fn word(self) -> &'static str {
        match self {
            Self::Day => "24h",
            Self::Week => "7d",
            Self::Quarter => "90d",
        }
    }

    /// None for a word that names no window.
    pub fn named(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|window| window.word() == word)
    }

    pub fn length(self) -> TimeDelta {
        self.bucket() * self.buckets()
    }

    /// 96 quarters of an hour, 84 times two hours, 90 days.
    pub fn bucket(self) -> TimeDelta {
        match self {
            Self::Day => TimeDelta::minutes(15),
            Self::Week => TimeDelta::hours(2),
            Self::Quarter => TimeDelta::days(1),
        }
    }

    pub fn buckets(self) -> i32 {
        match self {
            Self::Day => 96,
            Self::Week => 84,
            Self::Quarter => 90,
        }
    }
}

/// What is known of a checker in a bucket, from the best to the worst.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Condition {
    Heard,
    /// For the greater part nobody looked, or it was not watched for yet.
    Unobserved,
    /// It saw a service fail.
    ServiceBad,
    Silent,
}

impl Condition {
    /// The word in JSON.
    pub fn word(self) -> &'static str {
        match self {
            Self::Heard => "heard",
            Self::Unobserved => "unobserved",
            Self::ServiceBad => "service_bad",
            Self::Silent => "silent",
        }
    }
}

/// From the first moment to the one before the second.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Span {
    pub from: Time,
    pub until: Time,
}

/// What a strip is made from, of one checker.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Record {
    /// In which a mailbox that receives it was read; in any order, overlapping or not.
    pub observed: Vec<Span>,
    /// When the first report of it was received.
    pub first: Option<Time>,
    pub silent: Vec<Span>,
    /// In which it saw a service fail.
    pub bad: Vec<Span>,
}

/// Buckets in a row with the same condition.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Run {
    pub condition: Condition,
    #[serde(serialize_with = "as_rfc3339")]
    pub from: Time,
    #[serde(serialize_with = "as_rfc3339")]
    pub until: Time,
    /// How many they are.
    pub buckets: usize,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Strip {
    pub checker: String,
    /// From the oldest to the newest; together the whole window.
    pub runs: Vec<Run>,
    /// How long it was silent, to the second.
    #[serde(rename = "silent_s", serialize_with = "as_seconds")]
    pub silent: TimeDelta,
    /// How long nobody could have heard it.
    #[serde(rename = "unobserved_s", serialize_with = "as_seconds")]
    pub unobserved: TimeDelta,
}

/// One strip for each checker.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Strips {
    pub window: Window,
    #[serde(serialize_with = "as_rfc3339")]
    pub from: Time,
    /// The end of the newest bucket: up to one bucket after now.
    #[serde(serialize_with = "as_rfc3339")]
    pub until: Time,
    pub strips: Vec<Strip>,
}

impl Window {
    /// Whole buckets, of which `now` lies in the last.
    pub fn span(self, now: Time) -> Span {
        let bucket = self.bucket().num_seconds();
        let end = (now.timestamp().div_euclid(bucket) + 1) * bucket;
        let until = Time::from_timestamp(end, 0).unwrap_or(now);
        Span { from: until - self.length(), until }
    }
}

impl Strip {
    pub fn of(checker: &str, record: &Record, window: Window, now: Time) -> Self {
        let Span { from, .. } = window.span(now);
        let whole = Span { from, until: now };
        let seen_from = record.first.unwrap_or(now);
        let observed: Vec<Span> =
            record.observed.iter().map(|span| Span { from: span.from.max(seen_from), ..*span }).collect();
        // A silence is known also of the time in which nobody looked.
        let known: Vec<Span> = observed.iter().chain(&record.silent).copied().collect();
        let mut runs: Vec<Run> = Vec::new();
        for place in 0..window.buckets() {
            let from = from + window.bucket() * place;
            let bucket = Span { from, until: from + window.bucket() };
            // Of the newest bucket only the past counts.
            let past = Span { until: bucket.until.min(now), ..bucket };
            let condition = condition(past, record, &known);
            match runs.last_mut() {
                Some(run) if run.condition == condition => {
                    run.until = bucket.until;
                    run.buckets += 1;
                }
                _ => runs.push(Run { condition, from: bucket.from, until: bucket.until, buckets: 1 }),
            }
        }
        Self {
            checker: checker.to_owned(),
            runs,
            silent: covered(whole, &record.silent),
            unobserved: (whole.until - whole.from) - covered(whole, &known),
        }
    }
}

fn condition(bucket: Span, record: &Record, known: &[Span]) -> Condition {
    let touched =
        |spans: &[Span]| spans.iter().any(|span| span.from < bucket.until && span.until > bucket.from);
    if touched(&record.silent) {
        Condition::Silent
    } else if touched(&record.bad) {
        Condition::ServiceBad
    } else if covered(bucket, known) * 2 < bucket.until - bucket.from {
        Condition::Unobserved
    } else {
        Condition::Heard
    }
}

/// How much of `whole` lies in any of the spans.
fn covered(whole: Span, spans: &[Span]) -> TimeDelta {
    let inside = |span: &Span| Span { from: span.from.max(whole.from), until: span.until.min(whole.until) };
    let mut spans: Vec<Span> = spans.iter().map(inside).filter(|span| span.from < span.until).collect();
    spans.sort_unstable();
    let (mut sum, mut reached) = (TimeDelta::zero(), whole.from);
    for Span { from, until } in spans {
        sum += (until - from.max(reached)).max(TimeDelta::zero());
        reached = reached.max(until);
    }
    sum
}

/// When each checker was silent, or saw a service fail, by these incidents. What is not over lasts until `now`.
pub fn troubles(incidents: &[Incident], now: Time) -> BTreeMap<String, Record> {
    let mut records: BTreeMap<String, Record> = BTreeMap::new();
    for incident in incidents {
        for (name, member) in &incident.members {
            let until = match member.end {
                Some(End::Recovered(at) | End::Removed(at)) => at,
                // It went on after a person had ended the incident; nobody wrote down how long.
                Some(End::Resolved(at)) => at,
                None => incident.closed.unwrap_or(now),
            };
            let span = Span { from: member.since, until };
            let record = records.entry(name.clone()).or_default();
            match incident.subject {
                Subject::Silence => record.silent.push(span),
                Subject::Service(_) => record.bad.push(span),
                _ => {}
            }
        }
    }
    records
}

fn as_seconds<S: Serializer>(length: &TimeDelta, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_i64(length.num_seconds())
}

#[cfg(test)]
mod tests {
    use super::*;
    use chrono::{TimeZone, Utc};

    fn now() -> Time {
        Utc.with_ymd_and_hms(2026, 11, 20, 3, 7, 30).unwrap()
    }

    /// So many minutes ago.
    fn ago(minutes: i64) -> Time {
        now() - TimeDelta::minutes(minutes)
    }

    fn span(from: i64, until: i64) -> Span {
        Span { from: ago(from), until: ago(until) }
    }

    fn shown(record: &Record) -> Vec<(Condition, usize)> {
        let strip = Strip::of("bresse1", record, Window::Day, now());
        assert_eq!(strip.runs.iter().map(|run| run.buckets).sum::<usize>(), 96);
        strip.runs.iter().map(|run| (run.condition, run.buckets)).collect()
    }

    fn watched() -> Record {
        Record { observed: vec![span(2_000, 0)], first: Some(ago(2_000)), ..Record::default() }
    }

    #[test]
    fn a_bucket_shows_the_worst_that_was_known_in_it() {
        let heard = Condition::Heard;
        assert_eq!(shown(&watched()), [(heard, 96)]);
        let silent = Record { silent: vec![span(60, 50)], ..watched() };
        assert_eq!(shown(&silent), [(heard, 91), (Condition::Silent, 2), (heard, 3)]);
        let bad = Record { bad: vec![span(60, 31)], ..silent };
        let expected = [(heard, 91), (Condition::Silent, 2), (Condition::ServiceBad, 1), (heard, 2)];
        assert_eq!(shown(&bad), expected);
    }

    #[test]
    fn what_nobody_observed_is_neither_good_nor_bad_and_a_silence_is_known_while_blind() {
        assert_eq!(shown(&Record::default()), [(Condition::Unobserved, 96)]);
        // Seven minutes without a look are less than half of a bucket, ten are more.
        let gaps = Record { observed: vec![span(2_000, 67), span(60, 22), span(12, 0)], ..watched() };
        let heard = Condition::Heard;
        assert_eq!(shown(&gaps), [(heard, 94), (Condition::Unobserved, 1), (heard, 1)]);
        let strip = Strip::of("bresse1", &gaps, Window::Day, now());
        assert_eq!(strip.unobserved, TimeDelta::minutes(17));
        let blind = Record { silent: vec![span(30, 0)], ..gaps };
        assert_eq!(shown(&blind), [(heard, 93), (Condition::Silent, 3)]);
        assert_eq!(Strip::of("bresse1", &blind, Window::Day, now()).silent, TimeDelta::minutes(30));
    }

    #[test]
    fn time_before_its_first_report_is_not_observed() {
        let new = Record { first: Some(ago(60)), ..watched() };
        assert_eq!(shown(&new), [(Condition::Unobserved, 91), (Condition::Heard, 5)]);
    }

    #[test]
    fn the_windows_are_whole_buckets_up_to_now() {
        for window in Window::ALL {
            let Span { from, until } = window.span(now());
            assert!(from < now() && now() < until && until - now() <= window.bucket());
            assert_eq!(until - from, window.length());
            assert_eq!(Window::named(window.word()), Some(window));
        }
        assert_eq!(Window::Quarter.length(), TimeDelta::days(90));
        assert_eq!(Window::named("1y"), None);
    }

    #[test]
    fn spans_that_overlap_count_once() {
        let whole = span(100, 0);
        assert_eq!(covered(whole, &[span(200, 90), span(95, 80), span(20, 10)]), TimeDelta::minutes(30));
    }

    #[test]
    fn incidents_tell_when_a_checker_was_silent_and_when_it_saw_a_service_fail() {
        let mut silence = Incident::new(1, Subject::Silence, ago(50));
        silence.join("bresse1", ago(60), None);
        silence.leave("bresse1", End::Recovered(ago(40)));
        let mut service = Incident::new(2, Subject::Service("SQL".into()), ago(30));
        service.join("bresse1", ago(30), None);
        let mut clock = Incident::new(3, Subject::Clock, ago(30));
        clock.join("MONITOR", ago(30), None);
        let records = troubles(&[silence, service, clock], now());
        let of = records.get("bresse1").unwrap();
        assert_eq!((&*of.silent, &*of.bad), (&[span(60, 40)][..], &[span(30, 0)][..]));
        assert_eq!(records.get("MONITOR"), Some(&Record::default()));
    }
}
