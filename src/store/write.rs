//! What the store is told: one transaction for a whole batch.

use std::borrow::Cow;

use rusqlite::{Connection, OptionalExtension, Statement, Transaction, params};
use serde::Serialize;

use super::body::Body;
use super::ledger::Ledger;
use super::{Batch, Kept, Place, millis};
use crate::audit::{Head, Kind, Value, digest};
use crate::engine::{Canary, Changes, Delivery, Drills, Look, MailboxRow, Row};
use crate::imap::Cursor;
use crate::incident::{Incident, Step};
use crate::outbox::{Message, Pace};
use crate::policy::Silencing;
use crate::reason::Reason;
use crate::report::NotHeard;
use crate::time::Time;

/// Mails of strangers are kept for the curious, not for the audit.
const OTHER_MAILS_MAX: i64 = 10_000;

type Result<T> = rusqlite::Result<T>;

/// Returns the head of the audit chain with what this batch adds to it.
pub(super) fn commit(db: &mut Connection, batch: &Batch, head: Head) -> Result<Head> {
    let transaction = db.transaction()?;
    let mut ledger = Ledger::new(&transaction, head, batch.at);
    for note in &batch.notes {
        match note.kind {
            Kind::Configuration => ledger.configuration(&note.content)?,
            kind => ledger.append(kind, "", &note.content)?,
        }
    }
    put_mails(&transaction, &mut ledger, &batch.mails)?;
    if batch.mails.iter().any(|mail| !mail.taken.observation.mail.heard()) {
        prune_other_mails(&transaction)?;
    }
    batch.cursors.iter().try_for_each(|(place, cursor)| put_cursor(&transaction, place, *cursor))?;
    put_changes(&transaction, &mut ledger, &batch.changes)?;
    let head = ledger.end()?;
    transaction.commit()?;
    Ok(head)
}

fn put_changes(transaction: &Transaction<'_>, ledger: &mut Ledger<'_>, changes: &Changes) -> Result<()> {
    for name in &changes.removed {
        if transaction.prepare_cached("DELETE FROM checkers WHERE name = $1")?.execute([name])? > 0 {
            ledger.checker_removed(name)?;
        }
        forget_heard_through(transaction, name)?;
    }
    changes.checkers.iter().try_for_each(|row| put_checker(transaction, ledger, row))?;
    changes.mailboxes.iter().try_for_each(|row| put_mailbox(transaction, row))?;
    changes.canary.iter().try_for_each(|canary| put_canary(transaction, canary))?;
    changes.drills.iter().try_for_each(|drills| put_drills(transaction, drills))?;
    changes.digests.iter().try_for_each(|(name, until)| put_digest(transaction, name, *until))?;
    changes.head_told.iter().try_for_each(|told| put_head_told(transaction, *told))?;
    changes.looks.iter().try_for_each(|look| put_look(transaction, ledger, look))?;
    changes.incidents.iter().try_for_each(|incident| put_incident(transaction, ledger, incident))?;
    changes.messages.iter().try_for_each(|message| put_message(transaction, message))?;
    changes.paces.iter().try_for_each(|(channel, pace)| put_pace(transaction, channel, pace))?;
    changes.deliveries.iter().try_for_each(|delivery| put_delivery(transaction, ledger, delivery))?;
    changes.steps.iter().try_for_each(|step| put_step(transaction, ledger, step))?;
    changes.silences.iter().try_for_each(|silencing| put_silencing(transaction, ledger, silencing))
}

/// In their order; what is known already is left out.
fn put_mails(transaction: &Transaction<'_>, ledger: &mut Ledger<'_>, mails: &[Kept]) -> Result<()> {
    let mut insert = transaction.prepare_cached(
        "INSERT INTO reports
             (mail_key, run_key, checker, mailbox, folder, uid, message_id, sent_ms, received_ms, seen_ms,
              content, hops)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12) ON CONFLICT DO NOTHING",
    )?;
    for kept in mails {
        let seen = &kept.taken.observation.mail;
        match (&seen.checker, seen.not_heard) {
            (Some(checker), None) => put_report(transaction, &mut insert, ledger, kept, checker)?,
            (checker, reason) => put_other(transaction, kept, checker.as_deref(), reason)?,
        }
    }
    ledger.reports_end()
}

fn put_other(
    transaction: &Transaction<'_>,
    kept: &Kept,
    checker: Option<&str>,
    reason: Option<NotHeard>,
) -> Result<()> {
    let Kept { place, taken, .. } = kept;
    let (seen, heading) = (&taken.observation, taken.heading.as_deref());
    let mut insert = transaction.prepare_cached(
        "INSERT INTO other_mails
             (mail_key, checker, reason, why, sender, recipient, subject, mailbox, folder, uid,
              received_ms, seen_ms, content)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13) ON CONFLICT DO NOTHING",
    )?;
    insert.execute(params![
        taken.key,
        checker,
        reason.map_or("", NotHeard::word),
        why(reason),
        heading.and_then(|heading| heading.sender.as_deref()),
        heading.and_then(|heading| heading.recipient.as_deref()),
        heading.map_or("", |heading| &heading.subject),
        place.mailbox,
        place.folder,
        taken.uid,
        millis(seen.received),
        millis(seen.seen),
        json(&seen.mail)?,
    ])?;
    Ok(())
}

fn put_report(
    transaction: &Transaction<'_>,
    insert: &mut Statement<'_>,
    ledger: &mut Ledger<'_>,
    kept: &Kept,
    checker: &str,
) -> Result<()> {
    let Kept { place, taken, body } = kept;
    let seen = &taken.observation;
    let body = match body {
        Some(body) => Cow::Borrowed(body),
        None => Cow::Owned(Body::of(&seen.mail).map_err(unwritable)?),
    };
    let (sent, received, seen_at) = (seen.mail.sent.map(millis), millis(seen.received), millis(seen.seen));
    let written = insert.execute(params![
        taken.key,
        taken.run_key,
        checker,
        place.mailbox,
        place.folder,
        taken.uid,
        taken.message_id,
        sent,
        received,
        seen_at,
        body.content,
        body.hops,
    ])?;
    if written == 0 {
        return Ok(());
    }
    let id = transaction.last_insert_rowid();
    let hash = digest([
        Value::Integer(id),
        Value::Blob(&taken.key),
        taken.run_key.as_ref().map_or(Value::Null, |key| Value::Blob(key)),
        Value::Text(checker.as_bytes()),
        Value::Text(place.mailbox.as_bytes()),
        Value::Text(place.folder.as_bytes()),
        Value::Integer(taken.uid.into()),
        taken.message_id.as_ref().map_or(Value::Null, |id| Value::Text(id.as_bytes())),
        sent.map_or(Value::Null, Value::Integer),
        Value::Integer(received),
        Value::Integer(seen_at),
        Value::Blob(&body.digest),
    ]);
    ledger.report(id, &hash)
}

fn why(reason: Option<NotHeard>) -> Option<&'static str> {
    match reason {
        Some(NotHeard::Untrusted(why)) => Some(why.word()),
        _ => None,
    }
}

fn prune_other_mails(transaction: &Transaction<'_>) -> Result<()> {
    transaction
        .prepare_cached("DELETE FROM other_mails WHERE id <= (SELECT MAX(id) FROM other_mails) - $1")?
        .execute([OTHER_MAILS_MAX])?;
    Ok(())
}

fn put_cursor(transaction: &Transaction<'_>, place: &Place, cursor: Cursor) -> Result<()> {
    transaction
        .prepare_cached(
            "INSERT INTO cursors (mailbox, folder, junk, uidvalidity, high, low) VALUES ($1, $2, $3, $4, $5, $6)
             ON CONFLICT (mailbox, folder, junk) DO UPDATE
             SET uidvalidity = excluded.uidvalidity, high = excluded.high, low = excluded.low",
        )?
        .execute(params![
            place.mailbox,
            place.folder,
            place.junk,
            cursor.uidvalidity,
            cursor.high,
            cursor.low
        ])?;
    Ok(())
}

fn put_checker(transaction: &Transaction<'_>, ledger: &mut Ledger<'_>, row: &Row) -> Result<()> {
    let facts = &row.facts;
    let deadline = facts.deadline_in_force();
    let told = ledger.checker(&row.name, &row.standing)?;
    transaction
        .prepare_cached(
            "INSERT INTO checkers
                 (name, provider, position, silent, last_received_ms, last_sent_ms, heard_at_ms, base_ms,
                  late_after_ms, deadline_ms, reason, whole_entry, changed_since, facts)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)
             ON CONFLICT (name) DO UPDATE
             SET provider = excluded.provider, position = excluded.position, silent = excluded.silent,
                 last_received_ms = excluded.last_received_ms, last_sent_ms = excluded.last_sent_ms,
                 heard_at_ms = excluded.heard_at_ms, base_ms = excluded.base_ms,
                 late_after_ms = excluded.late_after_ms, deadline_ms = excluded.deadline_ms,
                 reason = excluded.reason, whole_entry = excluded.whole_entry,
                 changed_since = excluded.changed_since, facts = excluded.facts",
        )?
        .execute(params![
            row.name,
            row.provider,
            i64::try_from(row.position).unwrap_or(i64::MAX),
            facts.silent.is_some(),
            facts.last_received.map(millis),
            facts.last_sent.map(millis),
            facts.heard_at().map(millis),
            facts.base().map(millis),
            deadline.late_after().num_milliseconds(),
            deadline.total().num_milliseconds(),
            row.reason.map(Reason::word),
            told.whole_entry,
            told.changed_since,
            json(facts)?,
        ])?;
    forget_heard_through(transaction, &row.name)?;
    for (mailbox, heard) in facts.heard_through.iter() {
        transaction
            .prepare_cached("INSERT INTO heard_through (checker, mailbox, heard_ms) VALUES ($1, $2, $3)")?
            .execute(params![row.name, mailbox, millis(*heard)])?;
    }
    Ok(())
}

fn forget_heard_through(transaction: &Transaction<'_>, checker: &str) -> Result<()> {
    transaction.prepare_cached("DELETE FROM heard_through WHERE checker = $1")?.execute([checker])?;
    Ok(())
}

fn put_mailbox(transaction: &Transaction<'_>, row: &MailboxRow) -> Result<()> {
    transaction
        .prepare_cached(
            "INSERT INTO mailboxes (name, heard_until_ms, ahead_ms, blind_after_ms, error, state)
             VALUES ($1, $2, $3, $4, $5, $6)
             ON CONFLICT (name) DO UPDATE
             SET heard_until_ms = excluded.heard_until_ms, ahead_ms = excluded.ahead_ms,
                 blind_after_ms = excluded.blind_after_ms, error = excluded.error, state = excluded.state",
        )?
        .execute(params![
            row.name,
            row.state.heard_until.map(millis),
            row.state.ahead().num_milliseconds(),
            row.blind_after.num_milliseconds(),
            row.state.last_failure.as_ref().map(|(_, error)| error),
            json(&row.state)?,
        ])?;
    Ok(())
}

/// Looks that follow each other without a gap are one span. (SQLite numbers `$n` by its first appearance, whatever n is.)
fn put_look(transaction: &Transaction<'_>, ledger: &mut Ledger<'_>, look: &Look) -> Result<()> {
    transaction
        .prepare_cached(
            "INSERT INTO looks (mailbox, until_ms, ahead_ms) VALUES ($1, $2, $3)
             ON CONFLICT (mailbox, until_ms) DO UPDATE SET ahead_ms = excluded.ahead_ms",
        )?
        .execute(params![look.mailbox, millis(look.until), look.ahead.num_milliseconds()])?;
    let extended = transaction
        .prepare_cached(
            "UPDATE observed SET until_ms = $1
              WHERE mailbox = $2 AND until_ms = $3
                AND from_ms = (SELECT MAX(from_ms) FROM observed WHERE mailbox = $2)",
        )?
        .execute(params![millis(look.until), look.mailbox, millis(look.from)])?;
    if extended == 0 {
        note_gap(transaction, ledger, look)?;
        transaction
            .prepare_cached(
                "INSERT INTO observed (mailbox, from_ms, until_ms) VALUES ($1, $2, $3)
                 ON CONFLICT (mailbox, from_ms) DO UPDATE SET until_ms = excluded.until_ms",
            )?
            .execute(params![look.mailbox, millis(look.from), millis(look.until)])?;
    }
    Ok(())
}

/// A look that begins a span of its own.
fn note_gap(transaction: &Transaction<'_>, ledger: &mut Ledger<'_>, look: &Look) -> Result<()> {
    let before: Option<(i64, i64)> = transaction
        .prepare_cached(
            "SELECT from_ms, until_ms FROM observed WHERE mailbox = $1 ORDER BY from_ms DESC LIMIT 1",
        )?
        .query_row([&look.mailbox], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?;
    if before.is_some_and(|(from_ms, _)| from_ms == millis(look.from)) {
        return Ok(());
    }
    ledger.gap(look, before.map(|(_, until_ms)| until_ms))
}

fn put_incident(transaction: &Transaction<'_>, ledger: &mut Ledger<'_>, incident: &Incident) -> Result<()> {
    transaction
        .prepare_cached(
            "INSERT INTO incident_log (number, id, kind, token, opened_ms, closed_ms, content)
             VALUES ($1, $2, $3, $4, $5, $6, $7)
             ON CONFLICT (number) DO UPDATE
             SET token = excluded.token, closed_ms = excluded.closed_ms, content = excluded.content",
        )?
        .execute(params![
            signed(incident.number),
            incident.id(),
            incident.subject.word(),
            incident.token(),
            millis(incident.opened),
            incident.closed.map(millis),
            json(incident)?,
        ])?;
    ledger.incident(incident)
}

fn put_message(transaction: &Transaction<'_>, message: &Message) -> Result<()> {
    transaction
        .prepare_cached(
            "INSERT INTO outbox (id, incident, channel, recipient, subject, attempts, due_ms, last_error, content)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
             ON CONFLICT (id) DO UPDATE
             SET attempts = excluded.attempts, due_ms = excluded.due_ms, last_error = excluded.last_error,
                 content = excluded.content",
        )?
        .execute(params![
            signed(message.id),
            message.incident,
            message.channel,
            message.recipient,
            message.subject,
            message.attempts,
            millis(message.due),
            message.last_error,
            json(message)?,
        ])?;
    Ok(())
}

fn put_delivery(transaction: &Transaction<'_>, ledger: &mut Ledger<'_>, delivery: &Delivery) -> Result<()> {
    let message = &delivery.message;
    transaction.prepare_cached("DELETE FROM outbox WHERE id = $1")?.execute([signed(message.id)])?;
    transaction
        .prepare_cached(
            "INSERT INTO deliveries
                 (message, incident, channel, recipient, subject, attempts, created_ms, at_ms, answer)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) ON CONFLICT (message) DO NOTHING",
        )?
        .execute(params![
            signed(message.id),
            message.incident,
            message.channel,
            message.recipient,
            message.subject,
            message.attempts,
            millis(message.created),
            millis(delivery.at),
            delivery.answer,
        ])?;
    ledger.delivery(delivery)
}

fn put_pace(transaction: &Transaction<'_>, channel: &str, pace: &Pace) -> Result<()> {
    transaction
        .prepare_cached(
            "INSERT INTO paces (channel, state) VALUES ($1, $2)
             ON CONFLICT (channel) DO UPDATE SET state = excluded.state",
        )?
        .execute(params![channel, json(pace)?])?;
    Ok(())
}

fn put_step(transaction: &Transaction<'_>, ledger: &mut Ledger<'_>, step: &Step) -> Result<()> {
    transaction
        .prepare_cached("INSERT INTO steps (incident, at_ms, what, who, detail) VALUES ($1, $2, $3, $4, $5)")?
        .execute(params![step.incident, millis(step.at), step.what.word(), step.by, step.detail])?;
    ledger.step(transaction.last_insert_rowid(), step)
}

fn put_silencing(
    transaction: &Transaction<'_>,
    ledger: &mut Ledger<'_>,
    silencing: &Silencing,
) -> Result<()> {
    transaction
        .prepare_cached(
            "INSERT INTO silences_by_hand (id, from_ms, until_ms, who, content) VALUES ($1, $2, $3, $4, $5)
             ON CONFLICT (id) DO UPDATE SET until_ms = excluded.until_ms, content = excluded.content",
        )?
        .execute(params![
            signed(silencing.id),
            millis(silencing.from),
            millis(silencing.until),
            silencing.by,
            json(silencing)?,
        ])?;
    ledger.silencing(silencing)
}

fn put_canary(transaction: &Transaction<'_>, canary: &Canary) -> Result<()> {
    transaction
        .prepare_cached(
            "INSERT INTO canary (id, state) VALUES (1, $1) ON CONFLICT (id) DO UPDATE SET state = excluded.state",
        )?
        .execute([json(canary)?])?;
    Ok(())
}

fn put_drills(transaction: &Transaction<'_>, drills: &Drills) -> Result<()> {
    transaction
        .prepare_cached(
            "INSERT INTO drills (id, state) VALUES (1, $1) ON CONFLICT (id) DO UPDATE SET state = excluded.state",
        )?
        .execute([json(drills)?])?;
    Ok(())
}

fn put_digest(transaction: &Transaction<'_>, name: &str, until: Option<Time>) -> Result<()> {
    match until {
        Some(until) => transaction
            .prepare_cached(
                "INSERT INTO digests (name, until_ms) VALUES ($1, $2)
                 ON CONFLICT (name) DO UPDATE SET until_ms = excluded.until_ms",
            )?
            .execute(params![name, millis(until)])?,
        None => transaction.prepare_cached("DELETE FROM digests WHERE name = $1")?.execute([name])?,
    };
    Ok(())
}

fn put_head_told(transaction: &Transaction<'_>, told: Time) -> Result<()> {
    transaction
        .prepare_cached(
            "INSERT INTO meta (name, value) VALUES ('head_told_ms', $1)
             ON CONFLICT (name) DO UPDATE SET value = excluded.value",
        )?
        .execute([millis(told).to_string()])?;
    Ok(())
}

pub(super) fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

pub(super) fn json(value: &impl Serialize) -> Result<String> {
    serde_json::to_string(value).map_err(unwritable)
}

fn unwritable(error: serde_json::Error) -> rusqlite::Error {
    rusqlite::Error::ToSqlConversionFailure(Box::new(error))
}
