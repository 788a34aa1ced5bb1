//! Runs → findings: which rules of reporting a run breaks, and since when runs have been breaking them.
//!
//! Like what runs tell of services, findings are worked out anew from the newest runs after every look: a mail that was
//! overtaken, or held on the way, takes back what it seemed to prove. What cannot be said of a run (a mail of it may still
//! come, or the mailbox was down) neither continues a row nor ends it.

mod rules;

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::series::Series;
use crate::config::Breach;
use crate::time::Time;
use rules::Found;
pub(super) use rules::{Run, Surroundings, judge};

/// So many names are kept of what a run names wrongly.
pub(super) const NAMES_MAX: usize = 5;
/// So many clean runs in a row, and no configuration asks for more, make a finding history.
const CLEAN_MAX: u32 = 10;
/// So many runs before those that are worked out anew tell the rhythm.
const BEGUN_MAX: usize = 4;

/// What a finding rests on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Evidence {
    /// The first few of the services in question.
    Services(BTreeSet<String>),
    Dryrun(DryrunFlaw),
    /// The whole run was made twice.
    Twice,
    /// How long it took, and how long it may take.
    Took {
        ms: i64,
        allowed_ms: i64,
    },
    /// Its mail is longer than what is read of one.
    Cut,
}

/// What is wrong with the auto test that begins a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DryrunFlaw {
    Absent,
    NotFirst,
    NotOk,
}

/// One rule of reporting, in the row of the runs. Rules that no run has broken for long have none.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// Whether a run breaks the rule.
    series: Series<bool>,
    /// The newest run that did, and what shows it.
    run: Time,
    evidence: Evidence,
}

impl Finding {
    /// Whether the newest run that can be judged breaks the rule.
    pub fn stands(&self) -> bool {
        self.series.told()
    }

    /// The run with which the present row of runs that break the rule, or keep it, began.
    pub fn since(&self) -> Time {
        self.series.since()
    }

    /// Runs in a row, the newest among them, that all break the rule, or all keep it.
    pub fn streak(&self) -> u32 {
        self.series.streak()
    }

    /// The newest run that broke the rule.
    pub fn run(&self) -> Time {
        self.run
    }

    /// What shows that it did.
    pub fn evidence(&self) -> &Evidence {
        &self.evidence
    }

    fn is_history(&self) -> bool {
        !self.stands() && self.streak() >= CLEAN_MAX
    }
}

/// Where a run stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Begun {
    pub at: Time,
    /// It began with a DRYRUN.
    pub dryrun: bool,
}

/// What can be said of one run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Judged {
    pub begun: Begun,
    /// By each rule.
    found: [(Breach, Found); Breach::ALL.len()],
}

/// What the runs judged so far amount to.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Findings {
    /// The newest of them, ascending.
    begun: Vec<Begun>,
    findings: BTreeMap<Breach, Finding>,
}

impl Findings {
    /// The newest runs, ascending.
    pub(super) fn begun(&self) -> &[Begun] {
        &self.begun
    }

    pub(super) fn into_map(self) -> BTreeMap<Breach, Finding> {
        self.findings
    }

    /// Takes in a run, newer than the others or history.
    pub(super) fn learn(&mut self, run: Judged) {
        let at = run.begun.at;
        let newest = self.begun.last().map_or(at, |newest| newest.at);
        for (breach, found) in run.found {
            match found {
                Found::Unsaid => {}
                Found::Kept => self.learn_one(breach, at, None, newest),
                Found::Broken(evidence) => self.learn_one(breach, at, Some(evidence), newest),
            }
        }
        if let Err(place) = self.begun.binary_search_by_key(&at, |run| run.at) {
            self.begun.insert(place, run.begun);
        }
        let old = self.begun.len().saturating_sub(BEGUN_MAX);
        self.begun.drain(..old);
    }

    fn learn_one(&mut self, breach: Breach, at: Time, broken: Option<Evidence>, newest: Time) {
        match (self.findings.get_mut(&breach), broken) {
            (Some(known), broken) => {
                known.series.learn(at, broken.is_some());
                if let Some(evidence) = broken.filter(|_| at >= known.run) {
                    (known.run, known.evidence) = (at, evidence);
                }
            }
            (None, None) => {}
            (None, Some(evidence)) => {
                let mut series = Series::new(newest.max(at), at >= newest);
                series.learn(at, true);
                self.findings.insert(breach, Finding { series, run: at, evidence });
            }
        }
        if self.findings.get(&breach).is_some_and(Finding::is_history) {
            self.findings.remove(&breach);
        }
    }
}

#[cfg(test)]
mod tests;
