//! A checker, or several of them, that nobody hears any more.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use chrono::TimeDelta;
use chrono_tz::Tz;

use super::{CheckerCard, DESCRIBED_MAX, Scene, and_more, cause, listed, listed_counts, with_room};
use crate::config::duration;
use crate::incident::{End, Incident};
use crate::ledger::{Deadline, MarginBy};
use crate::reason::Reason;
use crate::time::{Time, seconds, span, utc_and_local};

/// Of more than [`DESCRIBED_MAX`] so many are described: what they have in common matters then.
const DESCRIBED_OF_MANY: usize = 3;
/// Of those that many share.
const LONGEST_TOKEN: &str = "MONITOR_MailPath.NOK";

/// `5m cycle + 40s tests + 60s mail path = 6m40s (400 s)`, and whether the mail path was measured.
pub fn deadline_sum(deadline: Deadline) -> String {
    let text = |ms: i64| duration::display(TimeDelta::milliseconds(ms));
    let cycles = match deadline.missed_cycles {
        1 => format!("{} cycle", text(deadline.cycle_ms)),
        more => format!("{more} × {} cycle", text(deadline.cycle_ms)),
    };
    let measured = match deadline.margin_by {
        MarginBy::Configuration => "",
        MarginBy::Default => " (not measured yet)",
        MarginBy::Measurement => " (measured)",
    };
    format!(
        "{cycles} + {} tests + {} mail path{measured} = {} ({} s)",
        text(deadline.timeouts_ms),
        text(deadline.margin_ms),
        duration::display(deadline.total()),
        seconds(deadline.total())
    )
}

/// The words of the subject, and the body.
pub(super) fn alarm(incident: &Incident, scene: &Scene<'_>) -> (String, String) {
    let names: Vec<&str> = incident.present().map(|(name, _)| name).collect();
    let silent: BTreeSet<&str> = names.iter().copied().collect();
    let cards: Vec<&CheckerCard<'_>> =
        scene.checkers.iter().filter(|card| silent.contains(card.name)).collect();
    let providers: BTreeSet<&str> = cards.iter().map(|card| card.provider).collect();
    let providers = listed(&providers.into_iter().collect::<Vec<_>>());
    let reason = incident.cause.as_ref().map_or(Reason::Unknown, |cause| cause.reason);
    let why = cause::phrase(reason).map(|phrase| format!(", {phrase}")).unwrap_or_default();
    let (words, first) = match names.as_slice() {
        [only] => {
            let words = format!("{only} is silent ({providers}){why}");
            (words.clone(), words)
        }
        several => {
            let words = format!("{} checkers are silent{why}", several.len());
            let all = format!("{words}: {}", listed(several));
            match several.len() {
                ..=DESCRIBED_MAX => (all.clone(), all),
                _ => (with_room(LONGEST_TOKEN, &words, several), all),
            }
        }
    };
    let mut body = format!("{first}.\n");
    if let Some(cause) = &incident.cause {
        let _ = write!(body, "\n{}", cause::paragraph(cause, scene.by));
    }
    let shown = if cards.len() > DESCRIBED_MAX { DESCRIBED_OF_MANY } else { DESCRIBED_MAX };
    if cards.len() > shown {
        let _ = writeln!(body, "\nProviders:      {}", listed_counts(by_provider(&cards)));
    }
    for card in cards.iter().take(shown) {
        if cards.len() > 1 {
            let _ = write!(body, "\n{} ({})", card.name, card.provider);
        }
        body.push_str(&described(card, scene));
    }
    if let Some(more @ 1..) = cards.len().checked_sub(shown) {
        let _ = writeln!(body, "\n… and {more} more.");
    }
    if let Some((heard, all)) = scene.heard {
        let _ = writeln!(body, "\n{} hears {heard} of {all} checkers.", scene.by.watchdog);
    }
    for mailbox in &scene.mailboxes {
        if let Some(until) = mailbox.heard_until {
            let (name, host, until) = (mailbox.name, mailbox.host, scene.by.shown(until));
            let _ = writeln!(body, "The mailbox {name} ({host}) was read up to {until}.");
        }
    }
    let _ = writeln!(body, "\nLook first at: {}", cause::look_first(reason, &names, &providers));
    (words, body)
}

fn by_provider<'a>(cards: &[&CheckerCard<'a>]) -> BTreeMap<&'a str, usize> {
    let mut counts = BTreeMap::new();
    for card in cards {
        *counts.entry(card.provider).or_default() += 1;
    }
    counts
}

fn described(card: &CheckerCard<'_>, scene: &Scene<'_>) -> String {
    let mut text = "\n".to_owned();
    let shown = |time: Option<Time>| time.map_or("never".to_owned(), |time| scene.by.shown(time));
    let counted_from = card.heard_at.or(card.watched_since);
    let _ = match card.heard_at {
        Some(heard) => {
            writeln!(text, "  Last heard:   {}, {} ago", shown(Some(heard)), span(scene.by.now - heard))
        }
        None => writeln!(text, "  Last heard:   never; watched for since {}", shown(card.watched_since)),
    };
    let _ = writeln!(text, "  Deadline:     {}", deadline_sum(card.deadline));
    let silent_since = counted_from.map(|from| from + card.deadline.total());
    let _ = writeln!(text, "  Silent since: {}", shown(silent_since));
    if let Some(received) = card.last_received {
        let utc = |time: Time| utc_and_local(time, Tz::UTC);
        let sent = card.last_sent.map_or("without a date of its own".to_owned(), |sent| {
            format!("sent {} by its own clock", utc(sent))
        });
        let _ = writeln!(text, "  Last mail:    received {}, {sent}", utc(received));
    }
    text
}

/// The words of the subject, and the body.
pub(super) fn recovery(incident: &Incident, scene: &Scene<'_>) -> (String, String) {
    let of = |is: fn(End) -> bool| -> Vec<&str> {
        let members = incident.members.iter().filter(|(_, member)| member.end.is_some_and(is));
        members.map(|(name, _)| name.as_str()).collect()
    };
    let back = of(|end| matches!(end, End::Recovered(_)));
    let removed = of(|end| matches!(end, End::Removed(_)));
    let words = match back.as_slice() {
        [] => format!("closed: {} no longer in the configuration", listed(&removed)),
        [only] => format!("{only} is heard again"),
        several => format!("{} checkers are heard again", several.len()),
    };
    let mut body = String::new();
    for (name, member) in incident.members.iter().take(DESCRIBED_MAX) {
        let _ = match member.end {
            Some(End::Recovered(heard)) => {
                writeln!(body, "{name} is heard again: {}.", scene.by.shown(heard))
            }
            Some(End::Removed(_)) => writeln!(body, "{name} was removed from the configuration."),
            Some(End::Resolved(_)) => writeln!(body, "{name} is still silent; a person ended this incident."),
            None if incident.closed.is_some() => {
                writeln!(body, "{name} is still silent; it is an incident of its own now.")
            }
            None => writeln!(body, "{name} is still silent."),
        };
    }
    and_more(&mut body, incident.members.len());
    if let Some(cause) = &incident.cause {
        let _ = write!(body, "\n{}", cause::paragraph(cause, scene.by));
    }
    (words, body)
}
