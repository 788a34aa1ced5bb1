//! Who may open the file, and what is said of one that cannot be used.

use super::*;

#[test]
fn only_one_may_write_and_the_second_is_told_who_does() {
    let world = World::new();
    let error = Store::open(&world.path(), "bresse9").unwrap_err();
    let in_use = error.downcast_ref::<InUse>().unwrap();
    assert_eq!(in_use.holder, format!("process {} (bresse8)", std::process::id()));
    let path = world.path();
    let World { dir, store, .. } = world;
    Store::open_read_only(&path).unwrap().load().unwrap();
    drop(store);
    Store::open(&path, "bresse9").unwrap();
    drop(dir);
}

#[test]
fn a_file_of_another_version_or_none_is_refused_with_a_sentence() {
    let World { dir, store, .. } = World::new();
    let path = dir.path().join("watchdog.db");
    store.db.execute_batch("PRAGMA user_version = 7").unwrap();
    drop(store);
    for error in [Store::open(&path, "bresse8").unwrap_err(), Store::open_read_only(&path).unwrap_err()] {
        assert!(error.to_string().contains("watchdog.db") && error.to_string().contains('7'), "{error}");
    }
    let missing = Store::open_read_only(&dir.path().join("other.db")).unwrap_err().to_string();
    let empty = dir.path().join("empty.db");
    std::fs::write(&empty, "").unwrap();
    let empty = Store::open_read_only(&empty).unwrap_err().to_string();
    assert!(empty.contains("empty.db is empty yet; `run` or `once` fills it"), "{empty}");
    assert!(missing.contains("other.db") && missing.contains("once"), "{missing}");
    let nowhere = Store::open(&dir.path().join("missing/watchdog.db"), "bresse8").unwrap_err().to_string();
    assert!(nowhere.contains("missing/watchdog.db") && nowhere.contains("folder"), "{nowhere}");
}
