//! Faults that tests script while the server runs.

use std::time::Duration;

use crate::testbed::faults::Faults;
use crate::testbed::net::Manner;

/// Not a command, but faults can stand there: the first line after the connection is made.
pub const GREETING: &str = "GREETING";
/// Not a command, but faults can stand there: the moment IDLE would report a change.
pub const PUSH: &str = "PUSH";
/// The end of IDLE.
pub const DONE: &str = "DONE";

/// Something that goes wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// At a command, [`GREETING`], [`PUSH`] or [`DONE`]. See [`Fault::on`].
    On { command: String, answer: Answer },
    /// In the answer to a FETCH, when so many mails have been sent; at the full number, before the tagged answer.
    InFetch { after_mails: usize, answer: Answer },
    /// At most so many bytes per write, with a pause after each. Once: for one command's answer.
    Chunked { bytes: usize, pause: Duration },
    /// The connection ends when so many bytes of an answer are out; no fault when the answer is not longer.
    Cut { after_bytes: usize },
    /// `INTERNALDATE NIL` for this mail.
    NilInternalDate { uid: u32 },
    /// NIL instead of every part of this mail's body.
    NilBody { uid: u32 },
    /// The first body fetched is announced with this length; its own bytes follow, then nothing more.
    HugeLiteral { announced_bytes: u64 },
    /// Every user and password, or token, is wrong.
    LoginRefused,
    /// So many `EXISTS` before the `+` that answers IDLE, as Outlook sends them.
    IdleBurst { lines: usize },
    /// IDLE is accepted and ended properly, but never reports a change.
    IdleDead,
}

/// What comes instead of the proper answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// Tagged NO with this text.
    No(String),
    /// Tagged BAD with this text.
    Bad(String),
    /// Tagged NO in the words of Microsoft 365.
    Throttled { backoff_ms: u64 },
    /// `* BYE` with this text, then the connection ends.
    Bye(String),
    /// The connection ends without a word.
    Eof,
    /// Not a byte more, while the connection stays open.
    Stall,
    /// These bytes and no tagged answer; the session goes on.
    Bytes(Vec<u8>),
    /// This line, then the proper answer after all.
    Before(String),
}

impl Fault {
    /// `command` as it stands on the wire without arguments (`UID FETCH`, `LOGIN`), in any letter case.
    pub fn on(command: &str, answer: Answer) -> Self {
        Self::On { command: command.to_ascii_uppercase(), answer }
    }
}

impl Faults<Fault> {
    pub(super) fn on(&self, at: &str) -> Option<Answer> {
        self.take(|fault| match fault {
            Fault::On { command, answer } if command == at => Some(answer.clone()),
            _ => None,
        })
    }

    pub(super) fn in_fetch(&self, sent: usize) -> Option<Answer> {
        self.take(|fault| match fault {
            Fault::InFetch { after_mails, answer } if *after_mails == sent => Some(answer.clone()),
            _ => None,
        })
    }

    pub(super) fn manner(&self) -> Manner {
        let chunks = self.take(|fault| match fault {
            Fault::Chunked { bytes, pause } => Some((*bytes, *pause)),
            _ => None,
        });
        let cut_after = self.take(|fault| match fault {
            Fault::Cut { after_bytes } => Some(*after_bytes),
            _ => None,
        });
        Manner { chunks, cut_after }
    }

    pub(super) fn nil_internal_date(&self, uid: u32) -> bool {
        self.take_this(&Fault::NilInternalDate { uid })
    }

    pub(super) fn nil_body(&self, uid: u32) -> bool {
        self.take_this(&Fault::NilBody { uid })
    }

    pub(super) fn huge_literal(&self) -> Option<u64> {
        self.take(|fault| match fault {
            Fault::HugeLiteral { announced_bytes } => Some(*announced_bytes),
            _ => None,
        })
    }

    pub(super) fn login_refused(&self) -> bool {
        self.take_this(&Fault::LoginRefused)
    }

    pub(super) fn idle_burst(&self) -> usize {
        self.take(|fault| match fault {
            Fault::IdleBurst { lines } => Some(*lines),
            _ => None,
        })
        .unwrap_or(0)
    }

    pub(super) fn idle_dead(&self) -> bool {
        self.take_this(&Fault::IdleDead)
    }
}
