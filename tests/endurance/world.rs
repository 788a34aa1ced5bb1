//! One installation with a real mailbox, and what is true of it whatever befell the server or the way to it.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::thread::sleep;
use std::time::Duration;

use crate::disk;
use crate::rig::{
    Daemon, Dovecot, Feeder, Inbox, Protocol, Report, Sink, Watchdog, channel, mailbox, mailbox_at, submit,
};
use crate::site::{self, DEADLINE, PERIOD};
use crate::state::{
    NAME, SOON, assert_kept, assert_ledger_is_whole, assert_sent_is_what_was_taken, message_id,
    wait_for_state,
};

pub(crate) const BLIND: &str = "MONITOR_Mailbox.NOK";
pub(crate) const READS: &str = "MONITOR_Mailbox.OK";
const SILENT: &str = "bresse2_Checker.NOK";
const HEARD: &str = "bresse2_Checker.OK";
/// A dead connection is noticed within one poll + 30 s; then comes a pause and a new one.
pub(crate) const NOTICED: Duration = Duration::from_secs(1 + 30 + 15 + 10);
const NAMES: [&str; 2] = ["bresse1", "bresse2"];

/// For a watchdog that is to say at once that it cannot read.
pub(crate) const SOON_BLIND: &str = "poll = \"1s\"\nblind_after = \"4s\"\n";
/// For one that is to bear a short trouble.
pub(crate) const PATIENT: &str = "poll = \"1s\"\nblind_after = \"20s\"\n";

pub(crate) struct World {
    pub(crate) dovecot: Dovecot,
    pub(crate) watchdog: Watchdog,
    sink: Sink,
    daemon: Daemon,
    feeder: Feeder,
    sent: Arc<Mutex<Vec<String>>>,
}

/// What the mail server in front of the mailbox has not got rid of, in order.
#[derive(Default)]
struct Queue(Mutex<VecDeque<(Report, Vec<u8>)>>);

impl Queue {
    /// As far as it goes; a mail whose acceptance was not heard is delivered again.
    fn flush(&self, port: u16) {
        let mut waiting = self.0.lock().unwrap();
        while let Some((report, mail)) = waiting.front() {
            if submit(Protocol::Lmtp, port, &report.from(), &report.to(), mail).is_err() {
                return;
            }
            waiting.pop_front();
        }
    }
}

impl World {
    pub(crate) fn start(options: &str) -> Self {
        let dovecot = Dovecot::start();
        let mailbox = mailbox(&dovecot) + options;
        Self::with(dovecot, &mailbox, Watchdog::spawn_run)
    }

    /// The state lies on a disk of the test's own.
    pub(crate) fn start_on_disk(options: &str) -> Self {
        let dovecot = Dovecot::start();
        let mailbox = mailbox(&dovecot) + options;
        Self::with(dovecot, &mailbox, |watchdog| disk::spawn_run(watchdog, false))
    }

    /// The watchdog finds the mailbox under this name and port.
    pub(crate) fn start_at(dovecot: Dovecot, host: &str, port: u16, options: &str) -> Self {
        let ca_file = dovecot.ca_file.display();
        let server = format!("host = \"{host}\"\nport = {port}\ntls = \"implicit\"\nca_file = \"{ca_file}\"");
        let mailbox = mailbox_at(&server) + options;
        Self::with(dovecot, &mailbox, Watchdog::spawn_run)
    }

    fn with(dovecot: Dovecot, mailbox: &str, spawn: impl FnOnce(&Watchdog) -> Daemon) -> Self {
        let sink = Sink::start();
        let watchdog = Watchdog::new(&site::config(mailbox, &NAMES, &channel(&sink)));
        let (sent, queue) = (Arc::new(Mutex::new(Vec::new())), Queue::default());
        let (noted, port) = (Arc::clone(&sent), dovecot.lmtp_port);
        let feeder = Feeder::start(&NAMES, PERIOD, move |report| {
            let mail = report.mail();
            noted.lock().unwrap().push(message_id(&mail));
            queue.0.lock().unwrap().push_back((report.clone(), mail));
            queue.flush(port);
            Ok(())
        });
        let daemon = spawn(&watchdog);
        wait_for_state(&watchdog, &NAMES, "ok");
        Self { dovecot, sink, watchdog, daemon, feeder, sent }
    }

    pub(crate) fn tokens(&self) -> Vec<String> {
        self.sink.tokens()
    }

    pub(crate) fn expect(&self, token: &str, limit: Duration) -> String {
        self.sink.wait_for_token(token, limit).body()
    }

    /// Blind is said, with these words; nobody is called silent; who died meanwhile is found afterwards.
    pub(crate) fn outage(self, words: &str, begin: impl FnOnce(&mut Self), end: impl FnOnce(&mut Self)) {
        self.trouble(BLIND, words, begin, end);
    }

    /// As above, and this token is what is said.
    pub(crate) fn trouble(
        mut self,
        token: &str,
        words: &str,
        begin: impl FnOnce(&mut Self),
        end: impl FnOnce(&mut Self),
    ) {
        let over = token.replace(".NOK", ".OK");
        begin(&mut self);
        let alarm = self.expect(token, SOON);
        assert!(alarm.contains(words), "{words:?} is not in the alarm:\n{alarm}");
        self.feeder.silence("bresse2");
        sleep(DEADLINE + Duration::from_secs(2));
        assert_eq!(self.tokens(), [token], "while it lasts");
        end(&mut self);
        self.expect(&over, NOTICED);
        self.expect(SILENT, SOON);
        self.feeder.revive("bresse2");
        self.expect(HEARD, SOON);
        self.finish(&[token, &over, SILENT, HEARD]);
    }

    /// An outage that ends without anybody's help.
    pub(crate) fn outage_that_heals(mut self, begin: impl FnOnce(&mut Self)) {
        begin(&mut self);
        self.expect(BLIND, SOON);
        self.expect(READS, NOTICED);
        sleep(DEADLINE);
        self.finish(&[BLIND, READS]);
    }

    /// Nobody is alarmed, and a death is found as ever.
    pub(crate) fn unharmed(mut self, trouble: impl FnOnce(&mut Self)) {
        trouble(&mut self);
        sleep(DEADLINE + Duration::from_secs(2));
        assert_eq!(self.tokens(), Vec::<String>::new(), "nothing was to be said");
        self.feeder.silence("bresse2");
        self.expect(SILENT, SOON);
        self.feeder.revive("bresse2");
        self.expect(HEARD, SOON);
        self.finish(&[SILENT, HEARD]);
    }

    /// Nobody reports any more, and all that was sent has been read.
    pub(crate) fn hush(&self) {
        NAMES.iter().for_each(|name| self.feeder.silence(name));
        assert_kept(&self.watchdog.path(NAME), &self.sent.lock().unwrap(), SOON);
    }

    pub(crate) fn wake(&self) {
        NAMES.iter().for_each(|name| self.feeder.revive(name));
    }

    fn finish(self, said: &[&str]) {
        let Self { dovecot, sink, watchdog, mut daemon, feeder, sent } = self;
        // The last of the queue goes with one more report.
        wait_for_state(&watchdog, &NAMES, "ok");
        drop(feeder);
        assert_kept(&watchdog.path(NAME), &sent.lock().unwrap(), SOON);
        daemon.assert_running();
        assert_eq!(daemon.terminate(), 0);
        let mut tokens = sink.tokens();
        tokens.sort();
        let mut wanted = said.to_vec();
        wanted.sort_unstable();
        assert_eq!(tokens, wanted, "in all");
        assert_sent_is_what_was_taken(&watchdog.path(NAME), &sink.mails());
        assert_ledger_is_whole(&watchdog);
        drop(dovecot);
    }
}
