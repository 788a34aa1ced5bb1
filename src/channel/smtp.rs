//! Mail through a submission server. The mail is built by a pure function; the far side's 250 is the only yes.

mod post;

use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use lettre::address::Envelope;
use lettre::transport::smtp::authentication::{Credentials, Mechanism};
use lettre::transport::smtp::client::{AsyncSmtpConnection, AsyncTokioStream};
use lettre::transport::smtp::extension::ClientId;
use secrecy::{ExposeSecret, SecretString};
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader, ReadBuf};
use tokio::net::TcpStream;

use crate::config::{Login, RunMail, Smtp, Tls};
use crate::engine::{Release, Run};
use crate::expiry::Validity;
use crate::net::{self, Stream};
use crate::oauth2::TokenSource;
use crate::outbox::{Message, Sent};
use crate::time::Time;
use crate::{keys, secret, text};
use post::{Post, compose};

/// The longest line of an answer (RFC 5321, section 4.5.3.1.5, allows 512).
const ANSWER_BYTES_MAX: u64 = 4096;
/// An answer has no more lines than this.
const ANSWER_LINES_MAX: usize = 100;

/// How much of a server's own words is repeated, in characters.
const TEXT_CHARS_MAX: usize = 300;
/// All that a server may say in one session. lettre keeps an answer until its line ends, however long it is.
const SESSION_BYTES_MAX: usize = 256 << 10;

/// After STARTTLS the session begins anew, but the server does not greet again (RFC 3207, section 4.2); lettre waits
/// for a greeting on every stream it is given.
const SECOND_GREETING: &[u8] = b"220 TLS\r\n";

/// Tries once to deliver a message.
pub async fn deliver(smtp: &Smtp, message: &Message, now: Time) -> Sent {
    send(smtp, compose(smtp, &Post::of_message(message), now)).await
}

/// Tries once to send a canary.
pub async fn release(smtp: &Smtp, canary: &Release, now: Time) -> Sent {
    send(smtp, compose(smtp, &Post::of_canary(canary, now), now)).await
}

/// Tries once to send the report of one of the watchdog's own runs. `watchdog` is its name, under which it signs.
pub async fn report(smtp: &Smtp, run: &Run, mail: &RunMail, watchdog: &str) -> Sent {
    let key = match &mail.hmac {
        None => None,
        Some(hmac) => match keys::key_of(hmac).await {
            Ok(key) => Some(key),
            Err(error) => return Sent::failed(format!("the run cannot be signed ({error:#})")),
        },
    };
    let post = Post::of_run(run, mail, key.as_ref(), watchdog);
    send(smtp, compose(smtp, &post, run.began)).await
}

async fn send(smtp: &Smtp, composed: anyhow::Result<(Envelope, Vec<u8>)>) -> Sent {
    let (envelope, mail) = match composed {
        Ok(composed) => composed,
        Err(error) => {
            return Sent::Refused(format!("the mail cannot be written ({error}); check from and to"));
        }
    };
    let mut connection = match connect(smtp).await {
        Ok((connection, _)) => connection,
        Err(error) => return Sent::failed(error),
    };
    let sent = match connection.send(&envelope, &mail).await {
        Ok(answer) => {
            let text = answer.message().collect::<Vec<_>>().join(" ");
            Sent::Accepted(quoted(format!("{} {text}", answer.code())))
        }
        Err(error) if error.is_permanent() => {
            Sent::Refused(format!("{} refused it ({})", smtp.server.host, quoted(error)))
        }
        Err(error) => Sent::failed(format!("{} did not take it ({})", smtp.server.host, quoted(error))),
    };
    // The answer stands, whatever becomes of the goodbye.
    let _ = connection.quit().await;
    sent
}

/// Connects and signs in, as for a delivery, and sends nothing. Returns when the server's certificate is good, if that
/// matters.
///
/// # Errors
/// One sentence that says what is wrong and what to do.
pub async fn probe(smtp: &Smtp) -> Result<Option<Validity>, String> {
    let (mut connection, certificate) = connect(smtp).await?;
    let _ = connection.quit().await;
    Ok(certificate)
}

/// An answer, or an error of lettre, which holds one.
fn quoted(words: impl ToString) -> String {
    text::quoted(&words.to_string(), TEXT_CHARS_MAX)
}

/// Why there is no connection to send through.
struct Unconnected {
    sentence: String,
    /// The server did not take the token.
    token_refused: bool,
}

impl From<String> for Unconnected {
    fn from(sentence: String) -> Self {
        Self { sentence, token_refused: false }
    }
}

/// Also from when until when the server's certificate is good, when its dates matter. A token that was kept and is
/// refused may have been revoked: then once more with a new one.
async fn connect(smtp: &Smtp) -> Result<(AsyncSmtpConnection, Option<Validity>), String> {
    let tokens = match &smtp.login {
        Some((_, Login::OAuth2(oauth2))) => Some(TokenSource::shared(oauth2)),
        Some((_, Login::Password(_))) | None => None,
    };
    let kept = match &tokens {
        Some(tokens) => tokens.remembers().await,
        None => false,
    };
    let mut opened = open(smtp, tokens.as_deref()).await;
    if opened.as_ref().is_err_and(|error| error.token_refused && kept) {
        opened = open(smtp, tokens.as_deref()).await;
    }
    opened.map_err(|error| error.sentence)
}

async fn open(
    smtp: &Smtp,
    tokens: Option<&TokenSource>,
) -> Result<(AsyncSmtpConnection, Option<Validity>), Unconnected> {
    let server = &smtp.server;
    let host = &server.host;
    let tcp = net::connect(server).await?;
    let peer = tcp.peer_addr().map_err(|error| format!("the connection to {host} broke ({error})"))?;
    let (transport, certificate) = match server.tls {
        Tls::Plain => (Transport::new(b"", Box::new(tcp), peer), None),
        Tls::Implicit => {
            let secured = net::secure(server, Box::new(tcp)).await?;
            (Transport::new(b"", secured.stream, peer), secured.certificate)
        }
        Tls::Starttls => {
            let stream = start_tls(BufReader::new(tcp)).await.map_err(|error| format!("{host}: {error}"))?;
            let secured = net::secure(server, Box::new(stream)).await?;
            (Transport::new(SECOND_GREETING, secured.stream, peer), secured.certificate)
        }
    };
    let mut connection =
        AsyncSmtpConnection::connect_with_transport(Box::new(transport), &ClientId::default())
            .await
            .map_err(|error| {
                let error = quoted(error);
                format!("{host} does not greet as a mail server ({error}); check host, port and tls")
            })?;
    match (&smtp.login, tokens) {
        (Some((user, Login::Password(password))), _) => {
            let secret = secret::resolve(password).await.map_err(|error| format!("{error:#}"))?;
            let mechanisms = [Mechanism::Plain, Mechanism::Login];
            let advice = "check user and password of the channel";
            sign_in(&mut connection, host, user, &secret, &mechanisms, advice).await?;
        }
        (Some((user, Login::OAuth2(_))), Some(tokens)) => {
            let token = tokens.token().await.map_err(|error| format!("{error:#}"))?;
            let advice = "check user and oauth2 of the channel, and that the application may send as this user (SMTP.SendAsApp)";
            let taken = sign_in(&mut connection, host, user, &token, &[Mechanism::Xoauth2], advice).await;
            if let Err(sentence) = taken {
                tokens.forget().await;
                return Err(Unconnected { sentence, token_refused: true });
            }
        }
        (Some((_, Login::OAuth2(_))), None) | (None, _) => {}
    }
    Ok((connection, certificate))
}

async fn sign_in(
    connection: &mut AsyncSmtpConnection,
    host: &str,
    user: &str,
    secret: &SecretString,
    mechanisms: &[Mechanism],
    advice: &str,
) -> Result<(), String> {
    let credentials = Credentials::new(user.to_owned(), secret.expose_secret().to_owned());
    let answer = connection.auth(mechanisms, &credentials).await;
    answer.map(drop).map_err(|error| format!("{host} does not let {user} in ({}); {advice}", quoted(error)))
}

/// Speaks SMTP in the clear up to the server's consent to TLS.
async fn start_tls(mut stream: BufReader<TcpStream>) -> Result<TcpStream, String> {
    answer(&mut stream, "220").await?;
    let hello = ClientId::default();
    command(&mut stream, &format!("EHLO {hello}")).await?;
    answer(&mut stream, "250").await?;
    command(&mut stream, "STARTTLS").await?;
    answer(&mut stream, "220").await?;
    if !stream.buffer().is_empty() {
        // CVE-2011-0411: what was sent in the clear must not count as said under TLS.
        return Err(
            "the server spoke on before TLS began; somebody may be tampering with the connection".to_owned()
        );
    }
    Ok(stream.into_inner())
}

async fn command(stream: &mut BufReader<TcpStream>, line: &str) -> Result<(), String> {
    stream
        .write_all(format!("{line}\r\n").as_bytes())
        .await
        .map_err(|error| format!("the connection broke ({error})"))
}

/// Reads one answer, all its lines, and demands its code.
async fn answer(stream: &mut BufReader<TcpStream>, code: &str) -> Result<(), String> {
    for _ in 0..ANSWER_LINES_MAX {
        let mut line = String::new();
        let read = stream.take(ANSWER_BYTES_MAX).read_line(&mut line).await;
        read.map_err(|error| format!("the connection broke ({error})"))?;
        if !line.starts_with(code) {
            let said = quoted(line);
            return Err(format!("the server does not offer STARTTLS here ({said}); check port and tls"));
        }
        if line.get(3..4) != Some("-") {
            return Ok(());
        }
    }
    Err("the server's answer does not end; is this a mail server?".to_owned())
}

/// A stream as lettre wants it.
#[derive(Debug)]
struct Transport {
    /// Read before anything the far side says.
    greeting: &'static [u8],
    stream: Stream,
    peer: SocketAddr,
    /// What the far side may still say.
    bytes_left: usize,
}

impl Transport {
    fn new(greeting: &'static [u8], stream: Stream, peer: SocketAddr) -> Self {
        Self { greeting, stream, peer, bytes_left: SESSION_BYTES_MAX }
    }
}

impl AsyncTokioStream for Transport {
    fn peer_addr(&self) -> std::io::Result<SocketAddr> {
        Ok(self.peer)
    }
}

impl AsyncRead for Transport {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        if self.greeting.is_empty() {
            let before = buffer.filled().len();
            ready!(Pin::new(&mut self.stream).poll_read(context, buffer))?;
            let fresh = buffer.filled().len().saturating_sub(before);
            let Some(left) = self.bytes_left.checked_sub(fresh) else {
                return Poll::Ready(Err(std::io::Error::other("it talks without end")));
            };
            self.bytes_left = left;
            return Poll::Ready(Ok(()));
        }
        let (now, later) = self.greeting.split_at(self.greeting.len().min(buffer.remaining()));
        buffer.put_slice(now);
        self.greeting = later;
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Transport {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<std::io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;
    use crate::bulletin::{Bulletin, State};
    use crate::config::{OAuth2, Secret, Server};
    use crate::testbed::smtp::{SmtpOptions, SmtpSink};
    use chrono::{TimeZone, Utc};

    pub(super) fn smtp() -> Smtp {
        let server =
            Server { host: "127.0.0.1".into(), port: 1, tls: Tls::Plain, ca_file: None, pin_sha256: None };
        Smtp {
            server,
            login: None,
            from: "bresse8@elsewhere.example".into(),
            to: vec!["oncall@elsewhere.example".into()],
        }
    }

    pub(super) fn message(subject: &str, body: &str) -> Message {
        let now = Utc.with_ymd_and_hms(2026, 11, 20, 3, 0, 0).unwrap();
        Message {
            id: 7,
            incident: "20261120-42".into(),
            ordinal: 2,
            token: "bresse3_Checker".into(),
            kind: crate::outbox::Kind::Alarm,
            bulletin: Bulletin::own("20261120-42", "bresse3_Checker", State::Firing, "bresse8", now),
            channel: "backup mail".into(),
            recipient: "oncall@elsewhere.example".into(),
            subject: subject.into(),
            body: body.into(),
            html: None,
            created: now,
            attempts: 1,
            due: now,
            last_error: None,
            refused: false,
            refusals: 0,
            handed_over: false,
        }
    }

    /// Grants these tokens one after the other, the last one again and again, and counts.
    async fn token_endpoint(tokens: &'static [&'static str]) -> (OAuth2, Arc<AtomicUsize>) {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let token_url = format!("http://{}/token", listener.local_addr().unwrap()).parse().unwrap();
        let granted = Arc::new(AtomicUsize::new(0));
        let counter = Arc::clone(&granted);
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let mut request = vec![0; 4096];
                let _ = stream.read(&mut request).await;
                let number = counter.fetch_add(1, Ordering::SeqCst);
                let token = tokens.get(number).or(tokens.last()).unwrap();
                let body = format!(r#"{{"access_token":"{token}","expires_in":3600}}"#);
                let head =
                    format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", body.len());
                let _ = stream.write_all(format!("{head}{body}").as_bytes()).await;
            }
        });
        let oauth2 = OAuth2 {
            token_url,
            client_id: "w".into(),
            client_secret: Secret::Value("client".into()),
            scope: "all".into(),
            client_secret_expires: None,
        };
        (oauth2, granted)
    }

    /// A server that takes this token only, and the channel to it.
    fn server_for(token: &str, oauth2: &OAuth2) -> (SmtpSink, Smtp) {
        let user = "bresse8@elsewhere.example".to_owned();
        let login = Some((user.clone(), token.to_owned()));
        let sink = SmtpSink::start(SmtpOptions { login, ..SmtpOptions::default() }).unwrap();
        let mut smtp = Smtp { login: Some((user, Login::OAuth2(oauth2.clone()))), ..smtp() };
        smtp.server.port = sink.address().port();
        (sink, smtp)
    }

    #[tokio::test]
    async fn a_token_is_kept_for_the_next_mail_and_one_that_is_refused_is_fetched_anew_once() {
        let (oauth2, granted) = token_endpoint(&["first", "second", "third"]).await;
        let granted = || granted.load(Ordering::SeqCst);
        let message = message("s", "b");
        let (sink, smtp) = server_for("first", &oauth2);
        for _ in 0..3 {
            let sent = deliver(&smtp, &message, message.created).await;
            assert!(matches!(sent, Sent::Accepted(_)), "{sent:?}");
        }
        assert_eq!((sink.mails().len(), granted()), (3, 1));
        // The old one was revoked.
        let (sink, smtp) = server_for("second", &oauth2);
        let sent = deliver(&smtp, &message, message.created).await;
        assert!(matches!(sent, Sent::Accepted(_)), "{sent:?}");
        assert_eq!((sink.mails().len(), granted()), (1, 2));
        let (_sink, smtp) = server_for("none of them", &oauth2);
        let sent = deliver(&smtp, &message, message.created).await;
        assert!(matches!(sent, Sent::Failed { .. }), "{sent:?}");
        assert_eq!(granted(), 3, "once, not again and again");
        // Another application has tokens of its own.
        let other = OAuth2 { client_id: "v".into(), ..oauth2 };
        let (_sink, smtp) = server_for("third", &other);
        assert!(probe(&smtp).await.is_ok());
        assert_eq!(granted(), 4);
    }

    #[tokio::test]
    async fn a_mail_goes_out_with_a_token_and_one_that_is_refused_is_said_without_it() {
        let grants: [(&'static [&'static str], bool); 2] = [(&["hunter2"], true), (&["hunter3"], false)];
        for (tokens, accepted) in grants {
            let (oauth2, _) = token_endpoint(tokens).await;
            let (sink, with_token) = server_for("hunter2", &oauth2);
            let sent = deliver(&with_token, &message("s", "b"), message("s", "b").created).await;
            match sent {
                Sent::Accepted(_) => assert!(accepted),
                Sent::Failed { error, .. } => {
                    assert!(
                        !accepted && error.contains("SMTP.SendAsApp") && !error.contains("hunter"),
                        "{error}"
                    );
                }
                Sent::Refused(error) => panic!("{error}"),
            }
            assert_eq!(probe(&with_token).await.is_ok(), accepted);
            assert_eq!(sink.mails().len(), usize::from(accepted));
        }
    }
}
