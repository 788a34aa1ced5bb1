//! Evidence → reason: is it them, the mail, or us? Pure: a table of rules, the strongest first.
//!
//! Every rule that holds adds its clue, and the first one names the reason. A reason may be revised when later mail tells
//! more: while a queue is held, its evidence equals a death.

mod rules;

use chrono::TimeDelta;
use serde::{Deserialize, Serialize};

use crate::expiry::Credential;
pub use crate::ledger::Bounce;
use crate::ledger::Spoof;
use crate::time::Time;
use crate::trust::Why;
use crate::verdict::State;

/// The machine words of the contract.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    /// The watchdog cannot read the mailbox.
    WatcherBlind,
    /// A login is refused, or will be soon: a token, a secret or a certificate ended.
    AuthExpired,
    /// It spoke, and its mails lie in Junk.
    Junked,
    /// It spoke, and a bounce about its mail came.
    Rejected,
    /// The mailbox takes no more mail.
    MailboxFull,
    /// It spoke, and the mail was slow.
    MailDelayed,
    /// All that were heard until then, at once.
    MailPathDown,
    /// Two or more checkers of a provider, all of them, and only those.
    ProviderDown,
    /// Several at once.
    CommonCause,
    NeverSeen,
    /// It alone; others are heard.
    CheckerDead,
    ClockSkew,
    Unknown,
}

impl Reason {
    pub const ALL: [Self; 13] = [
        Self::WatcherBlind,
        Self::AuthExpired,
        Self::Junked,
        Self::Rejected,
        Self::MailboxFull,
        Self::MailDelayed,
        Self::MailPathDown,
        Self::ProviderDown,
        Self::CommonCause,
        Self::NeverSeen,
        Self::CheckerDead,
        Self::ClockSkew,
        Self::Unknown,
    ];

    /// The word in the store, in JSON and in alarms.
    pub fn word(self) -> &'static str {
        match self {
            Self::WatcherBlind => "watcher_blind",
            Self::AuthExpired => "auth_expired",
            Self::Junked => "junked",
            Self::Rejected => "rejected",
            Self::MailboxFull => "mailbox_full",
            Self::MailDelayed => "mail_delayed",
            Self::MailPathDown => "mail_path_down",
            Self::ProviderDown => "provider_down",
            Self::CommonCause => "common_cause",
            Self::NeverSeen => "never_seen",
            Self::CheckerDead => "checker_dead",
            Self::ClockSkew => "clock_skew",
            Self::Unknown => "unknown",
        }
    }
}

/// How far the evidence carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Confidence {
    /// Another reason would show the same.
    Possible,
    Likely,
    /// It was seen, not concluded.
    Certain,
}

impl Confidence {
    pub fn word(self) -> &'static str {
        match self {
            Self::Possible => "possible",
            Self::Likely => "likely",
            Self::Certain => "certain",
        }
    }
}

/// One thing that was seen, as it is shown in alarms and by `explain`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Clue {
    /// The mailbox is not read since then; never, when None.
    Unread {
        since: Option<Time>,
    },
    LoginRefused {
        error: String,
    },
    /// What opens the mailbox ends then.
    Ends {
        what: Credential,
        at: Time,
    },
    /// Received into Junk.
    InJunk {
        received: Time,
    },
    Bounced(Bounce),
    /// A mail server still tries.
    StillTried(Bounce),
    Full {
        mailbox: String,
        used: String,
    },
    Held(Held),
    /// So many checkers were heard until then, and all of them fell silent together.
    AllTogether {
        count: usize,
    },
    ProviderTogether {
        provider: String,
        count: usize,
    },
    /// What they share, and nobody does who is heard.
    SomeTogether {
        count: usize,
        shared: Vec<String>,
    },
    NeverHeard {
        since: Option<Time>,
    },
    /// Somebody else's mail was received after its own was due.
    OthersHeard {
        last: Time,
    },
    /// The watchdog's own canary was received after the checker's mail was due: the mailbox takes mail.
    CanaryThrough {
        received: Time,
    },
    /// The watchdog's own canary is missing too.
    CanaryMissing {
        sent: Time,
    },
    /// No mail at all was received after its own was due.
    NobodyHeard,
    /// Mails came in its name and were not believed.
    NotBelieved {
        received: Time,
        why: Why,
    },
    /// Its clock goes so much before the true time (negative: behind it), give or take.
    Clock {
        ahead_ms: i64,
        uncertainty_ms: i64,
    },
}

/// A mail that took longer than the margin.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Held {
    pub received: Time,
    pub held_ms: i64,
    /// Where, as far as the `Received` chain tells.
    pub hop: Option<String>,
}

/// With whom a checker fell silent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Together<'a> {
    Alone,
    /// With all who were heard until then.
    All {
        count: usize,
    },
    /// With all of its provider, and nobody else.
    Provider {
        provider: &'a str,
        count: usize,
    },
    Some {
        count: usize,
        shared: &'a [String],
    },
}

/// What is known about one checker.
#[derive(Debug, Clone, Copy)]
pub struct Evidence<'a> {
    pub state: State,
    /// None: never.
    pub heard_at: Option<Time>,
    pub last_received: Option<Time>,
    pub watched_since: Option<Time>,
    pub heard_until: Option<Time>,
    /// After this age its next mail was due.
    pub cycle: TimeDelta,
    /// A mail that is held longer proves that the path is slow.
    pub deadline: TimeDelta,
    pub together: Together<'a>,
    /// When anybody was heard last.
    pub newest_heard: Option<Time>,
    /// When the latest canary that came back was received.
    pub canary_received: Option<Time>,
    /// When the latest canary was sent that should be back and is not.
    pub canary_missing: Option<Time>,
    pub login_refused: Option<&'a str>,
    pub junked: Option<Time>,
    pub bounced: Option<&'a Bounce>,
    /// A warning that a mail of it still waits.
    pub delayed: Option<&'a Bounce>,
    /// The mailbox that receives it, and how full it is, when it takes no more.
    pub full: Option<(&'a str, &'a str)>,
    pub held: Option<&'a Held>,
    /// The newest mail in its name that was not believed.
    pub spoof: Option<&'a Spoof>,
    /// How much its clock goes before the true time, and the uncertainty.
    pub clock: Option<(TimeDelta, TimeDelta)>,
}

/// A reason with what it rests on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cause {
    pub reason: Reason,
    pub confidence: Confidence,
    /// The reason's own first.
    pub clues: Vec<Clue>,
}

/// Why a checker is silent or delayed; None when there is nothing to explain.
pub fn diagnose(evidence: &Evidence<'_>) -> Option<Cause> {
    let mut found = rules::RULES.iter().filter_map(|rule| rule(evidence));
    let Some((reason, confidence, first)) = found.next() else {
        let silent = matches!(evidence.state, State::Silent | State::Late);
        return silent.then(|| Cause {
            reason: Reason::Unknown,
            confidence: Confidence::Possible,
            clues: if evidence.others_since_due().is_none() { vec![Clue::NobodyHeard] } else { Vec::new() },
        });
    };
    let clues = std::iter::once(first).chain(found.map(|(_, _, clue)| clue)).collect();
    Some(Cause { reason, confidence, clues })
}

#[cfg(test)]
mod tests;
