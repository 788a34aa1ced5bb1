//! What a state file holds, asked of SQLite and not of the program.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use rusqlite::{Connection, OpenFlags, Row};

use crate::rig::{AlarmMail, Watchdog, wait_for};

/// What is read late on a busy machine.
pub(crate) const SOON: Duration = Duration::from_secs(40);
pub(crate) const NAME: &str = "watchdog.db";

/// Every row, as `read` understands it; an error is a sentence.
pub(crate) fn ask<T>(
    state: &Path,
    sql: &str,
    read: impl FnMut(&Row<'_>) -> rusqlite::Result<T>,
) -> Result<Vec<T>, String> {
    let answers = || -> rusqlite::Result<Vec<T>> {
        let db = Connection::open_with_flags(state, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
        db.busy_timeout(Duration::from_secs(5))?;
        let mut statement = db.prepare(sql)?;
        statement.query_map([], read)?.collect()
    };
    answers().map_err(|error| format!("{sql}: {error}"))
}

pub(crate) fn number(state: &Path, sql: &str) -> i64 {
    ask(state, sql, |row| row.get(0)).unwrap()[0]
}

/// The Message-ID of every report kept, without brackets, sorted; nothing while there is no state.
pub(crate) fn kept(state: &Path) -> Vec<String> {
    let id = |row: &Row<'_>| row.get::<_, String>(0);
    let mut ids = ask(state, "SELECT message_id FROM reports", id).unwrap_or_default();
    ids.iter_mut().for_each(|id| *id = id.trim_matches(['<', '>']).to_owned());
    ids.sort();
    ids
}

/// The Message-ID of a mail, without brackets.
pub(crate) fn message_id(mail: &[u8]) -> String {
    let text = std::str::from_utf8(mail).unwrap();
    let (_, after) = text.split_once("Message-ID: <").expect("a Message-ID");
    after.split_once('>').unwrap().0.to_owned()
}

/// Waits until exactly these are kept, each once.
pub(crate) fn assert_kept(state: &Path, sent: &[String], limit: Duration) {
    let mut wanted = sent.to_vec();
    wanted.sort();
    if wait_for(limit, || (kept(state) == wanted).then_some(())).is_some() {
        return;
    }
    let found = kept(state);
    let lost = wanted.iter().filter(|id| found.binary_search(id).is_err()).count();
    let doubled = found.windows(2).filter(|pair| pair[0] == pair[1]).count();
    panic!("of {} reports {lost} are lost, {doubled} kept twice", wanted.len());
}

/// Every UID that the cursor of INBOX says was read belongs to a report that is kept, once: for a mailbox that holds
/// reports only, and has had one UIDVALIDITY.
pub(crate) fn cursor_is_not_ahead(state: &Path) -> Result<(), String> {
    let read = |row: &Row<'_>| Ok((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?));
    let cursors = ask(state, "SELECT low, high FROM cursors WHERE folder = 'INBOX' AND junk = 0", read)?;
    let Some((low, high)) = cursors.first().copied() else { return Ok(()) };
    let sql = format!("SELECT COUNT(*), COUNT(DISTINCT uid) FROM reports WHERE uid BETWEEN {low} AND {high}");
    let (rows, uids) = ask(state, &sql, read)?[0];
    if (rows, uids) == (high - low + 1, rows) {
        return Ok(());
    }
    Err(format!(
        "the cursor says that UIDs {low} to {high} were read, and {rows} reports with {uids} UIDs are kept"
    ))
}

/// The incident and the subject of a mail.
pub(crate) fn named(mail: &AlarmMail) -> (String, String) {
    (mail.header("X-Bresse-Incident").expect("an incident"), mail.subject())
}

/// Nothing counts as delivered that the far side did not take.
pub(crate) fn assert_sent_is_what_was_taken(state: &Path, taken: &[AlarmMail]) {
    let mut count: BTreeMap<(String, String), i64> = BTreeMap::new();
    for mail in taken {
        *count.entry(named(mail)).or_default() += 1;
    }
    let sql = "SELECT incident, subject, COUNT(*) FROM deliveries WHERE answer IS NOT NULL GROUP BY incident, subject";
    let read = |row: &Row<'_>| Ok(((row.get(0)?, row.get(1)?), row.get::<_, i64>(2)?));
    for (message, said) in ask(state, sql, read).unwrap_or_default() {
        let came = count.get(&message).copied().unwrap_or(0);
        assert!(said <= came, "{message:?} is said to be delivered {said} times, and came {came} times");
    }
}

/// The incident and the subject of every message that is queued or was delivered.
pub(crate) fn known_messages(state: &Path) -> Result<Vec<(String, String)>, String> {
    let sql = "SELECT incident, subject FROM outbox UNION SELECT incident, subject FROM deliveries WHERE answer IS NOT NULL";
    ask(state, sql, |row| Ok((row.get(0)?, row.get(1)?)))
}

pub(crate) fn assert_ledger_is_whole(watchdog: &Watchdog) {
    let verified = watchdog.run(&["audit", "verify"]);
    assert_eq!(verified.status, 0, "{verified:?}");
}

/// Waits until all of these are in this state, beside the daemon, which may only be about to make the file.
pub(crate) fn wait_for_state(watchdog: &Watchdog, checkers: &[&str], state: &str) {
    let seen = || watchdog.run(&["last-seen", "--format", "json"]);
    let reached = || {
        std::thread::sleep(Duration::from_millis(300));
        let seen: serde_json::Value = serde_json::from_str(&seen().stdout).ok()?;
        let all = seen["checkers"].as_array()?;
        checkers
            .iter()
            .all(|name| all.iter().any(|c| c["name"] == *name && c["state"] == state))
            .then_some(())
    };
    wait_for(SOON, reached).unwrap_or_else(|| panic!("not all {state}: {:?}", seen()));
}
