//! Faults that tests script while the server runs.

use std::time::Duration;

use crate::testbed::faults::Faults;

/// Something that goes wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SmtpFault {
    /// This reply (4xx temporary, 5xx permanent) instead of the proper one; nothing is kept.
    Reply { at: Stage, code: u16, text: String },
    /// No reply, while the connection stays open; nothing is kept.
    Hang { at: Stage },
    /// The connection ends without a reply; nothing is kept.
    Drop { at: Stage },
    /// The mail is kept, but its sender never hears of it: the connection ends before the 250.
    AcceptThenDrop,
    /// The mail is kept, but the 250 never comes while the connection stays open.
    AcceptThenHang,
    /// A pause before each reply.
    Slow { pause: Duration },
}

/// Where a session stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    Greeting,
    /// EHLO or HELO.
    Hello,
    StartTls,
    Auth,
    Mail,
    Rcpt,
    /// The command DATA, before the mail is sent.
    Data,
    /// The final dot, after the mail was sent.
    Dot,
}

/// What happens instead of the proper reply.
pub(super) enum Instead {
    Reply(u16, String),
    Hang,
    Drop,
}

impl Faults<SmtpFault> {
    pub(super) fn at(&self, stage: Stage) -> Option<Instead> {
        self.take(|fault| match fault {
            SmtpFault::Reply { at, code, text } if *at == stage => Some(Instead::Reply(*code, text.clone())),
            SmtpFault::Hang { at } if *at == stage => Some(Instead::Hang),
            SmtpFault::Drop { at } if *at == stage => Some(Instead::Drop),
            _ => None,
        })
    }

    /// What happens to a mail that was accepted and kept.
    pub(super) fn after_acceptance(&self) -> Option<Instead> {
        self.take(|fault| match fault {
            SmtpFault::AcceptThenDrop => Some(Instead::Drop),
            SmtpFault::AcceptThenHang => Some(Instead::Hang),
            _ => None,
        })
    }

    pub(super) fn pause(&self) -> Option<Duration> {
        self.take(|fault| match fault {
            SmtpFault::Slow { pause } => Some(*pause),
            _ => None,
        })
    }
}
