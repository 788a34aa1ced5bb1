//! One checker: its deadline sum, its mail path, its latest mails as they were understood.

use std::fmt::Write as _;

use chrono::TimeDelta;

use super::moment::Moment;
use super::{cards, table};
use crate::config::duration;
use crate::detail::{Detail, MailLine, OtherMail, PathTable};
use crate::report::DRYRUN;
use crate::text::escaped;
use crate::time::{seconds, span};
use crate::view::PathLine;

/// The width of the plot's bars, in its own units.
const PLOT_WIDTH: f64 = 200.0;

/// What the last-seen table says of it, and the sum it follows from.
pub(super) fn summary(detail: &Detail, moment: Moment) -> String {
    let (line, sum) = (&detail.checker, &detail.deadline);
    let mut html = format!(
        "<div class=\"state-{}\">\n<h1 id=\"summary-title\">{} <small>{}</small></h1>\n\
         <p class=\"standing\">{}</p>\n<div class=\"age\">{}</div>\n{}\n</div>\n",
        line.state.word(),
        escaped(&line.name),
        escaped(&line.provider),
        table::state(line),
        table::age(line, moment),
        table::services(&line.services),
    );
    html.push_str("<dl class=\"pairs\">\n");
    let mut pair = |what: &str, value: &str| {
        let _ = writeln!(html, "<div><dt>{what}</dt><dd>{value}</dd></div>");
    };
    pair("Deadline", &escaped(&sum.words));
    let tests = sum
        .tests
        .iter()
        .map(|test| format!("{} {}", escaped(&test.service), duration::display(test.timeout_s)));
    pair("Its tests", &tests.collect::<Vec<_>>().join(" + "));
    pair("Late after", &duration::display(sum.late_after_s));
    pair("Heard at", &moment.or_never(line.heard_at));
    pair("Last received", &moment.or_never(line.last_received));
    pair("Last sent", &moment.or_never(line.last_sent));
    pair("Counted from", &moment.or_never(sum.counted_from));
    pair("Silent after", &moment.or_never(sum.silent_after));
    if let Some(clock) = detail.clock_offset {
        pair("Its clock", &clock_words(clock.ahead_s, clock.uncertainty_s));
    }
    if let Some(held) = &detail.held {
        let hop = held.hop.as_deref().map(|hop| format!(", {}", escaped(hop)));
        let (length, received) = (span(held.held_s), moment.shown(held.received));
        pair("Held on the way", &format!("{length}{}; received {received}", hop.unwrap_or_default()));
    }
    html.push_str("</dl>\n");
    html
}

fn clock_words(ahead: TimeDelta, uncertainty: TimeDelta) -> String {
    let within = seconds(uncertainty);
    match ahead {
        right if right.abs() <= uncertainty => format!("is right (± {within} s)"),
        ahead if ahead > TimeDelta::zero() => format!("is {} ahead (± {within} s)", span(ahead)),
        behind => format!("is {} behind (± {within} s)", span(-behind)),
    }
}

/// How long its mails took on each part of the way: for each part a bar up to the 99th percentile, darker up to the
/// median, with a mark at the latest mail.
pub(super) fn path(path: Option<&PathTable>, moment: Moment) -> String {
    let mut html = "<h2 id=\"path-title\">Mail path</h2>\n".to_owned();
    let Some(path) = path else {
        html.push_str("<p class=\"none\">Too few mails with a date are kept to measure it.</p>\n");
        return html;
    };
    let _ = writeln!(
        html,
        "<p class=\"facts\">By its latest {} mails, received from {} to {}. A bar shows the median and 99 of 100; the \
         mark is the latest mail.</p>\n\
         {}",
        path.whole.took.mails,
        moment.absolute(path.from),
        moment.absolute(path.until),
        cards::head(
            "path",
            "path-title",
            &["Part of the way", "Plot", "Latest", "Median", "99 of 100", "Longest"]
        )
    );
    let lines = || path.hops.iter().chain([&path.whole]);
    let scale = lines().map(|hop| seconds(hop.took.p99_s).max(seconds(hop.took.now_s))).fold(1.0, f64::max);
    for hop in &path.hops {
        let end = |host: &Option<String>, unnamed: &str| escaped(host.as_deref().unwrap_or(unnamed));
        let name = format!("{} → {}", end(&hop.from, "the checker"), end(&hop.by, "the mailbox"));
        html.push_str(&hop_row(&name, &hop.took, scale));
    }
    html.push_str(&hop_row("<b>all together</b>", &path.whole.took, scale));
    html.push_str("</tbody>\n</table>\n");
    html
}

/// `name` is HTML; `scale` are the seconds of the whole width.
fn hop_row(name: &str, took: &PathLine, scale: f64) -> String {
    let x = |length: TimeDelta| seconds(length).max(0.0) / scale * PLOT_WIDTH;
    let plot = format!(
        "<svg class=\"plot\" viewBox=\"0 0 {PLOT_WIDTH} 12\" preserveAspectRatio=\"none\" aria-hidden=\"true\">\
         <rect class=\"track\" width=\"{PLOT_WIDTH}\" height=\"12\"/>\
         <rect class=\"p99\" width=\"{:.1}\" height=\"12\"/><rect class=\"median\" width=\"{:.1}\" height=\"12\"/>\
         <rect class=\"latest\" x=\"{:.1}\" width=\"2\" height=\"12\"/></svg>",
        x(took.p99_s),
        x(took.median_s),
        x(took.now_s).min(PLOT_WIDTH - 2.0)
    );
    let mut html = format!("<tr role=\"row\">{}{}", cards::name(name), cards::cell("", "", &plot));
    for (label, length) in [
        ("Latest", took.now_s),
        ("Median", took.median_s),
        ("99 of 100", took.p99_s),
        ("Longest", took.max_s),
    ] {
        html.push_str(&cards::cell("", label, &span(length)));
    }
    html.push_str("</tr>\n");
    html
}

/// Its latest mails, heard or not.
pub(super) fn mails(detail: &Detail, moment: Moment) -> String {
    let mut html = "<h2 id=\"mails-title\">Latest mails, as understood</h2>\n".to_owned();
    if detail.mails.is_empty() {
        html.push_str("<p class=\"none\">None was heard.</p>\n");
    } else {
        html.push_str("<ol class=\"mails\">\n");
        detail.mails.iter().for_each(|mail| html.push_str(&mail_line(mail, moment)));
        html.push_str("</ol>\n");
    }
    if !detail.other_mails.is_empty() {
        html.push_str("<h3>Mails of it that were not heard</h3>\n<ol class=\"mails\">\n");
        detail.other_mails.iter().for_each(|mail| html.push_str(&other_mail(mail, moment)));
        html.push_str("</ol>\n");
    }
    html
}

fn mail_line(mail: &MailLine, moment: Moment) -> String {
    let chip = |(name, word): (&str, &str)| {
        let (class, symbol) = table::result(word);
        let name = escaped(name);
        format!(
            "<li class=\"chip {class}\"><span aria-hidden=\"true\">{symbol}</span> {name} <b>{word}</b></li>"
        )
    };
    let dryrun = mail.dryrun.map(|word| (DRYRUN, word));
    let said = dryrun.into_iter().chain(mail.results.iter().map(|said| (said.service.as_str(), said.result)));
    let sent = mail.sent.map(|sent| format!("sent {}", moment.absolute(sent)));
    let mut html = format!(
        "<li>{}\n<ul class=\"chips\">{}</ul>\n<p class=\"facts\">{}, first seen {}, {}/{} UID {}</p>",
        moment.shown(mail.received),
        said.map(chip).collect::<String>(),
        sent.unwrap_or("without a date".to_owned()),
        moment.absolute(mail.seen),
        escaped(&mail.mailbox),
        escaped(&mail.folder),
        mail.uid
    );
    if !mail.unknown.is_empty() {
        let names: Vec<String> = mail.unknown.iter().map(|name| escaped(name)).collect();
        let _ = write!(html, "<p class=\"facts\">Unknown names: {}</p>", names.join(", "));
    }
    for problem in &mail.problems {
        let _ = write!(html, "<p class=\"facts\">Problem: {}</p>", escaped(problem));
    }
    html.push_str("</li>\n");
    html
}

fn other_mail(mail: &OtherMail, moment: Moment) -> String {
    let sender = mail.sender.as_deref().map_or("nobody".to_owned(), escaped);
    format!(
        "<li>{}<br><code>{}</code> from {sender}: {}</li>\n",
        moment.shown(mail.received),
        escaped(&mail.reason),
        escaped(&mail.subject)
    )
}
