//! A new configuration, at the start or by SIGHUP: what came, what went, and that no alarm is left hanging.

use std::collections::BTreeSet;

use super::{Delivery, Engine, Mailbox};
use crate::config::Config;
use crate::incident::{End, Incident, Subject};
use crate::ledger::Facts;
use crate::outbox::{Address, Kind, Message};
use crate::time::Time;

impl Engine {
    /// Takes over `config` at `now`. The past is not judged anew; what is no longer configured ends with a recovery
    /// that says so.
    pub fn reconfigure(&mut self, config: Config, now: Time) {
        self.take_over(config, now);
        self.revise_all_reasons(now);
    }

    pub(super) fn take_over(&mut self, config: Config, now: Time) {
        self.config = config;
        self.index = self
            .config
            .checkers
            .iter()
            .enumerate()
            .map(|(index, checker)| (checker.name.clone(), index))
            .collect();
        self.testers.clear();
        for (place, checker) in self.config.checkers.iter().enumerate() {
            for test in &checker.tests {
                self.testers.entry(test.service.clone()).or_default().push(place);
            }
        }
        self.note_places_anew();
        self.timers.clear();
        self.late.clear();
        self.take_over_checkers(now);
        self.note_places_anew();
        self.revise_splits();
        self.take_over_mailboxes(now);
        self.take_over_digests(now);
        self.end_removed_services(now);
        self.end_removed_addresses(now);
        self.take_over_drill(now);
        self.end_removed_losses(now);
        self.move_orphaned_messages(now);
        let unwatched = self.facts.iter().filter(|(_, facts)| facts.watched_since.is_none());
        self.unwatched = unwatched.map(|(name, _)| name.clone()).collect();
        let names: Vec<String> = self.facts.keys().cloned().collect();
        names.iter().for_each(|name| self.set_timer(name, now));
        self.touched.extend(names);
        self.close_empty(now);
        self.follow_all(now);
    }

    fn take_over_checkers(&mut self, now: Time) {
        let gone: Vec<String> =
            self.facts.keys().filter(|name| !self.index.contains_key(*name)).cloned().collect();
        let mut left = BTreeSet::new();
        for name in gone {
            self.facts.remove(&name);
            left.extend(self.end_silence(&name, End::Removed(now), now));
            self.end_report(&name, End::Removed(now));
            self.end_spoof(&name, End::Removed(now));
            self.dirty.removed.insert(name);
        }
        left.into_iter().for_each(|number| self.revise_cause(number, now));
        for checker in &self.config.checkers {
            match self.facts.get_mut(&checker.name) {
                Some(facts) => {
                    let before = facts.clone();
                    facts.reconfigure(checker, now);
                    if *facts == before {
                        continue;
                    }
                }
                None => {
                    let mut facts = Facts::new(checker);
                    facts.ask(checker, now);
                    self.facts.insert(checker.name.clone(), facts);
                }
            }
            self.dirty.removed.remove(&checker.name);
            self.dirty.facts.insert(checker.name.clone());
        }
        // Built from a row, a tree has no empty room.
        self.facts = std::mem::take(&mut self.facts).into_iter().collect();
    }

    fn take_over_mailboxes(&mut self, now: Time) {
        let configured: BTreeSet<&str> =
            self.config.mailboxes.iter().map(|mailbox| mailbox.name.as_str()).collect();
        let gone: Vec<String> =
            self.mailboxes.keys().filter(|name| !configured.contains(name.as_str())).cloned().collect();
        gone.iter().for_each(|name| self.forget_mailbox(name, now));
        for mailbox in &self.config.mailboxes {
            let state = self.mailboxes.entry(mailbox.name.clone());
            let state = state.or_insert_with(|| Mailbox::watched_from(now));
            // The next look tells how it is now, if there still is such a folder.
            state.junk_failure = None;
        }
    }

    fn end_removed_services(&mut self, now: Time) {
        let tested = |checker: &str, service: &str| {
            self.index
                .get(checker)
                .and_then(|index| self.config.checkers.get(*index))
                .is_some_and(|checker| checker.tests.iter().any(|test| test.service == service))
        };
        for incident in self.incidents.values_mut().filter(|incident| incident.closed.is_none()) {
            let Subject::Service(service) = &incident.subject else { continue };
            let gone: Vec<String> = incident
                .present()
                .filter(|(name, _)| !tested(name, service))
                .map(|(name, _)| name.to_owned())
                .collect();
            for name in gone {
                incident.leave(&name, End::Removed(now));
                self.dirty.incidents.insert(incident.number);
            }
        }
    }

    /// Closes what lost its last member to the new configuration, without waiting for a look.
    fn close_empty(&mut self, now: Time) {
        let empty: Vec<u64> = self
            .open_incidents()
            .filter(|incident| {
                !matches!(incident.subject, Subject::Mailbox(_)) && incident.present().next().is_none()
            })
            .map(|incident| incident.number)
            .collect();
        empty.into_iter().for_each(|number| self.close(number, now));
    }

    /// A message of a channel that is no longer configured can never be delivered: its alarm goes to the others.
    fn move_orphaned_messages(&mut self, now: Time) {
        let addresses = Address::all(&self.config);
        let orphans: Vec<Message> =
            self.outbox.iter().filter(|message| !addresses.contains(&message.address())).cloned().collect();
        for message in orphans {
            self.outbox.withdraw(message.id);
            self.dirty.messages.remove(&message.id);
            self.announce_anew(&message, now);
            self.dirty.deliveries.push(Delivery { message, at: now, answer: None });
        }
    }

    fn announce_anew(&mut self, message: &Message, now: Time) {
        // Through another channel a drill would prove nothing.
        let moves =
            |incident: &&Incident| incident.id() == message.incident && incident.subject != Subject::Drill;
        let open = self.open_incidents().find(moves);
        let Some(number) = open.map(|incident| incident.number).filter(|_| message.kind == Kind::Alarm)
        else {
            return;
        };
        let told = self.outbox.iter().any(|other| {
            other.incident == message.incident && other.token == message.token && other.kind == Kind::Alarm
        });
        if !told {
            self.announce(number, message.token.clone(), now);
        }
    }
}
