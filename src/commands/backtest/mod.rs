//! `backtest`: judges the past with another configuration.

mod printed;

use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use clap::{Args, ValueEnum};

use super::reading::{Wanted, read};
use super::{Global, output};
use crate::backtest::{Outcome, Row, rows};
use crate::config::{Config, environment};
use crate::progress::Progress;
use crate::proposal::{Extent, counted};
use crate::rerun::{Asked, Mails, Rerun, read_files, replay_state};
use crate::store::Store;
use crate::time::{Time, rfc3339};
use crate::trust::Keys;
use crate::{clock, keys};

/// A month of many checkers takes a slow server some time.
const READING_MAX: Duration = Duration::from_secs(3_600);
/// How an SQLite file begins.
const SQLITE: &[u8] = b"SQLite format 3\0";

#[derive(Debug, Args)]
pub(super) struct Options {
    /// A state file (sqlite:PATH or PATH), a folder of mails (Maildir or .eml files), an mbox file, or "mailbox"
    #[arg(value_name = "SOURCE")]
    source: String,
    /// Another configuration to compare with, the one in force for instance
    #[arg(long, value_name = "FILE")]
    against: Option<PathBuf>,
    /// Judge from then on: RFC 3339, or -30d for 30 days ago [default: all of it]
    #[arg(long, value_name = "TIME", value_parser = super::time, allow_hyphen_values = true)]
    from: Option<Time>,
    /// Judge up to then
    #[arg(long, value_name = "TIME", value_parser = super::time, allow_hyphen_values = true)]
    until: Option<Time>,
    /// Exit with 1 when there are more alarms than this
    #[arg(long, value_name = "NUMBER")]
    max_alarms: Option<usize>,
    /// Exit with 1 when the comparison finds such alarms
    #[arg(long, value_enum, value_delimiter = ',', requires = "against")]
    fail_on: Vec<FailOn>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum FailOn {
    /// The new configuration alarms what the other one does not
    NewAlarms,
    /// The other one alarms what the new one does not, those apart that recovered with the next mail
    LostAlarms,
}

pub(super) async fn backtest(global: &Global, options: &Options) -> Result<u8> {
    let mut configs = vec![environment::load(global.config.as_deref(), &global.overrides)?];
    if let Some(file) = &options.against {
        configs.push(environment::load(Some(file), &[])?);
    }
    let asked = Asked { from: options.from, until: options.until };
    let rerun = rerun(&options.source, &configs, asked).await?;
    let name = |file: Option<&Path>| {
        let name = file.and_then(Path::file_name).map(|name| name.to_string_lossy().into_owned());
        name.unwrap_or_else(|| "the configuration".to_owned())
    };
    let (candidate, against) = match rerun.outcomes.as_slice() {
        [candidate, against] => (candidate, Some(against)),
        [candidate] => (candidate, None),
        _ => bail!("There is no configuration to judge by."),
    };
    let rows = rows(candidate, against);
    let names = (name(global.config.as_deref()), name(options.against.as_deref()));
    let report = printed::Report {
        source: &options.source,
        rerun: &rerun,
        names: &names,
        candidate,
        against,
        rows: &rows,
    };
    output::print(&report.text(global.format)?)?;
    match complaint(options, candidate, &rows) {
        Some(sentence) => bail!(sentence),
        None => Ok(0),
    }
}

/// Why a pipeline must stop, in one sentence.
fn complaint(options: &Options, candidate: &Outcome, rows: &[Row<'_>]) -> Option<String> {
    let shown = |row: &Row<'_>| {
        let alarm = row.candidate.or(row.against);
        alarm.map_or_else(String::new, |alarm| format!("{}.NOK of {}", alarm.token, rfc3339(alarm.alarmed)))
    };
    let mut reasons = Vec::new();
    if let Some(most) = options.max_alarms.filter(|most| candidate.alarms.len() > *most) {
        reasons.push(format!("{}, and {most} may be", counted(candidate.alarms.len(), "alarm")));
    }
    let mut found = |what: FailOn, noun: &str, rest: &str, are: &dyn Fn(&Row<'_>) -> bool| {
        let mut such = rows.iter().filter(|row| are(row));
        if options.fail_on.contains(&what)
            && let Some(first) = such.next()
        {
            reasons.push(format!("{}{rest}, the first is {}", counted(1 + such.count(), noun), shown(first)));
        }
    };
    found(FailOn::NewAlarms, "new alarm", "", &|row| row.is_new());
    let outlasts = |row: &Row<'_>| row.is_lost() && row.against.is_some_and(|alarm| !alarm.short);
    found(FailOn::LostAlarms, "lost alarm", " that did not recover at once", &outlasts);
    (!reasons.is_empty()).then(|| format!("The backtest fails: {}.", reasons.join("; ")))
}

async fn rerun(source: &str, configs: &[Config], asked: Asked) -> Result<Rerun> {
    if source == "mailbox" {
        of_mailbox(configs, asked).await
    } else if let Some(path) = source.strip_prefix("sqlite:") {
        of_state(Path::new(path), configs, asked)
    } else {
        of_path(Path::new(source), configs, asked).await
    }
}

fn of_state(path: &Path, configs: &[Config], asked: Asked) -> Result<Rerun> {
    let mut progress = Progress::start();
    replay_state(&Store::open_read_only(path)?, configs, asked, &mut |done, all| progress.reached(done, all))
}

async fn of_path(path: &Path, configs: &[Config], asked: Asked) -> Result<Rerun> {
    if begins_like_sqlite(path).with_context(|| format!("{} cannot be read", path.display()))? {
        return of_state(path, configs, asked);
    }
    let keys = keys_of(configs).await?;
    let mut mails = Mails::new(configs, &keys, asked);
    let mailbox = configs.first().and_then(|config| config.mailboxes.first());
    let remarks = read_files(path, mailbox.map_or("", |mailbox| &mailbox.name), &mut mails)?;
    let mut rerun = replay_mails(mails, None)?;
    rerun.remarks.extend(remarks);
    Ok(rerun)
}

fn replay_mails(mails: Mails<'_>, last: Option<Time>) -> Result<Rerun> {
    let mut progress = Progress::start();
    mails.replay(last, &mut |done, all| progress.reached(done, all))
}

async fn keys_of(configs: &[Config]) -> Result<Vec<Keys>> {
    let mut all = Vec::new();
    for config in configs {
        all.push(keys::fetch(config).await?);
    }
    Ok(all)
}

fn begins_like_sqlite(path: &Path) -> Result<bool> {
    if !std::fs::metadata(path)?.is_file() {
        return Ok(false);
    }
    let mut beginning = Vec::new();
    std::fs::File::open(path)?.take(SQLITE.len() as u64).read_to_end(&mut beginning)?;
    Ok(beginning == SQLITE)
}

async fn of_mailbox(configs: &[Config], asked: Asked) -> Result<Rerun> {
    let Some(config) = configs.first() else { bail!("There is no configuration to judge by.") };
    let keys = keys_of(configs).await?;
    let mut mails = Mails::new(configs, &keys, asked);
    let extent = read(config, READING_MAX, |mailbox, batch| {
        for mail in batch {
            mails.take(mail, mailbox)?;
        }
        // Another folder may still hold newer ones.
        let one_folder = config.mailboxes.iter().any(|one| one.name == mailbox && one.folders.len() == 1);
        let enough = one_folder && batch.iter().all(|mail| mails.is_before(mail.received()));
        Ok(if enough { Wanted::EnoughOfThis } else { Wanted::More })
    })
    .await?;
    let mut rerun = replay_mails(mails, Some(clock::now()))?;
    if let Extent::Broken(why) = extent {
        rerun.remarks.push(format!("Reading ended early ({why}): older mails than these are not judged."));
    }
    Ok(rerun)
}
