//! Who has taken an alarm, and that it is still there.

use std::fmt::Write as _;

use super::{Letter, Signature};
use crate::incident::Incident;
use crate::text::one_line;

/// To those who had the alarm under `token`: somebody has taken it.
pub fn acknowledged(incident: &Incident, token: &str, by: Signature<'_>) -> Letter {
    let Some(taken) = &incident.acknowledged else { return Letter::notice(token, "") };
    let until =
        taken.until.map_or("until it is over".to_owned(), |until| format!("until {}", by.shown(until)));
    let mut body = format!("{} has taken {token}, {until}.\n", taken.by);
    if let Some(note) = &taken.note {
        let _ = writeln!(body, "\n{note}");
    }
    body.push_str("\nUntil then there is no reminder. The recovery will be told as usual.\n");
    body.push_str(&by.footer(&incident.id()));
    Letter::notice(&format!("Taken by {}: {token}", taken.by), &body)
}

/// An alarm's body with the link by which its reader takes the incident. The incident stays at the end.
pub fn linked(body: &str, link: &str) -> String {
    let how = format!("To take it, open this and press the button: {link}");
    match body.rsplit_once("\n\n") {
        Some((body, footer)) => format!("{body}\n\n{how}\n\n{footer}"),
        None => format!("{body}\n{how}\n"),
    }
}

/// The same alarm again.
pub fn reminder(alarm: &Letter, token: &str) -> Letter {
    let words = alarm.subject.strip_prefix(token).and_then(|rest| rest.strip_prefix(".NOK"));
    Letter {
        subject: one_line(&format!("{token}.NOK still:{}", words.unwrap_or_default())),
        body: format!("Nobody has ended this yet.\n\n{}", alarm.body),
    }
}
