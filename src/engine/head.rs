//! The head of the audit ledger, each day, to where nobody can change it. Only the store knows it.

use super::Engine;
use crate::audit::Head;
use crate::bulletin::{Bulletin, State};
use crate::incident::Severity;
use crate::outbox::{Address, Kind, Message, Notice};
use crate::time::Time;
use crate::words::{self, HEAD_TOKEN};

impl Engine {
    /// When the head is to be told next: at once if it never was. None: it goes nowhere.
    pub fn next_head(&self) -> Option<Time> {
        let calendar = self.config.head_notice.as_ref()?.calendar;
        Some(self.head_told.map_or(Time::UNIX_EPOCH, |told| calendar.next_due(told)))
    }

    /// Queues the head, to every recipient of its channel, and remembers that it was: both are stored at once.
    pub fn tell_head(&mut self, head: Head, now: Time) {
        let wanted = self.config.head_notice.as_ref().map(|notice| &notice.channel);
        let channel = self.config.channels.iter().find(|channel| Some(&channel.name) == wanted);
        let addresses: Vec<Address> = channel.into_iter().flat_map(Address::of).collect();
        self.head_told = Some(now);
        self.dirty.head_told = Some(now);
        // The heads of several days are no thread.
        let id = format!("head-{}-{}", now.format("%Y%m%d"), self.last_message + 1);
        let letter = words::head(self.signature(now), head);
        let mut bulletin = Bulletin::own(&id, HEAD_TOKEN, State::Notice, &self.config.name, now);
        bulletin.severity = Severity::Warning;
        let notice = Notice { ordinal: 1, kind: Kind::Notice, letter: &letter, bulletin };
        for to in addresses {
            self.last_message += 1;
            let message = Message::new(self.last_message, &notice, to, now);
            self.dirty.messages.insert(message.id, message.clone());
            self.outbox.put(message);
        }
    }
}
