//! `/healthz`: whether the watchdog itself works. One that is blind and says so is healthy; one that is stuck is not.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use chrono::TimeDelta;

use super::{Picture, Site, Work};
use crate::clock;
use crate::config::Config;
use crate::time::{Time, span};

/// A judgement follows each look and each failed one; a busy server gets this much beyond.
const SLACK: TimeDelta = TimeDelta::seconds(90);

pub(super) async fn healthz(State(site): State<Arc<Site>>) -> Response {
    let newest = site.pictures.fresh(clock::now()).await;
    match newest.ok().map(|picture| fault_of(&picture, &site.config)) {
        Some(None) => "OK\n".into_response(),
        Some(Some(fault)) => (StatusCode::SERVICE_UNAVAILABLE, fault + "\n").into_response(),
        None => (StatusCode::SERVICE_UNAVAILABLE, "The daemon does not answer.\n").into_response(),
    }
}

/// A daemon whose last judgement is older is stuck.
pub(super) fn judged_within(config: &Config) -> TimeDelta {
    let poll = config.mailboxes.iter().map(|mailbox| mailbox.poll).max().unwrap_or_default();
    poll.max(config.blind_after()) + SLACK
}

fn fault_of(picture: &Picture, config: &Config) -> Option<String> {
    // A server that asks for patience may get more of it than this, and then the blindness is alarmed.
    fault(picture.work, picture.at, judged_within(config))
        .filter(|_| picture.work.store_fails || !picture.last_seen.unreadable)
}

fn fault(work: Work, now: Time, longest: TimeDelta) -> Option<String> {
    if work.store_fails {
        return Some("The state cannot be stored; see the log.".to_owned());
    }
    match work.judged {
        None => Some("Nothing was judged since the start.".to_owned()),
        Some(judged) if now - judged > longest => {
            Some(format!("The last judgement was {} ago.", span(now - judged)))
        }
        Some(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_whoever_judged_lately_and_can_store_it_is_well() {
        let judged = |ago, store_fails| {
            let judged = Some(Time::default() - TimeDelta::seconds(ago));
            fault(Work { judged, judgements: 1, store_fails }, Time::default(), TimeDelta::seconds(150))
        };
        assert_eq!(judged(150, false), None);
        assert_eq!(judged(151, false).unwrap(), "The last judgement was 2 min 31 s ago.");
        assert!(judged(0, true).unwrap().contains("cannot be stored"));
        let never = fault(Work::default(), Time::default(), TimeDelta::MAX);
        assert_eq!(never.unwrap(), "Nothing was judged since the start.");
    }
}
