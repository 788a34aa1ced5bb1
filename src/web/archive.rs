//! What only the state file knows: read by few at once, away from the daemon's own connection, and never for long.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use tokio::sync::Semaphore;
use tokio::time::timeout;

use crate::config::Config;
use crate::store::Store;

/// So many questions are answered at once: one leaves the other core to the daemon.
const READERS_MAX: usize = 1;
/// To wait for the others, and to be answered.
const LIMIT: Duration = Duration::from_secs(30);

pub(crate) struct Archive {
    config: Arc<Config>,
    places: Arc<Semaphore>,
}

impl Archive {
    pub(crate) fn new(config: Arc<Config>) -> Self {
        Self { config, places: Arc::new(Semaphore::new(READERS_MAX)) }
    }

    /// Asks the state file, at which nothing is changed.
    ///
    /// # Errors
    /// When it cannot be read, or not in time.
    pub(super) async fn ask<T: Send + 'static>(
        &self,
        question: impl FnOnce(&Store, &Config) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let (config, places) = (Arc::clone(&self.config), Arc::clone(&self.places));
        let answer = async move {
            let place = places.acquire_owned().await?;
            let reading = tokio::task::spawn_blocking(move || {
                let answer = question(&Store::open_read_only(&config.state)?, &config);
                // Whoever asked may be gone: until it is answered nobody else has this place.
                drop(place);
                answer
            });
            reading.await?
        };
        timeout(LIMIT, answer).await.context("The state file was not read in time; ask again")?
    }
}
