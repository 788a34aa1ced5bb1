//! What `backtest` prints: one row for each alarm, how late it came, and the sums.

use anyhow::Result;
use chrono::TimeDelta;
use comfy_table::{Table, presets};
use serde::Serialize;

use super::super::Format;
use super::super::output::{cell, plain};
use crate::backtest::{Alarm, Detection, Outcome, Row};
use crate::config::duration;
use crate::reason::Reason;
use crate::rerun::Rerun;
use crate::time::Time;
use crate::time::{as_optional_rfc3339, as_rfc3339, rfc3339, seconds, span};

const LINE_MAX: usize = 100;

pub(super) struct Report<'a> {
    pub(super) source: &'a str,
    pub(super) rerun: &'a Rerun,
    /// Of the candidate and of the configuration it is compared with.
    pub(super) names: &'a (String, String),
    pub(super) candidate: &'a Outcome,
    pub(super) against: Option<&'a Outcome>,
    pub(super) rows: &'a [Row<'a>],
}

#[derive(Serialize)]
struct Json<'a> {
    source: &'a str,
    #[serde(serialize_with = "as_rfc3339")]
    from: Time,
    #[serde(serialize_with = "as_rfc3339")]
    until: Time,
    mails: u64,
    gaps: usize,
    gaps_s: f64,
    candidate: JsonSums<'a>,
    against: Option<JsonSums<'a>>,
    alarms: Vec<JsonRow<'a>>,
    remarks: &'a [String],
}

#[derive(Serialize)]
struct JsonSums<'a> {
    config: &'a str,
    reports: u64,
    alarms: usize,
    short: usize,
    only_here: Option<usize>,
    standing_before: &'a [String],
    standing_after: usize,
    late_s: Option<JsonLate>,
    doubts: &'a [String],
}

#[derive(Serialize)]
struct JsonLate {
    median: f64,
    p95: f64,
    longest: f64,
}

#[derive(Serialize)]
struct JsonRow<'a> {
    token: &'a str,
    kind: &'a str,
    candidate: Option<JsonAlarm<'a>>,
    against: Option<JsonAlarm<'a>>,
    covered: bool,
}

#[derive(Serialize)]
struct JsonAlarm<'a> {
    token: &'a str,
    reason: Option<&'a str>,
    subject: &'a str,
    checkers: Vec<&'a str>,
    #[serde(serialize_with = "as_rfc3339")]
    began: Time,
    #[serde(serialize_with = "as_rfc3339")]
    alarmed: Time,
    late_s: f64,
    #[serde(serialize_with = "as_optional_rfc3339")]
    recovered: Option<Time>,
    short: bool,
}

impl Report<'_> {
    pub(super) fn text(&self, format: Format) -> Result<String> {
        match format {
            Format::Json => Ok(serde_json::to_string_pretty(&self.json())? + "\n"),
            Format::Csv => self.csv(),
            Format::Table => Ok(plain(&self.for_people())),
        }
    }

    fn json(&self) -> Json<'_> {
        let rerun = self.rerun;
        Json {
            source: self.source,
            from: rerun.from,
            until: rerun.until,
            mails: rerun.mails,
            gaps: rerun.blind.0,
            gaps_s: seconds(rerun.blind.1),
            candidate: self.sums(0, &self.names.0, self.candidate),
            against: self.against.map(|against| self.sums(1, &self.names.1, against)),
            alarms: self.rows.iter().filter_map(json_row).collect(),
            remarks: &rerun.remarks,
        }
    }

    fn sums<'a>(&'a self, place: usize, config: &'a str, outcome: &'a Outcome) -> JsonSums<'a> {
        let only = |row: &&Row<'_>| if place == 0 { row.is_new() } else { row.is_lost() };
        let late = |detection: Detection| JsonLate {
            median: seconds(detection.median),
            p95: seconds(detection.p95),
            longest: seconds(detection.longest),
        };
        JsonSums {
            config,
            reports: self.rerun.reports.get(place).copied().unwrap_or_default(),
            alarms: outcome.alarms.len(),
            short: outcome.alarms.iter().filter(|alarm| alarm.short).count(),
            only_here: self.against.map(|_| self.rows.iter().filter(only).count()),
            standing_before: &outcome.standing_before,
            standing_after: outcome.alarms.iter().filter(|alarm| alarm.recovered.is_none()).count(),
            late_s: Detection::of(&outcome.alarms).map(late),
            doubts: self.rerun.doubts.get(place).map(Vec::as_slice).unwrap_or_default(),
        }
    }

    fn csv(&self) -> Result<String> {
        let mut writer = csv::Writer::from_writer(Vec::new());
        let own = ["began", "alarmed", "late_s", "recovered", "short"];
        let of = |prefix: &'static str| own.into_iter().map(move |name| format!("{prefix}_{name}"));
        let head =
            ["token", "kind", "reason", "checkers", "subject", "covered"].map(str::to_owned).into_iter();
        writer.write_record(head.chain(of("candidate")).chain(of("against")))?;
        let optional = |time: Option<Time>| time.map(rfc3339).unwrap_or_default();
        for row in self.rows {
            let Some(shown) = row.candidate.or(row.against) else { continue };
            let names: Vec<&str> = shown.checkers.iter().map(String::as_str).collect();
            let mut record = vec![
                cell(&shown.token),
                shown.about.word().to_owned(),
                shown.reason.map(Reason::word).unwrap_or_default().to_owned(),
                cell(&names.join("; ")),
                cell(&shown.subject),
                row.covered.to_string(),
            ];
            for alarm in [row.candidate, row.against] {
                record.extend(match alarm {
                    Some(alarm) => [
                        rfc3339(alarm.began),
                        rfc3339(alarm.alarmed),
                        seconds(alarm.late()).to_string(),
                        optional(alarm.recovered),
                        alarm.short.to_string(),
                    ],
                    None => Default::default(),
                });
            }
            writer.write_record(record)?;
        }
        Ok(String::from_utf8(writer.into_inner()?)?)
    }

    fn for_people(&self) -> String {
        let mut text = String::new();
        if !self.rows.is_empty() {
            text.push_str(&format!("{}\n\n", self.alarms().trim_fmt()));
        }
        text.push_str(&format!("{}\n\n", self.numbers().trim_fmt()));
        if self.against.is_some() {
            text.push_str(&format!(
                "NEW is {}, OLD is {}; \"told\": an alarm that stood already says it.\n",
                self.names.0, self.names.1
            ));
        }
        text.push_str(
            "Late counts from the beginning to the alarm; * recovered by itself with the next mail.\n",
        );
        let rerun = self.rerun;
        text.push_str(&format!(
            "Judged {} to {} ({}): {} mails.\n",
            rfc3339(rerun.from),
            rfc3339(rerun.until),
            span(rerun.until - rerun.from),
            rerun.mails
        ));
        match rerun.blind {
            (0, _) => {}
            (1, length) => {
                text.push_str(&format!("Nobody looked at the mailbox once, for {}.\n", span(length)))
            }
            (times, length) => {
                text.push_str(&format!(
                    "Nobody looked at the mailbox {times} times, for {} altogether.\n",
                    span(length)
                ));
            }
        }
        rerun.remarks.iter().for_each(|remark| text.push_str(&wrapped(remark)));
        for (doubts, side) in rerun.doubts.iter().zip(["NEW", "OLD"]) {
            for doubt in doubts {
                let side = if self.against.is_some() { format!("{side}: ") } else { String::new() };
                text.push_str(&wrapped(&format!("{side}{doubt}")));
            }
        }
        text
    }

    fn alarms(&self) -> Table {
        let mut table = Table::new();
        table.load_style(presets::NOTHING);
        let compared = self.against.is_some();
        let late: &[&str] = if compared { &["NEW", "OLD"] } else { &["LATE"] };
        table.set_header(["ALARM", "BEGAN (UTC)"].iter().chain(late).chain(&["LASTED", "WHY"]));
        for row in self.rows {
            let Some(shown) = row.candidate.or(row.against) else { continue };
            let late = |alarm: Option<&Alarm>| match alarm {
                Some(alarm) => format!("+{}", brief(alarm.late())),
                None if row.covered => "told".to_owned(),
                None => "-".to_owned(),
            };
            let mut cells = vec![
                format!("{}.NOK", shown.token),
                shown.began.format("%m-%d %H:%M:%S").to_string(),
                late(row.candidate),
            ];
            if compared {
                cells.push(late(row.against));
            }
            let star = if shown.short { " *" } else { "" };
            cells.push(shown.lasted().map_or("-".to_owned(), |lasted| format!("{}{star}", brief(lasted))));
            cells.push(why(shown));
            table.add_row(cells);
        }
        table
    }

    fn numbers(&self) -> Table {
        let mut table = Table::new();
        table.load_style(presets::NOTHING);
        let outcomes: Vec<&Outcome> = [Some(self.candidate), self.against].into_iter().flatten().collect();
        if self.against.is_some() {
            table.set_header(["", "NEW", "OLD"]);
        }
        let mut line = |what: &str, number: &dyn Fn(usize, &Outcome) -> String| {
            let numbers = outcomes.iter().enumerate().map(|(place, outcome)| number(place, outcome));
            table.add_row([what.to_owned()].into_iter().chain(numbers));
        };
        line("reports", &|place, _| self.rerun.reports.get(place).copied().unwrap_or_default().to_string());
        line("alarms", &|_, outcome| outcome.alarms.len().to_string());
        if self.against.is_some() {
            line("only here", &|place, _| {
                let only = |row: &&Row<'_>| if place == 0 { row.is_new() } else { row.is_lost() };
                self.rows.iter().filter(only).count().to_string()
            });
        }
        line("recovered at once *", &|_, outcome| {
            outcome.alarms.iter().filter(|alarm| alarm.short).count().to_string()
        });
        let detection = |outcome: &Outcome, which: fn(Detection) -> TimeDelta| {
            Detection::of(&outcome.alarms).map_or("-".to_owned(), |detection| brief(which(detection)))
        };
        line("late, median", &|_, outcome| detection(outcome, |late| late.median));
        line("late, 95 %", &|_, outcome| detection(outcome, |late| late.p95));
        line("late, longest", &|_, outcome| detection(outcome, |late| late.longest));
        line("stood before", &|_, outcome| outcome.standing_before.len().to_string());
        line("stand at the end", &|_, outcome| {
            outcome.alarms.iter().filter(|alarm| alarm.recovered.is_none()).count().to_string()
        });
        table
    }
}

/// In lines that a terminal need not break; a single word may be longer.
fn wrapped(sentence: &str) -> String {
    let (mut text, mut width) = (String::new(), 0);
    for word in sentence.split_whitespace() {
        let length = word.chars().count();
        if width > 0 {
            let fits = width + 1 + length <= LINE_MAX;
            text.push(if fits { ' ' } else { '\n' });
            width = if fits { width + 1 } else { 0 };
        }
        text.push_str(word);
        width += length;
    }
    text + "\n"
}

/// To the second.
fn brief(length: TimeDelta) -> String {
    duration::display(TimeDelta::seconds(length.num_seconds()))
}

/// The reason, and who it is about where the token does not say so.
fn why(alarm: &Alarm) -> String {
    let names = match (alarm.checkers.first(), alarm.checkers.len()) {
        (Some(only), 1) if !alarm.token.starts_with(only.as_str()) => Some(only.clone()),
        (None, _) | (_, 1) => None,
        (Some(first), all) => Some(format!("{first} +{}", all - 1)),
    };
    let reason = alarm.reason.map(|reason| reason.word().to_owned());
    [reason, names].into_iter().flatten().collect::<Vec<_>>().join(", ")
}

fn json_row<'a>(row: &Row<'a>) -> Option<JsonRow<'a>> {
    let shown = row.candidate.or(row.against)?;
    let alarm = |alarm: &'a Alarm| JsonAlarm {
        token: &alarm.token,
        reason: alarm.reason.map(Reason::word),
        subject: &alarm.subject,
        checkers: alarm.checkers.iter().map(String::as_str).collect(),
        began: alarm.began,
        alarmed: alarm.alarmed,
        late_s: seconds(alarm.late()),
        recovered: alarm.recovered,
        short: alarm.short,
    };
    Some(JsonRow {
        token: &shown.token,
        kind: shown.about.word(),
        candidate: row.candidate.map(alarm),
        against: row.against.map(alarm),
        covered: row.covered,
    })
}
