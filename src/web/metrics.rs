//! `/metrics`: the picture in Prometheus' words. Its words for a result are its own: Alertmanager repeats labels when an
//! alert is resolved, and there the word of an alarm must not stand.

use std::sync::Arc;

use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use chrono::TimeDelta;

use super::exposition::{CONTENT_TYPE, Exposition, Type};
use super::{Picture, Site};
use crate::clock;
use crate::config::Config;
use crate::expiry::Credential;
use crate::incidents::Standing;
use crate::reason::Reason;
use crate::time::{Time, seconds};
use crate::view::CheckerLine;

const STATES: [&str; 5] = ["waiting", "ok", "late", "silent", "blind"];
const RESULTS: [&str; 4] = ["ok", "bad", "missing", "unknown"];

pub(super) async fn metrics(State(site): State<Arc<Site>>) -> Response {
    match site.pictures.fresh(clock::now()).await {
        Ok(picture) => ([(header::CONTENT_TYPE, CONTENT_TYPE)], text(&picture, &site.config)).into_response(),
        Err(_) => (StatusCode::SERVICE_UNAVAILABLE, "The daemon does not answer.\n").into_response(),
    }
}

fn text(picture: &Picture, config: &Config) -> String {
    let mut out = Exposition::default();
    own_health(&mut out, picture);
    checkers(&mut out, &picture.last_seen.checkers);
    services(&mut out, &picture.last_seen.checkers);
    mail_path(&mut out, picture);
    mailboxes(&mut out, picture, config);
    outbox(&mut out, picture, config);
    incidents(&mut out, picture);
    out.finish()
}

fn own_health(out: &mut Exposition, picture: &Picture) {
    out.family("build_info", Type::Gauge, "Always 1; the version is in the label.");
    out.sample(&[("version", env!("CARGO_PKG_VERSION"))], 1);
    out.family("start_timestamp_seconds", Type::Gauge, "Since when everything here is counted.");
    out.sample(&[], unix(picture.tally.since));
    out.family("last_judgement_timestamp_seconds", Type::Gauge, "When the last judgement was completed.");
    if let Some(judged) = picture.work.judged {
        out.sample(&[], unix(judged));
    }
    out.family("judgements_total", Type::Counter, "Judgements that were completed.");
    out.sample(&[], picture.work.judgements);
    out.family("store_failing", Type::Gauge, "1 while nothing can be stored, so nothing is read or sent.");
    out.sample(&[], u8::from(picture.work.store_fails));
}

fn checkers(out: &mut Exposition, lines: &[CheckerLine]) {
    out.family("checker_age_seconds", Type::Gauge, "Since it was last heard; absent when it never was.");
    for line in lines {
        if let Some(age) = line.age_s {
            out.sample(&of(line), age);
        }
    }
    out.family("checker_deadline_seconds", Type::Gauge, "The age beyond which it is silent.");
    for line in lines {
        out.sample(&of(line), seconds(line.deadline_s));
    }
    out.family("checker_state", Type::Gauge, "1 for the state it is in, 0 for the others.");
    for line in lines {
        out.one_of(&of(line), "state", &STATES, line.state.word());
    }
    out.family("checker_reason", Type::Gauge, "1 with the reason of its state; absent without one.");
    for line in lines {
        if let Some(reason) = line.reason.map(Reason::word) {
            out.sample(&[&of(line)[..], &[("reason", reason)]].concat(), 1);
        }
    }
}

fn of(line: &CheckerLine) -> [(&'static str, &str); 2] {
    [("checker", &line.name), ("provider", &line.provider)]
}

fn services(out: &mut Exposition, lines: &[CheckerLine]) {
    out.family("service_result", Type::Gauge, "1 for what the checker last said of it, 0 for the others.");
    for line in lines {
        for service in &line.services {
            let labels = [&of(line)[..], &[("service", service.name.as_str())]].concat();
            out.one_of(&labels, "result", &RESULTS, result_word(service.result));
        }
    }
}

/// For the word of the contract.
pub(super) fn result_word(result: &str) -> &'static str {
    match result {
        "OK" => "ok",
        "MISSING" => "missing",
        "UNKNOWN" => "unknown",
        _ => "bad",
    }
}

fn mail_path(out: &mut Exposition, picture: &Picture) {
    let help =
        "How long reports took from checker to mailbox, by clocks that are put right, since the start.";
    out.family("mail_path_latency_seconds", Type::Histogram, help);
    for line in &picture.last_seen.checkers {
        let times = picture.tally.journeys(&line.name);
        for (bound, mails) in times.cumulative() {
            out.part("_bucket", &[&of(line)[..], &[("le", bound.to_string().as_str())]].concat(), mails);
        }
        out.part("_bucket", &[&of(line)[..], &[("le", "+Inf")]].concat(), times.mails);
        out.part("_sum", &of(line), seconds(times.sum));
        out.part("_count", &of(line), times.mails);
    }
    let canary = picture.last_seen.canary.as_ref();
    let help = "How long the latest canary took; absent without a canary.";
    out.family("canary_latency_seconds", Type::Gauge, help);
    if let Some(path) = canary.and_then(|canary| canary.path) {
        out.sample(&[], seconds(path.now_s));
    }
    let help = "1 while a canary is overdue, or cannot be sent; absent without a canary.";
    out.family("canary_missing", Type::Gauge, help);
    if let Some(canary) = canary {
        out.sample(&[], u8::from(canary.degraded()));
    }
}

fn mailboxes(out: &mut Exposition, picture: &Picture, config: &Config) {
    let lines = &picture.last_seen.mailboxes;
    let help = "The beginning of the last complete look; absent before the first.";
    out.family("mailbox_heard_until_timestamp_seconds", Type::Gauge, help);
    for line in lines {
        if let Some(until) = line.heard_until {
            out.sample(&[("mailbox", &line.name)], unix(until));
        }
    }
    out.family(
        "mailbox_blind",
        Type::Gauge,
        "1 when it was not read completely for longer than blind_after.",
    );
    for line in lines {
        let limit = config.mailboxes.iter().find(|one| one.name == line.name).map(|one| one.blind_after);
        let limit = limit.unwrap_or_default();
        let blind = line.heard_until.is_none_or(|until| picture.at - until > limit);
        out.sample(&[("mailbox", &line.name)], u8::from(blind));
    }
    let help = "1 when it could not be read the last time because the login was refused.";
    out.family("mailbox_login_refused", Type::Gauge, help);
    for line in lines {
        out.sample(&[("mailbox", &line.name)], u8::from(line.login_refused));
    }
    out.family("mailbox_used_ratio", Type::Gauge, "How full it is, 0 to 1; absent when nobody says.");
    for line in lines {
        if let Some(fullness) = &line.fullness {
            out.sample(&[("mailbox", &line.name)], fullness.percent as f64 / 100.0);
        }
    }
    let help = "When what opens the mailbox ends.";
    out.family("credential_end_timestamp_seconds", Type::Gauge, help);
    for line in lines {
        for ending in &line.endings {
            let credential = match ending.what {
                Credential::ClientSecret => "client_secret",
                Credential::Certificate => "certificate",
            };
            out.sample(&[("mailbox", &line.name), ("credential", credential)], unix(ending.at));
        }
    }
}

fn outbox(out: &mut Exposition, picture: &Picture, config: &Config) {
    let names: Vec<&str> = config.channels.iter().map(|channel| channel.name.as_str()).collect();
    let waiting = |name: &str| picture.waiting.get(name).copied().unwrap_or_default();
    out.family("outbox_messages", Type::Gauge, "Messages that are not delivered yet.");
    for name in &names {
        out.sample(&[("channel", name)], waiting(name).messages);
    }
    out.family(
        "outbox_oldest_age_seconds",
        Type::Gauge,
        "How long the oldest of them has waited; 0 without.",
    );
    for name in &names {
        let age = waiting(name).oldest.map_or(TimeDelta::zero(), |oldest| picture.at - oldest);
        out.sample(&[("channel", name)], seconds(age.max(TimeDelta::zero())));
    }
    let help = "Attempts to deliver a message: accepted, failed (it is tried again) or refused.";
    out.family("delivery_attempts_total", Type::Counter, help);
    for name in &names {
        let attempts = picture.tally.attempts(name);
        let outcomes =
            [("accepted", attempts.accepted), ("failed", attempts.failed), ("refused", attempts.refused)];
        for (outcome, count) in outcomes {
            out.sample(&[("channel", name), ("outcome", outcome)], count);
        }
    }
}

fn incidents(out: &mut Exposition, picture: &Picture) {
    out.family("incidents", Type::Gauge, "Incidents that are not over, by whether somebody has taken them.");
    for state in [Standing::Open, Standing::Acknowledged] {
        let count = picture.incidents.iter().filter(|incident| incident.state == state).count();
        out.sample(&[("state", state.word())], count);
    }
}

/// Seconds since 1970.
fn unix(time: Time) -> f64 {
    time.timestamp_millis() as f64 / 1000.0
}
