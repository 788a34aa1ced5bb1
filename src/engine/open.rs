//! The open incidents by what they are about, so that nothing has to go over all of them.

use std::collections::{BTreeMap, BTreeSet};

use super::Engine;
use crate::incident::{Incident, Subject};

#[derive(Debug, Default)]
pub(super) struct Opened {
    by_subject: BTreeMap<Subject, BTreeSet<u64>>,
    /// In which one each silent checker is.
    silences: BTreeMap<String, u64>,
    /// Which ones were announced under a token, be it recovered or not.
    by_token: BTreeMap<String, BTreeSet<u64>>,
}

impl Opened {
    pub(super) fn insert(&mut self, incident: &Incident) {
        let number = incident.number;
        self.by_subject.entry(incident.subject.clone()).or_default().insert(number);
        if incident.subject == Subject::Silence {
            self.silences.extend(incident.present().map(|(name, _)| (name.to_owned(), number)));
        }
        incident.announced.iter().for_each(|announced| self.announced(&announced.token, number));
    }

    pub(super) fn remove(&mut self, incident: &Incident) {
        remove(&mut self.by_subject, &incident.subject, incident.number);
        if incident.subject == Subject::Silence {
            for name in incident.members.keys() {
                if self.silences.get(name) == Some(&incident.number) {
                    self.silences.remove(name);
                }
            }
        }
        for announced in &incident.announced {
            remove(&mut self.by_token, &announced.token, incident.number);
        }
    }

    /// A checker fell silent, and joins this incident.
    pub(super) fn joined(&mut self, checker: &str, number: u64) {
        self.silences.insert(checker.to_owned(), number);
    }

    pub(super) fn is_silent(&self, checker: &str) -> bool {
        self.silences.contains_key(checker)
    }

    /// A checker is not silent any more.
    pub(super) fn left(&mut self, checker: &str) {
        self.silences.remove(checker);
    }

    pub(super) fn announced(&mut self, token: &str, number: u64) {
        self.by_token.entry(token.to_owned()).or_default().insert(number);
    }
}

fn remove<K: Ord>(numbers_by: &mut BTreeMap<K, BTreeSet<u64>>, key: &K, number: u64) {
    let Some(numbers) = numbers_by.get_mut(key) else { return };
    numbers.remove(&number);
    if numbers.is_empty() {
        numbers_by.remove(key);
    }
}

impl Engine {
    pub(super) fn open_about(&self, subject: &Subject) -> impl Iterator<Item = &Incident> {
        let numbers = self.opened.by_subject.get(subject).into_iter().flatten();
        numbers.filter_map(|number| self.incidents.get(number))
    }

    /// What open incidents are about, from `first` on in the order of subjects.
    pub(super) fn subjects_from(&self, first: Subject) -> impl Iterator<Item = &Subject> {
        self.opened.by_subject.range(first..).map(|(subject, _)| subject)
    }

    /// The number of the first open incident about this.
    pub(super) fn number_about(&self, subject: &Subject) -> Option<u64> {
        self.open_about(subject).next().map(|incident| incident.number)
    }

    /// The open incident that this silent checker belongs to.
    pub(super) fn silence_of(&self, checker: &str) -> Option<&Incident> {
        let number = self.opened.silences.get(checker)?;
        self.incidents.get(number).filter(|incident| incident.has(checker))
    }

    /// Whether an open incident other than this one stands under `token`.
    pub(super) fn stands_elsewhere(&self, token: &str, incident: &Incident) -> bool {
        let others = self.opened.by_token.get(token).into_iter().flatten();
        let mut others = others.filter(|number| **number != incident.number);
        let stands = |other: &Incident| other.owed().any(|announced| announced.token == token);
        others.any(|number| self.incidents.get(number).is_some_and(stands))
    }
}
