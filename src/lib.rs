//! skeleton
pub mod clock;
pub mod config;
pub mod imap;
pub mod mail;
pub mod testbed;
