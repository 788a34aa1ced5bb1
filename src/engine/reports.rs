//! Whose runs break the rules of reporting, for so long that somebody has to look.

use super::Engine;
use crate::config::{Breach, Checker, Reaction};
use crate::incident::{End, Incident, Subject};
use crate::ledger::{Facts, Finding};
use crate::time::Time;

impl Engine {
    /// The runs of a silent checker are not judged, nor are any before all of history is known.
    pub(super) fn judge_reports(&mut self, name: &str, now: Time) {
        let Some((facts, checker)) = self.facts.get(name).zip(self.checker(name)) else { return };
        if facts.silent.is_some() || !self.watch_of(facts).history_known {
            return;
        }
        match (self.report_incident(name), alarmed_since(checker, facts), clean_since(checker, facts)) {
            (None, Some(since), _) => {
                let subject = Subject::Report(name.to_owned());
                let mut incident = Incident::new(self.last_incident + 1, subject, now);
                incident.join(name, since, None);
                self.open(incident, now);
            }
            (Some(_), None, Some(since)) => self.end_report(name, End::Recovered(since)),
            _ => {}
        }
    }

    /// Ends the alarm about a checker's runs, if there is one.
    pub(super) fn end_report(&mut self, name: &str, end: End) {
        let Some(number) = self.report_incident(name) else { return };
        if let Some(incident) = self.incidents.get_mut(&number) {
            incident.leave(name, end);
            self.dirty.incidents.insert(number);
        }
    }

    /// The findings that the alarm about a checker's runs tells of.
    pub(super) fn findings_of_report(&self, name: &str) -> Vec<(Breach, &Finding)> {
        let known = self.facts.get(name).zip(self.checker(name));
        known.map(|(facts, checker)| of_report(checker, facts).collect()).unwrap_or_default()
    }

    fn report_incident(&self, name: &str) -> Option<u64> {
        self.number_about(&Subject::Report(name.to_owned()))
    }
}

fn of_report<'f>(checker: &'f Checker, facts: &'f Facts) -> impl Iterator<Item = (Breach, &'f Finding)> {
    let told = |breach: Breach| match checker.findings.reaction(breach) {
        Reaction::Alarm => !breach.is_of_a_service(),
        Reaction::Report => true,
        Reaction::Ignore => false,
    };
    facts.findings.iter().map(|(breach, finding)| (*breach, finding)).filter(move |(breach, _)| told(*breach))
}

fn alarmed_since(checker: &Checker, facts: &Facts) -> Option<Time> {
    let lasts = |(breach, finding): &(Breach, &Finding)| match checker.findings.reaction(*breach) {
        Reaction::Report => finding.streak() >= checker.findings.report_after,
        Reaction::Alarm | Reaction::Ignore => true,
    };
    let standing = of_report(checker, facts).filter(|(_, finding)| finding.stands());
    standing.filter(lasts).map(|(_, finding)| finding.since()).min()
}

/// The first run since which all keep every rule, when there are enough of them.
fn clean_since(checker: &Checker, facts: &Facts) -> Option<Time> {
    let clean = |finding: &Finding| !finding.stands() && finding.streak() >= checker.ok_after;
    let since = of_report(checker, facts).map(|(_, finding)| clean(finding).then(|| finding.since()));
    let since: Option<Vec<Time>> = since.collect();
    since.map(|since| since.into_iter().max().or(facts.last_received).unwrap_or_default())
}
