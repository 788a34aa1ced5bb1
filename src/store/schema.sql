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
    -- 1: read as the Junk folder, of which only the newest mails matter.
    junk        INTEGER NOT NULL,
    uidvalidity INTEGER NOT NULL,
    high        INTEGER NOT NULL,
    low         INTEGER NOT NULL,
    PRIMARY KEY (mailbox, folder, junk)
) STRICT;

-- One row per report kept: a mail from one known checker that counts as heard.
CREATE TABLE reports (
    -- Ascending in the order of storing: the row with the highest one is never removed.
    id          INTEGER PRIMARY KEY,
    mail_key    BLOB NOT NULL UNIQUE,
    -- Of a signed report: its checker, run and tokens, hashed. A second mail with the same is a replay.
    run_key     BLOB,
    checker     TEXT NOT NULL,
    mailbox     TEXT NOT NULL,
    folder      TEXT NOT NULL,
    uid         INTEGER NOT NULL,
    message_id  TEXT,
    sent_ms     INTEGER,
    received_ms INTEGER NOT NULL,
    seen_ms     INTEGER NOT NULL,
    -- What the mail says, as far as no column tells it, and its Received chain, newest first; JSON. Of each hop: the name
    -- after `from`, the name after `by`, and the stamp in seconds since 1970.
    content     TEXT NOT NULL,
    hops        TEXT NOT NULL
) STRICT;
CREATE INDEX reports_by_checker ON reports (checker, received_ms);
CREATE INDEX reports_by_run ON reports (run_key, received_ms) WHERE run_key IS NOT NULL;

-- Mails that count as nobody's report, with the reason; the newest ones only.
CREATE TABLE other_mails (
    id          INTEGER PRIMARY KEY AUTOINCREMENT,
    mail_key    BLOB NOT NULL UNIQUE,
    checker     TEXT,
    reason      TEXT NOT NULL,
    -- Of an untrusted one: what it failed.
    why         TEXT,
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
CREATE INDEX other_mails_by_checker ON other_mails (checker, received_ms) WHERE checker IS NOT NULL;

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
    -- Why it is silent or delayed, a word; NULL when there is nothing to explain.
    reason           TEXT,
    -- The entry of the ledger that told all that is shown of it, and what was told to be another since.
    whole_entry      INTEGER NOT NULL,
    changed_since    TEXT NOT NULL,
    facts            TEXT NOT NULL
) STRICT;

-- When each mailbox last received a checker.
CREATE TABLE heard_through (
    checker  TEXT NOT NULL,
    mailbox  TEXT NOT NULL,
    heard_ms INTEGER NOT NULL,
    PRIMARY KEY (checker, mailbox)
) STRICT, WITHOUT ROWID;

CREATE TABLE mailboxes (
    name           TEXT PRIMARY KEY,
    heard_until_ms INTEGER,
    -- The watchdog's clock was then certainly so much ahead of the server's, by which ages count.
    ahead_ms       INTEGER NOT NULL,
    blind_after_ms INTEGER NOT NULL,
    error          TEXT,
    state          TEXT NOT NULL
) STRICT;

-- What is known of the canaries, one row at most, JSON.
CREATE TABLE canary (
    id    INTEGER PRIMARY KEY CHECK (id = 1),
    state TEXT NOT NULL
) STRICT;

-- What the drills proved of each channel, one row at most, JSON.
CREATE TABLE drills (
    id    INTEGER PRIMARY KEY CHECK (id = 1),
    state TEXT NOT NULL
) STRICT;

-- Up to when each digest has told; changes only in the transaction that queues one.
CREATE TABLE digests (
    name     TEXT PRIMARY KEY,
    until_ms INTEGER NOT NULL
) STRICT;

-- Spans in which every mail was seen; between two of them nobody looked.
CREATE TABLE observed (
    mailbox  TEXT NOT NULL,
    from_ms  INTEGER NOT NULL,
    until_ms INTEGER NOT NULL,
    PRIMARY KEY (mailbox, from_ms)
) STRICT;

-- When each complete look began, for the table as it stood, by a clock that was certainly so much ahead of the server's;
-- only since the beginning of `retention`.
CREATE TABLE looks (
    mailbox  TEXT NOT NULL,
    until_ms INTEGER NOT NULL,
    ahead_ms INTEGER NOT NULL,
    PRIMARY KEY (mailbox, until_ms)
) STRICT, WITHOUT ROWID;

-- The view `incidents` shows it to people.
CREATE TABLE incident_log (
    number    INTEGER PRIMARY KEY,
    id        TEXT NOT NULL UNIQUE,
    kind      TEXT NOT NULL,
    token     TEXT,
    opened_ms INTEGER NOT NULL,
    closed_ms INTEGER,
    content   TEXT NOT NULL
) STRICT;

-- What happened to each incident, in order.
CREATE TABLE steps (
    id       INTEGER PRIMARY KEY,
    incident TEXT NOT NULL,
    at_ms    INTEGER NOT NULL,
    what     TEXT NOT NULL,
    -- The person, when one did it.
    who      TEXT,
    detail   TEXT
) STRICT;
CREATE INDEX steps_by_incident ON steps (incident, id);

-- What people silenced, until when; one that was ended early ended then.
CREATE TABLE silences_by_hand (
    id       INTEGER PRIMARY KEY,
    from_ms  INTEGER NOT NULL,
    until_ms INTEGER NOT NULL,
    who      TEXT NOT NULL,
    content  TEXT NOT NULL
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

-- When each channel with a spacing or a rate was tried lately, JSON.
CREATE TABLE paces (
    channel TEXT PRIMARY KEY,
    state   TEXT NOT NULL
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

-- The audit chain, one row per entry; docs/audit.md says what is hashed, and when entries go at its front. The hashes of other tables' rows are over their
-- columns in the order of this file.
CREATE TABLE ledger (
    seq     INTEGER PRIMARY KEY,
    at_ms   INTEGER NOT NULL,
    kind    TEXT NOT NULL,
    -- The checker, the incident or the mailbox, where there is one.
    about   TEXT NOT NULL,
    content TEXT NOT NULL,
    hash    BLOB NOT NULL
) STRICT;
CREATE INDEX ledger_by_kind ON ledger (kind, about, at_ms);
CREATE TRIGGER ledger_is_not_changed BEFORE UPDATE ON ledger
BEGIN SELECT RAISE(ABORT, 'the ledger is only added to'); END;
-- Only what the last entry says was cut.
CREATE TRIGGER ledger_is_not_shortened BEFORE DELETE ON ledger
WHEN NOT EXISTS (
    SELECT 1 FROM ledger
     WHERE seq = (SELECT MAX(seq) FROM ledger) AND kind = 'cut' AND old.seq <= json_extract(content, '$.until')
)
BEGIN SELECT RAISE(ABORT, 'the ledger is only added to'); END;

-- Says of every configured checker what `last-seen` says. Who fell silent is judged after each look and stored; only
-- blindness comes with time alone. Of the mailboxes that received a checker lately, the one read last decides.
CREATE VIEW last_seen AS
WITH newest AS (
    SELECT checker, MAX(heard_ms) AS heard_ms FROM heard_through GROUP BY checker
), read AS (
    -- The other two are those of the row with the maximum (SQLite, "bare columns in an aggregate query").
    SELECT checkers.name AS name, MAX(mailboxes.heard_until_ms) AS heard_until_ms, mailboxes.ahead_ms,
           mailboxes.blind_after_ms
      FROM checkers
      JOIN mailboxes
      LEFT JOIN newest ON newest.checker = checkers.name
      LEFT JOIN heard_through ON heard_through.checker = checkers.name AND heard_through.mailbox = mailboxes.name
     WHERE newest.checker IS NULL OR newest.heard_ms - heard_through.heard_ms <= checkers.deadline_ms
     GROUP BY checkers.name
), judged AS (
    SELECT checkers.*,
           CASE
               WHEN silent = 1 THEN 'silent'
               WHEN heard_at_ms IS NULL THEN 'waiting'
               WHEN heard_until_ms IS NULL THEN 'blind'
               WHEN (julianday('now') - 2440587.5) * 86400000 - heard_until_ms > blind_after_ms THEN 'blind'
               WHEN heard_until_ms - ahead_ms - base_ms > late_after_ms THEN 'late'
               ELSE 'ok'
           END AS state
      FROM checkers
      LEFT JOIN read ON read.name = checkers.name
)
SELECT name,
       provider,
       state,
       CASE
           WHEN state = 'blind' THEN 'watcher_blind'
           ELSE reason
       END AS reason,
       strftime('%Y-%m-%dT%H:%M:%SZ', last_received_ms / 1000, 'unixepoch') AS last_received,
       strftime('%Y-%m-%dT%H:%M:%SZ', last_sent_ms / 1000, 'unixepoch') AS last_sent,
       strftime('%Y-%m-%dT%H:%M:%SZ', heard_at_ms / 1000, 'unixepoch') AS heard_at,
       deadline_ms / 1000.0 AS deadline_s
  FROM judged
 ORDER BY position;

-- What is alarmed or was, one row each. The last columns are those of the table, for programs.
CREATE VIEW incidents AS
SELECT id,
       token,
       CASE
           WHEN closed_ms IS NOT NULL THEN 'closed'
           WHEN json_extract(content, '$.acknowledged.by') IS NOT NULL THEN 'acknowledged'
           ELSE 'open'
       END AS state,
       kind,
       strftime('%Y-%m-%dT%H:%M:%SZ', opened_ms / 1000, 'unixepoch') AS opened,
       strftime('%Y-%m-%dT%H:%M:%SZ', closed_ms / 1000, 'unixepoch') AS closed,
       (SELECT group_concat(key, ', ') FROM json_each(content, '$.members')) AS members,
       json_extract(content, '$.cause.reason') AS reason,
       json_extract(content, '$.acknowledged.by') AS acknowledged_by,
       number,
       opened_ms,
       closed_ms,
       content
  FROM incident_log;

-- Who was silent, from its last mail to its next, one row for each time.
CREATE VIEW silences AS
SELECT member.key AS checker,
       strftime('%Y-%m-%dT%H:%M:%SZ', json_extract(member.value, '$.since')) AS since,
       strftime('%Y-%m-%dT%H:%M:%SZ', incident_log.opened_ms / 1000, 'unixepoch') AS judged,
       strftime('%Y-%m-%dT%H:%M:%SZ', coalesce(
           json_extract(member.value, '$.end.recovered'),
           json_extract(member.value, '$.end.removed'),
           json_extract(member.value, '$.end.resolved')
       )) AS until,
       (SELECT key FROM json_each(member.value, '$.end')) AS ended,
       incident_log.id AS incident,
       incident_log.token AS token,
       json_extract(incident_log.content, '$.cause.reason') AS reason
  FROM incident_log
  JOIN json_each(incident_log.content, '$.members') AS member
 WHERE incident_log.kind = 'silence';

-- The way of each report, one row for each relay, the first one first. Of pruned reports it is not known any more.
CREATE VIEW mail_path AS
SELECT reports.id AS report,
       reports.checker AS checker,
       strftime('%Y-%m-%dT%H:%M:%SZ', reports.received_ms / 1000, 'unixepoch') AS received,
       json_array_length(reports.hops) - hop.key AS hop,
       json_extract(hop.value, '$[1]') AS relay,
       strftime('%Y-%m-%dT%H:%M:%SZ', json_extract(hop.value, '$[2]'), 'unixepoch') AS at,
       json_extract(hop.value, '$[2]') - coalesce(
           lag(json_extract(hop.value, '$[2]')) OVER (PARTITION BY reports.id ORDER BY hop.key DESC),
           reports.sent_ms / 1000
       ) AS seconds,
       (reports.received_ms - reports.sent_ms) / 1000.0 AS whole_way_s
  FROM reports
  JOIN json_each(CASE WHEN reports.hops = '' THEN '[]' ELSE reports.hops END) AS hop
 ORDER BY reports.id, hop.key DESC;
