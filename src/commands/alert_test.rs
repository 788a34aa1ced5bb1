//! `alert-test`: a marked test through one channel or all.

use anyhow::{Result, bail};
use clap::Args;

use super::{Global, output};
use crate::bulletin::{Bulletin, State};
use crate::outbox::{Address, Kind, Message, Notice, Sent};
use crate::words::{self, Signature};
use crate::{channel, clock};

#[derive(Debug, Args)]
pub(super) struct Options {
    /// The channel; all of them when none is named
    channel: Option<String>,
}

pub(super) async fn alert_test(global: &Global, options: &Options) -> Result<u8> {
    let config = global.load()?;
    if config.channels.is_empty() {
        bail!("There is no [[channel]] in the configuration; without one no alarm reaches anybody.");
    }
    let wanted = |name: &str| options.channel.as_ref().is_none_or(|only| only == name);
    let channels: Vec<_> = config.channels.iter().filter(|channel| wanted(&channel.name)).collect();
    if channels.is_empty() {
        let names: Vec<&str> = config.channels.iter().map(|channel| channel.name.as_str()).collect();
        bail!("There is no such channel; configured are: {}.", names.join(", "));
    }
    let mut failed = 0;
    for channel in channels {
        for address in Address::of(channel) {
            let (now, recipient) = (clock::now(), address.recipient.clone());
            let by = Signature { watchdog: &config.name, zone: config.timezone, now };
            let letter = words::channel_test(by, &channel.name);
            let (id, token) =
                (format!("test-{}", now.format("%Y%m%d%H%M%S")), format!("{}_Test", config.name));
            let bulletin = Bulletin::own(&id, &token, State::Test, &config.name, now);
            let notice = Notice { ordinal: 1, kind: Kind::Notice, letter: &letter, bulletin };
            let message = Message::new(0, &notice, address, now);
            let answer = match channel::deliver(channel, &message, now).await {
                Sent::Accepted(answer) => format!("accepted: {answer}"),
                Sent::Failed { error, .. } | Sent::Refused(error) => {
                    failed += 1;
                    format!("NOT delivered: {error}")
                }
            };
            output::print(&output::plain(&format!("{} → {recipient}: {answer}\n", channel.name)))?;
        }
    }
    if failed > 0 {
        bail!("{failed} of the tests could not be delivered; see above.");
    }
    Ok(0)
}
