//! Bounds what a server can make the parser do, before the parser sees it.
//!
//! async-imap allocates an announced literal at once (up to 512 MiB), parses a growing line again at every read, and
//! imap-proto recurses once per parenthesis of a BODYSTRUCTURE, which nobody asked for but any server can send: some
//! thousand levels overflow the stack and end the whole process. All three are refused here. Answers that the parser
//! need not or must not see are taken out here too, or put so that it can read them.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::mend::Mend;
use super::unasked::{Fate, fate_of};

/// All literals of one response together. 64 KiB of a mail are asked for at a time; some servers ignore that and send
/// the whole mail.
const LITERAL_BYTES_MAX: u64 = 16 << 20;
/// All of one response outside its literals.
const TEXT_BYTES_MAX: u32 = 128 << 10;
/// A FETCH answer has two or three, the deepest answer anybody needs a few dozen.
const PARENTHESES_MAX: u32 = 256;
/// What is kept aside until somebody takes it; the rest is dropped.
const ASIDE_BYTES_MAX: usize = 16 << 10;
/// Read at a time.
const CHUNK_BYTES: usize = 8192;

/// A stream that fails as soon as what it reads exceeds the bounds. Writing is passed through.
#[derive(Debug)]
pub(super) struct Guard<S> {
    inner: S,
    scan: Scan,
    sorted: Sorted,
    /// So much of `sorted.passed` was read.
    given: usize,
}

/// What the parser may see, and what it may not.
#[derive(Debug, Default)]
struct Sorted {
    passed: Vec<u8>,
    /// Whole answers one after the other, as they came.
    aside: Vec<u8>,
}

impl Sorted {
    fn put(&mut self, fate: Fate, bytes: &[u8]) {
        match fate {
            Fate::Passing => self.passed.extend_from_slice(bytes),
            Fate::Aside => {
                let room = ASIDE_BYTES_MAX.saturating_sub(self.aside.len());
                self.aside.extend_from_slice(bytes.get(..room).unwrap_or(bytes));
            }
            Fate::Dropping => {}
        }
    }
}

impl<S> Guard<S> {
    pub(super) fn new(inner: S) -> Self {
        Self { inner, scan: Scan::default(), sorted: Sorted::default(), given: 0 }
    }

    /// The answers that were kept aside since the last call.
    pub(super) fn take_aside(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.sorted.aside)
    }

    pub(super) fn into_inner(self) -> S {
        self.inner
    }
}

/// Where in the server's talk the next byte falls.
#[derive(Debug, Default)]
struct Scan {
    /// Bytes of the current literal still to come.
    literal_left: u64,
    /// The number in `{123`, while it may still become a literal's announcement.
    announced: Option<u64>,
    /// The announcement's `}` was seen.
    closed: bool,
    literal_bytes: u64,
    text_bytes: u32,
    parentheses: u32,
    /// None at an answer's beginning, which is kept in `head` until the fate is told.
    fate: Option<Fate>,
    head: Vec<u8>,
    mend: Mend,
}

impl Scan {
    /// Sorts `bytes` into `sorted`.
    fn advance(&mut self, mut bytes: &[u8], sorted: &mut Sorted) -> Result<(), &'static str> {
        while let Some((&byte, rest)) = bytes.split_first() {
            if self.literal_left > 0 {
                let skipped = usize::try_from(self.literal_left).unwrap_or(usize::MAX).min(bytes.len());
                self.literal_left -= skipped as u64;
                let (literal, after) = bytes.split_at(skipped);
                sorted.put(self.fate.unwrap_or(Fate::Passing), literal);
                bytes = after;
            } else {
                self.sort(byte, sorted);
                self.text(byte)?;
                bytes = rest;
            }
        }
        Ok(())
    }

    fn sort(&mut self, byte: u8, sorted: &mut Sorted) {
        match self.fate {
            Some(fate) => self.pass(fate, &[byte], sorted),
            None => {
                self.head.push(byte);
                self.fate = fate_of(&self.head);
                if let Some(fate) = self.fate {
                    let head = std::mem::take(&mut self.head);
                    self.pass(fate, &head, sorted);
                }
            }
        }
    }

    fn pass(&mut self, fate: Fate, bytes: &[u8], sorted: &mut Sorted) {
        for byte in bytes {
            self.mend.pass(*byte, |mended| sorted.put(fate, mended));
        }
    }

    fn text(&mut self, byte: u8) -> Result<(), &'static str> {
        self.text_bytes += 1;
        if self.text_bytes > TEXT_BYTES_MAX {
            return Err("a line longer than 128 KiB");
        }
        match (byte, self.announced) {
            (b'\n', Some(length)) if self.closed => self.begin_literal(length)?,
            (b'\n', _) => *self = Self::default(),
            (b'\r', _) => {}
            (b'{', _) => (self.announced, self.closed) = (Some(0), false),
            (b'}', Some(_)) => self.closed = true,
            (b'0'..=b'9', Some(length)) if !self.closed => {
                self.announced = Some(length.saturating_mul(10).saturating_add(u64::from(byte - b'0')));
            }
            _ => self.announced = None,
        }
        if byte == b'(' {
            self.parentheses += 1;
            if self.parentheses > PARENTHESES_MAX {
                return Err("an answer with more than 256 parentheses");
            }
        }
        Ok(())
    }

    fn begin_literal(&mut self, length: u64) -> Result<(), &'static str> {
        (self.announced, self.closed) = (None, false);
        self.literal_bytes = self.literal_bytes.saturating_add(length);
        if self.literal_bytes > LITERAL_BYTES_MAX {
            return Err("an answer of more than 16 MiB");
        }
        self.literal_left = length;
        Ok(())
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Guard<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        loop {
            let waiting = this.sorted.passed.get(this.given..).unwrap_or_default();
            if !waiting.is_empty() {
                let (now, _) = waiting.split_at(waiting.len().min(buf.remaining()));
                buf.put_slice(now);
                this.given += now.len();
                return Poll::Ready(Ok(()));
            }
            this.sorted.passed.clear();
            this.given = 0;
            let mut chunk = [0; CHUNK_BYTES];
            let mut chunk = ReadBuf::new(&mut chunk);
            ready!(Pin::new(&mut this.inner).poll_read(cx, &mut chunk))?;
            if chunk.filled().is_empty() {
                return Poll::Ready(Ok(()));
            }
            let advanced = this.scan.advance(chunk.filled(), &mut this.sorted);
            advanced.map_err(|what| io::Error::new(io::ErrorKind::InvalidData, what))?;
        }
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Guard<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scan(parts: &[&[u8]]) -> Result<Scan, &'static str> {
        let (mut scan, mut sorted) = (Scan::default(), Sorted::default());
        parts.iter().try_for_each(|part| scan.advance(part, &mut sorted)).map(|()| scan)
    }

    #[test]
    fn what_the_parser_does_not_know_is_left_out_with_its_literals_however_it_is_cut() {
        let talk = b"* 1 EXISTS\r\n* XFOO {8}\r\n* 2 BAD\n \"x\"\r\n* 2 FETCH (BODY[] {9}\r\n* XFOO {)\n)\r\nA1 OK\r\n* X\r\n+ idling\r\n";
        let expected = b"* 1 EXISTS\r\n* 2 FETCH (BODY[] {9}\r\n* XFOO {)\n)\r\nA1 OK\r\n+ idling\r\n";
        for cut in 0..talk.len() {
            let (left, right) = talk.split_at(cut);
            let (mut scan, mut sorted) = (Scan::default(), Sorted::default());
            scan.advance(left, &mut sorted).unwrap();
            scan.advance(right, &mut sorted).unwrap();
            let passed = String::from_utf8_lossy(&sorted.passed);
            assert_eq!(passed, String::from_utf8_lossy(expected), "cut at {cut}");
        }
    }

    #[test]
    fn answers_about_quotas_are_kept_aside_whole_and_bounded() {
        let talk = b"* 1 EXISTS\r\n* QUOTA {4}\r\na\r\nb (STORAGE 1 2)\r\n* STATUS x (SIZE 7)\r\nA1 OK\r\n";
        for cut in 0..talk.len() {
            let (left, right) = talk.split_at(cut);
            let (mut scan, mut sorted) = (Scan::default(), Sorted::default());
            scan.advance(left, &mut sorted).unwrap();
            scan.advance(right, &mut sorted).unwrap();
            assert_eq!(sorted.passed, b"* 1 EXISTS\r\nA1 OK\r\n", "cut at {cut}");
            assert_eq!(sorted.aside, b"* QUOTA {4}\r\na\r\nb (STORAGE 1 2)\r\n* STATUS x (SIZE 7)\r\n");
        }
        let (mut scan, mut sorted) = (Scan::default(), Sorted::default());
        for _ in 0..10_000 {
            scan.advance(b"* QUOTA \"\" (STORAGE 1 2)\r\n", &mut sorted).unwrap();
        }
        assert_eq!((sorted.aside.len(), sorted.passed.len()), (ASIDE_BYTES_MAX, 0));
    }

    #[test]
    fn a_literal_is_refused_when_it_is_announced_not_when_it_is_there() {
        assert!(scan(&[b"* 1 FETCH (BODY[] {16777216}\r\n"]).is_ok());
        assert_eq!(
            scan(&[b"* 1 FETCH (BODY[] {16777217}\r\n"]).unwrap_err(),
            "an answer of more than 16 MiB"
        );
        assert!(scan(&[b"* 1 FETCH (BODY[] {99999999999999999999999}\r\n"]).is_err());
    }

    #[test]
    fn literals_of_one_answer_are_added_and_a_new_answer_starts_anew() {
        let literal = vec![b'x'; 9 << 20];
        let announce = b"* 1 FETCH (BODY[] {9437184}\r\n";
        assert!(scan(&[announce, &literal, b")\r\n", announce, &literal, b")\r\n"]).is_ok());
        assert!(scan(&[announce, &literal, b" BODY[1] {9437184}\r\n"]).is_err());
    }

    #[test]
    fn what_stands_inside_a_literal_is_not_looked_at() {
        let nested = vec![b'('; 10_000];
        assert!(scan(&[b"* 1 FETCH (BODY[] {10000}\r\n", &nested, b")\r\n"]).is_ok());
        assert!(
            scan(&[b"* 1 FETCH (BODY[] {5}\r\n{99}\r", b"\n)\r\n"]).is_ok_and(|scan| scan.literal_left == 0)
        );
    }

    #[test]
    fn deep_nesting_and_endless_lines_are_refused() {
        let nested = vec![b'('; 10_000];
        assert_eq!(
            scan(&[b"* 1 FETCH (BODYSTRUCTURE ", &nested]).unwrap_err(),
            "an answer with more than 256 parentheses"
        );
        assert_eq!(scan(&[&vec![b'a'; 200_000]]).unwrap_err(), "a line longer than 128 KiB");
    }

    #[test]
    fn the_scan_does_not_depend_on_how_the_bytes_are_cut() {
        let talk = b"* 1 FETCH (UID 7 BODY[]<0> {12}\r\nhello\r\n{9}\r\n)\r\nA1 OK done\r\n* 2 EXISTS\r\n";
        let whole = scan(&[talk]).unwrap();
        for cut in 0..talk.len() {
            let (left, right) = talk.split_at(cut);
            let parts = scan(&[left, right]).unwrap();
            assert_eq!(
                (parts.literal_left, parts.text_bytes),
                (whole.literal_left, whole.text_bytes),
                "cut at {cut}"
            );
            assert_eq!(whole.text_bytes, 0);
        }
    }
}
