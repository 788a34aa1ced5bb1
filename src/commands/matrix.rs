//! `matrix`: every service as each provider sees it, from the store, without touching the mailbox.

mod grid;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::{IsTerminal, stdout};

use anyhow::Result;
use chrono::TimeDelta;
use clap::Args;

use super::{Format, Global, output};
use crate::config::environment;
use crate::engine::Engine;
use crate::matrix::{Cell, Matrix, Picture, ServiceRow, Voice, Vote};
use crate::store::Store;
use crate::time::{Time, rfc3339, span};
use crate::verdict::State;
use crate::{clock, past};
use grid::{Grid, Piece, Tone};

/// So many services that do not work are described below the table; the rest is counted.
const DESCRIBED_MAX: usize = 20;

#[derive(Debug, Args)]
pub(super) struct Options {
    /// The matrix as it stood then: RFC 3339, or -90m for 90 minutes ago
    #[arg(long, value_name = "TIME", value_parser = super::time, allow_hyphen_values = true)]
    as_of: Option<Time>,
}

pub(super) fn matrix(global: &Global, options: &Options) -> Result<u8> {
    let config = global.load()?;
    let store = Store::open_read_only(&config.state)?;
    let matrix = match options.as_of {
        Some(time) => past::matrix(&store, &config, time)?,
        None => {
            let now = clock::now();
            Matrix::of(&Engine::restore(config, store.load()?, now), now)
        }
    };
    output::print(&match global.format {
        Format::Json => serde_json::to_string_pretty(&matrix)? + "\n",
        Format::Csv => csv(&matrix)?,
        Format::Table => table(&matrix, Screen::of_stdout()),
    })?;
    Ok(0)
}

/// What the table is printed on.
#[derive(Debug, Clone, Copy)]
struct Screen {
    /// None for a file or a pipe, where nothing wraps.
    columns: Option<usize>,
    colour: bool,
}

impl Screen {
    fn of_stdout() -> Self {
        if !stdout().is_terminal() {
            return Self { columns: None, colour: false };
        }
        // Serial lines and some containers say 0.
        let size = rustix::termios::tcgetwinsize(stdout()).ok().filter(|size| size.ws_col > 0);
        Self {
            columns: size.map(|size| size.ws_col.into()),
            colour: !environment::colour_refused() && !environment::terminal_is_dumb(),
        }
    }
}

fn csv(matrix: &Matrix) -> Result<String> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    writer.write_record([
        "service", "verdict", "provider", "result", "vote", "since", "age_s", "fresh", "voices",
    ])?;
    for row in &matrix.services {
        for cell in &row.cells {
            writer.write_record([
                output::cell(&row.name),
                row.verdict.word().to_owned(),
                output::cell(&cell.provider),
                cell.result.to_owned(),
                cell.vote.map(Vote::word).unwrap_or_default().to_owned(),
                cell.since.map(rfc3339).unwrap_or_default(),
                cell.age_s.map(|age| age.to_string()).unwrap_or_default(),
                cell.fresh.to_string(),
                cell.voices.len().to_string(),
            ])?;
        }
    }
    Ok(String::from_utf8(writer.into_inner()?)?)
}

fn table(matrix: &Matrix, screen: Screen) -> String {
    let mut grid = Grid::new(&["SERVICE", "LOOKS LIKE"], &matrix.providers);
    for row in &matrix.services {
        let seen: BTreeMap<&str, &Cell> =
            row.cells.iter().map(|cell| (cell.provider.as_str(), cell)).collect();
        let cells = matrix.providers.iter().map(|provider| {
            seen.get(provider.as_str()).map_or_else(|| Piece::new("-", Tone::Faint), |cell| shown(cell))
        });
        let looks = Piece::new(row.verdict.word(), tone_of(row.verdict));
        grid.add([Piece::new(&row.name, Tone::Plain), looks].into_iter().chain(cells).collect());
    }
    let mut text = grid.text(screen.columns, screen.colour);
    text.push('\n');
    let troubled: Vec<&ServiceRow> =
        matrix.services.iter().filter(|row| row.verdict != Picture::Ok).collect();
    troubled.iter().take(DESCRIBED_MAX).for_each(|row| describe(row, &mut text));
    if let Some(more @ 1..) = troubled.len().checked_sub(DESCRIBED_MAX) {
        let _ = writeln!(text, "… and {more} more services that are not well.\n");
    }
    if matrix.services.iter().flat_map(|row| &row.cells).any(is_older) {
        text.push_str("(OK): from before the trouble began; it has not looked since.\n");
    }
    let _ = match matrix.heard_until {
        Some(until) => writeln!(
            text,
            "As of {}; mailbox read up to {}, {} ago.",
            rfc3339(matrix.as_of),
            rfc3339(until),
            span(matrix.as_of - until)
        ),
        None => writeln!(text, "As of {}; no mailbox was ever read to its end.", rfc3339(matrix.as_of)),
    };
    text
}

/// A result in one word, with the tone that stands beside it.
fn shown(cell: &Cell) -> Piece {
    match cell.result {
        "OK" if is_older(cell) => Piece::new("(OK)", Tone::Faint),
        "OK" => Piece::new("OK", Tone::Good),
        "UNKNOWN" => {
            // Of those who do not say it, the one that is best off.
            let best = cell.voices.iter().map(|voice| voice.state).min_by_key(|state| rank(*state));
            Piece::new(
                best.map_or("?", |state| if state == State::Ok { "?" } else { state.word() }),
                Tone::Faint,
            )
        }
        other => Piece::new(other, Tone::Bad),
    }
}

fn is_older(cell: &Cell) -> bool {
    cell.result == "OK" && cell.vote.is_none()
}

fn rank(state: State) -> u8 {
    match state {
        State::Ok => 0,
        State::Late => 1,
        State::Waiting => 2,
        State::Blind => 3,
        State::Silent => 4,
    }
}

fn tone_of(verdict: Picture) -> Tone {
    match verdict {
        Picture::Ok => Tone::Good,
        Picture::ServiceDown => Tone::Bad,
        Picture::SeenDownFrom | Picture::CheckerFault | Picture::Unconfirmed => Tone::Warning,
    }
}

/// `ESHOP: service_down (from free, sfr)`, and a line for each who says so.
fn describe(row: &ServiceRow, text: &mut String) {
    let whom = match (row.verdict, row.from.join(", ")) {
        (Picture::CheckerFault, _) => format!(" of {}", row.checker.as_deref().unwrap_or_default()),
        (Picture::SeenDownFrom, from) => format!(" {from}"),
        (_, from) if from.is_empty() => " (nobody fresh says anything)".to_owned(),
        (_, from) => format!(" (from {from})"),
    };
    let _ = writeln!(text, "{}", output::plain(&format!("{}: {}{whom}", row.name, row.verdict.word())));
    for (provider, voice) in
        row.voices().filter(|(_, voice)| voice.vote == Some(Vote::Bad)).take(DESCRIBED_MAX)
    {
        let _ = writeln!(text, "{}", output::plain(&complaint(provider, voice)));
    }
    text.push('\n');
}

fn complaint(provider: &str, voice: &Voice) -> String {
    let since = voice.since.map_or("?".to_owned(), |since| since.format("%Y-%m-%d %H:%M:%SZ").to_string());
    let seen = span(TimeDelta::seconds(voice.age_s.unwrap_or_default()));
    format!("  {} ({provider}): {} since {since}, seen {seen} ago", voice.checker, voice.result)
}

#[cfg(test)]
mod tests;
