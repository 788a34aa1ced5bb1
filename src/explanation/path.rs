//! The mail path of a checker and its clock, in sentences and a table. Pure.

use std::fmt::Write as _;

use chrono::TimeDelta;
use chrono_tz::Tz;

use crate::config::duration;
use crate::ledger::arrivals::Arrival;
use crate::ledger::path::{self, Journey, Latencies};
use crate::ledger::{Facts, StoredReport};
use crate::text::quoted;
use crate::time::{span, utc_and_local};

/// Characters of a host's name.
const HOST_CHARS_MAX: usize = 50;
/// Fewer mails show nothing: the quickest of them is what the others are compared with.
const MAILS_MIN: usize = 3;
const CHECKER: &str = "the checker";
const MAILBOX: &str = "the mailbox";
const COLUMN: usize = 12;

/// How wrong its clock is, and the latest mail that was held.
pub(super) fn clock_and_hold(facts: &Facts, zone: Tz, text: &mut String) {
    if let Some(clock) = facts.clock_offset() {
        let whole = |length: TimeDelta| duration::display(TimeDelta::seconds(length.abs().num_seconds()));
        let within = whole(clock.uncertainty + TimeDelta::milliseconds(999));
        let _ = match clock.offset {
            offset if offset.abs() <= clock.uncertainty => {
                writeln!(text, "Its clock      is right (± {within})")
            }
            ahead if ahead > TimeDelta::zero() => {
                writeln!(text, "Its clock      is {} ahead (± {within})", whole(ahead))
            }
            behind => writeln!(text, "Its clock      is {} behind (± {within})", whole(behind)),
        };
    }
    if let Some(held) = facts.held() {
        let place = held.hop.map_or("; nobody can say where".to_owned(), |hop| {
            format!(" from {} to {}", end(hop.from.as_deref(), CHECKER), end(hop.by.as_deref(), MAILBOX))
        });
        let _ = writeln!(
            text,
            "Held           its mail received {} was held {} on its way{place}",
            utc_and_local(held.received, zone),
            span(held.held)
        );
    }
}

/// How long its mails took, on each part of the way.
pub(super) fn table(reports: &[StoredReport], cycle: TimeDelta, text: &mut String) {
    let journeys = reports.iter().map(|report| {
        let seen = &report.observation;
        Journey { arrival: Arrival::of(seen), chain: &seen.mail.received }
    });
    let table = path::table(journeys.collect(), cycle).filter(|table| table.whole.mails >= MAILS_MIN);
    let Some(table) = table else { return };
    let (first, last) = table.span;
    let _ = writeln!(
        text,
        "\nThe mail path, by its latest {} mails, received within {}:",
        table.whole.mails,
        span(last - first)
    );
    let mut rows: Vec<(String, Latencies)> = table
        .parts
        .iter()
        .map(|part| {
            (
                format!("{} → {}", end(part.from.as_deref(), CHECKER), end(part.by.as_deref(), MAILBOX)),
                part.latencies,
            )
        })
        .collect();
    rows.push(("all together".to_owned(), table.whole));
    let width = rows.iter().map(|(name, _)| name.chars().count()).max().unwrap_or_default();
    let heads = ["now", "median", "99 of 100", "longest"].map(|head| format!("{head:>COLUMN$}")).concat();
    let _ = writeln!(text, "  {:width$}{heads}", "");
    for (name, took) in rows {
        let cells =
            [took.now, took.median, took.p99, took.max].map(|took| format!("{:>COLUMN$}", span(took)));
        let _ = writeln!(text, "  {name:width$}{}", cells.concat());
    }
}

fn end(host: Option<&str>, unnamed: &str) -> String {
    host.map_or_else(|| unnamed.to_owned(), |host| quoted(host, HOST_CHARS_MAX))
}
