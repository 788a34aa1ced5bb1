//! `ack` and `resolve`: what a person has to say about an incident reaches the running daemon at once.

use anyhow::{Result, bail};
use chrono::TimeDelta;
use clap::Args;

use super::{Global, output};
use crate::config::{Config, duration, environment};
use crate::orders::Order;
use crate::store::InUse;
use crate::{clock, control, service};

#[derive(Debug, Args)]
pub(super) struct Acknowledge {
    /// The incident: its identifier, its number, or its token
    incident: String,
    /// It counts so long, for instance 2h; then everybody is reminded [default: until the incident is over]
    #[arg(long = "for", value_name = "DURATION", value_parser = span)]
    span: Option<TimeDelta>,
    #[command(flatten)]
    who: Who,
}

#[derive(Debug, Args)]
pub(super) struct Resolve {
    /// The incident: its identifier, its number, or its token
    incident: String,
    #[command(flatten)]
    who: Who,
}

#[derive(Debug, Args)]
pub(super) struct Who {
    /// Who says so [default: the name you are logged in as]
    #[arg(long, value_name = "NAME")]
    by: Option<String>,
    /// What the others should know
    #[arg(long, value_name = "TEXT")]
    pub(super) note: Option<String>,
}

pub(super) async fn acknowledge(global: &Global, options: Acknowledge) -> Result<u8> {
    let Acknowledge { incident, span, who } = options;
    let until = span.map(|span| clock::now() + span);
    give(global, Order::Acknowledge { incident, until, by: who.name(), note: who.note, channel: None }).await
}

pub(super) async fn resolve(global: &Global, options: Resolve) -> Result<u8> {
    let Resolve { incident, who } = options;
    give(global, Order::Resolve { incident, by: who.name(), note: who.note }).await
}

impl Who {
    pub(super) fn name(&self) -> String {
        self.by.clone().or_else(environment::person).unwrap_or_else(|| "somebody".to_owned())
    }
}

/// Gives an order to the daemon, or carries it out when none runs.
pub(super) async fn give(global: &Global, order: Order) -> Result<u8> {
    let config = global.load()?;
    let order = order.bounded();
    let answer = match control::ask(&config.state, &order).await? {
        Some(answer) => answer,
        None => without_daemon(config, &order)?,
    };
    if !answer.done {
        bail!("{}", answer.sentence);
    }
    output::print(&output::plain(&format!("{}\n", answer.sentence)))?;
    Ok(0)
}

fn without_daemon(config: Config, order: &Order) -> Result<control::Answer> {
    if !config.state.exists() {
        bail!("There is no state file {} yet; `run` or `once` makes it.", config.state.display());
    }
    match service::obey(config, order) {
        Err(error) if error.is::<InUse>() => Err(error.context("It does not listen for orders")),
        outcome => Ok(outcome?.into()),
    }
}

pub(super) fn span(text: &str) -> Result<TimeDelta> {
    duration::parse(text).map_err(|error| anyhow::anyhow!("{error}"))
}
