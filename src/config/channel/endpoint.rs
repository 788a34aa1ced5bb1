//! Where a message is posted to: the keys that all kinds of channels over HTTP share.

use std::collections::BTreeMap;
use std::path::PathBuf;

use reqwest::Url;
use reqwest::header::HeaderName;
use secrecy::{ExposeSecret, SecretString};

use super::super::report::{Nature, Reported, quoted};
use super::super::section::{Item, Section};
use super::super::{Secret, secret, value};

const MAX_HEADERS: usize = 20;

/// What the request says of itself; RFC 9110, section 7.6.1 and RFC 9112, section 6.
const HEADERS_OF_HTTP: [&str; 7] =
    ["host", "connection", "content-length", "transfer-encoding", "expect", "upgrade", "te"];

#[derive(Debug, Clone)]
pub struct Endpoint {
    /// `https`, or `http` to a loopback address; without user, password and fragment. What a file or a program says is
    /// only known when it is used.
    pub url: Secret,
    /// The URL's host, where it is known already.
    pub host: Option<String>,
    /// Sent with every request, beside those of the channel itself.
    pub headers: Vec<(String, Secret)>,
    /// PEM file with authorities that are trusted besides the system's.
    pub ca_file: Option<PathBuf>,
    /// SHA-256 of the server's certificate (DER). When set, exactly this certificate is accepted, whoever signed it.
    pub pin_sha256: Option<[u8; 32]>,
}

/// Of a URL that anybody may know.
pub(super) fn read(
    section: &mut Section<'_>,
    environment: &BTreeMap<String, String>,
) -> Result<Endpoint, Reported> {
    read_or(section, environment, None, false)
}

/// Of a URL by which whoever knows it can write to the channel.
pub(in crate::config) fn read_secret(
    section: &mut Section<'_>,
    environment: &BTreeMap<String, String>,
) -> Result<Endpoint, Reported> {
    read_or(section, environment, None, true)
}

/// `usual` is the URL when none is given.
pub(super) fn read_or(
    section: &mut Section<'_>,
    environment: &BTreeMap<String, String>,
    usual: Option<&str>,
    is_secret: bool,
) -> Result<Endpoint, Reported> {
    let url = section.optional("url", |item| url(item, environment, is_secret));
    let headers = section.optional("headers", |item| {
        item.entries(1..=MAX_HEADERS, |name, item| header(&name, item, environment))
    });
    let ca_file = section.optional("ca_file", |item| value::path(&item));
    let pin_sha256 = section.optional("pin_sha256", |item| value::fingerprint(&item));
    let url = match (url?, usual) {
        (Some(url), _) => url,
        (None, Some(usual)) => Secret::Value(SecretString::from(usual)),
        (None, None) => {
            return Err(section.absent("url"));
        }
    };
    let host = match &url {
        Secret::Value(url) => parse_url(url.expose_secret()).ok().as_ref().map(shown_host),
        Secret::File(_) | Secret::Command(_) => None,
    };
    Ok(Endpoint {
        url,
        host,
        headers: headers?.unwrap_or_default(),
        ca_file: ca_file?,
        pin_sha256: pin_sha256?,
    })
}

/// No message about a URL quotes it: its path or query may be what keeps strangers out.
fn url(item: Item<'_>, environment: &BTreeMap<String, String>, is_secret: bool) -> Result<Secret, Reported> {
    if item.is_text() && !is_secret {
        let text = value::line(&item)?;
        parse_url(&text).map_err(|sentence| item.wrong(sentence))?;
        return Ok(Secret::Value(SecretString::from(text)));
    }
    let (place, report) = (item.place.clone(), item.report);
    let url = secret::read(item, environment)?;
    if let Secret::Value(text) = &url
        && let Err(sentence) = parse_url(text.expose_secret())
    {
        return Err(report.error(Nature::Value, &place, sentence));
    }
    Ok(url)
}

/// # Errors
/// One sentence that does not quote the URL.
pub(crate) fn parse_url(text: &str) -> Result<Url, &'static str> {
    let Ok(url) = Url::parse(text) else { return Err("must be a URL that begins with https://") };
    if !url.username().is_empty() || url.password().is_some() {
        return Err(
            "must not hold a user or a password; write headers = { Authorization = { env = \"NAME\" } }",
        );
    }
    match url.scheme() {
        "https" => Ok(url),
        "http" if value::is_loopback(&shown_host(&url)) => Ok(url),
        _ => Err("must begin with https:// (http:// is allowed for loopback addresses only)"),
    }
}

/// Without the brackets of an IPv6 address.
pub(crate) fn shown_host(url: &Url) -> String {
    url.host_str().unwrap_or_default().trim_matches(['[', ']']).to_owned()
}

fn header(
    name: &str,
    item: Item<'_>,
    environment: &BTreeMap<String, String>,
) -> Result<(String, Secret), Reported> {
    let Ok(parsed) = HeaderName::from_bytes(name.as_bytes()) else {
        return Err(item.wrong(format!("{} is not the name of a header", quoted(name))));
    };
    if HEADERS_OF_HTTP.contains(&parsed.as_str()) {
        return Err(item.wrong(format!("{} is set by the request itself; leave it out", quoted(name))));
    }
    let value = match item.is_text() && !is_secret_header(parsed.as_str()) {
        true => Secret::Value(SecretString::from(value::line(&item)?)),
        false => secret::read(item, environment)?,
    };
    Ok((name.to_owned(), value))
}

fn is_secret_header(name: &str) -> bool {
    ["auth", "token", "key", "secret", "password"].iter().any(|word| name.contains(word))
}
