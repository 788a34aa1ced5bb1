//! Replaying what a live watchdog saw, by its own configuration, gives its announcements.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use bresse_watchdog::config::Config;
use bresse_watchdog::engine::{Engine, History};
use bresse_watchdog::intake::Taken;
use bresse_watchdog::ledger::Observation;
use bresse_watchdog::outbox::{Kind, Sent};
use bresse_watchdog::rerun::{Asked, replay_state};
use bresse_watchdog::store::{Batch, Kept, Place, Store};
use bresse_watchdog::time::Time;
use chrono::TimeDelta;
use fastrand::Rng;

use crate::stage::{MAILBOX, at, config, observation, second};
use crate::world::{Event, Mail, World};

/// So many worlds are tried.
const WORLDS: u64 = 200;
/// A look that nobody asked for comes at another moment in the replay, one `poll` away at most. (Of 2,500 worlds, three
/// also differ in a token: who joined a silence is named by the first look after a while, which no timer asks for.)
const APART: i64 = 61;

/// A span in which the live watchdog cannot read.
#[derive(Debug, Clone, Copy)]
struct Outage {
    from: i64,
    to: i64,
    /// It runs, and tries.
    tries: bool,
}

/// A watchdog as the service runs it, with its state file.
struct Live {
    engine: Engine,
    store: Store,
    config: Config,
    batch: Batch,
    unread: Vec<Mail>,
    uid: u32,
    last_look: Time,
    /// Second, token and whether it is a recovery.
    said: Vec<(i64, String, bool)>,
    rng: Rng,
}

impl Live {
    fn new(folder: &tempfile::TempDir, world: &World, seed: u64) -> Self {
        let store = Store::open(&folder.path().join("watchdog.db"), "watchdog").unwrap();
        let config = config(&world.fleet, world.blind_after);
        Self {
            engine: Engine::restore(config.clone(), store.load().unwrap(), at(0)),
            store,
            config,
            batch: Batch::default(),
            unread: vec![],
            uid: 0,
            last_look: at(0),
            said: vec![],
            rng: Rng::with_seed(seed),
        }
    }

    /// Lives through the mails and outages until `end`.
    fn live(&mut self, mails: &[Mail], outages: &[Outage], end: i64) {
        let mut mails = mails.iter().peekable();
        let mut now = at(0);
        while now < at(end) {
            while let Some(mail) = mails.next_if(|mail| at(mail.received) <= now) {
                self.unread.push(mail.clone());
            }
            let outage = outages.iter().find(|outage| (outage.from..outage.to).contains(&second(now)));
            match outage {
                Some(outage) => self.blind(outage, now),
                None => self.look(now),
            }
            let arrival = mails.peek().map(|mail| at(mail.received));
            now = self.next(now, arrival, outages, outage);
        }
    }

    fn next(&self, now: Time, arrival: Option<Time>, outages: &[Outage], outage: Option<&Outage>) -> Time {
        let soon = now + TimeDelta::milliseconds(1);
        let wake = self.engine.next_wake().map(|wake| wake.max(soon));
        match outage {
            Some(Outage { to, tries: false, .. }) => at(*to),
            Some(Outage { to, .. }) => {
                let retry = now + TimeDelta::seconds(25);
                [Some(retry), wake, Some(at(*to))].into_iter().flatten().min().unwrap()
            }
            None => {
                let poll = self.last_look + TimeDelta::seconds(60);
                let next = [arrival, wake, Some(poll)].into_iter().flatten().min().unwrap();
                let cut = outages.iter().map(|outage| at(outage.from)).find(|from| *from > now);
                cut.map_or(next, |cut| next.min(cut))
            }
        }
    }

    fn blind(&mut self, outage: &Outage, now: Time) {
        if outage.tries {
            self.engine.wants_look(now);
            self.engine.look_failed(MAILBOX, "connection refused", now);
            self.engine.tick(now);
            self.deliver(now);
        }
    }

    fn look(&mut self, start: Time) {
        if start - self.last_look > TimeDelta::seconds(61) && self.rng.bool() {
            self.store();
            self.engine = Engine::restore(self.config.clone(), self.store.load().unwrap(), start);
        }
        self.engine.wants_look(start);
        let end = start + TimeDelta::milliseconds(self.rng.i64(0..1500));
        for mail in std::mem::take(&mut self.unread) {
            let observation = Observation { seen: start, ..observation(&mail, true, second(start)) };
            self.engine.observe(&observation);
            self.uid += 1;
            let mut key = [0; 16];
            key[..4].copy_from_slice(&self.uid.to_be_bytes());
            let place = Place { mailbox: MAILBOX.into(), folder: "INBOX".into(), junk: false };
            let taken = Taken {
                key,
                uid: self.uid,
                run_key: None,
                message_id: None,
                heading: None,
                canary: None,
                observation,
            };
            self.batch.mails.push(Kept { place: place.into(), taken, body: None });
        }
        self.engine.looked(MAILBOX, start, History::Complete, end);
        self.last_look = start;
        self.engine.tick(end);
        self.deliver(end);
    }

    fn store(&mut self) {
        self.store.commit(&std::mem::take(&mut self.batch)).unwrap();
    }

    fn deliver(&mut self, now: Time) {
        loop {
            let due = self.engine.take_due(now);
            self.batch.changes.merge(self.engine.take_changes());
            if due.is_empty() {
                return;
            }
            for message in due {
                self.engine.sent(message.id, Sent::Accepted("250 ok".into()), now);
                self.said.push((second(now), message.token, message.kind == Kind::Recovery));
            }
        }
    }
}

/// The failed looks of a world, as far as a state file tells of them: longer than `blind_after`.
fn outages(world: &World, rng: &mut Rng) -> Vec<Outage> {
    let mut all: Vec<Outage> = vec![];
    let mut failing: Option<i64> = None;
    for event in &world.events {
        match event {
            Event::Fails { at } => {
                failing.get_or_insert(*at);
            }
            Event::Look { at: to, .. } => {
                if let Some(from) = failing.take().filter(|from| to - from > world.blind_after + 5) {
                    all.push(Outage { from, to: *to, tries: rng.bool() });
                }
            }
            _ => {}
        }
    }
    all
}

/// By token: when it was alarmed and recovered.
fn by_token(said: impl IntoIterator<Item = (i64, String, bool)>) -> BTreeMap<String, Vec<(i64, bool)>> {
    let mut tokens: BTreeMap<String, Vec<(i64, bool)>> = BTreeMap::new();
    for (at, token, recovery) in said {
        let before = tokens.entry(token).or_default();
        // A second mail under a token that stands names those who joined.
        if before.last().map(|(_, recovery)| *recovery) != Some(recovery) {
            before.push((at, recovery));
        }
    }
    tokens
}

fn complaint(seed: u64) -> Option<String> {
    let world = World::random(seed);
    let rng = &mut Rng::with_seed(seed);
    let outages = outages(&world, rng);
    let mut mails: Vec<Mail> = vec![];
    for event in &world.events {
        if let Event::Arrives(mail) = event
            // What came before the first look is history to a live watchdog, and lived through by the replay.
            && mail.received >= 0
            && world.fleet.iter().any(|checker| checker.name == mail.checker)
        {
            mails.push(mail.clone());
        }
    }
    // Whether a mail of these moments came while the mailbox could not be read is not kept.
    let unclear = |at: i64| {
        outages.iter().any(|Outage { from, to, tries }| {
            *tries && ((at - from).abs() <= APART || (to - APART..=*to).contains(&at))
        })
    };
    mails.retain(|mail| !unclear(mail.received));
    let end = world.events.last().map_or(600, Event::at).max(600);
    let folder = tempfile::tempdir().unwrap();
    let mut live = Live::new(&folder, &world, seed);
    live.live(&mails, &outages, end);
    live.store();
    let asked = Asked { from: Some(at(0)), until: None };
    let rerun = replay_state(&live.store, &[live.config.clone()], asked, &mut |_, _| {}).unwrap();
    let alarms = rerun.outcomes[0].alarms.iter().flat_map(|alarm| {
        let recovered = alarm.recovered.map(|at| (second(at), alarm.token.clone(), true));
        [Some((second(alarm.alarmed), alarm.token.clone(), false)), recovered].into_iter().flatten()
    });
    let (lived, replayed) = (by_token(live.said.clone()), by_token(alarms));
    let near = |one: &[(i64, bool)], other: &[(i64, bool)]| {
        one.len() == other.len()
            && one.iter().zip(other).all(|(one, other)| one.1 == other.1 && (one.0 - other.0).abs() <= APART)
    };
    let same =
        lived.keys().eq(replayed.keys()) && lived.iter().all(|(token, times)| near(times, &replayed[token]));
    (!same).then(|| {
        let mut text = format!("seed {seed}\n{world}\n{outages:?}\n");
        let _ = writeln!(text, "lived    {lived:?}\nreplayed {replayed:?}\n{:?}", live.said);
        text
    })
}

pub(crate) fn replayed() -> Result<(), String> {
    let complaints: Vec<String> = (0..WORLDS).filter_map(complaint).collect();
    match complaints.first() {
        Some(first) => Err(format!("{} of {WORLDS}\n{first}", complaints.len())),
        None => Ok(()),
    }
}
