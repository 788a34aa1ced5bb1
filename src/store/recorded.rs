//! What the store kept of a span of time, for judging it again.

use std::collections::BTreeMap;

use anyhow::Result;
use chrono::TimeDelta;
use rusqlite::{OptionalExtension, Row};

use super::read::from_json;
use super::{Store, body, millis, time_of};
use crate::engine::Look;
use crate::incident::Incident;
use crate::ledger::Observation;
use crate::report::Understood;
use crate::time::Time;

/// A mail that is kept, without what it says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Entry {
    pub received: Time,
    pub seen: Time,
    pub id: EntryId,
}

/// Which row it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum EntryId {
    Report(i64),
    Other(i64),
}

impl Store {
    /// The spans in which every mail was seen, by mailbox and time; of the clocks they tell nothing.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn looks(&self) -> Result<Vec<Look>> {
        self.reading(|| {
            let mut statement = self
                .db
                .prepare("SELECT mailbox, from_ms, until_ms FROM observed ORDER BY mailbox, from_ms")?;
            let look = |row: &Row<'_>| {
                Ok(Look {
                    mailbox: row.get(0)?,
                    from: time_of(row.get(1)?),
                    until: time_of(row.get(2)?),
                    ahead: TimeDelta::zero(),
                })
            };
            let looks = statement.query_map([], look)?;
            looks.collect::<rusqlite::Result<_>>().map_err(Into::into)
        })
    }

    /// Every incident about a mailbox that could not be read.
    ///
    /// # Errors
    /// When the file cannot be read, or does not hold what this version wrote.
    pub fn mailbox_incidents(&self) -> Result<Vec<Incident>> {
        self.reading(|| {
            self.contents("SELECT content FROM incident_log WHERE kind = 'mailbox' ORDER BY number")
        })
    }

    /// How long each mailbox may go unread.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn blind_after(&self) -> Result<BTreeMap<String, TimeDelta>> {
        self.reading(|| {
            let mut statement = self.db.prepare("SELECT name, blind_after_ms FROM mailboxes")?;
            let rows =
                statement.query_map([], |row| Ok((row.get(0)?, TimeDelta::milliseconds(row.get(1)?))))?;
            rows.collect::<rusqlite::Result<_>>().map_err(Into::into)
        })
    }

    /// Hands every mail that was received or seen from `from` on, and received by `until`, to `on` with its mailbox.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn entries(&self, from: Time, until: Time, mut on: impl FnMut(Entry, &str)) -> Result<()> {
        let mut each = |table: &str, id: fn(i64) -> EntryId| -> Result<()> {
            let mut statement = self.db.prepare(&format!(
                "SELECT id, received_ms, seen_ms, mailbox FROM {table}
                 WHERE (received_ms >= $1 OR seen_ms >= $1) AND received_ms <= $2 ORDER BY id"
            ))?;
            let mut rows = statement.query([millis(from), millis(until)])?;
            while let Some(row) = rows.next()? {
                let entry =
                    Entry { id: id(row.get(0)?), received: time_of(row.get(1)?), seen: time_of(row.get(2)?) };
                on(entry, row.get_ref(3)?.as_str()?);
            }
            Ok(())
        };
        self.reading(|| {
            each("reports", EntryId::Report)?;
            each("other_mails", EntryId::Other)
        })
    }

    /// One of these mails as it was understood; None when it is not kept any more.
    ///
    /// # Errors
    /// When the file cannot be read, or does not hold what this version wrote.
    pub fn entry(&self, id: EntryId) -> Result<Option<Observation>> {
        let (sql, id, mail): (_, _, fn(&Row<'_>) -> rusqlite::Result<Understood>) = match id {
            EntryId::Report(id) => (
                "SELECT mailbox, received_ms, seen_ms, checker, sent_ms, content, hops FROM reports
                 WHERE id = $1 AND hops <> ''",
                id,
                |row| body::understood(row, 3),
            ),
            EntryId::Other(id) => {
                ("SELECT mailbox, received_ms, seen_ms, content FROM other_mails WHERE id = $1", id, |row| {
                    from_json(row.get_ref(3)?.as_str()?)
                })
            }
        };
        let observation = |row: &Row<'_>| {
            Ok(Observation {
                mailbox: row.get(0)?,
                received: time_of(row.get(1)?),
                seen: time_of(row.get(2)?),
                mail: mail(row)?,
            })
        };
        self.reading(|| {
            let mut statement = self.db.prepare_cached(sql)?;
            Ok(statement.query_row([id], observation).optional()?)
        })
    }
}
