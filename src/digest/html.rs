//! A page as HTML: one small file without scripts or remote content, for a phone as well, in light and in dark.
//!
//! Every element stands on a line of its own: whoever takes the tags out must not find two cells grown together.

use std::fmt::Write as _;

use super::page::{Figure, Mood, Page, Row, Section};
use crate::text::escaped;

/// What mail programs leave of it may be nothing: the page must be readable without.
const STYLE: &str = include_str!("digest.css");

pub(super) fn render(page: &Page) -> String {
    let mut html = format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta name=\"color-scheme\" content=\"light dark\">\n<title>{}</title>\n<style>\n{STYLE}</style>\n</head>\n\
         <body>\n<main>\n<h1>{}</h1>\n",
        escaped(&page.title),
        escaped(&page.title)
    );
    page.lead.iter().for_each(|line| paragraph(&mut html, "lead", line));
    html.push_str("<div class=\"figures\">\n");
    page.figures.iter().for_each(|figure| push_figure(&mut html, figure));
    html.push_str("</div>\n");
    page.sections.iter().for_each(|section| push_section(&mut html, section));
    html.push_str("<footer>\n");
    page.footer.iter().for_each(|line| paragraph(&mut html, "foot", line));
    html.push_str("</footer>\n</main>\n</body>\n</html>\n");
    html
}

fn push_figure(html: &mut String, figure: &Figure) {
    let Figure { label, value, mood } = figure;
    let _ = writeln!(
        html,
        "<p class=\"figure{}\">\n<span class=\"label\">{}</span>\n<strong>{}</strong>\n</p>",
        class(*mood),
        escaped(label),
        escaped(value)
    );
}

fn push_section(html: &mut String, section: &Section) {
    let _ = writeln!(html, "<h2>{}</h2>", escaped(&section.title));
    if let Some(note) = &section.note {
        paragraph(html, "note", note);
    }
    if !section.rows.is_empty() {
        html.push_str("<table>\n<thead>\n<tr>\n");
        for name in &section.columns {
            let _ = writeln!(html, "<th>{}</th>", escaped(name));
        }
        html.push_str("</tr>\n</thead>\n<tbody>\n");
        section.rows.iter().for_each(|row| push_row(html, row, &section.columns));
        html.push_str("</tbody>\n</table>\n");
    }
    if let Some(rest) = &section.rest {
        paragraph(html, "note", rest);
    }
}

/// On a phone a row is a block, and each cell but the first says what it is.
fn push_row(html: &mut String, row: &Row, columns: &[&str]) {
    let _ = writeln!(html, "<tr class=\"row{}\">", class(row.mood));
    for (place, (cell, name)) in row.cells.iter().zip(columns).enumerate() {
        if place == 0 {
            let _ = writeln!(html, "<th scope=\"row\">{}</th>", escaped(cell));
        } else {
            let empty = if cell.is_empty() { " class=\"empty\"" } else { "" };
            let _ = writeln!(html, "<td{empty}>\n<i>{} </i>\n{}\n</td>", escaped(name), escaped(cell));
        }
    }
    html.push_str("</tr>\n");
}

fn paragraph(html: &mut String, class: &str, text: &str) {
    let _ = writeln!(html, "<p class=\"{class}\">{}</p>", escaped(text));
}

fn class(mood: Mood) -> &'static str {
    match mood {
        Mood::Plain => "",
        Mood::Good => " good",
        Mood::Bad => " bad",
    }
}
