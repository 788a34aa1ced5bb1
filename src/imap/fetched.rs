//! The answer that nearly all of a mailbox consists of, read directly: that to our own FETCH.
//!
//! imap-proto tries some twenty attributes one after the other wherever one begins, which costs a third of what the mail
//! in it does. Whatever looks different in the least is left to it.

use std::borrow::Cow;

use async_imap::imap_proto::{AttributeValue, Response};
use memchr::memchr;

/// Reads `answer` if it is one whole FETCH answer of UID, INTERNALDATE as a quoted string, and BODY[] as a literal, in
/// whatever order, written as RFC 3501 (section 9) writes them.
pub(super) fn fetched(answer: &[u8]) -> Option<Response<'_>> {
    let (number, rest) = number(answer.strip_prefix(b"* ")?)?;
    let mut rest = rest.strip_prefix(b" FETCH (")?;
    let mut attributes = Vec::with_capacity(3);
    loop {
        let (attribute, behind) = attribute(rest)?;
        attributes.push(attribute);
        match behind.split_first()? {
            (b' ', behind) => rest = behind,
            (b')', b"\r\n") => return Some(Response::Fetch(number, attributes)),
            _ => return None,
        }
    }
}

fn attribute(text: &[u8]) -> Option<(AttributeValue<'_>, &[u8])> {
    if let Some(text) = text.strip_prefix(b"UID ") {
        let (uid, rest) = number(text)?;
        return Some((AttributeValue::Uid(uid), rest));
    }
    if let Some(text) = text.strip_prefix(b"INTERNALDATE \"") {
        let (date, rest) = text.split_at_checked(memchr(b'"', text)?)?;
        let plain = date.iter().all(|byte| matches!(byte, b' '..=b'~') && *byte != b'\\');
        let date = std::str::from_utf8(date).ok().filter(|_| plain)?;
        return Some((AttributeValue::InternalDate(Cow::Borrowed(date)), rest.get(1..)?));
    }
    let text = text.strip_prefix(b"BODY[]")?;
    let (index, text) = match text.strip_prefix(b"<") {
        Some(origin) => {
            let (origin, rest) = number(origin)?;
            (Some(origin), rest.strip_prefix(b"> ")?)
        }
        None => (None, text.strip_prefix(b" ")?),
    };
    let (length, text) = number(text.strip_prefix(b"{")?)?;
    let text = text.strip_prefix(b"}\r\n")?;
    let (literal, rest) = text.split_at_checked(usize::try_from(length).ok()?)?;
    let data = Some(Cow::Borrowed(literal));
    Some((AttributeValue::BodySection { section: None, index, data }, rest))
}

fn number(text: &[u8]) -> Option<(u32, &[u8])> {
    let length = text.iter().position(|byte| !byte.is_ascii_digit())?;
    let (digits, rest) = text.split_at_checked(length)?;
    Some((std::str::from_utf8(digits).ok()?.parse().ok()?, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    const USUAL: &[u8] =
        b"* 12 FETCH (UID 34 INTERNALDATE \"20-Nov-2026 03:00:00 +0000\" BODY[]<0> {8}\r\nTo: \0)\r\n)\r\n";

    #[test]
    fn what_dovecot_and_exchange_send_is_read() {
        for answer in [
            USUAL,
            b"* 1 FETCH (UID 2 INTERNALDATE \" 2-Nov-2026 03:00:00 +0000\" BODY[] {0}\r\n)\r\n",
            b"* 1 FETCH (BODY[]<65536> {2}\r\nab UID 4294967295)\r\n",
            b"* 1 FETCH (UID 7)\r\n",
        ] {
            let read = fetched(answer).unwrap_or_else(|| panic!("{}", String::from_utf8_lossy(answer)));
            let (rest, expected) = Response::parse(answer).unwrap();
            assert_eq!((read, rest), (expected, &b""[..]));
        }
    }

    #[test]
    fn everything_else_is_left_to_the_parser() {
        for answer in [
            &b"* 1 FETCH (FLAGS (\\Seen) UID 2)\r\n"[..],
            b"* 1 FETCH (UID 2 INTERNALDATE NIL)\r\n",
            b"* 1 FETCH (UID 2 BODY[] NIL)\r\n",
            b"* 1 FETCH (UID 2 BODY[] \"quoted\")\r\n",
            b"* 1 FETCH (UID 2 BODY[TEXT] {0}\r\n)\r\n",
            b"* 1 FETCH (UID 2 BODY[] {3}\r\nab)\r\n",
            b"* 1 FETCH (UID 2 INTERNALDATE \"a\\\"b\")\r\n",
            b"* 1 FETCH (UID 99999999999)\r\n",
            b"* 1 FETCH (UID 2) \r\n",
            b"* 1 FETCH (UID 2)\n",
            b"* 1 FETCH ()\r\n",
            b"* 1 EXISTS\r\n",
            b"W1 OK done\r\n",
            b"",
        ] {
            assert_eq!(fetched(answer), None, "{}", String::from_utf8_lossy(answer));
        }
    }

    #[test]
    fn what_it_reads_the_parser_reads_alike() {
        let mut rng = fastrand::Rng::with_seed(7);
        let mut read = 0;
        for _ in 0..200_000 {
            let mut answer = USUAL.to_vec();
            for _ in 0..rng.usize(1..3) {
                let at = rng.usize(..answer.len());
                match rng.u8(..3) {
                    0 => answer[at] = *rng.choice(b" ()[]{}<>\"\\\r\n09aAU").unwrap(),
                    1 => drop(answer.remove(at)),
                    _ => answer.insert(at, *rng.choice(b" ()[]{}<>\"\\\r\n09aAU").unwrap()),
                }
            }
            if let Some(response) = fetched(&answer) {
                let shown = String::from_utf8_lossy(&answer);
                let (rest, expected) = Response::parse(&answer).unwrap_or_else(|_| panic!("{shown:?}"));
                assert_eq!((response, rest), (expected, &b""[..]), "{shown:?}");
                read += 1;
            }
        }
        assert!(read > 10_000, "most changes leave nothing to compare: {read}");
    }
}
