//! One channel: whether it signs in, and whether it would survive what it alarms about.

use super::{Finding, Level};
use crate::config::{Channel, ChannelKind, Config, Mailbox, Smtp, is_loopback};
use crate::site;

pub(super) fn findings(channel: &Channel, reached: &Result<(), String>, config: &Config) -> Vec<Finding> {
    let what = format!("channel {}", channel.name);
    let ChannelKind::Smtp(smtp) = &channel.kind;
    let mut found = vec![match reached {
        Ok(()) => Finding::new(Level::Ok, &what, works(smtp)),
        Err(why) => Finding::new(Level::Fail, &what, why),
    }];
    let unsafe_ways = config.mailboxes.iter().filter_map(|mailbox| shared_fate(smtp, mailbox));
    found.extend(unsafe_ways.map(|text| Finding::new(Level::Warn, &what, text)));
    for recipient in &smtp.to {
        if let Some(text) = bad_recipient(recipient, config) {
            found.push(Finding::new(Level::Warn, &what, text));
        }
    }
    found
}

fn works(smtp: &Smtp) -> String {
    let host = &smtp.server.host;
    match &smtp.login {
        Some((user, _)) => format!("signed in to {host} as {user}; nothing was sent"),
        None => format!("connected to {host} without signing in; nothing was sent"),
    }
}

fn shared_fate(smtp: &Smtp, mailbox: &Mailbox) -> Option<String> {
    let (own, others) = (&smtp.server.host, &mailbox.server.host);
    let same_host = own.eq_ignore_ascii_case(others) || (is_loopback(own) && is_loopback(others));
    let place = if same_host {
        "on the same host".to_owned()
    } else {
        let site = site::of(own)?;
        (site::of(others)? == site).then(|| format!("below the same domain, {site}"))?
    };
    Some(format!(
        "its server {own} is {place} as the mailbox {}: an alarm that the mailbox is down would go down with it",
        mailbox.name
    ))
}

fn bad_recipient(recipient: &str, config: &Config) -> Option<String> {
    let delivered = site::untagged(recipient);
    let own = config.mailboxes.iter().any(|mailbox| site::untagged(&mailbox.user) == delivered);
    let checkers = || config.checkers.iter().flat_map(|checker| &checker.addresses);
    // Microsoft 365 delivers bresse1+monitor@ to the alias bresse1@, so that one leads to the mailbox as well.
    if own || checkers().any(|address| site::untagged(address) == delivered) {
        return Some(format!(
            "{recipient} leads into the mailbox that is watched: alarms there pass for news from the checkers with those \
             who watch the age of its newest mail, and nobody is told when it is down"
        ));
    }
    let domain = site::domain(recipient)?;
    let same =
        config.mailboxes.iter().find(|mailbox| site::domain(&mailbox.user).as_ref() == Some(&domain))?;
    Some(format!(
        "{recipient} is at {domain}, as the mailbox {}: when that mail system is down, the alarm arrives late or never",
        same.name
    ))
}
