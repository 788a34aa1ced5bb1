//! Fetching mails by ranges of UIDs.

use std::collections::BTreeSet;
use std::time::Duration;

use async_imap::imap_proto::{AttributeValue, Response};
use chrono::{DateTime, Utc};

use super::error::Error;
use super::session::Session;
use super::wire::COMMAND_LIMIT;
use crate::clock;
use crate::mail::RawMail;

/// No more of a mail is read. Reports have a few KiB.
pub(super) const MAIL_BYTES_MAX: usize = 1 << 20;
/// What is asked of each mail at first.
pub(super) const FIRST_BYTES: usize = 65_536;
/// Mails of one window together. A window that has more must be read in smaller ones.
pub(super) const WINDOW_BYTES_MAX: usize = 16 << 20;
/// A window is over by then, even on a slow line.
const FETCH_LIMIT: Duration = Duration::from_secs(300);

/// What a range of UIDs holds.
#[derive(Debug, Default)]
pub(super) struct Window {
    /// In ascending order of UID, each UID once. `truncated` ones may have more to fetch: see [`Session::complete`].
    pub(super) mails: Vec<RawMail>,
    pub(super) bytes: usize,
    /// Mails that the server showed without their text: expunged in flight, or broken on the server.
    pub(super) without_text: u32,
    /// There was more than [`WINDOW_BYTES_MAX`]; `mails` is empty.
    pub(super) overflow: bool,
}

impl Window {
    fn take(&mut self, response: &Response<'_>, first: u32, last: u32) {
        let Response::Fetch(_, attributes) = response else { return };
        let Some(item) = Item::of(attributes) else { return };
        // `n:*` means the last mail even when its UID is below n, and any mail may be told about unasked.
        if !(first..=last).contains(&item.uid) {
            return;
        }
        let Some(text) = item.text else {
            self.without_text += u32::from(item.text_is_nil);
            return;
        };
        self.bytes += text.len().min(MAIL_BYTES_MAX);
        self.overflow |= self.bytes > WINDOW_BYTES_MAX;
        if self.overflow {
            self.mails = Vec::new();
            return;
        }
        let bytes = text.get(..MAIL_BYTES_MAX).unwrap_or(text).to_vec();
        // A server that ignores `<0.65536>` has sent all of it.
        let truncated = text.len() == FIRST_BYTES || text.len() > MAIL_BYTES_MAX;
        let mail = RawMail {
            uid: item.uid,
            internal_date: item.internal_date(),
            seen: clock::now(),
            bytes,
            truncated,
        };
        self.mails.push(mail);
    }

    fn finish(&mut self) {
        self.mails.sort_by_key(|mail| mail.uid);
        self.mails.dedup_by_key(|mail| mail.uid);
    }
}

/// The attributes that were asked for, wherever they stand among others.
struct Item<'a> {
    uid: u32,
    date: Option<&'a str>,
    text: Option<&'a [u8]>,
    text_is_nil: bool,
    /// The origin octet of a partial answer.
    offset: Option<u32>,
}

impl<'a> Item<'a> {
    /// None without a UID: the server speaks unasked, of changed flags for instance.
    fn of(attributes: &'a [AttributeValue<'a>]) -> Option<Self> {
        let mut uid = None;
        let mut item = Self { uid: 0, date: None, text: None, text_is_nil: false, offset: None };
        for attribute in attributes {
            match attribute {
                AttributeValue::Uid(number) => uid = Some(*number),
                AttributeValue::InternalDate(date) => item.date = Some(date),
                AttributeValue::BodySection { section: None, index, data } => {
                    (item.text, item.offset) = (data.as_deref(), *index);
                    item.text_is_nil = data.is_none();
                }
                _ => {}
            }
        }
        item.uid = uid?;
        Some(item)
    }

    fn internal_date(&self) -> Option<DateTime<Utc>> {
        // The day is padded with a space (RFC 3501, date-day-fixed).
        let at = DateTime::parse_from_str(self.date?.trim(), "%d-%b-%Y %H:%M:%S %z").ok()?;
        Some(at.with_timezone(&Utc))
    }
}

impl Session {
    /// The mails with UIDs from `first` to `last` (to the end without it) of the selected folder. The tagged OK proves
    /// that those not returned do not exist.
    pub(super) async fn fetch(&mut self, first: u32, last: Option<u32>) -> Result<Window, Error> {
        let end = last.map_or_else(|| "*".to_owned(), |last| last.to_string());
        let line = format!("UID FETCH {first}:{end} (UID INTERNALDATE BODY.PEEK[]<0.{FIRST_BYTES}>)");
        let mut window = Window::default();
        let last = last.unwrap_or(u32::MAX);
        self.wire
            .command("UID FETCH", &line, FETCH_LIMIT, |response| window.take(response, first, last))
            .await?;
        window.finish();
        Ok(window)
    }

    /// The UIDs of the newest `count` mails, ascending, of the folder that was opened just now and holds `exists` mails.
    pub(super) async fn newest_uids(&mut self, exists: u32, count: u32) -> Result<Vec<u32>, Error> {
        if exists == 0 || count == 0 {
            return Ok(Vec::new());
        }
        // UIDs may be sparse, so the newest mails are counted. The numbers still hold: no server may tell of an EXPUNGE
        // between two commands, or during a FETCH (RFC 3501, section 7.4.1).
        let line = format!("FETCH {}:{exists} (UID)", exists.saturating_sub(count - 1).max(1));
        let mut uids = BTreeSet::new();
        self.wire
            .command("FETCH", &line, COMMAND_LIMIT, |response| {
                if let Response::Fetch(_, attributes) = response
                    && let Some(item) = Item::of(attributes)
                {
                    uids.insert(item.uid);
                }
            })
            .await?;
        let surplus = uids.len().saturating_sub(usize::try_from(count).unwrap_or(usize::MAX));
        Ok(uids.into_iter().skip(surplus).collect())
    }

    /// Fetches the rest of a mail that is longer than the first piece, up to [`MAIL_BYTES_MAX`].
    pub(super) async fn complete(&mut self, mail: &mut RawMail) -> Result<(), Error> {
        // One octet more than is kept tells whether the server has more.
        while mail.truncated && mail.bytes.len() <= MAIL_BYTES_MAX {
            let wanted = (MAIL_BYTES_MAX + 1 - mail.bytes.len()).min(8 * FIRST_BYTES);
            let Some(piece) = self.piece(mail.uid, mail.bytes.len(), wanted).await? else { return Ok(()) };
            mail.truncated = piece.len() >= wanted;
            mail.bytes.extend_from_slice(&piece);
        }
        mail.truncated = mail.bytes.len() > MAIL_BYTES_MAX;
        mail.bytes.truncate(MAIL_BYTES_MAX);
        Ok(())
    }

    /// None when the mail is gone, or when the server sent another piece than was asked for.
    async fn piece(&mut self, uid: u32, offset: usize, length: usize) -> Result<Option<Vec<u8>>, Error> {
        let line = format!("UID FETCH {uid} (UID BODY.PEEK[]<{offset}.{length}>)");
        let mut piece = None;
        self.wire
            .command("UID FETCH", &line, FETCH_LIMIT, |response| {
                let Response::Fetch(_, attributes) = response else { return };
                if let Some(Item { uid: found, text, offset: Some(origin), .. }) = Item::of(attributes)
                    && found == uid
                    && usize::try_from(origin) == Ok(offset)
                {
                    // NIL is one way to say that nothing is left.
                    let text = text.unwrap_or_default();
                    piece = Some(text.get(..length).unwrap_or(text).to_vec());
                }
            })
            .await?;
        Ok(piece)
    }
}

#[cfg(test)]
mod tests;
