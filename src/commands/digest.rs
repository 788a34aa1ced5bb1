//! `digest`: what a digest of a time would tell, from the state file.

use anyhow::{Result, bail};
use chrono::NaiveTime;
use clap::Args;

use super::{Global, output};
use crate::config::{Config, Digest};
use crate::digest::{Calendar, Every, Period};
use crate::store::Store;
use crate::time::Time;
use crate::{clock, summary, words};

#[derive(Debug, Args)]
pub(super) struct Options {
    /// Which one, when there are several [[digest]]
    name: Option<String>,
    /// From then on: RFC 3339, or -7d [default: the last whole day or week]
    #[arg(long, value_name = "TIME", value_parser = super::time, allow_hyphen_values = true)]
    from: Option<Time>,
    /// Up to then [default: now, with --from]
    #[arg(long, value_name = "TIME", value_parser = super::time, allow_hyphen_values = true, requires = "from")]
    to: Option<Time>,
    /// As the HTML of the mail
    #[arg(long)]
    html: bool,
}

pub(super) fn digest(global: &Global, options: &Options) -> Result<u8> {
    let config = global.load()?;
    let store = Store::open_read_only(&config.state)?;
    let (wanted, now) = (wanted(&config, options.name.as_deref())?, clock::now());
    let period = match options.from {
        Some(from) => Period { from, until: options.to.unwrap_or(now) },
        None => wanted.calendar.last(now),
    };
    if period.from >= period.until.min(now) {
        bail!("The time from --from to --to is empty, or has not begun.");
    }
    let digest = summary::digest(&store, &config, &wanted, period, (None, now))?;
    let (letter, html) = words::digest(&digest);
    output::print(&if options.html { html } else { format!("{}\n\n{}", letter.subject, letter.body) })?;
    Ok(0)
}

/// The one of this name; without a name the first one; where none is configured, that of every checker and each day.
fn wanted(config: &Config, name: Option<&str>) -> Result<Digest> {
    let found = config.digests.iter().find(|digest| name.is_none_or(|name| digest.key() == name));
    match (found, name) {
        (Some(digest), _) => Ok(digest.clone()),
        (None, Some(name)) => bail!("There is no [[digest]] {name} in the configuration."),
        (None, None) => Ok(Digest {
            name: None,
            channel: String::new(),
            to: Vec::new(),
            calendar: Calendar { every: Every::Day, at: NaiveTime::MIN, zone: config.timezone },
            checkers: [].into(),
            providers: [].into(),
        }),
    }
}
