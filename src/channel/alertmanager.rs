//! An Alertmanager (API v2), which routes, groups and repeats by its own rules.
//!
//! An alert there is known by its labels, so a recovery has the labels of its alarm: what they name is what the token was
//! about when it was alarmed first. What has become of it since stands in the annotations.
//!
//! An Alertmanager keeps alerts in memory until `endsAt`, and takes one that ends there for resolved. So `endsAt` is a day
//! away: a watchdog that is down for an hour must not make a standing alarm look resolved. And what stands is told again
//! every minute (see [`refresh`]), past the outbox, so that an Alertmanager that was started anew knows it again.

use chrono::TimeDelta;
use hyper::Method;
use reqwest::Url;
use serde_json::{Map, Value, json};

use super::http::{self, JSON, Post};
use crate::bulletin::State;
use crate::config::Endpoint;
use crate::outbox::{Message, Sent};
use crate::text::cut;
use crate::time::{Time, rfc3339};

/// How long an alarm stands by itself.
const STANDS: TimeDelta = TimeDelta::hours(24);
/// A test ends by itself.
const TEST_STANDS: TimeDelta = TimeDelta::minutes(1);
const DESCRIPTION_CHARS_MAX: usize = 4_000;

/// Tries once to deliver a message.
pub(super) async fn deliver(endpoint: &Endpoint, message: &Message, now: Time) -> Sent {
    let ends = match message.bulletin.state {
        State::Firing => now + STANDS,
        State::Test => now + TEST_STANDS,
        State::Resolved => message.created,
        State::Notice => {
            return Sent::Accepted("nothing to say: an Alertmanager knows no acknowledgement".to_owned());
        }
    };
    post(endpoint, &[alert(message, ends)], now).await
}

/// Tells again what stands.
pub(super) async fn refresh(endpoint: &Endpoint, standing: &[Message], now: Time) -> Sent {
    let alerts: Vec<Value> = standing.iter().map(|message| alert(message, now + STANDS)).collect();
    post(endpoint, &alerts, now).await
}

/// Asks for its status.
///
/// # Errors
/// One sentence that says what is wrong and what to do.
pub(super) async fn probe(endpoint: &Endpoint) -> Result<(), String> {
    let url = below(http::url(endpoint).await?, "status");
    let post = Post { method: Method::GET, url, content_type: JSON, headers: Vec::new(), body: Vec::new() };
    let answer = http::exchange(endpoint, post).await?;
    let known =
        serde_json::from_str::<Value>(&answer.body).is_ok_and(|body| body.get("versionInfo").is_some());
    if answer.status.is_success() && known {
        return Ok(());
    }
    Err(format!(
        "it answers {} to /api/v2/status, unlike an Alertmanager; check url and headers",
        answer.status
    ))
}

async fn post(endpoint: &Endpoint, alerts: &[Value], now: Time) -> Sent {
    match http::url(endpoint).await {
        Ok(url) => http::send(endpoint, Post::json(below(url, "alerts"), &json!(alerts)), now).await,
        Err(error) => Sent::failed(error),
    }
}

fn below(mut url: Url, what: &str) -> Url {
    if let Ok(mut path) = url.path_segments_mut() {
        path.pop_if_empty().extend(["api", "v2", what]);
    }
    url
}

fn alert(message: &Message, ends: Time) -> Value {
    let bulletin = &message.bulletin;
    let severity = if bulletin.state == State::Test { "info" } else { bulletin.severity.word() };
    let reason = |reason: Option<crate::reason::Reason>| reason.map_or("", |reason| reason.word()).to_owned();
    let labels = [
        ("alertname", bulletin.token.clone()),
        ("severity", severity.to_owned()),
        ("watchdog", bulletin.watchdog.clone()),
        ("checker", bulletin.announced.checkers.join(",")),
        ("provider", bulletin.announced.providers.join(",")),
        ("service", bulletin.services.join(",")),
        ("reason", reason(bulletin.announced.reason)),
    ];
    let annotations = [
        ("summary", message.subject.clone()),
        ("description", cut(&message.body, DESCRIPTION_CHARS_MAX)),
        ("incident", bulletin.incident.clone()),
        ("checkers", bulletin.about.checkers.join(", ")),
        ("reason", reason(bulletin.about.reason)),
        ("link", bulletin.link.clone().unwrap_or_default()),
    ];
    json!({
        "startsAt": rfc3339(bulletin.opened),
        "endsAt": rfc3339(ends),
        "labels": filled(labels),
        "annotations": filled(annotations),
    })
}

/// Without the empty ones, which an Alertmanager takes for absent.
fn filled<const N: usize>(pairs: [(&str, String); N]) -> Map<String, Value> {
    let filled = pairs.into_iter().filter(|(_, value)| !value.is_empty());
    filled.map(|(name, value)| (name.to_owned(), Value::String(value))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::outbox::Kind;
    use crate::payload::tests::{linked, message};

    fn labels(message: &Message) -> Value {
        alert(message, message.created)["labels"].clone()
    }

    #[test]
    fn an_alarm_stands_for_a_day_and_has_what_routes_need() {
        let alarm = linked();
        let ends = alarm.created + STANDS;
        insta::assert_json_snapshot!(alert(&alarm, ends));
    }

    #[test]
    fn a_recovery_has_the_labels_of_its_alarm_whatever_became_of_it() {
        let alarm = message(Kind::Alarm);
        let mut recovery = message(Kind::Recovery);
        recovery.bulletin.about = crate::bulletin::About::default();
        assert_eq!(labels(&alarm), labels(&recovery));
        let ended = alert(&recovery, recovery.created);
        assert!(!ended.to_string().to_lowercase().contains("nok"), "{ended}");
    }

    #[test]
    fn the_api_lies_below_the_url() {
        for (url, api) in [
            ("http://127.0.0.1:9093", "http://127.0.0.1:9093/api/v2/alerts"),
            ("https://alerts.example/am/", "https://alerts.example/am/api/v2/alerts"),
        ] {
            assert_eq!(below(Url::parse(url).unwrap(), "alerts").as_str(), api);
        }
    }
}
