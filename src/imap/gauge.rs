//! How full a mailbox is, measured beside the reading: by the server's quota, else by what the folders hold.
//!
//! A first read asks for no sizes, and sizes are not added up from what is read: the sum would know nothing of mails
//! that are deleted. Where no command tells it (Exchange Online), the sizes of all mails are fetched on their own in
//! the reader's free time; between two such weighings the folder's count, which every look brings, corrects the sum.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::time::Instant;

use super::error::Error;
use super::quota::Quota;
use super::session::Session;
use crate::clock;
use crate::config::Mailbox;
use crate::fullness::{Fullness, Source, Usage};

/// Two or three short commands; a look within this time goes without.
const MEASURE_EVERY: Duration = Duration::from_secs(30);
/// A connection that ended while it was measured is a reason not to try again so soon: whether the mailbox can be
/// read must not depend on this.
const PAUSE_AFTER_TROUBLE: Duration = Duration::from_secs(3600);
/// About 40 bytes per mail: 4 MB for 100,000 mails.
const WEIGH_EVERY: Duration = Duration::from_secs(24 * 3600);
/// Mails per command while weighing: some seconds at most, after which a look may go first.
const WEIGHED_TOGETHER: u32 = 10_000;

/// What is known of the folders of one mailbox, over all its connections.
#[derive(Debug, Default)]
pub(super) struct Gauge {
    measured: Option<Instant>,
    /// A measurement was begun then and is not done.
    begun: Option<Instant>,
    /// How many mails each folder holds, by its last EXAMINE.
    mails: BTreeMap<String, u32>,
    weights: BTreeMap<String, Weight>,
}

/// The sum of a folder's mails, as far as they were weighed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Weight {
    mails: u32,
    bytes: u64,
    /// All of them were.
    done: Option<Instant>,
    /// The server does not tell the sizes of mails.
    untold: bool,
}

impl Weight {
    /// What `mails` mails of this kind weigh.
    fn scaled_to(self, mails: u32) -> u64 {
        let bytes = u128::from(self.bytes) * u128::from(mails) / u128::from(self.mails.max(1));
        u64::try_from(bytes).unwrap_or(u64::MAX)
    }
}

/// What a measurement found; None when the server says nothing and nothing is configured.
pub(super) type Measured = Option<Fullness>;

impl Gauge {
    /// A folder was opened and holds so many mails.
    pub(super) fn counted(&mut self, folder: &str, mails: u32) {
        self.mails.insert(folder.to_owned(), mails);
    }

    /// Measures, when it is time to.
    pub(super) async fn measure(
        &mut self,
        session: &mut Session,
        mailbox: &Mailbox,
    ) -> Result<Option<Measured>, Error> {
        let too_soon = self.measured.is_some_and(|at| at.elapsed() < MEASURE_EVERY);
        if too_soon || self.is_in_trouble() {
            return Ok(None);
        }
        self.begun = Some(Instant::now());
        let measured = self.measure_now(session, mailbox).await?;
        (self.begun, self.measured) = (None, Some(Instant::now()));
        Ok(Some(measured))
    }

    async fn measure_now(&mut self, session: &mut Session, mailbox: &Mailbox) -> Result<Measured, Error> {
        let quota = match mailbox.folders.first().filter(|_| session.has_quota()) {
            Some(folder) => unless_refused(session.quota(folder).await)?.unwrap_or_default(),
            None => Quota::default(),
        };
        let told =
            |told: Option<(u64, u64)>| told.and_then(|(used, limit)| Usage::new(used, limit, Source::Quota));
        let storage = match (told(quota.storage), mailbox.limits.size) {
            (None, Some(limit)) => {
                let used = self.size(session, mailbox).await?;
                used.and_then(|used| Usage::new(used, limit, Source::Configured))
            }
            (told, _) => told,
        };
        let messages = told(quota.messages).or_else(|| {
            let counts = mailbox.folders.iter().map(|folder| self.mails.get(folder).copied().map(u64::from));
            Usage::new(counts.sum::<Option<u64>>()?, mailbox.limits.messages?, Source::Configured)
        });
        Ok(Fullness::new(clock::now(), storage, messages))
    }

    /// The bytes of all folders; None as long as they are not known.
    async fn size(&mut self, session: &mut Session, mailbox: &Mailbox) -> Result<Option<u64>, Error> {
        let mut all = 0_u64;
        for folder in &mailbox.folders {
            let size = if tells_size(session) {
                unless_refused(session.status_size(folder).await)?.flatten()
            } else {
                let known = |weight: &&Weight| weight.done.is_some() && !weight.untold;
                let weight = self.weights.get(folder).filter(known);
                weight.zip(self.mails.get(folder)).map(|(weight, mails)| weight.scaled_to(*mails))
            };
            let Some(size) = size else { return Ok(None) };
            all = all.saturating_add(size);
        }
        Ok(Some(all))
    }

    /// The next folder whose mails have to be weighed; the first one last, so that it stays selected.
    pub(super) fn unweighed<'a>(&self, session: &Session, mailbox: &'a Mailbox) -> Option<&'a str> {
        if mailbox.limits.size.is_none() || tells_size(session) || self.is_in_trouble() {
            return None;
        }
        let fresh = |weight: &Weight| weight.done.is_some_and(|at| at.elapsed() < WEIGH_EVERY);
        let open = |folder: &&String| !self.weights.get(*folder).is_some_and(fresh);
        mailbox.folders.iter().rev().find(open).map(String::as_str)
    }

    /// Weighs some more mails of `folder`, which is selected.
    pub(super) async fn weigh(&mut self, session: &mut Session, folder: &str) -> Result<(), Error> {
        let mails = self.mails.get(folder).copied().unwrap_or_default();
        let known = self.weights.get(folder).copied().filter(|weight| weight.done.is_none());
        let mut weight = known.unwrap_or_default();
        // By number and not by UID: those may be sparse. A mail that is deleted meanwhile shifts them by one, which
        // no sum of thousands feels.
        let last = weight.mails.saturating_add(WEIGHED_TOGETHER).min(mails);
        if weight.mails < last {
            self.begun = Some(Instant::now());
            let sizes = unless_refused(session.sizes(weight.mails + 1, last).await)?;
            self.begun = None;
            let (count, bytes) = sizes.unwrap_or_default();
            weight.bytes = weight.bytes.saturating_add(bytes);
            weight.mails = if count == 0 { mails } else { last };
            weight.untold |= count == 0;
        }
        if weight.mails >= mails {
            (weight.done, self.measured) = (Some(Instant::now()), None);
        }
        self.weights.insert(folder.to_owned(), weight);
        Ok(())
    }

    fn is_in_trouble(&self) -> bool {
        self.begun.is_some_and(|at| at.elapsed() < PAUSE_AFTER_TROUBLE)
    }
}

/// STATUS=SIZE (RFC 8438), which IMAP4rev2 has by itself.
fn tells_size(session: &Session) -> bool {
    session.capabilities.has("STATUS=SIZE") || session.capabilities.has("IMAP4REV2")
}

/// A server that refuses to tell has nothing to tell.
fn unless_refused<T>(answer: Result<T, Error>) -> Result<Option<T>, Error> {
    match answer {
        Ok(answer) => Ok(Some(answer)),
        Err(error @ Error::Refused { .. }) => {
            tracing::debug!(%error, "how full the mailbox is cannot be told");
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests;
