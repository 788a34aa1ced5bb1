//! What the watchdog of these tests watches.

use std::time::Duration;

/// Silent after 4 + 1 + 3 = 8 s.
const QUICK: (&str, &str) = ("4s", "3s");
pub(crate) const DEADLINE: Duration = Duration::from_secs(8);
/// Silent after 10 + 1 + 10 = 21 s: who is killed all the while hears late.
const SLOW: (&str, &str) = ("10s", "10s");
/// Silent after 300 + 1 + 60 = 361 s: nobody in these tests.
const USUAL: (&str, &str) = ("5m", "60s");
/// Who is alive reports so often.
pub(crate) const PERIOD: Duration = Duration::from_secs(1);

pub(crate) fn config(mailbox: &str, checkers: &[&str], channel: &str) -> String {
    crate::rig::config(mailbox, &times(QUICK), checkers, channel)
}

pub(crate) fn config_for_killing(mailbox: &str, checkers: &[&str], channel: &str) -> String {
    crate::rig::config(mailbox, &times(SLOW), checkers, channel)
}

pub(crate) fn config_as_usual(mailbox: &str, checkers: &[&str], channel: &str) -> String {
    crate::rig::config(mailbox, &times(USUAL), checkers, channel)
}

/// What a rhythm that is hurried for a test would be blamed for is left out.
pub(crate) fn times((cycle, margin): (&str, &str)) -> String {
    format!(
        "cycle = \"{cycle}\"\nmail_path_margin = \"{margin}\"\n\
         findings = {{ DUPLICATE = \"ignore\", GAP = \"ignore\", OVERRUN = \"ignore\" }}\ntests = [ \
         {{ service = \"MSSQL1_Service\", timeout = \"500ms\" }}, {{ service = \"ESHOP_Service\", timeout = \"500ms\" }} ]\n"
    )
}
