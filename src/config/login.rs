//! How to sign in: keys that `[mailbox]` and `[[channel]]` share.

use std::collections::BTreeMap;

use chrono::{DateTime, NaiveDate, Utc};
use reqwest::Url;

use super::report::{Reported, quoted};
use super::section::{Item, Section};
use super::{Login, OAuth2, secret, value};

/// Microsoft 365, the service these mailboxes are usually at.
const DEFAULT_SCOPE: &str = "https://outlook.office365.com/.default";

/// None when the section has neither password nor oauth2.
pub(super) fn read(
    section: &mut Section<'_>,
    environment: &BTreeMap<String, String>,
) -> Result<Option<Login>, Reported> {
    let password = section.optional("password", |item| secret::read(item, environment));
    let oauth2 = section.optional("oauth2", |item| oauth2(item, environment));
    match (password?, oauth2?) {
        (Some(password), None) => Ok(Some(Login::Password(password))),
        (None, Some(oauth2)) => Ok(Some(Login::OAuth2(oauth2))),
        (Some(_), Some(_)) => Err(section.wrong("oauth2", "give either password or oauth2, not both")),
        (None, None) => Ok(None),
    }
}

fn oauth2(item: Item<'_>, environment: &BTreeMap<String, String>) -> Result<OAuth2, Reported> {
    let mut section = item.section("oauth2")?;
    let token_url = section.required("token_url", |item| token_url(&item));
    let client_id = section.required("client_id", |item| value::line(&item));
    let client_secret = section.required("client_secret", |item| secret::read(item, environment));
    let scope = section.optional("scope", |item| value::line(&item));
    let expires = section.optional("client_secret_expires", |item| moment(&item));
    section.finish();
    Ok(OAuth2 {
        token_url: token_url?,
        client_id: client_id?,
        client_secret: client_secret?,
        scope: scope?.unwrap_or_else(|| DEFAULT_SCOPE.to_owned()),
        client_secret_expires: expires?,
    })
}

/// The client secret is sent there, so only TLS will do. The URL is not quoted: it may hold a password.
fn token_url(item: &Item<'_>) -> Result<Url, Reported> {
    let text = value::line(item)?;
    let Ok(url) = Url::parse(&text) else {
        return Err(item.wrong("must be a URL that begins with https://"));
    };
    if !url.username().is_empty() || url.password().is_some() {
        return Err(item.wrong("must not hold a user or a password"));
    }
    let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']);
    match url.scheme() {
        "https" => Ok(url),
        "http" if value::is_loopback(host) => Ok(url),
        _ => Err(item.wrong("must begin with https:// (http:// is allowed for loopback addresses only)")),
    }
}

/// RFC 3339, or a day, which stands for its first moment in UTC.
fn moment(item: &Item<'_>) -> Result<DateTime<Utc>, Reported> {
    let text = item.date()?;
    if let Ok(moment) = DateTime::parse_from_rfc3339(text) {
        return Ok(moment.to_utc());
    }
    match text.parse::<NaiveDate>() {
        Ok(day) => Ok(day.and_time(chrono::NaiveTime::MIN).and_utc()),
        Err(_) => {
            Err(item
                .wrong(format!("{} is not a date; write 2027-01-31 or 2027-01-31T12:00:00Z", quoted(text))))
        }
    }
}
