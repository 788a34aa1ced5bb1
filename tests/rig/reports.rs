//! What checkers send.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use chrono::{DateTime, Utc};

/// The services every checker of the tests reports on.
const SERVICES: [&str; 2] = ["MSSQL1_Service", "ESHOP_Service"];

/// One run of one checker, which found everything well unless [`Report::nok`] says otherwise.
#[derive(Debug, Clone)]
pub(crate) struct Report {
    checker: String,
    sent: DateTime<Utc>,
    nok: Vec<String>,
}

impl Report {
    pub(crate) fn new(checker: &str, sent: DateTime<Utc>) -> Self {
        Self { checker: checker.to_owned(), sent, nok: Vec::new() }
    }

    pub(crate) fn nok(mut self, service: &str) -> Self {
        assert!(SERVICES.contains(&service), "{service} is not reported on");
        self.nok.push(service.to_owned());
        self
    }

    pub(crate) fn to(&self) -> String {
        format!("{}+monitor@domain.com", self.checker)
    }

    pub(crate) fn from(&self) -> String {
        format!("{}@checker.example", self.checker)
    }

    /// The mail as the checker sends it, about 600 bytes, lines ending in CRLF.
    pub(crate) fn mail(&self) -> Vec<u8> {
        static NUMBER: AtomicU64 = AtomicU64::new(1);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let Self { checker, sent, .. } = self;
        let result = |service: &str| if self.nok.iter().any(|nok| nok == service) { "NOK" } else { "OK" };
        let tokens = SERVICES.map(|service| format!("{service}.{}", result(service))).join(" ");
        let measured =
            SERVICES.map(|service| format!("{service} was asked like a client would.\r\n")).concat();
        format!(
            "From: {from}\r\nTo: {to}\r\nSubject: DRYRUN.OK {tokens}\r\nDate: {date}\r\n\
             Message-ID: <{number}.{seconds}@checker.example>\r\nAuto-Submitted: auto-generated\r\n\
             MIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 7bit\r\n\r\n\
             Run number {number} of {checker}, started by cron.\r\n{measured}\
             The answer was compared with the one expected; the order was placed and cancelled.\r\n",
            from = self.from(),
            to = self.to(),
            date = sent.format("%a, %d %b %Y %H:%M:%S +0000"),
            seconds = sent.timestamp(),
        )
        .into_bytes()
    }
}

/// Checkers that report again and again, until each is silenced.
pub(crate) struct Feeder {
    checkers: Arc<Mutex<BTreeMap<String, Option<Vec<String>>>>>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Feeder {
    /// Every `period` each checker's report goes to `deliver`, which must not fail.
    pub(crate) fn start(
        checkers: &[&str],
        period: Duration,
        deliver: impl Fn(&Report) -> Result<(), String> + Send + 'static,
    ) -> Self {
        let checkers = checkers.iter().map(|name| ((*name).to_owned(), Some(Vec::new()))).collect();
        let checkers = Arc::new(Mutex::new(checkers));
        let stop = Arc::new(AtomicBool::new(false));
        let (in_thread, stopped) = (Arc::clone(&checkers), Arc::clone(&stop));
        let thread = thread::spawn(move || {
            while !stopped.load(Ordering::SeqCst) {
                send_round(&in_thread.lock().unwrap(), &deliver);
                thread::park_timeout(period);
            }
        });
        Self { checkers, stop, thread: Some(thread) }
    }

    /// No report of this checker is sent once this has returned.
    pub(crate) fn silence(&self, checker: &str) {
        self.set(checker, None);
    }

    /// It reports again, and finds all services well.
    pub(crate) fn revive(&self, checker: &str) {
        self.set(checker, Some(Vec::new()));
    }

    /// From its next report on, it finds this service NOK.
    pub(crate) fn find_nok(&self, checker: &str, service: &str) {
        self.set(checker, Some(vec![service.to_owned()]));
    }

    fn set(&self, checker: &str, nok: Option<Vec<String>>) {
        let mut checkers = self.checkers.lock().expect("the feeder could not deliver; see its panic above");
        *checkers.get_mut(checker).expect("a checker this feeder has") = nok;
    }
}

fn send_round(
    checkers: &BTreeMap<String, Option<Vec<String>>>,
    deliver: &impl Fn(&Report) -> Result<(), String>,
) {
    for (checker, nok) in checkers {
        let Some(nok) = nok else { continue };
        let report = nok.iter().fold(Report::new(checker, Utc::now()), |report, service| report.nok(service));
        deliver(&report).expect("the feeder delivers");
    }
}

impl Drop for Feeder {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
        let Some(thread) = self.thread.take() else { return };
        thread.thread().unpark();
        let ended_well = thread.join().is_ok();
        assert!(ended_well || thread::panicking(), "the feeder could not deliver; see its panic above");
    }
}
