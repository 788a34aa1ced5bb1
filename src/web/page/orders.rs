//! Forms → orders, and back to a page that shows what became of it. They are the orders that the API takes.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect, Response};
use axum::{Extension, Form};
use serde::Deserialize;

use super::frame::{Renewal, segment};
use super::handlers::{answer_with, sorry};
use crate::orders::Order;
use crate::web::Site;
use crate::web::access::Visitor;
use crate::web::api::{Silence, after};
use crate::{clock, control};

/// The form of an incident. What is left empty is as if it were not there.
#[derive(Deserialize)]
pub(super) struct Taking {
    #[serde(rename = "for", default)]
    span: String,
    #[serde(default)]
    note: String,
}

/// Takes an incident, and shows it.
pub(super) async fn acknowledge(
    State(site): State<Arc<Site>>,
    Extension(visitor): Extension<Visitor>,
    Path(incident): Path<String>,
    Form(taking): Form<Taking>,
) -> Response {
    let back = format!("/incident/{}", segment(&incident));
    let until = said(taking.span).map(|span| after(clock::now(), &span)).transpose();
    let (by, note) = (visitor.name.clone(), said(taking.note));
    let order = until.map(|until| Order::Acknowledge { incident, by, until, note, channel: None });
    give(&site, &visitor, order, &back).await
}

#[derive(Deserialize)]
pub(super) struct Resolving {
    #[serde(default)]
    note: String,
}

/// Ends an incident by hand, and shows it.
pub(super) async fn resolve(
    State(site): State<Arc<Site>>,
    Extension(visitor): Extension<Visitor>,
    Path(incident): Path<String>,
    Form(resolving): Form<Resolving>,
) -> Response {
    let back = format!("/incident/{}", segment(&incident));
    let order = why(resolving.note).map(|note| Order::Resolve {
        incident,
        by: visitor.name.clone(),
        note: Some(note),
    });
    give(&site, &visitor, order, &back).await
}

/// Silences, and shows what is silenced.
pub(super) async fn silence(
    State(site): State<Arc<Site>>,
    Extension(visitor): Extension<Visitor>,
    Form(fields): Form<Vec<(String, String)>>,
) -> Response {
    let field = |wanted: &str| {
        fields.iter().find(|(name, _)| name == wanted).map_or_else(String::new, |(_, value)| value.clone())
    };
    let (span, note) = (said(field("for")), why(field("note")));
    let order =
        note.and_then(|note| Silence { span, note: Some(note), ..named(fields) }.order(visitor.name.clone()));
    give(&site, &visitor, order, "/silences").await
}

/// Ends a silence early.
pub(super) async fn end_silence(
    State(site): State<Arc<Site>>,
    Extension(visitor): Extension<Visitor>,
    Path(id): Path<String>,
) -> Response {
    let id = id.parse().map_err(|_| "A silence is named by its number.".to_owned());
    let order = id.map(|id| Order::EndSilence { id, by: visitor.name.clone() });
    give(&site, &visitor, order, "/silences").await
}

/// What fields of a form or of an address name, be it once or more often.
pub(super) fn named(fields: Vec<(String, String)>) -> Silence {
    let mut silence = Silence::default();
    for (what, name) in fields {
        match what.as_str() {
            "checker" => drop(silence.checkers.insert(name)),
            "provider" => drop(silence.providers.insert(name)),
            "service" => drop(silence.services.insert(name)),
            "all" => silence.all = true,
            _ => {}
        }
    }
    silence
}

fn said(text: String) -> Option<String> {
    Some(text.trim().to_owned()).filter(|text| !text.is_empty())
}

fn why(text: String) -> Result<String, String> {
    said(text).ok_or_else(|| "Say why: the others will ask.".to_owned())
}

async fn give(site: &Site, visitor: &Visitor, order: Result<Order, String>, back: &str) -> Response {
    let refuse = |status, sentence: &str| {
        answer_with(site, visitor, (status, Renewal::ByHand), "Not done", &sorry(sentence))
    };
    let order = match order {
        Ok(order) => order,
        Err(sentence) => return refuse(StatusCode::BAD_REQUEST, &sentence),
    };
    match control::give(&site.orders, order).await {
        Ok(given) if given.done => Redirect::to(back).into_response(),
        Ok(given) => refuse(StatusCode::CONFLICT, &given.sentence),
        Err(error) => refuse(StatusCode::SERVICE_UNAVAILABLE, &format!("{error:#}; try again.")),
    }
}
