//! `explain`: why a checker is in its state, or how one mail is understood.

use std::io::Read;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use clap::Args;

use super::{Format, Global, output};
use crate::config::Config;
use crate::engine::{Engine, Mailbox, Offset};
use crate::explanation::{self, Known};
use crate::ledger::Facts;
use crate::report::{Roster, understand};
use crate::store::Store;
use crate::time::Time;
use crate::verdict::judge;
use crate::view::CanaryLine;
use crate::words::Signature;
use crate::{clock, keys, mail, past};

/// A mail in a file is read up to here, as one in a mailbox is.
const MAIL_BYTES_MAX: u64 = 1 << 20;
/// The mail path is measured by so many of the latest mails: a week of a checker that writes every five minutes.
const REPORTS_READ: u32 = 2_000;

#[derive(Debug, Args)]
#[group(required = true, multiple = true)]
pub(super) struct Options {
    /// The checker to explain
    #[arg(conflicts_with = "mail")]
    checker: Option<String>,
    /// Explain how this mail (a file as saved by a mail program) is understood
    #[arg(long, value_name = "FILE")]
    mail: Option<PathBuf>,
    /// As it was then: RFC 3339, or -90m for 90 minutes ago
    #[arg(long, value_name = "TIME", value_parser = super::time, allow_hyphen_values = true)]
    as_of: Option<Time>,
}

pub(super) async fn explain(global: &Global, options: &Options) -> Result<u8> {
    let config = global.load()?;
    let text = match (&options.mail, &options.checker) {
        (Some(file), _) => explain_mail(file, &config, global.format).await?,
        (None, Some(name)) => explain_checker(name, &config, options.as_of)?,
        (None, None) => bail!("Name a checker, or a mail with --mail FILE."),
    };
    output::print(&output::plain(&text))?;
    Ok(0)
}

async fn explain_mail(file: &Path, config: &Config, format: Format) -> Result<String> {
    let unreadable = || format!("The mail {} cannot be read", file.display());
    let mut bytes = Vec::new();
    let opened = std::fs::File::open(file).with_context(unreadable)?;
    opened.take(MAIL_BYTES_MAX + 1).read_to_end(&mut bytes).with_context(unreadable)?;
    let truncated = bytes.len() as u64 > MAIL_BYTES_MAX;
    bytes.truncate(usize::try_from(MAIL_BYTES_MAX).unwrap_or(usize::MAX));
    let mail = mail::parse(&bytes, truncated);
    let roster = Roster::new(&config.checkers, &keys::fetch(config).await?);
    let understood = understand(mail.clone(), &roster);
    match format {
        Format::Json => Ok(serde_json::to_string_pretty(&understood)? + "\n"),
        Format::Table | Format::Csv => Ok(explanation::of_mail(&mail, &understood)),
    }
}

fn explain_checker(name: &str, config: &Config, as_of: Option<Time>) -> Result<String> {
    let Some(checker) = config.checkers.iter().find(|checker| checker.name.eq_ignore_ascii_case(name)) else {
        let names: Vec<&str> = config.checkers.iter().map(|checker| checker.name.as_str()).collect();
        bail!("There is no checker {name}; configured are: {}.", names.join(", "));
    };
    let store = Store::open_read_only(&config.state)?;
    let now = as_of.unwrap_or_else(clock::now);
    let engine = match as_of {
        Some(time) => past::engine(&store, config, time)?,
        None => Engine::restore(config.clone(), store.load()?, now),
    };
    let facts = engine.facts().get(&checker.name).cloned().unwrap_or_else(|| Facts::new(checker));
    let watch = engine.watch_of(&facts);
    let verdict = judge(&facts, watch, now);
    let cause = engine.cause(&checker.name, &engine.companies(), now);
    let reports = store.reports_of(&checker.name, now, REPORTS_READ)?;
    let by = Signature { watchdog: &config.name, zone: config.timezone, now };
    let offset = |(name, state): (&'_ String, &Mailbox)| Some((name.clone(), state.clock.offset(now)?));
    let offsets: Vec<(String, Offset)> = engine.mailboxes().iter().filter_map(offset).collect();
    // What is known of it is not what was known then.
    let canary = CanaryLine::of(&engine).filter(|_| as_of.is_none());
    let (reports, offsets) = (&reports, &offsets);
    Ok(Known { checker, facts: &facts, watch, verdict, cause, by, canary, reports, offsets }.text())
}
