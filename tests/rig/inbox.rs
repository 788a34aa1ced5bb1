//! Where alarms arrive, and what can be said of one that did.

use std::collections::BTreeSet;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use mailparse::{MailHeaderMap, ParsedMail};

use super::wait_for;

/// A mail as it arrived.
#[derive(Debug, Clone)]
pub(crate) struct AlarmMail {
    /// The envelope's recipients.
    pub(crate) recipients: Vec<String>,
    pub(crate) raw: Vec<u8>,
}

impl AlarmMail {
    pub(crate) fn subject(&self) -> String {
        self.header("Subject").unwrap_or_default()
    }

    /// The subject up to its first `.NOK` or `.OK`; the whole subject if it has neither.
    pub(crate) fn token(&self) -> String {
        let subject = self.subject();
        let end = [".NOK", ".OK"].iter().filter_map(|word| Some(subject.find(word)? + word.len())).min();
        subject[..end.unwrap_or(subject.len())].to_owned()
    }

    /// A header's decoded value.
    pub(crate) fn header(&self, name: &str) -> Option<String> {
        self.parsed().headers.get_first_value(name)
    }

    /// The text of every part, decoded.
    pub(crate) fn body(&self) -> String {
        fn text(part: &ParsedMail<'_>) -> String {
            if part.subparts.is_empty() {
                return part.get_body().expect("a body that can be decoded");
            }
            part.subparts.iter().map(text).collect::<Vec<_>>().join("\n")
        }
        text(&self.parsed())
    }

    /// Panics if a filter on `NOK`, in any letter case, would find this mail: in a header as it is on the wire, in a
    /// decoded header, or in the text.
    pub(crate) fn assert_nothing_says_nok(&self) {
        let parsed = self.parsed();
        let wire = String::from_utf8_lossy(parsed.get_headers().get_raw_bytes()).into_owned();
        let decoded: String = parsed.headers.iter().map(|header| header.get_value() + "\n").collect();
        for text in [wire, decoded, self.body()] {
            assert!(!text.to_uppercase().contains("NOK"), "a filter on NOK finds this mail:\n{text}");
        }
    }

    fn parsed(&self) -> ParsedMail<'_> {
        mailparse::parse_mail(&self.raw).expect("a mail that can be parsed")
    }
}

/// Where a channel delivers to.
pub(crate) trait Inbox {
    /// Every mail so far, in the order of arrival.
    fn mails(&self) -> Vec<AlarmMail>;

    /// Every mail's [`AlarmMail::token`], in the order of arrival.
    fn tokens(&self) -> Vec<String> {
        self.mails().iter().map(AlarmMail::token).collect()
    }

    /// The first mail with this token; panics when none has come within `limit`.
    fn wait_for_token(&self, token: &str, limit: Duration) -> AlarmMail {
        let find = || self.mails().into_iter().find(|mail| mail.token() == token);
        wait_for(limit, find).unwrap_or_else(|| {
            panic!("{token} has not come within {limit:?}; what came: {:?}", self.tokens())
        })
    }
}

/// What every mail of the watchdog carries; returns the incident's identifier.
pub(crate) fn assert_own_mail(mail: &AlarmMail) -> String {
    let header =
        |name| mail.header(name).unwrap_or_else(|| panic!("{name} is missing in {}", mail.subject()));
    assert_eq!(header("Auto-Submitted"), "auto-generated");
    assert_eq!(header("X-Auto-Response-Suppress"), "All");
    assert!(header("Reply-To").contains('@'));
    assert!(header("From").contains("bresse8@watchdog.example"));
    assert!(header("To").contains("oncall@elsewhere.example"));
    assert_eq!(mail.recipients, ["oncall@elsewhere.example"]);
    let sent = DateTime::parse_from_rfc2822(&header("Date")).expect("a valid Date").to_utc();
    assert!((Utc::now() - sent).abs() < TimeDelta::minutes(5), "Date is {sent}");
    let incident = header("X-Bresse-Incident");
    assert!(!incident.is_empty());
    assert!(
        mail.body().trim_end().ends_with(&incident),
        "the body does not end with {incident}:\n{}",
        mail.body()
    );
    assert!(thread_ids(mail).iter().any(|id| id.contains(&incident)), "{incident} in {:?}", thread_ids(mail));
    incident
}

/// The identifiers by which mail programs put mails into one thread.
fn thread_ids(mail: &AlarmMail) -> BTreeSet<String> {
    let headers =
        ["Message-ID", "References", "In-Reply-To"].map(|name| mail.header(name).unwrap_or_default());
    headers.iter().flat_map(|ids| ids.split_whitespace()).map(str::to_owned).collect()
}

/// The recovery belongs to the alarm, and no filter on `NOK` finds it.
pub(crate) fn assert_recovery_of(alarm: &AlarmMail, recovery: &AlarmMail) {
    assert_eq!(assert_own_mail(alarm), assert_own_mail(recovery), "one incident, one identifier");
    let shared = thread_ids(alarm).intersection(&thread_ids(recovery)).count();
    assert!(shared > 0, "they do not thread: {:?} {:?}", thread_ids(alarm), thread_ids(recovery));
    recovery.assert_nothing_says_nok();
}
