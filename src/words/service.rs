//! A service that does not work, or that nobody can judge.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use chrono::TimeDelta;

use super::{DESCRIBED_MAX, Scene, and_more, listed};
use crate::incident::{End, Flapping, Incident};
use crate::ledger::Outcome;
use crate::matrix::{Cell, Picture, ServiceRow, Voice, Vote};
use crate::time::{Time, span};
use crate::verdict::State;

/// So many providers are named in a subject; more are counted.
const NAMED_MAX: usize = 3;

/// The words of the subject, and the body.
pub(super) fn alarm(incident: &Incident, service: &str, scene: &Scene<'_>) -> (String, String) {
    let seen: Vec<(&str, Time, Outcome)> = incident
        .present()
        .filter_map(|(name, member)| member.outcome.map(|outcome| (name, member.since, outcome)))
        .collect();
    let names = listed(&seen.iter().map(|(name, ..)| *name).collect::<Vec<_>>());
    let fault = Fault::of(seen.iter().map(|(.., outcome)| *outcome));
    let flapping = incident.present().find_map(|(_, member)| member.flapping);
    let view = View::of(incident, scene);
    let mut body = match fault {
        _ if let Some(flapping) = flapping => flaps(service, flapping),
        Fault::Missing => {
            format!("{service} is missing from the reports: nobody can say whether it works.\n")
        }
        Fault::Contradiction => {
            format!("{service} is reported OK and NOK in the same run: nobody can say whether it works.\n")
        }
        Fault::Down => format!("{service} does not work. {}\n", view.looks_like()),
    };
    body.push('\n');
    for (name, since, outcome) in seen.iter().take(DESCRIBED_MAX) {
        let provider = scene.provider_of(name);
        let _ =
            writeln!(body, "{name} ({provider}): {} since {}", described(*outcome), scene.by.shown(*since));
    }
    and_more(&mut body, seen.len());
    body.push('\n');
    if !view.lists("Also down from:", &mut body) {
        body.push_str("No other checker tests it.\n");
    }
    let _ = writeln!(body, "\nLook first at: {}", view.look_first(fault, service, &names));
    body.push_str("If others see it later, no mail of its own says so: `bresse-watchdog matrix` shows who sees it now.\n");
    let words =
        if flapping.is_some() { format!("flapping, seen by {names}") } else { view.words(fault, &names) };
    (words, body)
}

fn flaps(service: &str, flapping: Flapping) -> String {
    let Flapping { changes, within_ms } = flapping;
    let within = span(TimeDelta::milliseconds(within_ms));
    format!(
        "{service} is flapping: it changed between good and bad {changes} times or more within {within}. Further changes \
         are not told until there was none for {within}; then this alarm ends if it works.\n"
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

/// The service from all providers, told as far as the incident's own members have not told it.
struct View<'a> {
    row: Option<&'a ServiceRow>,
    members: BTreeSet<&'a str>,
}

impl<'a> View<'a> {
    fn of(incident: &'a Incident, scene: &'a Scene<'_>) -> Self {
        Self { row: scene.service.as_ref(), members: incident.present().map(|(name, _)| name).collect() }
    }

    fn verdict(&self) -> Picture {
        self.row.map_or(Picture::Unconfirmed, |row| row.verdict)
    }

    fn cells(&self) -> &'a [Cell] {
        self.row.map_or(&[], |row| &row.cells)
    }

    /// What it looks like, in one sentence.
    fn looks_like(&self) -> String {
        let from = self.from();
        match self.verdict() {
            Picture::ServiceDown => {
                format!("It looks like the service itself: seen down by {}.", self.bad_of_fresh())
            }
            Picture::SeenDownFrom => {
                format!("It looks like a path problem: down from {from}, and it works from elsewhere.")
            }
            Picture::CheckerFault => {
                let checker = self.row.and_then(|row| row.checker.as_deref()).unwrap_or_default();
                format!("It looks like {checker} itself: nothing works from there, and others contradict it.")
            }
            Picture::Ok | Picture::Unconfirmed if self.providers(Self::before).is_empty() => {
                "Nobody else can confirm it.".to_owned()
            }
            Picture::Ok | Picture::Unconfirmed => {
                "Nobody else can confirm it yet: no other checker has looked since.".to_owned()
            }
        }
    }

    /// The words of the subject.
    fn words(&self, fault: Fault, names: &str) -> String {
        let works = self.providers(Self::works);
        let elsewhere = match works.len() {
            0 => String::new(),
            1..=NAMED_MAX => format!(", works from {}", works.join(", ")),
            more => format!(", works from {more} others"),
        };
        match (fault, self.verdict()) {
            (Fault::Missing, _) => format!("not reported (MISSING) by {names}{elsewhere}"),
            (Fault::Contradiction, _) => format!("reported OK and NOK at once by {names}{elsewhere}"),
            (Fault::Down, Picture::ServiceDown) => {
                format!("down from {}: {}", self.bad_of_fresh(), self.from())
            }
            (Fault::Down, Picture::SeenDownFrom) => format!("down from {}{elsewhere}", self.from()),
            (Fault::Down, Picture::CheckerFault) => format!("seen by {names} only, where nothing works"),
            (Fault::Down, Picture::Ok | Picture::Unconfirmed) => format!("seen by {names}, not confirmed"),
        }
    }

    fn look_first(&self, fault: Fault, service: &str, names: &str) -> String {
        let from = self.from();
        match (fault, self.verdict()) {
            (Fault::Missing, _) => format!(
                "the configuration of {names}, and whether the run was cut short: every run must name {service}."
            ),
            (Fault::Contradiction, _) => {
                format!("the script of {names}: every run must say either OK or NOK of {service}.")
            }
            (Fault::Down, Picture::CheckerFault) => {
                format!("the computer {names} and its line: does it reach anything?")
            }
            (Fault::Down, Picture::SeenDownFrom) => {
                format!("the line between {from} and {service}; others reach it.")
            }
            (Fault::Down, Picture::ServiceDown) => format!("{service} itself."),
            (Fault::Down, Picture::Ok | Picture::Unconfirmed) => {
                format!("{service} itself, and whether {names} reaches anything else.")
            }
        }
    }

    fn from(&self) -> String {
        let from = self.row.map_or(&[][..], |row| &row.from);
        listed(&from.iter().map(String::as_str).collect::<Vec<_>>())
    }

    /// `2 of 3 providers`: of those that can say anything.
    fn bad_of_fresh(&self) -> String {
        let fresh = self.cells().iter().filter(|cell| cell.fresh > 0).count();
        let bad = self.cells().iter().filter(|cell| cell.vote == Some(Vote::Bad)).count();
        match fresh {
            1 => "the only provider that is heard".to_owned(),
            more => format!("{bad} of {more} providers"),
        }
    }

    /// Everybody who is not described as a member, by what they can say. Returns whether there is anybody.
    fn lists(&self, down: &str, body: &mut String) -> bool {
        let mut found = false;
        for (what, wanted) in [
            (down, Self::bad as fn(&Voice) -> bool),
            ("Works from:", Self::works),
            ("Not looked since:", Self::before),
        ] {
            found |= write_list(body, what, &self.places(wanted, |voice| voice.checker.clone()));
        }
        let unknown = self.places(|voice| !voice.fresh, |voice| format!("{} {}", voice.checker, why(voice)));
        found | write_list(body, "Nobody knows from:", &unknown)
    }

    fn bad(voice: &Voice) -> bool {
        voice.vote == Some(Vote::Bad)
    }

    fn works(voice: &Voice) -> bool {
        voice.vote == Some(Vote::Good)
    }

    /// Its OK is older than the trouble.
    fn before(voice: &Voice) -> bool {
        voice.fresh && voice.vote.is_none()
    }

    fn others(&self, wanted: impl Fn(&Voice) -> bool) -> impl Iterator<Item = (&'a str, Vec<&'a Voice>)> {
        self.cells().iter().filter_map(move |cell| {
            let voices = cell.voices.iter();
            let voices: Vec<&Voice> = voices
                .filter(|voice| wanted(voice) && !self.members.contains(voice.checker.as_str()))
                .collect();
            (!voices.is_empty()).then_some((cell.provider.as_str(), voices))
        })
    }

    fn providers(&self, wanted: impl Fn(&Voice) -> bool) -> Vec<&'a str> {
        self.others(wanted).map(|(provider, _)| provider).collect()
    }

    /// `free (bresse1, bresse2)`
    fn places(&self, wanted: impl Fn(&Voice) -> bool, shown: impl Fn(&Voice) -> String) -> Vec<String> {
        let place = |(provider, voices): (&str, Vec<&Voice>)| {
            let voices: Vec<String> = voices.into_iter().map(&shown).collect();
            format!("{provider} ({})", listed(&voices.iter().map(String::as_str).collect::<Vec<_>>()))
        };
        self.others(wanted).map(place).collect()
    }
}

/// Returns whether there was anything to write.
fn write_list(body: &mut String, what: &str, places: &[String]) -> bool {
    if places.is_empty() {
        return false;
    }
    let _ = writeln!(body, "{what:<19}{}", listed(&places.iter().map(String::as_str).collect::<Vec<_>>()));
    true
}

/// Why what a checker says is not known to be true.
fn why(voice: &Voice) -> &'static str {
    match voice.state {
        State::Silent => "is silent",
        State::Late => "is late",
        State::Blind => "is not read",
        State::Waiting => "was never heard",
        State::Ok => "has not told",
    }
}

/// The words of the subject, and the body.
pub(super) fn recovery(incident: &Incident, service: &str, scene: &Scene<'_>) -> (String, String) {
    let mut body = String::new();
    for (name, member) in incident.members.iter().take(DESCRIBED_MAX) {
        let provider = scene.provider_of(name);
        let _ = match member.end {
            Some(End::Recovered(at)) => {
                writeln!(body, "{name} ({provider}) reports that {service} works: {}.", scene.by.shown(at))
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
    let mut lists = String::new();
    if View::of(incident, scene).lists("Still down from:", &mut lists) {
        let _ = write!(body, "\n{lists}");
    }
    let was_down = |outcome: Option<Outcome>| outcome.is_some_and(|outcome| outcome != Outcome::Missing);
    let from: BTreeSet<&str> = incident
        .members
        .iter()
        .filter(|(_, member)| was_down(member.outcome))
        .map(|(name, _)| scene.provider_of(name))
        .filter(|provider| !provider.is_empty())
        .collect();
    let from: Vec<&str> = from.into_iter().collect();
    let words = match from.as_slice() {
        [] => "works again".to_owned(),
        some => format!("works again; it was down from {}", listed(some)),
    };
    (words, body)
}
