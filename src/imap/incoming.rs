//! What the server says, one whole answer after the other, and bounds on what it can make the parser do.
//!
//! async-imap's own stream allocates an announced literal at once (up to 512 MiB), parses a growing answer again at every
//! read and clears and copies its buffer for each answer, which is most of what reading a short mail would cost. Here an
//! answer is found by its line ends and literals alone, and parsed once, where it lies. imap-proto recurses once per
//! parenthesis of a BODYSTRUCTURE, which nobody asked for but any server can send: some thousand levels overflow the stack
//! and end the whole process. Answers that the parser need not or must not see are taken out here too, or put so that it can
//! read them.

use std::io;
use std::pin::Pin;

use memchr::{memchr, memchr_iter, memchr2_iter};
use tokio::io::{AsyncRead, AsyncReadExt};

use super::mend::Mend;
use super::unasked::{Fate, fate_of, is_status};

/// All literals of one answer together. 64 KiB of a mail are asked for at a time; some servers ignore that and send the
/// whole mail.
const LITERAL_BYTES_MAX: u64 = 16 << 20;
/// All of one answer outside its literals.
const TEXT_BYTES_MAX: usize = 128 << 10;
/// A FETCH answer has two or three, the deepest answer anybody needs a few dozen.
const PARENTHESES_MAX: usize = 256;
/// What is kept aside until somebody takes it; the rest is dropped.
const ASIDE_BYTES_MAX: usize = 16 << 10;
/// Read at a time, and held while no answer is longer. Some hundred reports.
const BUFFER_BYTES: usize = 128 << 10;

/// What has come from the server and was not read yet.
#[derive(Debug)]
pub(super) struct Incoming {
    /// Longer than [`BUFFER_BYTES`] only while one answer is, and never before so much of it has come.
    buffer: Vec<u8>,
    /// Of the answer that comes next.
    start: usize,
    /// Up to here `buffer` holds what the server sent.
    filled: usize,
    scan: Scan,
    /// Whole answers one after the other, as they came.
    aside: Vec<u8>,
}

impl Incoming {
    pub(super) fn new() -> Self {
        Self { buffer: Vec::new(), start: 0, filled: 0, scan: Scan::default(), aside: Vec::new() }
    }

    /// The answers that were kept aside since the last call.
    pub(super) fn take_aside(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.aside)
    }

    /// The length of the next answer for the parser, once all of it has come.
    ///
    /// # Errors
    /// When it exceeds a bound.
    pub(super) fn next(&mut self) -> Result<Option<usize>, &'static str> {
        loop {
            let unread = self.buffer.get(self.start..self.filled).unwrap_or_default();
            let Some(length) = self.scan.advance(unread)? else { return Ok(None) };
            let answer = unread.get(..length).unwrap_or_default();
            match fate_of(answer).unwrap_or(Fate::Passing) {
                Fate::Passing if self.scan.suspicious => {
                    let mended = mended(answer);
                    let length = mended.len();
                    self.put(mended);
                    return Ok(Some(length));
                }
                Fate::Passing => return Ok(Some(length)),
                Fate::Aside => {
                    let room = ASIDE_BYTES_MAX.saturating_sub(self.aside.len());
                    self.aside.extend_from_slice(answer.get(..room).unwrap_or(answer));
                }
                Fate::Dropping => {}
            }
            self.consume(length);
        }
    }

    /// Puts `mended` in the place of the answer that was found.
    fn put(&mut self, mended: Vec<u8>) {
        let end = self.start + self.scan.at;
        self.filled = self.filled - self.scan.at + mended.len();
        drop(self.buffer.splice(self.start..end, mended));
    }

    /// The first `length` bytes that were not read yet.
    pub(super) fn front(&self, length: usize) -> &[u8] {
        self.buffer.get(self.start..self.start + length).unwrap_or_default()
    }

    /// Passes over the first `length` bytes that were not read yet.
    pub(super) fn consume(&mut self, length: usize) {
        self.scan = Scan::default();
        self.start = (self.start + length).min(self.filled);
        if self.start == self.filled {
            (self.start, self.filled) = (0, 0);
        }
    }

    /// Reads what has come on `stream`, once something has. 0 is its end. Safe to cancel.
    pub(super) async fn fill(&mut self, stream: &mut (impl AsyncRead + Unpin + ?Sized)) -> io::Result<usize> {
        self.make_room();
        let free = self.buffer.get_mut(self.filled..).unwrap_or_default();
        let count = Pin::new(stream).read(free).await?;
        self.filled += count;
        Ok(count)
    }

    fn make_room(&mut self) {
        if self.start > 0 {
            self.buffer.copy_within(self.start..self.filled, 0);
            self.filled -= self.start;
            self.start = 0;
        }
        if self.buffer.len() > BUFFER_BYTES && self.filled < BUFFER_BYTES / 2 {
            self.buffer.truncate(BUFFER_BYTES);
            self.buffer.shrink_to_fit();
        }
        if self.buffer.len() == self.filled {
            self.buffer.resize((self.filled * 2).max(BUFFER_BYTES), 0);
        }
    }
}

/// How far the end of an answer was looked for.
#[derive(Debug, Default)]
struct Scan {
    /// From the answer's start on. Beyond what has come while a literal is awaited.
    at: usize,
    /// Where the text behind the last literal starts.
    text: usize,
    text_bytes: usize,
    literal_bytes: u64,
    parentheses: usize,
    /// The parser may fail on it: see [`Mend`].
    suspicious: bool,
}

impl Scan {
    /// The length of the answer that `unread` starts with, once all of it is there.
    fn advance(&mut self, unread: &[u8]) -> Result<Option<usize>, &'static str> {
        while let Some(new) = unread.get(self.at..).filter(|new| !new.is_empty()) {
            let line_end = memchr(b'\n', new);
            let length = line_end.map_or(new.len(), |end| end + 1);
            self.count(new.get(..length).unwrap_or_default())?;
            self.at += length;
            if line_end.is_none() {
                break;
            }
            let text = unread.get(self.text..self.at).unwrap_or_default();
            self.suspicious |= !text.is_ascii() || holds_nil(text);
            match announced_literal(text).filter(|_| !is_status(unread)) {
                None => return Ok(Some(self.at)),
                Some(length) => self.expect(length)?,
            }
        }
        Ok(None)
    }

    fn count(&mut self, text: &[u8]) -> Result<(), &'static str> {
        self.text_bytes += text.len();
        if self.text_bytes > TEXT_BYTES_MAX {
            return Err("a line longer than 128 KiB");
        }
        self.parentheses += memchr_iter(b'(', text).count();
        if self.parentheses > PARENTHESES_MAX {
            return Err("an answer with more than 256 parentheses");
        }
        Ok(())
    }

    fn expect(&mut self, length: u64) -> Result<(), &'static str> {
        self.literal_bytes = self.literal_bytes.saturating_add(length);
        if self.literal_bytes > LITERAL_BYTES_MAX {
            return Err("an answer of more than 16 MiB");
        }
        self.at = self.at.saturating_add(usize::try_from(length).unwrap_or(usize::MAX));
        self.text = self.at;
        Ok(())
    }
}

/// The answer as the parser can read it.
fn mended(answer: &[u8]) -> Vec<u8> {
    let (mut mend, mut mended, mut rest) = (Mend::default(), Vec::with_capacity(answer.len()), answer);
    while !rest.is_empty() {
        let length = memchr(b'\n', rest).map_or(rest.len(), |end| end + 1);
        let (text, behind) = rest.split_at_checked(length).unwrap_or((rest, &[]));
        text.iter().for_each(|byte| mend.pass(*byte, |bytes| mended.extend_from_slice(bytes)));
        let literal = announced_literal(text).and_then(|length| usize::try_from(length).ok()).unwrap_or(0);
        let (literal, behind) = behind.split_at_checked(literal).unwrap_or((behind, &[]));
        mended.extend_from_slice(literal);
        rest = behind;
    }
    mended
}

fn holds_nil(text: &[u8]) -> bool {
    memchr2_iter(b'N', b'n', text)
        .any(|at| text.get(at..at + 3).is_some_and(|word| word.eq_ignore_ascii_case(b"NIL")))
}

/// The size of the literal that follows `text`, which ends in a line end.
fn announced_literal(text: &[u8]) -> Option<u64> {
    let text = text.strip_suffix(b"\n")?;
    let text = text.strip_suffix(b"\r").unwrap_or(text).strip_suffix(b"}")?;
    let digits = text.iter().rev().take_while(|byte| byte.is_ascii_digit()).count();
    let (before, digits) = text.split_at_checked(text.len() - digits)?;
    (before.last() == Some(&b'{') && !digits.is_empty()).then(|| {
        digits.iter().fold(0_u64, |size, digit| {
            size.saturating_mul(10).saturating_add(u64::from(digit.saturating_sub(b'0')))
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the parser sees of `parts`, one answer a line, and the `Incoming` afterwards.
    async fn read(parts: &[&[u8]]) -> (Vec<u8>, Result<Incoming, &'static str>) {
        let (mut incoming, mut passed) = (Incoming::new(), Vec::new());
        for mut part in parts.iter().copied() {
            while !part.is_empty() {
                assert!(incoming.fill(&mut part).await.unwrap() > 0);
                assert!(incoming.buffer.len() <= BUFFER_BYTES.max(incoming.filled * 2));
                loop {
                    match incoming.next() {
                        Ok(Some(length)) => {
                            passed.extend_from_slice(incoming.front(length));
                            incoming.consume(length);
                        }
                        Ok(None) => break,
                        Err(refused) => return (passed, Err(refused)),
                    }
                }
            }
        }
        (passed, Ok(incoming))
    }

    async fn refused(parts: &[&[u8]]) -> Option<&'static str> {
        read(parts).await.1.err()
    }

    #[tokio::test]
    async fn what_the_parser_does_not_know_is_left_out_with_its_literals_however_it_is_cut() {
        let talk = b"* 1 EXISTS\r\n* XFOO {8}\r\n* 2 BAD\n \"x\"\r\n* 2 FETCH (BODY[] {9}\r\n* XFOO {)\n)\r\nA1 OK\r\n* X\r\n+ idling\r\n";
        let expected = b"* 1 EXISTS\r\n* 2 FETCH (BODY[] {9}\r\n* XFOO {)\n)\r\nA1 OK\r\n+ idling\r\n";
        for cut in 0..talk.len() {
            let (left, right) = talk.split_at(cut);
            let (passed, incoming) = read(&[left, right]).await;
            assert_eq!(String::from_utf8_lossy(&passed), String::from_utf8_lossy(expected), "cut at {cut}");
            let incoming = incoming.unwrap();
            assert_eq!((incoming.start, incoming.filled), (0, 0), "cut at {cut}");
        }
    }

    #[tokio::test]
    async fn answers_about_quotas_are_kept_aside_whole_and_bounded() {
        let talk = b"* 1 EXISTS\r\n* QUOTA {4}\r\na\r\nb (STORAGE 1 2)\r\n* STATUS x (SIZE 7)\r\nA1 OK\r\n";
        for cut in 0..talk.len() {
            let (left, right) = talk.split_at(cut);
            let (passed, incoming) = read(&[left, right]).await;
            assert_eq!(passed, b"* 1 EXISTS\r\nA1 OK\r\n", "cut at {cut}");
            let aside = incoming.unwrap().take_aside();
            assert_eq!(aside, b"* QUOTA {4}\r\na\r\nb (STORAGE 1 2)\r\n* STATUS x (SIZE 7)\r\n");
        }
        let flood = b"* QUOTA \"\" (STORAGE 1 2)\r\n".repeat(10_000);
        let (passed, incoming) = read(&[&flood]).await;
        assert_eq!((incoming.unwrap().aside.len(), passed.len()), (ASIDE_BYTES_MAX, 0));
    }

    #[tokio::test]
    async fn a_literal_is_bounded_by_what_was_announced() {
        assert_eq!(refused(&[b"* 1 FETCH (BODY[] {16777216}\r\n"]).await, None);
        for huge in ["16777217", "99999999999", "99999999999999999999999999"] {
            let answer = format!("* 1 FETCH (BODY[] {{{huge}}}\r\n");
            assert_eq!(refused(&[answer.as_bytes()]).await, Some("an answer of more than 16 MiB"), "{huge}");
        }
    }

    #[tokio::test]
    async fn literals_of_one_answer_are_added_and_a_new_answer_starts_anew() {
        let literal = vec![b'x'; 9 << 20];
        let announce = b"* 1 FETCH (BODY[] {9437184}\r\n";
        assert_eq!(refused(&[announce, &literal, b")\r\n", announce, &literal, b")\r\n"]).await, None);
        assert!(refused(&[announce, &literal, b" BODY[1] {9437184}\r\n"]).await.is_some());
    }

    #[tokio::test]
    async fn memory_is_taken_for_what_has_come_and_given_back() {
        let (_, incoming) = read(&[b"* 1 FETCH (BODY[] {16777216}\r\n", &[b'x'; 1000]]).await;
        assert_eq!(incoming.unwrap().buffer.len(), BUFFER_BYTES);
        let literal = vec![b'x'; 1 << 20];
        let (passed, incoming) =
            read(&[b"* 1 FETCH (BODY[] {1048576}\r\n", &literal, b")\r\n", b"* 1 EXISTS\r\n"]).await;
        assert_eq!(passed.len(), (1 << 20) + 44);
        assert!(incoming.unwrap().buffer.capacity() <= BUFFER_BYTES);
    }

    #[tokio::test]
    async fn what_stands_inside_a_literal_is_not_looked_at() {
        let nested = vec![b'('; 10_000];
        assert_eq!(refused(&[b"* 1 FETCH (BODY[] {10000}\r\n", &nested, b")\r\n"]).await, None);
        for literal in ["{99}\r", "x{99}"] {
            let answer = format!("* 1 FETCH (BODY[] {{5}}\r\n{literal}\r\n");
            let (passed, _) = read(&[answer.as_bytes()]).await;
            assert_eq!(passed, answer.as_bytes(), "the literal ends and the line after it");
        }
    }

    #[tokio::test]
    async fn what_the_parser_fails_on_is_mended_outside_of_literals_however_it_is_cut() {
        let talk = "* 1 FETCH (UID 7 INTERNALDATE NIL BODY[] {16}\r\nINTERNALDATE NIL INTERNALDATE NIL)\r\n\
                    * OK [ALERT]é\r\n* 2 EXISTS\r\n";
        let expected = "* 1 FETCH (UID 7 INTERNALDATE \"\" BODY[] {16}\r\nINTERNALDATE NIL INTERNALDATE \"\")\r\n\
                        * OK [ALERT] é\r\n* 2 EXISTS\r\n";
        for cut in 0..talk.len() {
            let (left, right) = talk.as_bytes().split_at(cut);
            assert_eq!(String::from_utf8_lossy(&read(&[left, right]).await.0), expected, "cut at {cut}");
        }
        let (passed, _) = read(&[b"* 1 FETCH (UID 7 internaldate nil)\r\n"]).await;
        assert_eq!(String::from_utf8_lossy(&passed), "* 1 FETCH (UID 7 internaldate \"\")\r\n");
    }

    #[tokio::test]
    async fn words_for_people_announce_nothing() {
        let talk = b"* OK hello {5}\r\n* BYE {5}\r\n+ {5}\r\nA1 NO {5}\r\n* 1 EXISTS {}\r\n";
        assert_eq!(read(&[talk]).await.0, talk);
        // Nothing is awaited behind them.
        for line in talk.split_inclusive(|byte| *byte == b'\n') {
            assert_eq!(read(&[line]).await.0, line);
        }
    }

    #[tokio::test]
    async fn deep_nesting_and_endless_lines_are_refused() {
        let nested = vec![b'('; 10_000];
        assert_eq!(
            refused(&[b"* 1 FETCH (BODYSTRUCTURE ", &nested]).await,
            Some("an answer with more than 256 parentheses")
        );
        assert_eq!(refused(&[&vec![b'a'; 200_000]]).await, Some("a line longer than 128 KiB"));
    }
}
