//! How well each mailbox is seen: read up to when, blind since when, and what happened while nobody looked.

use std::collections::BTreeMap;

use chrono::TimeDelta;
use serde::{Deserialize, Serialize};

use super::{Comparison, Engine, Look};
use crate::config::{self, Config};
use crate::expiry::Validity;
use crate::fullness::Fullness;
use crate::incident::{End, Incident, Subject};
use crate::ledger::Deadline;
use crate::ledger::few::Few;
use crate::time::Time;
use crate::verdict::Watch;

/// How much of the past is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum History {
    /// Older mails are still being fetched, newest first.
    Filling,
    Complete,
}

/// A reader that cannot read tries again within this: the longest back-off and the longest try.
pub const BETWEEN_TRIES: TimeDelta = TimeDelta::seconds(120);

/// What is known about the reading of one mailbox.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mailbox {
    /// The beginning of the last complete look, by the watchdog's clock.
    pub heard_until: Option<Time>,
    /// Its clock was certainly so much ahead of the server's then, in milliseconds; never negative.
    ahead_ms: i64,
    /// Blindness counts from here at the earliest: a watchdog that was off has not been trying.
    pub trying_since: Option<Time>,
    /// When a process last tried, or began to.
    tried: Option<Time>,
    pub last_failure: Option<(Time, String)>,
    /// The first and the last failed try since the last complete look, of this process or one before it.
    failing: Option<(Time, Time)>,
    /// Why its Junk folder cannot be read. Then nothing is said of what lies there, and all else is as it was.
    pub junk_failure: Option<String>,
    /// All mails were read, down to the oldest.
    pub history_known: bool,
    /// Its mails were numbered anew, and not all of them are read again yet.
    renumbered: bool,
    /// The receipt of the newest mail.
    pub last_receipt: Option<Time>,
    /// The first receipt since the mailbox is not read any more: after the first failed try, or else after `heard_until`.
    first_receipt_since: Option<Time>,
    /// It was not read for long, and what came in meanwhile may lie among the mails that are not read again yet.
    unclear: Option<Gap>,
    /// When every checker was last given a grace because the mailbox had been down.
    grace: Option<Time>,
    /// The watchdog's clock beside the server's.
    pub clock: Comparison,
    /// As it was last measured.
    pub fullness: Option<Fullness>,
    /// What its server showed last, when its dates matter.
    pub certificate: Option<Validity>,
    /// The last failure was that user, password or token were refused.
    pub login_refused: bool,
}

/// A complete look, as ages are counted by it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Looked {
    /// Its beginning, by the watchdog's clock.
    pub at: Time,
    /// That clock was certainly so much ahead of the server's; never negative.
    pub ahead: TimeDelta,
}

/// A time in which nobody could read a mailbox.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct Gap {
    /// The last look before it.
    from: Time,
    /// Receipts after this came in while nobody could read.
    unread_since: Time,
    /// A receipt up to this shows that the mailbox took mail.
    proof_until: Time,
    /// The first look after it.
    until: Time,
    /// The first that came in.
    first_receipt: Option<Time>,
}

/// What a complete look found out about the time before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Before {
    /// Nothing was missed since then.
    observed_from: Time,
    /// The mailbox took no mail in it: the senders' queues are still full. Else only the watchdog was cut off.
    down: Option<Gap>,
}

impl Mailbox {
    /// A mailbox that was never read.
    pub(super) fn watched_from(now: Time) -> Self {
        Self { trying_since: Some(now), ..Self::default() }
    }

    /// A mailbox as it was known to be at a moment of the past: last looked at so, all of its history included.
    pub fn read_until(looked: Option<Looked>) -> Self {
        let ahead_ms = looked.map_or(0, |looked| looked.ahead.num_milliseconds());
        Self { heard_until: looked.map(|looked| looked.at), ahead_ms, history_known: true, ..Self::default() }
    }

    /// By how much the watchdog's clock was certainly ahead of the server's at the last complete look; never negative.
    ///
    /// Of a clock that is behind nothing is made: receipts that it sees in its future count as received when they were
    /// seen, so that ages are its own from end to end.
    pub fn ahead(&self) -> TimeDelta {
        TimeDelta::milliseconds(self.ahead_ms)
    }

    /// The beginning of the last complete look, by the server's clock.
    fn heard_until_there(&self) -> Option<Time> {
        self.heard_until.map(|until| until - self.ahead())
    }

    /// A new process begins to try. It only goes on when the one before it was trying until a moment ago: a process that
    /// dies again and again must not put the alarm off for ever.
    pub(super) fn restart(&mut self, now: Time, blind_after: TimeDelta) {
        if self.tried.replace(now).is_none_or(|tried| now - tried > blind_after) {
            self.trying_since = Some(now);
        }
        self.last_failure = None;
        self.login_refused = false;
    }

    /// Nothing could be taken in up to now, through no fault of the mailbox.
    pub(super) fn excuse(&mut self, now: Time) {
        self.trying_since = Some(now);
    }

    /// How the last failure was told, if it was a refused login.
    pub fn refused_login(&self) -> Option<&str> {
        let (_, error) = self.last_failure.as_ref().filter(|_| self.login_refused)?;
        Some(error)
    }

    pub(super) fn received(&mut self, received: Time) {
        self.last_receipt = self.last_receipt.max(Some(received));
        let unread_since = self.failing.map(|(first, _)| first).max(self.heard_until);
        if self.heard_until.is_some() && Some(received) > unread_since {
            self.first_receipt_since = Some(earlier(self.first_receipt_since, received));
        }
        if let Some(gap) = self.unclear.as_mut().filter(|gap| received > gap.unread_since) {
            gap.first_receipt = Some(earlier(gap.first_receipt, received));
        }
    }

    fn failed(&mut self, error: &str, at: Time) {
        self.tried = Some(at);
        self.last_failure = Some((at, error.to_owned()));
        self.login_refused = false;
        let first = self.failing.map_or(at, |(first, _)| first);
        self.failing = Some((first, at));
        // It was up until just now, which says nothing about the time that begins now.
        self.first_receipt_since = self.first_receipt_since.filter(|receipt| *receipt > first);
    }

    fn looked(&mut self, started: Time, history: History, blind_after: TimeDelta) -> Before {
        self.tried = Some(started);
        self.ahead_ms = self.clock.ahead(started).num_milliseconds();
        let until_now = self.heard_until.replace(started);
        let first_receipt = self.first_receipt_since.take();
        self.last_failure = None;
        self.login_refused = false;
        let failing = self.failing.take();
        self.history_known = history == History::Complete;
        self.renumbered &= history == History::Filling;
        let gap = until_now.filter(|from| started - *from > blind_after).map(|from| Gap {
            from,
            unread_since: failing.map_or(from, |(first, _)| first.max(from)),
            // A mail that came after the last failed try may be the first one that a revived mailbox took, unless it has
            // been there for so long that more of them would have followed.
            proof_until: failing
                .map_or(started, |(_, last)| last.max(started - blind_after.max(BETWEEN_TRIES))),
            until: started,
            first_receipt,
        });
        let observed_from = until_now.filter(|_| gap.is_none()).unwrap_or(started).min(started);
        // Of two such times the later one says whose queues are full now.
        let gap = gap.or(self.unclear.take());
        if self.renumbered {
            self.unclear = gap;
            return Before { observed_from, down: None };
        }
        Before { observed_from, down: gap.filter(|gap| self.was_down(*gap)) }
    }

    /// Whether it took no mail, and everybody is to be given a grace for it.
    fn was_down(&mut self, gap: Gap) -> bool {
        if gap.first_receipt.is_some_and(|receipt| receipt <= gap.proof_until) {
            return false;
        }
        // One grace per silence of the mailbox: a watchdog that is started every ten minutes must not give it for ever.
        let given = self.grace.is_some_and(|grace| self.last_receipt.is_none_or(|receipt| receipt <= grace));
        if !given {
            self.grace = Some(gap.until);
        }
        !given
    }
}

impl Engine {
    /// A complete look at `mailbox` began at `started`; everything it found was observed before.
    pub fn looked(&mut self, mailbox: &str, started: Time, history: History, now: Time) {
        let Some(config) = self.config.mailboxes.iter().find(|one| one.name == mailbox) else { return };
        let blind_after = config.blind_after;
        let Some(state) = self.mailboxes.get_mut(mailbox) else { return };
        let history_was_known = state.history_known;
        let before = state.looked(started, history, blind_after);
        let ahead = state.ahead();
        if !history_was_known && state.history_known {
            // Who was not found in all of the history was never heard: each of them is judged now.
            self.touched.extend(self.facts.keys().cloned());
        }
        self.dirty.mailboxes.insert(mailbox.to_owned());
        self.dirty.looks.push(Look {
            mailbox: mailbox.to_owned(),
            from: before.observed_from,
            until: started,
            ahead,
        });
        if let Some(gap) = before.down {
            self.grant_grace(mailbox, gap.from - ahead, gap.until - ahead);
        }
        self.close_mailbox_incident(mailbox, now);
        self.judge_own_clock(mailbox, now);
        self.judge(started, ahead, now);
    }

    /// A folder of `mailbox` is numbered anew (UIDVALIDITY) and read again, its newest mails first: what is known of a checker
    /// is from before, and a newer mail of it may lie among those that are not read yet.
    pub fn renumbered(&mut self, mailbox: &str) {
        if let Some(state) = self.mailboxes.get_mut(mailbox) {
            state.renumbered = true;
            self.dirty.mailboxes.insert(mailbox.to_owned());
        }
    }

    /// How full `mailbox` is; None when nobody says how much it may hold.
    pub fn measured(&mut self, mailbox: &str, fullness: Option<Fullness>) {
        if let Some(state) = self.mailboxes.get_mut(mailbox) {
            state.fullness = fullness;
            self.dirty.mailboxes.insert(mailbox.to_owned());
        }
    }

    /// A look failed.
    pub fn look_failed(&mut self, mailbox: &str, error: &str, at: Time) {
        if let Some(state) = self.mailboxes.get_mut(mailbox) {
            state.failed(error, at);
            self.dirty.mailboxes.insert(mailbox.to_owned());
        }
    }

    /// Whether the Junk folder of `mailbox` can be read, which is no matter of blindness.
    pub fn junk_looked(&mut self, mailbox: &str, error: Option<&str>) {
        if let Some(state) = self.mailboxes.get_mut(mailbox) {
            state.junk_failure = error.map(str::to_owned);
            self.dirty.mailboxes.insert(mailbox.to_owned());
        }
    }

    /// A look failed because the server, or who gives out its tokens, does not let the watchdog in.
    pub fn login_refused(&mut self, mailbox: &str, error: &str, at: Time) {
        self.look_failed(mailbox, error, at);
        if let Some(state) = self.mailboxes.get_mut(mailbox) {
            state.login_refused = true;
        }
        if let Some(number) = self.mailbox_incident(mailbox) {
            self.revise_cause(number, at);
        }
    }

    /// The watchdog itself could not take in what the readers saw, up to `now`: blindness counts from here.
    pub fn excuse_readers(&mut self, now: Time) {
        self.mailboxes.values_mut().for_each(|mailbox| mailbox.excuse(now));
    }

    /// Nobody will try again: the mailbox is blind at once.
    pub fn give_up(&mut self, mailbox: &str, now: Time) {
        self.open_mailbox_incident(mailbox, now);
    }

    pub(super) fn notice_blindness(&mut self, now: Time) {
        let blind: Vec<String> =
            self.blind_times().filter(|(_, time)| *time <= now).map(|(name, _)| name.to_owned()).collect();
        blind.iter().for_each(|name| self.open_mailbox_incident(name, now));
    }

    /// When each mailbox becomes blind if nothing more is read; not those that are known to be.
    pub(super) fn blind_times(&self) -> impl Iterator<Item = (&str, Time)> {
        let known = |name: &str| self.mailbox_incident(name).is_some();
        self.mailboxes.iter().filter(move |(name, _)| !known(name)).filter_map(|(name, state)| {
            let since = state.heard_until.max(state.trying_since)?;
            let allowed = blind_after(&self.config, name)?;
            Some((name.as_str(), since + allowed + TimeDelta::milliseconds(1)))
        })
    }

    /// It was said that this mailbox cannot be read.
    pub(super) fn is_blind(&self, mailbox: &str) -> bool {
        self.mailbox_incident(mailbox).is_some()
    }

    /// The number of the open incident about this mailbox.
    fn mailbox_incident(&self, mailbox: &str) -> Option<u64> {
        self.number_about(&Subject::Mailbox(mailbox.to_owned()))
    }

    fn open_mailbox_incident(&mut self, mailbox: &str, now: Time) {
        if self.mailbox_incident(mailbox).is_some() {
            return;
        }
        let subject = Subject::Mailbox(mailbox.to_owned());
        let number = self.open(Incident::new(self.last_incident + 1, subject, now), now);
        let several = self.config.mailboxes.len() > 1;
        let token = if several { format!("{mailbox}_Mailbox") } else { "MONITOR_Mailbox".to_owned() };
        self.announce(number, token, now);
    }

    fn close_mailbox_incident(&mut self, mailbox: &str, now: Time) {
        if let Some(number) = self.mailbox_incident(mailbox) {
            self.close(number, now);
        }
    }

    /// Ends the alarm about a mailbox that is no longer configured.
    pub(super) fn forget_mailbox(&mut self, mailbox: &str, now: Time) {
        self.mailboxes.remove(mailbox);
        self.forget_clock_of(mailbox, now);
        self.forget_expiry(&Subject::Expiry(mailbox.to_owned()), now);
        if let Some(number) = self.mailbox_incident(mailbox) {
            if let Some(incident) = self.incidents.get_mut(&number) {
                incident.join(mailbox, now, None);
                incident.leave(mailbox, End::Removed(now));
            }
            self.close(number, now);
        }
    }

    fn grant_grace(&mut self, mailbox: &str, down_since: Time, from: Time) {
        for (name, facts) in &mut self.facts {
            let relies = facts.heard_through.is_empty() || facts.heard_through.contains_key(mailbox);
            if relies && facts.silent.is_none() {
                facts.excuse(down_since, from);
                self.touched.insert(name.clone());
                self.dirty.facts.insert(name.clone());
            }
        }
    }
}

fn earlier(known: Option<Time>, other: Time) -> Time {
    known.map_or(other, |known| known.min(other))
}

/// The mailboxes through which a checker was heard lately; all of them when it was never heard.
pub(super) fn receiving<'a>(
    heard_through: &'a Few<String, Time>,
    deadline: Deadline,
    mailboxes: &'a BTreeMap<String, Mailbox>,
) -> impl Iterator<Item = (&'a String, &'a Mailbox)> + Clone {
    let newest = heard_through.values().max();
    let recent = move |name: &str| match newest.zip(heard_through.get(name)) {
        Some((newest, heard)) => *newest - *heard <= deadline.total(),
        None => newest.is_none(),
    };
    mailboxes.iter().filter(move |(name, _)| recent(name))
}

/// Of the mailboxes through which a checker was heard lately, the one that was read last decides: each of them
/// receives every mail of it. One that was never heard may come through any.
pub fn watch_of(
    heard_through: &Few<String, Time>,
    deadline: Deadline,
    mailboxes: &BTreeMap<String, Mailbox>,
    config: &Config,
) -> Watch {
    let several_sources =
        mailboxes.len() > 1 || config.mailboxes.iter().any(|mailbox| mailbox.folders.len() > 1);
    let all_known = mailboxes.values().all(|mailbox| mailbox.history_known);
    let renumbered = mailboxes.values().any(|mailbox| mailbox.renumbered);
    let best = receiving(heard_through, deadline, mailboxes).max_by_key(|(_, mailbox)| mailbox.heard_until);
    Watch {
        heard_until: best.and_then(|(_, mailbox)| mailbox.heard_until_there()),
        ahead: best.map_or(TimeDelta::zero(), |(_, mailbox)| mailbox.ahead()),
        blind_after: best.and_then(|(name, _)| blind_after(config, name)).unwrap_or_default(),
        history_known: all_known,
        newest_known: all_known || !(several_sources || renumbered),
    }
}

pub(super) fn blind_after(config: &Config, mailbox: &str) -> Option<TimeDelta> {
    config.mailboxes.iter().find(|one: &&config::Mailbox| one.name == mailbox).map(|one| one.blind_after)
}
