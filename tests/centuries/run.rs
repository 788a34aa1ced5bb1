//! A watchdog lives through a world, in the world's time.

use bresse_watchdog::engine::History;
use bresse_watchdog::outbox::{Message, Sent};
use bresse_watchdog::store::Store;
use bresse_watchdog::time::Time;
use bresse_watchdog::view::LastSeen;
use chrono::TimeDelta;
use fastrand::Rng;
use sha2::{Digest, Sha256};
use tempfile::TempDir;

use crate::machine::{Disk, Machine};
use crate::mails::{at, ms};
use crate::plan::{Made, Plan};
use crate::server::{Cursors, Mood, Told, look};
use crate::site::{CHANNELS, HOUR, MINUTE, Ms, SECOND, Site};
use crate::tally::Tally;
use crate::truth::{Held, Moment, Truth};
use crate::world::{Far, What, World};

/// So many events of a reader are stored together at most, as the daemon does it.
const EVENTS_TOGETHER_MAX: usize = 8;
/// Whoever is called so often within one second is called for nothing.
const WAKES_A_SECOND_MAX: u32 = 300;

/// How a world ended.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) tally: Tally,
    /// Of everything that was decided.
    pub(crate) digest: [u8; 32],
    /// What is known in the end.
    pub(crate) table: Vec<String>,
}

struct Watchdog {
    machine: Option<Machine>,
    /// Of the process.
    number: u64,
    cursors: Cursors,
    /// Which request for a look is the valid one.
    request: u64,
    reading: bool,
    again: bool,
    /// By the core, and not stored yet; without the mails themselves.
    taken: Vec<Told>,
    /// The inbox as the look that is under way saw it.
    mark: u64,
    asleep_until: Ms,
    awake_since: Ms,
    well_since: Ms,
    wake: Option<Ms>,
    wakes: (Ms, u32),
    ahead: Ms,
    off: Ms,
    clock_set: u64,
    other_site: bool,
    rng: Rng,
}

pub(crate) struct Life<'p> {
    plan: &'p Plan,
    world: World,
    truth: Truth,
    watchdog: Watchdog,
    disk: Disk,
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
        let watchdog = Watchdog {
            machine: None,
            number: 0,
            cursors: Cursors::default(),
            request: 0,
            reading: false,
            again: false,
            taken: vec![],
            mark: 0,
            asleep_until: 0,
            awake_since: 0,
            well_since: 0,
            wake: None,
            wakes: (0, 0),
            ahead: 0,
            off: 0,
            clock_set: 0,
            other_site: false,
            rng: Rng::with_seed(plan.seed ^ 0xd09),
        };
        let mut world = World::new(plan);
        world.plan(plan.between_faults, What::Fault);
        world.plan(2 * SECOND, What::Boots);
        world.plan(plan.heal, What::Heal);
        let truth = Truth::new(&plan.site);
        Self { plan, world, truth, watchdog, disk, _folder: folder, healed: false, digest: Sha256::new() }
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
            What::ClockCalm(_) => {}
            What::Heal => self.heal(),
            What::Poke => self.world.poke(&self.plan.site),
            What::Boots => self.boot()?,
            of_watchdog if self.watchdog.asleep_until > self.world.now => {
                self.world.plan(self.watchdog.asleep_until, of_watchdog);
            }
            What::Look(request) if request == self.watchdog.request => self.look(),
            What::Reads(process, told) if process == self.watchdog.number => self.read(&told)?,
            What::Answers(process, id, sent) if process == self.watchdog.number => self.answered(id, sent)?,
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

    /// Something happens to the watchdog itself.
    fn disturb(&mut self) {
        let now = self.world.now;
        let span = self.world.rng.i64(SECOND..2 * HOUR);
        match self.world.rng.u32(0..4) {
            0 if self.plan.clock_steps => {
                self.world.tally.fault("the watchdog's clock is set");
                let ahead = self.world.rng.i64(-10 * MINUTE..10 * MINUTE);
                self.set_clock(ahead);
            }
            0 | 1 => {
                self.world.tally.fault("the watchdog is suspended");
                self.watchdog.asleep_until = now + span;
                self.watchdog.awake_since = now + span;
                self.watchdog.well_since = now + span;
            }
            2 => {
                self.world.tally.fault("the watchdog is off");
                self.die(span);
            }
            _ => {
                self.world.tally.fault("the watchdog is restarted with another configuration");
                self.watchdog.other_site = !self.watchdog.other_site;
                self.die(SECOND);
            }
        }
    }

    fn set_clock(&mut self, ahead: Ms) {
        let before = std::mem::replace(&mut self.watchdog.ahead, ahead);
        self.watchdog.off = self.watchdog.off.max(2 * before.abs().max(ahead.abs()));
        self.watchdog.well_since = self.watchdog.well_since.max(self.world.now);
        self.watchdog.clock_set += 1;
        let longest = (0..self.plan.site.watched.len()).map(|place| self.longest(place)).max().unwrap();
        self.world.plan(self.world.now + 2 * longest + 2 * HOUR, What::ClockCalm(self.watchdog.clock_set));
        // A timer of the system goes by the clock.
        self.watchdog.wake = None;
        self.plan_wake();
    }

    /// Everything that is not stored is lost.
    fn die(&mut self, away: Ms) {
        if self.watchdog.machine.take().is_some() {
            self.watchdog.number += 1;
            self.watchdog.request += 1;
            self.watchdog.reading = false;
            self.watchdog.taken.clear();
            self.watchdog.wake = None;
            self.truth.died();
            self.world.plan(self.world.now + away, What::Boots);
        }
    }

    /// Whether it dies at this step.
    fn dies(&mut self) -> bool {
        let once_in = self.plan.dies_once_in;
        if self.healed || once_in == 0 || self.watchdog.rng.u32(0..once_in) > 0 {
            return false;
        }
        self.world.tally.fault("the watchdog is killed between two steps");
        let away = if self.plan.gentle || self.watchdog.rng.u32(0..10) > 0 {
            0
        } else {
            self.watchdog.rng.i64(SECOND..10 * MINUTE)
        };
        self.die(away);
        true
    }

    fn boot(&mut self) -> Held {
        if self.watchdog.machine.is_some() {
            return Ok(());
        }
        let config = self.site().config(&self.disk.path());
        let (machine, cursors) = self.disk.boot(config, self.clock());
        let now = self.world.now;
        self.watchdog.machine = Some(machine);
        self.watchdog.cursors = cursors;
        self.watchdog.awake_since = now.max(self.watchdog.asleep_until);
        self.watchdog.well_since = self.watchdog.awake_since;
        self.truth.seen = None;
        self.ask_for_look(now);
        self.settle()
    }

    fn ask_for_look(&mut self, when: Ms) {
        if self.watchdog.reading {
            self.watchdog.again = true;
        } else if self.watchdog.machine.is_some() {
            self.watchdog.request += 1;
            self.world.plan(when, What::Look(self.watchdog.request));
        }
    }

    fn look(&mut self) {
        let broken = !self.healed && !self.plan.gentle && self.world.rng.u32(0..400) == 0;
        if broken {
            self.world.tally.fault("the connection is lost during a look");
        }
        let (watchdog, world) = (&mut self.watchdog, &mut self.world);
        let folders = (&world.inbox, &world.junk);
        let told = look(folders, world.server, &mut watchdog.cursors, broken, (world.now, &mut watchdog.rng));
        watchdog.mark = self.truth.mark();
        watchdog.reading = true;
        watchdog.again = false;
        let took = if self.plan.gentle { 500 } else { watchdog.rng.i64(1..2 * SECOND) };
        world.tally.looks += 1;
        world.plan(world.now + took, What::Reads(watchdog.number, told));
    }

    /// What a look found reaches the core, step by step.
    fn read(&mut self, told: &[Told]) -> Held {
        let failed = matches!(told.last(), Some(Told::Failed { .. }));
        // It broke off reading history because the next look was due.
        let filling = !failed && !matches!(told.last(), Some(Told::Looked { .. }));
        for together in told.chunks(EVENTS_TOGETHER_MAX) {
            let now = (self.clock(), self.watchdog.ahead);
            for one in together {
                if self.dies() {
                    return Ok(());
                }
                let (site, disk) = (self.site(), &self.disk);
                let Some(machine) = &mut self.watchdog.machine else { return Ok(()) };
                machine.take(one, site, disk, now);
                if !matches!(one, Told::Mails { .. }) {
                    self.watchdog.taken.push(one.clone());
                }
                if let Told::Looked { started, .. } = one {
                    self.truth.seen = Some(*started);
                }
            }
            if !self.store()? {
                return Ok(());
            }
            if !self.send_and_judge()? {
                return Ok(());
            }
        }
        self.watchdog.reading = false;
        let now = self.world.now;
        if failed {
            self.watchdog.well_since = now;
            let backoff = self.watchdog.rng.i64(5 * SECOND..MINUTE);
            self.ask_for_look(now + backoff);
        } else if filling {
            self.watchdog.well_since = now;
            self.ask_for_look(now);
        } else if self.watchdog.again {
            self.ask_for_look(now);
        } else {
            self.ask_for_look(now + self.site().poll);
        }
        Ok(())
    }

    fn answered(&mut self, id: u64, sent: Sent) -> Held {
        let now = self.clock();
        let Some(machine) = &mut self.watchdog.machine else { return Ok(()) };
        machine.engine_mut().sent(id, sent, now);
        self.settle()
    }

    fn woken(&mut self) -> Held {
        let now = self.world.now;
        // Another process, or another moment by now.
        if self.watchdog.wake.is_none_or(|wake| wake > now) {
            return Ok(());
        }
        self.watchdog.wake = None;
        let (since, count) = &mut self.watchdog.wakes;
        if now - *since > SECOND {
            (*since, *count) = (now, 0);
        }
        *count += 1;
        if *count > WAKES_A_SECOND_MAX {
            return Err("it wants to be called again and again".into());
        }
        self.settle()
    }

    /// Decides, stores, and sends: what the daemon does after each event.
    fn settle(&mut self) -> Held {
        if self.store()? {
            self.send_and_judge()?;
        }
        Ok(())
    }

    /// False when it died on the way.
    fn store(&mut self) -> Result<bool, String> {
        let now = self.clock();
        if self.dies() {
            return Ok(false);
        }
        let Some(machine) = &mut self.watchdog.machine else { return Ok(false) };
        machine.decide(now);
        if self.dies() {
            return Ok(false);
        }
        let Some(machine) = &mut self.watchdog.machine else { return Ok(false) };
        let due = machine.commit(&mut self.disk, now);
        self.world.tally.commits += 1;
        self.disk.chain_holds()?;
        let engine = machine.engine();
        self.truth.committed(|id| engine.outbox().get(id).is_some());
        due.iter().for_each(|message| self.truth.given_out(message));
        self.looks_are_stored()?;
        for message in due {
            if self.dies() {
                return Ok(false);
            }
            self.send(&message)?;
        }
        Ok(!self.dies())
    }

    fn looks_are_stored(&mut self) -> Held {
        let mark = self.watchdog.mark;
        for told in std::mem::take(&mut self.watchdog.taken) {
            match told {
                Told::Mails { .. } => {}
                Told::Failed { .. } => self.truth.failed(self.world.now),
                Told::Looked { history: History::Filling, .. } => {
                    self.truth.glimpsed(mark, &self.world, &self.plan.site);
                }
                Told::Looked { started, history: History::Complete } => {
                    self.with_moment(|truth, world, moment| {
                        truth.looked(started, mark, world, moment);
                        Ok(())
                    })?;
                }
            }
        }
        Ok(())
    }

    fn send_and_judge(&mut self) -> Result<bool, String> {
        let now = self.clock();
        let Some(machine) = &mut self.watchdog.machine else { return Ok(false) };
        if machine.engine_mut().wants_look(now) {
            self.ask_for_look(self.world.now);
        }
        self.with_moment(|truth, world, moment| truth.holds(world, moment))?;
        self.plan_wake();
        Ok(true)
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
        };
        examine(&mut self.truth, &self.world, &moment)
    }

    fn plan_wake(&mut self) {
        let Some(wake) = self.watchdog.machine.as_ref().and_then(Machine::next_wake) else { return };
        let soon = self.world.now + 1;
        let wake = (ms(wake) - self.watchdog.ahead).max(soon);
        if self.watchdog.wake.is_none_or(|planned| wake < planned || planned < soon) {
            self.watchdog.wake = Some(wake);
            self.world.plan(wake, What::Wakes);
        }
    }

    fn send(&mut self, message: &Message) -> Held {
        let place = CHANNELS.iter().position(|name| *name == message.channel).unwrap();
        let busy = Some(TimeDelta::minutes(2));
        let (taken, sent, took) = match self.world.far[place] {
            Far::Takes => (true, Sent::Accepted("250 ok".into()), 300),
            Far::Fails => (false, Sent::failed("connection refused (NOK)"), 100),
            Far::Refuses => (false, Sent::Refused("550 nok.NOK".into()), 100),
            Far::IsNotHeard => (true, Sent::failed("it did not answer in time"), 30 * SECOND),
            Far::IsBusy => (false, Sent::Failed { error: "429".into(), retry_after: busy }, 100),
        };
        for text in [&message.channel, &message.subject, &message.body] {
            self.digest.update(text.as_bytes());
        }
        self.digest.update(self.world.now.to_le_bytes());
        if taken {
            self.truth.accepted(message, self.world.now, self.world.far[place] == Far::Takes)?;
            match message.kind {
                bresse_watchdog::outbox::Kind::Alarm => self.world.tally.alarms += 1,
                bresse_watchdog::outbox::Kind::Recovery => self.world.tally.recoveries += 1,
                bresse_watchdog::outbox::Kind::Notice => {}
            }
        }
        let when = self.world.now + took;
        self.world.plan(when, What::Answers(self.watchdog.number, message.id, sent));
        Ok(())
    }

    fn heal(&mut self) {
        self.healed = true;
        self.world.heal();
        self.set_clock(0);
        self.watchdog.asleep_until = 0;
        let longest = (0..self.plan.site.watched.len()).map(|place| self.longest(place)).max().unwrap();
        let (now, quiet) = (self.world.now, 90 * MINUTE + 3 * longest);
        self.world.plan(now + quiet, What::Poke);
        self.world.plan(now + 2 * quiet, What::End);
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
            let found = self.truth.found.len() as u64;
            if verified.reports < found {
                return Err(format!("{found} reports were found, and {} are kept", verified.reports));
            }
            self.digest.update(verified.head.hash);
        }
        let checkers = i64::try_from(self.plan.site.watched.len()).unwrap();
        let mut tally = std::mem::take(&mut self.world.tally);
        tally.worlds = 1;
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
