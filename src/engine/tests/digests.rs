use super::*;
use crate::config::Digest;
use crate::digest::{Calendar, Every};
use crate::words::Letter;

/// The tests' day begins at three; the digest of a day is sent at seven.
const SEVEN: i64 = 4 * 3_600;
const DAY: i64 = 86_400;

fn with_digest(name: Option<&str>) -> Config {
    let calendar = Calendar { every: Every::Day, at: "07:00:00".parse().unwrap(), zone: Tz::UTC };
    let digest = Digest {
        name: name.map(str::to_owned),
        channel: "mail".into(),
        to: vec!["a@people.example".into(), "b@people.example".into()],
        calendar,
        checkers: [].into(),
        providers: [].into(),
    };
    Config { digests: vec![digest], ..config() }
}

impl World {
    /// Makes what is due, as the shell does it, and says of which days.
    fn digest(&mut self, second: i64) -> Vec<String> {
        let due = self.engine.due_digests(at(second));
        for one in &due {
            let letter = Letter { subject: "MONITOR_Digest watchdog".into(), body: "calm".into() };
            self.engine.digest_made(one, &letter, "<p>calm</p>", at(second));
        }
        due.iter()
            .map(|one| format!("{} {}", one.period.from.date_naive(), one.period.until.date_naive()))
            .collect()
    }
}

#[test]
fn a_digest_is_queued_once_at_its_time_to_each_recipient_and_a_restart_changes_nothing() {
    let mut world = World::new(with_digest(None));
    assert_eq!(world.engine.next_digest(), Some(at(SEVEN + DAY)), "of today it tells tomorrow");
    assert!(world.digest(SEVEN + DAY - 1).is_empty());
    world.restart(with_digest(None), SEVEN + DAY - 1);
    assert_eq!(world.digest(SEVEN + DAY), ["2026-11-20 2026-11-21"]);
    world.deliver(SEVEN + DAY);
    world.expect(&["MONITOR_Digest.notice", "MONITOR_Digest.notice"]);
    let to: Vec<&str> = world.letters.iter().map(|message| message.recipient.as_str()).collect();
    assert_eq!(to, ["a@people.example", "b@people.example"]);
    assert!(world.letters.iter().all(|message| message.html.as_deref() == Some("<p>calm</p>")));
    assert!(world.digest(SEVEN + DAY + 1).is_empty());
    world.restart(with_digest(None), SEVEN + DAY + 2);
    assert!(world.digest(SEVEN + DAY + 2).is_empty());
    world.expect(&[]);
}

#[test]
fn a_message_that_was_queued_survives_a_kill_and_what_was_not_stored_is_made_again() {
    let mut world = World::new(with_digest(None));
    assert_eq!(world.digest(SEVEN + DAY).len(), 1);
    // Killed before anything of it was stored: made again.
    world.restart(with_digest(None), SEVEN + DAY + 10);
    assert_eq!(world.digest(SEVEN + DAY + 10).len(), 1);
    // Killed after it was stored and before it was sent: sent, and not made again.
    world.store();
    world.restart(with_digest(None), SEVEN + DAY + 20);
    world.expect(&["MONITOR_Digest.notice", "MONITOR_Digest.notice"]);
    assert!(world.digest(SEVEN + DAY + 20).is_empty());
}

#[test]
fn missed_days_are_told_together_after_the_next_start() {
    let mut world = World::new(with_digest(None));
    world.restart(with_digest(None), SEVEN + 4 * DAY + 100);
    assert_eq!(world.digest(SEVEN + 4 * DAY + 100), ["2026-11-20 2026-11-24"]);
    assert_eq!(world.engine.next_digest(), Some(at(SEVEN + 5 * DAY)));
}

#[test]
fn one_that_is_taken_out_of_the_configuration_while_it_is_made_is_not_sent() {
    let mut world = World::new(with_digest(None));
    let due = world.engine.due_digests(at(SEVEN + DAY));
    world.engine.reconfigure(config(), at(SEVEN + DAY));
    let letter = Letter { subject: "MONITOR_Digest watchdog".into(), body: "calm".into() };
    world.engine.digest_made(&due[0], &letter, "<p>calm</p>", at(SEVEN + DAY));
    world.deliver(SEVEN + DAY);
    world.expect(&[]);
    assert!(world.disk.digests.is_empty(), "another one of the name begins anew");
    world.engine.reconfigure(with_digest(None), at(SEVEN + 3 * DAY));
    assert!(world.digest(SEVEN + 3 * DAY).is_empty());
}
