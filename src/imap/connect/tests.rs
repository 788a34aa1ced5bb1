use chrono::TimeDelta;
use secrecy::SecretString;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::*;
use crate::config::{Login, Secret};

fn mailbox(port: u16, tls: Tls) -> Mailbox {
    Mailbox {
        name: "MONITOR".to_owned(),
        server: Server { host: "127.0.0.1".to_owned(), port, tls, ca_file: None, pin_sha256: None },
        user: "me@x".to_owned(),
        login: Login::Password(Secret::Value(SecretString::from("secret"))),
        folders: vec!["INBOX".to_owned()],
        junk: None,
        poll: TimeDelta::seconds(60),
        blind_after: TimeDelta::seconds(180),
        limits: crate::fullness::Limits::default(),
        provider: None,
    }
}

/// A server that says `greeting` and then answers every line that comes with the next of `answers`.
async fn server(greeting: &'static str, answers: &'static [&'static str]) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        stream.write_all(greeting.as_bytes()).await.unwrap();
        let mut buffer = [0; 1024];
        for answer in answers {
            if stream.read(&mut buffer).await.unwrap() == 0 {
                return;
            }
            stream.write_all(answer.as_bytes()).await.unwrap();
        }
        let _until_the_client_goes = stream.read(&mut buffer).await;
    });
    port
}

async fn opened(port: u16, tls: Tls) -> Result<Session, String> {
    let credential = Credential::Password(SecretString::from("secret"));
    open(&mailbox(port, tls), &credential).await.map_err(|error| error.to_string())
}

#[tokio::test]
async fn a_session_knows_what_the_server_offers_after_signing_in() {
    let port = server(
        "* OK ready\r\n",
        &[
            "* CAPABILITY IMAP4rev1 AUTH=PLAIN SASL-IR\r\nW1 OK\r\n",
            "W2 OK welcome\r\n",
            "* CAPABILITY IMAP4rev1 IDLE\r\nW3 OK done\r\n",
        ],
    )
    .await;
    let session = opened(port, Tls::Plain).await.unwrap();
    assert!(session.capabilities.has("IDLE") && !session.capabilities.has("AUTH=PLAIN"));
}

#[tokio::test]
async fn after_preauth_nothing_is_authenticated() {
    let port = server("* PREAUTH hello\r\n", &["* CAPABILITY IMAP4rev1 IDLE\r\nW1 OK done\r\n"]).await;
    assert!(opened(port, Tls::Plain).await.unwrap().capabilities.has("IDLE"));
}

#[tokio::test]
async fn preauth_before_starttls_is_refused() {
    let port = server("* PREAUTH hello\r\n", &[]).await;
    assert!(opened(port, Tls::Starttls).await.err().unwrap().contains("PREAUTH"));
}

#[tokio::test]
async fn a_goodbye_instead_of_a_greeting_is_told_in_the_servers_words() {
    let port = server("* BYE too many connections\r\n", &[]).await;
    let error = opened(port, Tls::Plain).await.err().unwrap();
    assert!(error.ends_with("saying: too many connections"), "{error}");
}

#[tokio::test]
async fn starttls_is_not_given_up_when_the_server_lacks_it() {
    let port = server("* OK ready\r\n", &["* CAPABILITY IMAP4rev1 AUTH=PLAIN\r\nW1 OK\r\n"]).await;
    let error = opened(port, Tls::Starttls).await.err().unwrap();
    assert!(error.contains("does not offer STARTTLS"), "{error}");
}

#[tokio::test]
async fn what_is_injected_behind_the_starttls_ok_is_never_taken_for_an_answer() {
    // The injected lines would sign us in if they were kept; the handshake must meet silence and fail instead.
    let answers = &[
        "* CAPABILITY IMAP4rev1 STARTTLS\r\nW1 OK\r\n",
        "W2 OK go ahead\r\n* CAPABILITY IMAP4rev1\r\nW1 OK\r\nW2 OK\r\nW3 OK\r\n",
        "* OK this is no TLS\r\n",
    ];
    let port = server("* OK ready\r\n", answers).await;
    let error = opened(port, Tls::Starttls).await.err().unwrap();
    assert!(error.contains("does not speak TLS"), "{error}");
}

#[tokio::test]
async fn a_port_without_tls_is_told_apart() {
    let port = server("* OK ready\r\n", &[]).await;
    let error = opened(port, Tls::Implicit).await.err().unwrap();
    assert!(error.contains("does not speak TLS on this port"), "{error}");
}

#[tokio::test]
async fn a_closed_port_and_an_unknown_host_say_what_to_check() {
    let error = opened(1, Tls::Plain).await.err().unwrap();
    assert!(error.contains("no connection to 127.0.0.1 (127.0.0.1:1: Connection refused"), "{error}");
    let mut unknown = mailbox(993, Tls::Implicit);
    // Longer than a label may be, so that no resolver is asked.
    unknown.server.host = format!("{}.invalid", "x".repeat(64));
    let credential = Credential::Password(SecretString::from("secret"));
    let error = open(&unknown, &credential).await.err().unwrap().to_string();
    assert!(error.contains("x.invalid cannot be resolved") && error.contains("DNS"), "{error}");
}

#[tokio::test]
async fn plain_text_never_leaves_the_machine() {
    let mut elsewhere = mailbox(143, Tls::Plain);
    elsewhere.server.host = "192.0.2.1".to_owned();
    let credential = Credential::Password(SecretString::from("secret"));
    let error = open(&elsewhere, &credential).await.err().unwrap().to_string();
    assert!(error.contains("loopback addresses only"), "{error}");
}
