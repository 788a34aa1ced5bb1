use super::*;
use chrono::{TimeZone, Utc};

const RHYTHM: Rhythm = Rhythm { cycle: TimeDelta::minutes(5), margin: TimeDelta::seconds(60) };

fn at(minute: i64) -> Time {
    Utc.with_ymd_and_hms(2026, 11, 20, 0, 0, 0).unwrap() + TimeDelta::minutes(minute)
}

/// A mail received in `minute`, `delay_s` after it was sent by a clock that is `clock_s` ahead.
fn mail(minute: i64, delay_s: i64, clock_s: i64) -> Arrival {
    let sent = at(minute) - TimeDelta::seconds(delay_s) + TimeDelta::seconds(clock_s);
    Arrival { received: at(minute), sent: Some(sent), run: None, chain_ms: 0, relaying_ms: 0, later_ms: 0 }
}

fn after(mails: &[Arrival]) -> Arrivals {
    let mut arrivals = Arrivals::default();
    for mail in mails {
        arrivals.add(*mail, RHYTHM);
        arrivals.settle(RHYTHM);
    }
    arrivals
}

fn heard(mails: &[Arrival]) -> Time {
    after(mails).heard_at(RHYTHM).unwrap()
}

#[test]
fn a_mail_that_came_straight_through_is_heard_when_received() {
    assert_eq!(heard(&[mail(0, 2, 0)]), at(0));
    assert_eq!(heard(&[mail(0, 2, 0), mail(5, 61, 0), mail(10, 2, 0)]), at(10));
}

#[test]
fn a_clock_three_hours_off_in_either_direction_is_no_hold() {
    for clock in [-10_800, 10_800] {
        let mails: Vec<Arrival> = (0..6).map(|run| mail(run * 5, 2, clock)).collect();
        for read in 1..=mails.len() {
            assert_eq!(heard(&mails[..read]), mails[read - 1].received);
        }
    }
}

#[test]
fn a_released_queue_proves_life_when_the_mails_left() {
    let mut mails: Vec<Arrival> = (0..4).map(|run| mail(run * 5, 2, 0)).collect();
    // Sent every 5 minutes from minute 20 to 60, then the checker died; all released in minute 180.
    mails.extend((4..=12).map(|run| mail(180, 2 + (180 - run * 5) * 60, 0)));
    assert_eq!(heard(&mails), at(60));
}

#[test]
fn the_margin_itself_is_still_straight_and_more_is_held() {
    let usual = [mail(0, 2, 0), mail(5, 2, 0), mail(10, 2, 0)];
    let with = |delay| heard(&[usual[0], usual[1], usual[2], mail(15, delay, 0)]);
    assert_eq!(with(62), at(15));
    assert_eq!(with(63), at(15) - TimeDelta::seconds(61));
}

#[test]
fn before_three_moments_only_the_chain_tells_of_a_hold() {
    assert_eq!(heard(&[mail(0, 7_200, 0)]), at(0));
    let held = Arrival { chain_ms: 7_200_000, ..mail(0, 7_200, 0) };
    assert_eq!(heard(&[held]), at(0) - TimeDelta::hours(2));
    let burst = [held, Arrival { received: held.received + TimeDelta::seconds(1), ..held }, held, held];
    assert_eq!(heard(&burst), at(0) - TimeDelta::hours(2) + TimeDelta::seconds(1));
}

#[test]
fn a_chain_that_is_always_as_long_is_a_wrong_clock_on_the_way() {
    let mails: Vec<Arrival> =
        (0..6).map(|run| Arrival { chain_ms: 10_800_000, ..mail(run * 5, 2, -10_800) }).collect();
    assert_eq!(heard(&mails), at(25));
}

#[test]
fn reading_newest_first_gives_the_same_answer() {
    let mut mails: Vec<Arrival> = (0..8).map(|run| mail(run * 5, 2 + run % 3, -10_800)).collect();
    let forward = heard(&mails);
    mails.reverse();
    assert_eq!(heard(&mails), forward);
}

#[test]
fn a_clock_that_was_set_is_believed_after_some_cycles() {
    let mut mails: Vec<Arrival> = (0..8).map(|run| mail(run * 5, 2, 0)).collect();
    mails.extend((8..13).map(|run| mail(run * 5, 2, -10_800)));
    assert_eq!(heard(&mails), at(60));
}

#[test]
fn runs_are_ordered_by_the_checkers_own_clock() {
    let arrivals = after(&[mail(0, 2, 0), mail(5, 2, 0), mail(10, 2, 0)]);
    let overtaken = mail(16, 58, 0);
    let overtaking = mail(15, 2, 0);
    assert!(arrivals.places(RHYTHM).order_at(overtaking) < arrivals.places(RHYTHM).order_at(overtaken));
    let fast = mail(20, 2, 10_800);
    assert_eq!(arrivals.places(RHYTHM).order_at(fast), fast.received, "no run lies in the future");
}

#[test]
fn mails_of_one_run_keep_their_order_when_the_first_was_the_slowest() {
    let dryrun = mail(0, 55, 0);
    let result = Arrival { received: dryrun.sent.unwrap() + TimeDelta::seconds(4), ..mail(0, 54, 0) };
    let arrivals = after(&[dryrun, result]);
    assert!(arrivals.places(RHYTHM).order_at(dryrun) < arrivals.places(RHYTHM).order_at(result));
}

#[test]
fn what_is_usual_is_learnt_anew_after_the_cycle_was_changed() {
    let mut arrivals = after(&(0..8).map(|run| mail(run * 5, 2, 0)).collect::<Vec<_>>());
    let slower = Rhythm { cycle: TimeDelta::hours(1), ..RHYTHM };
    for run in 1..=8 {
        arrivals.add(mail(run * 60, 2, -10_800), slower);
        arrivals.settle(slower);
    }
    assert_eq!(arrivals.heard_at(slower), Some(at(480)));
}

#[test]
fn a_chain_longer_than_the_margin_was_held_however_slow_the_others_were() {
    let slow = |minute, seconds| Arrival { chain_ms: seconds * 1000, ..mail(minute, seconds, 0) };
    let mails = [slow(0, 50), slow(5, 50), slow(10, 50), slow(15, 61)];
    assert_eq!(heard(&mails), at(15) - TimeDelta::seconds(61));
}
