//! What some services want to be sent. Pure.

use reqwest::Url;
use serde_json::{Value, json};

use super::http::Post;
use crate::bulletin::State;
use crate::incident::Severity;
use crate::outbox::Message;
use crate::payload::everything;
use crate::text::cut;
use crate::time::rfc3339;

/// Slack's text objects have 3000 characters at most, its headers 150.
const SLACK_TEXT_CHARS_MAX: usize = 2_900;
const SLACK_HEADER_CHARS_MAX: usize = 150;
/// ntfy turns what is longer than 4096 bytes into an attachment.
const NTFY_BYTES_MAX: usize = 3_900;
/// PagerDuty's limits for a summary and a key.
const PAGERDUTY_SUMMARY_CHARS_MAX: usize = 1_024;
const PAGERDUTY_KEY_CHARS_MAX: usize = 255;

/// An incoming webhook of Slack, or of what speaks the same (Mattermost, Rocket.Chat read `text`).
pub(super) fn slack(message: &Message) -> Value {
    // A plain_text object interprets nothing; `text` is what is notified.
    let plain =
        |text: &str, chars: usize| json!({ "type": "plain_text", "text": cut(text, chars), "emoji": false });
    let mut blocks = vec![
        json!({ "type": "header", "text": plain(&message.subject, SLACK_HEADER_CHARS_MAX) }),
        json!({ "type": "section", "text": plain(&message.body, SLACK_TEXT_CHARS_MAX) }),
    ];
    if let Some(link) = &message.bulletin.link {
        let button = json!({ "type": "button", "text": plain("Acknowledge", 75), "url": link });
        blocks.push(json!({ "type": "actions", "elements": [button] }));
    }
    json!({ "text": slack_escaped(&message.subject), "blocks": blocks })
}

/// In `text` these begin links and mentions (`<!channel>`).
fn slack_escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

/// The server's own address, which takes JSON, and the topic: the last part of the path.
pub(super) fn ntfy_topic(url: &Url) -> (Url, String) {
    let path = url.path().trim_end_matches('/');
    let (above, topic) = path.rsplit_once('/').unwrap_or(("", path));
    let (mut server, topic) = (url.clone(), topic.to_owned());
    server.set_path(&format!("{above}/"));
    (server, topic)
}

pub(super) fn ntfy(message: &Message, topic: &str) -> Value {
    let (priority, tag) = match message.bulletin.state {
        State::Firing if message.bulletin.severity == Severity::Critical => (5, "rotating_light"),
        State::Firing => (4, "warning"),
        State::Resolved => (3, "white_check_mark"),
        State::Notice | State::Test => (2, "information_source"),
    };
    let mut body = message.body.as_str();
    body = body.get(..body.floor_char_boundary(NTFY_BYTES_MAX)).unwrap_or(body);
    let mut ntfy = json!({
        "topic": topic,
        "title": message.subject,
        "message": body,
        "priority": priority,
        "tags": [tag],
    });
    if let (Some(link), Value::Object(fields)) = (&message.bulletin.link, &mut ntfy) {
        fields.insert("click".to_owned(), json!(link));
    }
    ntfy
}

/// Events API v2. Each token of an incident is an alert of its own, since each is recovered for itself.
pub(super) fn pagerduty(message: &Message, key: &str) -> Value {
    let bulletin = &message.bulletin;
    let (action, severity) = match (bulletin.state, bulletin.severity) {
        (State::Firing, Severity::Critical) => ("trigger", "critical"),
        (State::Firing, Severity::Warning) => ("trigger", "warning"),
        (State::Test, _) => ("trigger", "info"),
        (State::Resolved, _) => ("resolve", "info"),
        (State::Notice, _) => ("acknowledge", "info"),
    };
    let links: Vec<Value> =
        bulletin.link.iter().map(|link| json!({ "href": link, "text": "Acknowledge" })).collect();
    json!({
        "routing_key": key,
        "event_action": action,
        "dedup_key": cut(&format!("{}/{}", message.incident, message.token), PAGERDUTY_KEY_CHARS_MAX),
        "client": bulletin.watchdog,
        "links": links,
        "payload": {
            "summary": cut(&message.subject, PAGERDUTY_SUMMARY_CHARS_MAX),
            "source": bulletin.watchdog,
            "severity": severity,
            "timestamp": rfc3339(bulletin.opened),
            "component": bulletin.services.first(),
            "group": bulletin.about.providers.join(", "),
            "class": bulletin.about.reason.map(|reason| reason.word()),
            "custom_details": everything(message),
        },
    })
}

/// Healthchecks and those like it: `/fail` below the URL says that something is wrong, `/log` says something only, and the
/// URL itself that all is well.
pub(super) fn ping(message: &Message, mut url: Url) -> Post {
    let below = match message.bulletin.state {
        State::Firing => Some("fail"),
        State::Resolved => None,
        State::Notice | State::Test => Some("log"),
    };
    if let (Some(below), Ok(mut path)) = (below, url.path_segments_mut()) {
        path.pop_if_empty().push(below);
    }
    Post {
        method: hyper::Method::POST,
        url,
        content_type: "text/plain; charset=utf-8",
        headers: Vec::new(),
        body: format!("{}\n\n{}", message.subject, message.body).into_bytes(),
    }
}
