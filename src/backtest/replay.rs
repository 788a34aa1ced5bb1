//! The engine in virtual time: every mail is observed when it was seen, a complete look follows each arrival and each
//! moment the engine asks for one, and every message is accepted at once. Nothing sweeps: time jumps from event to event.

use chrono::TimeDelta;

use super::alarm::{Journal, Outcome};
use super::sight::{Found, Gap, Sight, Span};
use crate::config::{Channel, ChannelKind, Config, Drill, Event, Smtp};
use crate::engine::{Engine, History, Snapshot};
use crate::ledger::Observation;
use crate::outbox::Sent;
use crate::time::Time;

/// The engine notes every look for the store; it is relieved of them after so many.
const STEPS_UNTIL_RELIEF: u32 = 1_000;

/// One mail of a source, as a configuration understands it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mail {
    pub found: Found,
    pub observation: Observation,
    /// Another copy of a mail that came before.
    pub copy: bool,
}

/// A watchdog with one configuration, in the time of a source.
#[derive(Debug)]
pub struct Replay {
    engine: Engine,
    eyes: Vec<Eye>,
    journal: Journal,
    /// The last moment at which the engine asked to be called.
    woken: Option<Time>,
    steps: u32,
}

/// One mailbox, as it could be looked at.
#[derive(Debug)]
struct Eye {
    mailbox: String,
    spans: Vec<Span>,
    /// The span that is open, or else the next one.
    place: usize,
    /// The last look of the open span.
    looked: Option<Time>,
    /// Looks are taken at least this often.
    period: TimeDelta,
    /// Mails that a look would find.
    waiting: Vec<Mail>,
}

impl Replay {
    /// A watchdog that is started at `start`.
    pub fn new(config: &Config, sight: &Sight, start: Time) -> Self {
        // A drill says nothing about checkers.
        let config = Config { channels: channels(config), drill: Drill::default(), ..config.clone() };
        // A mailbox that the source does not know is taken to have been as readable as those it knows, and empty.
        let usual = config.mailboxes.iter().find_map(|mailbox| sight.of(&mailbox.name)).or(sight.any());
        let eye = |mailbox: &crate::config::Mailbox| Eye {
            mailbox: mailbox.name.clone(),
            spans: sight.of(&mailbox.name).or(usual).map(|spans| after(spans, start)).unwrap_or_default(),
            place: 0,
            looked: None,
            period: mailbox.poll.min(mailbox.blind_after),
            waiting: Vec::new(),
        };
        Self {
            eyes: config.mailboxes.iter().map(eye).collect(),
            engine: Engine::restore(config, Snapshot::default(), start),
            journal: Journal::default(),
            woken: None,
            steps: 0,
        }
    }

    /// Takes in the next mail. Mails come in the order of [`Found::earliest`]. Those of a mailbox that is not configured are
    /// taken for mails of the first one.
    pub fn take(&mut self, mut mail: Mail) {
        self.advance(mail.found.earliest);
        let own = self.eyes.iter().position(|eye| eye.mailbox == mail.observation.mailbox);
        let Some(eye) = self.eyes.get_mut(own.unwrap_or(0)) else { return };
        if own.is_none() {
            mail.observation.mailbox.clone_from(&eye.mailbox);
        }
        eye.waiting.push(mail);
    }

    /// Lets time go on to `until`, and returns what was alarmed from `from` on.
    pub fn finish(mut self, from: Time, until: Time) -> Outcome {
        self.advance(until + TimeDelta::milliseconds(1));
        self.journal.outcome(self.engine.config(), from)
    }

    /// Everything that happens before `end`.
    fn advance(&mut self, end: Time) {
        while let Some(now) = self.next_event().filter(|now| *now < end) {
            self.happen(now);
        }
    }

    fn next_event(&self) -> Option<Time> {
        self.eyes.iter().filter_map(Eye::next_look).chain(self.wake()).min()
    }

    /// When the engine wants to be called; never while no watchdog runs.
    fn wake(&self) -> Option<Time> {
        let wake = self.engine.next_wake().filter(|_| self.eyes.iter().any(Eye::has_somebody))?;
        // Asked for a moment that is over, the next look is soon enough.
        (Some(wake) > self.woken).then_some(wake)
    }

    fn happen(&mut self, now: Time) {
        let asked = self.wake().is_some_and(|wake| wake <= now);
        if asked {
            self.woken = Some(now);
            self.engine.wants_look(now);
        }
        for place in 0..self.eyes.len() {
            let somebody = self.eyes.iter().any(Eye::has_somebody);
            let Some(eye) = self.eyes.get_mut(place) else { continue };
            if (asked && eye.is_open()) || eye.next_look().is_some_and(|next| next <= now) {
                if !somebody {
                    // A watchdog that was off has not been trying.
                    self.engine.excuse_readers(now);
                }
                eye.look(&mut self.engine, now);
            }
        }
        self.engine.tick(now);
        self.deliver(now);
    }

    fn deliver(&mut self, now: Time) {
        self.steps += 1;
        if self.engine.outbox().iter().next().is_some() {
            let changes = self.engine.take_changes();
            loop {
                let due = self.engine.take_due(now);
                if due.is_empty() {
                    break;
                }
                for message in due {
                    let about = changes.incidents.iter().rfind(|one| one.id() == message.incident);
                    self.journal.note(&message, about, self.engine.mailboxes());
                    self.engine.sent(message.id, Sent::Accepted(String::new()), now);
                }
            }
        } else if self.steps < STEPS_UNTIL_RELIEF {
            return;
        }
        self.steps = 0;
        self.engine.take_changes();
    }
}

impl Eye {
    fn is_open(&self) -> bool {
        self.looked.is_some()
    }

    /// A watchdog runs: it looks, or it tries to.
    fn has_somebody(&self) -> bool {
        let before = self.place.checked_sub(1).and_then(|before| self.spans.get(before));
        self.is_open() || before.is_some_and(|span| span.then == Gap::Failing)
    }

    /// The next look that takes place whether or not the engine asks for one.
    fn next_look(&self) -> Option<Time> {
        let span = self.spans.get(self.place)?;
        let Some(looked) = self.looked else { return Some(span.from) };
        let arrival = self.waiting.iter().map(|mail| mail.found.seen).min();
        let usual = (looked + self.period).min(span.until);
        Some(arrival.map_or(usual, |arrival| arrival.max(looked).min(usual)))
    }

    fn look(&mut self, engine: &mut Engine, now: Time) {
        for mail in self.waiting.drain(..) {
            if mail.copy {
                engine.observe_copy(&mail.observation);
            } else {
                engine.observe(&mail.observation);
            }
        }
        engine.looked(&self.mailbox, now, History::Complete, now);
        self.looked = Some(now);
        let Some(span) = self.spans.get(self.place).filter(|span| now >= span.until).copied() else { return };
        self.looked = None;
        self.place += 1;
        if span.then == Gap::Failing {
            // The state does not tell when the first and the last try failed: within the period of the gap's ends.
            let next = self.spans.get(self.place).map(|next| next.from - self.period);
            let first = span.until + self.period;
            for failed in [Some(first), next.filter(|last| *last > first)].into_iter().flatten() {
                engine.look_failed(&self.mailbox, "it could not be read", failed);
            }
        }
    }
}

/// The configured channels, without the waits between their messages; when there is none yet, one that takes everything.
fn channels(config: &Config) -> Vec<Channel> {
    let spaced = config.channels.iter().cloned();
    let mut channels: Vec<Channel> = spaced
        .map(|channel| Channel { spacing: TimeDelta::zero(), rate: None, combine: false, ..channel })
        .collect();
    if let Some(mailbox) = config.mailboxes.first().filter(|_| channels.is_empty()) {
        let smtp = Smtp {
            server: mailbox.server.clone(),
            login: None,
            from: String::new(),
            to: vec![String::new()],
        };
        channels.push(Channel {
            name: "backtest".to_owned(),
            fallback: false,
            events: [Event::Checker, Event::Service, Event::Mailbox].into(),
            spacing: TimeDelta::zero(),
            rate: None,
            combine: false,
            repeat: None,
            provider: None,
            kind: ChannelKind::Smtp(smtp),
        });
    }
    channels
}

/// The spans from `start` on.
fn after(spans: &[Span], start: Time) -> Vec<Span> {
    let later = spans.iter().filter(|span| span.until >= start);
    later.map(|span| Span { from: span.from.max(start), ..*span }).collect()
}
