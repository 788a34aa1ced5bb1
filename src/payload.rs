//! A message as data: all its fields in JSON, and templates filled with them. Pure.
//!
//! A template is JSON, and only its texts have placeholders. Whatever a field holds, the result is the same JSON with other
//! texts in it.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use crate::bulletin::Part;
use crate::outbox::Message;
use crate::time::rfc3339;

/// What may stand between `{{` and `}}`.
pub const FIELDS: [&str; 17] = [
    "body",
    "channel",
    "checkers",
    "created",
    "id",
    "incident",
    "key",
    "link",
    "opened",
    "providers",
    "reason",
    "services",
    "severity",
    "state",
    "subject",
    "token",
    "watchdog",
];

/// The same for every try of one message, and for no other message.
pub fn id_of(message: &Message) -> String {
    // What goes past the outbox has no number of its own, but an incident of its own.
    let id = format!("{}-{}-{}", message.incident, message.ordinal, message.id);
    match &message.bulletin.burst {
        None => id,
        Some(burst) => format!("{id}-{}", burst.key),
    }
}

/// Every field, as a program reads them.
pub fn everything(message: &Message) -> Value {
    let bulletin = &message.bulletin;
    let mut fields = json!({
        "id": id_of(message),
        "channel": message.channel,
        "watchdog": bulletin.watchdog,
        "incident": message.incident,
        "token": message.token,
        "state": bulletin.state.word(),
        "severity": bulletin.severity.word(),
        "opened": rfc3339(bulletin.opened),
        "created": rfc3339(message.created),
        "checkers": bulletin.about.checkers,
        "checkers_count": bulletin.about.checkers_count,
        "providers": bulletin.about.providers,
        "services": bulletin.services,
        "reason": bulletin.about.reason.map(|reason| reason.word()),
        "link": bulletin.link,
        "subject": message.subject,
        "body": message.body,
    });
    if let (Some(burst), Value::Object(fields)) = (&bulletin.burst, &mut fields) {
        fields.insert("parts_count".to_owned(), json!(burst.count));
        fields.insert("parts".to_owned(), burst.parts.iter().map(part).collect());
    }
    fields
}

fn part(part: &Part) -> Value {
    json!({
        "incident": part.incident,
        "token": part.token,
        "severity": part.severity.word(),
        "opened": rfc3339(part.opened),
        "subject": part.subject,
    })
}

/// The template with its placeholders filled in. `key` is the secret that it may hold.
pub fn fill(template: &Value, message: &Message, key: &str) -> Value {
    filled(template, &texts(message, key))
}

/// The names between `{{` and `}}` in a template.
pub fn placeholders(template: &Value) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    match template {
        Value::String(text) => {
            pieces(text, |piece| {
                if let Piece::Field(name) = piece {
                    found.insert(name.to_owned());
                }
            });
        }
        Value::Array(values) => values.iter().for_each(|value| found.extend(placeholders(value))),
        Value::Object(entries) => entries.values().for_each(|value| found.extend(placeholders(value))),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
    found
}

/// What each field is in a text; what there is not is empty.
fn texts(message: &Message, key: &str) -> BTreeMap<String, String> {
    let mut texts = BTreeMap::from([("key".to_owned(), key.to_owned())]);
    if let Value::Object(fields) = everything(message) {
        for (name, value) in fields {
            let text = match value {
                Value::String(text) => text,
                Value::Array(names) => names.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(", "),
                Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_) => String::new(),
            };
            texts.insert(name, text);
        }
    }
    texts
}

fn filled(template: &Value, texts: &BTreeMap<String, String>) -> Value {
    match template {
        Value::String(text) => {
            let mut filled = String::with_capacity(text.len());
            pieces(text, |piece| match piece {
                Piece::Text(text) => filled.push_str(text),
                // What is filled in is not looked through again.
                Piece::Field(name) => filled.push_str(texts.get(name).map_or("", String::as_str)),
            });
            Value::String(filled)
        }
        Value::Array(values) => values.iter().map(|value| filled(value, texts)).collect(),
        Value::Object(entries) => {
            entries.iter().map(|(name, value)| (name.clone(), filled(value, texts))).collect()
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => template.clone(),
    }
}

enum Piece<'a> {
    Text(&'a str),
    Field(&'a str),
}

fn pieces<'a>(mut text: &'a str, mut take: impl FnMut(Piece<'a>)) {
    while let Some((before, rest)) = text.split_once("{{") {
        let Some((name, after)) = rest.split_once("}}") else { break };
        take(Piece::Text(before));
        take(Piece::Field(name.trim()));
        text = after;
    }
    take(Piece::Text(text));
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::bulletin::{About, Bulletin, State};
    use crate::outbox::Kind;
    use crate::reason::Reason;
    use chrono::{TimeZone, Utc};

    /// An alarm, or what it says with another kind, whose every text is as bad as it can be.
    pub(crate) fn message(kind: Kind) -> Message {
        let at = |minute| Utc.with_ymd_and_hms(2026, 11, 20, 3, minute, 0).unwrap();
        let mut bulletin = Bulletin::own("20261120-42", "free_Provider", kind.into(), "bresse8", at(0));
        bulletin.about = About {
            checkers: vec!["bresse1".into(), "bresse3".into()],
            checkers_count: 2,
            providers: vec!["free".into()],
            reason: Some(Reason::ProviderDown),
        };
        bulletin.announced =
            About { checkers: vec!["bresse1".into()], checkers_count: 1, ..bulletin.about.clone() };
        let (subject, body) = match kind {
            Kind::Alarm => (
                "free_Provider.NOK 2 checkers are silent: bresse1, bresse3",
                "It said \"550 *no*\",\n{{key}} & <b>.\n",
            ),
            Kind::Recovery => ("free_Provider.OK heard again", "Both are heard again.\n"),
            Kind::Notice => ("Taken by Anna: free_Provider", "Anna has taken free_Provider.\n"),
        };
        Message {
            id: 7,
            incident: "20261120-42".into(),
            ordinal: 2,
            token: "free_Provider".into(),
            kind,
            bulletin,
            channel: "ops".into(),
            recipient: "hooks.example".into(),
            subject: subject.into(),
            body: body.into(),
            html: None,
            created: at(1),
            attempts: 1,
            due: at(1),
            last_error: None,
            refused: false,
            refusals: 0,
            handed_over: false,
        }
    }

    /// A service's alarm with a link.
    pub(crate) fn linked() -> Message {
        let mut message = message(Kind::Alarm);
        message.bulletin.link = Some("https://watch.example/a/20261120-42?until=1&sig=abc".into());
        message.bulletin.services = vec!["ESHOP_Service".into()];
        message
    }

    pub(crate) fn test() -> Message {
        let mut message = message(Kind::Notice);
        message.bulletin.state = State::Test;
        message.token = "bresse8_Test".into();
        message.subject = "bresse8_Test.OK test of the channel ops".into();
        message
    }

    #[test]
    fn every_field_that_a_template_may_name_has_a_text() {
        let known = texts(&linked(), "k");
        let without: Vec<&&str> =
            FIELDS.iter().filter(|name| known.get(**name).is_none_or(String::is_empty)).collect();
        assert!(without.is_empty(), "{without:?}");
    }

    #[test]
    fn a_template_keeps_its_form_whatever_is_filled_in() {
        let template = json!({
            "{{token}}": "a key is not filled",
            "text": "{{ subject }} / {{body}} / {{unfinished",
            "list": [1, true, null, "{{checkers}}", "{{reason}}{{services}}"],
        });
        insta::assert_json_snapshot!(fill(&template, &message(Kind::Alarm), "secret"), @r#"
        {
          "list": [
            1,
            true,
            null,
            "bresse1, bresse3",
            "provider_down"
          ],
          "text": "free_Provider.NOK 2 checkers are silent: bresse1, bresse3 / It said \"550 *no*\",\n{{key}} & <b>.\n / {{unfinished",
          "{{token}}": "a key is not filled"
        }
        "#);
        let names: Vec<String> = placeholders(&template).into_iter().collect();
        assert_eq!(names, ["body", "checkers", "reason", "services", "subject"]);
    }

    #[test]
    fn everything_is_told_to_a_program() {
        insta::assert_json_snapshot!(everything(&linked()));
    }
}
