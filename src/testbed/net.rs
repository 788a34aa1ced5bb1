//! What both servers stand on: a port that can close and open again, and a connection with bounds.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsAcceptor;

use super::locked;

const BACKLOG: u32 = 128;
const MAX_CONNECTIONS: usize = 256;
const HANDSHAKE_LIMIT: Duration = Duration::from_secs(10);
/// An IMAP server may log a client out after 30 minutes without a command (RFC 3501, section 5.4).
const READ_LIMIT: Duration = Duration::from_secs(30 * 60);
const WRITE_LIMIT: Duration = Duration::from_secs(60);
const LINGER: Duration = Duration::from_secs(1);
const BIND_TRIES: u32 = 50;
const BIND_PAUSE: Duration = Duration::from_millis(20);
const PAUSE_AFTER_FAILED_ACCEPT: Duration = Duration::from_millis(100);
const FLUSH_AT_BYTES: usize = 64 * 1024;

/// How connections to a server are protected.
#[derive(Clone)]
pub enum Tls {
    Plain,
    Implicit(TlsAcceptor),
    /// Offered by STARTTLS; nobody can log in before it.
    Starttls(TlsAcceptor),
}

type Serve = Arc<dyn Fn(TcpStream) -> Pin<Box<dyn Future<Output = ()> + Send>> + Send + Sync>;

/// One listening address with its sessions. Dropping it ends them all.
pub(super) struct Endpoint {
    address: SocketAddr,
    serve: Serve,
    sessions: Arc<Mutex<JoinSet<()>>>,
    port: tokio::sync::Mutex<Port>,
}

struct Port {
    accepting: Option<JoinHandle<()>>,
    /// Bound but not listening while stopped: connections are refused, and nobody else is given the port meanwhile.
    reserved: Option<TcpSocket>,
}

impl Endpoint {
    pub(super) fn start<F>(
        address: SocketAddr,
        session: impl Fn(TcpStream) -> F + Send + Sync + 'static,
    ) -> io::Result<Self>
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let listener = bind(address)?.listen(BACKLOG)?;
        let address = listener.local_addr()?;
        let serve: Serve = Arc::new(move |stream| Box::pin(session(stream)));
        let sessions = Arc::default();
        let accepting = tokio::spawn(accept(listener, Arc::clone(&serve), Arc::clone(&sessions)));
        let port = tokio::sync::Mutex::new(Port { accepting: Some(accepting), reserved: None });
        Ok(Self { address, serve, sessions, port })
    }

    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    pub(super) async fn stop(&self) -> io::Result<()> {
        let mut port = self.port.lock().await;
        let Some(accepting) = port.accepting.take() else { return Ok(()) };
        accepting.abort();
        // Ends with "cancelled"; waited for because the listener closes only then.
        let _ = accepting.await;
        self.drop_connections().await;
        port.reserved = Some(bind_again(self.address).await?);
        Ok(())
    }

    pub(super) async fn restart(&self) -> io::Result<()> {
        let mut port = self.port.lock().await;
        if port.accepting.is_some() {
            return Ok(());
        }
        let socket = match port.reserved.take() {
            Some(socket) => socket,
            None => bind_again(self.address).await?,
        };
        let listener = socket.listen(BACKLOG)?;
        port.accepting =
            Some(tokio::spawn(accept(listener, Arc::clone(&self.serve), Arc::clone(&self.sessions))));
        Ok(())
    }

    pub(super) async fn drop_connections(&self) {
        let mut sessions = std::mem::take(&mut *locked(&self.sessions));
        sessions.shutdown().await;
    }

    pub(super) fn connections(&self) -> usize {
        let mut sessions = locked(&self.sessions);
        reap(&mut sessions);
        sessions.len()
    }
}

impl Drop for Endpoint {
    fn drop(&mut self) {
        if let Some(accepting) = self.port.get_mut().accepting.take() {
            // It holds the last other handle on the sessions, which end with their set.
            accepting.abort();
        }
    }
}

/// A process that is being started at this moment holds a copy of the listener until its program runs.
async fn bind_again(address: SocketAddr) -> io::Result<TcpSocket> {
    for _ in 0..BIND_TRIES {
        match bind(address) {
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => sleep(BIND_PAUSE).await,
            bound => return bound,
        }
    }
    bind(address)
}

fn bind(address: SocketAddr) -> io::Result<TcpSocket> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    // Connections of the stopped server linger in TIME_WAIT on the same port.
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    Ok(socket)
}

async fn accept(listener: TcpListener, serve: Serve, sessions: Arc<Mutex<JoinSet<()>>>) {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                let mut sessions = locked(&sessions);
                reap(&mut sessions);
                if sessions.len() < MAX_CONNECTIONS {
                    sessions.spawn(serve(stream));
                } else {
                    tracing::warn!(
                        "The mail server of the testbed refused a connection: {MAX_CONNECTIONS} are open"
                    );
                }
            }
            Err(error) => {
                tracing::warn!("The mail server of the testbed could not accept a connection: {error}");
                sleep(PAUSE_AFTER_FAILED_ACCEPT).await;
            }
        }
    }
}

fn reap(sessions: &mut JoinSet<()>) {
    while let Some(ended) = sessions.try_join_next() {
        if let Err(error) = ended {
            tracing::error!("A session of the testbed's mail server failed: {error}");
        }
    }
}

trait Duplex: AsyncRead + AsyncWrite + Unpin + Send {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send> Duplex for T {}

/// How the bytes of an answer reach the wire.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Manner {
    /// At most so many bytes per write, and a pause after each.
    pub(super) chunks: Option<(usize, Duration)>,
    /// The connection ends when so many more bytes are out.
    pub(super) cut_after: Option<usize>,
}

/// Lines in, buffered answers out; every wait has a limit.
pub(super) struct Connection {
    stream: BufReader<Box<dyn Duplex>>,
    /// The beginning of a line whose end has not come yet. Kept here so that a cancelled read loses nothing.
    line: Vec<u8>,
    pub(super) out: Vec<u8>,
    pub(super) manner: Manner,
    pub(super) encrypted: bool,
}

impl Connection {
    pub(super) async fn open(stream: TcpStream, tls: &Tls) -> io::Result<Self> {
        stream.set_nodelay(true)?;
        let mut connection = Self {
            stream: BufReader::new(Box::new(stream)),
            line: Vec::new(),
            out: Vec::new(),
            manner: Manner::default(),
            encrypted: false,
        };
        if let Tls::Implicit(acceptor) = tls {
            connection.encrypt(acceptor).await?;
        }
        Ok(connection)
    }

    /// The handshake. What the client sent in plain text before it is thrown away: it may be an injected command
    /// (CVE-2011-0411).
    pub(super) async fn encrypt(&mut self, acceptor: &TlsAcceptor) -> io::Result<()> {
        let plain = std::mem::replace(&mut self.stream, BufReader::new(Box::new(tokio::io::empty())));
        let stream = within(HANDSHAKE_LIMIT, acceptor.accept(plain.into_inner())).await?;
        self.stream = BufReader::new(Box::new(stream));
        self.encrypted = true;
        Ok(())
    }

    /// The next line with its line end; None when the client has closed the connection. Safe to cancel.
    pub(super) async fn read_line(&mut self, limit_bytes: usize) -> io::Result<Option<Vec<u8>>> {
        loop {
            let available = within(READ_LIMIT, self.stream.fill_buf()).await?;
            if available.is_empty() {
                return Ok(None);
            }
            let end = memchr::memchr(b'\n', available);
            let taken = end.map_or(available.len(), |end| end + 1);
            self.line.extend(available.iter().take(taken));
            self.stream.consume(taken);
            if self.line.len() > limit_bytes {
                let text = format!("the client sent a line of more than {limit_bytes} bytes");
                return Err(io::Error::new(io::ErrorKind::InvalidData, text));
            }
            if end.is_some() {
                return Ok(Some(std::mem::take(&mut self.line)));
            }
        }
    }

    pub(super) async fn read_bytes(&mut self, count: usize) -> io::Result<Vec<u8>> {
        let mut bytes = vec![0; count];
        within(READ_LIMIT, self.stream.read_exact(&mut bytes)).await?;
        Ok(bytes)
    }

    pub(super) fn put_line(&mut self, line: &str) {
        self.out.extend_from_slice(line.as_bytes());
        self.out.extend_from_slice(b"\r\n");
    }

    pub(super) async fn flush_when_large(&mut self) -> io::Result<()> {
        if self.out.len() < FLUSH_AT_BYTES { Ok(()) } else { self.flush().await }
    }

    pub(super) async fn flush(&mut self) -> io::Result<()> {
        let mut out = std::mem::take(&mut self.out);
        let whole = out.len();
        if let Some(left) = &mut self.manner.cut_after {
            out.truncate(*left);
            *left -= out.len();
        }
        let (size, pause) = self.manner.chunks.unwrap_or((usize::MAX, Duration::ZERO));
        for chunk in out.chunks(size.max(1)) {
            within(WRITE_LIMIT, self.stream.write_all(chunk)).await?;
            within(WRITE_LIMIT, self.stream.flush()).await?;
            if !pause.is_zero() {
                sleep(pause).await;
            }
        }
        if out.len() < whole {
            return Err(io::Error::other("the answer was cut off, as scripted"));
        }
        out.clear();
        self.out = out;
        Ok(())
    }

    /// Sends what is waiting and ends the connection in good order: TLS says goodbye, and what the client has still
    /// sent is taken, since a reset would make it lose the last answer.
    pub(super) async fn close(&mut self) -> io::Result<()> {
        self.flush().await?;
        within(WRITE_LIMIT, self.stream.shutdown()).await?;
        within(LINGER, tokio::io::copy(&mut self.stream, &mut tokio::io::sink())).await?;
        Ok(())
    }

    /// Says nothing more and takes whatever comes, until the client goes away.
    pub(super) async fn stall(&mut self) -> io::Result<()> {
        within(READ_LIMIT, tokio::io::copy(&mut self.stream, &mut tokio::io::sink())).await?;
        Ok(())
    }
}

async fn within<T>(limit: Duration, wait: impl Future<Output = io::Result<T>>) -> io::Result<T> {
    timeout(limit, wait).await.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
}

/// A self-signed certificate for `localhost` and both ends that use it.
#[cfg(test)]
pub(super) mod test_tls {
    use std::sync::Arc;

    use rustls::crypto::aws_lc_rs::default_provider;
    use rustls::pki_types::{PrivateKeyDer, ServerName};
    use rustls::{ClientConfig, RootCertStore, ServerConfig};
    use tokio_rustls::{TlsAcceptor, TlsConnector};

    pub(crate) fn pair() -> (TlsAcceptor, TlsConnector) {
        let certified = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let certificate = certified.cert.der().clone();
        let key = PrivateKeyDer::try_from(certified.signing_key.serialize_der()).unwrap();
        let server = ServerConfig::builder_with_provider(Arc::new(default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certificate.clone()], key)
            .unwrap();
        let mut roots = RootCertStore::empty();
        roots.add(certificate).unwrap();
        let client = ClientConfig::builder_with_provider(Arc::new(default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        (TlsAcceptor::from(Arc::new(server)), TlsConnector::from(Arc::new(client)))
    }

    pub(crate) fn name() -> ServerName<'static> {
        ServerName::try_from("localhost").unwrap()
    }
}
