//! A clock that was set back. What waits until a time that it showed before would wait for as much longer.

use std::collections::BTreeMap;

use chrono::TimeDelta;

use super::{Message, Outbox};
use crate::time::Time;

impl Outbox {
    /// Notes that it is `now`, and takes every wait back with the clock.
    pub(super) fn follow_clock(&mut self, now: Time) {
        let back = self.asked.replace(now).map_or(TimeDelta::zero(), |asked| asked - now);
        if back <= TimeDelta::zero() {
            return;
        }
        self.not_before.values_mut().for_each(|time| *time -= back);
        let messages = std::mem::take(&mut self.messages).into_iter();
        self.messages =
            messages.map(|(id, message)| (id, self.taken_back(message, back))).collect::<BTreeMap<_, _>>();
    }

    fn taken_back(&mut self, message: Message, back: TimeDelta) -> Message {
        let moved = Message { due: message.due - back, ..message.clone() };
        let ready = self.ready.entry(message.channel.clone()).or_default();
        if ready.remove(&message) {
            ready.insert(&moved);
        }
        moved
    }
}
