//! The ledger of a watchdog that has had something to tell, verified by the program and by another one in Python that
//! was written from docs/audit.md.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::disallowed_methods)]

mod rig;

use std::path::{Path, PathBuf};
use std::process::Command;

use bresse_watchdog::store::Store;
use bresse_watchdog::testbed::MailStore;
use bresse_watchdog::testbed::imap::{ImapOptions, ImapServer};
use bresse_watchdog::testbed::smtp::{SmtpOptions, SmtpSink};
use chrono::{TimeDelta, Utc};
use rig::{AlarmMail, Finished, PASSWORD, Report, Watchdog, channel_at};
use rusqlite::Connection;
use rusqlite::types::Value;

const USER: &str = "monitor@domain.com";
const CHECKERS: &str = "[defaults]\nprovider = \"free\"\ntests = [ { service = \"MSSQL1_Service\", timeout = \"10s\" }, \
    { service = \"ESHOP_Service\", timeout = \"30s\" } ]\n[[checker]]\nname = \"bresse1\"\n[[checker]]\nname = \"bresse2\"\n";

/// A watchdog whose ledger has entries of many kinds.
struct World {
    watchdog: Watchdog,
    _imap: ImapServer,
    sink: SmtpSink,
}

impl World {
    fn new() -> Self {
        let mailbox = MailStore::new();
        let imap = ImapServer::start(ImapOptions::new(mailbox.clone(), USER, PASSWORD)).unwrap();
        let smtp = SmtpSink::start(SmtpOptions::default()).unwrap();
        let (imap_port, smtp_port) = (imap.address().port(), smtp.address().port());
        let channel = channel_at(&format!("host = \"127.0.0.1\"\nport = {smtp_port}\ntls = \"plain\""));
        let watchdog = Watchdog::new(&format!(
            "[watchdog]\nname = \"bresse8\"\n[mailbox]\nhost = \"127.0.0.1\"\nport = {imap_port}\ntls = \"plain\"\n\
             user = \"{USER}\"\npassword = {{ env = \"IMAP_PASSWORD\" }}\n{CHECKERS}{channel}\
             [audit]\nhead_to = \"backup-mail\"\n"
        ));
        for (checker, ago) in [("bresse1", 600), ("bresse1", 300), ("bresse2", 20_000)] {
            let at = Utc::now() - TimeDelta::seconds(ago);
            let relayed = |host: &str| format!("Received: by {host}; {}\r\n", at.to_rfc2822());
            let way = relayed("mx.domain.com") + &relayed("relay.free.example");
            let mail = [way.into_bytes(), Report::new(checker, at).mail()].concat();
            mailbox.append("INBOX", mail, at);
        }
        let world = Self { watchdog, _imap: imap, sink: smtp };
        world.run(&["once"]);
        world.run(&["ack", "bresse2_Checker", "--by", "anne", "--note", "=HYPERLINK(1)\u{1b}[31m"]);
        world.run(&["silence", "--checker", "bresse1", "--for", "2h", "--by", "bob"]);
        let at = Utc::now();
        mailbox.append("INBOX", Report::new("bresse1", at).nok("ESHOP_Service").mail(), at);
        world.run(&["once", "--set", "defaults.cycle=10m"]);
        world
    }

    /// Lets days pass of which a few are kept. Returns how many entries were cut away.
    fn cut(&self) -> i64 {
        let mut store = Store::open(&self.state(), "bresse8").unwrap();
        for day in [10, 100] {
            while store.cut(TimeDelta::days(80), Utc::now() + TimeDelta::days(day)).unwrap() {}
        }
        store.verify(None, |_| {}).unwrap().from.seq
    }

    fn run(&self, arguments: &[&str]) -> Finished {
        tokio::task::block_in_place(|| self.watchdog.run(arguments))
    }

    fn state(&self) -> PathBuf {
        self.watchdog.path("watchdog.db")
    }

    /// A copy to spoil, in which the ledger can be changed.
    fn copy(&self, name: &str) -> PathBuf {
        let path = self.watchdog.path(name);
        std::fs::copy(self.state(), &path).unwrap();
        let db = Connection::open(&path).unwrap();
        let triggers = "DROP TRIGGER ledger_is_not_changed; DROP TRIGGER ledger_is_not_shortened;";
        db.execute_batch(triggers).unwrap();
        path
    }

    fn spoilt(&self, sql: &str) -> PathBuf {
        let path = self.copy("spoilt.db");
        Connection::open(&path).unwrap().execute_batch(sql).unwrap();
        path
    }
}

/// What the library says of each file: its head, or the sentence.
fn verify(path: &Path) -> Result<String, String> {
    let verified = Store::open_read_only(path).and_then(|store| store.verify(None, |_| {}));
    verified.map(|found| found.head.to_string()).map_err(|error| error.to_string())
}

/// What the program in Python says of each file.
fn verify_in_python(arguments: &[&str]) -> Vec<Result<String, String>> {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/verify_ledger.py");
    let output = Command::new("python3").arg(script).args(arguments).output().unwrap();
    assert!(output.stderr.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
    let lines = String::from_utf8(output.stdout).unwrap();
    let read = |line: &str| match line.strip_prefix("NOT WHOLE: ") {
        Some(why) => Err(why.to_owned()),
        None => Ok(line.to_owned()),
    };
    lines.lines().map(read).collect()
}

fn python(path: &Path) -> Result<String, String> {
    verify_in_python(&[path.to_str().unwrap()]).pop().unwrap()
}

fn texts(db: &Connection, sql: &str) -> Vec<String> {
    let mut statement = db.prepare(sql).unwrap();
    statement.query_map([], |row| row.get(0)).unwrap().collect::<rusqlite::Result<_>>().unwrap()
}

/// All of the ledger with the types of its values; None when it cannot be read.
fn dump(path: &Path) -> Option<Vec<Vec<Value>>> {
    let db = Connection::open(path).ok()?;
    let mut statement = db.prepare("SELECT * FROM ledger ORDER BY seq").ok()?;
    let row = |row: &rusqlite::Row<'_>| (0..6).map(|column| row.get(column)).collect();
    statement.query_map([], row).ok()?.collect::<rusqlite::Result<_>>().ok()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ledger_that_tells_of_everything_is_whole_for_both_verifiers() {
    let world = World::new();
    let db = Connection::open(world.state()).unwrap();
    let kinds = texts(&db, "SELECT DISTINCT kind FROM ledger ORDER BY kind");
    let expected = [
        "checker",
        "configuration",
        "delivery",
        "gap",
        "incident",
        "reports",
        "silence",
        "start",
        "step",
        "stop",
    ];
    assert_eq!(kinds, expected);
    let configurations = texts(&db, "SELECT content FROM ledger WHERE kind = 'configuration'");
    assert_eq!(configurations.len(), 2, "one was in force twice, and told of once");
    assert!(
        !configurations.concat().contains(PASSWORD) && !configurations.concat().contains("IMAP_PASSWORD")
    );
    let who = "SELECT json_extract(content, '$.who') FROM ledger WHERE json_extract(content, '$.what') = 'acknowledged'";
    assert_eq!(texts(&db, who), ["anne"]);
    let answers = "SELECT json_extract(content, '$.answer') FROM ledger WHERE kind = 'delivery'";
    assert!(texts(&db, answers).iter().all(|answer| answer.starts_with("250")));

    let verified = world.run(&["audit", "verify"]);
    assert_eq!((verified.status, verified.stderr.as_str()), (0, ""), "{verified:?}");
    assert!(verified.stdout.contains("and 4 reports that are as they were written"), "{}", verified.stdout);
    let head = world.run(&["audit", "head"]).stdout.trim().to_owned();
    assert_eq!(verify(&world.state()), Ok(head.clone()));
    assert_eq!(python(&world.state()), Ok(head.clone()));
    assert_eq!(world.run(&["audit", "verify", "--head", &head]).status, 0);

    let shorter = world.spoilt("DELETE FROM ledger WHERE seq = (SELECT MAX(seq) FROM ledger)");
    assert!(verify(&shorter).is_ok() && python(&shorter).is_ok(), "without a head nobody can tell");
    let state = format!("watchdog.state=sqlite:{}", shorter.display());
    let cut = world.run(&["audit", "verify", "--head", &head, "--set", &state]);
    assert_eq!(cut.status, 1, "{cut:?}");
    let last = head.split_once(':').unwrap().0;
    assert!(cut.stderr.contains(&format!("Entry {last} of the ledger was removed")), "{cut:?}");
    assert!(verify_in_python(&[&head, shorter.to_str().unwrap()])[0].is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ledger_that_was_cut_is_whole_for_both_verifiers_and_says_since_when_it_is_kept() {
    let world = World::new();
    let first = Connection::open(world.state()).unwrap();
    let first = texts(&first, "SELECT '1:' || lower(hex(hash)) FROM ledger WHERE seq = 1").remove(0);
    let table = world.watchdog.last_seen();
    assert!(world.cut() > 10);
    assert_eq!(world.watchdog.last_seen()["checkers"][1]["services"], table["checkers"][1]["services"]);

    let verified = world.run(&["audit", "verify"]);
    assert_eq!((verified.status, verified.stderr.as_str()), (0, ""), "{verified:?}");
    assert!(verified.stdout.contains("It is kept since "), "{}", verified.stdout);
    let json = world.run(&["audit", "verify", "--format", "json"]).stdout;
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    let since = json["kept_since"].as_str().expect("since when");
    let head = world.run(&["audit", "head"]).stdout.trim().to_owned();
    assert_eq!((verify(&world.state()), python(&world.state())), (Ok(head.clone()), Ok(head)));

    let old = world.run(&["audit", "verify", "--head", &first]);
    assert_eq!(old.status, 1, "{old:?}");
    assert!(old.stderr.contains("whether it goes through entry 1 cannot be told any more"), "{old:?}");
    assert!(verify_in_python(&[&first, world.state().to_str().unwrap()])[0].is_err());
    let past = |time: &str| world.run(&["last-seen", "--as-of", time, "--format", "json"]);
    assert_eq!(past(since).status, 0, "{:?}", past(since));
    for command in [&["last-seen"][..], &["explain", "bresse1"], &["matrix"]] {
        let refused = world.run(&[command, &["--as-of", "-1m"]].concat());
        assert_eq!(refused.status, 1, "{command:?} {refused:?}");
        let sentence = format!("What was before {since} is not kept any more ([retention] ledger).");
        assert!(refused.stderr.contains(&sentence), "{refused:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_head_that_was_mailed_shows_that_nothing_before_it_was_cut_off() {
    let world = World::new();
    let is_head = |mail: &AlarmMail| mail.subject().starts_with("MONITOR_Ledger bresse8: ");
    let mails = world.sink.mails().into_iter();
    let heads: Vec<AlarmMail> =
        mails.map(|mail| AlarmMail { recipients: mail.to, raw: mail.bytes }).filter(is_head).collect();
    let [mail] = heads.as_slice() else { panic!("{} heads were mailed", heads.len()) };
    mail.assert_nothing_says_nok();
    let text = mail.body();
    let (_, command) = text.split_once("bresse-watchdog ").expect("a command");
    let command: Vec<&str> = command.lines().next().unwrap().split(' ').collect();
    let verified = world.run(&command);
    assert_eq!(verified.status, 0, "{command:?} {verified:?}");
    let db = Connection::open(world.state()).unwrap();
    let delivered = "SELECT about FROM ledger WHERE kind = 'delivery' AND about LIKE 'head-%'";
    assert_eq!(texts(&db, delivered).len(), 1);

    let (seq, _) = command.last().unwrap().split_once(':').unwrap();
    let shorter = world.spoilt(&format!("DELETE FROM ledger WHERE seq >= {seq}"));
    let state = format!("watchdog.state=sqlite:{}", shorter.display());
    let cut = world.run(&[&command[..], &["--set", &state]].concat());
    assert!(cut.stderr.contains(&format!("Entry {seq} of the ledger was removed")), "{cut:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_is_done_to_a_row_is_found_and_named_by_both_verifiers() {
    let world = World::new();
    let cases = [
        ("UPDATE ledger SET content = content || ' ' WHERE seq = 3", "Entry 3 of the ledger was altered"),
        ("UPDATE ledger SET at_ms = at_ms + 1 WHERE seq = 1", "Entry 1 of the ledger was altered"),
        ("UPDATE ledger SET kind = 'Start' WHERE seq = 1", "Entry 1 of the ledger was altered"),
        ("UPDATE ledger SET about = 'x' WHERE seq = 2", "Entry 2 of the ledger was altered"),
        ("UPDATE ledger SET seq = seq + 1024 WHERE seq = 3", "Entry 3 of the ledger was removed"),
        ("DELETE FROM ledger WHERE seq = 4", "Entry 4 of the ledger was removed"),
        ("DELETE FROM ledger WHERE seq = 1", "Entry 1 of the ledger was removed"),
        ("DELETE FROM ledger WHERE seq < 6", "Entry 1 of the ledger was removed"),
        ("INSERT INTO ledger SELECT 0, at_ms, kind, about, content, hash FROM ledger WHERE seq = 1", "Entry 0 of"),
        ("INSERT INTO ledger SELECT max(seq) + 1, at_ms, kind, about, content, hash FROM ledger", "was altered, or ins"),
        ("UPDATE reports SET received_ms = received_ms - 1 WHERE id = 2", "Report 2 was altered"),
        ("UPDATE reports SET content = replace(content, 'u', 'e') WHERE id = 1", "Report 1 was altered"),
        ("UPDATE reports SET content = 'pruned:' || hex(randomblob(32)), hops = '' WHERE id = 1", "Report 1 was alt"),
        ("DELETE FROM reports WHERE id = 3", "Report 3 was removed"),
        (
            "INSERT INTO reports SELECT 99, x'00', run_key, checker, mailbox, folder, uid, message_id, sent_ms, received_ms,
             seen_ms, content, hops FROM reports WHERE id = 1",
            "Report 99 was inserted",
        ),
        ("UPDATE deliveries SET answer = '550 no'", "of the table deliveries was altered"),
        ("UPDATE incident_log SET closed_ms = 1 WHERE number = 1", "Row 1 of the table incident_log was altered"),
        ("DELETE FROM steps WHERE what = 'acknowledged'", "of the table steps was removed"),
        ("UPDATE steps SET who = 'carl' WHERE what = 'acknowledged'", "of the table steps was altered"),
        ("INSERT INTO steps SELECT 99, incident, at_ms, what, who, detail FROM steps LIMIT 1", "Row 99 of the table steps"),
        ("UPDATE silences_by_hand SET until_ms = until_ms + 1", "Row 1 of the table silences_by_hand was altered"),
    ];
    for (sql, expected) in cases {
        let spoilt = world.spoilt(sql);
        let error = verify(&spoilt).expect_err(sql);
        assert!(error.contains(expected), "{sql}: {error}");
        assert!(python(&spoilt).is_err(), "{sql}: Python finds nothing");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn any_bit_that_is_changed_in_an_entry_is_found_there() {
    any_bit_that_is_changed_is_found(&World::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn any_bit_that_is_changed_in_a_ledger_that_was_cut_is_found_there() {
    let world = World::new();
    assert!(world.cut() > 10);
    any_bit_that_is_changed_is_found(&world);
}

fn any_bit_that_is_changed_is_found(world: &World) {
    let path = world.copy("bits.db");
    let db = Connection::open(&path).unwrap();
    // Every byte of every entry's texts and hash with one of its bits, in both programs.
    let flip = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/flip_ledger.py");
    let output = Command::new("python3").arg(flip).arg(&path).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}\n{}", String::from_utf8_lossy(&output.stderr));
    assert!(said.contains("bits were changed and found"), "{said}");

    let store = Store::open_read_only(&path).unwrap();
    let rows = dump(&path).unwrap();
    let mut rng = fastrand::Rng::with_seed(7);
    let mut flipped = 0;
    for row in &rows {
        let Value::Integer(seq) = row[0] else { panic!("{row:?}") };
        for (column, name) in ["at_ms", "kind", "about", "content", "hash"].into_iter().enumerate() {
            let set = format!("UPDATE ledger SET {name} = ?1 WHERE seq = ?2");
            for spoilt in spoilt(&row[column + 1], &mut rng) {
                db.execute(&set, (&spoilt, seq)).unwrap();
                let error = store.verify(None, |_| {}).expect_err(name).to_string();
                assert!(error.contains(&format!("Entry {seq} of the ledger ")), "{name} of {seq}: {error}");
                flipped += 1;
            }
            db.execute(&set, (&row[column + 1], seq)).unwrap();
        }
    }
    assert!(store.verify(None, |_| {}).is_ok());
    assert!(flipped > 500, "{flipped} bits");
}

/// The value with one bit changed: each bit of a number and of a hash, a bit of some of the bytes of a text.
fn spoilt(value: &Value, rng: &mut fastrand::Rng) -> Vec<Value> {
    match value {
        Value::Integer(number) => (0..64).map(|bit| Value::Integer(number ^ (1 << bit))).collect(),
        Value::Blob(bytes) => (0..bytes.len() * 8)
            .step_by(7)
            .map(|bit| {
                let mut bytes = bytes.clone();
                bytes[bit / 8] ^= 1 << (bit % 8);
                Value::Blob(bytes)
            })
            .collect(),
        Value::Text(text) => (0..text.len().min(20))
            .filter_map(|_| {
                let mut bytes = text.clone().into_bytes();
                bytes[rng.usize(..text.len())] ^= 1 << rng.u8(..7);
                String::from_utf8(bytes).ok().filter(|spoilt| spoilt != text).map(Value::Text)
            })
            .collect(),
        other => panic!("{other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bit_that_is_changed_in_the_file_is_found_by_both_verifiers_or_changes_no_entry() {
    const TRIES: usize = 250;
    let world = World::new();
    let path = world.copy("file.db");
    let db = Connection::open(&path).unwrap();
    db.execute_batch("PRAGMA journal_mode = DELETE").unwrap();
    let page: u32 = db.query_row("PRAGMA page_size", [], |row| row.get(0)).unwrap();
    let of_ledger = "SELECT pageno FROM dbstat WHERE name IN ('ledger', 'ledger_by_kind')";
    let mut statement = db.prepare(of_ledger).unwrap();
    let pages: Vec<u32> =
        statement.query_map([], |row| row.get(0)).unwrap().collect::<rusqlite::Result<_>>().unwrap();
    drop(statement);
    drop(db);
    let (bytes, before) = (std::fs::read(&path).unwrap(), dump(&path));
    let mut rng = fastrand::Rng::with_seed(11);
    let files: Vec<PathBuf> = (0..TRIES)
        .map(|number| {
            let mut spoilt = bytes.clone();
            let place = (pages[rng.usize(..pages.len())] - 1) * page + rng.u32(..page);
            spoilt[usize::try_from(place).unwrap()] ^= 1 << rng.u8(..8);
            let file = world.watchdog.path(&format!("file{number}.db"));
            std::fs::write(&file, spoilt).unwrap();
            file
        })
        .collect();
    let names: Vec<&str> = files.iter().map(|file| file.to_str().unwrap()).collect();
    let in_python = verify_in_python(&names);
    assert_eq!(in_python.len(), TRIES);
    let mut found = 0;
    for (file, python) in files.iter().zip(in_python) {
        let verdict = verify(file);
        assert_eq!(verdict.is_ok(), python.is_ok(), "{}: {verdict:?}, Python: {python:?}", file.display());
        match verdict {
            Ok(_) => assert!(dump(file) == before, "{} holds another ledger", file.display()),
            Err(_) => found += 1,
        }
    }
    assert!(found > TRIES / 4, "only {found} of {TRIES} were of any consequence");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_export_is_the_ledger_and_no_spreadsheet_runs_what_is_in_it() {
    let world = World::new();
    let json = world.run(&["audit", "export", "--format", "json"]);
    assert_eq!((json.status, json.stderr.as_str()), (0, ""));
    let json: serde_json::Value = serde_json::from_str(&json.stdout).unwrap();
    let entries = json["entries"].as_array().unwrap();
    let stored = dump(&world.state()).unwrap();
    assert_eq!(entries.len(), stored.len());
    for (entry, row) in entries.iter().zip(&stored) {
        let hash = match &row[5] {
            Value::Blob(hash) => hash.iter().map(|byte| format!("{byte:02x}")).collect::<String>(),
            other => panic!("{other:?}"),
        };
        assert_eq!(entry["hash"], hash);
        assert_eq!(Value::Text(entry["content"].as_str().unwrap().to_owned()), row[4]);
        assert_eq!(Value::Integer(entry["at_ms"].as_i64().unwrap()), row[1]);
    }
    let csv = world.run(&["audit", "export", "--format", "csv", "--from", "-1h"]).stdout;
    assert!(!csv.contains('\u{1b}') && csv.contains("HYPERLINK"), "{csv}");
    let mut reader = csv::Reader::from_reader(csv.as_bytes());
    assert_eq!(reader.records().filter(|record| record.is_ok()).count(), stored.len());
    let none = world.run(&["audit", "export", "--to", "2020-01-01T00:00:00Z", "--format", "json"]).stdout;
    assert_eq!(serde_json::from_str::<serde_json::Value>(&none).unwrap()["entries"], serde_json::json!([]));
}

#[tokio::test(flavor = "multi_thread")]
async fn every_example_of_the_documentation_finds_something_in_the_sqlite3_shell() {
    let world = World::new();
    let text = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/audit.md")).unwrap();
    let blocks: Vec<&str> =
        text.split("```sql\n").skip(1).map(|rest| rest.split("```").next().unwrap()).collect();
    let examples: Vec<&str> = blocks
        .iter()
        .flat_map(|block| block.split_inclusive(';'))
        .filter(|one| one.contains("SELECT"))
        .collect();
    assert!(examples.len() >= 9, "{examples:?}");
    for example in examples {
        let output = Command::new("sqlite3")
            .arg("-readonly")
            .arg(world.state())
            .arg(format!("\n{example}"))
            .output()
            .unwrap();
        assert!(output.status.success(), "{example}: {}", String::from_utf8_lossy(&output.stderr));
        assert!(!output.stdout.is_empty(), "{example} finds nothing");
    }
    let db = Connection::open(world.state()).unwrap();
    assert_eq!(texts(&db, "SELECT checker || ' ' || token FROM silences"), ["bresse2 bresse2_Checker"]);
    let open = "SELECT state || ' ' || acknowledged_by FROM incidents WHERE token = 'bresse2_Checker'";
    assert_eq!(texts(&db, open), ["acknowledged anne"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_table_as_of_a_moment_knows_neither_later_mails_nor_the_present_configuration() {
    let world = World::new();
    let now = world.watchdog.last_seen();
    let db = Connection::open(world.state()).unwrap();
    let first = "SELECT strftime('%Y-%m-%dT%H:%M:%fZ', at_ms / 1000.0, 'unixepoch') FROM ledger WHERE kind = 'stop' LIMIT 1";
    let then = texts(&db, first).remove(0);
    let table = |arguments: &[&str]| -> serde_json::Value {
        let finished = world.run(&[&["last-seen", "--format", "json"], arguments].concat());
        assert_eq!(finished.status, 0, "{finished:?}");
        serde_json::from_str(&finished.stdout).unwrap()
    };
    let past = table(&["--as-of", &then, "--set", "defaults.cycle=20m", "--set", "defaults.provider=orange"]);
    assert_eq!(past["checkers"][0]["services"][1]["result"], "OK");
    assert_eq!(
        (&past["checkers"][0]["deadline_s"], &past["checkers"][0]["provider"]),
        (&400.into(), &"free".into())
    );
    assert_eq!(past["checkers"][1]["state"], "silent");
    assert_eq!(now["checkers"][0]["services"][1]["result"], "NOK");
    let explained = world.run(&["explain", "bresse2", "--as-of", &then, "--set", "defaults.cycle=20m"]);
    assert!(explained.stdout.contains("bresse2 (free) is silent."), "{explained:?}");
    assert!(explained.stdout.contains("400 s"), "{explained:?}");
}
