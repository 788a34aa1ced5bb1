//! The commands of a signed-in connection. Nothing here changes a mailbox: EXAMINE, never SELECT; PEEK, never plain BODY.

use std::collections::BTreeSet;

use async_imap::imap_proto::{
    AttributeValue, Capability, MailboxDatum, NameAttribute, Response, ResponseCode,
};

use super::error::Error;
use super::utf7;
use super::wire::{COMMAND_LIMIT, Wire, quoted};
use crate::expiry::Validity;

/// Folder names kept from a LIST; some servers list a whole file system.
const FOLDERS_MAX: usize = 1000;
/// Folder names shown in one error.
const FOLDERS_SHOWN: usize = 20;

/// What the server can do, in upper case: `IDLE`, `AUTH=PLAIN`.
#[derive(Debug, Clone, Default)]
pub(super) struct Capabilities(BTreeSet<String>);

impl Capabilities {
    pub(super) async fn ask(wire: &mut Wire) -> Result<Self, Error> {
        let mut found = BTreeSet::new();
        wire.command("CAPABILITY", "CAPABILITY", COMMAND_LIMIT, |response| {
            if let Response::Capabilities(capabilities) = response {
                found.extend(capabilities.iter().map(|capability| match capability {
                    Capability::Imap4rev1 => "IMAP4REV1".to_owned(),
                    Capability::Auth(mechanism) => format!("AUTH={}", mechanism.to_ascii_uppercase()),
                    Capability::Atom(atom) => atom.to_ascii_uppercase(),
                }));
            }
        })
        .await?;
        Ok(Self(found))
    }

    pub(super) fn has(&self, name: &str) -> bool {
        self.0.contains(name)
    }

    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(String::as_str)
    }
}

/// A folder as EXAMINE shows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Examined {
    /// 0 when the server does not say (RFC 3501 demands it).
    pub(super) uidvalidity: u32,
    /// The next mail's UID will be at least this. Unknown only of an empty folder.
    pub(super) uidnext: Option<u32>,
    pub(super) exists: u32,
}

/// A folder as LIST shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Listed {
    /// In UTF-8.
    pub(super) name: String,
    /// The server sorts spam into it, by its own word (RFC 6154).
    pub(super) junk: bool,
}

/// A signed-in connection.
pub(super) struct Session {
    pub(super) wire: Wire,
    pub(super) capabilities: Capabilities,
    /// Of the server's certificate, when its dates matter.
    pub(super) certificate: Option<Validity>,
}

impl Session {
    pub(super) fn new(wire: Wire, capabilities: Capabilities) -> Self {
        Self { wire, capabilities, certificate: None }
    }

    /// Opens `folder` for reading. A folder that cannot be opened is an error that names those that can.
    pub(super) async fn examine(&mut self, folder: &str) -> Result<Examined, Error> {
        let (mut uidvalidity, mut uidnext, mut exists) = (0, None, None);
        let line = format!("EXAMINE {}", *quoted(&utf7::encode(folder)));
        let outcome = self.wire.command("EXAMINE", &line, COMMAND_LIMIT, |response| match response {
            Response::Data { outcome, .. } => match outcome.code {
                Some(ResponseCode::UidValidity(number)) => uidvalidity = number,
                Some(ResponseCode::UidNext(number)) if number > 0 => uidnext = Some(number),
                _ => {}
            },
            Response::MailboxData(MailboxDatum::Exists(number)) => exists = Some(*number),
            _ => {}
        });
        match outcome.await {
            Ok(()) => {}
            Err(Error::Refused { text, .. }) => return Err(self.unopened(folder, &text).await),
            Err(other) => return Err(other),
        }
        // The answers to EXAMINE itself are no news.
        self.wire.take_news();
        // RFC 3501 demands it, and a folder must not seem empty because an answer got lost.
        let Some(exists) = exists else {
            return Err(Error::Protocol(format!("an EXAMINE of {folder:?} without the number of mails")));
        };
        if uidnext.is_none() && exists > 0 {
            uidnext = self.last_uid().await?.map(|uid| uid.saturating_add(1));
        }
        Ok(Examined { uidvalidity, uidnext, exists })
    }

    /// For servers that keep UIDNEXT to themselves.
    async fn last_uid(&mut self) -> Result<Option<u32>, Error> {
        let mut last = None;
        self.wire
            .command("UID FETCH", "UID FETCH * (UID)", COMMAND_LIMIT, |response| {
                if let Response::Fetch(_, attributes) = response {
                    let uids = attributes.iter().filter_map(|attribute| match attribute {
                        AttributeValue::Uid(uid) => Some(*uid),
                        _ => None,
                    });
                    last = last.max(uids.max());
                }
            })
            .await?;
        Ok(last)
    }

    async fn unopened(&mut self, folder: &str, text: &str) -> Error {
        // The refusal is what matters; without a list it is told alone.
        let listed = self.list().await.unwrap_or_default();
        let names: Vec<String> = listed.into_iter().map(|folder| folder.name).collect();
        if names.is_empty() || names.iter().any(|name| name == folder) {
            return Error::Setup(format!(
                "the folder {folder:?} cannot be opened ({text}); ask the server's administrator"
            ));
        }
        let more = names.len().saturating_sub(FOLDERS_SHOWN);
        let mut shown = names.into_iter().take(FOLDERS_SHOWN).collect::<Vec<_>>().join(", ");
        if more > 0 {
            shown = format!("{shown} and {more} more");
        }
        Error::Setup(format!(
            "the folder {folder:?} cannot be opened ({text}); the folders there are: {shown}; name one of them"
        ))
    }

    /// All folders that can hold mails.
    pub(super) async fn list(&mut self) -> Result<Vec<Listed>, Error> {
        let mut found = Vec::new();
        self.wire
            .command("LIST", "LIST \"\" \"*\"", COMMAND_LIMIT, |response| {
                if let Response::MailboxData(MailboxDatum::List(list)) = response
                    && !list.name_attributes.contains(&NameAttribute::NoSelect)
                    && found.len() < FOLDERS_MAX
                {
                    let junk = list.name_attributes.contains(&NameAttribute::Junk);
                    found.push(Listed { name: unescaped(&utf7::decode(&list.name)), junk });
                }
            })
            .await?;
        Ok(found)
    }

    /// Lets the server tell what is new in the selected folder; see [`Wire::take_news`].
    pub(super) async fn noop(&mut self) -> Result<(), Error> {
        self.wire.command("NOOP", "NOOP", COMMAND_LIMIT, |_| {}).await
    }

    /// Says goodbye. The connection is over either way, so nothing that happens now matters.
    pub(super) async fn logout(mut self) {
        let limit = std::time::Duration::from_secs(3);
        let _ended = self.wire.command("LOGOUT", "LOGOUT", limit, |_| {}).await;
    }
}

/// imap-proto leaves the escapes of a quoted string in place.
fn unescaped(name: &str) -> String {
    name.replace("\\\"", "\"").replace("\\\\", "\\")
}

#[cfg(test)]
mod tests;
