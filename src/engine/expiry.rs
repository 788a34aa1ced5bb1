//! Credentials near their end: one alarm per mailbox or channel, ahead of time, and its recovery when they are renewed.

use std::collections::BTreeMap;

use super::Engine;
use crate::expiry::{Ending, Validity, ending_of_channel, endings};
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
        let about = self.subjects_from(Subject::ChannelExpiry(String::new()));
        let about = about.take_while(|subject| matches!(subject, Subject::ChannelExpiry(_)));
        let gone: Vec<Subject> =
            about.filter(|subject| self.is_of_a_removed_channel(subject)).cloned().collect();
        gone.iter().for_each(|subject| self.forget_expiry(subject, now));
        let all: Vec<Subject> = self.what_may_expire().collect();
        all.into_iter().for_each(|subject| self.notice_expiry_of(subject, now));
    }

    fn notice_expiry_of(&mut self, subject: Subject, now: Time) {
        let due: BTreeMap<&str, Time> = self
            .endings(&subject)
            .filter(|ending| ending.is_due(now))
            .map(|ending| (ending.what.words(), ending.notice))
            .collect();
        let number = match self.expiry_incident(&subject) {
            Some(incident) => incident.number,
            None if due.is_empty() => return,
            None => self.open(Incident::new(self.last_incident + 1, subject.clone(), now), now),
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
            self.announce(number, self.expiry_token(&subject), now);
        }
    }

    fn expiry_token(&self, subject: &Subject) -> String {
        match subject {
            Subject::Expiry(mailbox) if self.config.mailboxes.len() > 1 => format!("{mailbox}_Expiry"),
            // A mailbox may have the same name.
            Subject::ChannelExpiry(channel) => format!("{channel}_Channel_Expiry"),
            _ => "MONITOR_Expiry".to_owned(),
        }
    }

    /// When the next of those that are not alarmed yet will be.
    pub(super) fn expiry_times(&self) -> impl Iterator<Item = Time> {
        self.what_may_expire().flat_map(|subject| {
            let incident = self.expiry_incident(&subject);
            let told = move |ending: &Ending| incident.is_some_and(|one| one.has(ending.what.words()));
            self.endings(&subject).filter(move |ending| !told(ending)).map(|ending| ending.notice)
        })
    }

    /// Ends the alarm about the credentials of what is no longer configured.
    pub(super) fn forget_expiry(&mut self, subject: &Subject, now: Time) {
        let Some(number) = self.expiry_incident(subject).map(|incident| incident.number) else { return };
        if let Some(incident) = self.incidents.get_mut(&number) {
            let members: Vec<String> = incident.present().map(|(what, _)| what.to_owned()).collect();
            for what in members {
                incident.leave(&what, End::Removed(now));
            }
        }
        self.close(number, now);
    }

    /// What is known to end of all that opens what `subject` is about.
    pub(super) fn endings(&self, subject: &Subject) -> impl Iterator<Item = Ending> + use<> {
        let (of_mailbox, of_channel) = match subject {
            Subject::Expiry(mailbox) => {
                let config = self.config.mailboxes.iter().find(|one| one.name == *mailbox);
                let state = self.mailboxes.get(mailbox);
                (config.zip(state).map(|(config, state)| endings(config, state.certificate)), None)
            }
            Subject::ChannelExpiry(channel) => {
                let config = self.config.channels.iter().find(|one| one.name == *channel);
                (None, config.and_then(ending_of_channel))
            }
            _ => (None, None),
        };
        of_mailbox.into_iter().flatten().chain(of_channel)
    }

    fn what_may_expire(&self) -> impl Iterator<Item = Subject> {
        let mailboxes = self.mailboxes.keys().cloned().map(Subject::Expiry);
        let channels = self.config.channels.iter().filter(|channel| {
            // An alarm whose secret has no end any more is to be ended.
            let subject = Subject::ChannelExpiry(channel.name.clone());
            ending_of_channel(channel).is_some() || self.expiry_incident(&subject).is_some()
        });
        mailboxes.chain(channels.map(|channel| Subject::ChannelExpiry(channel.name.clone())))
    }

    fn is_of_a_removed_channel(&self, subject: &Subject) -> bool {
        let Subject::ChannelExpiry(name) = subject else { return false };
        !self.config.channels.iter().any(|channel| channel.name == *name)
    }

    fn expiry_incident(&self, subject: &Subject) -> Option<&Incident> {
        self.open_about(subject).next()
    }
}
