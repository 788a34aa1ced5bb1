//! What is asked. The present comes from the daemon's picture, the past from the state file.

use std::sync::Arc;

use anyhow::Result;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::Response;
use serde::{Deserialize, Serialize};

use super::{failed, json};
use crate::config::{Checker, Config};
use crate::incidents::{IncidentLine, Incidents};
use crate::inquiry::{self, inquire};
use crate::ledger::StoredReport;
use crate::report::Understood;
use crate::store::Store;
use crate::time::{Time, as_rfc3339, seconds};
use crate::web::{Picture, Site};
use crate::{clock, past, time};

/// So many closed incidents are listed at most.
const CLOSED_MAX: u32 = 1_000;
/// So many reports are listed when nobody says how many, and at most.
const REPORTS_USUAL: u32 = 20;
const REPORTS_MAX: u32 = 1_000;

type Asked<T> = Result<Query<T>, QueryRejection>;

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
pub(super) struct Nothing {}

pub(super) async fn last_seen(State(site): State<Arc<Site>>, asked: Asked<AsOf>) -> Response {
    match asked.map(|Query(asked)| moment(asked.as_of.as_deref())) {
        Ok(Ok(None)) => shown(&site, |picture| json(&picture.last_seen)).await,
        Ok(Ok(Some(time))) => {
            found(&site, move |store, config| Ok(Some(past::last_seen(store, config, time)?))).await
        }
        Ok(Err(refused)) => refused,
        Err(rejection) => not_understood(&rejection),
    }
}

pub(super) async fn matrix(State(site): State<Arc<Site>>, asked: Asked<AsOf>) -> Response {
    match asked.map(|Query(asked)| moment(asked.as_of.as_deref())) {
        Ok(Ok(None)) => shown(&site, |picture| json(&picture.matrix)).await,
        Ok(Ok(Some(time))) => {
            found(&site, move |store, config| Ok(Some(past::matrix(store, config, time)?))).await
        }
        Ok(Err(refused)) => refused,
        Err(rejection) => not_understood(&rejection),
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

pub(super) async fn checkers(State(site): State<Arc<Site>>, asked: Asked<Nothing>) -> Response {
    if let Err(rejection) = asked {
        return not_understood(&rejection);
    }
    let checkers: Vec<Configured<'_>> = site.config.checkers.iter().map(Configured::from).collect();
    json(&serde_json::json!({ "checkers": checkers }))
}

pub(super) async fn checker(
    State(site): State<Arc<Site>>,
    Path(name): Path<String>,
    asked: Asked<AsOf>,
) -> Response {
    let as_of = match asked.map(|Query(asked)| moment(asked.as_of.as_deref())) {
        Ok(Ok(as_of)) => as_of,
        Ok(Err(refused)) => return refused,
        Err(rejection) => return not_understood(&rejection),
    };
    found(&site, move |store, config| inquire(store, config, &name, (as_of, clock::now()))).await
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

pub(super) async fn reports(State(site): State<Arc<Site>>, asked: Asked<Reports>) -> Response {
    let Query(asked) = match asked {
        Ok(asked) => asked,
        Err(rejection) => return not_understood(&rejection),
    };
    let until = match moment(asked.until.as_deref()) {
        Ok(until) => until.unwrap_or_else(clock::now),
        Err(refused) => return refused,
    };
    let limit = asked.limit.unwrap_or(REPORTS_USUAL).min(REPORTS_MAX);
    found(&site, move |store, config| {
        let Some(checker) = inquiry::named(config, &asked.checker) else { return Ok(None) };
        let reports = store.reports_of(&checker.name, until, limit)?;
        let lines: Vec<ReportLine> = reports.into_iter().map(ReportLine::from).collect();
        Ok(Some(serde_json::json!({ "reports": lines })))
    })
    .await
}

pub(super) async fn incidents(State(site): State<Arc<Site>>, asked: Asked<Since>) -> Response {
    match asked.map(|Query(asked)| moment(asked.since.as_deref())) {
        Ok(Ok(None)) => {
            shown(&site, |picture| json(&Incidents { incidents: picture.incidents.clone() })).await
        }
        Ok(Ok(Some(since))) => {
            found(&site, move |store, config| {
                let incidents = store.incidents(Some(since), CLOSED_MAX)?.into_iter();
                let line = |incident| IncidentLine::of(&incident, Vec::new(), config);
                Ok(Some(Incidents { incidents: incidents.map(line).collect() }))
            })
            .await
        }
        Ok(Err(refused)) => refused,
        Err(rejection) => not_understood(&rejection),
    }
}

/// With everything that happened to it.
pub(super) async fn incident(
    State(site): State<Arc<Site>>,
    Path(id): Path<String>,
    asked: Asked<Nothing>,
) -> Response {
    if let Err(rejection) = asked {
        return not_understood(&rejection);
    }
    found(&site, move |store, config| {
        let Some(incident) = store.incident(&id)? else { return Ok(None) };
        Ok(Some(IncidentLine::of(&incident, store.steps(&id)?, config)))
    })
    .await
}

pub(super) async fn silences(State(site): State<Arc<Site>>, asked: Asked<Nothing>) -> Response {
    if let Err(rejection) = asked {
        return not_understood(&rejection);
    }
    let now = clock::now();
    found(&site, move |store, _| Ok(Some(serde_json::json!({ "silences": store.silences_after(now)? }))))
        .await
}

async fn shown(site: &Site, show: impl FnOnce(&Picture) -> Response) -> Response {
    match site.pictures.fresh(clock::now()).await {
        Ok(picture) => show(&picture),
        Err(_) => failed(StatusCode::SERVICE_UNAVAILABLE, "The daemon does not answer."),
    }
}

async fn found<T: Serialize + Send + 'static>(
    site: &Site,
    question: impl FnOnce(&Store, &Config) -> Result<Option<T>> + Send + 'static,
) -> Response {
    match site.archive.ask(question).await {
        Ok(Some(answer)) => json(&answer),
        Ok(None) => failed(StatusCode::NOT_FOUND, "There is none of this name."),
        Err(error) => {
            tracing::warn!(error = format!("{error:#}"), "a question about the past was not answered");
            failed(StatusCode::SERVICE_UNAVAILABLE, &format!("{error:#}"))
        }
    }
}

fn moment(text: Option<&str>) -> Result<Option<Time>, Response> {
    let read = |text| time::moment(text, clock::now());
    text.map(read).transpose().map_err(|sentence| failed(StatusCode::BAD_REQUEST, &sentence))
}

fn not_understood(rejection: &QueryRejection) -> Response {
    failed(StatusCode::BAD_REQUEST, &rejection.body_text())
}
