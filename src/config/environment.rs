//! The one place where the process's environment and the configuration's file are read.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use thiserror::Error;

use super::overlay::{CONFIG, PREFIX};
use super::{Config, ConfigErrors, Sources};

/// Where the file is looked for when nobody names one.
const PLACES: [&str; 2] = ["watchdog.toml", "/etc/bresse-watchdog/watchdog.toml"];

/// 20,000 checkers take less than half of it.
const MAX_FILE_BYTES: u64 = 16 * 1024 * 1024;

/// Why there is no configuration.
#[derive(Debug, Error)]
pub enum LoadError {
    #[error(
        "there is no configuration: neither ./watchdog.toml nor /etc/bresse-watchdog/watchdog.toml exists; \
         name a file with --config FILE"
    )]
    Nowhere,
    #[error("{}: cannot read the configuration: {source}", file.display())]
    Unreadable { file: PathBuf, source: io::Error },
    #[error("{}: the configuration is larger than {} MiB", .0.display(), MAX_FILE_BYTES / 1024 / 1024)]
    TooLarge(PathBuf),
    #[error("{}:{line}: the configuration is not UTF-8 text", file.display())]
    NotText { file: PathBuf, line: usize },
    #[error("the environment variable {0} is not UTF-8 text")]
    VariableNotText(String),
    #[error(transparent)]
    Invalid(#[from] ConfigErrors),
}

/// Reads the environment and the file: `option` (from `--config`), else the variable `BRESSE_WATCHDOG_CONFIG`, else the
/// first of `./watchdog.toml` and `/etc/bresse-watchdog/watchdog.toml` that exists. For `overrides` see [`Sources`].
pub fn load(option: Option<&Path>, overrides: &[(String, String)]) -> Result<Config, LoadError> {
    load_by(option, overrides, Config::load)
}

/// As [`load`], for [`Config::load_without_checkers`].
pub fn load_without_checkers(
    option: Option<&Path>,
    overrides: &[(String, String)],
) -> Result<Config, LoadError> {
    load_by(option, overrides, Config::load_without_checkers)
}

/// Who is logged in, as far as the environment tells.
pub fn person() -> Option<String> {
    let environment = variables().ok()?;
    let named = ["SUDO_USER", "USER", "LOGNAME"].iter().find_map(|name| environment.get(*name));
    named.filter(|name| !name.is_empty()).cloned()
}

fn load_by(
    option: Option<&Path>,
    overrides: &[(String, String)],
    validate: impl FnOnce(&Sources<'_>) -> Result<Config, ConfigErrors>,
) -> Result<Config, LoadError> {
    let environment = variables()?;
    let named = option.map(Path::to_owned).or_else(|| {
        // Container tools set variables that nobody filled in to the empty text.
        environment.get(CONFIG).filter(|name| !name.is_empty()).map(PathBuf::from)
    });
    let (file, text) = match named {
        Some(file) => {
            let text = read(&file)?;
            (file, text)
        }
        None => search(&PLACES.map(Path::new))?,
    };
    let file = file.display().to_string();
    let sources = Sources { text: &text, file: &file, environment: &environment, overrides };
    Ok(validate(&sources)?)
}

/// Whether the user wants no colours (no-color.org: set, and not to the empty text).
#[allow(clippy::disallowed_methods)] // This is the file where the environment is read.
pub fn colour_refused() -> bool {
    std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty())
}

/// Whether the terminal understands no escape codes.
#[allow(clippy::disallowed_methods)] // This is the file where the environment is read.
pub fn terminal_is_dumb() -> bool {
    std::env::var_os("TERM").is_some_and(|value| value == "dumb")
}

/// A snapshot. Variables that are not UTF-8 are an error when they are ours, and left out when they are not.
fn variables() -> Result<BTreeMap<String, String>, LoadError> {
    let mut variables = BTreeMap::new();
    for (name, value) in std::env::vars_os() {
        let Some(name) = name.to_str() else { continue };
        match value.into_string() {
            Ok(value) => {
                variables.insert(name.to_owned(), value);
            }
            Err(_) if name.starts_with(PREFIX) => return Err(LoadError::VariableNotText(name.to_owned())),
            Err(_) => {}
        }
    }
    Ok(variables)
}

/// The first of these files that exists. One that exists and cannot be read is an error: the next one would be a
/// configuration that nobody expects.
fn search(places: &[&Path]) -> Result<(PathBuf, String), LoadError> {
    for place in places {
        match read(place) {
            Err(LoadError::Unreadable { source, .. }) if source.kind() == io::ErrorKind::NotFound => {}
            text => return Ok(((*place).to_owned(), text?)),
        }
    }
    Err(LoadError::Nowhere)
}

fn read(file: &Path) -> Result<String, LoadError> {
    let unreadable = |source| LoadError::Unreadable { file: file.to_owned(), source };
    let mut bytes = Vec::new();
    // One byte more than allowed shows that there is more; a length asked for beforehand means nothing for a pipe.
    let limited = File::open(file).map_err(unreadable)?.take(MAX_FILE_BYTES + 1).read_to_end(&mut bytes);
    if limited.map_err(unreadable)? as u64 > MAX_FILE_BYTES {
        return Err(LoadError::TooLarge(file.to_owned()));
    }
    String::from_utf8(bytes).map_err(|error| {
        let good = error.utf8_error().valid_up_to();
        let breaks = error.as_bytes().iter().take(good).filter(|byte| **byte == b'\n').count();
        LoadError::NotText { file: file.to_owned(), line: breaks + 1 }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    fn message<T>(result: Result<T, LoadError>) -> String {
        result.map(|_| ()).unwrap_err().to_string()
    }

    #[test]
    fn the_first_file_that_exists_is_taken() {
        let directory = tempfile::tempdir().unwrap();
        let (first, second) = (directory.path().join("first"), directory.path().join("second"));
        fs::write(&second, "2").unwrap();
        assert_eq!(search(&[&first, &second]).unwrap(), (second.clone(), "2".to_owned()));
        fs::write(&first, "1").unwrap();
        assert_eq!(search(&[&first, &second]).unwrap(), (first, "1".to_owned()));
    }

    #[test]
    fn a_file_that_cannot_be_read_is_not_passed_over() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("file");
        fs::write(&file, "").unwrap();
        assert!(message(search(&[directory.path(), &file])).contains("cannot read the configuration"));
    }

    #[test]
    fn without_a_file_the_places_and_the_option_are_named() {
        let absent = message(search(&[Path::new("/nonexistent/watchdog.toml")]));
        assert!(absent.contains("neither") && absent.contains("--config FILE"), "{absent}");
        for place in PLACES {
            assert!(absent.contains(place), "{absent}");
        }
        let named = message(load(Some(Path::new("/nonexistent/w.toml")), &[]));
        assert!(named.starts_with("/nonexistent/w.toml: cannot read the configuration"), "{named}");
    }

    #[test]
    fn a_file_above_the_limit_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("large");
        let handle = File::create(&file).unwrap();
        handle.set_len(MAX_FILE_BYTES).unwrap();
        assert_eq!(read(&file).unwrap().len() as u64, MAX_FILE_BYTES);
        handle.set_len(MAX_FILE_BYTES + 1).unwrap();
        assert!(message(read(&file)).ends_with("the configuration is larger than 16 MiB"));
    }

    #[test]
    fn text_that_is_not_utf_8_is_refused_with_its_line() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("latin1");
        fs::write(&file, b"a = 1\nb = \"\xe9\"\n").unwrap();
        assert!(message(read(&file)).ends_with("latin1:2: the configuration is not UTF-8 text"));
    }

    #[test]
    fn the_processs_environment_is_taken_over() {
        // Cargo sets it for every test.
        let variables = variables().unwrap();
        assert_eq!(variables.get("CARGO_PKG_NAME").map(String::as_str), Some("bresse-watchdog"));
    }
}
