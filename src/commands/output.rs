//! What the commands print. Texts from mails and servers are hostile: no control character reaches a terminal, and no
//! cell begins a spreadsheet formula.

use std::io::Write;

use anyhow::Result;
use chrono::TimeDelta;
use comfy_table::{Table, presets};

use super::Format;
use crate::reason::Reason;
use crate::text::is_plain;
use crate::time::{Time, rfc3339, seconds, span};
use crate::view::{CheckerLine, LastSeen};
use crate::words;

/// Prints to standard output. A reader that went away is no fault.
pub(super) fn print(text: &str) -> Result<()> {
    let mut out = std::io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => Err(error.into()),
        _ => Ok(()),
    }
}

/// Says one sentence on standard error. Nobody is left to tell when that fails.
pub(super) fn complain(sentence: &str) {
    let _ = writeln!(std::io::stderr(), "{}", plain(sentence));
}

/// The text without control characters other than line ends, and without the marks that turn its direction.
pub(super) fn plain(text: &str) -> String {
    text.chars().map(|c| if is_plain(c) || c == '\n' { c } else { '\u{fffd}' }).collect()
}

/// The last-seen table in the asked form.
pub(super) fn last_seen(table: &LastSeen, format: Format) -> Result<String> {
    match format {
        Format::Json => Ok(serde_json::to_string_pretty(table)? + "\n"),
        Format::Csv => csv(table),
        Format::Table => Ok(for_people(table)),
    }
}

fn csv(table: &LastSeen) -> Result<String> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    writer.write_record([
        "name",
        "provider",
        "state",
        "reason",
        "last_received",
        "last_sent",
        "heard_at",
        "age_s",
        "deadline_s",
        "services",
        "findings",
    ])?;
    for line in &table.checkers {
        let optional = |time: Option<Time>| time.map(rfc3339).unwrap_or_default();
        let services: Vec<String> =
            line.services.iter().map(|service| format!("{}={}", service.name, service.result)).collect();
        writer.write_record([
            cell(&line.name),
            cell(&line.provider),
            line.state.word().to_owned(),
            line.reason.map(Reason::word).unwrap_or_default().to_owned(),
            optional(line.last_received),
            optional(line.last_sent),
            optional(line.heard_at),
            line.age_s.map(|age| age.to_string()).unwrap_or_default(),
            seconds(line.deadline_s).to_string(),
            cell(&services.join("; ")),
            findings(line).join("; "),
        ])?;
    }
    Ok(String::from_utf8(writer.into_inner()?)?)
}

fn findings(line: &CheckerLine) -> Vec<&str> {
    line.findings.iter().map(|finding| finding.name).collect()
}

/// Spreadsheets run a cell that begins like a formula; a leading apostrophe makes it text.
pub(super) fn cell(text: &str) -> String {
    let text = plain(text).replace('\n', " ");
    if text.starts_with(['=', '+', '-', '@', '\t']) { format!("'{text}") } else { text }
}

/// What the watchdog's own mails tell of the path to the mailbox, and of those to people.
fn tried(seen: &LastSeen) -> String {
    let canary = seen.canary.as_ref().map(|canary| canary.sentence(seen.as_of));
    let chains = seen.chains.iter().map(|chain| plain(&chain.sentence));
    canary.into_iter().chain(chains).map(|sentence| format!("{sentence}\n")).collect()
}

fn for_people(seen: &LastSeen) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table.set_header(["CHECKER", "PROVIDER", "STATE", "LAST HEARD (UTC)", "AGE", "DEADLINE", "SERVICES"]);
    for line in &seen.checkers {
        let state = match &line.reason {
            Some(reason) => format!("{} ({})", line.state.word(), reason.word()),
            None => line.state.word().to_owned(),
        };
        let heard =
            line.heard_at.map_or("never".to_owned(), |time| time.format("%Y-%m-%d %H:%M:%S").to_string());
        let services: Vec<String> =
            line.services.iter().map(|service| format!("{} {}", service.name, service.result)).collect();
        let mut wrong = findings(line);
        wrong.extend(line.complaint.as_deref());
        let wrong = if wrong.is_empty() { String::new() } else { format!(" (! {})", wrong.join(", ")) };
        table.add_row([
            plain(&line.name),
            plain(&line.provider),
            state,
            heard,
            line.age_s.map_or("-".to_owned(), |age| span(TimeDelta::seconds(age))),
            span(line.deadline_s),
            plain(&format!("{}{wrong}", services.join(", "))),
        ]);
    }
    let mut text = format!("{}\n\n", table.trim_fmt());
    text.push_str(&match seen.heard_until {
        Some(until) => format!(
            "As of {}; mailbox read up to {}, {} ago.\n",
            rfc3339(seen.as_of),
            rfc3339(until),
            span(seen.as_of - until)
        ),
        None => format!("As of {}; no mailbox was ever read to its end.\n", rfc3339(seen.as_of)),
    });
    for sentence in seen.mailboxes.iter().flat_map(|mailbox| mailbox.sentences(seen.as_of)) {
        text.push_str(&format!("{sentence}\n"));
    }
    text.push_str(&tried(seen));
    if seen.provisional {
        text.push_str("History is still being read: a checker shown as waiting may have written before.\n");
    }
    for mailbox in &seen.mailboxes {
        if let Some(offset) = mailbox.clock_offset_s {
            let (name, range) = (plain(&mailbox.name), words::offset_range(offset));
            text.push_str(&format!("This clock beside the mail server's ({name}): {range}.\n"));
        }
    }
    if !seen.other_mails.is_empty() {
        let counts: Vec<String> =
            seen.other_mails.iter().map(|(reason, count)| format!("{reason} {count}")).collect();
        text.push_str(&format!(
            "Mails that were nobody's report: {} (the table other_mails lists them).\n",
            counts.join(", ")
        ));
    }
    for (mailbox, why) in &seen.junk_unread {
        let why = plain(why);
        text.push_str(&format!("The Junk folder of {mailbox} cannot be read, so nothing is known of mails taken for spam: {why}\n"));
    }
    match seen.undelivered {
        0 => {}
        1 => text.push_str("One message is not delivered yet.\n"),
        more => text.push_str(&format!("{more} messages are not delivered yet.\n")),
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_terminal_obeys_and_what_turns_text_around_is_not_printed() {
        assert_eq!(plain("a\u{1b}[2J\u{9b}\u{202e}b\r\nc"), "a\u{fffd}[2J\u{fffd}\u{fffd}b\u{fffd}\nc");
        assert_eq!(cell("=1+1\nb"), "'=1+1 b");
    }
}
