//! The plugin for Nagios and Icinga.

use chrono::Utc;

use crate::rig::Report;
use crate::site::Site;
use crate::world::{Servers, USUAL, checkers};

#[test]
fn nagios_reads_one_line_with_numbers_and_people_read_on() {
    let servers = Servers::start();
    servers.deliver(&Report::new("bresse1", Utc::now()).nok("ESHOP_Service"), Utc::now());
    let parts = [&servers.mailbox(), &checkers(&["bresse1"], USUAL), &servers.channel()];
    let site = Site::start(&parts.map(String::as_str), "");
    // Until the alarm is delivered that is a warning of its own.
    let delivered = "outcome=\"accepted\"} 1\n";
    site.wait_for("/metrics", |answer| answer.body.contains(delivered));
    let check = site.watchdog.run(&["last-seen", "--check"]);
    assert_eq!(check.status, 2, "{check:?}");
    let (first, below) = check.stdout.split_once('\n').unwrap();
    let said =
        "BRESSE CRITICAL - failing: ESHOP_Service from provider-of-bresse1 | silent=0;;0;0 failing=1;;0;0 ";
    assert!(first.starts_with(said) && first.ends_with("s;300.4;360.4;0"), "{first}");
    assert!(first.contains(" 'bresse1'="), "{first}");
    assert!(below.trim_start().starts_with("CHECKER ") && !below.contains('|'), "{below}");
}
