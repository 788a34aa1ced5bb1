//! Connections, the same for IMAP and SMTP: name, address, TCP, TLS. Every failure is one sentence that says what to do.

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpSocket, TcpStream, lookup_host};
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use crate::config::{Server, Tls};
use crate::expiry::Validity;
use crate::tls;

const LOOKUP_LIMIT: Duration = Duration::from_secs(8);
const HANDSHAKE_LIMIT: Duration = Duration::from_secs(10);
/// The last address is given time; those before it must not use it up (a black hole for IPv6, say).
const CONNECT_LIMIT_LAST: Duration = Duration::from_secs(10);
const CONNECT_LIMIT_OTHERS: Duration = Duration::from_secs(2);
const ADDRESSES_MAX: usize = 6;

/// Any two-way stream of bytes.
pub(crate) trait Transport: AsyncRead + AsyncWrite + Unpin + Send + Sync + fmt::Debug {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send + Sync + fmt::Debug> Transport for T {}

pub(crate) type Stream = Box<dyn Transport>;

/// Connects to the first address of the server that answers.
pub(crate) async fn connect(server: &Server) -> Result<TcpStream, String> {
    let host = &server.host;
    let found = match timeout(LOOKUP_LIMIT, lookup_host((host.as_str(), server.port))).await {
        Ok(Ok(found)) => found.take(ADDRESSES_MAX).collect::<Vec<_>>(),
        Ok(Err(error)) => {
            return Err(format!(
                "the name {host} cannot be resolved ({error}); check host and this machine's DNS"
            ));
        }
        Err(_) => {
            return Err(format!("the name {host} was not resolved within 8 s; check this machine's DNS"));
        }
    };
    let mut failures = Vec::new();
    for (tried, address) in found.iter().enumerate() {
        if server.tls == Tls::Plain && !address.ip().is_loopback() {
            let what = format!("tls = \"plain\" would send the password in the clear to {}", address.ip());
            return Err(format!("{what}; it is for loopback addresses only"));
        }
        let limit = if tried + 1 == found.len() { CONNECT_LIMIT_LAST } else { CONNECT_LIMIT_OTHERS };
        match timeout(limit, dial(*address)).await {
            Ok(Ok(stream)) => return Ok(stream),
            Ok(Err(error)) => failures.push(format!("{address}: {error}")),
            Err(_) => failures.push(format!("{address}: no answer for {} s", limit.as_secs())),
        }
    }
    let tried = if failures.is_empty() { "it has no address".to_owned() } else { failures.join("; ") };
    Err(format!("no connection to {host} ({tried}); check host, port, the network and firewalls"))
}

async fn dial(address: SocketAddr) -> std::io::Result<TcpStream> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    socket.set_keepalive(true)?;
    socket.set_nodelay(true)?;
    socket.connect(address).await
}

/// A stream with TLS around it.
pub(crate) struct Secured {
    pub(crate) stream: Stream,
    /// Of the server's certificate. None when it is pinned: then its dates do not matter.
    pub(crate) certificate: Option<Validity>,
}

/// Puts TLS around a stream.
pub(crate) async fn secure(server: &Server, stream: Stream) -> Result<Secured, String> {
    let (ca_file, pin) = (server.ca_file.clone(), server.pin_sha256);
    let config = tokio::task::spawn_blocking(move || tls::client_config(ca_file.as_deref(), pin))
        .await
        .map_err(|error| format!("TLS cannot be set up ({error})"))?
        .map_err(|error| format!("{error:#}"))?;
    let host = &server.host;
    let name = ServerName::try_from(host.clone())
        .map_err(|_| format!("host {host} is neither a DNS name nor an address"))?;
    match timeout(HANDSHAKE_LIMIT, TlsConnector::from(Arc::new(config)).connect(name, stream)).await {
        Ok(Ok(stream)) => {
            let (_, session) = stream.get_ref();
            let shown = session.peer_certificates().and_then(<[_]>::first).filter(|_| pin.is_none());
            let certificate = shown.and_then(tls::validity);
            Ok(Secured { stream: Box::new(stream), certificate })
        }
        Ok(Err(error)) => Err(tls::explain(host, &error)),
        Err(_) => Err(format!(
            "{host} has not answered the TLS handshake within 10 s: check port and tls (143 and 587 are usually \
             \"starttls\")"
        )),
    }
}
