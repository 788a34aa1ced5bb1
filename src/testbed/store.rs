//! Mail folders in memory, shared by handles.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use chrono::{DateTime, Utc};
use tokio::sync::watch;

use super::locked;

const FIRST_UIDVALIDITY: u32 = 1;

/// A handle on the folders; clones share them. Starts with an empty `INBOX`.
#[derive(Clone)]
pub struct MailStore {
    inner: Arc<Inner>,
}

struct Inner {
    folders: Mutex<BTreeMap<String, Folder>>,
    /// Counts the changes, so that idling sessions wake up.
    changes: watch::Sender<u64>,
    changing_commands: Mutex<BTreeMap<String, u64>>,
}

#[derive(Clone)]
pub(super) struct Folder {
    pub(super) uidvalidity: u32,
    pub(super) uidnext: u32,
    /// Ascending by UID.
    pub(super) mails: Vec<Arc<StoredMail>>,
    /// Differs whenever anything above does.
    pub(super) version: u64,
}

/// One mail as it lies in a folder.
#[derive(Debug, PartialEq, Eq)]
pub struct StoredMail {
    pub uid: u32,
    pub internal_date: DateTime<Utc>,
    pub bytes: Vec<u8>,
}

impl Default for MailStore {
    fn default() -> Self {
        Self::new()
    }
}

impl MailStore {
    pub fn new() -> Self {
        let store = Self {
            inner: Arc::new(Inner {
                folders: Mutex::default(),
                changes: watch::Sender::new(0),
                changing_commands: Mutex::default(),
            }),
        };
        store.create("INBOX");
        store
    }

    /// Creates a folder unless it exists. `folder` is the name on the wire, in modified UTF-7 (RFC 3501, section 5.1.3).
    pub fn create(&self, folder: &str) {
        self.change(folder, |_| ());
    }

    /// Adds a mail, and the folder if it is missing. Returns the mail's UID.
    pub fn append(&self, folder: &str, bytes: impl Into<Vec<u8>>, internal_date: DateTime<Utc>) -> u32 {
        let bytes = bytes.into();
        self.change(folder, |folder| {
            let uid = folder.uidnext;
            folder.uidnext = uid.saturating_add(1);
            folder.mails.push(Arc::new(StoredMail { uid, internal_date, bytes }));
            uid
        })
    }

    /// Removes a mail for good; its UID is never used again. False when there is no such mail.
    pub fn expunge(&self, folder: &str, uid: u32) -> bool {
        if self.version(folder).is_none() {
            return false;
        }
        self.change(folder, |folder| {
            let before = folder.mails.len();
            folder.mails.retain(|mail| mail.uid != uid);
            folder.mails.len() < before
        })
    }

    /// Re-creates the folder with the same mails in the same order: new UIDVALIDITY, UIDs from 1.
    pub fn set_uidvalidity(&self, folder: &str, uidvalidity: u32) {
        self.change(folder, |folder| {
            folder.uidvalidity = uidvalidity;
            folder.mails = (1..)
                .zip(&folder.mails)
                .map(|(uid, old)| {
                    Arc::new(StoredMail { uid, internal_date: old.internal_date, bytes: old.bytes.clone() })
                })
                .collect();
            folder.uidnext = folder.mails.last().map_or(1, |mail| mail.uid.saturating_add(1));
        });
    }

    /// The folder's mails, oldest UID first; empty when there is no such folder.
    pub fn mails(&self, folder: &str) -> Vec<Arc<StoredMail>> {
        self.folder(folder).map(|folder| folder.mails).unwrap_or_default()
    }

    /// How often clients sent each command that changes a mailbox on an ordinary server: STORE, APPEND, EXPUNGE, COPY,
    /// MOVE, CREATE, DELETE, RENAME, SUBSCRIBE, UNSUBSCRIBE, SELECT (instead of EXAMINE), and any FETCH of a body
    /// without PEEK. Empty for a client that only reads.
    pub fn changing_commands(&self) -> BTreeMap<String, u64> {
        locked(&self.inner.changing_commands).clone()
    }

    pub(super) fn note_changing_command(&self, name: &str) {
        *locked(&self.inner.changing_commands).entry(name.to_owned()).or_default() += 1;
    }

    pub(super) fn folder(&self, name: &str) -> Option<Folder> {
        locked(&self.inner.folders).get(canonical(name)).cloned()
    }

    /// Differs after every change; None when there is no such folder.
    pub(super) fn version(&self, name: &str) -> Option<u64> {
        locked(&self.inner.folders).get(canonical(name)).map(|folder| folder.version)
    }

    /// The folder when it is no longer at `version`.
    pub(super) fn folder_unless(&self, name: &str, version: u64) -> Option<Folder> {
        locked(&self.inner.folders).get(canonical(name)).filter(|folder| folder.version != version).cloned()
    }

    pub(super) fn folder_names(&self) -> Vec<String> {
        locked(&self.inner.folders).keys().cloned().collect()
    }

    pub(super) fn changes(&self) -> watch::Receiver<u64> {
        self.inner.changes.subscribe()
    }

    fn change<T>(&self, name: &str, change: impl FnOnce(&mut Folder) -> T) -> T {
        let mut folders = locked(&self.inner.folders);
        let folder = folders.entry(canonical(name).to_owned()).or_insert_with(Folder::new);
        let result = change(folder);
        folder.version += 1;
        drop(folders);
        self.inner.changes.send_modify(|count| *count += 1);
        result
    }
}

impl Folder {
    fn new() -> Self {
        Self { uidvalidity: FIRST_UIDVALIDITY, uidnext: 1, mails: Vec::new(), version: 0 }
    }
}

/// INBOX is the one name without letter case (RFC 3501, section 5.1).
pub(super) fn canonical(name: &str) -> &str {
    if name.eq_ignore_ascii_case("INBOX") { "INBOX" } else { name }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(second, 0).unwrap()
    }

    #[test]
    fn uids_ascend_and_are_never_used_again() {
        let store = MailStore::new();
        assert_eq!(store.append("INBOX", "a", at(1)), 1);
        assert_eq!(store.append("inbox", "b", at(2)), 2);
        assert!(store.expunge("INBOX", 2));
        assert!(!store.expunge("INBOX", 2));
        assert_eq!(store.append("INBOX", "c", at(3)), 3);
        let uids: Vec<u32> = store.mails("INBOX").iter().map(|mail| mail.uid).collect();
        assert_eq!(uids, [1, 3]);
    }

    #[test]
    fn a_new_uidvalidity_keeps_the_mails_and_numbers_them_from_one() {
        let store = MailStore::new();
        store.append("INBOX", "a", at(1));
        store.append("INBOX", "b", at(2));
        store.expunge("INBOX", 1);
        store.set_uidvalidity("INBOX", 77);
        let folder = store.folder("INBOX").unwrap();
        assert_eq!((folder.uidvalidity, folder.uidnext), (77, 2));
        assert_eq!(*folder.mails[0], StoredMail { uid: 1, internal_date: at(2), bytes: b"b".to_vec() });
    }

    #[test]
    fn every_change_wakes_those_who_wait() {
        let store = MailStore::new();
        let mut changes = store.changes();
        let every: [fn(&MailStore); 3] = [
            |store| assert_eq!(store.append("INBOX", "a", at(1)), 1),
            |store| assert!(store.expunge("INBOX", 1)),
            |store| store.set_uidvalidity("INBOX", 9),
        ];
        for change in every {
            let before = store.version("INBOX").unwrap();
            assert!(!changes.has_changed().unwrap());
            change(&store);
            assert!(changes.has_changed().unwrap());
            changes.mark_unchanged();
            assert!(store.folder_unless("INBOX", before).is_some());
        }
    }

    #[test]
    fn expunging_creates_no_folder() {
        let store = MailStore::new();
        assert!(!store.expunge("Typo", 1));
        assert_eq!(store.folder_names(), ["INBOX"]);
    }

    #[test]
    fn clones_share_folders_and_counters() {
        let store = MailStore::new();
        let other = store.clone();
        other.append("Junk", "a", at(1));
        other.note_changing_command("SELECT");
        assert_eq!(store.folder_names(), ["INBOX", "Junk"]);
        assert_eq!(store.changing_commands(), BTreeMap::from([("SELECT".to_owned(), 1)]));
    }
}
