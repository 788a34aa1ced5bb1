use super::*;
use crate::config::Sources;
use crate::ledger::Observation;
use crate::mail;
use crate::report::{Roster, understand};
use chrono::{TimeDelta, TimeZone, Utc};

/// Everybody is judged at this second. Late after 300 s + 10 s per test, silent 60 s later.
const NOW: i64 = 1_000;

fn at(second: i64) -> Time {
    Utc.with_ymd_and_hms(2026, 11, 20, 3, 0, 0).unwrap() + TimeDelta::seconds(second)
}

/// `b1 free: 600 A+ B-, 900 A+ B+` is a checker, its provider, and its runs, each with its second; `-` is NOK, `?` is not
/// named in the run. It tests what its runs name.
struct Checkers {
    config: Config,
    runs: Vec<(String, i64, String)>,
}

impl Checkers {
    fn new(quorum: usize, voices: &[&str]) -> Self {
        let mut text = format!(
            "[watchdog]\nname = \"bresse8\"\n[mailbox]\nhost = \"mail.example\"\nuser = \"monitor@domain.com\"\n\
             password = \"secret\"\n[matrix]\nquorum = {quorum}\n"
        );
        let mut runs = vec![];
        for voice in voices {
            let (who, said) = voice.split_once(": ").unwrap();
            let (name, provider) = who.split_once(' ').unwrap();
            let mut tests = BTreeSet::new();
            for run in said.split(", ") {
                let (second, results) = run.split_once(' ').unwrap();
                tests.extend(results.split(' ').map(|result| result.trim_end_matches(['+', '-', '?', '!'])));
                let tokens: Vec<String> = results.split(' ').filter_map(token).collect();
                let subject = format!("DRYRUN.OK {}", tokens.join(" "));
                runs.push((name.to_owned(), second.parse().unwrap(), subject));
            }
            let tests: Vec<String> = tests
                .iter()
                .map(|service| format!("{{ service = \"{service}\", timeout = \"10s\" }}"))
                .collect();
            text.push_str(&format!(
                "[[checker]]\nname = \"{name}\"\nprovider = \"{provider}\"\ntests = [ {} ]\n",
                tests.join(", ")
            ));
        }
        let sources =
            Sources { text: &text, file: "watchdog.toml", environment: &BTreeMap::new(), overrides: &[] };
        Self { config: Config::load(&sources).unwrap(), runs }
    }

    fn matrix(&self) -> Matrix {
        let roster = Roster::new(&self.config.checkers, &Default::default());
        let mut facts: Vec<Facts> = self.config.checkers.iter().map(Facts::new).collect();
        for (name, second, subject) in &self.runs {
            let mail = format!(
                "From: {name}@checker.example\nTo: {name}+monitor@domain.com\nDate: {}\nSubject: {subject}\n\n",
                at(*second).to_rfc2822()
            );
            let mail = understand(&mut mail::parse(mail.as_bytes(), false), &roster);
            let index = self.config.checkers.iter().position(|checker| checker.name == *name).unwrap();
            let (received, seen) = (at(*second), at(*second));
            facts[index].observe(&Observation { mailbox: "MONITOR".into(), received, seen, mail });
        }
        facts.iter_mut().for_each(|facts| facts.settle(Some(at(NOW))));
        let watch = Watch {
            heard_until: Some(at(NOW)),
            blind_after: TimeDelta::minutes(3),
            history_known: true,
            newest_known: true,
            ahead: TimeDelta::zero(),
        };
        let heard: Vec<Heard<'_>> = self
            .config
            .checkers
            .iter()
            .zip(&facts)
            .map(|(checker, facts)| Heard::new(checker, facts, watch, at(NOW)))
            .collect();
        let matrix = Matrix::new(&self.config, &heard, Some(at(NOW)), at(NOW));
        for row in &matrix.services {
            let alone =
                ServiceRow::of(&row.name, self.config.quorum.of(&row.name), |_| heard.clone(), at(NOW));
            assert_eq!(alone, *row, "a row alone is the row of the matrix");
        }
        matrix
    }

    /// `A seen_down_from free sfr; B ok`
    fn pictures(&self) -> String {
        let matrix = self.matrix();
        let row = |row: &ServiceRow| {
            let whom = row.checker.clone().unwrap_or_else(|| row.from.join(" "));
            format!("{} {} {whom}", row.name, row.verdict.word()).trim_end().to_owned()
        };
        matrix.services.iter().map(row).collect::<Vec<_>>().join("; ")
    }
}

fn token(result: &str) -> Option<String> {
    let service = result.trim_end_matches(['+', '-', '?', '!']);
    match result.chars().last() {
        Some('+') => Some(format!("{service}.OK")),
        Some('-') => Some(format!("{service}.NOK")),
        Some('!') => Some(format!("{service}.OK {service}.NOK")),
        _ => None,
    }
}

/// What it is, the quorum, who says what, and the picture.
const VOTES: &[(&str, usize, &[&str], &str)] = &[
    ("all is well", 2, &["b1 free: 900 A+", "b2 sfr: 900 A+"], "A ok"),
    ("one voice that says OK is enough for that", 2, &["b1 free: 900 A+", "b2 sfr: 100 A+"], "A ok"),
    ("nobody fresh says anything", 2, &["b1 free: 100 A-", "b2 sfr: 100 A+"], "A unconfirmed"),
    // Of two providers.
    ("both of two", 2, &["b1 free: 900 A-", "b2 sfr: 910 A-"], "A service_down free sfr"),
    ("one of two", 2, &["b1 free: 900 A-", "b2 sfr: 910 A+"], "A seen_down_from free"),
    ("the other has not looked since", 2, &["b1 free: 900 A-", "b2 sfr: 890 A+"], "A unconfirmed free"),
    ("it looked in the same second", 2, &["b1 free: 900 A-", "b2 sfr: 900 A+"], "A seen_down_from free"),
    (
        "what counts is when the trouble began, not when it was told last",
        2,
        &["b1 free: 600 A-, 900 A-", "b2 sfr: 890 A+"],
        "A seen_down_from free",
    ),
    (
        "the quorum is never more than the fresh providers",
        3,
        &["b1 free: 900 A-", "b2 sfr: 910 A-"],
        "A service_down free sfr",
    ),
    // Of one provider.
    ("the only one there is", 2, &["b1 free: 900 A-"], "A unconfirmed free"),
    ("the only one there is, and that is enough", 1, &["b1 free: 900 A-"], "A service_down free"),
    ("the only fresh one", 2, &["b1 free: 900 A-", "b2 sfr: 100 A+"], "A unconfirmed free"),
    (
        "one is enough, whatever the other says",
        1,
        &["b1 free: 900 A-", "b2 sfr: 910 A+"],
        "A service_down free",
    ),
    // Of three providers.
    (
        "two of three, the third contradicts",
        2,
        &["b1 free: 900 A-", "b2 sfr: 910 A-", "b3 ovh: 920 A+"],
        "A service_down free sfr",
    ),
    (
        "two of three are not three",
        3,
        &["b1 free: 900 A-", "b2 sfr: 910 A-", "b3 ovh: 920 A+"],
        "A seen_down_from free sfr",
    ),
    (
        "two of three are not three, and the third has not looked since",
        3,
        &["b1 free: 900 A-", "b2 sfr: 910 A-", "b3 ovh: 905 A+"],
        "A unconfirmed free sfr",
    ),
    ("all three", 3, &["b1 free: 900 A-", "b2 sfr: 910 A-", "b3 ovh: 920 A-"], "A service_down free sfr ovh"),
    (
        "two fresh ones are enough when the third is silent",
        3,
        &["b1 free: 900 A-", "b2 sfr: 910 A-", "b3 ovh: 100 A+"],
        "A service_down free sfr",
    ),
    // Several checkers of one provider have one vote.
    (
        "two voices of one provider are one provider",
        2,
        &["b1 free: 900 A-", "b2 free: 910 A-", "b3 sfr: 920 A+"],
        "A seen_down_from free",
    ),
    (
        "two voices of one provider confirm nothing",
        2,
        &["b1 free: 900 A-", "b2 free: 910 A-"],
        "A unconfirmed free",
    ),
    (
        "a provider that contradicts itself speaks for neither side",
        2,
        &["b1 free: 900 A-", "b2 free: 910 A+", "b3 sfr: 905 A-"],
        "A seen_down_from free sfr",
    ),
    (
        "it contradicts itself only if it has looked since",
        2,
        &["b1 free: 900 A-", "b2 free: 890 A+", "b3 sfr: 895 A-"],
        "A service_down free sfr",
    ),
    // Stale cells are no votes. b2 is late after 310 s, silent after 370 s.
    ("late", 2, &["b1 free: 900 A-", "b2 sfr: 689 A-"], "A unconfirmed free"),
    ("just not late", 2, &["b1 free: 900 A-", "b2 sfr: 690 A-"], "A service_down free sfr"),
    ("late, and it worked", 2, &["b1 free: 660 A-, 900 A-", "b2 sfr: 689 A+"], "A unconfirmed free"),
    (
        "just not late, and it worked",
        2,
        &["b1 free: 660 A-, 900 A-", "b2 sfr: 690 A+"],
        "A seen_down_from free",
    ),
    // What is missing from a run, or contradicts itself, is bad.
    ("missing", 2, &["b1 free: 600 A+ B+, 900 A? B+", "b2 sfr: 910 A+ B+"], "A seen_down_from free; B ok"),
    ("OK and NOK in one run", 2, &["b1 free: 900 A!", "b2 sfr: 910 A-"], "A service_down free sfr"),
];

#[test]
fn the_votes_of_the_providers_make_the_picture() {
    let mut wrong = vec![];
    for (what, quorum, voices, expected) in VOTES {
        let found = Checkers::new(*quorum, voices).pictures();
        if found != *expected {
            wrong.push(format!("{what}: {found}, not {expected}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn a_checker_that_sees_nothing_work_is_the_fault_itself_when_others_contradict() {
    const CASES: &[(&str, &[&str], &str)] = &[
        (
            "all is bad from one, and well from the other",
            &["b1 free: 900 A- B-", "b2 sfr: 910 A+ B+"],
            "A checker_fault b1; B checker_fault b1",
        ),
        (
            "a service that nobody else tests is a part of it",
            &["b1 free: 900 A- B- C-", "b2 sfr: 910 A+ B+"],
            "A checker_fault b1; B checker_fault b1; C checker_fault b1",
        ),
        ("one service works", &["b1 free: 900 A- B+", "b2 sfr: 910 A+ B+"], "A seen_down_from free; B ok"),
        (
            "another checker agrees about one of them",
            &["b1 free: 900 A- B-", "b2 sfr: 910 A+ B+", "b3 ovh: 905 A- B+"],
            "A service_down free ovh; B seen_down_from free",
        ),
        (
            "another checker of the same provider agrees: it is the provider's line",
            &["b1 free: 900 A- B-", "b2 free: 905 A- B-", "b3 sfr: 910 A+ B+"],
            "A seen_down_from free; B seen_down_from free",
        ),
        (
            "another checker of the same provider contradicts",
            &["b1 free: 900 A- B-", "b2 free: 905 A+ B+"],
            "A checker_fault b1; B checker_fault b1",
        ),
        (
            "the others have not looked since",
            &["b1 free: 900 A- B-", "b2 sfr: 890 A+ B+"],
            "A unconfirmed free; B unconfirmed free",
        ),
        (
            "the others are silent",
            &["b1 free: 900 A- B-", "b2 sfr: 100 A+ B+"],
            "A unconfirmed free; B unconfirmed free",
        ),
        ("one service is not everything", &["b1 free: 900 A-", "b2 sfr: 910 A+"], "A seen_down_from free"),
        ("it is silent itself", &["b1 free: 100 A- B-", "b2 sfr: 910 A+ B+"], "A ok; B ok"),
    ];
    for (what, voices, expected) in CASES {
        assert_eq!(Checkers::new(2, voices).pictures(), *expected, "{what}");
    }
    let one_is_enough = Checkers::new(1, &["b1 free: 900 A- B-", "b2 sfr: 910 A+ B+"]);
    assert_eq!(one_is_enough.pictures(), "A checker_fault b1; B checker_fault b1");
}

#[test]
fn a_cell_tells_the_result_since_when_by_how_many_and_how_fresh() {
    let checkers = Checkers::new(
        2,
        &[
            "b1 free: 600 A+, 900 A+",
            "b2 free: 600 A+, 910 A-",
            "b3 free: 100 A+",
            "b4 sfr: 920 A+",
            "b5 ovh: 920 B+",
        ],
    );
    let matrix = checkers.matrix();
    assert_eq!(matrix.providers, ["free", "sfr", "ovh"]);
    insta::assert_json_snapshot!(matrix.services[0]);
}

#[test]
fn what_is_not_fresh_has_no_result() {
    let matrix = Checkers::new(2, &["b1 free: 689 A-", "b2 sfr: 100 A-"]).matrix();
    let found: Vec<_> = matrix.services[0]
        .cells
        .iter()
        .map(|cell| (cell.result, cell.vote, cell.since, cell.voices[0].result))
        .collect();
    assert_eq!(found, [("UNKNOWN", None, None, "NOK"), ("UNKNOWN", None, None, "UNKNOWN")]);
}

#[test]
fn ten_thousand_checkers_are_no_burden() {
    let names: Vec<String> = (0..10_000).map(|n| format!("b{n} p{n}: 900 A+ B+")).collect();
    let voices: Vec<&str> = names.iter().map(String::as_str).collect();
    let matrix = Checkers::new(2, &voices).matrix();
    assert_eq!(matrix.services[0].cells.len(), 10_000);
}
