//! The certificate of the page, read again when its files change: whoever renews it need not restart the watchdog.

use std::path::Path;
use std::sync::Arc;
use std::time::SystemTime;

use anyhow::{Context, Result};
use tokio_rustls::TlsAcceptor;

use crate::config::Identity;
use crate::tls;

/// When each of the two files was changed.
type Changed = [Option<SystemTime>; 2];

pub(super) struct Secure {
    identity: Identity,
    changed: Changed,
    acceptor: TlsAcceptor,
}

impl Secure {
    /// # Errors
    /// When there is no certificate to begin with.
    pub(super) async fn load(identity: Identity) -> Result<Self> {
        let (changed, acceptor) = read(identity.clone()).await?;
        Ok(Self { identity, changed, acceptor })
    }

    pub(super) fn acceptor(&self) -> TlsAcceptor {
        self.acceptor.clone()
    }

    /// Takes up files that were changed. As long as the new ones cannot be used, the old certificate goes on.
    pub(super) async fn refresh(&mut self) {
        let identity = self.identity.clone();
        let changed = tokio::task::spawn_blocking(move || changed(&identity)).await.unwrap_or(self.changed);
        if changed == self.changed {
            return;
        }
        match read(self.identity.clone()).await {
            Ok((_, acceptor)) => {
                tracing::info!("the certificate of [web] was read again");
                self.acceptor = acceptor;
            }
            Err(error) => {
                let error = format!("{error:#}");
                tracing::warn!(error, "the new certificate of [web] cannot be used; the old one goes on");
            }
        }
        self.changed = changed;
    }
}

async fn read(identity: Identity) -> Result<(Changed, TlsAcceptor)> {
    let read = move || -> Result<(Changed, TlsAcceptor)> {
        // Looked at before they are read: a change in between is seen the next time.
        let changed = changed(&identity);
        Ok((changed, TlsAcceptor::from(Arc::new(tls::server_config(&identity)?))))
    };
    tokio::task::spawn_blocking(read).await.context("the certificate of [web] could not be read")?
}

fn changed(identity: &Identity) -> Changed {
    let of = |path: &Path| path.metadata().and_then(|metadata| metadata.modified()).ok();
    [of(&identity.certificate), of(&identity.key)]
}
