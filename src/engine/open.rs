//! The open incidents by what they are about, so that nothing has to go over all of them.

use std::collections::{BTreeMap, BTreeSet};

use super::Engine;
use crate::incident::{Incident, Subject};

#[derive(Debug, Default)]
pub(super) struct BySubject(BTreeMap<Subject, BTreeSet<u64>>);

impl BySubject {
    pub(super) fn insert(&mut self, incident: &Incident) {
        self.0.entry(incident.subject.clone()).or_default().insert(incident.number);
    }

    pub(super) fn remove(&mut self, incident: &Incident) {
        let Some(numbers) = self.0.get_mut(&incident.subject) else { return };
        numbers.remove(&incident.number);
        if numbers.is_empty() {
            self.0.remove(&incident.subject);
        }
    }
}

impl Engine {
    pub(super) fn open_about(&self, subject: &Subject) -> impl Iterator<Item = &Incident> {
        let numbers = self.by_subject.0.get(subject).into_iter().flatten();
        numbers.filter_map(|number| self.incidents.get(number))
    }

    /// What open incidents are about, from `first` on in the order of subjects.
    pub(super) fn subjects_from(&self, first: Subject) -> impl Iterator<Item = &Subject> {
        self.by_subject.0.range(first..).map(|(subject, _)| subject)
    }

    /// The number of the first open incident about this.
    pub(super) fn number_about(&self, subject: &Subject) -> Option<u64> {
        self.open_about(subject).next().map(|incident| incident.number)
    }

    /// The open incident that this silent checker belongs to.
    pub(super) fn silence_of(&self, checker: &str) -> Option<&Incident> {
        self.open_about(&Subject::Silence).find(|incident| incident.has(checker))
    }
}
