//! The bytes of a text part → text: transfer encoding (RFC 2045, section 6), then charset. Never fails: what is
//! broken is read as far as it makes sense, and said.

use std::borrow::Cow;

use charset::{Charset, UTF_7};
use mailparse::ParsedContentType;
use mailparse::body::Body;
use memchr::{memchr, memchr_iter, memchr2_iter};

use super::limits::{MAX_TEXT, Notes};

/// The text of a part. Lines end in LF; NULs and a byte order mark are left out.
pub(super) fn text(body: &[u8], encoding: &str, charset: Option<&str>, notes: &mut Notes) -> String {
    // Some programs put a semicolon or a comment behind it.
    let encoding = encoding.trim().split([';', '(', ' ', '\t']).next().unwrap_or_default();
    let bytes = transfer(body, encoding, notes);
    clean(characters(&bytes, charset, notes))
}

fn transfer<'a>(body: &'a [u8], encoding: &str, notes: &mut Notes) -> Cow<'a, [u8]> {
    if encoding.eq_ignore_ascii_case("base64") {
        return base64(body, notes);
    }
    if encoding.eq_ignore_ascii_case("quoted-printable") {
        return quoted_printable(body, notes);
    }
    if !["", "7bit", "8bit", "binary"].iter().any(|known| known.eq_ignore_ascii_case(encoding)) {
        notes.problem(
            "A text part has a Content-Transfer-Encoding that is not known; it was read as it stands.",
        );
    }
    Cow::Borrowed(body)
}

fn undo(encoding: &str, body: &[u8]) -> Option<Vec<u8>> {
    let content_type = ParsedContentType::default();
    match Body::new(body, &content_type, &Some(encoding.to_owned())) {
        Body::Base64(encoded) | Body::QuotedPrintable(encoded) => encoded.get_decoded().ok(),
        Body::SevenBit(_) | Body::EightBit(_) | Body::Binary(_) => None,
    }
}

/// RFC 2045, section 6.8, lets a decoder ignore what is no base64; but behind a base64 text that is mostly the footer of a
/// mailing list or a virus scanner, in plain text. A mail that was cut off ends within a group of four.
fn base64<'a>(body: &'a [u8], notes: &mut Notes) -> Cow<'a, [u8]> {
    if let Some(decoded) = undo("base64", body) {
        return Cow::Owned(decoded);
    }
    notes.problem("A base64 text part is broken; what could be decoded was, the rest was read as it stands.");
    let (encoded, rest) = body.split_at_checked(base64_lines(body)).unwrap_or((body, &[]));
    let mut symbols: Vec<u8> = encoded.iter().copied().filter(|&byte| is_base64(byte)).collect();
    symbols.truncate(symbols.len() / 4 * 4);
    let Some(mut decoded) = undo("base64", &symbols) else { return Cow::Borrowed(body) };
    decoded.push(b'\n');
    decoded.extend_from_slice(rest);
    Cow::Owned(decoded)
}

/// How many bytes at the start of `body` are whole lines of base64.
fn base64_lines(body: &[u8]) -> usize {
    let lines = body.split_inclusive(|&byte| byte == b'\n');
    lines.take_while(|line| is_base64_line(line)).map(<[u8]>::len).sum()
}

/// Foreign characters before and behind the base64 are ignored (sendmail breaks a line of 990 characters by `!`, a line
/// end and a blank), and within it when they are so few that it cannot be text; `DRYRUN.OK` and `東京.OK` are text.
fn is_base64_line(line: &[u8]) -> bool {
    /// A usual line of base64 has 76.
    const SYMBOLS_PER_FOREIGN: usize = 48;
    let first = line.iter().position(|&byte| is_base64(byte));
    let last = line.iter().rposition(|&byte| is_base64(byte));
    let (Some(first), Some(last)) = (first, last) else { return true };
    let encoded = line.get(first..=last).unwrap_or_default();
    let symbols = encoded.iter().filter(|&&byte| is_base64(byte)).count();
    line.is_ascii() && (encoded.len() - symbols) * SYMBOLS_PER_FOREIGN <= symbols
}

fn is_base64(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'=')
}

fn quoted_printable<'a>(body: &'a [u8], notes: &mut Notes) -> Cow<'a, [u8]> {
    if has_broken_escape(body) {
        notes.problem(
            "A quoted-printable text part holds a '=' that encodes nothing; it was read as it stands.",
        );
    }
    let decoded = if body.is_ascii() {
        undo("quoted-printable", body)
    } else {
        // mailparse's decoder drops raw bytes beyond ASCII: "Réseau" would become "Rseau".
        notes.problem(
            "A quoted-printable text part holds 8-bit bytes (RFC 2045 forbids them); they were kept.",
        );
        undo("quoted-printable", &encode_high_bytes(body))
    };
    decoded.map_or(Cow::Borrowed(body), Cow::Owned)
}

fn encode_high_bytes(body: &[u8]) -> Vec<u8> {
    let mut encoded = Vec::with_capacity(body.len() * 3);
    for &byte in body {
        if byte.is_ascii() {
            encoded.push(byte);
        } else {
            encoded.extend_from_slice(format!("={byte:02X}").as_bytes());
        }
    }
    encoded
}

fn has_broken_escape(body: &[u8]) -> bool {
    memchr_iter(b'=', body).any(|at| {
        let rest = body.get(at + 1..).unwrap_or_default();
        match rest {
            [high, low, ..] if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() => false,
            // A soft line break, or the end of the part; blanks may have been added on the way.
            [] | [b' ' | b'\t' | b'\r' | b'\n', ..] => false,
            _ => true,
        }
    })
}

fn characters<'a>(bytes: &'a [u8], label: Option<&str>, notes: &mut Notes) -> Cow<'a, str> {
    let label = label.map(str::trim).unwrap_or_default();
    if let Some(utf16) = utf16(bytes, label) {
        return utf16.decode(bytes).0;
    }
    let declared = match Charset::for_label(label.as_bytes()) {
        Some(declared) => Some(declared),
        None if label.is_empty() || label.eq_ignore_ascii_case("unknown-8bit") => None,
        None => {
            notes.problem(
                "A text part names a charset that is not known; it was read as UTF-8 or, failing that, Windows-1252.",
            );
            None
        }
    };
    // `us-ascii` is Windows-1252 to browsers, and the one that checkers name when they mean none.
    match declared {
        Some(declared) if declared == UTF_7 => utf7(bytes, notes),
        // A text that holds a blank or a line end has zero bytes in UTF-16: this one was recoded and kept its label.
        Some(declared)
            if declared.name().starts_with("UTF-16")
                && memchr(0, bytes).is_none()
                && std::str::from_utf8(bytes).is_ok() =>
        {
            notes.problem("A text part says that it is UTF-16 and is not; it was read as UTF-8.");
            utf8_or_windows_1252(bytes, notes)
        }
        Some(declared) if !is_utf8_or_ascii(label) => declared.decode(bytes).0,
        _ => utf8_or_windows_1252(bytes, notes),
    }
}

/// The decoder clears all of its room for output at each shift, which takes time with the square of the size.
fn utf7<'a>(bytes: &'a [u8], notes: &mut Notes) -> Cow<'a, str> {
    if bytes.len() > MAX_TEXT {
        notes.cut(format!("A UTF-7 text part is longer than {MAX_TEXT} bytes; its end was left out."));
    }
    UTF_7.decode(bytes.get(..MAX_TEXT).unwrap_or(bytes)).0
}

fn is_utf8_or_ascii(label: &str) -> bool {
    ["utf-8", "utf8", "us-ascii", "ascii"].iter().any(|known| known.eq_ignore_ascii_case(label))
}

fn utf8_or_windows_1252<'a>(bytes: &'a [u8], notes: &mut Notes) -> Cow<'a, str> {
    let error = match std::str::from_utf8(bytes) {
        Ok(text) => return Cow::Borrowed(text),
        Err(error) => error,
    };
    if error.error_len().is_none() {
        // The mail was cut off within the last character.
        return String::from_utf8_lossy(bytes.get(..error.valid_up_to()).unwrap_or_default());
    }
    notes.problem("A text part is not the UTF-8 or ASCII it should be; it was read as Windows-1252.");
    charset::decode_latin1(bytes)
}

/// UTF-16 by its name or byte order mark, or by its zero bytes: some programs write it and name another charset.
fn utf16(bytes: &[u8], label: &str) -> Option<Charset> {
    let by_mark =
        Charset::for_bom(bytes).map(|(charset, _)| charset).filter(|found| !found.is_ascii_compatible());
    by_mark.or_else(|| {
        // Without a mark RFC 2781 says big endian and Windows writes little endian: only the zero bytes tell.
        let ambiguous = !label.eq_ignore_ascii_case("utf-16le") && !label.eq_ignore_ascii_case("utf-16be");
        let order = if ambiguous { utf16_by_zeros(bytes)? } else { label.as_bytes() };
        Charset::for_label(order)
    })
}

fn utf16_by_zeros(bytes: &[u8]) -> Option<&'static [u8]> {
    /// Enough to tell, and little enough to look at in every mail.
    const SAMPLE: usize = 512;
    let sample = bytes.get(..SAMPLE).unwrap_or(bytes);
    memchr(0, sample)?;
    let pairs = sample.len() / 2;
    let zeros = |offset: usize| sample.iter().skip(offset).step_by(2).filter(|&&byte| byte == 0).count();
    let (high_first, low_first) = (zeros(0), zeros(1));
    // Text in Latin letters has a zero in nearly every pair, and on one side only.
    match (high_first * 2 > pairs, low_first * 2 > pairs) {
        (true, false) => Some(b"utf-16be"),
        (false, true) => Some(b"utf-16le"),
        _ => None,
    }
}

/// Line ends as LF, without NULs and byte order mark.
fn clean(text: Cow<'_, str>) -> String {
    let bare = text.trim_start_matches('\u{feff}');
    let mut odd = memchr2_iter(b'\r', 0, bare.as_bytes()).peekable();
    if odd.peek().is_none() && bare.len() == text.len() {
        return text.into_owned();
    }
    let mut lines = String::with_capacity(bare.len());
    let mut copied = 0;
    for at in odd {
        lines.push_str(bare.get(copied..at).unwrap_or_default());
        copied = at + 1;
        if let [b'\r', after @ ..] = bare.as_bytes().get(at..).unwrap_or_default()
            && after.first() != Some(&b'\n')
        {
            lines.push('\n');
        }
    }
    lines.push_str(bare.get(copied..).unwrap_or_default());
    lines
}

#[cfg(test)]
mod tests;
