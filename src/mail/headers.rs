//! The header block of a mail or of a MIME part: found in one pass, and only the fields the rules need are kept.
//!
//! mailparse would build a list of all of them first: most mails are nine tenths trace and antispam headers, and a
//! hostile one holds hundreds of thousands.

use std::borrow::Cow;

use charset::{Charset, decode_latin1};
use memchr::{memchr, memchr2, memchr2_iter, memmem};

use super::limits::{MAX_FIELD, MAX_HEADER_LINE, MAX_HEADERS, Notes};

/// A header field that is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Name {
    AuthenticationResults,
    AutoSubmitted,
    Canary,
    Cc,
    ContentDisposition,
    ContentTransferEncoding,
    ContentType,
    Date,
    DeliveredTo,
    EnvelopeTo,
    From,
    GeneratedBy,
    Incident,
    MessageId,
    Precedence,
    Received,
    ResentFrom,
    ReturnPath,
    Run,
    Signature,
    Subject,
    To,
    XAutoreply,
    XOriginalTo,
}

const KEPT: [(&str, Name); 24] = [
    ("Received", Name::Received),
    ("To", Name::To),
    ("Cc", Name::Cc),
    ("From", Name::From),
    ("Date", Name::Date),
    ("Subject", Name::Subject),
    ("Message-ID", Name::MessageId),
    ("Delivered-To", Name::DeliveredTo),
    ("X-Original-To", Name::XOriginalTo),
    ("Envelope-To", Name::EnvelopeTo),
    ("Return-Path", Name::ReturnPath),
    ("Resent-From", Name::ResentFrom),
    ("Auto-Submitted", Name::AutoSubmitted),
    ("X-MS-Exchange-Generated-Message-Source", Name::GeneratedBy),
    ("Precedence", Name::Precedence),
    ("X-Autoreply", Name::XAutoreply),
    ("Authentication-Results", Name::AuthenticationResults),
    ("X-Bresse-Run", Name::Run),
    ("X-Bresse-Signature", Name::Signature),
    ("X-Bresse-Incident", Name::Incident),
    ("X-Bresse-Canary", Name::Canary),
    ("Content-Type", Name::ContentType),
    ("Content-Transfer-Encoding", Name::ContentTransferEncoding),
    ("Content-Disposition", Name::ContentDisposition),
];

/// The bit of each length of a kept name is set.
const LENGTHS_KEPT: u64 = {
    let (mut lengths, mut kept) = (0, KEPT.as_slice());
    while let [(name, _), rest @ ..] = kept {
        lengths |= 1 << name.len();
        kept = rest;
    }
    lengths
};

/// Longest header name that is looked for; longer ones are legal and of no interest.
const MAX_NAME: usize = 128;

/// One kept field, still folded and encoded.
#[derive(Debug, Clone, Copy)]
pub(super) struct Field<'a> {
    name: Name,
    /// From the first byte of the name on; without the last line end.
    raw: &'a [u8],
    value: &'a [u8],
}

impl<'a> Field<'a> {
    /// The value in one line. Encoded words stay encoded: in addresses and parameters they may not stand for syntax
    /// (RFC 2047, section 5).
    pub(super) fn value(&self) -> Cow<'a, str> {
        let value = self.value.trim_ascii();
        if memchr2(b'\r', b'\n', value).is_none() {
            return decode(value);
        }
        let mut unfolded = Vec::with_capacity(value.len());
        let mut copied = 0;
        for at in memchr2_iter(b'\r', b'\n', value) {
            unfolded.extend_from_slice(value.get(copied..at).unwrap_or_default());
            copied = at + 1;
        }
        unfolded.extend_from_slice(value.get(copied..).unwrap_or_default());
        Cow::Owned(
            String::from_utf8(unfolded).unwrap_or_else(|error| decode_latin1(error.as_bytes()).into_owned()),
        )
    }

    /// The value as a person reads it: unfolded, encoded words decoded, without control characters.
    pub(super) fn text(&self, notes: &mut Notes) -> String {
        let value = self.value.trim_ascii();
        let plain = memchr2(b'\r', b'\n', value).is_none() && memmem::find(value, b"=?").is_none();
        let text = if plain { decode(value).into_owned() } else { self.decode_words(notes) };
        let is_printable = match text.is_ascii() {
            true => !text.bytes().any(|byte| byte.is_ascii_control()),
            false => !text.contains(char::is_control),
        };
        if is_printable {
            return text;
        }
        let printable: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
        printable.trim().to_owned()
    }

    fn decode_words(&self, notes: &mut Notes) -> String {
        let folded: Vec<u8> = self.raw.iter().copied().filter(|&byte| byte != b'\r').collect();
        let (known, replaced) = replace_unknown_charsets(&folded);
        if replaced {
            notes.problem(
                "The Subject names a charset that is not known (RFC 2047, section 2); it was read as UTF-8.",
            );
        }
        let text = match mailparse::parse_header(&known) {
            Ok((header, _)) => header.get_value().trim().to_owned(),
            Err(_) => self.value().into_owned(),
        };
        if text.split_once("=?").is_some_and(|(_, rest)| rest.contains("?=")) {
            notes.problem(
                "The Subject holds an encoded word that could not be decoded; it was left as it stands.",
            );
        }
        text
    }
}

/// RFC 6532 makes headers UTF-8; before it, raw bytes beyond ASCII were Latin-1 in practice.
fn decode(value: &[u8]) -> Cow<'_, str> {
    std::str::from_utf8(value).map_or_else(|_| decode_latin1(value), Cow::Borrowed)
}

/// mailparse leaves an encoded word as it stands when it does not know the charset. That includes a known charset
/// with a language behind it, `=?utf-8*fr?Q?…?=` (RFC 2231, section 5), which is no problem.
fn replace_unknown_charsets(folded: &[u8]) -> (Cow<'_, [u8]>, bool) {
    let mut out = Vec::new();
    let mut copied = 0;
    let mut unknown = false;
    for start in memmem::find_iter(folded, b"=?").map(|at| at + 2) {
        let Some(label) = charset_of_word(folded.get(start..).unwrap_or_default()) else { continue };
        let bare = label.split(|&byte| byte == b'*').next().unwrap_or_default();
        let known = Charset::for_label(bare).is_some();
        if known && bare == label {
            continue;
        }
        unknown |= !known;
        out.extend_from_slice(folded.get(copied..start).unwrap_or_default());
        out.extend_from_slice(if known { bare } else { b"utf-8" });
        copied = start + label.len();
    }
    if copied == 0 {
        return (Cow::Borrowed(folded), false);
    }
    out.extend_from_slice(folded.get(copied..).unwrap_or_default());
    (Cow::Owned(out), unknown)
}

/// The charset of the encoded word that goes on with `word` after its `=?`; None when it is none.
fn charset_of_word(word: &[u8]) -> Option<&[u8]> {
    let length = memchr(b'?', word.get(..=MAX_CHARSET).unwrap_or(word))?;
    let (label, rest) = word.split_at_checked(length)?;
    // The end of one word and the start of the next look alike: `…QQ=?= =?utf-8?…`.
    let is_label = label.iter().all(|byte| byte.is_ascii_alphanumeric() || b"-_.:+*".contains(byte));
    (is_label && !label.is_empty() && matches!(rest, [b'?', b'b' | b'B' | b'q' | b'Q', b'?', ..]))
        .then_some(label)
}

/// RFC 2978, section 2.3: a charset's name.
const MAX_CHARSET: usize = 40;

/// A header block and what follows it.
#[derive(Debug, Default)]
pub(super) struct Block<'a> {
    fields: Vec<Field<'a>>,
    pub(super) body: &'a [u8],
}

impl<'a> Block<'a> {
    pub(super) fn first(&self, name: Name) -> Option<&Field<'a>> {
        self.all(name).next()
    }

    /// From the top of the mail downwards.
    pub(super) fn all(&self, name: Name) -> impl Iterator<Item = &Field<'a>> {
        self.fields.iter().filter(move |field| field.name == name)
    }
}

/// Reads the header block at the start of `bytes`, the lines of which end in LF or CRLF. When `truncated`, a block
/// without an end has lost a part of its last field, which is then left out: half an address is another address.
pub(super) fn scan<'a>(bytes: &'a [u8], truncated: bool, notes: &mut Notes) -> Block<'a> {
    let mut scanner = Scanner { bytes, fields: Vec::with_capacity(16), open: None, count: 0 };
    let mut at = 0;
    while at < bytes.len() {
        let (line, next) = line_at(bytes, at);
        if line.is_empty() {
            scanner.close();
            return Block { fields: scanner.fields, body: bytes.get(next..).unwrap_or_default() };
        }
        if !scanner.take(line, at, notes) {
            scanner.close();
            notes.problem(
                "A line that is no header follows the headers without a blank line between; the body was read from it on.",
            );
            return Block { fields: scanner.fields, body: bytes.get(at..).unwrap_or_default() };
        }
        at = next;
    }
    if !truncated {
        scanner.close();
    }
    Block { fields: scanner.fields, body: &[] }
}

/// The line at `start` without its end, and where the next one starts.
pub(super) fn line_at(bytes: &[u8], start: usize) -> (&[u8], usize) {
    let rest = bytes.get(start..).unwrap_or_default();
    let length = memchr(b'\n', rest);
    let line = rest.get(..length.unwrap_or(rest.len())).unwrap_or_default();
    (line.strip_suffix(b"\r").unwrap_or(line), length.map_or(bytes.len(), |length| start + length + 1))
}

struct Scanner<'a> {
    bytes: &'a [u8],
    fields: Vec<Field<'a>>,
    open: Option<Open>,
    count: usize,
}

/// The field whose lines are being read.
struct Open {
    /// None: of no interest, or given up.
    name: Option<Name>,
    start: usize,
    colon: usize,
    end: usize,
    /// Without line ends.
    size: usize,
    /// A limit took a part of it, and what is left would mislead.
    spoilt: bool,
}

impl<'a> Scanner<'a> {
    /// Takes one line that starts at `at`; false when it belongs to no header.
    fn take(&mut self, line: &'a [u8], at: usize, notes: &mut Notes) -> bool {
        if let Some(open) = &mut self.open
            && matches!(line.first(), Some(b' ' | b'\t'))
        {
            open.fold(line, at, notes);
            return true;
        }
        // mbox files start each mail with such a line, and some servers let it through.
        if at == 0 && (line.starts_with(b"From ") || line.starts_with(b">From ")) {
            return true;
        }
        let Some((colon, name)) = split_name(line) else { return false };
        self.close();
        self.count += 1;
        let mut kept = Name::of(name);
        let mut spoilt = false;
        if self.count > MAX_HEADERS {
            if kept.take().is_some() {
                notes
                    .cut(format!("There are more than {MAX_HEADERS} headers; the later ones were left out."));
            }
        } else if line.len() > MAX_HEADER_LINE {
            refuse_long_line(kept, notes);
            kept = kept.filter(|name| name.is_proof());
            spoilt = true;
        }
        self.open =
            Some(Open { name: kept, start: at, colon, end: at + line.len(), size: line.len(), spoilt });
        true
    }

    fn close(&mut self) {
        let Some(Open { name: Some(name), start, colon, end, spoilt, .. }) = self.open.take() else { return };
        let raw = self.bytes.get(start..end).unwrap_or_default();
        let value = raw.get(colon + 1..).filter(|_| !spoilt).unwrap_or_default();
        self.fields.push(Field { name, raw, value });
    }
}

impl Open {
    fn fold(&mut self, line: &[u8], at: usize, notes: &mut Notes) {
        if line.len() > MAX_HEADER_LINE {
            refuse_long_line(self.name, notes);
            self.name = self.name.filter(|name| name.is_proof());
            self.spoilt = true;
        }
        let Some(name) = self.name.filter(|_| !self.spoilt) else { return };
        let within = self.size <= MAX_FIELD;
        self.size += line.len();
        if self.size <= MAX_FIELD {
            self.end = at + line.len();
        } else if within {
            self.spoilt = name.is_proof();
            notes.cut(format!("The header {name} is longer than {MAX_FIELD} bytes; its end was left out."));
        }
    }
}

fn refuse_long_line(name: Option<Name>, notes: &mut Notes) {
    match name {
        Some(name) => notes.cut(format!(
            "The header {name} has a line longer than {MAX_HEADER_LINE} bytes (RFC 5322 allows 998); the header was left out."
        )),
        None => notes.problem(format!("A header that is not needed has a line longer than {MAX_HEADER_LINE} bytes.")),
    }
}

/// Where the colon is, and the name before it; None when the line does not start a header.
fn split_name(line: &[u8]) -> Option<(usize, &[u8])> {
    let colon = memchr(b':', line.get(..MAX_NAME).unwrap_or(line))?;
    // RFC 5322, section 4.5: old mails may have blanks before the colon.
    let name = line.get(..colon)?.trim_ascii_end();
    // To the end even of a name that is none: without a way out the compiler takes many bytes at a time.
    let graphic = name.iter().fold(true, |graphic, byte| graphic & byte.is_ascii_graphic());
    (!name.is_empty() && graphic).then_some((colon, name))
}

impl Name {
    /// Of such a header the topmost one counts, or there may be only one. One that cannot be read is therefore kept, as an
    /// empty one: otherwise a forged one below it would take its place.
    fn is_proof(self) -> bool {
        matches!(self, Self::AuthenticationResults | Self::Run | Self::Signature)
    }

    /// Header names have no letter case (RFC 5322, section 1.2.2).
    fn of(name: &[u8]) -> Option<Self> {
        // Most headers have other lengths.
        if LENGTHS_KEPT.checked_shr(u32::try_from(name.len()).ok()?)? & 1 == 0 {
            return None;
        }
        KEPT.iter()
            .find(|(written, _)| written.as_bytes().eq_ignore_ascii_case(name))
            .map(|&(_, found)| found)
    }
}

impl std::fmt::Display for Name {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(KEPT.iter().find(|(_, name)| name == self).map_or("", |(written, _)| written))
    }
}

#[cfg(test)]
mod tests;
