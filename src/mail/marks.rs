//! Signs that a mail is not a checker's own report: what [`Marks`](super::Marks) is made of.

use memchr::memchr;

use super::headers::{Block, Name};

/// Of a vacation notice. RFC 3834, section 5, has one header for it; older responders have their own.
///
/// `In-Reply-To` tells nothing, since a checker may thread its mails; nor does `X-MS-Exchange-Inbox-Rules-Loop`, which
/// Exchange also puts into what a rule of a mailbox redirects.
pub(super) fn auto_replied(headers: &Block<'_>) -> bool {
    let mut declared = headers.all(Name::AutoSubmitted).peekable();
    if declared.peek().is_some() {
        // Exchange calls its out-of-office notices auto-generated, as checkers call their reports.
        let by_rules =
            headers.all(Name::GeneratedBy).any(|field| field.value().eq_ignore_ascii_case(MAILBOX_RULES));
        return declared.any(|field| {
            let value = field.value();
            let keyword = value.split([';', ' ', '\t', '(']).next().unwrap_or_default();
            keyword.eq_ignore_ascii_case("auto-replied")
                || (by_rules && keyword.eq_ignore_ascii_case("auto-generated"))
        });
    }
    headers.first(Name::XAutoreply).is_some_and(|field| !field.value().eq_ignore_ascii_case("no"))
        || headers.all(Name::Precedence).any(|field| field.value().eq_ignore_ascii_case("auto_reply"))
}

/// What writes for an Exchange mailbox while its owner is away.
const MAILBOX_RULES: &str = "Mailbox Rules Agent";

/// Of a delivery report, by its envelope and sender; `from` is the address of `From:`. Its structure shows in the body.
pub(super) fn from_mail_system(headers: &Block<'_>, from: Option<&str>) -> bool {
    // RFC 5321, section 4.5.5: notifications are sent with the null reverse path, so that they are never answered.
    let null_return_path =
        headers.first(Name::ReturnPath).is_some_and(|field| matches!(field.value().as_ref(), "<>" | ""));
    null_return_path
        || match from {
            Some(address) => address.split('@').next().is_some_and(|local| local == "mailer-daemon"),
            // Old servers write `From: MAILER-DAEMON (Mail Delivery System)`.
            None => headers.first(Name::From).is_some_and(|field| {
                let value = field.value();
                let mut words = value.split(|c: char| c.is_whitespace() || matches!(c, '<' | '>' | '"'));
                words.any(|word| word.eq_ignore_ascii_case("mailer-daemon"))
            }),
        }
}

/// Before a colon, at the start of a subject. A person's reply quotes the report as a forward does. Without the Italian
/// `I`: a checker may log `I: DRYRUN.OK`.
const SUBJECT_PREFIXES: [&str; 9] = ["fwd", "fw", "tr", "wg", "rv", "doorst", "re", "aw", "sv"];

/// Of a subject that a person's mail program wrote for a forward or a reply.
pub(super) fn is_forward_subject(subject: &str) -> bool {
    let mut subject = subject.trim_start();
    // Gateways put tags such as `[EXTERNAL]` in front.
    while let Some((_, rest)) = subject.strip_prefix('[').and_then(|tagged| tagged.split_once(']')) {
        subject = rest.trim_start();
    }
    if subject.is_ascii() && memchr(b':', subject.as_bytes()).is_none() {
        return false;
    }
    let Some((prefix, _)) = subject.split_once([':', '：']) else { return false };
    // Some programs count: `Re[2]:`.
    let word = prefix.split('[').next().unwrap_or_default().trim_end();
    SUBJECT_PREFIXES.iter().any(|known| known.eq_ignore_ascii_case(word))
}

/// After a row of dashes, without letter case: Outlook, Gmail, Thunderbird and Yahoo in the languages of their users.
const DASHED: [&str; 16] = [
    "forwarded message",
    "original message",
    "message d'origine",
    "message d’origine",
    "message original",
    "message transféré",
    "message transmis",
    "ursprüngliche nachricht",
    "original-nachricht",
    "originalnachricht",
    "weitergeleitete nachricht",
    "mensaje original",
    "mensaje reenviado",
    "messaggio originale",
    "messaggio inoltrato",
    "oorspronkelijk bericht",
];
/// Apple Mail has no dashes.
const UNDASHED: [&str; 4] = [
    "begin forwarded message:",
    "début du message réexpédié",
    "début du message transféré",
    "anfang der weitergeleiteten nachricht",
];

/// Of the block that Outlook puts before a mail that it forwards or answers: who sent it, when, to whom, about what. No
/// mail has a header `Sent`, so this is not what a checker logs of a mail that it sent itself.
const HEADER_BLOCKS: [[&str; 4]; 7] = [
    ["From", "Sent", "To", "Subject"],
    ["De", "Envoyé", "À", "Objet"],
    ["Von", "Gesendet", "An", "Betreff"],
    ["De", "Enviado", "Para", "Asunto"],
    ["De", "Enviado el", "Para", "Asunto"],
    ["Da", "Inviato", "A", "Oggetto"],
    ["Van", "Verzonden", "Aan", "Onderwerp"],
];
/// One line more, that may be among them.
const COPIES: [Option<&str>; 2] = [Some("Cc"), Some("CC")];

/// Whether the text says that another mail follows. Quoted lines count: a quoted forward is a person's mail too.
pub(super) fn holds_forward(text: &str) -> bool {
    let mut lines = text.lines().map(|line| line.trim_start_matches(|c: char| c == '>' || c.is_whitespace()));
    while let Some(line) = lines.next() {
        if is_forward_line(line) || starts_header_block(line, &lines) {
            return true;
        }
    }
    false
}

/// Whether `line` and those of `after` are a header block.
fn starts_header_block<'a>(line: &str, after: &(impl Iterator<Item = &'a str> + Clone)) -> bool {
    // Of most lines the first letter tells.
    let begun = line.strip_prefix('*').unwrap_or(line).as_bytes().first();
    if !HEADER_BLOCKS.iter().any(|[from, ..]| begun == from.as_bytes().first()) {
        return false;
    }
    let Some(first) = label(line) else { return false };
    HEADER_BLOCKS.iter().filter(|[from, ..]| first == *from).any(|[_, sent, to, subject]| {
        let mut labels = after.clone().take(4).map(label).filter(|label| !COPIES.contains(label));
        [sent, to, subject].into_iter().all(|expected| labels.next() == Some(Some(expected)))
    })
}

/// What stands before the colon of a line. French puts a blank between; Gmail, a star on both sides of what was bold.
fn label(line: &str) -> Option<&str> {
    let (label, _) = line.split_once(':')?;
    Some(label.strip_prefix('*').unwrap_or(label).trim_end())
}

fn is_forward_line(line: &str) -> bool {
    let undashed = line.trim_start_matches('-');
    let dashes = line.len() - undashed.len();
    match dashes {
        0 => starts_with_any(line, &UNDASHED),
        1 | 2 => false,
        _ => starts_with_any(undashed.trim_start(), &DASHED),
    }
}

fn starts_with_any(line: &str, markers: &[&str]) -> bool {
    let Some(first) = line.chars().next() else { return false };
    // Of most lines the first letter tells.
    let lower = u8::try_from(first.to_ascii_lowercase()).ok();
    let may_be = |marker: &&&str| !first.is_ascii() || marker.as_bytes().first().copied() == lower;
    markers.iter().filter(may_be).any(|marker| {
        let mut written = line.chars().flat_map(char::to_lowercase);
        marker.chars().all(|expected| written.next() == Some(expected))
    })
}

#[cfg(test)]
mod tests {
    use super::{auto_replied, from_mail_system, holds_forward, is_forward_subject};
    use crate::mail::{address, headers, limits::Notes};

    #[test]
    fn only_automatic_answers_are_auto_replied() {
        for (header, expected) in [
            ("Auto-Submitted: auto-replied", true),
            ("auto-submitted: Auto-Replied; owner-email=\"x@y\"", true),
            ("Auto-Submitted: auto-replied (vacation)", true),
            ("Auto-Submitted: auto-generated", false),
            ("Auto-Submitted: auto-generated\nX-Autoreply: yes\nPrecedence: auto_reply", false),
            (
                "Auto-Submitted: auto-generated\nX-MS-Exchange-Generated-Message-Source: Mailbox Rules Agent",
                true,
            ),
            ("Auto-Submitted: no\nX-MS-Exchange-Generated-Message-Source: Mailbox Rules Agent", false),
            ("Auto-Submitted: auto-generated\nX-MS-Exchange-Generated-Message-Source: Journal Agent", false),
            (
                "Auto-Submitted: auto-generated\nX-MS-Exchange-Inbox-Rules-Loop: a@b\nIn-Reply-To: <c@d>",
                false,
            ),
            ("Auto-Submitted: no", false),
            ("X-Autoreply: yes", true),
            ("X-Autoreply: no", false),
            ("Precedence: auto_reply", true),
            ("Precedence: bulk", false),
            ("Subject: auto-replied", false),
        ] {
            let bytes = format!("{header}\n\n");
            let block = headers::scan(bytes.as_bytes(), false, &mut Notes::default());
            assert_eq!(auto_replied(&block), expected, "{header:?}");
        }
    }

    #[test]
    fn mails_of_the_mail_system_are_known_by_sender_and_return_path() {
        for (header, expected) in [
            ("Return-Path: <>", true),
            ("Return-Path:", true),
            ("Return-Path: <bresse1@x.y>", false),
            ("From: MAILER-DAEMON (Mail Delivery System)", true),
            ("From: <MAILER-DAEMON>", true),
            ("From: Mail Delivery Subsystem <mailer-daemon@x.y>", true),
            ("From: postmaster@x.y", false),
            ("From: bresse1@x.y", false),
            ("From: \"MAILER-DAEMON\" <bresse1@x.y>", false),
            ("Subject: MAILER-DAEMON", false),
        ] {
            let bytes = format!("{header}\n\n");
            let block = headers::scan(bytes.as_bytes(), false, &mut Notes::default());
            let from = block
                .first(headers::Name::From)
                .and_then(|field| address::addresses(&field.value()).into_iter().next());
            assert_eq!(from_mail_system(&block, from.as_deref()), expected, "{header:?}");
        }
    }

    #[test]
    fn prefixes_of_forwards_and_replies_are_known() {
        for subject in [
            "Fwd: DRYRUN.OK",
            "FW: x",
            "fw : x",
            "TR: x",
            "TR : x",
            "WG: x",
            "RV: x",
            "Doorst: x",
            "Re: x",
            "RE : x",
            "Re[2]: x",
            "AW: x",
            "SV: x",
            "[EXTERNAL] FW: x",
        ] {
            assert!(is_forward_subject(subject), "{subject:?}");
        }
        for subject in [
            "",
            "DRYRUN.OK",
            "I: DRYRUN.OK",
            "Report: x",
            "Refwd x",
            "re",
            "[bresse1] DRYRUN.OK",
            "[re: x",
            "x Fwd: y",
        ] {
            assert!(!is_forward_subject(subject), "{subject:?}");
        }
    }

    #[test]
    fn lines_that_announce_another_mail_are_known() {
        for text in [
            "hello\n---------- Forwarded message ---------\nFrom: x",
            "-----Original Message-----",
            "  -----Message d'origine-----",
            "-----Message d’origine-----",
            "Begin forwarded message:",
            "> -------- Message transféré --------",
            "-----URSPRÜNGLICHE NACHRICHT-----",
            "look:\n\nFrom: a <a@b>\nSent: Friday\nTo: c\nSubject: A.NOK\n",
            "De\u{a0}: a\nEnvoyé\u{a0}: vendredi\nÀ\u{a0}: c\nCc\u{a0}: d\nObjet\u{a0}: A.NOK",
            "> *Von:* a\n> *Gesendet:* Freitag\n> *An:* c\n> *Betreff:* A.NOK",
            "De: a\nEnviado el: viernes\nPara: c\nCC: d\nAsunto: A.NOK",
            "Da: a\nInviato: venerdì\nA: c\nOggetto: A.NOK",
        ] {
            assert!(holds_forward(text), "{text:?}");
        }
        for text in [
            "",
            "DRYRUN.OK",
            "-- \noriginal message",
            "----------",
            "the original message",
            "a ---- Forwarded message",
            "From: a\nDate: Friday\nTo: c\nSubject: a mail that the checker sent",
            "From: a\nSent: 1\nTo: c",
            "From: a\nSent: Friday\n\nTo: c\nSubject: x",
            "From: a\nSent: Friday\nTo: c\nCc: d\nCc: e\nSubject: x",
            "From: a\nGesendet: Freitag\nÀ : c\nSubject: x",
            "answer From: a\nSent: 1\nTo: c\nSubject: x",
        ] {
            assert!(!holds_forward(text), "{text:?}");
        }
    }
}
