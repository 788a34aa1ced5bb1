//! What a disk was told, in order, and what it may hold when the power goes at one instant.

use std::collections::BTreeMap;
use std::path::Path;

use fastrand::Rng;

/// What a disk writes whole or not at all.
const SECTOR_BYTES: usize = 512;
const HEAD_BYTES: usize = 18;

/// One of the files of a state: `m` itself, `w` its -wal, `j` its -journal; `d` their folder.
type File = char;

#[derive(Debug)]
pub(crate) enum Operation {
    Create,
    Write { offset: usize, bytes: Vec<u8> },
    Truncate { length: usize },
    Sync,
    Unlink,
}

#[derive(Debug)]
pub(crate) struct Step {
    file: File,
    pub(crate) operation: Operation,
    /// How long the record was when this had been done.
    pub(crate) mark: u64,
}

/// Reads what `disk.c` has written.
pub(crate) fn steps(record: &[u8]) -> Vec<Step> {
    let mut steps = Vec::new();
    let mut rest = record;
    while let Some((head, after)) = rest.split_at_checked(HEAD_BYTES) {
        let number = |from: usize| {
            usize::try_from(u64::from_le_bytes(head[from..from + 8].try_into().unwrap())).unwrap()
        };
        let (offset, length) = (number(2), number(10));
        rest = &after[if head[0] == b'W' { length } else { 0 }..];
        let operation = match head[0] {
            b'C' => Operation::Create,
            b'W' => Operation::Write { offset, bytes: after[..length].to_vec() },
            b'T' => Operation::Truncate { length: offset },
            b'S' => Operation::Sync,
            b'U' => Operation::Unlink,
            other => panic!("the record holds the operation {other}"),
        };
        let mark = u64::try_from(record.len() - rest.len()).unwrap();
        steps.push(Step { file: char::from(head[1]), operation, mark });
    }
    assert!(rest.is_empty(), "the record ends in the middle of a step");
    steps
}

/// What becomes of that which no sync had made certain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unsynced {
    Lost,
    Written,
    /// Some of it, sector by sector, in no order; and of what happened to names, the first so many.
    Torn,
}

/// A file under whatever name.
#[derive(Default)]
struct Inode {
    durable: Vec<u8>,
    /// Indices of steps.
    pending: Vec<usize>,
}

/// A disk that is told one step after the other.
#[derive(Default)]
pub(crate) struct Disk {
    inodes: Vec<Inode>,
    names: BTreeMap<File, usize>,
    durable_names: BTreeMap<File, usize>,
    /// What happened to names since the folder was synced.
    pending_names: Vec<(File, Option<usize>)>,
}

impl Disk {
    /// `number` is that of the step in `steps`.
    pub(crate) fn take(&mut self, steps: &[Step], number: usize) {
        let step = &steps[number];
        match (&step.operation, step.file) {
            (Operation::Sync, 'd') => {
                self.pending_names.clear();
                self.durable_names = self.names.clone();
            }
            (Operation::Create, file) => {
                self.inodes.push(Inode::default());
                self.names.insert(file, self.inodes.len() - 1);
                self.pending_names.push((file, Some(self.inodes.len() - 1)));
            }
            (Operation::Unlink, file) => {
                self.names.remove(&file);
                self.pending_names.push((file, None));
            }
            (Operation::Sync, file) => {
                let inode = &mut self.inodes[self.names[&file]];
                for number in std::mem::take(&mut inode.pending) {
                    apply(&mut inode.durable, &steps[number].operation, |_| true);
                }
            }
            (_, file) => self.inodes[self.names[&file]].pending.push(number),
        }
    }

    /// What the disk holds after the power went; no entry for a file that is not there.
    pub(crate) fn after_power_loss(
        &self,
        steps: &[Step],
        unsynced: Unsynced,
        random: &mut Rng,
    ) -> BTreeMap<File, Vec<u8>> {
        let happened = match unsynced {
            Unsynced::Lost => 0,
            Unsynced::Written => self.pending_names.len(),
            Unsynced::Torn => random.usize(0..=self.pending_names.len()),
        };
        let mut names = self.durable_names.clone();
        for (file, inode) in &self.pending_names[..happened] {
            match inode {
                Some(inode) => names.insert(*file, *inode),
                None => names.remove(file),
            };
        }
        names.into_iter().map(|(file, inode)| (file, self.content(inode, steps, unsynced, random))).collect()
    }

    fn content(&self, inode: usize, steps: &[Step], unsynced: Unsynced, random: &mut Rng) -> Vec<u8> {
        let Inode { durable, pending } = &self.inodes[inode];
        let mut bytes = durable.clone();
        if unsynced != Unsynced::Lost {
            for number in pending {
                apply(&mut bytes, &steps[*number].operation, |_| {
                    unsynced == Unsynced::Written || random.bool()
                });
            }
        }
        bytes
    }
}

/// `chosen` says of each sector whether it was written.
fn apply(to: &mut Vec<u8>, operation: &Operation, mut chosen: impl FnMut(usize) -> bool) {
    match operation {
        Operation::Write { offset, bytes } => {
            for (sector, part) in bytes.chunks(SECTOR_BYTES).enumerate() {
                if chosen(sector) {
                    let start = offset + sector * SECTOR_BYTES;
                    let end = start + part.len();
                    if to.len() < end {
                        to.resize(end, 0);
                    }
                    to[start..end].copy_from_slice(part);
                }
            }
        }
        Operation::Truncate { length } if chosen(0) => to.resize(*length, 0),
        _ => {}
    }
}

/// Lays the files of a state out at this path, and nothing else.
pub(crate) fn lay_out(files: &BTreeMap<File, Vec<u8>>, state: &Path) {
    for (file, ending) in [('m', ""), ('w', "-wal"), ('j', "-journal")] {
        let path = format!("{}{ending}", state.display());
        let _ = std::fs::remove_file(&path);
        if let Some(bytes) = files.get(&file) {
            std::fs::write(&path, bytes).unwrap();
        }
    }
    let _ = std::fs::remove_file(format!("{}-shm", state.display()));
}
