//! Whether anybody would hear of a loss: asked for at the start and once a day, alarmed, and recovered.
//!
//! What DNS does not say alarms nobody, and ends no alarm.

use chrono::TimeDelta;

use super::Engine;
use crate::incident::{End, Incident, Severity, Subject};
use crate::independence::{Answers, Lost, Matrix, Verdict};
use crate::time::Time;

const EVERY: TimeDelta = TimeDelta::days(1);
/// While DNS does not say everything.
const AGAIN: TimeDelta = TimeDelta::hours(1);

const TOKEN: &str = "MONITOR_Dependence";

#[derive(Debug, Default)]
pub(super) struct Dependence {
    /// When DNS is to be asked; None: nobody wants to know.
    due: Option<Time>,
    matrix: Option<Matrix>,
    /// Since then not everything is known, and why.
    unknown: Option<(Time, String)>,
}

impl Dependence {
    pub(super) fn due(&self) -> Option<Time> {
        self.due
    }

    pub(super) fn matrix(&self) -> Option<&Matrix> {
        self.matrix.as_ref()
    }
}

impl Engine {
    /// From now on it is worked out, at once and each day.
    pub fn watch_dependence(&mut self, now: Time) {
        self.dependence.due = Some(now);
    }

    /// Whether DNS is to be asked now. It is not asked for again before its time.
    pub fn wants_answers(&mut self, now: Time) -> bool {
        let due = self.dependence.due.is_some_and(|due| due <= now);
        if due {
            self.dependence.due = Some(now + EVERY);
        }
        due
    }

    /// What DNS says. Returns since when not everything could be worked out, and why.
    pub fn answered(&mut self, answers: &Answers, now: Time) -> Option<(Time, String)> {
        let failure = answers.failure();
        if failure.is_some() {
            self.dependence.due = self.dependence.due.map(|due| due.min(now + AGAIN));
        }
        self.dependence.unknown = failure.map(|why| {
            let since = self.dependence.unknown.take().map_or(now, |(since, _)| since);
            (since, why.to_owned())
        });
        let matrix = Matrix::of(&self.config, answers);
        if self.config.accept_dependence.is_none() {
            self.notice_dependence(&matrix, now);
        }
        self.dependence.matrix = Some(matrix);
        self.dependence.unknown.clone()
    }

    fn notice_dependence(&mut self, matrix: &Matrix, now: Time) {
        let with = |verdict| matrix.losses.iter().filter(move |loss| loss.verdict() == verdict);
        let unheard: Vec<&Lost> = with(Verdict::Unheard).map(|loss| &loss.lost).collect();
        let number = match self.dependence_incident() {
            Some(number) => number,
            None if unheard.is_empty() => return,
            None => {
                let subject = Subject::Dependence(severity(&unheard));
                self.open(Incident::new(self.last_incident + 1, subject, now), now)
            }
        };
        let Some(incident) = self.incidents.get_mut(&number) else { return };
        let new: Vec<String> =
            unheard.iter().map(|lost| lost.words()).filter(|words| !incident.has(words)).collect();
        new.iter().for_each(|words| incident.join(words, now, None));
        for loss in with(Verdict::Heard) {
            incident.leave(&loss.lost.words(), End::Recovered(now));
        }
        if !unheard.is_empty() {
            self.opened.remove(incident);
            incident.subject = Subject::Dependence(severity(&unheard));
            self.opened.insert(incident);
        }
        self.dirty.incidents.insert(number);
        if incident.present().next().is_none() {
            self.close(number, now);
        } else if !new.is_empty() {
            // The words of the alarm name the channels.
            self.dependence.matrix = Some(matrix.clone());
            self.announce(number, TOKEN.to_owned(), now);
        }
    }

    /// Under a new configuration: what is accepted, or is no longer there to be lost, is no dependence. All else is asked
    /// anew.
    pub(super) fn end_removed_losses(&mut self, now: Time) {
        self.dependence.due = self.dependence.due.map(|_| now);
        self.dependence.matrix = None;
        let accepted = self.config.accept_dependence.is_some() || self.config.channels.is_empty();
        let mailboxes = self.config.mailboxes.iter().map(|mailbox| Lost::Mailbox(mailbox.name.clone()));
        let providers = self.config.checkers.iter().map(|checker| Lost::Provider(checker.provider.clone()));
        let there: Vec<String> = mailboxes.chain(providers).map(|lost| lost.words()).collect();
        let Some(number) = self.dependence_incident() else { return };
        let Some(incident) = self.incidents.get_mut(&number) else { return };
        let gone: Vec<String> = incident
            .present()
            .map(|(words, _)| words.to_owned())
            .filter(|words| accepted || !there.contains(words))
            .collect();
        for words in gone {
            incident.leave(&words, End::Removed(now));
            self.dirty.incidents.insert(number);
        }
    }

    fn dependence_incident(&self) -> Option<u64> {
        let about = |incident: &&Incident| matches!(incident.subject, Subject::Dependence(_));
        self.open_incidents().find(about).map(|incident| incident.number)
    }
}

/// Checkers fall silent one provider at a time, and are seen by others; a mailbox takes all of them along.
fn severity(unheard: &[&Lost]) -> Severity {
    let grave = unheard.iter().any(|lost| matches!(lost, Lost::Mailbox(_)));
    if grave { Severity::Critical } else { Severity::Warning }
}
