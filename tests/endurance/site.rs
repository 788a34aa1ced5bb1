//! What the watchdog of these tests watches.

use std::time::Duration;

/// Silent after 4 + 1 + 3 = 8 s. What a rhythm that is hurried for a test would be blamed for is left out.
const TIMES: &str = "cycle = \"4s\"\nmail_path_margin = \"3s\"\n\
    findings = { DUPLICATE = \"ignore\", GAP = \"ignore\", OVERRUN = \"ignore\" }\ntests = [ \
    { service = \"MSSQL1_Service\", timeout = \"500ms\" }, { service = \"ESHOP_Service\", timeout = \"500ms\" } ]\n";
pub(crate) const DEADLINE: Duration = Duration::from_secs(8);
/// Who is alive reports so often.
pub(crate) const PERIOD: Duration = Duration::from_secs(1);

pub(crate) fn config(mailbox: &str, checkers: &[&str], channel: &str) -> String {
    crate::rig::config(mailbox, TIMES, checkers, channel)
}
