//! One process per state file: a lock beside it that dies with the process.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, ErrorKind, Read, Seek, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use anyhow::{Error, Result, anyhow};

/// What a holder may write about itself.
const HOLDER_BYTES_MAX: u64 = 200;

/// Another process holds the state; the watch goes on there.
#[derive(Debug, thiserror::Error)]
#[error("The state file {} is in use by {holder}; end that process first.", state.display())]
pub struct InUse {
    state: PathBuf,
    /// What it wrote about itself.
    pub holder: String,
}

#[derive(Debug)]
pub(super) struct Lock {
    /// The lock lives as long as this is open; the kernel gives it back when the process dies.
    _file: File,
}

impl Lock {
    pub(super) fn take(state: &Path, holder: &str) -> Result<Self> {
        let path = &beside(state, ".lock");
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(path)
            .map_err(|error| refused(state, path, &error))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(InUse { state: state.to_owned(), holder: written_in(file) }.into());
            }
            Err(TryLockError::Error(error)) => {
                return Err(refused(state, path, &error));
            }
        }
        let holder = format!("process {} ({holder})\n", std::process::id());
        let written =
            file.set_len(0).and_then(|()| file.rewind()).and_then(|()| file.write_all(holder.as_bytes()));
        written.map_err(|error| refused(state, path, &error))?;
        Ok(Self { _file: file })
    }

    /// Who holds the lock, without taking it for longer than this question.
    pub(super) fn holder(state: &Path) -> io::Result<Option<String>> {
        let file = match File::open(beside(state, ".lock")) {
            Ok(file) => file,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        match file.try_lock_shared() {
            Ok(()) => Ok(None),
            Err(TryLockError::WouldBlock) => Ok(Some(written_in(file))),
            Err(TryLockError::Error(error)) => Err(error),
        }
    }
}

fn written_in(file: File) -> String {
    let mut holder = String::new();
    let _ = file.take(HOLDER_BYTES_MAX).read_to_string(&mut holder);
    holder.trim().to_owned()
}

/// The file that lies beside the state and has its name with `ending`.
pub(super) fn beside(state: &Path, ending: &str) -> PathBuf {
    let mut name = state.as_os_str().to_owned();
    name.push(ending);
    PathBuf::from(name)
}

fn refused(state: &Path, lock: &Path, error: &io::Error) -> Error {
    let advice = match error.kind() {
        ErrorKind::StorageFull => "the disk is full; make room",
        _ => "its folder must exist, and it and its folder must be writable (watchdog.state names it)",
    };
    anyhow!("The state file {} cannot be locked by {}: {advice} ({error})", state.display(), lock.display())
}
