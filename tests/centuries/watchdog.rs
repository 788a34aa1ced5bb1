//! The process of a watchdog, as a daemon runs it: what kills it, wakes it, and what it does in turn.

use std::collections::BTreeMap;

use bresse_watchdog::outbox::{Kind, Message, Sent};
use bresse_watchdog::service::EVENTS_TOGETHER_MAX;
use chrono::TimeDelta;
use fastrand::Rng;
use sha2::Digest;

use super::Life;
use crate::machine::Machine;
use crate::mails::ms;
use crate::server::{Cursors, Told, look};
use crate::site::{CHANNELS, HOUR, MINUTE, Ms, SECOND};
use crate::truth::Held;
use crate::world::{Far, What};

/// Whoever is called so often within one second is called for nothing.
const WAKES_A_SECOND_MAX: u32 = 300;

pub(super) struct Watchdog {
    pub(super) machine: Option<Machine>,
    /// Of the process.
    pub(super) number: u64,
    pub(super) cursors: Cursors,
    /// Which request for a look is the valid one.
    pub(super) request: u64,
    pub(super) reading: bool,
    pub(super) again: bool,
    /// By the core, and not stored yet; without the mails themselves.
    pub(super) taken: Vec<Told>,
    /// The inbox as the look that is under way saw it.
    pub(super) mark: u64,
    pub(super) asleep_until: Ms,
    pub(super) awake_since: Ms,
    pub(super) well_since: Ms,
    pub(super) wake: Option<Ms>,
    pub(super) wakes: (Ms, u32),
    pub(super) ahead: Ms,
    pub(super) off: Ms,
    pub(super) off_by_lines: Ms,
    pub(super) clock_set: u64,
    pub(super) other_site: bool,
    pub(super) rng: Rng,
}

impl Watchdog {
    pub(super) fn new(seed: u64) -> Self {
        Self {
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
            off_by_lines: 0,
            clock_set: 0,
            other_site: false,
            rng: Rng::with_seed(seed ^ 0xd09),
        }
    }
}

impl Life<'_> {
    /// Something happens to the watchdog itself.
    pub(super) fn disturb(&mut self) {
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
                // Whoever sleeps already is not woken by it: what waits, waits for the end of the longer sleep.
                let until = self.watchdog.asleep_until.max(now + span);
                self.watchdog.asleep_until = until;
                self.watchdog.awake_since = until;
                self.watchdog.well_since = until;
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

    pub(super) fn set_clock(&mut self, ahead: Ms) {
        let before = std::mem::replace(&mut self.watchdog.ahead, ahead);
        let off = 2 * before.abs().max(ahead.abs());
        self.watchdog.off = self.watchdog.off.max(off);
        self.watchdog.off_by_lines = self.watchdog.off_by_lines.max(off);
        self.watchdog.well_since = self.watchdog.well_since.max(self.world.now);
        self.watchdog.clock_set += 1;
        let longest = (0..self.plan.site.watched.len()).map(|place| self.longest(place)).max().unwrap();
        // How long a mail usually takes was learnt by the wrong clock, from eight cycles.
        let calm = self.world.now + 9 * longest + 2 * HOUR;
        self.world.plan(calm, What::ClockCalm(self.watchdog.clock_set));
        // By four looks that found mails the clocks are compared.
        let compared = self.world.now + 4 * longest + HOUR;
        self.world.plan(compared, What::ClockCompared(self.watchdog.clock_set));
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

    pub(super) fn boot(&mut self) -> Held {
        if self.watchdog.machine.is_some() {
            return Ok(());
        }
        let config = self.configs[usize::from(self.watchdog.other_site)].clone();
        let (machine, cursors) = self.disk.boot(config, self.clock());
        let now = self.world.now;
        self.watchdog.machine = Some(machine);
        self.watchdog.cursors = cursors;
        self.watchdog.awake_since = now;
        self.watchdog.well_since = now;
        self.truth.seen = None;
        self.ask_for_look(now);
        self.settle()
    }

    pub(super) fn ask_for_look(&mut self, when: Ms) {
        if self.watchdog.reading {
            self.watchdog.again = true;
        } else if self.watchdog.machine.is_some() {
            self.watchdog.request += 1;
            self.world.plan(when, What::Look(self.watchdog.request));
        }
    }

    pub(super) fn look(&mut self) {
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
    pub(super) fn read(&mut self, told: &[Told]) -> Held {
        let failed = matches!(told.last(), Some(Told::Failed { .. }));
        // It broke off reading history because the next look was due.
        let filling = !failed && !matches!(told.last(), Some(Told::Looked { .. }));
        for together in told.chunks(EVENTS_TOGETHER_MAX) {
            let now = (self.clock(), self.watchdog.ahead);
            for one in together {
                if self.dies() {
                    return Ok(());
                }
                let site = self.site();
                let Some(machine) = &mut self.watchdog.machine else { return Ok(()) };
                machine.take(one, site, now);
                self.watchdog.taken.push(match one {
                    Told::Mails { junk, cursor, .. } => {
                        Told::Mails { junk: *junk, mails: vec![], cursor: *cursor }
                    }
                    other => other.clone(),
                });
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

    pub(super) fn answered(&mut self, answers: Vec<(u64, Sent)>) -> Held {
        let now = self.clock();
        let Some(machine) = &mut self.watchdog.machine else { return Ok(()) };
        for (id, sent) in answers {
            machine.engine_mut().sent(id, sent, now);
        }
        self.settle()
    }

    pub(super) fn woken(&mut self) -> Held {
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
        let mut answers: BTreeMap<Ms, Vec<(u64, Sent)>> = BTreeMap::new();
        for message in due {
            if self.dies() {
                return Ok(false);
            }
            let (took, sent) = self.send(&message)?;
            answers.entry(took).or_default().push((message.id, sent));
        }
        for (took, answers) in answers {
            self.world.plan(self.world.now + took, What::Answers(self.watchdog.number, answers));
        }
        Ok(!self.dies())
    }

    fn looks_are_stored(&mut self) -> Held {
        let mark = self.watchdog.mark;
        for told in std::mem::take(&mut self.watchdog.taken) {
            match told {
                Told::Mails { junk: true, .. } => {}
                Told::Mails { cursor, .. } => self.truth.reached(cursor.uidvalidity),
                Told::Failed { .. } => self.truth.failed(self.world.now),
                Told::Looked { started, history } => self.with_moment(|truth, world, moment| {
                    truth.looked(started, history, mark, world, moment);
                    Ok(())
                })?,
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

    fn plan_wake(&mut self) {
        let Some(wake) = self.watchdog.machine.as_ref().and_then(Machine::next_wake) else { return };
        let soon = self.world.now + 1;
        let wake = (ms(wake) - self.watchdog.ahead).max(soon);
        if self.watchdog.wake.is_none_or(|planned| wake < planned || planned < soon) {
            self.watchdog.wake = Some(wake);
            self.world.plan(wake, What::Wakes);
        }
    }

    /// How its far side answers, and after what time.
    fn send(&mut self, message: &Message) -> Result<(Ms, Sent), String> {
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
                Kind::Alarm => self.world.tally.alarms += 1,
                Kind::Recovery => self.world.tally.recoveries += 1,
                Kind::Notice => {}
            }
        }
        Ok((took, sent))
    }
}
