//! Reports → how long a checker was heard, and its services worked, of the time that was observed. Pure, and it holds no
//! report: millions pass through.
//!
//! A report proves life until the next one, if that follows within the deadline; otherwise nothing was heard from it on.
//! What it says of a service holds as long. Time in which nobody looked is neither.

use std::collections::BTreeMap;

use chrono::TimeDelta;

use super::Period;
use crate::report::Said;
use crate::time::Time;

/// Spans of time that do not touch, for asking quickly how much of them lies between two moments.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Spans {
    /// Ascending: from, until, and the length of all before; in milliseconds.
    spans: Vec<(i64, i64, i64)>,
}

impl Spans {
    /// The union of these, in whatever order.
    pub fn union(spans: impl IntoIterator<Item = (Time, Time)>) -> Self {
        let mut all: Vec<(i64, i64)> = spans.into_iter().map(|(from, until)| (ms(from), ms(until))).collect();
        all.sort_unstable();
        let mut merged: Vec<(i64, i64)> = Vec::new();
        for (from, until) in all {
            match merged.last_mut() {
                Some((_, end)) if from <= *end => *end = until.max(*end),
                _ => merged.push((from, until)),
            }
        }
        let mut before = 0;
        let summed = merged.into_iter().map(|(from, until)| {
            let span = (from, until, before);
            before += until - from;
            span
        });
        Self { spans: summed.collect() }
    }

    /// How much of them lies between these, in milliseconds.
    pub fn within(&self, from: i64, until: i64) -> i64 {
        if from < until { self.up_to(until) - self.up_to(from) } else { 0 }
    }

    /// The end of the last of them.
    pub fn end(&self) -> Option<i64> {
        self.spans.last().map(|(_, until, _)| *until)
    }

    fn up_to(&self, moment: i64) -> i64 {
        let begun = self.spans.partition_point(|(from, _, _)| *from < moment);
        let last = begun.checked_sub(1).and_then(|last| self.spans.get(last));
        last.map_or(0, |(from, until, before)| before + moment.min(*until) - from)
    }
}

/// How much of the time that was observed something was well, in milliseconds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Share {
    pub well: i64,
    pub observed: i64,
}

impl Share {
    pub fn add(&mut self, other: Self) {
        self.well += other.well;
        self.observed += other.observed;
    }

    /// Thousandths of a per cent, rounded down: 100,000 only when nothing is lacking. None when nothing was observed.
    pub fn millipercent(self) -> Option<i64> {
        let whole = i128::from(self.observed);
        let share = (i128::from(self.well) * 100_000).checked_div(whole)?;
        i64::try_from(share).ok()
    }

    pub fn is_whole(self) -> bool {
        self.well >= self.observed
    }
}

/// One service, from one checker. What is neither is time in which the checker was silent.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ServiceTime {
    pub ok: Share,
    /// Reported as failing, or as both.
    pub failing_ms: i64,
    /// The checker was heard, and did not say.
    pub missing_ms: i64,
}

/// What the reports of one checker amount to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Availability {
    pub heard: Share,
    pub services: BTreeMap<String, ServiceTime>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Told {
    Ok,
    Failing,
    Missing,
}

#[derive(Debug)]
struct Track {
    /// No report had to name it before.
    since: i64,
    last: Option<(i64, Told)>,
    ok: i64,
    failing: i64,
    heard: i64,
}

/// Takes in the reports of one checker, in the order in which they left it.
#[derive(Debug)]
pub struct Tally<'a> {
    observed: &'a Spans,
    from: i64,
    until: i64,
    deadline: i64,
    last: Option<i64>,
    heard: i64,
    services: BTreeMap<&'a str, Track>,
}

impl<'a> Tally<'a> {
    /// `watched_since` is when the checker was first watched for, and `services` since when each had to be named.
    pub fn new(
        observed: &'a Spans,
        period: Period,
        deadline: TimeDelta,
        watched_since: Option<Time>,
        services: impl IntoIterator<Item = (&'a str, Option<Time>)>,
    ) -> Self {
        let until = ms(period.until);
        let from = watched_since.map_or(until, |since| ms(since.max(period.from)));
        let track = |since: Option<Time>| {
            let since = since.map_or(from, |since| ms(since).max(from));
            Track { since, last: None, ok: 0, failing: 0, heard: 0 }
        };
        Self {
            observed,
            from,
            until,
            deadline: deadline.num_milliseconds(),
            last: None,
            heard: 0,
            services: services.into_iter().map(|(name, since)| (name, track(since))).collect(),
        }
    }

    /// Takes in one that left at `at`. What a whole run does not name is missing.
    pub fn report<'r>(
        &mut self,
        at: Time,
        whole: bool,
        results: impl Iterator<Item = (&'r str, Said)> + Clone,
    ) {
        let at = self.last.map_or(ms(at), |last| ms(at).max(last));
        self.elapse(at);
        self.last = Some(at);
        if whole {
            self.services.values_mut().for_each(|track| track.last = Some((at, Told::Missing)));
        }
        for (service, said) in results {
            let told = if said == Said::Ok { Told::Ok } else { Told::Failing };
            if let Some(track) = self.services.get_mut(service) {
                track.last = Some((at, told));
            }
        }
    }

    /// Counts the time from the last report to `at`, when the next one came.
    fn elapse(&mut self, at: i64) {
        let Self { observed, from, until, deadline, .. } = *self;
        let Some(last) = self.last.filter(|last| at - last <= deadline) else {
            // Nothing that was said before holds any more.
            self.services.values_mut().for_each(|track| track.last = None);
            return;
        };
        let between = |since: i64| observed.within(last.max(since), at.min(until));
        let heard = between(from);
        self.heard += heard;
        for track in self.services.values_mut() {
            let heard = if track.since <= last.max(from) { heard } else { between(track.since) };
            track.heard += heard;
            // A result holds no longer than a report does, though others follow that do not repeat it.
            match track.last.filter(|(said, _)| at - said <= deadline) {
                Some((_, Told::Ok)) => track.ok += heard,
                Some((_, Told::Failing)) => track.failing += heard,
                Some((_, Told::Missing)) | None => {}
            }
        }
    }

    /// All of them were taken in that came up to `known_until`.
    pub fn finish(mut self, known_until: Time) -> Availability {
        let end = ms(known_until).max(self.last.unwrap_or(i64::MIN));
        self.elapse(end);
        let observed = |since: i64| self.observed.within(since, self.until);
        let services = self.services.iter().map(|(name, track)| {
            let time = ServiceTime {
                ok: Share { well: track.ok, observed: observed(track.since) },
                failing_ms: track.failing,
                missing_ms: track.heard - track.ok - track.failing,
            };
            ((*name).to_owned(), time)
        });
        Availability {
            heard: Share { well: self.heard, observed: observed(self.from) },
            services: services.collect(),
        }
    }
}

fn ms(time: Time) -> i64 {
    time.timestamp_millis()
}

#[cfg(test)]
mod tests {
    use super::*;
    use chrono::{TimeZone, Utc};

    fn at(minute: i64) -> Time {
        Utc.with_ymd_and_hms(2026, 11, 20, 0, 0, 0).unwrap() + TimeDelta::minutes(minute)
    }

    /// Minutes: heard, observed; then of each service: ok, failing, missing.
    fn counted(found: &Availability) -> (i64, i64, Vec<(i64, i64, i64)>) {
        let minutes = |ms: i64| {
            assert_eq!(ms % 60_000, 0);
            ms / 60_000
        };
        let service =
            |time: &ServiceTime| (minutes(time.ok.well), minutes(time.failing_ms), minutes(time.missing_ms));
        (
            minutes(found.heard.well),
            minutes(found.heard.observed),
            found.services.values().map(service).collect(),
        )
    }

    /// The hour from 0 to 60, a deadline of 7 minutes, and `A:ok B:bad` as mails of whole runs.
    fn after(
        observed: &[(i64, i64)],
        reports: &[(i64, &str)],
        known: i64,
    ) -> (i64, i64, Vec<(i64, i64, i64)>) {
        let spans = Spans::union(observed.iter().map(|(from, until)| (at(*from), at(*until))));
        let period = Period { from: at(0), until: at(60) };
        let services = [("A", None), ("B", None)];
        let mut tally = Tally::new(&spans, period, TimeDelta::minutes(7), Some(at(-60)), services);
        for (minute, text) in reports {
            let said = |word: &str| if word == "ok" { Said::Ok } else { Said::Nok };
            let results = text.split_whitespace().filter_map(|one| one.split_once(':'));
            tally.report(at(*minute), !text.starts_with('-'), results.map(|(name, word)| (name, said(word))));
        }
        counted(&tally.finish(at(known)))
    }

    fn every_5_minutes(text: &'static str) -> Vec<(i64, &'static str)> {
        (-1..=12).map(|run| (run * 5, text)).collect()
    }

    #[test]
    fn an_hour_of_good_reports_is_an_hour() {
        let found = after(&[(-60, 70)], &every_5_minutes("A:ok B:ok"), 70);
        assert_eq!(found, (60, 60, vec![(60, 0, 0), (60, 0, 0)]));
    }

    #[test]
    fn silence_begins_with_the_last_mail_and_nothing_is_well_in_it() {
        let mut reports = every_5_minutes("A:ok B:bad");
        reports.retain(|(minute, _)| !(20..40).contains(minute));
        let found = after(&[(-60, 70)], &reports, 70);
        assert_eq!(found, (35, 60, vec![(35, 0, 0), (0, 35, 0)]), "from 15 to 40 nobody was heard");
    }

    #[test]
    fn what_nobody_observed_is_counted_apart_and_never_well() {
        let found = after(&[(-60, 10), (30, 70)], &every_5_minutes("A:ok B:ok"), 70);
        assert_eq!(found, (40, 40, vec![(40, 0, 0), (40, 0, 0)]));
        assert_eq!(after(&[], &every_5_minutes("A:ok B:ok"), 70), (0, 0, vec![(0, 0, 0), (0, 0, 0)]));
    }

    #[test]
    fn a_service_that_a_run_leaves_out_is_missing_until_it_is_named_again() {
        let mut reports = every_5_minutes("A:ok B:ok");
        reports[4].1 = "A:ok";
        assert_eq!(after(&[(-60, 70)], &reports, 70).2, [(60, 0, 0), (55, 0, 5)]);
        // Where each result has a mail of its own, only its absence tells.
        let split = |minute: i64| {
            let own = if (20..40).contains(&minute) { vec![] } else { vec![(minute, "- B:ok")] };
            [vec![(minute, "- A:ok")], own].concat()
        };
        let reports: Vec<_> = (-1..=12).flat_map(|run| split(run * 5)).collect();
        let (heard, _, services) = after(&[(-60, 70)], &reports, 70);
        assert_eq!((heard, services[0]), (60, (60, 0, 0)));
        assert_eq!(services[1].0 + services[1].2, 60);
        assert!((35..=40).contains(&services[1].0), "{services:?}");
    }

    #[test]
    fn at_the_end_the_last_report_holds_as_long_as_its_deadline_has_not_passed() {
        let mut reports = every_5_minutes("A:ok B:ok");
        reports.retain(|(minute, _)| *minute <= 55);
        assert_eq!(after(&[(-60, 61)], &reports, 61).0, 60);
        assert_eq!(after(&[(-60, 70)], &reports, 70).0, 55, "by now it is known to have been silent");
    }

    #[test]
    fn before_it_was_watched_for_nothing_is_counted() {
        let spans = Spans::union([(at(0), at(60))]);
        let period = Period { from: at(0), until: at(60) };
        let services = [("A", Some(at(50)))];
        let mut tally = Tally::new(&spans, period, TimeDelta::minutes(7), Some(at(40)), services);
        for minute in (0..=60).step_by(5) {
            let results = (minute >= 50).then_some(("A", Said::Ok)).into_iter();
            tally.report(at(minute), true, results);
        }
        let found = tally.finish(at(60));
        assert_eq!(counted(&found), (20, 20, vec![(10, 0, 0)]));
        assert_eq!(
            Tally::new(&spans, period, TimeDelta::minutes(7), None, []).finish(at(60)).heard.observed,
            0
        );
    }

    #[test]
    fn a_share_is_whole_only_when_nothing_is_lacking() {
        let share = |well, observed| Share { well, observed }.millipercent();
        assert_eq!(share(604_799_999, 604_800_000), Some(99_999));
        assert_eq!(share(604_800_000, 604_800_000), Some(100_000));
        assert_eq!(share(0, 0), None);
        assert_eq!(share(i64::MAX, i64::MAX), Some(100_000));
    }

    #[test]
    fn spans_are_united_and_measured() {
        let spans = Spans::union([(at(10), at(20)), (at(0), at(5)), (at(20), at(30)), (at(12), at(14))]);
        let minutes = |from: i64, until: i64| spans.within(ms(at(from)), ms(at(until))) / 60_000;
        for (from, until, expected) in
            [(0, 60, 25), (-5, 2, 2), (5, 10, 0), (3, 12, 4), (29, 99, 1), (40, 50, 0), (20, 10, 0)]
        {
            assert_eq!(minutes(from, until), expected, "{from} to {until}");
        }
    }
}
