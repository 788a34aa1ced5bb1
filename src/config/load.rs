//! The whole file: its tables in turn, and `[watchdog]`.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

use chrono_tz::Tz;

use super::report::{Report, Reported, quoted};
use super::section::{Item, Section};
use super::{
    Checkers, Config, ConfigErrors, Sources, audit, canary, channel, checker, dead_files, digest, document,
    drill, heartbeat, mailbox, matrix, overlay, policy, retention, value, web,
};

const DEFAULT_STATE: &str = "watchdog.db";
const DNS_PORT: u16 = 53;

pub(super) fn load(sources: &Sources<'_>, need: Checkers) -> Result<Config, ConfigErrors> {
    let report = Report::default();
    let config = read(sources, need, &report);
    let (mut config, warnings) = report.close(sources.file, config)?;
    config.warnings = warnings;
    Ok(config)
}

fn read(sources: &Sources<'_>, need: Checkers, report: &Report) -> Result<Config, Reported> {
    let Sources { text, environment, overrides, .. } = *sources;
    let tree = overlay::apply(document::parse(text, report), environment, overrides, report);
    let first_user = mailbox::first_user(&tree);
    let mut root = Section::root(tree, report);

    let watchdog = root.subsection("watchdog", "[watchdog]").and_then(watchdog);
    let mailboxes = mailbox::read_all(&mut root, environment);
    let user = match (first_user, &mailboxes) {
        (Some(user), _) => Ok(user),
        (None, Ok(mailboxes)) => Ok(mailboxes.first().map(|first| first.user.clone()).unwrap_or_default()),
        (None, Err(reported)) => Err(*reported),
    };
    let checkers = checker::read_all(&mut root, user, need, environment);
    let quorum = matrix::read(&mut root, &checkers);
    let channels = channel::read_all(&mut root, environment);
    // Names are checked against what could be read; the errors about the rest are reported already.
    let zone = watchdog.as_ref().map_or(Tz::UTC, |watchdog| watchdog.timezone);
    let policies = policy::read_all(&mut root, zone, checkers.as_deref().ok(), channels.as_deref().ok());
    let canary = canary::read(&mut root, &channels, &checkers);
    let retention = retention::read(&mut root);
    let web = web::read(&mut root);
    let drill = drill::read(&mut root, &channels, &policies);
    let name = watchdog.as_ref().ok().map(|watchdog| watchdog.name.as_str());
    let heartbeat = heartbeat::read(&mut root, environment, name, &mailboxes, &channels, &checkers);
    let digests = digest::read_all(&mut root, zone, checkers.as_deref().ok(), channels.as_deref().ok());
    let dead_files = dead_files::read(&mut root);
    let head_notice = audit::read(&mut root, zone, channels.as_deref().ok());
    root.finish();

    let Watchdog { name, state, timezone, accept_dependence, dns } = watchdog?;
    Ok(Config {
        name,
        state,
        timezone,
        accept_dependence,
        dns,
        mailboxes: mailboxes?,
        checkers: checkers?,
        channels: channels?,
        policies: policies?,
        quorum: quorum?,
        retention: retention?,
        canary: canary?,
        web: web?,
        drill: drill?,
        heartbeat: heartbeat?,
        digests: digests?,
        dead_files: dead_files?,
        head_notice: head_notice?,
        warnings: Vec::new(),
    })
}

/// `[watchdog]`.
struct Watchdog {
    name: String,
    state: PathBuf,
    timezone: Tz,
    accept_dependence: Option<String>,
    dns: Option<SocketAddr>,
}

fn watchdog(mut section: Section<'_>) -> Result<Watchdog, Reported> {
    let name = section.required("name", |item| value::name(&item));
    let state = section.optional("state", |item| state(&item));
    let timezone = section.optional("timezone", |item| value::timezone(&item));
    let accept_dependence = section.optional("accept_dependence", |item| match item.is_text() {
        true => value::line(&item),
        false => Err(item.not("the reason, in quotes, why it is accepted")),
    });
    let dns = section.optional("dns", |item| dns(&item));
    section.finish();
    Ok(Watchdog {
        name: name?,
        state: state?.unwrap_or_else(|| PathBuf::from(DEFAULT_STATE)),
        timezone: timezone?.unwrap_or(Tz::UTC),
        accept_dependence: accept_dependence?,
        dns: dns?,
    })
}

/// An address, with or without a port.
fn dns(item: &Item<'_>) -> Result<SocketAddr, Reported> {
    let text = value::line(item)?;
    let alone = || text.parse::<IpAddr>().map(|address| SocketAddr::new(address, DNS_PORT));
    text.parse::<SocketAddr>().or_else(|_| alone()).map_err(|_| {
        item.wrong(format!("{} is not the address of a DNS server such as 192.0.2.53", quoted(&text)))
    })
}

fn state(item: &Item<'_>) -> Result<PathBuf, Reported> {
    let text = value::line(item)?;
    match text.strip_prefix("sqlite:") {
        None | Some("") => Err(item.wrong(format!("{} is not of the form sqlite:PATH", quoted(&text)))),
        // It would become a file in the root directory.
        Some(path) if path.starts_with("//") => {
            Err(item.wrong("a path and not a URL follows sqlite:, so write it without the double slash"))
        }
        Some(path) => Ok(PathBuf::from(path)),
    }
}
