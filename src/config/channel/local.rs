//! `type = "command"` and `type = "file"`: what stays on this machine.

use std::path::PathBuf;

use super::super::report::Reported;
use super::super::section::Section;
use super::super::value;

const MAX_WORDS: usize = 64;

/// The program and its arguments, one by one: no shell takes them apart.
pub(super) fn command(section: &mut Section<'_>) -> Result<Vec<String>, Reported> {
    section.required("command", |item| item.list(1..=MAX_WORDS, |word| value::line(&word)))
}

pub(super) fn file(section: &mut Section<'_>) -> Result<PathBuf, Reported> {
    section.required("path", |item| value::path(&item))
}
