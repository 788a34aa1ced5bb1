//! `drill`: shows whether alarms arrive, by an alarm about nothing.

use std::time::Duration;

use anyhow::{Result, bail};
use chrono::TimeDelta;
use clap::Args;

use super::order::{Who, span};
use super::{Global, output};
use crate::config::Config;
use crate::incident::{End, Incident, Subject};
use crate::orders::Order;
use crate::store::Store;
use crate::time::{Time, span as shown};
use crate::{clock, control};

/// So often the state is asked whether the drill is over.
const PERIOD: Duration = Duration::from_millis(500);
/// Of those that ended meanwhile so many are looked at; the drill is the newest of them but for a few.
const CLOSED_MAX: u32 = 1_000;

#[derive(Debug, Args)]
pub(super) struct Options {
    /// Through this channel alone [default: those of [drill], or else all whose messages somebody answers]
    #[arg(long, value_name = "NAME")]
    channel: Option<String>,
    /// Wait for the end of the drill, but no longer than this; exit with 0 when all of it was proved, else with 1
    #[arg(long, value_name = "DURATION", value_parser = span, num_args = 0..=1, default_missing_value = "1d")]
    wait: Option<TimeDelta>,
    #[command(flatten)]
    who: Who,
}

pub(super) async fn drill(global: &Global, options: Options) -> Result<u8> {
    let config = global.load()?;
    let asked = clock::now();
    let order = Order::Drill { channel: options.channel, by: options.who.name() }.bounded();
    let Some(answer) = control::ask(&config.state, &order).await? else {
        bail!(
            "No daemon watches with the state {}; a drill needs `run`, which waits for the answer to it.",
            config.state.display()
        );
    };
    if !answer.done {
        bail!("{}", answer.sentence);
    }
    output::print(&output::plain(&format!("{}\n", answer.sentence)))?;
    match options.wait {
        Some(wait) => follow(&config, asked, asked + wait).await,
        None => Ok(0),
    }
}

/// Tells what comes back, as it comes back.
async fn follow(config: &Config, asked: Time, until: Time) -> Result<u8> {
    let mut told = Vec::new();
    loop {
        let Some(incident) = newest(config, asked)? else { bail!("The drill is not in the state any more.") };
        for (channel, member) in &incident.members {
            if let Some(End::Recovered(at)) = member.end
                && !told.contains(channel)
            {
                let sentence = format!(
                    "The chain through {channel} has proved itself in {}.\n",
                    shown(at - member.since)
                );
                output::print(&output::plain(&sentence))?;
                told.push(channel.clone());
            }
        }
        let unproved: Vec<&str> = incident.present().map(|(channel, _)| channel).collect();
        if incident.closed.is_some() && unproved.is_empty() {
            return Ok(0);
        }
        let left = unproved.join(", ");
        if incident.closed.is_some() {
            bail!("The drill is over, and not proved: {left}.");
        }
        if clock::now() >= until {
            bail!("Not proved yet: {left}. The drill {} goes on.", incident.id());
        }
        tokio::time::sleep(PERIOD).await;
    }
}

/// The drill that was ordered: there is one at a time.
fn newest(config: &Config, asked: Time) -> Result<Option<Incident>> {
    let incidents = Store::open_read_only(&config.state)?.incidents(Some(asked), CLOSED_MAX)?;
    Ok(incidents.into_iter().rfind(|incident| incident.subject == Subject::Drill))
}
