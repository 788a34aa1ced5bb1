//! The mails under `fixtures/mail` are the specification of `mail` and `report`: each stands beside the JSON that says
//! how it must be understood. `fixtures/mail/README.md` says how to add one.
//!
//! There is no way to rewrite the JSON from the program's answers: it is what the program is judged by.

// The lint knows `#[test]` functions, not what they call.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::panic::catch_unwind;
use std::path::{Path, PathBuf};

use bresse_watchdog::config::{Config, Sources};
use bresse_watchdog::mail;
use bresse_watchdog::report::{Roster, understand};
use bresse_watchdog::trust::{Key, Keys};
use serde_json::{Map, Value, json};

const MAILS_AT_LEAST: usize = 60;
const MALFORMED_AT_LEAST: usize = 15;

#[test]
fn every_mail_is_understood_as_the_json_beside_it_says() {
    let roster = roster();
    let mut readings = 0;
    let mut failures = Vec::new();
    for (folder, at_least) in
        [("fixtures/mail", MAILS_AT_LEAST), ("fixtures/mail/malformed", MALFORMED_AT_LEAST)]
    {
        let cases = cases(folder);
        assert!(cases.len() >= at_least, "{folder} holds {} mails, not {at_least}", cases.len());
        for case in &cases {
            let variants = case.variants();
            readings += variants.len();
            // Mostly it is the same difference with every line end; then it is told once.
            let mut wrong: BTreeMap<String, Vec<&str>> = BTreeMap::new();
            for (line_ends, bytes) in variants {
                // So that a mail that brings the parser down is named, and does not hide the others.
                let told = match catch_unwind(|| answer(&bytes, case.is_cut(), &roster)) {
                    Ok(found) => differences(&case.expected, &found),
                    Err(_) => "  the program panicked\n".to_owned(),
                };
                wrong.entry(told).or_default().push(line_ends);
            }
            wrong.remove("");
            failures.extend(wrong.iter().map(|(differences, line_ends)| {
                format!("{} (line ends {}):\n{differences}", case.mail.display(), line_ends.join(", "))
            }));
        }
    }
    assert!(
        failures.is_empty(),
        "{} wrong answers in {readings} readings\n\n{}",
        failures.len(),
        failures.join("\n")
    );
}

struct Case {
    mail: PathBuf,
    bytes: Vec<u8>,
    expected: Value,
}

impl Case {
    fn read(mail: PathBuf) -> Self {
        let path = root().join(&mail);
        let json = path.with_extension("json");
        let expected = fs::read(&json).unwrap_or_else(|error| panic!("{}: {error}", json.display()));
        let expected =
            serde_json::from_slice(&expected).unwrap_or_else(|error| panic!("{}: {error}", json.display()));
        let mut bytes = fs::read(&path).unwrap();
        if path.extension().is_some_and(|extension| extension == "gen") {
            bytes = expand(&String::from_utf8(bytes).unwrap()).into_bytes();
        }
        Self { mail, bytes, expected }
    }

    fn stem(&self) -> &str {
        self.mail.file_stem().unwrap().to_str().unwrap()
    }

    /// The mail goes on behind its last byte, but no more of it was fetched.
    fn is_cut(&self) -> bool {
        self.stem().ends_with("-cut")
    }

    /// Servers change line ends; the meaning of a mail must not change with them.
    fn variants(&self) -> Vec<(&'static str, Vec<u8>)> {
        let mut variants = vec![("as they are", self.bytes.clone())];
        if !self.stem().ends_with("-raw") {
            let lf = replace(&self.bytes, b"\r\n", b"\n");
            let crlf = replace(&lf, b"\n", b"\r\n");
            variants.extend([("LF", lf), ("CRLF", crlf)]);
        }
        variants
    }
}

/// The mails of a folder, in order. A mail without JSON, JSON without a mail and any other file is an error.
fn cases(folder: &str) -> Vec<Case> {
    let mut mails = BTreeSet::new();
    let mut answers = BTreeSet::new();
    for entry in fs::read_dir(root().join(folder)).unwrap() {
        let path = Path::new(folder).join(entry.unwrap().file_name());
        match path.extension().and_then(|extension| extension.to_str()) {
            Some("eml" | "gen") => assert!(mails.insert(path.clone()), "{}", path.display()),
            Some("json") => assert!(answers.insert(path.clone()), "{}", path.display()),
            Some("toml" | "md") | None => {}
            Some(_) => panic!("{} is neither a mail (.eml, .gen) nor its .json", path.display()),
        }
    }
    let wanted: BTreeSet<PathBuf> = mails.iter().map(|mail| mail.with_extension("json")).collect();
    let alone: Vec<&PathBuf> = wanted.symmetric_difference(&answers).collect();
    assert!(alone.is_empty() && wanted.len() == mails.len(), "mails and .json files do not match: {alone:?}");
    mails.into_iter().map(Case::read).collect()
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// What the program makes of a mail, in the form of the JSON files: `problems` is 1 when there is any, since their
/// wording is not part of the specification. The wording is kept for the failure message.
fn answer(bytes: &[u8], cut: bool, roster: &Roster) -> Map<String, Value> {
    let understood = understand(&mut mail::parse(bytes, cut), roster);
    let Value::Object(mut answer) = serde_json::to_value(&understood).unwrap() else {
        panic!("not an object")
    };
    answer.insert("unknown".to_owned(), json!(understood.unknown.keys().collect::<Vec<_>>()));
    answer.insert("problems".to_owned(), json!(usize::from(!understood.problems.is_empty())));
    answer.insert(WORDING.to_owned(), json!(understood.problems));
    answer
}

/// Not a key of the JSON files.
const WORDING: &str = "(problems)";

/// One paragraph for each key that differs; empty when none does.
fn differences(expected: &Value, found: &Map<String, Value>) -> String {
    let Value::Object(expected) = expected else { return "  the .json is not an object\n".to_owned() };
    let keys: BTreeSet<&String> = expected.keys().chain(found.keys()).filter(|key| *key != WORDING).collect();
    let show =
        |side: &Map<String, Value>, key: &str| side.get(key).map_or("nothing".to_owned(), Value::to_string);
    let mut told = String::new();
    for key in keys.into_iter().filter(|key| expected.get(*key) != found.get(*key)) {
        told +=
            &format!("  {key}\n    expected {}\n    found    {}\n", show(expected, key), show(found, key));
        if key == "problems" {
            told += &format!("    namely   {}\n", show(found, WORDING));
        }
    }
    told
}

fn replace(bytes: &[u8], from: &[u8], to: &[u8]) -> Vec<u8> {
    let mut replaced = Vec::with_capacity(bytes.len());
    let mut rest = bytes;
    while let Some((first, tail)) = rest.split_first() {
        if let Some(tail) = rest.strip_prefix(from) {
            replaced.extend_from_slice(to);
            rest = tail;
        } else {
            replaced.push(*first);
            rest = tail;
        }
    }
    replaced
}

/// A `.gen` file is a mail in which `{{COUNT TEXT}}` stands for TEXT written COUNT times; in TEXT `\n` is a line end
/// and `#` the number of the copy, from 1.
fn expand(template: &str) -> String {
    let mut mail = String::new();
    let mut rest = template;
    while let Some((before, repeated)) = rest.split_once("{{") {
        let (repeated, after) = repeated.split_once("}}").expect("{{ without }}");
        let (count, text) = repeated.split_once(' ').expect("{{COUNT TEXT}}");
        let text = text.replace("\\n", "\n");
        mail += before;
        for number in 1..=count.parse::<usize>().expect("a count") {
            mail += &text.replace('#', &number.to_string());
        }
        rest = after;
    }
    mail + rest
}

/// The checkers of `fixtures/mail/watchdog.toml`, without the caller's environment.
fn roster() -> Roster {
    const FILE: &str = "fixtures/mail/watchdog.toml";
    let text = fs::read_to_string(root().join(FILE)).unwrap();
    let sources = Sources { text: &text, file: FILE, environment: &BTreeMap::new(), overrides: &[] };
    let config = Config::load(&sources).unwrap_or_else(|errors| panic!("{errors}"));
    let key = Key::new(b"the key of the corpus").unwrap();
    Roster::new(&config.checkers, &Keys::from([("bresse11".to_owned(), [key].into())]))
}

#[test]
fn a_wrong_answer_is_told_key_by_key() {
    let expected = json!({ "checker": "bresse1", "results": { "A": "OK" }, "problems": 0, "typo": 1 });
    let found =
        json!({ "checker": "bresse1", "results": { "A": "NOK" }, "problems": 1, (WORDING): ["Odd."] });
    let told = differences(&expected, found.as_object().unwrap());
    for part in [
        r#"expected {"A":"OK"}"#,
        r#"found    {"A":"NOK"}"#,
        "problems\n    expected 0",
        r#"["Odd."]"#,
        "typo",
    ] {
        assert!(told.contains(part), "{part} is not in:\n{told}");
    }
    assert!(!told.contains("checker"), "{told}");
    assert_eq!(differences(&json!({ "a": 1 }), json!({ "a": 1 }).as_object().unwrap()), "");
}

#[test]
fn generated_mails_are_what_their_description_says() {
    assert_eq!(expand("A: {{3 b}}\n{{2 X-#: y\\n}}\nend"), "A: bbb\nX-1: y\nX-2: y\n\nend");
    assert_eq!(expand("{{11 #}}"), "1234567891011");
    assert_eq!(expand("as it is # \\n"), "as it is # \\n");
}
