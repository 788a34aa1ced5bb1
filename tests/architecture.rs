//! The rules of the architecture that a compiler does not check.

// An integration test's helpers are not test functions to clippy.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::fs;
use std::path::{Path, PathBuf};

/// What is pure: bytes and times in, values out.
const CORE: [&str; 39] = [
    "time.rs",
    "text.rs",
    "sha256.rs",
    "fullness.rs",
    "expiry.rs",
    "mail",
    "trust",
    "report",
    "intake.rs",
    "ledger",
    "verdict.rs",
    "reason",
    "incident.rs",
    "policy",
    "links.rs",
    "words",
    "bulletin.rs",
    "outbox.rs",
    "outbox",
    "digest",
    "payload.rs",
    "orders.rs",
    "audit",
    "tally.rs",
    "engine",
    "view.rs",
    "incidents.rs",
    "strip.rs",
    "matrix.rs",
    "down.rs",
    "view",
    "explanation.rs",
    "detail.rs",
    "config",
    "site.rs",
    "independence",
    "proposal",
    "backtest",
    "checkup",
];
/// Reads the environment and the file, which is its purpose.
const EXCEPT: &str = "config/environment.rs";
/// I/O, async, clocks, randomness, and the shell.
const BANNED: [&str; 16] = [
    "tokio",
    "async ",
    ".await",
    "TcpStream",
    "std::fs",
    "std::process",
    "std::thread",
    "rusqlite",
    "clock::",
    "::now(",
    "fastrand",
    "std::env",
    "crate::imap",
    "crate::store",
    "crate::channel",
    "crate::service",
];
/// What the shell found out about servers and files, as values: the check-up is about the shell.
const OF_THE_SHELL: [&str; 4] =
    ["crate::imap::Probe", "crate::imap::Folder", "crate::imap::{Folder, Probe}", "crate::store::Examined"];
/// Between the core and the shell: it has a store, and neither a clock nor anything to wait for.
const BETWEEN: &str = "flow";
const BANNED_BETWEEN: [&str; 9] = [
    "tokio",
    "async ",
    ".await",
    "TcpStream",
    "std::thread",
    "clock::",
    "::now(",
    "fastrand",
    "crate::service",
];
/// A file longer than this is no longer one room. Tests may be longer.
const LINES_MAX: usize = 500;

fn sources(root: &Path) -> Vec<PathBuf> {
    if root.is_file() {
        return vec![root.to_owned()];
    }
    let entries = fs::read_dir(root).expect("a source folder");
    entries.flat_map(|entry| sources(&entry.unwrap().path())).collect()
}

fn rust_files(root: &Path) -> impl Iterator<Item = PathBuf> + use<> {
    sources(root).into_iter().filter(|path| path.extension().is_some_and(|extension| extension == "rs"))
}

fn is_test(path: &Path) -> bool {
    path.components().any(|part| part.as_os_str() == "tests")
        || path.file_name().is_some_and(|name| name == "tests.rs")
}

fn without_tests(text: &str) -> &str {
    text.split("#[cfg(test)]\nmod tests {").next().unwrap_or(text)
}

fn source_root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src")
}

/// Every line of these files, tests and comments apart, that has a banned word in it; and how many files there are.
fn lines_with(banned: &[&str], files: impl Iterator<Item = PathBuf>) -> (Vec<String>, usize) {
    let (mut found, mut read) = (Vec::new(), 0);
    for path in files.filter(|path| !is_test(path) && !path.ends_with(EXCEPT)) {
        read += 1;
        let text = fs::read_to_string(&path).unwrap();
        for (number, line) in without_tests(&text).lines().enumerate() {
            let code = line.split("//").next().unwrap_or(line);
            if OF_THE_SHELL.iter().any(|value| code.contains(value)) {
                continue;
            }
            for banned in banned.iter().filter(|banned| code.contains(*banned)) {
                found.push(format!("{}:{}: {banned}", path.display(), number + 1));
            }
        }
    }
    (found, read)
}

#[test]
fn the_core_does_no_io_knows_no_clock_and_is_not_async() {
    let root = source_root();
    let files = CORE.iter().flat_map(|part| rust_files(&root.join(part)));
    let (found, read) = lines_with(&BANNED, files);
    assert!(read >= 30, "only {read} core files were found");
    assert!(found.is_empty(), "{}", found.join("\n"));
}

#[test]
fn what_lies_between_core_and_shell_knows_no_clock_and_waits_for_nothing() {
    let (found, read) = lines_with(&BANNED_BETWEEN, rust_files(&source_root().join(BETWEEN)));
    assert!(read >= 2, "only {read} files were found");
    assert!(found.is_empty(), "{}", found.join("\n"));
}

#[test]
fn every_file_is_one_room() {
    let long: Vec<String> = rust_files(&source_root())
        .filter(|path| !is_test(path))
        .map(|path| (fs::read_to_string(&path).unwrap().lines().count(), path))
        .filter(|(lines, _)| *lines > LINES_MAX)
        .map(|(lines, path)| format!("{}: {lines} lines", path.display()))
        .collect();
    assert!(long.is_empty(), "{}", long.join("\n"));
}

#[test]
fn only_one_place_lets_time_in_and_one_the_environment() {
    let allowed = |word: &str| -> Vec<String> {
        rust_files(&source_root())
            .filter(|path| !is_test(path))
            .filter(|path| without_tests(&fs::read_to_string(path).unwrap()).contains(word))
            .map(|path| path.strip_prefix(source_root()).unwrap().display().to_string())
            .collect()
    };
    assert_eq!(allowed("Utc::now()"), ["clock.rs"]);
    assert_eq!(allowed("env::vars_os"), ["config/environment.rs"]);
}

#[test]
fn the_program_has_one_tls_stack_and_one_crypto_provider() {
    // Not Cargo.lock: it also lists what only other platforms would need.
    let tree = std::process::Command::new(env!("CARGO"))
        .args(["tree", "--offline", "--edges", "normal,build", "--prefix", "none", "--format", "{p}"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .expect("cargo runs");
    let tree = String::from_utf8(tree.stdout).unwrap();
    let has = |name: &str| tree.lines().any(|line| line.split(' ').next() == Some(name));
    assert!(has("rustls") && has("aws-lc-rs"), "{tree}");
    for unwanted in ["openssl-sys", "native-tls", "ring", "boring"] {
        assert!(!has(unwanted), "{unwanted} is in the dependency tree");
    }
}

/// The tests that a page names in backticks: no other word has as many underscores.
fn named_tests(page: &str) -> impl Iterator<Item = &str> {
    let is_name = |word: &&str| {
        word.matches('_').count() >= 4 && word.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
    };
    page.split('`').skip(1).step_by(2).filter(is_name)
}

#[test]
fn every_test_that_a_page_names_is_there() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let code: String = [root.join("src"), root.join("tests")]
        .iter()
        .flat_map(|folder| rust_files(folder))
        .map(|path| fs::read_to_string(path).unwrap())
        .collect();
    let pages =
        sources(&root.join("docs")).into_iter().chain([root.join("CHANGELOG.md"), root.join("README.md")]);
    let (mut named, mut missing) = (0, Vec::new());
    for page in pages.filter(|path| path.extension().is_some_and(|extension| extension == "md")) {
        let text = fs::read_to_string(&page).unwrap();
        for name in named_tests(&text) {
            named += 1;
            if !code.contains(&format!("fn {name}(")) {
                missing.push(format!("{}: {name}", page.display()));
            }
        }
    }
    assert!(named >= 60, "only {named} tests are named");
    assert!(missing.is_empty(), "{}", missing.join("\n"));
}
