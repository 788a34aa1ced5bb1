//! Who has logged out before the end of a session.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use anyhow::Result;
use rusqlite::{Connection, OpenFlags, OptionalExtension};

use super::read::from_json;
use super::{BUSY_MS, Store, explained};
use crate::time::Time;

/// By token and session: until when it would have held.
pub type EndedSessions = BTreeMap<String, BTreeMap<String, Time>>;

impl Store {
    /// As [`Self::keep_ended_sessions`] wrote them last.
    ///
    /// # Errors
    /// When the file cannot be read, or does not hold what this version wrote.
    pub fn ended_sessions(&self) -> Result<EndedSessions> {
        self.reading(|| {
            let get = "SELECT value FROM meta WHERE name = 'ended_sessions'";
            let text = self.db.query_row(get, [], |row| row.get::<_, String>(0)).optional()?;
            Ok(text.map(|text| from_json(&text)).transpose()?.unwrap_or_default())
        })
    }

    /// Writes them beside the connection of the process that holds the state, which must be this one. Nothing that is
    /// judged or told rests on them.
    ///
    /// # Errors
    /// Says what is wrong with the disk or the file.
    pub fn keep_ended_sessions(path: &Path, ended: &EndedSessions) -> Result<()> {
        let write = || -> Result<()> {
            let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
            let db = Connection::open_with_flags(path, flags)?;
            db.busy_timeout(Duration::from_millis(BUSY_MS))?;
            let put = "INSERT INTO meta (name, value) VALUES ('ended_sessions', $1)
                       ON CONFLICT (name) DO UPDATE SET value = excluded.value";
            db.execute(put, [serde_json::to_string(ended)?])?;
            Ok(())
        };
        write().map_err(|error| explained(&error, path, "written"))
    }
}
