//! `Authentication-Results`: what a receiving server found out about a mail (RFC 8601, section 2.2), and the form without
//! a server's name that Exchange Online writes.

use super::comments::without_comments;

/// Statements read of one header. Servers write one for each signature that a mail brings.
const MAX_STATEMENTS: usize = 64;
/// Properties read of one statement.
const MAX_PROPERTIES: usize = 16;

/// One header. Everything is in lower case, because nothing in it that matters has a letter case.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Results {
    /// The authserv-id: who says so. None in Exchange Online's form.
    pub server: Option<String>,
    pub statements: Vec<Statement>,
}

/// `dkim=pass header.d=example.com`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Statement {
    pub method: String,
    pub result: String,
    /// `header.d` and its value; also Exchange Online's `action` and `reason`.
    pub properties: Vec<(String, String)>,
}

impl Results {
    /// Reads the header's value in one line. None when nothing of it can be relied on: a comment or a quoted string without
    /// an end, a version that is not known, or too much of it.
    pub fn read(value: &str) -> Option<Self> {
        let plain = without_comments(value)?;
        let mut parts = split(&plain)?.into_iter();
        let mut pairs = pairs(parts.next()?);
        let mut results = Self::default();
        match pairs.next()? {
            (server, None) => {
                // RFC 8601, section 2.2: the version may follow, and an unknown one must not be used.
                let version = pairs.next();
                if !matches!(version, None | Some(("1", None))) || pairs.next().is_some() {
                    return None;
                }
                results.server = Some(unquoted(server).to_lowercase());
            }
            first @ (_, Some(_)) => results.statements.extend(statement(first, pairs)),
        }
        for part in parts {
            let mut pairs = self::pairs(part);
            let Some(first) = pairs.next() else { continue };
            if results.statements.len() == MAX_STATEMENTS {
                return None;
            }
            results.statements.extend(statement(first, pairs));
        }
        Some(results)
    }

    pub fn of<'a>(&'a self, method: &'a str) -> impl Iterator<Item = &'a Statement> + Clone {
        self.statements.iter().filter(move |statement| statement.method == method)
    }
}

impl Statement {
    /// The first property of this name.
    pub fn property(&self, name: &str) -> Option<&str> {
        self.properties.iter().find(|(of, _)| of == name).map(|(_, value)| value.as_str())
    }

    /// The domain in a property: all of `example.com`, or what follows the `@`.
    pub fn domain(&self, name: &str) -> Option<&str> {
        let value = self.property(name)?;
        let domain = value.rsplit_once('@').map_or(value, |(_, domain)| domain);
        let domain = domain.strip_suffix('.').unwrap_or(domain);
        (!domain.is_empty()).then_some(domain)
    }
}

/// None for what claims nothing, as `none` does (RFC 8601, section 2.2, no-result).
fn statement<'a>(
    (method, result): (&'a str, Option<&'a str>),
    pairs: impl Iterator<Item = (&'a str, Option<&'a str>)>,
) -> Option<Statement> {
    // A version of the method may follow it: `dkim/1=pass`.
    let method = method.split('/').next().unwrap_or_default().to_lowercase();
    let properties = pairs
        .filter_map(|(name, value)| Some((name.to_lowercase(), unquoted(value?).to_lowercase())))
        .take(MAX_PROPERTIES)
        .collect();
    Some(Statement { method, result: unquoted(result?).to_lowercase(), properties })
}

/// At each semicolon outside of quotes. None when a quoted string does not end.
fn split(text: &str) -> Option<Vec<&str>> {
    let mut parts = Vec::new();
    let (mut start, mut quoted, mut escaped) = (0, false, false);
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            b';' if !quoted => {
                parts.push(text.get(start..at)?);
                start = at + 1;
            }
            _ => {}
        }
    }
    parts.push(text.get(start..)?);
    (!quoted).then_some(parts)
}

/// Words, and `name=value` with blanks allowed around the sign.
fn pairs(text: &str) -> impl Iterator<Item = (&str, Option<&str>)> {
    let mut rest = text.trim_start();
    std::iter::from_fn(move || {
        let (name, after) = word(rest, true);
        if rest.is_empty() {
            return None;
        }
        let value = match after.trim_start().strip_prefix('=') {
            Some(behind) => {
                let (value, after) = word(behind.trim_start(), false);
                rest = after.trim_start();
                Some(value)
            }
            None => {
                rest = after.trim_start();
                None
            }
        };
        Some((name, value))
    })
}

/// Up to a blank outside of quotes, or up to a sign of equality.
fn word(text: &str, ends_at_equals: bool) -> (&str, &str) {
    let (mut quoted, mut escaped) = (false, false);
    let end = text.char_indices().find(|(_, c)| {
        match c {
            _ if escaped => escaped = false,
            '\\' if quoted => escaped = true,
            '"' => quoted = !quoted,
            '=' if ends_at_equals && !quoted => return true,
            c if c.is_whitespace() && !quoted => return true,
            _ => {}
        }
        false
    });
    text.split_at(end.map_or(text.len(), |(at, _)| at))
}

fn unquoted(word: &str) -> &str {
    word.strip_prefix('"').and_then(|word| word.strip_suffix('"')).unwrap_or(word)
}

#[cfg(test)]
mod tests {
    use super::{MAX_STATEMENTS, Results};
    use crate::linear::assert_linear;

    /// `server | method result name=value …`, one line for each statement.
    fn told(value: &str) -> Option<String> {
        let results = Results::read(value)?;
        let mut told = results.server.clone().unwrap_or_else(|| "-".to_owned());
        for statement in &results.statements {
            told += &format!(" | {} {}", statement.method, statement.result);
            statement.properties.iter().for_each(|(name, value)| told += &format!(" {name}={value}"));
        }
        Some(told)
    }

    #[test]
    fn the_forms_of_the_common_servers_are_read() {
        for (value, expected) in [
            ("mx.example.com; none", "mx.example.com"),
            ("mx.example.com 1; none", "mx.example.com"),
            (
                "mx.google.com; dkim=pass header.i=@Example.COM header.s=s1 header.b=AbC/12; spf=pass (google.com: domain of \
                 a@example.com designates 192.0.2.1 as permitted sender) smtp.mailfrom=a@example.com; dmarc=pass (p=NONE \
                 sp=NONE dis=NONE) header.from=example.com",
                "mx.google.com | dkim pass header.i=@example.com header.s=s1 header.b=abc/12 | spf pass \
                 smtp.mailfrom=a@example.com | dmarc pass header.from=example.com",
            ),
            (
                "mail.example.com; dkim=pass (2048-bit key; unprotected) header.d=example.org header.i=@example.org \
                 header.b=\"Ab+c=\"; dkim-atps=neutral",
                "mail.example.com | dkim pass header.d=example.org header.i=@example.org header.b=ab+c= | dkim-atps neutral",
            ),
            (
                "spf=pass (sender IP is 192.0.2.17) smtp.mailfrom=free.example; dkim=none (message not signed) \
                 header.d=none;dmarc=bestguesspass action=none header.from=free.example;compauth=pass reason=109",
                "- | spf pass smtp.mailfrom=free.example | dkim none header.d=none | dmarc bestguesspass action=none \
                 header.from=free.example | compauth pass reason=109",
            ),
            (
                "\"mx 1.example\" ;\tspf/1 = pass reason = \"a; b\" smtp.mailfrom = x@y",
                "mx 1.example | spf pass reason=a; b smtp.mailfrom=x@y",
            ),
            (
                "mx; spf=pass smtp.mailfrom=\"a; dmarc=pass \\\"x\"@y.example",
                "mx | spf pass smtp.mailfrom=\"a; dmarc=pass \\\"x\"@y.example",
            ),
            ("mx;;; dmarc=pass;", "mx | dmarc pass"),
            ("mx; =pass", "mx |  pass"),
        ] {
            assert_eq!(told(value).as_deref(), Some(expected), "{value:?}");
        }
    }

    #[test]
    fn what_cannot_be_relied_on_is_not_read() {
        for value in [
            "",
            "   ",
            "; dmarc=pass",
            "mx 2; dmarc=pass",
            "mx 1 1; dmarc=pass",
            "a b; dmarc=pass",
            "mx; spf=pass (",
            "mx; spf=\"pass",
        ] {
            assert_eq!(told(value), None, "{value:?}");
        }
        assert_eq!(told(&format!("mx{}", "; dkim=pass".repeat(MAX_STATEMENTS + 1))), None);
    }

    #[test]
    fn a_domain_is_what_follows_the_at_sign() {
        let results =
            Results::read("mx; x=y a.a=example.com a.b=@example.com. a.c=\"q@r\"@example.com a.d=x@ a.e=")
                .unwrap();
        let domain = |name| results.statements[0].domain(name).map(str::to_owned);
        for name in ["a.a", "a.b", "a.c"] {
            assert_eq!(domain(name).as_deref(), Some("example.com"), "{name}");
        }
        for name in ["a.d", "a.e", "a.f"] {
            assert_eq!(domain(name), None, "{name}");
        }
    }

    #[test]
    fn no_hostile_header_costs_more_than_its_size() {
        for unit in ["(", "()", "\"", "\\\"", ";", "=", "a=", "a=b ", "a=b;", " ", "é", "(\\)", "\"\\\\"] {
            assert_linear(
                unit,
                |size| format!("mx; {}", unit.repeat(size / unit.len())),
                |value| drop(Results::read(value)),
            );
        }
    }
}
