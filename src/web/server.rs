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
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;

use super::secure::Secure;
use super::{Site, routes};

/// So many connections are served at once; more of them wait in the system's queue.
const CONNECTIONS_MAX: usize = 1024;
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
}

impl Drop for Web {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn accept(listener: TcpListener, mut secure: Option<Secure>, router: Router) {
    let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
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
                let (router, acceptor) = (router.clone(), secure.as_ref().map(Secure::acceptor));
                connections.spawn(async move {
                    // An IPv4 client of a socket that also takes IPv6 shows as ::ffff:10.0.0.1.
                    serve(stream, acceptor, router, Peer(from.ip().to_canonical())).await;
                    drop(place);
                });
            }
            Err(error) => {
                tracing::warn!(%error, "a connection could not be accepted");
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
}

async fn serve(stream: TcpStream, acceptor: Option<TlsAcceptor>, router: Router, peer: Peer) {
    // Answers are small; the next request must not wait for an acknowledgement.
    let _ = stream.set_nodelay(true);
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
