use std::collections::{BTreeMap, BTreeSet};

use chrono::TimeDelta;
use serde_json::Value;

use super::*;
use crate::clock;
use crate::config::{Config, Sources};
use crate::engine::{Engine, History, Look};
use crate::intake::{take_in, take_in_junk};
use crate::mail::RawMail;
use crate::outbox::Sent;
use crate::past;
use crate::report::Roster;
use crate::strip::{Record, Span, Window};
use crate::view::LastSeen;

mod cut;
mod file;
mod moments;

const CONFIG: &str = r#"
[watchdog]
name = "bresse8"
[[mailbox]]
name = "left"
host = "mail.example"
user = "monitor@domain.com"
password = "secret"
[[mailbox]]
name = "right"
host = "mail.example"
user = "monitor@domain.com"
password = "secret"
[defaults]
tests = [ { service = "MSSQL1_Service", timeout = "10s" }, { service = "ESHOP_Service", timeout = "30s" } ]
[[checker]]
name = "bresse1"
provider = "free"
[[checker]]
name = "bresse2"
provider = "orange"
[[checker]]
name = "bresse3"
provider = "sfr"
[[channel]]
name = "backup-mail"
type = "smtp"
host = "127.0.0.1"
tls = "plain"
from = "bresse8@elsewhere.example"
to = ["anne@elsewhere.example", "bob@elsewhere.example"]
"#;

fn config(text: &str) -> Config {
    let sources = Sources { text, file: "watchdog.toml", environment: &Default::default(), overrides: &[] };
    Config::load(&sources).unwrap()
}

/// A state file, and an engine that goes through a story.
struct World {
    dir: tempfile::TempDir,
    store: Store,
    engine: Engine,
    roster: Roster,
    batch: Batch,
    uid: u32,
    start: Time,
}

impl World {
    /// The story begins now, for the view looks at SQLite's clock.
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(&dir.path().join("watchdog.db"), "bresse8").unwrap();
        let config = config(CONFIG);
        let start = time_of(millis(clock::now()));
        let roster = Roster::new(&config.checkers, &Default::default());
        let engine = Engine::restore(config, store.load().unwrap(), start);
        Self { dir, store, engine, roster, batch: Batch::default(), uid: 0, start }
    }

    fn path(&self) -> PathBuf {
        self.dir.path().join("watchdog.db")
    }

    fn at(&self, second: i64) -> Time {
        self.start + TimeDelta::seconds(second)
    }

    fn take(&mut self, mailbox: &str, to: &str, subject: &str, second: i64) {
        self.uid += 1;
        let at = self.at(second);
        let mail = format!(
            "From: {to}@checker.example\r\nTo: {to}+monitor@domain.com\r\nSubject: {subject}\r\nDate: {}\r\n\
             Message-ID: <{}@checker.example>\r\n\r\n\r\n",
            at.to_rfc2822(),
            self.uid
        );
        let raw = RawMail {
            uid: self.uid,
            internal_date: Some(at),
            seen: at + TimeDelta::seconds(3),
            bytes: mail.into_bytes(),
            truncated: false,
        };
        let taken = take_in(&raw, mailbox, &self.roster);
        self.engine.observe(&taken.observation);
        self.batch.mails.push(Kept { place: place(mailbox).into(), taken, body: None });
    }

    /// A run in which everything is well.
    fn report(&mut self, mailbox: &str, to: &str, second: i64) {
        self.take(mailbox, to, "DRYRUN.OK MSSQL1_Service.OK ESHOP_Service.OK", second);
    }

    fn look(&mut self, mailbox: &str, second: i64) {
        let at = self.at(second);
        self.engine.looked(mailbox, at, History::Complete, at);
        self.batch.at = at;
    }

    fn commit(&mut self) {
        self.batch.changes.merge(self.engine.take_changes());
        self.store.commit(&std::mem::take(&mut self.batch)).unwrap();
    }

    /// What the engine knows, as JSON, for it cannot be compared as a whole.
    fn memory(engine: &Engine) -> Value {
        let messages: Vec<_> =
            engine.outbox().iter().map(|message| Value::from(format!("{message:?}"))).collect();
        serde_json::json!({
            "facts": engine.facts(),
            "mailboxes": engine.mailboxes(),
            "incidents": engine.open_incidents().collect::<Vec<_>>(),
            "messages": messages,
        })
    }

    /// The view and the command's table, each as one line per checker.
    fn view_and_table(&self, second: i64) -> (Vec<String>, Vec<String>) {
        let columns = "name, provider, state, reason, last_received, last_sent, heard_at";
        let mut statement =
            self.store.db.prepare(&format!("SELECT {columns}, deadline_s FROM last_seen")).unwrap();
        let view = statement.query_map([], |row| {
            let texts: Vec<Option<String>> =
                (0..7).map(|column| row.get(column)).collect::<rusqlite::Result<_>>()?;
            Ok(format!("{texts:?} {}", row.get::<_, f64>(7)?))
        });
        let table = serde_json::to_value(LastSeen::of(&self.engine, self.at(second))).unwrap();
        let line = |checker: &Value| {
            let text = |column: &str| checker[column].as_str().map(str::to_owned);
            let texts: Vec<Option<String>> = columns.split(", ").map(text).collect();
            format!("{texts:?} {}", checker["deadline_s"].as_f64().unwrap())
        };
        let table = table["checkers"].as_array().unwrap().iter().map(line).collect();
        (view.unwrap().collect::<rusqlite::Result<_>>().unwrap(), table)
    }
}

fn place(mailbox: &str) -> Place {
    Place { mailbox: mailbox.to_owned(), folder: "INBOX".to_owned(), junk: false }
}

fn count(store: &Store, table: &str) -> i64 {
    store.db.query_row(&format!("SELECT COUNT(*) FROM {table}"), [], |row| row.get(0)).unwrap()
}

/// bresse1 is well, bresse2 found a fault and its alarm waits, bresse3 is silent, and the right mailbox fails.
fn story() -> World {
    let mut world = World::new();
    world.report("left", "bresse3", -1_000);
    world.report("left", "bresse1", -20);
    world.take("left", "bresse2", "DRYRUN.OK MSSQL1_Service.NOK ESHOP_Service.OK", -10);
    world.take("left", "nobody", "Hello", -5);
    world.look("left", 0);
    world.look("right", 0);
    world.engine.look_failed("right", "the network is cut", world.at(1));
    world.batch.cursors.push((place("left"), Cursor { uidvalidity: u32::MAX, high: 4, low: 2 }));
    world
}

#[test]
fn a_restarted_watchdog_knows_all_that_the_one_before_knew() {
    let mut world = story();
    let due = world.engine.take_due(world.at(0));
    assert_eq!(due.len(), 4, "two alarms to two people");
    world.engine.sent(due[0].id, Sent::Accepted("250 OK".to_owned()), world.at(1));
    world.engine.sent(due[1].id, Sent::failed("452 full"), world.at(1));
    world.engine.sent(due[2].id, Sent::Refused("550 no".to_owned()), world.at(1));
    world.commit();
    let snapshot = world.store.load().unwrap();
    assert_eq!((snapshot.last_incident, snapshot.last_message), (3, 4));
    assert_eq!(snapshot.messages.iter().map(|message| message.attempts).collect::<Vec<_>>(), [1, 1, 1]);
    let restored = Engine::restore(config(CONFIG), snapshot, world.at(2));
    let mut expected = World::memory(&world.engine);
    // A restart begins to try anew: everything is due, and no failure of reading is shown that is not its own.
    let mut due_now = world.engine.outbox().iter().cloned().collect::<Vec<_>>();
    due_now.iter_mut().for_each(|message| message.due = world.at(2));
    expected["messages"] = due_now.iter().map(|message| Value::from(format!("{message:?}"))).collect();
    for mailbox in ["left", "right"] {
        expected["mailboxes"][mailbox]["tried"] = serde_json::to_value(world.at(2)).unwrap();
        expected["mailboxes"][mailbox]["last_failure"] = Value::Null;
    }
    assert_eq!(World::memory(&restored), expected);
    let cursors = world.store.cursors().unwrap();
    assert_eq!(cursors, [(place("left"), Cursor { uidvalidity: u32::MAX, high: 4, low: 2 })].into());
    assert_eq!((count(&world.store, "reports"), count(&world.store, "other_mails")), (3, 1));
}

#[test]
fn a_report_comes_back_as_it_was_understood() {
    let mut world = World::new();
    world.take("left", "bresse1", "DRYRUN.OK MSSQL1_Service.NOK ESHOP_Service.OK Other.OK", -10);
    let kept = world.batch.mails[0].taken.clone();
    world.look("left", 0);
    world.commit();
    assert_eq!(world.store.known([&kept.key]).unwrap(), [kept.key].into());
    let known = world.store.reports_of("bresse1", world.at(0), 10).unwrap();
    let [report] = known.as_slice() else { panic!("{known:?}") };
    let mut expected = kept.observation.clone();
    expected.received = time_of(millis(expected.received));
    assert_eq!((&report.observation, report.uid), (&expected, 1));
    assert_eq!(report.message_id.as_deref().map(|id| id.trim_matches(['<', '>'])), Some("1@checker.example"));
    assert_eq!(
        world.store.reports_of("bresse1", world.at(-8), 10).unwrap(),
        [],
        "received, but not seen yet"
    );
}

#[test]
fn the_view_says_what_the_command_says_in_every_state() {
    let mut world = World::new();
    let mut states = BTreeSet::new();
    let mut compare = |world: &mut World, second| {
        world.commit();
        let (view, table) = world.view_and_table(second);
        assert_eq!(view, table, "after {second} s");
        states.extend(
            LastSeen::of(&world.engine, world.at(second)).checkers.iter().map(|one| one.state.word()),
        );
    };
    compare(&mut world, 0);
    // Waiting, late and ok.
    world.report("left", "bresse2", -350);
    world.report("left", "bresse3", -20);
    world.look("left", 0);
    world.look("right", 0);
    compare(&mut world, 0);
    // The left mailbox was not read for too long; bresse3 alone is heard through the other one too.
    let mut world = World::new();
    for name in ["bresse1", "bresse2", "bresse3"] {
        world.report("left", name, -300);
    }
    world.report("right", "bresse3", -310);
    world.look("left", -250);
    world.look("right", 0);
    compare(&mut world, 0);
    // Silent after having been heard, and without.
    let mut world = World::new();
    world.report("left", "bresse2", -5_000);
    world.look("left", -1_000);
    world.look("right", -1_000);
    world.look("left", 0);
    world.look("right", 0);
    compare(&mut world, 0);
    assert_eq!(states, BTreeSet::from(["waiting", "ok", "late", "silent", "blind"]));
}

#[test]
fn the_view_forgets_a_checker_that_is_no_longer_configured() {
    let mut world = story();
    world.commit();
    let less = CONFIG.replace("[[checker]]\nname = \"bresse3\"\nprovider = \"sfr\"\n", "");
    world.engine.reconfigure(config(&less), world.at(1));
    world.commit();
    let (view, table) = world.view_and_table(1);
    assert_eq!((view.len(), &view), (2, &table));
    assert_eq!(count(&world.store, "heard_through"), 2);
    assert_eq!(count(&world.store, "reports"), 3, "what it wrote stays for the auditor");
}

#[test]
fn a_batch_is_stored_as_a_whole_or_not_at_all_and_can_be_tried_again() {
    let mut world = story();
    let mut batch = std::mem::take(&mut world.batch);
    batch.changes = world.engine.take_changes();
    let refuse = "CREATE TRIGGER refuse BEFORE INSERT ON outbox BEGIN SELECT RAISE(ABORT, 'no'); END";
    world.store.db.execute_batch(refuse).unwrap();
    let error = world.store.commit(&batch).unwrap_err().to_string();
    assert!(error.contains("watchdog.db"), "{error}");
    for table in
        ["reports", "other_mails", "cursors", "checkers", "mailboxes", "observed", "incident_log", "ledger"]
    {
        assert_eq!(count(&world.store, table), 0, "{table}");
    }
    world.store.db.execute_batch("DROP TRIGGER refuse").unwrap();
    world.store.commit(&batch).unwrap();
    world.store.commit(&batch).unwrap();
    assert_eq!((count(&world.store, "reports"), count(&world.store, "outbox")), (3, 4), "twice is once");
}

#[test]
fn only_what_can_be_read_again_waits_for_the_next_sync() {
    let mut world = World::new();
    let waits = |world: &World| {
        let level: i64 = world.store.db.query_row("PRAGMA synchronous", [], |row| row.get(0)).unwrap();
        level < 2
    };
    world.report("left", "bresse1", 0);
    world.batch.cursors.push((place("left"), Cursor { uidvalidity: 1, low: 1, high: 1 }));
    world.commit();
    assert!(waits(&world), "a mail and how far was read");
    world.look("left", 1);
    world.commit();
    assert!(!waits(&world), "a look is what silence is judged by");
    world.report("left", "bresse1", 2);
    world.commit();
    assert!(waits(&world));
    world.batch.notes.push(Note::stop());
    world.commit();
    assert!(!waits(&world), "nobody tells it again");
}

#[test]
fn what_was_delivered_leaves_the_outbox_with_the_answer_and_its_number_is_not_used_again() {
    let mut world = story();
    let due = world.engine.take_due(world.at(0));
    world.commit();
    assert_eq!(count(&world.store, "outbox"), 4);
    for message in due {
        world.engine.sent(message.id, Sent::Accepted("250 2.0.0 queued".to_owned()), world.at(1));
    }
    world.commit();
    assert_eq!((count(&world.store, "outbox"), count(&world.store, "deliveries")), (0, 4));
    let answers: i64 = world
        .store
        .db
        .query_row("SELECT COUNT(*) FROM deliveries WHERE answer = '250 2.0.0 queued'", [], |row| row.get(0))
        .unwrap();
    assert_eq!((answers, world.store.load().unwrap().last_message), (4, 4));
}

#[test]
fn spans_of_observation_grow_and_break_where_nobody_looked() {
    let mut world = World::new();
    let look = |world: &mut World, from, until| {
        let look = Look {
            mailbox: "left".to_owned(),
            from: world.at(from),
            until: world.at(until),
            ahead: TimeDelta::zero(),
        };
        world.batch.changes.looks.push(look);
        world.commit();
    };
    look(&mut world, 0, 0);
    look(&mut world, 0, 60);
    look(&mut world, 60, 120);
    look(&mut world, 1_000, 1_000);
    look(&mut world, 1_000, 1_060);
    let spans = |world: &World| -> Vec<(i64, i64)> {
        let mut statement =
            world.store.db.prepare("SELECT from_ms, until_ms FROM observed ORDER BY 1").unwrap();
        let second = |ms: i64| (ms - millis(world.start)) / 1_000;
        let rows = statement.query_map([], |row| Ok((second(row.get(0)?), second(row.get(1)?)))).unwrap();
        rows.collect::<rusqlite::Result<_>>().unwrap()
    };
    assert_eq!(spans(&world), [(0, 120), (1_000, 1_060)]);
    let until = |second| world.store.observed_until(world.at(second)).unwrap().get("left").copied();
    assert_eq!(until(-1), None);
    assert_eq!(until(90), Some(world.at(90)));
    assert_eq!(until(500), Some(world.at(120)), "nobody looked then");
    assert_eq!(until(5_000), Some(world.at(1_060)));
}

#[test]
fn strips_are_made_from_looks_at_the_mailboxes_that_receive_a_checker_and_from_its_incidents() {
    let mut world = World::new();
    for second in (0..=3_600).step_by(60) {
        if second % 300 == 0 {
            world.report("left", "bresse1", second);
        }
        if second == 0 {
            world.report("left", "bresse2", second);
        }
        // The right mailbox receives neither, and is read longer.
        world.look("right", second);
        if second <= 3_000 {
            world.look("left", second);
        }
    }
    world.commit();
    let now = world.at(3_600);
    let records = world.store.records(&["bresse1", "bresse2"], Window::Day.span(now), now).unwrap();
    let span = |from, until| Span { from: world.at(from), until: world.at(until) };
    let well = Record { observed: vec![span(0, 3_000)], first: Some(world.at(0)), ..Record::default() };
    assert_eq!(records["bresse1"], well);
    assert_eq!(records["bresse2"], Record { silent: vec![span(0, 3_600)], ..well });
    let long_after = world.at(100_000);
    let later = world.store.records(&["bresse1"], Window::Day.span(long_after), long_after).unwrap();
    assert_eq!(later["bresse1"].observed, [], "the looks are older than the window");
}

#[test]
fn of_strangers_mails_only_the_newest_are_kept_and_of_reports_all() {
    let mut world = World::new();
    world.report("left", "bresse1", -20_000);
    for second in 0..10_020 {
        world.take("left", "nobody", "Hello", second - 11_000);
        if second % 1_000 == 0 {
            world.commit();
        }
    }
    world.commit();
    let newest = "SELECT MAX(received_ms) FROM other_mails";
    let newest: i64 = world.store.db.query_row(newest, [], |row| row.get(0)).unwrap();
    let counted = world.store.other_mails(world.at(11_000)).unwrap();
    assert_eq!(counted, [("nobody_known".to_owned(), 10_000)].into());
    assert_eq!((count(&world.store, "other_mails"), time_of(newest)), (10_000, world.at(10_019 - 11_000)));
    assert_eq!(count(&world.store, "reports"), 1);
}

#[test]
fn a_folder_that_is_no_longer_junk_is_read_anew() {
    let mut world = World::new();
    let of = |junk| Place { junk, ..place("left") };
    let cursor = |high| Cursor { uidvalidity: 7, high, low: 1 };
    world.batch.cursors = vec![(of(true), cursor(90)), (of(false), cursor(3)), (of(true), cursor(91))];
    world.commit();
    let stored = world.store.cursors().unwrap();
    assert_eq!(stored, BTreeMap::from([(of(false), cursor(3)), (of(true), cursor(91))]));
}

#[test]
fn what_old_mails_said_is_pruned_piece_by_piece_and_the_chain_stays_whole() {
    let mut world = World::new();
    for second in 0..450 {
        world.report("left", "bresse1", second - 5_000);
    }
    world.take("left", "nobody", "Hello", -5_000);
    world.look("left", -4_000);
    world.commit();
    world.report("left", "bresse1", -100);
    world.look("left", 0);
    world.look("right", 0);
    world.commit();
    let verified = |world: &World| world.store.verify(None, |_| {}).unwrap();
    assert_eq!((verified(&world).reports, verified(&world).pruned), (451, 0));
    let (before, now) = (world.at(-2_000), world.at(10));
    assert!(world.store.prune(before, now).unwrap(), "one piece of three");
    assert_eq!(verified(&world).pruned, 200);
    assert_eq!((count(&world.store, "other_mails"), count(&world.store, "looks")), (0, 2));
    while world.store.prune(before, now).unwrap() {}
    assert_eq!((verified(&world).reports, verified(&world).pruned), (451, 450));
    let entries = verified(&world).head.seq;
    assert!(!world.store.prune(before, now).unwrap());
    assert_eq!(verified(&world).head.seq, entries, "nothing is told when nothing was pruned");
    assert_eq!(world.store.reports_of("bresse1", world.at(10), 500).unwrap().len(), 1);
    let table = |time| past::last_seen(&world.store, &config(CONFIG), time).unwrap();
    assert_eq!(table(world.at(-3_900)).checkers[0].last_received, Some(time_of(millis(world.at(-4_551)))));

    // Without an entry that says so, what was taken away is missed.
    let body = |row: &rusqlite::Row<'_>| Ok((row.get::<_, String>(0)?, row.get::<_, String>(1)?));
    let newest = "SELECT content, hops FROM reports WHERE id = 451";
    let (content, hops) = world.store.db.query_row(newest, [], body).unwrap();
    let left = format!(
        "pruned:{}",
        crate::audit::hex(&crate::audit::body_digest(content.as_bytes(), hops.as_bytes()))
    );
    world.store.db.execute("UPDATE reports SET content = ?1, hops = '' WHERE id = 451", [left]).unwrap();
    let error = world.store.verify(None, |_| {}).unwrap_err().to_string();
    assert!(error.contains("The content of report 451 was taken away"), "{error}");
}

#[test]
fn of_many_keys_those_of_kept_mails_are_known() {
    let mut world = World::new();
    for second in [0, 300, 600, 900] {
        world.report("left", "bresse1", second);
        // To nobody that is configured.
        world.take("left", "stranger", "Hello", second + 100);
    }
    let kept: BTreeSet<_> = world.batch.mails.iter().map(|kept| kept.taken.key).collect();
    world.look("left", 1_000);
    world.commit();
    // Right before and after each, and one that lies far behind all.
    let near = |key: &crate::intake::Key, by: i128| i128::from_be_bytes(*key).wrapping_add(by).to_be_bytes();
    let others = kept.iter().flat_map(|key| [near(key, -1), near(key, 1)]).chain([[0; 16], [0xff; 16]]);
    let asked: Vec<_> = others.clone().chain(kept.iter().copied()).collect();
    assert_eq!(world.store.known(&asked).unwrap(), kept);
    assert_eq!(world.store.known(&others.collect::<Vec<_>>()).unwrap(), BTreeSet::new());
    assert_eq!(kept.len(), 8);
    for key in &kept {
        assert_eq!(world.store.known([key, key]).unwrap(), BTreeSet::from([*key]));
    }
}
