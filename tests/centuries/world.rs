//! The world around a watchdog: checkers, the way of their mails, the mail server, and the far sides of channels.

#[path = "breaks.rs"]
mod breaks;

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use bresse_watchdog::outbox::Sent;
use fastrand::Rng;

use crate::mails::{Mail, Results, Sort};
use crate::plan::Plan;
use crate::server::{Folder, Mood, Told};
use crate::site::{CHANNELS, HOUR, MINUTE, Ms, SECOND, SERVICES, Site};
use crate::tally::Tally;

/// A mail that goes straight takes so long at most.
pub(crate) const STRAIGHT: Ms = 4 * SECOND;

#[derive(Debug)]
pub(crate) enum What {
    Run(usize),
    Arrives(Mail),
    Fault,
    /// A checker's queue is let go.
    Released(usize),
    ServerWell,
    ChannelWell(usize),
    // Of the watchdog; the number tells the process, or what replaced the request.
    Look(u64),
    Reads(u64, Vec<Told>),
    Wakes,
    /// To messages that were sent together.
    Answers(u64, Vec<(u64, Sent)>),
    Boots,
    ClockCalm(u64),
    ClockCompared(u64),
    Heal,
    /// A service fails once, so that every channel has something to say.
    Poke,
    End,
}

#[derive(Debug)]
struct Entry {
    at: Ms,
    number: u64,
    what: What,
}

impl PartialEq for Entry {
    fn eq(&self, other: &Self) -> bool {
        self.number == other.number
    }
}

impl Eq for Entry {}

impl PartialOrd for Entry {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Entry {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.at, self.number).cmp(&(other.at, other.number))
    }
}

/// How the far side of a channel behaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Far {
    Takes,
    Fails,
    Refuses,
    /// It takes the message, but its answer is lost.
    IsNotHeard,
    /// It asks for patience.
    IsBusy,
}

#[derive(Debug)]
struct Checker {
    next_run: Ms,
    /// It is dead until then.
    dead_until: Ms,
    /// Of its clock.
    offset: Ms,
    drift_ppm: i64,
    chain: bool,
    one_mail_per_result: bool,
    /// The service of this place fails until then.
    failing: (usize, Ms),
    /// It forgets the service of this place until then.
    forgets: (usize, Ms),
    held_until: Ms,
    held: Vec<Mail>,
    junked_until: Ms,
}

pub(crate) struct World {
    pub(crate) now: Ms,
    heap: BinaryHeap<Reverse<Entry>>,
    number: u64,
    pub(crate) rng: Rng,
    checkers: Vec<Checker>,
    pub(crate) inbox: Folder,
    pub(crate) junk: Folder,
    pub(crate) server: Mood,
    /// It comes back with its mails numbered anew.
    rebuilt_when_well: bool,
    /// Mails that senders keep while the server takes none.
    queued: Vec<Mail>,
    pub(crate) far: [Far; CHANNELS.len()],
    /// When each of them last worked again.
    pub(crate) far_well_since: [Ms; CHANNELS.len()],
    healed: bool,
    bad_mails: u32,
    next_mail: u64,
    pub(crate) tally: Tally,
    /// Into the inbox, since somebody took note of it.
    pub(crate) moved: Vec<Mail>,
    /// So often the inbox was emptied.
    pub(crate) emptied: u64,
    /// When somebody last set the clock of each checker.
    pub(crate) clock_set: Vec<Option<Ms>>,
}

impl World {
    pub(crate) fn new(plan: &Plan) -> Self {
        let mut rng = Rng::with_seed(plan.seed ^ 0x5eed);
        let mut new = |watched: &crate::site::Watched| Checker {
            next_run: rng.i64(0..watched.cycle),
            dead_until: 0,
            offset: if rng.u32(0..4) == 0 {
                rng.i64(-3 * HOUR..3 * HOUR)
            } else {
                rng.i64(-2 * SECOND..2 * SECOND)
            },
            drift_ppm: drift(watched.cycle, &mut rng),
            chain: rng.bool(),
            one_mail_per_result: rng.u32(0..5) == 0,
            failing: (0, 0),
            forgets: (0, 0),
            held_until: 0,
            held: vec![],
            junked_until: 0,
        };
        let checkers: Vec<Checker> = plan.site.watched.iter().map(&mut new).collect();
        let mut world = Self {
            now: 0,
            heap: BinaryHeap::new(),
            number: 0,
            rng,
            inbox: Folder::new(plan.window),
            junk: Folder::new(plan.window),
            server: Mood::Well,
            rebuilt_when_well: false,
            queued: vec![],
            far: [Far::Takes; CHANNELS.len()],
            far_well_since: [0; CHANNELS.len()],
            healed: false,
            bad_mails: plan.bad_mails,
            next_mail: 0,
            tally: Tally::default(),
            moved: vec![],
            emptied: 0,
            clock_set: vec![None; checkers.len()],
            checkers,
        };
        for place in 0..world.checkers.len() {
            world.plan(world.checkers[place].next_run, What::Run(place));
        }
        world
    }

    pub(crate) fn plan(&mut self, at: Ms, what: What) {
        self.number += 1;
        self.heap.push(Reverse(Entry { at: at.max(self.now), number: self.number, what }));
    }

    pub(crate) fn next(&mut self) -> Option<What> {
        let Reverse(entry) = self.heap.pop()?;
        self.now = entry.at;
        Some(entry.what)
    }

    fn chance(&mut self, per_thousand: u32) -> bool {
        self.rng.u32(0..1_000) < per_thousand
    }

    fn span(&mut self, from: Ms, to: Ms) -> Ms {
        self.rng.i64(from..to.max(from + 1))
    }

    /// A checker's cron starts a run.
    pub(crate) fn run(&mut self, place: usize, site: &Site) {
        let watched = &site.watched[place];
        let (now, cycle, services) = (self.now, watched.cycle, watched.services);
        self.plan(now + cycle, What::Run(place));
        let checker = &self.checkers[place];
        if checker.dead_until > now {
            return;
        }
        let (failing, forgets, split) = (checker.failing, checker.forgets, checker.one_mail_per_result);
        let mut results: Results = [0; SERVICES.len()];
        for (service, said) in results.iter_mut().enumerate().take(services) {
            let fails = failing.1 > now && failing.0 == service;
            let forgotten = forgets.1 > now && forgets.0 == service;
            *said = if forgotten {
                0
            } else if fails {
                2
            } else {
                1
            };
        }
        if !self.healed && self.chance(self.bad_mails / 20) {
            let service = self.rng.usize(0..services);
            results[service] = if self.rng.bool() { 3 } else { 2 };
            self.tally.fault("a service fails once");
        }
        self.next_mail += 1;
        let none = [0; SERVICES.len()];
        let dryrun = self.written(place, if split { none } else { results }, now, true);
        self.send(dryrun, site);
        if split {
            for service in 0..services {
                if results[service] != 0 {
                    self.next_mail += 1;
                    let mut one = none;
                    one[service] = results[service];
                    let later = i64::try_from(service + 1).unwrap() * SECOND;
                    let mail = Mail { run: now, ..self.written(place, one, now + later, false) };
                    self.send(mail, site);
                }
            }
        }
    }

    fn written(&self, place: usize, results: Results, left: Ms, dryrun: bool) -> Mail {
        let checker = &self.checkers[place];
        let date = left + checker.offset + left / 1_000_000 * checker.drift_ppm;
        Mail {
            id: self.next_mail,
            checker: place,
            run: left,
            left,
            date,
            received: left,
            twice: false,
            dryrun,
            results,
            chain: checker.chain,
            sort: Sort::Report,
        }
    }

    /// A mail leaves its checker.
    fn send(&mut self, mail: Mail, site: &Site) {
        let checker = &mut self.checkers[mail.checker];
        if checker.held_until > self.now {
            checker.held.push(mail);
            return;
        }
        let straight = mail.left + self.rng.i64(200..STRAIGHT);
        if self.healed || !self.chance(self.bad_mails) {
            self.plan(straight, What::Arrives(mail));
            return;
        }
        match self.rng.u32(0..14) {
            0..2 => self.tally.fault("a mail is lost"),
            2..6 => {
                self.tally.fault("a mail comes twice");
                let later = straight + self.span(0, 2 * MINUTE);
                let mail = Mail { twice: true, ..mail };
                self.plan(straight, What::Arrives(mail));
                self.plan(later, What::Arrives(mail));
            }
            6..8 => {
                self.tally.fault("a mail comes late");
                let later = straight + self.span(5 * SECOND, 20 * MINUTE);
                self.plan(later, What::Arrives(mail));
            }
            8 | 9 => {
                self.tally.fault("an automatic reply quotes a mail");
                self.plan(straight, What::Arrives(mail));
                let results = mail.results.map(|said| said * 2 % 4);
                let reply = Mail { sort: Sort::AutoReply, results, ..mail };
                self.plan(straight + 5 * SECOND, What::Arrives(reply));
            }
            10 | 11 => {
                self.plan(straight, What::Arrives(mail));
                self.forge(mail.checker, site);
            }
            _ => {
                self.tally.fault("a mail overtakes the next");
                let later = straight + self.span(5 * SECOND, 40 * SECOND);
                self.plan(later, What::Arrives(mail));
            }
        }
    }

    /// A stranger says that everything is bad, in the name of a checker where that is not believed, and to nobody where it
    /// would be.
    pub(crate) fn forge(&mut self, place: usize, site: &Site) {
        self.tally.fault("a stranger writes");
        self.next_mail += 1;
        let (left, watched) = (self.now, &site.watched[place]);
        let sort = if watched.trusted { Sort::Forged } else { Sort::Astray };
        let results = std::array::from_fn(|service| if service < watched.services { 2 } else { 0 });
        let mail = Mail { sort, ..self.written(place, results, left, true) };
        let later = left + self.span(SECOND, STRAIGHT);
        self.plan(later, What::Arrives(mail));
    }

    /// A mail reaches the server; returns it when it lies in the inbox now.
    pub(crate) fn arrives(&mut self, mail: Mail) -> Option<Mail> {
        let mail = Mail { received: self.now, ..mail };
        if self.server == Mood::Down {
            self.queued.push(mail);
            return None;
        }
        if self.checkers[mail.checker].junked_until > self.now {
            self.junk.put(mail);
            return None;
        }
        self.inbox.put(mail);
        Some(mail)
    }

    pub(crate) fn released(&mut self, place: usize) {
        self.checkers[place].held_until = 0;
        for mail in std::mem::take(&mut self.checkers[place].held) {
            let later = self.now + self.span(SECOND, 30 * SECOND);
            self.plan(later, What::Arrives(mail));
        }
    }

    pub(crate) fn server_well(&mut self) {
        self.server = Mood::Well;
        if self.rebuilt_when_well {
            self.rebuilt_when_well = false;
            self.inbox.renumber();
        }
        for mail in std::mem::take(&mut self.queued) {
            let later = self.now + self.span(SECOND, MINUTE);
            self.plan(later, What::Arrives(mail));
        }
    }

    pub(crate) fn channel_well(&mut self, place: usize) {
        self.far[place] = Far::Takes;
        self.far_well_since[place] = self.now;
    }

    /// Nothing is wrong any more.
    pub(crate) fn heal(&mut self) {
        self.healed = true;
        self.server_well();
        (0..CHANNELS.len()).for_each(|place| self.channel_well(place));
        for place in 0..self.checkers.len() {
            let checker = &mut self.checkers[place];
            checker.dead_until = 0;
            checker.junked_until = 0;
            checker.failing.1 = 0;
            checker.forgets.1 = 0;
            self.released(place);
        }
    }

    pub(crate) fn is_split(&self, place: usize) -> bool {
        self.checkers[place].one_mail_per_result
    }

    pub(crate) fn poke(&mut self, site: &Site) {
        for (checker, watched) in self.checkers.iter_mut().zip(&site.watched) {
            checker.failing = (0, self.now + watched.cycle);
        }
    }
}

/// Of a clock, in millionths: no more than a second in the eight cycles that tell what is usual, or a mail that is held passes
/// for older than it is. Whoever runs once a day sets his clock in between.
fn drift(cycle: Ms, rng: &mut Rng) -> i64 {
    let most = (SECOND * 1_000_000 / (8 * cycle)).min(20);
    rng.i64(-most..=most)
}
