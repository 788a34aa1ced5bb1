use super::*;
use crate::independence::{Line, Lost};

fn loss(lost: Lost, fates: &[(&str, Fate)]) -> Loss {
    let line = |(name, fate): &(&str, Fate)| Line {
        channel: (*name).to_owned(),
        fate: *fate,
        told: *name != "log",
        shared: vec![],
        unknown: vec![],
    };
    Loss { lost, channels: fates.iter().map(line).collect() }
}

#[test]
fn the_table_fits_80_columns_and_joins_what_has_the_same_consequences() {
    use Fate::{Lost as Gone, Unknown, Works};
    let provider = |name: &str| Lost::Provider(name.to_owned());
    let matrix = Matrix {
        losses: vec![
            loss(
                Lost::Mailbox("MONITOR".to_owned()),
                &[
                    ("backup-mail", Works),
                    ("pagerduty-for-the-night", Works),
                    ("teams", Gone),
                    ("log", Unknown),
                ],
            ),
            loss(provider("free"), &[("backup-mail", Unknown), ("log", Works)]),
            loss(provider("orange"), &[("backup-mail", Unknown), ("log", Works)]),
            loss(provider("azure\u{1b}[2J"), &[("backup-mail", Gone), ("log", Gone)]),
        ],
    };
    let shown = table(&matrix);
    assert!(shown.lines().all(|line| line.chars().count() <= 80), "{shown}");
    insta::assert_snapshot!(shown);
    assert_eq!(table(&Matrix::default()), "");
}
