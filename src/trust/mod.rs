//! Whether a mail is its checker's own: by its author, by what the receiving server found out, by its signature. Pure.
//!
//! Who knows a checker's address can write in its name, and keep a dead one looking alive. What a checker is asked for is
//! configured as `trust`; a mail has to pass all of it. What passes is believed to be *written* by the checker; that it
//! was not sent before is another question ([`crate::ledger`], and [`crate::intake::RunKey`]).

mod results;
pub mod signature;

use std::sync::Arc;

use chrono::TimeDelta;
use serde::{Deserialize, Serialize};

use crate::config;
use crate::mail::Mail;
use crate::report::Tokens;
use crate::site;
use crate::time::Time;
pub use signature::{Key, Keys};

/// A clock may be wrong by a time zone or two. Farther ahead it would outrun all runs to come, once it is set right.
pub const RUN_AHEAD_MAX: TimeDelta = TimeDelta::days(1);

/// Why a mail is not believed to be its checker's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Why {
    FromNotAllowed,
    NoAuthResults,
    AuthResultsUnreadable,
    /// The topmost ones are not of the server that is trusted.
    AuthResultsOfAnother,
    DkimNotPassed,
    SpfNotPassed,
    DmarcNotPassed,
    /// Microsoft 365: what it makes of all of them.
    CompauthNotPassed,
    NotSigned,
    SignatureUnreadable,
    SignatureWrong,
    RunInTheFuture,
    /// Another mail has said the same of the same run.
    Replayed,
    /// Run numbers never go back.
    RunWentBack,
}

impl Why {
    /// The word in the store.
    pub fn word(self) -> &'static str {
        match self {
            Self::FromNotAllowed => "from_not_allowed",
            Self::NoAuthResults => "no_auth_results",
            Self::AuthResultsUnreadable => "auth_results_unreadable",
            Self::AuthResultsOfAnother => "auth_results_of_another",
            Self::DkimNotPassed => "dkim_not_passed",
            Self::SpfNotPassed => "spf_not_passed",
            Self::DmarcNotPassed => "dmarc_not_passed",
            Self::CompauthNotPassed => "compauth_not_passed",
            Self::NotSigned => "not_signed",
            Self::SignatureUnreadable => "signature_unreadable",
            Self::SignatureWrong => "signature_wrong",
            Self::RunInTheFuture => "run_in_the_future",
            Self::Replayed => "replayed",
            Self::RunWentBack => "run_went_back",
        }
    }

    /// For people, without a full stop.
    pub fn sentence(self) -> &'static str {
        match self {
            Self::FromNotAllowed => "its From is not one that this checker may write as",
            Self::NoAuthResults => "no server has written Authentication-Results into it",
            Self::AuthResultsUnreadable => "its topmost Authentication-Results cannot be read",
            Self::AuthResultsOfAnother => {
                "its topmost Authentication-Results are not those of the configured server"
            }
            Self::DkimNotPassed => "no DKIM signature of the domain in its From was found good",
            Self::SpfNotPassed => "SPF did not find that it comes from the domain in its From",
            Self::DmarcNotPassed => "DMARC did not find that it comes from the domain in its From",
            Self::CompauthNotPassed => "Microsoft 365 takes its From for forged (compauth)",
            Self::NotSigned => "it is not signed",
            Self::SignatureUnreadable => {
                "X-Bresse-Run and X-Bresse-Signature are not both there once, in the form they must have"
            }
            Self::SignatureWrong => "its signature does not fit its checker, its run number and its tokens",
            Self::RunInTheFuture => "its run number lies more than a day in the future",
            Self::Replayed => "another mail has said the same of the same run before",
            Self::RunWentBack => {
                "its run numbers go back: its clock was set back, or old reports of it are delivered now"
            }
        }
    }
}

/// What a mail was asked for, and how it answered; None where it was not asked.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Examined {
    pub from: Option<Result<(), Why>>,
    pub auth_results: Option<Result<(), Why>>,
    /// The run number.
    pub signature: Option<Result<Time, Why>>,
    /// Whoever stands in `From`.
    pub author: Option<String>,
}

impl Examined {
    /// The first thing that is wrong.
    pub fn why(&self) -> Option<Why> {
        let signature = self.signature.and_then(Result::err);
        [self.from, self.auth_results].into_iter().flatten().find_map(Result::err).or(signature)
    }

    /// The number of its run, when it is signed and everything else is right too.
    pub fn run(&self) -> Option<Time> {
        self.signature.and_then(Result::ok).filter(|_| self.why().is_none())
    }
}

/// What is asked of the mails of one checker.
#[derive(Debug, Clone)]
pub struct Policy {
    checker: String,
    trust: Arc<config::Trust>,
    keys: Arc<[Key]>,
}

impl Policy {
    /// Without `keys`, where the configuration asks for a signature, nobody can have signed.
    pub fn new(checker: &str, trust: &Arc<config::Trust>, keys: &Keys) -> Self {
        let keys = keys.get(checker).cloned().unwrap_or_else(|| Arc::new([]));
        Self { checker: checker.to_owned(), trust: Arc::clone(trust), keys }
    }

    pub fn examine(&self, mail: &Mail, tokens: &Tokens) -> Examined {
        let author = mail.credentials.author.as_deref();
        let trust = &self.trust;
        Examined {
            from: (!trust.from.is_empty()).then(|| allowed(&trust.from, author)),
            auth_results: trust
                .auth_results
                .as_ref()
                .map(|wanted| results::examine(wanted, author, mail.credentials.results.as_deref())),
            signature: trust
                .signs()
                .then(|| signature::examine(&self.keys, &self.checker, mail.credentials.stamp, tokens)),
            author: mail.from.clone(),
        }
    }
}

fn allowed(senders: &[config::Sender], author: Option<&str>) -> Result<(), Why> {
    let is_author = |sender: &config::Sender| match (sender, author) {
        (_, None) => false,
        (config::Sender::Address(address), Some(author)) => address == author,
        (config::Sender::Domain(domain), Some(author)) => site::domain(author).as_ref() == Some(domain),
    };
    if senders.iter().any(is_author) { Ok(()) } else { Err(Why::FromNotAllowed) }
}

#[cfg(test)]
mod tests;
