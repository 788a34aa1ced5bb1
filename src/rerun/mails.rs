//! Whole mails, from files or from a mailbox: each configuration understands them itself.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Result, bail};

use super::{Asked, Progress, Rerun, start};
use crate::backtest::{Found, Mail, Replay, Sight};
use crate::config::Config;
use crate::intake::{Again, Key, RunKey, SameRun, Taken, take_in};
use crate::mail::RawMail;
use crate::report::Roster;
use crate::time::Time;
use crate::trust::{Keys, Why};

/// What was understood of so many mails is held in memory, about 1 KB each.
const MAILS_MAX: usize = 250_000;

/// Mails of a span, in any order.
#[derive(Debug)]
pub struct Mails<'a> {
    configs: &'a [Config],
    rosters: Vec<Roster>,
    asked: Asked,
    /// Older ones say nothing about the span.
    oldest: Option<Time>,
    keys: BTreeSet<Key>,
    held: Vec<Held>,
}

#[derive(Debug)]
struct Held {
    received: Time,
    copy: bool,
    /// One for each configuration, or a single one where they all understand the same.
    taken: Vec<Taken>,
}

impl<'a> Mails<'a> {
    /// `keys` are those of the checkers that have to sign, for each configuration.
    pub fn new(configs: &'a [Config], keys: &[Keys], asked: Asked) -> Self {
        let warm_up = configs.iter().map(crate::backtest::warm_up).max().unwrap_or_default();
        Self {
            configs,
            rosters: configs
                .iter()
                .zip(keys)
                .map(|(config, keys)| Roster::new(&config.checkers, keys))
                .collect(),
            asked,
            oldest: asked.from.map(|from| from - warm_up),
            keys: BTreeSet::new(),
            held: Vec::new(),
        }
    }

    /// Whether a mail that was received then is of use.
    pub fn wants(&self, received: Time) -> bool {
        Some(received) >= self.oldest && self.asked.until.is_none_or(|until| received <= until)
    }

    /// Whether every older mail is useless too.
    pub fn is_before(&self, received: Time) -> bool {
        Some(received) < self.oldest
    }

    /// Takes in one mail of `mailbox`.
    ///
    /// # Errors
    /// When there are more than can be held.
    pub fn take(&mut self, raw: &RawMail, mailbox: &str) -> Result<()> {
        if !self.wants(raw.received()) {
            return Ok(());
        }
        if self.held.len() >= MAILS_MAX {
            bail!("There are more than {MAILS_MAX} mails; choose a part of them with --from and --until.");
        }
        let slim = |taken| Taken { heading: None, ..taken };
        let mut taken: Vec<Taken> =
            self.rosters.iter().map(|roster| slim(take_in(raw, mailbox, roster))).collect();
        if taken.windows(2).all(|pair| matches!(pair, [one, other] if one == other)) {
            taken.truncate(1);
        }
        let copy = taken.first().is_some_and(|taken| !self.keys.insert(taken.key));
        self.held.push(Held { received: raw.received(), copy, taken });
        Ok(())
    }

    /// Judges them by each configuration, as if somebody had looked at the mailbox all the time until `last`, or until the
    /// newest mail.
    ///
    /// # Errors
    /// When there is none.
    pub fn replay(mut self, last: Option<Time>, progress: Progress<'_>) -> Result<Rerun> {
        self.held.sort_by_key(|mail| mail.received);
        let ends = self.held.first().zip(self.held.last());
        let Some((first, newest)) = ends.map(|(first, last)| (first.received, last.received)) else {
            bail!("There is no mail to judge.");
        };
        let (from, until) = self.asked.of(first, last.unwrap_or(newest))?;
        let start = start(self.asked, self.configs, from, first);
        let replay = |config: &Config| {
            let names = config.mailboxes.iter().map(|mailbox| mailbox.name.clone());
            Replay::new(config, &Sight::clear(names, start, until), start)
        };
        let mut runs: Vec<(Replay, Runs)> =
            self.configs.iter().map(|config| (replay(config), Runs::default())).collect();
        let (mut mails, mut reports) = (0, vec![0; runs.len()]);
        let all = self.held.len() as u64;
        for (done, Held { received, copy, taken }) in (0..).zip(self.held) {
            let counts = received >= from && !copy;
            mails += u64::from(counts);
            progress(done, all);
            let each = taken.iter().cycle().cloned();
            for (((replay, known), reports), mut taken) in runs.iter_mut().zip(&mut reports).zip(each) {
                let copy = copy || known.said_before(&mut taken);
                *reports += u64::from(counts && taken.observation.mail.heard());
                let found = Found { earliest: received, seen: received };
                replay.take(Mail { found, observation: taken.observation, copy });
            }
        }
        Ok(Rerun {
            from,
            until,
            mails,
            reports,
            blind: Default::default(),
            outcomes: runs.into_iter().map(|(replay, _)| replay.finish(from, until)).collect(),
            remarks: Vec::new(),
            doubts: Vec::new(),
        })
    }
}

/// The signed runs that reports were about.
#[derive(Default)]
struct Runs(BTreeMap<RunKey, SameRun>);

impl Runs {
    /// Whether it is a second copy. One that was sent again is a report no more. Mails come in the order of their receipt.
    fn said_before(&mut self, taken: &mut Taken) -> bool {
        let Some(key) = taken.run_key else { return false };
        let received = taken.observation.received;
        let same = SameRun { received, message_id: taken.message_id.clone() };
        let Some(other) = self.0.get(&key) else {
            self.0.insert(key, same);
            return false;
        };
        let again = taken.compared_with(other);
        if again == Again::Replay {
            taken.distrust(Why::Replayed);
        }
        again == Again::Copy
    }
}
