//! What the watchdog must know of one checker, by the mails that were found.

use std::collections::VecDeque;

use crate::mails::Mail;
use crate::site::{Ms, SECOND, SERVICES, Watched};
use crate::world::{STRAIGHT, World};

/// After so many mails that came straight, dates by another clock than before are understood: what is usual is what most of
/// the latest eight moments have in common, and mails that were held on the way may be among those.
const DATES_LEARNT_AFTER: u32 = 16;
/// Two copies of one mail come with fewer others of their checker in between.
const REMEMBERED: usize = 30;
const SHOWN: usize = 12;

/// What a run said of a service.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Newest {
    run: Ms,
    pub(crate) bad: bool,
    /// The mail that says it was certainly found, and nothing more can come of its run.
    pub(crate) certain: bool,
}

/// What is known of one checker.
#[derive(Debug, Clone, Default)]
pub(crate) struct Known {
    /// No mail of it that anybody can read was received later.
    pub(crate) received: Option<Ms>,
    /// The watchdog knows that it lived then, at least.
    pub(crate) lived: Option<Ms>,
    /// The same, as of the last complete look.
    settled: Option<Ms>,
    /// When a watchdog that knows of it first looked.
    pub(crate) watched: Option<Ms>,
    /// Its newest run that says something about each service.
    pub(crate) newest: [Option<Newest>; SERVICES.len()],
    /// It was found to be silent.
    pub(crate) silent: bool,
    /// Its age counts from here at the earliest: the mailbox was certainly down before.
    pub(crate) excused: Option<Ms>,
    /// A mail of a stranger in its name was found.
    pub(crate) forged: bool,
    /// The newest that were found.
    mails: VecDeque<Mail>,
    /// When its clock was set last, and how many mails came straight since then.
    clock_set: (Option<Ms>, u32),
    /// The newest of these left it then: a look at a part of history shows them again.
    straight: Option<Ms>,
}

impl Known {
    /// For whoever has to understand what went wrong.
    pub(crate) fn shown(&self) -> Vec<&Mail> {
        self.mails.iter().skip(self.mails.len().saturating_sub(SHOWN)).collect()
    }

    pub(crate) fn hear(&mut self, mail: &Mail, world: &World, watched: &Watched) {
        let split = world.is_split(mail.checker);
        // A glimpse of it is heard again, and a copy tells nothing that its first one did not.
        if self.mails.iter().any(|one| one.id == mail.id && one.received <= mail.received) {
            return;
        }
        self.mails.push_back(*mail);
        if self.mails.len() > REMEMBERED {
            self.mails.pop_front();
        }
        // Without a chain the product knows only how long its mails usually take.
        let doubt = if mail.chain { 2 * SECOND } else { STRAIGHT + watched.margin };
        let delay = mail.received - mail.left;
        let clock_set = world.clock_set[mail.checker];
        if self.clock_set.0 != clock_set {
            self.clock_set = (clock_set, 0);
        }
        if mail.dryrun && delay <= STRAIGHT && Some(mail.left) > clock_set.max(self.straight) {
            self.clock_set.1 += 1;
            self.straight = Some(mail.left);
        }
        // Of two copies that are read newest first the later one counts, which was held.
        let lived = if !mail.twice && delay <= watched.margin - 2 * SECOND && delay <= STRAIGHT + SECOND {
            mail.received
        } else {
            mail.left - doubt
        };
        self.lived = self.lived.max(Some(lived - SECOND));
        for (service, said) in mail.results.iter().enumerate().take(watched.services) {
            if *said != 0 || (mail.dryrun && !split) {
                let newest = &mut self.newest[service];
                if newest.is_none_or(|newest| newest.run <= mail.run) {
                    let before = newest.filter(|newest| newest.run == mail.run && newest.bad);
                    // After a DRYRUN alone results may still come in mails of their own.
                    let named = mail.results.iter().any(|said| *said != 0);
                    let certain = named && before.is_none_or(|before| before.certain);
                    *newest = Some(Newest { run: mail.run, bad: *said != 1 || before.is_some(), certain });
                }
            }
        }
    }

    /// All that lay in the inbox was read.
    pub(crate) fn settle(&mut self) {
        self.settled = self.lived;
    }

    /// Mails were deleted that it may have been heard by, or not.
    pub(crate) fn unsettle(&mut self) {
        self.lived = self.settled;
    }

    /// A deleted mail was told by a look that was broken off, or not: it is as good as any evidence.
    pub(crate) fn hear_perhaps(&mut self, mail: &Mail) {
        for newest in &mut self.newest {
            if newest.is_none_or(|newest| newest.run <= mail.run) {
                *newest = Some(Newest { run: mail.run, bad: true, certain: false });
            }
        }
    }

    /// Whether one of its latest mails that was no longer on its way than this says something bad of a service.
    pub(crate) fn said_bad(&self, service: usize, within: Ms) -> bool {
        let bad = |mail: &Mail| mail.results[service] > 1 || (mail.dryrun && mail.results[service] == 0);
        self.mails.iter().any(|mail| mail.received - mail.left <= within && bad(mail))
    }

    /// By a clock that is behind, all runs of one look came at one moment: only the server's own line in a mail says when it
    /// came. `off`: of the watchdog's clock.
    pub(crate) fn runs_are_in_order(&self, off: Ms) -> bool {
        off == 0 || self.has_lines()
    }

    /// The mailbox's server writes into its mails when they came.
    pub(crate) fn has_lines(&self) -> bool {
        self.mails.back().is_some_and(|mail| mail.chain)
    }

    /// No date of a checker whose clock was just set can be trusted. `set`: when that was last done.
    pub(crate) fn dates_are_understood(&self, set: Option<Ms>) -> bool {
        let (of, straight) = self.clock_set;
        set.is_none() || (of == set && straight >= DATES_LEARNT_AFTER)
    }
}
