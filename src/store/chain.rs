//! The audit chain as it is stored: read for an auditor, and held against the rows it tells of.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Result, bail};
use rusqlite::{OptionalExtension, Row, params};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value as Json};

use super::ledger::{digest_of, value};
use super::read::from_json;
use super::{Store, explained, millis, time_of};
use crate::audit::{self, Chain, Fault, Head, PRUNED, Standing, Value, digest, hex, unhex};
use crate::time::{Time, as_rfc3339};

/// Tables of which every row is told of, and the column that numbers them; `reports` apart, of which there are many.
const TABLES: [(&str, &str); 4] =
    [("incident_log", "number"), ("steps", "id"), ("deliveries", "message"), ("silences_by_hand", "id")];

/// An entry, for people and programs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LedgerEntry {
    pub seq: i64,
    #[serde(serialize_with = "as_rfc3339")]
    pub at: Time,
    /// The same as it is hashed.
    pub at_ms: i64,
    pub kind: String,
    pub about: String,
    /// JSON.
    pub content: String,
    /// In hexadecimal.
    pub hash: String,
}

/// The last entry, for whoever keeps it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LedgerHead {
    /// As `audit verify --head` takes it.
    pub head: String,
    pub seq: i64,
    #[serde(serialize_with = "as_rfc3339")]
    pub at: Time,
}

/// What a verification has found to be whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Verified {
    pub head: Head,
    /// The entry before the first one.
    pub from: Head,
    /// What was in force then, and all that came since, is told. None: nothing was cut.
    pub kept_since: Option<Time>,
    pub reports: u64,
    /// Those of them of which the content was pruned; its hash is held against the chain.
    pub pruned: u64,
}

impl Store {
    /// What the chain tells of the configuration in force at `time`; None when it tells of none.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn configuration(&self, time: Time) -> Result<Option<String>> {
        self.reading(|| Ok(self.told("configuration", "", time)?))
    }

    /// What was known of a checker at `time`; None when nothing was, or it was not configured.
    ///
    /// # Errors
    /// When the file cannot be read, or does not hold what this version wrote.
    pub fn standing(&self, checker: &str, time: Time) -> Result<Option<Standing>> {
        self.reading(|| {
            let Some(text) = self.told("checker", checker, time)? else { return Ok(None) };
            let ToldOfChecker { whole, since, changed } = from_json(&text)?;
            let (Some(entry), Some(mut changed)) = (since, changed) else {
                return Ok(whole.map(|whole| serde_json::from_value(whole.into())).transpose()?);
            };
            let mut statement = self.db.prepare_cached("SELECT content FROM ledger WHERE seq = $1")?;
            let before: ToldOfChecker =
                statement.query_row([entry], |row| from_json(&row.get::<_, String>(0)?))?;
            let mut standing = before.whole.unwrap_or_default();
            standing.append(&mut changed);
            Ok(Some(serde_json::from_value(standing.into())?))
        })
    }

    /// The content of the newest entry of this kind about this at `time`.
    fn told(&self, kind: &str, about: &str, time: Time) -> rusqlite::Result<Option<String>> {
        let mut statement = self.db.prepare_cached(
            "SELECT content FROM ledger WHERE kind = $1 AND about = $2 AND at_ms <= $3
             ORDER BY at_ms DESC, seq DESC LIMIT 1",
        )?;
        statement.query_row(params![kind, about, millis(time)], |row| row.get(0)).optional()
    }

    /// The last entry of the chain, unverified.
    pub(super) fn stored_head(&self) -> Result<Head> {
        let head = |row: &Row<'_>| Ok(Head { seq: row.get(0)?, hash: row.get(1)? });
        let newest = "SELECT seq, hash FROM ledger ORDER BY seq DESC LIMIT 1";
        Ok(self.db.query_row(newest, [], head).optional()?.unwrap_or(Head::EMPTY))
    }

    /// The last entry of the chain with its time, unverified; None when there is none.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn head(&self) -> Result<Option<LedgerHead>> {
        self.reading(|| {
            let head = |row: &Row<'_>| {
                let head = Head { seq: row.get(0)?, hash: row.get(1)? };
                Ok(LedgerHead { head: head.to_string(), seq: head.seq, at: time_of(row.get(2)?) })
            };
            let newest = "SELECT seq, hash, at_ms FROM ledger ORDER BY seq DESC LIMIT 1";
            Ok(self.db.query_row(newest, [], head).optional()?)
        })
    }

    /// The last entry as this process wrote it; in the file it may have been cut off meanwhile.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn own_head(&self) -> Result<Option<Head>> {
        let head = self.reading(|| self.chain_head())?;
        Ok((head != Head::EMPTY).then_some(head))
    }

    /// The number of the last entry, unverified: entries are numbered without gaps.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn ledger_length(&self) -> Result<u64> {
        Ok(self.reading(|| self.stored_head())?.seq.try_into().unwrap_or_default())
    }

    /// Hands every entry written from `from` up to `until` to `on`, in order, together with how many were read.
    ///
    /// # Errors
    /// When the file cannot be read, or `on` fails.
    pub fn ledger(
        &self,
        from: Option<Time>,
        until: Option<Time>,
        mut on: impl FnMut(&LedgerEntry) -> Result<()>,
    ) -> Result<()> {
        let mut ended = Ok(());
        self.reading(|| {
            let mut statement = self.db.prepare(
                "SELECT seq, at_ms, kind, about, content, hash FROM ledger
                 WHERE at_ms BETWEEN $1 AND $2 ORDER BY seq",
            )?;
            let span = params![from.map_or(i64::MIN, millis), until.map_or(i64::MAX, millis)];
            for row in statement.query_map(span, entry)? {
                ended = on(&row?);
                if ended.is_err() {
                    break;
                }
            }
            Ok(())
        })?;
        ended
    }

    /// The newest entries written from `from` up to `until`, in order: no more than `count`, and no more than hold together
    /// `bytes` of content, but one at least.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn newest_entries(
        &self,
        (from, until): (Option<Time>, Option<Time>),
        count: u32,
        bytes: usize,
    ) -> Result<Vec<LedgerEntry>> {
        self.reading(|| {
            let mut statement = self.db.prepare(
                "SELECT seq, at_ms, kind, about, content, hash FROM ledger
                 WHERE at_ms BETWEEN $1 AND $2 ORDER BY seq DESC LIMIT $3",
            )?;
            let asked = params![from.map_or(i64::MIN, millis), until.map_or(i64::MAX, millis), count];
            let (mut entries, mut room) = (Vec::new(), bytes);
            for entry in statement.query_map(asked, entry)? {
                let entry: LedgerEntry = entry?;
                match room.checked_sub(entry.content.len()) {
                    Some(left) => room = left,
                    None if entries.is_empty() => room = 0,
                    None => break,
                }
                entries.push(entry);
            }
            entries.reverse();
            Ok(entries)
        })
    }

    /// Follows the chain from where it begins to its end, and holds every row it tells of against it. `progress` is told the
    /// number of each entry that was read.
    ///
    /// # Errors
    /// One sentence that names the first thing that is not as it was written.
    pub fn verify(&self, kept: Option<Head>, progress: impl FnMut(u64)) -> Result<Verified> {
        self.verify_all(kept, progress).map_err(|error| {
            let of_file = error.is::<rusqlite::Error>();
            if of_file { explained(&error, &self.path, "read") } else { error }
        })
    }

    fn verify_all(&self, kept: Option<Head>, mut progress: impl FnMut(u64)) -> Result<Verified> {
        // One transaction: a daemon may be writing.
        let transaction = self.db.unchecked_transaction()?;
        let (from, cut) = self.beginning()?;
        let mut chain = Chain::behind(from, kept);
        let mut told = Told::default();
        let mut statement =
            self.db.prepare("SELECT seq, at_ms, kind, about, content, hash FROM ledger ORDER BY seq")?;
        let mut rows = statement.query([])?;
        let mut last = from.seq;
        while let Some(row) = rows.next().map_err(|error| unreadable(last + 1, &error))? {
            let entry = entry_of(row).map_err(|error| unreadable(last + 1, &error))?;
            chain.take(&entry).map_err(found)?;
            last += 1;
            told.take(self, last, &entry)?;
            progress(u64::try_from(last).unwrap_or_default());
        }
        let head = chain.end().map_err(found)?;
        told.end(self)?;
        self.demand_sound_index()?;
        drop(transaction);
        let kept_since = cut.map(|cut| cut.since());
        Ok(Verified { head, from, kept_since, reports: told.reports, pruned: told.pruned })
    }

    /// What is looked up by an index is looked up in what the chain proves.
    fn demand_sound_index(&self) -> Result<()> {
        let said: String = self.db.query_row("PRAGMA integrity_check('ledger')", [], |row| row.get(0))?;
        if said != "ok" {
            bail!(
                "The file is damaged around the ledger, whose entries are whole: {}.",
                said.replace('\n', "; ")
            );
        }
        Ok(())
    }
}

#[derive(Deserialize)]
struct ToldOfChecker {
    whole: Option<Map<String, Json>>,
    since: Option<i64>,
    changed: Option<Map<String, Json>>,
}

/// Columns: seq, at_ms, kind, about, content, hash.
pub(super) fn entry_of<'a>(row: &'a Row<'_>) -> rusqlite::Result<audit::Row<'a>> {
    let column = |column| row.get_ref(column).map(value);
    Ok(audit::Row {
        seq: column(0)?,
        at_ms: column(1)?,
        kind: column(2)?,
        about: column(3)?,
        content: column(4)?,
        hash: column(5)?,
    })
}

pub(super) fn unreadable(seq: i64, error: &rusqlite::Error) -> anyhow::Error {
    anyhow::anyhow!("Entry {seq} of the ledger cannot be read: {error}.")
}

pub(super) fn found(fault: Fault) -> anyhow::Error {
    anyhow::anyhow!(fault.sentence())
}

/// What the entries so far say of rows in other tables.
#[derive(Default)]
struct Told {
    /// By table and number: the entry that told last, and the hash.
    rows: BTreeMap<(String, i64), (i64, String)>,
    /// Reports up to this number are told of.
    reports_until: i64,
    reports: u64,
    pruned: u64,
    /// Contents may be missing up to this report.
    may_be_pruned: i64,
    first_pruned: Option<i64>,
    last_pruned: i64,
}

#[derive(Deserialize)]
pub(super) struct OneRow {
    table: String,
    pub(super) row: i64,
    sha256: String,
}

#[derive(Deserialize)]
pub(super) struct Reports {
    pub(super) first: i64,
    pub(super) sha256: Vec<String>,
}

impl Reports {
    /// The number of the last one.
    pub(super) fn last(&self) -> i64 {
        self.first + i64::try_from(self.sha256.len()).unwrap_or_default() - 1
    }
}

#[derive(Deserialize)]
struct Pruned {
    reports_until: i64,
}

impl Told {
    fn take(&mut self, store: &Store, seq: i64, entry: &audit::Row<'_>) -> Result<()> {
        let (Value::Text(kind), Value::Text(content)) = (entry.kind, entry.content) else { return Ok(()) };
        match kind {
            b"reports" => self.take_reports(store, seq, &serde_json::from_slice(content)?),
            b"incident" | b"step" | b"delivery" | b"silence" => {
                let OneRow { table, row, sha256 } = serde_json::from_slice(content)?;
                self.rows.insert((table, row), (seq, sha256));
                Ok(())
            }
            b"prune" => {
                let pruned: Pruned = serde_json::from_slice(content)?;
                self.may_be_pruned = self.may_be_pruned.max(pruned.reports_until);
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn take_reports(&mut self, store: &Store, seq: i64, reports: &Reports) -> Result<()> {
        demand_none(store, self.reports_until, reports.first)?;
        let mut statement = store.db.prepare_cached(
            "SELECT id, mail_key, run_key, checker, mailbox, folder, uid, message_id, sent_ms, received_ms, seen_ms,
                    content, hops
               FROM reports WHERE id = $1",
        )?;
        let mut id = reports.first;
        for hash in &reports.sha256 {
            let found = statement.query_row([id], report_digest).optional();
            let found = found.map_err(|error| anyhow::anyhow!("Report {id} cannot be read: {error}."))?;
            let Some((found, pruned)) = found else {
                bail!("Report {id} was removed: entry {seq} of the ledger tells of it.");
            };
            if found != *hash {
                bail!("Report {id} was altered: it is not what entry {seq} of the ledger tells of.");
            }
            self.reports += 1;
            if pruned {
                self.pruned += 1;
                self.last_pruned = id;
                self.first_pruned.get_or_insert(id);
            }
            id += 1;
        }
        self.reports_until = id - 1;
        Ok(())
    }

    fn end(&self, store: &Store) -> Result<()> {
        demand_none(store, self.reports_until, i64::MAX)?;
        if self.last_pruned > self.may_be_pruned {
            bail!(
                "The content of report {} was taken away, and no entry of the ledger says that it was pruned.",
                self.last_pruned
            );
        }
        for (table, number) in TABLES {
            self.compare(store, table, number)?;
        }
        Ok(())
    }

    fn compare(&self, store: &Store, table: &str, number: &str) -> Result<()> {
        let mut unseen: BTreeSet<i64> =
            self.rows.keys().filter(|(of, _)| of == table).map(|(_, row)| *row).collect();
        let mut statement = store.db.prepare(&format!("SELECT * FROM {table} ORDER BY {number}"))?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            let id: i64 = row.get(0)?;
            let Some((seq, hash)) = self.rows.get(&(table.to_owned(), id)) else {
                bail!("Row {id} of the table {table} was inserted: no entry of the ledger tells of it.");
            };
            if hex(&digest_of(row)?) != *hash {
                bail!(
                    "Row {id} of the table {table} was altered: it is not what entry {seq} of the ledger tells of."
                );
            }
            unseen.remove(&id);
        }
        match unseen.first() {
            Some(id) => bail!("Row {id} of the table {table} was removed."),
            None => Ok(()),
        }
    }
}

/// Columns: seq, at_ms, kind, about, content, hash.
fn entry(row: &Row<'_>) -> rusqlite::Result<LedgerEntry> {
    let at_ms = row.get(1)?;
    Ok(LedgerEntry {
        seq: row.get(0)?,
        at: time_of(at_ms),
        at_ms,
        kind: row.get(2)?,
        about: row.get(3)?,
        content: row.get(4)?,
        hash: hex(&row.get(5)?),
    })
}

/// Between two reports that are told of there is no other.
fn demand_none(store: &Store, after: i64, before: i64) -> Result<()> {
    let between = "SELECT id FROM reports WHERE id > $1 AND id < $2 ORDER BY id LIMIT 1";
    let inserted: Option<i64> =
        store.db.prepare_cached(between)?.query_row([after, before], |row| row.get(0)).optional()?;
    match inserted {
        Some(id) => bail!("Report {id} was inserted: no entry of the ledger tells of it."),
        None => Ok(()),
    }
}

/// The hash of a report's row, and whether its content was pruned.
fn report_digest(row: &Row<'_>) -> rusqlite::Result<(String, bool)> {
    let (content, hops) = (value(row.get_ref(11)?), value(row.get_ref(12)?));
    let kept = match content {
        Value::Text(text) => text
            .strip_prefix(PRUNED.as_bytes())
            .filter(|_| hops == Value::Text(b""))
            .and_then(|hash| unhex(std::str::from_utf8(hash).ok()?)),
        _ => None,
    };
    let body = kept.unwrap_or_else(|| digest([content, hops]));
    let mut values: Vec<Value<'_>> =
        (0..11).map(|column| Ok(value(row.get_ref(column)?))).collect::<rusqlite::Result<_>>()?;
    values.push(Value::Blob(&body));
    Ok((hex(&digest(values)), kept.is_some()))
}
