use super::*;
use chrono::{TimeZone, Utc};

const PROVIDERS: [&str; 7] = ["Free", "Orange", "Bouygues Telecom", "SFR", "Scaleway", "OVH", "Azure EU"];

fn at(second: i64) -> Time {
    Utc.with_ymd_and_hms(2026, 11, 20, 3, 0, 0).unwrap() + TimeDelta::seconds(second)
}

/// `+` OK, `o` an OK from before the trouble, `-` NOK, `m` missing, `x` mixed, `s` silent, `l` late, `w` never heard,
/// `u` not told, ` ` not tested.
fn cell(provider: usize, sign: char) -> Option<Cell> {
    let (result, vote, state) = match sign {
        '+' => ("OK", Some(Vote::Good), State::Ok),
        'o' => ("OK", None, State::Ok),
        '-' => ("NOK", Some(Vote::Bad), State::Ok),
        'm' => ("MISSING", Some(Vote::Bad), State::Ok),
        'x' => ("MIXED", Some(Vote::Split), State::Ok),
        's' => ("UNKNOWN", None, State::Silent),
        'l' => ("UNKNOWN", None, State::Late),
        'w' => ("UNKNOWN", None, State::Waiting),
        'u' => ("UNKNOWN", None, State::Ok),
        _ => return None,
    };
    let fresh = result != "UNKNOWN";
    let voice = |number: usize, vote: Option<Vote>| Voice {
        checker: format!("bresse{number}"),
        state,
        result: if vote == Some(Vote::Good) {
            "OK"
        } else if result == "MIXED" {
            "NOK"
        } else {
            result
        },
        since: fresh.then_some(at(-840)),
        age_s: fresh.then_some(110),
        fresh,
        vote,
    };
    let voices = match vote {
        Some(Vote::Split) => {
            vec![voice(provider + 1, Some(Vote::Bad)), voice(provider + 8, Some(Vote::Good))]
        }
        vote => vec![voice(provider + 1, vote)],
    };
    Some(Cell {
        provider: PROVIDERS[provider].to_owned(),
        result,
        vote,
        since: fresh.then_some(at(-840)),
        age_s: fresh.then_some(110),
        fresh: if fresh { voices.len() } else { 0 },
        voices,
    })
}

fn matrix(services: &[(&str, Picture, &str)]) -> Matrix {
    let row = |(name, verdict, signs): &(&str, Picture, &str)| {
        let cells: Vec<Cell> =
            signs.chars().enumerate().filter_map(|(index, sign)| cell(index, sign)).collect();
        let bad = cells.iter().filter(|cell| matches!(cell.vote, Some(Vote::Bad | Vote::Split)));
        let from = bad.map(|cell| cell.provider.clone()).collect();
        let checker = (*verdict == Picture::CheckerFault).then(|| "bresse4".to_owned());
        ServiceRow { name: (*name).to_owned(), verdict: *verdict, from, checker, quorum: 2, cells }
    };
    Matrix {
        as_of: at(0),
        heard_until: Some(at(-8)),
        providers: PROVIDERS.map(str::to_owned).to_vec(),
        services: services.iter().map(row).collect(),
    }
}

/// Seven providers and twelve services, with something of everything.
fn busy_night() -> Matrix {
    matrix(&[
        ("MSSQL1_Service", Picture::Ok, "+++++s+"),
        ("MSSQL2_Service", Picture::ServiceDown, "-++-+s+"),
        ("ESHOP_Service", Picture::SeenDownFrom, "+x+++s+"),
        ("ESHOP_Payment_Service", Picture::Ok, "+++++s "),
        ("Réseau de Bourg-en-Bresse", Picture::Unconfirmed, "oomoosl"),
        ("CRM", Picture::CheckerFault, "+++-+s+"),
        ("Mail gateway", Picture::Ok, "  + +s "),
        ("VPN", Picture::Ok, "+++++s+"),
        ("DNS1", Picture::Ok, "+++++s+"),
        ("DNS2", Picture::Ok, "+++++s+"),
        ("LDAP", Picture::Unconfirmed, "     sl"),
        ("ERP_Invoices_and_Deliveries_Nightly_Export", Picture::Ok, "+u+w+s+"),
    ])
}

fn printed(columns: Option<usize>) -> String {
    table(&busy_night(), Screen { columns, colour: false })
}

#[test]
fn it_reads_well_at_any_width_and_never_wraps() {
    for columns in [60, 80, 100, 120, 200] {
        let text = printed(Some(columns));
        let grid = text.split("\n\n").next().unwrap();
        assert!(grid.lines().all(|line| line.chars().count() <= columns), "{columns}\n{text}");
    }
    let widths = [Some(80), Some(120), None].map(printed);
    insta::assert_snapshot!(widths.join("\n———\n\n"));
}

#[test]
fn more_providers_than_fit_follow_in_further_blocks() {
    let grid = printed(Some(60));
    let blocks: Vec<&str> = grid.split("\n\n").collect();
    assert!(blocks[1].starts_with("SERVICE"), "{grid}");
    let named = |provider: &&str| blocks[..2].iter().filter(|block| block.contains(*provider)).count();
    assert!(["Free", "OVH"].iter().all(|provider| named(provider) == 1), "{grid}");
}

#[test]
fn a_colour_stands_beside_a_word_and_changes_no_width() {
    let text = table(&busy_night(), Screen { columns: Some(100), colour: true });
    assert!(text.contains("\x1b[1;31mNOK\x1b[0m") && text.contains("\x1b[32mOK\x1b[0m"), "{text}");
    let mut plain = text;
    for code in ["0", "2", "32", "33", "1;31"] {
        plain = plain.replace(&format!("\x1b[{code}m"), "");
    }
    assert_eq!(plain, printed(Some(100)));
}

#[test]
fn names_cannot_write_on_the_terminal_or_begin_a_formula() {
    let mut hostile = matrix(&[("=cmd()\u{1b}[2J", Picture::ServiceDown, "--")]);
    hostile.providers[0] = "Fr\u{1b}ee".to_owned();
    assert!(!table(&hostile, Screen { columns: None, colour: false }).contains('\u{1b}'));
    assert!(csv(&hostile).unwrap().contains("\n'=cmd()"));
}

#[test]
fn a_spreadsheet_has_a_line_for_each_service_and_provider() {
    let rows = matrix(&[("A", Picture::SeenDownFrom, "+-"), ("B", Picture::Unconfirmed, "sx")]);
    insta::assert_snapshot!(csv(&rows).unwrap());
}

#[test]
fn a_matrix_without_services_or_looks_says_so() {
    let mut empty = matrix(&[]);
    empty.heard_until = None;
    let text = table(&empty, Screen { columns: Some(80), colour: false });
    assert!(text.ends_with("no mailbox was ever read to its end.\n"), "{text}");
}
