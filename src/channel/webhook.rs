//! Any service that takes JSON: everything there is to say, a template of the user's, or a shipped one.

use aws_lc_rs::hmac;
use reqwest::Url;
use secrecy::{ExposeSecret, SecretString};

use super::http::{self, Post};
use super::presets;
use crate::config::{Content, Preset, Verb, Webhook};
use crate::outbox::{Message, Sent};
use crate::payload::{everything, fill, id_of};
use crate::secret;
use crate::text::hex;
use crate::time::Time;

/// `sha256=` and the HMAC-SHA-256 of the body under the channel's `hmac`, in hexadecimal digits.
const SIGNATURE: &str = "x-bresse-signature-256";
/// The same for every try of one message (draft-ietf-httpapi-idempotency-key-header).
pub(super) const IDEMPOTENCY_KEY: &str = "idempotency-key";

/// Tries once to deliver a message.
pub(super) async fn deliver(webhook: &Webhook, message: &Message, now: Time) -> Sent {
    let post = match prepare(webhook, message).await {
        Ok(post) => post,
        Err(error) => return Sent::failed(error),
    };
    http::send(&webhook.endpoint, post, now).await
}

async fn prepare(webhook: &Webhook, message: &Message) -> Result<Post, String> {
    let url = http::url(&webhook.endpoint).await?;
    let key = optional(webhook.key.as_ref()).await?;
    let hmac = optional(webhook.hmac.as_ref()).await?;
    let post = compose(webhook, message, url, key.as_ref().map_or("", |key| key.expose_secret()));
    Ok(match hmac {
        Some(hmac) => signed(post, hmac.expose_secret().as_bytes()),
        None => post,
    })
}

async fn optional(secret: Option<&crate::config::Secret>) -> Result<Option<SecretString>, String> {
    let Some(secret) = secret else { return Ok(None) };
    secret::resolve(secret).await.map(Some).map_err(|error| format!("{error:#}"))
}

fn compose(webhook: &Webhook, message: &Message, url: Url, key: &str) -> Post {
    let mut post = match &webhook.content {
        Content::Everything => Post::json(url, &everything(message)),
        Content::Template(template) => Post::json(url, &fill(template, message, key)),
        Content::Preset(Preset::Slack) => Post::json(url, &presets::slack(message)),
        Content::Preset(Preset::Ntfy) => {
            let (server, topic) = presets::ntfy_topic(&url);
            Post::json(server, &presets::ntfy(message, &topic))
        }
        Content::Preset(Preset::Pagerduty) => Post::json(url, &presets::pagerduty(message, key)),
        Content::Preset(Preset::Ping) => presets::ping(message, url),
    };
    post.method = match webhook.method {
        Verb::Post => hyper::Method::POST,
        Verb::Put => hyper::Method::PUT,
        Verb::Patch => hyper::Method::PATCH,
    };
    post.headers.push((IDEMPOTENCY_KEY, id_of(message)));
    post
}

fn signed(mut post: Post, secret: &[u8]) -> Post {
    let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, secret), &post.body);
    let digits = hex(tag.as_ref());
    post.headers.push((SIGNATURE, format!("sha256={digits}")));
    post
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::channel::tests::{endpoint, shown};
    use crate::outbox::Kind;
    use crate::payload::tests::{linked, message, test};

    fn of(content: Content) -> Webhook {
        Webhook { endpoint: endpoint(), method: Verb::Post, content, hmac: None, key: None }
    }

    fn posted(content: Content, message: &Message) -> Post {
        let url = Url::parse("https://hooks.example/services/topic?a=b").unwrap();
        compose(&of(content), message, url, "the-key")
    }

    fn story(preset: Preset) -> String {
        let said = [linked(), message(Kind::Recovery), message(Kind::Notice), test()];
        said.iter().map(|message| shown(&posted(Content::Preset(preset), message))).collect()
    }

    #[test]
    fn without_further_words_everything_is_sent() {
        insta::assert_snapshot!(shown(&posted(Content::Everything, &message(Kind::Alarm))));
    }

    #[test]
    fn slack() {
        insta::assert_snapshot!(story(Preset::Slack));
    }

    #[test]
    fn ntfy() {
        insta::assert_snapshot!(story(Preset::Ntfy));
    }

    #[test]
    fn pagerduty() {
        insta::assert_snapshot!(story(Preset::Pagerduty));
    }

    #[test]
    fn ping() {
        insta::assert_snapshot!(story(Preset::Ping));
    }

    #[test]
    fn a_template_is_filled_and_the_body_signed() {
        let template = serde_json::json!({ "text": "{{subject}}", "key": "{{key}}" });
        let post = signed(posted(Content::Template(template), &message(Kind::Alarm)), b"hunter2");
        // printf '%s' BODY | openssl dgst -sha256 -hmac hunter2
        insta::assert_snapshot!(shown(&post));
    }

    #[test]
    fn only_alarms_say_nok() {
        for preset in [Preset::Slack, Preset::Ntfy, Preset::Pagerduty, Preset::Ping] {
            for calm in [message(Kind::Recovery), message(Kind::Notice), test()] {
                let post = posted(Content::Preset(preset), &calm);
                assert!(!String::from_utf8(post.body).unwrap().to_lowercase().contains("nok"), "{preset:?}");
            }
        }
    }
}
