//! Mails of checkers, as a server holds them and as the watchdog is shown them.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use bresse_watchdog::ledger::Observation;
use bresse_watchdog::mail::{Hop, RawMail};
use bresse_watchdog::report::{NotHeard, Said, Understood};
use bresse_watchdog::time::Time;
use bresse_watchdog::trust::{Examined, Why};
use chrono::DateTime;

use crate::site::{Ms, SERVICES, Site};

pub(crate) const MAILBOX: &str = "MONITOR";

/// 2026-11-20T03:00:00Z
const BEGINNING: Ms = 1_795_143_600_000;

/// The true time, and that of the mail server's clock.
pub(crate) fn at(ms: Ms) -> Time {
    DateTime::from_timestamp_millis(BEGINNING + ms).unwrap()
}

pub(crate) fn ms(time: Time) -> Ms {
    time.timestamp_millis() - BEGINNING
}

/// By service: 1 says OK, 2 says NOK, 3 both; 0 nothing.
pub(crate) type Results = [u8; SERVICES.len()];

#[derive(Debug, Clone, Copy)]
pub(crate) struct Mail {
    /// Two copies of one mail have the same.
    pub(crate) id: u64,
    pub(crate) checker: usize,
    /// When its run truly began.
    pub(crate) run: Ms,
    pub(crate) left: Ms,
    /// By the checker's clock.
    pub(crate) date: Ms,
    pub(crate) received: Ms,
    /// Another copy of it was sent.
    pub(crate) twice: bool,
    pub(crate) dryrun: bool,
    pub(crate) results: Results,
    /// The relays wrote down when they had it.
    pub(crate) chain: bool,
    pub(crate) sort: Sort,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sort {
    Report,
    /// Somebody's out-of-office notice that quotes one.
    AutoReply,
    /// In the name of a checker whose reports come from one address alone, from another.
    Forged,
    /// To an address that is no checker's.
    Astray,
}

fn whole_second(ms: Ms) -> Time {
    at(ms - ms.rem_euclid(1_000))
}

impl Mail {
    /// The server stamps whole seconds.
    pub(crate) fn stamp(&self) -> Time {
        whole_second(self.received)
    }

    pub(crate) fn raw(&self, uid: u32, site: &Site, seen: Time) -> RawMail {
        let name = &site.watched[self.checker].name;
        let author = if self.sort == Sort::Forged { "stranger" } else { name };
        let recipient = if self.sort == Sort::Astray { "nobody" } else { name };
        let mut text = String::with_capacity(600);
        if self.chain {
            for (from, by, when) in [
                ("mx.domain.example", "store.domain.example", self.received),
                ("host", "relay.example", self.left),
            ] {
                let when = whole_second(when).to_rfc2822();
                let _ = write!(text, "Received: from {from} by {by} with ESMTP; {when}\r\n");
            }
        }
        let sort = if self.sort == Sort::AutoReply { "auto-replied" } else { "auto-generated" };
        let _ = write!(
            text,
            "From: {author}@checker.example\r\nTo: {recipient}+monitor@domain.example\r\nDate: {}\r\n\
             Message-ID: <{}.{:?}@checker.example>\r\nAuto-Submitted: {sort}\r\nSubject:",
            whole_second(self.date).to_rfc2822(),
            self.id,
            self.sort
        );
        if self.dryrun {
            text.push_str(" DRYRUN.OK");
        }
        for (service, said) in SERVICES.iter().zip(self.results) {
            for (_, word) in [(1, "OK"), (2, "NOK")].iter().filter(|(bit, _)| said & bit != 0) {
                let _ = write!(text, " {service}.{word}");
            }
        }
        text.push_str("\r\nMIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\n\r\nOne run.\r\n");
        RawMail { uid, internal_date: Some(self.stamp()), seen, bytes: text.into_bytes(), truncated: false }
    }

    /// What the product makes of [`Self::raw`], without its bytes.
    pub(crate) fn observation(&self, site: &Site, seen: Time, junk: bool) -> Observation {
        let hop = |ms| Hop {
            from: Some("mx.domain.example".into()),
            by: Some("store.domain.example".into()),
            at: Some(whole_second(ms)),
        };
        let mut results = BTreeMap::new();
        for (service, said) in SERVICES.iter().zip(self.results) {
            let said = match said {
                0 => continue,
                1 => Said::Ok,
                2 => Said::Nok,
                _ => Said::Both,
            };
            results.insert((*service).to_owned(), said);
        }
        let not_believed = Why::FromNotAllowed;
        let not_heard = match self.sort {
            Sort::Report if junk => Some(NotHeard::Junked),
            Sort::Report => None,
            Sort::AutoReply => Some(NotHeard::AutoReply),
            Sort::Forged => Some(NotHeard::Untrusted(not_believed)),
            Sort::Astray => Some(NotHeard::NobodyKnown),
        };
        let examined = Examined {
            from: (self.sort == Sort::Forged).then_some(Err(not_believed)),
            ..Examined::default()
        };
        Observation {
            mailbox: MAILBOX.into(),
            received: self.stamp().min(seen),
            seen,
            mail: Understood {
                checker: (self.sort != Sort::Astray).then(|| site.watched[self.checker].name.clone()),
                not_heard,
                sent: Some(whole_second(self.date)),
                dryrun: self.dryrun.then_some(Said::Ok),
                dryrun_late: false,
                results,
                unknown: BTreeMap::new(),
                truncated: false,
                problems: vec![],
                undelivered: None,
                run: None,
                examined,
                received: if self.chain { vec![hop(self.received), hop(self.left)] } else { vec![] },
            },
        }
    }
}
