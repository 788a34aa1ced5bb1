//! Digest → page: what is said, in which order, and what is left out when there is too much of it.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use chrono::TimeDelta;
use chrono_tz::Tz;

use super::availability::{ServiceTime, Share};
use super::page::{Figure, Mood, Page, Row, Section};
use super::{ChainPart, CheckerPart, Digest, IncidentPart, SilencePart, TOKEN};
use crate::ledger::path::latencies;
use crate::reason::Reason;
use crate::text::quoted;
use crate::time::{Time, span, utc_and_local};

/// A digest that comes this much after its time says why.
const LATE: TimeDelta = TimeDelta::minutes(10);
/// Of a name, a host, somebody's error.
const CELL_CHARS_MAX: usize = 60;
const ERROR_CHARS_MAX: usize = 120;

pub(super) fn subject(digest: &Digest) -> String {
    let heard =
        percent(heard(digest)).map_or("nothing observed".to_owned(), |share| format!("{share} heard"));
    let alarms = counted(announced(digest).count(), "alarm");
    format!("{TOKEN} {}: {}, {heard}, {alarms}", who(digest), days(digest))
}

pub(super) fn page(digest: &Digest) -> Page {
    let mut page = Page {
        title: format!("{}, {}", who(digest), days(digest)),
        lead: lead(digest),
        figures: figures(digest),
        ..Page::default()
    };
    page.sections = vec![checkers(digest), services(digest), silences(digest), incidents(digest)];
    page.sections.push(mail_path(digest));
    page.sections.extend(findings(digest));
    page.sections.extend(chains(digest));
    page.sections.push(deliveries(digest));
    page.sections.extend(endings(digest));
    page.footer = vec![
        format!("Written by {} at {}.", digest.watchdog, utc_and_local(digest.made, digest.zone)),
        "This is a digest: nothing in it is an alarm.".to_owned(),
    ];
    page
}

fn who(digest: &Digest) -> String {
    let name = digest.name.as_ref().map(|name| format!(" {name}"));
    format!("{}{}", digest.watchdog, name.unwrap_or_default())
}

/// `2026-11-19`, or the first and the last day.
fn days(digest: &Digest) -> String {
    let local = |time: Time| time.with_timezone(&digest.zone).date_naive();
    let (first, last) = (local(digest.period.from), local(digest.period.until - TimeDelta::milliseconds(1)));
    if first == last { first.to_string() } else { format!("{first} to {last}") }
}

fn lead(digest: &Digest) -> Vec<String> {
    let super::Period { from, until } = digest.period;
    let utc = |time: Time| time.format("%Y-%m-%d %H:%M").to_string();
    let local = |time: Time| time.with_timezone(&digest.zone).format("%Y-%m-%d %H:%M").to_string();
    let length = span(until - from);
    let mut lead = match digest.zone {
        Tz::UTC => vec![format!("From {} to {} UTC, {length}.", utc(from), utc(until))],
        zone => vec![
            format!("From {} to {} {zone}, {length}.", local(from), local(until)),
            format!("That is {} to {} UTC. All times below are of {zone}.", utc(from), utc(until)),
        ],
    };
    if let Some(due) = digest.due.filter(|due| digest.made - *due > LATE) {
        let due = utc_and_local(due, digest.zone);
        lead.push(format!("It was due at {due}; {} could not send it then.", digest.watchdog));
    }
    lead
}

fn figures(digest: &Digest) -> Vec<Figure> {
    let figure = |label: &str, value: String, mood| Figure { label: label.to_owned(), value, mood };
    let share = |label, share: Share| {
        let mood = if share.is_whole() && share.observed > 0 { Mood::Good } else { Mood::Bad };
        figure(label, percent(share).unwrap_or_else(|| "not observed".to_owned()), mood)
    };
    let worked = digest.checkers.iter().flat_map(|part| part.availability.services.values());
    let worked = worked.map(|service| service.ok);
    let unobserved = (digest.period.until - digest.period.from) - digest.observed;
    let (alarms, taken) =
        (announced(digest).count(), announced(digest).filter(|one| one.taken.is_some()).count());
    let open = digest.incidents.iter().filter(|one| one.closed.is_none()).count();
    let good_if = |good: bool| if good { Mood::Good } else { Mood::Bad };
    let mut figures = vec![share("Checkers heard", heard(digest)), share("Services worked", sum(worked))];
    figures.push(figure("Not observed", none_or(unobserved), good_if(unobserved <= TimeDelta::zero())));
    figures.push(figure("Silences", digest.silences.len().to_string(), good_if(digest.silences.is_empty())));
    let told = if alarms == 0 { "0".to_owned() } else { format!("{alarms}, {taken} taken") };
    figures.push(figure("Alarms", told, good_if(alarms == 0)));
    if let Some(took) = latencies(acknowledged_after(digest)) {
        let value = format!("median {}, longest {}", span(took.median), span(took.max));
        figures.push(figure("Taken after", value, Mood::Plain));
    }
    figures.push(figure("Still open", open.to_string(), good_if(open == 0)));
    let waiting = digest.deliveries.waiting.len();
    figures.push(figure("Undelivered", waiting.to_string(), good_if(waiting == 0)));
    figures
}

fn checkers(digest: &Digest) -> Section {
    let length = (digest.period.until - digest.period.from).num_milliseconds();
    let mut parts: Vec<&CheckerPart> = digest.checkers.iter().collect();
    // Who was not observed at all comes first: nothing is known of it.
    parts.sort_by_key(|part| (part.availability.heard.millipercent(), Reverse(silent_ms(part))));
    let row = |part: &&CheckerPart| {
        let heard = part.availability.heard;
        Row::new([
            name_and_provider(part),
            percent(heard).unwrap_or_else(|| "not observed".to_owned()),
            some(silent_ms(part)),
            some(length - heard.observed),
        ])
        .bad_if(!heard.is_whole() || heard.observed == 0)
    };
    let section = Section::new("Checkers", &["Checker", "Heard", "Silent", "Not observed"])
        .fill(parts.iter().map(row).collect(), "checkers, none of them heard less");
    section.noted(
        "The worst first. Heard is a share of the time that was observed; silence counts from the last mail.",
    )
}

/// One service as all its checkers saw it, and the one that saw it work least, with its share.
type Seen<'a> = (ServiceTime, Option<(i64, &'a str)>);

fn services(digest: &Digest) -> Section {
    let mut of: BTreeMap<&str, Seen<'_>> = BTreeMap::new();
    for part in &digest.checkers {
        for (name, time) in &part.availability.services {
            let (sum, worst) = of.entry(name).or_default();
            sum.ok.add(time.ok);
            sum.failing_ms += time.failing_ms;
            sum.missing_ms += time.missing_ms;
            let seen = time.ok.millipercent().map(|share| (share, part.name.as_str()));
            *worst = [*worst, seen].into_iter().flatten().min();
        }
    }
    let mut rows: Vec<_> = of.into_iter().collect();
    rows.sort_by_key(|(_, (sum, _))| sum.ok.millipercent());
    let row = |(name, (sum, worst)): &(&str, Seen<'_>)| {
        let worst = worst.filter(|_| !sum.ok.is_whole());
        Row::new([
            quoted(name, CELL_CHARS_MAX),
            percent(sum.ok).unwrap_or_else(|| "not observed".to_owned()),
            some(sum.failing_ms),
            some(sum.missing_ms),
            worst.map_or_else(String::new, |(share, checker)| format!("{checker} {}", shown_percent(share))),
        ])
        .bad_if(!sum.ok.is_whole())
    };
    Section::new("Services", &["Service", "Worked", "Failing", "Not reported", "Worst for"])
        .fill(rows.iter().map(row).collect(), "services, none of them worked less")
        .noted("As all checkers together saw them: a checker that is silent says nothing good. Times are summed over the checkers.")
}

fn silences(digest: &Digest) -> Section {
    let length = |silence: &SilencePart| silence.until.unwrap_or(digest.made) - silence.since;
    let mut silences: Vec<&SilencePart> = digest.silences.iter().collect();
    silences.sort_by_key(|silence| (Reverse(length(silence)), &silence.checker));
    let row = |silence: &&SilencePart| {
        let so_far = if silence.until.is_none() { " so far" } else { "" };
        Row::new([
            quoted(&silence.checker, CELL_CHARS_MAX),
            format!("{}{so_far}", span(length(silence))),
            moment(silence.since, digest.zone),
            reason_words(silence.reason),
        ])
        .bad_if(silence.until.is_none())
    };
    let section = Section::new("Silences", &["Checker", "Length", "Last heard", "Reason"])
        .fill(silences.iter().map(row).collect(), "silences, none of them longer");
    if silences.is_empty() { section.noted("None.") } else { section.noted("The longest first.") }
}

fn incidents(digest: &Digest) -> Section {
    let mut incidents: Vec<&IncidentPart> = digest.incidents.iter().collect();
    incidents.sort_by_key(|one| (one.closed.is_some(), Reverse(one.opened)));
    let row = |one: &&IncidentPart| {
        let length = one.closed.unwrap_or(digest.made) - one.opened;
        let taken = match (&one.taken, one.announced) {
            (Some((by, at)), announced) => {
                let after = span(*at - announced.unwrap_or(one.opened));
                format!("{} after {after}", quoted(by, CELL_CHARS_MAX))
            }
            (None, Some(_)) => "nobody".to_owned(),
            (None, None) => String::new(),
        };
        Row::new([
            quoted(&one.what, CELL_CHARS_MAX),
            moment(one.opened, digest.zone),
            if one.closed.is_some() { span(length) } else { format!("{} so far", span(length)) },
            taken,
            one.id.clone(),
        ])
        .bad_if(one.closed.is_none())
    };
    let section = Section::new("Incidents", &["Alarm", "Opened", "Lasted", "Taken by", "Incident"])
        .fill(incidents.iter().map(row).collect(), "incidents, all of them over or older");
    if incidents.is_empty() { section.noted("None.") } else { section }
}

fn mail_path(digest: &Digest) -> Section {
    let timed = |part: &'_ CheckerPart| part.path.clone().map(|times| (name_and_provider(part), times));
    let mut rows: Vec<_> = digest.checkers.iter().filter_map(timed).collect();
    rows.sort_by_key(|(_, times)| Reverse((times.p99, times.longest)));
    let row = |(name, times): &(String, super::PathTimes)| {
        Row::new([
            name.clone(),
            brief(times.median),
            brief(times.p99),
            brief(times.longest),
            times.slowest.as_deref().map(|part| quoted(part, CELL_CHARS_MAX)).unwrap_or_default(),
        ])
    };
    let columns = ["Checker", "Median", "99 of 100", "Longest", "Slowest part"];
    let section = Section::new("Mail path", &columns)
        .fill(rows.iter().map(row).collect(), "checkers, none of them slower");
    if rows.is_empty() { section.noted("No mail had a date.") } else { section.noted("The slowest first.") }
}

fn findings(digest: &Digest) -> Option<Section> {
    let mut findings: Vec<_> = digest.findings.iter().collect();
    findings.sort_by_key(|finding| Reverse(finding.runs));
    let row = |finding: &&super::FindingPart| {
        Row::new([
            quoted(&finding.checker, CELL_CHARS_MAX),
            finding.breach.word().to_owned(),
            counted(usize::try_from(finding.runs).unwrap_or(usize::MAX), "run"),
            moment(finding.since, digest.zone),
        ])
        .bad_if(true)
    };
    let section = Section::new("Findings", &["Checker", "Rule broken", "In a row", "Since"])
        .fill(findings.iter().map(row).collect(), "findings")
        .noted("Rules of reporting that runs break now.");
    (!findings.is_empty()).then_some(section)
}

fn chains(digest: &Digest) -> Option<Section> {
    let row = |chain: &ChainPart| {
        let (proved, took) = match chain.proof {
            Some((at, took)) => (moment(at, digest.zone), brief(took)),
            None => ("never".to_owned(), String::new()),
        };
        let unproved = chain.unproved.map(|began| moment(began, digest.zone)).unwrap_or_default();
        Row::new([chain.channel.clone(), proved, took, unproved]).bad_if(chain.unproved.is_some())
    };
    let section =
        Section::new("Drills", &["Channel", "Its chain last proved itself", "It took", "Not proved since"])
            .fill(digest.chains.iter().map(row).collect(), "channels");
    (!digest.chains.is_empty()).then_some(section)
}

fn deliveries(digest: &Digest) -> Section {
    let deliveries = &digest.deliveries;
    let row = |waiting: &super::Waiting| {
        Row::new([
            quoted(&waiting.subject, CELL_CHARS_MAX),
            quoted(&waiting.channel, CELL_CHARS_MAX),
            span(digest.made - waiting.since),
            counted(usize::try_from(waiting.attempts).unwrap_or(usize::MAX), "attempt"),
            waiting.error.as_deref().map(|error| quoted(error, ERROR_CHARS_MAX)).unwrap_or_default(),
        ])
        .bad_if(true)
    };
    let times = latencies(deliveries.took.clone()).map_or_else(String::new, |took| {
        format!(" in {} (median; longest {})", brief(took.median), brief(took.max))
    });
    let mut note = format!("{} accepted{times}", counted(deliveries.took.len(), "message"));
    for (count, what) in [(deliveries.retried, "after a retry"), (deliveries.dropped, "given up")] {
        if count > 0 {
            note.push_str(&format!(", {count} {what}"));
        }
    }
    let waiting = if deliveries.waiting.is_empty() { "; none waits." } else { "; these wait:" };
    note.push_str(waiting);
    Section::new("Deliveries", &["Message", "Channel", "Waits", "Tried", "Error"])
        .fill(deliveries.waiting.iter().map(row).collect(), "messages")
        .noted(note)
}

fn endings(digest: &Digest) -> Option<Section> {
    let mut endings: Vec<_> = digest.endings.iter().collect();
    endings.sort_by_key(|ending| (ending.at, &ending.mailbox));
    let row = |ending: &&super::EndingPart| {
        let left = ending.at - digest.made;
        let when = if left > TimeDelta::zero() { format!("in {}", span(left)) } else { "ended".to_owned() };
        Row::new([
            format!("{}, mailbox {}", ending.what.words(), quoted(&ending.mailbox, CELL_CHARS_MAX)),
            utc_and_local(ending.at, digest.zone),
            when,
        ])
        .bad_if(true)
    };
    let section = Section::new("Ends soon", &["What", "Ends", "Left"])
        .fill(endings.iter().map(row).collect(), "credentials");
    (!endings.is_empty()).then_some(section)
}

fn heard(digest: &Digest) -> Share {
    sum(digest.checkers.iter().map(|part| part.availability.heard))
}

fn sum(shares: impl Iterator<Item = Share>) -> Share {
    shares.fold(Share::default(), |mut sum, share| {
        sum.add(share);
        sum
    })
}

/// Those of which somebody was told in the period.
fn announced(digest: &Digest) -> impl Iterator<Item = &IncidentPart> {
    let within = |at: Time| digest.period.from <= at && at < digest.period.until;
    digest.incidents.iter().filter(move |one| one.announced.is_some_and(within))
}

fn acknowledged_after(digest: &Digest) -> Vec<TimeDelta> {
    announced(digest).filter_map(|one| Some(one.taken.as_ref()?.1 - one.announced?)).collect()
}

fn silent_ms(part: &CheckerPart) -> i64 {
    part.availability.heard.observed - part.availability.heard.well
}

fn name_and_provider(part: &CheckerPart) -> String {
    format!("{} ({})", quoted(&part.name, CELL_CHARS_MAX), quoted(&part.provider, CELL_CHARS_MAX))
}

fn reason_words(reason: Option<Reason>) -> String {
    reason.map_or_else(String::new, |reason| reason.word().replace('_', " "))
}

fn percent(share: Share) -> Option<String> {
    share.millipercent().map(shown_percent)
}

/// Rounded down: `100 %` is all of it.
fn shown_percent(millipercent: i64) -> String {
    match millipercent {
        100_000.. => "100 %".to_owned(),
        _ => format!("{}.{:03} %", millipercent / 1_000, millipercent % 1_000),
    }
}

/// A length in milliseconds, or nothing.
fn some(ms: i64) -> String {
    if ms > 0 { at_least_a_second(TimeDelta::milliseconds(ms)) } else { String::new() }
}

fn none_or(length: TimeDelta) -> String {
    if length > TimeDelta::zero() { at_least_a_second(length) } else { "nothing".to_owned() }
}

fn at_least_a_second(length: TimeDelta) -> String {
    if length < TimeDelta::seconds(1) { "less than 1 s".to_owned() } else { span(length) }
}

/// As [`span`], with tenths where seconds are few.
fn brief(length: TimeDelta) -> String {
    let ms = length.num_milliseconds();
    if (0..10_000).contains(&ms) { format!("{}.{} s", ms / 1_000, ms % 1_000 / 100) } else { span(length) }
}

/// On the clock of the people: `11-19 14:05`. The zone stands at the top.
fn moment(time: Time, zone: Tz) -> String {
    time.with_timezone(&zone).format("%m-%d %H:%M").to_string()
}

fn counted(count: usize, what: &str) -> String {
    format!("{count} {what}{}", if count == 1 { "" } else { "s" })
}
