//! The audit chain: what was known when, in entries that each carry the hash of the one before. Pure.
//!
//! `docs/audit.md` says byte for byte what is hashed; this file is the same in code. An entry is never changed, and removed
//! at the front only, which is told: whoever kept one entry's hash elsewhere can prove that nothing else was.

mod configuration;
mod difference;
mod standing;
mod verify;

use std::fmt::{self, Display, Formatter};
use std::str::FromStr;

pub use configuration::Judged;
pub(crate) use difference::changed;
pub use standing::{Disbelieved, FindingThen, ServiceThen, Standing};
pub use verify::{Chain, Fault, Row};

use crate::sha256::sha256;

/// Most rows are shorter, as they are encoded for hashing.
const ROW_BYTES_USUAL: usize = 512;

/// What links an entry to those before it: SHA-256.
pub type Hash = [u8; 32];

/// A value as SQLite knows it, for hashing.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Value<'a> {
    Null,
    Integer(i64),
    /// As stored; a damaged one need not be UTF-8.
    Text(&'a [u8]),
    Blob(&'a [u8]),
    /// No column of ours is one: it comes from damage only.
    Real(f64),
}

impl Value<'_> {
    /// Its type and, where it has one, its length before it.
    fn encode(self, to: &mut Vec<u8>) {
        let mut sized = |tag: u8, bytes: &[u8]| {
            to.push(tag);
            to.extend_from_slice(&(bytes.len() as u64).to_be_bytes());
            to.extend_from_slice(bytes);
        };
        match self {
            Value::Null => to.push(b'n'),
            Value::Integer(number) => {
                to.push(b'i');
                to.extend_from_slice(&number.to_be_bytes());
            }
            Value::Text(bytes) => sized(b't', bytes),
            Value::Blob(bytes) => sized(b'b', bytes),
            Value::Real(number) => {
                to.push(b'r');
                to.extend_from_slice(&number.to_be_bytes());
            }
        }
    }
}

/// SHA-256 over these values, each with its type and, where it has one, its length before it.
pub fn digest<'a>(values: impl IntoIterator<Item = Value<'a>>) -> Hash {
    let mut encoded = Vec::with_capacity(ROW_BYTES_USUAL);
    values.into_iter().for_each(|value| value.encode(&mut encoded));
    sha256(&encoded)
}

/// What an entry tells of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A process began to watch, or carried out an order.
    Start,
    Stop,
    /// What is judged by from now on, without any secret.
    Configuration,
    /// Reports that were kept: the hash of each row.
    Reports,
    /// What the table says of a checker from now on.
    Checker,
    /// A row about an incident was written.
    Incident,
    /// What happened to an incident: opened, announced, acknowledged, resolved, closed.
    Step,
    /// A message left the outbox, with the far side's answer.
    Delivery,
    /// A person silenced something, or ended that.
    Silence,
    /// Nobody looked into a mailbox between these times.
    Gap,
    /// The contents of mails were pruned, up to this report.
    Prune,
    /// All that is in force was told again, from this entry on: what was before is not needed to know it.
    Basis,
    /// The entries up to this one, and the rows that only they tell of, were taken away.
    Cut,
}

impl Kind {
    /// The word in the column `kind`.
    pub fn word(self) -> &'static str {
        match self {
            Self::Start => "start",
            Self::Stop => "stop",
            Self::Configuration => "configuration",
            Self::Reports => "reports",
            Self::Checker => "checker",
            Self::Incident => "incident",
            Self::Step => "step",
            Self::Delivery => "delivery",
            Self::Silence => "silence",
            Self::Gap => "gap",
            Self::Prune => "prune",
            Self::Basis => "basis",
            Self::Cut => "cut",
        }
    }
}

/// What the shell has to say to the chain beyond what the core changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Note {
    pub kind: Kind,
    /// JSON.
    pub content: String,
}

impl Note {
    /// A process of this version begins.
    pub fn start(version: &str) -> Self {
        Self { kind: Kind::Start, content: serde_json::json!({ "version": version }).to_string() }
    }

    /// It ends as it should.
    pub fn stop() -> Self {
        Self { kind: Kind::Stop, content: "{}".to_owned() }
    }

    /// This is judged by from now on.
    pub fn configuration(judged: &Judged) -> Self {
        Self { kind: Kind::Configuration, content: judged.text() }
    }
}

/// The last entry of a chain: kept elsewhere, it proves that nothing up to it was changed or cut off.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Head {
    /// 0 before the first entry.
    pub seq: i64,
    pub hash: Hash,
}

impl Head {
    /// Of a chain without entries.
    pub const EMPTY: Self = Self { seq: 0, hash: [0; 32] };

    /// The head after one more entry.
    #[must_use]
    pub fn followed_by(self, at_ms: i64, kind: &str, about: &str, content: &str) -> Self {
        let seq = self.seq + 1;
        let hash = digest([
            Value::Blob(&self.hash),
            Value::Integer(seq),
            Value::Integer(at_ms),
            Value::Text(kind.as_bytes()),
            Value::Text(about.as_bytes()),
            Value::Text(content.as_bytes()),
        ]);
        Self { seq, hash }
    }
}

/// `17:3f…`
impl Display for Head {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.seq, hex(&self.hash))
    }
}

impl FromStr for Head {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parsed = text.trim().split_once(':').and_then(|(seq, hash)| {
            let seq = seq.parse().ok().filter(|seq| *seq > 0)?;
            Some(Self { seq, hash: unhex(hash)? })
        });
        parsed.ok_or_else(|| {
            "write it as `audit head` prints it: a number, a colon, 64 hexadecimal digits".to_owned()
        })
    }
}

const DIGITS: &[u8; 16] = b"0123456789abcdef";

/// In lower case.
pub fn hex(hash: &Hash) -> String {
    let mut text = String::with_capacity(64);
    push_hex(&mut text, hash);
    text
}

/// [`hex`], at the end of `text`.
pub(crate) fn push_hex(text: &mut String, hash: &Hash) {
    let digit = |value: u8| DIGITS.get(usize::from(value)).copied().unwrap_or_default();
    let mut digits = [0; 64];
    for (pair, byte) in digits.chunks_exact_mut(2).zip(hash) {
        pair.copy_from_slice(&[digit(byte >> 4), digit(byte & 15)]);
    }
    text.push_str(std::str::from_utf8(&digits).unwrap_or_default());
}

/// The hash of 64 hexadecimal digits.
pub fn unhex(text: &str) -> Option<Hash> {
    let digits: Option<Vec<u32>> = text.chars().map(|digit| digit.to_digit(16)).collect();
    let bytes: Vec<u8> = digits?
        .chunks(2)
        .map(|pair| pair.iter().fold(0, |byte, digit| byte << 4 | u8::try_from(*digit).unwrap_or_default()))
        .collect();
    (text.len() == 64).then(|| Hash::try_from(bytes).ok()).flatten()
}

/// What is left in `content` of a report whose content was pruned: this, and the hash of what stood in `content` and `hops`.
pub const PRUNED: &str = "pruned:";

/// The hash of what may be pruned of a report.
pub fn body_digest(content: &[u8], hops: &[u8]) -> Hash {
    digest([Value::Text(content), Value::Text(hops)])
}

#[cfg(test)]
mod tests;
