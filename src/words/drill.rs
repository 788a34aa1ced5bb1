//! A drill, what came of it, and that there was none for too long.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use chrono::TimeDelta;

use super::{Scene, listed, only_removed};
use crate::engine::Chain;
use crate::incident::{End, Incident};
use crate::time::{Time, span};

/// What is known of drills.
#[derive(Debug, Clone)]
pub struct DrillCard<'a> {
    /// By channel.
    pub chains: &'a BTreeMap<String, Chain>,
    pub prove_within: TimeDelta,
    pub proof_max_age: TimeDelta,
}

/// The words of the subject, and the body.
pub(super) fn alarm(incident: &Incident, scene: &Scene<'_>) -> (String, String) {
    let (watchdog, by) = (scene.by.watchdog, scene.by);
    let through: Vec<&str> = incident.present().map(|(channel, _)| channel).collect();
    let mut body = format!(
        "This is a drill of {watchdog}. Nothing is wrong, and no checker, service or mailbox needs to be looked at.\n\n"
    );
    let _ = writeln!(
        body,
        "What to do:   press the link in this message and confirm. A flow may do it by itself."
    );
    let _ = writeln!(body, "Began:        {}", by.shown(incident.opened));
    let _ = writeln!(body, "Until:        {}", by.shown(incident.opened + scene.drill.prove_within));
    let _ = writeln!(body, "Through:      {}", listed(&through));
    body.push_str(
        "\nThe press proves that a real alarm would have arrived here, and how long that takes. Each message has a link of \
         its own: it proves the channel that it came through.\n",
    );
    ("DRILL, nothing is wrong: press the link in this message".to_owned(), body)
}

/// The words of the subject, and the body.
pub(super) fn recovery(incident: &Incident, scene: &Scene<'_>) -> (String, String) {
    let (mut proved, mut unproved, mut body) = (Vec::new(), Vec::new(), String::new());
    for (channel, member) in &incident.members {
        let _ = match member.end {
            Some(End::Recovered(at)) => {
                let took = span(at - member.since);
                proved.push(format!("{channel} in {took}"));
                writeln!(
                    body,
                    "The chain through {channel} has proved itself in {took}, {}.",
                    scene.by.shown(at)
                )
            }
            Some(End::Removed(_)) => {
                writeln!(body, "The channel {channel} was removed from the configuration.")
            }
            Some(End::Resolved(_)) | None => {
                unproved.push(channel.as_str());
                let within = span(scene.drill.prove_within);
                writeln!(
                    body,
                    "The chain through {channel} has not proved itself: within {within} nobody pressed the link."
                )
            }
        };
    }
    if unproved.is_empty() {
        return (format!("the drill is over, proved: {}", proved.join(", ")), body);
    }
    body.push_str(
        "\nLook first at: whether the drill arrived where alarms are taken (a flow that was switched off, a filter, a full \
         mailbox), and whether whoever takes them can open the link.\n",
    );
    (format!("the drill is over, not proved: {}", listed(&unproved)), body)
}

/// The words of the subject, and the body.
pub(super) fn proof_alarm(incident: &Incident, scene: &Scene<'_>) -> (String, String) {
    let (watchdog, now) = (scene.by.watchdog, scene.by.now);
    let late: Vec<&str> = incident.present().map(|(channel, _)| channel).collect();
    let allowed = span(scene.drill.proof_max_age);
    let mut body = format!(
        "Nobody knows whether the alarms of {watchdog} arrive: no drill proved it within {allowed}.\n\n"
    );
    for channel in &late {
        let sentence = scene.drill.chains.get(*channel).map(|known| chain(channel, known, now));
        let _ = writeln!(body, "{}", sentence.unwrap_or_default());
    }
    body.push_str(
        "\nThe channel may take every message all the same: what comes after it, a flow, a filter, a person, did not answer.\n\
         \nLook first at: where the drills arrive, and whether somebody presses the link in them. \
         `bresse-watchdog drill --wait` tries it at once.\n",
    );
    (format!("the chain through {} has not proved itself for too long", listed(&late)), body)
}

/// The words of the subject, and the body.
pub(super) fn proof_recovery(incident: &Incident) -> (String, String) {
    let names: Vec<&str> = incident.members.keys().map(String::as_str).collect();
    let names = listed(&names);
    let body = if only_removed(incident) {
        format!("Drills no longer go through {names}.\n")
    } else {
        format!("A drill proved it: {names}.\n")
    };
    ("the chain has proved itself".to_owned(), body)
}

/// What is known of the chain through `channel`, in one line.
pub fn chain(channel: &str, known: &Chain, now: Time) -> String {
    let proved = known.proof.map_or("has never proved itself".to_owned(), |proof| {
        format!("last proved itself {} ago, in {}", span(now - proof.at), span(proof.took()))
    });
    let unproved =
        known.unproved.map(|began| format!("; the drill {} ago was not proved", span(now - began)));
    format!("The chain through {channel} {proved}{}.", unproved.unwrap_or_default())
}
