use super::*;
use crate::audit::Head;
use crate::config::HeadNotice;
use crate::digest::{Calendar, Every};

/// The tests' day begins at three; the head is told at seven.
const SEVEN: i64 = 4 * 3_600;
const DAY: i64 = 86_400;

fn told_to(channel: &str) -> Config {
    let calendar = Calendar { every: Every::Day, at: "07:00:00".parse().unwrap(), zone: Tz::UTC };
    Config { head_notice: Some(HeadNotice { channel: channel.into(), calendar }), ..config() }
}

impl World {
    /// Tells the head when it is due, as the shell does it.
    fn head(&mut self, entries: i64, second: i64) -> bool {
        let due = self.engine.next_head().is_some_and(|due| due <= at(second));
        if due {
            self.engine.tell_head(Head { seq: entries, hash: [0xab; 32] }, at(second));
        }
        due
    }
}

#[test]
fn the_head_is_told_at_the_first_start_and_each_day_once_across_restarts() {
    let mut world = World::new(told_to("mail"));
    assert!(world.head(17, 0), "it was never told");
    // Killed before anything of it was stored.
    world.restart(told_to("mail"), 1);
    assert!(world.head(18, 1));
    world.deliver(1);
    world.expect(&["MONITOR_Ledger.notice"]);
    let letter = &world.letters[0];
    let head = format!("18:{}", "ab".repeat(32));
    assert_eq!(letter.body.lines().nth(2), Some(head.as_str()), "{}", letter.body);
    assert!(letter.body.contains(&format!("bresse-watchdog audit verify --head {head}\n")));
    assert!(!format!("{letter:?}").to_lowercase().contains("nok"), "{letter:?}");
    assert!(!world.head(19, 2));
    world.restart(told_to("mail"), SEVEN - 1);
    assert!(!world.head(19, SEVEN - 1));
    assert_eq!(world.engine.next_head(), Some(at(SEVEN + DAY)), "today it was told");
    assert!(world.head(20, SEVEN + DAY));
    assert!(!world.head(21, SEVEN + DAY + 1));
    // Queued, stored, and killed before it was sent; then nothing runs for days.
    world.store();
    world.restart(told_to("mail"), SEVEN + 5 * DAY);
    assert!(world.head(22, SEVEN + 5 * DAY), "the days between have none");
    world.deliver(SEVEN + 5 * DAY);
    world.expect(&["MONITOR_Ledger.notice"; 2]);
    assert_eq!(world.engine.next_head(), Some(at(SEVEN + 6 * DAY)));
}

#[test]
fn nothing_is_told_that_is_not_asked_for() {
    let mut world = World::new(config());
    assert!(!world.head(17, 10 * DAY));
    world.deliver(10 * DAY);
    world.expect(&[]);
}
