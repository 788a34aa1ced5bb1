//! One request over a connection of its own, and what its answer means. No redirect is followed, and no error quotes a
//! URL: its path or query may be what keeps strangers out.

use anyhow::Context;
use chrono::{DateTime, TimeDelta};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::http1;
use hyper::header::{
    ACCEPT, CONTENT_TYPE, HOST, HeaderMap, HeaderName, HeaderValue, RETRY_AFTER, USER_AGENT,
};
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use reqwest::Url;
use secrecy::ExposeSecret;

use crate::config::{Endpoint, Server, Tls, parse_url, shown_host};
use crate::net::{self, Stream};
use crate::outbox::Sent;
use crate::time::Time;
use crate::{secret, text};

/// More than any service answers to a message.
const ANSWER_BYTES_MAX: usize = 64 << 10;
/// How much of a server's own words is repeated, in characters.
const TEXT_CHARS_MAX: usize = 300;

pub(super) const JSON: &str = "application/json";

/// A request, built by a pure function.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Post {
    pub(super) method: Method,
    pub(super) url: Url,
    pub(super) content_type: &'static str,
    /// Beside the content type and those of the endpoint.
    pub(super) headers: Vec<(&'static str, String)>,
    pub(super) body: Vec<u8>,
}

impl Post {
    /// A POST of JSON.
    pub(super) fn json(url: Url, body: &serde_json::Value) -> Self {
        Self {
            method: Method::POST,
            url,
            content_type: JSON,
            headers: Vec::new(),
            body: body.to_string().into_bytes(),
        }
    }
}

/// What the far side said.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    /// The whole body.
    pub(super) body: String,
}

/// The endpoint's URL as it is now.
///
/// # Errors
/// One sentence that does not quote it.
pub(super) async fn url(endpoint: &Endpoint) -> Result<Url, String> {
    let url = secret::resolve(&endpoint.url).await.map_err(|error| format!("{error:#}"))?;
    parse_url(url.expose_secret()).map_err(|fault| format!("the url of the channel {fault}"))
}

/// Tries once to send.
pub(super) async fn send(endpoint: &Endpoint, post: Post, now: Time) -> Sent {
    let host = shown_host(&post.url);
    let sent = post.body.clone();
    match exchange(endpoint, post).await {
        Ok(answer) => understand(&host, &answer, &sent, now),
        Err(error) => Sent::failed(error),
    }
}

/// Connects, as for a delivery, and asks nothing.
///
/// # Errors
/// One sentence that says what is wrong and what to do.
pub(super) async fn probe(endpoint: &Endpoint) -> Result<(), String> {
    let url = url(endpoint).await?;
    connect(endpoint, &url).await.map(drop)
}

/// # Errors
/// One sentence that says what is wrong and what to do.
pub(super) async fn exchange(endpoint: &Endpoint, post: Post) -> Result<Answer, String> {
    let host = shown_host(&post.url);
    let stream = connect(endpoint, &post.url).await?;
    let request = request(endpoint, post).await.map_err(|error| format!("{error:#}"))?;
    let broke = |error: hyper::Error| format!("{host} broke off without an answer ({})", cause(&error));
    let (mut sender, connection) = http1::Builder::new()
        .max_buf_size(ANSWER_BYTES_MAX)
        .handshake::<_, Full<Bytes>>(TokioIo::new(stream))
        .await
        .map_err(broke)?;
    // Ends with the answer: dropped, it closes the connection.
    let mut connection = std::pin::pin!(connection);
    let answer = async {
        let response = sender.send_request(request).await.map_err(broke)?;
        read(&host, response).await
    };
    let mut answer = std::pin::pin!(answer);
    tokio::select! {
        biased;
        answer = &mut answer => answer,
        // Its end may lie behind an answer that has come whole, be it with TLS's farewell or without.
        ended = &mut connection => match (answer.await, ended) {
            (Err(_), Err(error)) => Err(broke(error)),
            (answer, _) => answer,
        },
    }
}

async fn connect(endpoint: &Endpoint, url: &Url) -> Result<Stream, String> {
    let tls = if url.scheme() == "https" { Tls::Implicit } else { Tls::Plain };
    let server = Server {
        host: shown_host(url),
        port: url.port_or_known_default().unwrap_or_default(),
        tls,
        ca_file: endpoint.ca_file.clone(),
        pin_sha256: endpoint.pin_sha256,
    };
    let tcp = net::connect(&server).await?;
    match tls {
        Tls::Implicit => Ok(net::secure(&server, Box::new(tcp)).await?.stream),
        Tls::Plain | Tls::Starttls => Ok(Box::new(tcp)),
    }
}

async fn request(endpoint: &Endpoint, post: Post) -> anyhow::Result<Request<Full<Bytes>>> {
    let path = match post.url.query() {
        Some(query) => format!("{}?{query}", post.url.path()),
        None => post.url.path().to_owned(),
    };
    let authority = match (post.url.host_str().unwrap_or_default(), post.url.port()) {
        (host, Some(port)) => format!("{host}:{port}"),
        (host, None) => host.to_owned(),
    };
    let mut request = Request::builder()
        .method(post.method)
        .uri(path)
        .header(HOST, authority)
        .header(USER_AGENT, concat!("bresse-watchdog/", env!("CARGO_PKG_VERSION")))
        .header(ACCEPT, "*/*")
        .header(CONTENT_TYPE, post.content_type)
        .body(Full::new(Bytes::from(post.body)))
        .context("the request cannot be written; check url and headers")?;
    for (name, value) in post.headers {
        request.headers_mut().insert(HeaderName::from_static(name), HeaderValue::from_str(&value)?);
    }
    for (name, value) in &endpoint.headers {
        let value = secret::resolve(value).await?;
        let value = HeaderValue::from_str(value.expose_secret());
        let value = value.with_context(|| format!("the value of the header {name} is not visible ASCII"))?;
        request.headers_mut().insert(HeaderName::from_bytes(name.as_bytes())?, value);
    }
    Ok(request)
}

async fn read(host: &str, response: Response<Incoming>) -> Result<Answer, String> {
    let (head, body) = response.into_parts();
    let body = Limited::new(body, ANSWER_BYTES_MAX).collect().await.map_err(|error| {
        let error = text::quoted(&error.to_string(), TEXT_CHARS_MAX);
        format!("the answer of {host} cannot be read to its end ({error})")
    })?;
    let body = String::from_utf8_lossy(&body.to_bytes()).into_owned();
    Ok(Answer { status: head.status, headers: head.headers, body })
}

/// What the answer to a message means.
fn understand(host: &str, answer: &Answer, sent: &[u8], now: Time) -> Sent {
    let Answer { status, headers, body } = answer;
    let said = text::quoted(body, TEXT_CHARS_MAX);
    let said = if said.is_empty() { status.to_string() } else { format!("{status}: {said}") };
    if status.is_success() {
        // Teams' connectors answered 200 to what they had thrown away (MicrosoftDocs/msteams-docs #7425).
        return if says_no(body, sent) {
            let error = format!("{host} accepted it and says in the same breath that it did not ({said})");
            Sent::Failed { error, retry_after: retry_after(headers, now) }
        } else {
            Sent::Accepted(said)
        };
    }
    let temporary = [StatusCode::REQUEST_TIMEOUT, StatusCode::TOO_EARLY, StatusCode::TOO_MANY_REQUESTS];
    if status.is_redirection() {
        let error =
            format!("{host} sends elsewhere ({status}), and no redirect is followed: correct the url");
        return Sent::Refused(error);
    }
    if status.is_client_error() && !temporary.contains(status) {
        return Sent::Refused(format!("{host} refused it ({said})"));
    }
    let error = format!("{host} did not take it ({said})");
    Sent::Failed { error, retry_after: retry_after(headers, now) }
}

/// RFC 9110, section 10.2.3: seconds, or a date.
fn retry_after(headers: &HeaderMap, now: Time) -> Option<TimeDelta> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    match text.parse::<u32>() {
        Ok(seconds) => Some(TimeDelta::seconds(i64::from(seconds))),
        Err(_) => Some(DateTime::parse_from_rfc2822(text).ok()?.to_utc() - now),
    }
}

/// Whether a body under a 200 tells of a failure. What the message itself says does not count: some services (ntfy)
/// answer with the message they took.
fn says_no(answer: &str, sent: &[u8]) -> bool {
    const WORDS: [&str; 13] = [
        " error 429 ",
        " http 429 ",
        " status 429 ",
        " code 429 ",
        " statuscode 429 ",
        " errorcode 429 ",
        " 429 too many ",
        " too many requests ",
        " rate limit",
        " ratelimit",
        " throttl",
        " message delivery failed ",
        // Slack's Web API.
        " ok false ",
    ];
    let answer = words(answer);
    let said: Vec<&str> = WORDS.into_iter().filter(|phrase| answer.contains(phrase)).collect();
    if said.is_empty() {
        return false;
    }
    let sent = words(&String::from_utf8_lossy(sent));
    said.into_iter().any(|phrase| !sent.contains(phrase))
}

/// Letters and digits in lower case, one blank between words and at both ends.
fn words(text: &str) -> String {
    let mut words = " ".to_owned();
    for word in text.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty()) {
        words.extend(word.chars().flat_map(char::to_lowercase));
        words.push(' ');
    }
    words
}

/// The deepest cause: hyper's own words say only that something went wrong.
fn cause(error: &hyper::Error) -> String {
    use std::error::Error;
    let mut cause: &dyn Error = error;
    while let Some(deeper) = cause.source() {
        cause = deeper;
    }
    text::quoted(&cause.to_string(), TEXT_CHARS_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use chrono::{TimeZone, Utc};

    fn now() -> Time {
        Utc.with_ymd_and_hms(2026, 11, 20, 3, 0, 0).unwrap()
    }

    fn answered(status: u16, body: &str, retry: Option<&'static str>) -> Sent {
        let mut headers = HeaderMap::new();
        if let Some(retry) = retry {
            headers.insert(RETRY_AFTER, HeaderValue::from_static(retry));
        }
        let answer = Answer { status: StatusCode::from_u16(status).unwrap(), headers, body: body.to_owned() };
        understand("hooks.example", &answer, br#"{"text":"Request is throttled, said Exchange"}"#, now())
    }

    #[test]
    fn an_answer_is_yes_later_or_never() {
        for (status, body) in [
            (200, "ok"),
            (200, "1"),
            (202, ""),
            (204, ""),
            (
                202,
                r#"{"status":"success","message":"Event processed","dedup_key":"20261120-429/bresse3_Checker"}"#,
            ),
            (200, r#"{"id":"429","event":"message","message":"Request is throttled, said Exchange"}"#),
            (200, r#"{"ok":true}"#),
        ] {
            assert!(matches!(answered(status, body, None), Sent::Accepted(_)), "{status} {body}");
        }
        for (status, body) in [
            (500, ""),
            (502, "bad gateway"),
            (503, ""),
            (408, ""),
            (425, ""),
            (429, ""),
            (
                200,
                "Webhook message delivery failed with error: Microsoft Teams endpoint returned HTTP error 429 with ContextId tcid=0",
            ),
            (200, r#"{"ok":false,"error":"ratelimited"}"#),
            (200, r#"{"error":{"code":429,"message":"Too many requests"}}"#),
            (202, "<h1>429 Too Many Requests</h1>"),
            (200, r#"{"statusCode": "429"}"#),
        ] {
            let sent = answered(status, body, None);
            assert!(matches!(sent, Sent::Failed { retry_after: None, .. }), "{status} {body}: {sent:?}");
        }
        for status in [301, 302, 307, 308, 400, 401, 403, 404, 410, 413] {
            assert!(matches!(answered(status, "", None), Sent::Refused(_)), "{status}");
        }
    }

    #[test]
    fn a_far_side_says_in_seconds_or_by_a_date_when_to_come_back() {
        for (text, seconds) in [
            ("120", Some(120)),
            ("Fri, 20 Nov 2026 03:02:00 GMT", Some(120)),
            ("Fri, 20 Nov 2026 02:59:00 GMT", Some(-60)),
            ("soon", None),
            ("99999999999999999999", None),
            ("-5", None),
        ] {
            let Sent::Failed { retry_after, .. } = answered(429, "", Some(text)) else { panic!("{text}") };
            assert_eq!(retry_after, seconds.map(TimeDelta::seconds), "{text}");
        }
        let under_a_200 = answered(200, "HTTP error 429", Some("7"));
        assert!(matches!(under_a_200, Sent::Failed { retry_after: Some(_), .. }), "{under_a_200:?}");
    }

    #[test]
    fn what_the_far_side_says_is_quoted_on_one_line_and_not_at_length() {
        let Sent::Refused(error) = answered(400, &format!("no\r\n{}", "x".repeat(9_000)), None) else {
            panic!()
        };
        assert!(error.starts_with("hooks.example refused it (400 Bad Request: no"), "{error}");
        assert!(error.len() < 400 && !error.contains('\n'), "{error}");
    }
}
