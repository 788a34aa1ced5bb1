//! Two things that servers say and imap-proto panics on, put so that only what they are about suffers.
//!
//! A panic would end the connection; and because the mail that caused it would still be there at the next look, the whole
//! mailbox could not be read until somebody deleted it.

/// A mail whose date the server does not know. The parser wants text there, and gets an empty one: no date.
const NO_DATE: &[u8] = b"INTERNALDATE NIL";
const NO_DATE_SHOWN: &[u8] = b"INTERNALDATE ";

/// One answer of the server, byte by byte, outside of its literals.
#[derive(Debug, Default)]
pub(super) struct Mend {
    /// So much of [`NO_DATE`] has come.
    date: usize,
    /// Of these bytes the last were not passed on yet.
    held: Vec<u8>,
    code: Code,
}

/// Where the answer stands with a response code, `* OK [CODE] text`: the parser takes the character behind it away, and
/// fails when that has more than one byte.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Code {
    /// So many spaces have come, the last of them just now.
    Before {
        spaces: u8,
        just_now: bool,
    },
    Inside,
    /// A `]` has come just now.
    Closed,
    None,
}

impl Default for Code {
    fn default() -> Self {
        Self::Before { spaces: 0, just_now: false }
    }
}

impl Mend {
    /// Passes on what the parser may see instead of `byte`, now or later.
    pub(super) fn pass(&mut self, byte: u8, mut on: impl FnMut(&[u8])) {
        if self.code == Code::Closed && !byte.is_ascii() {
            on(b" ");
        }
        self.code = self.code.after(byte);
        if !NO_DATE.get(self.date).is_some_and(|wanted| wanted.eq_ignore_ascii_case(&byte)) {
            on(&std::mem::take(&mut self.held));
            self.date = usize::from(byte.eq_ignore_ascii_case(&b'I'));
            return on(&[byte]);
        }
        self.date += 1;
        if self.date == NO_DATE.len() {
            self.held.clear();
            self.date = 0;
            on(b"\"\"");
        } else if self.date > NO_DATE_SHOWN.len() {
            self.held.push(byte);
        } else {
            on(&[byte]);
        }
    }
}

impl Code {
    fn after(self, byte: u8) -> Self {
        match (self, byte) {
            (Self::Before { just_now: true, .. }, b'[') => Self::Inside,
            (Self::Before { spaces: spaces @ 0..=1, just_now: false }, b' ') => {
                Self::Before { spaces: spaces + 1, just_now: true }
            }
            (Self::Before { .. }, b' ') => Self::None,
            (Self::Before { spaces, .. }, _) => Self::Before { spaces, just_now: false },
            // A code may hold a `]` in quotes.
            (Self::Inside | Self::Closed, b']') => Self::Closed,
            (Self::Inside | Self::Closed, _) => Self::Inside,
            (Self::None, _) => Self::None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mended(line: &str) -> String {
        let (mut mend, mut passed) = (Mend::default(), Vec::new());
        line.bytes().for_each(|byte| mend.pass(byte, |bytes| passed.extend_from_slice(bytes)));
        String::from_utf8(passed).unwrap()
    }

    #[test]
    fn a_date_that_is_not_there_is_an_empty_text() {
        for (line, passed) in [
            (
                "* 1 FETCH (UID 7 INTERNALDATE NIL BODY[] NIL)\r\n",
                "* 1 FETCH (UID 7 INTERNALDATE \"\" BODY[] NIL)\r\n",
            ),
            ("* 1 FETCH (internaldate nil)\r\n", "* 1 FETCH (internaldate \"\")\r\n"),
            (
                "* 1 FETCH (IINTERNALDATE NIL INTERNALDATE NIL)\r\n",
                "* 1 FETCH (IINTERNALDATE \"\" INTERNALDATE \"\")\r\n",
            ),
        ] {
            assert_eq!(mended(line), passed);
        }
    }

    #[test]
    fn between_a_response_code_and_its_text_there_is_a_space() {
        for (line, passed) in [
            ("* OK [ALERT]é\r\n", "* OK [ALERT] é\r\n"),
            ("W7 NO [X \"]\"]é\r\n", "W7 NO [X \"]\"] é\r\n"),
            ("+ [ALERT]é\r\n", "+ [ALERT] é\r\n"),
        ] {
            assert_eq!(mended(line), passed);
        }
    }

    #[test]
    fn everything_else_passes_as_it_is() {
        for line in [
            "* OK [ALERT] é\r\n",
            "* OK é [ALERT]é\r\n",
            "* LIST () \"/\" \"a]é\"\r\n",
            "* 1 FETCH (INTERNALDATE \"01-Nov-2026 02:00:00 +0000\" UID 7)\r\n",
            "* 1 FETCH (INTERNALDATE NI)\r\n",
            "* 1 FETCH (INTERNALDATE NUL)\r\n",
            "* OK INTERNALDATE N\r\n",
        ] {
            assert_eq!(mended(line), line);
        }
    }
}
