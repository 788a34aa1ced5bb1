//! `X-Bresse-Run` and `X-Bresse-Signature`: what is signed, and by which key.
//!
//! Signed is this text in UTF-8, each line ended by one line feed: the checker's name as it is configured; the run number;
//! and the mail's tokens (`DRYRUN.OK`, `SERVICE.NOK`), each once, in the order of their bytes. Names with accents stand in
//! Unicode's composed form (NFC). No name holds a line feed, so the text can be read in one way only. The signature is
//! HMAC-SHA-256 (RFC 2104) over it; the key is the secret itself, byte by byte.
//!
//! It is made over the tokens as they are *understood*, so relays may fold, wrap and recode the mail as they like. Several
//! mails of a run are each signed over their own tokens. Who reads them all can still only leave some out, and a run that
//! lacks a service alarms; he cannot move a token to another mail, run or checker. A mail that is sent again says what
//! was known: see [`crate::ledger::arrivals`].
//!
//! The hash is made by aws-lc-rs, which also does the cryptography of all connections: no second library has to be
//! believed, it compares in constant time, and it wipes a key that is no longer needed.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

use aws_lc_rs::hmac;
use chrono::DateTime;

use super::Why;
use crate::mail::Stamp;
use crate::report::{DRYRUN, Said, Tokens};
use crate::text::{composed, hex};
use crate::time::Time;

/// Whoever reads signed mails can try out shorter ones at leisure.
pub const KEY_BYTES_MIN: usize = 16;

/// A shared secret of a checker and the watchdog. `Debug` never shows it.
#[derive(Clone)]
pub struct Key(hmac::Key);

/// By the checker's name. Each of its keys may have signed, so that a key can be changed without a gap.
pub type Keys = BTreeMap<String, Arc<[Key]>>;

impl Key {
    /// None when the secret is shorter than [`KEY_BYTES_MIN`].
    pub fn new(secret: &[u8]) -> Option<Self> {
        (secret.len() >= KEY_BYTES_MIN).then(|| Self(hmac::Key::new(hmac::HMAC_SHA256, secret)))
    }

    /// The value of `X-Bresse-Signature`. `run` is in seconds since 1970.
    pub fn sign<'a>(&self, checker: &str, run: i64, tokens: impl IntoIterator<Item = &'a str>) -> String {
        let tokens = tokens.into_iter().map(|token| composed(token).into_owned()).collect();
        let tag = hmac::sign(&self.0, signed_text(checker, run, &tokens).as_bytes());
        format!("v1={}", hex(tag.as_ref()))
    }

    fn signed(&self, text: &str, tag: &[u8; 32]) -> bool {
        hmac::verify(&self.0, text.as_bytes(), tag).is_ok()
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Key([REDACTED])")
    }
}

/// When the run began by the checker's clock, if one of `keys` has signed it.
pub(super) fn examine(keys: &[Key], checker: &str, stamp: Stamp, tokens: &Tokens) -> Result<Time, Why> {
    let (run, tag) = match stamp {
        Stamp::Absent => return Err(Why::NotSigned),
        Stamp::Unreadable => return Err(Why::SignatureUnreadable),
        Stamp::Present { run, tag } => (run, tag),
    };
    let signed = |text: &str| keys.iter().any(|key| key.signed(text, &tag));
    let known = known(tokens);
    let all = known.iter().cloned().chain(tokens_of(&tokens.unknown)).collect();
    // A service that only the checker knows yet is signed like the others; a footer that looks like a token is not.
    let right = signed(&signed_text(checker, run, &all))
        || (!tokens.unknown.is_empty() && signed(&signed_text(checker, run, &known)));
    let began = DateTime::from_timestamp(run, 0).filter(|_| right);
    began.ok_or(Why::SignatureWrong)
}

/// What a mail says that its checker may say, as it is signed.
pub fn known(tokens: &Tokens) -> BTreeSet<String> {
    let dryrun = tokens.dryrun.map(|said| (DRYRUN.to_owned(), said));
    tokens_of(&dryrun.into_iter().collect()).chain(tokens_of(&tokens.results)).collect()
}

fn tokens_of(said: &BTreeMap<String, Said>) -> impl Iterator<Item = String> {
    let mut tokens = Vec::with_capacity(said.len());
    for (name, said) in said {
        let words: &[&str] = match said {
            Said::Ok => &["OK"],
            Said::Nok => &["NOK"],
            Said::Both => &["OK", "NOK"],
        };
        let name = composed(name);
        tokens.extend(words.iter().map(|word| format!("{name}.{word}")));
    }
    tokens.into_iter()
}

fn signed_text(checker: &str, run: i64, tokens: &BTreeSet<String>) -> String {
    let mut text = format!("{}\n{run}\n", composed(checker));
    for token in tokens {
        text.push_str(token);
        text.push('\n');
    }
    text
}
