//! bresse-watchdog: the watchdog over the checkers that watch a company's services.
//!
//! Small checkers mail OK or NOK for every service to one shared mailbox. A dead checker sends nothing, so nobody is
//! woken. This program reads that mailbox, knows when each checker was last heard, and alarms through another channel
//! when one falls silent or a service fails. This page is the architecture of the crate.
//!
//! # The flow
//!
//! ```text
//!            ┌───────────────────────────── core: no I/O, no async, no clock ─────────────────────────────┐
//! imap ─────▶│ mail ─▶ report ─▶ intake ─▶ ledger ─▶ verdict ─▶ reason ─▶ incident ─▶ words ─▶ outbox     │──▶ channel
//! clock ────▶│ now, heard_until             └──────────────────── engine ──────────────────────┘          │
//!            │                                               └─▶ view, matrix, explanation                │──▶ commands
//!            └────────────────────────────────────────────────────────────────────────────────────────────┘
//!              store: mails, cursors, facts, incidents and outbox in one transaction
//! ```
//!
//! The shell ([`service`]) feeds the core what the readers saw, stores what the core decided in one transaction, and
//! only then sends. It decides nothing itself. That order is kept by [`flow`], which knows no clock and waits for nothing:
//! `tests/centuries` runs it in a time of its own.
//!
//! # What always holds
//!
//! - Time, the environment and randomness enter in one place each: [`clock`], [`config::environment`], and `nonce`, where
//!   nobody may guess it, or the back-off of [`imap`], where anybody may ([`demo`] also draws a password and the name of
//!   a folder). `.clippy.toml` bans them elsewhere; `tests/architecture.rs` bans I/O from the core.
//! - Silence counts only up to `heard_until`, the beginning of the last complete look at the mailbox. A look is complete
//!   only with the server's tagged OK. Blind is not silent.
//! - A verdict is computed from facts and never stored, except that a silence lasts until the checker is heard again.
//! - Facts do not depend on the order of reading: history is read newest first.
//! - What lies in Junk is never heard, and no receipt of the mailbox. It and delivery reports are evidence of a reason,
//!   and neither put off nor end an alarm.
//! - The mailbox is never changed: EXAMINE and PEEK only.
//! - A mail that is not believed to be its checker's changes nothing but what is said about such mails; a mail that is sent
//!   again proves nothing new, in whatever order the two are read.
//! - The cursor, the mails it covers and what follows from them are one transaction. A message's attempt is counted
//!   before it is made, and the message is gone only after the far side's yes.
//! - `NOK` stands in alarms only: recoveries and tests are made by one function of [`words`] that breaks it up.
//! - Every byte from outside is hostile: sizes, counts, depths and times are bounded by named constants where they enter.
//!
//! # Where things go
//!
//! A new kind of channel is a file in [`channel`] and a variant of [`config::ChannelKind`]. A new thing to be alarmed
//! about is a variant of [`incident::Subject`] and its sentences in [`words`]. A rule of reporting is a variant of
//! [`config::Breach`], a function in [`ledger::findings`] and its sentences. A new reason for a silence is a variant of
//! [`reason::Reason`], a row in its table of rules, and a sentence. What a mail may look like is decided in
//! [`mail`], and specified by the corpus in `fixtures/mail`.
//!
//! # The modules, in reading order

// The core.
pub mod time;
mod text;
mod sha256;
pub mod fullness;
pub mod expiry;
pub mod config;
pub mod mail;
pub mod trust;
pub mod report;
pub mod intake;
pub mod ledger;
pub mod verdict;
pub mod reason;
pub mod incident;
pub mod policy;
pub mod links;
pub mod words;
pub mod bulletin;
pub mod outbox;
pub mod digest;
pub mod payload;
pub mod orders;
pub mod audit;
pub mod tally;
pub mod engine;
pub mod view;
pub mod incidents;
pub mod strip;
pub mod matrix;
pub mod down;
pub mod explanation;
pub mod detail;
mod site;
pub mod independence;
pub mod proposal;
pub mod backtest;
pub mod checkup;

// The shell.
pub mod clock;
pub mod logs;
mod nonce;
mod secret;
mod keys;
mod tls;
mod net;
pub mod dns;
mod oauth2;
pub mod imap;
pub mod store;
mod past;
mod inquiry;
mod summary;
pub mod flow;
pub mod rerun;
pub mod channel;
mod control;
mod web;
mod dead_files;
mod progress;
pub mod service;
pub mod commands;

// An embedded mail server, for the demo and the tests.
pub mod testbed;
pub mod demo;

// Measures time, for the tests.
#[cfg(test)]
mod linear;
