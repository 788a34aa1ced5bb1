//! A dead-man service: it alarms when it is not asked any more.

use super::http::{self, Post};
use crate::config::Endpoint;
use crate::outbox::Sent;
use crate::time::Time;

/// Asks once. The services of this kind (Healthchecks, Uptime Kuma, Better Stack, Dead Man's Snitch) all take a GET, and
/// some of them nothing else.
pub(super) async fn ping(endpoint: &Endpoint, now: Time) -> Sent {
    let url = match http::url(endpoint).await {
        Ok(url) => url,
        Err(error) => return Sent::failed(error),
    };
    let post = Post {
        method: hyper::Method::GET,
        url,
        content_type: "text/plain; charset=utf-8",
        headers: Vec::new(),
        body: Vec::new(),
    };
    http::send(endpoint, post, now).await
}
