//! Text → tokens `SERVICE.OK` and `SERVICE.NOK`.
//!
//! A service name may hold spaces, dots and accents, so a token's left end cannot be seen from the text alone:
//! configured names are tried first, longest first, and what is left over is reported as unknown.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::text::composed;

/// The auto test that starts every run. Not a service.
pub const DRYRUN: &str = "DRYRUN";

/// So many unknown names are kept of one mail; the rest is only noise.
const UNKNOWN_MAX: usize = 32;
/// And so many where every name is unknown: as many as a checker may have tests.
const STRANGERS_NAMES_MAX: usize = 1000;
/// An unknown name is cut to its last so many characters.
pub const UNKNOWN_CHARS_MAX: usize = 64;

/// What one mail, or one run, says about a service.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Said {
    #[serde(rename = "OK")]
    Ok,
    #[serde(rename = "NOK")]
    Nok,
    /// OK and NOK at once: a fault of the report.
    #[serde(rename = "CONTRADICTION")]
    Both,
}

impl Said {
    /// What two statements about one service in one run amount to.
    pub fn and(self, other: Self) -> Self {
        if self == other { self } else { Self::Both }
    }
}

/// Everything that was found in one mail.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tokens {
    pub dryrun: Option<Said>,
    pub results: BTreeMap<String, Said>,
    /// In one of the texts DRYRUN came before every other name.
    pub dryrun_first: bool,
    /// Names before `.OK` or `.NOK` that nobody configured for this checker.
    pub unknown: BTreeMap<String, Said>,
}

impl Tokens {
    /// Whether anything was said that this checker may say.
    pub fn any_valid(&self) -> bool {
        self.dryrun.is_some() || !self.results.is_empty()
    }

    fn add(&mut self, name: &str, said: Said) {
        if name == DRYRUN {
            self.dryrun = Some(self.dryrun.map_or(said, |before| before.and(said)));
        } else {
            add(&mut self.results, name, said);
        }
    }

    fn add_unknown(&mut self, name: &str, said: Said, most: usize) {
        let skip = name.chars().count().saturating_sub(UNKNOWN_CHARS_MAX);
        let name: String = name.chars().skip(skip).collect();
        if self.unknown.len() < most || self.unknown.contains_key(&name) {
            add(&mut self.unknown, &name, said);
        }
    }
}

fn add(said_of: &mut BTreeMap<String, Said>, name: &str, said: Said) {
    match said_of.get_mut(name) {
        Some(before) => *before = before.and(said),
        None => {
            said_of.insert(name.to_owned(), said);
        }
    }
}

/// Finds the tokens of one checker.
#[derive(Debug, Clone)]
pub struct Scanner {
    /// Longest first, so that `My Shop` wins over `Shop`.
    names: Vec<Name>,
    unknown_max: usize,
}

#[derive(Debug, Clone)]
struct Name {
    configured: String,
    /// As texts are compared with it.
    composed: String,
}

impl Scanner {
    pub fn new<'a>(services: impl IntoIterator<Item = &'a str>) -> Self {
        let name = |name: &str| Name { configured: name.to_owned(), composed: composed(name).into_owned() };
        let mut names: Vec<Name> = services.into_iter().chain([DRYRUN]).map(name).collect();
        names.sort_by(|Name { composed: a, .. }, Name { composed: b, .. }| {
            b.len().cmp(&a.len()).then_with(|| a.cmp(b))
        });
        Self { names, unknown_max: UNKNOWN_MAX }
    }

    /// For somebody who is not configured: apart from DRYRUN, every name is an unknown one.
    pub fn for_strangers() -> Self {
        Self { unknown_max: STRANGERS_NAMES_MAX, ..Self::new([]) }
    }

    /// Adds the tokens of `text` to `found`. Lines that quote (`>`) are somebody else's words and are passed over.
    pub fn scan(&self, text: &str, found: &mut Tokens) {
        let mut first = true;
        for line in composed(text).lines().filter(|line| !line.trim_start().starts_with('>')) {
            self.scan_line(line, &mut first, found);
        }
    }

    /// The configured name that `text`, which stands before a result, ends with.
    pub fn name_at_end(&self, text: &str) -> Option<&str> {
        let name = self.names.iter().find(|name| ends_with_name(text, &name.composed))?;
        Some(&name.configured)
    }

    fn scan_line(&self, line: &str, first: &mut bool, found: &mut Tokens) {
        let mut free_from = 0;
        for dot in memchr::memchr_iter(b'.', line.as_bytes()) {
            let (Some(before), Some(after)) = (line.get(free_from..dot), line.get(dot + 1..)) else {
                continue;
            };
            let Some((said, length)) = result_at(after) else { continue };
            match self.name_at_end(before) {
                Some(name) => {
                    found.dryrun_first |= *first && name == DRYRUN;
                    found.add(name, said);
                }
                None => match unknown_name(before) {
                    "" => {}
                    name => found.add_unknown(name, said, self.unknown_max),
                },
            }
            *first = false;
            free_from = dot + 1 + length;
        }
    }
}

/// The result that `after` begins with, and its length, when a word ends there (`.OKAY` is prose).
fn result_at(after: &str) -> Option<(Said, usize)> {
    let (said, rest) = if let Some(rest) = after.strip_prefix("OK") {
        (Said::Ok, rest)
    } else {
        (Said::Nok, after.strip_prefix("NOK")?)
    };
    let word_goes_on = rest.chars().next().is_some_and(|c| c.is_alphanumeric() || c == '_');
    (!word_goes_on).then_some((said, after.len() - rest.len()))
}

fn ends_with_name(before: &str, name: &str) -> bool {
    before.strip_suffix(name).is_some_and(|left| !left.chars().next_back().is_some_and(is_name_char))
}

/// What may stand inside a name without a doubt: `PRE-SHOP.OK` must not pass for `SHOP.OK`.
fn is_name_char(c: char) -> bool {
    c.is_alphanumeric() || matches!(c, '_' | '-' | '.')
}

/// The best guess at an unconfigured name: back to a bracket, a separator or the token before it.
fn unknown_name(before: &str) -> &str {
    let separator =
        |c: char| matches!(c, '[' | ']' | '(' | ')' | '<' | '>' | '"' | ',' | ';' | ':' | '|' | '=' | '\t');
    before.rsplit(separator).next().unwrap_or(before).trim()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::linear::assert_linear;

    fn scan(services: &[&str], text: &str) -> Tokens {
        let mut found = Tokens::default();
        Scanner::new(services.iter().copied()).scan(text, &mut found);
        found
    }

    fn said(tokens: &Tokens) -> Vec<(&str, Said)> {
        tokens.results.iter().map(|(name, said)| (name.as_str(), *said)).collect()
    }

    #[test]
    fn results_are_found_wherever_a_name_may_end() {
        let cases: &[(&str, &[(&str, Said)])] = &[
            ("MSSQL.OK", &[("MSSQL", Said::Ok)]),
            ("MSSQL.NOK", &[("MSSQL", Said::Nok)]),
            ("DRYRUN.OK MSSQL.OK ESHOP.NOK", &[("ESHOP", Said::Nok), ("MSSQL", Said::Ok)]),
            ("[MSSQL.OK]", &[("MSSQL", Said::Ok)]),
            ("state=MSSQL.OK, ESHOP.OK.", &[("ESHOP", Said::Ok), ("MSSQL", Said::Ok)]),
            ("MSSQL.OK\u{a0}ESHOP.OK", &[("ESHOP", Said::Ok), ("MSSQL", Said::Ok)]),
            ("MSSQL.OKESHOP.OK", &[]),
            ("MSSQL.OKAY", &[]),
            ("MSSQL.OK_old", &[]),
            ("xMSSQL.OK", &[]),
            ("PRE-MSSQL.OK", &[]),
            ("other.MSSQL.OK", &[]),
            ("éMSSQL.OK", &[]),
            ("mssql.OK", &[]),
            ("MSSQL.ok", &[]),
            ("MSSQL .OK", &[]),
        ];
        for (text, expected) in cases {
            assert_eq!(said(&scan(&["MSSQL", "ESHOP"], text)), *expected, "{text}");
        }
    }

    #[test]
    fn the_longest_configured_name_wins() {
        let found = scan(&["Shop", "My Shop", "My Shop v1.2"], "My Shop v1.2.OK My Shop.NOK Shop.OK");
        assert_eq!(said(&found), [("My Shop", Said::Nok), ("My Shop v1.2", Said::Ok), ("Shop", Said::Ok)]);
    }

    #[test]
    fn names_may_have_spaces_dots_and_accents() {
        let found = scan(&["Dépôt n° 3", "a.b.c"], "DRYRUN.OK Dépôt n° 3.NOK a.b.c.OK");
        assert_eq!(said(&found), [("Dépôt n° 3", Said::Nok), ("a.b.c", Said::Ok)]);
        assert_eq!(found.dryrun, Some(Said::Ok));
    }

    #[test]
    fn accents_are_the_same_composed_and_decomposed() {
        let (composed, decomposed) = ("Caf\u{e9}", "Cafe\u{301}");
        for name in [composed, decomposed] {
            for text in [composed, decomposed] {
                let found = scan(&[name, "Caf"], &format!("DRYRUN.OK {text}.NOK\n[{text} 2.OK]"));
                assert_eq!(said(&found), [(name, Said::Nok)], "the name as it is configured");
                assert_eq!(found.unknown.keys().collect::<Vec<_>>(), [&format!("{composed} 2")]);
            }
        }
        assert_eq!(said(&scan(&["MSSQL"], "e\u{301}MSSQL.OK MSSQL.OK\u{301}")), []);
    }

    #[test]
    fn the_same_token_twice_is_one_and_opposites_contradict() {
        assert_eq!(said(&scan(&["A"], "A.OK\nA.OK")), [("A", Said::Ok)]);
        assert_eq!(said(&scan(&["A"], "A.OK\nA.NOK")), [("A", Said::Both)]);
        assert_eq!(said(&scan(&["A"], "A.NOK A.NOK A.OK A.OK")), [("A", Said::Both)]);
    }

    #[test]
    fn what_is_left_over_is_unknown() {
        let found = scan(&["A"], "A.OK Old Service.NOK\n[Other.OK] x: Third.OK");
        let unknown: Vec<&str> = found.unknown.keys().map(String::as_str).collect();
        assert_eq!(unknown, ["Old Service", "Other", "Third"]);
        assert_eq!(said(&found), [("A", Said::Ok)]);
    }

    #[test]
    fn dryrun_comes_first_where_one_of_the_texts_begins_with_it() {
        let cases: &[(&[&str], bool)] = &[
            (&["DRYRUN.OK A.OK"], true),
            (&["DRYRUN.NOK A.OK"], true),
            (&["prose, 1.2.3, A.OKAY\nDRYRUN.OK\nA.OK"], true),
            (&["A.NOK", "DRYRUN.OK A.NOK"], true),
            (&["DRYRUN.OK", "A.OK DRYRUN.OK"], true),
            (&["A.OK DRYRUN.OK"], false),
            (&["A.OK\nDRYRUN.OK"], false),
            (&["Old.OK DRYRUN.OK A.OK"], false),
            (&["A.OK"], false),
        ];
        for (texts, first) in cases {
            let (scanner, mut found) = (Scanner::new(["A"]), Tokens::default());
            texts.iter().for_each(|text| scanner.scan(text, &mut found));
            assert_eq!(found.dryrun_first, *first, "{texts:?}");
        }
    }

    #[test]
    fn a_token_never_reaches_back_over_the_one_before_it() {
        assert_eq!(said(&scan(&["A.OK B", "B"], "A.OK B.OK")), [("B", Said::Ok)]);
    }

    #[test]
    fn quoted_lines_are_somebody_elses_words() {
        assert!(!scan(&["A"], "> A.OK\n  > DRYRUN.OK").any_valid());
    }

    #[test]
    fn no_hostile_text_costs_more_than_its_size() {
        let scanner = Scanner::new(["A", "Caf\u{e9}"]);
        for unit in [
            ".OK",
            ".",
            ">\n",
            "x.OK",
            "A.OK",
            "\u{e9}.OK",
            "e\u{301}",
            "\u{301}",
            "\u{301}\u{323}",
            "\u{1100}\u{1161}",
        ] {
            assert_linear(
                &format!("{unit:?}"),
                |size| unit.repeat(size / unit.len()),
                |text| scanner.scan(text, &mut Tokens::default()),
            );
        }
    }

    #[test]
    fn a_flood_of_unknown_names_is_bounded() {
        let text: String = (0..10_000).map(|i| format!("[{}{i}.OK]\n", "x".repeat(100))).collect();
        let found = scan(&["A"], &text);
        assert_eq!(found.unknown.len(), UNKNOWN_MAX);
        assert!(found.unknown.keys().all(|name| name.chars().count() == UNKNOWN_CHARS_MAX));
        let mut strange = Tokens::default();
        Scanner::for_strangers().scan(&text, &mut strange);
        assert_eq!(strange.unknown.len(), STRANGERS_NAMES_MAX);
    }
}
