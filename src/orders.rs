//! What a person tells the watchdog about its alarms. Pure: how it arrives is the shell's business.

use chrono::TimeDelta;
use serde::{Deserialize, Serialize};

use crate::policy::Silenced;
use crate::time::Time;

/// A name and a note are no longer than this, in characters.
pub const TEXT_CHARS_MAX: usize = 200;
/// Nobody takes an alarm for longer.
pub const ACKNOWLEDGED_MAX: TimeDelta = TimeDelta::days(30);

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "order", rename_all = "snake_case", deny_unknown_fields)]
pub enum Order {
    /// Somebody takes it: no reminder and no escalation until then, or until it is over.
    Acknowledge {
        incident: String,
        by: String,
        until: Option<Time>,
        note: Option<String>,
        /// The channel in whose message the link was that was pressed; None by a command or on the page.
        #[serde(default)]
        channel: Option<String>,
    },
    /// It is over for people, whatever the checkers say: no more alarm about this trouble, until it ends and comes back.
    Resolve {
        incident: String,
        by: String,
        note: Option<String>,
    },
    /// No alarm goes out about this for a time.
    Silence {
        silenced: Silenced,
        from: Time,
        until: Time,
        by: String,
        note: Option<String>,
    },
    EndSilence {
        id: u64,
        by: String,
    },
    /// A marked alarm goes out, to see whether it arrives.
    Drill {
        /// None: all that drills go through.
        channel: Option<String>,
        by: String,
    },
}

impl Order {
    /// The same with its texts cut to one line of a bounded length.
    #[must_use]
    pub fn bounded(self) -> Self {
        let cut = |text: String| -> String {
            crate::text::one_line(&text).trim().chars().take(TEXT_CHARS_MAX).collect()
        };
        let note_of = |note: Option<String>| note.map(cut).filter(|note| !note.is_empty());
        match self {
            Self::Acknowledge { incident, by, until, note, channel } => {
                let (incident, channel) = (cut(incident), channel.map(cut));
                Self::Acknowledge { incident, by: cut(by), until, note: note_of(note), channel }
            }
            Self::Resolve { incident, by, note } => {
                Self::Resolve { incident: cut(incident), by: cut(by), note: note_of(note) }
            }
            Self::Silence { silenced, from, until, by, note } => {
                Self::Silence { silenced, from, until, by: cut(by), note: note_of(note) }
            }
            Self::EndSilence { id, by } => Self::EndSilence { id, by: cut(by) },
            Self::Drill { channel, by } => Self::Drill { channel: channel.map(cut), by: cut(by) },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_order_without_a_channel_is_one_by_command() {
        let line = r#"{"order":"acknowledge","incident":"20261120-1","by":"Anna","until":null,"note":null}"#;
        let order: Order = serde_json::from_str(line).unwrap();
        assert!(matches!(order, Order::Acknowledge { channel: None, .. }), "{order:?}");
    }
}
