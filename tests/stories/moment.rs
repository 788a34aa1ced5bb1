//! What the watchdog knows at a moment, held against what a story expects of it.

use std::collections::BTreeSet;

use bresse_watchdog::engine::Engine;
use bresse_watchdog::explanation::Known;
use bresse_watchdog::incident::Incident;
use bresse_watchdog::reason::Reason;
use bresse_watchdog::time::Time;
use bresse_watchdog::verdict::judge;
use bresse_watchdog::view::LastSeen;
use bresse_watchdog::words::Signature;

use crate::sentences::{Expectation, Reason as Wanted};
use crate::story::indented;
use crate::watchdog::{Step, Watchdog};

/// Whether it is as expected of these checkers.
///
/// # Errors
/// How it is instead.
pub(crate) fn holds(watchdog: &Watchdog, wanted: &Expectation, names: &[String], now: Time) -> Step {
    let engine = watchdog.engine.as_ref().ok_or("the watchdog is off")?;
    let now = now + watchdog.clock_ahead;
    match wanted {
        Expectation::State { state, reason, saying, .. } => {
            names.iter().try_for_each(|name| state_is(engine, name, state, reason, saying, now))
        }
        Expectation::Result { service, result, .. } => {
            names.iter().try_for_each(|name| result_is(engine, name, service, result, now))
        }
        Expectation::Cause { token, reason } => {
            let announced = |one: &&Incident| one.owed().any(|announced| announced.token == *token);
            let incident = engine.open_incidents().find(announced).ok_or("no such alarm stands")?;
            let found = incident.cause.as_ref().map_or("nothing", |cause| cause.reason.word());
            if found == reason { Ok(()) } else { Err(format!("{token} is put down to {found}")) }
        }
        Expectation::Standing { tokens } => {
            let found: BTreeSet<String> = watchdog.standing().into_iter().map(|(_, token)| token).collect();
            let wanted: BTreeSet<String> = tokens.iter().cloned().collect();
            if found == wanted { Ok(()) } else { Err(format!("the alarms that stand are {found:?}")) }
        }
        Expectation::Letter(..) => Ok(()),
    }
}

fn state_is(engine: &Engine, name: &str, state: &str, reason: &Wanted, saying: &[String], now: Time) -> Step {
    let table = LastSeen::of(engine, now);
    let line = table.checkers.iter().find(|line| line.name == name);
    let line = line.ok_or_else(|| format!("{name} is not in the table"))?;
    let known = line.reason.map(Reason::word);
    if line.state.word() != state || !reason.admits(known) {
        let because = known.map_or(", without a reason".to_owned(), |known| format!(" because {known}"));
        return Err(format!("{name} is {}{because}", line.state.word()));
    }
    let text = explained(engine, name, now);
    match saying.iter().find(|words| !text.contains(words.as_str())) {
        Some(words) => Err(format!("explain does not say {words:?} of {name}:\n{}", indented(&text))),
        None => Ok(()),
    }
}

fn result_is(engine: &Engine, name: &str, service: &str, result: &str, now: Time) -> Step {
    let table = LastSeen::of(engine, now);
    let line = table.checkers.iter().find(|line| line.name == name);
    let services = line.into_iter().flat_map(|line| &line.services);
    let found = services.filter(|line| line.name == service).map(|line| line.result).next();
    match found {
        Some(found) if found == result => Ok(()),
        Some(found) => Err(format!("{service} of {name} is {found}")),
        None => Err(format!("{name} does not test {service}")),
    }
}

/// What `explain` says of a checker.
fn explained(engine: &Engine, name: &str, now: Time) -> String {
    let config = engine.config();
    let checker = config.checkers.iter().find(|checker| checker.name == name);
    let (Some(checker), Some(facts)) = (checker, engine.facts().get(name)) else { return String::new() };
    let watch = engine.watch_of(facts);
    let verdict = judge(facts, watch, now);
    let cause = engine.cause(name, &engine.companies(), now);
    let by = Signature { watchdog: &config.name, zone: config.timezone, now };
    Known { checker, facts, watch, verdict, cause, by, canary: None, reports: &[], offsets: &[] }.text()
}
