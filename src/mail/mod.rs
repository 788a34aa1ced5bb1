//! Mail bytes → [`Mail`]: what the rules need to know of one mail, decoded and bounded. Pure.

mod address;
pub mod authentication;
mod body;
mod comments;
mod credentials;
mod date;
mod decode;
mod dsn;
mod headers;
mod html;
mod limits;
mod marks;
mod raw;
mod received;
mod status;

use std::borrow::Cow;

use chrono::{DateTime, Utc};
use memchr::memchr;
use serde::{Deserialize, Serialize};

pub use self::credentials::{Credentials, Stamp};
pub use self::date::{parse_internal_date, parse_mail_date};
pub use self::dsn::{DeliveryReport, Failed, Undelivered};
use self::headers::{Block, Name};
use self::limits::{MAX_CANARY, MAX_HOPS, MAX_MESSAGE_ID, MAX_RECIPIENTS, Notes};
pub use self::raw::RawMail;
pub use self::status::Status;

/// One mail, decoded. Parsing never fails: what could not be understood is absent or named in `problems`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Mail {
    /// Without the angle brackets.
    pub message_id: Option<String>,
    /// `Date:`, by the sender's clock. None when absent or not a date (RFC 5322, section 3.3).
    pub sent: Option<DateTime<Utc>>,
    /// `From:`, the bare address in lower case.
    pub from: Option<String>,
    /// Addresses of To, Cc, Delivered-To, X-Original-To and Envelope-To: lower case, each once, in that order.
    pub recipients: Vec<String>,
    pub subject: String,
    /// Every text part (plain, and HTML turned into text) that is not an attachment, in order.
    pub texts: Vec<String>,
    /// The `Received` chain, newest hop first, as it stands in the mail.
    pub received: Vec<Hop>,
    pub marks: Marks,
    /// Of a delivery report: who did not get which mail.
    pub delivery: Option<DeliveryReport>,
    pub credentials: Credentials,
    /// `X-Bresse-Canary`: this is a canary of a watchdog's, under that identifier. Its beginning, if it is longer
    /// than any.
    pub canary: Option<String>,
    /// What was cut off, refused or could not be decoded, one sentence each.
    pub problems: Vec<String>,
    /// The bytes did not hold the whole mail, or a limit cut a part off: what is absent here may still be in the mail.
    pub truncated: bool,
}

/// One `Received` header (RFC 5321, section 4.4).
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Hop {
    /// The name after `from`.
    pub from: Option<String>,
    /// The name after `by`.
    pub by: Option<String>,
    pub at: Option<DateTime<Utc>>,
}

/// Signs that a mail is not a checker's own report.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Marks {
    /// `Auto-Submitted: auto-replied` (RFC 3834, section 5), or an out-of-office notice of Exchange. `auto-generated`
    /// alone is what checkers are.
    pub auto_replied: bool,
    /// `multipart/report` (RFC 6522), from MAILER-DAEMON, or an empty return path.
    pub delivery_report: bool,
    /// Holds `X-Bresse-Incident`: one of a watchdog's own mails.
    pub own: bool,
    /// A person's forward: an attached `message/rfc822`, a forward or reply prefix in the subject, a line in
    /// the text that announces another mail, Outlook's block of `From:`, `Sent:`, `To:` and `Subject:`, or `Resent-From`
    /// (RFC 5322, section 3.6.6).
    pub forward: bool,
}

/// Reads a mail as the server gave it: with LF or CRLF, whole or, when `truncated`, only its beginning.
///
/// Time and memory are linear in the size of `bytes`, whatever they hold. Nothing is entered that a mail may carry
/// inside: an attached mail only sets [`Marks::forward`], and of one that a delivery report returns the recipients are
/// read.
pub fn parse(bytes: &[u8], truncated: bool) -> Mail {
    let mut notes = Notes { truncated, ..Notes::default() };
    let bytes = with_line_feeds(bytes);
    let block = headers::scan(&bytes, truncated, &mut notes);
    let content = body::read(&block, &mut notes);
    let subject = block.first(Name::Subject).map(|field| field.text(&mut notes)).unwrap_or_default();
    let authors = block.first(Name::From).map(|field| address::addresses(&field.value())).unwrap_or_default();
    let credentials = credentials::read(&block, &authors);
    let from = authors.into_iter().next();
    let marks = Marks {
        auto_replied: marks::auto_replied(&block),
        delivery_report: content.holds_report || marks::from_mail_system(&block, from.as_deref()),
        own: block.first(Name::Incident).is_some(),
        forward: content.holds_message
            || block.first(Name::ResentFrom).is_some()
            || marks::is_forward_subject(&subject)
            || content.texts.iter().any(|text| marks::holds_forward(text)),
    };
    let delivery = if marks.delivery_report { dsn::read(content.report, &content.texts) } else { None };
    Mail {
        message_id: message_id(&block, &mut notes),
        sent: sent(&block, &mut notes),
        from,
        recipients: recipients(&block, &mut notes),
        subject,
        texts: content.texts,
        received: hops(&block, &mut notes),
        marks,
        delivery,
        credentials,
        canary: block.first(Name::Canary).map(|field| field.value().chars().take(MAX_CANARY).collect()),
        problems: notes.problems,
        truncated: notes.truncated,
    }
}

/// Mails out of old Macintosh programs end their lines in CR alone.
fn with_line_feeds(bytes: &[u8]) -> Cow<'_, [u8]> {
    if memchr(b'\n', bytes).is_some() || memchr(b'\r', bytes).is_none() {
        return Cow::Borrowed(bytes);
    }
    Cow::Owned(bytes.iter().map(|&byte| if byte == b'\r' { b'\n' } else { byte }).collect())
}

fn sent(block: &Block<'_>, notes: &mut Notes) -> Option<DateTime<Utc>> {
    let field = block.first(Name::Date)?;
    let sent = parse_mail_date(&field.value());
    if sent.is_none() {
        notes.problem(
            "The Date names no moment with its zone (RFC 5322, section 3.3) that could be true; when the mail was sent is not known.",
        );
    }
    sent
}

fn message_id(block: &Block<'_>, notes: &mut Notes) -> Option<String> {
    let value = block.first(Name::MessageId)?.value();
    let (_, inner) = value.split_once('<').unwrap_or(("", &value));
    let id = inner.split('>').next().unwrap_or_default().trim();
    if id.len() > MAX_MESSAGE_ID {
        notes.problem(format!("The Message-ID is longer than {MAX_MESSAGE_ID} bytes; it was left out."));
        return None;
    }
    (!id.is_empty()).then(|| id.to_owned())
}

/// Microsoft 365 delivers `bresse1+monitor@` to `bresse1@` and IMAP shows no envelope: any of these headers may be the
/// one that still names the checker.
const RECIPIENT_HEADERS: [Name; 5] =
    [Name::To, Name::Cc, Name::DeliveredTo, Name::XOriginalTo, Name::EnvelopeTo];

fn recipients(block: &Block<'_>, notes: &mut Notes) -> Vec<String> {
    let mut found: Vec<String> = Vec::new();
    let fields = RECIPIENT_HEADERS.iter().flat_map(|&name| block.all(name));
    for (read, address) in fields.flat_map(|field| address::addresses(&field.value())).enumerate() {
        if read == MAX_RECIPIENTS {
            notes.cut(format!(
                "There are more than {MAX_RECIPIENTS} recipients; the later ones were left out."
            ));
            break;
        }
        if !found.contains(&address) {
            found.push(address);
        }
    }
    found
}

fn hops(block: &Block<'_>, notes: &mut Notes) -> Vec<Hop> {
    let mut fields = block.all(Name::Received);
    let hops = fields.by_ref().take(MAX_HOPS).map(|field| received::hop(&field.value())).collect();
    if fields.next().is_some() {
        notes.cut(format!("There are more than {MAX_HOPS} Received headers; the older ones were left out."));
    }
    hops
}

#[cfg(test)]
mod tests;
