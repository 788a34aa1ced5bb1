//! `watchdog.toml`, parsed once into a validated [`Config`]; each later stage is handed only its own part.
//!
//! Order of precedence: command line > environment (`BRESSE_WATCHDOG_…`) > file > default.

pub mod duration;
pub mod environment;

mod audit;
mod canary;
mod drill;
mod channel;
mod checker;
mod digest;
mod dead_files;
mod document;
mod findings;
mod heartbeat;
mod load;
mod login;
mod mailbox;
mod matrix;
mod node;
mod overlay;
mod own_mail;
mod policy;
mod report;
mod retention;
mod secret;
mod section;
mod server;
mod trust;
mod value;
mod web;

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use chrono::TimeDelta;
use chrono_tz::Tz;
use reqwest::Url;
use secrecy::SecretString;

use crate::digest::Calendar;
use crate::fullness::Limits;
use crate::policy::Policies;

pub use channel::{
    Channel, ChannelKind, Content, Endpoint, Hidden, Preset, Rate, Reach, Smtp, Verb, Webhook,
};
pub(crate) use channel::{parse_url, shown_host};
pub use drill::{Drill, Pace};
pub use findings::{Breach, Findings, Reaction};
pub use report::ConfigErrors;
pub(crate) use value::{is_loopback, is_mail_address, is_name, is_service};
pub use web::{Identity, Network, Role, Token, Web};

/// Everything the user configured, validated and with every default filled in.
#[derive(Debug, Clone)]
pub struct Config {
    /// This instance's own name, for instance `bresse8`.
    pub name: String,
    /// The SQLite file that holds the state.
    pub state: PathBuf,
    /// The zone in which people are told times; all arithmetic is UTC.
    pub timezone: Tz,
    /// At least one; names are unique.
    pub mailboxes: Vec<Mailbox>,
    /// In the file's order; names are unique without regard to case.
    pub checkers: Vec<Checker>,
    /// In the file's order; names are unique.
    pub channels: Vec<Channel>,
    /// Who is told of what, when.
    pub policies: Policies,
    pub quorum: Quorum,
    pub retention: Retention,
    /// Off by default.
    pub canary: Option<Canary>,
    /// Off by default.
    pub web: Option<Web>,
    pub drill: Drill,
    /// Off by default.
    pub heartbeat: Option<Heartbeat>,
    /// Why it is in order that no channel survives the loss of what it alarms about; None: it is not.
    pub accept_dependence: Option<String>,
    /// The DNS server that is asked what channels share; None: those of this machine.
    pub dns: Option<SocketAddr>,
    /// In the file's order; names are unique. None by default.
    pub digests: Vec<Digest>,
    /// Where a file is kept for each checker and service that is down. Off by default.
    pub dead_files: Option<PathBuf>,
    /// Where the head of the audit ledger goes each day; None: nowhere, which is the default.
    pub head_notice: Option<HeadNotice>,
    /// What is allowed but unwise, one sentence each (a plain-text password, no channel at all).
    pub warnings: Vec<String>,
}

/// All that a configuration is made from; [`environment`] collects it.
#[derive(Clone, Copy)]
pub struct Sources<'a> {
    /// What the file holds.
    pub text: &'a str,
    /// The file's name as messages show it.
    pub file: &'a str,
    /// The whole environment: secrets may be in any variable.
    pub environment: &'a BTreeMap<String, String>,
    /// From the command line: key paths (`mailbox.host`, `channel.0.host`) and their values, in the form that the
    /// environment's values have.
    pub overrides: &'a [(String, String)],
}

impl Config {
    /// Reads and validates a configuration, without touching anything outside of `sources`.
    ///
    /// # Errors
    /// Every error that was found, not only the first. Where the text is not TOML, those that may only be a consequence
    /// (missing, unknown and doubled keys) are left out.
    pub fn load(sources: &Sources<'_>) -> Result<Self, ConfigErrors> {
        load::load(sources, Checkers::Needed)
    }

    /// As [`Config::load`], for finding out who writes: a configuration without any `[[checker]]` will do.
    ///
    /// # Errors
    /// As for [`Config::load`].
    pub fn load_without_checkers(sources: &Sources<'_>) -> Result<Self, ConfigErrors> {
        load::load(sources, Checkers::Optional)
    }

    /// Who is told of such an event: every channel that wants it; the fallback ones only when there is no other.
    pub fn channels_for(&self, event: Event) -> impl Iterator<Item = &Channel> {
        let wanting = move |channel: &&Channel| channel.events.contains(&event);
        let only_fallbacks = self.channels.iter().filter(wanting).all(|channel| channel.fallback);
        self.channels.iter().filter(wanting).filter(move |channel| channel.fallback == only_fallbacks)
    }

    /// From when on the table as a whole is blind: the longest `blind_after` of all mailboxes.
    pub fn blind_after(&self) -> TimeDelta {
        self.mailboxes.iter().map(|mailbox| mailbox.blind_after).max().unwrap_or_default()
    }
}

/// Whether there must be a `[[checker]]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Checkers {
    Needed,
    Optional,
}

/// One mailbox that is read by IMAP.
#[derive(Debug, Clone)]
pub struct Mailbox {
    /// `MONITOR` when the configuration has a single, unnamed mailbox.
    pub name: String,
    pub server: Server,
    pub user: String,
    pub login: Login,
    /// Folders that are read, in UTF-8 (not modified UTF-7); at least one.
    pub folders: Vec<String>,
    /// The folder into which the server sorts what it takes for spam; not among `folders`. Read for evidence only.
    pub junk: Option<String>,
    /// A full look is taken at least this often. Default 60 s; 1 s to 1 h.
    pub poll: TimeDelta,
    /// Without a good look for this long the watchdog is blind. Default 3 min.
    pub blind_after: TimeDelta,
    /// How much it may hold, where its server does not say so. None by default.
    pub limits: Limits,
    /// Who runs it, if the user said so.
    pub provider: Option<String>,
}

impl Mailbox {
    /// The folder that is read and has this name on the server.
    pub fn folder(&self, name: &str) -> Option<&str> {
        // INBOX alone is compared without regard to case (RFC 3501, section 5.1).
        let inbox = |name: &str| name.eq_ignore_ascii_case("INBOX");
        let same = |folder: &&String| *folder == name || (inbox(folder) && inbox(name));
        self.folders.iter().find(same).map(String::as_str)
    }
}

/// Where a server is and how the connection to it is protected; the same for IMAP and SMTP.
#[derive(Debug, Clone)]
pub struct Server {
    pub host: String,
    pub port: u16,
    pub tls: Tls,
    /// PEM file with authorities that are trusted besides the system's.
    pub ca_file: Option<PathBuf>,
    /// SHA-256 of the server's certificate (DER). When set, exactly this certificate is accepted, whoever signed it.
    pub pin_sha256: Option<[u8; 32]>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tls {
    Implicit,
    Starttls,
    /// Loopback addresses only.
    Plain,
}

#[derive(Debug, Clone)]
pub enum Login {
    Password(Secret),
    OAuth2(OAuth2),
}

impl Login {
    /// The machine that has to work for it, beside the one that is signed in to.
    pub fn host(&self) -> Option<&str> {
        match self {
            Self::Password(_) => None,
            Self::OAuth2(oauth2) => oauth2.token_url.host_str(),
        }
    }
}

/// OAuth 2.0 client credentials grant (RFC 6749, section 4.4).
#[derive(Debug, Clone)]
pub struct OAuth2 {
    /// `https`, or `http` to a loopback address; without user and password.
    pub token_url: Url,
    pub client_id: String,
    pub client_secret: Secret,
    pub scope: String,
    /// When the client secret ends, if the user said so.
    pub client_secret_expires: Option<chrono::DateTime<chrono::Utc>>,
}

/// Where a secret comes from. `Debug` never shows one.
#[derive(Clone)]
pub enum Secret {
    /// Written in the file (warned about) or taken from the environment when the configuration was read.
    Value(SecretString),
    /// Read anew at every use, so that a rotated secret needs no restart.
    File(PathBuf),
    /// Run anew at every use; the first line of its standard output.
    Command(Vec<String>),
}

/// One checker, with the `[defaults]` filled in.
#[derive(Debug, Clone)]
pub struct Checker {
    pub name: String,
    pub provider: String,
    /// Lower-case; at least one. Default: `NAME+monitor@` the domain of the first mailbox's user.
    pub addresses: Vec<String>,
    pub tests: Vec<Test>,
    /// Time between the starts of two runs. Default 5 min.
    pub cycle: TimeDelta,
    /// How long a mail may take. Default 60 s.
    pub mail_path_margin: Margin,
    /// How many cycles may pass without a mail; 1 (default) to 100.
    pub missed_cycles: u32,
    /// This many bad results in a row open an alarm; 1 (default) to 10.
    pub nok_after: u32,
    /// This many good results in a row close it; 1 (default) to 10.
    pub ok_after: u32,
    /// What is done about runs that break the rules of reporting.
    pub findings: Findings,
    /// From when on a service that changes is flapping; None (default): never.
    pub flap: Option<Flap>,
    /// What its mails must bring along to be believed; None: every mail to its address is.
    pub trust: Option<Arc<Trust>>,
}

/// What a mail is asked for: all of it at once.
#[derive(Debug)]
pub struct Trust {
    /// Whoever may stand in `From`; empty: anybody.
    pub from: Vec<Sender>,
    pub auth_results: Option<AuthResults>,
    /// Each of them may have signed; empty: nobody has to.
    pub hmac: Vec<Secret>,
}

impl Trust {
    /// Whether the mails have to be signed.
    pub fn signs(&self) -> bool {
        !self.hmac.is_empty()
    }
}

/// In lower case.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Sender {
    Address(String),
    /// Everybody in it, but nobody in a domain below it.
    Domain(String),
}

/// What the receiving server must have found out (RFC 8601).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AuthResults {
    Server {
        /// Its authserv-id, in lower case.
        server: String,
        /// Each of them must have passed for the domain in `From`; DMARC by default.
        require: Vec<Method>,
    },
    /// As Exchange Online writes them, without an authserv-id: DMARC, by a best guess where the domain has no record.
    Microsoft365,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    Dkim,
    Spf,
    Dmarc,
}

/// How long a mail may take on its way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Margin {
    Fixed(TimeDelta),
    /// It follows what the mails take, between these bounds.
    Measured {
        floor: TimeDelta,
        ceiling: TimeDelta,
    },
}

impl Margin {
    /// Before anything was measured.
    pub fn at_first(self) -> TimeDelta {
        match self {
            Self::Fixed(margin) => margin,
            Self::Measured { floor, ceiling } => checker::DEFAULT_MARGIN.min(ceiling).max(floor),
        }
    }
}

impl Checker {
    /// How many bad, and how many good results of this service in a row count.
    pub fn hysteresis(&self, service: &str) -> (u32, u32) {
        let own = self.tests.iter().find(|test| test.service == service);
        (
            own.and_then(|test| test.nok_after).unwrap_or(self.nok_after),
            own.and_then(|test| test.ok_after).unwrap_or(self.ok_after),
        )
    }
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Test {
    pub service: String,
    pub timeout: TimeDelta,
    /// For this service alone; None: as for the checker.
    pub nok_after: Option<u32>,
    /// As above.
    pub ok_after: Option<u32>,
}

/// The most changes, and the longest time, that [`Flap`] may ask about.
pub(crate) const FLAP_CHANGES_MAX: u32 = 20;
pub(crate) const FLAP_WITHIN_MAX: TimeDelta = TimeDelta::days(1);

/// A service that changes so often between good and bad is flapping, until it has not changed for as long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Flap {
    /// 2 to 20.
    pub changes: u32,
    /// 1 min to 1 day.
    pub within: TimeDelta,
}

/// So many providers must see a service down before it is the service itself that looks down; 1 to 100, default 2.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Quorum {
    pub usual: usize,
    /// For the services that have a number of their own.
    pub by_service: BTreeMap<String, usize>,
}

impl Quorum {
    pub fn of(&self, service: &str) -> usize {
        self.by_service.get(service).copied().unwrap_or(self.usual)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Event {
    /// A checker is silent, or breaks the rules of reporting.
    Checker,
    /// A service is NOK or MISSING.
    Service,
    /// The watchdog cannot read a mailbox, or cannot work for another reason of its own.
    Mailbox,
}

/// How long what is kept is kept.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Retention {
    /// What mails said, from when they were first seen; 1 d to 3650 d. None (default): for ever.
    pub mails: Option<TimeDelta>,
    /// The ledger, and everything that it tells of; 30 d to 3650 d, and no shorter than `mails`. None (default): for ever.
    pub ledger: Option<TimeDelta>,
}

/// A mail that the watchdog sends to the mailbox through one of its channels, again and again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Canary {
    /// The name of a configured channel that can send to any address.
    pub channel: String,
    /// Lower-case; leads into the mailbox, and is no checker's.
    pub to: String,
    /// Default 10 min; 1 min to 1 d.
    pub every: TimeDelta,
    /// How long one may take: the longest `mail_path_margin` of all checkers.
    pub patience: TimeDelta,
}

/// What the watchdog, a checker itself, says of each of its own runs.
#[derive(Debug, Clone)]
pub struct Heartbeat {
    /// Its report to whoever watches it.
    pub mail: Option<RunMail>,
    /// A service that alarms when it is not asked any more. The URL is a secret.
    pub ping: Option<Endpoint>,
    /// Default 5 min; 1 s to 7 d.
    pub cycle: TimeDelta,
}

#[derive(Debug, Clone)]
pub struct RunMail {
    /// The name of a configured channel that can send to any address.
    pub channel: String,
    /// Lower-case; no checker's of this configuration.
    pub to: String,
    pub hmac: Option<Secret>,
}

impl Heartbeat {
    /// The names of what the watchdog `name` tests in each run: each mailbox, its outbox, its store.
    pub fn tests(name: &str, mailboxes: &[Mailbox]) -> Vec<String> {
        let of_mailbox = |mailbox: &Mailbox| Self::mailbox_test(name, mailbox, mailboxes.len() > 1);
        let own = [Self::outbox_test(name), Self::store_test(name)];
        mailboxes.iter().map(of_mailbox).chain(own).collect()
    }

    /// Whether the mailbox can be read.
    pub fn mailbox_test(name: &str, mailbox: &Mailbox, several: bool) -> String {
        if several {
            format!("{name}_{}_Mailbox_Service", mailbox.name)
        } else {
            format!("{name}_Mailbox_Service")
        }
    }

    /// Whether the channels take what they are given.
    pub fn outbox_test(name: &str) -> String {
        format!("{name}_Outbox_Service")
    }

    /// Whether everything could be stored since the last run.
    pub fn store_test(name: &str) -> String {
        format!("{name}_Store_Service")
    }
}

/// A summary of each day or week, by mail.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Digest {
    /// Stands in its subject; there is one when there are several digests.
    pub name: Option<String>,
    /// The name of a configured channel that sends mail.
    pub channel: String,
    /// By default whom the channel's alarms go to.
    pub to: Vec<String>,
    pub calendar: Calendar,
    /// What it is about, with `providers`; both empty: every checker.
    pub checkers: BTreeSet<String>,
    pub providers: BTreeSet<String>,
}

impl Digest {
    /// What it is known by in the store.
    pub fn key(&self) -> &str {
        self.name.as_deref().unwrap_or_default()
    }

    pub fn is_about(&self, checker: &Checker) -> bool {
        let all = self.checkers.is_empty() && self.providers.is_empty();
        all || self.checkers.contains(&checker.name) || self.providers.contains(&checker.provider)
    }
}

/// The head of the audit ledger, each day, to where nobody can change it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeadNotice {
    /// The name of a configured channel.
    pub channel: String,
    pub calendar: Calendar,
}

#[cfg(test)]
mod tests;
