//! The part of a configuration that is judged by, as text that holds no secret and no place of one.

use std::collections::BTreeMap;
use std::sync::Arc;

use chrono::TimeDelta;
use serde::{Deserialize, Serialize};

use super::{Value, digest, hex};
use crate::config::{
    Breach, Channel, Checker, Config, Findings, Flap, Login, Mailbox, Margin, Quorum, Reaction, Secret, Test,
};
use crate::fullness::Limits;

/// What was judged by, and who could be told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Judged {
    pub watchdog: String,
    pub timezone: String,
    pub mailboxes: Vec<MailboxThen>,
    pub checkers: Vec<CheckerThen>,
    pub quorum: usize,
    pub quorum_by_service: BTreeMap<String, usize>,
    pub channels: Vec<ChannelThen>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MailboxThen {
    pub name: String,
    pub host: String,
    pub user: String,
    pub folders: Vec<String>,
    pub junk: Option<String>,
    pub poll_ms: i64,
    pub blind_after_ms: i64,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CheckerThen {
    pub name: String,
    pub provider: String,
    pub addresses: Vec<String>,
    pub tests: Vec<TestThen>,
    pub cycle_ms: i64,
    pub mail_path_margin: MarginThen,
    pub missed_cycles: u32,
    pub nok_after: u32,
    pub ok_after: u32,
    pub findings: BTreeMap<Breach, ReactionThen>,
    pub report_after: u32,
    pub flap: Option<FlapThen>,
    /// Its mails had to be signed.
    pub signed: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TestThen {
    pub service: String,
    pub timeout_ms: i64,
    pub nok_after: Option<u32>,
    pub ok_after: Option<u32>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MarginThen {
    FixedMs(i64),
    MeasuredMs { floor: i64, ceiling: i64 },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReactionThen {
    Alarm,
    Report,
    Ignore,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct FlapThen {
    pub changes: u32,
    pub within_ms: i64,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChannelThen {
    pub name: String,
    pub kind: String,
    pub fallback: bool,
    pub repeat: Option<bool>,
    pub spacing_ms: i64,
    pub recipients: Vec<String>,
}

impl Judged {
    pub fn of(config: &Config) -> Self {
        let mailbox = |one: &Mailbox| MailboxThen {
            name: one.name.clone(),
            host: one.server.host.clone(),
            user: one.user.clone(),
            folders: one.folders.clone(),
            junk: one.junk.clone(),
            poll_ms: one.poll.num_milliseconds(),
            blind_after_ms: one.blind_after.num_milliseconds(),
        };
        let channel = |one: &Channel| ChannelThen {
            name: one.name.clone(),
            kind: one.kind.word().to_owned(),
            fallback: one.fallback,
            repeat: one.repeat,
            spacing_ms: one.spacing.num_milliseconds(),
            recipients: one.recipients(),
        };
        Self {
            watchdog: config.name.clone(),
            timezone: config.timezone.name().to_owned(),
            mailboxes: config.mailboxes.iter().map(mailbox).collect(),
            checkers: config.checkers.iter().map(CheckerThen::of).collect(),
            quorum: config.quorum.usual,
            quorum_by_service: config.quorum.by_service.clone(),
            channels: config.channels.iter().map(channel).collect(),
        }
    }

    /// As it is written into the chain: JSON with the hash of what follows it.
    pub fn text(&self) -> String {
        let text = serde_json::to_string(self).unwrap_or_default();
        let hash = hex(&digest([Value::Text(text.as_bytes())]));
        format!("{{\"sha256\":\"{hash}\",\"configuration\":{text}}}")
    }

    /// What [`Self::text`] holds; None when it is of another version.
    pub fn read(text: &str) -> Option<Self> {
        #[derive(Deserialize)]
        struct Content {
            configuration: Judged,
        }
        serde_json::from_str::<Content>(text).ok().map(|content| content.configuration)
    }

    /// `today` with what was judged by then. How a mailbox is signed into, and what a checker's mails have to bring along to
    /// be believed, is that of today.
    pub fn in_place_of(&self, today: &Config) -> Config {
        let mut config = today.clone();
        config.mailboxes = self.mailboxes.iter().filter_map(|then| then.mailbox(&today.mailboxes)).collect();
        config.checkers = self.checkers.iter().map(|then| then.checker(&today.checkers)).collect();
        config.quorum = Quorum { usual: self.quorum, by_service: self.quorum_by_service.clone() };
        config
    }
}

impl MailboxThen {
    fn mailbox(&self, today: &[Mailbox]) -> Option<Mailbox> {
        let now = today.iter().find(|one| one.name == self.name).cloned();
        // Nobody signs into one that is not there any more.
        let gone = || {
            let login = Login::Password(Secret::Value(String::new().into()));
            today.first().map(|any| Mailbox { login, limits: Limits::default(), ..any.clone() })
        };
        let mut mailbox = now.or_else(gone)?;
        mailbox.name.clone_from(&self.name);
        mailbox.server.host.clone_from(&self.host);
        mailbox.user.clone_from(&self.user);
        mailbox.folders.clone_from(&self.folders);
        mailbox.junk.clone_from(&self.junk);
        mailbox.poll = TimeDelta::milliseconds(self.poll_ms);
        mailbox.blind_after = TimeDelta::milliseconds(self.blind_after_ms);
        Some(mailbox)
    }
}

impl CheckerThen {
    fn of(checker: &Checker) -> Self {
        let test = |test: &Test| TestThen {
            service: test.service.clone(),
            timeout_ms: test.timeout.num_milliseconds(),
            nok_after: test.nok_after,
            ok_after: test.ok_after,
        };
        let reaction = |breach: &Breach| {
            let reaction = match checker.findings.reaction(*breach) {
                Reaction::Alarm => ReactionThen::Alarm,
                Reaction::Report => ReactionThen::Report,
                Reaction::Ignore => ReactionThen::Ignore,
            };
            (*breach, reaction)
        };
        Self {
            name: checker.name.clone(),
            provider: checker.provider.clone(),
            addresses: checker.addresses.clone(),
            tests: checker.tests.iter().map(test).collect(),
            cycle_ms: checker.cycle.num_milliseconds(),
            mail_path_margin: match checker.mail_path_margin {
                Margin::Fixed(margin) => MarginThen::FixedMs(margin.num_milliseconds()),
                Margin::Measured { floor, ceiling } => MarginThen::MeasuredMs {
                    floor: floor.num_milliseconds(),
                    ceiling: ceiling.num_milliseconds(),
                },
            },
            missed_cycles: checker.missed_cycles,
            nok_after: checker.nok_after,
            ok_after: checker.ok_after,
            findings: Breach::ALL.iter().map(reaction).collect(),
            report_after: checker.findings.report_after,
            flap: checker
                .flap
                .map(|flap| FlapThen { changes: flap.changes, within_ms: flap.within.num_milliseconds() }),
            signed: checker.trust.as_ref().is_some_and(|trust| trust.signs()),
        }
    }

    fn checker(&self, today: &[Checker]) -> Checker {
        let now = today.iter().find(|one| one.name == self.name);
        let milliseconds = TimeDelta::milliseconds;
        let reaction = |(breach, reaction): (&Breach, &ReactionThen)| {
            let reaction = match reaction {
                ReactionThen::Alarm => Reaction::Alarm,
                ReactionThen::Report => Reaction::Report,
                ReactionThen::Ignore => Reaction::Ignore,
            };
            (*breach, reaction)
        };
        let test = |test: &TestThen| Test {
            service: test.service.clone(),
            timeout: milliseconds(test.timeout_ms),
            nok_after: test.nok_after,
            ok_after: test.ok_after,
        };
        let mut usual = Findings::default();
        usual.report_after = self.report_after;
        Checker {
            name: self.name.clone(),
            provider: self.provider.clone(),
            addresses: self.addresses.clone(),
            tests: self.tests.iter().map(test).collect(),
            cycle: milliseconds(self.cycle_ms),
            mail_path_margin: match self.mail_path_margin {
                MarginThen::FixedMs(margin) => Margin::Fixed(milliseconds(margin)),
                MarginThen::MeasuredMs { floor, ceiling } => {
                    Margin::Measured { floor: milliseconds(floor), ceiling: milliseconds(ceiling) }
                }
            },
            missed_cycles: self.missed_cycles,
            nok_after: self.nok_after,
            ok_after: self.ok_after,
            findings: self
                .findings
                .iter()
                .map(reaction)
                .fold(usual, |all, (breach, then)| all.with(breach, then)),
            flap: self.flap.map(|flap| Flap { changes: flap.changes, within: milliseconds(flap.within_ms) }),
            trust: now.and_then(|now| now.trust.as_ref()).map(Arc::clone),
        }
    }
}
