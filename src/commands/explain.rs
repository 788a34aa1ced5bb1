//! `explain`: why a checker is in its state, or how one mail is understood.

use std::io::Read;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use clap::Args;

use super::{Format, Global, output};
use crate::config::Config;
use crate::explanation;
use crate::inquiry::inquire;
use crate::report::{Roster, understand};
use crate::store::Store;
use crate::time::Time;
use crate::{clock, keys, mail};

/// A mail in a file is read up to here, as one in a mailbox is.
const MAIL_BYTES_MAX: u64 = 1 << 20;

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
    let understood = understand(&mut mail.clone(), &roster);
    match format {
        Format::Json => Ok(serde_json::to_string_pretty(&understood)? + "\n"),
        Format::Table | Format::Csv => Ok(explanation::of_mail(&mail, &understood)),
    }
}

fn explain_checker(name: &str, config: &Config, as_of: Option<Time>) -> Result<String> {
    let store = Store::open_read_only(&config.state)?;
    let Some(found) = inquire(&store, config, name, (as_of, clock::now()))? else {
        let names: Vec<&str> = config.checkers.iter().map(|checker| checker.name.as_str()).collect();
        bail!("There is no checker {name}; configured are: {}.", names.join(", "));
    };
    Ok(found.explanation)
}
