//! `last-seen`: the table from the store, without touching the mailbox.

use anyhow::Result;
use clap::Args;

use super::{Format, Global, output, plugin};
use crate::clock;
use crate::engine::Engine;
use crate::past;
use crate::store::Store;
use crate::time::Time;
use crate::view::LastSeen;

#[derive(Debug, Args)]
pub(super) struct Options {
    /// The table as it stood then: RFC 3339, or -90m for 90 minutes ago
    #[arg(long, value_name = "TIME", value_parser = super::time, allow_hyphen_values = true)]
    as_of: Option<Time>,
    /// For Nagios and Icinga: begin with a line for them, exit with 0 all well, 1 late or undelivered, 2 silent or a service
    /// down, 3 blind
    #[arg(long)]
    pub(super) check: bool,
}

pub(super) fn last_seen(global: &Global, options: &Options) -> Result<u8> {
    let config = global.load()?;
    let store = Store::open_read_only(&config.state)?;
    let now = clock::now();
    let (table, blind_after) = match options.as_of {
        Some(time) => {
            (past::last_seen(&store, &config, time)?, past::config(&store, &config, time)?.blind_after())
        }
        None => {
            let blind_after = config.blind_after();
            let engine = Engine::restore(config, store.load()?, now);
            (LastSeen { other_mails: store.other_mails(now)?, ..LastSeen::of(&engine, now) }, blind_after)
        }
    };
    let printed = output::last_seen(&table, global.format)?;
    if !options.check {
        output::print(&printed)?;
        return Ok(0);
    }
    let health = table.health(blind_after);
    output::print(&match global.format {
        Format::Table => plugin::output(&table, health, &printed),
        Format::Json | Format::Csv => printed,
    })?;
    Ok(health.exit_status())
}
