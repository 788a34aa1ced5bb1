//! What the page shows of the past: bounded, whatever the state holds.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::Result;
use rusqlite::{OptionalExtension, params};

use super::read::from_json;
use super::{Store, millis, time_of};
use crate::detail::OtherMail;
use crate::incident::Incident;
use crate::incidents::{MessageLine, Way};
use crate::outbox::Message;
use crate::strip::{Record, Span, troubles};
use crate::text::quoted;
use crate::time::Time;

/// Of all troubles in a window the newest so many are read.
const TROUBLES_MAX: u32 = 5_000;
/// And so many spans in which a mailbox was read.
const LOOKS_MAX: u32 = 20_000;
/// Characters of a sender, a subject or an answer.
const TEXT_CHARS_MAX: usize = 200;

impl Store {
    /// What strips of these checkers are made from.
    ///
    /// # Errors
    /// When the file cannot be read, or does not hold what this version wrote.
    pub fn records(&self, checkers: &[&str], within: Span, now: Time) -> Result<BTreeMap<String, Record>> {
        self.reading(|| {
            let mut records = troubles(&self.troubles(within)?, now);
            let (looks, through) = (self.looks_within(within)?, self.heard_through()?);
            let mut first =
                self.db.prepare_cached("SELECT MIN(received_ms) FROM reports WHERE checker = $1")?;
            for checker in checkers {
                let record = records.entry((*checker).to_owned()).or_default();
                let mailboxes = through.get(*checker);
                let receives = |mailbox: &String| mailboxes.is_none_or(|names| names.contains(mailbox));
                let of_these = looks.iter().filter(|(mailbox, _)| receives(mailbox));
                record.observed = of_these.map(|(_, span)| *span).collect();
                let received: Option<i64> = first.query_row([checker], |row| row.get(0))?;
                record.first = received.map(time_of);
            }
            Ok(records)
        })
    }

    /// The latest mails of a checker that were not heard, newest first.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn other_mails_of(&self, checker: &str, limit: u32) -> Result<Vec<OtherMail>> {
        self.reading(|| {
            let mut statement = self.db.prepare_cached(
                "SELECT received_ms, reason, sender, subject FROM other_mails
                 WHERE checker = $1 ORDER BY received_ms DESC LIMIT $2",
            )?;
            let rows = statement.query_map(params![checker, limit], |row| {
                let sender: Option<String> = row.get(2)?;
                Ok(OtherMail {
                    received: time_of(row.get(0)?),
                    reason: row.get(1)?,
                    sender: sender.map(|sender| quoted(&sender, TEXT_CHARS_MAX)),
                    subject: quoted(&row.get::<_, String>(3)?, TEXT_CHARS_MAX),
                })
            })?;
            Ok(rows.collect::<rusqlite::Result<_>>()?)
        })
    }

    /// Closed incidents, those that were opened last first; with `before`, only those that were opened before that one,
    /// which people call so. None when there is no such incident.
    ///
    /// # Errors
    /// When the file cannot be read, or does not hold what this version wrote.
    pub fn closed_incidents(&self, before: Option<&str>, limit: u32) -> Result<Option<Vec<Incident>>> {
        self.reading(|| {
            let number = |id: &str| {
                let mut statement =
                    self.db.prepare_cached("SELECT number FROM incident_log WHERE id = $1")?;
                statement.query_row([id], |row| row.get::<_, i64>(0)).optional()
            };
            let before = match before.map(number).transpose()? {
                None => i64::MAX,
                Some(None) => return Ok(None),
                Some(Some(number)) => number,
            };
            let mut statement = self.db.prepare_cached(
                "SELECT content FROM incident_log WHERE closed_ms IS NOT NULL AND number < $1
                 ORDER BY number DESC LIMIT $2",
            )?;
            let rows =
                statement.query_map([before, limit.into()], |row| from_json(row.get_ref(0)?.as_str()?))?;
            Ok(Some(rows.collect::<rusqlite::Result<_>>()?))
        })
    }

    /// The newest messages about an incident, in the order in which they were composed.
    ///
    /// # Errors
    /// When the file cannot be read, or does not hold what this version wrote.
    pub fn messages_about(&self, incident: &str, limit: u32) -> Result<Vec<MessageLine>> {
        self.reading(|| {
            let mut statement = self.db.prepare_cached(
                "SELECT channel, recipient, subject, attempts, created_ms, at_ms, answer FROM deliveries
                 WHERE incident = $1 ORDER BY message DESC LIMIT $2",
            )?;
            let ended = statement.query_map(params![incident, limit], |row| {
                let answer: Option<String> = row.get(6)?;
                Ok(MessageLine {
                    channel: row.get(0)?,
                    recipient: row.get(1)?,
                    subject: row.get(2)?,
                    composed: time_of(row.get(4)?),
                    state: if answer.is_some() { Way::Delivered } else { Way::Dropped },
                    ended: Some(time_of(row.get(5)?)),
                    attempts: row.get(3)?,
                    answer: answer.map(|answer| quoted(&answer, TEXT_CHARS_MAX)),
                })
            })?;
            let mut lines = ended.collect::<rusqlite::Result<Vec<_>>>()?;
            lines.reverse();
            let mut statement = self
                .db
                .prepare_cached("SELECT content FROM outbox WHERE incident = $1 ORDER BY id LIMIT $2")?;
            let waiting = statement.query_map(params![incident, limit], |row| {
                let message: Message = from_json(row.get_ref(0)?.as_str()?)?;
                Ok(MessageLine {
                    channel: message.channel,
                    recipient: message.recipient,
                    subject: message.subject,
                    composed: message.created,
                    state: Way::Waiting,
                    ended: None,
                    attempts: message.attempts,
                    answer: message.last_error.map(|error| quoted(&error, TEXT_CHARS_MAX)),
                })
            })?;
            lines.extend(waiting.collect::<rusqlite::Result<Vec<_>>>()?);
            Ok(lines)
        })
    }

    fn troubles(&self, within: Span) -> Result<Vec<Incident>> {
        let mut statement = self.db.prepare_cached(
            "SELECT content FROM incidents
             WHERE kind IN ('silence', 'service') AND (closed_ms IS NULL OR closed_ms >= $1) AND opened_ms <= $2
             ORDER BY number DESC LIMIT $3",
        )?;
        let within = params![millis(within.from), millis(within.until), TROUBLES_MAX];
        let rows = statement.query_map(within, |row| from_json(row.get_ref(0)?.as_str()?))?;
        Ok(rows.collect::<rusqlite::Result<_>>()?)
    }

    fn looks_within(&self, within: Span) -> Result<Vec<(String, Span)>> {
        let mut statement = self.db.prepare_cached(
            "SELECT mailbox, from_ms, until_ms FROM observed
             WHERE until_ms >= $1 AND from_ms <= $2 ORDER BY from_ms DESC LIMIT $3",
        )?;
        let within = params![millis(within.from), millis(within.until), LOOKS_MAX];
        let rows = statement.query_map(within, |row| {
            Ok((row.get(0)?, Span { from: time_of(row.get(1)?), until: time_of(row.get(2)?) }))
        })?;
        Ok(rows.collect::<rusqlite::Result<_>>()?)
    }

    /// Which mailboxes ever received each checker.
    fn heard_through(&self) -> Result<BTreeMap<String, BTreeSet<String>>> {
        let mut statement = self.db.prepare_cached("SELECT checker, mailbox FROM heard_through")?;
        let mut through: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            through.entry(row.get(0)?).or_default().insert(row.get(1)?);
        }
        Ok(through)
    }
}
