//! What people see: pages made here, without any step of building, that are whole without the script.
//!
//! The files beside this one turn values into text and know nothing of requests; every value is one that the API gives
//! as well.

mod assets;
mod board;
mod cards;
mod checker;
mod frame;
mod handlers;
mod health;
mod incidents;
mod live;
mod matrix;
mod moment;
mod orders;
mod silences;
mod strips;
mod table;

use std::sync::Arc;

use axum::Router;
use axum::middleware::from_fn;
use axum::routing::{get, post};

use super::Site;
use super::access::guard;
use crate::config::Role;
pub(super) use board::Boards;
pub(super) use frame::page;
pub(super) use live::Viewers;

pub(super) fn routes(site: &Arc<Site>) -> Router<Arc<Site>> {
    let read = Router::new()
        .route("/", get(handlers::first))
        .route("/checker/{name}", get(handlers::checker))
        .route("/incident/{id}", get(handlers::incident))
        .route("/incidents", get(handlers::closed))
        .route("/silences", get(handlers::silences))
        .route("/live", get(live::live))
        .layer(from_fn(guard(site, Role::Read)));
    let take = Router::new()
        .route("/incident/{id}/ack", post(orders::acknowledge))
        .layer(from_fn(guard(site, Role::Acknowledge)));
    let decide = Router::new()
        .route("/incident/{id}/resolve", post(orders::resolve))
        .route("/silences", post(orders::silence))
        .route("/silences/{id}/end", post(orders::end_silence))
        .layer(from_fn(guard(site, Role::Admin)));
    Router::new()
        .merge(read)
        .merge(take)
        .merge(decide)
        // Whoever is to log in sees them too.
        .route("/assets/page.css", get(assets::style))
        .route("/assets/live.js", get(assets::script))
        .route("/assets/icon.svg", get(assets::icon))
}

#[cfg(test)]
mod tests;
