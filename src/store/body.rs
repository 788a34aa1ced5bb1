//! What a mail said, as it is stored in `content` and `hops`: without what stands in the other columns of its row, and
//! without what most reports do not have.

use std::borrow::Cow;
use std::collections::BTreeMap;

use chrono::DateTime;
use rusqlite::Row;
use serde::{Deserialize, Serialize, Serializer};

use super::read::from_json;
use super::time_of;
use crate::audit::{Hash, body_digest};
use crate::mail::{Hop, Undelivered};
use crate::report::{Said, Understood};
use crate::time::{Time, as_optional_rfc3339};
use crate::trust::Examined;

/// Of a report, which was heard and whose checker and date are columns.
#[derive(Serialize, Deserialize)]
struct Content<'a> {
    #[serde(default, skip_serializing_if = "Option::is_none", serialize_with = "as_optional_rfc3339")]
    run: Option<Time>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    dryrun: Option<Said>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    dryrun_late: bool,
    #[serde(default, skip_serializing_if = "is_empty")]
    results: Cow<'a, BTreeMap<String, Said>>,
    #[serde(default, skip_serializing_if = "is_empty")]
    unknown: Cow<'a, BTreeMap<String, Said>>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    truncated: bool,
    #[serde(default, skip_serializing_if = "<[String]>::is_empty")]
    problems: Cow<'a, [String]>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    undelivered: Option<Cow<'a, Undelivered>>,
}

fn is_empty(said: &BTreeMap<String, Said>) -> bool {
    said.is_empty()
}

/// What is stored of a report beside its columns.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Body {
    pub(super) content: String,
    pub(super) hops: String,
    /// Of both, as the ledger tells of them: it stays when they are pruned.
    pub(super) digest: Hash,
}

impl Body {
    /// # Errors
    /// When it cannot be written as JSON.
    pub fn of(mail: &Understood) -> serde_json::Result<Self> {
        let (content, hops) = (content(mail)?, hops(&mail.received)?);
        let digest = body_digest(content.as_bytes(), hops.as_bytes());
        Ok(Self { content, hops, digest })
    }
}

fn content(mail: &Understood) -> serde_json::Result<String> {
    serde_json::to_string(&Content {
        run: mail.run,
        dryrun: mail.dryrun,
        dryrun_late: mail.dryrun_late,
        results: Cow::Borrowed(&mail.results),
        unknown: Cow::Borrowed(&mail.unknown),
        truncated: mail.truncated,
        problems: Cow::Borrowed(&mail.problems),
        undelivered: mail.undelivered.as_ref().map(Cow::Borrowed),
    })
}

/// The name after `from`, the name after `by`, and the stamp in seconds since 1970.
#[derive(Deserialize)]
struct StoredHop(Option<String>, Option<String>, Option<i64>);

/// Newest first. Never empty: what was pruned is.
fn hops(chain: &[Hop]) -> serde_json::Result<String> {
    struct Chain<'a>(&'a [Hop]);
    impl Serialize for Chain<'_> {
        fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            let stored = |hop: &Hop| (hop.from.clone(), hop.by.clone(), hop.at.map(|at| at.timestamp()));
            serializer.collect_seq(self.0.iter().map(stored))
        }
    }
    serde_json::to_string(&Chain(chain))
}

/// What [`hops`] wrote.
pub(super) fn chain(hops: &str) -> rusqlite::Result<Vec<Hop>> {
    let stored: Vec<StoredHop> = from_json(hops)?;
    let hop =
        |StoredHop(from, by, at)| Hop { from, by, at: at.and_then(|at| DateTime::from_timestamp(at, 0)) };
    Ok(stored.into_iter().map(hop).collect())
}

/// The mail of a report's row, which begins at the column `first` with: checker, sent, content, hops.
pub(super) fn understood(row: &Row<'_>, first: usize) -> rusqlite::Result<Understood> {
    let content: Content<'_> = from_json(row.get_ref(first + 2)?.as_str()?)?;
    Ok(Understood {
        checker: row.get(first)?,
        not_heard: None,
        sent: row.get::<_, Option<i64>>(first + 1)?.map(time_of),
        run: content.run,
        examined: Examined::default(),
        dryrun: content.dryrun,
        dryrun_late: content.dryrun_late,
        results: content.results.into_owned(),
        unknown: content.unknown.into_owned(),
        truncated: content.truncated,
        problems: content.problems.into_owned(),
        undelivered: content.undelivered.map(Cow::into_owned),
        received: chain(row.get_ref(first + 3)?.as_str()?)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use chrono::{TimeZone, Utc};
    use rusqlite::{Connection, params};

    fn stored(mail: &Understood) -> (String, Understood) {
        let content = content(mail).unwrap();
        let (sent, hops) = (mail.sent.map(|sent| sent.timestamp_millis()), hops(&mail.received).unwrap());
        let db = Connection::open_in_memory().unwrap();
        let row = params![mail.checker, sent, content, hops];
        let read = db.query_row("SELECT $1, $2, $3, $4", row, |row| understood(row, 0)).unwrap();
        (content, read)
    }

    #[test]
    fn a_report_is_read_as_it_was_stored() {
        let at = |second| {
            Utc.with_ymd_and_hms(2026, 11, 20, 3, 0, 0).unwrap() + chrono::TimeDelta::seconds(second)
        };
        let usual = Understood {
            checker: Some("bresse1".into()),
            not_heard: None,
            sent: Some(at(0)),
            run: None,
            examined: Examined::default(),
            dryrun: Some(Said::Ok),
            dryrun_late: false,
            results: BTreeMap::from([("SQL".into(), Said::Ok), ("ESHOP \"é\"".into(), Said::Nok)]),
            unknown: BTreeMap::new(),
            truncated: false,
            problems: vec![],
            undelivered: None,
            received: vec![],
        };
        let (content, read) = stored(&usual);
        assert_eq!(content, r#"{"dryrun":"OK","results":{"ESHOP \"é\"":"NOK","SQL":"OK"}}"#);
        assert_eq!(read, usual);
        let strange = Understood {
            sent: None,
            run: Some(at(-7)),
            dryrun: None,
            dryrun_late: true,
            results: BTreeMap::new(),
            unknown: BTreeMap::from([("FTP".into(), Said::Both)]),
            truncated: true,
            problems: vec!["cut off".into()],
            undelivered: Some(Undelivered { delayed: true, status: None, said: "later".into() }),
            received: vec![
                Hop { from: Some("a.example".into()), by: None, at: Some(at(3)) },
                Hop { from: None, by: Some("b.example".into()), at: None },
            ],
            ..usual
        };
        assert_eq!(stored(&strange).1, strange);
    }
}
