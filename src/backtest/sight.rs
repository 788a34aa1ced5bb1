//! When the mailboxes could be looked at, and from when on a look found each mail.

use std::collections::BTreeMap;

use chrono::TimeDelta;

use crate::engine::Look;
use crate::incident::{Incident, Subject};
use crate::time::Time;

/// A span in which a look was possible at any moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    pub from: Time,
    pub until: Time,
    /// What came after it, up to the next span.
    pub then: Gap,
}

/// Why nobody looked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Gap {
    /// No watchdog ran, or it was suspended: it alarmed nothing.
    Off,
    /// A watchdog tried and could not read.
    Failing,
}

/// When a look would have found a mail, and when it was in fact found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Found {
    /// Any look from here on finds it.
    pub earliest: Time,
    /// The watchdog took it in, without being asked to look.
    pub seen: Time,
}

/// A mail that was seen this soon after a span belongs to the look that ended it.
const LOOK_MAX: TimeDelta = TimeDelta::seconds(30);
const AFTERWARDS: TimeDelta = TimeDelta::milliseconds(1);

/// What is known of the looks at one mailbox.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Watched {
    /// Ascending, apart from each other.
    spans: Vec<Span>,
    /// The first look. What was received earlier is history: it was there already.
    begun: Time,
    /// Inside a span two looks are no further apart.
    apart: TimeDelta,
}

/// The spans of every mailbox of a source, by its name there.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Sight {
    by_mailbox: BTreeMap<String, Watched>,
}

impl Sight {
    /// Mails without a watchdog: the mailbox is taken to have been readable all the time.
    pub fn clear(mailboxes: impl IntoIterator<Item = String>, from: Time, until: Time) -> Self {
        let spans = vec![Span { from, until, then: Gap::Off }];
        let all = Watched { spans, begun: from, apart: TimeDelta::zero() };
        Self { by_mailbox: mailboxes.into_iter().map(|name| (name, all.clone())).collect() }
    }

    /// What a watchdog's state tells. `looks` are the observed spans; `blind_after` is each mailbox's own. Mails from before
    /// the first span were read as history: all of them are known, so that time counts as observed from `since` on.
    pub fn recorded(
        looks: &[Look],
        incidents: &[Incident],
        blind_after: &BTreeMap<String, TimeDelta>,
        since: Option<Time>,
    ) -> Self {
        let mut by_mailbox: BTreeMap<String, Watched> = BTreeMap::new();
        for look in looks {
            let apart = blind_after.get(&look.mailbox).copied().unwrap_or_default();
            let new = || Watched { spans: Vec::new(), begun: look.from, apart };
            let watched = by_mailbox.entry(look.mailbox.clone()).or_insert_with(new);
            watched.begun = watched.begun.min(look.from);
            watched.spans.push(Span { from: look.from, until: look.until.max(look.from), then: Gap::Off });
        }
        for (name, watched) in &mut by_mailbox {
            watched.spans.sort_by_key(|span| span.from);
            watched.spans.dedup_by(|later, earlier| {
                let overlaps = later.from <= earlier.until;
                if overlaps {
                    earlier.until = earlier.until.max(later.until);
                }
                overlaps
            });
            if let Some((first, since)) = watched.spans.first_mut().zip(since) {
                first.from = first.from.min(since);
            }
            tell_gaps(&mut watched.spans, name, incidents);
        }
        Self { by_mailbox }
    }

    /// The spans of a mailbox; None when the source knows none of that name.
    pub fn of(&self, mailbox: &str) -> Option<&[Span]> {
        self.by_mailbox.get(mailbox).map(|watched| watched.spans.as_slice())
    }

    /// The spans of the first mailbox.
    pub(super) fn any(&self) -> Option<&[Span]> {
        self.by_mailbox.values().next().map(|watched| watched.spans.as_slice())
    }

    /// The first and the last moment at which any mailbox was looked at.
    pub fn extent(&self) -> Option<(Time, Time)> {
        let spans = || self.by_mailbox.values().flat_map(|watched| &watched.spans);
        spans().map(|span| span.from).min().zip(spans().map(|span| span.until).max())
    }

    /// Between `from` and `until`: how often and how long some mailbox could not be looked at.
    pub fn gaps(&self, from: Time, until: Time) -> (usize, TimeDelta) {
        let between = |pair: &[Span]| match pair {
            [one, other] => Some((one.until.max(from), other.from.min(until))),
            _ => None,
        };
        let gaps = self.by_mailbox.values().flat_map(|watched| watched.spans.windows(2)).filter_map(between);
        let lengths: Vec<TimeDelta> =
            gaps.map(|(from, until)| until - from).filter(|length| *length > TimeDelta::zero()).collect();
        (lengths.len(), lengths.iter().sum())
    }

    /// When a mail that was received and seen then was there to be found. One that was seen much later than it was received,
    /// though the mailbox was looked at meanwhile, came there later: somebody moved it.
    pub fn find(&self, mailbox: &str, received: Time, seen: Time) -> Found {
        let at_once = Found { earliest: received, seen: received };
        let Some(watched) = self.by_mailbox.get(mailbox).filter(|watched| received >= watched.begun) else {
            return at_once;
        };
        let next = watched.spans.partition_point(|span| span.from <= seen);
        let Some(span) = next.checked_sub(1).and_then(|place| watched.spans.get(place)) else {
            return at_once;
        };
        if seen > span.until + LOOK_MAX {
            // Read by a look that was never completed.
            let earliest = received.max(span.until + AFTERWARDS);
            return Found { earliest, seen: seen.max(earliest) };
        }
        let seen = seen.clamp(span.from, span.until);
        let moved = received >= span.from && seen - received > watched.apart;
        let earliest = if moved { seen } else { received.clamp(span.from, seen) };
        Found { earliest, seen }
    }
}

/// A gap in which a mailbox was alarmed as unreadable had somebody who tried.
fn tell_gaps(spans: &mut [Span], mailbox: &str, incidents: &[Incident]) {
    let opened: Vec<Time> = incidents
        .iter()
        .filter(|incident| matches!(&incident.subject, Subject::Mailbox(name) if name == mailbox))
        .map(|incident| incident.opened)
        .collect();
    for index in 0..spans.len() {
        let next = spans.get(index + 1).map(|next| next.from);
        let Some(span) = spans.get_mut(index) else { continue };
        if opened.iter().any(|at| *at > span.until && next.is_none_or(|next| *at <= next)) {
            span.then = Gap::Failing;
        }
    }
}
