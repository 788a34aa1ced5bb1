//! `demo`: the whole thing on an embedded mail server.

use std::io::{IsTerminal, stdout};

use anyhow::Result;

use super::Global;
use crate::config::environment;
use crate::demo::{self, Look};

pub(super) async fn demo(global: &Global) -> Result<u8> {
    let terminal = stdout().is_terminal() && !environment::terminal_is_dumb();
    // Log lines would run through a table that is redrawn in place.
    let live = terminal && global.verbose == 0;
    demo::run(Look { live, colour: terminal && !environment::colour_refused() }).await?;
    Ok(0)
}
