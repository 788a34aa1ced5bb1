//! Credentials near their end: one alarm per mailbox, ahead of time, and its recovery when they are renewed.

use std::collections::BTreeMap;

use super::Engine;
use crate::config;
use crate::expiry::{Ending, Validity, endings};
use crate::incident::{End, Incident, Subject};
use crate::time::Time;

impl Engine {
    /// The certificate that the server of `mailbox` showed; None when it showed none, or its dates do not matter.
    pub fn certificate_seen(&mut self, mailbox: &str, validity: Option<Validity>) {
        if let Some(state) = self.mailboxes.get_mut(mailbox).filter(|state| state.certificate != validity) {
            state.certificate = validity;
            self.dirty.mailboxes.insert(mailbox.to_owned());
        }
    }

    pub(super) fn notice_expiry(&mut self, now: Time) {
        let names: Vec<String> = self.mailboxes.keys().cloned().collect();
        names.iter().for_each(|mailbox| self.notice_expiry_of(mailbox, now));
    }

    fn notice_expiry_of(&mut self, mailbox: &str, now: Time) {
        let due: BTreeMap<&str, Time> = self
            .endings(mailbox)
            .filter(|ending| ending.is_due(now))
            .map(|ending| (ending.what.words(), ending.notice))
            .collect();
        let number = match self.expiry_incident(mailbox) {
            Some(incident) => incident.number,
            None if due.is_empty() => return,
            None => {
                let subject = Subject::Expiry(mailbox.to_owned());
                self.open(Incident::new(self.last_incident + 1, subject, now), now)
            }
        };
        let Some(incident) = self.incidents.get_mut(&number) else { return };
        let new: Vec<_> = due.iter().filter(|(what, _)| !incident.has(what)).collect();
        let renewed: Vec<String> = incident
            .present()
            .map(|(what, _)| what.to_owned())
            .filter(|what| !due.contains_key(&**what))
            .collect();
        if new.is_empty() && renewed.is_empty() {
            return;
        }
        new.iter().for_each(|(what, since)| incident.join(what, **since, None));
        for what in &renewed {
            incident.leave(what, End::Recovered(now));
        }
        self.dirty.incidents.insert(number);
        if due.is_empty() {
            self.close(number, now);
        } else if !new.is_empty() {
            let several = self.config.mailboxes.len() > 1;
            let token = if several { format!("{mailbox}_Expiry") } else { "MONITOR_Expiry".to_owned() };
            self.announce(number, token, now);
        }
    }

    /// When the next of those that are not alarmed yet will be.
    pub(super) fn expiry_times(&self) -> impl Iterator<Item = Time> {
        self.mailboxes.keys().flat_map(|mailbox| {
            let incident = self.expiry_incident(mailbox);
            let told = move |ending: &Ending| incident.is_some_and(|one| one.has(ending.what.words()));
            self.endings(mailbox).filter(move |ending| !told(ending)).map(|ending| ending.notice)
        })
    }

    /// Ends the alarm about the credentials of a mailbox that is no longer configured.
    pub(super) fn forget_expiry(&mut self, mailbox: &str, now: Time) {
        let Some(number) = self.expiry_incident(mailbox).map(|incident| incident.number) else { return };
        if let Some(incident) = self.incidents.get_mut(&number) {
            let members: Vec<String> = incident.present().map(|(what, _)| what.to_owned()).collect();
            for what in members {
                incident.leave(&what, End::Removed(now));
            }
        }
        self.close(number, now);
    }

    pub(super) fn endings(&self, mailbox: &str) -> impl Iterator<Item = Ending> + use<> {
        let config = self.config.mailboxes.iter().find(|one: &&config::Mailbox| one.name == mailbox);
        let state = self.mailboxes.get(mailbox);
        config.zip(state).map(|(config, state)| endings(config, state.certificate)).into_iter().flatten()
    }

    fn expiry_incident(&self, mailbox: &str) -> Option<&Incident> {
        let about = |incident: &&Incident| matches!(&incident.subject, Subject::Expiry(of) if of == mailbox);
        self.open_incidents().find(about)
    }
}
