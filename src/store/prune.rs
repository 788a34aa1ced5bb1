//! Takes away what mails said, when they are old enough: a bounded piece at a time, and the audit chain stays whole.

use anyhow::Result;
use rusqlite::{Connection, OptionalExtension, Transaction, params};
use serde_json::json;

use super::ledger::Ledger;
use super::{Store, explained, millis};
use crate::audit::{Head, Kind, PRUNED, body_digest, hex};
use crate::time::{Time, rfc3339};

/// So many rows of each table at once: the daemon does not stall for it.
const ROWS_AT_ONCE: u32 = 200;

impl Store {
    /// Prunes a piece of what was first seen before `before`: the contents of reports, of which the hash stays, mails that
    /// were nobody's report, and looks. Returns whether there is more.
    ///
    /// # Errors
    /// When the file cannot be written. Nothing was pruned then.
    pub fn prune(&mut self, before: Time, now: Time) -> Result<bool> {
        let pruned = self.chain_head().and_then(|head| Ok(prune(&mut self.db, head, before, now)?));
        self.head = pruned.as_ref().ok().map(|(head, _)| *head);
        pruned.map(|(_, more)| more).map_err(|error| explained(&error, &self.path, "written"))
    }
}

fn prune(db: &mut Connection, head: Head, before: Time, now: Time) -> rusqlite::Result<(Head, bool)> {
    let transaction = db.transaction()?;
    let mut ledger = Ledger::new(&transaction, head, now);
    let reports = prune_reports(&transaction, &mut ledger, before)?;
    let others = transaction
        .prepare_cached(
            "DELETE FROM other_mails WHERE id IN (SELECT id FROM other_mails WHERE seen_ms < $1 ORDER BY id LIMIT $2)",
        )?
        .execute(params![millis(before), ROWS_AT_ONCE])?;
    let looks = transaction
        .prepare_cached(
            "DELETE FROM looks WHERE (mailbox, until_ms) IN (
                 SELECT mailbox, until_ms FROM looks
                  WHERE mailbox IN (SELECT name FROM mailboxes) AND until_ms < $1 LIMIT $2)",
        )?
        .execute(params![millis(before), ROWS_AT_ONCE])?;
    let head = ledger.end()?;
    transaction.commit()?;
    let most = usize::try_from(ROWS_AT_ONCE).unwrap_or(usize::MAX);
    Ok((head, [reports, others, looks].contains(&most)))
}

/// Reports are numbered as they were seen, so those that were pruned are the first ones.
fn prune_reports(
    transaction: &Transaction<'_>,
    ledger: &mut Ledger<'_>,
    before: Time,
) -> rusqlite::Result<usize> {
    let until: Option<String> = transaction
        .query_row("SELECT value FROM meta WHERE name = 'reports_pruned_until'", [], |row| row.get(0))
        .optional()?;
    let until: i64 = until.and_then(|until| until.parse().ok()).unwrap_or_default();
    let mut statement = transaction.prepare_cached(
        "SELECT id, seen_ms, content, hops FROM reports WHERE id > $1 ORDER BY id LIMIT $2",
    )?;
    let mut rows = statement.query(params![until, ROWS_AT_ONCE])?;
    let mut old = Vec::new();
    while let Some(row) = rows.next()? {
        if row.get::<_, i64>(1)? >= millis(before) {
            break;
        }
        let body = body_digest(row.get_ref(2)?.as_bytes()?, row.get_ref(3)?.as_bytes()?);
        old.push((row.get::<_, i64>(0)?, format!("{PRUNED}{}", hex(&body))));
    }
    let Some((last, _)) = old.last() else { return Ok(0) };
    let mut update =
        transaction.prepare_cached("UPDATE reports SET content = $1, hops = '' WHERE id = $2")?;
    for (id, left) in &old {
        update.execute(params![left, id])?;
    }
    transaction.execute(
        "INSERT INTO meta (name, value) VALUES ('reports_pruned_until', $1)
         ON CONFLICT (name) DO UPDATE SET value = excluded.value",
        [last.to_string()],
    )?;
    let content = json!({ "reports_until": last, "before": rfc3339(before) }).to_string();
    ledger.append(Kind::Prune, "", &content)?;
    Ok(old.len())
}
