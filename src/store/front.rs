//! Where the ledger begins: with its first entry, or behind what was cut.

use anyhow::Result;
use rusqlite::{Connection, OptionalExtension};
use serde::Deserialize;

use super::chain::{entry_of, found, unreadable};
use super::read::from_json;
use super::{Store, time_of};
use crate::audit::{Chain, Fault, Head, Row, Value, unhex};
use crate::time::{Time, rfc3339};

/// There is nothing of this time any more.
#[derive(Debug, thiserror::Error)]
#[error("What was before {} is not kept any more ([retention] ledger).", rfc3339(*since))]
pub struct NotKept {
    pub since: Time,
}

/// What the newest entry of the kind `cut` says.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(super) struct Cut {
    until: i64,
    /// Of the entry `until`.
    sha256: String,
    since_ms: i64,
}

impl Cut {
    /// The entry before the first one that is left; None when it says nonsense.
    pub(super) fn head(&self) -> Option<Head> {
        Some(Head { seq: self.until, hash: unhex(&self.sha256)? })
    }

    pub(super) fn since(&self) -> Time {
        time_of(self.since_ms)
    }
}

impl Store {
    /// From when on all is kept that this state tells of; None: from the beginning.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn kept_since(&self) -> Result<Option<Time>> {
        self.reading(|| Ok(newest_cut(&self.db)?.map(|cut| cut.since())))
    }

    /// # Errors
    /// [`NotKept`], or when the file cannot be read.
    pub fn demand_kept(&self, time: Time) -> Result<()> {
        match self.kept_since()? {
            Some(since) if time < since => Err(NotKept { since }.into()),
            _ => Ok(()),
        }
    }

    /// What the chain is to be followed from, by what its newest cut says.
    ///
    /// # Errors
    /// When the first entry does not follow from that, and a later one is to blame.
    pub(super) fn beginning(&self) -> Result<(Head, Option<Cut>)> {
        // What it says is believed when the chain has been followed up to it.
        let cut = newest_cut(&self.db).unwrap_or_default();
        let from = cut.as_ref().and_then(Cut::head).unwrap_or(Head::EMPTY);
        let mut statement =
            self.db.prepare("SELECT seq, at_ms, kind, about, content, hash FROM ledger ORDER BY seq")?;
        let mut rows = statement.query([])?;
        let Some(row) = rows.next().map_err(|error| unreadable(from.seq + 1, &error))? else {
            return Ok((from, cut));
        };
        let first = entry_of(row).map_err(|error| unreadable(from.seq + 1, &error))?;
        if Chain::behind(from, None).take(&first).is_ok() {
            return Ok((from, cut));
        }
        let Some(first) = as_it_stands(&first) else { return Ok((from, cut)) };
        let mut chain = Chain::behind(first, None);
        while let Some(row) = rows.next().map_err(|error| unreadable(chain.head().seq + 1, &error))? {
            let entry = entry_of(row).map_err(|error| unreadable(chain.head().seq + 1, &error))?;
            chain.take(&entry).map_err(|fault| match fault {
                // Two do not fit to the first one: what is before it, and what follows.
                Fault::Altered(seq) if seq == first.seq + 1 => found(Fault::Altered(first.seq)),
                fault => found(fault),
            })?;
        }
        Ok((from, cut))
    }
}

pub(super) fn newest_cut(db: &Connection) -> rusqlite::Result<Option<Cut>> {
    let newest = "SELECT content FROM ledger WHERE seq = (SELECT MAX(seq) FROM ledger WHERE kind = 'cut')";
    db.prepare_cached(newest)?.query_row([], |row| from_json(row.get_ref(0)?.as_str()?)).optional()
}

fn as_it_stands(entry: &Row<'_>) -> Option<Head> {
    match (entry.seq, entry.hash) {
        (Value::Integer(seq), Value::Blob(hash)) => Some(Head { seq, hash: hash.try_into().ok()? }),
        _ => None,
    }
}
