//! Who gets in, and how far: machines by `Authorization: Bearer TOKEN`, people by a cookie that they get for a token.
//!
//! The cookie is `NAME-IN-HEX.UNTIL.NUMBER.TAG`, signed together with the token's hash: whoever's token is taken out of the
//! configuration, or changed, is out. Only of sessions that were ended early is anything kept on this side, until the end
//! they would have had.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Redirect, Response};
use axum::{Extension, Form};
use chrono::TimeDelta;
use serde::Deserialize;
use tokio::sync::Semaphore;

use super::Site;
use super::page::page;
use super::server::Peer;
use crate::config::{Role, Token, Web};
use crate::links::Key;
use crate::sha256::sha256;
use crate::text::{from_hex, hex};
use crate::time::Time;
use crate::{clock, nonce};

/// A person logs in again after a shift.
const SESSION_LIFE: TimeDelta = TimeDelta::hours(12);
/// Whoever brings a wrong token waits so long for the answer, and few may wait at once: guessing is slow.
const WRONG_TOKEN_WAIT: Duration = Duration::from_millis(300);
const WRONG_TOKENS_AT_ONCE: usize = 8;
static GUESSES: Semaphore = Semaphore::const_new(WRONG_TOKENS_AT_ONCE);

const COOKIE: &str = "bresse_session";

/// Who makes a request; handlers find it among its extensions.
#[derive(Debug, Clone)]
pub(super) struct Visitor {
    /// Of the token.
    pub name: String,
    pub role: Role,
    /// None for whoever brings the token itself.
    pub session: Option<Session>,
}

/// What a cookie says besides whose it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Session {
    /// Nobody can guess it, and no two sessions have the same.
    number: String,
    until: Time,
}

impl Visitor {
    /// Whether it may still stay: a stream goes on for longer than a request.
    pub(super) fn may_stay(&self, site: &Site, now: Time) -> bool {
        let holds =
            |session: &Session| now < session.until && !site.sessions.has_ended(&self.name, &session.number);
        self.session.as_ref().is_none_or(holds)
    }
}

/// Lets through whoever has this role or a higher one, and tells the handler who it is.
pub(super) fn guard(
    site: &Arc<Site>,
    role: Role,
) -> impl Clone + Fn(Request, Next) -> Pin<Box<dyn Future<Output = Response> + Send>> + use<> {
    let site = Arc::clone(site);
    move |request, next| {
        let site = Arc::clone(&site);
        Box::pin(async move { admit(&site, role, request, next).await })
    }
}

/// Lets through whoever may read, and every address that load balancers were said to ask from.
pub(super) async fn balancers(
    State(site): State<Arc<Site>>,
    Extension(Peer(from)): Extension<Peer>,
    request: Request,
    next: Next,
) -> Response {
    if site.web.lb_from.iter().any(|network| network.contains(from)) {
        return next.run(request).await;
    }
    admit(&site, Role::Read, request, next).await
}

/// Lets through whoever may see a badge.
pub(super) async fn onlookers(State(site): State<Arc<Site>>, request: Request, next: Next) -> Response {
    if site.web.public_badges {
        return next.run(request).await;
    }
    admit(&site, Role::Read, request, next).await
}

async fn admit(site: &Site, needed: Role, mut request: Request, next: Next) -> Response {
    let visitor = match visitor(site, request.headers()) {
        Ok(visitor) => visitor,
        Err(wrong) => return turned_away(request.headers(), wrong).await,
    };
    if visitor.role < needed {
        return (StatusCode::FORBIDDEN, "This token may not do that.\n").into_response();
    }
    if request.method() != Method::GET && request.method() != Method::HEAD && !is_own(request.headers()) {
        return (StatusCode::FORBIDDEN, "This request was made by another site.\n").into_response();
    }
    request.extensions_mut().insert(visitor);
    next.run(request).await
}

/// What keeps a visitor out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Outside {
    NoToken,
    WrongToken,
}

fn visitor(site: &Site, headers: &HeaderMap) -> Result<Visitor, Outside> {
    match bearer(headers) {
        Some(given) => {
            let token = holder(&site.web, given).ok_or(Outside::WrongToken)?;
            Ok(Visitor { name: token.name.clone(), role: token.role, session: None })
        }
        None => person(site, headers).ok_or(Outside::NoToken),
    }
}

/// Who has logged in, and not out again.
fn person(site: &Site, headers: &HeaderMap) -> Option<Visitor> {
    let (key, now) = (site.link_key.as_ref()?, clock::now());
    let (token, session) = session(&site.web, key, cookie(headers)?, now)?;
    let visitor = Visitor { name: token.name.clone(), role: token.role, session: Some(session) };
    visitor.may_stay(site, now).then_some(visitor)
}

/// A person is sent to where a token is asked for, a machine is told.
async fn turned_away(headers: &HeaderMap, outside: Outside) -> Response {
    if outside == Outside::WrongToken {
        make_guessing_slow().await;
    }
    let accepts = headers.get(header::ACCEPT).and_then(|accepts| accepts.to_str().ok());
    if outside == Outside::NoToken && accepts.is_some_and(|accepts| accepts.contains("text/html")) {
        return Redirect::to("/login").into_response();
    }
    let wanted = [(header::WWW_AUTHENTICATE, "Bearer")];
    (StatusCode::UNAUTHORIZED, wanted, "A token of [[web.token]] is needed.\n").into_response()
}

async fn make_guessing_slow() {
    let _turn = GUESSES.acquire().await;
    tokio::time::sleep(WRONG_TOKEN_WAIT).await;
}

fn bearer(headers: &HeaderMap) -> Option<&str> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then_some(token.trim())
}

/// Comparing hashes tells nobody how much of a wrong token was right; all are compared all the same.
fn holder<'a>(web: &'a Web, given: &str) -> Option<&'a Token> {
    let given = sha256(given.as_bytes());
    let is = |token: &Token| aws_lc_rs::constant_time::verify_slices_are_equal(&token.sha256, &given).is_ok();
    web.tokens.iter().fold(None, |found, token| if is(token) { Some(token) } else { found })
}

/// A browser says where a request comes from (Fetch Metadata; Origin, RFC 6454). Whoever says nothing is no browser, and
/// sends no cookie unless told to.
fn is_own(headers: &HeaderMap) -> bool {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    match (text("sec-fetch-site"), text("origin"), text("host")) {
        (Some(site), _, _) => matches!(site, "same-origin" | "none"),
        (None, Some(origin), Some(host)) => origin.split_once("://").is_some_and(|(_, from)| from == host),
        (None, Some(_), None) => false,
        (None, None, _) => true,
    }
}

fn cookie(headers: &HeaderMap) -> Option<&str> {
    let pairs = headers.get_all(header::COOKIE).into_iter().filter_map(|value| value.to_str().ok());
    let mut pairs = pairs.flat_map(|value| value.split(';'));
    pairs.find_map(|pair| pair.trim().strip_prefix(COOKIE)?.strip_prefix('='))
}

fn sealed(token: &Token, until: i64, number: &str) -> String {
    format!("session\n{}\n{}\n{until}\n{number}\n", token.name, hex(&token.sha256))
}

/// The value of the cookie.
fn session_of(token: &Token, key: &Key, session: &Session) -> String {
    let (until, number) = (session.until.timestamp(), &session.number);
    let tag = key.tag(&sealed(token, until, number));
    format!("{}.{until}.{number}.{tag}", hex(token.name.as_bytes()))
}

/// Whose the cookie is, if it is ours and still holds.
fn session<'a>(web: &'a Web, key: &Key, cookie: &str, now: Time) -> Option<(&'a Token, Session)> {
    let mut parts = cookie.split('.');
    let (name, until, number, tag) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
    let name = String::from_utf8(from_hex(name)?).ok()?;
    let until: i64 = until.parse().ok()?;
    let token = web.tokens.iter().find(|token| token.name == name)?;
    let session = Session { number: number.to_owned(), until: Time::from_timestamp(until, 0)? };
    (now < session.until && key.proves(&sealed(token, until, number), tag)).then_some((token, session))
}

const LOGIN: &str = "<form method=\"post\" action=\"/login\">\n\
    <p><label for=\"token\">Token</label> \
    <input id=\"token\" name=\"token\" type=\"password\" autocomplete=\"current-password\" required autofocus></p>\n\
    <p><button>Log in</button></p>\n</form>\n";

pub(super) async fn login_form() -> Response {
    page(StatusCode::OK, "Log in", LOGIN)
}

#[derive(Deserialize)]
pub(super) struct Credentials {
    token: String,
}

pub(super) async fn login(
    State(site): State<Arc<Site>>,
    headers: HeaderMap,
    Form(credentials): Form<Credentials>,
) -> Response {
    if !is_own(&headers) {
        return (StatusCode::FORBIDDEN, "This request was made by another site.\n").into_response();
    }
    let Some(token) = holder(&site.web, credentials.token.trim()) else {
        make_guessing_slow().await;
        let content = format!("<p role=\"alert\">This token is not known.</p>\n{LOGIN}");
        return page(StatusCode::UNAUTHORIZED, "Log in", &content);
    };
    let (Some(key), Some(number)) = (&site.link_key, nonce::unguessable()) else {
        let sentence = "<p role=\"alert\">The system has no randomness to give; see the log.</p>\n";
        return page(StatusCode::SERVICE_UNAVAILABLE, "Log in", sentence);
    };
    let session = Session { number, until: clock::now() + SESSION_LIFE };
    with_cookie(&site, &session_of(token, key, &session), SESSION_LIFE)
}

/// Ends the session for whoever may have a copy of its cookie too.
pub(super) async fn logout(State(site): State<Arc<Site>>, headers: HeaderMap) -> Response {
    if !is_own(&headers) {
        return (StatusCode::FORBIDDEN, "This request was made by another site.\n").into_response();
    }
    if let Some(Visitor { name, session: Some(session), .. }) = person(&site, &headers) {
        site.sessions.end(&name, session.number, session.until, clock::now()).await;
    }
    with_cookie(&site, "", TimeDelta::zero())
}

/// Sends the visitor to the first page with this cookie.
fn with_cookie(site: &Site, value: &str, life: TimeDelta) -> Response {
    let https =
        site.web.tls.is_some() || site.web.public_url.as_ref().is_some_and(|url| url.scheme() == "https");
    let secure = if https { "; Secure" } else { "" };
    let cookie = format!(
        "{COOKIE}={value}; Path=/; Max-Age={}; HttpOnly; SameSite=Strict{secure}",
        life.num_seconds()
    );
    let mut answer = Redirect::to("/").into_response();
    if let Ok(cookie) = HeaderValue::from_str(&cookie) {
        answer.headers_mut().insert(header::SET_COOKIE, cookie);
    }
    answer
}

#[cfg(test)]
mod tests {
    use super::*;
    use chrono::DateTime;

    fn token(name: &str, secret: &str) -> Token {
        Token { name: name.into(), role: Role::Read, sha256: sha256(secret.as_bytes()) }
    }

    fn web(tokens: Vec<Token>) -> Web {
        Web {
            listen: ([127, 0, 0, 1], 8080).into(),
            public_url: None,
            tls: None,
            tokens,
            lb_from: vec![],
            public_badges: false,
        }
    }

    #[test]
    fn a_token_opens_only_as_a_whole_and_whoever_has_it() {
        let web = web(vec![token("anne", "secret-a"), token("bob", "secret-b")]);
        let name = |given: &str| holder(&web, given).map(|token| token.name.as_str());
        assert_eq!((name("secret-a"), name("secret-b")), (Some("anne"), Some("bob")));
        assert_eq!((name("secret-"), name("SECRET-A"), name("")), (None, None, None));
    }

    #[test]
    fn a_cookie_holds_until_its_end_and_as_long_as_the_token_does() {
        let key = Key::new(&[3; 32]);
        let (anne, until) = (token("anne é", "secret"), DateTime::from_timestamp(1_000, 0).unwrap());
        let mine = Session { number: "5e55".into(), until };
        let cookie = session_of(&anne, &key, &mine);
        let whose = |web: &Web, key: &Key, cookie: &str, second| {
            let now = DateTime::from_timestamp(second, 0).unwrap();
            session(web, key, cookie, now).map(|(token, session)| {
                assert_eq!(session, mine);
                token.name.clone()
            })
        };
        let with_anne = web(vec![anne.clone()]);
        assert_eq!(whose(&with_anne, &key, &cookie, 999), Some("anne é".into()));
        assert_eq!(whose(&with_anne, &key, &cookie, 1_000), None);
        assert_eq!(whose(&with_anne, &Key::new(&[4; 32]), &cookie, 999), None);
        assert_eq!(whose(&web(vec![token("anne é", "changed")]), &key, &cookie, 999), None);
        assert_eq!(whose(&web(vec![]), &key, &cookie, 999), None);
        let others = ["1000", "5e55"].map(|part| cookie.replace(part, "9999"));
        for wrong in others.into_iter().chain([cookie.replace('.', ""), String::new(), "é.1.2.3".into()]) {
            assert_eq!(whose(&with_anne, &key, &wrong, 999), None, "{wrong}");
        }
    }

    #[test]
    fn a_post_of_another_site_is_known() {
        let headers = |pairs: &[(&'static str, &'static str)]| {
            let pairs = pairs.iter().map(|(name, value)| {
                (header::HeaderName::from_static(name), HeaderValue::from_static(value))
            });
            pairs.collect::<HeaderMap>()
        };
        for (pairs, own) in [
            (&[("sec-fetch-site", "same-origin")][..], true),
            (&[("sec-fetch-site", "cross-site")], false),
            (&[("sec-fetch-site", "same-site")], false),
            (&[("origin", "https://watch.example"), ("host", "watch.example")], true),
            (&[("origin", "https://evil.example"), ("host", "watch.example")], false),
            (&[("origin", "null"), ("host", "watch.example")], false),
            (&[("host", "watch.example")], true),
        ] {
            assert_eq!(is_own(&headers(pairs)), own, "{pairs:?}");
        }
    }
}
