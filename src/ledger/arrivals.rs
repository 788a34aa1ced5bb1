//! When a checker was heard: sent, received and held mails of one checker.
//!
//! A mail proves life at the moment it *left* the checker. For a mail that came straight through, that is the moment
//! it was received. A mail that was held on the way (a queue released after two hours) proves life two hours ago. A
//! clock that is hours off looks the same in a single mail, so each mail is compared with what is usual for its
//! checker, and the answer is worked out anew from the latest mails: it does not depend on the order of reading.
//!
//! Of a checker that signs, only the newest run decides, and of each run the mail received first: run numbers never go
//! back, so that a mail that is sent again, or was held back by somebody, proves nothing new.

use chrono::TimeDelta;
use serde::{Deserialize, Serialize};

use super::Observation;
use super::path::{ClockOffset, first_relay};
use crate::mail::Hop;
use crate::time::{Time, exact};

/// The latest mails that decide when the checker was heard.
const RECENT_MAX: usize = 8;
/// How many moments of receipt what is usual is learnt from.
const MOMENTS_MAX: usize = 8;
/// From so many moments on, something is usual.
const MOMENTS_MIN: usize = 3;
/// Mails whose clocks agree differ by less than this before the first relay.
const CLOCK_NEAR: TimeDelta = TimeDelta::seconds(10);
/// `Date` and stamps are whole seconds.
const CLOCK_RESOLUTION_MS: i64 = 1_000;
/// So many mails wait for the end of a look before older ones are let go.
const WAITING_MAX: usize = 64;

/// How far apart things may be for one checker.
#[derive(Debug, Clone, Copy)]
pub struct Rhythm {
    pub cycle: TimeDelta,
    pub margin: TimeDelta,
}

/// One mail on its way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Arrival {
    #[serde(with = "exact")]
    pub received: Time,
    /// By the checker's clock.
    #[serde(with = "exact::option")]
    pub sent: Option<Time>,
    /// When its run began by the checker's clock, if that is signed.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "exact::option")]
    pub run: Option<Time>,
    /// From the oldest hop of the `Received` chain to the newest, by the clocks of the hops.
    pub chain_ms: i64,
    /// How long before `received` the first relay took it over, by its stamp; zero where there is none that can be right.
    pub relaying_ms: i64,
    /// How much later than `received` the mailbox's own server says that it came, if that is no matter of seconds: the
    /// watchdog's clock is behind.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub later_ms: i64,
}

impl Arrival {
    /// The one place that says when a mail was sent.
    pub fn of(seen: &Observation) -> Self {
        let arrival = Self::new(seen.received, seen.mail.sent, &seen.mail.received);
        Self { run: seen.mail.run, later_ms: later_ms(seen), ..arrival }
    }

    /// Of a mail that is not signed.
    pub fn new(received: Time, sent: Option<Time>, chain: &[Hop]) -> Self {
        let times = chain.iter().filter_map(|hop| hop.at);
        let ends = times.clone().max().zip(times.min());
        Self {
            received,
            sent,
            run: None,
            chain_ms: ends.map_or(0, |(newest, oldest)| (newest - oldest).num_milliseconds()),
            relaying_ms: first_relay(chain, received).map_or(0, |(_, at)| (received - at).num_milliseconds()),
            later_ms: 0,
        }
    }

    /// When the first relay took it over, or else when it was received: by a clock that is not the checker's.
    pub fn relayed(&self) -> Time {
        self.received - TimeDelta::milliseconds(self.relaying_ms)
    }

    /// From `sent` until then.
    pub fn submitted_ms(&self) -> Option<i64> {
        self.sent.map(|sent| (self.relayed() - sent).num_milliseconds())
    }

    /// As [`Self::received`], by the clock of the mailbox's server.
    fn came(&self) -> Time {
        self.received + TimeDelta::milliseconds(self.later_ms)
    }

    fn delay_ms(&self) -> Option<i64> {
        self.sent.map(|sent| (self.received - sent).num_milliseconds())
    }

    fn delay_there_ms(&self) -> Option<i64> {
        self.delay_ms().map(|delay| delay + self.later_ms)
    }
}

fn later_ms(seen: &Observation) -> i64 {
    // Then INTERNALDATE was no earlier. How much later it was is told by the first line that the server itself wrote.
    let in_the_future = seen.received == seen.seen;
    let own = seen.mail.received.first().filter(|_| in_the_future).and_then(|hop| hop.at);
    let later = own.map_or(TimeDelta::zero(), |at| at - seen.received);
    if later > CLOCK_NEAR { later.num_milliseconds() } else { 0 }
}

/// What was usual at one moment. A burst of mails is one moment, so that a released queue cannot become usual.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct Moment {
    /// Within the half cycle of this receipt, or of this signed run.
    #[serde(with = "exact")]
    at: Time,
    delay_ms: Option<i64>,
    chain_ms: i64,
    submitted_ms: Option<i64>,
    relaying_ms: i64,
    /// Of the mail whose delay it is.
    #[serde(default, skip_serializing_if = "is_zero")]
    later_ms: i64,
}

#[allow(clippy::trivially_copy_pass_by_ref)] // serde asks for it.
fn is_zero(number: &i64) -> bool {
    *number == 0
}

impl Moment {
    /// The delay by the clock of the mailbox's server, which goes on when the watchdog's is set back.
    fn delay_there_ms(&self) -> Option<i64> {
        self.delay_ms.map(|delay| delay + self.later_ms)
    }
}

/// The mails of one checker as far as they tell when it was heard.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Arrivals {
    /// Each with the margin in milliseconds that held when it was read: a changed one does not judge it anew.
    recent: Vec<(Arrival, i64)>,
    /// Ascending.
    moments: Vec<Moment>,
    /// What the mails that have left `recent` proved.
    proven: Option<Time>,
    /// What is added to `Date:` to order the runs, once it is known. Changes only when the checker's clock was set.
    order_offset_ms: Option<i64>,
    /// What is asked for again and again between two mails. It follows from the rest; None when it has to be worked out anew.
    #[serde(skip)]
    known: Known,
}

#[derive(Debug, Clone, Copy, Default)]
struct Known(Option<Answers>);

#[derive(Debug, Clone, Copy)]
struct Answers {
    /// They were worked out with this margin, in milliseconds.
    margin_ms: i64,
    usual: Usual,
    heard_at: Option<Time>,
}

/// Whether it was worked out already is no difference.
impl PartialEq for Known {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Eq for Known {}

/// What a mail is compared with.
#[derive(Debug, Clone, Copy)]
struct Usual {
    delay_ms: Option<i64>,
    /// By the clock of the mailbox's server.
    delay_there_ms: Option<i64>,
    wrong_chain_ms: i64,
}

impl Usual {
    fn left_at(self, arrival: Arrival, margin_ms: i64) -> Time {
        let over_chain = arrival.chain_ms - self.wrong_chain_ms;
        let over = |delay: Option<i64>, usual| delay.zip(usual).map_or(0, |(delay, usual)| delay - usual);
        // Of the watchdog's clock and the server's one may have been set, and no mail was held for that.
        let over_delay =
            over(arrival.delay_ms(), self.delay_ms).min(over(arrival.delay_there_ms(), self.delay_there_ms));
        let held = over_chain.max(over_delay);
        if held > margin_ms { arrival.received - TimeDelta::milliseconds(held) } else { arrival.received }
    }
}

/// Where the mails of a checker belong, as far as they are known.
#[derive(Debug, Clone, Copy)]
pub struct Places {
    usual: Usual,
    /// What is added to `Date:`.
    offset_ms: Option<i64>,
    margin: TimeDelta,
}

impl Places {
    /// As [`Arrivals::left_at`].
    pub fn left_at(&self, arrival: Arrival) -> Time {
        self.usual.left_at(arrival, self.margin.num_milliseconds())
    }

    /// The place of this mail's run among the runs of its checker: by its number or, where there is one, by `Date:`,
    /// because the mails of one checker overtake each other on the way but its own clock goes forward.
    pub fn order_at(&self, arrival: Arrival) -> Time {
        let Some((sent, offset)) = arrival.run.or(arrival.sent).zip(self.offset_ms) else {
            return self.left_at(arrival);
        };
        let at = sent + TimeDelta::milliseconds(offset);
        // By more than the margin no run lies in the future: the clock was set.
        if at > arrival.came() + self.margin { arrival.came() } else { at }
    }
}

/// When the newest of these mails left; of signed runs the newest decides.
fn newest_left_at(arrivals: &[(Arrival, i64)], usual: Usual) -> Option<Time> {
    let newest_run = arrivals.iter().filter_map(|(arrival, _)| arrival.run).max();
    let decides = |(arrival, _): &&(Arrival, i64)| arrival.run.is_none() || arrival.run == newest_run;
    arrivals.iter().filter(decides).map(|(arrival, margin_ms)| usual.left_at(*arrival, *margin_ms)).max()
}

impl Arrivals {
    pub fn add(&mut self, arrival: Arrival, rhythm: Rhythm) {
        self.known = Known::default();
        self.learn(arrival, rhythm);
        let read = (arrival, rhythm.margin.num_milliseconds());
        let same_run = |(known, _): &&mut (Arrival, i64)| known.run.is_some() && known.run == arrival.run;
        match self.recent.iter_mut().find(same_run) {
            Some(known) => *known = read.min(*known),
            None => self.recent.push(read),
        }
        if self.recent.len() > RECENT_MAX + WAITING_MAX {
            self.settle(rhythm);
        }
    }

    /// Draws the conclusions from all mails of a look at once: in which order they were read does not matter.
    pub fn settle(&mut self, rhythm: Rhythm) {
        self.recent.sort_unstable_by_key(|(arrival, margin_ms)| (arrival.run, *arrival, *margin_ms));
        let old = self.recent.len().saturating_sub(RECENT_MAX);
        // Of signed runs the newest decides, which is never among them.
        let older: Vec<(Arrival, i64)> =
            self.recent.drain(..old).filter(|(arrival, _)| arrival.run.is_none()).collect();
        // Most checkers wait for their next mail now, and there may be ten thousand.
        self.recent.shrink_to(if self.recent.len() < RECENT_MAX { 0 } else { RECENT_MAX + 1 });
        self.moments.shrink_to_fit();
        let usual = self.usual(rhythm);
        self.proven = self.proven.max(newest_left_at(&older, usual));
        let was_set = |before: i64, usual: i64| (usual - before).abs() > rhythm.margin.num_milliseconds();
        self.order_offset_ms = match (self.order_offset_ms, usual.delay_there_ms) {
            (Some(before), Some(usual)) if was_set(before, usual) => Some(usual),
            (before, usual) => before.or(usual),
        };
        self.note_answers(usual, rhythm);
    }

    /// Makes what is asked for again and again cheap until the next mail, under a margin that may be another one.
    pub fn work_out(&mut self, rhythm: Rhythm) {
        if self.answers(rhythm).is_none() {
            self.note_answers(self.usual(rhythm), rhythm);
        }
    }

    fn note_answers(&mut self, usual: Usual, rhythm: Rhythm) {
        let heard_at = newest_left_at(&self.recent, usual).max(self.proven);
        let margin_ms = rhythm.margin.num_milliseconds();
        self.known = Known(Some(Answers { margin_ms, usual, heard_at }));
    }

    fn answers(&self, rhythm: Rhythm) -> Option<Answers> {
        self.known.0.filter(|known| known.margin_ms == rhythm.margin.num_milliseconds())
    }

    /// Whether any mail was taken in.
    pub fn any(&self) -> bool {
        self.proven.is_some() || !self.recent.is_empty()
    }

    /// The latest moment at which the checker is known to have lived.
    pub fn heard_at(&self, rhythm: Rhythm) -> Option<Time> {
        match self.answers(rhythm) {
            Some(known) => known.heard_at,
            None => newest_left_at(&self.recent, self.usual(rhythm)).max(self.proven),
        }
    }

    /// When this mail left its checker, by the receiving server's clock; earlier than `received` only when it was held.
    pub fn left_at(&self, arrival: Arrival, rhythm: Rhythm) -> Time {
        self.usual(rhythm).left_at(arrival, rhythm.margin.num_milliseconds())
    }

    /// The same answers for many mails.
    pub fn places(&self, rhythm: Rhythm) -> Places {
        let smallest = || self.moments.iter().filter_map(Moment::delay_there_ms).min();
        Places {
            usual: self.usual(rhythm),
            offset_ms: self.order_offset_ms.or_else(smallest),
            margin: rhythm.margin,
        }
    }

    /// The newest of the latest mails that was held on the way, and when it left its checker.
    pub fn newest_held(&self, rhythm: Rhythm) -> Option<(Arrival, Time)> {
        let usual = self.usual(rhythm);
        let left =
            self.recent.iter().map(|(arrival, margin_ms)| (*arrival, usual.left_at(*arrival, *margin_ms)));
        left.filter(|(arrival, left_at)| *left_at < arrival.received).max()
    }

    /// Forgets what was learnt from runs that were signed, or from mails that were not, when it is the other way round from
    /// now on. What was heard stays heard.
    pub fn start_anew(&mut self, rhythm: Rhythm) {
        self.proven = self.heard_at(rhythm);
        self.known = Known::default();
        self.recent.clear();
        self.moments.clear();
        self.order_offset_ms = None;
    }

    fn usual(&self, rhythm: Rhythm) -> Usual {
        if let Some(known) = self.answers(rhythm) {
            return known.usual;
        }
        let delay_ms = self.usual_delay_ms(rhythm);
        // Nearly always the two clocks agree.
        let delay_there_ms = match self.moments.iter().all(|moment| moment.later_ms == 0) {
            true => delay_ms,
            false => usual(self.moments.iter().filter_map(Moment::delay_there_ms), rhythm.margin),
        };
        Usual { delay_ms, delay_there_ms, wrong_chain_ms: self.wrong_chain_ms(rhythm) }
    }

    /// Received − sent as it usually is for this checker: its clock's offset and the path's delay together.
    pub fn usual_delay_ms(&self, rhythm: Rhythm) -> Option<i64> {
        usual(self.moments.iter().filter_map(|moment| moment.delay_ms), rhythm.margin)
    }

    /// From a mail's own date to the first relay's stamp, as it usually is: the clock's offset, turned round.
    pub fn usual_submission_ms(&self) -> Option<i64> {
        usual(self.submissions(), CLOCK_NEAR)
    }

    /// The path's delay is never negative, so the quickest mails are nearest to the truth: the clock is ahead by what their
    /// stamps are too early, or by as much more as even they needed. They needed no longer than others exceed them, and
    /// the part after the first stamp may hide that this clock is wrong too.
    pub fn clock_offset(&self) -> Option<ClockOffset> {
        let least = self.usual_submission_ms()?;
        let near = |value: &i64| (*value - least).abs() <= CLOCK_NEAR.num_milliseconds();
        let mut above: Vec<i64> = self.submissions().filter(near).map(|value| value - least).collect();
        above.sort_unstable();
        let typical = above.get(above.len() / 2).copied().unwrap_or_default();
        let uncertainty_ms = CLOCK_RESOLUTION_MS + typical + self.shortest_relaying_ms();
        Some(ClockOffset {
            offset: TimeDelta::milliseconds(-least),
            uncertainty: TimeDelta::milliseconds(uncertainty_ms),
        })
    }

    /// From the first relay to the mailbox, at least.
    fn shortest_relaying_ms(&self) -> i64 {
        self.moments.iter().map(|moment| moment.relaying_ms).min().unwrap_or_default()
    }

    fn submissions(&self) -> impl Iterator<Item = i64> + Clone {
        self.moments.iter().filter_map(|moment| moment.submitted_ms)
    }

    /// A chain that is always longer than the margin shows a wrong clock on the way.
    fn wrong_chain_ms(&self, rhythm: Rhythm) -> i64 {
        let shortest = self.moments.iter().map(|moment| moment.chain_ms).min();
        shortest
            .filter(|_| self.moments.len() >= MOMENTS_MIN)
            .filter(|shortest| *shortest > rhythm.margin.num_milliseconds())
            .unwrap_or(0)
    }

    fn learn(&mut self, arrival: Arrival, rhythm: Rhythm) {
        // Counted with the present cycle: it may have been another one when the moments were learnt.
        let half_cycle = (rhythm.cycle.num_milliseconds() / 2).max(1);
        let slot = |at: Time| at.timestamp_millis().div_euclid(half_cycle);
        let Arrival { received, chain_ms, relaying_ms, later_ms, .. } = arrival;
        let least = |one: Option<i64>, other| [one, other].into_iter().flatten().min();
        // A run that is sent again is the same moment: the smaller delay of the two counts.
        let at = arrival.run.unwrap_or(received);
        match self.moments.iter_mut().find(|known| slot(known.at) == slot(at)) {
            Some(known) => {
                // The path's delay is never negative: the smallest is nearest to the truth.
                if arrival.delay_ms().is_some_and(|delay| known.delay_ms.is_none_or(|known| delay < known)) {
                    known.later_ms = arrival.later_ms;
                }
                known.delay_ms = least(known.delay_ms, arrival.delay_ms());
                known.chain_ms = known.chain_ms.min(chain_ms);
                known.submitted_ms = least(known.submitted_ms, arrival.submitted_ms());
                known.relaying_ms = known.relaying_ms.min(relaying_ms);
            }
            None => {
                let mut place = self.moments.partition_point(|known| known.at < at);
                if self.moments.len() >= MOMENTS_MAX {
                    // The oldest is let go, and be it this one.
                    let Some(before) = place.checked_sub(1) else { return };
                    place = before;
                    self.moments.remove(0);
                }
                let (delay_ms, submitted_ms) = (arrival.delay_ms(), arrival.submitted_ms());
                let moment = Moment { at, delay_ms, chain_ms, submitted_ms, relaying_ms, later_ms };
                self.moments.insert(place, moment);
            }
        }
    }
}

/// The smallest of those near (within `near_by`) to the value that most others lie near to; of equals the smallest.
///
/// Not the median: while a held queue trickles in, every value is different and the few straight ones must win; after
/// a clock was set, the values are equal again and the new ones win as soon as they are more.
fn usual(values: impl Iterator<Item = i64> + Clone, near_by: TimeDelta) -> Option<i64> {
    if values.clone().count() < MOMENTS_MIN {
        return None;
    }
    let near =
        |value: i64| values.clone().filter(move |other| (other - value).abs() <= near_by.num_milliseconds());
    let most = values.clone().max_by_key(|value| (near(*value).count(), -value))?;
    near(most).min()
}

#[cfg(test)]
mod tests;
