//! How often a channel may be tried: its spacing and its rate. What counts is the attempt, whatever comes of it.

use std::collections::VecDeque;

use chrono::TimeDelta;
use serde::{Deserialize, Serialize};

use crate::config::{Channel, Rate};
use crate::time::Time;

/// When a channel was tried, as far back as its limits ask.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pace {
    /// Ascending.
    tried: VecDeque<Time>,
}

impl Pace {
    /// Whether the channel has any limit.
    pub(super) fn limits(channel: &Channel) -> bool {
        channel.rate.is_some() || channel.spacing > TimeDelta::zero()
    }

    pub(super) fn note(&mut self, channel: &Channel, now: Time) {
        self.tried.push_back(now);
        let kept = channel.rate.map_or(1, |rate| rate.messages);
        self.tried.drain(..self.tried.len().saturating_sub(kept));
    }

    /// A clock that was set back must not keep the channel waiting for what it showed before.
    pub(super) fn take_clock_back(&mut self, now: Time) {
        self.tried.iter_mut().rev().take_while(|time| **time > now).for_each(|time| *time = now);
    }

    /// The channel may not be tried before. None: it may be at any time.
    pub(super) fn next(&self, channel: &Channel) -> Option<Time> {
        let last = *self.tried.back()?;
        let spaced = last + channel.spacing;
        let Some(rate) = channel.rate else { return Some(spaced) };
        let full = self.nth_last(rate.messages).map(|time| time + rate.per);
        let spread = self.nth_last(at_once(rate)).map(|time| (time + rate.per).min(last + gap(rate)));
        [Some(spaced), full, spread].into_iter().flatten().max()
    }

    /// How many attempts may be made at `now`, one right after the other.
    pub(super) fn allowance(&self, channel: &Channel, now: Time) -> usize {
        if self.next(channel).is_some_and(|next| next > now) {
            return 0;
        }
        match channel.rate {
            _ if channel.spacing > TimeDelta::zero() => 1,
            None => usize::MAX,
            Some(rate) => {
                let recent = self.tried.iter().rev().take_while(|time| **time + rate.per > now).count();
                at_once(rate).saturating_sub(recent).max(1)
            }
        }
    }

    fn nth_last(&self, n: usize) -> Option<Time> {
        self.tried.get(self.tried.len().checked_sub(n)?).copied()
    }
}

/// Half of what a rate allows may go at once. The other half is spread over the time, lest an alarm wait for the whole of it
/// because a burst came before.
fn at_once(rate: Rate) -> usize {
    rate.messages.div_ceil(2)
}

fn gap(rate: Rate) -> TimeDelta {
    let spread = rate.messages.saturating_sub(at_once(rate)).saturating_add(1);
    rate.per / i32::try_from(spread).unwrap_or(i32::MAX)
}
