//! What one mail may cost. Sizes are bytes and do not count line ends, so that a mail is cut at the same place
//! whether it came with LF or with CRLF.

/// One physical line of a header. RFC 5322, section 2.1.1, allows 998; mailparse needs time that grows with the
/// square of it.
pub(super) const MAX_HEADER_LINE: usize = 8 * 1024;
/// One header field with all its folded lines.
pub(super) const MAX_FIELD: usize = 32 * 1024;
/// Header fields of one mail or one MIME part.
pub(super) const MAX_HEADERS: usize = 1000;
/// `Content-Type` values: mailparse pairs each RFC 2231 parameter with each other one.
pub(super) const MAX_CONTENT_TYPE: usize = 2 * 1024;
/// RFC 5322, section 2.1.1: what fits on one line.
pub(super) const MAX_MESSAGE_ID: usize = 998;
/// Twice as long as the identifiers that are given out.
pub(super) const MAX_CANARY: usize = 64;
/// RFC 5321, section 4.5.3.1: local part, `@` and domain.
pub(super) const MAX_ADDRESS: usize = 320;
/// Addresses read from all recipient headers together, repeated ones included.
pub(super) const MAX_RECIPIENTS: usize = 256;
/// RFC 5321, section 6.3: servers see a loop beyond this.
pub(super) const MAX_HOPS: usize = 100;
/// RFC 1035, section 2.3.4: a host name.
pub(super) const MAX_HOST: usize = 255;
/// MIME parts, the containers included.
pub(super) const MAX_PARTS: usize = 100;
/// Multiparts inside one another.
pub(super) const MAX_DEPTH: usize = 10;
/// Text kept of one part.
pub(super) const MAX_TEXT: usize = 128 * 1024;
/// Text kept of all parts together.
pub(super) const MAX_TEXTS: usize = 512 * 1024;
/// The machine-readable part of a delivery report.
pub(super) const MAX_STATUS: usize = 16 * 1024;
/// Recipients that a delivery report tells of.
pub(super) const MAX_FAILED: usize = 16;
/// Sentences in `Mail::problems`.
pub(super) const MAX_PROBLEMS: usize = 20;

/// Collects `Mail::problems` and `Mail::truncated` while a mail is read.
#[derive(Debug, Default)]
pub(super) struct Notes {
    pub(super) problems: Vec<String>,
    pub(super) truncated: bool,
}

impl Notes {
    /// Something was not understood. Nothing is missing because of it.
    pub(super) fn problem(&mut self, sentence: impl Into<String>) {
        let sentence = sentence.into();
        match self.problems.len() {
            _ if self.problems.contains(&sentence) => {}
            held if held + 1 < MAX_PROBLEMS => self.problems.push(sentence),
            held if held < MAX_PROBLEMS => {
                self.problems.push("There are more problems than are listed.".into())
            }
            _ => {}
        }
    }

    /// A limit left something out that the rules might have needed.
    pub(super) fn cut(&mut self, sentence: impl Into<String>) {
        self.truncated = true;
        self.problem(sentence);
    }
}

#[cfg(test)]
mod tests {
    use super::{MAX_PROBLEMS, Notes};

    #[test]
    fn each_problem_is_told_once_and_not_all_of_very_many() {
        let mut notes = Notes::default();
        notes.problem("a");
        notes.problem("a");
        assert_eq!((notes.problems.len(), notes.truncated), (1, false));
        for number in 0..MAX_PROBLEMS * 2 {
            notes.cut(number.to_string());
        }
        assert_eq!((notes.problems.len(), notes.truncated), (MAX_PROBLEMS, true));
        assert_eq!(
            notes.problems.last().map(String::as_str),
            Some("There are more problems than are listed.")
        );
    }
}
