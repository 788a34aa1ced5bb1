//! What is done about a run that breaks the rules of reporting: `findings` and `report_after`.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::report::Reported;
use super::section::Item;

/// A rule of reporting that a run breaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Breach {
    /// The run is over and has not named a configured service.
    Missing,
    /// The run says OK and NOK of one service.
    Contradiction,
    /// It names a service that nobody configured for this checker.
    UnknownService,
    /// It has no DRYRUN, or DRYRUN does not come first, or is not OK.
    NoDryrun,
    /// A run is missing between it and the one before.
    Gap,
    /// It names a service in more than one mail, or was made twice.
    Duplicate,
    /// It took longer than its timeouts.
    Overrun,
    /// Its mail was longer than what is read of one.
    Truncated,
}

impl Breach {
    pub const ALL: [Self; 8] = [
        Self::Missing,
        Self::Contradiction,
        Self::UnknownService,
        Self::NoDryrun,
        Self::Gap,
        Self::Duplicate,
        Self::Overrun,
        Self::Truncated,
    ];

    /// The word in the configuration, in alarms and in JSON.
    pub fn word(self) -> &'static str {
        match self {
            Self::Missing => "MISSING",
            Self::Contradiction => "CONTRADICTION",
            Self::UnknownService => "UNKNOWN_SERVICE",
            Self::NoDryrun => "NO_DRYRUN",
            Self::Gap => "GAP",
            Self::Duplicate => "DUPLICATE",
            Self::Overrun => "OVERRUN",
            Self::Truncated => "TRUNCATED",
        }
    }

    /// Whether it is about one service of the run, whose alarm can tell of it.
    pub fn is_of_a_service(self) -> bool {
        matches!(self, Self::Missing | Self::Contradiction)
    }

    fn usual_reaction(self) -> Reaction {
        if self.is_of_a_service() { Reaction::Alarm } else { Reaction::Report }
    }
}

/// What is done about a finding.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reaction {
    /// Alarmed at once: as the service's own alarm where it is about one, else about the checker's reports.
    Alarm,
    /// The checker is degraded, and what persists is gathered in one alarm about its reports.
    Report,
    /// Nothing is shown or said.
    Ignore,
}

/// The reaction to each finding, and what it means to persist.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Findings {
    /// Those that are not the usual ones.
    reactions: Reactions,
    /// What is to be reported is alarmed when so many runs in a row show it; 1 to 10, default 3.
    pub report_after: u32,
}

impl Default for Findings {
    fn default() -> Self {
        Self { reactions: Reactions::new(), report_after: DEFAULT_REPORT_AFTER }
    }
}

impl Findings {
    pub fn reaction(&self, breach: Breach) -> Reaction {
        self.reactions.get(&breach).copied().unwrap_or_else(|| breach.usual_reaction())
    }

    /// Whether a service whose result breaks this rule, or none, is alarmed.
    pub fn alarms(&self, breach: Option<Breach>) -> bool {
        breach.is_none_or(|breach| self.reaction(breach) == Reaction::Alarm)
    }

    #[must_use]
    pub fn with(mut self, breach: Breach, reaction: Reaction) -> Self {
        self.reactions.insert(breach, reaction);
        self
    }
}

const DEFAULT_REPORT_AFTER: u32 = 3;

/// Those that were configured.
pub(super) type Reactions = BTreeMap<Breach, Reaction>;

pub(super) fn read(item: Item<'_>) -> Result<Reactions, Reported> {
    let words = [("alarm", Reaction::Alarm), ("report", Reaction::Report), ("ignore", Reaction::Ignore)];
    let mut section = item.section("findings")?;
    let read: Vec<_> = Breach::ALL
        .iter()
        .map(|breach| (*breach, section.optional(breach.word(), |item| item.choice(&words))))
        .collect();
    section.finish();
    let mut reactions = Reactions::new();
    for (breach, reaction) in read {
        reactions.extend(reaction?.map(|reaction| (breach, reaction)));
    }
    Ok(reactions)
}

/// A checker's own, and those of `[defaults]` for what it does not name.
pub(super) fn merged(
    own: Result<Option<Reactions>, Reported>,
    defaults: &Result<Option<Reactions>, Reported>,
) -> Result<Option<Reactions>, Reported> {
    let mut all = defaults.clone()?.unwrap_or_default();
    all.extend(own?.unwrap_or_default());
    Ok(Some(all))
}

pub(super) fn of(reactions: Option<Reactions>, report_after: Option<u32>) -> Findings {
    let mut reactions = reactions.unwrap_or_default();
    reactions.retain(|breach, reaction| *reaction != breach.usual_reaction());
    Findings { reactions, report_after: report_after.unwrap_or(DEFAULT_REPORT_AFTER) }
}
