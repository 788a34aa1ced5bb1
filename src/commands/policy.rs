//! `policy test`: who would be told of an alarm, when, and why.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use anyhow::{Result, bail};
use chrono::TimeDelta;
use clap::{Args, Subcommand};

use super::order::span;
use super::{Global, output};
use crate::clock;
use crate::config::{Checker, Config, Event, duration};
use crate::incident::Severity;
use crate::policy::{Matter, Route};
use crate::reason::Reason;
use crate::time::{Time, utc_and_local};

#[derive(Debug, Args)]
pub(super) struct Options {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Say who would be told of such an alarm, and why
    Test(Test),
}

#[derive(Debug, Args)]
struct Test {
    /// When: RFC 3339, or -90m for 90 minutes ago [default: now]
    #[arg(long, value_name = "TIME", value_parser = super::time, allow_hyphen_values = true)]
    at: Option<Time>,
    /// The kind of alarm: checker, service or mailbox
    #[arg(long, value_parser = ["checker", "service", "mailbox"], default_value = "checker")]
    event: String,
    /// How much it matters: critical or warning
    #[arg(long, value_parser = ["critical", "warning"], default_value = "critical")]
    severity: String,
    /// The checkers it is about; may be repeated
    #[arg(long, value_name = "NAME")]
    checker: Vec<String>,
    /// The service it is about
    #[arg(long, value_name = "NAME")]
    service: Option<String>,
    /// What it is put down to, for instance provider_down
    #[arg(long, value_name = "REASON")]
    reason: Option<String>,
    /// The alarm stands for so long already, for instance 45m
    #[arg(long = "after", value_name = "DURATION", value_parser = span)]
    after: Option<TimeDelta>,
    /// Somebody has taken it
    #[arg(long)]
    taken: bool,
}

pub(super) fn policy(global: &Global, options: &Options) -> Result<u8> {
    let Command::Test(test) = &options.command;
    let config = global.load()?;
    let at = test.at.unwrap_or_else(clock::now);
    let text = told(&config, &test.matter(&config)?, test, at);
    output::print(&output::plain(&text))?;
    Ok(0)
}

impl Test {
    fn matter(&self, config: &Config) -> Result<Matter> {
        let with_provider = |name: &String| {
            let found =
                config.checkers.iter().find(|checker: &&Checker| checker.name.eq_ignore_ascii_case(name));
            found.map(|checker| (checker.name.clone(), checker.provider.clone()))
        };
        if let Some(unknown) = self.checker.iter().find(|name| with_provider(name).is_none()) {
            bail!("There is no checker {unknown} in the configuration.");
        }
        let mut services =
            config.checkers.iter().flat_map(|checker| &checker.tests).map(|test| &test.service);
        if let Some(unknown) = self.service.as_ref().filter(|name| !services.any(|service| service == *name))
        {
            bail!("There is no service {unknown} in the configuration.");
        }
        let reason = |word: &String| Reason::ALL.into_iter().find(|reason| reason.word() == word);
        if let Some(unknown) = self.reason.as_ref().filter(|word| reason(word).is_none()) {
            let words: Vec<&str> = Reason::ALL.iter().map(|reason| reason.word()).collect();
            bail!("There is no reason {unknown}; there are: {}.", words.join(", "));
        }
        Ok(Matter {
            event: match self.event.as_str() {
                "service" => Event::Service,
                "mailbox" => Event::Mailbox,
                _ => Event::Checker,
            },
            severity: if self.severity == "warning" { Severity::Warning } else { Severity::Critical },
            checkers: self.checker.iter().filter_map(with_provider).collect(),
            service: self.service.clone(),
            reason: self.reason.as_ref().and_then(reason),
        })
    }
}

fn told(config: &Config, matter: &Matter, test: &Test, at: Time) -> String {
    let policies = &config.policies;
    let opened = at - test.after.unwrap_or_default();
    let shown = |time| utc_and_local(time, config.timezone);
    let mut text = format!("At {}:\n", shown(at));
    for (place, route) in policies.routes.iter().enumerate() {
        let _ = writeln!(text, "  route {} {}", place + 1, verdict(route, matter, at));
    }
    if policies.routes.is_empty() {
        text.push_str("  there is no [[route]]: every channel is told of what it wants\n");
    } else if !policies.routes.iter().any(|route| route.matches(matter)) {
        text.push_str("  no [[route]] is about it: every channel is told of what it wants\n");
    }
    for maintenance in &policies.maintenance {
        if maintenance.holds(matter, at).0 {
            let (what, schedule) = (&maintenance.silenced, &maintenance.schedule.name);
            let _ = writeln!(text, "  [[silence]] {what} holds ({schedule}): nobody is told");
        }
    }
    let usual: BTreeMap<String, Option<TimeDelta>> =
        config.channels_for(matter.event).map(|channel| (channel.name.clone(), None)).collect();
    let plan = policies.plan(matter, opened, test.taken, &usual, at);
    let silenced = policies.silenced(matter, [].into_iter(), at);
    let wants = |name: &String| {
        config.channels.iter().any(|channel| channel.name == *name && channel.events.contains(&matter.event))
    };
    let told: Vec<String> = plan
        .channels
        .iter()
        .filter(|(name, _)| wants(name) && !silenced.0)
        .map(|(name, repeat)| match repeat {
            Some(repeat) => format!("{name} (again every {})", duration::display(*repeat)),
            None => name.clone(),
        })
        .collect();
    let told = if told.is_empty() { "nobody yet".to_owned() } else { told.join(", ") };
    let _ = writeln!(text, "Told by then: {told}");
    if let Some(next) = [plan.next, silenced.1].into_iter().flatten().min() {
        let _ = writeln!(text, "That may change: {}", shown(next));
    }
    text
}

fn verdict(route: &Route, matter: &Matter, at: Time) -> String {
    if !route.matches(matter) {
        return "is not about it".to_owned();
    }
    let channels = route.channels.iter().map(String::as_str).collect::<Vec<_>>().join(", ");
    match &route.schedule {
        Some(schedule) if !schedule.is_open(at) => format!("is closed now ({})", schedule.name),
        Some(schedule) => format!("is open ({}): {channels}", schedule.name),
        None => format!("is about it: {channels}"),
    }
}
