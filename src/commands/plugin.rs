//! The first line of `last-seen --check`, as the Monitoring Plugins guidelines want it: `BRESSE OK - … | age=…;warn;crit`.

use super::output::plain;
use crate::text::quoted;
use crate::time::{rfc3339, seconds};
use crate::verdict::State;
use crate::view::{CheckerLine, Health, LastSeen};

/// Nagios cuts what a plugin says after 8 KiB, with the table below; NRPE after 1 KiB in old versions.
const PERFDATA_BYTES_MAX: usize = 4_000;
const TEXT_CHARS_MAX: usize = 600;

/// The line, and what is below it: no `|` there, because numbers would be looked for behind it.
pub(super) fn output(table: &LastSeen, health: Health, below: &str) -> String {
    let text = quoted(&safe(&summary(table, health)), TEXT_CHARS_MAX);
    format!("BRESSE {} - {text} | {}\n{}", word(health), perfdata(table), below.replace('|', "/"))
}

fn word(health: Health) -> &'static str {
    match health {
        Health::Well => "OK",
        Health::Warning => "WARNING",
        Health::Critical => "CRITICAL",
        Health::Unknown => "UNKNOWN",
    }
}

fn safe(text: &str) -> String {
    plain(text).replace('|', "/")
}

fn summary(table: &LastSeen, health: Health) -> String {
    let mut said = Vec::new();
    if health == Health::Unknown {
        said.push(match table.heard_until {
            Some(until) => format!("the mailbox was read up to {} only", rfc3339(until)),
            None => "the mailbox was never read".to_owned(),
        });
    }
    let with = |state| table.checkers.iter().filter(move |line| line.state == state);
    for state in [State::Silent, State::Late] {
        let names: Vec<&str> = with(state).map(|line| line.name.as_str()).collect();
        if !names.is_empty() {
            said.push(format!("{}: {}", state.word(), names.join(", ")));
        }
    }
    let mut failing: Vec<String> = table.checkers.iter().flat_map(failures).collect();
    failing.sort();
    if !failing.is_empty() {
        said.push(format!("failing: {}", failing.join(", ")));
    }
    let unclear = |line: &&CheckerLine| line.complaint.is_some() || !line.findings.is_empty();
    let unclear: Vec<&str> = table.checkers.iter().filter(unclear).map(|line| line.name.as_str()).collect();
    if !unclear.is_empty() {
        said.push(format!("reports that break the rules: {}", unclear.join(", ")));
    }
    if table.undelivered > 0 {
        said.push(format!("undelivered: {}", table.undelivered));
    }
    said.extend(table.mailboxes.iter().flat_map(|mailbox| mailbox.sentences(table.as_of)));
    said.extend(table.canary.iter().filter(|canary| canary.degraded()).map(|one| one.sentence(table.as_of)));
    if said.is_empty() {
        said.push(format!("{} of {} checkers heard", with(State::Ok).count(), table.checkers.len()));
    }
    said.join("; ")
}

/// What this checker sees failing, in a way that is alarmed.
fn failures(line: &CheckerLine) -> impl Iterator<Item = String> {
    let failing = line.services.iter().filter(|service| service.critical);
    failing.map(|service| format!("{} from {}", service.name, line.provider))
}

fn perfdata(table: &LastSeen) -> String {
    let count = |state| table.checkers.iter().filter(|line| line.state == state).count();
    let failing = table.checkers.iter().flat_map(failures).count();
    let mut data = format!(
        "silent={};;0;0 failing={failing};;0;0 late={};0;;0 undelivered={};0;;0",
        count(State::Silent),
        count(State::Late),
        table.undelivered
    );
    for line in &table.checkers {
        let Some(age) = line.age_s else { continue };
        let label = safe(&line.name).replace('\n', " ").replace('\'', "''").replace('=', "_");
        let (warn, critical) = (seconds(line.late_s), seconds(line.deadline_s));
        let one = format!(" '{label}'={age}s;{warn};{critical};0");
        if data.len() + one.len() > PERFDATA_BYTES_MAX {
            break;
        }
        data.push_str(&one);
    }
    data
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::view::tests::{line, well};
    use chrono::TimeDelta;

    fn printed(change: impl FnOnce(&mut LastSeen)) -> String {
        let mut table = well();
        change(&mut table);
        let health = table.health(TimeDelta::minutes(3));
        output(&table, health, "a | table\n")
    }

    #[test]
    fn all_well_is_one_line_with_the_ages_and_their_limits() {
        assert_eq!(
            printed(|_| {}),
            "BRESSE OK - 1 of 1 checkers heard | silent=0;;0;0 failing=0;;0;0 late=0;0;;0 undelivered=0;0;;0 \
             'bresse1'=0s;340;400;0\na / table\n"
        );
    }

    #[test]
    fn what_is_wrong_is_named_the_worst_first() {
        let text = printed(|table| {
            table.checkers[0].state = State::Silent;
            table.checkers[0].services[0].critical = true;
            table.undelivered = 2;
        });
        let first =
            "BRESSE CRITICAL - silent: bresse1; failing: SQL from free; undelivered: 2 | silent=1;;0;0 ";
        assert!(text.starts_with(first), "{text}");
        let text = printed(|table| table.heard_until = None);
        assert!(text.starts_with("BRESSE UNKNOWN - the mailbox was never read | "), "{text}");
    }

    #[test]
    fn a_hostile_name_adds_no_number_and_no_line() {
        let text = printed(|table| {
            table.checkers[0].name = "a|b'c=1\n;\u{1b}[2J".into();
            table.checkers[0].state = State::Late;
        });
        let (first, _) = text.split_once('\n').unwrap();
        assert!(first.starts_with("BRESSE WARNING - late: a/b'c=1"), "{first}");
        assert_eq!(first.matches('|').count(), 1, "{first}");
        assert!(first.contains(" 'a/b''c_1 ;\u{fffd}[2J'=0s;340;400;0"), "{first}");
    }

    #[test]
    fn thousands_of_checkers_fit_into_what_is_read_of_a_plugin() {
        let text = printed(|table| {
            table.checkers = (0..3_000).map(|number| line(&format!("bresse{number}"))).collect();
            table.checkers.iter_mut().for_each(|line| line.state = State::Silent);
        });
        let (first, _) = text.split_once('\n').unwrap();
        assert!(
            first.len() < 5_000 && first.contains("silent=3000;") && first.ends_with(";400;0"),
            "{first}"
        );
    }
}
