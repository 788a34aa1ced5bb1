//! Delivering messages: one file per kind of channel. A channel only tries, and says how it ended.

mod alertmanager;
mod command;
mod file;
mod http;
mod ping;
mod presets;
pub mod smtp;
mod teams;
mod webhook;

use std::time::Duration;

use crate::config::{Channel, ChannelKind, Endpoint, RunMail, shown_host};
use crate::engine::{Release, Run};
use crate::expiry::Validity;
use crate::outbox::{Message, Sent};
use crate::time::Time;

/// From the first packet to the far side's answer.
const ATTEMPT_LIMIT: Duration = Duration::from_secs(25);

/// Goes as far as it can without sending anything: signs in, connects, looks whether the program or file is there. Never
/// longer than 25 s. Returns when the far side's certificate is good, if a mail server has one.
///
/// # Errors
/// One sentence that says what is wrong and what to do.
pub async fn probe(channel: &Channel) -> Result<Option<Validity>, String> {
    let attempt = async {
        match &channel.kind {
            ChannelKind::Smtp(smtp) => smtp::probe(smtp).await,
            // No HEAD either: to some services any request is a message.
            ChannelKind::Webhook(webhook) => http::probe(&webhook.endpoint).await.map(|()| None),
            ChannelKind::Teams(endpoint) => http::probe(endpoint).await.map(|()| None),
            ChannelKind::Alertmanager(endpoint) => alertmanager::probe(endpoint).await.map(|()| None),
            ChannelKind::Command(words) => command::probe(words).map(|()| None),
            ChannelKind::File(path) => file::probe(path).map(|()| None),
        }
    };
    tokio::time::timeout(ATTEMPT_LIMIT, attempt)
        .await
        .unwrap_or_else(|_| Err(format!("no answer within {} s", ATTEMPT_LIMIT.as_secs())))
}

/// The host of a channel's URL, where the URL stands outside of the configuration; None when it cannot be fetched.
pub(crate) async fn url_host(channel: &Channel) -> Option<String> {
    let endpoint = match &channel.kind {
        ChannelKind::Webhook(webhook) => &webhook.endpoint,
        ChannelKind::Teams(endpoint) | ChannelKind::Alertmanager(endpoint) => endpoint,
        ChannelKind::Smtp(_) | ChannelKind::Command(_) | ChannelKind::File(_) => return None,
    };
    http::url(endpoint).await.ok().as_ref().map(shown_host)
}

/// Tries once to deliver a message. Never longer than 25 s.
pub async fn deliver(channel: &Channel, message: &Message, now: Time) -> Sent {
    limited(async {
        match &channel.kind {
            ChannelKind::Smtp(smtp) => smtp::deliver(smtp, message, now).await,
            ChannelKind::Webhook(webhook) => webhook::deliver(webhook, message, now).await,
            ChannelKind::Teams(endpoint) => teams::deliver(endpoint, message, now).await,
            ChannelKind::Alertmanager(endpoint) => alertmanager::deliver(endpoint, message, now).await,
            ChannelKind::Command(words) => command::deliver(words, message).await,
            ChannelKind::File(path) => file::deliver(path, message).await,
        }
    })
    .await
}

/// Whether a far side forgets what stands unless it is told again.
pub fn forgets(channel: &Channel) -> bool {
    matches!(channel.kind, ChannelKind::Alertmanager(_))
}

/// Tells what stands again to a channel that [`forgets`]. Never longer than 25 s.
pub async fn refresh(channel: &Channel, standing: &[Message], now: Time) -> Sent {
    match &channel.kind {
        ChannelKind::Alertmanager(endpoint) => limited(alertmanager::refresh(endpoint, standing, now)).await,
        ChannelKind::Smtp(_)
        | ChannelKind::Webhook(_)
        | ChannelKind::Teams(_)
        | ChannelKind::Command(_)
        | ChannelKind::File(_) => Sent::Accepted("it forgets nothing".to_owned()),
    }
}

/// Tries once to send a canary. Never longer than 25 s.
pub async fn release(channel: &Channel, canary: &Release, now: Time) -> Sent {
    match &channel.kind {
        ChannelKind::Smtp(smtp) => limited(smtp::release(smtp, canary, now)).await,
        ChannelKind::Webhook(_)
        | ChannelKind::Teams(_)
        | ChannelKind::Alertmanager(_)
        | ChannelKind::Command(_)
        | ChannelKind::File(_) => Sent::Refused("only a mail channel can send a canary".to_owned()),
    }
}

/// Tries once to mail the report of a run of the watchdog `watchdog` itself. Never longer than 25 s.
pub async fn report(channel: &Channel, run: &Run, mail: &RunMail, watchdog: &str) -> Sent {
    match &channel.kind {
        ChannelKind::Smtp(smtp) => limited(smtp::report(smtp, run, mail, watchdog)).await,
        ChannelKind::Webhook(_)
        | ChannelKind::Teams(_)
        | ChannelKind::Alertmanager(_)
        | ChannelKind::Command(_)
        | ChannelKind::File(_) => Sent::Refused("only a mail channel can send a run report".to_owned()),
    }
}

/// Asks a dead-man service once. Never longer than 25 s.
pub async fn ping(endpoint: &Endpoint, now: Time) -> Sent {
    limited(ping::ping(endpoint, now)).await
}

async fn limited(attempt: impl Future<Output = Sent>) -> Sent {
    tokio::time::timeout(ATTEMPT_LIMIT, attempt)
        .await
        .unwrap_or_else(|_| Sent::failed(format!("no answer within {} s", ATTEMPT_LIMIT.as_secs())))
}

#[cfg(test)]
pub(crate) mod tests {
    use super::http::Post;
    use super::*;
    use crate::config::{Content, Endpoint, Secret, Verb, Webhook};
    use crate::outbox::Kind;
    use crate::payload::tests::message;
    use chrono::TimeDelta;
    use tokio::io::AsyncReadExt;
    use tokio::net::TcpListener;

    pub(crate) fn endpoint() -> Endpoint {
        Endpoint {
            url: Secret::Value("https://hooks.example/".into()),
            host: Some("hooks.example".into()),
            headers: Vec::new(),
            ca_file: None,
            pin_sha256: None,
        }
    }

    /// A request as a person reads it.
    pub(super) fn shown(post: &Post) -> String {
        let body = match serde_json::from_slice::<serde_json::Value>(&post.body) {
            Ok(json) => serde_json::to_string_pretty(&json).unwrap(),
            Err(_) => String::from_utf8(post.body.clone()).unwrap(),
        };
        let headers: String = post.headers.iter().map(|(name, value)| format!("{name}: {value}\n")).collect();
        format!("{} {}\ncontent-type: {}\n{headers}\n{body}\n\n", post.method, post.url, post.content_type)
    }

    #[tokio::test]
    async fn a_far_side_that_never_answers_is_given_up_and_not_named_by_its_url() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/?sig=hunter2", listener.local_addr().unwrap());
        let endpoint = Endpoint { url: Secret::Value(url.into()), ..endpoint() };
        let webhook =
            Webhook { endpoint, method: Verb::Post, content: Content::Everything, hmac: None, key: None };
        let channel = Channel {
            name: "ops".into(),
            fallback: false,
            events: [].into(),
            repeat: None,
            spacing: TimeDelta::zero(),
            rate: None,
            combine: false,
            provider: None,
            kind: ChannelKind::Webhook(webhook),
        };
        let message = message(Kind::Alarm);
        let now = message.created;
        let attempt = tokio::spawn(async move { deliver(&channel, &message, now).await });
        let (mut silent, _) = listener.accept().await.unwrap();
        assert!(silent.read(&mut [0; 64]).await.unwrap() > 0);
        // From here only the limit can end it.
        tokio::time::pause();
        assert_eq!(attempt.await.unwrap(), Sent::failed("no answer within 25 s"));
    }
}
