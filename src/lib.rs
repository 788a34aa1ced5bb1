//! skeleton
pub mod clock;
pub mod config;
pub mod engine;
pub mod imap;
pub mod incident;
pub mod intake;
pub mod ledger;
pub mod mail;
pub mod outbox;
pub mod report;
pub mod store;
pub mod time;
pub mod verdict;
pub mod words;
