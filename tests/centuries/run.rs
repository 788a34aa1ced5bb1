//! A watchdog lives through a world, in the world's time.

#[path = "watchdog.rs"]
mod watchdog;

use bresse_watchdog::config::Config;
use bresse_watchdog::store::Store;
use bresse_watchdog::time::Time;
use bresse_watchdog::view::LastSeen;
use sha2::{Digest, Sha256};
use tempfile::TempDir;

use crate::machine::Disk;
use crate::mails::at;
use crate::plan::{Made, Plan};
use crate::server::Mood;
use crate::site::{MINUTE, Ms, SECOND, Site};
use crate::tally::Tally;
use crate::truth::{Held, Moment, Truth};
use crate::world::{What, World};
use watchdog::Watchdog;

/// How a world ended.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) tally: Tally,
    /// Of everything that was decided.
    pub(crate) digest: [u8; 32],
    /// What is known in the end.
    pub(crate) table: Vec<String>,
}

pub(crate) struct Life<'p> {
    plan: &'p Plan,
    world: World,
    truth: Truth,
    watchdog: Watchdog,
    disk: Disk,
    /// Of the site, and of it as it is changed.
    configs: [Config; 2],
    _folder: Option<TempDir>,
    healed: bool,
    digest: Sha256,
}

/// Memory, where a sync costs nothing.
fn folder() -> TempDir {
    tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap()
}

/// Lives through the world of `plan` to its end, or to the first thing that must not be.
pub(crate) fn live(plan: &Plan) -> Result<Ended, String> {
    let mut life = Life::new(plan);
    let ended = life.live();
    ended.map_err(|error| format!("{:?} world {} at {} ms: {error}", plan.made, plan.seed, life.world.now))
}

impl<'p> Life<'p> {
    fn new(plan: &'p Plan) -> Self {
        let folder = (plan.made == Made::Whole).then(folder);
        let disk = match &folder {
            Some(folder) => Disk::File { path: folder.path().join("watchdog.db"), auditor: None },
            None => Disk::Ram(Box::default()),
        };
        let watchdog = Watchdog::new(plan.seed);
        let configs = [&plan.site, &plan.other].map(|site| site.config(&disk.path()));
        let mut world = World::new(plan);
        world.plan(plan.between_faults, What::Fault);
        world.plan(2 * SECOND, What::Boots);
        world.plan(plan.heal, What::Heal);
        let truth = Truth::new(&plan.site);
        Self {
            plan,
            world,
            truth,
            watchdog,
            disk,
            configs,
            _folder: folder,
            healed: false,
            digest: Sha256::new(),
        }
    }

    fn live(&mut self) -> Result<Ended, String> {
        loop {
            match self.world.next() {
                Some(What::End) | None => return self.end(),
                Some(what) => self.happen(what)?,
            }
        }
    }

    fn happen(&mut self, what: What) -> Held {
        match what {
            What::Run(place) => self.world.run(place, &self.plan.site),
            What::Arrives(mail) => {
                let longest = self.longest(mail.checker);
                if let Some(mail) = self.world.arrives(mail) {
                    self.truth.arrived(mail, longest);
                }
            }
            What::Fault => self.fault(),
            What::Released(place) => self.world.released(place),
            What::ServerWell => {
                self.world.server_well();
                self.watchdog.well_since = self.watchdog.well_since.max(self.world.now);
            }
            What::ChannelWell(place) => self.world.channel_well(place),
            What::ClockCalm(number) if number == self.watchdog.clock_set => {
                self.watchdog.off = self.watchdog.ahead.abs();
            }
            What::ClockCompared(number) if number == self.watchdog.clock_set => {
                self.watchdog.off_by_lines = self.watchdog.ahead.abs();
            }
            What::ClockCalm(_) | What::ClockCompared(_) => {}
            What::Heal => self.heal(),
            What::Poke => self.world.poke(&self.plan.site),
            of_watchdog if self.watchdog.asleep_until > self.world.now => {
                self.world.plan(self.watchdog.asleep_until, of_watchdog);
            }
            What::Boots => self.boot()?,
            What::Look(request) if request == self.watchdog.request => self.look(),
            What::Reads(process, told) if process == self.watchdog.number => self.read(&told)?,
            What::Answers(process, answers) if process == self.watchdog.number => self.answered(answers)?,
            What::Wakes => self.woken()?,
            What::Look(_) | What::Reads(..) | What::Answers(..) => {}
            What::End => unreachable!("it ends the life"),
        }
        for mail in std::mem::take(&mut self.world.moved) {
            let longest = self.longest(mail.checker);
            self.truth.arrived(mail, longest);
        }
        Ok(())
    }

    fn longest(&self, place: usize) -> Ms {
        self.plan.site.watched[place].deadline().max(self.plan.other.watched[place].deadline())
    }

    fn site(&self) -> &'p Site {
        if self.watchdog.other_site { &self.plan.other } else { &self.plan.site }
    }

    /// What the watchdog's clock shows.
    fn clock(&self) -> Time {
        at(self.world.now + self.watchdog.ahead)
    }

    fn fault(&mut self) {
        if self.healed {
            return;
        }
        let next = self.world.now + self.world.rng.i64(1..2 * self.plan.between_faults);
        self.world.plan(next, What::Fault);
        let (before, emptied) = (self.world.server, self.world.emptied);
        if !self.world.breaks(&self.plan.site) && !self.plan.gentle {
            self.disturb();
        }
        if self.world.emptied != emptied {
            self.truth.emptied(if self.watchdog.reading { self.watchdog.mark } else { 0 });
        }
        if self.world.server != before {
            // The connection breaks, and the reader notices.
            self.ask_for_look(self.world.now);
        }
    }

    fn with_moment(&mut self, examine: impl FnOnce(&mut Truth, &World, &Moment<'_>) -> Held) -> Held {
        let Some(machine) = &self.watchdog.machine else { return Ok(()) };
        let moment = Moment {
            engine: machine.engine(),
            site: &self.plan.site,
            other: &self.plan.other,
            now: self.world.now,
            well_since: if self.world.server == Mood::Well {
                self.watchdog.well_since
            } else {
                self.world.now
            },
            awake_since: self.watchdog.awake_since,
            off: self.watchdog.off,
            off_by_lines: self.watchdog.off_by_lines,
        };
        examine(&mut self.truth, &self.world, &moment)
    }

    fn heal(&mut self) {
        self.healed = true;
        self.world.heal();
        self.set_clock(0);
        let longest = (0..self.plan.site.watched.len()).map(|place| self.longest(place)).max().unwrap();
        let (now, quiet) = (self.world.now, 90 * MINUTE + 3 * longest);
        let awake = now.max(self.watchdog.asleep_until);
        self.world.plan(awake + quiet, What::Poke);
        self.world.plan(awake + 2 * quiet, What::End);
        self.ask_for_look(now);
    }

    fn end(&mut self) -> Result<Ended, String> {
        let Some(machine) = self.watchdog.machine.take() else { return Err("it is not running".into()) };
        let now = self.clock();
        self.truth.ends_well(machine.engine())?;
        let table = table(&LastSeen::of(machine.engine(), now));
        table.iter().for_each(|line| self.digest.update(line.as_bytes()));
        drop(machine);
        if let Disk::File { path, .. } = &self.disk {
            let store = Store::open_read_only(path).unwrap();
            let verified = store.verify(None, |_| ()).map_err(|error| format!("{error:#}"))?;
            let found = self.truth.found.count();
            if verified.reports < found {
                return Err(format!("{found} reports were found, and {} are kept", verified.reports));
            }
            self.digest.update(verified.head.hash);
        }
        let checkers = i64::try_from(self.plan.site.watched.len()).unwrap();
        let mut tally = std::mem::take(&mut self.world.tally);
        tally.worlds = 1;
        tally.reports = self.truth.found.count();
        tally.checker_ms = checkers * self.world.now;
        tally.again = self.truth.again;
        Ok(Ended { tally, digest: std::mem::take(&mut self.digest).finalize().into(), table })
    }
}

/// What is known of each checker and service.
fn table(seen: &LastSeen) -> Vec<String> {
    let line = |line: &bresse_watchdog::view::CheckerLine| {
        let services: Vec<String> =
            line.services.iter().map(|service| format!("{}={}", service.name, service.result)).collect();
        format!(
            "{} {} {:?} {:?} {:?} {}",
            line.name,
            line.state.word(),
            line.heard_at,
            line.last_received,
            line.last_sent,
            services.join(" ")
        )
    };
    seen.checkers.iter().map(line).collect()
}
