//! `/api/v1/`: what the commands print with `--format json`, and their orders. The page uses nothing else.

mod audit;
mod orders;
mod reading;

use std::sync::Arc;

use axum::Router;
use axum::http::{StatusCode, header};
use axum::middleware::from_fn;
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodRouter, delete, get, post};
use serde::Serialize;

use super::Site;
use super::access::guard;
use crate::config::Role;
use crate::control::Answer;
pub(super) use orders::{Silence, after};
pub(super) use reading::{closed, messages_about};

/// What there is, for programs: OpenAPI 3.1.
const DOCUMENT: &str = include_str!("openapi.json");

/// Every path below `/api/v1` with what it does and who may.
fn table() -> [(&'static str, MethodRouter<Arc<Site>>, Role); 16] {
    [
        ("/last-seen", get(reading::last_seen), Role::Read),
        ("/matrix", get(reading::matrix), Role::Read),
        ("/checkers", get(reading::checkers), Role::Read),
        ("/checkers/{name}", get(reading::checker), Role::Read),
        ("/checkers/{name}/detail", get(reading::detail), Role::Read),
        ("/strips", get(reading::strips), Role::Read),
        ("/reports", get(reading::reports), Role::Read),
        ("/incidents", get(reading::incidents), Role::Read),
        ("/incidents/closed", get(reading::closed_incidents), Role::Read),
        ("/incidents/{id}", get(reading::incident), Role::Read),
        ("/incidents/{id}/messages", get(reading::messages), Role::Read),
        ("/incidents/{id}/ack", post(orders::acknowledge), Role::Acknowledge),
        ("/incidents/{id}/resolve", post(orders::resolve), Role::Admin),
        ("/audit", get(audit::entries), Role::Read),
        ("/audit/head", get(audit::head), Role::Read),
        ("/silences/{id}", delete(orders::end_silence), Role::Admin),
    ]
}

pub(super) fn routes(site: &Arc<Site>) -> Router<Arc<Site>> {
    let guarded = table().into_iter().fold(Router::new(), |router, (path, does, role)| {
        router.route(path, does.layer(from_fn(guard(site, role))))
    });
    let read_and_order = |read: MethodRouter<Arc<Site>>, order: MethodRouter<Arc<Site>>| {
        let order = order.layer(from_fn(guard(site, Role::Admin)));
        read.layer(from_fn(guard(site, Role::Read))).merge(order)
    };
    let api = guarded
        .route("/silences", read_and_order(get(reading::silences), post(orders::silence)))
        .route("/drills", read_and_order(get(reading::drills), post(orders::drill)))
        .route("/openapi.json", get(document));
    Router::new().nest("/api/v1", api.fallback(nothing_here))
}

async fn document() -> Response {
    ([(header::CONTENT_TYPE, "application/json")], DOCUMENT).into_response()
}

async fn nothing_here() -> Refused {
    Refused::new(StatusCode::NOT_FOUND, "There is nothing here; /api/v1/openapi.json lists what there is.")
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

/// Why there is no table and nothing was done, in the form of every answer to an order.
#[derive(Debug)]
struct Refused {
    status: StatusCode,
    sentence: String,
}

impl Refused {
    fn new(status: StatusCode, sentence: impl Into<String>) -> Self {
        Self { status, sentence: sentence.into() }
    }

    /// The request cannot be understood.
    fn request(sentence: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, sentence)
    }

    /// Another time it may work.
    fn busy(sentence: impl Into<String>) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, sentence)
    }
}

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        (self.status, json(&Answer { done: false, sentence: self.sentence })).into_response()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn the_document_names_every_path_and_no_other() {
        let document: serde_json::Value = serde_json::from_str(DOCUMENT).unwrap();
        let paths = document["paths"].as_object().unwrap();
        let documented: BTreeSet<&str> = paths.keys().map(String::as_str).collect();
        let table = table();
        let served = table.iter().map(|(path, ..)| *path).chain(["/silences", "/drills", "/openapi.json"]);
        assert_eq!(documented, served.collect());
    }
}
