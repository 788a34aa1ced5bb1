//! `[dead_files]`: a file for each checker and service that is down, for scripts.

use std::path::PathBuf;

use super::report::Reported;
use super::section::Section;
use super::value;

/// Returns the folder.
pub(super) fn read(root: &mut Section<'_>) -> Result<Option<PathBuf>, Reported> {
    root.optional("dead_files", |item| {
        let mut section = item.section("[dead_files]")?;
        let folder = section.required("folder", |item| value::path(&item));
        section.finish();
        folder
    })
}
