//! Channels that do not take their messages: an alarm of its own, through the others.

use super::Engine;
use crate::config::{Channel, Event};
use crate::expiry::ending_of_channel;
use crate::incident::{End, Incident, Subject};
use crate::outbox::{Address, Kind, Message, Notice};
use crate::policy::Plan;
use crate::time::Time;
use crate::words;
use crate::words::ChannelCard;

impl Engine {
    /// A message of this channel is stuck: it was refused, or failed again and again.
    pub(super) fn channel_fails(&mut self, message: &Message, now: Time) {
        let known = self.channel_incident(&message.channel);
        let number = known.unwrap_or_else(|| {
            let subject = Subject::Channel(message.channel.clone());
            self.open(Incident::new(self.last_incident + 1, subject, now), now)
        });
        let Some(incident) = self.incidents.get_mut(&number) else { return };
        // A member is here who does not get the messages.
        if !incident.has(&message.recipient) {
            incident.join(&message.recipient, message.created, None);
            self.dirty.incidents.insert(number);
        }
        if known.is_none() {
            self.announce(number, format!("{}_Channel", message.channel), now);
        }
    }

    /// This channel took a message.
    pub(super) fn channel_works(&mut self, address: &Address, now: Time) {
        let Some(number) = self.channel_incident(&address.channel) else { return };
        let Some(incident) = self.incidents.get_mut(&number) else { return };
        if incident.leave(&address.recipient, End::Recovered(now)) {
            self.dirty.incidents.insert(number);
        }
        if incident.present().next().is_none() {
            self.close(number, now);
        }
    }

    /// Under a new configuration: whom nothing is sent to any more cannot be failed.
    pub(super) fn end_removed_addresses(&mut self, now: Time) {
        let addresses = Address::all(&self.config);
        for incident in self.incidents.values_mut().filter(|incident| incident.closed.is_none()) {
            let Subject::Channel(channel) = &incident.subject else { continue };
            let gone = |recipient: &str| {
                !addresses.contains(&Address { channel: channel.clone(), recipient: recipient.to_owned() })
            };
            let present = incident.present().map(|(recipient, _)| recipient);
            let gone: Vec<String> = present.filter(|name| gone(name)).map(str::to_owned).collect();
            for recipient in gone {
                incident.leave(&recipient, End::Removed(now));
                self.dirty.incidents.insert(incident.number);
            }
        }
    }

    /// An alarm about a channel does not go through it; when only it would have been told, through any other that wants it.
    pub(super) fn go_around(&self, plan: &mut Plan, subject: &Subject) {
        let Subject::Channel(failing) = subject else { return };
        if plan.channels.remove(failing).is_none() || !plan.channels.is_empty() {
            return;
        }
        let other = |channel: &&Channel| channel.name != *failing && channel.events.contains(&Event::Mailbox);
        let others = self.config.channels.iter().filter(other);
        plan.channels = others.map(|channel| (channel.name.clone(), None)).collect();
    }

    pub(super) fn channel_card(&self, subject: &Subject) -> Option<ChannelCard<'_>> {
        let (Subject::Channel(name) | Subject::ChannelExpiry(name)) = subject else { return None };
        let channel = self.config.channels.iter().find(|channel| channel.name == *name)?;
        let waiting = || self.outbox.iter().filter(|message| message.channel == *name);
        Some(ChannelCard {
            kind: channel.kind.word(),
            host: channel.host().unwrap_or_default(),
            ending: ending_of_channel(channel),
            waiting: waiting().count(),
            error: waiting().filter_map(|message| message.last_error.as_deref()).last(),
        })
    }

    /// The alarms that stand and were told to this channel, as they would be told now.
    pub fn standing(&self, channel: &Channel, now: Time) -> Vec<Message> {
        let Some(address) = Address::of(channel).next() else { return Vec::new() };
        let of = |incident: &Incident| {
            let scene = self.scene(incident, now);
            let told = incident.owed().filter(|announced| announced.channels.contains_key(&channel.name));
            let tokens = told.map(|announced| announced.token.as_str());
            let message = |token: &str| {
                let letter = words::alarm(incident, token, &scene);
                let bulletin = self.bulletin(incident, token, Kind::Alarm);
                let notice =
                    Notice { ordinal: incident.messages, kind: Kind::Alarm, letter: &letter, bulletin };
                self.message(0, &notice, address.clone(), now)
            };
            tokens.map(message).collect::<Vec<_>>()
        };
        let stands = |incident: &&Incident| {
            incident.owed().any(|announced| announced.channels.contains_key(&channel.name))
        };
        self.open_incidents().filter(stands).flat_map(of).collect()
    }

    fn channel_incident(&self, channel: &str) -> Option<u64> {
        self.number_about(&Subject::Channel(channel.to_owned()))
    }
}
