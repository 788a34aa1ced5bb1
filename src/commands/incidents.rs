//! `incidents`: what is wrong, who was told, who has taken it.

use anyhow::Result;
use clap::Args;
use comfy_table::{Table, presets};

use super::{Format, Global, output};
use crate::clock;
use crate::incidents::{IncidentLine, Incidents};
use crate::reason::Reason;
use crate::store::Store;
use crate::time::{Time, rfc3339, span};

/// So many closed incidents are shown at most.
const CLOSED_MAX: u32 = 1_000;

#[derive(Debug, Args)]
pub(super) struct Options {
    /// Also those that were closed since then: RFC 3339, or -7d for 7 days ago
    #[arg(long, value_name = "TIME", value_parser = super::time, allow_hyphen_values = true)]
    since: Option<Time>,
}

pub(super) fn incidents(global: &Global, options: &Options) -> Result<u8> {
    let config = global.load()?;
    let store = Store::open_read_only(&config.state)?;
    let mut lines = Vec::new();
    for incident in store.incidents(options.since, CLOSED_MAX)? {
        let steps = store.steps(&incident.id())?;
        lines.push(IncidentLine::of(&incident, steps, &config));
    }
    let list = Incidents { incidents: lines };
    let text = match global.format {
        Format::Json => serde_json::to_string_pretty(&list)? + "\n",
        Format::Csv => csv(&list)?,
        Format::Table => for_people(&list),
    };
    output::print(&text)?;
    Ok(0)
}

fn csv(list: &Incidents) -> Result<String> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    writer.write_record([
        "id",
        "token",
        "state",
        "opened",
        "closed",
        "checkers",
        "services",
        "reason",
        "acknowledged_by",
        "acknowledged_until",
    ])?;
    for line in &list.incidents {
        let optional = |time: Option<Time>| time.map(rfc3339).unwrap_or_default();
        writer.write_record([
            output::cell(&line.id),
            output::cell(line.token.as_deref().unwrap_or_default()),
            line.state.word().to_owned(),
            rfc3339(line.opened),
            optional(line.closed),
            output::cell(&line.checkers.join("; ")),
            output::cell(&line.services.join("; ")),
            line.reason.map(Reason::word).unwrap_or_default().to_owned(),
            output::cell(line.acknowledged_by.as_deref().unwrap_or_default()),
            optional(line.acknowledged_until),
        ])?;
    }
    Ok(String::from_utf8(writer.into_inner()?)?)
}

fn for_people(list: &Incidents) -> String {
    if list.incidents.is_empty() {
        return "No incident is open.\n".to_owned();
    }
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table.set_header(["INCIDENT", "ALARM", "STATE", "SINCE (UTC)", "AGE", "REASON", "CHECKERS", "TAKEN BY"]);
    let now = clock::now();
    for line in &list.incidents {
        table.add_row([
            line.id.clone(),
            output::plain(line.token.as_deref().unwrap_or("not announced")),
            line.state.word().to_owned(),
            line.opened.format("%Y-%m-%d %H:%M:%S").to_string(),
            span(line.closed.unwrap_or(now) - line.opened),
            line.reason.map(Reason::word).unwrap_or_default().to_owned(),
            output::plain(&line.checkers.join(", ")),
            output::plain(line.acknowledged_by.as_deref().unwrap_or_default()),
        ]);
    }
    table.trim_fmt() + "\n"
}
