//! The ledger, as far as the state file tells it.

use std::sync::Arc;

use axum::extract::State;
use serde::Deserialize;

use super::reading::{Asked, Nothing, Told, found, moment, understood};
use crate::web::Site;

/// So many entries are given when nobody says how many, and at most.
const ENTRIES_USUAL: u32 = 100;
const ENTRIES_MAX: u32 = 1_000;
/// Their contents are no longer than this together: one entry may tell of five hundred reports.
const CONTENT_BYTES_MAX: usize = 4 << 20;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Span {
    from: Option<String>,
    to: Option<String>,
    limit: Option<u32>,
}

/// As `audit export --format json` prints them, of the span the newest ones.
pub(super) async fn entries(State(site): State<Arc<Site>>, asked: Asked<Span>) -> Told {
    let Span { from, to, limit } = understood(asked)?;
    let span = (moment(from)?, moment(to)?);
    let limit = limit.unwrap_or(ENTRIES_USUAL).min(ENTRIES_MAX);
    found(&site, move |store, _| {
        let entries = store.newest_entries(span, limit, CONTENT_BYTES_MAX)?;
        Ok(Some(serde_json::json!({ "entries": entries })))
    })
    .await
}

pub(super) async fn head(State(site): State<Arc<Site>>, asked: Asked<Nothing>) -> Told {
    understood(asked)?;
    found(&site, |store, _| store.head()).await
}
