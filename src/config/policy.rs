//! `[[schedule]]`, `[[route]]` and `[[silence]]`: who is told, and when.

use std::collections::BTreeSet;
use std::ops::RangeInclusive;
use std::sync::Arc;

use chrono::{NaiveDate, TimeDelta};
use chrono_tz::Tz;

use super::channel::EVENTS;
use super::report::{Reported, quoted};
use super::section::{Item, Section, Unique, nearest};
use super::{Channel, Checker, value};
use crate::incident::Severity;
use crate::policy::{Escalation, Hours, Maintenance, Policies, Route, Schedule, Silenced};
use crate::reason::Reason;

const MAX_SCHEDULES: usize = 100;
const MAX_ROUTES: usize = 200;
const MAX_SILENCES: usize = 200;
/// Hours of a schedule, holidays, names in a condition.
const MAX_ENTRIES: usize = 1_000;
const MAX_ESCALATIONS: usize = 20;

const REPEAT: RangeInclusive<TimeDelta> = TimeDelta::minutes(1)..=TimeDelta::days(7);
const ESCALATE_AFTER: RangeInclusive<TimeDelta> = TimeDelta::zero()..=TimeDelta::days(7);

const SEVERITIES: [(&str, Severity); 2] = [("warning", Severity::Warning), ("critical", Severity::Critical)];

/// What names in the policies may refer to; None where that could not be read.
struct Known {
    channels: Option<BTreeSet<String>>,
    checkers: Option<BTreeSet<String>>,
    providers: Option<BTreeSet<String>>,
    services: Option<BTreeSet<String>>,
    schedules: Result<Vec<Arc<Schedule>>, Reported>,
}

pub(super) fn read_all(
    root: &mut Section<'_>,
    zone: Tz,
    checkers: Option<&[Checker]>,
    channels: Option<&[Channel]>,
) -> Result<Policies, Reported> {
    let schedules = schedules(root, zone);
    let of = |names: fn(&Checker) -> Vec<&str>| {
        let owned = |names: Vec<&str>| names.into_iter().map(str::to_owned).collect::<Vec<_>>();
        checkers.map(|checkers| checkers.iter().flat_map(|checker| owned(names(checker))).collect())
    };
    let known = Known {
        channels: channels.map(|channels| channels.iter().map(|channel| channel.name.clone()).collect()),
        checkers: of(|checker| vec![&checker.name]),
        providers: of(|checker| vec![&checker.provider]),
        services: of(|checker| checker.tests.iter().map(|test| test.service.as_str()).collect()),
        schedules: schedules.clone(),
    };
    let routes = root.optional("route", |item| {
        item.list(0..=MAX_ROUTES, |element| route(element.section("[[route]]")?, &known))
    });
    let maintenance = root.optional("silence", |item| {
        item.list(0..=MAX_SILENCES, |element| maintenance(element.section("[[silence]]")?, &known))
    });
    Ok(Policies {
        schedules: schedules?,
        routes: routes?.unwrap_or_default(),
        maintenance: maintenance?.unwrap_or_default(),
    })
}

fn schedules(root: &mut Section<'_>, zone: Tz) -> Result<Vec<Arc<Schedule>>, Reported> {
    let mut names = Unique::default();
    let schedules = root.optional("schedule", |item| {
        item.list(0..=MAX_SCHEDULES, |element| schedule(element.section("[[schedule]]")?, zone, &mut names))
    });
    Ok(schedules?.unwrap_or_default())
}

fn schedule(mut section: Section<'_>, zone: Tz, names: &mut Unique) -> Result<Arc<Schedule>, Reported> {
    let name = section.required("name", |item| {
        let name = value::name(&item)?;
        names.claim_item(&name, &item)?;
        Ok(name)
    });
    let hours = section.required("hours", |item| item.one_or_list(1..=MAX_ENTRIES, |item| hours(&item)));
    let holidays = section.optional("holidays", |item| item.list(0..=MAX_ENTRIES, |item| holiday(&item)));
    let own_zone = section.optional("timezone", |item| value::timezone(&item));
    section.finish();
    Ok(Arc::new(Schedule {
        name: name?,
        zone: own_zone?.unwrap_or(zone),
        hours: hours?,
        holidays: holidays?.unwrap_or_default().into_iter().collect(),
    }))
}

fn hours(item: &Item<'_>) -> Result<Hours, Reported> {
    let text = item.text()?;
    Hours::parse(text).ok_or_else(|| {
        item.wrong(format!(
            "{} is not of the form \"mon-fri 08:00-18:00\", \"sat,sun\" or \"daily 22:00-06:00\"",
            quoted(text)
        ))
    })
}

fn holiday(item: &Item<'_>) -> Result<NaiveDate, Reported> {
    let text = item.date()?;
    text.parse().map_err(|_| item.wrong(format!("{} is not a date such as 2026-12-25", quoted(text))))
}

fn route(mut section: Section<'_>, known: &Known) -> Result<Route, Reported> {
    let events = section.optional("events", |item| item.list(1..=EVENTS.len(), |item| item.choice(&EVENTS)));
    let severities =
        section.optional("severity", |item| item.one_or_list(1..=2, |item| item.choice(&SEVERITIES)));
    let checkers = names(&mut section, "checkers", "checker", &known.checkers);
    let providers = names(&mut section, "providers", "provider", &known.providers);
    let services = names(&mut section, "services", "service", &known.services);
    let reasons = section.optional("reasons", |item| item.one_or_list(1..=MAX_ENTRIES, |item| reason(&item)));
    let channels = section.required("channels", |item| channels_of(item, &known.channels));
    let schedule = section.optional("schedule", |item| schedule_of(&item, &known.schedules));
    let repeat = section.optional("repeat", |item| item.duration(REPEAT));
    let escalations = section.optional("escalate", |item| {
        item.list(1..=MAX_ESCALATIONS, |element| escalation(element.section("the step of escalate")?, known))
    });
    let goes_on = section.optional("continue", |item| item.boolean());
    section.finish();
    let mut escalations = escalations?.unwrap_or_default();
    escalations.sort_by_key(|step| step.after);
    Ok(Route {
        events: events?.into_iter().flatten().collect(),
        severities: severities?.into_iter().flatten().collect(),
        checkers: checkers?,
        providers: providers?,
        services: services?,
        reasons: reasons?.into_iter().flatten().collect(),
        channels: channels?,
        schedule: schedule?,
        repeat: repeat?,
        escalations,
        goes_on: goes_on?.unwrap_or(false),
    })
}

fn escalation(mut section: Section<'_>, known: &Known) -> Result<Escalation, Reported> {
    let after = section.required("after", |item| item.duration(ESCALATE_AFTER));
    let channels = section.required("channels", |item| channels_of(item, &known.channels));
    section.finish();
    Ok(Escalation { after: after?, channels: channels? })
}

fn maintenance(mut section: Section<'_>, known: &Known) -> Result<Maintenance, Reported> {
    let checkers = names(&mut section, "checkers", "checker", &known.checkers);
    let providers = names(&mut section, "providers", "provider", &known.providers);
    let services = names(&mut section, "services", "service", &known.services);
    let schedule = section.required("schedule", |item| schedule_of(&item, &known.schedules));
    section.finish();
    let silenced = Silenced { checkers: checkers?, providers: providers?, services: services? };
    Ok(Maintenance { silenced, schedule: schedule? })
}

/// Names of things that are configured; absent is none.
fn names(
    section: &mut Section<'_>,
    key: &'static str,
    what: &str,
    known: &Option<BTreeSet<String>>,
) -> Result<BTreeSet<String>, Reported> {
    let read = |item: Item<'_>| item.one_or_list(1..=MAX_ENTRIES, |item| name_of(&item, what, known));
    Ok(section.optional(key, read)?.into_iter().flatten().collect())
}

/// Names of channels; `known` is None when those could not be read.
pub(super) fn channels_of(
    item: Item<'_>,
    known: &Option<BTreeSet<String>>,
) -> Result<BTreeSet<String>, Reported> {
    let names = item.one_or_list(1..=MAX_ENTRIES, |item| name_of(&item, "channel", known))?;
    Ok(names.into_iter().collect())
}

fn name_of(item: &Item<'_>, what: &str, known: &Option<BTreeSet<String>>) -> Result<String, Reported> {
    let text = item.text()?;
    let Some(known) = known else { return Ok(text.to_owned()) };
    if known.contains(text) {
        return Ok(text.to_owned());
    }
    let names: Vec<&str> = known.iter().map(String::as_str).collect();
    Err(item.wrong(format!("there is no {what} {}{}", quoted(text), nearest(text, &names))))
}

fn reason(item: &Item<'_>) -> Result<Reason, Reported> {
    let words: Vec<(&str, Reason)> = Reason::ALL.iter().map(|reason| (reason.word(), *reason)).collect();
    item.choice(&words)
}

/// The schedule of this name.
pub(super) fn schedule_of(
    item: &Item<'_>,
    schedules: &Result<Vec<Arc<Schedule>>, Reported>,
) -> Result<Arc<Schedule>, Reported> {
    let text = item.text()?;
    let schedules = schedules.as_ref().map_err(|reported| *reported)?;
    let found = schedules.iter().find(|schedule| schedule.name == text);
    found.cloned().ok_or_else(|| {
        let names: Vec<&str> = schedules.iter().map(|schedule| schedule.name.as_str()).collect();
        item.wrong(format!("there is no [[schedule]] {}{}", quoted(text), nearest(text, &names)))
    })
}
