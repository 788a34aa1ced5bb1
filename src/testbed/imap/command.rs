//! The grammar of commands (RFC 3501, section 9), as far as the server speaks it.

/// More would be a client's error; long sequence sets are the reason for this much.
pub(super) const MAX_COMMAND_BYTES: usize = 64 * 1024;

/// One command with its literals in place, as they came over the wire.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Command {
    pub(super) tag: String,
    /// Upper-case; `UID FETCH` is one name.
    pub(super) name: String,
    pub(super) args: Vec<u8>,
}

/// What is wrong with a command: the text of its tagged BAD.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Syntax(pub(super) String);

impl Syntax {
    fn expected(what: &str) -> Self {
        Self(format!("Expected {what}"))
    }
}

impl Command {
    pub(super) fn parse(line: &[u8]) -> Result<Self, Syntax> {
        let mut args = Args(line);
        let tag = args.atom().map_err(|_| Syntax::expected("a tag"))?;
        args.space()?;
        let mut name = args.atom()?.to_ascii_uppercase();
        if name == "UID" {
            args.space()?;
            name = format!("UID {}", args.atom()?.to_ascii_uppercase());
        }
        if !args.is_empty() {
            args.space()?;
        }
        Ok(Self { tag, name, args: args.0.to_vec() })
    }

    pub(super) fn args(&self) -> Args<'_> {
        Args(&self.args)
    }
}

/// A literal announced at the end of a line.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Literal {
    pub(super) bytes: usize,
    /// The client waits for `+` before it sends it (without LITERAL+, RFC 7888).
    pub(super) synchronizing: bool,
}

/// The literal that `line` (without its line end) announces.
pub(super) fn announced_literal(line: &[u8]) -> Option<Literal> {
    let inner = line.strip_suffix(b"}")?;
    let inner = inner.get(inner.iter().rposition(|byte| *byte == b'{')? + 1..)?;
    let (digits, synchronizing) = inner.strip_suffix(b"+").map_or((inner, true), |digits| (digits, false));
    if !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let bytes = std::str::from_utf8(digits).ok().filter(|digits| !digits.is_empty())?;
    // A number too large to parse is still a literal, one too large to take.
    Some(Literal { bytes: bytes.parse().unwrap_or(usize::MAX), synchronizing })
}

/// What is left of a command's arguments.
#[derive(Debug, Clone, Copy)]
pub(super) struct Args<'a>(pub(super) &'a [u8]);

impl<'a> Args<'a> {
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn end(&self) -> Result<(), Syntax> {
        if self.is_empty() { Ok(()) } else { Err(Syntax::expected("the end of the command")) }
    }

    /// Takes `token` when it comes next.
    pub(super) fn eat(&mut self, token: &[u8]) -> bool {
        let rest = self.0.strip_prefix(token);
        self.0 = rest.unwrap_or(self.0);
        rest.is_some()
    }

    pub(super) fn expect(&mut self, token: &str) -> Result<(), Syntax> {
        if self.eat(token.as_bytes()) { Ok(()) } else { Err(Syntax::expected(&format!("\"{token}\""))) }
    }

    pub(super) fn space(&mut self) -> Result<(), Syntax> {
        self.expect(" ").map_err(|_| Syntax::expected("a space"))
    }

    pub(super) fn take_while(&mut self, wanted: impl Fn(u8) -> bool) -> &'a [u8] {
        let length = self.0.iter().position(|byte| !wanted(*byte)).unwrap_or(self.0.len());
        let (taken, rest) = self.0.split_at_checked(length).unwrap_or((self.0, b""));
        self.0 = rest;
        taken
    }

    fn text(&mut self, what: &str, wanted: impl Fn(u8) -> bool) -> Result<String, Syntax> {
        let taken = self.take_while(wanted);
        if taken.is_empty() {
            return Err(Syntax::expected(what));
        }
        Ok(String::from_utf8_lossy(taken).into_owned())
    }

    pub(super) fn atom(&mut self) -> Result<String, Syntax> {
        self.text("an atom", |byte| is_atom(byte) && byte != b']')
    }

    pub(super) fn number(&mut self) -> Result<u32, Syntax> {
        let digits = self.text("a number", |byte| byte.is_ascii_digit())?;
        digits.parse().map_err(|_| Syntax::expected("a number below 4294967296"))
    }

    /// A mailbox name that may hold wildcards (`list-mailbox`).
    pub(super) fn pattern(&mut self) -> Result<String, Syntax> {
        match self.0.first() {
            Some(b'"' | b'{') => self.astring(),
            _ => self.text("a mailbox pattern", |byte| is_atom(byte) || matches!(byte, b'*' | b'%')),
        }
    }

    /// An atom, a quoted string or a literal.
    pub(super) fn astring(&mut self) -> Result<String, Syntax> {
        match self.0.first() {
            Some(b'"') => self.quoted(),
            Some(b'{') => self.literal(),
            _ => self.text("a string", is_atom),
        }
    }

    fn quoted(&mut self) -> Result<String, Syntax> {
        self.expect("\"")?;
        let mut value = Vec::new();
        loop {
            value.extend(self.take_while(|byte| !matches!(byte, b'"' | b'\\' | b'\r' | b'\n')));
            if self.eat(b"\"") {
                return Ok(String::from_utf8_lossy(&value).into_owned());
            }
            self.expect("\\").map_err(|_| Syntax::expected("the end of a quoted string"))?;
            let (escaped, rest) = self.0.split_first().ok_or(Syntax::expected("a character after \\"))?;
            value.push(*escaped);
            self.0 = rest;
        }
    }

    fn literal(&mut self) -> Result<String, Syntax> {
        self.expect("{")?;
        let length = self.number()?;
        self.eat(b"+");
        self.expect("}\r\n").map_err(|_| Syntax::expected("a literal"))?;
        let (value, rest) = usize::try_from(length)
            .ok()
            .and_then(|length| self.0.split_at_checked(length))
            .ok_or(Syntax::expected("a literal"))?;
        self.0 = rest;
        Ok(String::from_utf8_lossy(value).into_owned())
    }

    /// `(item item)`
    pub(super) fn list<T>(
        &mut self,
        mut item: impl FnMut(&mut Self) -> Result<T, Syntax>,
    ) -> Result<Vec<T>, Syntax> {
        self.expect("(")?;
        let mut items = Vec::new();
        if self.eat(b")") {
            return Ok(items);
        }
        loop {
            items.push(item(self)?);
            if self.eat(b")") {
                return Ok(items);
            }
            self.space()?;
        }
    }
}

/// ATOM-CHAR, with `]` as in `astring`. Bytes above 127 are let through: clients do send raw UTF-8.
fn is_atom(byte: u8) -> bool {
    !matches!(byte, 0..=b' ' | b'(' | b')' | b'{' | b'%' | b'*' | b'"' | b'\\' | 127)
}

/// A name as it is sent: quoted, with `"` and `\` escaped.
pub(super) fn quote(name: &str) -> String {
    format!("\"{}\"", name.replace('\\', "\\\\").replace('"', "\\\""))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn args(text: &str) -> Args<'_> {
        Args(text.as_bytes())
    }

    #[test]
    fn a_command_is_tag_name_and_arguments() {
        let command = Command::parse(b"a1 uid fetch 1:* (UID)").unwrap();
        assert_eq!((command.tag.as_str(), command.name.as_str()), ("a1", "UID FETCH"));
        assert_eq!(command.args, b"1:* (UID)");
        assert_eq!(Command::parse(b"a1 NOOP").unwrap().args, b"");
        for broken in ["", "a1", "a1 ", " NOOP", "a1 UID", "a1 UID ", "a1 NOOP(", "(a NOOP"] {
            assert!(Command::parse(broken.as_bytes()).is_err(), "{broken:?}");
        }
    }

    #[test]
    fn strings_are_atoms_quoted_or_literals() {
        let mut all = args("abc \"a \\\"b\\\\\" {5}\r\n) \r\n( {2+}\r\nxy");
        assert_eq!(all.astring().unwrap(), "abc");
        all.space().unwrap();
        assert_eq!(all.astring().unwrap(), "a \"b\\");
        all.space().unwrap();
        assert_eq!(all.astring().unwrap(), ") \r\n(");
        all.space().unwrap();
        assert_eq!(all.astring().unwrap(), "xy");
        all.end().unwrap();
        for broken in ["", "\"abc", "\"abc\\", "{3}\r\nab", "{3}abc", "{99999999999}\r\n", "(", "{"] {
            assert!(args(broken).astring().is_err(), "{broken:?}");
        }
    }

    #[test]
    fn an_announced_literal_is_recognised_at_the_end_of_a_line() {
        let literal = |bytes, synchronizing| Some(Literal { bytes, synchronizing });
        assert_eq!(announced_literal(b"a LOGIN {4}"), literal(4, true));
        assert_eq!(announced_literal(b"a LOGIN {4+}"), literal(4, false));
        assert_eq!(announced_literal(b"a LOGIN {99999999999999999999}"), literal(usize::MAX, true));
        for none in ["a LOGIN {}", "a LOGIN {+}", "a LOGIN {4", "a LOGIN 4}", "a LOGIN {x}", "{4} "] {
            assert_eq!(announced_literal(none.as_bytes()), None, "{none}");
        }
    }

    #[test]
    fn lists_may_be_empty_and_must_close() {
        assert_eq!(args("()").list(|args| args.atom()).unwrap(), Vec::<String>::new());
        assert_eq!(args("(A B)").list(|args| args.atom()).unwrap(), ["A", "B"]);
        for broken in ["", "(", "(A", "(A ", "(A  B)", "(A B"] {
            assert!(args(broken).list(|args| args.atom()).is_err(), "{broken:?}");
        }
    }
}
