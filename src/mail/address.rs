//! Mail addresses out of address headers (RFC 5322, section 3.4).
//!
//! mailparse's `addrparse` gives up a whole list for one bad entry, and which checker wrote hangs on this list. This
//! reader takes the entries one by one and keeps those that hold an address. Display names are never decoded, so an
//! encoded word cannot bring an address in.

use memchr::memchr_iter;

use super::limits::MAX_ADDRESS;

/// The addresses of one unfolded header value, in lower case and in their order.
pub(super) fn addresses(value: &str) -> Vec<String> {
    let mut reader = Reader { value, found: Vec::new(), bare: String::new(), piece: 0, angle: None };
    if let Err(unclosed) = reader.read(0, Quoting::Respected) {
        // What never ends would swallow the rest of the list. This second reading cannot meet an end it lacks.
        reader.start_entry(unclosed + 1);
        let _ = reader.read(unclosed + 1, Quoting::Ignored);
    }
    reader.finish_entry(value.len());
    reader.found
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Quoting {
    Respected,
    /// Quotes and parentheses are ordinary characters.
    Ignored,
}

/// Reads entry by entry. An entry's address stands in angle brackets, or bare among comments and stray words.
struct Reader<'a> {
    value: &'a str,
    found: Vec<String>,
    /// What the entry holds outside of brackets, comments and quotes, up to `piece`.
    bare: String,
    /// Where the part of the entry that is not yet in `bare` starts.
    piece: usize,
    /// The last text in angle brackets of the entry; without an end while it is open.
    angle: Option<(usize, Option<usize>)>,
}

impl Reader<'_> {
    /// Reads up to the end, or to a quoted string or comment without an end, of which the start is returned.
    fn read(&mut self, from: usize, quoting: Quoting) -> Result<(), usize> {
        let bytes = self.value.as_bytes();
        let mut at = from;
        while let Some(&byte) = bytes.get(at) {
            let in_angle = matches!(self.angle, Some((_, None)));
            match byte {
                b'"' if quoting == Quoting::Respected => {
                    let end = end_of_quoted(bytes, at).ok_or(at)?;
                    // `"local part"@domain` is an address, everything else in quotes is a name.
                    if bytes.get(end + 1) != Some(&b'@') {
                        self.leave_out(at, end + 1);
                    }
                    at = end;
                }
                b'(' if quoting == Quoting::Respected && !in_angle => {
                    let end = end_of_comment(bytes, at).ok_or(at)?;
                    self.leave_out(at, end + 1);
                    at = end;
                }
                b'<' => self.angle = Some((at + 1, None)),
                b'>' => {
                    if let Some((start, None)) = self.angle {
                        self.angle = Some((start, Some(at)));
                    }
                }
                // An address cannot hold them, so they end an entry even when its bracket is still open.
                b',' | b';' => self.finish_entry(at),
                // The name of a group, or `mailto:`; in brackets it is an IPv6 address.
                b':' if !in_angle => self.start_entry(at + 1),
                _ => {}
            }
            at += 1;
        }
        Ok(())
    }

    fn text(&self, from: usize, to: usize) -> &str {
        self.value.get(from..to).unwrap_or_default()
    }

    fn leave_out(&mut self, from: usize, to: usize) {
        let piece = self.value.get(self.piece..from).unwrap_or_default();
        self.bare.push_str(piece);
        self.bare.push(' ');
        self.piece = to;
    }

    fn start_entry(&mut self, at: usize) {
        self.bare.clear();
        self.piece = at;
        self.angle = None;
    }

    fn finish_entry(&mut self, end: usize) {
        match self.angle {
            Some((from, to)) => {
                let found = address(self.text(from, to.unwrap_or(end)).trim());
                self.found.extend(found);
            }
            None => {
                self.found.extend(self.bare.split_whitespace().filter_map(address));
                let rest = self.value.get(self.piece..end).unwrap_or_default();
                self.found.extend(rest.split_whitespace().filter_map(address));
            }
        }
        self.start_entry(end + 1);
    }
}

fn end_of_quoted(bytes: &[u8], open: usize) -> Option<usize> {
    let mut at = open + 1;
    loop {
        match bytes.get(at)? {
            b'"' => return Some(at),
            b'\\' => at += 2,
            _ => at += 1,
        }
    }
}

fn end_of_comment(bytes: &[u8], open: usize) -> Option<usize> {
    let mut depth = 0_usize;
    let mut at = open;
    loop {
        match bytes.get(at)? {
            b'(' => depth += 1,
            b')' if depth == 1 => return Some(at),
            b')' => depth -= 1,
            b'\\' => at += 1,
            _ => {}
        }
        at += 1;
    }
}

/// `word` in lower case, when it is an address.
fn address(word: &str) -> Option<String> {
    let (local, domain) = word.split_once('@')?;
    let local = local.strip_prefix('"').and_then(|local| local.strip_suffix('"')).unwrap_or(local);
    let valid = word.len() <= MAX_ADDRESS
        && is_part(local)
        && is_part(domain)
        // The inside of an encoded word stands for a name, never for an address (RFC 2047, section 5).
        && !memchr_iter(b'=', word.as_bytes()).any(|at| word.as_bytes().get(at + 1) == Some(&b'?'));
    if !valid {
        return None;
    }
    let mut address = [local, "@", domain].concat();
    if address.is_ascii() {
        address.make_ascii_lowercase();
    } else {
        address = address.to_lowercase();
    }
    (address.len() <= MAX_ADDRESS).then_some(address)
}

/// Whether `part` may stand on one side of the `@`.
fn is_part(part: &str) -> bool {
    let forbidden = |c: char| {
        c.is_whitespace()
            || c.is_control()
            || matches!(c, '@' | '<' | '>' | '(' | ')' | ',' | ';' | '"' | '\\')
    };
    !part.is_empty()
        && if part.is_ascii() {
            !part.bytes().any(|byte| forbidden(char::from(byte)))
        } else {
            !part.contains(forbidden)
        }
}

#[cfg(test)]
mod tests {
    use super::addresses;

    #[test]
    fn lists_groups_names_and_comments_are_read() {
        for (value, expected) in [
            ("bresse1+monitor@domain.com", &["bresse1+monitor@domain.com"] as &[&str]),
            ("<Bresse1+Monitor@Domain.COM>", &["bresse1+monitor@domain.com"]),
            ("a@b.c, d@e.f ,<g@h.i>", &["a@b.c", "d@e.f", "g@h.i"]),
            ("\"Dupont, Jean <x@y.z>\" <a@b.c>, d@e.f", &["a@b.c", "d@e.f"]),
            ("\"say \\\"a@x.y, b\" <a@b.c>", &["a@b.c"]),
            ("\"x@y.z\" a@b.c", &["a@b.c"]),
            ("\"see x@y.z now\" a@b.c", &["a@b.c"]),
            ("x@y.z <a@b.c>", &["a@b.c"]),
            ("Checkers: a@b.c, B <d@e.f>;, g@h.i", &["a@b.c", "d@e.f", "g@h.i"]),
            ("undisclosed-recipients:;", &[]),
            ("a@b.c (the x@y.z one (nested, d@e.f)), g@h.i", &["a@b.c", "g@h.i"]),
            ("a@b.c d@e.f", &["a@b.c", "d@e.f"]),
            ("\"bresse1+monitor\"@domain.com", &["bresse1+monitor@domain.com"]),
            ("<\"bresse1+monitor\"@domain.com>", &["bresse1+monitor@domain.com"]),
            ("mailto:a@b.c", &["a@b.c"]),
            ("<root@[IPv6:::1]>", &["root@[ipv6:::1]"]),
            ("É@bücher.example", &["é@bücher.example"]),
        ] {
            assert_eq!(addresses(value), expected, "{value:?}");
        }
    }

    #[test]
    fn one_bad_entry_does_not_cost_the_others() {
        for (value, expected) in [
            ("MAILER-DAEMON, a@b.c", &["a@b.c"] as &[&str]),
            ("<>, a@b.c", &["a@b.c"]),
            ("<a@b.c", &["a@b.c"]),
            ("<a@b.c, d@e.f", &["a@b.c", "d@e.f"]),
            ("a@b.c, \"never closed <d@e.f>, g@h.i", &["a@b.c", "d@e.f", "g@h.i"]),
            ("a@b.c, (never closed <d@e.f>", &["a@b.c", "d@e.f"]),
            ("a@b@c, @b.c, a@, @, <a b@c>, d@e.f", &["d@e.f"]),
            ("a\u{1}@b.c, d@e.f", &["d@e.f"]),
            (">,><,;;::,a@b.c\\", &[]),
            ("", &[]),
        ] {
            assert_eq!(addresses(value), expected, "{value:?}");
        }
        assert_eq!(addresses(&format!("{}@b.c, d@e.f", "a".repeat(400))), ["d@e.f"]);
    }

    #[test]
    fn encoded_names_bring_no_address_in() {
        for value in [
            "=?utf-8?Q?x=40y.z?= <a@b.c>",
            "=?utf-8?Q?x@y.z?= <a@b.c>",
            "=?utf-8?Q?x@y.z?=, a@b.c",
            "=?utf-8?Q?Dupont=2C_x@y.z?= <a@b.c>",
            "=?utf-8?B?eEB5Lnosd0B5Lno=?= <a@b.c>",
        ] {
            assert_eq!(addresses(value), ["a@b.c"], "{value:?}");
        }
    }
}
