//! An SMTP server (RFC 5321) that keeps what it accepts, with faults that tests script. On request it also delivers into
//! a [`MailStore`], as a mail server with local mailboxes does.

mod fault;
mod session;
#[cfg(test)]
mod tests;

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use chrono::{DateTime, Utc};
use tokio::sync::watch;
use tokio::time::timeout;

pub use fault::{SmtpFault, Stage};

use super::faults::{Faults, Lasting};
use super::net::Endpoint;
use super::{MailStore, Tls, locked};

/// How to start an [`SmtpSink`].
#[derive(Clone)]
pub struct SmtpOptions {
    /// Port 0 takes any free one.
    pub address: SocketAddr,
    pub tls: Tls,
    /// The server's own name, in its greeting and in `Received`.
    pub host: String,
    /// User and password, or token, that must be given by AUTH before MAIL; none are asked for without it.
    pub login: Option<(String, String)>,
    pub delivery: Option<Delivery>,
}

impl Default for SmtpOptions {
    /// Plain text without login on any free port of 127.0.0.1, nothing delivered.
    fn default() -> Self {
        Self {
            address: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            tls: Tls::Plain,
            host: "mail.testbed.example".to_owned(),
            login: None,
            delivery: None,
        }
    }
}

/// Puts each accepted mail into folders, one copy per recipient, with `Return-Path`, `Delivered-To` and `Received` on top.
#[derive(Clone)]
pub struct Delivery {
    pub store: MailStore,
    /// The folder of an envelope recipient; a recipient without one is refused (550).
    pub folder_of: FolderOf,
}

/// Envelope recipient → folder.
pub type FolderOf = Arc<dyn Fn(&str) -> Option<String> + Send + Sync>;

/// A mail the sink took over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AcceptedMail {
    /// Envelope sender, empty for a delivery report.
    pub from: String,
    /// Envelope recipients in the order they were given.
    pub to: Vec<String>,
    /// As sent, dot-unstuffed, lines ended by CRLF.
    pub bytes: Vec<u8>,
    pub accepted_at: DateTime<Utc>,
}

/// A running server; dropping it ends its sessions and closes its port.
pub struct SmtpSink {
    endpoint: Endpoint,
    shared: Arc<Shared>,
    /// How many mails [`SmtpSink::next_mail`] has handed out.
    handed_out: tokio::sync::Mutex<usize>,
}

struct Shared {
    options: SmtpOptions,
    faults: Faults<SmtpFault>,
    mails: Mutex<Vec<AcceptedMail>>,
    accepted: watch::Sender<usize>,
}

impl SmtpSink {
    /// Listens at once. Must be called within a Tokio runtime. Fails when the address cannot be bound.
    pub fn start(options: SmtpOptions) -> io::Result<Self> {
        let address = options.address;
        let shared = Arc::new(Shared {
            options,
            faults: Faults::default(),
            mails: Mutex::default(),
            accepted: watch::Sender::new(0),
        });
        let session = Arc::clone(&shared);
        let endpoint = Endpoint::start(address, move |stream| session::serve(stream, Arc::clone(&session)))?;
        Ok(Self { endpoint, shared, handed_out: tokio::sync::Mutex::default() })
    }

    /// Where it listens; the same after [`SmtpSink::restart`].
    pub fn address(&self) -> SocketAddr {
        self.endpoint.address()
    }

    /// Drops every connection and refuses new ones until [`SmtpSink::restart`]. The port stays taken meanwhile.
    pub async fn stop(&self) -> io::Result<()> {
        self.endpoint.stop().await
    }

    /// Listens again on the same port.
    pub async fn restart(&self) -> io::Result<()> {
        self.endpoint.restart().await
    }

    /// Puts a fault in force until [`SmtpSink::clear_faults`].
    pub fn fault(&self, fault: SmtpFault) {
        self.shared.faults.add(fault, Lasting::UntilCleared);
    }

    /// Puts a fault in force for the first time it fits.
    pub fn fault_once(&self, fault: SmtpFault) {
        self.shared.faults.add(fault, Lasting::Once);
    }

    pub fn clear_faults(&self) {
        self.shared.faults.clear();
    }

    /// Every mail accepted since the start, in that order.
    pub fn mails(&self) -> Vec<AcceptedMail> {
        locked(&self.shared.mails).clone()
    }

    /// The oldest accepted mail that was not handed out yet, waiting for it up to `limit`. Each is handed out once.
    pub async fn next_mail(&self, limit: Duration) -> Option<AcceptedMail> {
        let next = async {
            let mut handed_out = self.handed_out.lock().await;
            let mut accepted = self.shared.accepted.subscribe();
            accepted.wait_for(|count| *handed_out < *count).await.ok()?;
            let mail = locked(&self.shared.mails).get(*handed_out).cloned();
            *handed_out += 1;
            mail
        };
        timeout(limit, next).await.ok().flatten()
    }
}
