//! The first thing on the page: whether the watchdog itself can be believed, and what is wrong.

use std::fmt::Write as _;

use chrono::TimeDelta;

use super::moment::Moment;
use crate::incidents::Standing;
use crate::policy::Silencing;
use crate::text::escaped;
use crate::time::{Time, rfc3339};
use crate::verdict::State;
use crate::view::{CanaryLine, Health, MailboxLine};
use crate::web::Picture;

/// How much it matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Weight {
    Notice,
    Warning,
    /// The watchdog does not do its work: what stands below cannot be believed.
    Grave,
}

impl Weight {
    fn class(self) -> &'static str {
        match self {
            Self::Notice => "notice",
            Self::Warning => "warning",
            Self::Grave => "grave",
        }
    }

    fn word(self) -> &'static str {
        match self {
            Self::Notice => "Note",
            Self::Warning => "Warning",
            Self::Grave => "Broken",
        }
    }
}

/// So many silences are named; the page of silences has them all.
const SILENCES_NAMED_MAX: usize = 3;

/// What a picture is judged by.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    pub blind_after: TimeDelta,
    /// An older judgement is too old.
    pub judged_within: TimeDelta,
}

/// Of the watchdog itself, the worst first. `stuck`: the daemon does not paint any more.
pub(super) fn troubles(picture: &Picture, limits: Limits, stuck: bool, now: Time) -> Vec<(Weight, String)> {
    let table = &picture.last_seen;
    let mut found = Vec::new();
    let mut say = |weight, sentence: String| found.push((weight, sentence));
    if stuck {
        say(Weight::Grave, "The daemon does not answer. What stands below is what it knew last.".to_owned());
    }
    if picture.work.store_fails {
        say(
            Weight::Grave,
            "The state cannot be stored, so nothing is read and nothing sent; see the log.".to_owned(),
        );
    }
    match picture.work.judged {
        None => say(Weight::Grave, "Nothing was judged since the start.".to_owned()),
        Some(judged) if now - judged > limits.judged_within => {
            say(Weight::Grave, "Nothing was judged for too long.".to_owned());
        }
        Some(_) => {}
    }
    if table.health(limits.blind_after) == Health::Unknown {
        say(
            Weight::Grave,
            "Blind: the mailbox cannot be read. Nobody can say how the checkers are.".to_owned(),
        );
    }
    for mailbox in table.mailboxes.iter().filter(|mailbox| mailbox.login_refused) {
        say(Weight::Grave, format!("The mailbox {} refuses the login.", mailbox.name));
    }
    for chain in table.chains.iter().filter(|chain| chain.too_old) {
        say(Weight::Grave, format!("Nobody knows whether alarms arrive: {}", chain.sentence));
    }
    match table.undelivered {
        0 => {}
        1 => say(Weight::Warning, "One message is not delivered yet.".to_owned()),
        many => say(Weight::Warning, format!("{many} messages are not delivered yet.")),
    }
    for sentence in table.mailboxes.iter().flat_map(|mailbox| MailboxLine::sentences(mailbox, now)) {
        say(Weight::Warning, sentence);
    }
    for (mailbox, why) in &table.junk_unread {
        say(Weight::Warning, format!("The Junk folder of {mailbox} cannot be read: {why}"));
    }
    if let Some(canary) = table.canary.as_ref().filter(|canary| canary.degraded()) {
        say(Weight::Warning, CanaryLine::sentence(canary, now));
    }
    let mut silences = picture.silences.iter().filter(|silence| silence.from <= now && now < silence.until);
    for Silencing { silenced, until, by, note, .. } in silences.by_ref().take(SILENCES_NAMED_MAX) {
        let why = note.as_ref().map_or_else(String::new, |note| format!(": {note}"));
        let until = rfc3339(*until);
        say(Weight::Notice, format!("No alarm about {silenced} until {until}, silenced by {by}{why}."));
    }
    match silences.count() {
        0 => {}
        more => say(Weight::Notice, format!("{more} more silences hold.")),
    }
    if table.provisional {
        let sentence = "History is still being read: who was not found yet may still be.";
        say(Weight::Notice, sentence.to_owned());
    }
    found.sort_by_key(|(weight, _)| std::cmp::Reverse(*weight));
    found
}

/// What a person says who has looked at it, and the class that colours it.
pub(super) struct Headline {
    pub text: String,
    pub class: &'static str,
    pub symbol: &'static str,
}

pub(super) fn headline(picture: &Picture, troubles: &[(Weight, String)]) -> Headline {
    let checkers = &picture.last_seen.checkers;
    let silent = checkers.iter().filter(|checker| checker.state == State::Silent).count();
    let late = checkers.iter().filter(|checker| checker.state == State::Late).count();
    let waiting = checkers.iter().filter(|checker| checker.state == State::Waiting).count();
    let bad = picture.matrix.services.iter().filter(|row| !row.from.is_empty()).count();
    let worst = troubles.first().map(|(weight, _)| *weight);
    let mut parts = Vec::new();
    let mut count = |count: usize, one: &str, many: &str| match count {
        0 => {}
        1 => parts.push(format!("1 {one}")),
        more => parts.push(format!("{more} {many}")),
    };
    count(silent, "checker is silent", "checkers are silent");
    count(bad, "service is bad", "services are bad");
    count(late, "checker is late", "checkers are late");
    count(waiting, "checker was not heard yet", "checkers were not heard yet");
    let listed = parts.join(", ");
    let with = |text: &str| if listed.is_empty() { text.to_owned() } else { format!("{text}; {listed}") };
    let open = picture.incidents.iter().any(|line| line.state == Standing::Open);
    if worst == Some(Weight::Grave) {
        Headline { text: with("The watchdog does not see"), class: "grave", symbol: "✖" }
    } else if silent + bad > 0 {
        Headline { text: listed, class: "bad", symbol: "✖" }
    } else if worst == Some(Weight::Warning) || late > 0 || open {
        Headline { text: with("Something needs a look"), class: "warning", symbol: "▲" }
    } else if waiting > 0 {
        Headline { text: listed, class: "warning", symbol: "…" }
    } else {
        Headline { text: "All is well".to_owned(), class: "ok", symbol: "✔" }
    }
}

pub(super) fn render(picture: &Picture, limits: Limits, stuck: bool, moment: Moment) -> String {
    let troubles = troubles(picture, limits, stuck, moment.now);
    let Headline { text, class, symbol } = headline(picture, &troubles);
    let mut html = format!(
        "<div class=\"headline {class}\" data-title=\"{symbol} {0}\">\n\
         <h1><span aria-hidden=\"true\">{symbol}</span> {0}</h1>\n",
        escaped(&text)
    );
    if !troubles.is_empty() {
        html.push_str("<ul class=\"troubles\">\n");
        for (weight, sentence) in &troubles {
            let (class, word) = (weight.class(), weight.word());
            let sentence = escaped(sentence);
            let _ = writeln!(html, "<li class=\"{class}\"><strong>{word}:</strong> {sentence}</li>");
        }
        html.push_str("</ul>\n");
    }
    let table = &picture.last_seen;
    let heard = table.checkers.iter().filter(|one| matches!(one.state, State::Ok | State::Late)).count();
    let _ = writeln!(html, "<p class=\"facts\">{heard} of {} checkers are heard.", table.checkers.len());
    for mailbox in &table.mailboxes {
        let until = moment.or_never(mailbox.heard_until);
        let _ = writeln!(html, "<br>The mailbox {} was read up to {until}.", escaped(&mailbox.name));
    }
    let _ = writeln!(html, "<br>The last judgement: {}.</p>\n</div>", moment.or_never(picture.work.judged));
    html
}
