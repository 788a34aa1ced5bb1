//! The canary: what it does, and to whom it could do harm.

use super::{Finding, Level};
use crate::config::{Canary, Config, duration};
use crate::site;

pub(super) fn findings(canary: &Canary, config: &Config) -> Vec<Finding> {
    let Canary { channel, to, every, .. } = canary;
    let say = |level, text| Finding::new(level, "canary", text);
    let text =
        format!("a mail every {} through {channel} to {to}; none was sent now", duration::display(*every));
    let mut found = vec![say(Level::Ok, text)];
    let there = config.mailboxes.iter().any(|mailbox| site::domain(&mailbox.user) == site::domain(to));
    if !there {
        let text =
            format!("{to} is at another domain than every mailbox: does it arrive in one that is read?");
        found.push(say(Level::Warn, text));
    }
    let text = "its mails lie in the shared mailbox: whoever watches the age of the newest mail there is lulled by them";
    found.push(say(Level::Warn, text.to_owned()));
    found
}
