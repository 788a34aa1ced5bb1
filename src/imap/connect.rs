//! From a host name to a session that is signed in.

use std::time::Duration;

use async_imap::imap_proto::{Response, Status};
use tokio::time::timeout;

use super::auth::{self, Credential};
use super::error::{Error, printable};
use super::session::{Capabilities, Session};
use super::wire::{COMMAND_LIMIT, Wire, words};
use crate::config::{Mailbox, Server, Tls};
use crate::expiry::Validity;
use crate::net::{self, Secured, Stream};

/// From the first packet to the end of authentication. `once` has 30 s for everything.
const OPEN_LIMIT: Duration = Duration::from_secs(25);
const GREETING_LIMIT: Duration = Duration::from_secs(12);

/// Connects and signs in. The credential is fetched first: servers wait only briefly for one.
pub(super) async fn open(mailbox: &Mailbox, credential: &Credential) -> Result<Session, Error> {
    let opened = async {
        let Reached { mut wire, greeted, certificate } = reach(&mailbox.server).await?;
        if greeted == Greeting::Ready {
            let before = Capabilities::ask(&mut wire).await?;
            auth::sign_in(&mut wire, &before, &mailbox.user, credential).await?;
        }
        // Exchange shows IDLE, UIDPLUS and the like only to users who are signed in.
        let capabilities = Capabilities::ask(&mut wire).await?;
        Ok(Session { certificate, ..Session::new(wire, capabilities) })
    };
    timeout(OPEN_LIMIT, opened).await.unwrap_or_else(|_| {
        Err(Error::Setup(
            "signing in was not over within 25 s; the server or the network is too slow".to_owned(),
        ))
    })
}

/// The certificate that the server shows now, on a connection of its own that is not signed in.
pub(super) async fn certificate(server: &Server) -> Result<Option<Validity>, Error> {
    let silent = Error::Silent { command: "a second connection", limit: OPEN_LIMIT };
    timeout(OPEN_LIMIT, reach(server)).await.unwrap_or(Err(silent)).map(|reached| reached.certificate)
}

struct Reached {
    wire: Wire,
    greeted: Greeting,
    certificate: Option<Validity>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Greeting {
    Ready,
    /// The server knows who we are (a tunnel, a client address); there is nothing to authenticate.
    Authenticated,
}

async fn reach(server: &Server) -> Result<Reached, Error> {
    let tcp = net::connect(server).await.map_err(Error::Setup)?;
    match server.tls {
        Tls::Implicit => {
            let Secured { stream, certificate } =
                net::secure(server, Box::new(tcp)).await.map_err(Error::Setup)?;
            let (wire, greeted) = greet(stream).await?;
            Ok(Reached { wire, greeted, certificate })
        }
        Tls::Plain => {
            let (wire, greeted) = greet(Box::new(tcp)).await?;
            Ok(Reached { wire, greeted, certificate: None })
        }
        Tls::Starttls => {
            let (wire, greeted) = greet(Box::new(tcp)).await?;
            if greeted == Greeting::Authenticated {
                // RFC 9051, section 11.1: after PREAUTH there is no STARTTLS, and who sent it is unknown.
                return Err(Error::Setup(
                    "the server greets with PREAUTH, after which STARTTLS is impossible; use tls = \"implicit\"".to_owned(),
                ));
            }
            let Secured { stream, certificate } =
                net::secure(server, start_tls(wire).await?).await.map_err(Error::Setup)?;
            Ok(Reached { wire: Wire::new(stream), greeted, certificate })
        }
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
