//! The MIME structure of a mail (RFC 2046) → its texts.
//!
//! The tree is walked here and not by mailparse's `parse_mail`, which refuses the whole mail when one part is odd,
//! builds any number of parts, and takes `--abcdef` for the delimiter of boundary `abc`. Parameters, transfer
//! encodings and charsets are mailparse's.

use std::borrow::Cow;

use memchr::memmem;

use super::comments::without_comments;
use super::decode;
use super::dsn;
use super::headers::{self, Block, Name};
use super::html;
use super::limits::{MAX_CONTENT_TYPE, MAX_DEPTH, MAX_PARTS, MAX_STATUS, MAX_TEXT, MAX_TEXTS, Notes};

/// What the body of a mail holds.
#[derive(Debug, Default)]
pub(super) struct Content {
    /// Plain texts, and HTML turned into text, in their order. All the alternatives of one text are here.
    pub(super) texts: Vec<String>,
    /// There is a `message/rfc822` part. It is not read.
    pub(super) holds_message: bool,
    /// There is a `multipart/report` (RFC 6522).
    pub(super) holds_report: bool,
    pub(super) report: dsn::Parts,
}

pub(super) fn read(mail: &Block<'_>, notes: &mut Notes) -> Content {
    let mut walk = Walk { content: Content::default(), parts: 0, kept: 0, notes };
    walk.part(mail, &Kind::Plain, 0);
    walk.content
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Kind {
    Plain,
    Html,
    Multipart {
        subtype: String,
        boundary: Option<String>,
        report_type: Option<String>,
    },
    Message,
    /// Of a mail that a report is about.
    HeadersOnly,
    DeliveryStatus,
    Other,
}

struct Walk<'n> {
    content: Content,
    /// Parts met.
    parts: usize,
    /// Bytes of text kept.
    kept: usize,
    notes: &'n mut Notes,
}

impl Walk<'_> {
    fn part(&mut self, part: &Block<'_>, default: &Kind, depth: usize) {
        self.parts += 1;
        let (kind, charset) = match part.first(Name::ContentType) {
            Some(field) => self.content_type(&field.value()),
            None => (default.clone(), None),
        };
        match kind {
            Kind::Plain | Kind::Html => self.text(part, &kind, charset.as_deref()),
            Kind::Multipart { subtype, boundary, report_type } => {
                if subtype == "report" {
                    self.content.holds_report = true;
                    self.content.report.other |= report_type.is_some_and(|of| !is_delivery_status(&of));
                }
                self.multipart(part, &subtype, boundary.as_deref(), depth);
            }
            Kind::Message => {
                self.content.holds_message = true;
                self.returned(part);
            }
            Kind::HeadersOnly => self.returned(part),
            Kind::DeliveryStatus => self.delivery_status(part),
            Kind::Other => {}
        }
    }

    /// The mail that a report is about: of it only the recipients in its headers are read.
    fn returned(&mut self, part: &Block<'_>) {
        let report = &mut self.content.report;
        if self.content.holds_report && report.returned_to.is_empty() {
            // What is wrong with that mail is no problem of this one.
            let mut notes = Notes::default();
            let headers = headers::scan(part.body, false, &mut notes);
            report.returned_to = super::recipients(&headers, &mut notes);
        }
    }

    fn delivery_status(&mut self, part: &Block<'_>) {
        if !self.content.holds_report || self.content.report.status.is_some() {
            return;
        }
        let encoding =
            part.first(Name::ContentTransferEncoding).map(headers::Field::value).unwrap_or_default();
        let mut text = decode::text(part.body, &encoding, None, self.notes);
        text.truncate(text.floor_char_boundary(MAX_STATUS));
        self.content.report.status = Some(text);
    }

    /// The kind and the charset that a `Content-Type` value names.
    fn content_type(&mut self, value: &str) -> (Kind, Option<String>) {
        // mailparse's parameters are a map; most reports say no more than this and need none.
        if is_plain_utf8(value) {
            return (Kind::Plain, None);
        }
        let end = value.floor_char_boundary(MAX_CONTENT_TYPE);
        if end < value.len() {
            self.notes.cut(format!(
                "A Content-Type is longer than {MAX_CONTENT_TYPE} bytes; its end was left out."
            ));
        }
        let value = value.get(..end).unwrap_or_default();
        // mailparse would make a comment a part of the value before it.
        let parsed = mailparse::parse_content_type(&without_comments(value).unwrap_or(Cow::Borrowed(value)));
        let kind = match parsed.mimetype.split_once('/') {
            Some(("text", "plain")) => Kind::Plain,
            Some(("text", "html")) => Kind::Html,
            Some(("multipart", subtype)) => Kind::Multipart {
                subtype: subtype.to_owned(),
                boundary: parsed.params.get("boundary").map(|boundary| boundary.trim_end().to_owned()),
                report_type: parsed.params.get("report-type").cloned(),
            },
            Some(("message", "rfc822" | "global")) => Kind::Message,
            // RFC 6522, section 4, and RFC 6533, sections 3 and 5.
            Some(("text", "rfc822-headers") | ("message", "global-headers")) => Kind::HeadersOnly,
            Some(("message", "delivery-status" | "global-delivery-status")) => Kind::DeliveryStatus,
            Some(_) => Kind::Other,
            // RFC 2045, section 5.2: what is no type at all is plain text.
            None => Kind::Plain,
        };
        (kind, parsed.params.get("charset").cloned())
    }

    fn multipart(&mut self, part: &Block<'_>, subtype: &str, boundary: Option<&str>, depth: usize) {
        let delimiter = format!("--{}", boundary.unwrap_or_default());
        let Some(parts) = Parts::of(part.body, &delimiter).filter(|_| delimiter.len() > 2) else {
            if !part.body.trim_ascii().is_empty() {
                self.notes
                    .problem("A multipart has no boundary that occurs in it; it was read as plain text.");
                self.text(part, &Kind::Plain, None);
            }
            return;
        };
        if depth == MAX_DEPTH {
            self.notes.cut(format!(
                "There are multiparts more than {MAX_DEPTH} deep; the inner ones were left out."
            ));
            return;
        }
        // RFC 2046, section 5.1.5.
        let default = if subtype == "digest" { Kind::Message } else { Kind::Plain };
        for bytes in parts {
            if self.parts == MAX_PARTS {
                self.notes.cut(format!(
                    "There are more than {MAX_PARTS} MIME parts; the later ones were left out."
                ));
                return;
            }
            let inner = headers::scan(bytes, false, self.notes);
            self.part(&inner, &default, depth + 1);
        }
    }

    fn text(&mut self, part: &Block<'_>, kind: &Kind, charset: Option<&str>) {
        if part.first(Name::ContentDisposition).is_some_and(|field| is_attachment(&field.value())) {
            return;
        }
        let limit = MAX_TEXT.min(MAX_TEXTS - self.kept);
        if limit == 0 {
            self.notes
                .cut(format!("The texts are longer than {MAX_TEXTS} bytes; the later ones were left out."));
            return;
        }
        let encoding =
            part.first(Name::ContentTransferEncoding).map(headers::Field::value).unwrap_or_default();
        let mut text = decode::text(part.body, &encoding, charset, self.notes);
        if *kind == Kind::Html {
            text = html::to_text(&text);
        }
        if text.trim().is_empty() {
            return;
        }
        if text.len() > limit {
            self.notes.cut(format!("A text part is longer than {limit} bytes; its end was left out."));
            let end = text.floor_char_boundary(limit);
            // Half a line could hold half a name.
            let lines = text.get(..end).and_then(|kept| kept.rfind('\n'));
            text.truncate(lines.map_or(end, |last| last + 1));
        }
        self.kept += text.len();
        self.content.texts.push(text);
    }
}

/// Whether a `Content-Type` value says plain text in UTF-8 or ASCII and nothing that matters beside.
fn is_plain_utf8(value: &str) -> bool {
    let mut pieces = value.split(';').map(str::trim);
    let plain = pieces.next().is_some_and(|mimetype| mimetype.eq_ignore_ascii_case("text/plain"));
    plain
        && pieces.all(|parameter| match parameter.split_once('=') {
            None => parameter.is_empty(),
            Some((name, value)) if name.eq_ignore_ascii_case("charset") => {
                let charset = value.trim_matches('"');
                ["utf-8", "us-ascii"].iter().any(|known| known.eq_ignore_ascii_case(charset))
            }
            Some((name, _)) => ["format", "delsp"].iter().any(|known| known.eq_ignore_ascii_case(name)),
        })
}

fn is_delivery_status(report_type: &str) -> bool {
    ["delivery-status", "global-delivery-status"].iter().any(|of| of.eq_ignore_ascii_case(report_type.trim()))
}

/// RFC 2183, section 2: `inline` is shown with the mail, everything else is not.
fn is_attachment(disposition: &str) -> bool {
    let kind = disposition.split([';', '(']).next().unwrap_or_default().trim();
    kind.eq_ignore_ascii_case("attachment")
}

/// The parts between the delimiter lines of a multipart's body (RFC 2046, section 5.1.1), without what stands before
/// the first and after the last one.
struct Parts<'a> {
    finder: memmem::Finder<'a>,
    /// From the start of the next part on.
    rest: Option<&'a [u8]>,
}

impl<'a> Parts<'a> {
    /// None when there is no delimiter line.
    fn of(body: &'a [u8], delimiter: &'a str) -> Option<Self> {
        let finder = memmem::Finder::new(delimiter);
        let first = next_delimiter(body, &finder)?;
        Some(Self { finder, rest: body.get(first.end..) })
    }
}

impl<'a> Iterator for Parts<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        let bytes = self.rest.take()?;
        let Some(delimiter) = next_delimiter(bytes, &self.finder) else { return Some(bytes) };
        if !delimiter.last {
            self.rest = bytes.get(delimiter.end..);
        }
        // The line end before a delimiter belongs to the delimiter.
        let part = bytes.get(..delimiter.start).unwrap_or_default();
        let part = part.strip_suffix(b"\n").unwrap_or(part);
        Some(part.strip_suffix(b"\r").unwrap_or(part))
    }
}

/// A delimiter line: from its first byte to the start of the next line.
struct Delimiter {
    start: usize,
    end: usize,
    last: bool,
}

fn next_delimiter(bytes: &[u8], finder: &memmem::Finder<'_>) -> Option<Delimiter> {
    finder.find_iter(bytes).find_map(|start| {
        // First of all: to look for the end of a line from each delimiter within it takes time with the square of it.
        if start.checked_sub(1).is_some_and(|before| bytes.get(before) != Some(&b'\n')) {
            return None;
        }
        let (line, end) = headers::line_at(bytes, start);
        let after = line.get(finder.needle().len()..)?;
        let (after, last) = after.strip_prefix(b"--").map_or((after, false), |after| (after, true));
        // Anything but blanks makes it another boundary that begins alike.
        after.trim_ascii().is_empty().then_some(Delimiter { start, end, last })
    })
}

#[cfg(test)]
mod tests;
