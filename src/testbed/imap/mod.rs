//! An IMAP4rev1 server (RFC 3501) over the in-memory store, with faults that tests script.
//!
//! It answers what a reader of mailboxes asks; commands that would change a mailbox are counted
//! ([`MailStore::changing_commands`]) and refused. Flags are not kept.

mod command;
mod fault;
mod fetch;
mod idle;
mod login;
mod mailbox;
mod message;
mod search;
mod sequence;
mod session;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::timeout;

pub use fault::{Answer, DONE, Fault, GREETING, PUSH};

use super::faults::{Faults, Lasting};
use super::net::Endpoint;
use super::{MailStore, Tls};

/// What the server offers unless told otherwise: the shape of Microsoft 365, without what is not served here.
const CAPABILITIES: &str = "IMAP4rev1 AUTH=PLAIN AUTH=XOAUTH2 SASL-IR ID UNSELECT IDLE LITERAL+";

/// How to start an [`ImapServer`].
#[derive(Clone)]
pub struct ImapOptions {
    pub store: MailStore,
    /// Port 0 takes any free one.
    pub address: SocketAddr,
    pub tls: Tls,
    pub user: String,
    pub password: String,
    /// Accepted by XOAUTH2 for `user`; without it XOAUTH2 always fails.
    pub access_token: Option<String>,
    /// Without `IDLE`, `SASL-IR`, `QUOTA` or `STATUS=SIZE` in it, the server does not understand them; without
    /// `AUTH=…`, that mechanism. STARTTLS and LOGINDISABLED are added where they apply.
    pub capabilities: Vec<String>,
}

impl ImapOptions {
    /// Plain text on any free port of 127.0.0.1.
    pub fn new(store: MailStore, user: &str, password: &str) -> Self {
        Self {
            store,
            address: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            tls: Tls::Plain,
            user: user.to_owned(),
            password: password.to_owned(),
            access_token: None,
            capabilities: CAPABILITIES.split(' ').map(str::to_owned).collect(),
        }
    }
}

/// A running server; dropping it ends its sessions and closes its port.
pub struct ImapServer {
    endpoint: Endpoint,
    shared: Arc<Shared>,
}

struct Shared {
    options: ImapOptions,
    faults: Faults<Fault>,
    commands: watch::Sender<BTreeMap<String, u64>>,
    /// Answers GETQUOTAROOT, before its tagged OK.
    quota: Mutex<Vec<u8>>,
}

impl ImapServer {
    /// Listens at once. Must be called within a Tokio runtime. Fails when the address cannot be bound.
    pub fn start(options: ImapOptions) -> io::Result<Self> {
        let address = options.address;
        let shared = Shared {
            options,
            faults: Faults::default(),
            commands: watch::Sender::default(),
            quota: Mutex::default(),
        };
        let shared = Arc::new(shared);
        let session = Arc::clone(&shared);
        let endpoint = Endpoint::start(address, move |stream| session::serve(stream, Arc::clone(&session)))?;
        Ok(Self { endpoint, shared })
    }

    /// Where it listens; the same after [`ImapServer::restart`].
    pub fn address(&self) -> SocketAddr {
        self.endpoint.address()
    }

    /// Drops every connection and refuses new ones until [`ImapServer::restart`]. The port stays taken meanwhile.
    pub async fn stop(&self) -> io::Result<()> {
        self.endpoint.stop().await
    }

    /// Listens again on the same port.
    pub async fn restart(&self) -> io::Result<()> {
        self.endpoint.restart().await
    }

    /// Ends every connection now, without a word; new ones are accepted.
    pub async fn drop_connections(&self) {
        self.endpoint.drop_connections().await;
    }

    /// How many connections are open.
    pub fn connections(&self) -> usize {
        self.endpoint.connections()
    }

    /// Puts a fault in force until [`ImapServer::clear_faults`].
    pub fn fault(&self, fault: Fault) {
        self.shared.faults.add(fault, Lasting::UntilCleared);
    }

    /// Puts a fault in force for the first time it fits.
    pub fn fault_once(&self, fault: Fault) {
        self.shared.faults.add(fault, Lasting::Once);
    }

    pub fn clear_faults(&self) {
        self.shared.faults.clear();
    }

    /// What GETQUOTAROOT is answered with from now on, as it goes over the wire: `* QUOTA "" (STORAGE 10 512)\r\n`.
    pub fn set_quota(&self, answer: &str) {
        *self.shared.quota() = answer.as_bytes().to_vec();
    }

    /// How often each command came (`UID FETCH` is one name), counted before it is answered. What the server does
    /// not know is counted as `?`.
    pub fn commands(&self) -> BTreeMap<String, u64> {
        self.shared.commands.borrow().clone()
    }

    /// Waits until `command` has come `count` times since the start; false when that takes longer than `limit`. Mails
    /// appended after `IDLE` has come are pushed.
    pub async fn wait_for(&self, command: &str, count: u64, limit: Duration) -> bool {
        let mut commands = self.shared.commands.subscribe();
        let reached = commands.wait_for(|commands| commands.get(command).is_some_and(|seen| count <= *seen));
        timeout(limit, reached).await.is_ok_and(|reached| reached.is_ok())
    }
}

impl Shared {
    fn quota(&self) -> MutexGuard<'_, Vec<u8>> {
        self.quota.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn can(&self, capability: &str) -> bool {
        self.options.capabilities.iter().any(|offered| offered.eq_ignore_ascii_case(capability))
    }

    fn count(&self, command: &str) {
        self.commands.send_modify(|commands| *commands.entry(command.to_owned()).or_default() += 1);
    }
}
