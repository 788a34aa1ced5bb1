//! What was said, held against what a story expects: exactly that and nothing else.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use crate::sentences::{Expectation, Letter as Wanted};
use crate::stage::{Played, Showing, Stage};
use crate::story::{Scripted, Story, Timed, indented, shown};
use crate::watchdog::Letter;

/// Plays a story in every way it may be shown.
///
/// # Errors
/// What is wrong, in plain words, with the lines of the story.
pub(crate) fn perform(story: &Story) -> Result<(), String> {
    for showing in [Showing::Plain, Showing::Backwards, Showing::Restarts] {
        let played = Stage::play(story, showing)?;
        let complaints = complaints(story, &played);
        if !complaints.is_empty() {
            let way = match showing {
                Showing::Plain => "",
                Showing::Backwards => " (when the mails of a look are read backwards)",
                Showing::Restarts => " (when the watchdog is restarted again and again)",
            };
            return Err(told(story, way, &complaints, &played));
        }
    }
    Ok(())
}

fn told(story: &Story, way: &str, complaints: &[String], played: &Played) -> String {
    let mut text = format!("{}:{}: {}{way}\n", story.file, story.line, story.title);
    complaints.iter().for_each(|complaint| {
        let _ = writeln!(text, "  {complaint}");
    });
    text.push_str("  What was said, in this order:\n");
    for letter in &played.letters {
        let _ = writeln!(text, "    {} {}", shown(letter.at), letter.subject);
    }
    if played.letters.is_empty() {
        text.push_str("    nothing\n");
    }
    text
}

fn complaints(story: &Story, played: &Played) -> Vec<String> {
    let mut complaints: Vec<String> =
        played.wrong.iter().map(|(line, wrong)| format!("line {line}: it is otherwise: {wrong}")).collect();
    let mut unexpected: Vec<&Letter> = played.letters.iter().collect();
    for Timed { when, said } in &story.expected {
        let Expectation::Letter(kind, wanted) = &said.what else { continue };
        let fits =
            |letter: &&Letter| letter.kind == *kind && letter.token == wanted.token && when.holds(letter.at);
        match unexpected.iter().position(fits) {
            Some(at) => complaints.extend(differences(said, wanted, unexpected.remove(at))),
            None => complaints.push(format!("line {}: it was not said: {}", said.line, said.text)),
        }
    }
    complaints.extend(
        unexpected
            .iter()
            .map(|letter| format!("nobody expected, at {}: {}", shown(letter.at), letter.subject)),
    );
    complaints
}

fn differences(said: &Scripted<Expectation>, wanted: &Wanted, letter: &Letter) -> Vec<String> {
    let mut found = Vec::new();
    if let Some(naming) = &wanted.naming {
        let named = named(letter);
        let wanted = names(naming, letter);
        if named != wanted {
            found.push(format!("line {}: it names {}: {}", said.line, listed(&named), letter.subject));
        }
    }
    let text = format!("{}\n{}", letter.subject, letter.body);
    let reason = wanted.reason.as_ref().map(|reason| format!("Reason: {reason} ("));
    for words in reason.iter().chain(&wanted.saying).filter(|words| !text.contains(words.as_str())) {
        found.push(format!("line {}: it does not say {words:?}:\n{}", said.line, indented(&text)));
    }
    found
}

fn names(naming: &str, letter: &Letter) -> BTreeSet<String> {
    if naming == "every checker" {
        return letter.checkers.iter().cloned().collect();
    }
    crate::sentences::list(naming).into_iter().collect()
}

/// The configured checkers that stand in the words of the subject; where none does, those with a line of their own.
fn named(letter: &Letter) -> BTreeSet<String> {
    let words = letter.subject.split_once(' ').map_or("", |(_, words)| words);
    let in_subject: BTreeSet<&str> = words.split(|c: char| !c.is_alphanumeric() && c != '-').collect();
    let lines = || letter.body.lines().filter_map(|line| line.split_once(" (").map(|(name, _)| name));
    let of = |words: &BTreeSet<&str>| -> BTreeSet<String> {
        letter.checkers.iter().filter(|name| words.contains(name.as_str())).cloned().collect()
    };
    let named = of(&in_subject);
    if named.is_empty() { of(&lines().collect()) } else { named }
}

fn listed(names: &BTreeSet<String>) -> String {
    if names.is_empty() { "nobody".to_owned() } else { names.iter().cloned().collect::<Vec<_>>().join(", ") }
}
