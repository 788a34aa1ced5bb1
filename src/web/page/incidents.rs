//! The open incidents, and one incident with its steps.

use std::fmt::Write as _;

use super::frame::segment;
use super::handlers::SLOW_S;
use super::moment::Moment;
use crate::incidents::{IncidentLine, Standing, StepLine};
use crate::orders::TEXT_CHARS_MAX;
use crate::reason::Reason;
use crate::text::escaped;

/// `take`: whoever looks may take them.
pub(super) fn list(incidents: &[IncidentLine], take: bool, moment: Moment) -> String {
    let mut html =
        format!("<h2 id=\"incidents-title\">Open incidents <small>{}</small></h2>\n", incidents.len());
    if incidents.is_empty() {
        html.push_str("<p class=\"none\">None.</p>\n");
        return html;
    }
    html.push_str("<ul class=\"incidents\">\n");
    for line in incidents {
        let _ = writeln!(html, "<li class=\"incident {}\">\n{}", class(line), card(line, moment));
        if take && line.state == Standing::Open {
            html.push_str(&short_form(line));
        }
        html.push_str("</li>\n");
    }
    html.push_str("</ul>\n");
    html
}

/// One incident, open or not.
pub(super) fn whole(line: &IncidentLine, take: bool, moment: Moment) -> String {
    let mut html = format!(
        "<section id=\"incident\" data-slow=\"{SLOW_S}\" aria-labelledby=\"incident-title\"><div class=\"{}\">\n\
         <h1 id=\"incident-title\">Incident {}</h1>\n{}",
        class(line),
        escaped(&line.id),
        card(line, moment)
    );
    if !line.channels.is_empty() {
        let channels: Vec<String> = line.channels.iter().map(|name| escaped(name)).collect();
        let _ = writeln!(html, "<p class=\"facts\">Told through {}.</p>", channels.join(", "));
    }
    html.push_str("</div></section>\n");
    if take && line.state != Standing::Closed {
        html.push_str(&long_form(line));
    }
    html.push_str(&steps(&line.steps, moment));
    html
}

fn class(line: &IncidentLine) -> &'static str {
    match line.state {
        Standing::Open => "open",
        Standing::Acknowledged => "taken",
        Standing::Closed => "closed",
    }
}

fn card(line: &IncidentLine, moment: Moment) -> String {
    let symbol = match line.state {
        Standing::Open => "✖",
        Standing::Acknowledged => "◐",
        Standing::Closed => "✔",
    };
    let token = line.token.as_deref().unwrap_or("not announced");
    let mut html = format!(
        "<p class=\"what\"><span class=\"mark\"><span aria-hidden=\"true\">{symbol}</span> {}</span> \
         <a href=\"/incident/{}\"><strong>{}</strong></a></p>\n",
        line.state.word(),
        segment(&line.id),
        escaped(token)
    );
    let about: Vec<String> = [listed("checker", &line.checkers), listed("service", &line.services)]
        .into_iter()
        .flatten()
        .chain(line.reason.map(|reason| reason_of(line, reason)))
        .collect();
    if !about.is_empty() {
        let _ = writeln!(html, "<p class=\"about\">{}</p>", about.join(" · "));
    }
    let _ = writeln!(html, "<p class=\"facts\">Since {}", moment.shown(line.opened));
    if let Some(closed) = line.closed {
        let _ = writeln!(html, "<br>Over since {}", moment.shown(closed));
    }
    if let Some(by) = &line.acknowledged_by {
        let until = line.acknowledged_until.map(|until| format!(" until {}", moment.shown(until)));
        let _ = writeln!(html, "<br>Taken by <strong>{}</strong>{}", escaped(by), until.unwrap_or_default());
    }
    if let Some(note) = &line.note {
        let _ = writeln!(html, "<br>Note: {}", escaped(note));
    }
    html.push_str("</p>\n");
    html
}

fn listed(what: &str, names: &[String]) -> Option<String> {
    let (first, plural) = (names.first()?, if names.len() == 1 { "" } else { "s" });
    let rest = names.iter().skip(1).map(|name| format!(", {}", escaped(name)));
    Some(format!("{what}{plural} {}{}", escaped(first), rest.collect::<String>()))
}

fn reason_of(line: &IncidentLine, reason: Reason) -> String {
    let confidence = line.confidence.map(|confidence| format!(" ({})", confidence.word()));
    format!("reason: <code>{}</code>{}", reason.word(), confidence.unwrap_or_default())
}

fn short_form(line: &IncidentLine) -> String {
    let path = segment(&line.id);
    format!(
        "<form method=\"post\" action=\"/incident/{path}/ack\">\
         <button id=\"take-{path}\">Take it<span class=\"unseen\"> (incident {path})</span></button></form>\n"
    )
}

fn long_form(line: &IncidentLine) -> String {
    let (path, word) =
        (segment(&line.id), if line.acknowledged_by.is_some() { "Take it over" } else { "Take it" });
    format!(
        "<section id=\"take\" data-slow=\"{SLOW_S}\" aria-labelledby=\"take-title\">\n<h2 id=\"take-title\">{word}</h2>\n\
         <p>Whoever takes it says: I look after it. Reminders stop; the recovery is told as usual.</p>\n\
         <form method=\"post\" action=\"/incident/{path}/ack\" class=\"fields\">\n\
         <p><label for=\"for\">For how long (2h, say; empty: until it is over)</label> \
         <input id=\"for\" name=\"for\" maxlength=\"20\" autocomplete=\"off\"></p>\n\
         <p><label for=\"note\">Note</label> \
         <input id=\"note\" name=\"note\" maxlength=\"{TEXT_CHARS_MAX}\" autocomplete=\"off\"></p>\n\
         <p><button id=\"take-{path}\">{word}</button></p>\n</form>\n</section>\n"
    )
}

fn steps(steps: &[StepLine], moment: Moment) -> String {
    let mut html = format!(
        "<section id=\"steps\" data-slow=\"{SLOW_S}\" aria-labelledby=\"steps-title\">\n\
         <h2 id=\"steps-title\">What happened</h2>\n<ol class=\"steps\">\n"
    );
    for step in steps {
        let by = step.by.as_deref().map(|by| format!(" by <strong>{}</strong>", escaped(by)));
        let detail = step.detail.as_deref().map(|detail| format!(": {}", escaped(detail)));
        let _ = writeln!(
            html,
            "<li><strong>{}</strong>{}{} <span class=\"facts\">{}</span></li>",
            escaped(&step.what.replace('_', " ")),
            by.unwrap_or_default(),
            detail.unwrap_or_default(),
            moment.shown(step.at)
        );
    }
    html.push_str("</ol>\n</section>\n");
    html
}
