//! One connection that tells what a mailbox offers, for `check`.

use std::time::Duration;

use anyhow::{Result, anyhow};
use tokio::time::timeout;

use super::auth::Credential;
use super::connect;
use super::error::Error;
use super::session::Counts;
use crate::config::Mailbox;

const PROBE_LIMIT: Duration = Duration::from_secs(60);

/// What a mailbox offers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Probe {
    /// In upper case, sorted.
    pub capabilities: Vec<String>,
    /// Every folder of the mailbox that can hold mails.
    pub folders: Vec<Folder>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Folder {
    pub name: String,
    /// The configuration names it. Only such folders are counted.
    pub configured: bool,
    pub messages: Option<u32>,
    pub uidnext: Option<u32>,
}

/// Signs in, opens every configured folder and lists the others. The error is one sentence that names the host.
pub async fn probe(mailbox: &Mailbox) -> Result<Probe> {
    let probed = timeout(PROBE_LIMIT, connect_and_look(mailbox)).await;
    let probed = probed.unwrap_or_else(|_| {
        Err(Error::Setup("the server was not done within 60 s; it is too slow".to_owned()))
    });
    probed.map_err(|error| anyhow!(error.at(&mailbox.server.host)))
}

async fn connect_and_look(mailbox: &Mailbox) -> Result<Probe, Error> {
    let credential = Credential::obtain(mailbox, None).await?;
    let mut session = connect::open(mailbox, &credential).await?;
    for folder in &mailbox.folders {
        session.examine(folder).await?;
    }
    let mut folders = Vec::new();
    for name in session.list().await? {
        let configured = mailbox.folders.iter().any(|folder| same_folder(folder, &name));
        let counts = if configured { session.status(&name).await? } else { Counts::default() };
        folders.push(Folder { name, configured, messages: counts.messages, uidnext: counts.uidnext });
    }
    let capabilities = session.capabilities.names().map(str::to_owned).collect();
    session.logout().await;
    Ok(Probe { capabilities, folders })
}

/// INBOX alone is compared without regard to case (RFC 3501, section 5.1).
fn same_folder(configured: &str, listed: &str) -> bool {
    configured == listed || (configured.eq_ignore_ascii_case("INBOX") && listed.eq_ignore_ascii_case("INBOX"))
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;
    use secrecy::SecretString;

    use super::super::peer::{Contents, Peer};
    use super::*;
    use crate::config::{Login, Secret, Server, Tls};

    fn mailbox(port: u16, folder: &str) -> Mailbox {
        Mailbox {
            name: "MONITOR".to_owned(),
            server: Server {
                host: "127.0.0.1".to_owned(),
                port,
                tls: Tls::Plain,
                ca_file: None,
                pin_sha256: None,
            },
            user: "me@x".to_owned(),
            login: Login::Password(Secret::Value(SecretString::from("secret"))),
            folders: vec![folder.to_owned()],
            poll: TimeDelta::seconds(60),
            blind_after: TimeDelta::seconds(180),
        }
    }

    #[tokio::test]
    async fn a_probe_tells_capabilities_and_folders_and_counts_the_configured_ones() {
        let peer = Peer::start(&[("INBOX", Contents::dense(3)), ("Entw&APw-rfe", Contents::dense(1))]).await;
        let probe = probe(&mailbox(peer.port, "inbox")).await.unwrap();
        assert!(probe.capabilities.contains(&"IDLE".to_owned()));
        let folder = |name: &str, configured, messages, uidnext| Folder {
            name: name.to_owned(),
            configured,
            messages,
            uidnext,
        };
        let expected = [folder("Entwürfe", false, None, None), folder("INBOX", true, Some(3), Some(4))];
        assert_eq!(probe.folders, expected);
        assert_eq!((peer.asked("SELECT"), peer.asked("STORE"), peer.asked("LOGOUT")), (0, 0, 1));
    }

    #[tokio::test]
    async fn a_missing_folder_is_told_with_the_host_and_those_that_exist() {
        let peer = Peer::start(&[("INBOX", Contents::dense(3))]).await;
        let error = probe(&mailbox(peer.port, "Reports")).await.unwrap_err().to_string();
        let told = "127.0.0.1: the folder \"Reports\" cannot be opened (no such folder); the folders there are: INBOX; ";
        assert!(error.starts_with(told), "{error}");
    }
}
