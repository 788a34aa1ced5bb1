//! Whether the state could be opened, found out without changing anything.

use std::fs::Metadata;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};
use rusqlite::{Connection, OpenFlags};
use rustix::fs::{Access, access};

use super::lock::{Lock, beside};
use super::{BUSY_MS, Store, explained};

/// What was found at a path that could be opened, or made, as the state file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Examined {
    /// The file is there; otherwise its folder is, and may be written.
    pub exists: bool,
    /// Which process has it open to change it.
    pub holder: Option<String>,
    /// Every user of the machine may read it.
    pub readable_by_all: bool,
    /// Other users of the machine may look into its folder, or change what lies there; its mode.
    pub open_folder: Option<u32>,
}

impl Store {
    /// Looks whether [`Store::open`] would work. Makes no file, and takes no lock for longer than a moment.
    ///
    /// # Errors
    /// One sentence that says why it would not, and what to do.
    pub fn examine(path: &Path) -> Result<Examined> {
        let shown = path.display();
        let open_folder = demand_writable_folder(path)?;
        let holder = Lock::holder(path)
            .with_context(|| format!("The lock of the state file {shown} cannot be read"))?;
        let metadata = match std::fs::metadata(path) {
            Ok(metadata) => metadata,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                return Ok(Examined { exists: false, holder, readable_by_all: false, open_folder });
            }
            Err(error) => bail!("The state file {shown} cannot be looked at ({error}); check its folder."),
        };
        demand_writable_file(path, &metadata)?;
        let db = open_as_it_is(path).map_err(|error| explained(&error.into(), path, "opened"))?;
        let store = Self { db, path: path.to_owned(), head: None, synced: true, _lock: None };
        let ours = || if store.is_new()? { Ok(()) } else { store.demand_ours() };
        ours().map_err(|error| explained(&error, path, "used"))?;
        let readable_by_all = metadata.permissions().mode() & 0o004 != 0;
        Ok(Examined { exists: true, holder, readable_by_all, open_folder })
    }
}

/// The folder of the state file.
pub(crate) fn folder_of(path: &Path) -> &Path {
    path.parent().filter(|folder| *folder != Path::new("")).unwrap_or(Path::new("."))
}

/// Its mode, when others may do something with it.
fn demand_writable_folder(path: &Path) -> Result<Option<u32>> {
    let folder = folder_of(path);
    let mut open = None;
    let found = match std::fs::metadata(folder) {
        Ok(found) if found.is_dir() => {
            let mode = found.permissions().mode() & 0o7777;
            open = (mode & 0o007 != 0).then_some(mode);
            access(folder, Access::WRITE_OK | Access::EXEC_OK)
        }
        Ok(_) => Err(rustix::io::Errno::NOTDIR),
        Err(error) => Err(rustix::io::Errno::from_io_error(&error).unwrap_or(rustix::io::Errno::NOENT)),
    };
    found.map(|()| open).map_err(|error| {
        anyhow!(
            "The state file {} cannot be made or changed: its folder {} must exist and be writable ({error}); watchdog.state \
             names it.",
            path.display(),
            folder.display()
        )
    })
}

fn demand_writable_file(path: &Path, metadata: &Metadata) -> Result<()> {
    let shown = path.display();
    if !metadata.is_file() {
        bail!("The state file {shown} is no file; name another one in watchdog.state.");
    }
    access(path, Access::READ_OK | Access::WRITE_OK).map_err(|error| {
        anyhow!("The state file {shown} may not be read and written ({error}); check its owner and mode.")
    })
}

/// Reading a database in WAL mode makes a log beside it; where there is none yet, SQLite is told that nothing changes.
fn open_as_it_is(path: &Path) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let db = if beside(path, "-wal").exists() {
        Connection::open_with_flags(path, flags)?
    } else {
        let escaped = path.to_string_lossy().replace('%', "%25").replace('?', "%3f").replace('#', "%23");
        Connection::open_with_flags(
            format!("file:{escaped}?immutable=1"),
            flags | OpenFlags::SQLITE_OPEN_URI,
        )?
    };
    db.busy_timeout(Duration::from_millis(BUSY_MS))?;
    Ok(db)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    fn names(folder: &Path) -> BTreeSet<String> {
        std::fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect()
    }

    fn folder() -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o700)).unwrap();
        folder
    }

    fn complaint(path: &Path) -> String {
        format!("{:#}", Store::examine(path).unwrap_err())
    }

    #[test]
    fn a_state_that_is_not_there_yet_is_not_made() {
        let folder = folder();
        let found = Store::examine(&folder.path().join("watchdog.db")).unwrap();
        assert_eq!(
            found,
            Examined { exists: false, holder: None, readable_by_all: false, open_folder: None }
        );
        assert_eq!(names(folder.path()), BTreeSet::new());
    }

    #[test]
    fn an_open_state_has_a_holder_and_a_closed_one_is_left_as_it_is() {
        let folder = folder();
        // The characters mean something in a URI.
        let path = folder.path().join("50%25?#.db");
        let open = Store::open(&path, "bresse8").unwrap();
        let holder = Store::examine(&path).unwrap().holder.unwrap();
        assert_eq!(holder, format!("process {} (bresse8)", std::process::id()));
        drop(open);
        let before = names(folder.path());
        let found = Store::examine(&path).unwrap();
        assert_eq!(found, Examined { exists: true, holder: None, readable_by_all: false, open_folder: None });
        assert_eq!(names(folder.path()), before);
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
        assert!(Store::examine(&path).unwrap().readable_by_all);
        for (mode, open) in [(0o755, Some(0o755)), (0o750, None), (0o701, Some(0o701)), (0o700, None)] {
            std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(mode)).unwrap();
            assert_eq!(Store::examine(&path).unwrap().open_folder, open, "{mode:o}");
        }
    }

    #[test]
    fn what_cannot_be_the_state_is_told() {
        let folder = folder();
        let path = folder.path().join("other.db");
        assert!(complaint(folder.path()).contains("is no file"));
        assert!(complaint(&folder.path().join("missing/watchdog.db")).contains("must exist"));
        std::fs::write(&path, "This is a letter to my aunt.".repeat(100)).unwrap();
        assert!(complaint(&path).contains("no SQLite database"), "{}", complaint(&path));
        assert!(complaint(&path.join("watchdog.db")).contains("must exist"));
        std::fs::remove_file(&path).unwrap();
        Connection::open(&path).unwrap().execute_batch("CREATE TABLE t (a)").unwrap();
        assert!(complaint(&path).contains("database of another program"), "{}", complaint(&path));
    }
}
