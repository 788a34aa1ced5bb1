//! The links in alarms by which whoever received one takes the incident.

use super::Engine;
use crate::links::{LINK_LIFE, Link};
use crate::outbox::{Address, Kind, Message, Notice};
use crate::time::Time;

impl Engine {
    /// A notice to one address; an alarm has a link, of its own for each channel.
    pub(super) fn message(&self, id: u64, notice: &Notice<'_>, to: Address, now: Time) -> Message {
        let mut message = Message::new(id, notice, to, now);
        if notice.kind == Kind::Alarm {
            message.bulletin.link = self.link(&message.incident, &message.channel, now);
        }
        message
    }

    fn link(&self, incident: &str, channel: &str, now: Time) -> Option<String> {
        let base = self.config.web.as_ref()?.public_url.as_ref()?;
        let link =
            Link { incident: incident.to_owned(), channel: channel.to_owned(), until: now + LINK_LIFE };
        Some(self.link_key.as_ref()?.url(&link, base).into())
    }
}
