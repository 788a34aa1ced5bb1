//! A service that does not work, or that nobody can judge.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use chrono::TimeDelta;

use super::{DESCRIBED_MAX, Scene, and_more, listed};
use crate::incident::{End, Flapping, Incident};
use crate::ledger::Outcome;
use crate::time::{Time, span};

/// The words of the subject, and the body.
pub(super) fn alarm(incident: &Incident, service: &str, scene: &Scene<'_>) -> (String, String) {
    let seen: Vec<(&str, Time, Outcome)> = incident
        .present()
        .filter_map(|(name, member)| member.outcome.map(|outcome| (name, member.since, outcome)))
        .collect();
    let names: Vec<&str> = seen.iter().map(|(name, ..)| *name).collect();
    let flapping = incident.present().find_map(|(_, member)| member.flapping);
    let fault = Fault::of(seen.iter().map(|(.., outcome)| *outcome));
    let words = match fault {
        _ if flapping.is_some() => format!("flapping, seen by {}", listed(&names)),
        Fault::Missing => format!("not reported (MISSING) by {}", listed(&names)),
        Fault::Contradiction => format!("reported OK and NOK at once by {}", listed(&names)),
        Fault::Down => format!("seen by {}", listed(&names)),
    };
    let mut body = match fault {
        _ if let Some(flapping) = flapping => flaps(service, flapping),
        Fault::Missing => {
            format!("{service} is missing from the reports: nobody can say whether it works.\n\n")
        }
        Fault::Contradiction => {
            format!("{service} is reported OK and NOK in the same run: nobody can say whether it works.\n\n")
        }
        Fault::Down => format!("{service} does not work.\n\n"),
    };
    for (name, since, outcome) in seen.iter().take(DESCRIBED_MAX) {
        let provider = scene.checkers.iter().find(|card| card.name == *name).map_or("", |card| card.provider);
        let _ =
            writeln!(body, "{name} ({provider}): {} since {}", described(*outcome), scene.by.shown(*since));
    }
    and_more(&mut body, seen.len());
    let complaining: BTreeSet<&str> = names.iter().copied().collect();
    let works: Vec<&str> = scene
        .checkers
        .iter()
        .filter(|card| !card.silent && card.outcome == Some(Outcome::Ok) && !complaining.contains(card.name))
        .map(|card| card.name)
        .collect();
    let _ = match works.as_slice() {
        [] => writeln!(body, "\nNo other checker reports that it works."),
        some => writeln!(body, "\nIt works as seen by {}.", listed(some)),
    };
    let names = listed(&names);
    let first = match fault {
        Fault::Missing => {
            format!(
                "the configuration of {names}, and whether the run was cut short: every run must name {service}."
            )
        }
        Fault::Contradiction => {
            format!("the script of {names}: every run must say either OK or NOK of {service}.")
        }
        Fault::Down if works.is_empty() => format!("{service} itself."),
        Fault::Down => format!("the line between {names} and {service}; others reach it."),
    };
    let _ = writeln!(body, "\nLook first at: {first}");
    (words, body)
}

fn flaps(service: &str, flapping: Flapping) -> String {
    let Flapping { changes, within_ms } = flapping;
    let within = span(TimeDelta::milliseconds(within_ms));
    format!(
        "{service} is flapping: it changed between good and bad {changes} times or more within {within}. Further changes \
         are not told until there was none for {within}; then this alarm ends if it works.\n\n"
    )
}

/// What all who complain of a service agree on.
#[derive(Clone, Copy)]
enum Fault {
    Missing,
    Contradiction,
    /// At least one says that it does not work.
    Down,
}

impl Fault {
    fn of(outcomes: impl Iterator<Item = Outcome> + Clone) -> Self {
        let all = |wanted| outcomes.clone().all(|outcome| outcome == wanted);
        if all(Outcome::Missing) {
            Self::Missing
        } else if all(Outcome::Contradiction) {
            Self::Contradiction
        } else {
            Self::Down
        }
    }
}

fn described(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Ok => "OK",
        Outcome::Nok => "NOK",
        Outcome::Missing => "MISSING from its run",
        Outcome::Contradiction => "OK and NOK in the same run",
        Outcome::Unread => "could not be read",
    }
}

/// The words of the subject, and the body.
pub(super) fn recovery(incident: &Incident, service: &str, scene: &Scene<'_>) -> (String, String) {
    let mut body = String::new();
    for (name, member) in incident.members.iter().take(DESCRIBED_MAX) {
        let _ = match member.end {
            Some(End::Recovered(at)) => {
                writeln!(body, "{name} reports that {service} works: {}.", scene.by.shown(at))
            }
            Some(End::Removed(_)) => {
                writeln!(body, "{name} no longer tests {service}: removed from the configuration.")
            }
            Some(End::Resolved(_)) => {
                writeln!(body, "{name} has not reported that {service} works; a person ended this incident.")
            }
            None => Ok(()),
        };
    }
    and_more(&mut body, incident.members.len());
    ("works again".to_owned(), body)
}
