//! The daemon is killed again and again while reports come, checkers fall silent and services fail, and come back.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::rig::{
    Dovecot, Feeder, Inbox, Progress, Protocol, Sink, Watchdog, channel, mailbox, submit, wait_for,
};
use crate::site::{self, PERIOD};
use crate::state::{
    self, NAME, SOON, assert_kept, assert_ledger_is_whole, assert_sent_is_what_was_taken,
    cursor_is_not_ahead, message_id, named, wait_for_state,
};

const CHECKERS: usize = 20;
/// The watchdog's own absences are no blindness.
const MAILBOX: &str = "poll = \"1s\"\nblind_after = \"30m\"\n";
/// Half of the lives end while the daemon starts and catches up, half of them in up to so many times what that takes.
const LONG_LIVES: f64 = 2.5;
/// Lives double when nothing has come for so long.
const STUCK: Duration = Duration::from_secs(30);
/// Within so much time an alarm comes although the daemon is killed all the while.
const PATIENCE: Duration = Duration::from_secs(180);
/// The whole chain is followed once in so many kills.
const VERIFY_EVERY: usize = 10;

/// One thing that goes wrong and is mended, over and over.
struct Trouble {
    token: &'static str,
    begin: fn(&Feeder),
    end: fn(&Feeder),
    wrong: bool,
    times: usize,
    since: Instant,
}

impl Trouble {
    fn new(token: &'static str, begin: fn(&Feeder), end: fn(&Feeder)) -> Self {
        Self { token, begin, end, wrong: false, times: 0, since: Instant::now() }
    }

    /// Goes on once the alarm, or the recovery, that is due has come. `begin_anew`: when all is well, something goes wrong.
    fn follow(&mut self, sink: &Sink, feeder: &Feeder, begin_anew: bool) {
        let due = format!("{}.{}", self.token, if self.wrong { "NOK" } else { "OK" });
        let came: BTreeSet<_> =
            sink.mails().iter().filter(|mail| mail.token() == due).map(|mail| named(mail).0).collect();
        let wanted = if self.wrong { self.times + 1 } else { self.times };
        if came.len() < wanted {
            assert!(self.since.elapsed() < PATIENCE, "{due} has not come: {:?}", sink.tokens());
            return;
        }
        if self.wrong {
            (self.end)(feeder);
            self.times += 1;
        } else if begin_anew {
            (self.begin)(feeder);
        } else {
            return;
        }
        self.wrong = !self.wrong;
        self.since = Instant::now();
    }

    fn is_over(&self, sink: &Sink) -> bool {
        let due = format!("{}.OK", self.token);
        let came: BTreeSet<_> =
            sink.mails().iter().filter(|mail| mail.token() == due).map(|mail| named(mail).0).collect();
        !self.wrong && came.len() >= self.times
    }
}

fn troubles() -> Vec<Trouble> {
    vec![
        Trouble::new(
            "bresse2_Checker",
            |feeder| feeder.silence("bresse2"),
            |feeder| feeder.revive("bresse2"),
        ),
        Trouble::new(
            "ESHOP_Service",
            |feeder| feeder.find_nok("bresse3", "ESHOP_Service"),
            |feeder| feeder.revive("bresse3"),
        ),
        Trouble::new(
            "MSSQL1_Service",
            |feeder| feeder.find_nok("bresse4", "MSSQL1_Service"),
            |feeder| feeder.revive("bresse4"),
        ),
    ]
}

/// What is true at every instant at which the daemon is dead.
fn assert_nothing_is_torn(watchdog: &Watchdog, sink: &Sink, verify: bool) {
    let state = watchdog.path(NAME);
    if !state.exists() {
        return;
    }
    if state::ask(&state, "SELECT 1 FROM cursors", |_| Ok(())).is_ok() {
        cursor_is_not_ahead(&state).unwrap();
        assert_sent_is_what_was_taken(&state, &sink.mails());
    }
    if verify {
        assert_ledger_is_whole(watchdog);
    }
}

/// From the start to the first look that is stored, on this machine as busy as it is.
fn time_of_a_start(watchdog: &Watchdog, names: &[&str]) -> Duration {
    let first = watchdog.spawn_run();
    wait_for_state(watchdog, names, "ok");
    drop(first);
    let state = watchdog.path(NAME);
    let looks = || state::number(&state, "SELECT COUNT(*) FROM looks");
    let start = |_| {
        let (before, started) = (looks(), Instant::now());
        let _daemon = watchdog.spawn_run();
        wait_for(SOON, || (looks() > before).then_some(())).expect("a look");
        started.elapsed()
    };
    (0..3).map(start).min().expect("three starts")
}

/// Kills so many times, by this seed; what came of it, for people.
pub(crate) fn again_and_again(kills: usize, seed: u64) -> String {
    println!("kill: seed {seed}, {kills} kills");
    let mut random = fastrand::Rng::with_seed(seed);
    let (dovecot, sink) = (Dovecot::start(), Sink::start());
    let names: Vec<String> = (1..=CHECKERS).map(|number| format!("bresse{number}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let watchdog =
        Watchdog::new(&site::config_for_killing(&(mailbox(&dovecot) + MAILBOX), &names, &channel(&sink)));
    let sent = Arc::new(Mutex::new(Vec::new()));
    let (noted, port) = (Arc::clone(&sent), dovecot.lmtp_port);
    let feeder = Feeder::start(&names, PERIOD, move |report| {
        let mail = report.mail();
        submit(Protocol::Lmtp, port, &report.from(), &report.to(), &mail)?;
        noted.lock().unwrap().push(message_id(&mail));
        Ok(())
    });
    let start = time_of_a_start(&watchdog, &names);
    let started = Instant::now();
    let (mut troubles, mut progress) = (troubles(), Progress::new("kills", kills as u64));
    for kill in 1..=kills {
        let mut daemon = watchdog.spawn_run();
        // On a machine that has become busier nothing would ever be finished in lives that were right before.
        let stuck_for = troubles.iter().map(|trouble| trouble.since.elapsed()).max().unwrap_or_default();
        let longer = 1.0 + stuck_for.div_duration_f64(STUCK);
        let most = if random.bool() { start } else { start.mul_f64(LONG_LIVES) };
        sleep(most.mul_f64(longer * random.f64()));
        daemon.assert_running();
        daemon.kill_9();
        assert_nothing_is_torn(&watchdog, &sink, kill % VERIFY_EVERY == 0 && kill > VERIFY_EVERY);
        troubles.iter_mut().for_each(|trouble| trouble.follow(&sink, &feeder, true));
        progress.reached(kill as u64, || {
            let over: usize = troubles.iter().map(|trouble| trouble.times).sum();
            format!(", {} reports sent, {over} troubles over", sent.lock().unwrap().len())
        });
    }
    let took = started.elapsed();
    let mut daemon = watchdog.spawn_run();
    while !troubles.iter().all(|trouble| trouble.is_over(&sink)) {
        troubles.iter_mut().for_each(|trouble| trouble.follow(&sink, &feeder, false));
        sleep(Duration::from_millis(50));
    }
    wait_for_state(&watchdog, &names, "ok");
    drop(feeder);
    let state: PathBuf = watchdog.path(NAME);
    assert_kept(&state, &sent.lock().unwrap(), SOON);
    daemon.assert_running();
    assert_eq!(daemon.terminate(), 0);
    assert_nothing_is_torn(&watchdog, &sink, true);
    all_is_told(&state, &sink, &troubles);
    let times: usize = troubles.iter().map(|trouble| trouble.times).sum();
    assert!(times > 0, "nothing went wrong while it was killed");
    let (reports, mails) = (sent.lock().unwrap().len(), sink.mails().len());
    let different: BTreeSet<_> = sink.mails().iter().map(named).collect();
    format!(
        "{kills} kills in {} s (a start takes {} ms): {reports} reports, each kept once; {times} alarms and their recoveries due, all came; \
         {mails} mails, {} of them twice",
        took.as_secs(),
        start.as_millis(),
        mails - different.len(),
    )
}

/// The outbox is empty, nothing was alarmed but what was wrong, and the sink has nothing that the state does not know.
fn all_is_told(state: &std::path::Path, sink: &Sink, troubles: &[Trouble]) {
    assert_eq!(state::number(state, "SELECT COUNT(*) FROM outbox"), 0);
    assert_eq!(state::number(state, "SELECT COUNT(*) FROM incident_log WHERE closed_ms IS NULL"), 0);
    let known: BTreeSet<_> = state::known_messages(state).unwrap().into_iter().collect();
    for mail in sink.mails() {
        assert!(known.contains(&named(&mail)), "the state knows nothing of {}", mail.subject());
        let token = mail.token();
        let of_a_trouble =
            |trouble: &Trouble| token.strip_prefix(trouble.token).is_some_and(|end| end.starts_with('.'));
        assert!(troubles.iter().any(of_a_trouble), "nobody was to alarm {token}: {:?}", sink.tokens());
    }
}
