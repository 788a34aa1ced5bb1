//! What can go wrong between the watchdog and a mailbox, each as one sentence for the person who must mend it.

use std::io;
use std::time::Duration;

use crate::text;

/// A server may ask for a pause; no more than this is granted, lest one line of text blind the watchdog for a day.
const BACKOFF_MAX: Duration = Duration::from_secs(600);
/// How much of a server's own words is repeated, in characters.
const TEXT_CHARS_MAX: usize = 200;

#[derive(Debug, thiserror::Error)]
pub(super) enum Error {
    /// A complete sentence that says what to do: no such host, a bad certificate, a wrong password or folder.
    #[error("{0}")]
    Setup(String),
    /// A complete sentence: user, password, client secret or token were refused, or do not open this mailbox.
    #[error("{0}")]
    Denied(String),
    /// Tagged NO or BAD.
    #[error("the server refuses {command}: {text}")]
    Refused { command: &'static str, text: String },
    #[error("the server throttles this mailbox and asks to wait {} s; fewer programs should read it",
        backoff.as_millis().div_ceil(1000))]
    Throttled { backoff: Duration },
    #[error("the server ended the connection, saying: {0}")]
    Bye(String),
    #[error(
        "the server closed the connection in the middle of {0}; if this repeats, ask its administrator why"
    )]
    Closed(&'static str),
    #[error("the server has not answered {command} for {} s; it hangs, or the network is cut", limit.as_secs())]
    Silent { command: &'static str, limit: Duration },
    #[error("the connection broke ({0}); check the network")]
    Broken(String),
    #[error("the server sent what is not IMAP: {0}")]
    Protocol(String),
    /// Nobody listens to the events any more: the program is ending.
    #[error("the watchdog is shutting down")]
    Ended,
}

impl Error {
    /// A tagged NO or BAD, told apart by the server's words where they mean something of their own.
    pub(super) fn refused(command: &'static str, text: &str) -> Self {
        if let Some(backoff) = suggested_backoff(text) {
            return Self::Throttled { backoff };
        }
        // Exchange Online, whose token was good but whose mailbox may not be opened with it.
        if text.contains("authenticated but not connected") {
            return Self::Denied(
                "Microsoft 365 accepts the token but does not open the mailbox (User is authenticated but not \
                 connected): register the service principal with the object ID of the enterprise application (not of the \
                 app registration), give it FullAccess to this mailbox, and check that IMAP is enabled for it"
                    .to_owned(),
            );
        }
        Self::Refused { command, text: printable(text) }
    }

    pub(super) fn bye(text: &str) -> Self {
        match suggested_backoff(text) {
            Some(backoff) => Self::Throttled { backoff },
            None => Self::Bye(printable(text)),
        }
    }

    /// An error of the stream.
    pub(super) fn from_io(error: &io::Error, command: &'static str) -> Self {
        match error.kind() {
            io::ErrorKind::UnexpectedEof => Self::Closed(command),
            // A TLS record that makes no sense.
            io::ErrorKind::InvalidData => Self::Protocol(printable(&error.to_string())),
            _ => Self::Broken(printable(&error.to_string())),
        }
    }

    /// The sentence as it is told: with the host, once.
    pub(super) fn at(&self, host: &str) -> String {
        let text = self.to_string();
        if text.contains(host) { text } else { format!("{host}: {text}") }
    }

    /// Somebody has to change what the watchdog signs in with, or what it may open.
    pub(super) fn is_refused_login(&self) -> bool {
        matches!(self, Self::Denied(_))
    }

    /// The pause the server asked for, if it did.
    pub(super) fn backoff(&self) -> Option<Duration> {
        match self {
            Self::Throttled { backoff } => Some(*backoff),
            _ => None,
        }
    }
}

/// Exchange Online: `Request is throttled. Suggested Backoff Time: 299961 milliseconds`.
fn suggested_backoff(text: &str) -> Option<Duration> {
    let (_, rest) = text.split_once("Suggested Backoff Time:")?;
    let digits: String = rest.trim_start().chars().take_while(char::is_ascii_digit).take(12).collect();
    let wanted = Duration::from_millis(digits.parse().ok()?);
    Some(wanted.min(BACKOFF_MAX))
}

/// The beginning of an answer on which the parser fails: enough to find the cause, and little of a mail.
pub(super) fn unparsable(answer: &[u8]) -> String {
    let start: String =
        String::from_utf8_lossy(answer.get(..320).unwrap_or(answer)).chars().take(80).collect();
    printable(&start)
}

/// A server's words made fit for a log line or a mail.
pub(super) fn printable(text: &str) -> String {
    match text::quoted(text, TEXT_CHARS_MAX) {
        empty if empty.is_empty() => "(no text)".to_owned(),
        shown => shown,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_suggested_backoff_is_obeyed_and_bounded() {
        let told = |text| Error::refused("EXAMINE", text).backoff();
        assert_eq!(
            told("Request is throttled. Suggested Backoff Time: 2500 milliseconds"),
            Some(Duration::from_millis(2500))
        );
        assert_eq!(told("Suggested Backoff Time: 99999999999 milliseconds"), Some(BACKOFF_MAX));
        assert_eq!(told("Suggested Backoff Time: soon"), None);
        assert_eq!(told("Mailbox is locked"), None);
    }

    #[test]
    fn a_server_cannot_write_control_characters_or_novels_into_our_errors() {
        let shown = printable(&format!("\u{1b}[31mred\r\nline\u{0} {}", "x".repeat(5000)));
        assert!(shown.starts_with("[31mred  line  x"), "{shown}");
        assert!(shown.ends_with('…') && shown.chars().count() <= TEXT_CHARS_MAX + 1);
        assert_eq!(printable("\r\n"), "(no text)");
    }

    #[test]
    fn microsofts_missing_full_access_has_its_own_sentence() {
        let error = Error::refused("EXAMINE", "User is authenticated but not connected.");
        assert!(error.to_string().contains("FullAccess") && error.is_refused_login(), "{error}");
    }
}
