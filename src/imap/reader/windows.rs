//! Reading a folder window by window, in either direction, and handing over what was read.

use std::collections::VecDeque;

use super::Reader;
use crate::imap::Cursor;
use crate::imap::error::Error;
use crate::imap::fetch::{Digest, Flight, State, Window};
use crate::imap::plan::{Direction, Pace};

/// Windows that are asked for at a time: the server reads the next one while this one is digested and handed over.
const WINDOWS_AHEAD: usize = 2;
pub(super) const BATCH_MAILS_MAX: usize = 500;
pub(super) const BATCH_BYTES_MAX: usize = 4 << 20;

/// How far the reading of windows goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Until {
    OneWindow,
    ALookIsDue,
    TheEnd,
}

pub(super) struct ReadOn {
    pub(super) cursor: Cursor,
    pub(super) look_is_due: bool,
}

impl<'a, M: Send> Reader<'a, M> {
    /// Reads one window after the other from `cursor` on, and hands them over. Each is asked for before the one before it
    /// is digested; the cursor follows only what has come to its tagged OK.
    pub(super) async fn read_on(
        &mut self,
        folder: &'a str,
        direction: Direction,
        mut cursor: Cursor,
        until: Until,
    ) -> Result<ReadOn, Error> {
        let shared = self.shared;
        let digest = |mail| (shared.digest)(folder, mail);
        let (mut flight, mut asked, mut look_is_due) = (Flight::new(), cursor, false);
        let mut spans = VecDeque::new();
        let ahead = if until == Until::OneWindow { 1 } else { WINDOWS_AHEAD };
        loop {
            while flight.windows() < ahead
                && !look_is_due
                && let Some((first, last)) = direction.next(asked, self.pace(folder))
            {
                self.session.ask(&mut flight, first, Some(last)).await?;
                asked = direction.over(asked, (first, last));
                spans.push_back((first, last));
            }
            let Some(window) = self.session.land(&mut flight, &digest).await? else { break };
            let Some((first, last)) = spans.pop_front() else { break };
            match settle(&window, self.pace(folder), last - first + 1)? {
                Settled::TryNarrower => {
                    // What comes of the windows behind it is passed over, and asked for again.
                    (flight, asked) = (Flight::new(), cursor);
                    spans.clear();
                    continue;
                }
                Settled::Good => {
                    let end = direction.over(cursor, (first, last));
                    self.deliver(folder, window, direction, (cursor, end), &mut flight).await?;
                    cursor = end;
                }
            }
            match until {
                Until::OneWindow => break,
                Until::ALookIsDue => look_is_due |= self.look_is_due(),
                Until::TheEnd => {}
            }
        }
        Ok(ReadOn { cursor, look_is_due })
    }

    /// Hands over a window in batches. `end` is the cursor after it, to which its tagged OK reaches.
    pub(super) async fn deliver(
        &mut self,
        folder: &str,
        window: Window<M>,
        direction: Direction,
        (cursor, end): (Cursor, Cursor),
        flight: &mut Flight<M>,
    ) -> Result<(), Error> {
        if window.without_text > 0 {
            tracing::warn!(
                folder,
                mails = window.without_text,
                "the server shows mails without their text; skipped"
            );
        }
        let shared = self.shared;
        let digest: Digest<'_, M> = &|mail| (shared.digest)(folder, mail);
        let mut mails = window.mails;
        if direction == Direction::Older {
            mails.reverse();
        }
        let (mut batch, mut count, mut bytes, mut reached) = (Vec::new(), 0, 0, cursor);
        for held in mails {
            let (mail, size) = match held.mail {
                State::Digested(mail) => (mail, held.bytes),
                State::Beginning(mut mail) => {
                    self.session.complete(&mut mail, flight, digest).await?;
                    let size = mail.bytes.len();
                    (digest(mail), size)
                }
            };
            if count == BATCH_MAILS_MAX || (count > 0 && bytes + size > BATCH_BYTES_MAX) {
                shared.tell(folder, std::mem::take(&mut batch), reached).await?;
                (count, bytes) = (0, 0);
            }
            (count, bytes) = (count + 1, bytes + size);
            reached = direction.advance(cursor, held.uid);
            batch.extend(mail);
        }
        shared.tell(folder, batch, end).await
    }
}

enum Settled {
    Good,
    TryNarrower,
}

/// Learns from a window how wide the next one may be.
fn settle<M>(window: &Window<M>, pace: &mut Pace, span: u32) -> Result<Settled, Error> {
    if !window.overflow {
        pace.learn(span, window.mails.len(), window.bytes);
        return Ok(Settled::Good);
    }
    let narrower = pace.overflowed(span);
    narrower
        .map(|()| Settled::TryNarrower)
        .ok_or_else(|| Error::Protocol("the same mail again and again".to_owned()))
}
