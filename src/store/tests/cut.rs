//! The ledger is kept for a while only.

use super::*;

const KEPT: TimeDelta = TimeDelta::days(8);
const DAY: i64 = 86_400;

/// What is known of a state whose ledger is cut while it is written.
struct Story {
    world: World,
    /// What the table said, and when.
    tables: Vec<(Time, Vec<String>)>,
    heads: Vec<Head>,
    /// bresse3 writes at all.
    third: bool,
}

impl Story {
    /// bresse1 writes once a day and the others on some days.
    fn of(days: i64) -> Self {
        Self::begin(days, true)
    }

    fn begin(days: i64, third: bool) -> Self {
        let mut story = Self { world: World::new(), tables: vec![], heads: vec![], third };
        let note = Note::configuration(&crate::audit::Judged::of(&config(CONFIG)));
        story.world.batch.notes.push(note);
        (0..days).for_each(|day| story.live(day));
        story
    }

    fn live(&mut self, day: i64) {
        let (world, noon) = (&mut self.world, day * DAY);
        world.report("left", "bresse1", noon - 20);
        if day % 5 < 2 {
            world.report("left", "bresse2", noon - 10);
        }
        if self.third && day % 5 < 1 {
            world.report("left", "bresse3", noon - 5);
        }
        for second in [noon, noon + 100, noon + 2_000] {
            world.look("left", second);
            world.look("right", second);
            world.engine.tick(world.at(second));
            for message in world.engine.take_due(world.at(second)) {
                world.engine.sent(message.id, Sent::Accepted("250 OK".to_owned()), world.at(second));
            }
            world.commit();
        }
        let now = world.at(noon + 2_000);
        self.tables.push((now, lines(&LastSeen::of(&world.engine, now))));
        while world.store.cut(KEPT, now).unwrap() {
            let verified =
                world.store.verify(None, |_| {}).unwrap_or_else(|error| panic!("day {day}: {error}"));
            assert!(verified.from.seq < verified.head.seq);
        }
        self.heads.push(world.store.stored_head().unwrap());
    }

    fn count(&self, table: &str) -> i64 {
        count(&self.world.store, table)
    }

    fn verify(&self, kept: Option<Head>) -> Result<Verified, String> {
        self.world.store.verify(kept, |_| {}).map_err(|error| error.to_string())
    }

    fn execute(&self, sql: &str) -> rusqlite::Result<()> {
        self.world.store.db.execute_batch(sql)
    }
}

fn texts(store: &Store, sql: &str) -> Vec<String> {
    let mut statement = store.db.prepare(sql).unwrap();
    statement.query_map([], |row| row.get(0)).unwrap().collect::<rusqlite::Result<_>>().unwrap()
}

fn lines(table: &LastSeen) -> Vec<String> {
    table.checkers.iter().map(|line| serde_json::to_string(line).unwrap()).collect()
}

#[test]
fn what_was_kept_long_enough_goes_and_what_is_left_is_whole_and_bounded() {
    const TABLES: [&str; 6] = ["reports", "ledger", "incident_log", "steps", "deliveries", "observed"];
    let sizes = |story: &Story| TABLES.map(|table| story.count(table));
    let mut story = Story::of(30);
    let before = sizes(&story);
    (30..60).for_each(|day| story.live(day));
    let after = sizes(&story);
    for ((table, before), after) in TABLES.iter().zip(before).zip(after) {
        let kinds = "SELECT group_concat(kind || ' ' || n) FROM (SELECT kind, COUNT(*) AS n FROM ledger GROUP BY kind)";
        let kinds = texts(&story.world.store, kinds);
        assert!(
            after * 10 <= before * 12 && after > 0,
            "{table} grew from {before} to {after} rows: {kinds:?}"
        );
    }
    let verified = story.verify(None).unwrap();
    let since = verified.kept_since.unwrap();
    let (longest, now) = (KEPT + KEPT / 8 + TimeDelta::days(1), story.tables.last().unwrap().0);
    // In whole seconds.
    let shortest = KEPT - TimeDelta::seconds(1);
    assert!(since <= now - shortest && since >= now - longest, "{since} at {now}");
    assert!(verified.from.seq > 0 && verified.reports < 20, "{verified:?}");
    let oldest: i64 =
        story.world.store.db.query_row("SELECT MIN(seen_ms) FROM reports", [], |row| row.get(0)).unwrap();
    assert!(time_of(oldest) >= since - KEPT / 8 - TimeDelta::days(1), "{}", time_of(oldest));

    // The restarted watchdog knows what it knew.
    let World { dir, store, engine, .. } = story.world;
    drop(store);
    let store = Store::open(&dir.path().join("watchdog.db"), "bresse8").unwrap();
    let again = Engine::restore(config(CONFIG), store.load().unwrap(), now);
    assert_eq!(lines(&LastSeen::of(&again, now)), lines(&LastSeen::of(&engine, now)));
}

#[test]
fn the_table_is_told_as_it_stood_since_the_cut_and_refused_before_it() {
    let story = Story::of(40);
    let store = &story.world.store;
    let since = store.kept_since().unwrap().unwrap();
    let (mut told, mut refused) = (0, 0);
    for (time, table) in &story.tables {
        match past::last_seen(store, &config(CONFIG), *time) {
            Ok(then) => {
                assert!(*time >= since);
                assert_eq!(lines(&then), *table, "{time}");
                told += 1;
            }
            Err(error) => {
                assert!(*time < since, "{error}");
                assert!(error.to_string().ends_with("is not kept any more ([retention] ledger)."), "{error}");
                refused += 1;
            }
        }
    }
    assert!(told >= 8 && refused >= 25, "{told} and {refused}");
}

#[test]
fn an_incident_that_is_open_keeps_all_that_was_said_of_it() {
    let story = Story::begin(40, false);
    let store = &story.world.store;
    let silent = story.world.engine.open_incidents().find(|one| one.members.contains_key("bresse3"));
    let id = silent.expect("bresse3 never wrote").id();
    let opened = store.incident(&id).unwrap().unwrap().opened;
    assert!(opened < store.kept_since().unwrap().unwrap(), "{opened}");
    let steps = store.steps(&id).unwrap();
    assert_eq!((steps[0].what.as_str(), steps[1].what.as_str()), ("opened", "announced"), "{steps:?}");
    assert_eq!(store.messages_about(&id, 10).unwrap().len(), 2, "one for each recipient");
    let opened = "SELECT MIN(at_ms) FROM steps WHERE what = 'opened'";
    let oldest: i64 = store.db.query_row(opened, [], |row| row.get(0)).unwrap();
    assert_eq!(time_of(oldest), steps[0].at, "of no other one so old anything is left");
}

#[test]
fn a_head_that_was_kept_is_held_against_the_anchor_or_said_to_be_too_old() {
    let story = Story::of(40);
    let from = story.verify(None).unwrap().from;
    assert!(story.verify(Some(from)).is_ok(), "the entry before the first one is known by its hash");
    let forged = Head { seq: from.seq, hash: [7; 32] };
    assert!(story.verify(Some(forged)).unwrap_err().contains("was written anew up to entry"));
    let (newest, oldest) = (story.heads.last().unwrap(), story.heads.first().unwrap());
    assert!(story.verify(Some(*newest)).is_ok());
    let error = story.verify(Some(*oldest)).unwrap_err();
    assert!(error.contains("cannot be told any more"), "{error}");
}

#[test]
fn the_ledger_is_shortened_by_a_cut_alone() {
    let story = Story::of(40);
    let refused = |sql: &str| story.execute(sql).expect_err(sql).to_string();
    let first = story.verify(None).unwrap().from.seq + 1;
    for sql in [
        "DELETE FROM ledger".to_owned(),
        format!("DELETE FROM ledger WHERE seq = {first}"),
        "DELETE FROM ledger WHERE seq = (SELECT MAX(seq) FROM ledger)".to_owned(),
        "DELETE FROM ledger WHERE kind = 'cut'".to_owned(),
    ] {
        assert!(refused(&sql).contains("the ledger is only added to"), "{sql}");
    }
    story.execute("DROP TRIGGER ledger_is_not_shortened; DROP TRIGGER ledger_is_not_changed").unwrap();
    story.execute(&format!("DELETE FROM ledger WHERE seq <= {first}")).unwrap();
    assert_eq!(story.verify(None).unwrap_err(), format!("Entry {first} of the ledger was removed."));
    // Not even with the rows that it told of.
    story.execute(&format!("DELETE FROM ledger WHERE seq < {}", first + 20)).unwrap();
    assert_eq!(story.verify(None).unwrap_err(), format!("Entry {first} of the ledger was removed."));
}

#[test]
fn what_was_altered_is_not_cut_away() {
    let mut story = Story::of(40);
    let first = story.verify(None).unwrap().from.seq + 1;
    story.execute("DROP TRIGGER ledger_is_not_changed").unwrap();
    let altered = first + 5;
    story.execute(&format!("UPDATE ledger SET at_ms = at_ms + 1 WHERE seq = {altered}")).unwrap();
    let mut now = story.tables.last().unwrap().0;
    for _ in 0..100 {
        now += TimeDelta::days(1);
        while story.world.store.cut(KEPT, now).unwrap() {}
    }
    let error = story.verify(None).unwrap_err();
    assert!(error.starts_with(&format!("Entry {altered} of the ledger was altered")), "{error}");
}

#[test]
fn of_each_table_the_newest_row_stays_so_that_no_number_is_given_twice() {
    let mut story = Story::of(20);
    let numbers = |story: &Story| {
        [
            "MAX(id) FROM reports",
            "MAX(number) FROM incident_log",
            "MAX(id) FROM steps",
            "MAX(message) FROM deliveries",
        ]
        .map(|what| story.world.store.highest(&format!("SELECT {what}")).unwrap())
    };
    let before = numbers(&story);
    let mut now = story.tables.last().unwrap().0;
    for _ in 0..100 {
        now += TimeDelta::days(1);
        while story.world.store.cut(KEPT, now).unwrap() {}
    }
    assert_eq!(numbers(&story), before);
    assert!(story.verify(None).unwrap().reports <= 2, "{:?}", story.verify(None));
}
