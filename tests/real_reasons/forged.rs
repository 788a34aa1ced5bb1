//! Forged and repeated reports by way of a real mail server.

use std::fs;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::sleep;
use std::time::Duration;

use bresse_watchdog::trust::Key;
use chrono::Utc;

use crate::rig::{
    Dovecot, Feeder, Inbox, Postfix, Report, SHORT, SHORT_DEADLINE, SHORT_PERIOD, Sink, Watchdog,
    assert_recovery_of, channel, config, mailbox, wait_for,
};

/// What must happen at once may take this long on a busy machine.
const SOON: Duration = Duration::from_secs(20);
const KEY: &str = "0123456789abcdef0123456789abcdef";

/// The report with the two headers that sign it, on top.
fn signed(checker: &str, report: &Report) -> Vec<u8> {
    let run = Utc::now().timestamp();
    let signature = Key::new(KEY.as_bytes()).unwrap().sign(
        checker,
        run,
        ["DRYRUN.OK", "MSSQL1_Service.OK", "ESHOP_Service.OK"],
    );
    let mut mail = format!("X-Bresse-Run: {run}\r\nX-Bresse-Signature: {signature}\r\n").into_bytes();
    mail.extend(report.mail());
    mail
}

/// One checker, whose mails go through Postfix to Dovecot: signed by itself, or forged by somebody who knows its address.
struct Scene {
    watchdog: Watchdog,
    sink: Sink,
    forging: Arc<AtomicBool>,
    feeder: Feeder,
    /// The last one that was signed.
    last: Arc<Mutex<Vec<u8>>>,
    postfix: Arc<Postfix>,
    _dovecot: Dovecot,
}

impl Scene {
    fn start() -> Self {
        let (dovecot, sink) = (Dovecot::start(), Sink::start());
        let postfix = Arc::new(Postfix::relaying_to(&dovecot));
        let mailbox = mailbox(&dovecot) + "poll = \"1s\"\n";
        let times = format!("{SHORT}trust = {{ hmac = {{ file = \"key\" }} }}\n");
        let watchdog = Watchdog::new(&config(&mailbox, &times, &["bresse1"], &channel(&sink)));
        fs::write(watchdog.path("key"), format!("{KEY}\n")).unwrap();
        let (forging, last) = (Arc::new(AtomicBool::new(false)), Arc::new(Mutex::new(Vec::new())));
        let (forges, sent, relay) = (Arc::clone(&forging), Arc::clone(&last), Arc::clone(&postfix));
        let feeder = Feeder::start(&["bresse1"], SHORT_PERIOD, move |report| {
            let mail = match forges.load(Ordering::SeqCst) {
                true => report.mail(),
                false => {
                    let mail = signed("bresse1", report);
                    sent.lock().unwrap().clone_from(&mail);
                    mail
                }
            };
            relay.submit(&report.from(), &report.to(), &mail)
        });
        Self { watchdog, sink, forging, feeder, last, postfix, _dovecot: dovecot }
    }

    fn wait_for_state(&self, state: &str) {
        let reached = || {
            sleep(Duration::from_millis(200));
            (self.watchdog.checker("bresse1")["state"] == state).then_some(())
        };
        wait_for(SOON, reached).unwrap_or_else(|| panic!("not {state}: {:#}", self.watchdog.last_seen()));
    }
}

#[test]
fn forged_reports_refresh_nothing_open_no_service_and_raise_one_alarm() {
    let scene = Scene::start();
    let _daemon = scene.watchdog.spawn_run();
    scene.wait_for_state("ok");

    scene.forging.store(true, Ordering::SeqCst);
    scene.feeder.find_nok("bresse1", "MSSQL1_Service");
    let spoof = scene.sink.wait_for_token("bresse1_Spoof.NOK", SOON);
    assert!(spoof.body().contains("it is not signed"), "{}", spoof.body());
    let silence = scene.sink.wait_for_token("bresse1_Checker.NOK", SOON);
    // They go on coming for another deadline.
    sleep(SHORT_DEADLINE);
    assert_eq!(scene.sink.tokens(), ["bresse1_Spoof.NOK", "bresse1_Checker.NOK"]);
    let other = scene.watchdog.last_seen()["other_mails"]["untrusted"].as_u64().unwrap();
    assert!(other >= 3, "they are kept and listed: {other}");

    scene.forging.store(false, Ordering::SeqCst);
    scene.feeder.revive("bresse1");
    assert_recovery_of(&silence, &scene.sink.wait_for_token("bresse1_Checker.OK", SOON));
    assert_eq!(scene.sink.tokens().len(), 3, "{:?}", scene.sink.tokens());
}

#[test]
fn a_report_that_is_sent_again_and_again_keeps_nobody_alive() {
    let scene = Scene::start();
    let _daemon = scene.watchdog.spawn_run();
    scene.wait_for_state("ok");

    scene.feeder.silence("bresse1");
    let original = String::from_utf8(scene.last.lock().unwrap().clone()).unwrap();
    let report = Report::new("bresse1", Utc::now());
    let mut copies = 0;
    let replayed = wait_for(SOON, || {
        copies += 1;
        let again = original.replace("Message-ID: <", &format!("Message-ID: <again{copies}."));
        scene.postfix.submit(&report.from(), &report.to(), again.as_bytes()).unwrap();
        sleep(Duration::from_secs(1));
        scene.sink.tokens().iter().any(|token| token == "bresse1_Checker.NOK").then_some(())
    });
    assert!(replayed.is_some(), "it is still taken for alive: {:#}", scene.watchdog.last_seen());
    let spoof = scene.sink.wait_for_token("bresse1_Spoof.NOK", SOON);
    assert!(spoof.body().contains("another mail has said the same"), "{}", spoof.body());
    assert_eq!(scene.sink.tokens().len(), 2, "{:?}", scene.sink.tokens());
}
