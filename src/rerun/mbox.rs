//! Mails out of one mbox file (RFC 4155): each begins with a line `From ` at the beginning or after an empty one.

use std::io::{self, BufRead};

/// One mail. Of a long one only the beginning is kept.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) bytes: Vec<u8>,
    pub(super) truncated: bool,
}

/// Hands every mail to `on`, of each up to `max` bytes. Ends when `on` fails.
pub(super) fn split<E: From<io::Error>>(
    mut from: impl BufRead,
    max: usize,
    mut on: impl FnMut(Entry) -> Result<(), E>,
) -> Result<(), E> {
    let mut entry: Option<Entry> = None;
    let mut after_empty = true;
    let mut line = Vec::new();
    while next_line(&mut from, max, &mut line)? {
        if after_empty && line.starts_with(b"From ") {
            if let Some(done) = entry.replace(Entry { bytes: Vec::new(), truncated: false }) {
                on(done)?;
            }
        } else if let Some(entry) = &mut entry {
            let room = max.saturating_sub(entry.bytes.len());
            let text = unquoted(&line);
            entry.bytes.extend_from_slice(text.get(..room).unwrap_or(text));
            entry.truncated |= text.len() > room;
        }
        after_empty = matches!(line.as_slice(), b"\n" | b"\r\n");
    }
    entry.map_or(Ok(()), on)
}

/// A line of the mail that began with `From ` was quoted by one `>` more.
fn unquoted(line: &[u8]) -> &[u8] {
    let bare = line.iter().position(|byte| *byte != b'>').and_then(|start| line.get(start..));
    match (line.split_first(), bare) {
        (Some((b'>', rest)), Some(bare)) if bare.starts_with(b"From ") => rest,
        _ => line,
    }
}

/// The next line with its end, of which at most `max` bytes are kept. False at the end of the file.
fn next_line(from: &mut impl BufRead, max: usize, line: &mut Vec<u8>) -> io::Result<bool> {
    line.clear();
    let mut any = false;
    loop {
        let piece = from.fill_buf()?;
        if piece.is_empty() {
            return Ok(any);
        }
        any = true;
        let end = memchr::memchr(b'\n', piece);
        let length = end.map_or(piece.len(), |end| end + 1);
        let room = max.saturating_sub(line.len()).min(length);
        line.extend_from_slice(piece.get(..room).unwrap_or(piece));
        from.consume(length);
        if end.is_some() {
            return Ok(true);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entries(text: &str, max: usize) -> Vec<(String, bool)> {
        let mut found = Vec::new();
        split(text.as_bytes(), max, |entry| {
            found.push((String::from_utf8(entry.bytes).unwrap(), entry.truncated));
            Ok::<_, io::Error>(())
        })
        .unwrap();
        found
    }

    #[test]
    fn mails_begin_at_from_lines_after_an_empty_one() {
        let text = "From a\nSubject: 1\n\nFrom the beginning\n\nFrom b\r\nSubject: 2\r\n\r\n>From x\n>>From y\n> z\n";
        assert_eq!(
            entries(text, 100),
            [
                ("Subject: 1\n\n".to_owned(), false),
                ("\n".to_owned(), false),
                ("Subject: 2\r\n\r\nFrom x\n>From y\n> z\n".to_owned(), false)
            ],
            "a line From after an empty one has to be quoted; writers do"
        );
        assert_eq!(entries("Subject: no mbox\n\nFrom here\n", 100), [(String::new(), false)]);
        assert_eq!(entries("", 100), []);
    }

    #[test]
    fn of_long_mails_and_lines_the_beginning_is_kept() {
        let text = format!("From a\n{}\n\nFrom b\nx\n", "y".repeat(1_000_000));
        assert_eq!(entries(&text, 6), [("yyyyyy".to_owned(), true), ("x\n".to_owned(), false)]);
    }
}
