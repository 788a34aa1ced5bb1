use chrono::TimeDelta;
use serde_json::Value;

use super::*;
use crate::audit::Note;
use crate::config::Sources;
use crate::engine::History;
use crate::imap::Cursor;
use crate::intake::take_in;
use crate::mail::RawMail;
use crate::outbox::Sent;
use crate::report::Roster;
use crate::store::{Batch, Kept, NotKept, Place};

const MAILBOXES: [&str; 2] = ["left", "right"];
/// A world lasts so long, in seconds, and something happens this often on average.
const LENGTH: i64 = 12_000;
const BETWEEN: i64 = 40;

/// Three checkers that may be configured in several ways.
fn configuration(variant: usize) -> Config {
    let (cycle, missed) = [("5m", 1), ("10m", 1), ("5m", 2)][variant % 3];
    let blind_after = ["3m", "5m"][variant % 2];
    let third = if variant % 4 == 3 { "" } else { "[[checker]]\nname = \"bresse3\"\nprovider = \"sfr\"\n" };
    let margin = if variant % 5 == 4 { "\"auto\"" } else { "\"60s\"" };
    let mailbox = |name: &str| {
        format!(
            "[[mailbox]]\nname = \"{name}\"\nhost = \"mail.example\"\nuser = \"monitor@domain.com\"\npassword = \"secret\"\n\
             blind_after = \"{blind_after}\"\n"
        )
    };
    let text = format!(
        "[watchdog]\nname = \"bresse8\"\n{}{}[defaults]\ncycle = \"{cycle}\"\nmissed_cycles = {missed}\nmail_path_margin = {margin}\n\
         tests = [ {{ service = \"SQL\", timeout = \"10s\" }}, {{ service = \"SHOP\", timeout = \"30s\" }} ]\n\
         [[checker]]\nname = \"bresse1\"\nprovider = \"free\"\n[[checker]]\nname = \"bresse2\"\nprovider = \"free\"\n{third}\
         [[channel]]\nname = \"mail\"\ntype = \"smtp\"\nhost = \"127.0.0.1\"\ntls = \"plain\"\nfrom = \"a@b.c\"\nto = [\"d@e.f\"]\n",
        mailbox("left"),
        mailbox("right")
    );
    let sources =
        Sources { text: &text, file: "watchdog.toml", environment: &BTreeMap::new(), overrides: &[] };
    Config::load(&sources).unwrap_or_else(|error| panic!("{error}"))
}

struct World {
    rng: fastrand::Rng,
    dir: tempfile::TempDir,
    store: Option<Store>,
    engine: Engine,
    batch: Batch,
    now: Time,
    /// The clocks of the servers and the checkers are so much behind the watchdog's.
    behind: TimeDelta,
    uid: u32,
    /// Mails on their way: when they arrive, where, and what they are.
    under_way: Vec<(Time, &'static str, Vec<u8>)>,
    /// What the table said, and when.
    tables: Vec<(Time, Value)>,
    /// So long the ledger is kept.
    kept: Option<TimeDelta>,
}

impl World {
    fn new(seed: u64) -> Self {
        let mut rng = fastrand::Rng::with_seed(seed);
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(&dir.path().join("watchdog.db"), "bresse8").unwrap();
        let config = configuration(rng.usize(..20));
        let now = Time::from_timestamp_millis(1_795_000_000_000).unwrap();
        let note = Note::configuration(&Judged::of(&config));
        let engine = Engine::restore(config, Snapshot::default(), now);
        let batch = Batch { notes: vec![note], ..Batch::default() };
        let behind = TimeDelta::minutes(if seed.is_multiple_of(3) { 20 } else { 0 });
        Self {
            rng,
            dir,
            store: Some(store),
            engine,
            batch,
            now,
            behind,
            uid: 0,
            under_way: vec![],
            tables: vec![],
            kept: (seed % 2 == 1).then(|| TimeDelta::seconds(LENGTH / 5)),
        }
    }

    fn store(&mut self) -> &mut Store {
        self.store.as_mut().unwrap()
    }

    fn live(mut self) -> Self {
        let end = self.now + TimeDelta::seconds(LENGTH);
        while self.now < end {
            self.now += TimeDelta::milliseconds(self.rng.i64(1..2 * BETWEEN * 1_000));
            match self.rng.usize(..100) {
                0..40 => self.send(),
                40..85 => self.look(),
                85..88 => self.fail(),
                88..90 => self.now += TimeDelta::seconds(self.rng.i64(60..1_500)),
                90..92 => self.reconfigure(),
                92..94 => self.restart(),
                _ => self.tick(),
            }
            self.commit();
            self.remember();
            self.cut();
        }
        self
    }

    /// A run, in one mail or in several, that may be late, wrong or not there at all.
    fn send(&mut self) {
        let name = ["bresse1", "bresse2", "bresse3"][self.rng.usize(..3)];
        let result = |rng: &mut fastrand::Rng| if rng.usize(..6) == 0 { "NOK" } else { "OK" };
        let (sql, shop) = (result(&mut self.rng), result(&mut self.rng));
        let subjects = match self.rng.usize(..10) {
            0 => vec![format!("DRYRUN.OK SQL.{sql}")],
            1 => vec!["DRYRUN.OK".to_owned(), format!("SQL.{sql}")],
            2 => vec![format!("SQL.{sql} SHOP.{shop} Other.OK")],
            3 => vec!["nothing to say".to_owned()],
            _ => vec![format!("DRYRUN.OK SQL.{sql} SHOP.{shop}")],
        };
        let clock_off = if self.rng.usize(..8) == 0 { self.rng.i64(-400..400) } else { 0 };
        let delay = if self.rng.usize(..6) == 0 { self.rng.i64(60..1_200) } else { self.rng.i64(1..8) };
        for subject in subjects {
            self.uid += 1;
            let sent = self.now - self.behind + TimeDelta::seconds(clock_off);
            let mail = format!(
                "From: {name}@checker.example\r\nTo: {name}+monitor@domain.com\r\nSubject: {subject}\r\nDate: {}\r\n\
                 Message-ID: <{}@checker.example>\r\n\r\n\r\n",
                sent.to_rfc2822(),
                self.uid
            );
            let mailbox = MAILBOXES[self.rng.usize(..2)];
            self.under_way.push((self.now + TimeDelta::seconds(delay), mailbox, mail.into_bytes()));
        }
    }

    fn look(&mut self) {
        let mailbox = MAILBOXES[self.rng.usize(..2)];
        let now = self.now;
        let (here, rest): (Vec<_>, Vec<_>) = std::mem::take(&mut self.under_way)
            .into_iter()
            .partition(|(at, of, _)| *at <= now && *of == mailbox);
        self.under_way = rest;
        let roster = Roster::new(&self.engine.config().checkers, &Default::default());
        for (at, _, bytes) in here {
            self.uid += 1;
            let stamped = at - self.behind;
            let raw =
                RawMail { uid: self.uid, internal_date: Some(stamped), seen: now, bytes, truncated: false };
            let taken = take_in(&raw, mailbox, &roster);
            self.engine.arrived(&taken.observation, stamped);
            self.engine.observe(&taken.observation);
            let place = Place { mailbox: mailbox.to_owned(), folder: "INBOX".to_owned(), junk: false };
            self.batch.cursors.push((place.clone(), Cursor { uidvalidity: 1, high: self.uid, low: 1 }));
            self.batch.mails.push(Kept { place: place.into(), taken, body: None });
        }
        self.engine.looked(mailbox, now, History::Complete, now);
        self.tick();
    }

    fn fail(&mut self) {
        let mailbox = MAILBOXES[self.rng.usize(..2)];
        self.engine.look_failed(mailbox, "the network is cut", self.now);
    }

    fn reconfigure(&mut self) {
        let config = configuration(self.rng.usize(..20));
        self.batch.notes.push(Note::configuration(&Judged::of(&config)));
        self.engine.reconfigure(config, self.now);
    }

    fn restart(&mut self) {
        self.commit();
        let config = self.engine.config().clone();
        self.store = None;
        self.store = Some(Store::open(&self.dir.path().join("watchdog.db"), "bresse8").unwrap());
        let snapshot = self.store().load().unwrap();
        self.batch.notes.push(Note::start("again"));
        self.engine = Engine::restore(config, snapshot, self.now);
    }

    fn tick(&mut self) {
        self.engine.tick(self.now);
        for message in self.engine.take_due(self.now) {
            self.engine.sent(message.id, Sent::Accepted("250 OK".to_owned()), self.now);
        }
    }

    /// A piece at most, as a daemon does.
    fn cut(&mut self) {
        let now = self.now;
        if let Some(kept) = self.kept {
            self.store().cut(kept, now).unwrap();
        }
    }

    fn commit(&mut self) {
        let mut batch = std::mem::take(&mut self.batch);
        batch.at = self.now;
        batch.changes.merge(self.engine.take_changes());
        self.store().commit(&batch).unwrap();
    }

    fn remember(&mut self) {
        let now = self.now;
        let other_mails = self.store().other_mails(now).unwrap();
        let table = LastSeen { other_mails, ..LastSeen::of(&self.engine, self.now) };
        self.tables.push((self.now, kept(table)));
    }
}

/// What the chain tells of a table: not how many messages were under way, nor whether a login was refused, say.
fn kept(mut table: LastSeen) -> Value {
    table.undelivered = 0;
    table.provisional = false;
    for mailbox in &mut table.mailboxes {
        mailbox.clock_offset_s = None;
    }
    serde_json::to_value(table).unwrap()
}

#[test]
fn the_table_as_of_any_moment_is_the_one_that_was_shown_then() {
    let mut states = BTreeMap::new();
    let mut corrected = 0;
    for seed in 0..12 {
        let mut world = World::new(seed).live();
        corrected +=
            world.engine.mailboxes().values().filter(|mailbox| mailbox.ahead() > TimeDelta::zero()).count();
        let today = configuration(seed as usize);
        let tables = std::mem::take(&mut world.tables);
        let mut wrong = vec![];
        let kept_since = world.store().kept_since().unwrap();
        assert_eq!(kept_since.is_some(), world.kept.is_some(), "seed {seed}");
        for (time, table) in &tables {
            let then = last_seen(world.store(), &today, *time);
            if kept_since.is_some_and(|since| *time < since) {
                let error = then.unwrap_err();
                assert!(error.is::<NotKept>(), "{error}");
                continue;
            }
            let then = kept(then.unwrap());
            let lines = |table: &Value| table["checkers"].as_array().cloned().unwrap_or_default();
            for (now, then) in lines(table).iter().zip(lines(&then)) {
                if *now != then {
                    wrong.push(format!("{time}\n  {now}\n  {then}"));
                }
                *states.entry(now["state"].as_str().unwrap_or_default().to_owned()).or_insert(0) += 1;
            }
            if *table != then {
                wrong.push(format!("{time}: another table"));
            }
        }
        assert!(wrong.is_empty(), "seed {seed}: {} of {}\n{}", wrong.len(), tables.len(), wrong.join("\n"));
        let verified = world.store().verify(None, |_| {});
        assert!(verified.is_ok(), "{verified:?}");
    }
    assert!(corrected > 3, "ages that were corrected by the clocks: {corrected}");
    for state in ["waiting", "ok", "late", "silent", "blind"] {
        assert!(states.get(state).is_some_and(|count| *count > 20), "{state}: {states:?}");
    }
}
