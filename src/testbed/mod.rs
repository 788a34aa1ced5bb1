//! A mail server inside the library: the `demo` command runs on it, and tests script its faults.
//!
//! Real sockets, kept in memory. [`MailStore`] holds the folders, [`imap::ImapServer`] serves them,
//! [`smtp::SmtpSink`] accepts mail and can deliver it into them.

pub mod dns;
mod faults;
pub mod imap;
mod net;
pub mod smtp;
pub mod store;

pub use net::Tls;
pub use store::MailStore;

use std::sync::{Mutex, MutexGuard, PoisonError};

/// Every change under these locks is a single step, so a panic elsewhere leaves nothing half done.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
