//! Who writes to the mailbox → `[[checker]]` blocks to append to the configuration. Pure.
//!
//! Texts of mails stand in it only inside comments and TOML strings, so whatever they hold, the result is TOML.

mod measure;
mod survey;

use std::collections::BTreeSet;
use std::fmt::Write;

use chrono::TimeDelta;

use crate::config::{Checker, Config, duration, is_mail_address, is_name};
use crate::site;
use crate::time::{rfc3339, span};
pub use measure::{Doubt, Doubtful, Gaps, Measured, Writer};
pub use survey::Survey;

/// What is proposed where nothing can be measured.
const TIMEOUT: TimeDelta = TimeDelta::seconds(30);
const TIMEOUT_MAX: TimeDelta = TimeDelta::hours(1);
const PROVIDER: &str = "unknown";
/// Doubtful names and ambiguous addresses shown; the rest is counted.
const SHOWN_MAX: usize = 20;
/// A configured cycle is questioned when it is off by more than half.
const CYCLE_OFF: i32 = 3;
/// Fewer gaps say nothing about a configured cycle.
const GAPS_MIN: usize = 3;
/// Servers that many mailboxes lie at; they say nothing about where a checker runs.
const RECEIVERS: [&str; 4] = ["google.com", "gmail.com", "office365.com", "outlook.com"];
/// Top-level names that nobody registers a network under.
const LOCAL_NAMES: [&str; 7] = ["arpa", "home", "internal", "lan", "local", "localdomain", "localhost"];

/// How much of the mailboxes was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Extent {
    Everything,
    /// As many mails as are read at most.
    Newest,
    /// Reading ended early; why.
    Broken(String),
}

/// Blocks for everybody who writes without being configured, and comments on those who are.
pub fn propose(survey: &Survey, config: &Config, extent: &Extent) -> String {
    let mut text = String::new();
    let strangers = blocks(survey, config);
    let mails = what_was_read(survey, extent);
    comment(
        &mut text,
        &match strangers.as_slice() {
            [] => nothing_to_add(survey, config, &mails),
            _ => format!("Found in {mails}. Correct provider and timeout, which no mail tells."),
        },
    );
    remarks(survey, config).iter().for_each(|remark| comment(&mut text, remark));
    strangers.iter().for_each(|block| text.push_str(block));
    text
}

fn what_was_read(survey: &Survey, extent: &Extent) -> String {
    let Some((oldest, newest)) = survey.span() else { return "0 mails".to_owned() };
    let read = match extent {
        Extent::Everything => "which are all there are".to_owned(),
        Extent::Newest => "without the older ones".to_owned(),
        Extent::Broken(why) => format!("where the reading ended early ({why})"),
    };
    let mails = counted(survey.mails(), "mail");
    format!("{mails} received from {} to {}, {read}", rfc3339(oldest), rfc3339(newest))
}

fn nothing_to_add(survey: &Survey, config: &Config, mails: &str) -> String {
    let heard = config.checkers.iter().filter(|checker| survey.configured(&checker.name).is_some()).count();
    match heard {
        0 => format!(
            "Nobody can be proposed as a checker from {mails}: none to an address of its own holds DRYRUN.OK, or a token \
             such as SERVICE.OK or SERVICE.NOK that comes again."
        ),
        _ => format!(
            "Everybody who reports is configured already ({}), judging from {mails}.",
            counted(heard, "checker")
        ),
    }
}

/// What cannot be proposed, and where configured checkers do otherwise than configured.
fn remarks(survey: &Survey, config: &Config) -> Vec<String> {
    let mut remarks = Vec::new();
    if survey.unaddressed() > 0 {
        let mails = counted(survey.unaddressed(), "report");
        remarks.push(format!(
            "{mails} went to the mailbox itself: nobody can tell whose they are; each checker needs an address of its own."
        ));
    }
    for (addresses, mails) in survey.ambiguous().take(SHOWN_MAX) {
        let mails = counted(mails, "report");
        remarks.push(format!(
            "{mails} went to several addresses at once, so their checker is not known: {}.",
            addresses.join(", ")
        ));
    }
    for (address, writer) in survey.bystanders().take(SHOWN_MAX) {
        let mails = counted(writer.mails(), "mail");
        remarks.push(format!(
            "{mails} to {address}: what looks like a token comes only once, and no DRYRUN.OK; no checker is proposed."
        ));
    }
    for checker in &config.checkers {
        remarks.extend(differences(checker, survey.configured(&checker.name)));
    }
    remarks
}

fn differences(checker: &Checker, writer: Option<&Writer>) -> Vec<String> {
    let name = &checker.name;
    let Some(measured) = writer.and_then(Writer::measure) else {
        return vec![format!("{name} is configured, but has written none of these mails.")];
    };
    let mut found = Vec::new();
    let configured = |service: &String| checker.tests.iter().any(|test| test.service == *service);
    let strange: Vec<String> =
        measured.services.iter().filter(|service| !configured(service)).map(|name| quoted(name)).collect();
    if !strange.is_empty() {
        found.push(format!("{name} is configured, but not what it reports on: {}.", strange.join(", ")));
    }
    let silent: Vec<String> = checker
        .tests
        .iter()
        .filter(|test| !measured.services.contains(&test.service))
        .map(|test| quoted(&test.service))
        .collect();
    if !silent.is_empty() {
        found.push(format!(
            "{name} is configured with tests that its newest mails do not report on: {}.",
            silent.join(", ")
        ));
    }
    if let Some(gaps) = measured.gaps.filter(|gaps| gaps.count >= GAPS_MIN)
        && (gaps.median * 2 > checker.cycle * CYCLE_OFF || checker.cycle * 2 > gaps.median * CYCLE_OFF)
    {
        found.push(format!(
            "{name} is configured with cycle = \"{}\", but {}.",
            duration::display(checker.cycle),
            rhythm(&gaps)
        ));
    }
    found
}

fn blocks(survey: &Survey, config: &Config) -> Vec<String> {
    let mut names: BTreeSet<String> =
        config.checkers.iter().map(|checker| checker.name.to_lowercase()).collect();
    let own_sites = own_sites(config);
    survey
        .strangers()
        .filter(|(address, _)| is_mail_address(address))
        .filter_map(|(address, writer)| {
            let name = free_name(&survey.name_of(address), &mut names);
            Some(block(&name, address, writer, &writer.measure()?, &own_sites))
        })
        .collect()
}

/// A name that the configuration accepts and nobody has yet.
fn free_name(wanted: &str, taken: &mut BTreeSet<String>) -> String {
    let base = if is_name(&format!("{wanted}-99999")) { wanted } else { "checker" };
    let numbered = (2_u32..).map(|number| format!("{base}-{number}"));
    let mut candidates = std::iter::once(base.to_owned()).chain(numbered);
    let free = candidates.find(|name| taken.insert(name.to_lowercase()));
    free.unwrap_or_default()
}

fn block(
    name: &str,
    address: &str,
    writer: &Writer,
    measured: &Measured,
    own_sites: &BTreeSet<String>,
) -> String {
    let mut text = "\n[[checker]]\n".to_owned();
    let mails = counted(measured.mails, "mail");
    comment(&mut text, &format!("{mails}, the last received {}.", rfc3339(measured.last_received)));
    if !measured.dryrun {
        comment(&mut text, "None of them holds DRYRUN.OK, with which every run must begin.");
    }
    setting(&mut text, "name", &quoted(name));
    setting(&mut text, "address", &quoted(address));
    provider(&mut text, writer.route(), own_sites);
    cycle(&mut text, measured);
    tests(&mut text, measured);
    text
}

fn provider(text: &mut String, route: &[String], own_sites: &BTreeSet<String>) {
    let guess = route.iter().find_map(|host| network(host, own_sites));
    let what = if guess.is_some() { "A guess" } else { "To be filled in: the network it runs in" };
    let way = if route.is_empty() { "no server on their way is named".to_owned() } else { route.join(", ") };
    comment(text, &format!("{what}; its mails come by: {way}."));
    setting(text, "provider", &quoted(guess.as_deref().unwrap_or(PROVIDER)));
}

/// The label by which people know the network that a host belongs to: `free` of `smtp1-g21.free.fr`.
fn network(host: &str, own_sites: &BTreeSet<String>) -> Option<String> {
    let site = site::of(host)?;
    let (label, _) = site.split_once('.')?;
    let local = site.rsplit('.').next().is_some_and(|top| LOCAL_NAMES.contains(&top));
    let nobodys = local || RECEIVERS.contains(&site.as_str()) || own_sites.contains(&site);
    (!nobodys && is_name(label)).then(|| label.to_owned())
}

fn own_sites(config: &Config) -> BTreeSet<String> {
    let hosts = config.mailboxes.iter().flat_map(|mailbox| {
        [Some(mailbox.server.host.clone()), site::domain(&mailbox.user)].into_iter().flatten()
    });
    hosts.filter_map(|host| site::of(&host)).collect()
}

fn cycle(text: &mut String, measured: &Measured) {
    match &measured.gaps {
        Some(gaps) => {
            comment(text, &format!("Measured: {}.", rhythm(gaps)));
            setting(text, "cycle", &quoted(&duration::display(measure::usual_cycle(gaps.median))));
        }
        None => comment(text, "cycle cannot be measured: fewer than two runs were read."),
    }
}

fn rhythm(gaps: &Gaps) -> String {
    if gaps.count == 1 {
        return format!("its only two runs are {} apart", span(gaps.median));
    }
    format!(
        "its runs are {} apart (median of {}; from {} to {})",
        span(gaps.median),
        gaps.count,
        span(gaps.shortest),
        span(gaps.longest)
    )
}

fn tests(text: &mut String, measured: &Measured) {
    let count = i32::try_from(measured.services.len()).unwrap_or(i32::MAX);
    let each = measured.longest_run.filter(|_| count > 0).map_or(TIMEOUT, |longest| {
        let seconds = (longest / count).num_seconds() / 5 * 5 + 5;
        TimeDelta::seconds(seconds).clamp(TIMEOUT, TIMEOUT_MAX)
    });
    if count > 0 {
        let known = match measured.longest_run {
            Some(longest) => format!(
                "the longest run took {} from its first mail to its last, and the timeouts together must cover that",
                span(longest)
            ),
            None => "how long one takes cannot be seen, as all results of a run come at once".to_owned(),
        };
        comment(text, &format!("timeout, the longest time a test may take, is a placeholder: {known}."));
    }
    text.push_str(if count > 0 { "tests = [\n" } else { "tests = []\n" });
    for service in &measured.services {
        let timeout = duration::display(each);
        let _ = writeln!(text, "    {{ service = {}, timeout = {} }},", quoted(service), quoted(&timeout));
    }
    text.push_str(if count > 0 { "]\n" } else { "" });
    doubtful(text, &measured.doubtful);
}

fn doubtful(text: &mut String, names: &[Doubtful]) {
    for Doubtful { name, why } in names.iter().take(SHOWN_MAX) {
        let why = match why {
            Doubt::Once => "seen only once".to_owned(),
            Doubt::Rare(mails) => format!("in {}, but hardly in the newest runs", counted(*mails, "mail")),
            Doubt::NoName => "the configuration takes no such name".to_owned(),
            Doubt::SameName => "differs from a service above only in letter case".to_owned(),
        };
        comment(text, &format!("Not taken for a service: {} ({why}).", quoted(name)));
    }
    if let Some(more @ 1..) = names.len().checked_sub(SHOWN_MAX) {
        comment(text, &format!("And {} more such names.", more));
    }
}

fn setting(text: &mut String, key: &str, value: &str) {
    let _ = writeln!(text, "{key} = {value}");
}

/// One line, whatever `what` holds: TOML allows no control characters in a comment.
fn comment(text: &mut String, what: &str) {
    let line: String = what.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect();
    let _ = writeln!(text, "# {line}");
}

/// A TOML basic string.
fn quoted(text: &str) -> String {
    let mut quoted = "\"".to_owned();
    for c in text.chars() {
        match c {
            '"' | '\\' => quoted.extend(['\\', c]),
            c if c.is_control() => {
                let _ = write!(quoted, "\\u{:04X}", u32::from(c));
            }
            c => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}

pub(crate) fn counted(count: usize, what: &str) -> String {
    format!("{count} {what}{}", if count == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests;
