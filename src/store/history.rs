//! What the store kept of a span of time, for summing it up.

use std::borrow::Cow;
use std::collections::BTreeMap;

use anyhow::Result;
use rusqlite::{OptionalExtension, Row, params};
use serde::Deserialize;
use serde::de::IgnoredAny;

use super::read::from_json;
use super::{Store, body, millis, time_of};
use crate::digest::survey::PastReport;
use crate::incident::Incident;
use crate::ledger::arrivals::Arrival;
use crate::mail::Hop;
use crate::outbox::Message;
use crate::report::Said;
use crate::time::Time;

/// When somebody was first told of an incident, and who first took it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TakenBy {
    pub announced: Option<Time>,
    pub by: Option<(String, Time)>,
}

/// A message that left the outbox.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Attempted {
    pub created: Time,
    pub at: Time,
    pub attempts: u32,
    /// The far side took it; otherwise it was given up.
    pub accepted: bool,
}

/// Of the mail as it was understood, what is asked here.
#[derive(Default, Deserialize)]
struct Content<'a> {
    run: Option<Time>,
    dryrun: Option<IgnoredAny>,
    #[serde(borrow, default)]
    results: BTreeMap<Cow<'a, str>, Said>,
    #[serde(default)]
    truncated: bool,
}

impl Store {
    /// Hands every report of a checker that was received in this span to `on`, in the order of receipt. It may be millions.
    ///
    /// # Errors
    /// When the file cannot be read, or does not hold what this version wrote.
    pub fn each_report(
        &self,
        checker: &str,
        (from, until): (Time, Time),
        mut on: impl FnMut(&PastReport<'_>),
    ) -> Result<()> {
        self.reading(|| {
            let mut statement = self.db.prepare_cached(
                "SELECT id, received_ms, sent_ms, content, hops FROM reports
                 WHERE checker = $1 AND received_ms >= $2 AND received_ms < $3 ORDER BY received_ms",
            )?;
            let mut rows = statement.query(params![checker, millis(from), millis(until)])?;
            while let Some(row) = rows.next()? {
                let content: Content<'_> = match is_pruned(row)? {
                    true => Content::default(),
                    false => from_json(row.get_ref(3)?.as_str()?)?,
                };
                let whole = content.dryrun.is_some() && !content.results.is_empty();
                let mut arrival = arrival(row)?;
                arrival.run = content.run;
                on(&PastReport {
                    id: row.get(0)?,
                    arrival,
                    whole: whole && !content.truncated,
                    results: content.results.iter().map(|(name, said)| (&**name, *said)).collect(),
                });
            }
            Ok(())
        })
    }

    /// The `Received` chain of a report.
    ///
    /// # Errors
    /// When the file cannot be read, or does not hold what this version wrote.
    pub fn way_of(&self, report: i64) -> Result<Vec<Hop>> {
        self.reading(|| {
            let mut statement = self.db.prepare_cached("SELECT hops FROM reports WHERE id = $1")?;
            Ok(statement.query_row([report], |row| match row.get_ref(0)?.as_str()? {
                "" => Ok(Vec::new()),
                hops => body::chain(hops),
            })?)
        })
    }

    /// Every incident that lasted for some of this span, in the order of their opening.
    ///
    /// # Errors
    /// When the file cannot be read, or does not hold what this version wrote.
    pub fn incidents_within(&self, from: Time, until: Time) -> Result<Vec<Incident>> {
        self.reading(|| {
            let mut statement = self.db.prepare(
                "SELECT content FROM incidents
                 WHERE opened_ms < $1 AND (closed_ms IS NULL OR closed_ms >= $2) ORDER BY number",
            )?;
            let rows = statement.query_map([millis(until), millis(from)], |row| {
                from_json::<Incident>(row.get_ref(0)?.as_str()?)
            })?;
            rows.collect::<rusqlite::Result<_>>().map_err(Into::into)
        })
    }

    /// Who was told of these incidents, and took them, by the incident's identifier.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn taken_within(&self, from: Time, until: Time) -> Result<BTreeMap<String, TakenBy>> {
        self.reading(|| {
            let mut statement = self.db.prepare(
                // `who` is that of the row with the minimum (SQLite, "bare columns in an aggregate query").
                "SELECT incident, what, MIN(at_ms), who FROM incidents JOIN steps ON steps.incident = incidents.id
                 WHERE opened_ms < $1 AND (closed_ms IS NULL OR closed_ms >= $2)
                   AND what IN ('announced', 'acknowledged')
                 GROUP BY incident, what",
            )?;
            let mut rows = statement.query([millis(until), millis(from)])?;
            let mut taken: BTreeMap<String, TakenBy> = BTreeMap::new();
            while let Some(row) = rows.next()? {
                let (entry, at) = (taken.entry(row.get(0)?).or_default(), time_of(row.get(2)?));
                match row.get_ref(1)?.as_str()? {
                    "announced" => entry.announced = Some(at),
                    _ => entry.by = Some((row.get::<_, Option<String>>(3)?.unwrap_or_default(), at)),
                }
            }
            Ok(taken)
        })
    }

    /// The messages that left the outbox in this span.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn attempted_within(&self, from: Time, until: Time) -> Result<Vec<Attempted>> {
        self.reading(|| {
            let mut statement = self.db.prepare(
                "SELECT created_ms, at_ms, attempts, answer IS NOT NULL FROM deliveries
                 WHERE at_ms >= $1 AND at_ms < $2 ORDER BY at_ms",
            )?;
            let rows = statement.query_map([millis(from), millis(until)], |row| {
                Ok(Attempted {
                    created: time_of(row.get(0)?),
                    at: time_of(row.get(1)?),
                    attempts: row.get(2)?,
                    accepted: row.get(3)?,
                })
            })?;
            rows.collect::<rusqlite::Result<_>>().map_err(Into::into)
        })
    }

    /// What is still to be delivered, the oldest first.
    ///
    /// # Errors
    /// When the file cannot be read, or does not hold what this version wrote.
    pub fn waiting(&self) -> Result<Vec<Message>> {
        self.reading(|| self.contents("SELECT content FROM outbox ORDER BY id"))
    }

    /// Up to when each digest has told.
    pub(super) fn told_until(&self) -> Result<BTreeMap<String, Time>> {
        let mut statement = self.db.prepare("SELECT name, until_ms FROM digests")?;
        let rows = statement.query_map([], |row| Ok((row.get(0)?, time_of(row.get(1)?))))?;
        rows.collect::<rusqlite::Result<_>>().map_err(Into::into)
    }

    pub(super) fn head_told(&self) -> Result<Option<Time>> {
        let told = "SELECT value FROM meta WHERE name = 'head_told_ms'";
        let told: Option<String> = self.db.query_row(told, [], |row| row.get(0)).optional()?;
        Ok(told.and_then(|told| told.parse().ok()).map(time_of))
    }
}

/// Columns: id, received, sent, content, hops.
/// Of such a report only when it came is known.
fn is_pruned(row: &Row<'_>) -> rusqlite::Result<bool> {
    Ok(row.get_ref(4)?.as_str()?.is_empty())
}

fn arrival(row: &Row<'_>) -> rusqlite::Result<Arrival> {
    let chain: Vec<Hop> = match is_pruned(row)? {
        true => Vec::new(),
        false => body::chain(row.get_ref(4)?.as_str()?)?,
    };
    let sent = row.get::<_, Option<i64>>(2)?.map(time_of);
    Ok(Arrival::new(time_of(row.get(1)?), sent, &chain))
}
