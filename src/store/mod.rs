//! The state on disk: SQLite in WAL mode, every decision in one transaction, synced before anything is sent.

mod body;
mod chain;
mod cut;
mod examine;
mod front;
mod history;
mod ledger;
mod lock;
mod prune;
mod read;
mod recorded;
mod sessions;
mod shown;
mod write;

use std::fs::OpenOptions;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Error, Result, anyhow, bail};
use rusqlite::config::DbConfig;
use rusqlite::{Connection, ErrorCode, OpenFlags};

use crate::audit::{Head, Note};
use crate::engine::Changes;
use crate::imap::Cursor;
use crate::intake::Taken;
use crate::time::Time;
pub use body::Body;
pub use chain::{LedgerEntry, LedgerHead, Verified};
pub use examine::Examined;
pub use front::NotKept;
pub use history::{Attempted, TakenBy};
pub use lock::InUse;
use lock::Lock;
pub use recorded::{Entry, EntryId};
pub use sessions::EndedSessions;

/// Marks a file as ours (SQLite's `application_id`): "BRWD".
const APPLICATION_ID: i64 = 0x4252_5744;
const SCHEMA_VERSION: i64 = 2;
/// How long another program (a backup, an auditor's shell) may hold the file.
const BUSY_MS: u64 = 5_000;
/// More than there are different ones: to prepare one costs as much as to write ten reports.
const STATEMENTS_MAX: usize = 64;
/// So long the write-ahead log gets, in pages of 4 KiB, before it is written into the file. In a first read the same pages
/// change in one transaction after the other.
const WAL_PAGES: u32 = 4_000;
const MOVE_AWAY: &str = "move it away (keep it for an audit) and start again: the mailbox is read anew";

/// What is written in one transaction.
#[derive(Debug, Default)]
pub struct Batch {
    /// When all of this is known, by the watchdog's clock.
    pub at: Time,
    pub mails: Vec<Kept>,
    pub cursors: Vec<(Place, Cursor)>,
    pub changes: Changes,
    /// For the audit chain alone.
    pub notes: Vec<Note>,
}

impl Batch {
    pub fn is_empty(&self) -> bool {
        self.notes.is_empty() && self.mails.is_empty() && self.cursors.is_empty() && self.changes.is_empty()
    }

    /// Whether all of it is found again in the mailbox, should the power be lost: reading goes on at the cursor that was kept,
    /// which is never ahead of the mails.
    fn can_be_read_again(&self) -> bool {
        self.notes.is_empty() && !self.changes.holds_decisions()
    }
}

/// A folder of a mailbox.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    pub mailbox: String,
    pub folder: String,
    /// It is read as the Junk folder. A folder that becomes an ordinary one by a change of the configuration is read anew.
    pub junk: bool,
}

/// A mail and where it was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kept {
    pub place: Arc<Place>,
    pub taken: Taken,
    /// Of a report, when it was made already, beside the storing of others. None: it is made when it is stored.
    pub body: Option<Body>,
}

/// The state file, open and, unless it is only read, locked.
#[derive(Debug)]
pub struct Store {
    db: Connection,
    path: PathBuf,
    /// Of the audit chain, as this process wrote it: whoever shortens the chain meanwhile is found out. None: not known.
    head: Option<Head>,
    /// Whether every transaction waits for the disk.
    synced: bool,
    _lock: Option<Lock>,
}

impl Store {
    /// Opens the state for the one process that may change it, and creates it when there is none.
    ///
    /// # Errors
    /// Says who holds the file, or what is wrong with it and what to do.
    pub fn open(path: &Path, holder: &str) -> Result<Self> {
        let lock = Lock::take(path, holder)?;
        // Reports and addresses are nobody else's business; SQLite would create it for everybody to read. An error here
        // is told by the opening itself.
        let _ = OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(path);
        let db = Connection::open(path).map_err(|error| explained(&error.into(), path, "opened"))?;
        let store = Self { db, path: path.to_owned(), head: None, synced: true, _lock: Some(lock) };
        store.prepare().map_err(|error| explained(&error, path, "used"))?;
        Ok(store)
    }

    /// Opens the state to look at it only, also while another process changes it.
    ///
    /// # Errors
    /// Says that there is none, or what is wrong with it.
    pub fn open_read_only(path: &Path) -> Result<Self> {
        if !path.exists() {
            bail!("There is no state file {} yet; `run` or `once` makes it.", path.display());
        }
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let db = Connection::open_with_flags(path, flags)
            .map_err(|error| explained(&error.into(), path, "opened"))?;
        db.busy_timeout(std::time::Duration::from_millis(BUSY_MS))?;
        let store = Self { db, path: path.to_owned(), head: None, synced: true, _lock: None };
        if store.reading(|| store.is_new())? {
            // The process that makes it has not come far, or died before it did.
            bail!("The state file {} is empty yet; `run` or `once` fills it.", path.display());
        }
        let version = store.reading(|| Ok(store.schema_version()?))?;
        if version != SCHEMA_VERSION {
            bail!(
                "The state file {} has version {version}; this program reads {SCHEMA_VERSION}.",
                path.display()
            );
        }
        Ok(store)
    }

    /// Writes a batch: all of it or nothing, and synced to the disk; what can be read again, with the next one that cannot.
    ///
    /// # Errors
    /// Says what is wrong with the disk or the file. Nothing was written then, and the batch may be tried again.
    pub fn commit(&mut self, batch: &Batch) -> Result<()> {
        let committed = self.chain_head().and_then(|head| {
            self.sync_each(!batch.can_be_read_again())?;
            Ok(write::commit(&mut self.db, batch, head)?)
        });
        // What became of a transaction that failed, the file says.
        self.head = committed.as_ref().ok().copied();
        committed.map(drop).map_err(|error| explained(&error, &self.path, "written"))
    }

    /// FULL: what was announced must survive a power cut, or its recovery would never be sent. NORMAL: a sync less for every
    /// transaction of a first read; SQLite's log stays whole, and may end earlier.
    fn sync_each(&mut self, each: bool) -> Result<()> {
        if self.synced != each {
            self.db.pragma_update(None, "synchronous", if each { "FULL" } else { "NORMAL" })?;
            self.synced = each;
        }
        Ok(())
    }

    fn chain_head(&self) -> Result<Head> {
        self.head.map_or_else(|| self.stored_head(), Ok)
    }

    fn reading<T>(&self, read: impl FnOnce() -> Result<T>) -> Result<T> {
        read().map_err(|error| explained(&error, &self.path, "read"))
    }

    fn prepare(&self) -> Result<()> {
        self.db.busy_timeout(std::time::Duration::from_millis(BUSY_MS))?;
        self.db.set_prepared_statement_cache_capacity(STATEMENTS_MAX);
        // Otherwise SQLite (built with STAT4) parses a prepared statement again for every new value that is bound to it.
        self.db.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
        if self.is_new()? {
            self.db.execute_batch("PRAGMA journal_mode = WAL;")?;
            self.db.execute_batch(&format!(
                "BEGIN; {} PRAGMA application_id = {APPLICATION_ID}; PRAGMA user_version = {SCHEMA_VERSION}; COMMIT;",
                include_str!("schema.sql")
            ))?;
        }
        self.demand_ours()?;
        self.db.execute_batch(
            "PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON; PRAGMA cache_size = -4096;",
        )?;
        self.db.pragma_update(None, "wal_autocheckpoint", WAL_PAGES)?;
        Ok(())
    }

    /// Nothing was written yet.
    fn is_new(&self) -> Result<bool> {
        let tables: i64 = self.db.query_row("SELECT COUNT(*) FROM sqlite_schema", [], |row| row.get(0))?;
        Ok(tables == 0)
    }

    fn demand_ours(&self) -> Result<()> {
        let id: i64 = self.db.query_row("PRAGMA application_id", [], |row| row.get(0))?;
        if id != APPLICATION_ID {
            bail!("it is a database of another program; name another file in watchdog.state");
        }
        let version = self.schema_version()?;
        if version != SCHEMA_VERSION {
            bail!(
                "it was written by another version of this program (schema {version}, needed {SCHEMA_VERSION})"
            );
        }
        Ok(())
    }

    fn schema_version(&self) -> rusqlite::Result<i64> {
        self.db.query_row("PRAGMA user_version", [], |row| row.get(0))
    }
}

/// One sentence: which file, what is wrong with it, what to do.
fn explained(error: &Error, path: &Path, doing: &str) -> Error {
    let known = error.chain().find_map(|cause| cause.downcast_ref::<rusqlite::Error>());
    let what = known.map_or_else(|| format!("{error:#}"), sentence);
    anyhow!("The state file {} cannot be {doing}: {what}", path.display())
}

/// What is wrong, and what to do.
fn sentence(error: &rusqlite::Error) -> String {
    let advice = match error.sqlite_error_code() {
        Some(ErrorCode::DiskFull) => "the disk is full; make room",
        Some(ErrorCode::ReadOnly) => {
            "it may not be written; check its owner and mode, and those of its folder"
        }
        Some(ErrorCode::CannotOpen) => {
            "its folder must exist and be writable; create it or name another one in watchdog.state"
        }
        Some(ErrorCode::PermissionDenied) => "permission is denied; check its owner and mode",
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => {
            "another program keeps it locked; end that program (a backup, an sqlite3 shell)"
        }
        Some(ErrorCode::DatabaseCorrupt) => return format!("it is damaged; {MOVE_AWAY} ({error})"),
        Some(ErrorCode::NotADatabase) => {
            "it is no SQLite database; move it away or name another file in watchdog.state"
        }
        Some(ErrorCode::SystemIoFailure) => "the disk reports an error; check the disk",
        None => return format!("it is damaged; {MOVE_AWAY} ({error})"),
        Some(_) => return error.to_string(),
    };
    format!("{advice} ({error})")
}

fn millis(time: Time) -> i64 {
    time.timestamp_millis()
}

fn time_of(millis: i64) -> Time {
    Time::from_timestamp_millis(millis).unwrap_or_default()
}

#[cfg(test)]
mod tests;
