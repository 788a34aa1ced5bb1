-- Types are those that SQLite (STRICT) and PostgreSQL share. Times are milliseconds since 1970, UTC, in columns that
-- end in _ms; the views show them as RFC 3339 text.

CREATE TABLE meta (
    name  TEXT PRIMARY KEY,
    value TEXT NOT NULL
) STRICT;

-- How far each folder has been read. Changes only in the transaction that stores what was read.
CREATE TABLE cursors (
    mailbox     TEXT NOT NULL,
    folder      TEXT NOT NULL,
    uidvalidity INTEGER NOT NULL,
    high        INTEGER NOT NULL,
    low         INTEGER NOT NULL,
    PRIMARY KEY (mailbox, folder)
) STRICT;

-- One row per report kept: a mail from one known checker that counts as heard.
CREATE TABLE reports (
    id          INTEGER PRIMARY KEY AUTOINCREMENT,
    mail_key    BLOB NOT NULL UNIQUE,
    checker     TEXT NOT NULL,
    mailbox     TEXT NOT NULL,
    folder      TEXT NOT NULL,
    uid         INTEGER NOT NULL,
    message_id  TEXT,
    sent_ms     INTEGER,
    received_ms INTEGER NOT NULL,
    seen_ms     INTEGER NOT NULL,
    -- The mail as understood, and its Received chain, JSON.
    content     TEXT NOT NULL,
    hops        TEXT NOT NULL
) STRICT;
CREATE INDEX reports_by_checker ON reports (checker, received_ms);

-- Mails that count as nobody's report, with the reason; the newest ones only.
CREATE TABLE other_mails (
    id          INTEGER PRIMARY KEY AUTOINCREMENT,
    mail_key    BLOB NOT NULL UNIQUE,
    checker     TEXT,
    reason      TEXT NOT NULL,
    sender      TEXT,
    recipient   TEXT,
    subject     TEXT NOT NULL,
    mailbox     TEXT NOT NULL,
    folder      TEXT NOT NULL,
    uid         INTEGER NOT NULL,
    received_ms INTEGER NOT NULL,
    seen_ms     INTEGER NOT NULL,
    content     TEXT NOT NULL
) STRICT;

-- One row per configured checker; `facts` is what the core knows, JSON.
CREATE TABLE checkers (
    name             TEXT PRIMARY KEY,
    provider         TEXT NOT NULL,
    position         INTEGER NOT NULL,
    -- 1: judged silent, until it is heard again.
    silent           INTEGER NOT NULL,
    last_received_ms INTEGER,
    last_sent_ms     INTEGER,
    heard_at_ms      INTEGER,
    -- Its age counts from here.
    base_ms          INTEGER,
    late_after_ms    INTEGER NOT NULL,
    deadline_ms      INTEGER NOT NULL,
    -- The mailbox that received it last.
    mailbox          TEXT,
    facts            TEXT NOT NULL
) STRICT;

CREATE TABLE mailboxes (
    name           TEXT PRIMARY KEY,
    heard_until_ms INTEGER,
    blind_after_ms INTEGER NOT NULL,
    error          TEXT,
    state          TEXT NOT NULL
) STRICT;

-- Spans in which every mail was seen; between two of them nobody looked.
CREATE TABLE observed (
    mailbox  TEXT NOT NULL,
    from_ms  INTEGER NOT NULL,
    until_ms INTEGER NOT NULL,
    PRIMARY KEY (mailbox, from_ms)
) STRICT;

CREATE TABLE incidents (
    number    INTEGER PRIMARY KEY,
    id        TEXT NOT NULL UNIQUE,
    kind      TEXT NOT NULL,
    token     TEXT,
    opened_ms INTEGER NOT NULL,
    closed_ms INTEGER,
    content   TEXT NOT NULL
) STRICT;

-- What is still to be delivered. A row goes only after the far side accepted the message.
CREATE TABLE outbox (
    id         INTEGER PRIMARY KEY,
    incident   TEXT NOT NULL,
    channel    TEXT NOT NULL,
    recipient  TEXT NOT NULL,
    subject    TEXT NOT NULL,
    attempts   INTEGER NOT NULL,
    due_ms     INTEGER NOT NULL,
    last_error TEXT,
    content    TEXT NOT NULL
) STRICT;

-- What left the outbox, with the far side's answer; without one it was dropped because its incident was over.
CREATE TABLE deliveries (
    message    INTEGER PRIMARY KEY,
    incident   TEXT NOT NULL,
    channel    TEXT NOT NULL,
    recipient  TEXT NOT NULL,
    subject    TEXT NOT NULL,
    attempts   INTEGER NOT NULL,
    created_ms INTEGER NOT NULL,
    at_ms      INTEGER NOT NULL,
    answer     TEXT
) STRICT;

-- The table for auditors: the verdict as of now, one row per configured checker.
CREATE VIEW last_seen AS
WITH read AS (
    SELECT checkers.name AS name,
           MAX(mailboxes.heard_until_ms) AS heard_until_ms,
           MAX(mailboxes.blind_after_ms) AS blind_after_ms
      FROM checkers
      LEFT JOIN mailboxes ON checkers.mailbox IS NULL OR checkers.mailbox = mailboxes.name
     GROUP BY checkers.name
),
judged AS (
    SELECT checkers.*,
           CASE
               WHEN silent = 1 OR heard_until_ms - base_ms > deadline_ms THEN 'silent'
               WHEN heard_at_ms IS NULL THEN 'waiting'
               WHEN heard_until_ms IS NULL THEN 'blind'
               WHEN CAST(strftime('%s', 'now') AS INTEGER) * 1000 - heard_until_ms > blind_after_ms THEN 'blind'
               WHEN heard_until_ms - base_ms > late_after_ms THEN 'late'
               ELSE 'ok'
           END AS state
      FROM checkers
      JOIN read ON read.name = checkers.name
)
SELECT name,
       provider,
       state,
       CASE
           WHEN state = 'blind' THEN 'watcher_blind'
           WHEN state = 'silent' AND heard_at_ms IS NULL THEN 'never_seen'
           WHEN state = 'silent' THEN 'unknown'
       END AS reason,
       strftime('%Y-%m-%dT%H:%M:%SZ', last_received_ms / 1000, 'unixepoch') AS last_received,
       strftime('%Y-%m-%dT%H:%M:%SZ', last_sent_ms / 1000, 'unixepoch') AS last_sent,
       strftime('%Y-%m-%dT%H:%M:%SZ', heard_at_ms / 1000, 'unixepoch') AS heard_at,
       deadline_ms / 1000.0 AS deadline_s
  FROM judged
 ORDER BY position;
