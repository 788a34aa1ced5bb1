//! Every sentence the program says in an alarm or a recovery. Pure, snapshot-tested.
//!
//! `.NOK` opens approvals at the sites: an alarm has it in its subject, and nothing else may contain `NOK` anywhere, in
//! any letter case. [`Letter::recovery`] is the one place that makes sure.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::Path;

use chrono_tz::Tz;

use crate::config::duration;
use crate::incident::{End, Incident, Subject};
use crate::ledger::{Deadline, Outcome};
use crate::time::{Time, rfc3339, seconds, span, utc_and_local};

/// So many checkers are described one by one; the rest is only counted.
const DESCRIBED_MAX: usize = 10;
/// So many characters of an error are quoted.
const QUOTED_CHARS_MAX: usize = 300;

/// The token of alarms about the state file.
pub const STORE_TOKEN: &str = "MONITOR_Store";

/// What a person receives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Letter {
    pub subject: String,
    pub body: String,
}

/// What the sentences are about, beside the incident itself.
#[derive(Debug, Clone)]
pub struct Scene<'a> {
    /// The watchdog's own name.
    pub watchdog: &'a str,
    pub zone: Tz,
    pub now: Time,
    pub mailboxes: Vec<MailboxCard<'a>>,
    /// All configured checkers.
    pub checkers: Vec<CheckerCard<'a>>,
}

#[derive(Debug, Clone)]
pub struct MailboxCard<'a> {
    pub name: &'a str,
    pub host: &'a str,
    pub heard_until: Option<Time>,
    pub error: Option<&'a str>,
}

#[derive(Debug, Clone)]
pub struct CheckerCard<'a> {
    pub name: &'a str,
    pub provider: &'a str,
    pub silent: bool,
    pub deadline: Deadline,
    pub heard_at: Option<Time>,
    pub watched_since: Option<Time>,
    pub last_received: Option<Time>,
    pub last_sent: Option<Time>,
    /// Its latest result for the service the incident is about.
    pub outcome: Option<Outcome>,
}

impl Letter {
    fn alarm(token: &str, words: &str, body: String) -> Self {
        Self { subject: one_line(&format!("{token}.NOK {words}")), body }
    }

    fn recovery(token: &str, words: &str, body: &str) -> Self {
        Self { subject: one_line(&without_nok(&format!("{token}.OK {words}"))), body: without_nok(body) }
    }
}

/// The alarm under `token` that names the incident's present members.
pub fn alarm(incident: &Incident, token: &str, scene: &Scene<'_>) -> Letter {
    match &incident.subject {
        Subject::Silence => silence_alarm(incident, token, scene),
        Subject::Service(service) => service_alarm(incident, service, scene),
        Subject::Mailbox(name) => mailbox_alarm(incident, name, token, scene),
    }
}

/// The recovery of what was announced under `token`.
pub fn recovery(incident: &Incident, token: &str, scene: &Scene<'_>) -> Letter {
    let mut body = match &incident.subject {
        Subject::Silence => silence_recovery(incident, scene),
        Subject::Service(service) => service_recovery(incident, service, scene),
        Subject::Mailbox(_) => "The mailbox can be read again; every checker is judged again.\n".to_owned(),
    };
    let lasted = incident.closed.unwrap_or(scene.now) - incident.opened;
    let _ =
        writeln!(body, "\nOpen since {}, for {}.", utc_and_local(incident.opened, scene.zone), span(lasted));
    body.push_str(&footer(incident, scene));
    Letter::recovery(token, &recovery_words(incident), &body)
}

/// The state file cannot be used: nothing can be remembered, and no other alarm can be kept until it is delivered.
pub fn store_alarm(watchdog: &str, state: &Path, error: &str, now: Time, zone: Tz) -> Letter {
    let body = format!(
        "{watchdog} cannot use its state file {}.\n\n\
         Reason:       {}\n\n\
         While it lasts nothing is judged, and no other alarm goes out.\n\n\
         Look first at: the disk and the file on the computer {watchdog}.\n\n\
         {watchdog}, {}\n",
        state.display(),
        quoted(error),
        utc_and_local(now, zone)
    );
    Letter::alarm(STORE_TOKEN, &format!("{watchdog} cannot use its state file"), body)
}

/// The state file can be used again.
pub fn store_recovery(watchdog: &str, since: Time, now: Time, zone: Tz) -> Letter {
    let body = format!(
        "{watchdog} can use its state file again; everything is judged again.\n\nOpen since {}, for {}.\n",
        utc_and_local(since, zone),
        span(now - since)
    );
    Letter::recovery(STORE_TOKEN, "the state file can be used again", &body)
}

/// The test of a channel. No approval may be opened by it.
pub fn channel_test(watchdog: &str, channel: &str, now: Time, zone: Tz) -> Letter {
    let body = format!(
        "This is a test of the channel {channel}, sent by {watchdog} on {}.\n\
         Nothing is wrong, and nothing needs to be done.\n",
        utc_and_local(now, zone)
    );
    Letter::recovery(&format!("{watchdog}_Test"), &format!("test of the channel {channel}"), &body)
}

/// What a fallback channel sends for another one.
pub fn handed_over(letter: &Letter, channel: &str, error: &str) -> Letter {
    let mut body = letter.body.clone();
    let _ =
        write!(body, "\nSent here because the channel {channel} could not deliver it: {}\n", quoted(error));
    Letter { subject: letter.subject.clone(), body }
}

/// `5m cycle + 40s tests + 60s margin = 6m40s`.
pub fn deadline_sum(deadline: Deadline) -> String {
    let text = |ms: i64| duration::display(chrono::TimeDelta::milliseconds(ms));
    let cycles = match deadline.missed_cycles {
        1 => format!("{} cycle", text(deadline.cycle_ms)),
        more => format!("{more} × {} cycle", text(deadline.cycle_ms)),
    };
    format!(
        "{cycles} + {} tests + {} mail path = {} ({} s)",
        text(deadline.timeouts_ms),
        text(deadline.margin_ms),
        duration::display(deadline.total()),
        seconds(deadline.total())
    )
}

fn silence_alarm(incident: &Incident, token: &str, scene: &Scene<'_>) -> Letter {
    let names: Vec<&str> = incident.present().map(|(name, _)| name).collect();
    let cards: Vec<&CheckerCard<'_>> =
        scene.checkers.iter().filter(|card| names.contains(&card.name)).collect();
    let providers: BTreeSet<&str> = cards.iter().map(|card| card.provider).collect();
    let providers = providers.into_iter().collect::<Vec<_>>().join(", ");
    let words = match names.as_slice() {
        [only] => format!("{only} is silent ({providers})"),
        several => format!("{} checkers are silent: {}", several.len(), listed(several)),
    };
    let mut body = format!("{words}.\n");
    for card in cards.iter().take(DESCRIBED_MAX) {
        if cards.len() > 1 {
            let _ = write!(body, "\n{} ({})", card.name, card.provider);
        }
        body.push_str(&silent_checker(card, scene));
    }
    if cards.len() > DESCRIBED_MAX {
        let _ = writeln!(body, "\n… and {} more.", cards.len() - DESCRIBED_MAX);
    }
    let heard = scene.checkers.iter().filter(|card| !card.silent && card.heard_at.is_some()).count();
    let _ = writeln!(
        body,
        "\nSeen by {}: {heard} of {} checkers are heard.",
        scene.watchdog,
        scene.checkers.len()
    );
    for mailbox in &scene.mailboxes {
        if let Some(until) = mailbox.heard_until {
            let _ = writeln!(
                body,
                "The mailbox {} ({}) was read up to {}.",
                mailbox.name,
                mailbox.host,
                utc_and_local(until, scene.zone)
            );
        }
    }
    let _ = writeln!(body, "\nLook first at: {}", look_first(token, &names, &providers, heard > 0));
    body.push_str(&footer(incident, scene));
    Letter::alarm(token, &words, body)
}

fn silent_checker(card: &CheckerCard<'_>, scene: &Scene<'_>) -> String {
    let mut text = "\n".to_owned();
    let shown = |time: Option<Time>| time.map_or("never".to_owned(), |time| utc_and_local(time, scene.zone));
    let counted_from = card.heard_at.or(card.watched_since);
    let _ = match card.heard_at {
        Some(heard) => {
            writeln!(text, "  Last heard:   {}, {} ago", shown(Some(heard)), span(scene.now - heard))
        }
        None => writeln!(text, "  Last heard:   never; watched for since {}", shown(card.watched_since)),
    };
    let _ = writeln!(text, "  Deadline:     {}", deadline_sum(card.deadline));
    let _ =
        writeln!(text, "  Silent since: {}", shown(counted_from.map(|from| from + card.deadline.total())));
    if let Some(received) = card.last_received {
        let sent = card.last_sent.map_or("without a date of its own".to_owned(), |sent| {
            format!("sent {} by its own clock", rfc3339(sent))
        });
        let _ = writeln!(text, "  Last mail:    received {}, {sent}", rfc3339(received));
    }
    text
}

fn look_first(token: &str, names: &[&str], providers: &str, others_heard: bool) -> String {
    if token == "MONITOR_MailPath" {
        "the way of the mails, because nobody is heard any more: does the mailbox take mail (quota, mail flow, the \
         sender's login), and is mail waiting in the checkers' queues?"
            .to_owned()
    } else if token.ends_with("_Provider") {
        format!("the line of the provider {providers}: all its checkers fell silent, and only those.")
    } else if let [only] = names {
        let others =
            if others_heard { " The other checkers are heard through the same mailbox." } else { "" };
        format!(
            "the computer {only} and its line ({providers}): is it on, does cron start the run, is mail waiting in its \
             queue?{others}"
        )
    } else {
        format!("what {} have in common: place, power, relay, configuration.", listed(names))
    }
}

fn service_alarm(incident: &Incident, service: &str, scene: &Scene<'_>) -> Letter {
    let outcomes: Vec<(&str, Time, Outcome)> = incident
        .present()
        .filter_map(|(name, member)| member.outcome.map(|outcome| (name, member.since, outcome)))
        .collect();
    let names: Vec<&str> = outcomes.iter().map(|(name, ..)| *name).collect();
    let missing = outcomes.iter().all(|(.., outcome)| *outcome == Outcome::Missing);
    let words = if missing {
        format!("not reported (MISSING) by {}", listed(&names))
    } else {
        format!("seen by {}", listed(&names))
    };
    let mut body = if missing {
        format!("{service} is missing from the reports: nobody can say whether it works.\n\n")
    } else {
        format!("{service} does not work.\n\n")
    };
    for (name, since, outcome) in outcomes.iter().take(DESCRIBED_MAX) {
        let provider = scene.checkers.iter().find(|card| card.name == *name).map_or("", |card| card.provider);
        let _ = writeln!(
            body,
            "{name} ({provider}): {} since {}",
            outcome_words(*outcome),
            utc_and_local(*since, scene.zone)
        );
    }
    let works: Vec<&str> = scene
        .checkers
        .iter()
        .filter(|card| !card.silent && card.outcome == Some(Outcome::Ok) && !names.contains(&card.name))
        .map(|card| card.name)
        .collect();
    let _ = match works.as_slice() {
        [] => writeln!(body, "\nNobody else reports that it works."),
        some => writeln!(body, "\nIt works as seen by {}.", listed(some)),
    };
    let first = if missing {
        format!("the checker's own configuration: its run must name {service} every time.")
    } else if works.is_empty() {
        format!("{service} itself.")
    } else {
        format!("the line between {} and {service}; others reach it.", listed(&names))
    };
    let _ = writeln!(body, "Seen by {}.\n\nLook first at: {first}", scene.watchdog);
    body.push_str(&footer(incident, scene));
    Letter::alarm(service, &words, body)
}

fn outcome_words(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Ok => "OK",
        Outcome::Nok => "NOK",
        Outcome::Missing => "MISSING from its run",
        Outcome::Contradiction => "OK and NOK in the same run",
        Outcome::Unread => "could not be read",
    }
}

fn mailbox_alarm(incident: &Incident, name: &str, token: &str, scene: &Scene<'_>) -> Letter {
    let card = scene.mailboxes.iter().find(|card| card.name == name);
    let host = card.map_or("", |card| card.host);
    let words = format!("the mailbox on {host} cannot be read");
    let mut body = format!("{} cannot read the mailbox {name} on {host}.\n\n", scene.watchdog);
    let until = card.and_then(|card| card.heard_until).map_or("never".to_owned(), |until| {
        format!("{}, {} ago", utc_and_local(until, scene.zone), span(scene.now - until))
    });
    let _ = writeln!(body, "Last read:    {until}");
    let error = card.and_then(|card| card.error).unwrap_or("the reader has not answered");
    let _ = writeln!(body, "Reason:       {}", quoted(error));
    let _ = writeln!(
        body,
        "\nWhile it lasts no checker can be judged: this alarm stands for all of them. A dead checker, or a service \
         that fails, goes unseen by {}.",
        scene.watchdog
    );
    let _ = writeln!(
        body,
        "\nLook first at: the reason above; then whether others can open the mailbox, and whether {} reaches {host}.",
        scene.watchdog
    );
    body.push_str(&footer(incident, scene));
    Letter::alarm(token, &words, body)
}

fn recovery_words(incident: &Incident) -> String {
    let removed = incident.members.values().all(|member| matches!(member.end, Some(End::Removed(_))));
    match &incident.subject {
        _ if removed && !incident.members.is_empty() => "closed: no longer in the configuration".to_owned(),
        Subject::Silence => {
            let heard: Vec<&str> = recovered(incident).collect();
            match heard.as_slice() {
                [only] => format!("{only} is heard again"),
                several => format!("{} checkers are heard again", several.len()),
            }
        }
        Subject::Service(_) => "works again".to_owned(),
        Subject::Mailbox(_) => "the mailbox is read again".to_owned(),
    }
}

fn recovered(incident: &Incident) -> impl Iterator<Item = &str> {
    let is = |end: Option<End>| matches!(end, Some(End::Recovered(_)));
    incident.members.iter().filter(move |(_, member)| is(member.end)).map(|(name, _)| name.as_str())
}

fn silence_recovery(incident: &Incident, scene: &Scene<'_>) -> String {
    let mut body = String::new();
    for (name, member) in incident.members.iter().take(DESCRIBED_MAX) {
        let _ = match member.end {
            Some(End::Recovered(heard)) => {
                writeln!(body, "{name} is heard again: {}.", utc_and_local(heard, scene.zone))
            }
            Some(End::Removed(_)) => writeln!(body, "{name} was removed from the configuration."),
            None => writeln!(body, "{name} is still silent; it is an incident of its own now."),
        };
    }
    if incident.members.len() > DESCRIBED_MAX {
        let _ = writeln!(body, "… and {} more.", incident.members.len() - DESCRIBED_MAX);
    }
    body
}

fn service_recovery(incident: &Incident, service: &str, scene: &Scene<'_>) -> String {
    let mut body = String::new();
    for (name, member) in incident.members.iter().take(DESCRIBED_MAX) {
        let _ = match member.end {
            Some(End::Recovered(at)) => {
                writeln!(body, "{name} reports that {service} works: {}.", utc_and_local(at, scene.zone))
            }
            Some(End::Removed(_)) => {
                writeln!(body, "{name} no longer tests {service}: removed from the configuration.")
            }
            None => Ok(()),
        };
    }
    body
}

fn footer(incident: &Incident, scene: &Scene<'_>) -> String {
    format!("\n{}, {}\nIncident {}\n", scene.watchdog, utc_and_local(scene.now, scene.zone), incident.id())
}

fn listed(names: &[&str]) -> String {
    let shown = names.iter().take(DESCRIBED_MAX).copied().collect::<Vec<_>>().join(", ");
    match names.len().saturating_sub(DESCRIBED_MAX) {
        0 => shown,
        more => format!("{shown} and {more} more"),
    }
}

/// Somebody else's words: on one line, without control characters, not too long.
fn quoted(text: &str) -> String {
    let line = one_line(text);
    match line.char_indices().nth(QUOTED_CHARS_MAX) {
        Some((end, _)) => format!("{}…", line.get(..end).unwrap_or_default()),
        None => line,
    }
}

/// The text without line ends and other control characters.
pub(crate) fn one_line(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect::<String>().trim().to_owned()
}

/// Breaks up every `NOK`, in any letter case, that came in with a name or somebody else's words.
fn without_nok(text: &str) -> String {
    let mut clean = String::with_capacity(text.len());
    let mut last: [char; 2] = ['\0'; 2];
    for c in text.chars() {
        if c.eq_ignore_ascii_case(&'k') && last.map(|c| c.to_ascii_lowercase()) == ['n', 'o'] {
            clean.push('-');
        }
        clean.push(c);
        last = [last[1], c];
    }
    clean
}

#[cfg(test)]
mod tests;
