//! skeleton
pub mod clock;
pub mod config;
pub mod imap;
pub mod mail;
pub mod oauth2;
pub mod secret;
pub mod tls;
