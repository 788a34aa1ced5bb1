use chrono::{TimeZone, Utc};

use super::availability::{ServiceTime, Share};
use super::*;
use crate::words;

fn at(hour: u32, minute: u32) -> Time {
    Utc.with_ymd_and_hms(2026, 11, 19, hour, minute, 0).unwrap()
}

const DAY: i64 = 86_400_000;

fn checker(name: &str, provider: &str, silent_s: i64) -> CheckerPart {
    let heard = Share { well: DAY - silent_s * 1_000, observed: DAY };
    let failing_ms = if provider == "orange" { 600_000 } else { 0 };
    let ok = Share { well: heard.well - failing_ms, observed: DAY };
    let services = [
        ("ESHOP_Service".to_owned(), ServiceTime { ok, failing_ms, missing_ms: 0 }),
        ("MSSQL1_Service".to_owned(), ServiceTime { ok: heard, failing_ms: 0, missing_ms: 0 }),
    ];
    let path = PathTimes {
        mails: 288,
        median: TimeDelta::milliseconds(2_300),
        p99: TimeDelta::seconds(9),
        longest: TimeDelta::seconds(754),
        slowest: Some("smtp.orange.fr → mx.domain.com".into()),
    };
    CheckerPart {
        name: name.into(),
        provider: provider.into(),
        availability: Availability { heard, services: services.into() },
        path: Some(path),
    }
}

fn quiet() -> Digest {
    Digest {
        watchdog: "bresse8".into(),
        name: None,
        zone: Tz::Europe__Paris,
        period: Period { from: at(0, 0) - TimeDelta::hours(1), until: at(23, 0) },
        due: None,
        made: at(23, 0) + TimeDelta::hours(7),
        observed: TimeDelta::days(1),
        checkers: vec![checker("bresse1", "free", 0), checker("bresse2", "scaleway", 0)],
        incidents: Vec::new(),
        silences: Vec::new(),
        findings: Vec::new(),
        deliveries: Deliveries::default(),
        endings: Vec::new(),
        chains: Vec::new(),
    }
}

/// A day with something of everything.
fn eventful() -> Digest {
    let mut digest = quiet();
    digest.due = Some(digest.made - TimeDelta::hours(2));
    digest.name = Some("shop".into());
    digest.observed -= TimeDelta::minutes(42);
    digest.checkers.push(checker("bresse3", "orange", 754));
    digest.checkers[0].availability.heard.observed -= 42 * 60_000;
    digest.checkers[0].availability.heard.well -= 42 * 60_000;
    let incident = |id: &str, what: &str, minute| IncidentPart {
        id: format!("20261119-{id}"),
        what: what.into(),
        opened: at(3, minute),
        closed: Some(at(4, minute)),
        announced: Some(at(3, minute)),
        taken: Some(("Anna".into(), at(3, minute + 4))),
        reason: Some(Reason::CheckerDead),
    };
    digest.incidents = vec![
        incident("41", "bresse3_Checker", 0),
        IncidentPart { taken: None, closed: None, ..incident("42", "ESHOP_Service", 7) },
        IncidentPart { taken: None, announced: None, ..incident("43", "silence", 9) },
    ];
    let silence = SilencePart {
        checker: "bresse3".into(),
        since: at(3, 0),
        until: Some(at(3, 12)),
        reason: Some(Reason::CheckerDead),
    };
    digest.silences = vec![silence.clone(), SilencePart { until: None, reason: None, ..silence }];
    let finding =
        FindingPart { checker: "bresse2".into(), breach: Breach::UnknownService, since: at(1, 0), runs: 12 };
    digest.findings = vec![finding];
    digest.deliveries = Deliveries {
        took: [900, 1_100, 45_000].map(TimeDelta::milliseconds).into(),
        retried: 1,
        dropped: 2,
        waiting: vec![Waiting {
            subject: "ESHOP_Service.NOK failing".into(),
            channel: "teams".into(),
            since: at(22, 0),
            attempts: 3,
            error: Some("hooks.example answered 500 <b>no\u{212a}</b> & \"NOK\"".into()),
        }],
    };
    digest.endings = vec![EndingPart {
        mailbox: "MONITOR".into(),
        what: Credential::ClientSecret,
        at: at(0, 0) + TimeDelta::days(9),
    }];
    digest.chains = vec![
        ChainPart {
            channel: "teams".into(),
            proof: Some((at(9, 0), TimeDelta::seconds(41))),
            unproved: None,
        },
        ChainPart { channel: "phone".into(), proof: None, unproved: Some(at(10, 0)) },
    ];
    digest
}

/// Whoever filters on NOK, in the tags' company or without them, finds nothing.
fn assert_calm(html: &str) {
    let mut bare = String::new();
    let mut inside = false;
    for c in html.chars() {
        match c {
            '<' => inside = true,
            '>' => inside = false,
            other if !inside => bare.push(other),
            _ => {}
        }
    }
    for text in [html, &bare] {
        let text = text.replace('\u{212a}', "K").to_uppercase();
        assert!(!text.contains("NOK") && !text.contains(".OK"), "{text}");
    }
}

#[test]
fn a_quiet_day_is_told_briefly() {
    let (letter, html) = words::digest(&quiet());
    assert_calm(&html);
    insta::assert_snapshot!(format!("{}\n\n{}", letter.subject, letter.body));
}

#[test]
fn a_day_with_something_of_everything_is_told_without_what_opens_approvals() {
    let (letter, html) = words::digest(&eventful());
    assert_calm(&letter.subject);
    assert_calm(&letter.body);
    assert_calm(&html);
    insta::assert_snapshot!(format!("{}\n\n{}", letter.subject, letter.body));
    insta::assert_snapshot!(html);
}

#[test]
fn no_name_and_no_foreign_word_gets_out_of_its_place() {
    let mut digest = eventful();
    let hostile = "</table><script>nok</script>\n\u{202e}\"'&";
    digest.checkers[0].name = hostile.into();
    digest.incidents[0].taken = Some((hostile.into(), at(3, 5)));
    digest.deliveries.waiting[0].error = Some(hostile.repeat(1_000));
    let (letter, html) = words::digest(&digest);
    assert!(!html.contains("<script") && html.matches("</table>").count() == html.matches("<table>").count());
    assert!(!html.contains('\u{202e}') && letter.body.len() < 10_000);
    assert_calm(&html);
}

#[test]
fn ten_thousand_checkers_fit_into_one_small_mail() {
    let mut digest = eventful();
    digest.checkers = (0..10_000).map(|n| checker(&format!("bresse{n}"), "orange", n % 900)).collect();
    let incident = digest.incidents[0].clone();
    digest.incidents = vec![incident; 10_000];
    digest.silences = vec![digest.silences[0].clone(); 10_000];
    let (letter, html) = words::digest(&digest);
    assert!(letter.body.len() < 20_000 && html.len() < 60_000, "{} {}", letter.body.len(), html.len());
    assert!(letter.body.contains("… and 9980 more checkers, none of them heard less"));
    assert!(letter.body.contains("bresse899 (orange)") && !letter.body.contains("bresse898 (orange)\n"));
    assert!(letter.subject.contains("99.4") && letter.subject.contains("10000 alarms"), "{}", letter.subject);
}

#[test]
fn what_nobody_observed_is_never_called_well() {
    let mut digest = quiet();
    digest.observed = TimeDelta::zero();
    for part in &mut digest.checkers {
        part.availability = Availability::default();
    }
    let (letter, _) = words::digest(&digest);
    assert_eq!(letter.subject, "MONITOR_Digest bresse8: 2026-11-19, nothing observed, 0 alarms");
    assert!(!letter.body.contains("100 %"), "{}", letter.body);
}
