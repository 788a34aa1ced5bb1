//! One mailbox: what it offers, and when its credentials end.

use chrono::TimeDelta;

use super::{Finding, Level, MailboxFacts, Reading, Stray, certificate};
use crate::config::{Login, Mailbox, duration};
use crate::imap::{Folder, Probe};
use crate::proposal::counted;
use crate::time::{Time, span};

/// Long enough before its end to get a new client secret from those who administer it.
const SECRET_NOTICE: TimeDelta = TimeDelta::days(30);

pub(super) fn findings(mailbox: &Mailbox, seen: &MailboxFacts, now: Time) -> Vec<Finding> {
    let what = format!("mailbox {}", mailbox.name);
    let say = |level, text: String| Finding::new(level, &what, text);
    let mut found = match &seen.probe {
        Err(why) => vec![say(Level::Fail, why.clone())],
        Ok(probe) => {
            let mut found = reached(mailbox, probe, say);
            let ends =
                probe.certificate.and_then(|validity| certificate(&mailbox.server.host, validity, now));
            found.extend(ends.map(|text| say(Level::Warn, text)));
            found
        }
    };
    found.extend(client_secret(&mailbox.login, now).map(|text| say(Level::Warn, text)));
    if let Reading::Broken(why) = &seen.reading {
        let text = format!("not all of its newest mails could be looked at: {why}");
        found.push(say(Level::Warn, text));
    }
    for (folder, stray) in &seen.strays.folders {
        let marked = |probe: &Probe| probe.folders.iter().any(|one| one.junk && one.name == *folder);
        let spam = mailbox.junk.as_ref() == Some(folder) || seen.probe.as_ref().is_ok_and(marked);
        found.push(say(Level::Warn, stray_line(folder, stray, spam)));
    }
    found
}

fn stray_line(folder: &str, stray: &Stray, spam: bool) -> String {
    let reports = counted(stray.reports, "fresh report");
    let names: Vec<&str> = stray.checkers.iter().map(String::as_str).collect();
    let names = names.join(", ");
    if spam {
        return format!(
            "its Junk folder {folder:?} holds {reports} of {names}, not counted as heard: have the server let \
             these senders through"
        );
    }
    format!(
        "its folder {folder:?} is not read, but holds {reports} of {names}: add it to folders, or have them delivered to \
         a folder that is read"
    )
}

fn reached(mailbox: &Mailbox, probe: &Probe, say: impl Fn(Level, String) -> Finding) -> Vec<Finding> {
    let folders: Vec<String> =
        probe.folders.iter().filter(|folder| folder.configured).map(folder_line).collect();
    let junk_line = match (&mailbox.junk, &probe.junk) {
        (Some(name), Some(Ok(messages))) => format!("; Junk folder {}", with_count(name, Some(*messages))),
        _ => String::new(),
    };
    let text = format!(
        "signed in to {} as {}; folders {}{junk_line}",
        mailbox.server.host,
        mailbox.user,
        folders.join(", ")
    );
    let mut found = vec![say(Level::Ok, text), fullness(mailbox, probe, &say)];
    found.extend(junk(mailbox, probe).map(|text| say(Level::Warn, text)));
    if !probe.capabilities.iter().any(|capability| capability == "IDLE") {
        let text = format!(
            "the server cannot announce new mail (no IDLE), so a mail is seen only at the next look, every {}",
            duration::display(mailbox.poll)
        );
        found.push(say(Level::Warn, text));
    }
    found
}

fn junk(mailbox: &Mailbox, probe: &Probe) -> Option<String> {
    if let Some(Err(why)) = &probe.junk {
        return Some(format!("its Junk folder cannot be read, all else works without it: {why}"));
    }
    let unread = probe.folders.iter().find(|folder| folder.junk && !folder.configured);
    let folder = unread.filter(|_| mailbox.junk.is_none())?;
    Some(format!(
        "spam goes to its folder {name:?}, which is not read: a checker whose mails end there looks dead; junk = {name:?} \
         tells the difference",
        name = folder.name
    ))
}

fn fullness(mailbox: &Mailbox, probe: &Probe, say: impl Fn(Level, String) -> Finding) -> Finding {
    match &probe.fullness {
        Some(seen) if seen.is_nearly_full() => {
            let text =
                format!("it is {}: make room, or raise its limit; a full one takes no reports", seen.words());
            say(Level::Warn, text)
        }
        Some(seen) => say(Level::Ok, format!("it is {}", seen.words())),
        None if mailbox.limits.size.is_some() => {
            let text = "the server tells no sizes, so `run` adds up those of all mails and compares the sum with size_limit";
            say(Level::Ok, text.to_owned())
        }
        None => {
            let text = "the server tells no quota: set size_limit or message_limit to be told when the mailbox fills up";
            say(Level::Ok, text.to_owned())
        }
    }
}

fn folder_line(folder: &Folder) -> String {
    with_count(&folder.name, folder.messages)
}

fn with_count(name: &str, messages: Option<u32>) -> String {
    match messages {
        Some(1) => format!("{name} (1 mail)"),
        Some(messages) => format!("{name} ({messages} mails)"),
        None => name.to_owned(),
    }
}

pub(super) fn client_secret(login: &Login, now: Time) -> Option<String> {
    let Login::OAuth2(oauth2) = login else { return None };
    let end = oauth2.client_secret_expires?;
    let day = end.format("%Y-%m-%d");
    let left = end - now;
    if left <= TimeDelta::zero() {
        Some(format!("its client secret has ended on {day}, says client_secret_expires; get a new one"))
    } else if left < SECRET_NOTICE {
        Some(format!("its client secret ends on {day}, in {}; get a new one before", span(left)))
    } else {
        None
    }
}
