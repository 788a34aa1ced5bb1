//! Nobody would hear of a loss: no channel survives it.

use std::fmt::Write as _;

use super::{DESCRIBED_MAX, Scene, and_more, listed, only_removed, only_resolved};
use crate::incident::Incident;
use crate::independence::{Line, Loss};

/// The words of the subject, and the body.
pub(super) fn alarm(incident: &Incident, scene: &Scene<'_>) -> (String, String) {
    let watchdog = scene.by.watchdog;
    let lost: Vec<&str> = incident.present().map(|(lost, _)| lost).collect();
    let what = listed(&lost);
    let mut body = format!(
        "Nothing is lost yet. But if one of these were, with whoever runs it, no alarm of {watchdog} would reach \
         anybody: {what}.\n"
    );
    let losses = scene.matrix.into_iter().flat_map(|matrix| &matrix.losses);
    let losses: Vec<&Loss> = losses.filter(|loss| incident.has(&loss.lost.words())).collect();
    for loss in losses.iter().take(DESCRIBED_MAX) {
        let _ = writeln!(body, "\nWithout {}:", loss.lost.words());
        let lines = || loss.channels.iter().filter(|line| line.told);
        lines().take(DESCRIBED_MAX).for_each(|line| describe(&mut body, line));
        and_more(&mut body, lines().count());
    }
    and_more(&mut body, losses.len());
    body.push_str(
        "\nLook first at: the channels. One of them has to go through another provider, to people whose mail is \
         elsewhere; `bresse-watchdog check` shows which do. What cannot be otherwise is accepted with \
         accept_dependence in [watchdog].\n",
    );
    (format!("no channel would survive the loss of {what}"), body)
}

fn describe(body: &mut String, line: &Line) {
    let why = if line.shared.is_empty() { &line.unknown } else { &line.shared };
    let _ = writeln!(body, "  {}: {}", line.channel, why.join("; "));
}

/// The words of the subject, and the body.
pub(super) fn recovery(incident: &Incident) -> (String, String) {
    let lost: Vec<&str> = incident.members.keys().map(String::as_str).collect();
    let what = listed(&lost);
    let body = if only_removed(incident) {
        format!("It is accepted in the configuration, or there no longer: {what}.\n")
    } else if only_resolved(incident) {
        format!("Somebody ended the alarm that no channel would survive the loss of {what}.\n")
    } else {
        format!("The loss would be heard of again: {what}.\n")
    };
    ("a channel would survive the loss".to_owned(), body)
}
