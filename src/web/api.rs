//! `/api/v1/`: what the commands print with `--format json`.

use std::sync::Arc;

use axum::Extension;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};

use super::access::Visitor;
use super::{Picture, Site};
use crate::config::duration;
use crate::incidents::Incidents;
use crate::orders::Order;
use crate::{clock, control};

pub(super) async fn last_seen(State(site): State<Arc<Site>>) -> Response {
    shown(&site, |picture| json(&picture.last_seen)).await
}

pub(super) async fn matrix(State(site): State<Arc<Site>>) -> Response {
    shown(&site, |picture| json(&picture.matrix)).await
}

pub(super) async fn incidents(State(site): State<Arc<Site>>) -> Response {
    shown(&site, |picture| json(&Incidents { incidents: picture.incidents.clone() })).await
}

/// The body of an acknowledgement; all of it may be left out.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Acknowledgement {
    /// `2h`, say; without it until the incident is over.
    #[serde(rename = "for")]
    span: Option<String>,
    note: Option<String>,
}

pub(super) async fn acknowledge(
    State(site): State<Arc<Site>>,
    Extension(visitor): Extension<Visitor>,
    Path(incident): Path<String>,
    body: Bytes,
) -> Response {
    let given = if body.is_empty() { Ok(Acknowledgement::default()) } else { serde_json::from_slice(&body) };
    let given = match given {
        Ok(given) => given,
        Err(error) => {
            return failed(StatusCode::BAD_REQUEST, &format!("The body is not understood: {error}"));
        }
    };
    let until = match given.span.as_deref().map(duration::parse).transpose() {
        Ok(span) => span.and_then(|span| clock::now().checked_add_signed(span)),
        Err(error) => return failed(StatusCode::BAD_REQUEST, &format!("for: {error}")),
    };
    let order = Order::Acknowledge { incident, by: visitor.name, until, note: given.note };
    match control::give(&site.orders, order).await {
        Ok(answer) if answer.done => json(&answer),
        Ok(answer) => failed(StatusCode::CONFLICT, &answer.sentence),
        Err(error) => failed(StatusCode::SERVICE_UNAVAILABLE, &format!("{error:#}")),
    }
}

fn failed(status: StatusCode, sentence: &str) -> Response {
    (status, json(&control::Answer { done: false, sentence: sentence.to_owned() })).into_response()
}

async fn shown(site: &Site, show: impl FnOnce(&Picture) -> Response) -> Response {
    match site.pictures.fresh(clock::now()).await {
        Ok(picture) => show(&picture),
        Err(_) => failed(StatusCode::SERVICE_UNAVAILABLE, "The daemon does not answer."),
    }
}

fn json(value: &impl Serialize) -> Response {
    match serde_json::to_vec(value) {
        Ok(body) => ([(header::CONTENT_TYPE, "application/json")], body).into_response(),
        Err(error) => {
            tracing::error!(%error, "an answer cannot be written as JSON");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}
