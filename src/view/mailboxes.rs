//! The lines about the mailboxes below the table.

use serde::Serialize;

use crate::config;
use crate::engine::{Mailbox, Offset};
use crate::expiry::{Credential, Ending, endings};
use crate::fullness::{Fullness, Usage};
use crate::time::{Time, as_optional_rfc3339, as_rfc3339, span};

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct MailboxLine {
    pub name: String,
    #[serde(serialize_with = "as_optional_rfc3339")]
    pub heard_until: Option<Time>,
    /// The watchdog's clock minus the server's, between two bounds; null until it is confirmed.
    #[serde(serialize_with = "super::as_range")]
    pub clock_offset_s: Option<Offset>,
    /// It could not be read the last time because user, password or token were refused.
    pub login_refused: bool,
    /// None when nobody says how much it may hold.
    pub fullness: Option<FullnessLine>,
    /// Of what opens it.
    pub endings: Vec<EndingLine>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FullnessLine {
    #[serde(serialize_with = "as_rfc3339")]
    pub measured: Time,
    /// Of what is scarcer.
    pub percent: u64,
    pub nearly_full: bool,
    pub full: bool,
    /// In bytes.
    pub storage: Option<Usage>,
    pub messages: Option<Usage>,
    #[serde(skip)]
    pub words: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct EndingLine {
    pub what: Credential,
    #[serde(serialize_with = "as_rfc3339")]
    pub at: Time,
    /// It is near enough to be alarmed.
    pub soon: bool,
}

impl MailboxLine {
    pub fn of(config: &config::Mailbox, state: &Mailbox, as_of: Time) -> Self {
        let fullness = |seen: &Fullness| FullnessLine {
            measured: seen.measured,
            percent: seen.percent(),
            nearly_full: seen.is_nearly_full(),
            full: seen.is_full(),
            storage: seen.storage,
            messages: seen.messages,
            words: seen.words(),
        };
        let ending =
            |ending: Ending| EndingLine { what: ending.what, at: ending.at, soon: ending.is_due(as_of) };
        Self {
            name: config.name.clone(),
            heard_until: state.heard_until,
            clock_offset_s: state.clock.offset(as_of),
            login_refused: state.login_refused,
            fullness: state.fullness.as_ref().map(fullness),
            endings: endings(config, state.certificate).map(ending).collect(),
        }
    }

    /// Something about it has to be done soon, although it is read.
    pub fn degraded(&self) -> bool {
        self.fullness.as_ref().is_some_and(|fullness| fullness.nearly_full)
            || self.endings.iter().any(|ending| ending.soon)
    }

    /// What has to be done, one sentence each.
    pub fn sentences(&self, as_of: Time) -> Vec<String> {
        let name = &self.name;
        let full = self.fullness.as_ref().filter(|fullness| fullness.nearly_full);
        let full = full.map(|fullness| format!("The mailbox {name} is {}.", fullness.words));
        let ends = self.endings.iter().filter(|ending| ending.soon).map(|ending| {
            let what = ending.what.words();
            if ending.at <= as_of {
                format!("The {what} of the mailbox {name} has ended.")
            } else {
                format!("The {what} of the mailbox {name} ends in {}.", span(ending.at - as_of))
            }
        });
        full.into_iter().chain(ends).collect()
    }
}
