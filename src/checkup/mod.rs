//! What `check` saw → what it says about it: what works, what is unsafe, what fails. Pure.

mod canary;
mod channels;
mod heartbeat;
mod independence;
mod mailboxes;
mod senders;
mod trust;

use serde::Serialize;

use crate::config::Config;
use crate::expiry::{Ending, Validity};
use crate::imap::Probe;
use crate::independence::Matrix;
use crate::proposal::{Survey, counted};
use crate::store::Examined;
use crate::time::{Time, span};
pub use senders::{Stray, Strays};

/// How grave a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    Ok,
    /// It works, but not as well or as safely as it could.
    Warn,
    Fail,
}

/// One line of the result.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    pub level: Level,
    /// What it is about: `mailbox MONITOR`.
    pub what: String,
    pub text: String,
}

impl Finding {
    fn new(level: Level, what: &str, text: impl Into<String>) -> Self {
        Self { level, what: what.to_owned(), text: text.into() }
    }
}

/// Everything that was seen.
pub struct Facts<'a> {
    pub config: &'a Config,
    pub now: Time,
    pub state: Result<Examined, String>,
    /// Whether the keys that checkers sign with could be fetched.
    pub keys: Result<(), String>,
    /// One for each configured mailbox, in their order.
    pub mailboxes: Vec<MailboxFacts>,
    /// Of the configured folders of all mailboxes, the newest mails.
    pub survey: Survey,
    /// One for each configured channel, in their order: whether it could sign in, and when its server's certificate
    /// is good.
    pub channels: Vec<Result<Option<Validity>, String>>,
    /// Which of them survive which loss.
    pub matrix: Matrix,
}

pub struct MailboxFacts {
    pub probe: Result<Probe, String>,
    pub reading: Reading,
    /// Reports in folders that are not configured.
    pub strays: Strays,
}

/// How far the newest mails of a mailbox were read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reading {
    /// The mailbox could not be opened.
    Not,
    /// As many as wanted, of every folder.
    Done,
    /// Some; why no more.
    Broken(String),
}

/// What is to be said, in the order of the configuration's sections.
pub fn findings(facts: &Facts<'_>) -> Vec<Finding> {
    let config = facts.config;
    let mut found = vec![Finding::new(Level::Ok, "configuration", counts(config))];
    found.extend(config.warnings.iter().map(|warning| Finding::new(Level::Warn, "configuration", warning)));
    found.extend(state(facts));
    for (mailbox, seen) in config.mailboxes.iter().zip(&facts.mailboxes) {
        found.extend(mailboxes::findings(mailbox, seen, facts.now));
    }
    found.extend(trust::findings(facts));
    found.extend(senders::findings(facts));
    for (channel, reached) in config.channels.iter().zip(&facts.channels) {
        found.extend(channels::findings(channel, reached, config, facts.now));
    }
    found.extend(independence::findings(&facts.matrix, config));
    found.extend(config.canary.iter().flat_map(|canary| canary::findings(canary, config)));
    found.extend(config.heartbeat.iter().flat_map(|heartbeat| heartbeat::findings(heartbeat, config)));
    found
}

fn counts(config: &Config) -> String {
    let mailboxes = match config.mailboxes.len() {
        1 => "1 mailbox".to_owned(),
        count => format!("{count} mailboxes"),
    };
    let (checkers, channels) =
        (counted(config.checkers.len(), "checker"), counted(config.channels.len(), "channel"));
    format!("{}: {mailboxes}, {checkers}, {channels}", config.name)
}

fn state(facts: &Facts<'_>) -> Vec<Finding> {
    let shown = facts.config.state.display();
    let seen = match &facts.state {
        Ok(seen) => seen,
        Err(why) => return vec![Finding::new(Level::Fail, "state", why)],
    };
    let text = match (&seen.holder, seen.exists) {
        (Some(holder), _) => format!("{shown} is in use by {holder}"),
        (None, true) => format!("{shown} can be used; no process has it open"),
        (None, false) => format!("{shown} is not there yet and can be made"),
    };
    let mut found = vec![Finding::new(Level::Ok, "state", text)];
    if seen.readable_by_all {
        let text = format!(
            "every user of this machine may read {shown}, which holds who writes what to whom: chmod o= it"
        );
        found.push(Finding::new(Level::Warn, "state", text));
    }
    if let Some(mode) = seen.open_folder {
        let text = format!(
            "other users of this machine may go into the folder of {shown} (its mode is {mode:04o}), in which orders are taken \
             and alarms are kept: give the state a folder of its own with the mode 0700"
        );
        found.push(Finding::new(Level::Warn, "state", text));
    }
    found
}

/// What is to be said of the certificate of `host`; None while there is enough time.
fn certificate(host: &str, validity: Validity, now: Time) -> Option<String> {
    let ending = Ending::of_certificate(validity);
    let left = span(ending.at - now);
    ending.is_due(now).then(|| {
        format!(
            "the certificate of {host} ends on {}, in {left}, and was not renewed: find out why",
            ending.at.format("%Y-%m-%d")
        )
    })
}

#[cfg(test)]
mod tests;
