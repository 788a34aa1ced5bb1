//! Other people's words (of servers, of mails, of the operating system) made fit to be repeated and compared. Pure.

use std::borrow::Cow;
use std::fmt::Write as _;

use icu_normalizer::ComposingNormalizerBorrowed;

/// The text on one line: without line ends, other control characters, and the marks that turn its direction.
pub(crate) fn one_line(text: &str) -> String {
    text.chars().map(|c| if is_plain(c) { c } else { ' ' }).collect::<String>().trim().to_owned()
}

/// As [`one_line`], cut to its first `chars_max` characters.
pub(crate) fn quoted(text: &str, chars_max: usize) -> String {
    let text = text.trim();
    match text.char_indices().nth(chars_max) {
        Some((end, _)) => format!("{}…", one_line(text.get(..end).unwrap_or_default())),
        None => one_line(text),
    }
}

/// The text with its line breaks, cut to `chars_max` characters at most.
pub(crate) fn cut(text: &str, chars_max: usize) -> String {
    match text.char_indices().nth(chars_max) {
        Some(_) => text.chars().take(chars_max.saturating_sub(1)).chain(['…']).collect(),
        None => text.to_owned(),
    }
}

/// Two hexadecimal digits for each byte, in small letters.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut digits, byte| {
        let _ = write!(digits, "{byte:02x}");
        digits
    })
}

/// The bytes that [`hex`] wrote, in letters of any case.
pub(crate) fn from_hex(digits: &str) -> Option<Vec<u8>> {
    let (pairs, []) = digits.as_bytes().as_chunks::<2>() else { return None };
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    pairs.iter().map(|[high, low]| Some(digit(*high)? << 4 | digit(*low)?)).collect()
}

/// Text as it may stand in an element of HTML or in an attribute in double quotes.
pub(crate) fn escaped(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            '\'' => safe.push_str("&#39;"),
            other => safe.push(other),
        }
    }
    safe
}

/// Whether it neither leaves the line, nor turns it around, nor tells a terminal anything.
pub(crate) fn is_plain(c: char) -> bool {
    // Unicode's line and paragraph separators, and its explicit directional formatting (UAX #9, section 2).
    let formatting = matches!(c, '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    !c.is_control() && !formatting
}

/// In Unicode's form C: macOS and some shells write `é` as an `e` and an accent of its own.
pub(crate) fn composed(text: &str) -> Cow<'_, str> {
    const NFC: ComposingNormalizerBorrowed<'static> = ComposingNormalizerBorrowed::new_nfc();
    if text.is_ascii() { Cow::Borrowed(text) } else { NFC.normalize(text) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_leaves_the_line_or_turns_it_around() {
        assert_eq!(one_line("\r\n a\tb\u{0}c\u{1b}[2J\u{2028}d\u{202e}e \n"), "a b c [2J d e");
        assert_eq!(one_line("Réseau\u{a0}日本 🔔"), "Réseau\u{a0}日本 🔔");
    }

    #[test]
    fn hexadecimal_digits_come_back_as_the_same_bytes() {
        assert_eq!(hex(&[0, 9, 0xab, 0xff]), "0009abff");
        assert_eq!(from_hex("0009ABff"), Some(vec![0, 9, 0xab, 0xff]));
        for wrong in ["0", "0g", "é", "+1", " 1"] {
            assert_eq!(from_hex(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn what_is_too_long_shows_that_it_goes_on() {
        assert_eq!(quoted("ééé", 3), "ééé");
        assert_eq!(quoted("éééé", 3), "ééé…");
        assert_eq!(quoted(&format!("\n\n{}", "x".repeat(1 << 20)), 3), "xxx…");
        assert_eq!(quoted("\r\n", 3), "");
        assert_eq!((cut("é\né", 3), cut("é\néé", 3)), ("é\né".to_owned(), "é\n…".to_owned()));
    }
}
