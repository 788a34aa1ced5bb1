//! Why a checker is silent: the reason, the evidence for it, and what to look at first.

use std::fmt::Write as _;

use chrono::TimeDelta;

use super::{Signature, listed};
use crate::reason::{Bounce, Cause, Clue, Reason};
use crate::time::{seconds, span};

/// So many characters of somebody else's words are quoted.
const QUOTED_CHARS_MAX: usize = 200;

/// The reason in a subject line: after the comma, so that it can be read on a phone. None while it is not known.
pub(super) fn phrase(reason: Reason) -> Option<&'static str> {
    match reason {
        Reason::WatcherBlind | Reason::Unknown => None,
        Reason::ClockSkew => Some("its clock is wrong"),
        Reason::AuthExpired => Some("the login is refused"),
        Reason::Junked => Some("mails lie in Junk"),
        Reason::Rejected => Some("mails are rejected"),
        Reason::MailboxFull => Some("the mailbox is full"),
        Reason::MailDelayed => Some("mails are slow"),
        Reason::MailPathDown => Some("nobody is heard"),
        Reason::ProviderDown => Some("all of this provider"),
        Reason::CommonCause => Some("all at once"),
        Reason::NeverSeen => Some("never heard"),
        Reason::CheckerDead => Some("others are heard"),
    }
}

/// `Reason: checker_dead (likely)` and the evidence, a line each.
pub fn paragraph(cause: &Cause, by: Signature<'_>) -> String {
    let mut text = format!("Reason: {} ({})\n", cause.reason.word(), cause.confidence.word());
    for clue in &cause.clues {
        let _ = writeln!(text, "  - {}", sentence(clue, by));
    }
    text
}

fn sentence(clue: &Clue, by: Signature<'_>) -> String {
    match clue {
        Clue::Unread { since: Some(since) } => format!("The mailbox is not read since {}.", by.shown(*since)),
        Clue::Unread { since: None } => "The mailbox was never read.".to_owned(),
        Clue::LoginRefused { error } => {
            format!("The mailbox refuses the login: {}.", crate::text::quoted(error, QUOTED_CHARS_MAX))
        }
        Clue::Ends { what, at } => format!("The mailbox's {} ends {}.", what.words(), by.shown(*at)),
        Clue::InJunk { received } => {
            format!("A mail of it came into the Junk folder: {}.", by.shown(*received))
        }
        Clue::Bounced(bounce) => format!("A mail of it was refused: {}.", reported(bounce, by)),
        Clue::StillTried(bounce) => format!("A mail of it still waits on its way: {}.", reported(bounce, by)),
        Clue::Full { mailbox, used } => format!("The mailbox {mailbox} is full: {used}."),
        Clue::Held(held) => {
            let (received, length) = (by.shown(held.received), span(TimeDelta::milliseconds(held.held_ms)));
            let hop = held.hop.as_deref().map(|hop| format!(", at {hop}")).unwrap_or_default();
            format!("The mail received {received} had been held for {length}{hop}.")
        }
        Clue::AllTogether { count } => {
            format!("All {count} checkers that were heard until then fell silent together.")
        }
        Clue::ProviderTogether { provider, count } => {
            format!("All {count} checkers of {provider} fell silent together, and nobody else.")
        }
        Clue::SomeTogether { count, shared } if shared.is_empty() => {
            format!("{count} checkers fell silent together; nothing is known that only they share.")
        }
        Clue::SomeTogether { count, shared } => {
            let relays: Vec<&str> = shared.iter().map(String::as_str).collect();
            format!("{count} checkers fell silent together; only they send through {}.", listed(&relays))
        }
        Clue::NeverHeard { since: Some(since) } => {
            format!("It was never heard; watched for since {}.", by.shown(*since))
        }
        Clue::NeverHeard { since: None } => "It was never heard.".to_owned(),
        Clue::OthersHeard { last } => {
            format!("The mail path works: another checker was heard {}.", by.shown(*last))
        }
        Clue::NotBelieved { received, why } => {
            format!("A mail in its name was not believed ({}): {}.", why.word(), by.shown(*received))
        }
        Clue::CanaryThrough { received } => {
            format!("The mailbox takes mail: the watchdog's own canary came through {}.", by.shown(*received))
        }
        Clue::CanaryMissing { sent } => {
            format!("The watchdog's own canary, sent {}, is missing too.", by.shown(*sent))
        }
        Clue::NobodyHeard => "Nobody else was heard either since its mail was due.".to_owned(),
        Clue::Clock { ahead_ms, uncertainty_ms } => {
            let side = if *ahead_ms < 0 { "behind" } else { "ahead" };
            let (off, give) =
                (TimeDelta::milliseconds(ahead_ms.abs()), TimeDelta::milliseconds(*uncertainty_ms));
            format!("Its clock is {} {side} (± {} s).", span(off), seconds(give))
        }
    }
}

/// When a mail server said so, and what else it said.
fn reported(bounce: &Bounce, by: Signature<'_>) -> String {
    let mut text = by.shown(bounce.received);
    if let Some(status) = bounce.status {
        let _ = write!(text, ", status {status}");
    }
    if !bounce.said.is_empty() {
        let _ = write!(text, ", in its words: {}", crate::text::quoted(&bounce.said, QUOTED_CHARS_MAX));
    }
    text
}

/// What to look at first, after `names` (`providers`) fell silent.
pub(super) fn look_first(reason: Reason, names: &[&str], providers: &str) -> String {
    let who = listed(names);
    match reason {
        Reason::Junked => format!(
            "the rules of the Junk filter: allow the sender of {who}, and why its mail is suspect (SPF, DKIM, DMARC)."
        ),
        Reason::Rejected => format!("what the bounce says: the mails of {who} are sent and refused."),
        Reason::MailboxFull => "the mailbox: make room, or no checker can be heard.".to_owned(),
        Reason::MailDelayed => format!("the queue of the mail server that holds the mails of {who}."),
        Reason::MailPathDown => {
            "the mail path, because no checker is heard any more: does the mailbox take mail (quota, mail flow rules), can \
             the checkers send (the sender's login), is mail waiting in their queues?"
                .to_owned()
        }
        Reason::ProviderDown => {
            format!("the network of the provider {providers}: all its checkers fell silent together.")
        }
        Reason::CommonCause => format!("what {who} have in common: place, power, relay, configuration."),
        Reason::NeverSeen => format!(
            "whether {who} was ever started and writes to the address that is configured for it ({providers})."
        ),
        _ if names.len() > 1 => {
            format!("{who}: are they on, does cron start the run, is mail waiting in their queues?")
        }
        _ => format!(
            "the computer {who} and its line ({providers}): is it on, does cron start the run, is mail waiting in its \
             queue?"
        ),
    }
}
