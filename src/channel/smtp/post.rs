//! The mails as they are written. Pure.

use std::borrow::Cow;

use lettre::address::Envelope;
use lettre::message::header::{ContentTransferEncoding, ContentType, HeaderName, HeaderValue};
use lettre::message::{Body, MultiPart, MultiPartKind, SinglePart};
use lettre::{Address, Message as Mail};

use crate::config::{RunMail, Smtp};
use crate::engine::{Release, Run};
use crate::outbox::Message;
use crate::time::Time;
use crate::trust::Key;
use crate::words;

/// Quoted-printable never has an equals sign before an underscore (RFC 2045, section 6.7). A random one might spell `NOK`.
const BOUNDARY: &str = "=_bresse-watchdog_=";

/// What differs from one kind of mail to another.
pub(super) struct Post<'a> {
    to: &'a str,
    subject: &'a str,
    body: Cow<'a, str>,
    /// The same, for who prefers it.
    html: Option<&'a str>,
    /// Before the `@` of the identifiers: of the thread, and of this mail in it.
    thread: String,
    id: String,
    /// Further threads that it belongs to.
    threads: Vec<String>,
    /// The headers by which it is known: as a watchdog's own, or as whose report.
    marks: Vec<(&'static str, String)>,
}

impl<'a> Post<'a> {
    pub(super) fn of_message(message: &'a Message) -> Self {
        let thread = format!("{}.{}", message.incident, ascii(&message.channel));
        Self {
            to: &message.recipient,
            subject: &message.subject,
            body: match &message.bulletin.link {
                Some(link) => words::linked(&message.body, link).into(),
                None => Cow::Borrowed(&message.body),
            },
            html: message.html.as_deref(),
            id: match &message.bulletin.burst {
                None => format!("{thread}.{}", message.ordinal),
                Some(burst) => format!("{thread}.{}.{}", message.ordinal, burst.key),
            },
            threads: threads(message),
            thread,
            marks: vec![("X-Bresse-Incident", message.incident.clone())],
        }
    }

    pub(super) fn of_canary(canary: &'a Release, now: Time) -> Self {
        let thread = format!("canary.{}", ascii(&canary.channel));
        Self {
            to: &canary.to,
            subject: &canary.letter.subject,
            body: Cow::Borrowed(&canary.letter.body),
            html: None,
            id: format!("{thread}.{}", now.timestamp_millis()),
            threads: Vec::new(),
            thread,
            marks: vec![("X-Bresse-Canary", canary.id.clone())],
        }
    }

    /// No header says that it is a watchdog's: it is a report like any checker's.
    pub(super) fn of_run(run: &'a Run, mail: &'a RunMail, key: Option<&Key>, watchdog: &str) -> Self {
        let number = run.began.timestamp();
        let signed = key.map(|key| key.sign(watchdog, number, run.tokens.iter().map(String::as_str)));
        let marks = |signature| [("X-Bresse-Run", number.to_string()), ("X-Bresse-Signature", signature)];
        let thread = format!("run.{}", ascii(watchdog));
        Self {
            to: &mail.to,
            subject: &run.letter.subject,
            body: Cow::Borrowed(&run.letter.body),
            html: None,
            id: format!("{thread}.{}", run.began.timestamp_millis()),
            threads: Vec::new(),
            thread,
            marks: signed.into_iter().flat_map(marks).collect(),
        }
    }
}

/// The mail, and whom the server is told it is for.
pub(super) fn compose(smtp: &Smtp, post: &Post<'_>, now: Time) -> anyhow::Result<(Envelope, Vec<u8>)> {
    let Post { thread, threads, id, marks, .. } = post;
    let from: Address = smtp.from.parse()?;
    let to: Address = post.to.parse()?;
    let mail = Mail::builder()
        .from(from.clone().into())
        // An out-of-office answer would quote the token back into the mailbox that is watched for it.
        .reply_to(from.clone().into())
        .to(to.clone().into())
        .subject(post.subject)
        .date(now.into())
        .message_id(Some(format!("<{id}@{}>", from.domain())))
        .references(references(threads.iter().chain([thread]), from.domain()));
    let mut mail = match post.html {
        None => mail.singlepart(part(ContentType::TEXT_PLAIN, &post.body))?,
        Some(html) => mail.multipart(
            MultiPart::builder()
                .kind(MultiPartKind::Alternative)
                .boundary(BOUNDARY)
                .singlepart(part(ContentType::TEXT_PLAIN, &post.body))
                .singlepart(part(ContentType::TEXT_HTML, html)),
        )?,
    };
    let automatic = [("Auto-Submitted", "auto-generated"), ("X-Auto-Response-Suppress", "All")];
    let marks = marks.iter().map(|(name, value)| (*name, value.as_str()));
    for (name, value) in automatic.into_iter().chain(marks) {
        mail.headers_mut()
            .insert_raw(HeaderValue::new(HeaderName::new_from_ascii(name.to_owned())?, value.to_owned()));
    }
    Ok((Envelope::new(Some(from), vec![to])?, mail.formatted()))
}

/// Those of the other incidents that the message is about, if it says several.
fn threads(message: &Message) -> Vec<String> {
    let parts = message.bulletin.burst.iter().flat_map(|burst| &burst.parts);
    let others = parts.filter(|part| part.incident != message.incident);
    others.map(|part| format!("{}.{}", part.incident, ascii(&message.channel))).collect()
}

fn references<'a>(threads: impl Iterator<Item = &'a String>, domain: &str) -> String {
    threads.map(|thread| format!("<{thread}@{domain}>")).collect::<Vec<_>>().join(" ")
}

/// Quoted-printable always: base64 could spell the letters that open approvals.
fn part(kind: ContentType, text: &str) -> SinglePart {
    let text = text.replace('\n', "\r\n");
    let part = SinglePart::builder().header(kind);
    match Body::new_with_encoding(text.clone(), ContentTransferEncoding::QuotedPrintable) {
        Ok(body) => part.body(body),
        Err(_) => part.body(text),
    }
}

fn ascii(name: &str) -> String {
    name.chars().map(|c| if c.is_ascii_alphanumeric() || c == '-' { c } else { '_' }).collect()
}

#[cfg(test)]
mod tests {
    use super::super::tests::{message, smtp};
    use super::*;
    use crate::words::Signature;
    use chrono::{TimeZone, Utc};

    #[test]
    fn a_mail_says_that_it_is_automatic_and_which_incident_it_is_about() {
        let alarm =
            message("bresse3_Checker.NOK bresse3 is silent (orange)", "Déjà vu.\nIncident 20261120-42\n");
        let (envelope, bytes) = compose(&smtp(), &Post::of_message(&alarm), alarm.created).unwrap();
        assert_eq!(envelope.from().map(ToString::to_string), Some("bresse8@elsewhere.example".to_owned()));
        insta::assert_snapshot!(String::from_utf8(bytes).unwrap().replace('\r', ""));
    }

    #[test]
    fn a_canary_is_known_by_its_identifier_and_opens_no_approval() {
        let now = Utc.with_ymd_and_hms(2026, 11, 20, 3, 0, 0).unwrap();
        let by = Signature { watchdog: "kiNOKuniya", zone: chrono_tz::Tz::UTC, now };
        let canary = Release {
            id: "00112233445566778899aabbccddeeff".into(),
            channel: "backup mail".into(),
            to: "canary@domain.com".into(),
            letter: words::canary(by),
        };
        let (_, bytes) = compose(&smtp(), &Post::of_canary(&canary, now), now).unwrap();
        let text = String::from_utf8(bytes).unwrap().replace('\r', "");
        assert!(!text.to_ascii_uppercase().contains("NOK"), "{text}");
        let mail = crate::mail::parse(text.as_bytes(), false);
        assert_eq!((mail.canary.as_deref(), mail.marks.own), (Some(canary.id.as_str()), false));
        insta::assert_snapshot!(text);
    }

    #[test]
    fn a_mail_with_html_is_readable_without_it_and_no_boundary_opens_approvals() {
        let html = Some("<p>\u{e9}t\u{e9} =_bresse-watchdog_=</p>\n".repeat(9));
        let digest = Message { html, ..message("MONITOR_Digest bresse8", "\u{e9}t\u{e9}\n") };
        let (_, bytes) = compose(&smtp(), &Post::of_message(&digest), digest.created).unwrap();
        assert!(!String::from_utf8_lossy(&bytes).to_uppercase().contains("NOK"));
        let mail = mailparse::parse_mail(&bytes).unwrap();
        assert_eq!(mail.ctype.mimetype, "multipart/alternative");
        let parts: Vec<String> = mail.subparts.iter().map(|part| part.get_body().unwrap()).collect();
        assert_eq!(parts.len(), 2);
        assert_eq!(
            (parts[0].trim(), parts[1].matches("_bresse-watchdog_=</p>").count()),
            ("\u{e9}t\u{e9}", 9)
        );
    }

    #[test]
    fn no_encoding_spells_the_letters_that_open_approvals() {
        for text in ["déjà vu ".repeat(50), "日本語のメール".repeat(40)] {
            let calm = message("bresse3_Checker.OK", &text);
            let (_, bytes) = compose(&smtp(), &Post::of_message(&calm), calm.created).unwrap();
            let body = String::from_utf8(bytes).unwrap().to_ascii_uppercase();
            assert!(!body.contains("NOK"), "{body}");
        }
    }

    #[test]
    fn an_address_that_is_none_is_refused_and_not_tried_for_ever() {
        let nobody = Message { recipient: "nobody".into(), ..message("s", "b") };
        assert!(compose(&smtp(), &Post::of_message(&nobody), nobody.created).is_err());
    }

    #[test]
    fn a_run_of_the_watchdogs_own_is_a_report_that_its_key_has_signed() {
        let now = Utc.with_ymd_and_hms(2026, 11, 20, 3, 0, 0).unwrap();
        let tokens: Vec<String> = ["DRYRUN.OK", "bresse8_Mailbox_Service.OK"].map(str::to_owned).to_vec();
        let letter =
            words::run_report(Signature { watchdog: "bresse8", zone: chrono_tz::Tz::UTC, now }, &tokens);
        let run = Run { began: now, tokens, letter };
        let mail = RunMail { channel: "mail".into(), to: "watch+bresse8@third.example".into(), hmac: None };
        let key = Key::new(b"0123456789abcdef").unwrap();
        let (_, bytes) = compose(&smtp(), &Post::of_run(&run, &mail, Some(&key), "bresse8"), now).unwrap();
        let text = String::from_utf8(bytes).unwrap().replace('\r', "");
        assert!(!text.to_ascii_uppercase().contains("NOK"), "{text}");
        insta::assert_snapshot!(text);
        let (_, bytes) = compose(&smtp(), &Post::of_run(&run, &mail, None, "bresse8"), now).unwrap();
        assert!(!String::from_utf8(bytes).unwrap().contains("X-Bresse"));
    }
}
