//! `/healthz`: whether the watchdog itself works. One that is blind and says so is healthy; one that is stuck is not.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use chrono::TimeDelta;

use super::{Picture, Site};
use crate::clock;
use crate::time::span;

/// A judgement follows each look and each failed one; a busy server gets this much beyond.
const SLACK: TimeDelta = TimeDelta::seconds(90);

pub(super) async fn healthz(State(site): State<Arc<Site>>) -> Response {
    let longest = site.config.mailboxes.iter().map(|mailbox| mailbox.poll).max().unwrap_or_default();
    match site.pictures.fresh(clock::now()).await {
        Ok(picture) => match fault(&picture, longest + SLACK) {
            None => "OK\n".into_response(),
            Some(fault) => (StatusCode::SERVICE_UNAVAILABLE, fault + "\n").into_response(),
        },
        Err(_) => {
            let sentence = "The daemon does not answer.\n";
            (StatusCode::SERVICE_UNAVAILABLE, sentence).into_response()
        }
    }
}

fn fault(picture: &Picture, longest: TimeDelta) -> Option<String> {
    if picture.store_fails {
        return Some("The state cannot be stored; see the log.".to_owned());
    }
    match picture.judged {
        None => Some("Nothing was judged since the start.".to_owned()),
        Some(judged) if picture.at - judged > longest => {
            Some(format!("The last judgement was {} ago.", span(picture.at - judged)))
        }
        Some(_) => None,
    }
}
