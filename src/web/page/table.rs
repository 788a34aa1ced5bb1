//! The last-seen table: who was heard when, and how much of the deadline is used up.

use std::fmt::Write as _;

use super::cards;
use super::frame::segment;
use super::moment::Moment;
use crate::text::escaped;
use crate::time::span;
use crate::verdict::State;
use crate::view::{CheckerLine, LastSeen, ServiceLine};

pub(super) fn render(table: &LastSeen, moment: Moment) -> String {
    let heads = ["Checker", "State", "Age against deadline", "Last heard", "Services"];
    let head = cards::head("last-seen", "last-seen-title", &heads);
    let mut html = format!("<h2 id=\"last-seen-title\">Last seen</h2>\n{head}\n");
    for line in &table.checkers {
        html.push_str(&row(line, moment));
    }
    html.push_str("</tbody>\n</table>\n");
    html
}

fn row(line: &CheckerLine, moment: Moment) -> String {
    let name = format!(
        "<a href=\"/checker/{}\">{}</a> <small>{}</small>",
        segment(&line.name),
        escaped(&line.name),
        escaped(&line.provider)
    );
    [
        format!("<tr role=\"row\" class=\"state-{}\">\n", line.state.word()),
        cards::name(&name),
        cards::cell("", "", &state(line)),
        cards::cell("", "", &age(line, moment)),
        cards::cell("when", "", &moment.or_never(line.heard_at)),
        cards::cell("", "", &services(&line.services)),
        "</tr>\n".to_owned(),
    ]
    .concat()
}

/// Symbol, word, and why.
pub(super) fn state(line: &CheckerLine) -> String {
    let symbol = match line.state {
        State::Ok => "✔",
        State::Late => "▲",
        State::Silent => "✖",
        State::Waiting => "…",
        State::Blind => "?",
    };
    let word = line.state.word();
    let mut html =
        format!("<span class=\"mark {word}\"><span aria-hidden=\"true\">{symbol}</span> {word}</span>");
    if let Some(reason) = line.reason {
        let _ = write!(html, " <code>{}</code>", reason.word());
    }
    if let Some(complaint) = &line.complaint {
        let _ = write!(html, "<br><small>not understood: {}</small>", escaped(complaint));
    }
    for finding in &line.findings {
        let _ = write!(html, "<br><small>{}: {}</small>", finding.name, escaped(&finding.what));
    }
    html
}

/// The bar, and what it shows in words.
pub(super) fn age(line: &CheckerLine, moment: Moment) -> String {
    let whole = span(line.deadline_s);
    match line.heard_at {
        Some(heard) => {
            format!(
                "{} <span class=\"of\">{} of {whole}</span>",
                moment.bar(heard, line.deadline_s),
                moment.ago(heard)
            )
        }
        None => format!("<span class=\"of\">allowed: {whole}</span>"),
    }
}

pub(super) fn services(services: &[ServiceLine]) -> String {
    let chip = |service: &ServiceLine| {
        let (class, symbol) = result(service.result);
        format!(
            "<li class=\"chip {class}\"><span aria-hidden=\"true\">{symbol}</span> {} <b>{}</b></li>",
            escaped(&service.name),
            service.result
        )
    };
    format!("<ul class=\"chips\">{}</ul>", services.iter().map(chip).collect::<String>())
}

/// The class and the symbol of a result.
pub(super) fn result(word: &str) -> (&'static str, &'static str) {
    match word {
        "OK" => ("ok", "✔"),
        "NOK" => ("bad", "✖"),
        "MISSING" => ("bad", "∅"),
        "MIXED" => ("warning", "◐"),
        _ => ("unknown", "?"),
    }
}
