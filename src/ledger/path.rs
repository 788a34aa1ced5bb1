//! The mail path of one checker, measured: what its mails usually need, which of them was held and where, and how wrong
//! the checker's clock is.
//!
//! A running engine needs the margin, the slow hop of a held mail and the offset of the clock: only what these rest on
//! is remembered here, in some hundred bytes. The table of all hops is worked out from the stored reports
//! ([`table()`]) when somebody asks.

mod days;
mod margin;
mod table;
mod way;

use std::fmt;

use chrono::TimeDelta;
use serde::{Deserialize, Serialize};

use super::arrivals::{Arrival, Rhythm};
use crate::config::Margin;
use crate::mail::Hop;
use crate::site;
use crate::text::quoted;
use crate::time::Time;
use days::Days;
pub(crate) use table::latencies;
pub use table::{Journey, Latencies, Part, Slower, Table, durations, slower_than, slowest_part, table};
pub(super) use way::first_relay;
use way::{Segment, segments};

/// Ways of slow mails that are kept.
const SLOW_MAX: usize = 4;
/// Stamps kept of the way of one mail, the newest.
const HOPS_MAX: usize = 16;
/// Of a host's name.
const HOST_CHARS_MAX: usize = 60;
/// Parts of the way whose usual time is known; a path has about eight.
const PARTS_MAX: usize = 24;
/// What is usual for a part of the way is forgotten after one to two of these spans.
const GENERATION_SECONDS: i64 = 4 * 86_400;
/// A part of the way that fewer mails took has nothing usual.
const SEEN_MIN: u8 = 3;
/// A part of the way that explains less of a hold than one in so many is not named.
const EXPLAINS_SHARE: i32 = 3;
/// Changes of the margin that are remembered for questions about the past.
const MARGINS_MAX: usize = 16;

/// A mail that was held on the way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Held {
    pub received: Time,
    /// How much longer than usual it took.
    pub held: TimeDelta,
    /// Where; None when no part of the way explains it.
    pub hop: Option<SlowHop>,
}

/// A part of the way that took longer than usual.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SlowHop {
    /// None: the checker itself. The mail waited there.
    pub from: Option<String>,
    /// None: the mailbox.
    pub by: Option<String>,
    pub took: TimeDelta,
}

/// `smtp.free.fr → mx.domain.com`
impl fmt::Display for SlowHop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (from, by) = (self.from.as_deref(), self.by.as_deref());
        write!(f, "{} → {}", from.unwrap_or("the checker"), by.unwrap_or("the mailbox"))
    }
}

/// How far a checker's clock is ahead of the true time, which is that of the mailbox's server; negative when it is behind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClockOffset {
    pub offset: TimeDelta,
    /// The truth is within this of `offset`.
    pub uncertainty: TimeDelta,
}

/// The way of a slow mail.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
struct Slow {
    received: Time,
    sent: Option<Time>,
    /// Newest first. Bounded.
    hops: Vec<Hop>,
}

/// The quickest that a part of the way has been, lately.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct Usual {
    part: u32,
    generation: i64,
    least_ms: i64,
    /// In the generation before.
    before_ms: Option<i64>,
    mails: u8,
}

/// Of a measured margin.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct Bounds {
    floor_ms: i64,
    ceiling_ms: i64,
}

impl Bounds {
    fn of(margin: Margin) -> Option<Self> {
        match margin {
            Margin::Fixed(_) => None,
            Margin::Measured { floor, ceiling } => {
                Some(Self { floor_ms: floor.num_milliseconds(), ceiling_ms: ceiling.num_milliseconds() })
            }
        }
    }
}

/// What is remembered of the path of one checker.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Path {
    /// The margin of the deadline follows what is measured; None: it is fixed.
    bounds: Option<Bounds>,
    days: Days,
    usual: Vec<Usual>,
    /// Ascending.
    slow: Vec<Slow>,
    /// The margin since each moment, ascending, in milliseconds.
    margins: Vec<(Time, i64)>,
}

impl Path {
    pub fn new(margin: Margin) -> Self {
        Self { bounds: Bounds::of(margin), ..Self::default() }
    }

    pub fn configure(&mut self, margin: Margin) {
        self.bounds = Bounds::of(margin);
    }

    /// Takes in the way of one mail.
    pub fn add(&mut self, arrival: Arrival, chain: &[Hop], rhythm: Rhythm) {
        let Arrival { received, sent, .. } = arrival;
        self.days.add(arrival);
        let segments = segments(None, chain, received);
        segments.iter().for_each(|segment| self.learn(segment, received));
        let took: TimeDelta = segments.iter().map(|segment| segment.took).sum();
        if took * 2 > rhythm.margin {
            self.keep(Slow { received, sent, hops: bounded(chain) });
        }
    }

    /// The margin that follows from what was measured; None when it is fixed, or too little is known. `present_ms` is the
    /// one measured before.
    pub fn margin_ms(&self, present_ms: Option<i64>) -> Option<i64> {
        let p99 = self.days.usual_p99().filter(|_| self.bounds.is_some())?;
        let margin = margin::following(p99, present_ms.map(TimeDelta::milliseconds));
        self.bounded_ms(margin.num_milliseconds())
    }

    /// A measured margin within its bounds; None when it is fixed.
    pub fn bounded_ms(&self, margin_ms: i64) -> Option<i64> {
        self.bounds.map(|bounds| margin_ms.min(bounds.ceiling_ms).max(bounds.floor_ms))
    }

    /// Remembers that the margin is this from now on.
    pub fn note_margin(&mut self, since: Time, margin_ms: i64) {
        self.margins.push((since, margin_ms));
        let old = self.margins.len().saturating_sub(MARGINS_MAX);
        self.margins.drain(..old);
    }

    /// The measured margin that was in force at `time`.
    pub fn margin_at(&self, time: Time) -> Option<i64> {
        self.margins.iter().rfind(|(since, _)| *since <= time).map(|(_, margin_ms)| *margin_ms)
    }

    /// The part of the way that exceeds what is usual for it the most, for a mail that was held for `held`. `submitted_ms`
    /// is what the first relay's stamp usually is later than the mail's own date, `relay` the one that takes its mails first.
    pub fn slow_hop(
        &self,
        arrival: Arrival,
        submitted_ms: Option<i64>,
        relay: Option<&str>,
        held: TimeDelta,
    ) -> Option<SlowHop> {
        let Arrival { received, sent, .. } = arrival;
        let start = sent.zip(submitted_ms).map(|(sent, ms)| sent + TimeDelta::milliseconds(ms));
        let explains = |took: TimeDelta| took * EXPLAINS_SHARE >= held;
        let known = self.slow.iter().find(|slow| (slow.received, slow.sent) == (received, sent));
        let Some(slow) = known else {
            // The relays were quick: it waited before the first of them.
            let took = arrival.relayed() - start?;
            let by = relay.map(|relay| quoted(relay, HOST_CHARS_MAX));
            return explains(took).then_some(SlowHop { from: None, by, took });
        };
        let slowest = segments(start, &slow.hops, received)
            .into_iter()
            .max_by_key(|segment| self.above_usual(segment))
            .filter(|segment| explains(self.above_usual(segment)))?;
        let host = |host: Option<&str>| host.map(str::to_owned);
        Some(SlowHop { from: host(slowest.from), by: host(slowest.by), took: slowest.took })
    }

    fn above_usual(&self, segment: &Segment<'_>) -> TimeDelta {
        // What is usual before the first relay is in `start` already.
        let Some(part) = segment.from.map(|_| part_of(segment)) else { return segment.took };
        let usual = self.usual.iter().find(|usual| usual.part == part && usual.mails >= SEEN_MIN);
        let least =
            usual.map_or(0, |usual| usual.before_ms.map_or(usual.least_ms, |ms| ms.min(usual.least_ms)));
        segment.took - TimeDelta::milliseconds(least)
    }

    fn learn(&mut self, segment: &Segment<'_>, received: Time) {
        let (part, ms) = (part_of(segment), segment.took.num_milliseconds());
        let generation = received.timestamp().div_euclid(GENERATION_SECONDS);
        match self.usual.iter_mut().find(|usual| usual.part == part) {
            Some(usual) => usual.learn(generation, ms),
            None => {
                self.usual.push(Usual { part, generation, least_ms: ms, before_ms: None, mails: 1 });
                self.usual.sort_by_key(|usual| (std::cmp::Reverse(usual.generation), usual.part));
                self.usual.truncate(PARTS_MAX);
            }
        }
    }

    fn keep(&mut self, slow: Slow) {
        self.slow.push(slow);
        self.slow.sort_unstable();
        let old = self.slow.len().saturating_sub(SLOW_MAX);
        self.slow.drain(..old);
    }
}

impl Usual {
    fn learn(&mut self, generation: i64, ms: i64) {
        self.mails = self.mails.saturating_add(1);
        if generation == self.generation {
            self.least_ms = self.least_ms.min(ms);
        } else if generation > self.generation {
            self.before_ms = (generation == self.generation + 1).then_some(self.least_ms);
            self.least_ms = ms;
            self.generation = generation;
        } else if generation + 1 == self.generation {
            self.before_ms = Some(self.before_ms.map_or(ms, |before| before.min(ms)));
        }
    }
}

/// The domains at its ends, hashed (FNV-1a). The hosts of large providers are other ones for each mail.
fn part_of(segment: &Segment<'_>) -> u32 {
    fn site(host: Option<&str>) -> &[u8] {
        host.map_or(&[], |host| site::registered(host).unwrap_or(host).as_bytes())
    }
    let bytes = site(segment.from).iter().chain(&[0]).chain(site(segment.by));
    bytes.fold(0x811c_9dc5, |hash: u32, byte| {
        (hash ^ u32::from(byte.to_ascii_lowercase())).wrapping_mul(0x0100_0193)
    })
}

/// As much of a chain as is kept.
fn bounded(chain: &[Hop]) -> Vec<Hop> {
    let host = |host: &Option<String>| host.as_deref().map(|host| quoted(host, HOST_CHARS_MAX));
    let stamped = chain.iter().filter(|hop| hop.at.is_some()).take(HOPS_MAX);
    stamped.map(|hop| Hop { from: host(&hop.from), by: host(&hop.by), at: hop.at }).collect()
}

#[cfg(test)]
mod tests;
