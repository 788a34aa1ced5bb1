//! LIST, STATUS, SELECT, EXAMINE, and what the server tells about changes in the open folder.

use std::sync::Arc;

use super::command::{Command, Syntax, quote};
use super::sequence::SequenceSet;
use super::session::{Failure, Selected, Session};
use crate::testbed::store::{Folder, StoredMail, canonical};

impl Session {
    pub(super) fn list(&mut self, command: &Command) -> Result<String, Failure> {
        let mut args = command.args();
        let reference = args.astring()?;
        args.space()?;
        let pattern = args.pattern()?;
        args.end()?;
        if pattern.is_empty() {
            self.connection.put_line("* LIST (\\Noselect) \"/\" \"\"");
            return Ok("LIST completed".to_owned());
        }
        let pattern = format!("{reference}{pattern}");
        for name in self.shared.options.store.folder_names() {
            if matches(canonical(&pattern).as_bytes(), name.as_bytes()) {
                self.connection.put_line(&format!("* LIST (\\HasNoChildren) \"/\" {}", quote(&name)));
            }
        }
        Ok("LIST completed".to_owned())
    }

    pub(super) fn status(&mut self, command: &Command) -> Result<String, Failure> {
        let mut args = command.args();
        let name = args.astring()?;
        args.space()?;
        let items = args.list(|args| Ok(args.atom()?.to_ascii_uppercase()))?;
        args.end()?;
        let folder = self.existing_folder(&name)?;
        let mut values = Vec::new();
        for item in items {
            let value = match item.as_str() {
                "MESSAGES" | "UNSEEN" => folder.mails.len().to_string(),
                "RECENT" => "0".to_owned(),
                "UIDNEXT" => folder.uidnext.to_string(),
                "UIDVALIDITY" => folder.uidvalidity.to_string(),
                "SIZE" if self.shared.can("STATUS=SIZE") => {
                    folder.mails.iter().map(|mail| mail.bytes.len()).sum::<usize>().to_string()
                }
                _ => return Err(Syntax(format!("Unknown STATUS item {item}")).into()),
            };
            values.push(format!("{item} {value}"));
        }
        self.connection.put_line(&format!("* STATUS {} ({})", quote(&name), values.join(" ")));
        Ok("STATUS completed".to_owned())
    }

    /// SELECT and EXAMINE.
    pub(super) fn open(&mut self, command: &Command) -> Result<String, Failure> {
        let mut args = command.args();
        let name = args.astring()?;
        args.end()?;
        // A failed SELECT leaves no folder open (RFC 3501, section 6.3.1).
        self.selected = None;
        if command.name == "SELECT" {
            self.shared.options.store.note_changing_command("SELECT");
        }
        let folder = self.existing_folder(&name)?;
        let permission = if command.name == "SELECT" { "READ-WRITE" } else { "READ-ONLY" };
        for line in [
            "* FLAGS (\\Answered \\Flagged \\Deleted \\Seen \\Draft)".to_owned(),
            format!("* {} EXISTS", folder.mails.len()),
            "* 0 RECENT".to_owned(),
            "* OK [PERMANENTFLAGS ()] No flags are kept".to_owned(),
            format!("* OK [UIDVALIDITY {}] UIDs valid", folder.uidvalidity),
            format!("* OK [UIDNEXT {}] Predicted next UID", folder.uidnext),
        ] {
            self.connection.put_line(&line);
        }
        self.selected = Some(Selected { name, folder });
        Ok(format!("[{permission}] {} completed", command.name))
    }

    fn existing_folder(&self, name: &str) -> Result<Folder, Failure> {
        let missing = || Failure::No(format!("[NONEXISTENT] There is no folder {}", quote(name)));
        self.shared.options.store.folder(name).ok_or_else(missing)
    }

    /// The mails of a set with their sequence numbers.
    pub(super) fn pick(
        &self,
        set: &SequenceSet,
        by_uid: bool,
    ) -> Result<Vec<(usize, Arc<StoredMail>)>, Failure> {
        let mails = &self.selected()?.folder.mails;
        let count = u32::try_from(mails.len()).unwrap_or(u32::MAX);
        let largest = if by_uid { mails.last().map(|mail| mail.uid) } else { Some(count).filter(|n| *n > 0) };
        let ranges = set.resolve(largest);
        let wanted = (1..)
            .zip(mails)
            .filter(|(sequence, mail)| ranges.contain(if by_uid { mail.uid } else { *sequence }))
            .map(|(sequence, mail)| (usize::try_from(sequence).unwrap_or(usize::MAX), Arc::clone(mail)));
        Ok(wanted.collect())
    }

    pub(super) fn folder_has_changed(&self) -> bool {
        self.selected.as_ref().is_some_and(|selected| {
            self.shared.options.store.version(&selected.name) != Some(selected.folder.version)
        })
    }

    /// Tells what changed in the open folder since it was told last.
    pub(super) async fn announce_changes(&mut self) -> Result<(), Failure> {
        let Some(selected) = &mut self.selected else { return Ok(()) };
        let store = &self.shared.options.store;
        let Some(new) = store.folder_unless(&selected.name, selected.folder.version) else { return Ok(()) };
        if new.uidvalidity != selected.folder.uidvalidity {
            // Dovecot ends the session as well: the numbers it was given mean nothing any more.
            return Err(self.bye("Mailbox UIDVALIDITY changed").await);
        }
        let still_there =
            |mail: &StoredMail| new.mails.binary_search_by_key(&mail.uid, |other| other.uid).is_ok();
        let numbered = (1_usize..).zip(&selected.folder.mails);
        let gone: Vec<usize> =
            numbered.filter(|(_, mail)| !still_there(mail)).map(|(sequence, _)| sequence).collect();
        // From the end, because each EXPUNGE moves the numbers behind it down.
        for sequence in gone.iter().rev() {
            self.connection.put_line(&format!("* {sequence} EXPUNGE"));
        }
        if new.uidnext > selected.folder.uidnext {
            self.connection.put_line(&format!("* {} EXISTS", new.mails.len()));
        }
        selected.folder = new;
        Ok(())
    }
}

/// Wildcards of LIST: `*` stands for anything, `%` for anything without the delimiter `/`.
fn matches(pattern: &[u8], name: &[u8]) -> bool {
    // reachable[i]: the pattern so far can match the first i bytes of the name.
    let mut reachable: Vec<bool> = (0..=name.len()).map(|length| length == 0).collect();
    for symbol in pattern {
        let mut before = false;
        let mut spread = false;
        for (index, reached) in reachable.iter_mut().enumerate() {
            let last = index.checked_sub(1).and_then(|last| name.get(last)).copied();
            let now = match symbol {
                b'*' => *reached || spread,
                b'%' => *reached || (spread && last != Some(b'/')),
                _ => before && last == Some(*symbol),
            };
            before = *reached;
            *reached = now;
            spread = now;
        }
    }
    reachable.last().copied().unwrap_or(false)
}

#[cfg(test)]
mod tests {
    use super::matches;

    #[test]
    fn list_wildcards_match_as_the_rfc_says() {
        let yes = [
            ("*", "a/b"),
            ("*", ""),
            ("%", "INBOX"),
            ("a/%", "a/b"),
            ("a*c", "a/b/c"),
            ("*b*", "abc"),
            ("a", "a"),
        ];
        let no = [("%", "a/b"), ("a", "ab"), ("a%c", "a/c"), ("b*", "ab"), ("", "a"), ("ab", "a")];
        for (pattern, name) in yes {
            assert!(matches(pattern.as_bytes(), name.as_bytes()), "{pattern} {name}");
        }
        for (pattern, name) in no {
            assert!(!matches(pattern.as_bytes(), name.as_bytes()), "{pattern} {name}");
        }
    }
}
