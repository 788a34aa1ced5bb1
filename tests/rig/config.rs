//! What `watchdog.toml` says in the tests.

use std::time::Duration;

use super::{Dovecot, Sink, USER};

/// Two services of 10 s and 30 s come on top: silent after 300 + 40 + 60 = 400 s.
pub(crate) const USUAL: &str = "cycle = \"5m\"\nmail_path_margin = \"60s\"\ntests = [ \
    { service = \"MSSQL1_Service\", timeout = \"10s\" }, { service = \"ESHOP_Service\", timeout = \"30s\" } ]\n";

/// Silent after 4 + 1 + 2 = 7 s; checkers that are alive report every 2 s, which leaves a busy machine 5 s.
pub(crate) const SHORT: &str = "cycle = \"4s\"\nmail_path_margin = \"2s\"\ntests = [ \
    { service = \"MSSQL1_Service\", timeout = \"500ms\" }, { service = \"ESHOP_Service\", timeout = \"500ms\" } ]\n";
pub(crate) const SHORT_DEADLINE: Duration = Duration::from_secs(7);
pub(crate) const SHORT_PERIOD: Duration = Duration::from_secs(2);

/// `[mailbox]`, by implicit TLS.
pub(crate) fn mailbox(dovecot: &Dovecot) -> String {
    mailbox_at(&format!(
        "host = \"localhost\"\nport = {}\ntls = \"implicit\"\nca_file = \"{}\"",
        dovecot.imaps_port,
        dovecot.ca_file.display()
    ))
}

pub(crate) fn mailbox_at(server: &str) -> String {
    format!("[mailbox]\n{server}\nuser = \"{USER}\"\npassword = {{ env = \"IMAP_PASSWORD\" }}\n")
}

/// `[[channel]]` into the sink.
pub(crate) fn channel(sink: &Sink) -> String {
    channel_at(&format!("host = \"127.0.0.1\"\nport = {}\ntls = \"plain\"", sink.port))
}

pub(crate) fn channel_at(server: &str) -> String {
    format!(
        "[[channel]]\nname = \"backup-mail\"\ntype = \"smtp\"\n{server}\nfrom = \"bresse8@watchdog.example\"\n\
         to = [\"oncall@elsewhere.example\"]\n"
    )
}

pub(crate) fn config(mailbox: &str, times: &str, checkers: &[&str], channel: &str) -> String {
    let checkers: String = checkers
        .iter()
        .map(|name| format!("[[checker]]\nname = \"{name}\"\nprovider = \"provider-of-{name}\"\n{times}\n"))
        .collect();
    format!(
        "[watchdog]\nname = \"bresse8\"\nstate = \"sqlite:watchdog.db\"\ntimezone = \"Europe/Paris\"\n\n\
         {mailbox}\n{checkers}{channel}"
    )
}
