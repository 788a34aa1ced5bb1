//! The mail server: two folders with their UIDs, and what a reader gets to see of them.

use std::collections::VecDeque;

use bresse_watchdog::engine::History;
use bresse_watchdog::imap::Cursor;
use fastrand::Rng;

use crate::mails::Mail;
use crate::site::Ms;

/// So many mails come in one batch of a reader.
const BATCH: usize = 100;
/// A look is due after one window of history in so many.
const LOOK_DUE_ONCE_IN: u32 = 4;
/// The server keeps no more than so many mails in a folder.
pub(crate) const KEPT: usize = 3_000;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mood {
    Well,
    /// It takes mail, and nobody can read it.
    Unreadable,
    LoginRefused,
    /// It takes no mail either.
    Down,
}

#[derive(Debug)]
pub(crate) struct Folder {
    uidvalidity: u32,
    uidnext: u32,
    /// So many UIDs a reader asks for at once, of history.
    window: u32,
    mails: VecDeque<(u32, Mail)>,
}

impl Folder {
    pub(crate) fn new(window: u32) -> Self {
        Self { uidvalidity: 1, uidnext: 1, window, mails: VecDeque::new() }
    }

    pub(crate) fn put(&mut self, mail: Mail) {
        self.mails.push_back((self.uidnext, mail));
        self.uidnext += 1;
        if self.mails.len() > KEPT {
            self.mails.pop_front();
        }
    }

    pub(crate) fn empty(&mut self) {
        self.mails.clear();
    }

    /// Its index was rebuilt: every mail has another number.
    pub(crate) fn renumber(&mut self) {
        self.uidvalidity += 1;
        self.uidnext = 1;
        for (uid, _) in &mut self.mails {
            *uid = self.uidnext;
            self.uidnext += 1;
        }
    }

    pub(crate) fn drain(&mut self) -> Vec<Mail> {
        self.mails.drain(..).map(|(_, mail)| mail).collect()
    }

    fn between(&self, first: u32, last: u32) -> Vec<(u32, Mail)> {
        let from = self.mails.partition_point(|(uid, _)| *uid < first);
        self.mails.iter().skip(from).take_while(|(uid, _)| *uid <= last).copied().collect()
    }

    /// As `imap::plan` goes on from what is known.
    fn reconcile(&self, known: Option<Cursor>) -> Cursor {
        let last = self.uidnext - 1;
        let mut cursor = match known {
            Some(known) if known.uidvalidity == self.uidvalidity => known,
            _ => Cursor { uidvalidity: self.uidvalidity, high: last, low: last + 1 },
        };
        cursor.high = cursor.high.min(last);
        if self.mails.is_empty() {
            cursor.low = 1;
        }
        cursor
    }
}

/// What the reader tells, as [`bresse_watchdog::imap::Event`] does.
#[derive(Debug, Clone)]
pub(crate) enum Told {
    Mails { junk: bool, mails: Vec<(u32, Mail)>, cursor: Cursor },
    Looked { started: Ms, history: History },
    Failed { login_refused: bool },
}

/// How far the reader is, which a new process takes from the store.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Cursors {
    pub(crate) inbox: Option<Cursor>,
    pub(crate) junk: Option<Cursor>,
}

/// One look that begins now, as far as it gets. `broken`: the connection is lost somewhere on the way.
pub(crate) fn look(
    (inbox, junk): (&Folder, &Folder),
    mood: Mood,
    cursors: &mut Cursors,
    broken: bool,
    (started, rng): (Ms, &mut Rng),
) -> Vec<Told> {
    if mood != Mood::Well {
        return vec![Told::Failed { login_refused: mood == Mood::LoginRefused }];
    }
    let (before, mut told) = (*cursors, Vec::new());
    read_newer(junk, true, &mut cursors.junk, &mut told);
    let mut cursor = inbox.reconcile(cursors.inbox);
    if cursor.low > cursor.high && cursor.low > 1 {
        cursor = read_older(inbox, cursor, &mut told);
        cursors.inbox = Some(cursor);
    } else {
        cursor = read_newer(inbox, false, &mut cursors.inbox, &mut told);
    }
    told.push(Told::Looked { started, history: history(cursor) });
    while cursor.low > 1 {
        cursor = read_older(inbox, cursor, &mut told);
        cursors.inbox = Some(cursor);
        if rng.u32(0..LOOK_DUE_ONCE_IN) == 0 {
            break;
        }
    }
    if broken {
        told.truncate(rng.usize(0..told.len()));
        told.push(Told::Failed { login_refused: false });
        // The reader goes on from what it has told.
        let reached = |of_junk| {
            told.iter().rev().find_map(|one| match one {
                Told::Mails { junk, cursor, .. } if *junk == of_junk => Some(*cursor),
                _ => None,
            })
        };
        *cursors = Cursors { inbox: reached(false).or(before.inbox), junk: reached(true).or(before.junk) };
    }
    told
}

fn history(cursor: Cursor) -> History {
    if cursor.low > 1 { History::Filling } else { History::Complete }
}

fn read_older(folder: &Folder, cursor: Cursor, told: &mut Vec<Told>) -> Cursor {
    let last = cursor.low - 1;
    let cursor = Cursor { low: cursor.low.saturating_sub(folder.window).max(1), ..cursor };
    let mut mails = folder.between(cursor.low, last);
    mails.reverse();
    told.push(Told::Mails { junk: false, mails, cursor });
    cursor
}

fn read_newer(folder: &Folder, junk: bool, known: &mut Option<Cursor>, told: &mut Vec<Told>) -> Cursor {
    let mut cursor = folder.reconcile(*known);
    if junk {
        // Its history is no matter here: it is read from where it is.
        cursor.low = 1;
    }
    let fresh = known.is_none_or(|known| known.uidvalidity != cursor.uidvalidity);
    let mails = folder.between(cursor.high + 1, folder.uidnext - 1);
    if mails.is_empty() && fresh {
        told.push(Told::Mails { junk, mails, cursor });
    } else {
        for batch in mails.chunks(BATCH) {
            cursor.high = batch.last().map_or(cursor.high, |(uid, _)| *uid);
            told.push(Told::Mails { junk, mails: batch.to_vec(), cursor });
        }
    }
    *known = Some(cursor);
    cursor
}
