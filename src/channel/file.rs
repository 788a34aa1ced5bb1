//! JSON lines added to a file: for another program to read, or for the record.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use rustix::fs::{Access, OFlags};

use crate::outbox::{Message, Sent};
use crate::payload::everything;

/// Tries once to add a message. The file is opened anew each time, so that it may be moved away in between.
pub(super) async fn deliver(path: &Path, message: &Message) -> Sent {
    let line = format!("{}\n", everything(message)).into_bytes();
    let (owned, shown) = (path.to_owned(), path.display());
    match tokio::task::spawn_blocking(move || append(&owned, &line)).await {
        Ok(Ok(())) => Sent::Accepted(format!("written to {shown}")),
        Ok(Err(error)) => {
            Sent::failed(format!("{shown} cannot be written ({error}); check path and its owner"))
        }
        Err(error) => Sent::failed(format!("writing to {shown} broke off ({error})")),
    }
}

/// Whether it could be written, or made. Changes nothing.
///
/// # Errors
/// One sentence that says what is wrong and what to do.
pub(super) fn probe(path: &Path) -> Result<(), String> {
    let shown = path.display();
    let (place, access) = match path.metadata() {
        Ok(found) if !found.is_file() => return Err(format!("{shown} is not a regular file; check path")),
        Ok(_) => (path.to_owned(), Access::READ_OK | Access::WRITE_OK),
        Err(_) => (folder_of(path), Access::WRITE_OK | Access::EXEC_OK),
    };
    rustix::fs::access(&place, access)
        .map_err(|error| format!("{} cannot be written ({error}); check path and its owner", place.display()))
}

fn folder_of(path: &Path) -> PathBuf {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder.to_owned(),
        _ => PathBuf::from("."),
    }
}

fn append(path: &Path, line: &[u8]) -> io::Result<()> {
    let mut file = OpenOptions::new()
        .read(true)
        .append(true)
        .create(true)
        .mode(0o600)
        // Opening a pipe that nobody reads would wait for ever.
        .custom_flags(i32::try_from(OFlags::NONBLOCK.bits()).unwrap_or_default())
        .open(path)?;
    let found = file.metadata()?;
    if !found.is_file() {
        return Err(io::Error::other("it is not a regular file"));
    }
    let length = found.len();
    // A power cut may have left half a line.
    let whole = if ends_a_line(&mut file, length)? { line.to_vec() } else { [b"\n", line].concat() };
    if let Err(error) = file.write_all(&whole).and_then(|()| file.sync_all()) {
        // A full disk: half of a line is of no use.
        let _ = file.set_len(length);
        return Err(error);
    }
    if length == 0 {
        // The name of a new file lasts only when its folder is written too.
        File::open(folder_of(path))?.sync_all()?;
    }
    Ok(())
}

fn ends_a_line(file: &mut File, length: u64) -> io::Result<bool> {
    if length == 0 {
        return Ok(true);
    }
    let mut last = [0];
    file.seek(SeekFrom::Start(length - 1))?;
    file.read_exact(&mut last)?;
    Ok(last == *b"\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::outbox::Kind;
    use crate::payload::tests::{linked, message};
    use std::os::unix::fs::PermissionsExt;

    fn lines(path: &Path) -> Vec<serde_json::Value> {
        let text = std::fs::read_to_string(path).unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    #[tokio::test]
    async fn each_message_is_a_line_that_only_the_owner_reads() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("alarms.jsonl");
        let (first, second) = (linked(), message(Kind::Recovery));
        assert!(matches!(deliver(&path, &first).await, Sent::Accepted(_)));
        assert!(matches!(deliver(&path, &second).await, Sent::Accepted(_)));
        assert_eq!(lines(&path), [everything(&first), everything(&second)]);
        assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600);
        let moved = folder.path().join("alarms.jsonl.1");
        std::fs::rename(&path, &moved).unwrap();
        assert!(matches!(deliver(&path, &second).await, Sent::Accepted(_)));
        assert_eq!((lines(&moved).len(), lines(&path).len()), (2, 1));
    }

    #[tokio::test]
    async fn half_a_line_that_was_left_spoils_no_other() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("alarms.jsonl");
        std::fs::write(&path, "{\"id\":").unwrap();
        assert!(matches!(deliver(&path, &linked()).await, Sent::Accepted(_)));
        let text = std::fs::read_to_string(&path).unwrap();
        let last: serde_json::Value = serde_json::from_str(text.lines().last().unwrap()).unwrap();
        assert_eq!(last, everything(&linked()));
    }

    #[tokio::test]
    async fn what_cannot_be_written_is_said_by_both() {
        let folder = tempfile::tempdir().unwrap();
        let pipe = folder.path().join("pipe");
        rustix::fs::mknodat(rustix::fs::CWD, &pipe, rustix::fs::FileType::Fifo, 0o600.into(), 0).unwrap();
        for path in [folder.path().to_owned(), folder.path().join("no/such/folder"), pipe] {
            let sent = deliver(&path, &linked()).await;
            assert!(matches!(sent, Sent::Failed { .. }), "{path:?} {sent:?}");
            assert!(probe(&path).is_err(), "{path:?}");
        }
        assert_eq!(probe(&folder.path().join("new")), Ok(()));
        assert!(!folder.path().join("new").exists(), "a probe changes nothing");
    }
}
