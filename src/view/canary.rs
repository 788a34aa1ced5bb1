//! The line about the canary below the table.

use chrono::TimeDelta;
use serde::Serialize;

use crate::engine::Engine;
use crate::ledger::path::Latencies;
use crate::time::{Time, as_optional_rfc3339, as_seconds, rfc3339, seconds, span};

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct CanaryLine {
    /// When one was last let go.
    #[serde(serialize_with = "as_optional_rfc3339")]
    pub sent: Option<Time>,
    /// When the latest one that came back was received.
    #[serde(serialize_with = "as_optional_rfc3339")]
    pub received: Option<Time>,
    /// When the latest one was sent that should be back by now; null when none is missing.
    #[serde(serialize_with = "as_optional_rfc3339")]
    pub overdue: Option<Time>,
    /// Why the channel did not take the last one.
    pub error: Option<String>,
    /// How long the latest ones took; null before the first came back.
    pub path: Option<PathLine>,
}

/// How long mails took.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct PathLine {
    pub mails: usize,
    #[serde(serialize_with = "as_seconds")]
    pub now_s: TimeDelta,
    #[serde(serialize_with = "as_seconds")]
    pub median_s: TimeDelta,
    #[serde(serialize_with = "as_seconds")]
    pub p99_s: TimeDelta,
    #[serde(serialize_with = "as_seconds")]
    pub max_s: TimeDelta,
}

impl From<Latencies> for PathLine {
    fn from(took: Latencies) -> Self {
        Self { mails: took.mails, now_s: took.now, median_s: took.median, p99_s: took.p99, max_s: took.max }
    }
}

impl CanaryLine {
    /// None when there is none in the configuration.
    pub fn of(engine: &Engine) -> Option<Self> {
        let canary = engine.canary()?;
        Some(Self {
            sent: canary.released,
            received: canary.returned.map(|returned| returned.received),
            overdue: engine.canary_overdue(),
            error: canary.unsent.clone(),
            path: canary.latencies().map(PathLine::from),
        })
    }

    /// The mail path is not what it should be, or is not measured.
    pub fn degraded(&self) -> bool {
        self.overdue.is_some() || self.error.is_some()
    }

    /// What it tells, in one line.
    pub fn sentence(&self, as_of: Time) -> String {
        let through = match self.received {
            Some(received) => {
                format!("came through at {}, {} ago", rfc3339(received), span(as_of - received))
            }
            None => "has not come through yet".to_owned(),
        };
        let took = self.path.map(|path| {
            format!(
                "; it took {} s (of {}: median {} s, 99 % within {} s, longest {} s)",
                seconds(path.now_s),
                path.mails,
                seconds(path.median_s),
                seconds(path.p99_s),
                seconds(path.max_s)
            )
        });
        let missing = match (&self.error, self.overdue) {
            (Some(error), _) => format!("; the next was not sent: {error}"),
            (None, Some(sent)) => {
                format!("; the one sent at {} is missing: the mail path is slow or down", rfc3339(sent))
            }
            (None, None) => String::new(),
        };
        format!("The canary {through}{}{missing}.", took.unwrap_or_default())
    }
}
