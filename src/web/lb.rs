//! `/lb/{group}`: 200 `OK`, or 503 with what is down, for load balancers. Answered from memory.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use chrono::TimeDelta;
use serde::Deserialize;

use super::{Picture, Site};
use crate::clock;
use crate::down::Doubt;

/// Checks of load balancers are impatient: after this the last picture will do.
const PATIENCE: Duration = Duration::from_millis(500);
/// A picture older than this says what was, and no longer what is: the daemon is stuck.
const STALE: TimeDelta = TimeDelta::seconds(60);

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Asked {
    /// What is taken for up where nobody can say.
    #[serde(default)]
    unknown: Word,
}

#[derive(Clone, Copy, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Word {
    #[default]
    Last,
    Up,
    Down,
}

pub(super) async fn lb(
    State(site): State<Arc<Site>>,
    Path(group): Path<String>,
    Query(asked): Query<Asked>,
) -> Response {
    let doubt = match asked.unknown {
        Word::Last => Doubt::Last,
        Word::Up => Doubt::Up,
        Word::Down => Doubt::Down,
    };
    let now = clock::now();
    let newest = site.pictures.fresh_within(now, PATIENCE).await;
    let picture = newest.map_or_else(|last| last, Some);
    let stuck = picture.as_ref().is_none_or(|picture| now - picture.at > STALE);
    let (status, body) = answer(picture.as_deref(), stuck, &group, doubt);
    (status, body).into_response()
}

fn answer(picture: Option<&Picture>, stuck: bool, group: &str, doubt: Doubt) -> (StatusCode, String) {
    let up = (StatusCode::OK, "OK\n".to_owned());
    if stuck && doubt == Doubt::Down {
        return (StatusCode::SERVICE_UNAVAILABLE, "The watchdog does not answer.\n".to_owned());
    }
    let Some(picture) = picture else { return up };
    let Some(members) = picture.board.group(group) else {
        let sentence = "There is no such group: it is \"all\", a provider or a service.\n";
        return (StatusCode::NOT_FOUND, sentence.to_owned());
    };
    if stuck && doubt == Doubt::Up {
        return up;
    }
    let down = members.iter().filter(|line| line.is_down(doubt));
    let list: String = down.map(|line| format!("{}: {}\n", line.name, line.why)).collect();
    if list.is_empty() { up } else { (StatusCode::SERVICE_UNAVAILABLE, list) }
}
