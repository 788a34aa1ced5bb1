//! What goes wrong for a while around a watchdog.

use super::{Far, What, World};
use crate::server::Mood;
use crate::site::{CHANNELS, HOUR, MINUTE, Ms, SECOND, Site};

impl World {
    /// Something breaks for a while, outside of the watchdog. False: it is the watchdog's turn.
    pub(crate) fn breaks(&mut self, site: &Site) -> bool {
        let place = self.rng.usize(0..self.checkers.len());
        let cycle = site.watched[place].cycle;
        let (now, service) = (self.now, self.rng.usize(0..site.watched[place].services));
        let long = now + self.span(cycle, 8 * cycle);
        let checker = &mut self.checkers[place];
        match self.rng.u32(0..21) {
            0..3 => {
                checker.dead_until = long;
                self.tally.fault("a checker crashes");
            }
            3 => self.several_crash(long, site),
            4 | 5 => {
                checker.failing = (service, long);
                self.tally.fault("a service fails for a while");
            }
            6 => {
                checker.forgets = (service, long);
                self.tally.fault("a checker forgets a service");
            }
            7 => self.set_clock(place),
            8 | 9 => {
                if checker.held_until <= now {
                    checker.held_until = long;
                    self.plan(long, What::Released(place));
                    self.tally.fault("a queue is held");
                }
            }
            10 => {
                checker.junked_until = long;
                self.tally.fault("mails go to Junk");
            }
            11..14 => self.server_breaks(),
            14 => self.folder_changes(),
            15..18 => self.channel_breaks(),
            18 => {
                let count = self.rng.u32(1..6);
                (0..count).for_each(|_| self.forge(place, site));
            }
            _ => return false,
        }
        true
    }

    /// All checkers of a provider, say.
    fn several_crash(&mut self, until: Ms, site: &Site) {
        self.tally.fault("several checkers crash");
        for (checker, _) in self.checkers.iter_mut().zip(&site.watched) {
            if self.rng.u32(0..3) == 0 {
                checker.dead_until = until;
            }
        }
    }

    fn set_clock(&mut self, place: usize) {
        self.checkers[place].offset += self.rng.i64(-2 * HOUR..2 * HOUR);
        self.clock_set[place] = Some(self.now);
        self.tally.fault("a checker's clock is set");
    }

    fn server_breaks(&mut self) {
        if self.server != Mood::Well {
            return;
        }
        let (mood, kind) = match self.rng.u32(0..4) {
            0 => (Mood::Down, "the mail server is down"),
            1 => (Mood::LoginRefused, "the login is refused"),
            _ => (Mood::Unreadable, "the mailbox cannot be read"),
        };
        self.server = mood;
        self.tally.fault(kind);
        let span = if self.rng.bool() { 4 * MINUTE } else { 2 * HOUR };
        let well = self.now + self.span(5 * SECOND, span);
        self.plan(well, What::ServerWell);
        if self.rng.u32(0..3) == 0 {
            self.tally.fault("a mail server comes back with its mails numbered anew");
            self.rebuilt_when_well = true;
        }
    }

    fn folder_changes(&mut self) {
        match self.rng.u32(0..3) {
            0 => {
                self.inbox.renumber();
                self.tally.fault("the mailbox is numbered anew");
            }
            1 => {
                self.inbox.empty();
                self.emptied += 1;
                self.tally.fault("the mailbox is emptied");
            }
            _ => {
                // By hand; a move keeps the moment of receipt.
                for mail in self.junk.drain() {
                    self.inbox.put(mail);
                    self.moved.push(mail);
                }
                self.tally.fault("mails are moved out of Junk");
            }
        }
    }

    fn channel_breaks(&mut self) {
        let place = self.rng.usize(0..CHANNELS.len());
        if self.far[place] != Far::Takes {
            return;
        }
        let (far, kind) = match self.rng.u32(0..5) {
            0 | 1 => (Far::Fails, "a channel fails"),
            2 => (Far::Refuses, "a channel refuses"),
            3 => (Far::IsNotHeard, "a channel's answers are lost"),
            _ => (Far::IsBusy, "a channel asks for patience"),
        };
        self.far[place] = far;
        self.tally.fault(kind);
        let well = self.now + self.span(MINUTE, 3 * HOUR);
        self.plan(well, What::ChannelWell(place));
    }
}
