//! What `[canary]` and `[heartbeat]` share: a mail of the watchdog's own, and where it goes.

use super::report::{Reported, quoted};
use super::section::Item;
use super::{Channel, ChannelKind, Checker, value};

/// The name of a channel that can send `what` to any address. `channels` are those of the same configuration; what could
/// not be read of them is not held against it.
pub(super) fn channel(
    item: &Item<'_>,
    channels: &Result<Vec<Channel>, Reported>,
    what: &str,
) -> Result<String, Reported> {
    let name = value::line(item)?;
    let channels = channels.as_ref().map_err(|reported| *reported)?;
    match channels.iter().find(|channel| channel.name == name).map(|channel| &channel.kind) {
        Some(ChannelKind::Smtp(_)) => Ok(name),
        Some(_) => Err(item.wrong(format!("the channel {} sends no mail, and {what} is one", quoted(&name)))),
        None => Err(item.wrong(format!("there is no [[channel]] with the name {}", quoted(&name)))),
    }
}

/// An address that is no checker's; `advice` says what to do about one that is.
pub(super) fn address(
    item: &Item<'_>,
    checkers: &Result<Vec<Checker>, Reported>,
    advice: &str,
) -> Result<String, Reported> {
    let address = value::mail_address(item)?;
    let checkers = checkers.as_ref().map_err(|reported| *reported)?;
    match checkers.iter().find(|checker| checker.addresses.contains(&address)) {
        None => Ok(address),
        Some(checker) => {
            let text = format!("{} is the address of {}; {advice}", quoted(&address), checker.name);
            Err(item.wrong(text))
        }
    }
}
