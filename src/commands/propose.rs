//! `propose`: reads the mailbox and prints `[[checker]]` blocks.

use std::time::Duration;

use anyhow::Result;

use super::reading::{Wanted, read};
use super::{Global, output};
use crate::config::environment;
use crate::keys;
use crate::proposal::{Survey, propose as write};

/// No more mails are read: some days of many checkers, some months of a few.
const MAILS_MAX: usize = 20_000;
const TOTAL_MAX: Duration = Duration::from_secs(600);

pub(super) async fn propose(global: &Global) -> Result<u8> {
    let config = environment::load_without_checkers(global.config.as_deref(), &global.overrides)?;
    let mut survey = Survey::new(&config, &keys::fetch(&config).await?);
    let mut taken = 0;
    let extent = read(&config, TOTAL_MAX, |_, mails| {
        mails.iter().for_each(|mail| survey.take(mail));
        taken += mails.len();
        Ok(if taken < MAILS_MAX { Wanted::More } else { Wanted::Nothing })
    })
    .await?;
    output::print(&output::plain(&write(&survey, &config, &extent)))?;
    Ok(0)
}
