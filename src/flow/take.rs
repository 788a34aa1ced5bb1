//! Mails on their way from a reader into the core: known ones are dropped, new ones observed and kept.

use std::sync::Arc;

use anyhow::Result;

use super::Flow;
use crate::config::Mailbox;
use crate::imap::Cursor;
use crate::intake::{Again, SameRun, Taken, take_in, take_in_junk};
use crate::mail::RawMail;
use crate::report::Roster;
use crate::store::{Body, Kept, Place};
use crate::time::Time;
use crate::trust::Why;

/// A mail as its reader hands it over.
#[derive(Debug)]
pub struct Arrival {
    /// INTERNALDATE, even one in the future.
    stamped: Option<Time>,
    taken: Taken,
    /// Of a report.
    body: Option<Body>,
}

impl Arrival {
    /// None of a mail in the Junk folder that is nobody's business.
    pub fn of(raw: &RawMail, folder: &str, mailbox: &Mailbox, roster: &Roster) -> Option<Self> {
        let taken = if mailbox.junk.as_deref() == Some(folder) {
            take_in_junk(raw, &mailbox.name, roster)?
        } else {
            take_in(raw, &mailbox.name, roster)
        };
        let mail = &taken.observation.mail;
        // What cannot be written is an error of the store's, once it is to be stored.
        let body = if mail.heard() { Body::of(mail).ok() } else { None };
        Some(Self { stamped: raw.internal_date, taken, body })
    }
}

impl Flow {
    /// Empties `mails`, unless the store cannot be asked about them.
    pub(super) fn take_mails(
        &mut self,
        place: Place,
        mails: &mut Vec<Arrival>,
        cursor: Cursor,
    ) -> Result<()> {
        let place = Arc::new(place);
        let known = self.store.known(mails.iter().map(|mail| &mail.taken.key))?;
        let runs = self.store.known_runs(mails.iter().filter_map(|mail| mail.taken.run_key.as_ref()))?;
        self.runs
            .extend(runs.into_iter().filter(|(key, _)| !self.runs.contains_key(key)).collect::<Vec<_>>());
        let reached = self.batch.cursors.iter().rfind(|(of, _)| *of == *place).map(|(_, cursor)| *cursor);
        let reached = reached.or_else(|| self.cursors.get(&*place).copied());
        if !place.junk && reached.is_some_and(|reached| reached.uidvalidity != cursor.uidvalidity) {
            self.engine.renumbered(&place.mailbox);
        }
        for Arrival { stamped, mut taken, body } in mails.drain(..) {
            let came_in = reached.is_some_and(|reached| reached.lacks(cursor, taken.uid));
            let stamped = stamped.filter(|_| came_in);
            if let Some(id) = &taken.canary {
                self.engine.canary_came(id, taken.observation.received);
            }
            // The same mail is read again after a UIDVALIDITY change, and through every mailbox that receives it.
            let is_known =
                self.was_kept_once(&taken) || known.contains(&taken.key) || !self.keys.insert(taken.key);
            let copy = is_known || self.was_said_before(&mut taken) == Some(Again::Copy);
            let news = if copy {
                self.engine.observe_copy(&taken.observation)
            } else {
                self.engine.observe(&taken.observation);
                true
            };
            if let Some(stamped) = stamped.filter(|_| news) {
                self.engine.arrived(&taken.observation, stamped);
            }
            if !copy {
                self.batch.mails.push(Kept { place: Arc::clone(&place), taken, body });
            }
        }
        if reached != Some(cursor) {
            self.batch.cursors.push((Place::clone(&place), cursor));
        }
        Ok(())
    }

    /// It is older than all that is kept: whoever reads it anew must not take it for news, nor keep it again.
    fn was_kept_once(&self, taken: &Taken) -> bool {
        self.kept_since.is_some_and(|since| taken.observation.received < since)
    }

    /// Holds a signed report against another one of the same run with the same tokens. A replay is a report no more.
    fn was_said_before(&mut self, taken: &mut Taken) -> Option<Again> {
        let key = taken.run_key?;
        let (checker, received) = (taken.observation.mail.checker.clone()?, taken.observation.received);
        let this = SameRun { received, message_id: taken.message_id.clone() };
        let Some(other) = self.runs.get(&key) else {
            self.runs.insert(key, this);
            return None;
        };
        let again = taken.compared_with(other);
        match again {
            Again::Copy => {}
            Again::Replay => taken.distrust(Why::Replayed),
            Again::Original => {
                self.engine.suspect_replay(&checker, other.received);
                self.runs.insert(key, this);
            }
        }
        Some(again)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::config::{Config, Sources};
    use crate::engine::{Comparison, History};
    use chrono::{TimeDelta, TimeZone, Utc};

    fn at(second: i64) -> Time {
        Utc.with_ymd_and_hms(2026, 11, 20, 3, 0, 0).unwrap() + TimeDelta::seconds(second)
    }

    fn place(folder: &str) -> Place {
        Place { mailbox: "MONITOR".to_owned(), folder: folder.to_owned(), junk: false }
    }

    /// A report that the server stamped in one second and the watchdog saw in another.
    fn mail(uid: u32, stamped: i64, seen: i64) -> RawMail {
        let text = format!(
            "To: bresse1+monitor@domain.com\r\nMessage-ID: <{stamped}@checker>\r\nSubject: DRYRUN.OK\r\n\r\n"
        );
        let (internal_date, seen) = (Some(at(stamped)), at(seen));
        RawMail { uid, internal_date, seen, bytes: text.into_bytes(), truncated: false }
    }

    fn flow(folder: &tempfile::TempDir) -> Flow {
        let text = format!(
            "[watchdog]\nname = \"bresse8\"\nstate = \"sqlite:{}\"\n[mailbox]\nhost = \"mail.example\"\n\
             user = \"monitor@domain.com\"\npassword = \"secret\"\n[[checker]]\nname = \"bresse1\"\nprovider = \"free\"\n\
             tests = []\n",
            folder.path().join("watchdog.db").display()
        );
        let sources =
            Sources { text: &text, file: "watchdog.toml", environment: &BTreeMap::new(), overrides: &[] };
        Flow::open(Config::load(&sources).unwrap(), &BTreeMap::new(), None, at(0)).unwrap()
    }

    /// Whether reading this mail, when `before` had been read of the folder, told anything of the clocks.
    fn tells(flow: &mut Flow, folder: &str, raw: RawMail, after: Cursor) -> bool {
        let clock = |flow: &Flow| flow.engine.mailboxes()["MONITOR"].clock.clone();
        let before = clock(flow);
        let mailbox = &flow.engine.config().mailboxes[0];
        let arrival = Arrival::of(&raw, folder, mailbox, &flow.roster).unwrap();
        flow.take_mails(place(folder), &mut vec![arrival], after).unwrap();
        before != clock(flow)
    }

    #[test]
    fn only_a_mail_that_came_since_the_last_look_tells_of_the_clocks() {
        let folder = tempfile::tempdir().unwrap();
        let mut flow = flow(&folder);
        let cursor = |low, high| Cursor { uidvalidity: 7, low, high };
        assert!(!tells(&mut flow, "INBOX", mail(90, -1_000, 1), cursor(90, 100)), "the newest history");
        flow.engine.looked("MONITOR", at(0), History::Filling, at(2));
        assert!(!tells(&mut flow, "INBOX", mail(80, -2_000, 3), cursor(80, 100)), "older history");
        assert!(tells(&mut flow, "INBOX", mail(101, 5, 10), cursor(80, 101)), "it was not there at the look");
        assert!(!tells(&mut flow, "Archive", mail(102, 6, 11), cursor(1, 102)), "a folder never read before");
        let renumbered = Cursor { uidvalidity: 8, low: 1, high: 103 };
        assert!(
            !tells(&mut flow, "INBOX", mail(103, -3_000, 12), renumbered),
            "the folder was numbered anew"
        );
        assert!(!tells(&mut flow, "Archive", mail(103, 5, 13), cursor(1, 103)), "it was moved from INBOX");
        assert!(tells(&mut flow, "INBOX", mail(104, 7, 14), Cursor { high: 104, ..renumbered }));
        flow.commit(at(14)).unwrap();
        drop(flow);
        let again = self::flow(&folder);
        assert_ne!(
            again.engine.mailboxes()["MONITOR"].clock,
            Comparison::default(),
            "a restart forgets nothing"
        );
    }

    #[test]
    fn a_mail_from_before_what_is_kept_is_neither_news_nor_kept_again() {
        let folder = tempfile::tempdir().unwrap();
        let mut flow = flow(&folder);
        let day = |day: i64| day * 86_400;
        let cursor = |uidvalidity| Cursor { uidvalidity, low: 1, high: 100 };
        let kept = TimeDelta::days(30);
        let reports = |flow: &Flow| {
            let mut count = 0;
            flow.store.entries(at(day(-1)), at(day(100)), |_, _| count += 1).unwrap();
            count
        };
        for number in 0..60 {
            let second = day(number);
            tells(&mut flow, "INBOX", mail(u32::try_from(number).unwrap(), second, second + 1), cursor(7));
            flow.engine.looked("MONITOR", at(second + 2), History::Complete, at(second + 2));
            flow.commit(at(second + 2)).unwrap();
            while flow.store.cut(kept, at(second + 3)).unwrap() {}
        }
        // As the daemon does when it starts again.
        drop(flow);
        let mut flow = self::flow(&folder);
        let since = flow.kept_since.expect("some was cut");
        assert!(since > at(day(20)) && since < at(day(31)), "{since}");
        let before = reports(&flow);
        let heard = |flow: &Flow| {
            let facts = &flow.engine.facts()["bresse1"];
            (facts.last_received, facts.heard_at(), facts.silent)
        };
        let known = heard(&flow);
        // All of them again, under other numbers.
        for number in 0..60 {
            tells(
                &mut flow,
                "INBOX",
                mail(u32::try_from(number).unwrap() + 200, day(number), day(60)),
                cursor(8),
            );
        }
        flow.engine.looked("MONITOR", at(day(59) + 60), History::Complete, at(day(59) + 60));
        flow.commit(at(day(59) + 60)).unwrap();
        assert_eq!((reports(&flow), heard(&flow)), (before, known));
        assert!(before < 60, "{before} of 60 are kept");

        // Without that they would come back.
        flow.kept_since = None;
        tells(&mut flow, "INBOX", mail(300, day(0), day(60)), cursor(8));
        flow.commit(at(day(59) + 61)).unwrap();
        assert_eq!(reports(&flow), before + 1);
    }

    #[test]
    fn silence_waits_until_a_folder_that_was_numbered_anew_is_read_again() {
        let folder = tempfile::tempdir().unwrap();
        let mut flow = flow(&folder);
        let cursor = |uidvalidity, low| Cursor { uidvalidity, low, high: 100 };
        let silent = |flow: &Flow| flow.engine.facts()["bresse1"].silent.is_some();
        tells(&mut flow, "INBOX", mail(100, 0, 1), cursor(7, 1));
        for second in (1..400).step_by(100) {
            flow.engine.looked("MONITOR", at(second), History::Complete, at(second));
        }
        flow.commit(at(301)).unwrap();
        flow.take_mails(place("INBOX"), &mut Vec::new(), cursor(8, 90)).unwrap();
        for second in (401..1_000).step_by(100) {
            flow.engine.looked("MONITOR", at(second), History::Filling, at(second));
        }
        assert!(!silent(&flow), "its newest mail may lie below the first window");
        flow.commit(at(901)).unwrap();
        drop(flow);
        let mut flow = self::flow(&folder);
        flow.engine.looked("MONITOR", at(1_001), History::Filling, at(1_001));
        assert!(!silent(&flow), "a restart forgets nothing");
        flow.engine.looked("MONITOR", at(1_002), History::Complete, at(1_002));
        assert!(silent(&flow));
    }
}
