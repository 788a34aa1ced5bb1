//! The strips of the last day, week and quarter.

use std::fmt::Write as _;

use super::frame::segment;
use super::moment::Moment;
use crate::strip::{Condition, Run, Strip, Strips, Window};
use crate::text::escaped;
use crate::time::{span, utc_and_local};

/// Hatched where nobody looked: colour alone tells nothing. One for the whole page.
pub(super) const HATCH: &str = "<svg class=\"unseen\" width=\"0\" height=\"0\" aria-hidden=\"true\"><defs>\
    <pattern id=\"hatch\" width=\"6\" height=\"6\" patternUnits=\"userSpaceOnUse\" patternTransform=\"rotate(45)\">\
    <rect class=\"hatch-ground\" width=\"6\" height=\"6\"/><rect class=\"hatch-line\" width=\"2\" height=\"6\"/>\
    </pattern></defs></svg>\n";

/// Of all checkers in one window, with the way to the others.
pub(super) fn all(strips: &Strips, moment: Moment) -> String {
    let mut html =
        "<h2 id=\"strips-title\">History</h2>\n<nav class=\"windows\" aria-label=\"How far back\">"
            .to_owned();
    for window in Window::ALL {
        let here = if window == strips.window { " aria-current=\"true\"" } else { "" };
        let word = window.word();
        let _ = write!(html, "<a href=\"/?window={word}#strips\"{here}>{}</a>", words(window));
    }
    let _ = writeln!(html, "</nav>\n{LEGEND}\n<dl class=\"strips\">");
    for strip in &strips.strips {
        let name =
            format!("<a href=\"/checker/{}\">{}</a>", segment(&strip.checker), escaped(&strip.checker));
        html.push_str(&one(&name, strip, strips, moment));
    }
    html.push_str("</dl>\n");
    html
}

/// Of one checker in several windows.
pub(super) fn of_one(all: &[Strips], moment: Moment) -> String {
    let mut html = format!("<h2 id=\"strips-title\">History</h2>\n{LEGEND}\n<dl class=\"strips\">\n");
    for strips in all {
        for strip in &strips.strips {
            html.push_str(&one(words(strips.window), strip, strips, moment));
        }
    }
    html.push_str("</dl>\n");
    html
}

const LEGEND: &str = "<ul class=\"legend\" aria-label=\"What the strips show\">\
    <li><svg viewBox=\"0 0 12 24\" aria-hidden=\"true\"><rect class=\"heard\" y=\"14\" width=\"12\" height=\"10\"/></svg> heard</li>\
    <li><svg viewBox=\"0 0 12 24\" aria-hidden=\"true\"><rect class=\"service_bad\" y=\"8\" width=\"12\" height=\"16\"/></svg> a service bad</li>\
    <li><svg viewBox=\"0 0 12 24\" aria-hidden=\"true\"><rect class=\"silent\" width=\"12\" height=\"24\"/></svg> silent</li>\
    <li><svg viewBox=\"0 0 12 24\" aria-hidden=\"true\"><rect class=\"unobserved\" fill=\"url(#hatch)\" width=\"12\" height=\"24\"/></svg> unobserved</li>\
    </ul>";

fn words(window: Window) -> &'static str {
    match window {
        Window::Day => "24 hours",
        Window::Week => "7 days",
        Window::Quarter => "90 days",
    }
}

/// `name` is HTML.
fn one(name: &str, strip: &Strip, strips: &Strips, moment: Moment) -> String {
    let sums = sums(strip);
    let mut html = format!(
        "<div><dt>{name}</dt>\n<dd><svg class=\"strip\" width=\"100%\" height=\"24\" role=\"img\" \
         aria-label=\"the last {}: {sums}\">",
        words(strips.window)
    );
    let mut x = 0;
    for run in &strip.runs {
        html.push_str(&rect(run, x, strips.window, moment));
        x += run.buckets;
    }
    let _ = writeln!(html, "</svg> <span class=\"sums\">{sums}</span></dd></div>");
    html
}

/// In shares of the whole width, so that what is hatched is not stretched.
fn rect(run: &Run, x: usize, window: Window, moment: Moment) -> String {
    let (top, words) = match run.condition {
        Condition::Heard => (14, "heard"),
        Condition::ServiceBad => (8, "a service bad"),
        Condition::Silent => (0, "silent"),
        Condition::Unobserved => (0, "unobserved"),
    };
    let share = |buckets: usize| buckets as f64 * 100.0 / f64::from(window.buckets());
    let fill = if run.condition == Condition::Unobserved { " fill=\"url(#hatch)\"" } else { "" };
    format!(
        "<rect class=\"{}\"{fill} x=\"{:.3}%\" y=\"{top}\" width=\"{:.3}%\" height=\"{}\"><title>{words}, {} to {}</title></rect>",
        run.condition.word(),
        share(x),
        share(run.buckets),
        24 - top,
        utc_and_local(run.from, moment.zone),
        utc_and_local(run.until.min(moment.now), moment.zone)
    )
}

fn sums(strip: &Strip) -> String {
    let parts: Vec<String> = [("silent", strip.silent), ("unobserved", strip.unobserved)]
        .into_iter()
        .filter(|(_, length)| length.num_seconds() > 0)
        .map(|(word, length)| format!("{word} {}", span(length)))
        .collect();
    if parts.is_empty() { "never silent, always observed".to_owned() } else { parts.join(", ") }
}
