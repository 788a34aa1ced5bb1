//! The alarm about the store itself cannot go through the store's outbox: it is sent directly, and tried from memory.

use std::time::Duration;

use anyhow::Error;
use tokio::task::JoinSet;

use crate::bulletin::Bulletin;
use crate::channel;
use crate::clock;
use crate::config::{Channel, Config, Event};
use crate::outbox::{Address, Kind, Message, Notice, Sent};
use crate::store::InUse;
use crate::time::Time;
use crate::words::{self, Letter, Signature};

/// Between two tries.
const RETRY: Duration = Duration::from_secs(10);
/// When the program ends anyway, it does not wait longer than this for the alarm to go out.
const REPORT_LIMIT: Duration = Duration::from_secs(20);
/// So long the recovery is tried. A channel that refuses it all the while must not be asked for ever.
const RECOVERY_LIMIT: Duration = Duration::from_secs(3600);

/// Sends the alarm until it arrives, or until the store works again.
pub(super) struct StoreAlarm {
    raised: Time,
    sending: JoinSet<()>,
}

impl StoreAlarm {
    pub(super) fn raise(config: &Config, error: &Error) -> Self {
        let raised = clock::now();
        let by = signature(config, raised);
        let letter = words::store_alarm(by, &incident(raised), &config.state, &format!("{error:#}"));
        Self { raised, sending: send_all(config, &letter, raised, 1) }
    }

    /// The store works again: those who were to hear of the fault hear of its end.
    pub(super) fn recover(mut self, config: &Config) {
        self.sending.abort_all();
        let by = signature(config, clock::now());
        let letter = words::store_recovery(by, &incident(self.raised), self.raised);
        let sending = send_all(config, &letter, self.raised, 2);
        tokio::spawn(arrived(sending, RECOVERY_LIMIT));
    }

    /// For a program that cannot start: the alarm, as far as it goes in a short time. None when another process holds
    /// the state, because that one watches.
    pub(super) async fn report_once(config: &Config, error: &Error) {
        if error.is::<InUse>() {
            return;
        }
        arrived(Self::raise(config, error).sending, REPORT_LIMIT).await;
    }
}

/// Waits until all have arrived, and gives up those that have not after `limit`.
async fn arrived(mut sending: JoinSet<()>, limit: Duration) {
    let all = async { while sending.join_next().await.is_some() {} };
    if tokio::time::timeout(limit, all).await.is_err() {
        tracing::error!("what there is to say about the state file could not be delivered in time");
    }
}

fn signature(config: &Config, now: Time) -> Signature<'_> {
    Signature { watchdog: &config.name, zone: config.timezone, now }
}

/// What people call it. The store gives no number.
fn incident(raised: Time) -> String {
    format!("{}-store", raised.format("%Y%m%d%H%M%S"))
}

fn send_all(config: &Config, letter: &Letter, raised: Time, ordinal: u32) -> JoinSet<()> {
    let mut sending = JoinSet::new();
    let kind = if ordinal > 1 { Kind::Recovery } else { Kind::Alarm };
    let bulletin = Bulletin::own(&incident(raised), words::STORE_TOKEN, kind.into(), &config.name, raised);
    let notice = Notice { ordinal, kind, letter, bulletin };
    for channel in config.channels_for(Event::Mailbox) {
        for address in Address::of(channel) {
            sending.spawn(send(channel.clone(), Message::new(0, &notice, address, raised)));
        }
    }
    sending
}

async fn send(channel: Channel, message: Message) {
    loop {
        match channel::deliver(&channel, &message, clock::now()).await {
            Sent::Accepted(_) => return,
            Sent::Failed { error, .. } | Sent::Refused(error) => {
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
