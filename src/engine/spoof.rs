//! Mails in a checker's name that are not believed: one alarm for as long as they keep coming.

use super::Engine;
use crate::incident::{End, Incident, Subject};
use crate::time::Time;

impl Engine {
    pub(super) fn judge_spoof(&mut self, name: &str, heard_until: Time, now: Time) {
        let Some(over_at) = self.facts.get(name).and_then(|facts| facts.spoofs_over_at()) else { return };
        match (self.spoof_incident(name), over_at < heard_until) {
            (None, false) => self.open_spoof(name, now),
            (Some(number), true) => {
                self.end_spoof(name, End::Recovered(now));
                self.close(number, now);
                self.forget_spoofs(name);
            }
            (None, true) | (Some(_), false) => {}
        }
    }

    /// The number of the open incident about mails in this checker's name.
    pub(super) fn spoof_incident(&self, name: &str) -> Option<u64> {
        self.number_about(&Subject::Spoof(name.to_owned()))
    }

    pub(super) fn end_spoof(&mut self, name: &str, end: End) {
        let open = self.spoof_incident(name);
        if let Some(incident) = open.and_then(|number| self.incidents.get_mut(&number)) {
            incident.leave(name, end);
            self.dirty.incidents.insert(incident.number);
        }
    }

    fn open_spoof(&mut self, name: &str, now: Time) {
        let since = self.facts.get(name).and_then(|facts| facts.spoofs.newest.as_ref());
        let since = since.map_or(now, |newest| newest.received);
        let mut incident = Incident::new(self.last_incident + 1, Subject::Spoof(name.to_owned()), now);
        incident.join(name, since, None);
        let number = self.open(incident, now);
        self.announce(number, format!("{name}_Spoof"), now);
    }

    /// The next alarm counts anew. What was the newest stays: it is too old to be alarmed again.
    fn forget_spoofs(&mut self, name: &str) {
        if let Some(facts) = self.facts.get_mut(name) {
            facts.spoofs.count = 0;
            self.dirty.facts.insert(name.to_owned());
        }
    }
}
