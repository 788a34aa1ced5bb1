//! `[heartbeat]`.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use chrono::TimeDelta;

use super::report::Reported;
use super::section::Section;
use super::{
    Channel, Checker, Heartbeat, Mailbox, RunMail, channel, checker, duration, own_mail, secret, value,
};

/// As of every checker.
const CYCLE: RangeInclusive<TimeDelta> = checker::CYCLE;

/// `mailboxes`, `channels` and `checkers` are those of the same configuration, as is `name`, the watchdog's own; what
/// could not be read of them is not held against it.
pub(super) fn read(
    root: &mut Section<'_>,
    environment: &BTreeMap<String, String>,
    name: Option<&str>,
    mailboxes: &Result<Vec<Mailbox>, Reported>,
    channels: &Result<Vec<Channel>, Reported>,
    checkers: &Result<Vec<Checker>, Reported>,
) -> Result<Option<Heartbeat>, Reported> {
    root.optional("heartbeat", |item| {
        let mut section = item.section("[heartbeat]")?;
        let through =
            section.optional("channel", |item| own_mail::channel(&item, channels, "a run report"));
        let advice = "the watchdog's own runs would keep it looking alive";
        let to = section.optional("to", |item| own_mail::address(&item, checkers, advice));
        let hmac = section.optional("hmac", |item| secret::read(item, environment));
        let ping = section.optional("ping", |item| {
            let mut section = item.section("ping")?;
            let endpoint = channel::read_secret_endpoint(&mut section, environment);
            section.finish();
            endpoint
        });
        let cycle = section.optional("cycle", |item| {
            let cycle = item.duration(CYCLE)?;
            let polls = mailboxes.iter().flatten().map(|mailbox| mailbox.poll);
            match polls.min().filter(|poll| *poll > cycle) {
                None => Ok(cycle),
                Some(poll) => Err(item.wrong(format!(
                    "a run is reported after a look at a mailbox, and poll = \"{}\" is longer than this cycle",
                    duration::display(poll)
                ))),
            }
        });
        section.finish();
        let (through, to, hmac, ping) = (through?, to?, hmac?, ping?);
        let mail = match (through, to) {
            (Some(channel), Some(to)) => Some(RunMail { channel, to, hmac }),
            (None, None) if ping.is_none() => {
                return Err(section.missing("channel", "give channel and to, or ping, or all of them"));
            }
            (None, None) if hmac.is_some() => {
                return Err(section.wrong("hmac", "only a mail is signed: give channel and to as well"));
            }
            (None, None) => None,
            (Some(_), None) => return Err(section.missing("to", "channel needs to beside it")),
            (None, Some(_)) => return Err(section.missing("channel", "to needs channel beside it")),
        };
        let heartbeat = Heartbeat { mail, ping, cycle: cycle?.unwrap_or(checker::DEFAULT_CYCLE) };
        let names = mailboxes.as_ref().map_or(Vec::new(), |all| Heartbeat::tests(name.unwrap_or("a"), all));
        match names.into_iter().find(|name| heartbeat.mail.is_some() && !value::is_service(name)) {
            None => Ok(heartbeat),
            Some(name) => Err(section.wrong(
                "channel",
                format!(
                    "a run names the test {name:?}, which is too long for a service or holds .OK; \
                     choose another watchdog.name or mailbox.name"
                ),
            )),
        }
    })
}
