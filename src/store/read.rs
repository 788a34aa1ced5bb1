//! What the store gives back.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, Result};
use chrono::TimeDelta;
use rusqlite::{OptionalExtension, Row, Statement, params};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::{MOVE_AWAY, Place, Store, body, millis, time_of};
use crate::engine::{Looked, Snapshot};
use crate::imap::Cursor;
use crate::incident::Incident;
use crate::incidents::StepLine;
use crate::intake::{Key, RunKey, SameRun};
use crate::ledger::{Facts, Observation, StoredReport};
use crate::links::SECRET_BYTES;
use crate::policy::Silencing;
use crate::text::{from_hex, hex};
use crate::time::Time;

impl Store {
    /// What the core knew when it last wrote.
    ///
    /// # Errors
    /// When the file cannot be read, or does not hold what this version wrote.
    pub fn load(&self) -> Result<Snapshot> {
        self.reading(|| {
            Ok(Snapshot {
                facts: self.named("SELECT name, facts FROM checkers")?,
                mailboxes: self.named("SELECT name, state FROM mailboxes")?,
                canary: self.contents("SELECT state FROM canary")?.pop().unwrap_or_default(),
                drills: self.contents("SELECT state FROM drills")?.pop().unwrap_or_default(),
                incidents: self.contents("SELECT content FROM incident_log WHERE closed_ms IS NULL")?,
                messages: self.contents("SELECT content FROM outbox ORDER BY id")?,
                paces: self.named("SELECT channel, state FROM paces")?,
                digests: self.told_until()?,
                head_told: self.head_told()?,
                silences: self.contents("SELECT content FROM silences_by_hand")?,
                last_silence: self.highest("SELECT MAX(id) FROM silences_by_hand")?,
                link_key: None,
                last_incident: self.highest("SELECT MAX(number) FROM incident_log")?,
                last_message: self
                    .highest("SELECT MAX(id) FROM outbox")?
                    .max(self.highest("SELECT MAX(message) FROM deliveries")?),
            })
        })
    }

    /// The silences that stood at `time`, with all that is known of them by now.
    ///
    /// # Errors
    /// When the file cannot be read, or does not hold what this version wrote.
    pub fn silences(&self, time: Time) -> Result<Vec<Incident>> {
        self.reading(|| {
            let mut statement = self.db.prepare(
                "SELECT content FROM incident_log
                 WHERE kind = 'silence' AND opened_ms <= $1 AND (closed_ms IS NULL OR closed_ms > $1)",
            )?;
            let rows = statement.query_map([millis(time)], |row| from_json(&row.get::<_, String>(0)?))?;
            rows.collect::<rusqlite::Result<_>>().map_err(Into::into)
        })
    }

    /// The newest silences that began by `time`, over or not, with all that is known of them by now.
    ///
    /// # Errors
    /// When the file cannot be read, or does not hold what this version wrote.
    pub fn silences_before(&self, time: Time, limit: u32) -> Result<Vec<Incident>> {
        self.reading(|| {
            let mut statement = self.db.prepare_cached(
                "SELECT content FROM incident_log WHERE kind = 'silence' AND opened_ms <= $1
                 ORDER BY number DESC LIMIT $2",
            )?;
            let rows = statement
                .query_map(params![millis(time), limit], |row| from_json(&row.get::<_, String>(0)?))?;
            rows.collect::<rusqlite::Result<_>>().map_err(Into::into)
        })
    }

    /// The open incidents and, of those closed since `since`, the `closed_max` newest; in the order of their opening.
    ///
    /// # Errors
    /// When the file cannot be read, or does not hold what this version wrote.
    pub fn incidents(&self, since: Option<Time>, closed_max: u32) -> Result<Vec<Incident>> {
        self.reading(|| {
            let mut statement = self.db.prepare(
                "SELECT content FROM (
                     SELECT number, content FROM incident_log WHERE closed_ms IS NULL
                     UNION ALL
                     SELECT * FROM (SELECT number, content FROM incident_log
                                     WHERE closed_ms >= $1 ORDER BY number DESC LIMIT $2)
                 ) ORDER BY number",
            )?;
            let since = since.map_or(i64::MAX, millis);
            let rows = statement
                .query_map(params![since, closed_max], |row| from_json(&row.get::<_, String>(0)?))?;
            rows.collect::<rusqlite::Result<_>>().map_err(Into::into)
        })
    }

    /// The incident that people call `id`.
    ///
    /// # Errors
    /// When the file cannot be read, or does not hold what this version wrote.
    pub fn incident(&self, id: &str) -> Result<Option<Incident>> {
        self.reading(|| {
            let mut statement = self.db.prepare_cached("SELECT content FROM incident_log WHERE id = $1")?;
            let text = statement.query_row([id], |row| row.get::<_, String>(0)).optional()?;
            Ok(text.map(|text| from_json(&text)).transpose()?)
        })
    }

    /// What happened to an incident, in order.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn steps(&self, incident: &str) -> Result<Vec<StepLine>> {
        self.reading(|| {
            let mut statement = self.db.prepare_cached(
                "SELECT at_ms, what, who, detail FROM steps WHERE incident = $1 ORDER BY id",
            )?;
            let rows = statement.query_map([incident], |row| {
                Ok(StepLine {
                    at: time_of(row.get(0)?),
                    what: row.get(1)?,
                    by: row.get(2)?,
                    detail: row.get(3)?,
                })
            })?;
            rows.collect::<rusqlite::Result<_>>().map_err(Into::into)
        })
    }

    /// What people silenced that holds at `now` or later.
    ///
    /// # Errors
    /// When the file cannot be read, or does not hold what this version wrote.
    pub fn silences_after(&self, now: Time) -> Result<Vec<Silencing>> {
        self.reading(|| {
            let mut statement =
                self.db.prepare("SELECT content FROM silences_by_hand WHERE until_ms > $1 ORDER BY id")?;
            let rows = statement.query_map([millis(now)], |row| from_json(&row.get::<_, String>(0)?))?;
            rows.collect::<rusqlite::Result<_>>().map_err(Into::into)
        })
    }

    /// What the links in alarms are signed with, made when they are first needed.
    ///
    /// # Errors
    /// When the file cannot be read or written.
    pub fn link_secret(&self, new: &[u8; SECRET_BYTES]) -> Result<[u8; SECRET_BYTES]> {
        self.reading(|| {
            let put =
                "INSERT INTO meta (name, value) VALUES ('link_secret', $1) ON CONFLICT (name) DO NOTHING";
            self.db.execute(put, [hex(new)])?;
            let get = "SELECT value FROM meta WHERE name = 'link_secret'";
            let text: String = self.db.query_row(get, [], |row| row.get(0))?;
            let kept = from_hex(&text).and_then(|bytes| bytes.try_into().ok());
            kept.with_context(|| format!("the secret of its links is damaged; {MOVE_AWAY}"))
        })
    }

    /// How far every folder was read.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn cursors(&self) -> Result<BTreeMap<Place, Cursor>> {
        self.reading(|| {
            let mut statement =
                self.db.prepare("SELECT mailbox, folder, junk, uidvalidity, high, low FROM cursors")?;
            let rows = statement.query_map([], |row| {
                let place = Place { mailbox: row.get(0)?, folder: row.get(1)?, junk: row.get(2)? };
                Ok((place, Cursor { uidvalidity: row.get(3)?, high: row.get(4)?, low: row.get(5)? }))
            })?;
            rows.collect::<rusqlite::Result<_>>().map_err(Into::into)
        })
    }

    /// Which of these keys belong to mails that are kept already.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn known<'a>(&self, keys: impl IntoIterator<Item = &'a Key>) -> Result<BTreeSet<Key>> {
        let mut keys: Vec<&Key> = keys.into_iter().collect();
        keys.sort_unstable();
        self.reading(|| {
            // One transaction: otherwise SQLite takes and gives back its file lock for every key.
            let transaction = self.db.unchecked_transaction()?;
            let mut known = BTreeSet::new();
            for next in [
                "SELECT mail_key FROM reports WHERE mail_key >= $1 ORDER BY mail_key LIMIT 1",
                "SELECT mail_key FROM other_mails WHERE mail_key >= $1 ORDER BY mail_key LIMIT 1",
            ] {
                let mut statement = transaction.prepare_cached(next)?;
                known_of(&mut statement, &keys, &mut known)?;
            }
            Ok(known)
        })
    }

    /// Of these signed runs with their tokens those that a kept report is about, and the one of them received first.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn known_runs<'a>(
        &self,
        keys: impl IntoIterator<Item = &'a RunKey>,
    ) -> Result<BTreeMap<RunKey, SameRun>> {
        self.reading(|| {
            let transaction = self.db.unchecked_transaction()?;
            let mut statement = transaction.prepare_cached(
                "SELECT received_ms, message_id FROM reports WHERE run_key = $1 ORDER BY received_ms LIMIT 1",
            )?;
            let mut known = BTreeMap::new();
            for key in keys {
                let same =
                    |row: &Row<'_>| Ok(SameRun { received: time_of(row.get(0)?), message_id: row.get(1)? });
                if let Some(same) = statement.query_row([key], same).optional()? {
                    known.insert(*key, same);
                }
            }
            Ok(known)
        })
    }

    /// The latest reports of a checker that the watchdog had seen at `until`, newest first; not those that were pruned.
    ///
    /// # Errors
    /// When the file cannot be read, or does not hold what this version wrote.
    pub fn reports_of(&self, checker: &str, until: Time, limit: u32) -> Result<Vec<StoredReport>> {
        self.reading(|| {
            let mut statement = self.db.prepare_cached(
                "SELECT received_ms, seen_ms, message_id, mailbox, folder, uid, checker, sent_ms, content, hops
                 FROM reports WHERE checker = $1 AND received_ms <= $2 AND seen_ms <= $2 AND hops <> ''
                 ORDER BY received_ms DESC, id DESC LIMIT $3",
            )?;
            let rows = statement.query_map(params![checker, millis(until), limit], |row| {
                Ok(StoredReport {
                    message_id: row.get(2)?,
                    folder: row.get(4)?,
                    uid: row.get(5)?,
                    observation: Observation {
                        mailbox: row.get(3)?,
                        received: time_of(row.get(0)?),
                        seen: time_of(row.get(1)?),
                        mail: body::understood(row, 6)?,
                    },
                })
            })?;
            Ok(rows.collect::<rusqlite::Result<_>>()?)
        })
    }

    /// What became of the latest mails of a checker that were not heard, as the watchdog knew it at `until`.
    ///
    /// # Errors
    /// When the file cannot be read, or does not hold what this version wrote.
    pub fn trail_of(&self, checker: &str, until: Time, limit: u32) -> Result<Vec<Observation>> {
        self.reading(|| {
            let mut statement = self.db.prepare_cached(
                "SELECT mailbox, received_ms, seen_ms, content FROM other_mails
                 WHERE checker = $1 AND received_ms <= $2 AND seen_ms <= $2
                   AND reason IN ('junked', 'delivery_report')
                 ORDER BY received_ms DESC LIMIT $3",
            )?;
            let rows = statement.query_map(params![checker, millis(until), limit], |row| {
                Ok(Observation {
                    mailbox: row.get(0)?,
                    received: time_of(row.get(1)?),
                    seen: time_of(row.get(2)?),
                    mail: from_json(&row.get::<_, String>(3)?)?,
                })
            })?;
            Ok(rows.collect::<rusqlite::Result<_>>()?)
        })
    }

    /// How many of the mails kept up to `until` were nobody's report, by the reason.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn other_mails(&self, until: Time) -> Result<BTreeMap<String, u64>> {
        self.reading(|| {
            let mut statement = self
                .db
                .prepare("SELECT reason, COUNT(*) FROM other_mails WHERE seen_ms <= $1 GROUP BY reason")?;
            let rows = statement.query_map([millis(until)], |row| {
                Ok((row.get(0)?, u64::try_from(row.get::<_, i64>(1)?).unwrap_or_default()))
            })?;
            Ok(rows.collect::<rusqlite::Result<_>>()?)
        })
    }

    /// What the core knew of this checker when it last wrote; None when it has not written of it.
    ///
    /// # Errors
    /// When the file cannot be read, or does not hold what this version wrote.
    pub fn facts_of(&self, checker: &str) -> Result<Option<Facts>> {
        self.reading(|| {
            let mut statement = self.db.prepare_cached("SELECT facts FROM checkers WHERE name = $1")?;
            let text = statement.query_row([checker], |row| row.get::<_, String>(0)).optional()?;
            Ok(text.map(|text| from_json(&text)).transpose()?)
        })
    }

    /// Up to when each mailbox had been read as of `time`.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn observed_until(&self, time: Time) -> Result<BTreeMap<String, Time>> {
        self.reading(|| {
            let mut statement = self.db.prepare(
                "SELECT mailbox, MAX(MIN(until_ms, $1)) FROM observed WHERE from_ms <= $1 GROUP BY mailbox",
            )?;
            let rows = statement.query_map([millis(time)], |row| Ok((row.get(0)?, time_of(row.get(1)?))))?;
            rows.collect::<rusqlite::Result<_>>().map_err(Into::into)
        })
    }

    /// The last complete look at each mailbox, as of `time`; looks are kept for a while only.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn looked_until(&self, time: Time) -> Result<BTreeMap<String, Looked>> {
        self.reading(|| {
            // There are few spans and many looks: of these only the last one is sought.
            let mut mailboxes = self.db.prepare("SELECT DISTINCT mailbox FROM observed")?;
            let mut last = self.db.prepare(
                "SELECT until_ms, ahead_ms FROM looks WHERE mailbox = $1 AND until_ms <= $2
                 ORDER BY until_ms DESC LIMIT 1",
            )?;
            let looked = |row: &Row<'_>| {
                Ok(Looked { at: time_of(row.get(0)?), ahead: TimeDelta::milliseconds(row.get(1)?) })
            };
            let mut found = BTreeMap::new();
            for mailbox in mailboxes.query_map([], |row| row.get::<_, String>(0))? {
                let mailbox = mailbox?;
                if let Some(looked) = last.query_row(params![mailbox, millis(time)], looked).optional()? {
                    found.insert(mailbox, looked);
                }
            }
            Ok(found)
        })
    }

    pub(super) fn highest(&self, sql: &str) -> Result<u64> {
        let highest: Option<i64> = self.db.query_row(sql, [], |row| row.get(0))?;
        Ok(highest.and_then(|number| u64::try_from(number).ok()).unwrap_or_default())
    }

    fn named<T: DeserializeOwned>(&self, sql: &str) -> Result<BTreeMap<String, T>> {
        let mut statement = self.db.prepare(sql)?;
        let rows = statement.query_map([], |row| Ok((row.get::<_, String>(0)?, row.get::<_, String>(1)?)))?;
        rows.map(|row| {
            let (name, text) = row?;
            let value = serde_json::from_str(&text)
                .with_context(|| format!("what it holds of {name} is damaged; {MOVE_AWAY}"))?;
            Ok((name, value))
        })
        .collect()
    }

    pub(super) fn contents<T: DeserializeOwned>(&self, sql: &str) -> Result<Vec<T>> {
        let mut statement = self.db.prepare(sql)?;
        let rows = statement.query_map([], |row| row.get::<_, String>(0))?;
        let damaged = || format!("an incident or message in it is damaged; {MOVE_AWAY}");
        rows.map(|row| serde_json::from_str(&row?).with_context(damaged)).collect()
    }
}

/// Adds those of `keys`, ascending, that a table holds. `next` finds the first key in it from a given one on: mails that
/// are read together lie together in time, so that mostly one question answers for all of them.
fn known_of(next: &mut Statement<'_>, keys: &[&Key], known: &mut BTreeSet<Key>) -> rusqlite::Result<()> {
    let mut rest = keys;
    while let Some(first) = rest.first() {
        let Some(held) = next.query_row([*first], |row| row.get::<_, Key>(0)).optional()? else { break };
        let (_, from) = rest.split_at(rest.partition_point(|key| **key < held));
        let (same, after) = from.split_at(from.partition_point(|key| **key == held));
        if !same.is_empty() {
            known.insert(held);
        }
        rest = after;
    }
    Ok(())
}

pub(super) fn from_json<'de, T: Deserialize<'de>>(text: &'de str) -> rusqlite::Result<T> {
    let kind = rusqlite::types::Type::Text;
    serde_json::from_str(text)
        .map_err(|error| rusqlite::Error::FromSqlConversionFailure(0, kind, Box::new(error)))
}
