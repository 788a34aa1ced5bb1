//! Asks DNS what channels, mailboxes and recipients share.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::task::{JoinError, JoinSet};
use tokio::time::{Instant, timeout_at};

use super::Service;
use crate::config::{Channel, Config, Hidden};
use crate::independence::{Answers, Questions};
use crate::time::{Time, rfc3339};
use crate::{channel, clock, dns};

/// For the programs and files that tell URLs, all side by side.
const URLS_LIMIT: Duration = Duration::from_secs(10);

/// Everything that has to be known from outside of `config`. Takes 30 s at most.
pub(crate) async fn answers(config: &Config) -> Answers {
    let outside = |channel: &&Channel| channel.reach().hidden == Some(Hidden::Url);
    let mut asked = JoinSet::new();
    for channel in config.channels.iter().filter(outside).cloned() {
        asked.spawn(async move { Some((channel.name.clone(), channel::url_host(&channel).await?)) });
    }
    let (mut url_hosts, until) = (BTreeMap::new(), Instant::now() + URLS_LIMIT);
    while let Ok(Some(told)) = timeout_at(until, asked.join_next()).await {
        url_hosts.extend(told.ok().flatten());
    }
    let questions = Questions::of(config, &url_hosts);
    Answers { url_hosts, ..dns::ask(&questions, config.dns).await }
}

impl Service {
    /// When it is time to: beside everything else.
    pub(super) fn ask_dns(&mut self, now: Time) {
        if self.flow.engine.wants_answers(now) {
            let config = self.flow.engine.config().clone();
            self.asking.spawn(async move { answers(&config).await });
        }
    }

    pub(super) fn take_answers(&mut self, done: Result<Answers, JoinError>) {
        let answers = match done {
            Ok(answers) => answers,
            Err(error) => {
                tracing::error!(%error, "what DNS was asked about the channels broke off");
                return;
            }
        };
        if let Some((since, why)) = self.flow.engine.answered(&answers, clock::now()) {
            let since = rfc3339(since);
            tracing::warn!(
                since,
                why,
                "what the channels share with the mailbox could not all be worked out"
            );
        }
    }
}
