//! Values that are text of a certain form: names, addresses, hosts, paths.

use std::net::IpAddr;
use std::path::PathBuf;
use std::str::FromStr;

use chrono_tz::{TZ_VARIANTS, Tz};
use lettre::Address;

use super::report::{Reported, quoted};
use super::section::{Item, nearest};

const MAX_NAME_CHARS: usize = 100;
const MAX_HOST_BYTES: usize = 253; // RFC 1035, section 3.1, as text
const MAX_ADDRESS_BYTES: usize = 254; // RFC 5321, section 4.5.3.1.3, without the angle brackets
const MAX_TEXT_BYTES: usize = 4096;

/// Any text that is not empty and has no control characters.
pub(super) fn line(item: &Item<'_>) -> Result<String, Reported> {
    let text = item.text()?;
    if is_line(text) {
        return Ok(text.to_owned());
    }
    if text.trim().is_empty() {
        return Err(item.wrong("must not be empty"));
    }
    if text.len() > MAX_TEXT_BYTES {
        return Err(item.wrong(format!("longer than {MAX_TEXT_BYTES} bytes")));
    }
    Err(item.wrong("must not hold a line break or another control character"))
}

fn is_line(text: &str) -> bool {
    !text.trim().is_empty() && text.len() <= MAX_TEXT_BYTES && !text.chars().any(char::is_control)
}

pub(super) fn path(item: &Item<'_>) -> Result<PathBuf, Reported> {
    line(item).map(PathBuf::from)
}

/// The name of something that appears in the subject of an alarm.
pub(super) fn name(item: &Item<'_>) -> Result<String, Reported> {
    let name = line(item)?;
    match fault_of_name(&name) {
        Some(fault) => Err(item.wrong(format!("{} {fault}", quoted(&name)))),
        None => Ok(name),
    }
}

fn fault_of_name(name: &str) -> Option<String> {
    if name.chars().count() > MAX_NAME_CHARS {
        return Some(format!("is longer than {MAX_NAME_CHARS} characters"));
    }
    if name.contains(']') {
        return Some("must not contain ]".to_owned());
    }
    // Whoever filters on NOK would take every recovery with this name for an alarm.
    name.to_lowercase().contains("nok").then(|| "must not contain NOK, in capitals or not".to_owned())
}

/// Whether a text found elsewhere would do as a name.
pub(crate) fn is_name(text: &str) -> bool {
    is_line(text) && fault_of_name(text).is_none()
}

/// The name of a service, which is also a token of the checkers' reports.
pub(super) fn service(item: &Item<'_>) -> Result<String, Reported> {
    let name = name(item)?;
    match fault_of_service(&name) {
        Some(fault) => Err(item.wrong(fault)),
        None => Ok(name),
    }
}

fn fault_of_service(name: &str) -> Option<String> {
    if name.eq_ignore_ascii_case("DRYRUN") {
        return Some("DRYRUN begins every run and is not a service".to_owned());
    }
    if name.starts_with("MONITOR_") || ["_Checker", "_Report"].iter().any(|end| name.ends_with(end)) {
        return Some(format!(
            "{} would pass for an alarm of the watchdog's own; call it otherwise",
            quoted(name)
        ));
    }
    let holds_result = name.contains(".OK");
    holds_result.then(|| format!("{} must not contain .OK: write the name without the result", quoted(name)))
}

/// Whether a text found elsewhere would do as the name of a service.
pub(crate) fn is_service(text: &str) -> bool {
    is_name(text) && fault_of_service(text).is_none()
}

/// A bare mail address, in lower case.
pub(super) fn mail_address(item: &Item<'_>) -> Result<String, Reported> {
    let text = line(item)?;
    if !is_mail_address(&text) {
        return Err(item.wrong(format!("{} is not a mail address such as name@domain.com", quoted(&text))));
    }
    Ok(text.to_lowercase())
}

pub(crate) fn is_mail_address(text: &str) -> bool {
    text.len() <= MAX_ADDRESS_BYTES && Address::from_str(text).is_ok()
}

/// A host name or an IP address.
pub(super) fn host(item: &Item<'_>) -> Result<String, Reported> {
    let text = line(item)?;
    let shown = quoted(&text);
    if text.parse::<IpAddr>().is_ok() {
        return Ok(text);
    }
    if text.contains("://") || text.contains('/') {
        return Err(item.wrong(format!("{shown} is a URL; write the host's name alone")));
    }
    if text.contains(':') {
        return Err(
            item.wrong(format!("{shown} is not a host's name; the port is a key of its own, port = …"))
        );
    }
    if !text.split('.').all(is_label) || text.len() > MAX_HOST_BYTES {
        return Err(item.wrong(format!("{shown} is not the name of a host")));
    }
    Ok(text)
}

fn is_label(label: &str) -> bool {
    // The underscore is not allowed in host names (RFC 952), but container networks use it.
    let allowed = |c: char| c.is_alphanumeric() || matches!(c, '-' | '_');
    !label.is_empty() && label.len() <= 63 && label.chars().all(allowed)
}

/// Whether a connection to this host stays on this machine.
pub(crate) fn is_loopback(host: &str) -> bool {
    match host.parse::<IpAddr>() {
        Ok(address) => address.is_loopback(),
        Err(_) => host.eq_ignore_ascii_case("localhost"),
    }
}

/// A SHA-256 fingerprint as hexadecimal digits, with or without colons.
pub(super) fn fingerprint(item: &Item<'_>) -> Result<[u8; 32], Reported> {
    parse_fingerprint(item.text()?).ok_or_else(|| {
        item.wrong("must be the 64 hexadecimal digits of a SHA-256 fingerprint, with or without colons")
    })
}

fn parse_fingerprint(text: &str) -> Option<[u8; 32]> {
    let digits = text.chars().filter(|c| *c != ':').map(|c| u8::try_from(c.to_digit(16)?).ok());
    let digits: Vec<u8> = digits.collect::<Option<_>>()?;
    let (pairs, []) = digits.as_chunks::<2>() else {
        return None;
    };
    let bytes: Vec<u8> = pairs.iter().map(|[high, low]| high << 4 | low).collect();
    bytes.try_into().ok()
}

pub(super) fn timezone(item: &Item<'_>) -> Result<Tz, Reported> {
    let text = item.text()?;
    Tz::from_str(text).map_err(|_| {
        let names: Vec<&str> = TZ_VARIANTS.iter().map(|zone| zone.name()).collect();
        item.wrong(format!("{} is not a time zone{}", quoted(text), nearest(text, &names)))
    })
}
