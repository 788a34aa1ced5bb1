//! The alarm about the store itself cannot go through the store's outbox: it is sent directly, and tried from memory.

use std::time::Duration;

use anyhow::Error;
use tokio::task::JoinSet;

use crate::channel;
use crate::clock;
use crate::config::{Channel, Config};
use crate::outbox::{Message, Sent};
use crate::store::InUse;
use crate::time::Time;
use crate::words::{self, Letter};

/// Between two tries.
const RETRY: Duration = Duration::from_secs(10);
/// When the program ends anyway, it does not wait longer than this for the alarm to go out.
const REPORT_LIMIT: Duration = Duration::from_secs(20);

/// Sends the alarm until it arrives, or until the store works again.
pub(super) struct StoreAlarm {
    raised: Time,
    sending: JoinSet<()>,
}

impl StoreAlarm {
    pub(super) fn raise(config: &Config, error: &Error) -> Self {
        let raised = clock::now();
        let letter =
            words::store_alarm(&config.name, &config.state, &format!("{error:#}"), raised, config.timezone);
        Self { raised, sending: send_all(config, &letter, raised, 1) }
    }

    /// The store works again: who was told of the fault is told of its end.
    pub(super) fn recover(mut self, config: &Config) {
        self.sending.abort_all();
        let now = clock::now();
        let letter = words::store_recovery(&config.name, self.raised, now, config.timezone);
        let mut sending = send_all(config, &letter, self.raised, 2);
        tokio::spawn(async move { while sending.join_next().await.is_some() {} });
    }

    /// For a program that cannot start: the alarm, as far as it goes in a short time. None when another process holds
    /// the state, because that one watches.
    pub(super) async fn report_once(config: &Config, error: &Error) {
        if error.is::<InUse>() {
            return;
        }
        let mut alarm = Self::raise(config, error);
        let all = async { while alarm.sending.join_next().await.is_some() {} };
        if tokio::time::timeout(REPORT_LIMIT, all).await.is_err() {
            tracing::error!("the alarm about the state file could not be delivered in time");
        }
    }
}

fn send_all(config: &Config, letter: &Letter, raised: Time, ordinal: u32) -> JoinSet<()> {
    let mut sending = JoinSet::new();
    for channel in config.channels.iter().filter(|channel| !channel.fallback) {
        for recipient in channel.recipients() {
            sending.spawn(send(channel.clone(), message(channel, recipient, letter, raised, ordinal)));
        }
    }
    sending
}

async fn send(channel: Channel, message: Message) {
    loop {
        match channel::deliver(&channel, &message, clock::now()).await {
            Sent::Accepted(_) => return,
            Sent::Failed(error) | Sent::Refused(error) => {
                tracing::warn!(
                    channel = channel.name,
                    error,
                    "the alarm about the state file was not delivered"
                );
            }
        }
        tokio::time::sleep(RETRY).await;
    }
}

fn message(channel: &Channel, recipient: String, letter: &Letter, raised: Time, ordinal: u32) -> Message {
    Message {
        id: 0,
        incident: format!("{}-store", raised.format("%Y%m%d%H%M%S")),
        ordinal,
        token: "MONITOR_Store".to_owned(),
        recovery: ordinal > 1,
        channel: channel.name.clone(),
        recipient,
        subject: letter.subject.clone(),
        body: letter.body.clone(),
        created: raised,
        attempts: 1,
        due: raised,
        last_error: None,
        refused: false,
        handed_over: false,
    }
}
