//! A digest comes once, at its time, whatever happens to the process.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Timelike as _, Utc};
use rusqlite::Connection;

use crate::rig::{AlarmMail, Watchdog, wait_for};
use crate::world::{SOON, Servers, USUAL, alarms, checkers, config, rows, state_of};

/// Its time is the next minute.
const AT_ITS_TIME: Duration = Duration::from_secs(90);

/// A zone in which it is about noon, so that no midnight comes between.
fn noon_zone(now: DateTime<Utc>) -> (String, i64) {
    let ahead = 12 - i64::from(now.hour());
    // The signs of these zones are turned round.
    (format!("Etc/GMT{:+}", -ahead).replace("+0", ""), ahead)
}

fn digests(servers: &Servers) -> Vec<AlarmMail> {
    alarms(&servers.sink).into_iter().filter(|mail| mail.subject().starts_with("MONITOR_Digest")).collect()
}

fn wait_for_digests(servers: &Servers, count: usize, limit: Duration) -> AlarmMail {
    wait_for(limit, || digests(servers).into_iter().nth(count - 1))
        .unwrap_or_else(|| panic!("{count} digests have not come, but {:?}", servers.tokens()))
}

/// As if so many days had passed since the watchdog told last.
fn let_days_pass(watchdog: &Watchdog, days: i64) {
    let db = Connection::open(state_of(watchdog)).unwrap();
    let changed = db.execute("UPDATE digests SET until_ms = until_ms - $1", [days * 86_400_000]).unwrap();
    assert_eq!(changed, 1);
}

/// One more report is taken in, so whatever the daemon wanted to do before is done.
fn let_it_judge(servers: &Servers, watchdog: &Watchdog) {
    let before = rows(&state_of(watchdog), "SELECT message_id FROM reports").len();
    servers.report("bresse1");
    let kept = || (rows(&state_of(watchdog), "SELECT message_id FROM reports").len() > before).then_some(());
    wait_for(SOON, kept).expect("the report is kept");
}

pub(crate) fn a_digest_comes_once_at_its_time_and_a_missed_one_at_the_next_start() {
    let servers = Servers::start();
    let now = Utc::now();
    let (zone, ahead) = noon_zone(now);
    let soon = now + TimeDelta::hours(ahead) + TimeDelta::seconds(75);
    let parts = [
        &servers.mailbox(),
        &checkers(&["bresse1"], USUAL),
        &servers.channel(),
        &format!(
            "[digest]\nchannel = \"backup-mail\"\nto = \"boss@elsewhere.example\"\nat = \"{}\"\n",
            soon.format("%H:%M")
        ),
    ];
    let text = config(&parts.map(String::as_str));
    let text = text.replacen("[watchdog]\n", &format!("[watchdog]\ntimezone = \"{zone}\"\n"), 1);
    let watchdog = Watchdog::new(&text);
    servers.report("bresse1");
    assert_eq!(watchdog.run(&["once"]).status, 0);
    let_days_pass(&watchdog, 1);

    let daemon = watchdog.spawn_run();
    let first = wait_for_digests(&servers, 1, AT_ITS_TIME);
    let wall = (Utc::now() + TimeDelta::hours(ahead)).format("%H:%M").to_string();
    assert!(wall >= soon.format("%H:%M").to_string(), "before its time, at {wall}");
    let day = |back| (soon - TimeDelta::days(back)).date_naive();
    assert!(
        first.subject().starts_with(&format!("MONITOR_Digest bresse8: {},", day(1))),
        "{}",
        first.subject()
    );
    assert_eq!(first.recipients, ["boss@elsewhere.example"]);
    first.assert_nothing_says_nok();
    let types: Vec<String> = mailparse::parse_mail(&first.raw)
        .unwrap()
        .subparts
        .iter()
        .map(|part| part.ctype.mimetype.clone())
        .collect();
    assert_eq!(types, ["text/plain", "text/html"]);
    // By then it is stored that the sink has it; whoever dies before sends it again.
    let_it_judge(&servers, &watchdog);
    daemon.kill_9();

    let daemon = watchdog.spawn_run();
    let_it_judge(&servers, &watchdog);
    assert_eq!(daemon.terminate(), 0);
    assert_eq!(digests(&servers).len(), 1, "a restart repeats nothing");

    let_days_pass(&watchdog, 3);
    let daemon = watchdog.spawn_run();
    let missed = wait_for_digests(&servers, 2, SOON).subject();
    assert!(missed.starts_with(&format!("MONITOR_Digest bresse8: {} to {},", day(3), day(1))), "{missed}");
    let_it_judge(&servers, &watchdog);
    assert_eq!(daemon.terminate(), 0);
    assert_eq!(digests(&servers).len(), 2);

    let shown = watchdog.run(&["digest", "--from", "-1h"]);
    assert_eq!(shown.status, 0, "{shown:?}");
    assert!(shown.stdout.contains("bresse1 (provider-of-bresse1)"), "{}", shown.stdout);
    assert!(watchdog.run(&["digest", "--html"]).stdout.starts_with("<!DOCTYPE html>"));
}
