//! What people silence by hand, and end again.

use std::collections::BTreeSet;

use chrono::TimeDelta;

use super::Engine;
use crate::policy::{Silenced, Silencing};
use crate::time::{Time, rfc3339};

/// Nobody silences anything for longer at once.
const LONGEST: TimeDelta = TimeDelta::days(366);
/// So many silences hold or wait at once.
const SILENCES_MAX: usize = 1_000;

impl Engine {
    pub(super) fn silence(&mut self, silencing: Silencing, now: Time) -> Result<String, String> {
        self.known(&silencing.silenced)?;
        if silencing.until <= now || silencing.until <= silencing.from {
            return Err("A silence ends after now, and after its beginning.".to_owned());
        }
        if silencing.until - silencing.from > LONGEST {
            return Err(format!("A silence lasts {} days at most.", LONGEST.num_days()));
        }
        if self.silences.len() >= SILENCES_MAX {
            return Err(format!("There are {SILENCES_MAX} silences already; end some first."));
        }
        self.last_silence += 1;
        let silencing = Silencing { id: self.last_silence, ..silencing };
        let done = format!(
            "Silence {}: no alarm about {} from {} until {}.",
            silencing.id,
            silencing.silenced,
            rfc3339(silencing.from),
            rfc3339(silencing.until)
        );
        self.dirty.silences.insert(silencing.id, silencing.clone());
        self.silences.insert(silencing.id, silencing);
        self.follow_all(now);
        Ok(done)
    }

    pub(super) fn end_silencing(&mut self, id: u64, now: Time) -> Result<String, String> {
        let Some(mut silencing) = self.silences.remove(&id) else {
            return Err(format!("There is no silence {id}; `silence list` shows them."));
        };
        silencing.until = now.max(silencing.from);
        self.dirty.silences.insert(id, silencing);
        self.follow_all(now);
        Ok(format!("Silence {id} has ended."))
    }

    /// A name that is not configured would silence nothing, and nobody would notice.
    fn known(&self, silenced: &Silenced) -> Result<(), String> {
        let checkers = self.config.checkers.iter();
        let names: BTreeSet<&str> = checkers.clone().map(|checker| checker.name.as_str()).collect();
        let providers: BTreeSet<&str> = checkers.clone().map(|checker| checker.provider.as_str()).collect();
        let services: BTreeSet<&str> =
            checkers.flat_map(|checker| &checker.tests).map(|test| test.service.as_str()).collect();
        for (what, wanted, known) in [
            ("checker", &silenced.checkers, names),
            ("provider", &silenced.providers, providers),
            ("service", &silenced.services, services),
        ] {
            if let Some(unknown) = wanted.iter().find(|name| !known.contains(name.as_str())) {
                return Err(format!("There is no {what} {unknown} in the configuration."));
            }
        }
        Ok(())
    }

    /// Those that are over hold nothing any more.
    pub(super) fn forget_silences(&mut self, now: Time) {
        self.silences.retain(|_, silencing| silencing.until > now);
    }
}
