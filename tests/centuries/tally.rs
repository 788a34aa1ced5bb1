//! What happened in the worlds, counted.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::AddAssign;

use crate::site::DAY;

const DAYS_A_YEAR: f64 = 365.25;

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    pub(crate) worlds: u64,
    /// Milliseconds, one for each checker.
    pub(crate) checker_ms: i64,
    /// Reports that a complete look found, each once.
    pub(crate) reports: u64,
    pub(crate) looks: u64,
    pub(crate) commits: u64,
    pub(crate) alarms: u64,
    pub(crate) recoveries: u64,
    pub(crate) again: u64,
    pub(crate) faults: BTreeMap<&'static str, u64>,
}

impl Tally {
    pub(crate) fn fault(&mut self, kind: &'static str) {
        *self.faults.entry(kind).or_default() += 1;
    }

    pub(crate) fn all_faults(&self) -> u64 {
        self.faults.values().sum()
    }

    pub(crate) fn checker_years(&self) -> f64 {
        self.checker_ms as f64 / DAY as f64 / DAYS_A_YEAR
    }
}

impl AddAssign<&Self> for Tally {
    fn add_assign(&mut self, other: &Self) {
        self.worlds += other.worlds;
        self.checker_ms += other.checker_ms;
        self.reports += other.reports;
        self.looks += other.looks;
        self.commits += other.commits;
        self.alarms += other.alarms;
        self.recoveries += other.recoveries;
        self.again += other.again;
        for (kind, count) in &other.faults {
            *self.faults.entry(kind).or_default() += count;
        }
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} seeds, {:.1} checker-years, {} reports, {} looks, {} commits, {} alarms, {} recoveries, {} said again, \
             {} faults",
            self.worlds,
            self.checker_years(),
            self.reports,
            self.looks,
            self.commits,
            self.alarms,
            self.recoveries,
            self.again,
            self.all_faults()
        )
    }
}
