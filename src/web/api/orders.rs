//! What is ordered, in the name of the token that is brought.

use std::collections::BTreeSet;
use std::sync::Arc;

use axum::Extension;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::Response;
use chrono::TimeDelta;
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::{Refused, json};
use crate::config::duration;
use crate::orders::Order;
use crate::policy::Silenced;
use crate::time::{Time, moment};
use crate::web::Site;
use crate::web::access::Visitor;
use crate::{clock, control};

/// What can be said of an incident; all of it may be left out.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Acknowledgement {
    /// `2h`, say; without it until the incident is over.
    #[serde(rename = "for")]
    span: Option<String>,
    note: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Resolution {
    note: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Drill {
    /// None: all that drills go through.
    channel: Option<String>,
}

/// What is silenced, and until when: `for` or `until`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::web) struct Silence {
    #[serde(default)]
    pub checkers: BTreeSet<String>,
    #[serde(default)]
    pub providers: BTreeSet<String>,
    #[serde(default)]
    pub services: BTreeSet<String>,
    /// Everything: then nothing is named.
    #[serde(default)]
    pub all: bool,
    pub from: Option<String>,
    pub until: Option<String>,
    #[serde(rename = "for")]
    pub span: Option<String>,
    pub note: Option<String>,
}

pub(super) async fn acknowledge(
    State(site): State<Arc<Site>>,
    Extension(visitor): Extension<Visitor>,
    Path(incident): Path<String>,
    body: Bytes,
) -> Result<Response, Refused> {
    let order = read(&body).and_then(|Acknowledgement { span, note }| {
        let until = span.map(|span| after(clock::now(), &span)).transpose()?;
        Ok(Order::Acknowledge { incident, by: visitor.name, until, note, channel: None })
    });
    give(&site, order).await
}

pub(super) async fn resolve(
    State(site): State<Arc<Site>>,
    Extension(visitor): Extension<Visitor>,
    Path(incident): Path<String>,
    body: Bytes,
) -> Result<Response, Refused> {
    let order = read(&body);
    give(&site, order.map(|Resolution { note }| Order::Resolve { incident, by: visitor.name, note })).await
}

pub(super) async fn silence(
    State(site): State<Arc<Site>>,
    Extension(visitor): Extension<Visitor>,
    body: Bytes,
) -> Result<Response, Refused> {
    give(&site, read(&body).and_then(|silence: Silence| silence.order(visitor.name))).await
}

pub(super) async fn drill(
    State(site): State<Arc<Site>>,
    Extension(visitor): Extension<Visitor>,
    body: Bytes,
) -> Result<Response, Refused> {
    let order = read(&body).map(|Drill { channel }| Order::Drill { channel, by: visitor.name });
    give(&site, order).await
}

pub(super) async fn end_silence(
    State(site): State<Arc<Site>>,
    Extension(visitor): Extension<Visitor>,
    Path(id): Path<String>,
) -> Result<Response, Refused> {
    let id = id.parse().map_err(|_| "A silence is named by its number.".to_owned());
    give(&site, id.map(|id| Order::EndSilence { id, by: visitor.name })).await
}

impl Silence {
    /// # Errors
    /// One sentence that says what is wrong with it.
    pub(in crate::web) fn order(self, by: String) -> Result<Order, String> {
        let nothing = self.checkers.is_empty() && self.providers.is_empty() && self.services.is_empty();
        if nothing != self.all {
            return Err("Name checkers, providers or services, or else say \"all\": true.".to_owned());
        }
        let now = clock::now();
        let from = self.from.as_deref().map_or(Ok(now), |from| moment(from, now))?;
        let until = match (self.until.as_deref(), self.span.as_deref()) {
            (Some(until), None) => moment(until, now)?,
            (None, Some(span)) => after(from, span)?,
            _ => return Err("Say how long: either \"for\": \"2h\" or \"until\".".to_owned()),
        };
        let silenced =
            Silenced { checkers: self.checkers, providers: self.providers, services: self.services };
        Ok(Order::Silence { silenced, from, until, by, note: self.note })
    }
}

/// # Errors
/// One sentence that says what is wrong with `span`.
pub(in crate::web) fn after(from: Time, span: &str) -> Result<Time, String> {
    let span: TimeDelta = duration::parse(span).map_err(|error| format!("for: {error}"))?;
    from.checked_add_signed(span).ok_or_else(|| "for: it ends beyond all time".to_owned())
}

/// An empty body says nothing, as `{}` does.
fn read<T: DeserializeOwned>(body: &[u8]) -> Result<T, String> {
    let body = if body.is_empty() { b"{}" } else { body };
    serde_json::from_slice(body).map_err(|error| format!("The body is not understood: {error}"))
}

async fn give(site: &Site, order: Result<Order, String>) -> Result<Response, Refused> {
    let order = order.map_err(Refused::request)?;
    match control::give(&site.orders, order).await {
        Ok(answer) if answer.done => Ok(json(&answer)),
        Ok(answer) => Err(Refused::new(StatusCode::CONFLICT, answer.sentence)),
        Err(error) => Err(Refused::busy(format!("{error:#}"))),
    }
}
