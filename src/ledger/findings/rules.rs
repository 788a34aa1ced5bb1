//! The rules of reporting, one function each.

use std::collections::{BTreeMap, BTreeSet};

use chrono::TimeDelta;

use super::{Begun, DryrunFlaw, Evidence, Judged, NAMES_MAX};
use crate::config::Breach;
use crate::ledger::runs::{Piece, Placed};
use crate::report::Said;
use crate::time::Time;

/// `Date:` has no fractions of a second.
const DATE_STEP: TimeDelta = TimeDelta::seconds(1);
/// What is started twice at once, by two lines of cron, say, is sent within so much of each other.
const TWICE_WITHIN_MAX: TimeDelta = TimeDelta::seconds(10);
/// The latest so many times from run to run show the rhythm.
const RHYTHM: usize = 4;

/// One run with the mails that came too late for it. Results before their own DRYRUN, or without one, are a run too.
pub(crate) struct Run<'a> {
    /// In their order; at least one.
    pub mails: &'a [Placed<'a>],
    /// All that it may still say was read.
    pub closed: bool,
    /// The configured services that it has not named, once that can be said.
    pub lacking: Option<BTreeSet<String>>,
}

/// What the runs are seen in.
pub(crate) struct Surroundings<'a> {
    /// The runs before these, ascending.
    pub before: &'a [Begun],
    /// The newest receipt of all mails; None before all of history is known.
    pub received_until: Option<Time>,
    /// Spans in which mails were lost or waited, through no fault of the checker.
    pub explained: &'a [(Time, Time)],
    /// Whether this mail was held on its way.
    pub was_held: &'a dyn Fn(&Piece) -> bool,
}

/// What a rule finds in a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Found {
    /// Nothing can be said, or not yet.
    Unsaid,
    Kept,
    Broken(Evidence),
}

impl Found {
    /// Broken when there is evidence; kept when there is none and nothing more will come.
    fn of(evidence: Option<Evidence>, closed: bool) -> Self {
        match evidence {
            Some(evidence) => Self::Broken(evidence),
            None if closed => Self::Kept,
            None => Self::Unsaid,
        }
    }
}

/// Judges `runs`, ascending, each in its surroundings.
pub(crate) fn judge(runs: &[Run<'_>], around: &Surroundings<'_>) -> Vec<Judged> {
    let mut all: Vec<Begun> =
        around.before.iter().copied().chain(runs.iter().filter_map(Run::begun)).collect();
    // History is older than the runs before.
    all.sort_by_key(|run| run.at);
    all.dedup_by_key(|run| run.at);
    let judge_one = |run: &Run<'_>| {
        let (first, begun) = (run.first()?, run.begun()?);
        let (earlier, later) = all.split_at(all.partition_point(|other| other.at < begun.at));
        let next = later.get(1).copied();
        let found = [
            (Breach::Missing, missing(run)),
            (Breach::Contradiction, contradiction(run)),
            (Breach::UnknownService, unknown_service(run)),
            (Breach::NoDryrun, no_dryrun(run, first)),
            (Breach::Gap, gap(run, first, earlier, around)),
            (Breach::Duplicate, duplicate(run, first, earlier.last().copied(), next)),
            (Breach::Overrun, overrun(run, first)),
            (Breach::Truncated, truncated(run)),
        ];
        Some(Judged { begun, found })
    };
    runs.iter().filter_map(judge_one).collect()
}

impl Run<'_> {
    fn first(&self) -> Option<&Piece> {
        self.mails.first().map(|mail| mail.piece)
    }

    fn begun(&self) -> Option<Begun> {
        self.mails.first().map(|mail| Begun { at: mail.at, dryrun: mail.piece.dryrun })
    }

    fn pieces(&self) -> impl Iterator<Item = &Piece> {
        self.mails.iter().map(|mail| mail.piece)
    }
}

fn named<'n>(names: impl Iterator<Item = &'n String>) -> Option<Evidence> {
    let names: BTreeSet<String> = names.take(NAMES_MAX).cloned().collect();
    (!names.is_empty()).then_some(Evidence::Services(names))
}

fn missing(run: &Run<'_>) -> Found {
    match &run.lacking {
        None => Found::Unsaid,
        Some(services) => Found::of(named(services.iter()), true),
    }
}

fn contradiction(run: &Run<'_>) -> Found {
    let mut said: BTreeMap<&String, Said> = BTreeMap::new();
    let mut both: BTreeSet<&String> = BTreeSet::new();
    for (service, result) in run.pieces().flat_map(|piece| piece.results.iter()) {
        let opposite =
            run.mails.len() > 1 && said.insert(service, *result).is_some_and(|before| before != *result);
        if opposite || *result == Said::Both {
            both.insert(service);
        }
    }
    Found::of(named(both.into_iter()), run.closed)
}

fn unknown_service(run: &Run<'_>) -> Found {
    let names: BTreeSet<&String> = run.pieces().flat_map(|piece| &piece.unknown).collect();
    Found::of(named(names.into_iter()), run.closed)
}

fn no_dryrun(run: &Run<'_>, first: &Piece) -> Found {
    let flaw = run.pieces().find_map(|piece| piece.flaw).or((!first.dryrun).then_some(DryrunFlaw::Absent));
    match flaw {
        // Its DRYRUN may have been overtaken.
        Some(DryrunFlaw::Absent) if !run.closed => Found::Unsaid,
        flaw => Found::of(flaw.map(Evidence::Dryrun), true),
    }
}

/// More time than one cycle and a run of full length since the run before, and at least a cycle and a half.
fn gap(run: &Run<'_>, first: &Piece, earlier: &[Begun], around: &Surroundings<'_>) -> Found {
    let Some((at, before)) = run.begun().zip(earlier.last()).map(|(run, before)| (run.at, before.at)) else {
        return Found::Unsaid;
    };
    let cycle = rhythm(earlier, at, first).map_or(first.cycle(), |measured| measured.min(first.cycle()));
    let jitter = first.timeouts() + tolerance([first].into_iter());
    let took = at - before;
    if took <= (cycle + jitter).max(cycle + cycle / 2) {
        return Found::Kept;
    }
    let explained = around.explained.iter().any(|(from, to)| before <= *to && at >= *from);
    // A mail that was overtaken, and came straight all the same, is there before the mails that came after this time. (Not
    // when everything up to then was read: nobody is judged for that alone.)
    let latest = at - cycle + jitter + first.margin();
    if explained || around.received_until.is_none_or(|until| until < latest) || (around.was_held)(first) {
        return Found::Unsaid;
    }
    Found::Broken(Evidence::Took { ms: took.num_milliseconds(), allowed_ms: cycle.num_milliseconds() })
}

/// The usual time from run to run, of the latest up to `at`. A run made by hand in between does not shorten it.
fn rhythm(earlier: &[Begun], at: Time, first: &Piece) -> Option<TimeDelta> {
    let mut next = at;
    let lengths = earlier.iter().rev().map(|run| std::mem::replace(&mut next, run.at) - run.at);
    let mut lengths = lengths.filter(|length| *length >= twice_within(first));
    let mut latest = [TimeDelta::zero(); RHYTHM];
    for length in &mut latest {
        *length = lengths.next()?;
    }
    latest.sort_unstable();
    latest.get(RHYTHM / 2).copied()
}

/// The same token twice with the same result is one in a mail, and in two mails of a run it is not.
fn duplicate(run: &Run<'_>, first: &Piece, before: Option<Begun>, next: Option<Begun>) -> Found {
    let Some(begun) = run.begun() else { return Found::Unsaid };
    let twin = |other: Option<Begun>| {
        other.is_some_and(|other| {
            other.dryrun && begun.dryrun && (other.at - begun.at).abs() < twice_within(first)
        })
    };
    let copies = run.pieces().filter(|piece| piece.dryrun).count() > 1;
    if copies || twin(before) || twin(next) {
        return Found::Broken(Evidence::Twice);
    }
    let mut said: BTreeMap<&String, Said> = BTreeMap::new();
    let results = run.pieces().filter(|_| run.mails.len() > 1).flat_map(|piece| piece.results.iter());
    let again = results.filter(|(service, result)| said.insert(service, **result) == Some(**result));
    let absorbed = run.pieces().flat_map(|piece| &piece.again);
    let again: BTreeSet<&String> = again.map(|(service, _)| service).chain(absorbed).collect();
    // The second of two runs may still come.
    Found::of(named(again.into_iter()), run.closed && next.is_some())
}

/// Two runs nearer to each other are one that was made twice.
fn twice_within(first: &Piece) -> TimeDelta {
    (first.cycle() / 100).min(TWICE_WITHIN_MAX)
}

fn overrun(run: &Run<'_>, first: &Piece) -> Found {
    let ends = run.mails.first().zip(run.mails.last());
    let took = ends.map_or(TimeDelta::zero(), |(first, last)| last.at - first.at);
    let allowed = first.timeouts();
    let over = first.dryrun && took > allowed + tolerance(run.pieces());
    let evidence = Evidence::Took { ms: took.num_milliseconds(), allowed_ms: allowed.num_milliseconds() };
    Found::of(over.then_some(evidence), run.closed)
}

/// How exactly the order of these mails tells when they were sent.
fn tolerance<'p>(pieces: impl Iterator<Item = &'p Piece>) -> TimeDelta {
    let undated = pieces.filter(|piece| piece.arrival.sent.is_none()).map(Piece::margin).max();
    DATE_STEP + undated.unwrap_or_default()
}

fn truncated(run: &Run<'_>) -> Found {
    Found::of(run.pieces().any(|piece| piece.truncated).then_some(Evidence::Cut), run.closed)
}
