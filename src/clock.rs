//! The one place where time enters.

use chrono::{DateTime, Utc};

/// Now, by the system's wall clock.
#[allow(clippy::disallowed_methods)]
pub fn now() -> DateTime<Utc> {
    Utc::now()
}
