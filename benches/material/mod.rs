//! Reports to work on, and a configuration that expects them.

use std::collections::BTreeMap;
use std::sync::Arc;

use bresse_watchdog::config::{Config, Sources};
use bresse_watchdog::imap::Cursor;
use bresse_watchdog::intake::{Taken, take_in};
use bresse_watchdog::mail::RawMail;
use bresse_watchdog::report::Roster;
use bresse_watchdog::store::{Batch, Kept, Place};
use chrono::{DateTime, TimeDelta, Utc};

pub(crate) const LEAN: &str = include_str!("../mails/lean.eml");
pub(crate) const MAILBOX: &str = "MONITOR";
/// Reports that are read, judged and stored together.
pub(crate) const BATCH: usize = 500;

/// A run of each checker in turn: that of `number` is received at `at`, and seen then.
pub(crate) fn mail(template: &str, number: usize, checkers: usize, at: DateTime<Utc>) -> RawMail {
    let text = template
        .replace('\n', "\r\n")
        .replace("{checker}", &format!("bresse{}", number % checkers + 1))
        .replace("{number}", &number.to_string())
        .replace("{date}", &at.to_rfc2822());
    let uid = u32::try_from(number + 1).unwrap();
    RawMail { uid, internal_date: Some(at), seen: at, bytes: text.into_bytes(), truncated: false }
}

/// The configuration file of so many checkers, each of which tests two services every five minutes.
pub(crate) fn config_text(checkers: usize) -> String {
    let checkers: String = (1..=checkers)
        .map(|number| format!("[[checker]]\nname = \"bresse{number}\"\nprovider = \"provider{number}\"\n"))
        .collect();
    format!(
        "[watchdog]\nname = \"bresse0\"\n[mailbox]\nhost = \"127.0.0.1\"\ntls = \"plain\"\n\
         user = \"monitor@domain.com\"\npassword = \"none\"\n[defaults]\ntests = [\n\
         {{ service = \"MSSQL1_Service\", timeout = \"10s\" }}, {{ service = \"ESHOP_Service\", timeout = \"30s\" }} ]\n\
         {checkers}"
    )
}

pub(crate) fn config(checkers: usize) -> Config {
    let text = config_text(checkers);
    let sources = Sources { text: &text, file: "bench.toml", environment: &BTreeMap::new(), overrides: &[] };
    Config::load(&sources).expect("a valid configuration")
}

pub(crate) fn parse(mails: &[RawMail], roster: &Roster) -> Vec<Taken> {
    let taken: Vec<Taken> = mails.iter().map(|mail| take_in(mail, MAILBOX, roster)).collect();
    assert!(taken.iter().all(|taken| taken.observation.mail.heard()), "every mail is a report");
    taken
}

/// What is stored of these, and that everything up to the last of them was read.
pub(crate) fn batch(taken: Vec<Taken>, at: DateTime<Utc>) -> Batch {
    let place = Place { mailbox: MAILBOX.to_owned(), folder: "INBOX".to_owned(), junk: false };
    let high = taken.iter().map(|taken| taken.uid).max().unwrap_or_default();
    let cursors = vec![(place.clone(), Cursor { uidvalidity: 1, high, low: 1 })];
    let place = Arc::new(place);
    let mails =
        taken.into_iter().map(|taken| Kept { place: Arc::clone(&place), taken, body: None }).collect();
    Batch { at, mails, cursors, ..Batch::default() }
}

pub(crate) fn now() -> DateTime<Utc> {
    DateTime::from_timestamp(1_795_000_000, 0).unwrap()
}

/// When the run of `number` is made, by checkers that write one after another.
pub(crate) fn moment(number: usize, checkers: usize) -> DateTime<Utc> {
    let cycle_ms = 300_000;
    now() + TimeDelta::milliseconds(i64::try_from(number * cycle_ms / checkers).unwrap())
}
