//! From a host name to a session that is signed in.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use async_imap::imap_proto::{Response, Status};
use rustls::pki_types::ServerName;
use tokio::net::{TcpSocket, TcpStream, lookup_host};
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use super::auth::{self, Credential};
use super::error::{Error, printable};
use super::session::{Capabilities, Session};
use super::wire::{COMMAND_LIMIT, Stream, Wire, words};
use crate::config::{Mailbox, Server, Tls};
use crate::tls;

/// From the first packet to the end of authentication. `once` has 30 s for everything.
const OPEN_LIMIT: Duration = Duration::from_secs(25);
const LOOKUP_LIMIT: Duration = Duration::from_secs(8);
const GREETING_LIMIT: Duration = Duration::from_secs(12);
const HANDSHAKE_LIMIT: Duration = Duration::from_secs(10);
/// The last address is given time; those before it must not use it up (a black hole for IPv6, say).
const CONNECT_LIMIT_LAST: Duration = Duration::from_secs(10);
const CONNECT_LIMIT_OTHERS: Duration = Duration::from_secs(2);
const ADDRESSES_MAX: usize = 6;

/// Connects and signs in. The credential is fetched first: servers wait only briefly for one.
pub(super) async fn open(mailbox: &Mailbox, credential: &Credential) -> Result<Session, Error> {
    let opened = async {
        let (mut wire, greeted) = reach(&mailbox.server).await?;
        if greeted == Greeting::Ready {
            let before = Capabilities::ask(&mut wire).await?;
            auth::sign_in(&mut wire, &before, &mailbox.user, credential).await?;
        }
        // Exchange shows IDLE, UIDPLUS and the like only to users who are signed in.
        let capabilities = Capabilities::ask(&mut wire).await?;
        Ok(Session::new(wire, capabilities))
    };
    timeout(OPEN_LIMIT, opened).await.unwrap_or_else(|_| {
        Err(Error::Setup(
            "signing in was not over within 25 s; the server or the network is too slow".to_owned(),
        ))
    })
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Greeting {
    Ready,
    /// The server knows who we are (a tunnel, a client address); there is nothing to authenticate.
    Authenticated,
}

async fn reach(server: &Server) -> Result<(Wire, Greeting), Error> {
    let tcp = connect(server).await?;
    match server.tls {
        Tls::Implicit => greet(secure(server, Box::new(tcp)).await?).await,
        Tls::Plain => greet(Box::new(tcp)).await,
        Tls::Starttls => {
            let (wire, greeting) = greet(Box::new(tcp)).await?;
            if greeting == Greeting::Authenticated {
                // RFC 9051, section 11.1: after PREAUTH there is no STARTTLS, and who sent it is unknown.
                return Err(Error::Setup(
                    "the server greets with PREAUTH, after which STARTTLS is impossible; use tls = \"implicit\"".to_owned(),
                ));
            }
            Ok((Wire::new(secure(server, start_tls(wire).await?).await?), greeting))
        }
    }
}

async fn connect(server: &Server) -> Result<TcpStream, Error> {
    let host = &server.host;
    let found = match timeout(LOOKUP_LIMIT, lookup_host((host.as_str(), server.port))).await {
        Ok(Ok(found)) => found.take(ADDRESSES_MAX).collect::<Vec<_>>(),
        Ok(Err(error)) => {
            let what =
                format!("the name {host} cannot be resolved ({error}); check host and this machine's DNS");
            return Err(Error::Setup(what));
        }
        Err(_) => {
            let what = format!("the name {host} was not resolved within 8 s; check this machine's DNS");
            return Err(Error::Setup(what));
        }
    };
    let mut failures = Vec::new();
    for (tried, address) in found.iter().enumerate() {
        if server.tls == Tls::Plain && !address.ip().is_loopback() {
            let what = format!("tls = \"plain\" would send the password in the clear to {}", address.ip());
            return Err(Error::Setup(format!("{what}; it is for loopback addresses only")));
        }
        let limit = if tried + 1 == found.len() { CONNECT_LIMIT_LAST } else { CONNECT_LIMIT_OTHERS };
        match timeout(limit, dial(*address)).await {
            Ok(Ok(stream)) => return Ok(stream),
            Ok(Err(error)) => failures.push(format!("{address}: {error}")),
            Err(_) => failures.push(format!("{address}: no answer for {} s", limit.as_secs())),
        }
    }
    let tried = if failures.is_empty() { "it has no address".to_owned() } else { failures.join("; ") };
    Err(Error::Setup(format!(
        "no connection to {host} ({tried}); check host, port, the network and firewalls"
    )))
}

async fn dial(address: SocketAddr) -> std::io::Result<TcpStream> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    socket.set_keepalive(true)?;
    socket.set_nodelay(true)?;
    socket.connect(address).await
}

async fn secure(server: &Server, stream: Stream) -> Result<Stream, Error> {
    let (ca_file, pin) = (server.ca_file.clone(), server.pin_sha256);
    let config = tokio::task::spawn_blocking(move || tls::client_config(ca_file.as_deref(), pin))
        .await
        .map_err(|error| Error::Setup(format!("TLS cannot be set up ({error})")))?
        .map_err(|error| Error::Setup(format!("{error:#}")))?;
    let host = &server.host;
    let name = ServerName::try_from(host.clone())
        .map_err(|_| Error::Setup(format!("host {host} is neither a DNS name nor an address")))?;
    match timeout(HANDSHAKE_LIMIT, TlsConnector::from(Arc::new(config)).connect(name, stream)).await {
        Ok(Ok(stream)) => Ok(Box::new(stream)),
        Ok(Err(error)) => Err(Error::Setup(tls::explain(host, &error))),
        Err(_) => Err(Error::Setup(format!(
            "{host} has not answered the TLS handshake within 10 s: check port and tls (143 is usually \"starttls\")"
        ))),
    }
}

async fn greet(stream: Stream) -> Result<(Wire, Greeting), Error> {
    let mut wire = Wire::new(stream);
    let greeting = wire.read("with a greeting", GREETING_LIMIT, |response| match response {
        Response::Data { status: Status::Ok, .. } => Ok(Greeting::Ready),
        Response::Data { status: Status::PreAuth, .. } => Ok(Greeting::Authenticated),
        Response::Data { outcome, .. } => Err(printable(words(outcome))),
        _ => Err("no greeting".to_owned()),
    });
    match greeting.await {
        Ok(greeting) => Ok((wire, greeting.map_err(Error::Protocol)?)),
        // A port for implicit TLS waits for us to speak first.
        Err(Error::Silent { .. }) => Err(Error::Setup(
            "the server has not greeted within 12 s: check port and tls (993 is usually \"implicit\")"
                .to_owned(),
        )),
        Err(error) => Err(error),
    }
}

async fn start_tls(mut wire: Wire) -> Result<Stream, Error> {
    let capabilities = Capabilities::ask(&mut wire).await?;
    if !capabilities.has("STARTTLS") {
        return Err(Error::Setup(
            "the server does not offer STARTTLS on this port; use tls = \"implicit\" (usually port 993)"
                .to_owned(),
        ));
    }
    wire.command("STARTTLS", "STARTTLS", COMMAND_LIMIT, |_| {}).await?;
    // What came behind the OK is dropped with the wire: it was never protected (CVE-2011-0411 and its kin).
    Ok(wire.into_stream())
}

#[cfg(test)]
mod tests;
