//! Raw mail → what is kept of it: parsed, understood, and with a key by which a second copy is known. Pure.

use sha2::{Digest, Sha256};

use crate::imap::RawMail;
use crate::ledger::Observation;
use crate::mail::{self, Mail};
use crate::report::{Roster, understand};
use crate::time::Time;

/// What is kept of texts that strangers wrote.
const STRANGERS_TEXT_MAX: usize = 200;
/// What is kept of a message's own identifier.
const MESSAGE_ID_MAX: usize = 250;

/// Tells a mail from every other, wherever and however often it is read: its date, so that neighbours in time are
/// neighbours in an index, and a hash of what identifies it.
pub type Key = [u8; 16];

/// One mail, ready to be stored and observed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Taken {
    pub key: Key,
    pub uid: u32,
    pub message_id: Option<String>,
    pub subject: String,
    pub sender: Option<String>,
    pub recipient: Option<String>,
    pub observation: Observation,
}

/// Reads one mail of `mailbox`.
pub fn take_in(raw: &RawMail, mailbox: &str, roster: &Roster) -> Taken {
    let mail = mail::parse(&raw.bytes, raw.truncated);
    let received = raw.received();
    Taken {
        key: key(&mail, received),
        uid: raw.uid,
        message_id: mail.message_id.as_deref().map(|id| cut(id, MESSAGE_ID_MAX)),
        subject: cut(&mail.subject, STRANGERS_TEXT_MAX),
        sender: mail.from.as_deref().map(|from| cut(from, STRANGERS_TEXT_MAX)),
        recipient: mail.recipients.first().map(|first| cut(first, STRANGERS_TEXT_MAX)),
        observation: Observation {
            mailbox: mailbox.to_owned(),
            received,
            seen: raw.seen,
            mail: understand(mail, roster),
        },
    }
}

/// Message-ID alone is not enough: a sender that repeats one must not look like a dead one.
pub(crate) fn key(mail: &Mail, received: Time) -> Key {
    let mut hash = Sha256::new();
    let mut add = |part: &str| {
        hash.update((part.len() as u64).to_le_bytes());
        hash.update(part.as_bytes());
    };
    add(mail.message_id.as_deref().unwrap_or_default());
    add(mail.from.as_deref().unwrap_or_default());
    add(&mail.subject);
    if mail.message_id.is_none() {
        mail.recipients.iter().for_each(|recipient| add(recipient));
        mail.texts.iter().for_each(|text| add(text));
    }
    // A mail without a date of its own is known by its receipt, which a copied mailbox keeps.
    let time = mail.sent.unwrap_or(received).timestamp();
    let mut key = [0; 16];
    let (date, rest) = key.split_at_mut(8);
    date.copy_from_slice(&time.to_be_bytes());
    rest.iter_mut().zip(hash.finalize()).for_each(|(to, from)| *to = from);
    key
}

fn cut(text: &str, chars: usize) -> String {
    text.chars().take(chars).collect()
}
