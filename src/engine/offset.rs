//! The watchdog's clock beside a mail server's, as far as the arrivals between two looks tell.
//!
//! A mail that was not there at a look and is there at the next came in between, by the watchdog's clock; its
//! INTERNALDATE says when, by the server's. Each such mail bounds the difference, and many together bound it closely. But
//! one that was copied or moved in shows when another server took it, and one that the server held shows when it was
//! stamped: so a third of the latest looks may be wrong, and the bounds still hold.

use std::collections::VecDeque;

use chrono::TimeDelta;
use serde::{Deserialize, Serialize};

use super::Engine;
use crate::incident::{End, Incident, Subject};
use crate::ledger::Observation;
use crate::time::Time;

/// A clock that is certainly further off is alarmed.
const OFFSET_MAX: TimeDelta = TimeDelta::seconds(30);
/// A clock that was alarmed is right again when it may be as close as this.
const OFFSET_RIGHT: TimeDelta = TimeDelta::seconds(20);
/// INTERNALDATE has whole seconds (RFC 3501, section 2.3.3): most servers cut off the rest, some round.
const SECOND_CUT: TimeDelta = TimeDelta::seconds(1);
const SECOND_ROUNDED: TimeDelta = TimeDelta::milliseconds(500);
/// A server may stamp a mail so long before it shows it: Dovecot stamps when delivery begins, Exchange before it scans.
const STAMPED_BEFORE_SHOWN: TimeDelta = TimeDelta::seconds(5);
/// Two clocks may drift apart by so much; five times what a plain quartz does.
const DRIFT_PER_MILLION: i64 = 100;
/// The latest looks that found mails. One in so many of them may be wrong.
const LOOKS_MAX: usize = 16;
const ONE_WRONG_IN: usize = 3;
/// With fewer looks nothing is known.
const LOOKS_MIN: usize = 4;
/// Looks that are not so far apart are one: mails that somebody moves in at one go agree with each other as well.
const LOOKS_APART: TimeDelta = TimeDelta::seconds(10);

/// A mail that came in between two looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Arrival {
    /// The beginning of a look that did not find it, by the watchdog's clock.
    after: Time,
    /// When it was first held, by the watchdog's clock.
    seen: Time,
    /// INTERNALDATE, by the server's clock.
    stamped: Time,
}

/// The watchdog's clock minus the server's: somewhere between the two.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Offset {
    least_ms: i64,
    most_ms: i64,
}

impl Offset {
    pub fn least(self) -> TimeDelta {
        TimeDelta::milliseconds(self.least_ms)
    }

    pub fn most(self) -> TimeDelta {
        TimeDelta::milliseconds(self.most_ms)
    }

    /// One of the two clocks is certainly wrong, by more than is tolerated.
    pub fn is_off(self) -> bool {
        self.least() > OFFSET_MAX || self.most() < -OFFSET_MAX
    }

    fn is_right(self) -> bool {
        self.least() <= OFFSET_RIGHT && self.most() >= -OFFSET_RIGHT
    }

    /// None when nothing fits: the clock was set back between the two looks.
    fn of(arrival: Arrival) -> Option<Self> {
        let least = arrival.after - arrival.stamped - SECOND_CUT - STAMPED_BEFORE_SHOWN;
        let most = arrival.seen - arrival.stamped + SECOND_ROUNDED;
        Self { least_ms: least.num_milliseconds(), most_ms: most.num_milliseconds() }.sane()
    }

    fn sane(self) -> Option<Self> {
        (self.least_ms <= self.most_ms).then_some(self)
    }

    /// What it may have become after `time`, in either direction: the clock may have been set back.
    fn drifted(self, time: TimeDelta) -> Self {
        let wider = time.num_milliseconds().saturating_abs() / (1_000_000 / DRIFT_PER_MILLION);
        Self { least_ms: self.least_ms.saturating_sub(wider), most_ms: self.most_ms.saturating_add(wider) }
    }

    /// None when no offset fits both.
    fn and(self, other: Self) -> Option<Self> {
        Self { least_ms: self.least_ms.max(other.least_ms), most_ms: self.most_ms.min(other.most_ms) }.sane()
    }
}

/// What the mails of one look say.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct Look {
    /// The beginning of the look before it.
    after: Time,
    /// None when they contradict each other.
    offset: Option<Offset>,
    /// When the bounds were as narrow as this.
    at: Time,
}

impl Look {
    fn at(self, now: Time) -> Option<Offset> {
        self.offset.map(|offset| offset.drifted(now - self.at))
    }
}

/// What is known of one server's clock. Only mails that came in since the last look are taken in, in their order, and
/// each once.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Comparison {
    /// The latest ones, oldest first.
    looks: VecDeque<Look>,
}

impl Comparison {
    /// The watchdog's clock minus the server's at `now`, by as many of the latest looks as agree: a clock that was set
    /// makes the older ones wrong. None when there are too few.
    pub fn offset(&self, now: Time) -> Option<Offset> {
        let newest_first: Vec<Offset> = self.looks.iter().rev().filter_map(|look| look.at(now)).collect();
        (LOOKS_MIN..=newest_first.len()).rev().find_map(|count| agreed(newest_first.get(..count)?))
    }

    /// By how much the watchdog's clock is ahead of the server's at `now`, as far as that is certain; never negative.
    ///
    /// No mail is seen before it is stamped. So the latest look that found one is believed at once when it says that the
    /// clock is not so far ahead: one that was put right must not put off an alarm. Until the next mail it only goes down,
    /// so that the look at a deadline finds it passed.
    pub fn ahead(&self, now: Time) -> TimeDelta {
        let at_most = self.looks.iter().rev().find_map(|look| look.offset).map(Offset::most);
        let certain = self.offset(now).zip(at_most).map(|(offset, at_most)| offset.least().min(at_most));
        certain.unwrap_or_default().max(TimeDelta::zero())
    }

    fn take_in(&mut self, arrival: Arrival) {
        let Some(offset) = Offset::of(arrival) else { return };
        let (after, at) = (arrival.after, arrival.seen);
        match self.looks.back_mut().filter(|last| (after - last.after).abs() < LOOKS_APART) {
            Some(last) => {
                last.offset = last.at(at).and_then(|known| known.and(offset));
                last.at = at;
            }
            None => {
                if self.looks.len() == LOOKS_MAX {
                    self.looks.pop_front();
                }
                self.looks.push_back(Look { after, offset: Some(offset), at });
            }
        }
    }
}

/// Bounds that hold although one in [`ONE_WRONG_IN`] is wrong, whichever that is; None when more must be.
fn agreed(offsets: &[Offset]) -> Option<Offset> {
    let wrong = offsets.len() / ONE_WRONG_IN;
    let mut least: Vec<i64> = offsets.iter().map(|offset| offset.least_ms).collect();
    let mut most: Vec<i64> = offsets.iter().map(|offset| offset.most_ms).collect();
    least.sort_unstable_by(|one, other| other.cmp(one));
    most.sort_unstable();
    Offset { least_ms: *least.get(wrong)?, most_ms: *most.get(wrong)? }.sane()
}

impl Engine {
    /// Takes in when the server says a mail came that was not there at the last complete look: `stamped`, the bare
    /// INTERNALDATE. The look that found it is not complete yet.
    pub fn arrived(&mut self, observation: &Observation, stamped: Time) {
        // Who is no checker may well have been moved in by hand.
        let Some(state) = self.mailboxes.get_mut(&observation.mailbox).filter(|_| observation.mail.heard())
        else {
            return;
        };
        let Some(after) = state.heard_until else { return };
        state.clock.take_in(Arrival { after, seen: observation.seen, stamped });
        self.dirty.mailboxes.insert(observation.mailbox.clone());
    }

    /// Opens, joins, leaves or closes the one alarm about the watchdog's clock.
    pub(super) fn judge_own_clock(&mut self, mailbox: &str, now: Time) {
        let state = self.mailboxes.get(mailbox);
        let Some(offset) = state.and_then(|state| state.clock.offset(now)) else { return };
        let open = self.open_about(&Subject::Clock).next();
        let open = open.map(|incident| (incident.number, incident.has(mailbox)));
        match open {
            Some((number, true)) if offset.is_right() => {
                self.clock_agrees(number, mailbox, End::Recovered(now), now);
            }
            Some((number, false)) if offset.is_off() => self.clock_differs(number, mailbox, now),
            None if offset.is_off() => {
                let number = self.open(Incident::new(self.last_incident + 1, Subject::Clock, now), now);
                self.clock_differs(number, mailbox, now);
                self.announce(number, "MONITOR_Clock".to_owned(), now);
            }
            _ => {}
        }
    }

    fn clock_differs(&mut self, number: u64, mailbox: &str, now: Time) {
        if let Some(incident) = self.incidents.get_mut(&number) {
            incident.join(mailbox, now, None);
            self.dirty.incidents.insert(number);
        }
    }

    fn clock_agrees(&mut self, number: u64, mailbox: &str, end: End, now: Time) {
        let Some(incident) = self.incidents.get_mut(&number) else { return };
        incident.leave(mailbox, end);
        self.dirty.incidents.insert(number);
        if incident.present().next().is_none() {
            self.close(number, now);
        }
    }

    /// A mailbox that is no longer configured says nothing about the clock any more.
    pub(super) fn forget_clock_of(&mut self, mailbox: &str, now: Time) {
        let about = |incident: &&Incident| incident.subject == Subject::Clock && incident.has(mailbox);
        let open = self.open_incidents().find(about).map(|incident| incident.number);
        if let Some(number) = open {
            self.clock_agrees(number, mailbox, End::Removed(now), now);
        }
    }
}

#[cfg(test)]
mod tests;
