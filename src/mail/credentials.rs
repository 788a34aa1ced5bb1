//! What a mail brings along to show who wrote it. Nothing of it is believed here.

use super::headers::{Block, Name};

/// Nothing of it is checked: whoever writes a mail can write all of this.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Credentials {
    /// The address of `From:`, when it names exactly one. RFC 5322, section 3.6.2, allows several, and then it is
    /// uncertain which one a server has checked.
    pub author: Option<String>,
    /// The topmost `Authentication-Results`, in one line; empty when it was too long to be read. Only a server that a mail
    /// passes can put one on top, so those below it may be anybody's (RFC 8601, section 5).
    pub results: Option<String>,
    pub stamp: Stamp,
}

/// `X-Bresse-Run` and `X-Bresse-Signature`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Stamp {
    #[default]
    Absent,
    /// One of the two is missing, twice there, or not as it must be written.
    Unreadable,
    Present {
        /// Seconds since 1970.
        run: i64,
        /// HMAC-SHA-256.
        tag: [u8; 32],
    },
}

/// 9999-12-31T23:59:59Z, the last second that RFC 3339 can write.
const RUN_MAX: i64 = 253_402_300_799;

/// `authors` are the addresses of the first `From:`.
pub(super) fn read(block: &Block<'_>, authors: &[String]) -> Credentials {
    let author = match authors {
        [only] if block.all(Name::From).nth(1).is_none() => Some(only.clone()),
        _ => None,
    };
    let results = block.first(Name::AuthenticationResults).map(|field| field.value().into_owned());
    Credentials { author, results, stamp: stamp(block) }
}

fn stamp(block: &Block<'_>) -> Stamp {
    let both = [Name::Run, Name::Signature].map(|name| block.all(name).collect::<Vec<_>>());
    match both.each_ref().map(Vec::as_slice) {
        [[], []] => Stamp::Absent,
        [[number], [signature]] => {
            match run(&without_blanks(&number.value())).zip(tag(&without_blanks(&signature.value()))) {
                Some((run, tag)) => Stamp::Present { run, tag },
                None => Stamp::Unreadable,
            }
        }
        _ => Stamp::Unreadable,
    }
}

/// The signature is longer than the 78 characters at which some relays fold a line, whatever it holds.
fn without_blanks(value: &str) -> String {
    value.chars().filter(|c| !c.is_ascii_whitespace()).collect()
}

/// Only the one way to write a number: what is signed is the number, not its spelling.
fn run(value: &str) -> Option<i64> {
    let number: i64 = value.parse().ok()?;
    ((1..=RUN_MAX).contains(&number) && number.to_string() == value).then_some(number)
}

fn tag(value: &str) -> Option<[u8; 32]> {
    let (pairs, []) = value.strip_prefix("v1=")?.as_bytes().as_chunks::<2>() else { return None };
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let bytes: Option<Vec<u8>> =
        pairs.iter().map(|[high, low]| Some(digit(*high)? << 4 | digit(*low)?)).collect();
    bytes?.try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::{Credentials, Stamp};
    use crate::mail::parse;

    const TAG: &str = "v1=00112233445566778899aabbccddeeff00112233445566778899AABBCCDDEEFF";

    fn of(headers: &str) -> Credentials {
        parse(format!("{headers}\n\nDRYRUN.OK\n").as_bytes(), false).credentials
    }

    fn stamp(run: &str, signature: &str) -> Stamp {
        of(&format!("X-Bresse-Run: {run}\nX-Bresse-Signature: {signature}")).stamp
    }

    fn is_read(stamp: Stamp) -> bool {
        matches!(stamp, Stamp::Present { run: 1_795_143_600, tag } if tag[15] == 0xff && tag[31] == 0xff)
    }

    #[test]
    fn run_and_signature_are_read_however_a_relay_has_folded_them() {
        let (head, tail) = TAG.split_at(40);
        for (run, signature) in [
            ("1795143600", TAG.to_owned()),
            (" 1795143600 ", format!("\n {TAG}")),
            ("\n 1795143600", format!("{head}\n {tail}")),
            ("1795143600", format!("{head}\r\n\t {tail} ")),
            ("1795143600", TAG.to_uppercase().replace("V1", "v1")),
        ] {
            assert!(is_read(stamp(run, &signature)), "{run:?} {signature:?}");
        }
    }

    #[test]
    fn what_is_written_otherwise_is_unreadable() {
        for run in ["", "0", "-1", "+1795143600", "01795143600", "1795143600.0", "1e9", "x", "253402300800"] {
            assert_eq!(stamp(run, TAG), Stamp::Unreadable, "{run:?}");
        }
        for signature in [
            "",
            "v1=",
            TAG.trim_start_matches("v1="),
            TAG.trim_end_matches("FF"),
            &format!("{TAG}00"),
            &TAG.replace("v1", "v2"),
            "v1=é",
        ] {
            assert_eq!(stamp("1795143600", signature), Stamp::Unreadable, "{signature:?}");
        }
        let both = format!("X-Bresse-Run: 1795143600\nX-Bresse-Signature: {TAG}");
        assert!(is_read(of(&both).stamp));
        for headers in [
            "X-Bresse-Run: 1795143600".to_owned(),
            format!("X-Bresse-Signature: {TAG}"),
            format!("{both}\nX-Bresse-Run: 1795143600"),
            format!("{both}\nX-Bresse-Signature: {TAG}"),
            format!("{both}\nX-Bresse-Signature: {}", "x".repeat(10_000)),
        ] {
            assert_eq!(of(&headers).stamp, Stamp::Unreadable, "{headers:?}");
        }
        assert_eq!(of("Subject: x").stamp, Stamp::Absent);
    }

    #[test]
    fn there_is_one_author_or_none() {
        for (headers, author) in [
            ("From: Checker <Bresse1@Free.example>", Some("bresse1@free.example")),
            ("From: a@b.c, d@e.f", None),
            ("From: a@b.c\nFrom: a@b.c", None),
            ("From: a@b.c\nSender: d@e.f", Some("a@b.c")),
            ("From: nobody", None),
            ("Subject: x", None),
        ] {
            assert_eq!(of(headers).author.as_deref(), author, "{headers:?}");
        }
    }

    #[test]
    fn a_topmost_result_that_cannot_be_read_is_not_replaced_by_one_below_it() {
        let forged = "Authentication-Results: mx.example.com; dmarc=pass header.from=free.example";
        let long = "x".repeat(10_000);
        let folds = format!("a\n {}", "x\n ".repeat(20_000));
        for top in [long.clone(), format!("a\n {long}"), folds] {
            let mail = format!("Authentication-Results: {top}\n{forged}");
            assert_eq!(of(&mail).results.as_deref(), Some(""), "{:.50}", top);
        }
        assert_eq!(
            of(&format!("Authentication-Results:\n other;\n none\n{forged}")).results.unwrap(),
            "other; none"
        );
    }
}
