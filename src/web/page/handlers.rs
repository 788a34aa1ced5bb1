//! Requests → pages.

use std::fmt::Write as _;
use std::sync::Arc;

use anyhow::Result;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect, Response};
use axum::{Extension, Form};
use serde::Deserialize;

use super::frame::{Frame, framed, page, segment};
use super::moment::Moment;
use super::{checker as one_checker, incidents, strips};
use crate::config::{Config, Role, duration};
use crate::incidents::IncidentLine;
use crate::orders::Order;
use crate::store::Store;
use crate::strip::Window;
use crate::text::escaped;
use crate::web::access::Visitor;
use crate::web::{Site, detail, strip};
use crate::{clock, control};

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
        Err(error) => {
            let sentence = format!("{error:#}");
            return answer(&site, &visitor, StatusCode::SERVICE_UNAVAILABLE, &name, &sorry(&sentence));
        }
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
    let read = move |store: &Store, config: &Config| -> Result<Option<IncidentLine>> {
        let Some(incident) = store.incident(&wanted)? else { return Ok(None) };
        Ok(Some(IncidentLine::of(&incident, store.steps(&wanted)?, config)))
    };
    let (status, title, content) = match site.archive.ask(read).await {
        Ok(Some(line)) => {
            let take = visitor.role >= Role::Acknowledge;
            let whole = incidents::whole(&line, take, moment(&site));
            (StatusCode::OK, format!("Incident {}", line.id), whole)
        }
        Ok(None) => {
            let sentence = format!("There is no incident {id}.");
            (StatusCode::NOT_FOUND, "Not found".to_owned(), sorry(&sentence))
        }
        Err(error) => (StatusCode::SERVICE_UNAVAILABLE, "Not read".to_owned(), sorry(&format!("{error:#}"))),
    };
    answer(&site, &visitor, status, &title, &content)
}

/// The form of an incident. What is left empty is as if it were not there.
#[derive(Deserialize)]
pub(super) struct Taking {
    #[serde(rename = "for", default)]
    span: String,
    #[serde(default)]
    note: String,
}

/// Takes an incident, and shows it.
pub(super) async fn acknowledge(
    State(site): State<Arc<Site>>,
    Extension(visitor): Extension<Visitor>,
    Path(incident): Path<String>,
    Form(taking): Form<Taking>,
) -> Response {
    let refuse = |status, sentence: &str| answer(&site, &visitor, status, "Not taken", &sorry(sentence));
    let until = match taking.span.trim() {
        "" => None,
        text => match duration::parse(text) {
            Ok(span) => clock::now().checked_add_signed(span),
            Err(error) => return refuse(StatusCode::BAD_REQUEST, &format!("For how long: {error}")),
        },
    };
    let note = Some(taking.note).filter(|note| !note.trim().is_empty());
    let back = format!("/incident/{}", segment(&incident));
    let order = Order::Acknowledge { incident, by: visitor.name.clone(), until, note, channel: None };
    match control::give(&site.orders, order).await {
        Ok(given) if given.done => Redirect::to(&back).into_response(),
        Ok(given) => refuse(StatusCode::CONFLICT, &given.sentence),
        Err(error) => refuse(StatusCode::SERVICE_UNAVAILABLE, &format!("{error:#}; try again.")),
    }
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

fn sorry(sentence: &str) -> String {
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
    let frame = Frame {
        name: &site.config.name,
        title,
        visitor: &visitor.name,
        role: visitor.role,
        at: clock::now().timestamp(),
    };
    framed(status, &frame, content)
}
