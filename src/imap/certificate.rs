//! The certificate of a mailbox's server. A connection shows it once, at its beginning, and may last for months.

use std::time::Duration;

use chrono::TimeDelta;
use tokio::time::Instant;

use super::{Event, connect};
use crate::clock;
use crate::config::{Mailbox, Server};
use crate::expiry::{Ending, Validity};

/// A certificate near its end is looked at again this often, on a connection of its own, lest one that was renewed
/// long ago be alarmed.
const AGAIN_EVERY: Duration = Duration::from_secs(6 * 3600);
/// So long before the alarm.
const AHEAD: TimeDelta = TimeDelta::days(1);

/// What the server showed, and when.
pub(super) struct Shown {
    validity: Option<Validity>,
    at: Instant,
}

impl Shown {
    pub(super) fn new(validity: Option<Validity>) -> Self {
        Self { validity, at: Instant::now() }
    }

    pub(super) fn event<M>(&self, mailbox: &Mailbox) -> Event<M> {
        Event::Certificate { mailbox: mailbox.name.clone(), validity: self.validity }
    }

    /// Looks at it again if need be. True when it was seen, changed or not.
    pub(super) async fn look_again(&mut self, server: &Server) -> bool {
        let soon = clock::now() + AHEAD;
        let near = self.validity.is_some_and(|validity| Ending::of_certificate(validity).is_due(soon));
        if !near || self.at.elapsed() < AGAIN_EVERY {
            return false;
        }
        self.at = Instant::now();
        match connect::certificate(server).await {
            Ok(validity) => {
                self.validity = validity;
                true
            }
            Err(error) => {
                // The mailbox itself is being read well.
                tracing::debug!(%error, "the server's certificate cannot be looked at again");
                false
            }
        }
    }
}
