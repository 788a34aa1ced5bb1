//! `[audit]`.

use chrono_tz::Tz;

use super::report::{Reported, quoted};
use super::section::{Item, Section, nearest};
use super::{Channel, ChannelKind, Content, HeadNotice, Preset, digest, value};
use crate::digest::{Calendar, Every};

/// `channels` are those of the same configuration; what could not be read of them is not held against it.
pub(super) fn read(
    root: &mut Section<'_>,
    zone: Tz,
    channels: Option<&[Channel]>,
) -> Result<Option<HeadNotice>, Reported> {
    root.optional("audit", |item| {
        let mut section = item.section("[audit]")?;
        let channel = section.required("head_to", |item| head_channel(&item, channels));
        let at = section.optional("head_at", |item| digest::time(&item));
        section.finish();
        let calendar = Calendar { every: Every::Day, at: at?.unwrap_or(digest::DEFAULT_AT), zone };
        Ok(HeadNotice { channel: channel?, calendar })
    })
}

/// The name of a channel whose far side keeps what it is told.
fn head_channel(item: &Item<'_>, channels: Option<&[Channel]>) -> Result<String, Reported> {
    let name = value::line(item)?;
    let Some(channels) = channels else { return Ok(name) };
    match channels.iter().find(|channel| channel.name == name).map(|channel| &channel.kind) {
        Some(kind) if knows_alarms_only(kind) => {
            Err(item.wrong(format!("the far side of the channel {} keeps alarms only", quoted(&name))))
        }
        Some(_) => Ok(name),
        None => {
            let names: Vec<&str> = channels.iter().map(|channel| channel.name.as_str()).collect();
            let near = nearest(&name, &names);
            Err(item.wrong(format!("there is no [[channel]] with the name {}{near}", quoted(&name))))
        }
    }
}

fn knows_alarms_only(kind: &ChannelKind) -> bool {
    match kind {
        ChannelKind::Alertmanager(_) => true,
        ChannelKind::Webhook(webhook) => matches!(webhook.content, Content::Preset(Preset::Pagerduty)),
        ChannelKind::Smtp(_) | ChannelKind::Teams(_) | ChannelKind::Command(_) | ChannelKind::File(_) => {
            false
        }
    }
}
