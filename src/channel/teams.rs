//! Microsoft Teams through a Workflows webhook ("Post to a channel when a webhook request is received"): an Adaptive Card.
//!
//! The host of such a URL has changed before and is not looked at; its `sig` is what keeps strangers out, so the whole URL
//! is a secret. An answer of 2xx says that the flow was queued, no more.

use reqwest::Url;
use serde_json::{Value, json};

use super::http::{self, Post};
use super::webhook::IDEMPOTENCY_KEY;
use crate::bulletin::State;
use crate::config::Endpoint;
use crate::incident::Severity;
use crate::outbox::{Message, Sent};
use crate::payload::id_of;
use crate::text::cut;
use crate::time::{Time, rfc3339};

/// Teams takes 28 KB at most; some is left for what the flow adds.
const CARD_BYTES_MAX: usize = 26_000;
/// Of the body; a letter is at most six bytes of JSON (`\u0000`), but few are.
const BODY_CHARS_MAX: usize = 12_000;

/// Tries once to deliver a message.
pub(super) async fn deliver(endpoint: &Endpoint, message: &Message, now: Time) -> Sent {
    match http::url(endpoint).await {
        Ok(url) => http::send(endpoint, compose(message, url), now).await,
        Err(error) => Sent::failed(error),
    }
}

fn compose(message: &Message, url: Url) -> Post {
    let mut chars = BODY_CHARS_MAX;
    let mut post = Post::json(url.clone(), &card(message, chars));
    while post.body.len() > CARD_BYTES_MAX && chars > 0 {
        chars /= 2;
        post = Post::json(url.clone(), &card(message, chars));
    }
    post.headers.push((IDEMPOTENCY_KEY, id_of(message)));
    post
}

fn card(message: &Message, body_chars: usize) -> Value {
    let bulletin = &message.bulletin;
    let color = match (bulletin.state, bulletin.severity) {
        (State::Firing, Severity::Critical) => "attention",
        (State::Firing, Severity::Warning) => "warning",
        (State::Resolved, _) => "good",
        (State::Notice | State::Test, _) => "default",
    };
    let facts: Vec<Value> = [
        ("Since", rfc3339(bulletin.opened)),
        ("Checkers", bulletin.about.checkers.join(", ")),
        ("Providers", bulletin.about.providers.join(", ")),
        ("Services", bulletin.services.join(", ")),
        ("Reason", bulletin.about.reason.map_or("", |reason| reason.word()).to_owned()),
        ("Incident", bulletin.incident.clone()),
    ]
    .into_iter()
    .filter(|(_, value)| !value.is_empty())
    .map(|(title, value)| json!({ "title": title, "value": plain(&cut(&value, 400)) }))
    .collect();
    // A single line break is a blank to Adaptive Cards.
    let body = plain(&cut(message.body.trim_end(), body_chars)).replace('\n', "\n\n");
    let actions: Vec<Value> = bulletin
        .link
        .iter()
        .filter(|_| bulletin.state == State::Firing)
        .map(|link| json!({ "type": "Action.OpenUrl", "title": "Acknowledge", "url": link }))
        .collect();
    let content = json!({
        "$schema": "http://adaptivecards.io/schemas/adaptive-card.json",
        "type": "AdaptiveCard",
        "version": "1.2",
        "msteams": { "width": "Full" },
        "body": [
            {
                "type": "TextBlock",
                "text": plain(&cut(&message.subject, 400)),
                "weight": "bolder",
                "size": "medium",
                "color": color,
                "wrap": true,
            },
            { "type": "FactSet", "facts": facts },
            { "type": "TextBlock", "text": body, "wrap": true, "fontType": "monospace", "size": "small" },
        ],
        "actions": actions,
    });
    json!({
        "type": "message",
        "attachments": [{
            "contentType": "application/vnd.microsoft.card.adaptive",
            "contentUrl": null,
            "content": content,
        }],
    })
}

/// A card's text is Markdown, which has no escape that Teams honours. A combining grapheme joiner is invisible and takes
/// an asterisk its meaning; the same keeps somebody else's words from becoming a link.
fn plain(text: &str) -> String {
    text.replace('*', "\u{34f}*").replace("](", "]\u{34f}(")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::channel::tests::shown;
    use crate::outbox::Kind;
    use crate::payload::tests::{linked, message, test};

    fn url() -> Url {
        Url::parse("https://hooks.example/powerautomate/x?sig=hunter2").unwrap()
    }

    #[test]
    fn a_card_says_what_is_wrong_and_has_a_button_when_there_is_a_link() {
        insta::assert_snapshot!(shown(&compose(&linked(), url())));
    }

    #[test]
    fn the_other_cards() {
        let others = [message(Kind::Alarm), message(Kind::Recovery), message(Kind::Notice), test()];
        let cards: Vec<Post> = others.iter().map(|message| compose(message, url())).collect();
        for calm in &cards[1..] {
            assert!(!String::from_utf8_lossy(&calm.body).to_lowercase().contains("nok"));
        }
        insta::assert_snapshot!(cards.iter().map(shown).collect::<String>());
    }

    #[test]
    fn an_outage_of_ten_thousand_is_a_small_card() {
        let alarm = crate::engine::tests::masses::alarm();
        let by =
            crate::words::Signature { watchdog: "bresse8", zone: chrono_tz::Tz::UTC, now: alarm.created };
        let parts: Vec<Message> = (0..10_000)
            .map(|id| Message { id, token: format!("SHOP{id}_Service"), ..message(Kind::Alarm) })
            .collect();
        let burst = crate::outbox::combined(&parts, by).unwrap();
        assert_eq!(burst.bulletin.burst.as_ref().map(|burst| burst.count), Some(10_000));
        assert!(burst.subject.len() <= 80 && burst.body.lines().count() <= 40, "{}", burst.body);
        for message in [alarm, burst] {
            let post = compose(&message, url());
            assert!(post.body.len() < 8_000, "{}", shown(&post));
        }
    }

    #[test]
    fn a_card_is_never_too_large() {
        for letter in ["x", "\n", "\u{1}", "é", "*", "🔔", "]("] {
            let mut long = linked();
            long.body = letter.repeat(100_000);
            long.subject = letter.repeat(100_000);
            let post = compose(&long, url());
            assert!(post.body.len() <= CARD_BYTES_MAX, "{letter:?}: {}", post.body.len());
            assert!(post.body.len() > 1_000, "{letter:?}: {}", post.body.len());
        }
    }
}
