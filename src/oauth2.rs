//! Access tokens by the client credentials grant (RFC 6749, section 4.4): one form POST, cached.

use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock, Mutex as StdMutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use reqwest::{Client, Response, StatusCode};
use secrecy::zeroize::Zeroizing;
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use tokio::sync::Mutex;
use tokio::time::Instant;

use crate::config::OAuth2;
use crate::{secret, text, tls};

const REQUEST_LIMIT: Duration = Duration::from_secs(15);
/// Microsoft's tokens have about 2 KiB, its error texts less.
const ANSWER_BYTES_MAX: usize = 64 << 10;
/// A token is not used in its last minutes: it would end while a connection is being opened.
const RENEW_BEFORE: Duration = Duration::from_secs(300);
/// What RFC 6749, section 5.1, leaves open when `expires_in` is missing.
const LIFETIME_DEFAULT: u64 = 3600;
const LIFETIME_MAX: u64 = 24 * 3600;
const ERROR_CHARS_MAX: usize = 300;

/// Logins whose tokens are kept for the next message: as many as there can be channels.
const SHARED_MAX: usize = 100;

/// By endpoint, application and scope, which decide what a token is good for. A channel is made anew for each message, but
/// its tokens last.
static SHARED: LazyLock<StdMutex<BTreeMap<[String; 3], Arc<TokenSource>>>> = LazyLock::new(StdMutex::default);

/// The tokens of one application, fetched when needed.
#[derive(Debug)]
pub(crate) struct TokenSource {
    oauth2: OAuth2,
    cached: Mutex<Option<Cached>>,
}

#[derive(Debug)]
struct Cached {
    token: SecretString,
    renew_at: Instant,
}

#[derive(Deserialize)]
struct Granted {
    access_token: String,
    expires_in: Option<u64>,
}

#[derive(Deserialize)]
struct Refused {
    error: String,
    error_description: Option<String>,
}

/// The endpoint knows the application or its secret not, or not any more: AADSTS7000222, for instance.
#[derive(Debug, thiserror::Error)]
#[error("the endpoint refused ({status}): {said}")]
pub(crate) struct Rejected {
    status: StatusCode,
    said: String,
}

impl TokenSource {
    pub(crate) fn new(oauth2: OAuth2) -> Self {
        Self { oauth2, cached: Mutex::new(None) }
    }

    /// The one whose tokens all of this process share. Where the client secret comes from is as it was first told, until
    /// that differs.
    pub(crate) fn shared(oauth2: &OAuth2) -> Arc<Self> {
        let key = [oauth2.token_url.to_string(), oauth2.client_id.clone(), oauth2.scope.clone()];
        let mut shared = SHARED.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) =
            shared.get(&key).filter(|known| known.oauth2.client_secret == oauth2.client_secret)
        {
            return Arc::clone(known);
        }
        if shared.len() >= SHARED_MAX {
            // Only configurations that were replaced can leave so many behind.
            shared.clear();
        }
        let fresh = Arc::new(Self::new(oauth2.clone()));
        shared.insert(key, Arc::clone(&fresh));
        fresh
    }

    /// Whether the next token will be one that was fetched before.
    pub(crate) async fn remembers(&self) -> bool {
        self.cached.lock().await.as_ref().is_some_and(|cached| Instant::now() < cached.renew_at)
    }

    /// A token that is good for some minutes at least. Errors name the endpoint, never a secret.
    pub(crate) async fn token(&self) -> Result<SecretString> {
        let mut cached = self.cached.lock().await;
        if let Some(Cached { token, renew_at }) = &*cached
            && Instant::now() < *renew_at
        {
            return Ok(token.clone());
        }
        let granted = self.fetch().await?;
        let lifetime = Duration::from_secs(granted.expires_in.unwrap_or(LIFETIME_DEFAULT).min(LIFETIME_MAX));
        let renew_at = Instant::now() + lifetime.saturating_sub(RENEW_BEFORE);
        let token = SecretString::from(granted.access_token);
        *cached = Some(Cached { token: token.clone(), renew_at });
        Ok(token)
    }

    /// Forgets a token that a server has refused.
    pub(crate) async fn forget(&self) {
        *self.cached.lock().await = None;
    }

    async fn fetch(&self) -> Result<Granted> {
        let token_url = &self.oauth2.token_url;
        let secret = secret::resolve(&self.oauth2.client_secret).await;
        let secret = secret.context("the OAuth 2.0 client secret cannot be had")?;
        let answer = tokio::time::timeout(REQUEST_LIMIT, self.exchange(&secret)).await;
        let Ok(answer) = answer else { bail!("the token endpoint {token_url} has not answered within 15 s") };
        answer.with_context(|| format!("no token from {token_url}"))
    }

    async fn exchange(&self, secret: &SecretString) -> Result<Granted> {
        let OAuth2 { token_url, client_id, scope, .. } = &self.oauth2;
        let form = [
            ("grant_type", "client_credentials"),
            ("client_id", client_id),
            ("client_secret", secret.expose_secret()),
            ("scope", scope),
        ];
        let request = http_client().await?.post(token_url.clone()).form(&form);
        let response = request.send().await.map_err(|error| unreachable_endpoint(&error))?;
        let status = response.status();
        understand(status, &bounded_body(response).await?)
    }
}

async fn http_client() -> Result<Client> {
    let config =
        tokio::task::spawn_blocking(|| tls::client_config(None, None)).await.context("interrupted")??;
    Client::builder()
        .tls_backend_preconfigured(config)
        // A redirected POST would carry the secret to another host.
        .redirect(reqwest::redirect::Policy::none())
        .no_proxy()
        .build()
        .context("the HTTP client cannot be set up")
}

fn unreachable_endpoint(error: &reqwest::Error) -> anyhow::Error {
    use std::error::Error;
    let mut cause: &dyn Error = error;
    while let Some(deeper) = cause.source() {
        cause = deeper;
    }
    anyhow::anyhow!("the endpoint cannot be reached ({cause})")
}

/// Room for the longest answer from the beginning: a text that grows leaves a copy behind.
async fn bounded_body(mut response: Response) -> Result<Zeroizing<Vec<u8>>> {
    let mut body = Zeroizing::new(Vec::with_capacity(ANSWER_BYTES_MAX));
    while let Some(chunk) = response.chunk().await.map_err(|error| unreachable_endpoint(&error))? {
        ensure!(
            body.len() + chunk.len() <= ANSWER_BYTES_MAX,
            "the answer is larger than 64 KiB: is it the right URL?"
        );
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

fn understand(status: StatusCode, body: &[u8]) -> Result<Granted> {
    if status.is_success() {
        // serde's own message could quote the answer, and the answer holds the token.
        let granted = serde_json::from_slice::<Granted>(body).ok();
        let granted = granted.filter(|granted| is_token(&granted.access_token));
        return granted.context("the endpoint answered without an access token: is it the right URL?");
    }
    match serde_json::from_slice::<Refused>(body) {
        Ok(Refused { error, error_description }) => {
            let detail = error_description.unwrap_or_default();
            let said = shortened(&format!("{error} {detail}"));
            // 400 and 401 are what RFC 6749, section 5.2, has for it, and Azure answers 400 to a wrong tenant as
            // well; anything else may pass.
            let rejected = matches!(status.as_u16(), 400 | 401 | 403) && error != "temporarily_unavailable";
            ensure!(!rejected, Rejected { status, said });
            bail!("the endpoint refused ({status}): {said}")
        }
        Err(_) => bail!("the endpoint answered {status} without saying why: is it the right URL?"),
    }
}

/// A control character would break out of the SASL message, whose fields are separated by ^A.
fn is_token(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic())
}

/// Microsoft's description is one line of what went wrong, then trace identifiers.
fn shortened(text: &str) -> String {
    text::quoted(text.lines().next().unwrap_or_default(), ERROR_CHARS_MAX)
}

#[cfg(test)]
mod tests;
