//! What keeps the watchdog from its work: a mailbox, its state file, a channel.

use std::fmt::Write as _;
use std::path::Path;

use super::{Letter, Scene, Signature, only_removed};
use crate::incident::Incident;
use crate::text;
use crate::time::{Time, span, utc_and_local};

/// The token of alarms about the state file.
pub const STORE_TOKEN: &str = "MONITOR_Store";

/// So many characters of an error are quoted.
const QUOTED_CHARS_MAX: usize = 300;

/// The words of the subject, and the body.
pub(super) fn mailbox_alarm(name: &str, scene: &Scene<'_>) -> (String, String) {
    let (card, watchdog) = (scene.mailboxes.iter().find(|card| card.name == name), scene.by.watchdog);
    let host = card.map_or("", |card| card.host);
    let mut body = format!("{watchdog} cannot read the mailbox {name} on {host}.\n\n");
    let until = card.and_then(|card| card.heard_until).map_or("never".to_owned(), |until| {
        format!("{}, {} ago", scene.by.shown(until), span(scene.by.now - until))
    });
    let _ = writeln!(body, "Last read:    {until}");
    let error = card.and_then(|card| card.error).unwrap_or("the reader has not answered");
    let _ = writeln!(body, "Reason:       {}", quoted(error));
    let (whom, stands_for) = match scene.mailboxes.len() {
        0 | 1 => ("no checker can be judged", "all of them"),
        _ => ("no checker that writes to this mailbox alone can be judged", "all of those"),
    };
    let _ = writeln!(
        body,
        "\nWhile it lasts {whom}: this alarm stands for {stands_for}. A dead checker, or a service that fails, goes \
         unseen by {watchdog}."
    );
    let _ = writeln!(
        body,
        "\nLook first at: the reason above; then whether others can open the mailbox, and whether {watchdog} reaches \
         {host}."
    );
    (format!("the mailbox on {host} cannot be read"), body)
}

/// The words of the subject, and the body.
pub(super) fn mailbox_recovery(incident: &Incident, name: &str) -> (String, String) {
    let body = if only_removed(incident) {
        format!("The mailbox {name} was removed from the configuration.\n")
    } else {
        format!("The mailbox {name} can be read again; every checker is judged again.\n")
    };
    ("the mailbox is read again".to_owned(), body)
}

/// The state file cannot be used: nothing can be remembered, and no other alarm can be kept until it is delivered.
pub fn store_alarm(by: Signature<'_>, incident: &str, state: &Path, error: &str) -> Letter {
    let Signature { watchdog, .. } = by;
    let mut body = format!(
        "{watchdog} cannot use its state file {}.\n\n\
         Reason:       {}\n\n\
         While it lasts nothing is judged, and no other alarm goes out.\n\n\
         Look first at: the disk and the file on the computer {watchdog}.\n",
        state.display(),
        quoted(error)
    );
    body.push_str(&by.footer(incident));
    Letter::alarm(STORE_TOKEN, &format!("{watchdog} cannot use its state file"), body)
}

/// The state file, which could not be used since `since`, can be used again.
pub fn store_recovery(by: Signature<'_>, incident: &str, since: Time) -> Letter {
    let mut body = format!("{} can use its state file again; everything is judged again.\n", by.watchdog);
    body.push_str(&by.lasted(since));
    body.push_str(&by.footer(incident));
    Letter::recovery(STORE_TOKEN, "the state file can be used again", &body)
}

/// The test of a channel. No approval may be opened by it.
pub fn channel_test(by: Signature<'_>, channel: &str) -> Letter {
    let Signature { watchdog, zone, now } = by;
    let body = format!(
        "This is a test of the channel {channel}, sent by {watchdog} on {}.\n\
         Nothing is wrong, and nothing needs to be done.\n",
        utc_and_local(now, zone)
    );
    Letter::recovery(&format!("{watchdog}_Test"), &format!("test of the channel {channel}"), &body)
}

/// The mail by which the path to the mailbox is measured. No approval may be opened by it.
pub fn canary(by: Signature<'_>) -> Letter {
    let Signature { watchdog, zone, now } = by;
    let body = format!(
        "{watchdog} sent this on {} to measure how long a mail takes to the mailbox.\n\
         It is nobody's report. Nothing is wrong, and nothing needs to be done.\n",
        utc_and_local(now, zone)
    );
    Letter::recovery(&format!("{watchdog}_Canary"), "measures the mail path", &body)
}

/// What a fallback channel sends for another one: the same, and why it comes this way. The incident stays at the end.
pub fn handed_over(letter: &Letter, channel: &str, error: &str) -> Letter {
    let why = format!("Sent here because the channel {channel} could not deliver it: {}", quoted(error));
    let body = match letter.body.rsplit_once("\n\n") {
        Some((body, footer)) => format!("{body}\n\n{why}\n\n{footer}"),
        None => format!("{}\n{why}\n", letter.body),
    };
    Letter { subject: letter.subject.clone(), body }
}

/// Somebody else's words.
fn quoted(text: &str) -> String {
    text::quoted(text, QUOTED_CHARS_MAX)
}
