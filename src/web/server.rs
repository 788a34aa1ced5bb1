//! Listening, and a limit to everything a client can keep busy.
//!
//! A new configuration breaks nothing off: what is being answered is answered by the old one, and connections go on with
//! the new one, unless what they are made of (the address, TLS) has changed.

use std::net::{IpAddr, SocketAddr};
use std::pin::pin;
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
use tokio::sync::{Semaphore, watch};
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;

use super::crowd::Crowd;
use super::secure::Secure;
use super::{Site, routes};
use crate::config::Identity;

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

/// Requests to an address that is left, or left without TLS, are given so long to be answered.
const FAREWELL: Duration = Duration::from_secs(10);

/// A renewed certificate is shown within this time.
const RENEWED_WITHIN: Duration = Duration::from_secs(10);

/// Where a connection comes from; handlers find it among a request's extensions.
#[derive(Debug, Clone, Copy)]
pub(super) struct Peer(pub IpAddr);

/// Serves as long as it lives.
pub(crate) struct Web {
    site: Arc<Site>,
    routers: watch::Sender<Router>,
    left: watch::Sender<bool>,
    task: JoinHandle<TcpListener>,
}

impl Web {
    /// Serves `site` in the place of `old`, or nothing more.
    ///
    /// # Errors
    /// When the address cannot be listened on, or its certificate not be used. Nothing is served then.
    pub(crate) async fn follow(old: Option<Self>, site: Option<Site>) -> Result<Option<Self>> {
        let site = site.map(Arc::new);
        match (old, site) {
            (Some(old), Some(site)) if old.shape() == shape(&site) => Ok(Some(old.hand_over(site))),
            (old, site) => {
                let left = match old {
                    Some(old) => Some((old.site.web.listen, old.leave().await)),
                    None => None,
                };
                let Some(site) = site else { return Ok(None) };
                let same =
                    left.and_then(|(address, listener)| listener.filter(|_| address == site.web.listen));
                Self::serve(site, same).await.map(Some)
            }
        }
    }

    async fn serve(site: Arc<Site>, listener: Option<TcpListener>) -> Result<Self> {
        let listen = site.web.listen;
        let listener = match listener {
            Some(listener) => listener,
            None => TcpListener::bind(listen)
                .await
                .with_context(|| format!("The address {listen} of [web] cannot be listened on"))?,
        };
        let secure = match &site.web.tls {
            Some(identity) => Some(Secure::load(identity.clone()).await?),
            None => None,
        };
        tracing::info!(%listen, "serving HTTP");
        let (routers, router) = watch::channel(routes::routes(Arc::clone(&site)));
        let (left, leaving) = watch::channel(false);
        let task = tokio::spawn(accept(listener, secure, Host { router, leaving }));
        Ok(Self { site, routers, left, task })
    }

    /// What cannot change under a connection.
    fn shape(&self) -> (SocketAddr, Option<&Identity>) {
        shape(&self.site)
    }

    fn hand_over(mut self, site: Arc<Site>) -> Self {
        drop(self.routers.send_replace(routes::routes(Arc::clone(&site))));
        std::mem::replace(&mut self.site, site).viewers.send_away();
        self
    }

    /// Takes no more connections; those there are end with what they are at, in [`FAREWELL`]. None: it had failed.
    async fn leave(mut self) -> Option<TcpListener> {
        self.left.send_replace(true);
        self.site.viewers.send_away();
        (&mut self.task).await.ok()
    }
}

fn shape(site: &Site) -> (SocketAddr, Option<&Identity>) {
    (site.web.listen, site.web.tls.as_ref())
}

/// What a connection follows.
#[derive(Clone)]
struct Host {
    /// That answers the next request.
    router: watch::Receiver<Router>,
    leaving: watch::Receiver<bool>,
}

impl Host {
    /// Done when the address is left.
    async fn left(&mut self) {
        // It is left, too, when nobody can say so any more.
        let _ = self.leaving.wait_for(|left| *left).await;
    }
}

impl Drop for Web {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Gives the listener back when the address is left.
async fn accept(listener: TcpListener, mut secure: Option<Secure>, mut host: Host) -> TcpListener {
    let (connections_max, crowd) = (connections_max(), Crowd::default());
    let places = Arc::new(Semaphore::new(connections_max));
    let mut renewal = tokio::time::interval(RENEWED_WITHIN);
    // They end with this task, unless the address is left.
    let mut connections = JoinSet::new();
    loop {
        let place = tokio::select! {
            place = Arc::clone(&places).acquire_owned() => place,
            () = host.left() => break,
        };
        let Ok(place) = place else { break };
        while connections.try_join_next().is_some() {}
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = host.left() => break,
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
                let (host, acceptor) = (host.clone(), secure.as_ref().map(Secure::acceptor));
                connections.spawn(async move {
                    // An IPv4 client of a socket that also takes IPv6 shows as ::ffff:10.0.0.1.
                    serve(stream, acceptor, host, Peer(from.ip().to_canonical())).await;
                    drop((place, guest));
                });
            }
            Err(error) => {
                tracing::warn!(%error, "a connection could not be accepted");
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
    tokio::spawn(timeout(FAREWELL, async move { while connections.join_next().await.is_some() {} }));
    listener
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

async fn serve(stream: TcpStream, acceptor: Option<TlsAcceptor>, host: Host, peer: Peer) {
    // Answers are small; the next request must not wait for an acknowledgement.
    let _ = stream.set_nodelay(true);
    limit_taking(&stream, TAKING_LIMIT);
    match acceptor {
        None => converse(stream, host, peer).await,
        Some(acceptor) => match timeout(HEAD_LIMIT, acceptor.accept(stream)).await {
            Ok(Ok(stream)) => converse(stream, host, peer).await,
            Ok(Err(error)) => tracing::debug!(%error, "a TLS handshake failed"),
            Err(_) => tracing::debug!("a TLS handshake took too long"),
        },
    }
}

async fn converse(stream: impl AsyncRead + AsyncWrite + Unpin, mut host: Host, peer: Peer) {
    let router = host.router.clone();
    let service = service_fn(move |mut request: Request<Incoming>| {
        request.extensions_mut().insert(peer);
        TowerToHyperService::new(router.borrow().clone()).call(request)
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_LIMIT)
        .max_buf_size(HEAD_BYTES_MAX)
        .serve_connection(TokioIo::new(stream), service);
    let mut connection = pin!(connection);
    let served = tokio::select! {
        served = connection.as_mut() => served,
        () = host.left() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
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
