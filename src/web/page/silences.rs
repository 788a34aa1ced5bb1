//! What people silenced, and the form to silence more.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use super::moment::Moment;
use crate::config::{Checker, Role};
use crate::orders::TEXT_CHARS_MAX;
use crate::policy::{Silenced, Silencing};
use crate::text::escaped;
use crate::web::api::Silence;

/// A name, and what stands beside it.
type Choice = (String, String);

/// What the form proposes.
const USUAL_SPAN: &str = "2h";

/// Those that hold or will hold.
pub(super) fn list(silences: &[Silencing], role: Role, moment: Moment) -> String {
    let mut html = format!(
        "<h1 id=\"silences-title\">Silences <small>{}</small></h1>\n\
         <p class=\"facts\">What people silenced by hand. Maintenance of the configuration is not listed here.</p>\n",
        silences.len()
    );
    if silences.is_empty() {
        html.push_str("<p class=\"none\">Nothing is silenced: every alarm goes out.</p>\n");
        return html;
    }
    html.push_str("<ul class=\"incidents\">\n");
    for one in silences {
        html.push_str(&item(one, role, moment));
    }
    html.push_str("</ul>\n");
    html
}

fn item(one: &Silencing, role: Role, moment: Moment) -> String {
    let (symbol, word, class) =
        if one.from <= moment.now { ("◌", "holds", "taken") } else { ("…", "will hold", "closed") };
    let mut html = format!(
        "<li class=\"incident {class}\">\n<p class=\"what\"><span class=\"mark\"><span aria-hidden=\"true\">{symbol}</span> \
         {word}</span> <strong>{}</strong></p>\n<p class=\"facts\">From {}<br>Until {}<br>By <strong>{}</strong>",
        escaped(&one.silenced.to_string()),
        moment.shown(one.from),
        moment.shown(one.until),
        escaped(&one.by)
    );
    if let Some(note) = &one.note {
        let _ = write!(html, ": {}", escaped(note));
    }
    html.push_str("</p>\n");
    if role >= Role::Admin {
        let _ = writeln!(
            html,
            "<form method=\"post\" action=\"/silences/{0}/end\"><button id=\"end-{0}\">End it now\
             <span class=\"unseen\"> (silence {0})</span></button></form>",
            one.id
        );
    }
    html.push_str("</li>\n");
    html
}

/// For whom, how long and why; `chosen` is ticked already.
pub(super) fn form(checkers: &[Checker], chosen: &Silence) -> String {
    let names: BTreeMap<&str, &str> =
        checkers.iter().map(|one| (one.name.as_str(), one.provider.as_str())).collect();
    let providers: BTreeSet<&str> = names.values().copied().collect();
    let services: BTreeSet<&str> =
        checkers.iter().flat_map(|one| &one.tests).map(|test| test.service.as_str()).collect();
    let plain =
        |names: BTreeSet<&str>| names.into_iter().map(|name| (name.to_owned(), String::new())).collect();
    let with_provider = |(name, provider): (&str, &str)| (name.to_owned(), provider.to_owned());
    let groups: [(&str, &str, Vec<Choice>, &BTreeSet<String>); 3] = [
        ("checker", "Checkers", names.into_iter().map(with_provider).collect(), &chosen.checkers),
        ("provider", "All checkers of providers", plain(providers), &chosen.providers),
        ("service", "Services, whoever sees them", plain(services), &chosen.services),
    ];
    let mut html = "<section aria-labelledby=\"silence-title\">\n<h2 id=\"silence-title\">Silence alarms for a time</h2>\n\
                    <p>No alarm about these goes out. Judging goes on, and the recovery of what was alarmed is told.</p>\n\
                    <form method=\"post\" action=\"/silences\" class=\"fields\">\n"
        .to_owned();
    for (field, legend, names, chosen) in groups {
        let _ = writeln!(html, "<fieldset><legend>{legend}</legend>");
        for (name, beside) in names {
            let ticked = chosen.contains(&name);
            html.push_str(&choice(field, &name, (&name, &beside), ticked));
        }
        html.push_str("</fieldset>\n");
    }
    let _ = writeln!(
        html,
        "<fieldset><legend>Or else</legend>\n{}</fieldset>\n\
         <p><label for=\"for\">For how long (2h, 1h30m or 3d, say)</label> \
         <input id=\"for\" name=\"for\" value=\"{USUAL_SPAN}\" maxlength=\"20\" autocomplete=\"off\" required></p>\n\
         <p><label for=\"note\">Why</label> \
         <input id=\"note\" name=\"note\" maxlength=\"{TEXT_CHARS_MAX}\" autocomplete=\"off\" required></p>\n\
         <p><button id=\"silence\">Silence</button></p>\n</form>\n</section>",
        choice("all", "yes", ("Everything", ""), chosen.all)
    );
    html
}

/// The address of the form with this ticked.
pub(super) fn form_for(silenced: &Silenced) -> String {
    let named =
        [("checker", &silenced.checkers), ("provider", &silenced.providers), ("service", &silenced.services)];
    let fields = named.into_iter().flat_map(|(field, names)| {
        names.iter().map(move |name| format!("{field}={}", super::frame::segment(name)))
    });
    format!("/silences?{}#silence-title", fields.collect::<Vec<_>>().join("&amp;"))
}

/// `shown` stands beside the box, and `beside` behind it.
fn choice(field: &str, value: &str, (shown, beside): (&str, &str), ticked: bool) -> String {
    let beside =
        if beside.is_empty() { String::new() } else { format!(" <small>{}</small>", escaped(beside)) };
    let ticked = if ticked { " checked" } else { "" };
    format!(
        "<label class=\"choice\"><input type=\"checkbox\" name=\"{field}\" value=\"{}\"{ticked}> <span>{}{beside}</span></label>\n",
        escaped(value),
        escaped(shown)
    )
}
