//! Delivery reports → whom a mail did not reach, and why: RFC 3464, and the plain texts that qmail, Exim and older
//! Exchange write instead. What a report says is evidence and no more: anybody can write one.

use serde::{Deserialize, Serialize};

use super::address::addresses;
use super::limits::{MAX_ADDRESS, MAX_FAILED};
use super::status::{Status, reply_class};
use crate::text::quoted;

/// Lines of a text that are read.
const LINES_MAX: usize = 400;
/// One field of a machine-readable report with all its folded lines, in bytes.
const FIELD_MAX: usize = 2_048;
/// What is kept of the words of a server, in characters.
const SAID_MAX: usize = 200;

/// A delivery report, as far as it tells which mail did not arrive.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DeliveryReport {
    /// Those who did not get the mail, or not yet; at most 16.
    pub failed: Vec<Failed>,
    /// To whom the mail that is reported on was addressed, by its own headers.
    pub returned_to: Vec<String>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failed {
    /// In lower case: the address that the mail was last sent to, and the one its sender gave.
    pub addresses: Vec<String>,
    pub why: Undelivered,
}

/// Why a mail did not arrive.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Undelivered {
    /// It is still being tried (`Action: delayed`).
    pub delayed: bool,
    pub status: Option<Status>,
    /// In a server's own words, on one line; may be empty.
    pub said: String,
}

/// What the body of a mail holds of a `multipart/report` (RFC 6522).
#[derive(Debug, Default)]
pub(super) struct Parts {
    /// The `message/delivery-status`.
    pub(super) status: Option<String>,
    /// To whom the mail was addressed that comes with it, or of which the headers do.
    pub(super) returned_to: Vec<String>,
    /// It reports on something else, for instance that a mail was read.
    pub(super) other: bool,
}

/// Reads a mail that is marked as a delivery report.
pub(super) fn read(parts: Parts, texts: &[String]) -> Option<DeliveryReport> {
    if parts.other {
        return None;
    }
    let failed = match &parts.status {
        Some(status) => in_fields(status),
        None => in_texts(texts),
    };
    Some(DeliveryReport { failed, returned_to: parts.returned_to })
}

/// The blocks of fields of a `message/delivery-status` (RFC 3464, section 2.1), one for each recipient.
fn in_fields(text: &str) -> Vec<Failed> {
    let (mut found, mut block, mut field) = (Vec::new(), Recipient::default(), String::new());
    for line in text.lines().chain([""]) {
        if line.starts_with([' ', '\t']) && !line.trim().is_empty() {
            push_bounded(&mut field, " ");
            push_bounded(&mut field, line.trim());
            continue;
        }
        block.take(&std::mem::take(&mut field));
        if line.trim().is_empty() {
            found.extend(std::mem::take(&mut block).finish());
            if found.len() == MAX_FAILED {
                break;
            }
        } else {
            push_bounded(&mut field, line);
        }
    }
    found
}

fn push_bounded(field: &mut String, line: &str) {
    let room = FIELD_MAX.saturating_sub(field.len());
    field.push_str(line.get(..line.floor_char_boundary(room)).unwrap_or_default());
}

#[derive(Debug, Default)]
struct Recipient {
    addresses: Vec<String>,
    action: Option<String>,
    status: Option<Status>,
    diagnostic: Option<String>,
}

impl Recipient {
    fn take(&mut self, field: &str) {
        let Some((name, value)) = field.split_once(':') else { return };
        let (name, value) = (name.trim_end(), value.trim());
        let is = |known: &str| name.eq_ignore_ascii_case(known);
        if is("Final-Recipient") || is("Original-Recipient") {
            let address = without_type(value);
            for address in addresses(address).into_iter().chain(addresses(&without_xtext(address))).take(4) {
                if !self.addresses.contains(&address) {
                    self.addresses.push(address);
                }
            }
        } else if is("Action") {
            self.action = value.split_whitespace().next().map(str::to_ascii_lowercase);
        } else if is("Status") {
            // A comment may follow: `5.0.0 (permanent failure)`.
            self.status = value.split([' ', '\t', '(']).next().and_then(Status::parse);
        } else if is("Diagnostic-Code") {
            self.diagnostic = Some(without_type(value).to_owned());
        }
    }

    /// None for a recipient who has got the mail, and for the block that is about the whole of it.
    fn finish(self) -> Option<Failed> {
        let said = self.diagnostic.unwrap_or_default();
        // `5.0.0` only says that it failed; the server's own words often say more.
        let exact = self.status.filter(|status| !status.is_vague());
        let status = exact.or_else(|| Status::find(&said)).or(self.status);
        let delayed = match self.action.as_deref() {
            Some("failed") => false,
            Some("delayed") => true,
            Some(_) => return None,
            None => status.is_some_and(|status| status.class == 4),
        };
        let why = Undelivered { delayed, status, said: quoted(&said, SAID_MAX) };
        let fails = status.is_none_or(|status| status.class != 2) && !self.addresses.is_empty();
        fails.then_some(Failed { addresses: self.addresses, why })
    }
}

/// What follows the type in `rfc822; a@b` and in `smtp; 550 …`.
fn without_type(value: &str) -> &str {
    match value.split_once(';') {
        Some((kind, rest)) if !kind.trim().contains(char::is_whitespace) => rest.trim(),
        _ => value,
    }
}

/// Some servers leave `+` as `+2B` (RFC 3461, section 4), which is how every checker's address has it.
fn without_xtext(address: &str) -> String {
    address.replace("+2B", "+").replace("+2b", "+")
}

/// The recipients that a report for people names: each begins a line, and what follows says why.
fn in_texts(texts: &[String]) -> Vec<Failed> {
    let mut reading = Reading::default();
    for text in texts {
        let lines = text.lines().map(str::trim).take(LINES_MAX).take_while(|line| !begins_copy(line));
        lines.filter(|line| !line.is_empty()).for_each(|line| reading.line(line));
        reading.close();
    }
    reading.finish()
}

/// Behind such a line stands the mail that is reported on.
fn begins_copy(line: &str) -> bool {
    let line = line.to_lowercase();
    let announced = ["copy of", "original message", "message header", "message follows"];
    line == "original message headers:"
        || (line.starts_with("---") && announced.iter().any(|words| line.contains(words)))
}

#[derive(Debug, Default)]
struct Reading {
    found: Vec<Paragraph>,
    open: Option<Paragraph>,
    /// Of all lines together, for a text that names its recipient within a sentence.
    whole: Paragraph,
    still_trying: bool,
}

#[derive(Debug, Default)]
struct Paragraph {
    addresses: Vec<String>,
    class: Option<u8>,
    status: Option<Status>,
    said: String,
}

impl Paragraph {
    fn take(&mut self, line: &str) {
        if self.status.is_some() {
            return;
        }
        self.status = Status::find(line);
        let class = self.status.map(|status| status.class);
        if let Some(class) = class.or_else(|| reply_class(line).filter(|_| self.class.is_none())) {
            self.class = Some(class);
            self.said = quoted(line, SAID_MAX);
        }
    }

    fn name(&mut self, line: &str) {
        for address in words_with_address(line) {
            if self.addresses.len() < MAX_FAILED && !self.addresses.contains(&address) {
                self.addresses.push(address);
            }
        }
    }
}

impl Reading {
    fn line(&mut self, line: &str) {
        let lower = line.to_lowercase();
        self.still_trying |= ["delayed", "not yet been delivered", "retried", "keep trying"]
            .iter()
            .any(|words| lower.contains(words));
        let heading =
            line.split_whitespace().next().is_some_and(|word| words_with_address(word).next().is_some());
        if heading {
            self.close();
            let mut paragraph = Paragraph::default();
            paragraph.name(line);
            self.open = Some(paragraph);
        }
        self.whole.name(line);
        self.whole.take(line);
        if let Some(paragraph) = &mut self.open {
            paragraph.take(line);
        }
    }

    fn close(&mut self) {
        let open = self.open.take().filter(|paragraph| paragraph.class.is_some());
        if self.found.len() < MAX_FAILED {
            self.found.extend(open);
        }
    }

    fn finish(self) -> Vec<Failed> {
        let paragraphs = if self.found.is_empty() { vec![self.whole] } else { self.found };
        let failed = |paragraph: Paragraph| {
            let delayed = paragraph.class? == 4 && self.still_trying;
            let why = Undelivered { delayed, status: paragraph.status, said: paragraph.said };
            (!paragraph.addresses.is_empty()).then_some(Failed { addresses: paragraph.addresses, why })
        };
        paragraphs.into_iter().filter_map(failed).collect()
    }
}

/// The addresses in a line, in lower case, whatever stands around them.
fn words_with_address(line: &str) -> impl Iterator<Item = String> {
    let around = |c: char| c.is_whitespace() || "<>()[]{}\"',;:=".contains(c);
    line.split(around).filter_map(|word| {
        let word = word.trim_end_matches(['.', '!', '?']);
        let (local, domain) = word.split_once('@')?;
        let whole = !local.is_empty() && !domain.is_empty() && !domain.contains('@');
        (whole && word.len() <= MAX_ADDRESS).then(|| word.to_lowercase())
    })
}

#[cfg(test)]
mod tests;
