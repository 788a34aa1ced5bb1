//! Every service from every provider.

use std::collections::BTreeMap;

use super::cards;
use super::moment::Moment;
use super::table::result;
use crate::matrix::{Cell, Matrix, Picture, ServiceRow, Vote};
use crate::text::escaped;

pub(super) fn render(matrix: &Matrix, moment: Moment) -> String {
    let providers = matrix.providers.iter().map(|provider| escaped(provider));
    let heads: Vec<String> =
        ["Service".to_owned(), "All in all".to_owned()].into_iter().chain(providers).collect();
    let heads: Vec<&str> = heads.iter().map(String::as_str).collect();
    let mut html = format!(
        "<h2 id=\"matrix-title\">Services by provider</h2>\n\
         <div class=\"wide\" role=\"region\" aria-labelledby=\"matrix-title\" tabindex=\"0\">\n{}\n",
        cards::head("matrix", "matrix-title", &heads)
    );
    for row in &matrix.services {
        let cells: BTreeMap<&str, &Cell> =
            row.cells.iter().map(|cell| (cell.provider.as_str(), cell)).collect();
        let (class, words) = verdict(row);
        html.push_str("<tr role=\"row\">");
        html.push_str(&cards::name(&escaped(&row.name)));
        html.push_str(&cards::cell(&format!("verdict {class}"), "", &words));
        for provider in &matrix.providers {
            html.push_str(&cell(provider, cells.get(provider.as_str()).copied(), moment));
        }
        html.push_str("</tr>\n");
    }
    html.push_str("</tbody>\n</table>\n</div>\n");
    html
}

fn verdict(row: &ServiceRow) -> (&'static str, String) {
    let from = || row.from.iter().map(|name| escaped(name)).collect::<Vec<_>>().join(", ");
    match row.verdict {
        Picture::Ok => ("ok", "✔ works".to_owned()),
        Picture::ServiceDown => ("bad", format!("✖ down, seen from {}", from())),
        Picture::SeenDownFrom => ("warning", format!("▲ seen down only from {}", from())),
        Picture::CheckerFault => {
            ("warning", format!("▲ only {} sees that", escaped(row.checker.as_deref().unwrap_or_default())))
        }
        Picture::Unconfirmed if row.from.is_empty() => ("unknown", "? nobody knows".to_owned()),
        Picture::Unconfirmed => ("warning", format!("▲ bad from {}, unconfirmed", from())),
    }
}

fn cell(provider: &str, cell: Option<&Cell>, moment: Moment) -> String {
    let provider = escaped(provider);
    let Some(cell) = cell else {
        return cards::cell("untested", &provider, "<span aria-label=\"not tested\">–</span>");
    };
    let (class, symbol) = result(cell.result);
    let split = if cell.vote == Some(Vote::Split) { " split" } else { "" };
    let since = cell.since.map(|since| format!(" <small>since {}</small>", moment.ago(since)));
    let said = format!(
        "<span><b><span aria-hidden=\"true\">{symbol}</span> {}</b>{}</span>",
        cell.result,
        since.unwrap_or_default()
    );
    cards::cell(&format!("{class}{split}"), &provider, &said)
}
