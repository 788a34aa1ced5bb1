//! The keys that checkers sign with, fetched from where the configuration says they are.

use std::sync::Arc;

use anyhow::{Context, Result, anyhow};
use secrecy::ExposeSecret;

use crate::config::{Config, Secret, Trust};
use crate::secret::resolve;
use crate::trust::signature::KEY_BYTES_MIN;
use crate::trust::{Key, Keys};

/// The keys of all checkers that have to sign, as they are now; files and commands are read anew.
///
/// # Errors
/// When one cannot be fetched, or is too short, or that of the watchdog itself. No error contains any of it.
pub(crate) async fn fetch(config: &Config) -> Result<Keys> {
    try_own_key(config).await?;
    let mut keys = Keys::new();
    // Of [defaults], which all checkers may share: a program that prints a key is run once.
    let mut last: Option<(&Arc<Trust>, Arc<[Key]>)> = None;
    for checker in &config.checkers {
        let Some(trust) = checker.trust.as_ref().filter(|trust| trust.signs()) else { continue };
        let fetched = match &last {
            Some((of, fetched)) if Arc::ptr_eq(of, trust) => Arc::clone(fetched),
            _ => {
                let why = || format!("{}: the key of its signatures (trust.hmac) is not there", checker.name);
                of(trust).await.with_context(why)?
            }
        };
        last = Some((trust, Arc::clone(&fetched)));
        keys.insert(checker.name.clone(), fetched);
    }
    Ok(keys)
}

/// Whether the key that the watchdog signs its own runs with is there.
///
/// # Errors
/// As for [`key_of`].
async fn try_own_key(config: &Config) -> Result<()> {
    let mail = config.heartbeat.as_ref().and_then(|heartbeat| heartbeat.mail.as_ref());
    let Some(hmac) = mail.and_then(|mail| mail.hmac.as_ref()) else { return Ok(()) };
    key_of(hmac)
        .await
        .map(drop)
        .context("the key of the watchdog's own reports (heartbeat.hmac) is not there")
}

/// One key, as it is now.
///
/// # Errors
/// When it cannot be fetched, or is too short. No error contains any of it.
pub(crate) async fn key_of(hmac: &Secret) -> Result<Key> {
    let secret = resolve(hmac).await?;
    let key = Key::new(secret.expose_secret().as_bytes());
    key.ok_or_else(|| anyhow!("it has fewer than {KEY_BYTES_MIN} bytes; make one with: openssl rand -hex 32"))
}

async fn of(trust: &Trust) -> Result<Arc<[Key]>> {
    let mut keys = Vec::with_capacity(trust.hmac.len());
    for secret in &trust.hmac {
        keys.push(key_of(secret).await?);
    }
    Ok(keys.into())
}
