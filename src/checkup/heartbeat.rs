//! The heartbeat: what it says to whom, and whom that would lull.

use super::channels::leads_into_a_mailbox;
use super::{Finding, Level};
use crate::config::{Config, Heartbeat, RunMail, duration};

pub(super) fn findings(heartbeat: &Heartbeat, config: &Config) -> Vec<Finding> {
    let say = |level, text| Finding::new(level, "heartbeat", text);
    let every = duration::display(heartbeat.cycle);
    let mut found = Vec::new();
    if let Some(RunMail { channel, to, hmac }) = &heartbeat.mail {
        let tests = Heartbeat::tests(&config.name, &config.mailboxes).join(", ");
        let signed = if hmac.is_some() { ", signed" } else { "" };
        let text = format!(
            "a run report every {every} through {channel} to {to}{signed}, with DRYRUN and {tests}; none was sent now"
        );
        found.push(say(Level::Ok, text));
        if leads_into_a_mailbox(to, config) {
            let text = format!(
                "{to} leads into the mailbox that is watched: whoever alarms on the age of its newest mail is lulled by \
                 the watchdog's own runs"
            );
            found.push(say(Level::Warn, text));
        }
    }
    if let Some(ping) = &heartbeat.ping {
        let host = ping.host.as_deref().unwrap_or("the server that its url names");
        found.push(say(Level::Ok, format!("a request to {host} every {every}; none was sent now")));
    }
    found
}
