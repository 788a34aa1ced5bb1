mod commands;
mod faults;
mod tls;

use std::time::Duration;

use chrono::{DateTime, TimeZone, Utc};
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::{ImapOptions, ImapServer};
use crate::testbed::MailStore;

const LIMIT: Duration = Duration::from_secs(10);
/// Long enough that a server which means to answer has done so.
const SILENCE: Duration = Duration::from_millis(150);

const FIRST: &str =
    "To: bresse1+monitor@example.com\r\nSubject: DRYRUN.OK\r\nX-Long: a\r\n b\r\n\r\nFirst body\r\n";
const SECOND: &str = "To: bresse2+monitor@example.com\r\nSubject: ESHOP.NOK\r\n\r\nSecond\r\n";

fn date(day: u32) -> DateTime<Utc> {
    Utc.with_ymd_and_hms(2026, 11, day, 3, 4, 5).unwrap()
}

fn server_with(change: impl FnOnce(&mut ImapOptions)) -> (MailStore, ImapServer) {
    let store = MailStore::new();
    store.append("INBOX", FIRST, date(3));
    store.append("INBOX", SECOND, date(20));
    let mut options = ImapOptions::new(store.clone(), "monitor", "pa\"ss");
    change(&mut options);
    (store, ImapServer::start(options).unwrap())
}

fn server() -> (MailStore, ImapServer) {
    server_with(|_| ())
}

/// Speaks raw lines.
struct Client<S> {
    stream: BufReader<S>,
}

impl Client<TcpStream> {
    async fn connect(server: &ImapServer) -> Self {
        let stream = TcpStream::connect(server.address()).await.unwrap();
        Self { stream: BufReader::new(stream) }
    }

    /// Connected, greeted and logged in.
    async fn login(server: &ImapServer) -> Self {
        let mut client = Self::connect(server).await;
        assert!(client.line().await.starts_with("* OK [CAPABILITY IMAP4rev1 "));
        let answer = client.command("LOGIN monitor \"pa\\\"ss\"").await;
        assert!(answer.last().unwrap().starts_with("t OK"), "{answer:?}");
        client
    }

    /// Logged in, with INBOX open for reading.
    async fn examine(server: &ImapServer) -> Self {
        let mut client = Self::login(server).await;
        let answer = client.command("EXAMINE INBOX").await;
        assert_eq!(answer.last().unwrap(), "t OK [READ-ONLY] EXAMINE completed");
        client
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Client<S> {
    async fn send(&mut self, text: &str) {
        self.stream.write_all(text.as_bytes()).await.unwrap();
        self.stream.flush().await.unwrap();
    }

    /// The next line without its end; empty at the end of the connection.
    async fn line(&mut self) -> String {
        let mut line = String::new();
        timeout(LIMIT, self.stream.read_line(&mut line)).await.expect("no line came").unwrap();
        line.trim_end_matches("\r\n").to_owned()
    }

    /// Sends the command under the tag `t` and returns the lines up to its tagged answer.
    async fn command(&mut self, text: &str) -> Vec<String> {
        self.send(&format!("t {text}\r\n")).await;
        self.answer().await
    }

    async fn answer(&mut self) -> Vec<String> {
        let mut lines = Vec::new();
        loop {
            let line = self.line().await;
            assert!(
                !line.is_empty() || lines.last().is_none_or(|last: &String| !last.is_empty()),
                "{lines:?}"
            );
            lines.push(line);
            if lines.last().unwrap().starts_with("t ") {
                return lines;
            }
        }
    }

    /// Everything up to the end of the connection.
    async fn rest(&mut self) -> String {
        let mut rest = Vec::new();
        timeout(LIMIT, self.stream.read_to_end(&mut rest))
            .await
            .expect("the connection did not end")
            .unwrap();
        String::from_utf8(rest).unwrap()
    }

    async fn expect_silence(&mut self) {
        let waited = timeout(SILENCE, self.stream.fill_buf()).await;
        assert!(waited.is_err(), "something came: {waited:?}");
    }
}
