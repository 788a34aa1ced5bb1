//! The mails of one writer → its rhythm, its services, and how long a run takes.

use std::collections::{BTreeMap, BTreeSet};

use chrono::TimeDelta;

use crate::config::is_service;
use crate::report::tokens::UNKNOWN_CHARS_MAX;
use crate::time::Time;

/// A name in fewer mails is prose that looks like a token.
const MAILS_MIN: usize = 2;
/// A name in less than half of the newest so many runs is no service that is reported now.
const RECENT_RUNS: usize = 10;
/// Different names kept of one writer; as many as a checker may have tests.
const NAMES_MAX: usize = 1000;

/// What one address, or one configured checker, has written.
#[derive(Debug, Clone, Default)]
pub struct Writer {
    mails: Vec<Note>,
    /// Each name has a number: a mailbox repeats few names in many mails.
    names: BTreeMap<String, u16>,
    route: Vec<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Note {
    received: Time,
    /// `false` comes first: within one second, the DRYRUN began the run.
    result_only: bool,
    names: Vec<u16>,
}

/// From a DRYRUN up to the next one; of a writer without any DRYRUN, each mail.
#[derive(Debug, Clone)]
struct Run {
    first: Time,
    last: Time,
    names: BTreeSet<u16>,
}

/// What the mails of a writer amount to.
#[derive(Debug, Clone)]
pub struct Measured {
    pub mails: usize,
    /// Whether any mail held a DRYRUN.
    pub dryrun: bool,
    pub last_received: Time,
    /// Between the beginnings of two runs; None with fewer than two runs.
    pub gaps: Option<Gaps>,
    /// From the first mail of a run to its last, where results come in mails of their own.
    pub longest_run: Option<TimeDelta>,
    /// Those that are surely services, sorted.
    pub services: Vec<String>,
    pub doubtful: Vec<Doubtful>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Gaps {
    pub count: usize,
    pub median: TimeDelta,
    pub shortest: TimeDelta,
    pub longest: TimeDelta,
}

/// A name that is not taken for a service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Doubtful {
    pub name: String,
    pub why: Doubt,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Doubt {
    Once,
    /// In so many mails, but hardly in the newest runs.
    Rare(usize),
    /// The configuration takes no such name.
    NoName,
    /// Differs from a service only in letter case.
    SameName,
}

impl Writer {
    /// Notes a mail, with the names it holds tokens of.
    pub(super) fn add(&mut self, received: Time, dryrun: bool, names: &[&str], route: Vec<String>) {
        if self.last_received().is_none_or(|last| last <= received) {
            self.route = route;
        }
        let names = names.iter().filter_map(|name| self.number(name)).collect();
        self.mails.push(Note { received, result_only: !dryrun, names });
    }

    fn number(&mut self, name: &str) -> Option<u16> {
        if let Some(number) = self.names.get(name) {
            return Some(*number);
        }
        let number = u16::try_from(self.names.len()).ok()?;
        (self.names.len() < NAMES_MAX).then(|| self.names.insert(name.to_owned(), number))?;
        Some(number)
    }

    pub fn mails(&self) -> usize {
        self.mails.len()
    }

    pub fn last_received(&self) -> Option<Time> {
        self.mails.iter().map(|mail| mail.received).max()
    }

    /// The hosts its newest mail came by, the first one first.
    pub fn route(&self) -> &[String] {
        &self.route
    }

    /// Whether it writes as a checker does: a DRYRUN, or the same name again.
    pub(super) fn reports(&self) -> bool {
        self.has_dryrun() || self.measure().is_some_and(|measured| !measured.services.is_empty())
    }

    fn has_dryrun(&self) -> bool {
        self.mails.iter().any(|mail| !mail.result_only)
    }

    /// None when it has written nothing.
    pub fn measure(&self) -> Option<Measured> {
        let last_received = self.last_received()?;
        let runs = self.runs();
        let (services, doubtful) = self.services(&runs);
        let lengths = runs.iter().map(|run| run.last - run.first).filter(|length| !length.is_zero());
        Some(Measured {
            mails: self.mails.len(),
            dryrun: self.has_dryrun(),
            last_received,
            gaps: gaps(&runs),
            longest_run: lengths.max(),
            services,
            doubtful,
        })
    }

    /// In order. What came before the first DRYRUN is the end of a run whose beginning was not read.
    fn runs(&self) -> Vec<Run> {
        let mut mails: Vec<&Note> = self.mails.iter().collect();
        mails.sort();
        let dryruns = self.has_dryrun();
        let mut runs: Vec<Run> = Vec::new();
        for mail in mails {
            match runs.last_mut() {
                Some(run) if dryruns && mail.result_only => {
                    run.last = mail.received;
                    run.names.extend(&mail.names);
                }
                None if dryruns && mail.result_only => {}
                _ => runs.push(Run {
                    first: mail.received,
                    last: mail.received,
                    names: mail.names.iter().copied().collect(),
                }),
            }
        }
        runs
    }

    fn services(&self, runs: &[Run]) -> (Vec<String>, Vec<Doubtful>) {
        let recent = runs.get(runs.len().saturating_sub(RECENT_RUNS)..).unwrap_or_default();
        let mut in_mails: BTreeMap<u16, usize> = BTreeMap::new();
        for number in self.mails.iter().flat_map(|mail| &mail.names) {
            *in_mails.entry(*number).or_default() += 1;
        }
        let mut candidates: Vec<(usize, &String, Option<Doubt>)> = Vec::new();
        for (name, number) in &self.names {
            let mails = in_mails.get(number).copied().unwrap_or(0);
            let in_recent = recent.iter().filter(|run| run.names.contains(number)).count();
            let doubt = if !is_service(name) || name.chars().count() >= UNKNOWN_CHARS_MAX {
                Some(Doubt::NoName)
            } else if mails < MAILS_MIN {
                Some(Doubt::Once)
            } else {
                (2 * in_recent < recent.len()).then_some(Doubt::Rare(mails))
            };
            candidates.push((mails, name, doubt));
        }
        // The commonest first: of names that differ in letter case only, one can be configured.
        candidates.sort_by(|(a, first, _), (b, second, _)| b.cmp(a).then_with(|| first.cmp(second)));
        let (mut services, mut doubtful, mut taken) = (Vec::new(), Vec::new(), BTreeSet::new());
        for (_, name, doubt) in candidates {
            let doubt = doubt.or_else(|| (!taken.insert(name.to_lowercase())).then_some(Doubt::SameName));
            match doubt {
                None => services.push(name.clone()),
                Some(why) => doubtful.push(Doubtful { name: name.clone(), why }),
            }
        }
        services.sort();
        (services, doubtful)
    }
}

fn gaps(runs: &[Run]) -> Option<Gaps> {
    let later = runs.iter().skip(1);
    let mut gaps: Vec<TimeDelta> = runs.iter().zip(later).map(|(run, next)| next.first - run.first).collect();
    gaps.sort();
    Some(Gaps {
        count: gaps.len(),
        median: *gaps.get(gaps.len() / 2)?,
        shortest: *gaps.first()?,
        longest: *gaps.last()?,
    })
}

/// Seconds of cycles that people choose.
const USUAL_CYCLES: [i64; 25] = [
    1, 2, 5, 10, 15, 20, 30, 60, 120, 180, 240, 300, 360, 600, 720, 900, 1200, 1800, 3600, 7200, 10_800,
    14_400, 21_600, 43_200, 86_400,
];
/// A cycle is proposed no more than this below the measured one: the mail path's margin must still cover the rest.
const BELOW_MAX_SECONDS: i64 = 15;
const CYCLE_MAX_SECONDS: i64 = 7 * 86_400;

/// The cycle that a measured one was probably meant to be; one that is accepted by the configuration.
pub(super) fn usual_cycle(measured: TimeDelta) -> TimeDelta {
    let seconds = (measured.num_milliseconds() + 999) / 1000;
    let seconds = seconds.clamp(1, CYCLE_MAX_SECONDS);
    let near = |usual: &&i64| {
        let below = seconds - **usual;
        below.abs() <= **usual / 10 && below <= BELOW_MAX_SECONDS
    };
    let usual = USUAL_CYCLES.iter().filter(near).min_by_key(|usual| (seconds - **usual).abs());
    let step = match seconds {
        ..60 => 1,
        60..600 => 10,
        600..3600 => 60,
        _ => 600,
    };
    let rounded_up = (seconds + step - 1) / step * step;
    TimeDelta::seconds(usual.copied().unwrap_or(rounded_up.min(CYCLE_MAX_SECONDS)))
}
