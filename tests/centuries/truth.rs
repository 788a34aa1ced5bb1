//! What truly happened, as far as the mails tell that were found and stored.

#[path = "holds.rs"]
mod holds;

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use bresse_watchdog::engine::{Engine, History};

use crate::known::Known;
use crate::mails::{Mail, Sort};
use crate::numbers::Numbers;
use crate::server::KEPT;
use crate::site::{CHANNELS, Ms, SECOND, Site};
use crate::world::World;

pub(crate) type Held = Result<(), String>;

/// A time in which nobody read the mailbox.
#[derive(Debug, Clone, Copy)]
struct Gap {
    /// The last look before it, and the first after it.
    from: Ms,
    until: Ms,
    /// The first and the last try in it that are known to have failed.
    failed: Option<(Ms, Ms)>,
}

/// What a person was told of one token of one incident.
#[derive(Debug, Default)]
struct Told {
    perhaps: bool,
    alarmed: bool,
    recovered: bool,
}

#[derive(Debug, Default)]
pub(crate) struct Truth {
    known: Vec<Known>,
    by_name: BTreeMap<String, usize>,
    /// By the moment after which each checker is certainly silent.
    overdue: BTreeSet<(Ms, usize)>,
    due: Vec<Option<Ms>>,
    /// In the inbox, and no complete look at it is stored yet; the number of the first.
    unread: VecDeque<Mail>,
    unread_from: u64,
    /// How far a look has seen.
    marked: u64,
    /// Those before this one were deleted.
    gone: u64,
    /// Whose mails the last complete look found.
    heard: BTreeSet<usize>,
    /// Reports that a stored look found.
    pub(crate) found: Numbers,
    /// The last complete look that is stored.
    pub(crate) looked: Option<Ms>,
    /// The last look that is stored, be it that history was still to be read.
    read: Option<Ms>,
    /// The first and the last try after it that are known to have failed.
    failed: Option<(Ms, Ms)>,
    /// As it was last read.
    uidvalidity: Option<u32>,
    /// The mails were numbered anew, and not all of them are read again.
    anew: bool,
    /// What came in meanwhile may lie among those.
    unclear: Vec<Gap>,
    newest_receipt: Ms,
    /// When everybody was last given a grace, perhaps.
    graced: Option<Ms>,
    /// The last one that was taken in by this process.
    pub(crate) seen: Option<Ms>,
    /// Members of incidents that were examined, and what the incident looked like then.
    examined: BTreeMap<u64, (u64, BTreeSet<usize>)>,
    /// The last incident about the mailbox that was.
    blindness: u64,
    told: BTreeMap<[String; 4], Told>,
    accepted: BTreeMap<u64, String>,
    /// Messages that may be sent twice: the watchdog cannot know that they were taken.
    in_doubt: BTreeSet<u64>,
    /// Taken by the far side, and its answer is not stored.
    unstored: BTreeSet<u64>,
    pub(crate) again: u64,
    last_accepted: [Ms; CHANNELS.len()],
}

/// How the watchdog is, when something is examined.
pub(crate) struct Moment<'a> {
    pub(crate) engine: &'a Engine,
    pub(crate) site: &'a Site,
    pub(crate) other: &'a Site,
    pub(crate) now: Ms,
    /// It has been running, awake, and able to read since then.
    pub(crate) well_since: Ms,
    /// It has been running and awake since then.
    pub(crate) awake_since: Ms,
    /// Its clock is, or was lately, so far off.
    pub(crate) off: Ms,
    /// The same for those in whose mails the server says when they came.
    pub(crate) off_by_lines: Ms,
}

impl Moment<'_> {
    fn off_of(&self, known: &Known) -> Ms {
        if known.has_lines() { self.off_by_lines } else { self.off }
    }

    fn deadlines(&self, place: usize) -> (Ms, Ms) {
        let (one, other) = (self.site.watched[place].deadline(), self.other.watched[place].deadline());
        (one.min(other), one.max(other))
    }
}

impl Truth {
    pub(crate) fn new(site: &Site) -> Self {
        let names = site.watched.iter().enumerate().map(|(place, watched)| (watched.name.clone(), place));
        Self {
            known: vec![Known::default(); site.watched.len()],
            due: vec![None; site.watched.len()],
            by_name: names.collect(),
            ..Self::default()
        }
    }

    /// Something that anybody may read lies in the inbox.
    pub(crate) fn arrived(&mut self, mail: Mail, longest: Ms) {
        self.unread.push_back(mail);
        if mail.sort == Sort::Report {
            let known = &mut self.known[mail.checker];
            if known.received.is_none_or(|before| before < mail.received) {
                known.received = Some(mail.received);
                known.silent = false;
                self.expect(mail.checker, mail.received, longest);
            }
        }
    }

    /// The process died: what the far side took and the store does not know is sent again.
    pub(crate) fn died(&mut self) {
        self.in_doubt.append(&mut self.unstored);
    }

    /// The far side's answers that the core has heard of are stored.
    pub(crate) fn committed(&mut self, waiting: impl Fn(u64) -> bool) {
        self.unstored.retain(|id| waiting(*id));
    }

    /// From `base` on its age counts, at the latest.
    fn expect(&mut self, place: usize, base: Ms, longest: Ms) {
        let due = base + longest;
        if self.due[place].is_some_and(|before| before >= due) {
            return;
        }
        if let Some(before) = self.due[place].replace(due) {
            self.overdue.remove(&(before, place));
        }
        self.overdue.insert((due, place));
    }

    /// What lies in the inbox at this moment, which a look begins to read.
    pub(crate) fn mark(&mut self) -> u64 {
        while self.unread_from < self.gone || self.unread.len() > KEPT {
            let Some(mail) = self.unread.pop_front() else { break };
            self.unread_from += 1;
            if self.unread_from <= self.marked && mail.sort == Sort::Report {
                self.known[mail.checker].hear_perhaps(&mail);
                self.known[mail.checker].unsettle();
            }
        }
        self.marked = self.unread_from + self.unread.len() as u64;
        self.marked
    }

    /// Nothing lies in the inbox any more, but a look that is under way may have seen what lay there up to `mark`.
    pub(crate) fn emptied(&mut self, mark: u64) {
        self.known.iter_mut().for_each(Known::unsettle);
        let kept = usize::try_from(mark.saturating_sub(self.unread_from)).unwrap();
        self.unread.truncate(kept);
        self.gone = self.unread_from + self.unread.len() as u64;
        self.marked = self.marked.min(self.gone);
    }

    /// The inbox was read, with these numbers.
    pub(crate) fn reached(&mut self, uidvalidity: u32) {
        let before = self.uidvalidity.replace(uidvalidity);
        self.anew |= before.is_some_and(|before| before != uidvalidity);
    }

    /// A look that began at `started` is stored, with all that lay in the inbox up to `mark`; without history that is still
    /// being read.
    pub(crate) fn looked(
        &mut self,
        started: Ms,
        history: History,
        mark: u64,
        world: &World,
        moment: &Moment<'_>,
    ) {
        let complete = history == History::Complete;
        let gap = self.gap(started, moment);
        let in_time = gap.map_or(vec![], |gap| self.in_time(gap, moment));
        let mails = self.take(mark, complete);
        for mail in &mails {
            match mail.sort {
                Sort::Report => self.hear(mail, world, moment.site),
                Sort::Forged => self.known[mail.checker].forged = true,
                Sort::AutoReply | Sort::Astray => {}
            }
            if complete && mail.sort == Sort::Report {
                self.found.insert(mail.id);
                self.heard.insert(mail.checker);
            }
        }
        if self.anew && !complete {
            self.unclear.extend(gap);
        } else {
            let unclear = std::mem::take(&mut self.unclear);
            if let Some(gap) = gap.filter(|_| unclear.is_empty()) {
                self.excuse(gap, &mails, &in_time, moment);
            }
            unclear.into_iter().chain(gap).for_each(|gap| self.perhaps_excuse(gap, &mails, moment));
            self.newest_receipt = mails.iter().map(|mail| mail.received).fold(self.newest_receipt, Ms::max);
        }
        if complete {
            self.complete(started, moment);
        }
    }

    /// The mails of a look, which stay unread unless it is complete.
    fn take(&mut self, mark: u64, complete: bool) -> Vec<Mail> {
        let count = usize::try_from(mark.saturating_sub(self.unread_from)).unwrap();
        let count = count.min(self.unread.len());
        if !complete {
            return self.unread.iter().take(count).copied().collect();
        }
        self.unread_from += count as u64;
        self.unread.drain(..count).collect()
    }

    fn complete(&mut self, started: Ms, moment: &Moment<'_>) {
        for place in 0..self.known.len() {
            if self.known[place].watched.is_none() {
                self.known[place].watched = Some(started);
                if self.known[place].received.is_none() {
                    self.expect(place, started, moment.deadlines(place).1);
                }
            }
        }
        self.known.iter_mut().for_each(Known::settle);
        self.looked = Some(started);
        self.anew = false;
    }

    /// The time before a look, when that was perhaps so long that everybody may be given a grace for it.
    fn gap(&mut self, started: Ms, moment: &Moment<'_>) -> Option<Gap> {
        let failed = self.failed.take();
        let gap = Gap { from: self.read.replace(started)?, until: started, failed };
        (started - gap.from > moment.site.blind_after - moment.off - 2 * SECOND).then_some(gap)
    }

    /// "No alarm right after the mailbox was down": everybody whose deadline was not over before gets one more. Certain
    /// only where it was long enough, every try failed, nothing came in, and no clock misleads.
    fn excuse(&mut self, gap: Gap, mails: &[Mail], in_time: &[usize], moment: &Moment<'_>) {
        let Some((_, failed)) = gap.failed else { return };
        let certain = gap.until - gap.from > moment.site.blind_after + 2 * SECOND && moment.off == 0;
        // What came earlier did not come to a mailbox that was down until just now.
        let revived = (failed + 2 * SECOND).max(gap.until - moment.site.blind_after + 10 * SECOND);
        let came_in = mails.iter().any(|mail| mail.received < revived);
        let first = self.graced.is_none_or(|graced| self.newest_receipt > graced + 2 * SECOND);
        if certain && !came_in && first {
            in_time.iter().for_each(|place| self.known[*place].excused = Some(gap.until));
        }
    }

    /// The mailbox may have been down, and then everybody gets one more deadline.
    fn perhaps_excuse(&mut self, gap: Gap, mails: &[Mail], moment: &Moment<'_>) {
        if mails.iter().any(|mail| proves(mail, gap, moment)) {
            return;
        }
        self.graced = Some(gap.until);
        for place in 0..self.known.len() {
            if !self.known[place].silent {
                self.expect(place, gap.until, moment.deadlines(place).1);
            }
        }
    }

    /// Whose deadline was certainly not over at the last look.
    fn in_time(&self, gap: Gap, moment: &Moment<'_>) -> Vec<usize> {
        let in_time = |place: &usize| {
            let known = &self.known[*place];
            let base = known.lived.max(known.watched).max(known.excused);
            base.is_some_and(|base| base + moment.deadlines(*place).0 > gap.from + 2 * SECOND)
        };
        (0..self.known.len()).filter(in_time).collect()
    }

    /// A failed try is stored.
    pub(crate) fn failed(&mut self, now: Ms) {
        self.failed = Some((self.failed.map_or(now, |(first, _)| first), now));
    }

    fn hear(&mut self, mail: &Mail, world: &World, site: &Site) {
        self.known[mail.checker].hear(mail, world, &site.watched[mail.checker]);
    }
}

/// It came while nobody could read, and long enough before somebody could again.
fn proves(mail: &Mail, gap: Gap, moment: &Moment<'_>) -> bool {
    let after = gap.failed.map_or(gap.from, |(first, _)| first.max(gap.from)) + SECOND + moment.off;
    (after..gap.until - moment.site.blind_after - 10 * SECOND - moment.off).contains(&mail.received)
}
