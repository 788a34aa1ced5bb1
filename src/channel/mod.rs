//! Delivering messages: one file per kind of channel. A channel only tries, and says how it ended.

pub mod smtp;

use std::time::Duration;

use crate::config::{Channel, ChannelKind};
use crate::outbox::{Message, Sent};
use crate::time::Time;

/// From the first packet to the far side's answer.
const ATTEMPT_LIMIT: Duration = Duration::from_secs(25);

/// Connects and signs in, and sends nothing. Never longer than 25 s.
///
/// # Errors
/// One sentence that says what is wrong and what to do.
pub async fn probe(channel: &Channel) -> Result<(), String> {
    let attempt = async {
        match &channel.kind {
            ChannelKind::Smtp(smtp) => smtp::probe(smtp).await,
        }
    };
    tokio::time::timeout(ATTEMPT_LIMIT, attempt)
        .await
        .unwrap_or_else(|_| Err(format!("no answer within {} s", ATTEMPT_LIMIT.as_secs())))
}

/// Tries once to deliver a message. Never longer than 25 s.
pub async fn deliver(channel: &Channel, message: &Message, now: Time) -> Sent {
    let attempt = async {
        match &channel.kind {
            ChannelKind::Smtp(smtp) => smtp::deliver(smtp, message, now).await,
        }
    };
    tokio::time::timeout(ATTEMPT_LIMIT, attempt)
        .await
        .unwrap_or_else(|_| Sent::failed(format!("no answer within {} s", ATTEMPT_LIMIT.as_secs())))
}
