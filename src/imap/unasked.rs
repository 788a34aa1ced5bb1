//! Which answers of a server never reach the parser, and which of them are read by other means.
//!
//! A client must be prepared for any answer at any time (RFC 3501, section 2.2.2), but imap-proto refuses every keyword it
//! does not know, NAMESPACE and ESEARCH among them: one line too many in every session would blind the watchdog for good. Nothing it asks for is answered by such a line, so they are left out.

/// The untagged answers that tell the reader something.
const UNDERSTOOD: [&str; 7] = ["FETCH", "CAPABILITY", "FLAGS", "LIST", "EXISTS", "RECENT", "EXPUNGE"];
/// Words for people follow these, and no literal (RFC 3501, section 7.1).
const STATUSES: [&str; 5] = ["OK", "NO", "BAD", "BYE", "PREAUTH"];
/// What [`quota`](super::quota) asks for. Kept aside as it came: imap-proto ends the connection at every QUOTA and
/// STATUS that it does not understand, and how full a mailbox is must not decide whether it can be read.
const SET_ASIDE: [&str; 2] = ["QUOTA", "STATUS"];
/// No keyword of any RFC is half as long.
const KEYWORD_BYTES_MAX: usize = 32;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fate {
    Passing,
    Dropping,
    Aside,
}

/// What becomes of the answer that begins so; None while that cannot be told. Always told at a line's end.
pub(super) fn fate_of(head: &[u8]) -> Option<Fate> {
    let rest = match head {
        [] | [b'*'] => return None,
        [b'*', b' ', rest @ ..] => rest,
        _ => return Some(Fate::Passing),
    };
    let digits = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let word = match rest.get(digits..) {
        Some([b' ', word @ ..]) if digits > 0 => word,
        _ => rest,
    };
    let length =
        word.iter().take_while(|byte| byte.is_ascii_alphanumeric() || b"-_.+".contains(byte)).count();
    match word.get(length) {
        None if rest.len() <= 2 * KEYWORD_BYTES_MAX => None,
        Some(b' ' | b'\r' | b'\n') if length > 0 => Some(fate_of_keyword(word.get(..length)?)),
        // No IMAP at all; the parser's refusal says it best.
        _ => Some(Fate::Passing),
    }
}

fn fate_of_keyword(keyword: &[u8]) -> Fate {
    if is_one_of(keyword, &UNDERSTOOD) || is_one_of(keyword, &STATUSES) {
        Fate::Passing
    } else if is_one_of(keyword, &SET_ASIDE) {
        Fate::Aside
    } else {
        Fate::Dropping
    }
}

fn is_one_of(keyword: &[u8], known: &[&str]) -> bool {
    known.iter().any(|known| keyword.eq_ignore_ascii_case(known.as_bytes()))
}

/// Whether the answer that begins so, with its first line at least, says how something ended or asks us to go on.
pub(super) fn is_status(head: &[u8]) -> bool {
    let Some(untagged) = head.strip_prefix(b"* ") else { return true };
    let length = untagged.iter().take_while(|byte| byte.is_ascii_alphabetic()).count();
    is_one_of(untagged.get(..length).unwrap_or_default(), &STATUSES)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_untagged_answers_with_a_keyword_that_means_nothing_are_dropped() {
        let cases: &[(&str, Option<Fate>)] = &[
            ("", None),
            ("*", None),
            ("* 12", None),
            ("* 12 FET", None),
            ("* FETCHED", None),
            ("* 12 FETCH ", Some(Fate::Passing)),
            ("* ok ", Some(Fate::Passing)),
            ("* BYE\r", Some(Fate::Passing)),
            ("* LIST ", Some(Fate::Passing)),
            ("W7 OK ", Some(Fate::Passing)),
            ("+", Some(Fate::Passing)),
            ("* NAMESPACE ", Some(Fate::Dropping)),
            ("* quota ", Some(Fate::Aside)),
            ("* STATUS ", Some(Fate::Aside)),
            ("* QUOTAROOT ", Some(Fate::Dropping)),
            ("* 12 XFETCH ", Some(Fate::Dropping)),
            ("* ESEARCH\n", Some(Fate::Dropping)),
            ("* X-A.B_C+1 ", Some(Fate::Dropping)),
            ("* 12\r", Some(Fate::Dropping)),
            ("*  OK ", Some(Fate::Passing)),
            ("* (", Some(Fate::Passing)),
            ("* \u{fffd}", Some(Fate::Passing)),
            ("\r", Some(Fate::Passing)),
        ];
        for (head, fate) in cases {
            assert_eq!(fate_of(head.as_bytes()), *fate, "{head:?}");
        }
    }

    #[test]
    fn a_keyword_without_end_is_not_waited_for() {
        let endless = format!("* {}", "A".repeat(100));
        assert_eq!(fate_of(endless.as_bytes()), Some(Fate::Passing));
        assert_eq!(fate_of(format!("* {}", "1".repeat(100)).as_bytes()), Some(Fate::Passing));
    }
}
