//! A checker whose runs break the rules of reporting.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use chrono::TimeDelta;

use super::{Scene, listed};
use crate::config::Breach;
use crate::incident::{End, Incident};
use crate::ledger::{DryrunFlaw, Evidence, Finding};
use crate::text::one_line;
use crate::time::span;

/// What a run breaks the rule by: `it names Old, which nobody configured for this checker`.
pub fn finding(breach: Breach, evidence: &Evidence) -> String {
    match (breach, evidence) {
        (Breach::Missing, Evidence::Services(names)) => format!("it does not name {}", all(names)),
        (Breach::Contradiction, Evidence::Services(names)) => {
            format!("it says OK and NOK of {}", all(names))
        }
        (Breach::UnknownService, Evidence::Services(names)) => {
            format!("it names {}, which nobody configured for this checker", all(names))
        }
        (_, Evidence::Services(names)) => format!("it names {} in more than one mail", all(names)),
        (_, Evidence::Dryrun(DryrunFlaw::Absent)) => "it has no DRYRUN".to_owned(),
        (_, Evidence::Dryrun(DryrunFlaw::NotFirst)) => "its DRYRUN does not come first".to_owned(),
        (_, Evidence::Dryrun(DryrunFlaw::NotOk)) => "its DRYRUN is not OK".to_owned(),
        (_, Evidence::Twice) => "it was made twice".to_owned(),
        (Breach::Overrun, Evidence::Took { ms, allowed_ms }) => {
            format!("it took {}, and its timeouts allow {}", length(*ms), length(*allowed_ms))
        }
        (_, Evidence::Took { ms, allowed_ms }) => format!(
            "it came {} after the run before it, and one is due every {}",
            length(*ms),
            length(*allowed_ms)
        ),
        (_, Evidence::Cut) => "its mail is longer than what is read of one".to_owned(),
    }
}

/// Unknown names are whatever somebody wrote.
fn all(names: &BTreeSet<String>) -> String {
    let names: Vec<String> = names.iter().map(|name| one_line(name)).collect();
    listed(&names.iter().map(String::as_str).collect::<Vec<_>>())
}

fn length(ms: i64) -> String {
    span(TimeDelta::milliseconds(ms))
}

/// The words of the subject, and the body.
pub(super) fn alarm(checker: &str, scene: &Scene<'_>) -> (String, String) {
    let standing: Vec<&(Breach, &Finding)> =
        scene.findings.iter().filter(|(_, finding)| finding.stands()).collect();
    let names: Vec<&str> = standing.iter().map(|(breach, _)| breach.word()).collect();
    let provider = scene.checkers.iter().find(|card| card.name == checker).map_or("", |card| card.provider);
    let mut body = format!("The runs of {checker} ({provider}) break the rules of reporting.\n");
    for (breach, known) in &standing {
        let _ = writeln!(body, "\n{}: {}.", breach.word(), finding(*breach, known.evidence()));
        let _ = writeln!(body, "  Last in:   the run of {}", scene.by.shown(known.run()));
        let _ =
            writeln!(body, "  Since:     {} ({})", scene.by.shown(known.since()), in_a_row(known.streak()));
    }
    let _ =
        writeln!(body, "\n{checker} is heard all the same, and what its runs say of its services counts.");
    body.push_str("\nLook first at:\n");
    for (breach, _) in &standing {
        let _ = writeln!(body, "  {}: {}", breach.word(), look_first(*breach, checker));
    }
    (format!("{checker} breaks the rules of reporting: {}", names.join(", ")), body)
}

fn in_a_row(runs: u32) -> String {
    if runs == 1 { "one run".to_owned() } else { format!("{runs} runs in a row") }
}

fn look_first(breach: Breach, checker: &str) -> String {
    match breach {
        Breach::Missing => format!("the services configured for {checker}; whether its run was cut short."),
        Breach::Contradiction => {
            format!("the script of {checker}: a run says either OK or NOK of a service.")
        }
        Breach::UnknownService => {
            format!(
                "whether {checker} got a new test, or a service another name, that is not configured here."
            )
        }
        Breach::NoDryrun => format!("the script of {checker}: a run begins with DRYRUN.OK."),
        Breach::Gap => format!("cron on {checker}, and the cycle configured here; a mail that was lost."),
        Breach::Duplicate => {
            format!("whether cron starts the run of {checker} twice, or its mails are copied.")
        }
        Breach::Overrun => {
            format!("which test of {checker} waits too long, and the timeouts configured here.")
        }
        Breach::Truncated => {
            format!("why the mails of {checker} are so long: tokens belong at their beginning.")
        }
    }
}

/// The words of the subject, and the body.
pub(super) fn recovery(incident: &Incident, checker: &str, scene: &Scene<'_>) -> (String, String) {
    let mut body = String::new();
    for (name, member) in &incident.members {
        let _ = match member.end {
            Some(End::Recovered(since)) => writeln!(
                body,
                "The runs of {name} are clean: since {} none breaks a rule of reporting.",
                scene.by.shown(since)
            ),
            Some(End::Removed(_)) => writeln!(body, "{name} was removed from the configuration."),
            Some(End::Resolved(_)) | None => Ok(()),
        };
    }
    for (breach, over) in scene.findings.iter().filter(|(_, finding)| !finding.stands()) {
        let _ =
            writeln!(body, "{} was last found in the run of {}.", breach.word(), scene.by.shown(over.run()));
    }
    (format!("the runs of {checker} are clean"), body)
}
