//! Holds the entries of a chain against each other, in their order.

use super::{Hash, Head, Value, digest, hex};

/// An entry as it is stored, whatever became of it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Row<'a> {
    pub seq: Value<'a>,
    pub at_ms: Value<'a>,
    pub kind: Value<'a>,
    pub about: Value<'a>,
    pub content: Value<'a>,
    pub hash: Value<'a>,
}

/// The first thing that is wrong with a chain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// The entry of this number is missing, but later ones are there.
    Removed(i64),
    /// There is one with a number that cannot be.
    Inserted(i64),
    /// What it says, or its hash, is not what was written.
    Altered(i64),
    /// The chain is whole, but is not the one whose head was kept.
    OtherHead { kept: Head, found: Hash },
    /// The chain ends before the head that was kept.
    CutOff { kept: Head, last: i64 },
    /// The chain is whole, but begins after the head that was kept, behind this entry.
    Before { kept: Head, from: i64 },
}

impl Fault {
    /// One sentence.
    pub fn sentence(&self) -> String {
        match self {
            Self::Removed(seq) => format!("Entry {seq} of the ledger was removed."),
            Self::Inserted(seq) => format!("Entry {seq} of the ledger was inserted: its number cannot be."),
            Self::Altered(seq) => format!(
                "Entry {seq} of the ledger was altered, or inserted: its hash does not follow from what it says and from \
                 the entry before it."
            ),
            Self::OtherHead { kept, found } => format!(
                "The ledger was written anew up to entry {}: its hash is {}, and {} was kept.",
                kept.seq,
                hex(found),
                hex(&kept.hash)
            ),
            Self::CutOff { kept, last } => format!(
                "Entry {} of the ledger was removed, and whatever followed up to the head that was kept, entry {}.",
                last + 1,
                kept.seq
            ),
            Self::Before { kept, from } => format!(
                "The ledger is whole from entry {} on, but whether it goes through entry {} cannot be told any more: what was \
                 before was taken away when it had been kept long enough.",
                from + 1,
                kept.seq
            ),
        }
    }
}

/// Follows a chain from its beginning, or from where it was cut.
#[derive(Debug, Clone)]
pub struct Chain {
    from: Head,
    head: Head,
    /// It has to go through this one.
    kept: Option<Head>,
}

impl Chain {
    /// From its beginning.
    pub fn new(kept: Option<Head>) -> Self {
        Self::behind(Head::EMPTY, kept)
    }

    /// `from` is the entry before the first one that is left.
    pub fn behind(from: Head, kept: Option<Head>) -> Self {
        Self { from, head: from, kept }
    }

    /// Takes in the next entry, in the order of `seq`.
    ///
    /// # Errors
    /// When it does not follow from the one before.
    pub fn take(&mut self, row: &Row<'_>) -> Result<(), Fault> {
        let expected = self.head.seq + 1;
        match row.seq {
            Value::Integer(seq) if seq == expected => {}
            Value::Integer(seq) if seq > expected => return Err(Fault::Removed(expected)),
            Value::Integer(seq) => return Err(Fault::Inserted(seq)),
            _ => return Err(Fault::Altered(expected)),
        }
        let hash =
            digest([Value::Blob(&self.head.hash), row.seq, row.at_ms, row.kind, row.about, row.content]);
        if row.hash != Value::Blob(&hash) {
            return Err(Fault::Altered(expected));
        }
        self.head = Head { seq: expected, hash };
        match self.kept.filter(|kept| kept.seq == expected && kept.hash != hash) {
            Some(kept) => Err(Fault::OtherHead { kept, found: hash }),
            None => Ok(()),
        }
    }

    /// The last entry so far.
    pub fn head(&self) -> Head {
        self.head
    }

    /// The head, when all entries were taken in.
    ///
    /// # Errors
    /// When the one that was kept was not among them.
    pub fn end(self) -> Result<Head, Fault> {
        match self.kept {
            Some(kept) if kept.seq > self.head.seq => Err(Fault::CutOff { kept, last: self.head.seq }),
            Some(kept) if kept.seq < self.from.seq => Err(Fault::Before { kept, from: self.from.seq }),
            Some(kept) if kept.seq == self.from.seq && kept.hash != self.from.hash => {
                Err(Fault::OtherHead { kept, found: self.from.hash })
            }
            _ => Ok(self.head),
        }
    }
}
