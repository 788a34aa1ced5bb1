//! Mails that only claim to be of a checker.

use std::fmt::Write as _;

use chrono::TimeDelta;

use super::Scene;
use crate::incident::{End, Incident};
use crate::ledger::Spoofs;
use crate::text;
use crate::time::span;
use crate::trust::Why;

/// So many characters of a stranger's address are quoted.
const QUOTED_CHARS_MAX: usize = 100;

/// The words of the subject, and the body.
pub(super) fn alarm(name: &str, scene: &Scene<'_>) -> (String, String) {
    let spoofs = spoofs(name, scene);
    let newest = spoofs.and_then(|spoofs| spoofs.newest.as_ref());
    let why = newest.map_or(Why::NotSigned, |newest| newest.why);
    let by = scene.by;
    let mut body = if why == Why::RunWentBack {
        format!("The run numbers that {name} signs go back.\n\n")
    } else {
        format!("Somebody writes in the name of {name}, or {name} itself sends what it should not.\n\n")
    };
    if let Some(newest) = newest {
        let _ = writeln!(
            body,
            "Newest mail:  received {}, {} ago",
            by.shown(newest.received),
            span(by.now - newest.received)
        );
        if let Some(author) = &newest.author {
            let _ = writeln!(body, "From:         {}", text::quoted(author, QUOTED_CHARS_MAX));
        }
    }
    let _ = writeln!(body, "Not believed: {}", why.sentence());
    if let Some(more) = spoofs.map(|spoofs| spoofs.count).filter(|count| *count > 1) {
        let _ = writeln!(body, "So far:       {more} such mails");
    }
    let _ = writeln!(
        body,
        "\nSuch a mail proves nothing, and no result in it counts: {name} is judged without it. While they keep coming \
         nothing more is said about them."
    );
    let _ = writeln!(body, "\nLook first at: {}", look_first(why, name));
    let words = match why {
        Why::RunWentBack => format!("the run numbers of {name} go back"),
        Why::Replayed => format!("a report of {name} was sent again"),
        _ => format!("a mail in the name of {name} is not believed"),
    };
    (words, body)
}

fn look_first(why: Why, name: &str) -> String {
    match why {
        Why::FromNotAllowed => format!("who writes to the address of {name}; and trust.from of {name}, if its sender was changed."),
        Why::NoAuthResults | Why::AuthResultsUnreadable | Why::AuthResultsOfAnother => {
            "the headers of the mail: does the mailbox's server write Authentication-Results on top, under the name in \
             trust.auth_results?"
                .to_owned()
        }
        Why::DkimNotPassed | Why::SpfNotPassed | Why::DmarcNotPassed | Why::CompauthNotPassed => {
            format!("by which server {name} sends, and whether SPF, DKIM and DMARC of its domain know that server.")
        }
        Why::NotSigned | Why::SignatureUnreadable | Why::SignatureWrong => format!(
            "who wrote it. If {name} did: whether its key is the one in trust.hmac of {name}. `explain --mail FILE` shows \
             how a mail is taken."
        ),
        Why::RunInTheFuture => format!("the clock of {name}."),
        Why::Replayed => format!("who can read the mails of {name} on their way; or whether {name} itself sends them twice."),
        Why::RunWentBack => format!(
            "the clock of {name}. If it was set back, {name} is heard again once its run numbers pass the highest one so far."
        ),
    }
}

/// The words of the subject, and the body.
pub(super) fn recovery(incident: &Incident, name: &str, scene: &Scene<'_>) -> (String, String) {
    let recovered = incident.members.get(name).and_then(|member| match member.end {
        Some(End::Recovered(_)) => Some(member),
        _ => None,
    });
    let Some(_) = recovered else {
        return (String::new(), format!("{name} was removed from the configuration.\n"));
    };
    let spoofs = spoofs(name, scene);
    let newest = spoofs.and_then(|spoofs| spoofs.newest.as_ref());
    let quiet = newest.map_or(TimeDelta::zero(), |newest| scene.by.now - newest.received);
    let went_back = newest.is_some_and(|newest| newest.why == Why::RunWentBack);
    let (words, mut body) = if went_back {
        let words = format!("the run numbers of {name} go forward");
        (words, format!("The run numbers that {name} signs have not gone back for {}.\n", span(quiet)))
    } else {
        let words = format!("no more mails in the name of {name} that are not its own");
        (words, format!("No such mail in the name of {name} has come for {}.\n", span(quiet)))
    };
    let _ = match spoofs.map_or(0, |spoofs| spoofs.count) {
        0 => Ok(()),
        1 => writeln!(body, "One mail was not believed; none of what it said has counted."),
        more => writeln!(body, "{more} mails were not believed; none of what they said has counted."),
    };
    (words, body)
}

fn spoofs<'a>(name: &str, scene: &Scene<'a>) -> Option<&'a Spoofs> {
    scene.checkers.iter().find(|card| card.name == name).and_then(|card| card.spoofs)
}
