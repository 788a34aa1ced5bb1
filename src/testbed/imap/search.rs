//! SEARCH and UID SEARCH (RFC 3501, section 6.4.4), as much as readers of a mailbox use. Header values are compared as
//! they stand in the mail, encoded words undecoded.

use std::fmt::Write;

use chrono::NaiveDate;

use super::command::{Args, Command, Syntax};
use super::message;
use super::sequence::{Ranges, SequenceSet};
use super::session::{Failure, Session};
use crate::testbed::store::StoredMail;

enum Key {
    All,
    Sequence(SequenceSet),
    Uid(SequenceSet),
    Before(NaiveDate),
    On(NaiveDate),
    Since(NaiveDate),
    Header { name: String, value: String },
}

/// A key that knows what `*` is.
enum Test {
    All,
    Sequence(Ranges),
    Uid(Ranges),
    Before(NaiveDate),
    On(NaiveDate),
    Since(NaiveDate),
    Header { name: String, value: String },
}

impl Session {
    pub(super) fn search(&mut self, command: &Command) -> Result<String, Failure> {
        let by_uid = command.name.starts_with("UID ");
        let keys = parse(command.args())?;
        let mails = &self.selected()?.folder.mails;
        let largest_uid = mails.last().map(|mail| mail.uid);
        let largest_sequence = u32::try_from(mails.len()).ok().filter(|count| *count > 0);
        let tests: Vec<Test> =
            keys.into_iter().map(|key| key.resolve(largest_sequence, largest_uid)).collect();
        let mut line = "* SEARCH".to_owned();
        for (sequence, mail) in (1..).zip(mails) {
            if tests.iter().all(|test| test.holds(sequence, mail)) {
                let number = if by_uid { mail.uid } else { sequence };
                // Writing to a String cannot fail.
                let _ = write!(line, " {number}");
            }
        }
        self.connection.put_line(&line);
        Ok(format!("{} completed", command.name))
    }
}

impl Key {
    fn resolve(self, largest_sequence: Option<u32>, largest_uid: Option<u32>) -> Test {
        match self {
            Self::All => Test::All,
            Self::Sequence(set) => Test::Sequence(set.resolve(largest_sequence)),
            Self::Uid(set) => Test::Uid(set.resolve(largest_uid)),
            Self::Before(date) => Test::Before(date),
            Self::On(date) => Test::On(date),
            Self::Since(date) => Test::Since(date),
            Self::Header { name, value } => Test::Header { name, value },
        }
    }
}

impl Test {
    fn holds(&self, sequence: u32, mail: &StoredMail) -> bool {
        let day = mail.internal_date.date_naive();
        match self {
            Self::All => true,
            Self::Sequence(ranges) => ranges.contain(sequence),
            Self::Uid(ranges) => ranges.contain(mail.uid),
            Self::Before(date) => day < *date,
            Self::On(date) => day == *date,
            Self::Since(date) => *date <= day,
            Self::Header { name, value } => message::fields(&mail.bytes).iter().any(|field| {
                message::field_name(field).eq_ignore_ascii_case(name.as_bytes())
                    && message::field_value(field).contains(value)
            }),
        }
    }
}

fn parse(mut args: Args<'_>) -> Result<Vec<Key>, Syntax> {
    if args.eat(b"CHARSET ") {
        let charset = args.astring()?;
        if !charset.eq_ignore_ascii_case("UTF-8") && !charset.eq_ignore_ascii_case("US-ASCII") {
            return Err(Syntax("[BADCHARSET (UTF-8 US-ASCII)] Unknown charset".to_owned()));
        }
        args.space()?;
    }
    let mut keys = vec![parse_key(&mut args)?];
    while !args.is_empty() {
        args.space()?;
        keys.push(parse_key(&mut args)?);
    }
    Ok(keys)
}

fn parse_key(args: &mut Args<'_>) -> Result<Key, Syntax> {
    if matches!(args.0.first(), Some(b'0'..=b'9' | b'*')) {
        return Ok(Key::Sequence(SequenceSet::parse(args)?));
    }
    let name = args.atom()?.to_ascii_uppercase();
    if name == "ALL" {
        return Ok(Key::All);
    }
    args.space()?;
    match name.as_str() {
        "UID" => Ok(Key::Uid(SequenceSet::parse(args)?)),
        "BEFORE" => Ok(Key::Before(parse_date(args)?)),
        "ON" => Ok(Key::On(parse_date(args)?)),
        "SINCE" => Ok(Key::Since(parse_date(args)?)),
        "FROM" | "TO" | "CC" | "SUBJECT" => Ok(Key::Header { name, value: args.astring()?.to_lowercase() }),
        "HEADER" => {
            let name = args.astring()?;
            args.space()?;
            Ok(Key::Header { name, value: args.astring()?.to_lowercase() })
        }
        _ => Err(Syntax(format!("Unknown SEARCH key {name}"))),
    }
}

fn parse_date(args: &mut Args<'_>) -> Result<NaiveDate, Syntax> {
    let text = args.astring()?;
    NaiveDate::parse_from_str(&text, "%d-%b-%Y")
        .map_err(|_| Syntax("Expected a date like 3-Mar-2026".to_owned()))
}
