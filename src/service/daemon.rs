//! The daemon: one loop that waits for mail, for answers and for deadlines.

use std::path::Path;
use std::pin::pin;
use std::time::Duration;

use anyhow::{Context, Result};
use chrono::{DateTime, TimeDelta, Utc};
use sd_notify::NotifyState;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::{mpsc, oneshot};

use super::front::Front;
use super::store_alarm::StoreAlarm;
use super::{EVENTS_TOGETHER_MAX, Parcel, Readers, Service};
use crate::clock;
use crate::config::{Config, environment};
use crate::control::{Answer, Control, ORDERS_WAITING_MAX, Request};
use crate::engine::BETWEEN_TRIES;
use crate::flow::Arrival;
use crate::imap::Event;
use crate::keys;

/// Between two tries to write to a store that fails.
const STORE_RETRY: TimeDelta = TimeDelta::seconds(5);
/// What is on its way when the daemon is told to end is given so long to arrive.
const FAREWELL: Duration = Duration::from_secs(5);

/// Watches until SIGTERM or SIGINT. SIGHUP reads the configuration again and keeps the old one if the new is invalid.
///
/// # Errors
/// When it cannot start; once it runs it ends only when told to.
pub async fn run(config: Config, file: Option<&Path>, overrides: &[(String, String)]) -> Result<()> {
    let mut signals = Signals::new()?;
    let mut daemon = Daemon::start(config).await?;
    daemon.service.flow.engine.watch_dependence(clock::now());
    while let Told::Reload = daemon.work_until(signals.next()).await {
        daemon.reload(file, overrides).await;
    }
    daemon.end().await;
    Ok(())
}

/// Watches until `end` is done, for a caller that handles the signals itself.
///
/// # Errors
/// When it cannot start.
pub async fn run_until(config: Config, end: impl Future<Output = ()>) -> Result<()> {
    let mut daemon = Daemon::start(config).await?;
    daemon.work_until(end).await;
    daemon.end().await;
    Ok(())
}

struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hangup: Signal,
}

impl Signals {
    fn new() -> Result<Self> {
        let on = |kind| signal(kind).context("Signals cannot be handled");
        Ok(Self {
            terminate: on(SignalKind::terminate())?,
            interrupt: on(SignalKind::interrupt())?,
            hangup: on(SignalKind::hangup())?,
        })
    }

    async fn next(&mut self) -> Told {
        tokio::select! {
            _ = self.terminate.recv() => Told::End,
            _ = self.interrupt.recv() => Told::End,
            _ = self.hangup.recv() => Told::Reload,
        }
    }
}

enum Told {
    Reload,
    End,
}

struct Daemon {
    service: Service,
    readers: Readers,
    /// Of people, however they reach the daemon.
    orders: mpsc::Receiver<Request>,
    /// None when its socket could not be made.
    _control: Option<Control>,
    front: Front,
    /// Answers that wait until what they say is stored.
    answers: Vec<(oneshot::Sender<Answer>, Answer)>,
    /// Events that the store could not be asked about yet.
    stuck: Vec<Event<Arrival>>,
    /// A look was taken in, completed or known to have failed, and what follows from it is not stored yet.
    judged: bool,
    /// Set while the store fails.
    alarm: Option<StoreAlarm>,
}

impl Daemon {
    async fn start(config: Config) -> Result<Self> {
        let keys = keys::fetch(&config).await?;
        let service = match Service::open(config.clone(), &keys) {
            Ok(service) => service,
            Err(error) => {
                StoreAlarm::report_once(&config, &error).await;
                return Err(error);
            }
        };
        let (sender, orders) = mpsc::channel(ORDERS_WAITING_MAX);
        let control = Control::listen(&config.state, sender.clone())
            .inspect_err(|error| {
                tracing::error!(error = format!("{error:#}"), "no command can give an order")
            })
            .ok();
        let front = Front::open(&service.flow.engine, sender).await;
        let readers = service.start_readers();
        let daemon = Self {
            service,
            readers,
            orders,
            _control: control,
            front,
            answers: Vec::new(),
            stuck: Vec::new(),
            judged: false,
            alarm: None,
        };
        tracing::info!(checkers = config.checkers.len(), mailboxes = config.mailboxes.len(), "watching");
        warn_of_haste(&config);
        notify(&[NotifyState::Ready]);
        Ok(daemon)
    }

    /// Works until `told` is done, and returns what it says.
    async fn work_until<T>(&mut self, told: impl Future<Output = T>) -> T {
        let mut told = pin!(told);
        loop {
            self.settle();
            tokio::select! {
                told = &mut told => return told,
                () = self.wait() => {}
            }
        }
    }

    /// Waits for one thing to happen and takes it in. Nothing is lost when the wait is given up.
    async fn wait(&mut self) {
        let store_fails = self.alarm.is_some();
        let wake = if store_fails { Some(clock::now() + STORE_RETRY) } else { self.service.next_wake() };
        tokio::select! {
            Some(done) = self.service.deliveries.join_next(), if !self.service.deliveries.is_empty() => {
                self.take_deliveries(done);
            }
            Some(done) = self.service.asking.join_next(), if !self.service.asking.is_empty() => {
                self.service.take_answers(done);
            }
            Some(made) = self.service.digests.task.join_next(), if !self.service.digests.task.is_empty() => {
                self.service.digests_made(made);
            }
            // While the store fails nothing more is read: the full queue makes the readers wait.
            Some(event) = self.readers.events.recv(), if !store_fails => self.take_events(event),
            Some(request) = self.orders.recv() => self.take_order(request),
            () = self.front.wanted() => self.front.paint(&self.service.flow.engine, self.alarm.is_some()),
            () = sleep(wake) => {}
        }
    }

    fn take_events(&mut self, first: Event<Arrival>) {
        self.stuck.push(first);
        while self.stuck.len() < EVENTS_TOGETHER_MAX
            && let Ok(event) = self.readers.events.try_recv()
        {
            self.stuck.push(event);
        }
    }

    /// The answer is given once what it says is stored.
    fn take_order(&mut self, request: Request) {
        let answer = match self.alarm {
            Some(_) => Err("The state cannot be stored, so nothing can be ordered; see the log.".to_owned()),
            None => self.service.obey(&request.order),
        };
        self.front.outdate();
        self.answers.push((request.answer, answer.into()));
    }

    fn take_delivery(&mut self, done: Result<(Parcel, crate::outbox::Sent), tokio::task::JoinError>) {
        match done {
            Ok((parcel, sent)) => self.service.delivered(parcel, sent),
            Err(error) => tracing::error!(%error, "a delivery broke off"),
        }
    }

    /// With those that ended meanwhile: all of them are stored together.
    fn take_deliveries(&mut self, first: Result<(Parcel, crate::outbox::Sent), tokio::task::JoinError>) {
        self.take_delivery(first);
        while let Some(done) = self.service.deliveries.try_join_next() {
            self.take_delivery(done);
        }
    }

    /// Judges, stores and sends; when the store fails, says so by another way and keeps everything for later.
    fn settle(&mut self) {
        match self.try_settle() {
            Ok(()) => {
                self.give_answers(None);
                if let Some(alarm) = self.alarm.take() {
                    // They waited during this last try too, which lasts seconds when another program locks the file.
                    self.service.flow.engine.excuse_readers(clock::now());
                    alarm.recover(self.service.flow.engine.config());
                }
            }
            Err(error) => {
                tracing::error!(error = format!("{error:#}"), "the state cannot be stored");
                self.service.flow.engine.store_failed();
                self.give_answers(Some(&error));
                let config = self.service.flow.engine.config();
                self.alarm.get_or_insert_with(|| StoreAlarm::raise(config, &error));
            }
        }
    }

    fn give_answers(&mut self, error: Option<&anyhow::Error>) {
        for (sender, answer) in self.answers.drain(..) {
            let failed = error.map(|error| Answer { done: false, sentence: format!("{error:#}") });
            // Whoever asked may have gone.
            let _ = sender.send(failed.unwrap_or(answer));
        }
    }

    fn try_settle(&mut self) -> Result<()> {
        if self.alarm.is_some() {
            // The readers wait because of the store: that is no alarm about the mailbox.
            self.service.flow.engine.excuse_readers(clock::now());
        }
        while let Some(event) = self.stuck.first_mut() {
            self.service.take(event)?;
            self.judged |= matches!(event, Event::Looked { .. } | Event::Failed { .. });
            self.stuck.remove(0);
        }
        self.service.settle()?;
        if std::mem::take(&mut self.judged) {
            self.service.flow.engine.judgement_stored();
            notify(&[NotifyState::Watchdog]);
            self.front.judged(clock::now());
        }
        self.service.beat();
        if self.service.flow.engine.wants_look(clock::now()) {
            self.readers.look();
        }
        Ok(())
    }

    async fn reload(&mut self, file: Option<&Path>, overrides: &[(String, String)]) {
        let config = match environment::load(file, overrides) {
            Ok(config) => config,
            Err(error) => {
                tracing::error!("the new configuration is invalid, the old one stays: {error}");
                return;
            }
        };
        if config.state != self.service.flow.engine.config().state {
            tracing::error!(
                "watchdog.state cannot change while the daemon runs; the old configuration stays"
            );
            return;
        }
        let keys = match keys::fetch(&config).await {
            Ok(keys) => keys,
            Err(error) => {
                tracing::error!("the old configuration stays: {error:#}");
                return;
            }
        };
        config.warnings.iter().for_each(|warning| tracing::warn!("{warning}"));
        self.stuck.clear();
        self.service.reconfigure(config, &keys);
        self.front.reopen(&self.service.flow.engine).await;
        self.readers = self.service.start_readers();
        tracing::info!("the new configuration is in force");
    }

    /// Gives what is on its way a moment; the rest is sent again at the next start.
    async fn end(mut self) {
        notify(&[NotifyState::Stopping]);
        let answers = async {
            while let Some(done) = self.service.deliveries.join_next().await {
                self.take_delivery(done);
            }
        };
        let _ = tokio::time::timeout(FAREWELL, answers).await;
        self.settle_last();
    }

    fn settle_last(&mut self) {
        if let Err(error) = self.service.store_last() {
            tracing::error!(error = format!("{error:#}"), "the state cannot be stored");
        }
    }
}

async fn sleep(until: Option<DateTime<Utc>>) {
    match until {
        Some(time) => clock::sleep_until(time).await,
        None => std::future::pending().await,
    }
}

/// systemd ends a service that is not heard from for `WatchdogSec`, and advises to feed it twice as often.
fn warn_of_haste(config: &Config) {
    let Some(limit) = sd_notify::watchdog_enabled() else { return };
    let poll = config.mailboxes.iter().map(|mailbox| mailbox.poll).min().unwrap_or_default();
    let between = poll.max(BETWEEN_TRIES);
    if between.to_std().is_ok_and(|between| between * 2 > limit) {
        tracing::warn!(
            "systemd restarts this service when nothing is judged for {} s (WatchdogSec), and up to {} s may lie between \
             two judgements: give it more than twice as long",
            limit.as_secs(),
            between.num_seconds()
        );
    }
}

/// Outside systemd nobody listens, which is no fault.
fn notify(states: &[NotifyState<'_>]) {
    let _ = sd_notify::notify(states);
}
