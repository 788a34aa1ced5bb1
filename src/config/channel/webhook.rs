//! `type = "webhook"`.

use std::collections::BTreeMap;

use serde_json::Value;

use super::super::report::{Reported, quoted};
use super::super::section::{Item, Section, nearest};
use super::super::{Secret, secret};
use super::endpoint::{self, Endpoint};
use crate::payload::{FIELDS, placeholders};

const MAX_TEMPLATE_BYTES: usize = 16 << 10;

/// Where PagerDuty takes events (Events API v2); its European accounts have another place.
const PAGERDUTY: &str = "https://events.pagerduty.com/v2/enqueue";

#[derive(Debug, Clone)]
pub struct Webhook {
    pub endpoint: Endpoint,
    pub method: Verb,
    pub content: Content,
    /// Signs the body.
    pub hmac: Option<Secret>,
    /// What a template writes for `{{key}}`.
    pub key: Option<Secret>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verb {
    Post,
    Put,
    Patch,
}

/// What is sent.
#[derive(Debug, Clone, PartialEq)]
pub enum Content {
    /// Every field, as JSON.
    Everything,
    /// `{{field}}` inside of its texts stands for the field.
    Template(Value),
    Preset(Preset),
}

/// What some services want, ready made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Preset {
    Slack,
    Ntfy,
    Pagerduty,
    /// A dead-man service: well at the URL, not well at `/fail` below it.
    Ping,
}

const METHODS: [(&str, Verb); 3] = [("POST", Verb::Post), ("PUT", Verb::Put), ("PATCH", Verb::Patch)];

const PRESETS: [(&str, Preset); 4] = [
    ("slack", Preset::Slack),
    ("ntfy", Preset::Ntfy),
    ("pagerduty", Preset::Pagerduty),
    ("ping", Preset::Ping),
];

pub(super) fn read(
    section: &mut Section<'_>,
    environment: &BTreeMap<String, String>,
) -> Result<Webhook, Reported> {
    let preset = section.optional("preset", |item| item.choice(&PRESETS));
    let template = section.optional("template", |item| template(&item));
    let method = section.optional("method", |item| item.choice(&METHODS));
    let hmac = section.optional("hmac", |item| secret::read(item, environment));
    let key = section.optional("key", |item| secret::read(item, environment));
    let pagerduty = matches!(preset, Ok(Some(Preset::Pagerduty)));
    let endpoint = endpoint::read_or(section, environment, pagerduty.then_some(PAGERDUTY), false);
    let content = match (preset?, template?) {
        (Some(_), Some(_)) => {
            return Err(section.wrong("template", "give either preset or template, not both"));
        }
        (Some(preset), None) => Content::Preset(preset),
        (None, Some(template)) => Content::Template(template),
        (None, None) => Content::Everything,
    };
    let key = key?;
    if pagerduty && key.is_none() {
        let sentence = "preset = \"pagerduty\" needs key, the integration key of the service";
        return Err(section.missing("key", sentence));
    }
    let used = match &content {
        Content::Preset(preset) => *preset == Preset::Pagerduty,
        Content::Template(template) => placeholders(template).iter().any(|name| name == "key"),
        Content::Everything => false,
    };
    match (used, &key) {
        (true, None) => return Err(section.missing("key", "the template has {{key}}, so key is required")),
        (false, Some(_)) => {
            return Err(section.wrong("key", "nothing uses key: no {{key}} is in the template"));
        }
        _ => {}
    }
    Ok(Webhook { endpoint: endpoint?, method: method?.unwrap_or(Verb::Post), content, hmac: hmac?, key })
}

/// JSON whose placeholders are all known.
fn template(item: &Item<'_>) -> Result<Value, Reported> {
    let text = item.text()?;
    if text.len() > MAX_TEMPLATE_BYTES {
        return Err(item.wrong(format!("longer than {MAX_TEMPLATE_BYTES} bytes")));
    }
    // serde_json stops at a depth of 128.
    let template: Value =
        serde_json::from_str(text).map_err(|error| item.wrong(format!("must be JSON ({error})")))?;
    let unknown = placeholders(&template).into_iter().find(|name| !FIELDS.contains(&name.as_str()));
    match unknown {
        Some(name) => {
            let near = nearest(&name, &FIELDS);
            Err(item.wrong(format!("there is no field {}{near}", quoted(&name))))
        }
        None => Ok(template),
    }
}
