//! A digest as it goes out.

use super::{Letter, without_nok};
use crate::digest::Digest;

/// The letter, and the same as HTML. No approval may be opened by it.
pub fn digest(digest: &Digest) -> (Letter, String) {
    let rendered = digest.render();
    (Letter::notice(&rendered.subject, &rendered.text), without_nok(&rendered.html))
}
