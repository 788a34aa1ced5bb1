//! Why a checker is silent or late, on a real Postfix → Dovecot path.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::disallowed_methods)]

mod rig;

#[path = "real_reasons/forged.rs"]
mod forged;
#[path = "real_reasons/canary.rs"]
mod canary;
#[path = "real_reasons/full.rs"]
mod full;
#[path = "real_reasons/held.rs"]
mod held;
#[path = "real_reasons/junked.rs"]
mod junked;
