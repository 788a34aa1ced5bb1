//! `once`: a full read, a judgement, the deliveries, the table.

use anyhow::Result;

use super::{Global, output};
use crate::service;

pub(super) async fn once(global: &Global) -> Result<u8> {
    let done = service::once(global.load()?).await?;
    for failure in &done.failures {
        output::complain(failure);
    }
    output::print(&output::last_seen(&done.table, global.format)?)?;
    Ok(done.health.exit_status())
}
