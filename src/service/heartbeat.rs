//! The watchdog's own runs on their way to whoever watches it.

use super::{Parcel, Service};
use crate::engine::Run;
use crate::outbox::Sent;
use crate::time::Time;
use crate::{channel, clock};

impl Service {
    /// Tells of a run, if one is due: after [`Self::settle`] has stored what was judged.
    pub(super) fn beat(&mut self) {
        let now = clock::now();
        if let Some(run) = self.flow.engine.take_run(now) {
            self.ping(now);
            self.report(run);
        }
        if let Some(run) = self.flow.engine.take_run_again(now) {
            self.report(run);
        }
    }

    fn ping(&mut self, now: Time) {
        let heartbeat = self.flow.engine.config().heartbeat.as_ref();
        let Some(endpoint) = heartbeat.and_then(|heartbeat| heartbeat.ping.clone()) else { return };
        self.attempt(Parcel::Ping, async move { channel::ping(&endpoint, now).await });
    }

    fn report(&mut self, run: Run) {
        let config = self.flow.engine.config();
        let mail = config.heartbeat.as_ref().and_then(|heartbeat| heartbeat.mail.clone());
        let Some(mail) = mail else { return };
        let Some(channel) = config.channels.iter().find(|channel| channel.name == mail.channel).cloned()
        else {
            return;
        };
        let watchdog = config.name.clone();
        self.attempt(Parcel::Run(run.began), async move {
            channel::report(&channel, &run, &mail, &watchdog).await
        });
    }

    pub(super) fn run_delivered(&mut self, began: Time, sent: &Sent) {
        match sent {
            Sent::Accepted(answer) => tracing::debug!(answer, "the run was reported"),
            Sent::Failed { error, .. } | Sent::Refused(error) => {
                tracing::warn!(error, "the channel does not take the report of the watchdog's own run");
            }
        }
        self.flow.engine.run_sent(began, sent, clock::now());
    }
}

pub(super) fn pinged(sent: &Sent) {
    match sent {
        Sent::Accepted(answer) => tracing::debug!(answer, "the dead-man service was asked"),
        Sent::Failed { error, .. } | Sent::Refused(error) => {
            tracing::warn!(error, "the dead-man service does not take the ping");
        }
    }
}
