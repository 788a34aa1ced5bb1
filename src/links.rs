//! Signed links by which whoever received an alarm takes the incident, without any other way to get in; and the key that
//! signs them. Pure.
//!
//! A link is `BASE/a/INCIDENT?channel=CHANNEL&until=UNIXTIME&sig=HEX`. Signed is this text in UTF-8, each line ended by one
//! line feed: `acknowledge`, the incident, the channel that the link was sent through, and `until`. No name holds a line
//! feed, so it can be read in one way only. The signature is HMAC-SHA-256 (RFC 2104); its hexadecimal digits cannot
//! spell a word that a filter looks for.

use std::fmt;

use aws_lc_rs::hmac;
use chrono::{DateTime, TimeDelta};
use reqwest::Url;

use crate::text::{from_hex, hex};
use crate::time::Time;

/// An incident that nobody took for so long is reminded of with a new link.
pub const LINK_LIFE: TimeDelta = TimeDelta::days(7);
pub const SECRET_BYTES: usize = 32;

/// What links are signed with. `Debug` never shows it.
#[derive(Clone)]
pub struct Key(hmac::Key);

/// Which incident, through which channel, until when.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Link {
    pub incident: String,
    pub channel: String,
    pub until: Time,
}

/// Why a link does nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// It was not made with this key, or was changed on its way.
    Wrong,
    /// It was good once.
    Ended,
}

impl Key {
    pub fn new(secret: &[u8; SECRET_BYTES]) -> Self {
        Self(hmac::Key::new(hmac::HMAC_SHA256, secret))
    }

    /// The link below `base`, whose path ends with a slash.
    pub fn url(&self, link: &Link, base: &Url) -> Url {
        let mut url = base.clone();
        url.set_path(&format!("{}a/{}", base.path(), link.incident));
        url.query_pairs_mut()
            .append_pair("channel", &link.channel)
            .append_pair("until", &link.until.timestamp().to_string())
            .append_pair("sig", &self.tag(&signed_text(link)));
        url
    }

    /// Whether this key made the link of these parts, and it still holds at `now`. `until` is in seconds since 1970.
    ///
    /// # Errors
    /// Says why it does not. Only a link of this key is ever called ended.
    pub fn verify(
        &self,
        (incident, channel, until): (&str, &str, i64),
        signature: &str,
        now: Time,
    ) -> Result<Link, Refusal> {
        let until = DateTime::from_timestamp(until, 0).ok_or(Refusal::Wrong)?;
        let link = Link { incident: incident.to_owned(), channel: channel.to_owned(), until };
        match self.proves(&signed_text(&link), signature) {
            false => Err(Refusal::Wrong),
            true if now > until => Err(Refusal::Ended),
            true => Ok(link),
        }
    }

    /// What proves later that this key has signed `text`: hexadecimal digits. The first line of a text says what it is for.
    pub fn tag(&self, text: &str) -> String {
        hex(hmac::sign(&self.0, text.as_bytes()).as_ref())
    }

    /// Whether `tag` is this key's for `text`, found out in constant time.
    pub fn proves(&self, text: &str, tag: &str) -> bool {
        from_hex(tag).is_some_and(|tag| hmac::verify(&self.0, text.as_bytes(), &tag).is_ok())
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Key([REDACTED])")
    }
}

fn signed_text(link: &Link) -> String {
    format!("acknowledge\n{}\n{}\n{}\n", link.incident, link.channel, link.until.timestamp())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn link() -> Link {
        let until = DateTime::from_timestamp(1_800_000_000, 0).unwrap();
        Link { incident: "20261120-42".into(), channel: "téléphone & SMS".into(), until }
    }

    /// The parts of a link's URL: incident, channel, until, signature.
    fn parts(url: &Url) -> (String, String, i64, String) {
        let incident = url.path().rsplit('/').next().unwrap().to_owned();
        let of = |key: &str| url.query_pairs().find(|(name, _)| name == key).unwrap().1.into_owned();
        (incident, of("channel"), of("until").parse().unwrap(), of("sig"))
    }

    #[test]
    fn a_link_is_good_as_it_was_made_and_in_no_other_way() {
        let (key, base) = (Key::new(&[7; SECRET_BYTES]), Url::parse("https://watch.example/in/").unwrap());
        let url = key.url(&link(), &base);
        assert!(url.as_str().starts_with("https://watch.example/in/a/20261120-42?channel="), "{url}");
        let (incident, channel, until, signature) = parts(&url);
        let now = link().until;
        let verify = |incident: &str, channel: &str, until, signature: &str, now| {
            key.verify((incident, channel, until), signature, now)
        };
        assert_eq!(verify(&incident, &channel, until, &signature, now), Ok(link()));
        let late = now + TimeDelta::seconds(1);
        assert_eq!(verify(&incident, &channel, until, &signature, late), Err(Refusal::Ended));
        let wrong = [
            verify("20261120-43", &channel, until, &signature, now),
            verify(&incident, "other", until, &signature, now),
            verify(&incident, &channel, until + 1, &signature, late),
            verify(&incident, &channel, i64::MAX, &signature, now),
            verify(&incident, &channel, until, signature.get(1..).unwrap(), now),
            verify(&incident, &channel, until, "", now),
            verify("", "20261120-42\ntéléphone & SMS", until, &signature, now),
            Key::new(&[8; SECRET_BYTES]).verify((&incident, &channel, until), &signature, now),
        ];
        assert!(wrong.iter().all(|outcome| *outcome == Err(Refusal::Wrong)), "{wrong:?}");
    }
}
