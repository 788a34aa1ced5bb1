//! `NAME.dead`: a file for each checker and service that is down, in a folder of their own, for scripts that know no HTTP.
//!
//! They stay when the daemon ends: what was dead is not well because nobody looks. The next start puts them right.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, DirBuilder, OpenOptions, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::task::JoinHandle;

use crate::clock;
use crate::sha256::sha256;
use crate::text::hex;
use crate::web::{Picture, Viewer};

/// Between two looks at what is down.
const EVERY: Duration = Duration::from_secs(2);
const SUFFIX: &str = ".dead";
/// Of a name as it stands in a file's name; file systems allow 255 bytes with the suffix.
const NAME_BYTES_MAX: usize = 200;
/// Somebody else's files in the folder are passed over up to this number.
const ENTRIES_MAX: usize = 100_000;
const TEMPORARY: &str = ".bresse-watchdog.tmp";

/// By the file's name, what stands in it.
type Files = BTreeMap<String, String>;

/// Keeps the folder right as long as it lives.
pub(crate) struct DeadFiles {
    task: JoinHandle<()>,
}

impl DeadFiles {
    pub(crate) fn keep(folder: PathBuf, pictures: Viewer) -> Self {
        Self { task: tokio::spawn(keep(folder, pictures)) }
    }
}

impl Drop for DeadFiles {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn keep(folder: PathBuf, pictures: Viewer) {
    let (mut written, mut failing) = (Files::new(), false);
    loop {
        // A daemon that is stuck has nothing new to say.
        if let Ok(picture) = pictures.fresh(clock::now()).await {
            let (wanted, place, known) = (files(&picture), folder.clone(), std::mem::take(&mut written));
            let updated = tokio::task::spawn_blocking(move || {
                let done = update(&place, &wanted, &known);
                (done, wanted)
            });
            match updated.await {
                Ok((Ok(()), wanted)) => (written, failing) = (wanted, false),
                Ok((Err(error), _)) if !failing => {
                    failing = true;
                    let folder = folder.display();
                    tracing::warn!(%folder, %error, "the folder of [dead_files] cannot be kept; see to its owner");
                }
                Ok((Err(_), _)) => {}
                Err(error) => tracing::error!(%error, "the folder of [dead_files] could not be kept"),
            }
        }
        tokio::time::sleep(EVERY).await;
    }
}

fn files(picture: &Picture) -> Files {
    let mut files = Files::new();
    for line in picture.board.dead() {
        // A checker and a service may have the same name.
        let text = files.entry(file_name(&line.name)).or_default();
        text.push_str(&format!("{}: {}\n", line.name, line.why));
    }
    files
}

/// Letters, digits, `_`, `-` and `.` as they are, everything else as `%` and two hexadecimal digits for each byte.
fn file_name(name: &str) -> String {
    let mut safe = String::new();
    for (place, byte) in name.bytes().enumerate() {
        let plain =
            byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-') || (byte == b'.' && place > 0);
        match plain {
            true => safe.push(char::from(byte)),
            false => safe.push_str(&format!("%{byte:02X}")),
        }
    }
    if safe.len() > NAME_BYTES_MAX {
        safe.truncate(NAME_BYTES_MAX - 17);
        // No name that is short enough has a `~`.
        safe.push('~');
        safe.extend(hex(&sha256(name.as_bytes())).chars().take(16));
    }
    safe + SUFFIX
}

/// Makes the folder hold exactly the `wanted` files; what else lies there is left alone. `known` was written before.
fn update(folder: &Path, wanted: &Files, known: &Files) -> io::Result<()> {
    make(folder)?;
    let mut present = BTreeSet::new();
    for entry in fs::read_dir(folder)?.take(ENTRIES_MAX) {
        let entry = entry?;
        let Ok(name) = entry.file_name().into_string() else { continue };
        if !name.ends_with(SUFFIX) || entry.file_type()?.is_dir() {
            continue;
        }
        match wanted.contains_key(&name) {
            true => drop(present.insert(name)),
            false => fs::remove_file(entry.path())?,
        }
    }
    for (name, text) in wanted {
        if !present.contains(name) || known.get(name) != Some(text) {
            write(folder, name, text)?;
        }
    }
    Ok(())
}

/// For everybody to look into, also where the process makes nothing for others by itself (`UMask=0077`).
fn make(folder: &Path) -> io::Result<()> {
    if folder.is_dir() {
        return Ok(());
    }
    DirBuilder::new().recursive(true).mode(0o755).create(folder)?;
    fs::set_permissions(folder, Permissions::from_mode(0o755))
}

/// Whoever reads sees all of it or nothing.
fn write(folder: &Path, name: &str, text: &str) -> io::Result<()> {
    let temporary = folder.join(TEMPORARY);
    match fs::remove_file(&temporary) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = OpenOptions::new().write(true).create_new(true).open(&temporary)?;
    file.write_all(text.as_bytes())?;
    file.set_permissions(Permissions::from_mode(0o644))?;
    fs::rename(&temporary, folder.join(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wanted(pairs: &[(&str, &str)]) -> Files {
        pairs.iter().map(|(name, text)| (file_name(name), (*text).to_owned())).collect()
    }

    fn present(folder: &Path) -> Vec<String> {
        let names =
            fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let mut names: Vec<String> = names.collect();
        names.sort();
        names
    }

    #[test]
    fn a_name_leads_nowhere_but_into_the_folder() {
        assert_eq!(file_name("bresse3"), "bresse3.dead");
        assert_eq!(file_name("MSSQL1_Service v1.2"), "MSSQL1_Service%20v1.2.dead");
        assert_eq!(file_name("../../etc/passwd"), "%2E./../etc/passwd.dead".replace('/', "%2F"));
        assert_eq!(file_name("\u{0}é%"), "%00%C3%A9%25.dead");
        let (one, other) = ("é".repeat(100) + "1", "é".repeat(100) + "2");
        assert!(file_name(&one).len() <= 255 && file_name(&one) != file_name(&other));
    }

    #[test]
    fn the_folder_holds_what_is_dead_and_what_others_put_there() {
        let place = tempfile::tempdir().unwrap();
        let folder = place.path().join("made/by/us");
        fs::create_dir_all(&folder).unwrap();
        for name in ["old.dead", "notes.txt", TEMPORARY] {
            fs::write(folder.join(name), "before").unwrap();
        }
        fs::create_dir(folder.join("folder.dead")).unwrap();
        let first = wanted(&[("bresse3", "bresse3: is silent\n"), ("old", "old: is silent\n")]);
        update(&folder, &first, &Files::new()).unwrap();
        assert_eq!(present(&folder), ["bresse3.dead", "folder.dead", "notes.txt", "old.dead"]);
        assert_eq!(fs::read_to_string(folder.join("old.dead")).unwrap(), "old: is silent\n");

        // Somebody removes one; another says something new; a third has recovered.
        let second = wanted(&[("bresse3", "bresse3: is silent: junked\n"), ("b", "b\n")]);
        update(&folder, &second, &first).unwrap();
        fs::remove_file(folder.join("b.dead")).unwrap();
        update(&folder, &second, &second).unwrap();
        assert_eq!(present(&folder), ["b.dead", "bresse3.dead", "folder.dead", "notes.txt"]);
        assert!(fs::read_to_string(folder.join("bresse3.dead")).unwrap().contains("junked"));
        update(&folder, &Files::new(), &second).unwrap();
        assert_eq!(present(&folder), ["folder.dead", "notes.txt"]);
    }

    #[test]
    fn a_link_in_the_folder_is_never_written_through() {
        let place = tempfile::tempdir().unwrap();
        let victim = place.path().join("victim");
        fs::write(&victim, "mine").unwrap();
        let folder = place.path().join("dead");
        fs::create_dir(&folder).unwrap();
        for name in [TEMPORARY, "bresse3.dead"] {
            std::os::unix::fs::symlink(&victim, folder.join(name)).unwrap();
        }
        update(&folder, &wanted(&[("bresse3", "x\n")]), &Files::new()).unwrap();
        assert_eq!(fs::read_to_string(&victim).unwrap(), "mine");
        assert_eq!(fs::read_to_string(folder.join("bresse3.dead")).unwrap(), "x\n");
    }
}
