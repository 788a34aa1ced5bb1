//! Every sentence the program says in an alarm or a recovery. Pure, snapshot-tested.
//!
//! `.NOK` opens approvals at the sites: an alarm has it in its subject, and nothing else may contain `NOK` anywhere, in
//! any letter case. `Letter::recovery` is the one place that makes sure.

pub mod cause;
mod acknowledgement;
mod channel;
mod combined;
mod dependence;
mod digest;
mod drill;
mod expiry;
mod head;
mod heartbeat;
mod own;
mod report;
mod own_time;
mod service;
mod silence;
mod spoof;

use std::collections::BTreeMap;
use std::fmt::Write as _;

use chrono_tz::Tz;

use crate::config::Breach;
use crate::engine::Offset;
use crate::expiry::Ending;
use crate::incident::{End, Incident, Member, Subject};
use crate::independence::Matrix;
use crate::ledger::{Deadline, Finding, Spoofs};
use crate::matrix::ServiceRow;
use crate::text::one_line;
use crate::time::{Time, span, utc_and_local};
pub use acknowledgement::{acknowledged, linked, reminder};
pub use channel::ChannelCard;
pub use combined::combined;
pub use digest::digest;
pub use drill::{DrillCard, chain};
pub use head::{HEAD_TOKEN, head};
pub use heartbeat::run_report;
pub use own::{STORE_TOKEN, canary, channel_test, handed_over, store_alarm, store_recovery};
pub use own_time::offset_range;
pub use report::finding;
pub use silence::deadline_sum;

/// So many checkers are described one by one; the rest is only counted.
const DESCRIBED_MAX: usize = 10;

/// A subject about many lists names as long as it is no longer than this: a telephone cuts off the rest.
const SUBJECT_CHARS: usize = 80;

/// What a person receives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Letter {
    pub subject: String,
    pub body: String,
}

/// Who writes, and when.
#[derive(Debug, Clone, Copy)]
pub struct Signature<'a> {
    /// The watchdog's own name.
    pub watchdog: &'a str,
    /// In which people are told times, beside UTC.
    pub zone: Tz,
    pub now: Time,
}

/// What the sentences are about, beside the incident itself.
#[derive(Debug, Clone)]
pub struct Scene<'a> {
    pub by: Signature<'a>,
    pub mailboxes: Vec<MailboxCard<'a>>,
    /// Of the checkers that are or were members of the incident, those that are configured, in that order.
    pub checkers: Vec<CheckerCard<'a>>,
    /// How many checkers are heard, of how many, when the incident is about silence.
    pub heard: Option<(usize, usize)>,
    /// The rules that the runs of the checker break, or broke lately, that the incident is about.
    pub findings: Vec<(Breach, &'a Finding)>,
    /// The service the incident is about, from all providers.
    pub service: Option<ServiceRow>,
    /// The channel that the incident is about.
    pub channel: Option<ChannelCard<'a>>,
    pub drill: DrillCard<'a>,
    /// Which channels survive which loss, as far as it was worked out.
    pub matrix: Option<&'a Matrix>,
}

#[derive(Debug, Clone)]
pub struct MailboxCard<'a> {
    pub name: &'a str,
    pub host: &'a str,
    pub heard_until: Option<Time>,
    pub error: Option<&'a str>,
    /// The watchdog's clock minus the server's.
    pub offset: Option<Offset>,
    /// Of what opens it.
    pub endings: Vec<Ending>,
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
    /// Mails in its name that were not believed.
    pub spoofs: Option<&'a Spoofs>,
}

impl Scene<'_> {
    /// Empty for a checker that is no longer configured.
    fn provider_of(&self, checker: &str) -> &str {
        self.checkers.iter().find(|card| card.name == checker).map_or("", |card| card.provider)
    }
}

impl Letter {
    fn alarm(token: &str, words: &str, body: String) -> Self {
        Self { subject: one_line(&format!("{token}.NOK {words}")), body }
    }

    fn recovery(token: &str, words: &str, body: &str) -> Self {
        Self { subject: one_line(&without_nok(&format!("{token}.OK {words}"))), body: without_nok(body) }
    }

    /// Neither alarm nor recovery: no token, and nothing that could be taken for one.
    fn notice(words: &str, body: &str) -> Self {
        Self { subject: one_line(&without_nok(words)), body: without_nok(body) }
    }
}

impl Signature<'_> {
    fn shown(self, time: Time) -> String {
        utc_and_local(time, self.zone)
    }

    /// The last paragraph of every alarm and recovery.
    fn footer(self, incident: &str) -> String {
        format!("\n{}, {}\nIncident {incident}\n", self.watchdog, self.shown(self.now))
    }

    /// The last sentence of every recovery.
    fn lasted(self, since: Time) -> String {
        format!("\nIt lasted {}, from {}.\n", span(self.now - since), self.shown(since))
    }
}

/// The alarm under `token` that names the incident's present members.
pub fn alarm(incident: &Incident, token: &str, scene: &Scene<'_>) -> Letter {
    let (words, mut body) = match &incident.subject {
        Subject::Silence => silence::alarm(incident, scene),
        Subject::Service(service) => service::alarm(incident, service, scene),
        Subject::Mailbox(name) => own::mailbox_alarm(name, scene),
        Subject::Channel(name) => channel::alarm(incident, name, scene),
        Subject::Report(checker) => report::alarm(checker, scene),
        Subject::Clock => own_time::alarm(incident, scene),
        Subject::Spoof(name) => spoof::alarm(name, scene),
        Subject::Expiry(name) => expiry::alarm(incident, name, scene),
        Subject::Drill => drill::alarm(incident, scene),
        Subject::Proof => drill::proof_alarm(incident, scene),
        Subject::ChannelExpiry(name) => expiry::channel_alarm(name, scene),
        Subject::Dependence(_) => dependence::alarm(incident, scene),
    };
    body.push_str(&scene.by.footer(&incident.id()));
    Letter::alarm(token, &words, body)
}

/// The recovery of what was announced under `token`.
pub fn recovery(incident: &Incident, token: &str, scene: &Scene<'_>) -> Letter {
    let (words, mut body) = match &incident.subject {
        Subject::Silence => silence::recovery(incident, scene),
        Subject::Service(service) => service::recovery(incident, service, scene),
        Subject::Mailbox(name) => own::mailbox_recovery(incident, name),
        Subject::Channel(name) => channel::recovery(incident, name),
        Subject::Report(checker) => report::recovery(incident, checker, scene),
        Subject::Clock => own_time::recovery(incident, scene),
        Subject::Spoof(name) => spoof::recovery(incident, name, scene),
        Subject::Expiry(name) => expiry::recovery(incident, "mailbox", name),
        Subject::ChannelExpiry(name) => expiry::recovery(incident, "channel", name),
        Subject::Drill => drill::recovery(incident, scene),
        Subject::Proof => drill::proof_recovery(incident),
        Subject::Dependence(_) => dependence::recovery(incident),
    };
    body.push_str(&scene.by.lasted(incident.opened));
    body.push_str(&scene.by.footer(&incident.id()));
    let words = if only_removed(incident) {
        "closed: no longer in the configuration"
    } else if only_resolved(incident) {
        "closed by hand"
    } else {
        &words
    };
    Letter::recovery(token, words, &body)
}

/// Nothing got better: all that the incident was about was taken out of the configuration.
fn only_removed(incident: &Incident) -> bool {
    let removed = |member: &Member| matches!(member.end, Some(End::Removed(_)));
    !incident.members.is_empty() && incident.members.values().all(removed)
}

/// A person ended it.
fn only_resolved(incident: &Incident) -> bool {
    incident.members.values().any(|member| matches!(member.end, Some(End::Resolved(_))))
}

/// The names, as far as they fit into a sentence.
fn listed(names: &[&str]) -> String {
    let shown = names.iter().take(DESCRIBED_MAX).copied().collect::<Vec<_>>().join(", ");
    match names.len().saturating_sub(DESCRIBED_MAX) {
        0 => shown,
        more => format!("{shown} and {more} more"),
    }
}

/// The words, and the names as far as a subject under this token (with its ending) has room for them.
fn with_room(token: &str, words: &str, names: &[&str]) -> String {
    let chars = |text: &str| text.chars().count();
    let mut fits = words.to_owned();
    let mut shown = String::new();
    for (index, name) in names.iter().enumerate() {
        shown.push_str(if index == 0 { ": " } else { ", " });
        shown.push_str(name);
        let more = match names.len().saturating_sub(index + 1) {
            0 => String::new(),
            more => format!(" and {more} more"),
        };
        if chars(token) + 1 + chars(words) + chars(&shown) + chars(&more) <= SUBJECT_CHARS {
            fits = format!("{words}{shown}{more}");
        } else if chars(&shown) > SUBJECT_CHARS {
            break;
        }
    }
    fits
}

/// `free 20, orange 17`, the most first, as far as they fit into a sentence.
fn listed_counts(counts: BTreeMap<&str, usize>) -> String {
    let mut counts: Vec<(&str, usize)> = counts.into_iter().collect();
    counts.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    let texts: Vec<String> = counts.iter().map(|(name, count)| format!("{name} {count}")).collect();
    listed(&texts.iter().map(String::as_str).collect::<Vec<_>>())
}

/// After the description of as many as are described.
fn and_more(body: &mut String, all: usize) {
    if let Some(more @ 1..) = all.checked_sub(DESCRIBED_MAX) {
        let _ = writeln!(body, "… and {more} more.");
    }
}

/// Breaks up every `NOK`, in any letter case, that came in with a name or somebody else's words.
fn without_nok(text: &str) -> String {
    // By Unicode's letter case: the Kelvin sign is a K too.
    let lower = |c: char| c.to_lowercase().next().unwrap_or(c);
    let mut clean = String::with_capacity(text.len());
    let mut last: [char; 2] = ['\0'; 2];
    for c in text.chars() {
        if lower(c) == 'k' && last.map(lower) == ['n', 'o'] {
            clean.push('-');
        }
        clean.push(c);
        last = [last[1], c];
    }
    clean
}

#[cfg(test)]
mod tests;
