//! Takes the oldest entries of the ledger away, with the rows that only they tell of: from the front, a bounded piece at a
//! time, and what is left can be verified from there on.
//!
//! What is left must tell all that is in force. So all of it is told again from time to time (a *basis*), and a cut goes up
//! to where a basis that is old enough began. `docs/audit.md` describes the entries.

use anyhow::Result;
use chrono::TimeDelta;
use rusqlite::{Connection, OptionalExtension, Transaction, params};
use serde_json::json;

use super::chain::{OneRow, Reports, entry_of};
use super::front::newest_cut;
use super::ledger::{Ledger, WHOLE};
use super::read::from_json;
use super::write::json as written;
use super::{Store, explained, millis, time_of};
use crate::audit::{Chain, Head, Kind, Standing, hex};
use crate::time::{Time, rfc3339};

/// So many entries are told again or taken away at once, and about so many reports: the daemon does not stall for it.
const ENTRIES_AT_ONCE: u32 = 200;
const REPORTS_AT_ONCE: usize = 500;
/// So often all that is in force is told again while an entry is kept: entries stay that much longer.
const BASES: i32 = 8;
/// In `meta`: the first entry of a basis that is being told.
const TELLING: &str = "basis_since";

impl Store {
    /// Does the next piece of what keeps the ledger for so long, and a little longer: tells again what is in force, or takes
    /// away the oldest entries. Returns whether there is more to do.
    ///
    /// # Errors
    /// When the file cannot be written. Nothing was changed then.
    pub fn cut(&mut self, kept: TimeDelta, now: Time) -> Result<bool> {
        let cut = self.chain_head().and_then(|head| Ok(piece(&mut self.db, head, kept, now)?));
        self.head = cut.as_ref().ok().map(|(head, _)| *head);
        cut.map(|(_, more)| more).map_err(|error| explained(&error, &self.path, "written"))
    }
}

fn piece(db: &mut Connection, head: Head, kept: TimeDelta, now: Time) -> rusqlite::Result<(Head, bool)> {
    let transaction = db.transaction()?;
    let mut ledger = Ledger::new(&transaction, head, now);
    let more = if let Some(since) = telling(&transaction)? {
        tell_again(&transaction, &mut ledger, since)?
    } else if is_due(&transaction, now - kept / BASES)? {
        begin(&transaction, &mut ledger)?;
        true
    } else if let Some(front) = Front::before(&transaction, now - kept)? {
        front.cut(&transaction, &mut ledger)?
    } else {
        false
    };
    let head = ledger.end()?;
    transaction.commit()?;
    Ok((head, more))
}

fn telling(transaction: &Transaction<'_>) -> rusqlite::Result<Option<i64>> {
    let mut statement = transaction.prepare_cached("SELECT value FROM meta WHERE name = $1")?;
    let since: Option<String> = statement.query_row([TELLING], |row| row.get(0)).optional()?;
    Ok(since.and_then(|since| since.parse().ok()))
}

/// Whether all was told before `time` for the last time.
fn is_due(transaction: &Transaction<'_>, time: Time) -> rusqlite::Result<bool> {
    let last: Option<i64> = transaction
        .prepare_cached(
            "SELECT coalesce((SELECT MAX(at_ms) FROM ledger WHERE kind = 'basis' AND about = ''),
                             (SELECT at_ms FROM ledger ORDER BY seq LIMIT 1))",
        )?
        .query_row([], |row| row.get(0))?;
    Ok(last.is_some_and(|last| last <= millis(time)))
}

fn begin(transaction: &Transaction<'_>, ledger: &mut Ledger<'_>) -> rusqlite::Result<()> {
    transaction
        .prepare_cached("INSERT INTO meta (name, value) VALUES ($1, $2)")?
        .execute(params![TELLING, (ledger.head().seq + 1).to_string()])?;
    match ledger.configuration_in_force()? {
        Some(content) => ledger.append(Kind::Configuration, "", &content),
        None => Ok(()),
    }
}

/// Of the checkers those of which all was told before the entry `since` only. Returns whether there is more to do.
fn tell_again(transaction: &Transaction<'_>, ledger: &mut Ledger<'_>, since: i64) -> rusqlite::Result<bool> {
    let mut statement = transaction.prepare_cached(
        "SELECT name, changed_since, content FROM checkers JOIN ledger ON seq = whole_entry
         WHERE whole_entry < $1 LIMIT $2",
    )?;
    let standing = |row: &rusqlite::Row<'_>| {
        let (changed, content) = (row.get_ref(1)?.as_str()?, row.get_ref(2)?.as_str()?);
        let whole = content.strip_prefix(WHOLE).and_then(|rest| rest.strip_suffix('}')).unwrap_or_default();
        Ok((row.get(0)?, standing_of(whole, changed)?))
    };
    let rows = statement.query_map(params![since, ENTRIES_AT_ONCE], standing)?;
    let again: Vec<(String, Standing)> = rows.collect::<rusqlite::Result<_>>()?;
    let mut update = transaction
        .prepare_cached("UPDATE checkers SET whole_entry = $1, changed_since = '' WHERE name = $2")?;
    for (name, standing) in &again {
        let told = ledger.checker_whole(name, &written(standing)?)?;
        update.execute(params![told.whole_entry, name])?;
    }
    if again.is_empty() {
        ledger.append(Kind::Basis, "", &json!({ "since": since }).to_string())?;
        transaction.prepare_cached("DELETE FROM meta WHERE name = $1")?.execute([TELLING])?;
    }
    Ok(true)
}

/// `changed` is an object, or empty.
fn standing_of(whole: &str, changed: &str) -> rusqlite::Result<Standing> {
    let mut whole: serde_json::Map<String, serde_json::Value> = from_json(whole)?;
    if !changed.is_empty() {
        whole.append(&mut from_json(changed)?);
    }
    from_json(&serde_json::Value::Object(whole).to_string())
}

/// What may go.
struct Front {
    /// The entry before the first one.
    from: Head,
    /// The last entry before the basis.
    until: i64,
    /// When the telling of the basis began, and when it was over.
    begun_ms: i64,
    since_ms: i64,
}

/// An entry that may go.
struct Old {
    kind: String,
    about: String,
    content: String,
    head: Head,
}

/// Tables of which each row has a number and entries of its own.
struct Table {
    kind: &'static str,
    newest: &'static str,
    remove: &'static str,
}

const TABLES: [Table; 4] = [
    Table {
        kind: "incident",
        newest: "SELECT MAX(number) FROM incident_log",
        remove: "DELETE FROM incident_log WHERE number = $1",
    },
    Table { kind: "step", newest: "SELECT MAX(id) FROM steps", remove: "DELETE FROM steps WHERE id = $1" },
    Table {
        kind: "delivery",
        newest: "SELECT MAX(message) FROM deliveries",
        remove: "DELETE FROM deliveries WHERE message = $1",
    },
    Table {
        kind: "silence",
        newest: "SELECT MAX(id) FROM silences_by_hand",
        remove: "DELETE FROM silences_by_hand WHERE id = $1",
    },
];

impl Front {
    /// None: there is nothing before the newest basis that was told by then.
    fn before(transaction: &Transaction<'_>, time: Time) -> rusqlite::Result<Option<Self>> {
        let from = newest_cut(transaction)?.and_then(|cut| cut.head()).unwrap_or(Head::EMPTY);
        let front = transaction
            .prepare_cached(
                "SELECT first.seq - 1, first.at_ms, basis.at_ms FROM ledger AS basis
                   JOIN ledger AS first ON first.seq = json_extract(basis.content, '$.since')
                  WHERE basis.kind = 'basis' AND basis.about = '' AND basis.at_ms <= $1
                  ORDER BY basis.at_ms DESC, basis.seq DESC LIMIT 1",
            )?
            .query_row([millis(time)], |row| {
                let since_ms = whole_second(row.get(2)?);
                Ok(Self { from, until: row.get(0)?, begun_ms: row.get(1)?, since_ms })
            })
            .optional()?;
        Ok(front.filter(|front| front.from.seq < front.until))
    }

    /// Returns whether there is more to do.
    fn cut(&self, transaction: &Transaction<'_>, ledger: &mut Ledger<'_>) -> rusqlite::Result<bool> {
        let entries = self.entries(transaction)?;
        let Some(last) = entries.last().map(|entry| entry.head) else { return Ok(false) };
        for entry in &entries {
            if entry.kind == Kind::Reports.word() {
                let told: Reports = from_json(&entry.content)?;
                let mut remove =
                    transaction.prepare_cached("DELETE FROM reports WHERE id BETWEEN $1 AND $2")?;
                remove.execute([told.first, told.last()])?;
            } else if let Some(table) = TABLES.iter().find(|table| table.kind == entry.kind) {
                self.part_with(transaction, ledger, entry, table)?;
            }
        }
        if last.seq == self.until {
            self.forget_spans(transaction)?;
        }
        let since = rfc3339(time_of(self.since_ms));
        let content = json!({
            "until": last.seq, "sha256": hex(&last.hash), "since": since, "since_ms": self.since_ms,
        });
        // The trigger lets the entries go that the last entry tells of.
        ledger.append(Kind::Cut, "", &content.to_string())?;
        transaction.prepare_cached("DELETE FROM ledger WHERE seq <= $1")?.execute([last.seq])?;
        Ok(true)
    }

    /// The oldest ones, as far as they are as they were written: what is not stays to be found.
    fn entries(&self, transaction: &Transaction<'_>) -> rusqlite::Result<Vec<Old>> {
        let newest_report: Option<i64> =
            transaction.prepare_cached("SELECT MAX(id) FROM reports")?.query_row([], |row| row.get(0))?;
        let mut statement = transaction.prepare_cached(
            "SELECT seq, at_ms, kind, about, content, hash FROM ledger WHERE seq <= $1 ORDER BY seq LIMIT $2",
        )?;
        let mut rows = statement.query(params![self.until, ENTRIES_AT_ONCE])?;
        let mut chain = Chain::behind(self.from, None);
        let (mut old, mut reports) = (Vec::new(), 0);
        while let Some(row) = rows.next()? {
            if reports >= REPORTS_AT_ONCE || chain.take(&entry_of(row)?).is_err() {
                break;
            }
            let entry =
                Old { kind: row.get(2)?, about: row.get(3)?, content: row.get(4)?, head: chain.head() };
            if entry.kind == Kind::Reports.word() {
                let told: Reports = from_json(&entry.content)?;
                if newest_report.is_some_and(|newest| newest <= told.last()) {
                    // SQLite would give the number of the newest row again when it is gone.
                    break;
                }
                reports += told.sha256.len();
            }
            old.push(entry);
        }
        Ok(old)
    }

    /// Takes a row away that only this entry tells of, or lets it be told again.
    fn part_with(
        &self,
        transaction: &Transaction<'_>,
        ledger: &mut Ledger<'_>,
        entry: &Old,
        table: &Table,
    ) -> rusqlite::Result<()> {
        let OneRow { row, .. } = from_json(&entry.content)?;
        let told_later = transaction
            .prepare_cached(
                "SELECT 1 FROM ledger
                  WHERE kind = $1 AND about = $2 AND seq > $3 AND json_extract(content, '$.row') = $4",
            )?
            .exists(params![entry.kind, entry.about, entry.head.seq, row])?;
        if told_later {
            return Ok(());
        }
        let newest: Option<i64> =
            transaction.prepare_cached(table.newest)?.query_row([], |found| found.get(0))?;
        // The newest one keeps its number from being given again.
        if newest == Some(row) || self.is_needed(transaction, entry, row)? {
            // It is the same row still, so that the same is said of it.
            return ledger.append_again(&entry.kind, &entry.about, &entry.content);
        }
        transaction.prepare_cached(table.remove)?.execute([row])?;
        Ok(())
    }

    /// Whether what is left needs the row that an entry tells of: all that belongs to an incident goes with it.
    fn is_needed(&self, transaction: &Transaction<'_>, entry: &Old, row: i64) -> rusqlite::Result<bool> {
        if entry.kind == Kind::Silence.word() {
            let holds = "SELECT 1 FROM silences_by_hand WHERE id = $1 AND until_ms >= $2";
            return transaction.prepare_cached(holds)?.exists([row, self.since_ms]);
        }
        transaction
            .prepare_cached(
                "SELECT 1 FROM incident_log
                  WHERE id = $1 AND (closed_ms IS NULL OR closed_ms >= $2
                                     OR number = (SELECT MAX(number) FROM incident_log))",
            )?
            .exists(params![entry.about, self.begun_ms])
    }

    /// The spans in which every mail was seen, up to the last one that began by then.
    fn forget_spans(&self, transaction: &Transaction<'_>) -> rusqlite::Result<()> {
        transaction
            .prepare_cached(
                "DELETE FROM observed WHERE EXISTS (
                     SELECT 1 FROM observed AS later
                      WHERE later.mailbox = observed.mailbox AND later.from_ms > observed.from_ms AND later.from_ms <= $1)",
            )?
            .execute([self.since_ms])?;
        Ok(())
    }
}

/// The first one from then on: people are told seconds.
fn whole_second(ms: i64) -> i64 {
    ms + (-ms).rem_euclid(1_000)
}
