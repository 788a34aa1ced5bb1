//! Mails on their way from a reader into the core: known ones are dropped, new ones observed and kept.

use anyhow::Result;

use super::Service;
use crate::imap::Cursor;
use crate::intake::{Taken, take_in, take_in_junk};
use crate::mail::RawMail;
use crate::store::{Kept, Place};

impl Service {
    pub(super) fn take_mails(&mut self, place: &Place, mails: &[RawMail], cursor: Cursor) -> Result<()> {
        let (mailbox, roster) = (&place.mailbox, &self.roster);
        let taken: Vec<Taken> = if place.junk {
            mails.iter().filter_map(|raw| take_in_junk(raw, mailbox, roster)).collect()
        } else {
            mails.iter().map(|raw| take_in(raw, mailbox, roster)).collect()
        };
        let mut known = self.store.known(taken.iter().map(|taken| &taken.key))?;
        for taken in taken {
            // The same mail is read again after a UIDVALIDITY change, and through every mailbox that receives it.
            if self.keys.contains(&taken.key) || !known.insert(taken.key) {
                self.engine.observe_copy(&taken.observation);
                continue;
            }
            self.engine.observe(&taken.observation);
            self.keys.insert(taken.key);
            self.batch.mails.push(Kept { place: place.clone(), taken });
        }
        let reached = self.batch.cursors.iter().rfind(|(of, _)| of == place).map(|(_, cursor)| *cursor);
        if reached.or_else(|| self.cursors.get(place).copied()) != Some(cursor) {
            self.batch.cursors.push((place.clone(), cursor));
        }
        Ok(())
    }
}
