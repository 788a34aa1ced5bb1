//! The watchdog's own heartbeat: after its work is done it says so, as every checker does, and only then.
//!
//! A run is no alarm. It goes past the outbox, nothing of it is stored, and the next one takes its place: whoever watches
//! this watchdog wants to know that it works now, and hears of its absence by not hearing.

use chrono::TimeDelta;

use super::Engine;
use crate::config::Heartbeat as Settings;
use crate::incident::Subject;
use crate::outbox::Sent;
use crate::report::DRYRUN;
use crate::time::Time;
use crate::words::{self, Letter};

/// Before the second try to mail a run; twice as long before each further one, within the cycle.
const RETRY: TimeDelta = TimeDelta::seconds(10);

/// A run of the watchdog itself, to be told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Run {
    /// By which it is known, and what its mail is dated: the mail may be tried again later.
    pub began: Time,
    /// `DRYRUN.OK`, and a result for each thing that the watchdog tests.
    pub tokens: Vec<String>,
    pub letter: Letter,
}

/// What is known of the runs so far. A process begins anew: its first run is reported when its first work is done.
#[derive(Debug, Default)]
pub(super) struct Heartbeat {
    /// A judgement was completed and stored since the last run.
    judged: bool,
    /// Something could not be stored since the last run.
    store_failed: bool,
    /// When the last run was released.
    released: Option<Time>,
    /// The run whose mail is not taken yet.
    waiting: Option<Waiting>,
}

#[derive(Debug)]
struct Waiting {
    run: Run,
    failures: u32,
    /// None while an attempt is on its way.
    due: Option<Time>,
}

impl Engine {
    /// All mailboxes that answered were judged, and what follows from it is stored.
    pub fn judgement_stored(&mut self) {
        self.heartbeat.judged = true;
    }

    /// What was decided could not be stored.
    pub fn store_failed(&mut self) {
        self.heartbeat.store_failed = true;
    }

    /// A new run to be told of, if one is due and the work is done.
    pub fn take_run(&mut self, now: Time) -> Option<Run> {
        // A clock that was set back must not keep the watchdog silent.
        self.heartbeat.released = self.heartbeat.released.map(|released| released.min(now));
        if self.run_due()? > now || !std::mem::take(&mut self.heartbeat.judged) {
            return None;
        }
        let tokens = self.run_tokens(now)?;
        let letter = words::run_report(self.signature(now), &tokens);
        let run = Run { began: now, tokens, letter };
        let mails = self.config.heartbeat.as_ref().is_some_and(|settings| settings.mail.is_some());
        let waiting = mails.then(|| Waiting { run: run.clone(), failures: 0, due: None });
        self.heartbeat = Heartbeat { released: Some(now), waiting, ..Heartbeat::default() };
        Some(run)
    }

    /// The run whose mail is to be tried once more.
    pub fn take_run_again(&mut self, now: Time) -> Option<Run> {
        let waiting = self.heartbeat.waiting.as_mut()?;
        waiting.due.filter(|due| *due <= now)?;
        waiting.due = None;
        Some(waiting.run.clone())
    }

    /// How an attempt to mail the run that began then ended.
    pub fn run_sent(&mut self, began: Time, outcome: &Sent, now: Time) {
        let Some(cycle) = self.config.heartbeat.as_ref().map(|settings| settings.cycle) else { return };
        let Some(mut waiting) = self.heartbeat.waiting.take_if(|waiting| waiting.run.began == began) else {
            return;
        };
        if let Sent::Failed { .. } = outcome {
            let due = now + RETRY * (1 << waiting.failures.min(10));
            waiting.failures = waiting.failures.saturating_add(1);
            waiting.due = Some(due);
            self.heartbeat.waiting = (due < began + cycle).then_some(waiting);
        }
    }

    /// When the engine has a run to tell, as far as time decides it.
    pub(super) fn heartbeat_due(&self) -> Option<Time> {
        let next = self.run_due().filter(|_| self.heartbeat.judged);
        let again = self.heartbeat.waiting.as_ref().and_then(|waiting| waiting.due);
        next.into_iter().chain(again).min()
    }

    /// When the next run is due; the first one at once.
    fn run_due(&self) -> Option<Time> {
        let cycle = self.config.heartbeat.as_ref()?.cycle;
        Some(self.heartbeat.released.map_or(Time::UNIX_EPOCH, |released| released + cycle))
    }

    /// None while there is a mailbox of which it is open whether it can be read: then the work is not done.
    fn run_tokens(&self, now: Time) -> Option<Vec<String>> {
        let (name, mailboxes) = (&self.config.name, &self.config.mailboxes);
        let mut tests = Vec::with_capacity(mailboxes.len() + 2);
        for mailbox in mailboxes {
            let blind = self.is_blind(&mailbox.name);
            let heard_until = self.mailboxes.get(&mailbox.name)?.heard_until;
            let fresh = heard_until.is_some_and(|until| now - until <= mailbox.blind_after);
            if !blind && !fresh {
                return None;
            }
            tests.push((Settings::mailbox_test(name, mailbox, mailboxes.len() > 1), !blind));
        }
        let channel_fails = |subject: &Subject| matches!(subject, Subject::Channel(_));
        let delivers = !self.open_incidents().any(|incident| channel_fails(&incident.subject));
        tests.push((Settings::outbox_test(name), delivers));
        tests.push((Settings::store_test(name), !self.heartbeat.store_failed));
        let result = |well| if well { "OK" } else { "NOK" };
        let results = tests.into_iter().map(|(test, well)| format!("{test}.{}", result(well)));
        Some(std::iter::once(format!("{DRYRUN}.OK")).chain(results).collect())
    }
}
