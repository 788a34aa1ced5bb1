//! A page as plain text, in columns.

use std::fmt::Write as _;

use super::page::{Page, Row, Section};

/// A column that is wider than this does not widen the others.
const COLUMN_MAX: usize = 34;

pub(super) fn render(page: &Page) -> String {
    let mut text = format!("{}\n", page.title);
    page.lead.iter().for_each(|line| push_line(&mut text, line));
    text.push('\n');
    let widest = page.figures.iter().map(|figure| width(&figure.label)).max().unwrap_or_default();
    for figure in &page.figures {
        let _ = writeln!(text, "{}  {}", padded(&figure.label, widest), figure.value);
    }
    page.sections.iter().for_each(|section| push_section(&mut text, section));
    text.push('\n');
    page.footer.iter().for_each(|line| push_line(&mut text, line));
    text
}

fn push_section(text: &mut String, section: &Section) {
    let _ = writeln!(text, "\n{}", section.title.to_uppercase());
    if let Some(note) = &section.note {
        push_line(text, note);
    }
    if !section.rows.is_empty() {
        let header = Row::new(section.columns.iter().map(|name| (*name).to_owned()));
        let widths = widths(&header, &section.rows);
        push_row(text, &header, &widths);
        section.rows.iter().for_each(|row| push_row(text, row, &widths));
    }
    if let Some(rest) = &section.rest {
        let _ = writeln!(text, "  {rest}");
    }
}

fn widths(header: &Row, rows: &[Row]) -> Vec<usize> {
    let mut widths = Vec::new();
    for row in rows.iter().chain([header]) {
        widths.resize(row.cells.len().max(widths.len()), 0);
        for (widest, cell) in widths.iter_mut().zip(&row.cells) {
            *widest = width(cell).min(COLUMN_MAX).max(*widest);
        }
    }
    widths
}

fn push_row(text: &mut String, row: &Row, widths: &[usize]) {
    let cells = row.cells.iter().zip(widths).map(|(cell, width)| padded(cell, *width));
    push_line(text, &format!("  {}", cells.collect::<Vec<_>>().join("  ")));
}

fn push_line(text: &mut String, line: &str) {
    text.push_str(line.trim_end());
    text.push('\n');
}

fn padded(cell: &str, to: usize) -> String {
    format!("{cell}{}", " ".repeat(to.saturating_sub(width(cell))))
}

fn width(cell: &str) -> usize {
    cell.chars().count()
}
