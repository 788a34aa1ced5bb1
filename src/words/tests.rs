use super::*;
use crate::config::{Config, Sources};
use crate::engine::Chain;
use crate::expiry::{Credential, Validity};
use crate::incident::{Flapping, Member, Severity};
use crate::independence::{Fate, Line, Loss, Lost, Matrix};
use crate::ledger::{DryrunFlaw, Evidence, Facts, MarginBy, Observation, Outcome, Spoof};
use crate::mail;
use crate::matrix::{Cell, Picture, Voice, Vote};
use crate::reason::{Cause, Clue, Confidence, Reason};
use crate::report::{Roster, understand};
use crate::trust::Why;
use crate::verdict::State;
use chrono::{TimeDelta, TimeZone, Utc};
use std::collections::BTreeMap;
use std::path::Path;

fn at(hour: u32, minute: u32, second: u32) -> Time {
    Utc.with_ymd_and_hms(2026, 11, 20, hour, minute, second).unwrap()
}

const DEADLINE: Deadline = Deadline {
    cycle_ms: 300_000,
    missed_cycles: 1,
    timeouts_ms: 40_000,
    margin_ms: 60_000,
    margin_by: MarginBy::Configuration,
};

fn card(name: &'static str, provider: &'static str, heard: Option<Time>) -> CheckerCard<'static> {
    CheckerCard {
        name,
        provider,
        silent: heard.is_none_or(|heard| heard < at(2, 55, 0)),
        deadline: DEADLINE,
        heard_at: heard,
        watched_since: Some(at(0, 0, 0)),
        last_received: heard,
        last_sent: heard.map(|heard| heard - TimeDelta::seconds(4)),
        spoofs: None,
    }
}

static NO_CHAINS: BTreeMap<String, Chain> = BTreeMap::new();

fn scene(checkers: Vec<CheckerCard<'_>>) -> Scene<'_> {
    let mailbox = MailboxCard {
        name: "MONITOR",
        host: "outlook.office365.com",
        heard_until: Some(at(2, 56, 52)),
        error: Some("no connection to outlook.office365.com (timed out)\r\nNOK"),
        offset: None,
        endings: vec![],
    };
    Scene {
        by: Signature { watchdog: "bresse8", zone: Tz::Europe__Paris, now: at(2, 56, 53) },
        mailboxes: vec![mailbox],
        heard: Some((
            checkers.iter().filter(|card| !card.silent && card.heard_at.is_some()).count(),
            checkers.len(),
        )),
        checkers,
        findings: vec![],
        service: None,
        channel: None,
        drill: DrillCard {
            chains: &NO_CHAINS,
            prove_within: TimeDelta::minutes(30),
            proof_max_age: TimeDelta::days(8),
        },
        matrix: None,
    }
}

fn by(hour: u32) -> Signature<'static> {
    Signature { watchdog: "bresse8", zone: Tz::UTC, now: at(hour, 0, 0) }
}

fn incident(subject: Subject, members: &[(&str, Time, Option<Outcome>, Option<End>)]) -> Incident {
    let mut incident = Incident::new(42, subject, at(2, 56, 53));
    incident.members = members
        .iter()
        .map(|(name, since, outcome, end)| {
            let member = Member { since: *since, outcome: *outcome, flapping: None, named: false, end: *end };
            ((*name).to_owned(), member)
        })
        .collect::<BTreeMap<_, _>>();
    incident
}

fn silence(members: &[(&str, Time)], reason: Reason, clue: Clue) -> Incident {
    let members: Vec<_> = members.iter().map(|(name, since)| (*name, *since, None, None)).collect();
    let mut incident = incident(Subject::Silence, &members);
    incident.cause = Some(Cause { reason, confidence: Confidence::Likely, clues: vec![clue] });
    incident
}

fn shown(letter: &Letter) -> String {
    format!("Subject: {}\n\n{}", letter.subject, letter.body)
}

fn assert_calm(letter: &Letter) {
    let all = shown(letter).to_ascii_lowercase();
    assert!(!all.contains("nok"), "{all}");
}

#[test]
fn one_silent_checker() {
    let heard = at(2, 50, 11);
    let scene =
        scene(vec![card("bresse3", "orange", Some(heard)), card("bresse4", "sfr", Some(at(2, 56, 0)))]);
    let clue = Clue::OthersHeard { last: at(2, 56, 0) };
    let alarm = alarm(&silence(&[("bresse3", heard)], Reason::CheckerDead, clue), "bresse3_Checker", &scene);
    insta::assert_snapshot!(shown(&alarm));
}

#[test]
fn a_checker_that_was_never_heard() {
    let scene = scene(vec![card("bresse3", "orange", None), card("bresse4", "sfr", Some(at(2, 56, 0)))]);
    let alarm = alarm(
        &silence(
            &[("bresse3", at(0, 0, 0))],
            Reason::NeverSeen,
            Clue::NeverHeard { since: Some(at(0, 0, 0)) },
        ),
        "bresse3_Checker",
        &scene,
    );
    insta::assert_snapshot!(shown(&alarm));
}

#[test]
fn all_checkers_at_once() {
    let heard = [at(2, 50, 11), at(2, 50, 12)];
    let scene =
        scene(vec![card("bresse3", "orange", Some(heard[0])), card("bresse4", "sfr", Some(heard[1]))]);
    let members = [("bresse3", heard[0]), ("bresse4", heard[1])];
    let incident = silence(&members, Reason::MailPathDown, Clue::AllTogether { count: 2 });
    insta::assert_snapshot!(shown(&alarm(&incident, "MONITOR_MailPath", &scene)));
}

#[test]
fn ten_thousand_checkers_fit_on_a_phone() {
    let names: Vec<&'static str> =
        (0..10_000).map(|n| &*Box::leak(format!("bresse{n}").into_boxed_str())).collect();
    let scene = scene(names.iter().map(|name| card(name, "free", Some(at(2, 50, 0)))).collect());
    let mut incident = incident(Subject::Silence, &[]);
    names.iter().for_each(|name| incident.join(name, at(2, 50, 0), None));
    let alarm = alarm(&incident, "free_Provider", &scene);
    assert!(alarm.subject.len() < 200, "{}", alarm.subject.len());
    assert!(alarm.body.len() < 5_000, "{}", alarm.body.len());
    assert!(alarm.body.contains("and 9990 more"));
}

/// One provider's view of a service by its checkers `(name, state, result, vote)`.
type Voices<'a> = (&'a str, &'a [(&'a str, State, &'static str, Option<Vote>)]);

fn row(verdict: Picture, cells: &[Voices<'_>]) -> ServiceRow {
    let cell = |(provider, voices): &Voices<'_>| Cell {
        provider: (*provider).to_owned(),
        result: voices[0].2,
        vote: voices[0].3,
        since: None,
        age_s: None,
        fresh: voices.iter().filter(|voice| voice.1 == State::Ok && voice.2 != "UNKNOWN").count(),
        voices: voices
            .iter()
            .map(|(checker, state, result, vote)| Voice {
                checker: (*checker).to_owned(),
                state: *state,
                result,
                since: None,
                age_s: None,
                fresh: *state == State::Ok && *result != "UNKNOWN",
                vote: *vote,
            })
            .collect(),
    };
    let cells: Vec<Cell> = cells.iter().map(cell).collect();
    let bad = cells.iter().filter(|cell| matches!(cell.vote, Some(Vote::Bad | Vote::Split)));
    let from: Vec<String> = bad.map(|cell| cell.provider.clone()).collect();
    let checker = (verdict == Picture::CheckerFault).then(|| "bresse3".to_owned());
    ServiceRow { name: "ESHOP".into(), verdict, from, checker, quorum: 2, cells }
}

/// The alarm about ESHOP when bresse3, at orange, complains of it.
fn eshop_alarm(outcome: Outcome, row: Option<ServiceRow>) -> String {
    let heard = Some(at(2, 56, 0));
    let scene = Scene {
        service: row,
        ..scene(vec![card("bresse3", "orange", heard), card("bresse4", "sfr", heard)])
    };
    let members = [("bresse3", at(2, 55, 58), Some(outcome), None)];
    shown(&alarm(&incident(Subject::Service("ESHOP".into()), &members), "ESHOP", &scene))
}

const BAD: (&str, State, &str, Option<Vote>) = ("bresse3", State::Ok, "NOK", Some(Vote::Bad));
const GOOD: (&str, State, &str, Option<Vote>) = ("bresse4", State::Ok, "OK", Some(Vote::Good));
const BEFORE: (&str, State, &str, Option<Vote>) = ("bresse5", State::Ok, "OK", None);
const STALE: (&str, State, &str, Option<Vote>) = ("bresse6", State::Silent, "UNKNOWN", None);

#[test]
fn a_service_alarm_says_what_it_looks_like_and_who_knows_what() {
    let also = ("bresse7", State::Ok, "NOK", Some(Vote::Bad));
    let pictures = [
        row(
            Picture::ServiceDown,
            &[("orange", &[BAD]), ("ovh", &[also]), ("sfr", &[GOOD]), ("free", &[STALE])],
        ),
        row(
            Picture::SeenDownFrom,
            &[("orange", &[BAD]), ("sfr", &[GOOD]), ("free", &[BEFORE]), ("ovh", &[STALE])],
        ),
        row(Picture::CheckerFault, &[("orange", &[BAD]), ("sfr", &[GOOD, BEFORE])]),
        row(Picture::Unconfirmed, &[("orange", &[BAD]), ("free", &[BEFORE]), ("ovh", &[STALE])]),
        row(Picture::Unconfirmed, &[("orange", &[BAD])]),
        row(Picture::ServiceDown, &[("orange", &[BAD]), ("ovh", &[STALE])]),
    ];
    let alarms = pictures.map(|row| eshop_alarm(Outcome::Nok, Some(row)));
    insta::assert_snapshot!(alarms.join("\n———\n"));
}

#[test]
fn a_service_that_works_from_many_is_not_listed_in_the_subject() {
    let names: Vec<String> = (0..20).map(|n| format!("provider{n}")).collect();
    let mut cells: Vec<Voices<'_>> = names.iter().map(|name| (name.as_str(), &[GOOD][..])).collect();
    cells.push(("orange", &[BAD]));
    let alarm = eshop_alarm(Outcome::Nok, Some(row(Picture::SeenDownFrom, &cells)));
    assert!(alarm.starts_with("Subject: ESHOP.NOK down from orange, works from 20 others\n"), "{alarm}");
    assert!(alarm.contains("provider9 (bresse4) and 10 more\n"), "{alarm}");
}

#[test]
fn a_service_that_is_missing() {
    let row = row(Picture::SeenDownFrom, &[("orange", &[BAD]), ("sfr", &[GOOD])]);
    insta::assert_snapshot!(eshop_alarm(Outcome::Missing, Some(row)));
}

#[test]
fn a_service_that_is_reported_ok_and_nok_at_once() {
    let row = row(Picture::Unconfirmed, &[("orange", &[BAD])]);
    insta::assert_snapshot!(eshop_alarm(Outcome::Contradiction, Some(row)));
}

#[test]
fn of_many_who_complain_of_a_service_the_rest_is_counted() {
    let mut incident = incident(Subject::Service("ESHOP".into()), &[]);
    (0..12).for_each(|n| incident.join(&format!("bresse{n}"), at(2, 55, 58), Some(Outcome::Nok)));
    assert!(alarm(&incident, "ESHOP", &scene(vec![])).body.contains("\n… and 2 more.\n"));
}

#[test]
fn a_service_that_flaps() {
    let members = [("bresse3", at(2, 55, 58), Some(Outcome::Nok), None)];
    let mut incident = incident(Subject::Service("ESHOP".into()), &members);
    for member in incident.members.values_mut() {
        member.flapping = Some(Flapping { changes: 6, within_ms: 3_600_000 });
    }
    let scene = scene(vec![card("bresse3", "orange", Some(at(2, 56, 0)))]);
    insta::assert_snapshot!(shown(&alarm(&incident, "ESHOP", &scene)));
}

/// What the runs of bresse3, one every five minutes until 02:55, amount to. The last `clean` of them keep the rules.
fn findings(texts: &[&str], clean: usize) -> BTreeMap<Breach, Finding> {
    let text = "[watchdog]\nname = \"w\"\n[mailbox]\nhost = \"h\"\nuser = \"m@d.com\"\npassword = \"x\"\n\
                [[checker]]\nname = \"bresse3\"\nprovider = \"orange\"\n\
                tests = [{ service = \"ESHOP\", timeout = \"10s\" }, { service = \"SQL\", timeout = \"30s\" }]\n";
    let sources = Sources { text, file: "w.toml", environment: &BTreeMap::new(), overrides: &[] };
    let checkers = Config::load(&sources).unwrap().checkers;
    let mut facts = Facts::new(&checkers[0]);
    let runs = texts.iter().copied().chain(std::iter::repeat_n("DRYRUN.OK ESHOP.OK SQL.OK", clean));
    let runs: Vec<&str> = runs.collect();
    for (text, run) in runs.iter().rev().zip(0..) {
        let sent = at(2, 55, 0) - TimeDelta::minutes(5 * run);
        let mail = format!("To: bresse3+monitor@d.com\nDate: {}\n\n{text}\n", sent.to_rfc2822());
        let mail = understand(
            &mut mail::parse(mail.as_bytes(), text.contains("cut")),
            &Roster::new(&checkers, &Default::default()),
        );
        facts.observe(&Observation { mailbox: "MONITOR".into(), received: sent, seen: sent, mail });
    }
    facts.settle(Some(at(2, 56, 52)));
    facts.findings
}

#[test]
fn runs_that_break_the_rules() {
    let found = findings(
        &[
            "DRYRUN.OK ESHOP.OK ESHOP.NOK SQL.OK Old.OK Older.OK",
            "ESHOP.OK DRYRUN.OK SQL.OK Old.OK",
            "ESHOP.OK DRYRUN.OK Old.OK",
        ],
        0,
    );
    let mut scene = scene(vec![card("bresse3", "orange", Some(at(2, 56, 0)))]);
    scene.findings = found.iter().map(|(breach, finding)| (*breach, finding)).collect();
    let members = [("bresse3", at(2, 45, 0), None, None)];
    let incident = incident(Subject::Report("bresse3".into()), &members);
    insta::assert_snapshot!(shown(&alarm(&incident, "bresse3_Report", &scene)));
}

#[test]
fn runs_that_keep_the_rules_again() {
    let found = findings(&["DRYRUN.OK ESHOP.OK SQL.OK Nokia.OK", "DRYRUN.NOK ESHOP.OK SQL.OK"], 2);
    let mut scene = scene(vec![card("bresse3", "orange", Some(at(2, 56, 0)))]);
    scene.findings = found.iter().map(|(breach, finding)| (*breach, finding)).collect();
    let members = [("bresse3", at(2, 40, 0), None, Some(End::Recovered(at(2, 50, 0))))];
    let incident = incident(Subject::Report("bresse3".into()), &members);
    let letter = recovery(&incident, "bresse3_Report", &scene);
    assert_calm(&letter);
    insta::assert_snapshot!(shown(&letter));
}

#[test]
fn every_finding_has_a_sentence() {
    let took = |ms, allowed_ms| Evidence::Took { ms, allowed_ms };
    let names = || Evidence::Services(["ESHOP", "SQL"].map(String::from).into());
    let cases = [
        (Breach::Missing, names()),
        (Breach::Contradiction, names()),
        (Breach::UnknownService, names()),
        (Breach::NoDryrun, Evidence::Dryrun(DryrunFlaw::Absent)),
        (Breach::NoDryrun, Evidence::Dryrun(DryrunFlaw::NotFirst)),
        (Breach::NoDryrun, Evidence::Dryrun(DryrunFlaw::NotOk)),
        (Breach::Gap, took(600_000, 300_000)),
        (Breach::Duplicate, names()),
        (Breach::Duplicate, Evidence::Twice),
        (Breach::Overrun, took(95_000, 40_000)),
        (Breach::Truncated, Evidence::Cut),
    ];
    let lines = cases.map(|(breach, evidence)| format!("{}: {}", breach.word(), finding(breach, &evidence)));
    insta::assert_snapshot!(lines.join("\n"));
}

#[test]
fn a_mailbox_that_cannot_be_read() {
    let incident = incident(Subject::Mailbox("MONITOR".into()), &[]);
    insta::assert_snapshot!(shown(&alarm(&incident, "MONITOR_Mailbox", &scene(vec![]))));
}

#[test]
fn credentials_that_end_soon_or_have_ended() {
    let certificate = Ending::of_certificate(Validity { from: at(0, 0, 0), until: at(23, 0, 0) });
    let secret = Ending { what: Credential::ClientSecret, at: at(1, 0, 0), notice: at(0, 0, 0) };
    let mut scene = scene(vec![]);
    scene.mailboxes[0].endings = vec![secret, certificate];
    let both = [("certificate", at(2, 0, 0), None, None), ("client secret", at(2, 0, 0), None, None)];
    let letters = [&both[..1], &both[..]].map(|members| {
        let incident = incident(Subject::Expiry("MONITOR".into()), members);
        shown(&alarm(&incident, "MONITOR_Expiry", &scene))
    });
    insta::assert_snapshot!(letters.join("\n———\n"));
}

#[test]
fn losses_that_nobody_would_hear_of() {
    let line = |channel: &str, told, shared: &[&str], unknown: &[&str]| Line {
        channel: channel.to_owned(),
        fate: Fate::Lost,
        told,
        shared: shared.iter().map(|text| (*text).to_owned()).collect(),
        unknown: unknown.iter().map(|text| (*text).to_owned()).collect(),
    };
    let shares = "smtp.office365.com shares the domain office365.com with the mailbox MONITOR";
    let channels = vec![line("backup-mail", true, &[shares], &["?"]), line("sms", false, &["NOK"], &[])];
    let lost = Lost::Mailbox("MONITOR".into());
    let heard = Loss { lost: Lost::Provider("free".into()), channels: vec![] };
    let matrix = Matrix { losses: vec![Loss { lost, channels }, heard] };
    let members =
        [("the mailbox MONITOR", at(2, 0, 0), None, None), ("the provider orange", at(2, 0, 0), None, None)];
    let incident = incident(Subject::Dependence(Severity::Critical), &members);
    // After a restart the alarm may be said again before everything is worked out anew.
    let letters = [Some(&matrix), None]
        .map(|matrix| shown(&alarm(&incident, "MONITOR_Dependence", &Scene { matrix, ..scene(vec![]) })));
    insta::assert_snapshot!(letters.join("\n———\n"));
}

#[test]
fn a_loss_that_would_be_heard_of_again_or_is_accepted() {
    let (back, removed) = (End::Recovered(at(3, 10, 0)), End::Removed(at(3, 10, 0)));
    let letters = [("the provider noKia", back), ("the mailbox MONITOR", removed)].map(|(lost, end)| {
        let members = [(lost, at(2, 50, 0), None, Some(end))];
        recovery(
            &incident(Subject::Dependence(Severity::Warning), &members),
            "MONITOR_Dependence",
            &scene(vec![]),
        )
    });
    letters.iter().for_each(assert_calm);
    insta::assert_snapshot!(letters.iter().map(shown).collect::<Vec<_>>().join("\n———\n"));
}

#[test]
fn recoveries_say_what_was_and_never_what_opens_approvals() {
    let back = Some(End::Recovered(at(3, 10, 0)));
    let mut scene = scene(vec![card("bresse3", "noKia", Some(at(3, 10, 0)))]);
    scene.by.now = at(3, 10, 2);
    let closed =
        |subject, members: &[_]| Incident { closed: Some(at(3, 10, 2)), ..incident(subject, members) };
    let cases = [
        (closed(Subject::Silence, &[("bresse3", at(2, 50, 0), None, back)]), "bresse3_Checker"),
        (
            closed(
                Subject::Silence,
                &[("bresse3", at(2, 50, 0), None, back), ("bresse4", at(2, 50, 0), None, None)],
            ),
            "MONITOR_MailPath",
        ),
        (
            closed(Subject::Silence, &[("bresse3", at(2, 50, 0), None, Some(End::Removed(at(3, 10, 0))))]),
            "bresse3_Checker",
        ),
        (
            closed(Subject::Service("ESHOP".into()), &[("bresse3", at(2, 50, 0), Some(Outcome::Nok), back)]),
            "ESHOP",
        ),
        (
            incident(
                Subject::Silence,
                &[("bresse3", at(2, 50, 0), None, back), ("bresse4", at(2, 50, 0), None, None)],
            ),
            "bresse3_Checker",
        ),
        (
            closed(
                Subject::Silence,
                &[
                    ("bresse3", at(2, 50, 0), None, Some(End::Removed(at(3, 10, 0)))),
                    ("bresse4", at(2, 50, 0), None, None),
                ],
            ),
            "MONITOR_MailPath",
        ),
        (closed(Subject::Mailbox("MONITOR".into()), &[]), "MONITOR_Mailbox"),
        (closed(Subject::Clock, &[("MONITOR", at(2, 50, 0), None, back)]), "MONITOR_Clock"),
        (
            closed(
                Subject::Mailbox("MONITOR".into()),
                &[("MONITOR", at(2, 50, 0), None, Some(End::Removed(at(3, 10, 0))))],
            ),
            "MONITOR_Mailbox",
        ),
        (
            closed(Subject::Expiry("MONITOR".into()), &[("certificate", at(2, 50, 0), None, back)]),
            "MONITOR_Expiry",
        ),
    ];
    let letters: Vec<Letter> =
        cases.iter().map(|(incident, token)| recovery(incident, token, &scene)).collect();
    letters.iter().for_each(assert_calm);
    insta::assert_snapshot!(letters.iter().map(shown).collect::<Vec<_>>().join("\n———\n"));
}

#[test]
fn the_recovery_of_a_service_says_how_far_it_went_and_from_where_it_works_now() {
    let back = Some(End::Recovered(at(3, 10, 0)));
    let members = [
        ("bresse3", at(2, 50, 0), Some(Outcome::Nok), back),
        ("bresse4", at(2, 51, 0), Some(Outcome::Nok), back),
        ("bresse5", at(2, 51, 0), Some(Outcome::Missing), back),
    ];
    let heard = Some(at(3, 10, 0));
    let scene = Scene {
        service: Some(row(
            Picture::Ok,
            &[
                ("orange", &[("bresse3", State::Ok, "OK", Some(Vote::Good))]),
                ("sfr", &[GOOD]),
                ("ovh", &[STALE]),
            ],
        )),
        ..scene(vec![
            card("bresse3", "orange", heard),
            card("bresse4", "sfr", heard),
            card("bresse5", "free", heard),
        ])
    };
    let letter = recovery(&incident(Subject::Service("ESHOP".into()), &members), "ESHOP", &scene);
    assert_calm(&letter);
    insta::assert_snapshot!(shown(&letter));
}

#[test]
fn what_is_no_alarm_is_calm_whatever_the_names_are() {
    assert_calm(&channel_test(by(3), "kiNOKuniya"));
    assert_calm(&canary(Signature { watchdog: "kiNOKuniya", ..by(3) }));
    assert_calm(&store_recovery(by(3), "20261120030000-store", at(2, 0, 0)));
}

#[test]
fn the_state_file_and_the_channel_test() {
    let incident = "20261120020000-store";
    let store = store_alarm(by(2), incident, Path::new("watchdog.db"), "the disk is full; make room");
    let works = store_recovery(by(3), incident, at(2, 0, 0));
    let test = channel_test(by(3), "backup-mail");
    insta::assert_snapshot!([store, works, test].iter().map(shown).collect::<Vec<_>>().join("\n———\n"));
}

#[test]
fn a_fallback_says_why_it_is_used() {
    let body = "It is silent.\n\nbresse8, then\nIncident 20261120-42\n".to_owned();
    let letter = Letter { subject: "bresse3_Checker.NOK".into(), body };
    insta::assert_snapshot!(shown(&handed_over(&letter, "backup-mail", "550 no such user\r\n\u{1b}[2J")));
}

#[test]
fn the_sum_is_shown_with_its_numbers() {
    assert_eq!(deadline_sum(DEADLINE), "5m cycle + 40s tests + 1m mail path = 6m40s (400 s)");
    let patient = Deadline { missed_cycles: 3, timeouts_ms: 500, ..DEADLINE };
    let sum = |margin_by| deadline_sum(Deadline { margin_by, ..DEADLINE });
    assert_eq!(sum(MarginBy::Measurement), "5m cycle + 40s tests + 1m mail path (measured) = 6m40s (400 s)");
    assert!(sum(MarginBy::Default).contains("1m mail path (not measured yet)"));
    assert_eq!(deadline_sum(patient), "3 × 5m cycle + 500ms tests + 1m mail path = 16m500ms (960.5 s)");
}

#[test]
fn without_nok_breaks_up_every_form_of_it() {
    for text in ["NOK", "nok", "xNoKy", "NONOK", "nonokNOK", "NO\u{212a}"] {
        assert!(!without_nok(text).to_lowercase().contains("nok"), "{}", without_nok(text));
    }
    assert_eq!(without_nok("no key, unknown"), "no key, unknown");
}

#[test]
fn mails_that_are_not_believed() {
    let spoofs = |why, author: Option<&str>, count| {
        let mut spoofs = Spoofs::default();
        (0..count).for_each(|_| spoofs.add(at(2, 56, 40), why, author, TimeDelta::zero()));
        spoofs
    };
    let forged = spoofs(Why::NotSigned, Some("\u{202e}NOK@elsewhere.example"), 1);
    let again = spoofs(Why::Replayed, None, 3);
    let mut back = Spoofs::default();
    back.note(Spoof { received: at(2, 56, 40), why: Why::RunWentBack, author: None });
    let told: Vec<String> = [&forged, &again, &back]
        .into_iter()
        .map(|spoofs| {
            let mut card = card("bresse3", "orange", Some(at(2, 50, 11)));
            card.spoofs = Some(spoofs);
            let mut scene = scene(vec![card]);
            let subject = || Subject::Spoof("bresse3".into());
            let open = incident(subject(), &[("bresse3", at(2, 56, 40), None, None)]);
            let alarm = shown(&alarm(&open, "bresse3_Spoof", &scene));
            scene.by.now = at(3, 57, 0);
            let over =
                incident(subject(), &[("bresse3", at(2, 56, 40), None, Some(End::Recovered(at(3, 57, 0))))]);
            let recovery = recovery(&over, "bresse3_Spoof", &scene);
            assert_calm(&recovery);
            format!("{alarm}{}", shown(&recovery))
        })
        .collect();
    insta::assert_snapshot!(told.join("———\n"));
    for why in [
        Why::FromNotAllowed,
        Why::NoAuthResults,
        Why::DmarcNotPassed,
        Why::SignatureWrong,
        Why::RunInTheFuture,
        Why::Replayed,
        Why::RunWentBack,
    ] {
        let spoofs = spoofs(why, None, 2);
        let mut card = card("bresse3", "orange", None);
        card.spoofs = Some(&spoofs);
        let open = incident(Subject::Spoof("bresse3".into()), &[("bresse3", at(2, 56, 40), None, None)]);
        let body = alarm(&open, "bresse3_Spoof", &scene(vec![card])).body;
        assert!(body.contains(why.sentence()) && body.contains("Look first at: "), "{body}");
    }
}
