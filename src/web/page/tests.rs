//! What the sections look like, with names that try to be markup.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{TimeDelta, TimeZone, Utc};
use chrono_tz::Tz;

use super::health::{self, Limits};
use super::moment::Moment;
use super::{checker, incidents, matrix, silences, strips, table};
use crate::config::{Checker, Config, Role, Sources};
use crate::detail::{DeadlineSum, Detail, HeldLine, HopLine, MailLine, OtherMail, PathTable, Said, TestLine};
use crate::down::Board;
use crate::incidents::{IncidentLine, MessageLine, Standing, StepLine, Way};
use crate::matrix::{Cell, Matrix, Picture as Looks, ServiceRow, Vote};
use crate::policy::{Silenced, Silencing};
use crate::reason::{Confidence, Reason};
use crate::strip::{Condition, Run, Strip, Strips, Window};
use crate::tally::Tally;
use crate::time::Time;
use crate::verdict::State;
use crate::view::{self, ChainLine, CheckerLine, FindingLine, LastSeen, MailboxLine, PathLine, ServiceLine};
use crate::web::api::Silence;
use crate::web::{Picture, Work};

const HOSTILE: &str = "<script>alert('1')</script>\"&";

fn now() -> Time {
    Utc.with_ymd_and_hms(2026, 11, 20, 3, 0, 0).unwrap()
}

fn ago(seconds: i64) -> Time {
    now() - TimeDelta::seconds(seconds)
}

fn moment() -> Moment {
    Moment { now: now(), zone: Tz::Europe__Paris, ages: true }
}

fn seconds(seconds: i64) -> TimeDelta {
    TimeDelta::seconds(seconds)
}

fn limits() -> Limits {
    Limits { blind_after: seconds(180), judged_within: seconds(150) }
}

fn line(name: &str, state: State, heard: Option<i64>) -> CheckerLine {
    CheckerLine {
        state,
        last_received: heard.map(ago),
        last_sent: heard.map(ago),
        heard_at: heard.map(ago),
        age_s: heard,
        late_s: TimeDelta::zero(),
        services: vec![ServiceLine {
            name: "MSSQL1_Service".into(),
            result: if state == State::Ok { "OK" } else { "UNKNOWN" },
            since: None,
            critical: false,
        }],
        ..view::tests::line(name)
    }
}

fn picture(checkers: Vec<CheckerLine>) -> Picture {
    let mailbox = MailboxLine {
        name: "MONITOR".into(),
        heard_until: Some(ago(2)),
        clock_offset_s: None,
        login_refused: false,
        fullness: None,
        endings: vec![],
    };
    let heard_until = Some(ago(2));
    Picture {
        at: now(),
        last_seen: LastSeen { heard_until, checkers, mailboxes: vec![mailbox], ..view::tests::well() },
        matrix: Matrix { as_of: now(), heard_until, providers: vec![], services: vec![] },
        incidents: vec![],
        silences: vec![],
        board: Board::default(),
        tally: Tally::from(now()),
        waiting: BTreeMap::new(),
        work: Work { judged: Some(ago(1)), judgements: 1, store_fails: false },
    }
}

fn unproved() -> ChainLine {
    ChainLine {
        channel: "backup-mail".into(),
        proved: None,
        took_s: None,
        unproved: None,
        too_old_at: Some(ago(1)),
        too_old: true,
        sentence: "No drill came through backup-mail yet.".into(),
    }
}

fn headline(change: impl FnOnce(&mut Picture)) -> (&'static str, String) {
    let mut picture = picture(vec![line("bresse1", State::Ok, Some(60))]);
    change(&mut picture);
    let troubles = health::troubles(&picture, limits(), false, now());
    let head = health::headline(&picture, &troubles);
    (head.class, head.text)
}

/// Every table cell of the text, told apart by the angle brackets that are left.
fn assert_no_markup_of_others(html: &str) {
    assert!(!html.contains("<script"), "{html}");
    assert!(!html.contains("alert('"), "{html}");
}

#[test]
fn the_watchdogs_own_health_comes_first_and_is_not_outshone() {
    assert_eq!(headline(|_| {}), ("ok", "All is well".into()));
    assert_eq!(headline(|picture| picture.last_seen.undelivered = 1).0, "warning");
    let silent = |picture: &mut Picture| picture.last_seen.checkers[0].state = State::Silent;
    assert_eq!(headline(silent), ("bad", "1 checker is silent".into()));
    let blind_and_silent = |picture: &mut Picture| {
        silent(picture);
        picture.last_seen.unreadable = true;
    };
    assert_eq!(
        headline(blind_and_silent),
        ("grave", "The watchdog does not see; 1 checker is silent".into())
    );
    for grave in [
        (|picture: &mut Picture| picture.work.store_fails = true) as fn(&mut Picture),
        |picture| picture.work.judged = None,
        |picture| picture.work.judged = Some(ago(151)),
        |picture| picture.last_seen.heard_until = Some(ago(181)),
        |picture| picture.last_seen.mailboxes[0].login_refused = true,
        |picture| picture.last_seen.chains.push(unproved()),
    ] {
        assert_eq!(headline(grave), ("grave", "The watchdog does not see".into()));
    }
    let stuck = health::troubles(&picture(vec![]), limits(), true, now());
    assert!(stuck[0].1.starts_with("The daemon does not answer."), "{stuck:?}");
}

#[test]
fn health() {
    let mut sick =
        picture(vec![line("bresse1", State::Silent, Some(500)), line("bresse2", State::Ok, Some(60))]);
    sick.last_seen.undelivered = 3;
    sick.last_seen.provisional = true;
    sick.last_seen.junk_unread = BTreeMap::from([("MONITOR".into(), HOSTILE.into())]);
    sick.work.judged = None;
    sick.last_seen.chains.push(unproved());
    let html = health::render(&sick, limits(), false, moment());
    assert_no_markup_of_others(&html);
    insta::assert_snapshot!(html);
}

#[test]
fn the_table_of_who_was_last_seen_when() {
    let mut hostile = line(HOSTILE, State::Late, Some(350));
    hostile.provider = HOSTILE.into();
    hostile.services[0].name = HOSTILE.into();
    hostile.complaint = Some(HOSTILE.into());
    hostile.findings = vec![FindingLine {
        name: "UNKNOWN_SERVICE",
        since: ago(350),
        runs: 1,
        last_run: ago(350),
        what: HOSTILE.into(),
    }];
    let mut silent = line("bresse2", State::Silent, Some(500));
    silent.reason = Some(Reason::CheckerDead);
    let lines =
        vec![line("bresse1", State::Ok, Some(109)), silent, hostile, line("bresse4", State::Waiting, None)];
    let html = table::render(&picture(lines).last_seen, moment());
    assert_no_markup_of_others(&html);
    insta::assert_snapshot!(html);
}

#[test]
fn time_alone_is_no_change() {
    let table = picture(vec![line("bresse1", State::Ok, Some(109))]).last_seen;
    let later = |ages, after| table::render(&table, Moment { now: now() + seconds(after), ages, ..moment() });
    assert_eq!(later(false, 0), later(false, 100));
    assert_ne!(later(true, 0), later(true, 100));
}

#[test]
fn the_matrix() {
    let cell = |provider: &str, result, vote, since| Cell {
        provider: provider.into(),
        result,
        vote,
        since,
        age_s: Some(10),
        fresh: 1,
        voices: vec![],
    };
    let row = |name: &str, verdict, from: &[&str], cells| ServiceRow {
        name: name.into(),
        verdict,
        from: from.iter().map(|name| (*name).to_owned()).collect(),
        checker: None,
        quorum: 2,
        cells,
    };
    let down = vec![
        cell("free", "NOK", Some(Vote::Bad), Some(ago(600))),
        cell(HOSTILE, "MIXED", Some(Vote::Split), Some(ago(300))),
    ];
    let matrix = Matrix {
        as_of: now(),
        heard_until: Some(ago(2)),
        providers: vec!["free".into(), HOSTILE.into(), "ovh".into()],
        services: vec![
            row("MSSQL1_Service", Looks::ServiceDown, &["free", HOSTILE], down),
            row(HOSTILE, Looks::Unconfirmed, &[], vec![cell("ovh", "UNKNOWN", None, None)]),
        ],
    };
    let html = matrix::render(&matrix, moment());
    assert_no_markup_of_others(&html);
    insta::assert_snapshot!(html);
}

fn incident() -> IncidentLine {
    IncidentLine {
        id: "20261120-42".into(),
        token: Some("MONITOR_Checkers".into()),
        state: Standing::Open,
        opened: ago(300),
        closed: None,
        checkers: vec!["bresse1".into(), HOSTILE.into()],
        providers: BTreeSet::new(),
        services: vec![],
        reason: Some(Reason::CommonCause),
        confidence: Some(Confidence::Likely),
        acknowledged_by: None,
        acknowledged_until: None,
        note: None,
        channels: BTreeSet::from(["backup-mail".to_owned()]),
        steps: vec![],
    }
}

#[test]
fn open_incidents_have_a_button_for_whoever_may_take_them() {
    let taken = IncidentLine {
        id: "20261120-43".into(),
        state: Standing::Acknowledged,
        acknowledged_by: Some(HOSTILE.into()),
        acknowledged_until: Some(ago(-7200)),
        note: Some(HOSTILE.into()),
        ..incident()
    };
    let lines = [incident(), taken];
    let html = incidents::list(&lines, true, moment());
    assert_no_markup_of_others(&html);
    insta::assert_snapshot!(html);
    assert!(!incidents::list(&lines, false, moment()).contains("<form"));
    assert!(incidents::list(&[], true, moment()).contains("None."));
}

#[test]
fn an_incident_with_its_steps() {
    let step = |what: &str, by: Option<&str>, detail: Option<&str>| StepLine {
        at: ago(200),
        what: what.into(),
        by: by.map(str::to_owned),
        detail: detail.map(str::to_owned),
    };
    let steps = vec![step("opened", None, None), step("acknowledgement_ended", Some(HOSTILE), Some(HOSTILE))];
    let line = IncidentLine { steps, ..incident() };
    let message = |state, ended, answer: Option<&str>| MessageLine {
        channel: "backup-mail".into(),
        recipient: HOSTILE.into(),
        subject: HOSTILE.into(),
        composed: ago(190),
        state,
        ended,
        attempts: 2,
        answer: answer.map(str::to_owned),
    };
    let messages =
        [message(Way::Delivered, Some(ago(180)), Some(HOSTILE)), message(Way::Waiting, None, None)];
    let whole = |line: &IncidentLine, role| incidents::whole(line, &messages, role, moment());
    let html = whole(&line, Role::Admin);
    assert_no_markup_of_others(&html);
    insta::assert_snapshot!(html);
    let forms = |line: &IncidentLine, role| {
        let html = whole(line, role);
        ["/ack\"", "/resolve\"", "/silences?"].map(|form| html.contains(form))
    };
    assert_eq!(forms(&line, Role::Admin), [true, true, true]);
    assert_eq!(forms(&line, Role::Acknowledge), [true, false, false]);
    assert_eq!(forms(&line, Role::Read), [false, false, false]);
    let over = IncidentLine { state: Standing::Closed, closed: Some(ago(60)), ..line };
    assert_eq!(forms(&over, Role::Admin), [false, false, false]);
}

#[test]
fn closed_incidents_a_page_at_a_time() {
    let closed = |number: usize| IncidentLine {
        id: format!("20261120-{number}"),
        state: Standing::Closed,
        closed: Some(ago(60)),
        acknowledged_by: Some(HOSTILE.into()),
        ..incident()
    };
    let one = incidents::closed(&[closed(7)], None, moment());
    assert_no_markup_of_others(&one);
    insta::assert_snapshot!(one);
    let many: Vec<IncidentLine> = (0..=50).rev().map(closed).collect();
    let first = incidents::closed(&many, None, moment());
    assert!(first.contains("?before=20261120-1\"") && !first.contains("/incident/20261120-0\""), "{first}");
    assert!(!first.contains("Newest"));
    let last = incidents::closed(&many[50..], Some("20261120-1"), moment());
    assert!(last.contains("Newest") && !last.contains("Older") && last.contains("/incident/20261120-0\""));
}

#[test]
fn silences_and_the_form_for_whoever_may_silence() {
    let silence = |id, from, checker: &str| Silencing {
        id,
        silenced: Silenced { checkers: BTreeSet::from([checker.to_owned()]), ..Silenced::default() },
        from: ago(from),
        until: ago(-7_200),
        by: HOSTILE.into(),
        note: Some(HOSTILE.into()),
    };
    let silences = [silence(3, 60, HOSTILE), silence(4, -60, "bresse2")];
    let list = |role| silences::list(&silences, role, moment());
    assert_eq!(list(Role::Acknowledge).matches("<form").count(), 0);
    assert_eq!(list(Role::Admin).matches("<form").count(), 2);
    let chosen = BTreeSet::from(["bresse1".to_owned()]);
    let form = silences::form(&checkers(), &Silence { checkers: chosen, ..Silence::default() });
    assert_eq!(form.matches(" checked>").count(), 1, "{form}");
    let html = list(Role::Admin) + &form;
    assert_no_markup_of_others(&html);
    insta::assert_snapshot!(html);
    assert!(silences::list(&[], Role::Admin, moment()).contains("Nothing is silenced"));

    let told = |picture: &mut Picture| picture.silences = silences.to_vec();
    assert_eq!(headline(told).0, "ok", "a silence is no trouble");
    let mut silenced = picture(vec![]);
    told(&mut silenced);
    let notes = health::troubles(&silenced, limits(), false, now());
    assert_eq!(notes.len(), 1, "the other one does not hold yet: {notes:?}");
    assert!(notes[0].1.starts_with("No alarm about checker "), "{notes:?}");
}

fn checkers() -> Vec<Checker> {
    let text = "[watchdog]\nname = \"bresse8\"\n[mailbox]\nhost = \"mail.example\"\nuser = \"monitor@domain.com\"\n\
                password = \"secret\"\n[[checker]]\nname = \"bresse1\"\nprovider = \"free\"\ncycle = \"5m\"\n\
                tests = [ { service = \"<b>&\", timeout = \"10s\" } ]\n";
    let environment = BTreeMap::new();
    let sources = Sources { text, file: "watchdog.toml", environment: &environment, overrides: &[] };
    Config::load(&sources).unwrap().checkers
}

#[test]
fn the_strips() {
    let run =
        |condition, from, until, buckets| Run { condition, from: ago(from), until: ago(until), buckets };
    let runs = vec![
        run(Condition::Unobserved, 86_400, 43_200, 48),
        run(Condition::Heard, 43_200, 2_700, 45),
        run(Condition::ServiceBad, 2_700, 1_800, 1),
        run(Condition::Silent, 1_800, 0, 2),
    ];
    let strip = Strip { checker: HOSTILE.into(), runs, silent: seconds(1_700), unobserved: seconds(43_000) };
    let strips = Strips { window: Window::Day, from: ago(86_400), until: now(), strips: vec![strip] };
    let html = strips::all(&strips, moment());
    assert_no_markup_of_others(&html);
    insta::assert_snapshot!(html);
}

fn hop(from: Option<&str>, by: Option<&str>, [now_s, median_s, p99_s, max_s]: [i64; 4]) -> HopLine {
    HopLine {
        from: from.map(str::to_owned),
        by: by.map(str::to_owned),
        took: PathLine {
            mails: 50,
            now_s: seconds(now_s),
            median_s: seconds(median_s),
            p99_s: seconds(p99_s),
            max_s: seconds(max_s),
        },
    }
}

fn detail() -> Detail {
    let deadline = DeadlineSum {
        cycle_s: seconds(300),
        missed_cycles: 1,
        tests: vec![TestLine { service: HOSTILE.into(), timeout_s: seconds(40) }],
        margin_s: seconds(60),
        margin_measured: false,
        late_after_s: seconds(340),
        total_s: seconds(400),
        counted_from: Some(ago(109)),
        silent_after: Some(ago(-291)),
        words: "5m cycle + 40s tests + 60s mail path = 6m40s (400 s)".into(),
    };
    let mail = MailLine {
        received: ago(109),
        sent: Some(ago(113)),
        seen: ago(108),
        mailbox: "MONITOR".into(),
        folder: HOSTILE.into(),
        uid: 4711,
        dryrun: Some("OK"),
        results: vec![Said { service: HOSTILE.into(), result: "NOK" }],
        unknown: vec![HOSTILE.into()],
        problems: vec![HOSTILE.into()],
    };
    let other = OtherMail {
        received: ago(200),
        reason: "auto_reply".into(),
        sender: Some(HOSTILE.into()),
        subject: HOSTILE.into(),
    };
    Detail {
        as_of: now(),
        checker: line("bresse1", State::Ok, Some(109)),
        deadline,
        clock_offset: None,
        held: Some(HeldLine { received: ago(9_000), held_s: seconds(7_200), hop: Some(HOSTILE.into()) }),
        path: Some(PathTable {
            from: ago(15_000),
            until: ago(109),
            whole: hop(None, None, [4, 5, 40, 90]),
            hops: vec![hop(None, Some(HOSTILE), [1, 1, 3, 4]), hop(Some(HOSTILE), None, [3, 4, 37, 86])],
        }),
        mails: vec![mail],
        other_mails: vec![other],
    }
}

#[test]
fn one_checker() {
    let detail = detail();
    let html = [
        checker::summary(&detail, moment()),
        checker::path(detail.path.as_ref(), moment()),
        checker::mails(&detail, moment()),
    ]
    .concat();
    assert_no_markup_of_others(&html);
    insta::assert_snapshot!(html);
}
