//! What a checker last said of one service, and since when it has been saying so.

use chrono::TimeDelta;
use serde::{Deserialize, Serialize};

use super::series::{Series, Told};
use super::swings::Swings;
use crate::config::Breach;
use crate::report::Said;
use crate::time::Time;

/// A service's result in one run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    Ok,
    Nok,
    /// The run is over and has not named the service.
    Missing,
    /// The run said OK and NOK.
    Contradiction,
    /// The mail could not be read far enough.
    Unread,
}

impl Outcome {
    pub fn is_bad(self) -> bool {
        matches!(self, Self::Nok | Self::Missing | Self::Contradiction)
    }

    /// The rule of reporting that such a result breaks.
    pub fn breach(self) -> Option<Breach> {
        match self {
            Self::Missing => Some(Breach::Missing),
            Self::Contradiction => Some(Breach::Contradiction),
            Self::Ok | Self::Nok | Self::Unread => None,
        }
    }

    /// The word of the contract. A contradiction counts as a NOK.
    pub fn word(self) -> &'static str {
        match self {
            Self::Ok => "OK",
            Self::Nok | Self::Contradiction => "NOK",
            Self::Missing => "MISSING",
            Self::Unread => "UNKNOWN",
        }
    }
}

impl Told for Outcome {
    fn is_bad(self) -> bool {
        self.is_bad()
    }

    fn counts(self) -> bool {
        self != Self::Unread
    }
}

impl From<Said> for Outcome {
    fn from(said: Said) -> Self {
        match said {
            Said::Ok => Self::Ok,
            Said::Nok => Self::Nok,
            Said::Both => Self::Contradiction,
        }
    }
}

/// The newest outcome of one service, by the order of the runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Service {
    series: Series<Outcome>,
    swings: Swings,
}

impl Service {
    pub fn new(at: Time, outcome: Outcome) -> Self {
        let mut swings = Swings::default();
        swings.learn(at, outcome);
        Self { series: Series::new(at, outcome), swings }
    }

    pub fn outcome(&self) -> Outcome {
        self.series.told()
    }

    /// The newest run that told of the service.
    pub fn at(&self) -> Time {
        self.series.at()
    }

    /// The run in which the present row of equal outcomes began.
    pub fn since(&self) -> Time {
        self.series.since()
    }

    /// Runs in a row, the newest among them, that were all bad or all good.
    pub fn streak(&self) -> u32 {
        self.series.streak()
    }

    /// How often it changed between good and bad within so long before its newest run.
    pub fn changes(&self, within: TimeDelta) -> usize {
        self.swings.changes(self.series.at(), within)
    }

    /// Takes in what the run of `at` said, whether that run is newer than what is known, the same, or history.
    pub fn learn(&mut self, at: Time, outcome: Outcome) {
        self.series.learn(at, outcome);
        self.swings.learn(at, outcome);
    }
}
