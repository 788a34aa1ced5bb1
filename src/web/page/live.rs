//! `/live`: what changes on the first page, as server-sent events (HTML Living Standard, section 9.2).
//!
//! An event is `section`, with JSON that says which one and how it looks now, or `beat`, with the server's time in seconds
//! since 1970. A viewer who gets none for long knows that what he sees is old. `again` asks to connect again: another
//! configuration is in force.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::Extension;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use http_body_util::channel::{Channel, Sender};
use tokio::sync::Semaphore;
use tokio::time::{Instant, MissedTickBehavior, interval, timeout};

use crate::clock;
use crate::config::Role;
use crate::web::Site;
use crate::web::access::Visitor;

/// So many look at once; more of them see a page that does not change.
const VIEWERS_MAX: usize = 600;
/// How often it is looked whether anything changed.
const LOOK: Duration = Duration::from_secs(2);
/// The script takes a connection for lost after three of these without an event.
const BEAT: Duration = Duration::from_secs(5);
/// A viewer who does not take an event for so long is gone.
const SEND_LIMIT: Duration = Duration::from_secs(10);
/// Then it connects again, and shows again that it may.
const LIFE: Duration = Duration::from_secs(60 * 60);
/// Events that wait for a slow viewer.
const WAITING_MAX: usize = 8;

/// Places for viewers.
pub(in crate::web) struct Viewers(Arc<Semaphore>);

impl Viewers {
    /// They connect again, to what is served by then.
    pub(in crate::web) fn send_away(&self) {
        self.0.close();
    }
}

impl Default for Viewers {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(VIEWERS_MAX)))
    }
}

pub(super) async fn live(State(site): State<Arc<Site>>, Extension(visitor): Extension<Visitor>) -> Response {
    let Ok(place) = Arc::clone(&site.viewers.0).try_acquire_owned() else {
        // Or they are sent away, and whoever comes again is shown in.
        let sentence = "Too many look at once; open the page again to see it as it is.\n";
        return (StatusCode::SERVICE_UNAVAILABLE, sentence).into_response();
    };
    let (events, body) = Channel::<Bytes, Infallible>::new(WAITING_MAX);
    tokio::spawn(async move {
        feed(&site, events, &visitor).await;
        drop(place);
    });
    ([(header::CONTENT_TYPE, "text/event-stream")], Body::new(body)).into_response()
}

/// Ends when nobody takes the events any more.
async fn feed(site: &Site, mut events: Sender<Bytes>, visitor: &Visitor) {
    let take = visitor.role >= Role::Acknowledge;
    let begun = Instant::now();
    let mut looks = interval(LOOK);
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut known: BTreeMap<&'static str, String> = BTreeMap::new();
    let mut spoken: Option<Instant> = None;
    while begun.elapsed() < LIFE {
        looks.tick().await;
        if !visitor.may_stay(site, clock::now()) {
            return;
        }
        if site.viewers.0.is_closed() {
            let again = Bytes::from_static(b"event: again\ndata: now\n\n");
            // Whoever does not take it is gone.
            let _ = timeout(SEND_LIMIT, events.send_data(again)).await;
            return;
        }
        let mut waiting = Vec::new();
        if spoken.is_none_or(|at| at.elapsed() >= BEAT) {
            waiting.push(Bytes::from(format!("event: beat\ndata: {}\n\n", clock::now().timestamp())));
            spoken = Some(Instant::now());
        }
        if let Some(board) = site.boards.current(site).await {
            for section in board.sections(take) {
                if known.get(section.id) != Some(&section.hash) {
                    waiting.push(section.event.clone());
                    known.insert(section.id, section.hash.clone());
                }
            }
        }
        for event in waiting {
            if !matches!(timeout(SEND_LIMIT, events.send_data(event)).await, Ok(Ok(()))) {
                return;
            }
        }
    }
}
