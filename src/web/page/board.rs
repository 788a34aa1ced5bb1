//! The sections of the first page that are kept up to date: rendered once for each picture, for all who look.

use std::sync::{Arc, Mutex, PoisonError};

use axum::body::Bytes;
use serde::Serialize;

use super::health::{self, Limits};
use super::moment::Moment;
use super::{incidents, matrix, table};
use crate::clock;
use crate::sha256::sha256;
use crate::text::hex;
use crate::web::health::judged_within;
use crate::web::{Picture, Site};

/// Bytes of a digest that tell two renderings apart.
const HASH_BYTES: usize = 8;

/// One section as it is, and as an event.
pub(super) struct Section {
    pub id: &'static str,
    /// Of what it says, without the ages: time alone is no change.
    pub hash: String,
    pub html: String,
    pub event: Bytes,
}

/// What everybody sees who looks now.
pub(super) struct Board {
    pub picture: Arc<Picture>,
    stuck: bool,
    readers: Vec<Arc<Section>>,
    takers: Vec<Arc<Section>>,
}

impl Board {
    /// `take`: for somebody who may take incidents.
    pub(super) fn sections(&self, take: bool) -> &[Arc<Section>] {
        if take { &self.takers } else { &self.readers }
    }

    fn of(picture: Arc<Picture>, stuck: bool, site: &Site) -> Self {
        // A stuck daemon's ages go on.
        let now = if stuck { clock::now() } else { picture.at };
        let limits =
            Limits { blind_after: site.config.blind_after(), judged_within: judged_within(&site.config) };
        let moment = |ages| Moment { now, zone: site.config.timezone, ages };
        let health = section("health", |ages| health::render(&picture, limits, stuck, moment(ages)));
        let open =
            |take| section("incidents", |ages| incidents::list(&picture.incidents, take, moment(ages)));
        let rest = [
            section("last-seen", |ages| table::render(&picture.last_seen, moment(ages))),
            section("matrix", |ages| matrix::render(&picture.matrix, moment(ages))),
        ];
        let with = |incidents| [Arc::clone(&health), incidents].into_iter().chain(rest.clone()).collect();
        let (readers, takers) = (with(open(false)), with(open(true)));
        Self { picture, stuck, readers, takers }
    }
}

/// The latest board.
#[derive(Default)]
pub(in crate::web) struct Boards(Mutex<Option<Arc<Board>>>);

impl Boards {
    /// The board of the picture that is fresh now; None while nothing was ever painted.
    pub(super) async fn current(&self, site: &Site) -> Option<Arc<Board>> {
        let (picture, stuck) = match site.pictures.fresh(clock::now()).await {
            Ok(picture) => (picture, false),
            Err(last) => (last?, true),
        };
        let mut latest = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match &*latest {
            Some(board) if Arc::ptr_eq(&board.picture, &picture) && board.stuck == stuck => {
                Some(Arc::clone(board))
            }
            _ => Some(Arc::clone(latest.insert(Arc::new(Board::of(picture, stuck, site))))),
        }
    }
}

#[derive(Serialize)]
struct Event<'a> {
    id: &'a str,
    hash: &'a str,
    html: &'a str,
}

/// `render` is asked with the ages and without.
fn section(id: &'static str, render: impl Fn(bool) -> String) -> Arc<Section> {
    let digest = sha256(render(false).as_bytes());
    let hash = hex(digest.get(..HASH_BYTES).unwrap_or_default());
    let html = render(true);
    // A text is always JSON.
    let data = serde_json::to_string(&Event { id, hash: &hash, html: &html }).unwrap_or_default();
    let event = Bytes::from(format!("event: section\ndata: {data}\n\n"));
    Arc::new(Section { id, hash, html, event })
}
