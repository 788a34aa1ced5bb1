//! Broken configurations and every message they must give: `fixtures/config/bad-*.toml`, each beside a `.txt` with the
//! messages and, where it needs one, a `.env` with the environment (`NAME=value` lines).

// Clippy allows it inside of test functions, and these are their helpers.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use bresse_watchdog::config::{Config, Sources};

fn broken_configurations() -> Vec<PathBuf> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/config");
    let mut files: Vec<PathBuf> = fs::read_dir(directory)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "toml"))
        .collect();
    files.sort();
    files
}

/// An absent file is an empty environment.
fn environment_beside(file: &Path) -> BTreeMap<String, String> {
    let text = fs::read_to_string(file.with_extension("env")).unwrap_or_default();
    text.lines()
        .map(|line| {
            let (name, value) = line.split_once('=').unwrap();
            (name.to_owned(), value.to_owned())
        })
        .collect()
}

fn messages(file: &Path) -> String {
    let text = fs::read_to_string(file).unwrap();
    let environment = environment_beside(file);
    let name = file.file_name().unwrap().to_str().unwrap();
    let sources = Sources { text: &text, file: name, environment: &environment, overrides: &[] };
    match Config::load(&sources) {
        Ok(_) => panic!("{name} must not load"),
        Err(errors) => errors.messages().iter().map(|message| format!("{message}\n")).collect(),
    }
}

#[test]
fn every_broken_configuration_gives_exactly_its_messages() {
    let files = broken_configurations();
    assert!(files.len() >= 25, "only {} cases were found", files.len());
    let mut wrong = Vec::new();
    for file in files {
        let expected = fs::read_to_string(file.with_extension("txt")).unwrap();
        let found = messages(&file);
        if found != expected {
            wrong.push(format!("{}\nexpected:\n{expected}\nfound:\n{found}", file.display()));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
}

#[test]
fn every_message_names_the_file_or_the_variable_and_is_one_line() {
    for file in broken_configurations() {
        let name = file.file_name().unwrap().to_str().unwrap().to_owned();
        let found = messages(&file);
        assert!(!found.is_empty(), "{name}");
        for message in found.lines() {
            let known = message.starts_with(&name) || message.starts_with("BRESSE_WATCHDOG_");
            assert!(known && !message.chars().any(char::is_control), "{message:?}");
        }
    }
}
