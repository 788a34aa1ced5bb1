//! Simulated checkers: each mails a report per cycle, by SMTP, as a real one does.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context, Result};
use lettre::message::header::{HeaderName, HeaderValue};
use lettre::{AsyncSmtpTransport, AsyncTransport, Message, Tokio1Executor};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior, interval_at, timeout};

use crate::clock;

/// Name and provider.
pub(super) const CHECKERS: [(&str, &str); 7] = [
    ("bresse1", "free"),
    ("bresse2", "orange"),
    ("bresse3", "bouygues"),
    ("bresse4", "sfr"),
    ("bresse5", "scaleway"),
    ("bresse6", "ovh"),
    ("bresse7", "azure-eu"),
];
pub(super) const SERVICES: [&str; 2] = ["MSSQL1_Service", "ESHOP_Service"];
pub(super) const DOMAIN: &str = "bresse.example";
pub(super) const CYCLE: Duration = Duration::from_secs(3);

/// The first one starts after this, each other one after the one before.
const FIRST_RUN: Duration = Duration::from_secs(1);
const BETWEEN_FIRST_RUNS: Duration = Duration::from_millis(400);
/// lettre's own timeout covers the TCP connection only.
const SUBMISSION_LIMIT: Duration = Duration::from_secs(3);

/// How it stands with one checker.
#[derive(Debug, Clone, Copy)]
pub(super) struct Condition {
    /// Its computer is switched on.
    pub(super) on: bool,
    /// The service it does not get through to.
    pub(super) failing: Option<&'static str>,
}

/// All checkers; dropping it ends them.
pub(super) struct Fleet {
    conditions: BTreeMap<&'static str, watch::Sender<Condition>>,
    failures: mpsc::Receiver<String>,
    _tasks: JoinSet<()>,
}

impl Fleet {
    /// Starts them one after another. They submit to the SMTP server on this port of this computer.
    pub(super) fn start(port: u16) -> Self {
        let (failed, failures) = mpsc::channel(CHECKERS.len());
        let (mut conditions, mut tasks) = (BTreeMap::new(), JoinSet::new());
        let mut first_run = Instant::now() + FIRST_RUN;
        for (name, _) in CHECKERS {
            let (sender, condition) = watch::channel(Condition { on: true, failing: None });
            conditions.insert(name, sender);
            tasks.spawn(run(name, port, first_run, condition, failed.clone()));
            first_run += BETWEEN_FIRST_RUNS;
        }
        Self { conditions, failures, _tasks: tasks }
    }

    pub(super) fn change(&self, checker: &str, change: impl FnOnce(&mut Condition)) {
        if let Some(condition) = self.conditions.get(checker) {
            condition.send_modify(change);
        }
    }

    /// Why a mail could not be sent, if one could not.
    pub(super) fn failure(&mut self) -> Option<String> {
        self.failures.try_recv().ok()
    }
}

async fn run(
    name: &'static str,
    port: u16,
    first_run: Instant,
    condition: watch::Receiver<Condition>,
    failed: mpsc::Sender<String>,
) {
    let mailer = AsyncSmtpTransport::<Tokio1Executor>::builder_dangerous("127.0.0.1").port(port).build();
    let mut runs = interval_at(first_run, CYCLE);
    // As cron does: a run that could not start in time is left out.
    runs.set_missed_tick_behavior(MissedTickBehavior::Skip);
    loop {
        runs.tick().await;
        let condition = *condition.borrow();
        if condition.on
            && let Err(error) = submit(&mailer, name, condition).await
        {
            // A full queue holds failures enough.
            let _ = failed.try_send(format!("{name} could not send its report ({error:#})"));
        }
    }
}

async fn submit(mailer: &AsyncSmtpTransport<Tokio1Executor>, name: &str, condition: Condition) -> Result<()> {
    let sent = timeout(SUBMISSION_LIMIT, mailer.send(report(name, condition)?)).await;
    sent.context("the mail server has not answered in time")??;
    Ok(())
}

/// One run in one mail: the auto test first, then every service.
fn report(name: &str, condition: Condition) -> Result<Message> {
    let mut tokens = vec!["DRYRUN.OK".to_owned()];
    tokens.extend(SERVICES.map(|service| {
        let result = if condition.failing == Some(service) { "NOK" } else { "OK" };
        format!("{service}.{result}")
    }));
    let mut mail = Message::builder()
        .from(format!("{name}@{DOMAIN}").parse()?)
        .to(format!("{name}+monitor@{DOMAIN}").parse()?)
        .subject(tokens.join(" "))
        .date(clock::now().into())
        .message_id(None)
        .body(format!("{}\r\n", tokens.join("\r\n")))?;
    let automatic = HeaderName::new_from_ascii("Auto-Submitted".to_owned())?;
    mail.headers_mut().insert_raw(HeaderValue::new(automatic, "auto-generated".to_owned()));
    Ok(mail)
}
