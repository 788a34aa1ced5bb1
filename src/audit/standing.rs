//! What is known of a checker between two of its entries: all that the last-seen table says of it, without the clock.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::config::Breach;
use crate::ledger::few::Few;
use crate::ledger::{Deadline, Facts, Finding, Former, Outcome, Silence};
use crate::reason::Reason;
use crate::time::Time;
use crate::verdict::Basis;
use crate::words;

/// The facts that are shown, as of the last judgement.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Standing {
    pub watched_since: Option<Time>,
    pub last_received: Option<Time>,
    pub last_sent: Option<Time>,
    pub heard_at: Option<Time>,
    /// Its age counts from here.
    pub base: Option<Time>,
    pub grace_from: Option<Time>,
    pub deadline: Deadline,
    pub former: Option<Former>,
    /// None: it is not known to be silent.
    pub silent: Option<Silence>,
    /// Why it is silent or delayed.
    pub reason: Option<Reason>,
    pub services: BTreeMap<String, ServiceThen>,
    pub findings: BTreeMap<Breach, FindingThen>,
    /// A mail of it that could not be understood.
    pub complaint: Option<String>,
    pub disbelieved: Option<Disbelieved>,
    /// When each mailbox last received it.
    pub heard_through: Few<String, Time>,
}

/// What it last said of a service.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServiceThen {
    pub outcome: Outcome,
    pub since: Time,
}

/// A rule of reporting that its newest run breaks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FindingThen {
    pub since: Time,
    pub runs: u32,
    pub last_run: Time,
    /// A sentence.
    pub what: String,
}

/// Mails in its name that were not believed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Disbelieved {
    /// Why the newest of them was not, words.
    pub why: String,
    /// Then it is told no more, if no other comes.
    pub until: Time,
}

impl Standing {
    /// What these facts show, with the reason that was found for them.
    pub fn of(facts: &Facts, reason: Option<Reason>) -> Self {
        let service = |(name, service): (&String, &crate::ledger::Service)| {
            (name.clone(), ServiceThen { outcome: service.outcome(), since: service.since() })
        };
        let finding = |(breach, finding): (&Breach, &Finding)| {
            let then = FindingThen {
                since: finding.since(),
                runs: finding.streak(),
                last_run: finding.run(),
                what: words::finding(*breach, finding.evidence()),
            };
            (*breach, then)
        };
        let newest = facts.spoofs.newest.as_ref().zip(facts.spoofs_over_at());
        Self {
            watched_since: facts.watched_since,
            last_received: facts.last_received,
            last_sent: facts.last_sent,
            heard_at: facts.heard_at(),
            base: facts.base(),
            grace_from: facts.grace_from,
            deadline: facts.deadline,
            former: facts.former,
            silent: facts.silent,
            reason,
            services: facts.services.iter().map(service).collect(),
            findings: facts.findings.iter().filter(|(_, one)| one.stands()).map(finding).collect(),
            complaint: facts.complaint.as_ref().map(|complaint| complaint.what.clone()),
            disbelieved: newest
                .map(|(spoof, until)| Disbelieved { why: spoof.why.sentence().to_owned(), until }),
            heard_through: facts.heard_through.clone(),
        }
    }

    /// What a verdict counts with.
    pub fn basis(&self) -> Basis {
        Basis {
            heard_at: self.heard_at,
            base: self.base,
            deadline: Former::in_force(self.former, self.deadline, self.base),
            silent: self.silent.is_some(),
        }
    }
}
