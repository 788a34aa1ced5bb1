//! The page, the API and what machines ask, over HTTP. Shows what the daemon painted, hands over orders, decides nothing.
//!
//! A request never waits for the daemon's work longer than for one new picture, and no more than one is painted a second
//! however many ask. What is not in the picture (the past, an incident's steps) is read from the state file.

mod access;
mod api;
mod archive;
mod badge;
mod crowd;
mod detail;
mod exposition;
mod health;
mod lb;
mod link;
mod metrics;
mod page;
mod picture;
mod rate;
mod routes;
mod secure;
mod server;
mod sessions;
mod strip;

use std::sync::Arc;

use tokio::sync::mpsc;

use crate::config;
use crate::control::Request;
use crate::links;
use archive::Archive;
pub(crate) use picture::{Easel, Picture, Viewer, Work};
pub(crate) use server::Web;
pub(crate) use sessions::Sessions;

/// What every handler may use.
pub(crate) struct Site {
    pub web: config::Web,
    pub config: Arc<config::Config>,
    pub archive: Archive,
    pub pictures: Viewer,
    pub orders: mpsc::Sender<Request>,
    /// None where links lead nowhere.
    pub link_key: Option<links::Key>,
    pub sessions: Sessions,
    rates: rate::Rates,
    boards: page::Boards,
    viewers: page::Viewers,
    strips: strip::Cache,
}

impl Site {
    pub(crate) fn new(
        config: Arc<config::Config>,
        web: config::Web,
        pictures: Viewer,
        orders: mpsc::Sender<Request>,
        link_key: Option<links::Key>,
        sessions: Sessions,
    ) -> Self {
        Self {
            web,
            archive: Archive::new(Arc::clone(&config)),
            config,
            pictures,
            orders,
            link_key,
            sessions,
            rates: rate::Rates::default(),
            boards: page::Boards::default(),
            viewers: page::Viewers::default(),
            strips: strip::Cache::default(),
        }
    }
}
