//! `backtest`: judges the past with another configuration.

mod printed;

use std::io::{IsTerminal, Read, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use chrono::TimeDelta;
use clap::{Args, ValueEnum};

use super::reading::{Wanted, read};
use super::{Global, output};
use crate::backtest::{Outcome, Row, rows};
use crate::config::{Config, environment};
use crate::proposal::{Extent, counted};
use crate::rerun::{Asked, Mails, Rerun, read_files, replay_state};
use crate::store::Store;
use crate::time::{Time, rfc3339};
use crate::trust::Keys;
use crate::{clock, keys};

/// A month of many checkers takes a slow server some time.
const READING_MAX: Duration = Duration::from_secs(3_600);
/// What takes longer says on a terminal how far it is.
const PATIENCE: TimeDelta = TimeDelta::seconds(2);
/// Between two looks at the clock.
const MAILS_PER_LOOK: u32 = 500;
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
    let mut progress = Progress::new();
    let rerun = if source == "mailbox" {
        of_mailbox(configs, asked, &mut progress).await
    } else if let Some(path) = source.strip_prefix("sqlite:") {
        replay_state(&Store::open_read_only(Path::new(path))?, configs, asked, &mut |time| progress.at(time))
    } else {
        of_path(Path::new(source), configs, asked, &mut progress).await
    };
    progress.end();
    rerun
}

async fn of_path(path: &Path, configs: &[Config], asked: Asked, progress: &mut Progress) -> Result<Rerun> {
    if begins_like_sqlite(path).with_context(|| format!("{} cannot be read", path.display()))? {
        return replay_state(&Store::open_read_only(path)?, configs, asked, &mut |time| progress.at(time));
    }
    let keys = keys_of(configs).await?;
    let mut mails = Mails::new(configs, &keys, asked);
    let mailbox = configs.first().and_then(|config| config.mailboxes.first());
    let remarks = read_files(path, mailbox.map_or("", |mailbox| &mailbox.name), &mut mails)?;
    let mut rerun = mails.replay(None, &mut |time| progress.at(time))?;
    rerun.remarks.extend(remarks);
    Ok(rerun)
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

async fn of_mailbox(configs: &[Config], asked: Asked, progress: &mut Progress) -> Result<Rerun> {
    let Some(config) = configs.first() else { bail!("There is no configuration to judge by.") };
    let keys = keys_of(configs).await?;
    let mut mails = Mails::new(configs, &keys, asked);
    let mut oldest: Option<Time> = None;
    let extent = read(config, READING_MAX, |mailbox, batch| {
        for mail in batch {
            mails.take(mail, mailbox)?;
            oldest = Some(oldest.map_or(mail.received(), |oldest| oldest.min(mail.received())));
        }
        oldest.into_iter().for_each(|time| progress.at(time));
        // Another folder may still hold newer ones.
        let one_folder = config.mailboxes.iter().any(|one| one.name == mailbox && one.folders.len() == 1);
        let enough = one_folder && batch.iter().all(|mail| mails.is_before(mail.received()));
        Ok(if enough { Wanted::EnoughOfThis } else { Wanted::More })
    })
    .await?;
    let mut rerun = mails.replay(Some(clock::now()), &mut |time| progress.at(time))?;
    if let Extent::Broken(why) = extent {
        rerun.remarks.push(format!("Reading ended early ({why}): older mails than these are not judged."));
    }
    Ok(rerun)
}

/// How far it is, for a person who waits.
struct Progress {
    begun: Time,
    shown: Option<Time>,
    calls: u32,
}

impl Progress {
    fn new() -> Self {
        Self { begun: clock::now(), shown: None, calls: 0 }
    }

    fn at(&mut self, time: Time) {
        self.calls += 1;
        if !self.calls.is_multiple_of(MAILS_PER_LOOK) || !std::io::stderr().is_terminal() {
            return;
        }
        let now = clock::now();
        if now - self.shown.unwrap_or(self.begun) >= PATIENCE {
            self.shown = Some(now);
            let _ = write!(std::io::stderr(), "\r{} …", time.format("%Y-%m-%d %H:%M"));
        }
    }

    fn end(self) {
        if self.shown.is_some() {
            let _ = write!(std::io::stderr(), "\r{:20}\r", "");
        }
    }
}
