//! One process per state file: a lock beside it that dies with the process.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read, Seek, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

/// What a holder may write about itself.
const HOLDER_BYTES_MAX: u64 = 200;

/// Another process holds the state; the watch goes on there.
#[derive(Debug, thiserror::Error)]
#[error("The state file {} is in use by {holder}; end that process first.", state.display())]
pub struct InUse {
    state: PathBuf,
    holder: String,
}

#[derive(Debug)]
pub(super) struct Lock {
    /// The lock lives as long as this is open; the kernel gives it back when the process dies.
    _file: File,
}

impl Lock {
    pub(super) fn take(state: &Path, holder: &str) -> Result<Self> {
        let mut name = state.as_os_str().to_owned();
        name.push(".lock");
        let path = Path::new(&name);
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(path)
            .with_context(|| {
                format!(
                    "The state file {} cannot be locked: {} cannot be written; its folder must exist and be writable \
                     (watchdog.state names it)",
                    state.display(),
                    path.display()
                )
            })?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let mut other = String::new();
                let _ = file.take(HOLDER_BYTES_MAX).read_to_string(&mut other);
                return Err(InUse { state: state.to_owned(), holder: other.trim().to_owned() }.into());
            }
            Err(TryLockError::Error(error)) => {
                return Err(error).with_context(|| format!("{} cannot be locked", path.display()));
            }
        }
        file.set_len(0)?;
        file.rewind()?;
        writeln!(file, "process {} ({holder})", std::process::id())?;
        Ok(Self { _file: file })
    }
}
