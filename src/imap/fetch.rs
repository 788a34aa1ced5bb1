//! Fetching mails by ranges of UIDs.

use std::collections::{BTreeSet, VecDeque};
use std::ops::RangeInclusive;
use std::time::Duration;

use async_imap::imap_proto::{AttributeValue, Response};

use super::error::Error;
use super::session::Session;
use super::wire::{COMMAND_LIMIT, tagged};
use crate::clock;
use crate::mail::{RawMail, parse_internal_date};

/// No more of a mail is read. Reports have a few KiB.
pub(super) const MAIL_BYTES_MAX: usize = 1 << 20;
/// What is asked of each mail at first.
pub(super) const FIRST_BYTES: usize = 65_536;
/// Mails of one window together. A window that has more must be read in smaller ones.
pub(super) const WINDOW_BYTES_MAX: usize = 16 << 20;
/// And so many mails.
const WINDOW_MAILS_MAX: usize = 8_000;
/// A window is over by then, even on a slow line.
const FETCH_LIMIT: Duration = Duration::from_secs(300);

/// What is made of a mail as soon as it is held; None of one that is of no interest.
pub(super) type Digest<'a, M> = &'a (dyn Fn(RawMail) -> Option<M> + Sync);

/// What a range of UIDs holds.
#[derive(Debug)]
pub(super) struct Window<M> {
    /// In ascending order of UID, each UID once.
    pub(super) mails: Vec<Held<M>>,
    pub(super) bytes: usize,
    /// Mails that the server showed without their text: expunged in flight, or broken on the server.
    pub(super) without_text: u32,
    /// There was more than [`WINDOW_BYTES_MAX`] or [`WINDOW_MAILS_MAX`]; `mails` is empty.
    pub(super) overflow: bool,
}

/// One mail of a window.
#[derive(Debug)]
pub(super) struct Held<M> {
    pub(super) uid: u32,
    /// As the server gave it.
    pub(super) bytes: usize,
    pub(super) mail: State<M>,
}

#[derive(Debug)]
pub(super) enum State<M> {
    Digested(Option<M>),
    /// There may be more to fetch: see [`Session::complete`].
    Beginning(RawMail),
}

impl<M> Window<M> {
    fn new() -> Self {
        Self { mails: Vec::new(), bytes: 0, without_text: 0, overflow: false }
    }

    fn take(&mut self, item: &Item<'_>, digest: Digest<'_, M>) {
        let Some(text) = item.text else {
            self.without_text += u32::from(item.text_is_nil);
            return;
        };
        self.bytes += text.len().min(MAIL_BYTES_MAX);
        self.overflow |= self.bytes > WINDOW_BYTES_MAX || self.mails.len() == WINDOW_MAILS_MAX;
        if self.overflow {
            self.mails = Vec::new();
            return;
        }
        let bytes = text.get(..MAIL_BYTES_MAX).unwrap_or(text).to_vec();
        // A server that ignores `<0.65536>` has sent all of it.
        let truncated = text.len() == FIRST_BYTES || text.len() > MAIL_BYTES_MAX;
        let (uid, bytes_held) = (item.uid, bytes.len());
        let internal_date = item.date.and_then(parse_internal_date);
        let mail = RawMail { uid, internal_date, seen: clock::now(), bytes, truncated };
        let mail = if truncated { State::Beginning(mail) } else { State::Digested(digest(mail)) };
        self.mails.push(Held { uid, bytes: bytes_held, mail });
    }

    fn finish(&mut self) {
        self.mails.sort_by_key(|held| held.uid);
        self.mails.dedup_by_key(|held| held.uid);
    }

    /// What was made of the mails, of long ones from their beginnings.
    pub(super) fn cut_off(self, digest: Digest<'_, M>) -> impl DoubleEndedIterator<Item = M> {
        self.mails.into_iter().filter_map(move |held| match held.mail {
            State::Digested(mail) => mail,
            State::Beginning(beginning) => digest(beginning),
        })
    }
}

/// Windows that were asked for and not read to their ends. The server works on the next one while one is digested.
#[derive(Debug)]
pub(super) struct Flight<M>(VecDeque<Open<M>>);

#[derive(Debug)]
struct Open<M> {
    tag: String,
    uids: RangeInclusive<u32>,
    window: Window<M>,
    /// How the command ended.
    ended: Option<Result<(), Error>>,
}

impl<M> Flight<M> {
    pub(super) fn new() -> Self {
        Self(VecDeque::new())
    }

    pub(super) fn windows(&self) -> usize {
        self.0.len()
    }

    /// Servers may work on several commands at once (RFC 3501, section 5.5), so an answer belongs to the window that spans
    /// its UID, and a mail that no window spans is told about unasked. `n:*` means the last mail even when its UID is below
    /// n.
    fn take(&mut self, response: &Response<'_>, digest: Digest<'_, M>) {
        match response {
            Response::Done { tag, status, outcome } => {
                if let Some(open) = self.0.iter_mut().find(|open| open.tag == tag.0) {
                    open.ended = Some(tagged("UID FETCH", status, outcome));
                }
            }
            Response::Fetch(_, attributes) => {
                if let Some(item) = Item::of(attributes)
                    && let Some(open) = self.0.iter_mut().find(|open| open.uids.contains(&item.uid))
                {
                    open.window.take(&item, digest);
                }
            }
            _ => {}
        }
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
}

impl Session {
    /// Asks for the mails with UIDs from `first` to `last` (to the end without it) of the selected folder.
    pub(super) async fn ask<M>(
        &mut self,
        flight: &mut Flight<M>,
        first: u32,
        last: Option<u32>,
    ) -> Result<(), Error> {
        let end = last.map_or_else(|| "*".to_owned(), |last| last.to_string());
        let line = format!("UID FETCH {first}:{end} (UID INTERNALDATE BODY.PEEK[]<0.{FIRST_BYTES}>)");
        let tag = self.wire.send("UID FETCH", &line).await?;
        let uids = first..=last.unwrap_or(u32::MAX);
        flight.0.push_back(Open { tag, uids, window: Window::new(), ended: None });
        Ok(())
    }

    /// The window that was asked for first; None when none is on its way. The tagged OK proves that the mails not returned
    /// do not exist.
    pub(super) async fn land<M>(
        &mut self,
        flight: &mut Flight<M>,
        digest: Digest<'_, M>,
    ) -> Result<Option<Window<M>>, Error> {
        let Some(Open { tag, ended, .. }) = flight.0.front() else { return Ok(None) };
        if ended.is_none() {
            let tag = tag.clone();
            self.wire
                .finish("UID FETCH", &tag, FETCH_LIMIT, |response| flight.take(response, digest))
                .await?;
        }
        let Some(mut open) = flight.0.pop_front() else { return Ok(None) };
        open.ended.unwrap_or(Ok(()))?;
        open.window.finish();
        Ok(Some(open.window))
    }

    /// One window, while no other is on its way.
    pub(super) async fn fetch<M>(
        &mut self,
        first: u32,
        last: Option<u32>,
        digest: Digest<'_, M>,
    ) -> Result<Window<M>, Error> {
        let mut flight = Flight::new();
        self.ask(&mut flight, first, last).await?;
        Ok(self.land(&mut flight, digest).await?.unwrap_or_else(Window::new))
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
    /// What comes meanwhile of windows on their way is put there.
    pub(super) async fn complete<M>(
        &mut self,
        mail: &mut RawMail,
        flight: &mut Flight<M>,
        digest: Digest<'_, M>,
    ) -> Result<(), Error> {
        // One octet more than is kept tells whether the server has more.
        while mail.truncated && mail.bytes.len() <= MAIL_BYTES_MAX {
            let wanted = (MAIL_BYTES_MAX + 1 - mail.bytes.len()).min(8 * FIRST_BYTES);
            let others = |response: &Response<'_>| flight.take(response, digest);
            let piece = self.piece(mail.uid, mail.bytes.len(), wanted, others).await?;
            let Some(piece) = piece else { return Ok(()) };
            mail.truncated = piece.len() >= wanted;
            mail.bytes.extend_from_slice(&piece);
        }
        mail.truncated = mail.bytes.len() > MAIL_BYTES_MAX;
        mail.bytes.truncate(MAIL_BYTES_MAX);
        Ok(())
    }

    /// None when the mail is gone, or when the server sent another piece than was asked for.
    async fn piece(
        &mut self,
        uid: u32,
        offset: usize,
        length: usize,
        mut others: impl FnMut(&Response<'_>),
    ) -> Result<Option<Vec<u8>>, Error> {
        let line = format!("UID FETCH {uid} (UID BODY.PEEK[]<{offset}.{length}>)");
        let mut piece = None;
        self.wire
            .command("UID FETCH", &line, FETCH_LIMIT, |response| {
                if let Response::Fetch(_, attributes) = response
                    && let Some(Item { uid: found, text, offset: Some(origin), .. }) = Item::of(attributes)
                    && found == uid
                    && usize::try_from(origin) == Ok(offset)
                {
                    // NIL is one way to say that nothing is left.
                    let text = text.unwrap_or_default();
                    piece = Some(text.get(..length).unwrap_or(text).to_vec());
                } else {
                    others(response);
                }
            })
            .await?;
        Ok(piece)
    }
}

#[cfg(test)]
mod tests;
