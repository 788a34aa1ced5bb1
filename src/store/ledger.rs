//! What the audit chain is told, in the transaction of what it is about. Rows are added to it; cut.rs alone takes some away.

use rusqlite::types::ValueRef;
use rusqlite::{OptionalExtension, Row, Transaction, params};
use serde_json::json as object;

use crate::audit::{Hash, Head, Kind, Standing, Value, changed, digest, hex, push_hex};
use crate::engine::{Delivery, Look};
use crate::incident::{Incident, Step};
use crate::policy::Silencing;
use crate::time::{Time, rfc3339};

use super::write::{json, signed};
use super::{millis, time_of};

/// So many reports are told of in one entry at most.
const REPORTS_PER_ENTRY_MAX: usize = 500;
/// A hash in hexadecimal, two quotation marks, a comma.
const BYTES_PER_REPORT: usize = 67;
/// A change is told as such as long as it is shorter than the whole by this factor.
const CHANGE_SHORTER_BY: usize = 2;
/// So an entry begins that tells all that is known of a checker.
pub(super) const WHOLE: &str = "{\"whole\":";

type Result<T> = rusqlite::Result<T>;

/// The chain, as far as this transaction has come.
pub(super) struct Ledger<'a> {
    transaction: &'a Transaction<'a>,
    head: Head,
    at_ms: i64,
    reports: Untold,
}

/// Rows of reports that are written and not told of yet.
#[derive(Default)]
struct Untold {
    /// The number of the first one.
    first: i64,
    count: usize,
    /// The entry so far.
    content: String,
}

impl Untold {
    fn begin(&mut self, first: i64) {
        (self.first, self.count) = (first, 0);
        self.content.clear();
        // That of a first read is never made longer, and copied.
        self.content.reserve(BYTES_PER_REPORT * (REPORTS_PER_ENTRY_MAX + 1));
        self.content.push_str(&format!("{{\"first\":{first},\"sha256\":["));
    }

    fn tell(&mut self, hash: &Hash) {
        self.content.push_str(if self.count == 0 { "\"" } else { ",\"" });
        push_hex(&mut self.content, hash);
        self.content.push('"');
        self.count += 1;
    }
}

/// What the chain tells of a checker.
pub(super) struct ToldOfChecker {
    /// The entry that told all of it.
    pub(super) whole_entry: i64,
    /// What was told to be another since; empty: nothing.
    pub(super) changed_since: String,
}

impl<'a> Ledger<'a> {
    pub(super) fn new(transaction: &'a Transaction<'a>, head: Head, at: Time) -> Self {
        Self { transaction, head, at_ms: millis(at), reports: Untold::default() }
    }

    /// The last entry so far.
    pub(super) fn head(&self) -> Head {
        self.head
    }

    /// Adds an entry.
    pub(super) fn append(&mut self, kind: Kind, about: &str, content: &str) -> Result<()> {
        self.append_again(kind.word(), about, content)
    }

    /// Adds an entry that says what another one says.
    pub(super) fn append_again(&mut self, kind: &str, about: &str, content: &str) -> Result<()> {
        let head = self.head.followed_by(self.at_ms, kind, about, content);
        self.transaction
            .prepare_cached(
                "INSERT INTO ledger (seq, at_ms, kind, about, content, hash) VALUES ($1, $2, $3, $4, $5, $6)",
            )?
            .execute(params![head.seq, self.at_ms, kind, about, content, head.hash])?;
        self.head = head;
        Ok(())
    }

    /// What is judged by, unless that is what the chain tells already.
    pub(super) fn configuration(&mut self, content: &str) -> Result<()> {
        if self.configuration_in_force()?.as_deref() == Some(content) {
            return Ok(());
        }
        self.append(Kind::Configuration, "", content)
    }

    pub(super) fn configuration_in_force(&self) -> Result<Option<String>> {
        self.transaction
            .prepare_cached(
                "SELECT content FROM ledger WHERE kind = 'configuration' ORDER BY at_ms DESC, seq DESC LIMIT 1",
            )?
            .query_row([], |row| row.get(0))
            .optional()
    }

    /// A report was written as the row of this number. Several of them are one entry.
    pub(super) fn report(&mut self, id: i64, hash: &Hash) -> Result<()> {
        let next = self.reports.first + i64::try_from(self.reports.count).unwrap_or(i64::MAX);
        if next != id || self.reports.count >= REPORTS_PER_ENTRY_MAX {
            self.reports_end()?;
            self.reports.begin(id);
        }
        self.reports.tell(hash);
        Ok(())
    }

    pub(super) fn reports_end(&mut self) -> Result<()> {
        let mut told = std::mem::take(&mut self.reports);
        if told.count == 0 {
            return Ok(());
        }
        told.content.push_str("]}");
        self.append(Kind::Reports, "", &told.content)
    }

    /// What is known of a checker changed: told as what is another now than in the entry that told all of it.
    pub(super) fn checker(&mut self, name: &str, standing: &Standing) -> Result<ToldOfChecker> {
        let whole = json(standing)?;
        let mut statement = self.transaction.prepare_cached(
            "SELECT whole_entry, changed_since, content FROM checkers JOIN ledger ON seq = whole_entry WHERE name = $1",
        )?;
        let told = |row: &Row<'_>| {
            let content = row.get_ref(2)?.as_str()?;
            let before =
                content.strip_prefix(WHOLE).and_then(|rest| rest.strip_suffix('}')).unwrap_or_default();
            let told = ToldOfChecker { whole_entry: row.get(0)?, changed_since: row.get(1)? };
            Ok((told, changed(before, &whole), content.len()))
        };
        let Some((told, changed, before_bytes)) = statement.query_row([name], told).optional()? else {
            return self.checker_whole(name, &whole);
        };
        if changed == told.changed_since {
            return Ok(told);
        }
        if changed.len() * CHANGE_SHORTER_BY > before_bytes {
            return self.checker_whole(name, &whole);
        }
        let entry = told.whole_entry;
        let now = if changed.is_empty() { "{}" } else { &changed };
        self.append(Kind::Checker, name, &format!("{{\"since\":{entry},\"changed\":{now}}}"))?;
        Ok(ToldOfChecker { changed_since: changed, ..told })
    }

    /// It is no longer configured.
    pub(super) fn checker_removed(&mut self, name: &str) -> Result<()> {
        self.append(Kind::Checker, name, "{\"removed\":true}")
    }

    /// All that is known of a checker.
    pub(super) fn checker_whole(&mut self, name: &str, whole: &str) -> Result<ToldOfChecker> {
        self.append(Kind::Checker, name, &format!("{WHOLE}{whole}}}"))?;
        Ok(ToldOfChecker { whole_entry: self.head.seq, changed_since: String::new() })
    }

    pub(super) fn incident(&mut self, incident: &Incident) -> Result<()> {
        let row = signed(incident.number);
        let hash = row_digest(self.transaction, "SELECT * FROM incident_log WHERE number = $1", row)?;
        self.append(
            Kind::Incident,
            &incident.id(),
            &object!({ "table": "incident_log", "row": row, "sha256": hash }).to_string(),
        )
    }

    pub(super) fn step(&mut self, row: i64, step: &Step) -> Result<()> {
        let hash = row_digest(self.transaction, "SELECT * FROM steps WHERE id = $1", row)?;
        let content = object!({
            "table": "steps", "row": row, "sha256": hash,
            "at": step.at, "what": step.what.word(), "who": step.by, "detail": step.detail,
        });
        self.append(Kind::Step, &step.incident, &content.to_string())
    }

    pub(super) fn delivery(&mut self, delivery: &Delivery) -> Result<()> {
        let message = &delivery.message;
        let row = signed(message.id);
        let hash = row_digest(self.transaction, "SELECT * FROM deliveries WHERE message = $1", row)?;
        let content = object!({
            "table": "deliveries", "row": row, "sha256": hash,
            "at": delivery.at, "channel": message.channel, "recipient": message.recipient,
            "subject": message.subject, "attempts": message.attempts, "answer": delivery.answer,
        });
        self.append(Kind::Delivery, &message.incident, &content.to_string())
    }

    pub(super) fn silencing(&mut self, silencing: &Silencing) -> Result<()> {
        let row = signed(silencing.id);
        let hash = row_digest(self.transaction, "SELECT * FROM silences_by_hand WHERE id = $1", row)?;
        let content =
            object!({ "table": "silences_by_hand", "row": row, "sha256": hash, "silence": silencing });
        self.append(Kind::Silence, "", &content.to_string())
    }

    /// Between the end of the span before and the beginning of this one nobody looked; None: nobody ever did.
    pub(super) fn gap(&mut self, look: &Look, before_ms: Option<i64>) -> Result<()> {
        let from = before_ms.map(|until_ms| rfc3339(time_of(until_ms)));
        let content = object!({
            "from": from, "until": rfc3339(look.from), "from_ms": before_ms, "until_ms": millis(look.from),
        });
        self.append(Kind::Gap, &look.mailbox, &content.to_string())
    }

    /// The chain with all that this transaction adds to it.
    pub(super) fn end(mut self) -> Result<Head> {
        self.reports_end()?;
        Ok(self.head)
    }
}

/// The hash of all columns of a row, in their order.
fn row_digest(transaction: &Transaction<'_>, sql: &str, row: i64) -> Result<String> {
    transaction.prepare_cached(sql)?.query_row([row], |row| Ok(hex(&digest_of(row)?)))
}

pub(super) fn digest_of(row: &Row<'_>) -> Result<Hash> {
    let columns = row.as_ref().column_count();
    let values: Vec<Value<'_>> =
        (0..columns).map(|column| Ok(value(row.get_ref(column)?))).collect::<Result<_>>()?;
    Ok(digest(values))
}

pub(super) fn value(stored: ValueRef<'_>) -> Value<'_> {
    match stored {
        ValueRef::Null => Value::Null,
        ValueRef::Integer(number) => Value::Integer(number),
        ValueRef::Real(number) => Value::Real(number),
        ValueRef::Text(bytes) => Value::Text(bytes),
        ValueRef::Blob(bytes) => Value::Blob(bytes),
    }
}
