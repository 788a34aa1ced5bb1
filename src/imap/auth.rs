//! Signing in: AUTHENTICATE PLAIN or XOAUTH2, LOGIN where there is nothing better.

use async_imap::imap_proto::Response;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use secrecy::{ExposeSecret, SecretString};

use super::error::{Error, printable};
use super::session::Capabilities;
use super::wire::{COMMAND_LIMIT, READ_LIMIT, Wire, joined, quoted, tagged, words};
use crate::config::{Login, Mailbox};
use crate::oauth2::{Rejected, TokenSource};
use crate::secret;

/// PLAIN and XOAUTH2 need at most two; a server that goes on asking is not followed.
const CHALLENGES_MAX: u32 = 3;

/// What proves who we are, at this moment.
#[derive(Debug)]
pub(super) enum Credential {
    Password(SecretString),
    Token(SecretString),
}

impl Credential {
    /// Reads the password anew, or takes a token from `tokens`, which is there when the login is by OAuth 2.0.
    pub(super) async fn obtain(mailbox: &Mailbox, tokens: Option<&TokenSource>) -> Result<Self, Error> {
        let obtained = match (&mailbox.login, tokens) {
            (Login::Password(password), _) => secret::resolve(password).await.map(Self::Password),
            (Login::OAuth2(_), Some(tokens)) => tokens.token().await.map(Self::Token),
            (Login::OAuth2(oauth2), None) => TokenSource::new(oauth2.clone()).token().await.map(Self::Token),
        };
        obtained.map_err(|error| {
            let told = format!("{error:#}");
            if error.is::<Rejected>() { Error::Denied(told) } else { Error::Setup(told) }
        })
    }
}

pub(super) async fn sign_in(
    wire: &mut Wire,
    capabilities: &Capabilities,
    user: &str,
    credential: &Credential,
) -> Result<(), Error> {
    let outcome = match credential {
        Credential::Token(token) => {
            let message = joined(&["user=", user, "\x01auth=Bearer ", token.expose_secret(), "\x01\x01"]);
            authenticate(wire, capabilities, "XOAUTH2", &message).await
        }
        Credential::Password(password) if capabilities.has("AUTH=PLAIN") => {
            // A NUL would move the border between user and password (RFC 4616).
            if user.contains('\0') || password.expose_secret().contains('\0') {
                return Err(Error::Setup("user and password must not contain a NUL character".to_owned()));
            }
            let message = joined(&["\0", user, "\0", password.expose_secret()]);
            authenticate(wire, capabilities, "PLAIN", &message).await
        }
        Credential::Password(_) if capabilities.has("LOGINDISABLED") => {
            return Err(Error::Setup(
                "the server takes no password on this connection (LOGINDISABLED): use tls = \"implicit\" or \
                 \"starttls\", or oauth2"
                    .to_owned(),
            ));
        }
        Credential::Password(password) => {
            let line = joined(&["LOGIN ", &quoted(user), " ", &quoted(password.expose_secret())]);
            wire.command("LOGIN", &line, COMMAND_LIMIT, |_| {}).await
        }
    };
    outcome.map_err(|error| explain(error, user, credential))
}

/// One SASL exchange (RFC 3501, section 6.2.2, and RFC 4959 for the initial response).
async fn authenticate(
    wire: &mut Wire,
    capabilities: &Capabilities,
    mechanism: &str,
    message: &str,
) -> Result<(), Error> {
    let encoded = SecretString::from(STANDARD.encode(message));
    let at_once = capabilities.has("SASL-IR");
    let line = if at_once {
        joined(&["AUTHENTICATE ", mechanism, " ", encoded.expose_secret()])
    } else {
        joined(&["AUTHENTICATE ", mechanism])
    };
    let tag = wire.send("AUTHENTICATE", &line).await?;
    let mut unsent = (!at_once).then_some(encoded);
    let mut reason = None;
    let mut challenges = 0;
    loop {
        let step = wire.read("AUTHENTICATE", READ_LIMIT, |response| match response {
            Response::Continue(outcome) => Step::Challenge(words(outcome).to_owned()),
            Response::Done { tag: answered, status, outcome } if answered.0 == tag => {
                Step::Done(tagged("AUTHENTICATE", status, outcome))
            }
            _ => Step::Aside,
        });
        match step.await? {
            Step::Aside => {}
            Step::Done(Err(Error::Refused { command, text })) => {
                let text = reason.map_or(text.clone(), |status| format!("{text} (status {status})"));
                return Err(Error::Refused { command, text });
            }
            Step::Done(outcome) => return outcome,
            Step::Challenge(_) if challenges == CHALLENGES_MAX => {
                return Err(Error::Protocol("one challenge after another".to_owned()));
            }
            Step::Challenge(text) => {
                challenges += 1;
                let answer = unsent.take();
                if answer.is_none() {
                    reason = xoauth2_status(&text);
                }
                // An empty answer asks for the tagged NO that ends a failed XOAUTH2 exchange.
                wire.send_line("AUTHENTICATE", answer.as_ref().map_or("", |answer| answer.expose_secret()))
                    .await?;
            }
        }
    }
}

enum Step {
    Challenge(String),
    Done(Result<(), Error>),
    Aside,
}

/// A refused token is told by a challenge that is JSON: `{"status":"401","schemes":"bearer"}`.
fn xoauth2_status(challenge: &str) -> Option<String> {
    let json: serde_json::Value = serde_json::from_slice(&STANDARD.decode(challenge).ok()?).ok()?;
    Some(printable(json.get("status")?.as_str()?))
}

fn explain(error: Error, user: &str, credential: &Credential) -> Error {
    let Error::Refused { text, .. } = &error else { return error };
    if is_passing(text) {
        return error;
    }
    Error::Denied(match credential {
        Credential::Password(_) => format!(
            "the server refuses user and password of {user} ({text}): correct them (Microsoft 365 takes no passwords: \
             use oauth2)"
        ),
        Credential::Token(_) => format!(
            "the server refuses the OAuth 2.0 token for {user} ({text}): check that the application has the permission \
             IMAP.AccessAsApp with admin consent, that scope is right, and that its service principal may open this mailbox"
        ),
    })
}

/// Whether a refusal is not about who signs in (RFC 5530, section 3): Dovecot's `[UNAVAILABLE] Temporary authentication
/// failure`, say.
fn is_passing(text: &str) -> bool {
    const CODES: [&str; 4] = ["[UNAVAILABLE]", "[INUSE]", "[LIMIT]", "[SERVERBUG]"];
    CODES.iter().any(|code| text.get(..code.len()).is_some_and(|start| start.eq_ignore_ascii_case(code)))
}

#[cfg(test)]
mod tests;
