//! Which path leads where.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{DefaultBodyLimit, Request};
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use tokio::time::timeout;

use super::{Site, access, api, badge, health, lb, link, metrics, page, rate};
use crate::config::Role;

/// A form or an order is far shorter.
const BODY_BYTES_MAX: usize = 64 << 10;
/// From the request's head to the answer's. The daemon stores before it answers an order.
const REQUEST_LIMIT: Duration = Duration::from_secs(40);

/// Nothing from elsewhere, no frame around it, no script but ours.
const POLICY: &str = "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; connect-src 'self'; \
                      form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

pub(super) fn routes(site: Arc<Site>) -> Router {
    let read = Router::new()
        .route("/metrics", get(metrics::metrics))
        .layer(middleware::from_fn(access::guard(&site, Role::Read)));
    let balancers = Router::new()
        // HAProxy's `option httpchk` asks with OPTIONS unless it is told otherwise.
        .route("/lb/{group}", get(lb::lb).options(lb::lb))
        .layer(middleware::from_fn_with_state(Arc::clone(&site), access::balancers));
    let onlookers = Router::new()
        .route("/badge/{file}", get(badge::badge))
        .layer(middleware::from_fn_with_state(Arc::clone(&site), access::onlookers));
    let paced = Router::new()
        .merge(api::routes(&site))
        .merge(read)
        .merge(onlookers)
        .merge(page::routes(&site))
        .route("/login", get(access::login_form).post(access::login))
        .route("/logout", post(access::logout))
        .route("/healthz", get(health::healthz))
        .route("/a/{incident}", get(link::show).post(link::press))
        .layer(middleware::from_fn_with_state(Arc::clone(&site), rate::paced));
    balancers
        // What leads nowhere is answered by the one that is merged in, and paced as well.
        .merge(paced)
        .layer(DefaultBodyLimit::max(BODY_BYTES_MAX))
        .layer(middleware::from_fn(guarded))
        .with_state(site)
}

/// Every answer comes in time, and with the headers that keep a page to itself.
async fn guarded(request: Request, next: Next) -> Response {
    let answer = timeout(REQUEST_LIMIT, next.run(request)).await;
    let mut answer = answer.unwrap_or_else(|_| StatusCode::GATEWAY_TIMEOUT.into_response());
    let headers: [(HeaderName, &str); 5] = [
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::CACHE_CONTROL, "no-store"),
        (header::X_FRAME_OPTIONS, "DENY"),
    ];
    for (name, value) in headers {
        answer.headers_mut().entry(name).or_insert(HeaderValue::from_static(value));
    }
    answer
}
