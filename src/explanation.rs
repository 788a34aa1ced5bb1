//! Why a checker is in its state, and how one mail is understood, in sentences. Pure.

mod path;
mod trust;

use std::fmt::Write as _;

use chrono::TimeDelta;

use crate::config::{Checker, Reaction};
use crate::engine::Offset;
use crate::ledger::{Bounce, Facts, Outcome, StoredReport, Trail};
use crate::mail::{Mail, Status};
use crate::reason::Cause;
use crate::report::{NotHeard, Understood};
use crate::text::one_line;
use crate::time::{Time, rfc3339, seconds, span, utc_and_local};
use crate::verdict::{State, Verdict, Watch};
use crate::view::CanaryLine;
use crate::words::{self, Signature};

/// So many of the latest mails are shown.
const MAILS_SHOWN: usize = 5;
/// So many addresses of a mail are shown.
const ADDRESSES_MAX: usize = 5;

/// All that a checker's state rests on.
pub struct Known<'a> {
    pub checker: &'a Checker,
    pub facts: &'a Facts,
    pub watch: Watch,
    pub verdict: Verdict,
    /// Why it is silent or delayed.
    pub cause: Option<Cause>,
    pub by: Signature<'a>,
    pub canary: Option<CanaryLine>,
    /// Its latest reports, newest first: the mail path is measured by all of them.
    pub reports: &'a [StoredReport],
    /// Of each mailbox, the watchdog's clock minus the server's.
    pub offsets: &'a [(String, Offset)],
}

impl Known<'_> {
    /// The state, the sum it follows from, and the mails it rests on.
    pub fn text(&self) -> String {
        let (verdict, checker) = (&self.verdict, self.checker);
        let mut text = format!(
            "{} ({}) is {}.\n{}\n\n",
            checker.name,
            checker.provider,
            verdict.state.word(),
            self.why()
        );
        if let Some(cause) = &self.cause {
            let _ = writeln!(text, "{}", words::cause::paragraph(cause, self.by));
        }
        let _ = writeln!(text, "Deadline       {}", words::deadline_sum(verdict.deadline));
        let _ = writeln!(text, "Late after     {} s", seconds(verdict.deadline.late_after()));
        for (what, time) in [
            ("Heard at", verdict.heard_at),
            ("Last received", self.facts.last_received),
            ("Last sent", self.facts.last_sent),
            ("Counted from", verdict.base),
            ("Silent after", verdict.silent_after),
            ("Read up to", self.watch.heard_until),
        ] {
            let _ = writeln!(text, "{what:<15}{}", self.shown(time));
        }
        path::clock_and_hold(self.facts, self.by.zone, &mut text);
        self.trust(&mut text);
        if let Some(canary) = &self.canary {
            let _ = writeln!(text, "Canary         {}", canary.sentence(self.by.now));
        }
        if let Some(complaint) = &self.facts.complaint {
            let _ =
                writeln!(text, "Not understood {}: {}", self.shown(Some(complaint.received)), complaint.what);
        }
        self.trail(&mut text);
        for (mailbox, offset) in self.offsets {
            let _ = writeln!(text, "Own clock      {}, beside {mailbox}'s", words::offset_range(*offset));
        }
        self.services(&mut text);
        self.findings(&mut text);
        path::table(self.reports, self.checker.cycle, &mut text);
        self.mails(&mut text);
        text
    }

    fn why(&self) -> String {
        let total = span(self.verdict.deadline.total());
        let silence = self.verdict.base.zip(self.watch.heard_until).map(|(base, until)| span(until - base));
        let silence = silence.unwrap_or_else(|| "an unknown time".to_owned());
        match self.verdict.state {
            State::Waiting => "It has not been heard yet, and its first deadline has not passed.".to_owned(),
            State::Ok => format!("Nothing was missed: {silence} without a mail, and {total} are allowed."),
            State::Late => {
                format!("{silence} without a mail: only the mail path can still excuse it, until {total}.")
            }
            State::Silent => format!("{silence} without a mail, and {total} are allowed."),
            State::Blind => "The mailbox was not read for too long: nobody can say how it is.".to_owned(),
        }
    }

    fn trail(&self, text: &mut String) {
        let Trail { junked, bounced, delayed } = &self.facts.trail;
        if let Some(received) = junked {
            let _ = writeln!(
                text,
                "In Junk        {}: its newest mail there, which does not count as heard",
                self.shown(Some(*received))
            );
        }
        for (what, bounce) in [("Bounced", bounced), ("Delayed", delayed)] {
            if let Some(Bounce { received, status, said }) = bounce {
                let why = undelivered(*status, said);
                let _ = writeln!(text, "{what:<15}{}: {why}", self.shown(Some(*received)));
            }
        }
    }

    fn services(&self, text: &mut String) {
        for test in &self.checker.tests {
            let _ = match self.facts.services.get(&test.service) {
                Some(known) => writeln!(
                    text,
                    "Service        {}: {} in its last run, since {}",
                    test.service,
                    known.outcome().word(),
                    self.shown(Some(known.since()))
                ),
                None => writeln!(text, "Service        {}: never reported", test.service),
            };
        }
    }

    fn findings(&self, text: &mut String) {
        for (breach, finding) in &self.facts.findings {
            let what = words::finding(*breach, finding.evidence());
            let ignored = self.checker.findings.reaction(*breach) == Reaction::Ignore;
            let (streak, since) = (finding.streak(), self.shown(Some(finding.since())));
            let runs = if streak == 1 { "1 run".to_owned() } else { format!("{streak} runs in a row") };
            let _ = writeln!(
                text,
                "Finding        {}{}: {what}, in the run of {}; {} {runs}, since {since}",
                breach.word(),
                if ignored { " (ignored)" } else { "" },
                self.shown(Some(finding.run())),
                if finding.stands() { "so in" } else { "over for" },
            );
        }
    }

    fn mails(&self, text: &mut String) {
        let _ = writeln!(text, "\nThe latest mails it rests on, newest first:");
        if self.reports.is_empty() {
            text.push_str("  none\n");
        }
        for mail in self.reports.iter().take(MAILS_SHOWN) {
            let seen = &mail.observation;
            let sent =
                seen.mail.sent.map_or("without a date".to_owned(), |sent| format!("sent {}", rfc3339(sent)));
            let _ = writeln!(
                text,
                "  received {}, {sent}, seen {} in {}/{} UID {}: {}",
                rfc3339(seen.received),
                rfc3339(seen.seen),
                seen.mailbox,
                mail.folder,
                mail.uid,
                said(&seen.mail)
            );
        }
    }

    fn shown(&self, time: Option<Time>) -> String {
        time.map_or("never".to_owned(), |time| {
            let from_now = match self.by.now - time {
                past if past >= TimeDelta::zero() => format!("{} ago", span(past)),
                future => format!("in {}", span(-future)),
            };
            format!("{} ({from_now})", utc_and_local(time, self.by.zone))
        })
    }
}

/// What a mail is taken for, and why. `understood` is what `mail` amounts to.
pub fn of_mail(mail: &Mail, understood: &Understood) -> String {
    let listed = |names: &mut dyn Iterator<Item = &String>| -> String {
        let names: Vec<String> = names.take(ADDRESSES_MAX).map(|name| one_line(name)).collect();
        if names.is_empty() { "none".to_owned() } else { names.join(", ") }
    };
    let checker = understood.checker.as_deref().unwrap_or("none that is configured");
    let mut text = match understood.not_heard {
        None => format!("This mail proves that {checker} lives.\n\n"),
        Some(why) => format!("This mail proves nothing: {}.\n\n", sentence(why)),
    };
    let sent = understood.sent.map_or("without a date that can be read".to_owned(), rfc3339);
    for (what, shown) in [
        ("From", mail.from.as_deref().map_or("nobody".to_owned(), one_line)),
        ("To", listed(&mut mail.recipients.iter())),
        ("Checker", checker.to_owned()),
        ("Sent", sent),
        ("Subject", one_line(&mail.subject)),
        ("Says", said(understood)),
        ("Unknown names", listed(&mut understood.unknown.keys())),
    ] {
        let _ = writeln!(text, "{what:<15}{shown}");
    }
    if let Some(why) = &understood.undelivered {
        let what = if why.delayed { "Delayed" } else { "Bounced" };
        let _ = writeln!(text, "{what:<15}{}", undelivered(why.status, &why.said));
    }
    for line in trust::answers(&understood.examined) {
        let _ = writeln!(text, "Trust          {line}");
    }
    for problem in &understood.problems {
        let _ = writeln!(text, "Problem        {problem}");
    }
    text
}

/// What the mail system says of a mail that did not arrive.
fn undelivered(status: Option<Status>, said: &str) -> String {
    match status {
        Some(status) if said.is_empty() => format!("status {status}"),
        // Most servers repeat the status in their words.
        Some(status) if !said.contains(&status.to_string()) => format!("status {status}, said: {said}"),
        _ if said.is_empty() => "without a reason".to_owned(),
        _ => format!("said: {said}"),
    }
}

fn said(mail: &Understood) -> String {
    let dryrun = mail.dryrun.map(|said| ("DRYRUN", said));
    let results = mail.results.iter().map(|(name, said)| (name.as_str(), *said));
    let tokens: Vec<String> = dryrun
        .into_iter()
        .chain(results)
        .map(|(name, said)| format!("{name} {}", Outcome::from(said).word()))
        .collect();
    if tokens.is_empty() { "nothing that its checker may say".to_owned() } else { tokens.join(", ") }
}

fn sentence(why: NotHeard) -> &'static str {
    match why {
        NotHeard::OwnMail => "a watchdog sent it (X-Bresse-Incident)",
        NotHeard::Canary => "a watchdog sent it to measure the mail path (X-Bresse-Canary)",
        NotHeard::DeliveryReport => "it is a report of the mail system about another mail",
        NotHeard::AutoReply => "it is an automatic answer",
        NotHeard::NobodyKnown => "no address in it belongs to a configured checker",
        NotHeard::SeveralCheckers => "it is addressed to several checkers, so nobody can say who speaks",
        NotHeard::Forward => "it is a person's forward or answer",
        NotHeard::Untrusted(why) => why.sentence(),
        NotHeard::NoToken => "it holds no DRYRUN.OK and no result of a service that its checker tests",
        NotHeard::Junked => "it lies in the Junk folder",
    }
}

#[cfg(test)]
mod tests;
