//! What scripts and pages of others look at: files, badges, the health, and the plugin's line.

use std::fs;
use std::time::Duration;

use chrono::Utc;

use crate::rig::{Report, wait_for};
use crate::site::Site;
use crate::world::{SHORT, SOON, Servers, USUAL, checkers, state_of};

#[test]
fn a_file_stands_for_each_dead_checker_and_service_until_it_recovers() {
    let servers = Servers::start();
    let names = ["bresse1", "bresse2", "bresse3"];
    let feeder = servers.feed(&names);
    let dead_files = "[dead_files]\nfolder = \"dead\"\n";
    let mut site =
        Site::install(&[&servers.mailbox(), &checkers(&names, SHORT), &servers.channel(), dead_files], "");
    let folder = site.watchdog.path("dead");
    fs::create_dir(&folder).unwrap();
    for left in ["bresse9.dead", "bresse1.dead", "README"] {
        fs::write(folder.join(left), "left by somebody\n").unwrap();
    }
    let present = || {
        let mut names: Vec<String> = fs::read_dir(&folder)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .filter(|name| !name.starts_with('.'))
            .collect();
        names.sort();
        names
    };
    let expect = |wanted: &[&str]| {
        let reached = || (present() == wanted).then_some(());
        wait_for(SOON, reached).unwrap_or_else(|| panic!("{:?} instead of {wanted:?}", present()));
    };
    site.run();
    expect(&["README"]);
    feeder.silence("bresse1");
    expect(&["README", "bresse1.dead"]);
    let text = fs::read_to_string(folder.join("bresse1.dead")).unwrap();
    assert!(text.starts_with("bresse1: is silent"), "{text}");
    ["bresse2", "bresse3"].iter().for_each(|name| feeder.find_nok(name, "ESHOP_Service"));
    expect(&["ESHOP_Service.dead", "README", "bresse1.dead"]);

    // What was dead stays dead while nobody looks.
    site.stop();
    assert_eq!(present(), ["ESHOP_Service.dead", "README", "bresse1.dead"]);
    ["bresse2", "bresse3"].iter().for_each(|name| feeder.revive(name));
    feeder.revive("bresse1");
    site.run();
    expect(&["README"]);
}

#[test]
fn a_badge_shows_one_checker_to_whom_it_may() {
    let servers = Servers::start();
    servers.deliver(&Report::new("bresse1", Utc::now()).nok("ESHOP_Service"), Utc::now());
    let parts = [&servers.mailbox(), &checkers(&["bresse1", "bresse2"], USUAL), &servers.channel()];
    let parts = parts.map(String::as_str);
    let site = Site::start(&parts, "badges = \"public\"");
    let wanted = "<title>bresse1: ok, 1 service down</title>";
    let badge = site.wait_for("/badge/bresse1.svg", |answer| answer.body.contains(wanted));
    assert!(badge.head.contains("content-type: image/svg+xml"), "{}", badge.head);
    assert!(site.ask("GET", "/badge/bresse2.svg", "").body.contains("<title>bresse2: waiting</title>"));
    for unknown in ["/badge/bresse1", "/badge/bresse3.svg", "/badge/..%2Fx.svg"] {
        assert_eq!(site.get(unknown).status, 404, "{unknown}");
    }
    assert_eq!(site.ask("GET", "/api/v1/last-seen", "").status, 401, "only badges are public");
    let site = Site::start(&parts, "");
    assert_eq!(site.ask("GET", "/badge/bresse1.svg", "").status, 401);
    assert_eq!(site.get("/badge/bresse1.svg").status, 200);
}

#[test]
fn a_watchdog_that_cannot_store_what_it_sees_is_not_healthy_until_it_can() {
    let servers = Servers::start();
    servers.report("bresse1");
    let site = Site::start(&[&servers.mailbox(), &checkers(&["bresse1"], USUAL), &servers.channel()], "");
    let other = rusqlite::Connection::open(state_of(&site.watchdog)).unwrap();
    other.busy_timeout(Duration::from_secs(20)).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let sick = site.wait_for("/healthz", |answer| answer.status == 503);
    assert!(
        ["The state cannot be stored; see the log.\n", "The daemon does not answer.\n"]
            .contains(&sick.body.as_str())
    );
    let lb = site.get("/lb/all");
    assert_eq!((lb.status, lb.body.as_str()), (200, "OK\n"), "what was up is up as far as anybody knows");
    other.execute_batch("ROLLBACK").unwrap();
    site.wait_for("/healthz", |answer| answer.status == 200);
}
