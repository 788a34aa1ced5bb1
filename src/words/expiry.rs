//! A credential that ends soon, and that it was renewed.

use std::fmt::Write as _;

use super::{Scene, Signature, only_removed};
use crate::expiry::{Credential, Ending};
use crate::incident::Incident;
use crate::time::{Time, span};

/// The words of the subject, and the body.
pub(super) fn alarm(incident: &Incident, name: &str, scene: &Scene<'_>) -> (String, String) {
    let (card, by) = (scene.mailboxes.iter().find(|card| card.name == name), scene.by);
    let host = card.map_or("", |card| card.host);
    let endings: Vec<&Ending> = card
        .iter()
        .flat_map(|card| &card.endings)
        .filter(|ending| incident.has(ending.what.words()))
        .collect();
    let words: Vec<String> = endings
        .iter()
        .map(|ending| format!("the {} {}", ending.what.words(), ends(ending, by.now)))
        .collect();
    let mut body = format!("What {} opens the mailbox {name} with comes to its end.\n\n", by.watchdog);
    for ending in &endings {
        sentence(&mut body, ending, host, by);
    }
    let _ = writeln!(
        body,
        "\nWithout a new one the mailbox cannot be read from then on: no checker is judged, and a dead one goes unseen by {}.",
        by.watchdog
    );
    body.push_str("\nLook first at: ");
    let advice: Vec<&str> = endings.iter().map(|ending| advice(ending.what)).collect();
    let _ = writeln!(body, "{}.", advice.join("; and "));
    (format!("{} (mailbox on {host})", words.join(", ")), body)
}

/// The words of the subject, and the body.
pub(super) fn channel_alarm(name: &str, scene: &Scene<'_>) -> (String, String) {
    let by = scene.by;
    let host = scene.channel.as_ref().map_or("", |card| card.host);
    let mut body = format!("What {} signs in with at the channel {name} comes to its end.\n\n", by.watchdog);
    let ending = scene.channel.as_ref().and_then(|card| card.ending);
    let words = ending.map_or(String::new(), |ending| {
        sentence(&mut body, &ending, host, by);
        ends(&ending, by.now)
    });
    let _ = writeln!(
        body,
        "\nWithout a new one nobody hears anything by this channel from then on.\n\nLook first at: {}.",
        advice(Credential::ClientSecret)
    );
    (format!("the {} {words} (channel {name})", Credential::ClientSecret.words()), body)
}

/// The words of the subject, and the body; `what` is "mailbox" or "channel".
pub(super) fn recovery(incident: &Incident, what: &str, name: &str) -> (String, String) {
    let body = if only_removed(incident) {
        format!("The {what} {name} was removed from the configuration.\n")
    } else {
        let renewed: Vec<&str> = incident.members.keys().map(String::as_str).collect();
        format!("Renewed for the {what} {name}: {}.\n", renewed.join(", "))
    };
    (format!("the credentials of the {what} are good again"), body)
}

/// When this one ends, or that it has.
fn sentence(body: &mut String, ending: &Ending, host: &str, by: Signature<'_>) {
    let (whose, at) = (whose(ending.what, host), by.shown(ending.at));
    let _ = if ending.at <= by.now {
        writeln!(body, "The {whose} ended {at}, {} ago.", span(by.now - ending.at))
    } else {
        writeln!(body, "The {whose} ends {at}, in {}.", span(ending.at - by.now))
    };
}

fn whose(what: Credential, host: &str) -> String {
    match what {
        Credential::ClientSecret => "OAuth 2.0 client secret".to_owned(),
        Credential::Certificate => format!("TLS certificate of {host}"),
    }
}

fn ends(ending: &Ending, now: Time) -> String {
    if ending.at <= now { "has ended".to_owned() } else { format!("ends in {}", span(ending.at - now)) }
}

fn advice(what: Credential) -> &'static str {
    match what {
        Credential::ClientSecret => {
            "who administers the application (in Entra ID: Certificates & secrets); give the new secret to the watchdog and its \
             day to client_secret_expires"
        }
        Credential::Certificate => {
            "who runs the mail server, and why its certificate was not renewed by itself"
        }
    }
}
