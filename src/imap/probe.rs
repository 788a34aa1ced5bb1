//! One connection that tells what a mailbox offers, for `check`.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Result, anyhow};
use tokio::time::timeout;

use super::auth::Credential;
use super::connect;
use super::error::Error;
use super::gauge::Gauge;
use super::session::{Listed, Session};
use crate::config::Mailbox;
use crate::expiry::Validity;
use crate::fullness::Fullness;

/// `check` has 60 s for everything, and looks at mails afterwards.
const PROBE_LIMIT: Duration = Duration::from_secs(28);

/// What a mailbox offers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Probe {
    /// In upper case, sorted.
    pub capabilities: Vec<String>,
    /// Every folder of the mailbox that can hold mails.
    pub folders: Vec<Folder>,
    /// Of the configured Junk folder: how many mails it holds, or why it cannot be opened.
    pub junk: Option<Result<u32, String>>,
    /// None when neither the server nor the configuration says how much it may hold, or when it holds too much to be
    /// weighed in passing.
    pub fullness: Option<Fullness>,
    /// Of the server's certificate, when its dates matter.
    pub certificate: Option<Validity>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Folder {
    pub name: String,
    /// The configuration names it. Only such folders are counted.
    pub configured: bool,
    pub messages: Option<u32>,
    /// The server sorts spam into it, by its own word (RFC 6154) or by the usual names: Exchange Online says no word.
    pub junk: bool,
}

/// In lower case: of Dovecot and others, then of Exchange in some languages.
const JUNK_NAMES: [&str; 10] = [
    "junk",
    "spam",
    "junk email",
    "junk e-mail",
    "junk-e-mail",
    "courrier indésirable",
    "correo no deseado",
    "posta indesiderata",
    "ongewenste e-mail",
    "lixo eletrônico",
];

fn is_junk(folder: &Listed) -> bool {
    let last = folder.name.rsplit(['/', '.']).next().unwrap_or_default().to_lowercase();
    folder.junk || JUNK_NAMES.contains(&last.as_str())
}

/// Signs in, opens every configured folder and lists the others. The error is one sentence that names the host.
pub async fn probe(mailbox: &Mailbox) -> Result<Probe> {
    let probed = timeout(PROBE_LIMIT, connect_and_look(mailbox)).await;
    let probed = probed.unwrap_or_else(|_| {
        Err(Error::Setup("the server was not done within 28 s; it is too slow".to_owned()))
    });
    probed.map_err(|error| anyhow!(error.at(&mailbox.server.host)))
}

async fn connect_and_look(mailbox: &Mailbox) -> Result<Probe, Error> {
    let credential = Credential::obtain(mailbox, None).await?;
    let mut session = connect::open(mailbox, &credential).await?;
    let mut messages = BTreeMap::new();
    let mut gauge = Gauge::default();
    for folder in &mailbox.folders {
        let exists = session.examine(folder).await?.exists;
        gauge.counted(folder, exists);
        messages.insert(folder.as_str(), exists);
    }
    let fullness = gauge.measure(&mut session, mailbox).await?.flatten();
    let junk = match &mailbox.junk {
        Some(folder) => Some(count(&mut session, folder).await?),
        None => None,
    };
    let folder = |listed: Listed| {
        let configured = mailbox.folder(&listed.name);
        let messages = configured.and_then(|folder| messages.get(folder).copied());
        Folder { configured: configured.is_some(), messages, junk: is_junk(&listed), name: listed.name }
    };
    let folders = session.list().await?.into_iter().map(folder).collect();
    let certificate = session.certificate;
    let capabilities = session.capabilities.names().map(str::to_owned).collect();
    session.logout().await;
    Ok(Probe { capabilities, folders, junk, fullness, certificate })
}

/// How many mails a folder holds, or why it cannot be opened.
async fn count(session: &mut Session, folder: &str) -> Result<Result<u32, String>, Error> {
    match session.examine(folder).await {
        Ok(examined) => Ok(Ok(examined.exists)),
        Err(error @ (Error::Setup(_) | Error::Refused { .. })) => Ok(Err(error.to_string())),
        Err(error) => Err(error),
    }
}
