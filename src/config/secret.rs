//! Where passwords and client secrets come from.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use secrecy::{ExposeSecret, SecretString};

use super::Secret;
use super::node::{Content, Table};
use super::report::{Nature, Origin, Reported};
use super::section::Item;
use super::value;

/// A secret is sent in one line; nothing that long is one.
const MAX_SECRET_BYTES: usize = 16 * 1024;
const MAX_ARGUMENTS: usize = 64;

impl fmt::Debug for Secret {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Value(_) => formatter.write_str("Value([REDACTED])"),
            Self::File(path) => formatter.debug_tuple("File").field(path).finish(),
            // Arguments may hold a secret of their own, a token for a vault say.
            Self::Command(arguments) => {
                let program = arguments.first().map_or("", String::as_str);
                write!(formatter, "Command([{program:?}, …])")
            }
        }
    }
}

/// Whether both are the same secret from the same place.
impl PartialEq for Secret {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Value(one), Self::Value(other)) => one.expose_secret() == other.expose_secret(),
            (Self::File(one), Self::File(other)) => one == other,
            (Self::Command(one), Self::Command(other)) => one == other,
            _ => false,
        }
    }
}

/// No message about a secret quotes it.
pub(super) fn read(item: Item<'_>, environment: &BTreeMap<String, String>) -> Result<Secret, Reported> {
    if item.is_text() {
        let secret = item.text().and_then(|text| value_of(&item, text))?;
        if !matches!(item.place.origin, Origin::Variable(_)) {
            item.warn(
                "the secret stands in plain text; write { env = \"NAME\" } or { file = \"PATH\" } instead",
            );
        }
        return Ok(secret);
    }
    if !item.is_table() {
        return Err(item.not("text in quotes or { env = \"NAME\" }"));
    }
    let mut section = item.section("a secret")?;
    let env = section.optional("env", |item| from_environment(&item, environment));
    let file = section.optional("file", |item| value::path(&item));
    let command =
        section.optional("command", |item| item.list(1..=MAX_ARGUMENTS, |argument| value::line(&argument)));
    section.finish();
    match (env?, file?, command?) {
        (Some(secret), None, None) => Ok(secret),
        (None, Some(path), None) => Ok(Secret::File(path)),
        (None, None, Some(arguments)) => Ok(Secret::Command(arguments)),
        _ => {
            let sentence =
                "must be exactly one of { env = \"NAME\" }, { file = \"PATH\" }, { command = [\"PROGRAM\"] }";
            Err(section.report.error(Nature::Value, &section.place, sentence))
        }
    }
}

fn from_environment(item: &Item<'_>, environment: &BTreeMap<String, String>) -> Result<Secret, Reported> {
    let name = item.text()?;
    if !is_variable_name(name) {
        // Not quoted: it may be the secret itself, written in the wrong place.
        return Err(item.wrong("must be the name of an environment variable: letters, digits and _"));
    }
    match environment.get(name) {
        None => Err(item.wrong(format!("the environment variable {name} is not set, or is not UTF-8"))),
        Some(text) if text.is_empty() => Err(item.wrong(format!("the environment variable {name} is empty"))),
        Some(text) => value_of(item, text),
    }
}

fn value_of(item: &Item<'_>, text: &str) -> Result<Secret, Reported> {
    if text.is_empty() {
        return Err(item.wrong("must not be empty"));
    }
    if text.len() > MAX_SECRET_BYTES || text.chars().any(char::is_control) {
        return Err(item.wrong(format!("must be one line of at most {MAX_SECRET_BYTES} bytes")));
    }
    Ok(Secret::Value(SecretString::from(text)))
}

fn is_variable_name(name: &str) -> bool {
    !name.is_empty()
        && !name.starts_with(|c: char| c.is_ascii_digit())
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

/// The environment variables that secrets of this configuration name.
pub(super) fn named_variables(table: &Table) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for (key, node) in table {
        collect_names(key, &node.content, &mut names);
    }
    names
}

fn collect_names(key: &str, content: &Content, names: &mut BTreeSet<String>) {
    match content {
        Content::Text(name) if key == "env" => {
            names.insert(name.clone());
        }
        Content::Table(table) => {
            table.iter().for_each(|(key, node)| collect_names(key, &node.content, names));
        }
        Content::List(list) => list.iter().for_each(|node| collect_names("", &node.content, names)),
        _ => {}
    }
}
