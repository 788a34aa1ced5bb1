//! Raw mail → what is kept of it: parsed, understood, and with a key by which a second copy is known. Pure.

use crate::ledger::Observation;
use crate::mail::RawMail;
use crate::mail::{self, Mail};
use crate::report::{NotHeard, Roster, Said, Understood, understand};
use crate::sha256::sha256;
use crate::time::Time;
use crate::trust::{RUN_AHEAD_MAX, Why};

/// What is kept of texts that strangers wrote.
const STRANGERS_TEXT_MAX: usize = 200;
/// What is kept of a message's own identifier.
const MESSAGE_ID_MAX: usize = 250;
/// Most mails are identified by less.
const PARTS_BYTES_USUAL: usize = 256;

/// Tells a mail from every other, wherever and however often it is read: its date, so that neighbours in time are
/// neighbours in an index, and a hash of what identifies it.
pub type Key = [u8; 16];

/// Tells what a checker has signed in one mail: run and tokens. Another mail with the same is that mail again.
pub type RunKey = [u8; 16];

/// One mail, ready to be stored and observed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Taken {
    pub key: Key,
    /// Of a report that is signed.
    pub run_key: Option<RunKey>,
    pub uid: u32,
    pub message_id: Option<String>,
    /// None of an unsigned report: nobody asks for it.
    pub heading: Option<Box<Heading>>,
    /// The identifier, if it is a canary.
    pub canary: Option<String>,
    pub observation: Observation,
}

/// What is shown of a mail that is no report, and of a report that turns out to be none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Heading {
    pub subject: String,
    pub sender: Option<String>,
    pub recipient: Option<String>,
}

/// Reads one mail of `mailbox`.
pub fn take_in(raw: &RawMail, mailbox: &str, roster: &Roster) -> Taken {
    read(raw, mailbox, roster, |taken| !taken.observation.mail.heard() || taken.run_key.is_some())
}

fn read(raw: &RawMail, mailbox: &str, roster: &Roster, headed: impl Fn(&Taken) -> bool) -> Taken {
    let mut parsed = mail::parse(&raw.bytes, raw.truncated);
    let received = raw.received();
    let key = key(&parsed, received);
    let mut mail = understand(&mut parsed, roster);
    if mail.heard() && mail.run.is_some_and(|run| run > received + RUN_AHEAD_MAX) {
        mail.not_heard = Some(NotHeard::Untrusted(Why::RunInTheFuture));
    }
    let mut taken = Taken {
        key,
        run_key: run_key(&mail),
        uid: raw.uid,
        message_id: parsed.message_id.take().map(|id| cut(id, MESSAGE_ID_MAX)),
        heading: None,
        canary: parsed.canary.take(),
        observation: Observation { mailbox: mailbox.to_owned(), received, seen: raw.seen, mail },
    };
    taken.heading = headed(&taken).then(|| Box::new(heading(parsed)));
    taken
}

fn heading(mail: Mail) -> Heading {
    Heading {
        subject: cut(mail.subject, STRANGERS_TEXT_MAX),
        sender: mail.from.map(|from| cut(from, STRANGERS_TEXT_MAX)),
        recipient: mail.recipients.into_iter().next().map(|first| cut(first, STRANGERS_TEXT_MAX)),
    }
}

/// Another report that says the same of the same run, as it is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SameRun {
    /// The earliest receipt of such a mail.
    pub received: Time,
    pub message_id: Option<String>,
}

/// What a mail is to another one that has said the same of the same run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Again {
    /// The same mail, that a gateway has changed on the way to one of two mailboxes.
    Copy,
    /// Sent once more.
    Replay,
    /// The other one was sent once more; it was read first, as history is.
    Original,
}

impl Taken {
    pub fn compared_with(&self, other: &SameRun) -> Again {
        if self.message_id.is_some() && self.message_id == other.message_id {
            Again::Copy
        } else if self.observation.received < other.received {
            Again::Original
        } else {
            Again::Replay
        }
    }

    /// Lets it be no report any more.
    pub fn distrust(&mut self, why: Why) {
        self.observation.mail.not_heard = Some(NotHeard::Untrusted(why));
        self.run_key = None;
    }
}

/// Names that are not configured may stand in it unsigned.
fn run_key(mail: &Understood) -> Option<RunKey> {
    let (checker, run) = mail.checker.as_ref().zip(mail.run).filter(|_| mail.heard())?;
    let mut parts = Parts::new();
    parts.add(checker);
    parts.add(&run.timestamp().to_string());
    let said = |said: &Said| format!("{said:?}");
    parts.add(&mail.dryrun.as_ref().map_or(String::new(), said));
    for (service, result) in &mail.results {
        parts.add(service);
        parts.add(&said(result));
    }
    Some(parts.hash())
}

/// Texts one after the other, each with its length before it.
struct Parts(Vec<u8>);

impl Parts {
    fn new() -> Self {
        Self(Vec::with_capacity(PARTS_BYTES_USUAL))
    }

    fn add(&mut self, part: &str) {
        self.0.extend_from_slice(&(part.len() as u64).to_le_bytes());
        self.0.extend_from_slice(part.as_bytes());
    }

    /// The beginning of their SHA-256.
    fn hash<const BYTES: usize>(&self) -> [u8; BYTES] {
        let mut hash = [0; BYTES];
        hash.iter_mut().zip(sha256(&self.0)).for_each(|(to, from)| *to = from);
        hash
    }
}

/// Reads one mail of the Junk folder of `mailbox`. None when it is no evidence about a checker, and no canary: other
/// people's spam is nobody's business.
pub fn take_in_junk(raw: &RawMail, mailbox: &str, roster: &Roster) -> Option<Taken> {
    let mut taken = read(raw, mailbox, roster, |_| true);
    let canary = taken.canary.is_some();
    let mail = &mut taken.observation.mail;
    if !mail.heard() && mail.undelivered.is_none() && !canary {
        return None;
    }
    mail.not_heard = Some(NotHeard::Junked);
    taken.run_key = None;
    // Once somebody moves it to where it is heard, it must not pass for a copy of what was read here.
    let (_, hash) = taken.key.split_at_mut(8);
    hash.iter_mut().for_each(|byte| *byte = !*byte);
    Some(taken)
}

/// Message-ID alone is not enough: a sender that repeats one must not look like a dead one.
pub(crate) fn key(mail: &Mail, received: Time) -> Key {
    let mut parts = Parts::new();
    parts.add(mail.message_id.as_deref().unwrap_or_default());
    parts.add(mail.from.as_deref().unwrap_or_default());
    parts.add(&mail.subject);
    if mail.message_id.is_none() {
        mail.recipients.iter().for_each(|recipient| parts.add(recipient));
        mail.texts.iter().for_each(|text| parts.add(text));
    }
    // A mail without a date of its own is known by its receipt, which a copied mailbox keeps.
    let time = mail.sent.unwrap_or(received).timestamp();
    let mut key = [0; 16];
    let (date, rest) = key.split_at_mut(8);
    date.copy_from_slice(&time.to_be_bytes());
    rest.copy_from_slice(&parts.hash::<8>());
    key
}

fn cut(mut text: String, chars: usize) -> String {
    // Most are short enough in bytes already.
    let end = if text.len() > chars { text.char_indices().nth(chars).map(|(end, _)| end) } else { None };
    text.truncate(end.unwrap_or(text.len()));
    text.shrink_to_fit();
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Checker;
    use chrono::{TimeDelta, TimeZone, Utc};

    fn roster() -> Roster {
        Roster::new(
            &[Checker {
                name: "bresse1".into(),
                provider: "free".into(),
                addresses: vec!["bresse1+monitor@d.example".into()],
                tests: vec![],
                cycle: TimeDelta::minutes(5),
                mail_path_margin: crate::config::Margin::Fixed(TimeDelta::seconds(60)),
                missed_cycles: 1,
                nok_after: 1,
                ok_after: 1,
                findings: crate::config::Findings::default(),
                flap: None,
                trust: None,
            }],
            &Default::default(),
        )
    }

    fn raw(text: &str) -> RawMail {
        let seen = Utc.with_ymd_and_hms(2026, 11, 20, 3, 0, 0).unwrap();
        let bytes = text.as_bytes().to_vec();
        RawMail { uid: 7, internal_date: Some(seen - TimeDelta::seconds(1)), seen, bytes, truncated: false }
    }

    const REPORT: &str = "Message-ID: <a@b>\nTo: bresse1+monitor@d.example\nSubject: DRYRUN.OK\nDate: Fri, 20 Nov 2026 02:00:00 +0000\n\n";

    #[test]
    fn a_report_in_junk_is_not_heard_and_is_another_mail_than_the_same_one_elsewhere() {
        let (roster, raw) = (roster(), raw(REPORT));
        let heard = take_in(&raw, "M", &roster);
        let junked = take_in_junk(&raw, "M", &roster).unwrap();
        assert_eq!(junked.observation.mail.not_heard, Some(NotHeard::Junked));
        assert_eq!(junked.observation.mail.dryrun, heard.observation.mail.dryrun);
        assert_eq!(junked.key[..8], heard.key[..8], "neighbours in time stay neighbours");
        assert_ne!(junked.key, heard.key);
        assert_eq!(junked.key, take_in_junk(&raw, "M", &roster).unwrap().key);
    }

    #[test]
    fn of_what_lies_in_junk_only_evidence_about_a_checker_is_kept() {
        let bounce = "Return-Path: <>\nTo: a@b\n\n<bresse1+monitor@d.example>:\n550 5.7.1 no\n";
        let kept = take_in_junk(&raw(bounce), "M", &roster()).unwrap().observation.mail;
        assert_eq!((kept.checker.as_deref(), kept.not_heard), (Some("bresse1"), Some(NotHeard::Junked)));
        assert!(kept.undelivered.is_some());
        for spam in [
            "To: bresse1+monitor@d.example\nSubject: You have won\n\n",
            "To: a@b\nSubject: DRYRUN.OK\n\n",
            "Return-Path: <>\nTo: bresse1+monitor@d.example\n\n<c@d>:\n550 5.7.1 no\n",
            "",
        ] {
            assert_eq!(take_in_junk(&raw(spam), "M", &roster()), None, "{spam}");
        }
    }
}
