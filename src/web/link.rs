//! `/a/INCIDENT`: the link in an alarm. Opening it only shows, because mail scanners open every link; the button acts.

use std::sync::Arc;

use axum::Form;
use axum::extract::rejection::FormRejection;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::Deserialize;

use super::Site;
use super::page::page;
use crate::links::{Link, Refusal};
use crate::orders::{Order, TEXT_CHARS_MAX};
use crate::text::escaped;
use crate::{clock, control};

/// Who pressed the button without saying so.
const NAMELESS: &str = "somebody with the link";

#[derive(Deserialize)]
pub(super) struct Signed {
    #[serde(default)]
    channel: String,
    #[serde(default)]
    until: i64,
    #[serde(default)]
    sig: String,
}

#[derive(Deserialize)]
pub(super) struct Press {
    #[serde(default)]
    by: String,
}

/// Shows what the link would do, and the button.
pub(super) async fn show(
    State(site): State<Arc<Site>>,
    Path(incident): Path<String>,
    Query(signed): Query<Signed>,
) -> Response {
    match verified(&site, &incident, &signed) {
        Ok(link) => page(StatusCode::OK, &format!("Take incident {}", link.incident), &form(&link)),
        Err(refusal) => refused(refusal),
    }
}

/// Takes the incident.
pub(super) async fn press(
    State(site): State<Arc<Site>>,
    Path(incident): Path<String>,
    Query(signed): Query<Signed>,
    form: Result<Form<Press>, FormRejection>,
) -> Response {
    let link = match verified(&site, &incident, &signed) {
        Ok(link) => link,
        Err(refusal) => return refused(refusal),
    };
    let by = match form {
        Ok(Form(press)) => press.by,
        // A flow sends no form.
        Err(FormRejection::InvalidFormContentType(_)) => String::new(),
        Err(rejection) => return rejection.into_response(),
    };
    let by = match by.trim() {
        "" => NAMELESS.to_owned(),
        name => name.to_owned(),
    };
    let (incident, channel) = (link.incident, Some(link.channel));
    let order = Order::Acknowledge { incident, by, until: None, note: None, channel };
    match control::give(&site.orders, order).await {
        Ok(answer) if answer.done => page(StatusCode::OK, "Taken", &paragraph(&answer.sentence)),
        Ok(answer) => page(StatusCode::CONFLICT, "Not taken", &paragraph(&answer.sentence)),
        Err(error) => {
            page(StatusCode::SERVICE_UNAVAILABLE, "Not taken", &paragraph(&format!("{error:#}; try again.")))
        }
    }
}

fn verified(site: &Site, incident: &str, signed: &Signed) -> Result<Link, Refusal> {
    let key = site.link_key.as_ref().ok_or(Refusal::Wrong)?;
    key.verify((incident, &signed.channel, signed.until), &signed.sig, clock::now())
}

fn refused(refusal: Refusal) -> Response {
    let (status, sentence) = match refusal {
        Refusal::Wrong => {
            (StatusCode::FORBIDDEN, "This link was not made by this watchdog, or is not whole.")
        }
        Refusal::Ended => {
            (StatusCode::GONE, "This link has ended. A reminder of the incident has a new one.")
        }
    };
    page(status, "This link does nothing", &paragraph(sentence))
}

fn form(link: &Link) -> String {
    format!(
        "<p>Whoever takes it says: I look after it. Reminders stop; the recovery is told as usual.</p>\n\
         <form method=\"post\">\n\
         <p><label for=\"by\">Your name</label> <input id=\"by\" name=\"by\" maxlength=\"{TEXT_CHARS_MAX}\" autocomplete=\"name\"></p>\n\
         <p><button>Take incident {}</button></p>\n\
         </form>\n",
        escaped(&link.incident)
    )
}

fn paragraph(sentence: &str) -> String {
    format!("<p>{}</p>\n", escaped(sentence))
}
