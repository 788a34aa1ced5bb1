//! A digest, gathered from the state file. It may take seconds where there are millions of reports, so it reads by a
//! connection of its own, and nothing waits for it.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::Result;
use chrono::TimeDelta;

use crate::config::{self, Checker, Config};
use crate::digest::availability::Spans;
use crate::digest::survey::Survey;
use crate::digest::{
    ChainPart, CheckerPart, Deliveries, Digest, ENDS_SOON, EndingPart, FindingPart, IncidentPart, Period,
    SilencePart, Waiting,
};
use crate::engine::{Chain, Drills, Look, Mailbox, Snapshot};
use crate::expiry;
use crate::incident::{End, Incident, Subject};
use crate::ledger::Facts;
use crate::mail::Hop;
use crate::store::{Store, TakenBy};
use crate::time::Time;

/// What is looked up once for all checkers.
struct Known {
    period: Period,
    looks: Vec<Look>,
    /// By the mailboxes that receive a checker.
    observed: BTreeMap<Vec<String>, Spans>,
    facts: BTreeMap<String, Facts>,
}

/// What there is to tell of `period`, as it is known by `now`. A period that is not over is told up to now.
///
/// # Errors
/// When the state file cannot be read.
pub(crate) fn digest(
    store: &Store,
    config: &Config,
    wanted: &config::Digest,
    period: Period,
    (due, now): (Option<Time>, Time),
) -> Result<Digest> {
    let period = Period { until: period.until.min(now).max(period.from), ..period };
    let Snapshot { facts, mailboxes, drills, .. } = store.load()?;
    let looks = store.looks()?;
    let observed = Spans::union(looks.iter().map(|look| (look.from, look.until)));
    let observed = observed.within(period.from.timestamp_millis(), period.until.timestamp_millis());
    let chosen: Vec<&Checker> = config.checkers.iter().filter(|checker| wanted.is_about(checker)).collect();
    let mut known = Known { period, looks, observed: BTreeMap::new(), facts };
    let checkers =
        chosen.iter().map(|checker| checker_part(store, checker, &mut known)).collect::<Result<_>>()?;
    let of_digest = |incident: &Incident| match incident.subject {
        Subject::Silence | Subject::Service(_) | Subject::Report(_) | Subject::Spoof(_) => {
            chosen.iter().any(|checker| incident.members.contains_key(&checker.name))
        }
        Subject::Mailbox(_)
        | Subject::Clock
        | Subject::Channel(_)
        | Subject::Expiry(_)
        | Subject::ChannelExpiry(_)
        | Subject::Dependence(_)
        | Subject::Proof => true,
        // A section of their own tells of them.
        Subject::Drill => false,
    };
    let mut incidents = store.incidents_within(period.from, period.until)?;
    incidents.retain(of_digest);
    let taken = store.taken_within(period.from, period.until)?;
    Ok(Digest {
        watchdog: config.name.clone(),
        name: wanted.name.clone(),
        zone: config.timezone,
        period,
        due,
        made: now,
        observed: TimeDelta::milliseconds(observed),
        checkers,
        silences: silences(&incidents, &chosen, period),
        incidents: incidents.iter().map(|incident| incident_part(incident, &taken)).collect(),
        findings: findings(&chosen, &known.facts),
        deliveries: deliveries(store, period)?,
        endings: endings(config, &mailboxes, now),
        chains: chains(&drills),
    })
}

fn checker_part(store: &Store, checker: &Checker, known: &mut Known) -> Result<CheckerPart> {
    let period = known.period;
    let none = Facts::new(checker);
    let facts = known.facts.get(&checker.name).unwrap_or(&none);
    let through: Vec<String> = facts.heard_through.keys().cloned().collect();
    let looks = &known.looks;
    let observed = known.observed.entry(through.clone()).or_insert_with(|| {
        let receives = |look: &&Look| through.is_empty() || through.contains(&look.mailbox);
        Spans::union(looks.iter().filter(receives).map(|look| (look.from, look.until)))
    });
    let deadline = facts.deadline_in_force().total();
    let mut survey = Survey::new(facts, observed, period);
    let around = (period.from - deadline, period.until + deadline + TimeDelta::milliseconds(1));
    store.each_report(&checker.name, around, |report| survey.add(report))?;
    let ways: Vec<(_, Vec<Hop>)> =
        survey.slowest().into_iter().map(|mail| Ok((mail, store.way_of(mail.id)?))).collect::<Result<_>>()?;
    // Nothing is known of the time after the last look.
    let read_until = observed.end().and_then(Time::from_timestamp_millis).unwrap_or(period.from);
    let (availability, path) = survey.finish(&ways, read_until.min(around.1));
    Ok(CheckerPart { name: checker.name.clone(), provider: checker.provider.clone(), availability, path })
}

fn silences(incidents: &[Incident], chosen: &[&Checker], period: Period) -> Vec<SilencePart> {
    let chosen: BTreeSet<&str> = chosen.iter().map(|checker| checker.name.as_str()).collect();
    let mut silences = Vec::new();
    for incident in incidents.iter().filter(|incident| incident.subject == Subject::Silence) {
        let reason = incident.cause.as_ref().map(|cause| cause.reason);
        for (name, member) in &incident.members {
            let until = member.end.map(end_of);
            let over_before = until.is_some_and(|until| until < period.from);
            if !over_before && chosen.contains(name.as_str()) {
                silences.push(SilencePart { checker: name.clone(), since: member.since, until, reason });
            }
        }
    }
    silences
}

fn end_of(end: End) -> Time {
    match end {
        End::Recovered(at) | End::Removed(at) | End::Resolved(at) => at,
    }
}

fn incident_part(incident: &Incident, taken: &BTreeMap<String, TakenBy>) -> IncidentPart {
    let id = incident.id();
    let steps = taken.get(&id).cloned().unwrap_or_default();
    IncidentPart {
        what: incident.token().unwrap_or(incident.subject.word()).to_owned(),
        opened: incident.opened,
        closed: incident.closed,
        announced: steps.announced,
        taken: steps.by,
        reason: incident.cause.as_ref().map(|cause| cause.reason),
        id,
    }
}

fn findings(chosen: &[&Checker], facts: &BTreeMap<String, Facts>) -> Vec<FindingPart> {
    let of = |checker: &&Checker| {
        let name = checker.name.clone();
        let findings = facts.get(&checker.name).into_iter().flat_map(|facts| &facts.findings);
        let standing = findings.filter(|(_, finding)| finding.stands());
        standing
            .map(|(breach, finding)| FindingPart {
                checker: name.clone(),
                breach: *breach,
                since: finding.since(),
                runs: finding.streak(),
            })
            .collect::<Vec<_>>()
    };
    chosen.iter().flat_map(of).collect()
}

fn deliveries(store: &Store, period: Period) -> Result<Deliveries> {
    let all = store.attempted_within(period.from, period.until)?;
    let accepted = || all.iter().filter(|one| one.accepted);
    let waiting = store.waiting()?.into_iter().filter(|message| message.created < period.until);
    Ok(Deliveries {
        took: accepted().map(|one| one.at - one.created).collect(),
        retried: accepted().filter(|one| one.attempts > 1).count(),
        dropped: all.iter().filter(|one| !one.accepted).count(),
        waiting: waiting
            .map(|message| Waiting {
                subject: message.subject,
                channel: message.channel,
                since: message.created,
                attempts: message.attempts,
                error: message.last_error,
            })
            .collect(),
    })
}

fn chains(drills: &Drills) -> Vec<ChainPart> {
    let part = |(channel, chain): (&String, &Chain)| ChainPart {
        channel: channel.clone(),
        proof: chain.proof.map(|proof| (proof.at, proof.took())),
        unproved: chain.unproved,
    };
    drills.chains().iter().map(part).collect()
}

fn endings(config: &Config, mailboxes: &BTreeMap<String, Mailbox>, now: Time) -> Vec<EndingPart> {
    let of = |mailbox: &config::Mailbox| {
        let certificate = mailboxes.get(&mailbox.name).and_then(|state| state.certificate);
        let name = mailbox.name.clone();
        let soon = expiry::endings(mailbox, certificate).filter(move |ending| ending.at - now < ENDS_SOON);
        soon.map(move |ending| EndingPart { mailbox: name.clone(), what: ending.what, at: ending.at })
    };
    config.mailboxes.iter().flat_map(of).collect()
}
