//! `check`: reads the configuration, connects to everything, and says what works and what is unsafe.

mod survivors;

use std::time::Duration;

use anyhow::Result;
use serde::Serialize;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout_at};

use super::{Format, Global, output};
use crate::checkup::{Facts, Finding, Level, MailboxFacts, Reading, Strays, findings};
use crate::config::{Config, environment};
use crate::expiry::Validity;
use crate::imap::{self, Probe, Sampled};
use crate::independence::Matrix;
use crate::proposal::Survey;
use crate::report::Roster;
use crate::store::Store;
use crate::trust::Keys;
use crate::{channel, clock, keys, service};

/// After the connections, which have their own limits below 30 s: so long mails are looked at.
const SAMPLING_MAX: Duration = Duration::from_secs(20);
/// Of each configured folder; more when there are many checkers, so that the newest run of each is among them.
const MAILS_WANTED: u32 = 2_000;
const MAILS_WANTED_PER_CHECKER: usize = 3;
const MAILS_WANTED_MAX: u32 = 20_000;
/// Of every other folder.
const STRAYS_WANTED: u32 = 50;
const SAMPLES_WAITING_MAX: usize = 64;

pub(super) async fn check(global: &Global) -> Result<u8> {
    let config = environment::load(global.config.as_deref(), &global.overrides)?;
    let facts = look(&config).await;
    let found = findings(&facts);
    output::print(&printed(&found, &facts.matrix, global.format)?)?;
    let failures: Vec<&Finding> = found.iter().filter(|finding| finding.level == Level::Fail).collect();
    for Finding { what, text, .. } in &failures {
        output::complain(&format!("{what}: {text}").replace('\n', " "));
    }
    Ok(u8::from(!failures.is_empty()))
}

/// Everything side by side: no far side waits for another one's silence.
async fn look(config: &Config) -> Facts<'_> {
    let (keys, fetched) = match keys::fetch(config).await {
        Ok(keys) => (keys, Ok(())),
        Err(error) => (Keys::new(), Err(format!("{error:#}"))),
    };
    let mut survey = Survey::new(config, &keys);
    let state = Store::examine(&config.state).map_err(|error| format!("{error:#}"));
    let channels: Vec<JoinHandle<Result<Option<Validity>, String>>> = config
        .channels
        .iter()
        .cloned()
        .map(|channel| tokio::spawn(async move { channel::probe(&channel).await }))
        .collect();
    let answers = tokio::spawn({
        let config = config.clone();
        async move { service::independence::answers(&config).await }
    });
    let probes: Vec<JoinHandle<Result<Probe>>> = config
        .mailboxes
        .iter()
        .cloned()
        .map(|mailbox| tokio::spawn(async move { imap::probe(&mailbox).await }))
        .collect();
    let mut probed = Vec::new();
    for probe in probes {
        // imap-proto panics on some answers, in a task of its own.
        let fallen = |_| Err("the server sent an answer on which the parser fails".to_owned());
        probed.push(
            probe.await.map(|probe| probe.map_err(|error| format!("{error:#}"))).unwrap_or_else(fallen),
        );
    }
    let mailboxes = sample(config, probed, &mut survey, &keys).await;
    let mut reached = Vec::new();
    for channel in channels {
        reached.push(channel.await.unwrap_or_else(|error| Err(format!("the attempt broke off ({error})"))));
    }
    // Without answers all is unknown, which is said.
    let matrix = Matrix::of(config, &answers.await.unwrap_or_default());
    Facts { config, now: clock::now(), state, keys: fetched, mailboxes, survey, channels: reached, matrix }
}

/// Looks at the newest mails of every mailbox that could be opened.
async fn sample(
    config: &Config,
    probed: Vec<Result<Probe, String>>,
    survey: &mut Survey,
    keys: &Keys,
) -> Vec<MailboxFacts> {
    let (sender, mut samples) = mpsc::channel::<(usize, Sampled)>(SAMPLES_WAITING_MAX);
    let mut tasks = Vec::new();
    for (index, (mailbox, probe)) in config.mailboxes.iter().zip(&probed).enumerate() {
        let Ok(probe) = probe else {
            tasks.push(None);
            continue;
        };
        let (mailbox, folders, to) = (mailbox.clone(), wanted(config, probe), sender.clone());
        tasks.push(Some(tokio::spawn(async move {
            let on = |sampled| to.send((index, sampled));
            imap::sample(&mailbox, &folders, on).await
        })));
    }
    drop(sender);
    let mut seen: Vec<MailboxFacts> = probed
        .into_iter()
        .map(|probe| MailboxFacts { probe, reading: Reading::Not, strays: Strays::default() })
        .collect();
    let (until, now) = (Instant::now() + SAMPLING_MAX, clock::now());
    let roster = Roster::new(&config.checkers, keys);
    while let Ok(Some((index, Sampled { folder, mail }))) = timeout_at(until, samples.recv()).await {
        let configured = config.mailboxes.get(index).is_some_and(|mailbox| mailbox.folder(&folder).is_some());
        if configured {
            survey.take(&mail);
        } else if let Some(seen) = seen.get_mut(index) {
            seen.strays.take(&folder, &mail, &roster, now);
        }
    }
    // `samples` still lives: a reader that is cut off by the time limit must not end for want of a listener.
    for (seen, task) in seen.iter_mut().zip(tasks) {
        let Some(mut task) = task else { continue };
        seen.reading = match timeout_at(until, &mut task).await {
            Ok(Ok(Ok(()))) => Reading::Done,
            Ok(Ok(Err(error))) => Reading::Broken(format!("{error:#}")),
            Ok(Err(_)) => Reading::Broken("the server sent an answer on which the parser fails".to_owned()),
            Err(_) => {
                task.abort();
                Reading::Broken(format!("it took longer than {} s", SAMPLING_MAX.as_secs()))
            }
        };
    }
    seen
}

/// The configured folders first.
fn wanted(config: &Config, probe: &Probe) -> Vec<(String, u32)> {
    let for_checkers = config.checkers.len().saturating_mul(MAILS_WANTED_PER_CHECKER);
    let wanted = u32::try_from(for_checkers).unwrap_or(u32::MAX).clamp(MAILS_WANTED, MAILS_WANTED_MAX);
    let (configured, others): (Vec<_>, Vec<_>) = probe.folders.iter().partition(|folder| folder.configured);
    let configured = configured.into_iter().map(|folder| (folder.name.clone(), wanted));
    configured.chain(others.into_iter().map(|folder| (folder.name.clone(), STRAYS_WANTED))).collect()
}

#[derive(Serialize)]
struct Report<'a> {
    ok: bool,
    findings: &'a [Finding],
    /// What is lost, and which channels still work.
    independence: &'a Matrix,
}

fn printed(found: &[Finding], matrix: &Matrix, format: Format) -> Result<String> {
    match format {
        Format::Table => Ok(found.iter().map(line).collect::<String>() + &survivors::table(matrix)),
        Format::Json => {
            let ok = found.iter().all(|finding| finding.level != Level::Fail);
            Ok(serde_json::to_string_pretty(&Report { ok, findings: found, independence: matrix })? + "\n")
        }
        Format::Csv => {
            let mut writer = csv::Writer::from_writer(Vec::new());
            writer.write_record(["level", "what", "text"])?;
            for Finding { level, what, text } in found {
                writer.write_record([word(*level), &output::cell(what), &output::cell(text)])?;
            }
            Ok(String::from_utf8(writer.into_inner()?)?)
        }
    }
}

fn line(Finding { level, what, text }: &Finding) -> String {
    let line = output::plain(&format!("{:<4} {what}: {text}", word(*level))).replace('\n', " ");
    format!("{line}\n")
}

fn word(level: Level) -> &'static str {
    match level {
        Level::Ok => "ok",
        Level::Warn => "warn",
        Level::Fail => "FAIL",
    }
}
