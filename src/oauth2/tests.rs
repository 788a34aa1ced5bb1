use std::sync::Arc;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::*;
use crate::config::Secret;

/// Answers each request with the next of `answers` and collects what was asked.
async fn endpoint(answers: Vec<String>) -> (TokenSource, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let token_url = format!("http://{}/token", listener.local_addr().unwrap());
    let asked = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&asked);
    tokio::spawn(async move {
        for answer in answers {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut request = Vec::new();
            while !request.ends_with(b"scope=all") {
                let mut byte = [0; 1];
                stream.read_exact(&mut byte).await.unwrap();
                request.extend_from_slice(&byte);
            }
            seen.lock().await.push(String::from_utf8(request).unwrap());
            stream.write_all(answer.as_bytes()).await.unwrap();
            stream.shutdown().await.unwrap();
        }
    });
    (TokenSource::new(oauth2(&token_url)), asked)
}

fn oauth2(token_url: &str) -> OAuth2 {
    OAuth2 {
        token_url: token_url.parse().unwrap(),
        client_id: "watchdog".to_owned(),
        client_secret: Secret::Value(SecretString::from("hunter&2")),
        scope: "all".to_owned(),
        client_secret_expires: None,
    }
}

fn http(status: &str, body: &str) -> String {
    format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}", body.len())
}

fn granted(token: &str, expires_in: u64) -> String {
    http(
        "200 OK",
        &format!(r#"{{"token_type":"Bearer","access_token":"{token}","expires_in":{expires_in}}}"#),
    )
}

async fn token(source: &TokenSource) -> String {
    source.token().await.unwrap().expose_secret().to_owned()
}

async fn refusal(answer: String) -> String {
    let (source, _) = endpoint(vec![answer]).await;
    let error = format!("{:#}", source.token().await.unwrap_err());
    assert!(!error.contains("hunter"), "{error}");
    error
}

#[tokio::test]
async fn the_request_is_the_client_credentials_form() {
    let (source, asked) = endpoint(vec![granted("t1", 3600)]).await;
    assert_eq!(token(&source).await, "t1");
    let request = asked.lock().await.first().unwrap().clone();
    assert!(request.starts_with("POST /token HTTP/1.1\r\n"), "{request}");
    let form = "grant_type=client_credentials&client_id=watchdog&client_secret=hunter%262&scope=all";
    assert!(request.ends_with(form), "{request}");
    assert!(!format!("{source:?}").contains("hunter") && !format!("{source:?}").contains("t1"), "{source:?}");
}

#[tokio::test]
async fn a_token_is_kept_until_five_minutes_before_its_end_or_until_it_is_refused() {
    let (source, asked) = endpoint(vec![granted("t1", 3600), granted("t2", 300), granted("t3", 3600)]).await;
    assert_eq!(token(&source).await, "t1");
    assert_eq!(token(&source).await, "t1");
    source.forget().await;
    assert_eq!(token(&source).await, "t2");
    // t2 lives for five minutes, all of which are its last ones.
    assert_eq!(token(&source).await, "t3");
    assert_eq!(asked.lock().await.len(), 3);
}

#[tokio::test]
async fn the_endpoints_words_are_told_shortened_and_without_secrets() {
    let body =
        r#"{"error":"invalid_client","error_description":"AADSTS7000222: keys are expired.\r\nTrace ID: x"}"#;
    let error = refusal(http("401 Unauthorized", body)).await;
    assert!(
        error.ends_with("(401 Unauthorized): invalid_client AADSTS7000222: keys are expired."),
        "{error}"
    );
}

#[tokio::test]
async fn what_has_to_be_renewed_is_told_apart_from_what_passes() {
    for (status, error, rejected) in [
        ("401 Unauthorized", "invalid_client", true),
        ("400 Bad Request", "unauthorized_client", true),
        ("400 Bad Request", "temporarily_unavailable", false),
        ("429 Too Many Requests", "invalid_request", false),
        ("503 Service Unavailable", "server_error", false),
    ] {
        let (source, _) = endpoint(vec![http(status, &format!(r#"{{"error":"{error}"}}"#))]).await;
        assert_eq!(source.token().await.unwrap_err().is::<Rejected>(), rejected, "{status} {error}");
    }
}

#[tokio::test]
async fn answers_that_hold_no_usable_token_are_errors() {
    assert!(refusal(http("200 OK", "<html>")).await.contains("without an access token"));
    assert!(refusal(http("200 OK", r#"{"access_token":""}"#)).await.contains("without an access token"));
    assert!(
        refusal(http("200 OK", r#"{"access_token":"a\u0001b"}"#)).await.contains("without an access token")
    );
    assert!(refusal(http("500 Oops", "<html>")).await.contains("500"));
    assert!(refusal(http("200 OK", &"x".repeat(70_000))).await.contains("larger than 64 KiB"));
}

#[tokio::test]
async fn a_redirect_is_not_followed_with_the_secret() {
    let answer = "HTTP/1.1 307 Moved\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n";
    assert!(refusal(answer.to_owned()).await.contains("307"));
}

#[tokio::test]
async fn an_endpoint_that_is_not_there_is_named() {
    let error =
        format!("{:#}", TokenSource::new(oauth2("http://127.0.0.1:1/token")).token().await.unwrap_err());
    assert!(error.contains("http://127.0.0.1:1/token") && error.contains("cannot be reached"), "{error}");
}
