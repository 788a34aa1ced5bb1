//! What may go next through one channel, found without a sweep: by its time, and by what may be said in one message with it.

use std::collections::{BTreeMap, BTreeSet};

use super::{Kind, Message};
use crate::time::Time;

type Queue = BTreeSet<(Time, u64)>;

/// What one message may say together: to one recipient, and alarms never with what is none.
type Alike = (String, Kind);

/// The first messages of their lanes that are not on their way.
#[derive(Debug, Default)]
pub(super) struct Ready {
    /// They go first: what is refused again and again must not keep an alarm waiting.
    fresh: Queues,
    refused: Queues,
}

#[derive(Debug, Default)]
struct Queues {
    all: Queue,
    alike: BTreeMap<Alike, Queue>,
}

impl Ready {
    pub(super) fn insert(&mut self, message: &Message) {
        let entry = (message.due, message.id);
        let queues = self.of(message);
        queues.all.insert(entry);
        queues.alike.entry(alike(message)).or_default().insert(entry);
    }

    /// Whether it was there.
    pub(super) fn remove(&mut self, message: &Message) -> bool {
        self.of(message).remove(alike(message), (message.due, message.id))
    }

    /// What goes next at `now`.
    pub(super) fn first_due(&self, now: Time) -> Option<u64> {
        let due = |queues: &Queues| queues.all.first().filter(|(due, _)| *due <= now).map(|(_, id)| *id);
        due(&self.fresh).or_else(|| due(&self.refused))
    }

    pub(super) fn next_due(&self) -> Option<Time> {
        let first = |queues: &Queues| queues.all.first().map(|(due, _)| *due);
        [first(&self.fresh), first(&self.refused)].into_iter().flatten().min()
    }

    /// Whether more than `limit` are due at `now`.
    pub(super) fn has_more_due_than(&self, limit: usize, now: Time) -> bool {
        let due =
            |queues: &Queues| queues.all.range(..=(now, u64::MAX)).take(limit.saturating_add(1)).count();
        due(&self.fresh).saturating_add(due(&self.refused)) > limit
    }

    /// The numbers of `count` messages at most that are due and may be said together with this one, it among them.
    pub(super) fn alike(&self, message: &Message, count: usize, now: Time) -> Vec<u64> {
        let queues = if message.refused { &self.refused } else { &self.fresh };
        let queue = queues.alike.get(&alike(message));
        let due = queue.into_iter().flat_map(|queue| queue.range(..=(now, u64::MAX)));
        due.take(count).map(|(_, id)| *id).collect()
    }

    fn of(&mut self, message: &Message) -> &mut Queues {
        if message.refused { &mut self.refused } else { &mut self.fresh }
    }
}

impl Queues {
    fn remove(&mut self, alike: Alike, entry: (Time, u64)) -> bool {
        if let Some(queue) = self.alike.get_mut(&alike) {
            queue.remove(&entry);
            if queue.is_empty() {
                self.alike.remove(&alike);
            }
        }
        self.all.remove(&entry)
    }
}

fn alike(message: &Message) -> Alike {
    (message.recipient.clone(), message.kind)
}
