//! `disk.c`, built and put under the binary.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use crate::rig::{Daemon, Watchdog};
use crate::state::NAME;

/// Built once for all tests of this process.
fn library() -> &'static Path {
    static BUILT: OnceLock<(tempfile::TempDir, PathBuf)> = OnceLock::new();
    let build = || {
        let dir = tempfile::tempdir().unwrap();
        let library = dir.path().join("disk.so");
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/endurance/disk.c");
        let built = Command::new("cc")
            .args(["-shared", "-fPIC", "-O1", "-Wall", "-Werror", "-o"])
            .arg(&library)
            .arg(source)
            .status();
        assert!(
            built.is_ok_and(|status| status.success()),
            "cc is missing: run ./tests/run, which installs it"
        );
        (dir, library)
    };
    &BUILT.get_or_init(build).1
}

/// Where what the disk was told is recorded.
pub(crate) fn record_of(watchdog: &Watchdog) -> PathBuf {
    watchdog.path("disk.record")
}

/// Starts the daemon on a disk that may record, and fails as [`set_fault`] says. The state's path becomes absolute, as
/// `disk.c` knows it.
pub(crate) fn spawn_run(watchdog: &Watchdog, records: bool) -> Daemon {
    let config = watchdog.path("watchdog.toml");
    let named = format!("sqlite:{}\"", watchdog.path(NAME).display());
    let absolute = fs::read_to_string(&config).unwrap().replace("sqlite:watchdog.db\"", &named);
    fs::write(config, absolute).unwrap();
    let text = |path: PathBuf| path.to_str().unwrap().to_owned();
    let (state, record) = (text(watchdog.path(NAME)), text(record_of(watchdog)));
    let (library, fault) = (library().to_str().unwrap(), text(fault_of(watchdog)));
    let mut variables = vec![("LD_PRELOAD", library), ("DISK_STATE", &state), ("DISK_FAULT", &fault)];
    if records {
        variables.push(("DISK_RECORD", &record));
    }
    watchdog.spawn_run_with(&["run"], &variables)
}

fn fault_of(watchdog: &Watchdog) -> PathBuf {
    watchdog.path("disk.fault")
}

/// From now on this operation fails with this error number, or nothing does any more.
pub(crate) fn set_fault(watchdog: &Watchdog, fault: Option<(&str, i32)>) {
    let path = fault_of(watchdog);
    match fault {
        Some((operation, error)) => {
            let whole = path.with_extension("new");
            fs::write(&whole, format!("{operation} {error}")).unwrap();
            fs::rename(whole, path).unwrap();
        }
        None => fs::remove_file(path).unwrap(),
    }
}
