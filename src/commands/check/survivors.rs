//! "Lose X, which channels still work", for people.

use std::collections::BTreeMap;

use comfy_table::{ContentArrangement, Table, presets};

use crate::commands::output;
use crate::independence::{Fate, Loss, Matrix};

/// What fits on every terminal.
const COLUMNS: u16 = 80;
const NONE: &str = "-";

/// Empty when there is nothing to lose.
pub(super) fn table(matrix: &Matrix) -> String {
    if matrix.losses.is_empty() {
        return String::new();
    }
    let mut table = Table::new();
    table
        .load_style(presets::NOTHING)
        .set_content_arrangement(ContentArrangement::Dynamic)
        .set_width(COLUMNS);
    table.set_header(["IF THIS IS LOST", "STILL WORK", "LOST TOO", "NOT KNOWN"]);
    for (fates, lost) in together(matrix) {
        let [works, gone, unknown] = fates;
        table.add_row([lost.join(", "), works, gone, unknown].map(|text| output::plain(&text)));
    }
    format!("\n{}\n", table.trim_fmt())
}

type Row = ([String; 3], Vec<String>);

/// Losses with the same consequences share a row, in the order of the first of them.
fn together(matrix: &Matrix) -> Vec<Row> {
    let mut rows: Vec<Row> = Vec::new();
    let mut places: BTreeMap<[String; 3], usize> = BTreeMap::new();
    for loss in &matrix.losses {
        let fates = [Fate::Works, Fate::Lost, Fate::Unknown].map(|fate| names(loss, fate));
        let place = *places.entry(fates.clone()).or_insert(rows.len());
        match rows.get_mut(place) {
            Some((_, lost)) => lost.push(loss.lost.words()),
            None => rows.push((fates, vec![loss.lost.words()])),
        }
    }
    rows
}

fn names(loss: &Loss, fate: Fate) -> String {
    let shown = |line: &crate::independence::Line| match line.told {
        true => line.channel.clone(),
        false => format!("{} (not told)", line.channel),
    };
    let names: Vec<String> = loss.with(fate).map(shown).collect();
    if names.is_empty() { NONE.to_owned() } else { names.join("\n") }
}

#[cfg(test)]
mod tests;
