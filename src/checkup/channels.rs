//! One channel: whether it signs in, and whether it leads where nobody would be told.

use super::mailboxes::client_secret;
use super::{Finding, Level, certificate};
use crate::config::{Channel, ChannelKind, Config, Login};
use crate::expiry::Validity;
use crate::site;
use crate::time::Time;

pub(super) fn findings(
    channel: &Channel,
    reached: &Result<Option<Validity>, String>,
    config: &Config,
    now: Time,
) -> Vec<Finding> {
    let what = format!("channel {}", channel.name);
    let mut found = vec![match reached {
        Ok(_) => Finding::new(Level::Ok, &what, works(channel)),
        Err(why) => Finding::new(Level::Fail, &what, why),
    }];
    if let Some(host) = channel.host() {
        let ends = reached.as_ref().ok().and_then(|validity| certificate(host, (*validity)?, now));
        found.extend(ends.map(|text| Finding::new(Level::Warn, &what, text)));
    }
    if let ChannelKind::Smtp(smtp) = &channel.kind {
        let ends = smtp.login.as_ref().and_then(|(_, login)| client_secret(login, now));
        found.extend(ends.map(|text| Finding::new(Level::Warn, &what, text)));
        let bad = smtp.to.iter().filter_map(|recipient| bad_recipient(recipient, config));
        found.extend(bad.map(|text| Finding::new(Level::Warn, &what, text)));
    }
    found
}

fn works(channel: &Channel) -> String {
    let host = channel.host().unwrap_or("the server that its url names");
    match &channel.kind {
        ChannelKind::Smtp(smtp) => match &smtp.login {
            Some((user, Login::Password(_))) => format!("signed in to {host} as {user}; nothing was sent"),
            Some((user, Login::OAuth2(_))) => {
                format!("signed in to {host} as {user} with a token; nothing was sent")
            }
            None => format!("connected to {host} without signing in; nothing was sent"),
        },
        ChannelKind::Webhook(_) | ChannelKind::Teams(_) => {
            format!("connected to {host}; nothing was sent, so only `alert-test` shows whether it accepts")
        }
        ChannelKind::Alertmanager(_) => format!("the Alertmanager on {host} answers; nothing was sent"),
        ChannelKind::Command(_) => "the program is there; it was not run".to_owned(),
        ChannelKind::File(_) => "the file can be written; nothing was".to_owned(),
    }
}

pub(super) fn leads_into_a_mailbox(recipient: &str, config: &Config) -> bool {
    let delivered = site::untagged(recipient);
    let own = config.mailboxes.iter().any(|mailbox| site::untagged(&mailbox.user) == delivered);
    let mut checkers = config.checkers.iter().flat_map(|checker| &checker.addresses);
    // Microsoft 365 delivers bresse1+monitor@ to the alias bresse1@, so that one leads to the mailbox as well.
    own || checkers.any(|address| site::untagged(address) == delivered)
}

fn bad_recipient(recipient: &str, config: &Config) -> Option<String> {
    leads_into_a_mailbox(recipient, config).then(|| {
        format!(
            "{recipient} leads into the mailbox that is watched: alarms there pass for news from the checkers with those \
             who watch the age of its newest mail, and nobody is told when it is down"
        )
    })
}
