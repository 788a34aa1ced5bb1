//! Everything that is wrong with a configuration, collected while it is read.

use std::cell::RefCell;
use std::collections::BTreeSet;

use thiserror::Error;

/// Every error of a configuration in the order of the file, one sentence each: `watchdog.toml:14: mailbox.port: …`.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{}", .0.join("\n"))]
pub struct ConfigErrors(Vec<String>);

impl ConfigErrors {
    /// At least one.
    pub fn messages(&self) -> &[String] {
        &self.0
    }
}

/// Where a value comes from.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Origin {
    /// The file as a whole.
    File,
    /// A line of the file, counted from 1.
    Line(usize),
    /// An environment variable, by name.
    Variable(String),
    CommandLine,
}

impl Origin {
    /// For the middle of a sentence.
    pub(super) fn reference(&self) -> String {
        match self {
            Self::File => "in the file".to_owned(),
            Self::Line(line) => format!("in line {line}"),
            Self::Variable(name) => format!("in the environment variable {name}"),
            Self::CommandLine => "on the command line".to_owned(),
        }
    }
}

/// A key path such as `checker[2].cycle`, and where it is set.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place {
    pub(super) origin: Origin,
    pub(super) path: String,
}

impl Place {
    fn sentence(&self, file: &str, sentence: &str) -> String {
        let origin = match &self.origin {
            Origin::File => file.to_owned(),
            Origin::Line(line) => format!("{file}:{line}"),
            Origin::Variable(name) => name.clone(),
            Origin::CommandLine => "command line".to_owned(),
        };
        if self.path.is_empty() {
            format!("{origin}: {sentence}")
        } else {
            format!("{origin}: {}: {sentence}", self.path)
        }
    }
}

/// Proof that an error was put into the [`Report`]; it stands wherever the value would have stood.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Reported(());

/// What kind of error it is decides what else is worth saying.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Nature {
    /// The text is not TOML.
    Syntax,
    /// The text is not TOML, and everything after this place was swallowed by it.
    OpenEnd,
    /// A value is wrong in itself.
    Value,
    /// A key is missing, unknown or doubled. Where the text is not TOML this may be nothing but a consequence.
    Shape,
}

#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Finding {
    place: Place,
    sentence: String,
    nature: Nature,
}

#[derive(Default)]
pub(super) struct Report {
    errors: RefCell<Vec<Finding>>,
    warnings: RefCell<Vec<(Place, String)>>,
}

impl Report {
    pub(super) fn error(&self, nature: Nature, place: &Place, sentence: impl Into<String>) -> Reported {
        let finding = Finding { place: place.clone(), sentence: sentence.into(), nature };
        self.errors.borrow_mut().push(finding);
        Reported(())
    }

    pub(super) fn warn(&self, place: &Place, sentence: impl Into<String>) {
        self.warnings.borrow_mut().push((place.clone(), sentence.into()));
    }

    /// The result with the warnings, or every error that was found.
    pub(super) fn close<T>(
        self,
        file: &str,
        result: Result<T, Reported>,
    ) -> Result<(T, Vec<String>), ConfigErrors> {
        let mut errors = self.errors.into_inner();
        if let (Ok(value), true) = (result, errors.is_empty()) {
            let mut warnings = self.warnings.into_inner();
            warnings.sort();
            let warnings = warnings.iter().map(|(place, sentence)| place.sentence(file, sentence));
            return Ok((value, warnings.collect()));
        }
        leave_out_consequences(&mut errors);
        errors.sort();
        errors.dedup();
        let sentences = errors.iter().map(|finding| finding.place.sentence(file, &finding.sentence));
        Err(ConfigErrors(sentences.collect()))
    }
}

/// Where the text is not TOML, a key may be missing, unknown or doubled only because of that, and what was read from the
/// broken line itself is worth nothing. The other errors still hold.
fn leave_out_consequences(errors: &mut Vec<Finding>) {
    let origins_of = |natures: &[Nature]| -> BTreeSet<Origin> {
        let findings = errors.iter().filter(|finding| natures.contains(&finding.nature));
        findings.map(|finding| finding.place.origin.clone()).collect()
    };
    let broken = origins_of(&[Nature::Syntax, Nature::OpenEnd]);
    let open_end = origins_of(&[Nature::OpenEnd]).pop_first();
    let swallowed = |origin: &Origin| {
        matches!(origin, Origin::Line(_)) && open_end.as_ref().is_some_and(|open_end| origin > open_end)
    };
    errors.retain(|Finding { place, nature, .. }| match nature {
        Nature::Syntax | Nature::OpenEnd => true,
        Nature::Value => !broken.contains(&place.origin) && !swallowed(&place.origin),
        Nature::Shape => broken.is_empty(),
    });
}

/// A text as it is quoted in a message: without control characters, and not longer than a line.
pub(super) fn quoted(text: &str) -> String {
    const LONGEST: usize = 60;
    let shown: String = text.chars().take(LONGEST).flat_map(char::escape_debug).collect();
    let more = if text.chars().nth(LONGEST).is_some() { "…" } else { "" };
    format!("\"{shown}{more}\"")
}
