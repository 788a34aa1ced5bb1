//! Requests → pages.

use std::fmt::Write as _;
use std::sync::Arc;

use axum::Extension;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::Response;
use serde::Deserialize;

use super::frame::{Frame, Renewal, framed, page};
use super::moment::Moment;
use super::{checker as one_checker, incidents, orders, silences, strips};
use crate::clock;
use crate::config::{Config, Role};
use crate::incidents::{IncidentLine, Standing};
use crate::store::Store;
use crate::strip::Window;
use crate::text::escaped;
use crate::web::access::Visitor;
use crate::web::{Site, api, detail, strip};

/// What is no part of the live stream is asked for again so many seconds after a change.
pub(super) const SLOW_S: u32 = 3;
/// Every viewer of the first page asks for its strips.
const STRIPS_SLOW_S: u32 = 20;

#[derive(Deserialize)]
pub(super) struct Shown {
    window: Option<String>,
}

/// `/`
pub(super) async fn first(
    State(site): State<Arc<Site>>,
    Extension(visitor): Extension<Visitor>,
    Query(shown): Query<Shown>,
) -> Response {
    let Some(board) = site.boards.current(&site).await else { return no_answer() };
    let window = shown.window.as_deref().and_then(Window::named).unwrap_or(Window::Day);
    let mut content = strips::HATCH.to_owned();
    for section in board.sections(visitor.role >= Role::Acknowledge) {
        let (id, hash, html) = (section.id, &section.hash, &section.html);
        let label = match id {
            "health" => "aria-label=\"The watchdog itself\"".to_owned(),
            id => format!("aria-labelledby=\"{id}-title\""),
        };
        let _ = writeln!(
            content,
            "<section id=\"{id}\" data-live data-hash=\"{hash}\" {label}>\n{html}</section>"
        );
    }
    let moment = moment(&site);
    let history = match strip::of_all(&site, window).await {
        Ok(all) => strips::all(&all, moment),
        Err(error) => not_read("strips-title", "History", &error),
    };
    content.push_str(&slow("strips", STRIPS_SLOW_S, &history));
    answer(&site, &visitor, StatusCode::OK, &site.config.name, &content)
}

/// `/checker/NAME`
pub(super) async fn checker(
    State(site): State<Arc<Site>>,
    Extension(visitor): Extension<Visitor>,
    Path(name): Path<String>,
) -> Response {
    let Some(board) = site.boards.current(&site).await else { return no_answer() };
    let line = board.picture.last_seen.checkers.iter().find(|line| line.name == name).cloned();
    let Some(line) = line else {
        let sentence = format!("No checker {} is configured.", name);
        return answer(&site, &visitor, StatusCode::NOT_FOUND, "Not found", &sorry(&sentence));
    };
    let now = clock::now();
    let read = move |store: &Store, config: &Config| {
        let history = strip::read(store, &[&line.name], &Window::ALL, now)?;
        Ok(detail::read(store, config, line, now)?.map(|detail| (detail, history)))
    };
    let (detail, history) = match site.archive.ask(read).await {
        Ok(Some(found)) => found,
        Ok(None) => return no_answer(),
        Err(error) => return not_answered(&site, &visitor, &error),
    };
    let moment = moment(&site);
    let mut content = strips::HATCH.to_owned();
    content.push_str(&slow("summary", SLOW_S, &one_checker::summary(&detail, moment)));
    content.push_str(&slow("strips", SLOW_S, &strips::of_one(&history, moment)));
    content.push_str(&slow("path", SLOW_S, &one_checker::path(detail.path.as_ref(), moment)));
    content.push_str(&slow("mails", SLOW_S, &one_checker::mails(&detail, moment)));
    answer(&site, &visitor, StatusCode::OK, &name, &content)
}

/// `/incident/ID`
pub(super) async fn incident(
    State(site): State<Arc<Site>>,
    Extension(visitor): Extension<Visitor>,
    Path(id): Path<String>,
) -> Response {
    let wanted = id.clone();
    let read = move |store: &Store, config: &Config| {
        let Some(incident) = store.incident(&wanted)? else { return Ok(None) };
        let line = IncidentLine::of(&incident, store.steps(&wanted)?, config);
        Ok(Some((line, api::messages_about(store, &wanted)?)))
    };
    let (line, messages) = match site.archive.ask(read).await {
        Ok(Some(found)) => found,
        Ok(None) => return no_incident(&site, &visitor, &id),
        Err(error) => return not_answered(&site, &visitor, &error),
    };
    let whole = incidents::whole(&line, &messages, visitor.role, moment(&site));
    let renewal = match line.state {
        Standing::Open | Standing::Acknowledged if visitor.role >= Role::Acknowledge => Renewal::ByHand,
        Standing::Open | Standing::Acknowledged | Standing::Closed => Renewal::Itself,
    };
    answer_with(&site, &visitor, (StatusCode::OK, renewal), &format!("Incident {}", line.id), &whole)
}

#[derive(Deserialize)]
pub(super) struct Before {
    before: Option<String>,
}

/// `/incidents`: those that are over, a page at a time.
pub(super) async fn closed(
    State(site): State<Arc<Site>>,
    Extension(visitor): Extension<Visitor>,
    Query(Before { before }): Query<Before>,
) -> Response {
    let after = before.clone();
    let read = move |store: &Store, config: &Config| {
        // One more tells whether there are older ones.
        api::closed(store, config, after.as_deref(), incidents::CLOSED_SHOWN + 1)
    };
    match site.archive.ask(read).await {
        Ok(Some(found)) => {
            let content = incidents::closed(&found.incidents, before.as_deref(), moment(&site));
            answer(&site, &visitor, StatusCode::OK, "Closed incidents", &content)
        }
        Ok(None) => no_incident(&site, &visitor, &before.unwrap_or_default()),
        Err(error) => not_answered(&site, &visitor, &error),
    }
}

/// `/silences`: what holds or will hold, and for whoever may the form for another one. `?checker=NAME` and the like have it
/// filled in.
pub(super) async fn silences(
    State(site): State<Arc<Site>>,
    Extension(visitor): Extension<Visitor>,
    Query(wanted): Query<Vec<(String, String)>>,
) -> Response {
    let now = clock::now();
    let found = match site.archive.ask(move |store, _| store.silences_after(now)).await {
        Ok(found) => found,
        Err(error) => return not_answered(&site, &visitor, &error),
    };
    let admin = visitor.role >= Role::Admin;
    let listed = silences::list(&found, visitor.role, moment(&site));
    let mut content = slow("silences", SLOW_S, &listed);
    let renewal = if admin { Renewal::ByHand } else { Renewal::Itself };
    if admin {
        content.push_str(&silences::form(&site.config.checkers, &orders::named(wanted)));
    }
    answer_with(&site, &visitor, (StatusCode::OK, renewal), "Silences", &content)
}

fn no_incident(site: &Site, visitor: &Visitor, id: &str) -> Response {
    let sentence = format!("There is no incident {id}.");
    answer(site, visitor, StatusCode::NOT_FOUND, "Not found", &sorry(&sentence))
}

fn not_answered(site: &Site, visitor: &Visitor, error: &anyhow::Error) -> Response {
    let sentence = format!("{error:#}");
    answer(site, visitor, StatusCode::SERVICE_UNAVAILABLE, "Not read", &sorry(&sentence))
}

fn moment(site: &Site) -> Moment {
    Moment { now: clock::now(), zone: site.config.timezone, ages: true }
}

/// A section that the script asks for again when something changed, after so many seconds.
fn slow(id: &str, after_s: u32, html: &str) -> String {
    format!(
        "<section id=\"{id}\" data-slow=\"{after_s}\" aria-labelledby=\"{id}-title\">\n{html}</section>\n"
    )
}

fn not_read(id: &str, title: &str, why: &str) -> String {
    format!("<h2 id=\"{id}\">{title}</h2>\n<p class=\"none\">{}</p>\n", escaped(why))
}

pub(super) fn sorry(sentence: &str) -> String {
    format!(
        "<h1>Sorry</h1>\n<p role=\"alert\">{}</p>\n<p><a href=\"/\">To the first page</a></p>\n",
        escaped(sentence)
    )
}

fn no_answer() -> Response {
    let content = "<p role=\"alert\">The daemon does not answer: it starts, or it is stuck. Nobody watches while it is \
                   stuck.</p>\n<p><a href=\"/\">Try again</a></p>\n";
    page(StatusCode::SERVICE_UNAVAILABLE, "No answer", content)
}

fn answer(site: &Site, visitor: &Visitor, status: StatusCode, title: &str, content: &str) -> Response {
    answer_with(site, visitor, (status, Renewal::Itself), title, content)
}

pub(super) fn answer_with(
    site: &Site,
    visitor: &Visitor,
    (status, renewal): (StatusCode, Renewal),
    title: &str,
    content: &str,
) -> Response {
    let frame = Frame {
        name: &site.config.name,
        title,
        visitor: &visitor.name,
        role: visitor.role,
        at: clock::now().timestamp(),
        renewal,
    };
    framed(status, &frame, content)
}
