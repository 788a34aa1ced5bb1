//! Status codes of mail servers: enhanced ones (RFC 3463) and the replies of SMTP (RFC 5321, section 4.2).

use std::fmt;

use serde::{Deserialize, Serialize};

/// An enhanced status code: `5.2.2`, mailbox full.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Status {
    /// 2 success, 4 not yet, 5 never.
    pub class: u8,
    /// 1 address, 2 mailbox, 3 system, 4 network, 5 protocol, 6 content, 7 policy.
    pub subject: u16,
    pub detail: u16,
}

impl Status {
    /// Exactly `class.subject.detail`.
    pub fn parse(text: &str) -> Option<Self> {
        let mut numbers = text.split('.');
        let mut number = || -> Option<u16> {
            let digits = numbers.next()?;
            (digits.len() <= 3 && digits.bytes().all(|byte| byte.is_ascii_digit()))
                .then(|| digits.parse().ok())?
        };
        let (class, subject, detail) = (number()?, number()?, number()?);
        let class = u8::try_from(class).ok().filter(|class| matches!(class, 2 | 4 | 5))?;
        numbers.next().is_none().then_some(Self { class, subject, detail })
    }

    /// The first one that stands in a line and is no success.
    pub(super) fn find(line: &str) -> Option<Self> {
        // A dot or dash belongs to the word: neither an address of the network nor a host name is a status.
        let words = line.split(|c: char| !(c.is_alphanumeric() || matches!(c, '.' | '-')));
        words
            .filter_map(|word| {
                // `550-5.1.1`: a reply of several lines (RFC 5321, section 4.2.1).
                let (_, word) =
                    word.split_at_checked(4).filter(|(code, _)| is_reply(code)).unwrap_or(("", word));
                Self::parse(word.trim_matches('.'))
            })
            .find(|status| status.class != 2)
    }

    /// `X.0.0`: it only repeats the class.
    pub(super) fn is_vague(self) -> bool {
        (self.subject, self.detail) == (0, 0)
    }
}

/// Whether this is `550-`.
fn is_reply(code: &str) -> bool {
    code.strip_suffix('-').is_some_and(|code| class_of_reply(code).is_some())
}

fn class_of_reply(code: &str) -> Option<u8> {
    match code.as_bytes() {
        [class @ (b'4' | b'5'), b'0'..=b'5', b'0'..=b'9'] => Some(class - b'0'),
        _ => None,
    }
}

/// The class of the SMTP reply that a line quotes: a code at its start, behind a colon or in quotes.
pub(super) fn reply_class(line: &str) -> Option<u8> {
    let mut before = ":";
    line.split_whitespace().find_map(|word| {
        let code = word.trim_start_matches(['\'', '"', '<', '(']);
        let quoted = code.len() < word.len() || before.ends_with(':');
        before = word;
        class_of_reply(code.get(..3).unwrap_or_default())
            .filter(|_| quoted && (code.len() == 3 || is_reply(code.get(..4).unwrap_or_default())))
    })
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.class, self.subject, self.detail)
    }
}

impl From<Status> for String {
    fn from(status: Status) -> Self {
        status.to_string()
    }
}

impl TryFrom<String> for Status {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        Self::parse(&text).ok_or_else(|| format!("{text:?} is no status code"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_is_found_wherever_servers_write_it() {
        for (line, found) in [
            ("552 5.2.2 Mailbox full", Some("5.2.2")),
            ("550-5.1.1 The email account that you tried to reach does not exist.", Some("5.1.1")),
            ("Sorry, no mailbox here by that name. (#5.1.1)", Some("5.1.1")),
            (
                "Remote Server returned '550 5.7.68 TenantInboundAttribution; Direct Send not allowed'",
                Some("5.7.68"),
            ),
            ("<mx.example.com #5.1.1 smtp;550 5.1.1 x>", Some("5.1.1")),
            ("It failed with 4.4.7.", Some("4.4.7")),
            ("2.1.5 fine, then 5.7.1", Some("5.7.1")),
            ("203.0.113.5 does not like recipient.", None),
            ("5.1.1.example.com 15.20.9343.011 5.1 x5.1.1 5.1.1234 5.1.1.1 6.1.1 5..1 -5.1.1", None),
            ("", None),
        ] {
            assert_eq!(Status::find(line).map(|status| status.to_string()).as_deref(), found, "{line}");
        }
    }

    #[test]
    fn a_reply_is_found_where_one_is_quoted() {
        for (line, class) in [
            ("550 No such user", Some(5)),
            ("Remote host said: 550 No such user", Some(5)),
            ("450-greylisted", Some(4)),
            ("returned '554 go away'", Some(5)),
            ("It took 450 seconds", None),
            ("port: 5870", None),
            ("599 99", None),
            ("550é", None),
            ("", None),
        ] {
            assert_eq!(reply_class(line), class, "{line}");
        }
    }

    #[test]
    fn a_status_is_stored_as_it_is_written() {
        let status = Status::parse("5.7.68").unwrap();
        assert_eq!(serde_json::to_string(&status).unwrap(), "\"5.7.68\"");
        assert_eq!(serde_json::from_str::<Status>("\"5.7.68\"").unwrap(), status);
        assert!(serde_json::from_str::<Status>("\"5.7\"").is_err());
    }
}
