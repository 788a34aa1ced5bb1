//! HTML → the text that a reader sees, line by line, in time linear in its size. Not a parser: it follows the
//! tokenizer of the HTML standard (section 13.2.5) as far as text depends on it, and needs no tree.

use memchr::{memchr, memmem};

mod entities;

/// The visible text. Lines of a `<blockquote>` start with `> `, as quoted lines do in plain text.
pub(super) fn to_text(html: &str) -> String {
    let mut reader = Reader { html, at: 0, out: Lines::default() };
    while reader.step() {}
    reader.out.text
}

struct Reader<'a> {
    html: &'a str,
    at: usize,
    out: Lines,
}

impl<'a> Reader<'a> {
    fn rest(&self) -> &'a str {
        self.html.get(self.at..).unwrap_or_default()
    }

    /// Takes one run of text and the markup behind it; false at the end.
    fn step(&mut self) -> bool {
        let rest = self.rest();
        if rest.is_empty() {
            return false;
        }
        let run = memchr(b'<', rest.as_bytes()).unwrap_or(rest.len());
        self.text(rest.get(..run).unwrap_or_default());
        self.at += run;
        let markup = self.rest();
        match markup.as_bytes().get(1) {
            _ if markup.is_empty() => return false,
            Some(b'!') if markup.starts_with("<!--") => self.skip_past(2, b"-->"),
            Some(b'!' | b'?') => self.skip_past(1, b">"),
            Some(b'/') => self.tag(2),
            Some(letter) if letter.is_ascii_alphabetic() => self.tag(1),
            _ => {
                self.out.push('<');
                self.at += 1;
            }
        }
        true
    }

    /// Goes past the next `end`, searched from `offset` on; without one the rest is no text, as in a browser.
    fn skip_past(&mut self, offset: usize, end: &[u8]) {
        let bytes = self.rest().as_bytes();
        let found = memmem::find(bytes.get(offset..).unwrap_or_default(), end);
        self.at = found.map_or(self.html.len(), |found| self.at + offset + found + end.len());
    }

    /// Takes the tag at `self.at`, of which the name starts after `name_offset` bytes.
    fn tag(&mut self, name_offset: usize) {
        let closing = name_offset == 2;
        let after = self.rest().get(name_offset..).unwrap_or_default();
        let length = after.bytes().take_while(u8::is_ascii_alphanumeric).count();
        let name = after.get(..length).unwrap_or_default();
        self.at = self.end_of_tag(self.at + name_offset + length);
        let is = |names: &[&str]| names.iter().any(|known| known.eq_ignore_ascii_case(name));
        if !closing && is(&UNSEEN) {
            self.skip_element(name);
        } else if is(&["blockquote"]) {
            self.out.end_line();
            self.out.quoted = if closing { self.out.quoted.saturating_sub(1) } else { self.out.quoted + 1 };
        } else if is(&["pre"]) {
            self.out.end_line();
            self.out.preformatted = !closing;
        } else if is(&["td", "th"]) {
            self.out.cell();
        } else if is(&BREAKING) {
            self.out.end_line();
        }
    }

    /// Where the tag ends, `from` being within it. A `>` in a quoted attribute does not end it.
    fn end_of_tag(&self, from: usize) -> usize {
        let bytes = self.html.as_bytes();
        let mut quote = None;
        for (offset, &byte) in bytes.get(from..).unwrap_or_default().iter().enumerate() {
            match (quote, byte) {
                (None, b'>') => return from + offset + 1,
                (None, b'"' | b'\'') => quote = Some(byte),
                (Some(open), _) if byte == open => quote = None,
                _ => {}
            }
        }
        // A quote without an end. It can be met twice at most: no other quote of its kind follows it.
        memchr(b'>', bytes.get(from..).unwrap_or_default()).map_or(bytes.len(), |found| from + found + 1)
    }

    /// Goes to the closing tag of the element `name`, the start tag of which has been taken.
    fn skip_element(&mut self, name: &str) {
        let bytes = self.rest().as_bytes();
        let closing = memmem::find_iter(bytes, b"</").find(|at| {
            let written = bytes.get(at + 2..at + 2 + name.len()).unwrap_or_default();
            written.eq_ignore_ascii_case(name.as_bytes())
        });
        self.at = closing.map_or(self.html.len(), |closing| self.at + closing);
    }

    fn text(&mut self, run: &str) {
        let mut rest = run;
        while let Some(at) = memchr(b'&', rest.as_bytes()) {
            let (before, reference) = rest.split_at_checked(at).unwrap_or((rest, ""));
            self.out.push_str(before);
            let (c, length) = entities::decode(reference).unwrap_or(('&', 1));
            self.out.push(c);
            rest = reference.get(length..).unwrap_or_default();
        }
        self.out.push_str(rest);
    }
}

/// Elements whose content no reader sees as text.
const UNSEEN: [&str; 4] = ["script", "style", "title", "template"];

/// Elements that start a line of their own.
const BREAKING: [&str; 44] = [
    "address",
    "article",
    "aside",
    "body",
    "br",
    "caption",
    "center",
    "dd",
    "details",
    "dialog",
    "dir",
    "div",
    "dl",
    "dt",
    "fieldset",
    "figcaption",
    "figure",
    "footer",
    "form",
    "h1",
    "h2",
    "h3",
    "h4",
    "h5",
    "h6",
    "header",
    "hr",
    "html",
    "legend",
    "li",
    "main",
    "menu",
    "nav",
    "ol",
    "option",
    "p",
    "section",
    "summary",
    "table",
    "tbody",
    "tfoot",
    "thead",
    "tr",
    "ul",
];

/// The text, as it grows: white space collapses as in a browser, blank lines are left out. A tab stands between the cells
/// of a table: what is in two of them is not one name.
#[derive(Debug, Default)]
struct Lines {
    text: String,
    /// Whether the last line has text.
    in_line: bool,
    /// What goes between the last character of this line and the next.
    gap: Option<char>,
    /// How many quotations are open.
    quoted: usize,
    preformatted: bool,
}

impl Lines {
    fn push_str(&mut self, text: &str) {
        text.chars().for_each(|c| self.push(c));
    }

    fn push(&mut self, c: char) {
        match c {
            '\n' if self.preformatted => self.end_line(),
            // Mail programs put these into long words to let them wrap.
            '\u{ad}' | '\u{200b}' | '\u{feff}' | '\0' => {}
            _ if c.is_whitespace() => self.space(),
            _ => self.visible(c),
        }
    }

    fn visible(&mut self, c: char) {
        // One mark for any depth: deeply nested quotations would multiply the size.
        if !self.in_line && self.quoted > 0 {
            self.text.push_str("> ");
        }
        if let Some(gap) = self.gap.take().filter(|_| self.in_line) {
            self.text.push(gap);
        }
        self.text.push(c);
        self.in_line = true;
    }

    fn space(&mut self) {
        self.gap = self.gap.or(Some(' '));
    }

    fn cell(&mut self) {
        self.gap = Some('\t');
    }

    fn end_line(&mut self) {
        if self.in_line {
            self.text.push('\n');
        }
        (self.in_line, self.gap) = (false, None);
    }
}

#[cfg(test)]
mod tests;
