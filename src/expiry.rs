//! What a mailbox or a channel is opened with ends some day: the server's certificate, the client secret. Pure.

use chrono::TimeDelta;
use serde::{Deserialize, Serialize};

use crate::config::{Channel, ChannelKind, Login, Mailbox, Smtp};
use crate::time::Time;

/// Time to get a new client secret from those who administer it.
const SECRET_NOTICE: TimeDelta = TimeDelta::days(14);
/// Certificates are renewed by programs, usually weeks before their end: one that is left so little was forgotten.
const CERTIFICATE_NOTICE: TimeDelta = TimeDelta::days(7);
/// A certificate that is made for a few days only is renewed in its last ones; then this share of its life is notice
/// enough.
const LIFE_PER_NOTICE: i32 = 4;

/// From when until when a certificate is good.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Validity {
    pub from: Time,
    pub until: Time,
}

/// What ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Credential {
    /// The OAuth 2.0 client secret, by `client_secret_expires`.
    ClientSecret,
    /// The mail server's, which the watchdog verifies.
    Certificate,
}

impl Credential {
    pub fn words(self) -> &'static str {
        match self {
            Self::ClientSecret => "client secret",
            Self::Certificate => "certificate",
        }
    }
}

/// The end of a credential.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Ending {
    pub what: Credential,
    pub at: Time,
    /// From here on it is alarmed.
    pub notice: Time,
}

impl Ending {
    pub fn of_certificate(validity: Validity) -> Self {
        let Validity { from, until } = validity;
        let notice = CERTIFICATE_NOTICE.min((until - from).max(TimeDelta::zero()) / LIFE_PER_NOTICE);
        Self { what: Credential::Certificate, at: until, notice: earlier(until, notice) }
    }

    fn of_secret(at: Time) -> Self {
        Self { what: Credential::ClientSecret, at, notice: earlier(at, SECRET_NOTICE) }
    }

    pub fn is_due(&self, now: Time) -> bool {
        self.notice <= now
    }
}

/// What is known to end of all that opens `mailbox`; `certificate` is what its server showed last.
pub fn endings(mailbox: &Mailbox, certificate: Option<Validity>) -> impl Iterator<Item = Ending> + use<> {
    let secret = match &mailbox.login {
        Login::OAuth2(oauth2) => oauth2.client_secret_expires.map(Ending::of_secret),
        Login::Password(_) => None,
    };
    secret.into_iter().chain(certificate.map(Ending::of_certificate))
}

/// When the client secret ends with which a mail channel signs in, if that is known.
pub fn ending_of_channel(channel: &Channel) -> Option<Ending> {
    match &channel.kind {
        ChannelKind::Smtp(Smtp { login: Some((_, Login::OAuth2(oauth2))), .. }) => {
            oauth2.client_secret_expires.map(Ending::of_secret)
        }
        _ => None,
    }
}

/// Dates of certificates and in configurations may be the first ones a clock knows.
fn earlier(time: Time, by: TimeDelta) -> Time {
    time.checked_sub_signed(by).unwrap_or(time)
}

#[cfg(test)]
mod tests {
    use super::*;
    use chrono::{TimeZone, Utc};

    fn day(day: i64) -> Time {
        Utc.with_ymd_and_hms(2026, 11, 20, 3, 0, 0).unwrap() + TimeDelta::days(day)
    }

    #[test]
    fn a_certificate_is_alarmed_when_it_should_long_be_renewed() {
        for (life, notice) in [(365, 7), (90, 7), (47, 7), (28, 7), (8, 2), (0, 0), (-3, 0)] {
            let ending = Ending::of_certificate(Validity { from: day(-life), until: day(0) });
            assert_eq!((ending.at, ending.notice), (day(0), day(-notice)), "{life} days");
        }
        let endless = Validity { from: Time::MIN_UTC, until: Time::MAX_UTC };
        assert!(!Ending::of_certificate(endless).is_due(day(0)));
        let ended = Validity { from: Time::MIN_UTC, until: Time::MIN_UTC };
        assert!(Ending::of_certificate(ended).is_due(day(0)));
    }
}
