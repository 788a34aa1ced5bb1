//! Listening, and a limit to everything a client can keep busy.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use axum::Router;
use hyper::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::{Service as _, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use rustix::net::sockopt::set_tcp_user_timeout;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;

use super::crowd::Crowd;
use super::secure::Secure;
use super::{Site, routes};

/// So many connections are served at once; more of them wait in the system's queue.
const CONNECTIONS_MAX: usize = 1024;
/// So many files are wanted: for those connections, for the state, for the mailboxes and for the alarms.
const FILES_WANTED: u64 = 4096;
/// A client that takes nothing of its answer for so long is gone.
const TAKING_LIMIT: Duration = Duration::from_secs(20);
/// A client has so long to send a request's head.
const HEAD_LIMIT: Duration = Duration::from_secs(10);
/// Of a request's line and headers.
const HEAD_BYTES_MAX: usize = 32 << 10;
/// After an error that passes (too many open files, say).
const PAUSE: Duration = Duration::from_secs(1);

/// A renewed certificate is shown within this time.
const RENEWED_WITHIN: Duration = Duration::from_secs(10);

/// Where a connection comes from; handlers find it among a request's extensions.
#[derive(Debug, Clone, Copy)]
pub(super) struct Peer(pub IpAddr);

/// Serves as long as it lives.
pub(crate) struct Web {
    task: JoinHandle<()>,
}

impl Web {
    /// # Errors
    /// When the address cannot be listened on.
    pub(crate) async fn serve(site: Site) -> Result<Self> {
        let listen = site.web.listen;
        let listener = TcpListener::bind(listen)
            .await
            .with_context(|| format!("The address {listen} of [web] cannot be listened on"))?;
        let secure = match &site.web.tls {
            Some(identity) => Some(Secure::load(identity.clone()).await?),
            None => None,
        };
        tracing::info!(%listen, "serving HTTP");
        Ok(Self { task: tokio::spawn(accept(listener, secure, routes::routes(Arc::new(site)))) })
    }

    /// Ends it, and waits until the address is free.
    pub(crate) async fn end(mut self) {
        self.task.abort();
        let _ = (&mut self.task).await;
    }
}

impl Drop for Web {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn accept(listener: TcpListener, mut secure: Option<Secure>, router: Router) {
    let (connections_max, crowd) = (connections_max(), Crowd::default());
    let places = Arc::new(Semaphore::new(connections_max));
    let mut renewal = tokio::time::interval(RENEWED_WITHIN);
    // They end with this task.
    let mut connections = JoinSet::new();
    loop {
        let Ok(place) = Arc::clone(&places).acquire_owned().await else { return };
        while connections.try_join_next().is_some() {}
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            _ = renewal.tick(), if secure.is_some() => {
                if let Some(secure) = &mut secure {
                    secure.refresh().await;
                }
                continue;
            }
        };
        match accepted {
            Ok((stream, from)) => {
                // More from there are closed at once. A proxy in front needs most of them.
                let Some(guest) = crowd.enter(from.ip(), connections_max / 4 * 3) else { continue };
                let (router, acceptor) = (router.clone(), secure.as_ref().map(Secure::acceptor));
                connections.spawn(async move {
                    // An IPv4 client of a socket that also takes IPv6 shows as ::ffff:10.0.0.1.
                    serve(stream, acceptor, router, Peer(from.ip().to_canonical())).await;
                    drop((place, guest));
                });
            }
            Err(error) => {
                tracing::warn!(%error, "a connection could not be accepted");
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
}

/// Strangers must leave files to open for the alarms: no more than half of what this process may open are theirs.
fn connections_max() -> usize {
    let may = getrlimit(Resource::Nofile);
    let most = may.maximum.unwrap_or(FILES_WANTED).min(FILES_WANTED);
    let more = may.current.filter(|current| *current < most);
    let raised = more.is_some() && setrlimit(Resource::Nofile, Rlimit { current: Some(most), ..may }).is_ok();
    let files = if raised { most } else { may.current.unwrap_or(FILES_WANTED) };
    usize::try_from(files / 2).map_or(CONNECTIONS_MAX, |half| half.clamp(2, CONNECTIONS_MAX))
}

/// Breaks off a connection whose other side acknowledges nothing, or takes nothing more, for so long (tcp(7)).
fn limit_taking(stream: &TcpStream, limit: Duration) {
    let milliseconds = u32::try_from(limit.as_millis()).unwrap_or(u32::MAX);
    if let Err(error) = set_tcp_user_timeout(stream, milliseconds) {
        tracing::debug!(%error, "a connection has no limit to how long its answers wait");
    }
}

async fn serve(stream: TcpStream, acceptor: Option<TlsAcceptor>, router: Router, peer: Peer) {
    // Answers are small; the next request must not wait for an acknowledgement.
    let _ = stream.set_nodelay(true);
    limit_taking(&stream, TAKING_LIMIT);
    match acceptor {
        None => converse(stream, router, peer).await,
        Some(acceptor) => match timeout(HEAD_LIMIT, acceptor.accept(stream)).await {
            Ok(Ok(stream)) => converse(stream, router, peer).await,
            Ok(Err(error)) => tracing::debug!(%error, "a TLS handshake failed"),
            Err(_) => tracing::debug!("a TLS handshake took too long"),
        },
    }
}

async fn converse(stream: impl AsyncRead + AsyncWrite + Unpin, router: Router, peer: Peer) {
    let router = TowerToHyperService::new(router);
    let service = service_fn(move |mut request: Request<Incoming>| {
        request.extensions_mut().insert(peer);
        router.call(request)
    });
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_LIMIT)
        .max_buf_size(HEAD_BYTES_MAX)
        .serve_connection(TokioIo::new(stream), service)
        .await;
    if let Err(error) = served {
        tracing::debug!(%error, "a connection broke off");
    }
}

#[cfg(test)]
mod tests {
    use std::io::ErrorKind;
    use std::net::Ipv4Addr;

    use tokio::io::AsyncWriteExt;

    use super::*;

    #[tokio::test]
    async fn whoever_takes_nothing_of_its_answer_is_left() {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let _client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (mut stream, _) = listener.accept().await.unwrap();
        limit_taking(&stream, Duration::from_secs(1));
        let endless = async {
            loop {
                if let Err(error) = stream.write_all(&[0; 64 << 10]).await {
                    return error.kind();
                }
            }
        };
        let ended = timeout(Duration::from_secs(20), endless).await;
        assert_eq!(ended.ok(), Some(ErrorKind::TimedOut));
    }
}
