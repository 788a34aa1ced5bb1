//! The watchdog's clock and a mail server's do not agree.

use std::fmt::Write as _;

use chrono::TimeDelta;

use super::{MailboxCard, Scene, listed, only_removed};
use crate::engine::Offset;
use crate::incident::Incident;
use crate::time::{seconds, span};

/// The words of the subject, and the body.
pub(super) fn alarm(incident: &Incident, scene: &Scene<'_>) -> (String, String) {
    let watchdog = scene.by.watchdog;
    let known: Vec<(&MailboxCard<'_>, Offset)> =
        scene.mailboxes.iter().filter_map(|card| Some((card, card.offset?))).collect();
    let wrong = known.iter().find(|(card, _)| incident.has(card.name));
    let words = wrong.map_or_else(
        || format!("the clock of {watchdog} is not that of the mail server"),
        |(card, offset)| format!("the clock of {watchdog} is {} that of {}", about(*offset), card.host),
    );
    let mut body = format!("By when new mails come in, {words}.\n\n");
    for (card, offset) in &known {
        let (name, host, range) = (card.name, card.host, offset_range(*offset));
        let _ = writeln!(body, "Mailbox {name} ({host}): {watchdog} is {range}.");
    }
    let ahead = wrong.is_some_and(|(_, offset)| offset.least() > TimeDelta::zero());
    body.push_str(if ahead {
        "\nWhile it lasts every age is counted too long by as much: checkers that are alive may be alarmed as silent.\n"
    } else {
        "\nWhile it lasts the times in alarms and tables are wrong by as much.\n"
    });
    let _ = writeln!(
        body,
        "\nLook first at: the time synchronisation of {watchdog} (`timedatectl`). If its clock is right, the server's is wrong, or \
         the server shows mails so long after it has stamped them."
    );
    (words, body)
}

/// The words of the subject, and the body.
pub(super) fn recovery(incident: &Incident, scene: &Scene<'_>) -> (String, String) {
    let names: Vec<&str> = incident.members.keys().map(String::as_str).collect();
    let names = listed(&names);
    let body = if only_removed(incident) {
        format!("Removed from the configuration: {names}.\n")
    } else {
        format!("The clock of {} agrees with that of the mail server again ({names}).\n", scene.by.watchdog)
    };
    ("the clock is right again".to_owned(), body)
}

/// `1 h 2 min ahead of`
fn about(offset: Offset) -> String {
    let middle = (offset.least() + offset.most()) / 2;
    let side = if middle > TimeDelta::zero() { "ahead of" } else { "behind" };
    format!("{} {side}", span(middle.abs()))
}

/// For people: `4.5 s behind to 0.6 s ahead`.
pub fn offset_range(offset: Offset) -> String {
    let amount = |time: TimeDelta| match time.abs() {
        short if short < TimeDelta::minutes(1) => format!("{:.1} s", seconds(short)),
        long => span(long),
    };
    let (least, most, zero) = (offset.least(), offset.most(), TimeDelta::zero());
    if least > zero {
        format!("{} to {} ahead", amount(least), amount(most))
    } else if most < zero {
        format!("{} to {} behind", amount(most), amount(least))
    } else {
        format!("at most {} behind and {} ahead", amount(least), amount(most))
    }
}
