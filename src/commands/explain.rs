//! `explain`: why a checker is in its state, or how one mail is understood.

use std::fmt::Write as _;
use std::io::Read;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use chrono::TimeDelta;
use clap::Args;

use super::{Global, output};
use crate::config::{Checker, Config};
use crate::engine::Engine;
use crate::ledger::{Facts, Outcome};
use crate::report::{Roster, understand};
use crate::store::{Store, StoredReport};
use crate::time::{Time, rfc3339, seconds, span, utc_and_local};
use crate::verdict::{State, Verdict, Watch, judge};
use crate::{clock, mail, past, words};

/// A mail in a file is read up to here, as one in a mailbox is.
const MAIL_BYTES_MAX: u64 = 1 << 20;
/// So many of the latest mails are shown.
const MAILS_SHOWN: u32 = 5;

#[derive(Debug, Args)]
#[group(required = true, multiple = true)]
pub(super) struct Options {
    /// The checker to explain
    #[arg(conflicts_with = "mail")]
    checker: Option<String>,
    /// Explain how this mail (a file as saved by a mail program) is understood
    #[arg(long, value_name = "FILE")]
    mail: Option<PathBuf>,
    /// As it was then: RFC 3339, or -90m for 90 minutes ago
    #[arg(long, value_name = "TIME", value_parser = super::time, allow_hyphen_values = true)]
    as_of: Option<Time>,
}

pub(super) fn explain(global: &Global, options: &Options) -> Result<u8> {
    let config = global.load()?;
    let text = match (&options.mail, &options.checker) {
        (Some(file), _) => explain_mail(file, &config)?,
        (None, Some(name)) => explain_checker(name, &config, options.as_of)?,
        (None, None) => bail!("Name a checker, or a mail with --mail FILE."),
    };
    output::print(&output::plain(&text))?;
    Ok(0)
}

fn explain_mail(file: &Path, config: &Config) -> Result<String> {
    let unreadable = || format!("The mail {} cannot be read", file.display());
    let mut bytes = Vec::new();
    let opened = std::fs::File::open(file).with_context(unreadable)?;
    opened.take(MAIL_BYTES_MAX + 1).read_to_end(&mut bytes).with_context(unreadable)?;
    let truncated = bytes.len() as u64 > MAIL_BYTES_MAX;
    bytes.truncate(usize::try_from(MAIL_BYTES_MAX).unwrap_or(usize::MAX));
    let understood = understand(mail::parse(&bytes, truncated), &Roster::new(&config.checkers));
    Ok(serde_json::to_string_pretty(&understood)? + "\n")
}

fn explain_checker(name: &str, config: &Config, as_of: Option<Time>) -> Result<String> {
    let Some(checker) = config.checkers.iter().find(|checker| checker.name.eq_ignore_ascii_case(name)) else {
        let names: Vec<&str> = config.checkers.iter().map(|checker| checker.name.as_str()).collect();
        bail!("There is no checker {name}; configured are: {}.", names.join(", "));
    };
    let store = Store::open_read_only(&config.state)?;
    let now = as_of.unwrap_or_else(clock::now);
    let (facts, watch) = match as_of {
        Some(time) => past::facts_and_watch(&store, config, checker, time)?,
        None => {
            let engine = Engine::restore(config.clone(), store.load()?, now);
            let facts = engine.facts().get(&checker.name).cloned().unwrap_or_else(|| Facts::new(checker));
            let watch = engine.watch_of(&facts);
            (facts, watch)
        }
    };
    let mails = store.reports_of(&checker.name, now, MAILS_SHOWN)?;
    let known = Known { config, checker, facts: &facts, watch, verdict: judge(&facts, watch, now), now };
    Ok(known.text(&mails))
}

struct Known<'a> {
    config: &'a Config,
    checker: &'a Checker,
    facts: &'a Facts,
    watch: Watch,
    verdict: Verdict,
    now: Time,
}

impl Known<'_> {
    fn text(&self, mails: &[StoredReport]) -> String {
        let (verdict, checker) = (&self.verdict, self.checker);
        let mut text = format!(
            "{} ({}) is {}.\n{}\n\n",
            checker.name,
            checker.provider,
            verdict.state.word(),
            self.why()
        );
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
        if let Some(delay) = self.facts.usual_delay_ms() {
            let _ = writeln!(
                text,
                "Usual delay    {} s between its own date and the receipt",
                seconds(TimeDelta::milliseconds(delay))
            );
        }
        if let Some(complaint) = &self.facts.complaint {
            let _ =
                writeln!(text, "Not understood {}: {}", self.shown(Some(complaint.received)), complaint.what);
        }
        self.services(&mut text);
        self.mails(&mut text, mails);
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

    fn mails(&self, text: &mut String, mails: &[StoredReport]) {
        let _ = writeln!(text, "\nThe latest mails it rests on, newest first:");
        if mails.is_empty() {
            text.push_str("  none\n");
        }
        for mail in mails {
            let seen = &mail.observation;
            let said: Vec<String> = seen
                .mail
                .dryrun
                .map(|said| ("DRYRUN".to_owned(), said))
                .into_iter()
                .chain(seen.mail.results.clone())
                .map(|(name, said)| format!("{name} {}", Outcome::from(said).word()))
                .collect();
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
                said.join(", ")
            );
        }
    }

    fn shown(&self, time: Option<Time>) -> String {
        time.map_or("never".to_owned(), |time| {
            let from_now = match self.now - time {
                past if past >= TimeDelta::zero() => format!("{} ago", span(past)),
                future => format!("in {}", span(-future)),
            };
            format!("{} ({from_now})", utc_and_local(time, self.config.timezone))
        })
    }
}
