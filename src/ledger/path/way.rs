//! The way of one mail: the stamps of its `Received` chain, and how long each segment between two of them took.
//!
//! Every stamp is written by a clock of its own, and the oldest ones by whoever sent the mail. The receipt alone is by
//! the mailbox's clock, which is the true time by definition.

use chrono::TimeDelta;

use crate::config::is_loopback;
use crate::mail::Hop;
use crate::time::Time;

/// No relay needs longer to hand a mail on: an older stamp tells of a queue or of a wrong clock.
const RELAYING_MAX: TimeDelta = TimeDelta::minutes(2);
/// Servers' clocks agree to within this.
const SKEW_MAX: TimeDelta = TimeDelta::seconds(2);
/// So many of the newest stamps are looked at; the longest chains of large providers have half as many.
const STAMPS_MAX: usize = 24;
/// A host that does not say who it is (qmail).
const UNNAMED: &str = "an unnamed host";

/// From one host to the next one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Segment<'a> {
    /// None: the checker.
    pub(super) from: Option<&'a str>,
    /// None: the mailbox.
    pub(super) by: Option<&'a str>,
    /// Never negative.
    pub(super) took: TimeDelta,
}

type Stamp<'a> = (&'a Hop, Time);

/// The first relay with a clock that can be right, and when it took the mail over. Not the sender's own computer: its
/// clock is the one that is to be measured.
pub(in crate::ledger) fn first_relay(chain: &[Hop], received: Time) -> Option<Stamp<'_>> {
    // A local hand-in has no `from` ("by bresse1.local (Postfix, from userid 0)"), or one on the same machine.
    let own = |(hop, _): &Stamp<'_>| hop.from.as_deref().is_none_or(is_local);
    let can_be_right = |(_, at): &Stamp<'_>| *at <= received + SKEW_MAX && received <= *at + RELAYING_MAX;
    let (hop, at) = stamped(chain).into_iter().skip_while(own).find(can_be_right)?;
    Some((hop, at.min(received)))
}

fn is_local(host: &str) -> bool {
    let address = host.trim_start_matches('[').trim_end_matches(']');
    is_loopback(address.strip_prefix("IPv6:").unwrap_or(address)) || host.starts_with("localhost.")
}

/// What each part of the way took, oldest first. `start` is when the mail left the checker, by a true clock.
///
/// Stamps out of their order are left out: of all clocks, as few as possible are taken for wrong.
pub(super) fn segments(start: Option<Time>, chain: &[Hop], received: Time) -> Vec<Segment<'_>> {
    let start = start.filter(|start| *start <= received + SKEW_MAX).map(|start| start.min(received));
    let stamps = in_order(&stamped(chain), start, received);
    let mut segments = Vec::with_capacity(stamps.len() + 1);
    let mut before: Option<(usize, Option<&Hop>, Time)> = start.map(|start| (0, None, start));
    for (index, hop, at) in stamps {
        let at = at.min(received);
        if let Some((last, host, left)) = before {
            let adjacent = last + 1 == index;
            let (named, stamped) = (hop.from.as_deref(), host.and_then(|host| host.by.as_deref()));
            // Between two stamps that belong together, `from` is nearest: a host between them may have stamped nothing.
            let from = if adjacent { named.or(stamped) } else { stamped.or(named) };
            let from = host.is_some().then(|| from.unwrap_or(UNNAMED));
            segments.push(segment(from, Some(hop.by.as_deref().unwrap_or(UNNAMED)), at - left));
        }
        let latest = before.map_or(at, |(_, _, left)| left.max(at));
        before = Some((index, Some(hop), latest));
    }
    if let Some((_, host, left)) = before {
        let from = host.map(|host| host.by.as_deref().unwrap_or(UNNAMED));
        segments.push(segment(from, None, received - left));
    }
    segments
}

fn segment<'a>(from: Option<&'a str>, by: Option<&'a str>, took: TimeDelta) -> Segment<'a> {
    Segment { from, by, took: took.max(TimeDelta::zero()) }
}

/// Oldest first; of a chain without end the newest ones, which the sender did not write.
fn stamped(chain: &[Hop]) -> Vec<Stamp<'_>> {
    let mut stamps: Vec<Stamp<'_>> =
        chain.iter().filter_map(|hop| hop.at.map(|at| (hop, at))).take(STAMPS_MAX).collect();
    stamps.reverse();
    stamps
}

/// The longest series of stamps that never goes back, with their places in the chain. Of equal ones that with the latest
/// end: nothing says that a mail waited where a clock that is behind explains it.
fn in_order<'a>(stamps: &[Stamp<'a>], start: Option<Time>, received: Time) -> Vec<(usize, &'a Hop, Time)> {
    let possible = |at: Time| at <= received + SKEW_MAX && start.is_none_or(|start| start <= at + SKEW_MAX);
    // Of the series that ends with each stamp: its length, its end, and the place of the stamp before.
    let mut series: Vec<Option<(usize, Time, Option<usize>)>> = Vec::with_capacity(stamps.len());
    let longest = |series: &[Option<(usize, Time, Option<usize>)>], until: Time| {
        let ends = series
            .iter()
            .enumerate()
            .filter_map(|(place, end)| end.map(|(length, at, _)| (length, at, place)));
        ends.filter(|(_, at, _)| *at <= until).max().map(|(length, _, place)| (length, place))
    };
    for (_, at) in stamps {
        let before = longest(&series, *at + SKEW_MAX);
        let length = before.map_or(1, |(length, _)| length + 1);
        series.push(possible(*at).then_some((length, *at, before.map(|(_, place)| place))));
    }
    let mut next = longest(&series, received + SKEW_MAX).map(|(_, place)| place);
    let mut kept = Vec::new();
    while let Some(place) = next {
        kept.extend(stamps.get(place).map(|(hop, at)| (place, *hop, *at)));
        next = series.get(place).copied().flatten().and_then(|(_, _, before)| before);
    }
    kept.reverse();
    kept
}

#[cfg(test)]
mod tests {
    use super::*;
    use chrono::{TimeZone, Utc};

    fn at(second: i64) -> Time {
        Utc.with_ymd_and_hms(2026, 11, 20, 3, 0, 0).unwrap() + TimeDelta::seconds(second)
    }

    /// `b1>free:1 free>mx:3`, oldest first: from, by, and the second of the stamp.
    fn chain(text: &str) -> Vec<Hop> {
        let name = |name: &str| (!name.is_empty()).then(|| name.to_owned());
        let hop = |hop: &str| {
            let (way, second) = hop.rsplit_once(':').unwrap();
            let (from, by) = way.split_once('>').unwrap();
            Hop { from: name(from), by: name(by), at: second.parse().ok().map(at) }
        };
        text.split_whitespace().rev().map(hop).collect()
    }

    fn told(start: Option<i64>, text: &str, received: i64) -> String {
        let chain = chain(text);
        let shown = |segment: &Segment<'_>| {
            let (from, by) = (segment.from.unwrap_or("checker"), segment.by.unwrap_or("mailbox"));
            format!("{from}>{by} {}", segment.took.num_seconds())
        };
        segments(start.map(at), &chain, at(received)).iter().map(shown).collect::<Vec<_>>().join(", ")
    }

    #[test]
    fn each_part_of_the_way_has_its_time() {
        for (start, chain, expected) in [
            (Some(0), "b1>free:1 free>mx:603", "checker>free 1, free>mx 602, mx>mailbox 7"),
            (None, "b1>free:1 free>mx:603", "free>mx 602, mx>mailbox 7"),
            (Some(0), "", "checker>mailbox 610"),
            (None, "", ""),
            (Some(500), "b1>free:499 >mx:603", "checker>free 0, free>mx 103, mx>mailbox 7"),
            (Some(0), "b1>free:1 free>mx:none mx>store:609", "checker>free 1, mx>store 608, store>mailbox 1"),
            (Some(700), "b1>free:1 free>mx:609", "free>mx 608, mx>mailbox 1"),
        ] {
            assert_eq!(told(start, chain, 610), expected, "{chain}");
        }
    }

    #[test]
    fn a_relay_whose_clock_is_wrong_is_not_blamed() {
        let whole = "checker>free 1, free>mx 602, mx>mailbox 7";
        for chain in [
            "b1>free:1 x>ahead:9999 free>mx:603",
            "b1>free:1 x>behind:-9999 free>mx:603",
            "b1>free:1 free>mx:603 x>forged:1000000000",
        ] {
            assert_eq!(told(Some(0), chain, 610), whole, "{chain}");
        }
        assert_eq!(told(Some(0), "b1>behind:-300 behind>mx:2", 3), "checker>mx 2, mx>mailbox 1");
        assert_eq!(told(Some(0), "b1>free:2 free>mx:1", 2), "checker>free 2, free>mx 0, mx>mailbox 0");
    }

    #[test]
    fn the_first_relay_is_the_first_foreign_host_whose_clock_can_be_right() {
        for (text, expected) in [
            ("b1>free:1 free>mx:2", Some(("free", 1))),
            (">b1:-10800 b1>free:1", Some(("free", 1))),
            ("localhost>b1:-10800 b1>free:1", Some(("free", 1))),
            ("[127.0.0.1]>b1:0 b1>free:1", Some(("free", 1))),
            ("[IPv6:::1]>b1:0 b1>free:1", Some(("free", 1))),
            ("b1>gate:-10800 gate>free:1", Some(("free", 1))),
            ("b1>gate:10800 gate>free:1", Some(("free", 1))),
            ("b1>free:4", Some(("free", 3))),
            (">b1:0", None),
            ("", None),
        ] {
            let chain = chain(text);
            let found = first_relay(&chain, at(3));
            let found = found.map(|(hop, at)| (hop.by.as_deref().unwrap(), (at - self::at(0)).num_seconds()));
            assert_eq!(found, expected, "{text}");
        }
    }

    #[test]
    fn a_chain_without_end_costs_little_and_the_senders_part_of_it_is_left_out() {
        let forged = (0..1_000).map(|hop| format!("x{hop}>x{hop}:{}", hop % 7)).collect::<Vec<_>>().join(" ");
        let chain = chain(&forged);
        assert!(segments(Some(at(0)), &chain, at(610)).len() <= STAMPS_MAX + 1);
    }
}
