//! What is asked. The present comes from the daemon's picture, the past from the state file.

use std::sync::Arc;

use anyhow::Result;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::Response;
use serde::{Deserialize, Serialize};

use super::{Refused, json};
use crate::config::{Checker, Config};
use crate::incidents::{IncidentLine, Incidents, MessageLine};
use crate::inquiry::{self, inquire};
use crate::ledger::StoredReport;
use crate::report::Understood;
use crate::store::{NotKept, Store};
use crate::strip::Window;
use crate::time::{Time, as_rfc3339, seconds};
use crate::web::{Picture, Site, strip};
use crate::{clock, past, time};

/// So many closed incidents are listed at most.
const CLOSED_MAX: u32 = 1_000;
/// And so many when only they are asked for and nobody says how many.
const CLOSED_USUAL: u32 = 50;
/// The newest so many messages about an incident are listed.
const MESSAGES_MAX: u32 = 200;
/// So many reports are listed when nobody says how many, and at most.
const REPORTS_USUAL: u32 = 20;
const REPORTS_MAX: u32 = 1_000;

pub(super) type Asked<T> = Result<Query<T>, QueryRejection>;
pub(super) type Told = Result<Response, Refused>;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct AsOf {
    as_of: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Since {
    since: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Reports {
    checker: String,
    until: Option<String>,
    limit: Option<u32>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Before {
    before: Option<String>,
    limit: Option<u32>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Nothing {}

pub(super) async fn last_seen(State(site): State<Arc<Site>>, asked: Asked<AsOf>) -> Told {
    match moment(understood(asked)?.as_of)? {
        None => shown(&site, |picture| json(&picture.last_seen)).await,
        Some(time) => found(&site, move |store, config| past::last_seen(store, config, time).map(Some)).await,
    }
}

pub(super) async fn matrix(State(site): State<Arc<Site>>, asked: Asked<AsOf>) -> Told {
    match moment(understood(asked)?.as_of)? {
        None => shown(&site, |picture| json(&picture.matrix)).await,
        Some(time) => found(&site, move |store, config| past::matrix(store, config, time).map(Some)).await,
    }
}

/// One checker as it is configured.
#[derive(Serialize)]
struct Configured<'a> {
    name: &'a str,
    provider: &'a str,
    addresses: &'a [String],
    cycle_s: f64,
    missed_cycles: u32,
    tests: Vec<Test<'a>>,
}

#[derive(Serialize)]
struct Test<'a> {
    service: &'a str,
    timeout_s: f64,
}

impl<'a> From<&'a Checker> for Configured<'a> {
    fn from(checker: &'a Checker) -> Self {
        let test =
            |test: &'a crate::config::Test| Test { service: &test.service, timeout_s: seconds(test.timeout) };
        Self {
            name: &checker.name,
            provider: &checker.provider,
            addresses: &checker.addresses,
            cycle_s: seconds(checker.cycle),
            missed_cycles: checker.missed_cycles,
            tests: checker.tests.iter().map(test).collect(),
        }
    }
}

pub(super) async fn checkers(State(site): State<Arc<Site>>, asked: Asked<Nothing>) -> Told {
    understood(asked)?;
    let checkers: Vec<Configured<'_>> = site.config.checkers.iter().map(Configured::from).collect();
    Ok(json(&serde_json::json!({ "checkers": checkers })))
}

pub(super) async fn checker(
    State(site): State<Arc<Site>>,
    Path(name): Path<String>,
    asked: Asked<AsOf>,
) -> Told {
    let as_of = moment(understood(asked)?.as_of)?;
    found(&site, move |store, config| inquire(store, config, &name, (as_of, clock::now()))).await
}

/// Its deadline sum, its mail path by hops, and its latest mails as they were understood.
pub(super) async fn detail(
    State(site): State<Arc<Site>>,
    Path(name): Path<String>,
    asked: Asked<Nothing>,
) -> Told {
    understood(asked)?;
    let now = clock::now();
    let picture = site.pictures.fresh(now).await;
    let picture = picture.map_err(|_| Refused::busy("The daemon does not answer."))?;
    let named = picture.last_seen.checkers.iter().find(|line| line.name.eq_ignore_ascii_case(&name)).cloned();
    found(&site, move |store, config| {
        named.map_or(Ok(None), |line| crate::web::detail::read(store, config, line, now))
    })
    .await
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Back {
    window: Option<String>,
}

/// A strip of the past for each checker.
pub(super) async fn strips(State(site): State<Arc<Site>>, asked: Asked<Back>) -> Told {
    let window = match understood(asked)?.window.as_deref() {
        None => Window::Day,
        Some(word) => {
            Window::named(word).ok_or_else(|| Refused::request("The windows are 24h, 7d and 90d."))?
        }
    };
    strip::of_all(&site, window).await.map(|strips| json(&*strips)).map_err(Refused::busy)
}

/// One report as it is kept.
#[derive(Serialize)]
struct ReportLine {
    message_id: Option<String>,
    mailbox: String,
    folder: String,
    uid: u32,
    #[serde(serialize_with = "as_rfc3339")]
    received: Time,
    /// When the watchdog saw it.
    #[serde(serialize_with = "as_rfc3339")]
    seen: Time,
    mail: Understood,
}

impl From<StoredReport> for ReportLine {
    fn from(report: StoredReport) -> Self {
        let StoredReport { message_id, folder, uid, observation } = report;
        Self {
            message_id,
            mailbox: observation.mailbox,
            folder,
            uid,
            received: observation.received,
            seen: observation.seen,
            mail: observation.mail,
        }
    }
}

pub(super) async fn reports(State(site): State<Arc<Site>>, asked: Asked<Reports>) -> Told {
    let Reports { checker, until, limit } = understood(asked)?;
    let until = moment(until)?.unwrap_or_else(clock::now);
    let limit = limit.unwrap_or(REPORTS_USUAL).min(REPORTS_MAX);
    found(&site, move |store, config| {
        let Some(checker) = inquiry::named(config, &checker) else { return Ok(None) };
        let reports = store.reports_of(&checker.name, until, limit)?;
        let lines: Vec<ReportLine> = reports.into_iter().map(ReportLine::from).collect();
        Ok(Some(serde_json::json!({ "reports": lines })))
    })
    .await
}

pub(super) async fn incidents(State(site): State<Arc<Site>>, asked: Asked<Since>) -> Told {
    let Some(since) = moment(understood(asked)?.since)? else {
        return shown(&site, |picture| json(&Incidents { incidents: picture.incidents.clone() })).await;
    };
    found(&site, move |store, config| {
        let incidents = store.incidents(Some(since), CLOSED_MAX)?.into_iter();
        let line = |incident| IncidentLine::of(&incident, Vec::new(), config);
        Ok(Some(Incidents { incidents: incidents.map(line).collect() }))
    })
    .await
}

/// Newest first, a page at a time.
pub(super) async fn closed_incidents(State(site): State<Arc<Site>>, asked: Asked<Before>) -> Told {
    let Before { before, limit } = understood(asked)?;
    let limit = limit.unwrap_or(CLOSED_USUAL).min(CLOSED_MAX);
    found(&site, move |store, config| closed(store, config, before.as_deref(), limit)).await
}

/// None when there is no incident `before`.
///
/// # Errors
/// When the state cannot be read.
pub(in crate::web) fn closed(
    store: &Store,
    config: &Config,
    before: Option<&str>,
    limit: u32,
) -> Result<Option<Incidents>> {
    let line = |incident| IncidentLine::of(&incident, Vec::new(), config);
    let closed = store.closed_incidents(before, limit)?;
    Ok(closed.map(|closed| Incidents { incidents: closed.into_iter().map(line).collect() }))
}

/// Who was told, and what the far sides answered.
pub(super) async fn messages(
    State(site): State<Arc<Site>>,
    Path(id): Path<String>,
    asked: Asked<Nothing>,
) -> Told {
    understood(asked)?;
    found(&site, move |store, _| {
        let Some(incident) = store.incident(&id)? else { return Ok(None) };
        Ok(Some(serde_json::json!({ "messages": messages_about(store, &incident.id())? })))
    })
    .await
}

/// # Errors
/// When the state cannot be read.
pub(in crate::web) fn messages_about(store: &Store, incident: &str) -> Result<Vec<MessageLine>> {
    store.messages_about(incident, MESSAGES_MAX)
}

/// With everything that happened to it.
pub(super) async fn incident(
    State(site): State<Arc<Site>>,
    Path(id): Path<String>,
    asked: Asked<Nothing>,
) -> Told {
    understood(asked)?;
    found(&site, move |store, config| {
        let Some(incident) = store.incident(&id)? else { return Ok(None) };
        Ok(Some(IncidentLine::of(&incident, store.steps(&id)?, config)))
    })
    .await
}

pub(super) async fn silences(State(site): State<Arc<Site>>, asked: Asked<Nothing>) -> Told {
    understood(asked)?;
    let now = clock::now();
    found(&site, move |store, _| Ok(Some(serde_json::json!({ "silences": store.silences_after(now)? }))))
        .await
}

/// What the drills have proved, as the last-seen table has it.
pub(super) async fn drills(State(site): State<Arc<Site>>, asked: Asked<Nothing>) -> Told {
    understood(asked)?;
    shown(&site, |picture| json(&serde_json::json!({ "chains": picture.last_seen.chains }))).await
}

async fn shown(site: &Site, show: impl FnOnce(&Picture) -> Response) -> Told {
    match site.pictures.fresh(clock::now()).await {
        Ok(picture) => Ok(show(&picture)),
        Err(_) => Err(Refused::busy("The daemon does not answer.")),
    }
}

pub(super) async fn found<T: Serialize + Send + 'static>(
    site: &Site,
    question: impl FnOnce(&Store, &Config) -> Result<Option<T>> + Send + 'static,
) -> Told {
    match site.archive.ask(question).await {
        Ok(Some(answer)) => Ok(json(&answer)),
        Ok(None) => Err(Refused::new(StatusCode::NOT_FOUND, "There is none of this name.")),
        Err(error) if error.is::<NotKept>() => Err(Refused::new(StatusCode::NOT_FOUND, error.to_string())),
        Err(error) => {
            tracing::warn!(error = format!("{error:#}"), "a question about the past was not answered");
            Err(Refused::busy(format!("{error:#}")))
        }
    }
}

pub(super) fn understood<T>(asked: Asked<T>) -> Result<T, Refused> {
    asked.map(|Query(asked)| asked).map_err(|rejection| Refused::request(rejection.body_text()))
}

pub(super) fn moment(text: Option<String>) -> Result<Option<Time>, Refused> {
    text.map(|text| time::moment(&text, clock::now())).transpose().map_err(Refused::request)
}
