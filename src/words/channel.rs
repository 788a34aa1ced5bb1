//! A channel that does not take its messages.

use std::fmt::Write as _;

use super::{Scene, listed, only_removed, only_resolved};
use crate::expiry::Ending;
use crate::incident::Incident;
use crate::text;

/// So many characters of an error are quoted.
const QUOTED_CHARS_MAX: usize = 300;

/// What is known of the channel an incident is about.
#[derive(Debug, Clone)]
pub struct ChannelCard<'a> {
    /// Its type in the configuration.
    pub kind: &'static str,
    /// Empty when it is not known.
    pub host: &'a str,
    /// Of what it signs in with.
    pub ending: Option<Ending>,
    /// Messages that it has not taken yet.
    pub waiting: usize,
    /// Why it did not take the latest of them.
    pub error: Option<&'a str>,
}

/// The words of the subject, and the body.
pub(super) fn alarm(incident: &Incident, name: &str, scene: &Scene<'_>) -> (String, String) {
    let watchdog = scene.by.watchdog;
    let to: Vec<&str> = incident.present().map(|(recipient, _)| recipient).collect();
    let kind = scene.channel.as_ref().map_or("", |card| card.kind);
    let mut body = format!("{watchdog} cannot deliver through the channel {name} ({kind}).\n\n");
    let _ = writeln!(body, "To:           {}", listed(&to));
    if let Some(card) = &scene.channel {
        let _ = writeln!(body, "Waiting:      {}", count(card.waiting));
        let error = card.error.unwrap_or("it has not answered");
        let _ = writeln!(body, "Reason:       {}", text::quoted(error, QUOTED_CHARS_MAX));
    }
    let _ = writeln!(
        body,
        "\nWhile it lasts nobody hears anything by this channel. What waits is tried again and again; alarms go to the \
         fallback channels too."
    );
    let _ = writeln!(
        body,
        "\nLook first at: the reason above; once it is mended, `bresse-watchdog alert-test` shows whether the channel works."
    );
    (format!("the channel {name} does not take messages"), body)
}

/// The words of the subject, and the body.
pub(super) fn recovery(incident: &Incident, name: &str) -> (String, String) {
    let body = if only_removed(incident) {
        format!("The channel {name} was removed from the configuration.\n")
    } else if only_resolved(incident) {
        format!("Somebody ended the alarm about the channel {name}.\n")
    } else {
        format!("The channel {name} takes messages again.\n")
    };
    (format!("the channel {name} takes messages again"), body)
}

fn count(waiting: usize) -> String {
    match waiting {
        1 => "1 message".to_owned(),
        more => format!("{more} messages"),
    }
}
