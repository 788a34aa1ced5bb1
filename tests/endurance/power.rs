//! The power goes at any instant, and the disk has lost, or torn, whatever was not synced.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use bresse_watchdog::store::Store;
use fastrand::Rng;

use crate::disk;
use crate::record::{self, Disk, Operation, Step, Unsynced};
use crate::rig::{
    AlarmMail, Dovecot, Feeder, Inbox, Progress, Protocol, Sink, Watchdog, channel, mailbox, submit,
};
use crate::site::{self, PERIOD};
use crate::state::{self, NAME, cursor_is_not_ahead, known_messages, named, wait_for_state};

const CHECKERS: usize = 40;
/// So much has to be written that the -wal goes over into the file, which SQLite begins at 1,000 pages.
const WRITTEN_BYTES: u64 = 12 << 20;
const SOON: Duration = Duration::from_secs(60);

/// A life of the daemon as the disk saw it.
struct Life {
    steps: Vec<Step>,
    /// With what the record's length was when each was taken.
    taken: Vec<(AlarmMail, u64)>,
}

/// Alarms, recoveries, a mailbox that is filled quickly, an orderly end and another start.
fn live() -> Life {
    let dovecot = Dovecot::start();
    let record = Arc::new(Mutex::new(None));
    let at = Arc::clone(&record);
    let sink = Sink::start_marking(move || {
        let path: Option<std::path::PathBuf> = at.lock().unwrap().clone();
        path.and_then(|path| fs::metadata(path).ok()).map_or(0, |file| file.len())
    });
    let names: Vec<String> = (1..=CHECKERS).map(|number| format!("bresse{number}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let mailbox = mailbox(&dovecot) + "poll = \"1s\"\nblind_after = \"60s\"\n";
    let watchdog = Watchdog::new(&site::config(&mailbox, &names, &channel(&sink)));
    *record.lock().unwrap() = Some(disk::record_of(&watchdog));
    let port = dovecot.lmtp_port;
    let feeder = Feeder::start(&names, PERIOD / 2, move |report| {
        submit(Protocol::Lmtp, port, &report.from(), &report.to(), &report.mail())
    });
    let daemon = disk::spawn_run(&watchdog, true);
    wait_for_state(&watchdog, &names, "ok");
    feeder.silence("bresse2");
    let mut troubles = 0;
    let started = Instant::now();
    while fs::metadata(disk::record_of(&watchdog)).unwrap().len() < WRITTEN_BYTES {
        assert!(started.elapsed() < Duration::from_secs(300), "it writes too little");
        feeder.find_nok("bresse3", "ESHOP_Service");
        troubles += 1;
        wait_for_count(&sink, "ESHOP_Service.NOK", troubles);
        feeder.revive("bresse3");
        wait_for_count(&sink, "ESHOP_Service.OK", troubles);
    }
    wait_for_count(&sink, "bresse2_Checker.NOK", 1);
    assert_eq!(daemon.terminate(), 0);
    let daemon = disk::spawn_run(&watchdog, true);
    feeder.revive("bresse2");
    wait_for_count(&sink, "bresse2_Checker.OK", 1);
    daemon.kill_9();
    drop(feeder);
    let steps = record::steps(&fs::read(disk::record_of(&watchdog)).unwrap());
    Life { steps, taken: sink.marked() }
}

fn wait_for_count(sink: &Sink, token: &str, count: usize) {
    let come = || (sink.tokens().iter().filter(|come| *come == token).count() >= count).then_some(());
    crate::rig::wait_for(SOON, come).unwrap_or_else(|| panic!("no {count} {token}: {:?}", sink.tokens()));
}

/// What must be true of a state that is found when the power is back.
fn assert_whole(state: &Path, handed_over: &BTreeSet<(String, String)>) -> Result<(), String> {
    if !state.exists() || fs::metadata(state).unwrap().len() == 0 {
        return if handed_over.is_empty() { Ok(()) } else { Err("there is no state".to_owned()) };
    }
    let store = Store::open(state, "after the power loss").map_err(|error| format!("{error:#}"))?;
    store.verify(None, |_| ()).map_err(|error| format!("audit verify: {error:#}"))?;
    drop(store);
    let integrity = state::ask(state, "PRAGMA integrity_check", |row| row.get::<_, String>(0))?;
    if integrity != ["ok"] {
        return Err(format!("integrity_check: {integrity:?}"));
    }
    cursor_is_not_ahead(state)?;
    let known: BTreeSet<_> = known_messages(state)?.into_iter().collect();
    let forgotten: Vec<_> = handed_over.difference(&known).collect();
    if forgotten.is_empty() { Ok(()) } else { Err(format!("handed over and forgotten: {forgotten:?}")) }
}

/// After how many steps the power goes: around syncs, where the most depends on it, and anywhere.
fn instants(steps: &[Step], count: usize, random: &mut Rng) -> BTreeSet<usize> {
    let syncs: Vec<usize> = (0..steps.len())
        .filter(|number| {
            matches!(steps[*number].operation, Operation::Sync | Operation::Unlink | Operation::Create)
        })
        .collect();
    let mut instants = BTreeSet::new();
    while instants.len() < count.min(steps.len()) {
        let around = syncs[random.usize(..syncs.len())] + random.usize(..2);
        instants.insert(if random.bool() { around } else { random.usize(..=steps.len()) });
    }
    instants
}

/// Lets the power go at so many instants of one life, by this seed; what came of it, for people.
pub(crate) fn goes_at(count: usize, seed: u64) -> String {
    println!("power: seed {seed}, {count} instants");
    let life = live();
    let started = Instant::now();
    let mut random = Rng::with_seed(seed);
    let instants = instants(&life.steps, count, &mut random);
    let dir = tempfile::tempdir_in("/dev/shm").unwrap();
    let state = dir.path().join(NAME);
    let (mut disk, mut progress) = (Disk::default(), Progress::new("instants", instants.len() as u64));
    let (mut states, mut alarms) = (0_usize, 0_usize);
    for number in 0..=life.steps.len() {
        if instants.contains(&number) {
            let reached = number.checked_sub(1).map_or(0, |last| life.steps[last].mark);
            let handed_over: BTreeSet<_> =
                life.taken.iter().filter(|(_, mark)| *mark <= reached).map(|(mail, _)| named(mail)).collect();
            alarms = alarms.max(handed_over.len());
            for unsynced in [Unsynced::Lost, Unsynced::Written, Unsynced::Torn, Unsynced::Torn] {
                let files = disk.after_power_loss(&life.steps, unsynced, &mut random);
                record::lay_out(&files, &state);
                if let Err(what) = assert_whole(&state, &handed_over) {
                    panic!("power lost after step {number} of {}, {unsynced:?}: {what}", life.steps.len());
                }
                states += 1;
            }
            progress.reached(states as u64 / 4, String::new);
        }
        if number < life.steps.len() {
            disk.take(&life.steps, number);
        }
    }
    assert!(alarms > 0, "nothing was handed over");
    let syncs = life.steps.iter().filter(|step| matches!(step.operation, Operation::Sync)).count();
    format!(
        "{states} states after a power loss at {} of {} instants ({syncs} syncs), up to {alarms} messages handed over: every \
         one opened, verified and complete; {} s",
        instants.len(),
        life.steps.len() + 1,
        started.elapsed().as_secs()
    )
}
