//! `run`: the daemon.

use anyhow::Result;

use super::Global;
use crate::service;

pub(super) async fn run(global: &Global) -> Result<u8> {
    let config = global.load()?;
    service::run(config, global.config.as_deref(), &global.overrides).await?;
    Ok(0)
}
