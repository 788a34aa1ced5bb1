//! Many alarms, or recoveries, in one message that can be read on a telephone.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::{Letter, Signature, listed_counts, with_room};
use crate::incident::Severity;
use crate::outbox::{Kind, Message};
use crate::text::cut;
use crate::time::span;

/// So many parts are listed, two lines each.
const LISTED_MAX: usize = 12;
/// Of each part's own subject.
const LINE_CHARS_MAX: usize = 100;

/// One letter for all of `parts`, of which `lead` is the first.
pub fn combined(lead: &Message, parts: &[&Message], by: Signature<'_>) -> Letter {
    let more = parts.len().saturating_sub(1);
    let (one, many) = match lead.kind {
        Kind::Alarm => ("alarm", "alarms"),
        Kind::Recovery => ("recovery", "recoveries"),
        Kind::Notice => ("notice", "notices"),
    };
    let others: Vec<&str> = parts.iter().skip(1).map(|part| part.token.as_str()).collect();
    let ending = if lead.kind == Kind::Alarm { ".NOK" } else { ".OK" };
    let what = format!("and {more} more {}", if more == 1 { one } else { many });
    let words = with_room(&format!("{}{ending}", lead.token), &what, &others);
    let mut body = format!("{} {many}, in one message because they are so many.\n\n", parts.len());
    body.push_str(&counts(lead.kind, parts));
    body.push('\n');
    for part in parts.iter().take(LISTED_MAX) {
        let opened = part.bulletin.opened;
        let when = match part.kind {
            Kind::Recovery => format!("lasted {}, from {}", span(part.created - opened), by.shown(opened)),
            Kind::Alarm | Kind::Notice => format!("since {}", by.shown(opened)),
        };
        let _ =
            write!(body, "{}\n  {when}, incident {}\n", cut(&part.subject, LINE_CHARS_MAX), part.incident);
    }
    if let Some(rest @ 1..) = parts.len().checked_sub(LISTED_MAX) {
        let _ = writeln!(body, "… and {rest} more; the command `incidents` lists them all.");
    }
    body.push_str(&by.footer(&format!("{} and {more} more", lead.incident)));
    match lead.kind {
        Kind::Alarm => Letter::alarm(&lead.token, &words, body),
        Kind::Recovery => Letter::recovery(&lead.token, &words, &body),
        Kind::Notice => {
            Letter::notice(&format!("{} and {more} more", cut(&lead.subject, LINE_CHARS_MAX)), &body)
        }
    }
}

/// How many there are of what sort.
fn counts(kind: Kind, parts: &[&Message]) -> String {
    let mut text = String::new();
    if kind == Kind::Alarm {
        let critical = parts.iter().filter(|part| part.bulletin.severity == Severity::Critical).count();
        let _ = writeln!(text, "Critical:     {critical} of {}", parts.len());
    }
    let mut providers: BTreeMap<&str, usize> = BTreeMap::new();
    for provider in parts.iter().flat_map(|part| &part.bulletin.about.providers) {
        *providers.entry(provider).or_default() += 1;
    }
    if !providers.is_empty() {
        let _ = writeln!(text, "Providers:    {}", listed_counts(providers));
    }
    text
}
