//! [`Mail`] → [`Understood`]: who speaks, whether it counts as heard, and what it says. Pure.
//!
//! A checker is *heard* by a mail to exactly one known checker with at least one valid token, that is not an
//! auto-reply, a delivery report, a person's forward, or one of a watchdog's own mails.

pub mod tokens;

use std::collections::BTreeMap;
use std::sync::Arc;

use chrono::TimeDelta;
use serde::{Deserialize, Serialize};

use crate::config::Checker;
use crate::mail::{DeliveryReport, Failed, Hop, Mail, Undelivered};
use crate::time::{Time, as_optional_rfc3339};
use crate::trust::{Examined, Keys, Policy, Why};
use tokens::Scanner;
pub use tokens::{DRYRUN, Said, Tokens};

/// Who may write, and the words each may use; built once from the configuration.
#[derive(Debug, Clone)]
pub struct Roster {
    by_address: BTreeMap<String, usize>,
    checkers: Vec<Entry>,
}

#[derive(Debug, Clone)]
struct Entry {
    name: String,
    /// Most checkers test what others test.
    scanner: Arc<Scanner>,
    policy: Option<Policy>,
    /// Σ timeouts: so long a run may last.
    longest_run: TimeDelta,
}

impl Roster {
    /// `keys` are those of the checkers that have to sign.
    pub fn new(checkers: &[Checker], keys: &Keys) -> Self {
        let addresses = |(index, checker): (usize, &Checker)| {
            checker.addresses.iter().map(move |address| (address.clone(), index)).collect::<Vec<_>>()
        };
        let mut scanners: BTreeMap<Vec<&str>, Arc<Scanner>> = BTreeMap::new();
        let mut entries = Vec::with_capacity(checkers.len());
        for checker in checkers {
            let services: Vec<&str> = checker.tests.iter().map(|test| test.service.as_str()).collect();
            let scanner = Arc::new(Scanner::new(services.iter().copied()));
            entries.push(Entry {
                name: checker.name.clone(),
                scanner: Arc::clone(scanners.entry(services).or_insert(scanner)),
                policy: checker.trust.as_ref().map(|trust| Policy::new(&checker.name, trust, keys)),
                longest_run: checker.tests.iter().map(|test| test.timeout).sum(),
            });
        }
        Self { by_address: checkers.iter().enumerate().flat_map(addresses).collect(), checkers: entries }
    }

    /// The one known checker among `recipients`.
    fn only(&self, recipients: &[String]) -> Option<&Entry> {
        let addressed = self.addressed(recipients);
        if let [only] = addressed.as_slice() { Some(*only) } else { None }
    }

    /// The one known checker of which `report` says that a mail did not arrive, and why.
    fn undelivered(&self, report: &DeliveryReport) -> Option<(&Entry, Undelivered)> {
        let known = report
            .failed
            .iter()
            .filter_map(|failed| self.only(&failed.addresses).map(|checker| (checker, &failed.why)));
        let mut known: Vec<_> = known.collect();
        if known.is_empty() {
            // Exchange reports of the mailbox that an alias belongs to. Whoever is among the recipients of the returned
            // mail is reported as itself.
            let listed = |address: &String| report.returned_to.contains(address);
            let strange = |failed: &&Failed| !failed.addresses.iter().any(listed);
            let failed = report.failed.iter().find(strange);
            known.extend(self.only(&report.returned_to).zip(failed.map(|failed| &failed.why)));
        }
        let (checker, _) = known.first()?;
        let about_it = known.iter().all(|(other, _)| other.name == checker.name);
        // The same recipient may be told of twice, once for people; what is final and exact says more.
        let said = known.iter().map(|(_, why)| *why).min_by_key(|why| (why.delayed, why.status.is_none()))?;
        about_it.then(|| (*checker, said.clone()))
    }

    /// The known checkers among `recipients`, each once.
    fn addressed(&self, recipients: &[String]) -> Vec<&Entry> {
        let mut found: Vec<usize> =
            recipients.iter().filter_map(|address| self.by_address.get(address).copied()).collect();
        found.sort_unstable();
        found.dedup();
        found.into_iter().filter_map(|index| self.checkers.get(index)).collect()
    }
}

/// One mail, as the rules of the domain see it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Understood {
    /// The one known checker it is addressed to; of a delivery report the one it is about.
    pub checker: Option<String>,
    /// Why it is no sign of life; None when the checker was heard.
    pub not_heard: Option<NotHeard>,
    /// `Date:`, by the checker's clock. Where the run is signed, never before it began nor later than it may last.
    #[serde(serialize_with = "as_optional_rfc3339")]
    pub sent: Option<Time>,
    /// When its run began, by the checker's clock: the number that it has signed.
    #[serde(default, skip_serializing_if = "Option::is_none", serialize_with = "as_optional_rfc3339")]
    pub run: Option<Time>,
    /// What it was asked for, to show that it is its checker's own.
    #[serde(skip)]
    pub examined: Examined,
    pub dryrun: Option<Said>,
    /// In none of its texts does DRYRUN come before every other name.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub dryrun_late: bool,
    pub results: BTreeMap<String, Said>,
    /// What it says under names that nobody configured for this checker.
    pub unknown: BTreeMap<String, Said>,
    /// The mail was larger than what was read of it: a service it does not name is unknown, not missing.
    pub truncated: bool,
    pub problems: Vec<String>,
    /// It is a delivery report: a mail of the checker did not arrive.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub undelivered: Option<Undelivered>,
    /// The `Received` chain, newest hop first.
    #[serde(skip)]
    pub received: Vec<Hop>,
}

impl Understood {
    pub fn heard(&self) -> bool {
        self.not_heard.is_none()
    }

    /// A mail with DRYRUN and at least one result is a whole run.
    pub fn whole_run(&self) -> bool {
        self.dryrun.is_some() && !self.results.is_empty()
    }
}

/// Why a mail does not prove that a checker lives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NotHeard {
    /// Sent by a watchdog.
    OwnMail,
    /// Sent by a watchdog to measure the mail path.
    Canary,
    DeliveryReport,
    AutoReply,
    /// To no configured checker.
    NobodyKnown,
    /// To more than one checker: it cannot be said who speaks.
    SeveralCheckers,
    /// A person's forward or reply.
    Forward,
    /// From a known checker, but without one token it may use.
    NoToken,
    /// A report that is not its checker's own.
    Untrusted(Why),
    /// It would count, but lies in the Junk folder.
    Junked,
}

impl NotHeard {
    /// The word in the store, in JSON and in `explain`.
    pub fn word(self) -> &'static str {
        match self {
            Self::OwnMail => "own_mail",
            Self::Canary => "canary",
            Self::DeliveryReport => "delivery_report",
            Self::AutoReply => "auto_reply",
            Self::NobodyKnown => "nobody_known",
            Self::SeveralCheckers => "several_checkers",
            Self::Forward => "forward",
            Self::NoToken => "no_token",
            Self::Untrusted(_) => "untrusted",
            Self::Junked => "junked",
        }
    }
}

/// Reads one mail by the rules of the domain, and takes out of it what is kept.
pub fn understand(mail: &mut Mail, roster: &Roster) -> Understood {
    let addressed = roster.addressed(&mail.recipients);
    let undelivered = mail.delivery.as_ref().and_then(|report| roster.undelivered(report));
    let about = undelivered.as_ref().map(|(checker, _)| *checker);
    let only = about.or(if let [only] = addressed.as_slice() { Some(*only) } else { None });
    let mut tokens = Tokens::default();
    if let Some(Entry { scanner, .. }) = only {
        scanner.scan(&mail.subject, &mut tokens);
        mail.texts.iter().for_each(|text| scanner.scan(text, &mut tokens));
    }
    // A delivery report is about a checker's mail, and nobody takes it for one.
    let policy = only.filter(|_| undelivered.is_none()).and_then(|entry| entry.policy.as_ref());
    let examined = policy.map(|policy| policy.examine(mail, &tokens)).unwrap_or_default();
    let run = examined.run();
    let longest_run = only.map_or(TimeDelta::zero(), |entry| entry.longest_run);
    Understood {
        checker: only.map(|entry| entry.name.clone()),
        not_heard: not_heard(mail, addressed.len(), &tokens, examined.why()),
        sent: run.map_or(mail.sent, |run| Some(mail.sent.unwrap_or(run).clamp(run, run + longest_run))),
        run,
        examined,
        dryrun: tokens.dryrun,
        dryrun_late: tokens.dryrun.is_some() && !tokens.dryrun_first,
        results: tokens.results,
        unknown: tokens.unknown,
        truncated: mail.truncated,
        problems: std::mem::take(&mut mail.problems),
        undelivered: undelivered.map(|(_, why)| why),
        received: std::mem::take(&mut mail.received),
    }
}

/// The first reason that holds. The mail's own marks come first: a bounce that quotes a report is a bounce. What holds no
/// token claims nothing, and is nobody's forgery.
fn not_heard(mail: &Mail, addressed: usize, tokens: &Tokens, untrusted: Option<Why>) -> Option<NotHeard> {
    let marks = mail.marks;
    let first = [
        (marks.own, NotHeard::OwnMail),
        (mail.canary.is_some(), NotHeard::Canary),
        (marks.delivery_report, NotHeard::DeliveryReport),
        (marks.auto_replied, NotHeard::AutoReply),
        (addressed == 0, NotHeard::NobodyKnown),
        (addressed > 1, NotHeard::SeveralCheckers),
        (marks.forward, NotHeard::Forward),
        (!tokens.any_valid(), NotHeard::NoToken),
    ]
    .into_iter()
    .find_map(|(holds, why)| holds.then_some(why));
    first.or(untrusted.map(NotHeard::Untrusted))
}
