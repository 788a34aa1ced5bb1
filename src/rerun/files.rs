//! Mails in files: a Maildir, a folder of `.eml` files, or an mbox file.
//!
//! A file does not tell when its mail was received. Its newest `Received` line does, or else the name of a Maildir's file,
//! or else its own `Date`.

use std::fs::{File, OpenOptions};
use std::io::{BufReader, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use rustix::fs::OFlags;

use super::mails::Mails;
use super::mbox;
use crate::mail::{self, RawMail};
use crate::time::Time;

/// As of a mail in a mailbox: so much of each is read.
const MAIL_BYTES_MAX: usize = 1 << 20;
/// Folders inside one another.
const DEPTH_MAX: usize = 8;
/// Entries of all folders together, whatever they are.
const ENTRIES_MAX: usize = 2_000_000;

/// What was not read, and why.
#[derive(Debug, Default)]
struct LeftOut {
    /// Links, and files that are no mails by their name.
    others: usize,
    unreadable: usize,
    first_unreadable: Option<String>,
    undated: usize,
}

/// Reads every mail of `path` into `mails`, and returns what was left out, one sentence each.
///
/// # Errors
/// When it is no folder and no mbox file, or cannot be read, or holds more than can be held.
pub fn read(path: &Path, mailbox: &str, mails: &mut Mails<'_>) -> Result<Vec<String>> {
    let mut left_out = LeftOut::default();
    let metadata = std::fs::metadata(path).with_context(|| format!("{} cannot be read", path.display()))?;
    if metadata.is_dir() {
        let mut files = Vec::new();
        let mut room = ENTRIES_MAX;
        list(path, 0, &mut room, &mut files, &mut left_out)
            .with_context(|| format!("The folder {} cannot be read", path.display()))?;
        files.sort();
        for file in files {
            match read_file(&file) {
                Ok((bytes, truncated)) => {
                    take(bytes, truncated, maildir_time(&file), mailbox, mails, &mut left_out)?;
                }
                Err(error) => left_out.unreadable(&file, &error),
            }
        }
    } else {
        let file = open(path).with_context(|| format!("{} cannot be read", path.display()))?;
        mbox::split(BufReader::new(file), MAIL_BYTES_MAX, |entry| {
            take(entry.bytes, entry.truncated, None, mailbox, mails, &mut left_out)
        })
        .with_context(|| format!("{} cannot be judged", path.display()))?;
    }
    Ok(left_out.sentences())
}

/// The files of a folder, and of those inside it, that may be mails. Links are not followed.
fn list(
    folder: &Path,
    depth: usize,
    room: &mut usize,
    files: &mut Vec<PathBuf>,
    left_out: &mut LeftOut,
) -> Result<()> {
    let is_maildir = folder.join("cur").is_dir() && folder.join("new").is_dir();
    // What lies in tmp is still being written (maildir(5)).
    let inner = |name: &str| if is_maildir { matches!(name, "cur" | "new") } else { true };
    let in_maildir = folder.file_name().is_some_and(|name| name == "cur" || name == "new");
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        *room = room.checked_sub(1).with_context(|| format!("more than {ENTRIES_MAX} entries"))?;
        let (path, kind) = (entry.path(), entry.file_type()?);
        let is_mail = in_maildir || path.extension().is_some_and(|end| end.eq_ignore_ascii_case("eml"));
        let name = entry.file_name();
        if kind.is_dir() && depth < DEPTH_MAX && name.to_str().is_some_and(inner) {
            if let Err(error) = list(&path, depth + 1, room, files, left_out) {
                left_out.unreadable(&path, &error);
            }
        } else if kind.is_file() && is_mail {
            files.push(path);
        } else if !kind.is_dir() {
            left_out.others += 1;
        }
    }
    Ok(())
}

fn open(path: &Path) -> Result<File> {
    // A named pipe would wait for a writer.
    let flags = i32::try_from(OFlags::NONBLOCK.bits())?;
    let file = OpenOptions::new().read(true).custom_flags(flags).open(path)?;
    if !file.metadata()?.is_file() {
        bail!("it is no file");
    }
    Ok(file)
}

fn read_file(path: &Path) -> Result<(Vec<u8>, bool)> {
    let mut bytes = Vec::new();
    open(path)?.take(MAIL_BYTES_MAX as u64 + 1).read_to_end(&mut bytes)?;
    let truncated = bytes.len() > MAIL_BYTES_MAX;
    bytes.truncate(MAIL_BYTES_MAX);
    Ok((bytes, truncated))
}

fn take(
    bytes: Vec<u8>,
    truncated: bool,
    named: Option<Time>,
    mailbox: &str,
    mails: &mut Mails<'_>,
    left_out: &mut LeftOut,
) -> Result<()> {
    let mail = mail::parse(&bytes, truncated);
    let Some(received) = mail.received.first().and_then(|hop| hop.at).or(named).or(mail.sent) else {
        left_out.undated += 1;
        return Ok(());
    };
    let raw = RawMail { uid: 0, internal_date: Some(received), seen: received, bytes, truncated };
    mails.take(&raw, mailbox)
}

/// When a mail was delivered: its file's name begins with it (maildir(5)).
fn maildir_time(path: &Path) -> Option<Time> {
    let digits = path.file_name()?.to_str()?.split(['.', '_']).next()?;
    Time::from_timestamp(digits.parse().ok().filter(|_| digits.len() >= 9)?, 0)
}

impl LeftOut {
    fn unreadable(&mut self, path: &Path, error: &anyhow::Error) {
        self.unreadable += 1;
        self.first_unreadable.get_or_insert_with(|| format!("{}: {error:#}", path.display()));
    }

    fn sentences(&self) -> Vec<String> {
        let mut sentences = Vec::new();
        if let Some(first) = &self.first_unreadable {
            sentences.push(format!("Could not be read: {} (first {first}).", self.unreadable));
        }
        if self.undated > 0 {
            sentences.push(format!("Mails without any date, left out: {}.", self.undated));
        }
        if self.others > 0 {
            sentences.push(format!("Files and links that are no .eml files, left out: {}.", self.others));
        }
        sentences
    }
}
