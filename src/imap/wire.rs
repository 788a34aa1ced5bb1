//! Commands and answers on one connection. A command is done only when its own tagged OK has come.
//!
//! async-imap's typed commands return `Ok` for a tagged NO and for a connection that ends in the middle, which a
//! watchdog would read as "no mail"; its stream costs more than the parsing of a mail. So only its parser is used, on
//! whole answers. Commands are written to the stream in one piece (one TLS record) and never pass through async-imap, whose
//! trace log would hold the password.

use std::time::Duration;

use async_imap::imap_proto::{MailboxDatum, Outcome, Response, Status};
use secrecy::zeroize::Zeroizing;
use tokio::io::AsyncWriteExt;
use tokio::time::timeout;

use super::error::{Error, unparsable};
use super::fetched::fetched;
use super::incoming::Incoming;
use crate::net::Stream;

/// The longest silence between two answers of a command.
pub(super) const READ_LIMIT: Duration = Duration::from_secs(30);
/// A command whose answer is short is over by then, even if the server trickles.
pub(super) const COMMAND_LIMIT: Duration = Duration::from_secs(60);
const WRITE_LIMIT: Duration = Duration::from_secs(15);

/// One connection, before and after authentication.
pub(super) struct Wire {
    stream: Stream,
    incoming: Incoming,
    commands: u32,
    news: bool,
}

impl Wire {
    pub(super) fn new(stream: Stream) -> Self {
        Self { stream, incoming: Incoming::new(), commands: 0, news: false }
    }

    /// The bare stream. Whatever was received but not yet read is lost, which STARTTLS relies upon.
    pub(super) fn into_stream(self) -> Stream {
        self.stream
    }

    /// Whether the server hinted at a change in the selected folder since the last call.
    pub(super) fn take_news(&mut self) -> bool {
        std::mem::take(&mut self.news)
    }

    /// Runs `line` to its tagged OK and returns the answers that are kept from the parser, one after the other.
    pub(super) async fn ask_aside(&mut self, name: &'static str, line: &str) -> Result<Vec<u8>, Error> {
        // What came unasked before is not the answer.
        self.incoming.take_aside();
        self.command(name, line, COMMAND_LIMIT, |_| {}).await?;
        Ok(self.incoming.take_aside())
    }

    /// Runs `line` to its tagged OK; `on` sees every other answer on the way.
    pub(super) async fn command(
        &mut self,
        name: &'static str,
        line: &str,
        limit: Duration,
        on: impl FnMut(&Response<'_>),
    ) -> Result<(), Error> {
        let tag = self.send(name, line).await?;
        self.finish(name, &tag, limit, on).await
    }

    /// Reads up to the tagged answer of the command that was sent as `tag`; `on` sees every other answer on the way.
    pub(super) async fn finish(
        &mut self,
        name: &'static str,
        tag: &str,
        limit: Duration,
        mut on: impl FnMut(&Response<'_>),
    ) -> Result<(), Error> {
        let answered = async {
            loop {
                let done = self.read(name, READ_LIMIT, |response| match response {
                    Response::Done { tag: answered, status, outcome } if answered.0 == tag => {
                        Some(tagged(name, status, outcome))
                    }
                    other => {
                        on(other);
                        None
                    }
                });
                if let Some(outcome) = done.await? {
                    return outcome;
                }
            }
        };
        timeout(limit, answered).await.unwrap_or(Err(Error::Silent { command: name, limit }))
    }

    /// Writes one tagged command and returns its tag.
    pub(super) async fn send(&mut self, name: &'static str, line: &str) -> Result<String, Error> {
        self.commands += 1;
        let tag = format!("W{}", self.commands);
        self.send_line(name, &joined(&[&tag, " ", line])).await?;
        Ok(tag)
    }

    /// Writes one line as it is: DONE, or the answer to a challenge.
    pub(super) async fn send_line(&mut self, name: &'static str, line: &str) -> Result<(), Error> {
        // The last defence against a folder name or password that would smuggle in a second command.
        if line.contains(['\r', '\n', '\0']) {
            return Err(Error::Setup(format!(
                "{name} cannot be sent: a name or password contains a line break or NUL"
            )));
        }
        let bytes = joined(&[line, "\r\n"]);
        let written = async {
            self.stream.write_all(bytes.as_bytes()).await?;
            self.stream.flush().await
        };
        match timeout(WRITE_LIMIT, written).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => Err(Error::from_io(&error, name)),
            Err(_) => Err(Error::Silent { command: name, limit: WRITE_LIMIT }),
        }
    }

    /// Reads one answer. A `BYE` and the end of the connection are errors. Safe to cancel.
    pub(super) async fn read<R>(
        &mut self,
        name: &'static str,
        limit: Duration,
        on: impl FnOnce(&Response<'_>) -> R,
    ) -> Result<R, Error> {
        let length = self.next_answer(name, limit).await?;
        let answer = self.incoming.front(length);
        let (rest, response) = match fetched(answer) {
            Some(response) => (&[][..], response),
            None => Response::parse(answer).map_err(|_| Error::Protocol(unparsable(answer)))?,
        };
        match &response {
            Response::Data { status: Status::Bye, outcome } => return Err(Error::bye(words(outcome))),
            Response::Expunge(_)
            | Response::MailboxData(MailboxDatum::Exists(_) | MailboxDatum::Recent(_)) => {
                self.news = true;
            }
            _ => {}
        }
        let read = length - rest.len();
        let result = on(&response);
        self.incoming.consume(read);
        Ok(result)
    }

    /// Waits until an answer has come and returns its length. Safe to cancel.
    async fn next_answer(&mut self, name: &'static str, limit: Duration) -> Result<usize, Error> {
        let refused = |what: &str| Error::Protocol(what.to_owned());
        // Most answers lie there already, and need no timer.
        if let Some(length) = self.incoming.next().map_err(refused)? {
            return Ok(length);
        }
        let come = async {
            loop {
                match self.incoming.fill(&mut *self.stream).await {
                    Ok(0) => return Err(Error::Closed(name)),
                    Ok(_) => {}
                    Err(error) => return Err(Error::from_io(&error, name)),
                }
                if let Some(length) = self.incoming.next().map_err(refused)? {
                    return Ok(length);
                }
            }
        };
        timeout(limit, come).await.unwrap_or(Err(Error::Silent { command: name, limit }))
    }
}

/// What a tagged answer means.
pub(super) fn tagged(name: &'static str, status: &Status, outcome: &Outcome<'_>) -> Result<(), Error> {
    match status {
        Status::Ok => Ok(()),
        _ => Err(Error::refused(name, words(outcome))),
    }
}

pub(super) fn words<'a>(outcome: &'a Outcome<'_>) -> &'a str {
    outcome.information.as_deref().unwrap_or_default()
}

/// One text that may hold a password: allocated once, so that no copy is left behind, and overwritten when it is dropped.
pub(super) fn joined(parts: &[&str]) -> Zeroizing<String> {
    Zeroizing::new(parts.concat())
}

/// An IMAP quoted string (RFC 3501, section 4.3). Line breaks are refused when the command is sent.
pub(super) fn quoted(text: &str) -> Zeroizing<String> {
    let mut quoted = Zeroizing::new(String::with_capacity(2 * text.len() + 2));
    quoted.push('"');
    for char in text.chars() {
        if matches!(char, '\\' | '"') {
            quoted.push('\\');
        }
        quoted.push(char);
    }
    quoted.push('"');
    quoted
}
