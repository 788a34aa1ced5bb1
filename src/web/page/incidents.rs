//! The open incidents, the closed ones, and one incident with its steps.

use std::fmt::Write as _;

use chrono::TimeDelta;

use super::frame::segment;
use super::handlers::SLOW_S;
use super::moment::Moment;
use super::silences::form_for;
use crate::config::Role;
use crate::incidents::{IncidentLine, MessageLine, Standing, StepLine};
use crate::orders::TEXT_CHARS_MAX;
use crate::policy::Silenced;
use crate::reason::Reason;
use crate::text::escaped;
use crate::time::span;

/// Nobody cares to read two times that lie no farther apart.
const AT_ONCE: TimeDelta = TimeDelta::seconds(60);
/// So many closed incidents are on one page.
pub(super) const CLOSED_SHOWN: u32 = 50;

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

/// One page of closed ones, newest first: those that were opened before `before`, and one more when there are older ones.
pub(super) fn closed(incidents: &[IncidentLine], before: Option<&str>, moment: Moment) -> String {
    let mut html =
        "<section aria-labelledby=\"closed-title\">\n<h1 id=\"closed-title\">Closed incidents</h1>\n"
            .to_owned();
    let shown = incidents.get(..CLOSED_SHOWN as usize).unwrap_or(incidents);
    if shown.is_empty() {
        html.push_str("<p class=\"none\">None.</p>\n");
    } else {
        html.push_str("<ol class=\"incidents\">\n");
        for line in shown {
            let path = segment(&line.id);
            let _ = writeln!(
                html,
                "<li class=\"incident closed\">\n{}<p><a href=\"/incident/{path}\">What happened\
                 <span class=\"unseen\"> (incident {path})</span></a></p>\n</li>",
                card(line, moment)
            );
        }
        html.push_str("</ol>\n");
    }
    let older = shown.last().filter(|_| shown.len() < incidents.len());
    if before.is_some() || older.is_some() {
        html.push_str("<nav class=\"windows\" aria-label=\"Closed incidents\">");
        if before.is_some() {
            html.push_str("<a href=\"/incidents\">Newest</a>");
        }
        if let Some(last) = older {
            let _ =
                write!(html, "<a href=\"/incidents?before={}\" rel=\"next\">Older</a>", segment(&last.id));
        }
        html.push_str("</nav>\n");
    }
    html.push_str("</section>\n");
    html
}

/// One incident, open or not, with the forms that `role` may use.
pub(super) fn whole(line: &IncidentLine, messages: &[MessageLine], role: Role, moment: Moment) -> String {
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
    if role >= Role::Acknowledge && line.state != Standing::Closed {
        html.push_str(&long_form(line));
    }
    html.push_str(&steps(&line.steps, moment));
    html.push_str(&told(messages, moment));
    if role >= Role::Admin && line.state != Standing::Closed {
        html.push_str(&last_resorts(line));
    }
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
        let lasted = span(closed - line.opened);
        let _ = writeln!(html, "<br>Over since {}, after {lasted}", moment.shown(closed));
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

fn told(messages: &[MessageLine], moment: Moment) -> String {
    let mut html = format!(
        "<section id=\"told\" data-slow=\"{SLOW_S}\" aria-labelledby=\"told-title\">\n\
         <h2 id=\"told-title\">Who was told</h2>\n"
    );
    if messages.is_empty() {
        html.push_str("<p class=\"none\">Nobody yet.</p>\n</section>\n");
        return html;
    }
    html.push_str("<ol class=\"steps\">\n");
    for message in messages {
        let ended = message.ended.map(|ended| format!(" {}", moment.shown(ended)));
        let attempts = match message.attempts {
            0 | 1 => String::new(),
            many => format!(", {many} attempts"),
        };
        // One that went at once was composed when it went.
        let before = message.ended.is_none_or(|ended| ended - message.composed > AT_ONCE);
        let composed = format!("; composed {}", moment.absolute(message.composed));
        let composed = Some(composed).filter(|_| before).unwrap_or_default();
        let answer = message.answer.as_deref().filter(|answer| !answer.is_empty());
        let answer = answer.map(|answer| format!("<br>Answer: <code>{}</code>", escaped(answer)));
        let _ = writeln!(
            html,
            "<li><strong>{}</strong> {}: {}<br><span class=\"facts\">{}{}{attempts}{composed}{}</span></li>",
            escaped(&message.channel),
            escaped(&message.recipient),
            escaped(&message.subject),
            message.state.word(),
            ended.unwrap_or_default(),
            answer.unwrap_or_default()
        );
    }
    html.push_str("</ol>\n</section>\n");
    html
}

/// What takes an alarm away from everybody.
fn last_resorts(line: &IncidentLine) -> String {
    let path = segment(&line.id);
    let about = Silenced {
        checkers: line.checkers.iter().filter(|_| line.services.is_empty()).cloned().collect(),
        services: line.services.iter().cloned().collect(),
        ..Silenced::default()
    };
    let silence = if about == Silenced::default() {
        String::new()
    } else {
        format!(
            "<p><a href=\"{}\">Silence {} for a time</a> instead, and alarms go out again when the time is over.</p>\n",
            form_for(&about),
            escaped(&about.to_string())
        )
    };
    format!(
        "<section id=\"resolve\" data-slow=\"{SLOW_S}\" aria-labelledby=\"resolve-title\">\n\
         <h2 id=\"resolve-title\">End it by hand</h2>\n\
         <p>It is over for people, whatever the checkers say: no more alarm about this trouble, until it ends and comes \
         back.</p>\n{silence}\
         <form method=\"post\" action=\"/incident/{path}/resolve\" class=\"fields\">\n\
         <p><label for=\"why\">Why</label> \
         <input id=\"why\" name=\"note\" maxlength=\"{TEXT_CHARS_MAX}\" autocomplete=\"off\" required></p>\n\
         <p><button id=\"resolve-{path}\" class=\"careful\">Resolve incident {path}</button></p>\n</form>\n</section>\n"
    )
}
