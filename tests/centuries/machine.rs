//! The watchdog's process: the product's flow with its state file, or the core alone with a store that is no file.

use std::collections::BTreeMap;
use std::path::PathBuf;

use bresse_watchdog::audit::{Chain, Row, Value};
use bresse_watchdog::config::Config;
use bresse_watchdog::engine::{Engine, Snapshot};
use bresse_watchdog::flow::{Arrival, Flow};
use bresse_watchdog::imap::Event;
use bresse_watchdog::outbox::Message;
use bresse_watchdog::time::Time;
use rusqlite::types::ValueRef;
use rusqlite::{Connection, OpenFlags};

use crate::disk;
use crate::mails::{MAILBOX, Mail, Sort, at};
use crate::numbers::Numbers;
use crate::server::{Cursors, Told};
use crate::site::Site;

const INBOX: &str = "INBOX";
const JUNK: &str = "Junk";

/// What outlives a process.
pub(crate) enum Disk {
    File { path: PathBuf, auditor: Option<Box<Auditor>> },
    Ram(Box<Ram>),
}

#[derive(Default)]
pub(crate) struct Ram {
    snapshot: Snapshot,
    /// The mails that were taken in.
    known: Numbers,
    cursors: Cursors,
}

/// Follows the chain of the ledger while it is written.
pub(crate) struct Auditor {
    db: Connection,
    chain: Chain,
    seq: i64,
}

pub(crate) enum Machine {
    Flow(Box<Flow>),
    Core(Box<Core>),
}

pub(crate) struct Core {
    engine: Engine,
    known: Numbers,
    /// Those of them that are not stored yet.
    fresh: Vec<u64>,
    cursors: Cursors,
    due: Vec<Message>,
}

impl Disk {
    pub(crate) fn path(&self) -> PathBuf {
        match self {
            Self::File { path, .. } => path.clone(),
            Self::Ram(_) => PathBuf::from("/nowhere"),
        }
    }

    /// A new process.
    pub(crate) fn boot(&self, config: Config, now: Time) -> (Machine, Cursors) {
        match self {
            Self::File { .. } => {
                let flow = Flow::open(config, &BTreeMap::new(), None, now).unwrap();
                let cursor = |junk| {
                    let found = flow.cursors().iter().find(|(place, _)| place.junk == junk);
                    found.map(|(_, cursor)| *cursor)
                };
                let cursors = Cursors { inbox: cursor(false), junk: cursor(true) };
                (Machine::Flow(Box::new(flow)), cursors)
            }
            Self::Ram(ram) => {
                let engine = Engine::restore(config, disk::found(&ram.snapshot), now);
                let core = Core {
                    engine,
                    known: ram.known.clone(),
                    fresh: vec![],
                    cursors: ram.cursors,
                    due: vec![],
                };
                (Machine::Core(Box::new(core)), ram.cursors)
            }
        }
    }

    /// "The ledger's chain verifies at every instant."
    pub(crate) fn chain_holds(&mut self) -> Result<(), String> {
        let Self::File { path, auditor } = self else { return Ok(()) };
        let auditor = match auditor {
            Some(auditor) => auditor,
            None => auditor.insert(Box::new(Auditor {
                db: Connection::open_with_flags(&*path, OpenFlags::SQLITE_OPEN_READ_ONLY).unwrap(),
                chain: Chain::new(None),
                seq: 0,
            })),
        };
        auditor.follow()
    }
}

impl Auditor {
    fn follow(&mut self) -> Result<(), String> {
        let mut statement = self
            .db
            .prepare_cached(
                "SELECT seq, at_ms, kind, about, content, hash FROM ledger WHERE seq > $1 ORDER BY seq",
            )
            .unwrap();
        let mut rows = statement.query([self.seq]).unwrap();
        while let Some(row) = rows.next().unwrap() {
            let column = |column| value(row.get_ref(column).unwrap());
            let entry = Row {
                seq: column(0),
                at_ms: column(1),
                kind: column(2),
                about: column(3),
                content: column(4),
                hash: column(5),
            };
            self.chain.take(&entry).map_err(|fault| fault.sentence())?;
            self.seq += 1;
        }
        Ok(())
    }
}

fn value(value: ValueRef<'_>) -> Value<'_> {
    match value {
        ValueRef::Integer(number) => Value::Integer(number),
        ValueRef::Text(text) => Value::Text(text),
        ValueRef::Blob(bytes) => Value::Blob(bytes),
        ValueRef::Null | ValueRef::Real(_) => Value::Null,
    }
}

impl Machine {
    pub(crate) fn engine(&self) -> &Engine {
        match self {
            Self::Flow(flow) => &flow.engine,
            Self::Core(core) => &core.engine,
        }
    }

    pub(crate) fn engine_mut(&mut self) -> &mut Engine {
        match self {
            Self::Flow(flow) => &mut flow.engine,
            Self::Core(core) => &mut core.engine,
        }
    }

    pub(crate) fn next_wake(&self) -> Option<Time> {
        match self {
            Self::Flow(flow) => flow.next_wake(),
            Self::Core(core) => core.engine.next_wake(),
        }
    }

    /// `ahead`: of the watchdog's clock, in milliseconds.
    pub(crate) fn take(&mut self, told: &Told, site: &Site, (now, ahead): (Time, i64)) {
        match self {
            Self::Flow(flow) => {
                let mut event = event(flow, told, site, (now, ahead));
                flow.take(&mut event, now).unwrap();
            }
            Self::Core(core) => core.take(told, site, (now, ahead)),
        }
    }

    pub(crate) fn decide(&mut self, now: Time) {
        match self {
            Self::Flow(flow) => flow.decide(now).unwrap(),
            Self::Core(core) => {
                core.engine.tick(now);
                core.due.extend(core.engine.take_due(now));
            }
        }
    }

    pub(crate) fn commit(&mut self, disk: &mut Disk, now: Time) -> Vec<Message> {
        match (self, disk) {
            (Self::Flow(flow), _) => {
                let due = flow.commit(now).unwrap();
                flow.prune(now).unwrap();
                due
            }
            (Self::Core(core), Disk::Ram(ram)) => {
                disk::keep(&mut ram.snapshot, core.engine.take_changes());
                for key in core.fresh.drain(..) {
                    ram.known.insert(key);
                }
                ram.cursors = core.cursors;
                std::mem::take(&mut core.due)
            }
            (Self::Core(_), Disk::File { .. }) => unreachable!("the core alone has no file"),
        }
    }
}

/// What the mailbox's reader would hand over.
fn event(flow: &Flow, told: &Told, site: &Site, (now, ahead): (Time, i64)) -> Event<Arrival> {
    let mailbox = MAILBOX.to_owned();
    match told {
        Told::Mails { junk, mails, cursor } => {
            let folder = if *junk { JUNK } else { INBOX }.to_owned();
            let config = &flow.engine.config().mailboxes[0];
            let arrival = |(uid, mail): &(u32, Mail)| {
                Arrival::of(&mail.raw(*uid, site, now), &folder, config, flow.roster())
            };
            let mails = mails.iter().filter_map(arrival).collect();
            Event::Mails { mailbox, folder, junk: *junk, mails, cursor: *cursor }
        }
        Told::Looked { started, history } => {
            Event::Looked { mailbox, started: at(started + ahead), history: *history }
        }
        Told::Failed { login_refused } => {
            let error = "the mail server does not answer: NOK".to_owned();
            Event::Failed { mailbox, at: now, error, login_refused: *login_refused }
        }
    }
}

impl Core {
    /// As [`Flow::take`] does it, with mails that are understood already.
    fn take(&mut self, told: &Told, site: &Site, (now, ahead): (Time, i64)) {
        match told {
            Told::Mails { junk, mails, cursor } => {
                let reached = if *junk { &mut self.cursors.junk } else { &mut self.cursors.inbox };
                let before = reached.replace(*cursor);
                if !*junk && before.is_some_and(|before| before.uidvalidity != cursor.uidvalidity) {
                    self.engine.renumbered(MAILBOX);
                }
                for (uid, mail) in mails {
                    if *junk && mail.sort != Sort::Report {
                        continue;
                    }
                    let observation = mail.observation(site, now, *junk);
                    // In Junk and elsewhere one mail is two.
                    let key = mail.id * 8 + u64::from(*junk) * 4 + mail.sort as u64;
                    let news = if self.known.insert(key) {
                        self.fresh.push(key);
                        self.engine.observe(&observation);
                        true
                    } else {
                        self.engine.observe_copy(&observation)
                    };
                    if news && before.is_some_and(|before| before.lacks(*cursor, *uid)) {
                        self.engine.arrived(&observation, mail.stamp());
                    }
                }
            }
            Told::Looked { started, history } => {
                self.engine.looked(MAILBOX, at(started + ahead), *history, now);
            }
            Told::Failed { login_refused: true } => self.engine.login_refused(MAILBOX, "NO nok", now),
            Told::Failed { login_refused: false } => self.engine.look_failed(MAILBOX, "NO nok", now),
        }
    }
}
