use super::*;
use chrono::{TimeZone, Utc};
use proptest::prelude::*;

/// A moment of true time, which the server shows.
fn at(ms: i64) -> Time {
    Utc.with_ymd_and_hms(2026, 11, 20, 3, 0, 0).unwrap() + TimeDelta::milliseconds(ms)
}

fn whole_seconds(ms: i64, rounds: bool) -> i64 {
    (ms + if rounds { 500 } else { 0 }).div_euclid(1_000) * 1_000
}

fn holds(offset: Offset, true_ms: i64) -> bool {
    (offset.least_ms..=offset.most_ms).contains(&true_ms)
}

/// Looks every `apart_ms`, and a mail in the middle between two; the watchdog's clock is off by `off_ms`.
struct Watch {
    clock: Comparison,
    now_ms: i64,
    off_ms: i64,
}

impl Watch {
    fn new(off_ms: i64) -> Self {
        Self { clock: Comparison::default(), now_ms: 0, off_ms }
    }

    fn here(&self, ms: i64) -> Time {
        at(ms + self.off_ms)
    }

    /// The next look finds mails that were stamped so long before they came.
    fn look(&mut self, apart_ms: i64, ages_ms: &[i64]) {
        let (before, came) = (self.now_ms, self.now_ms + apart_ms / 2);
        self.now_ms += apart_ms;
        for age in ages_ms {
            let stamped = at(whole_seconds(came - age, false));
            let (after, seen) = (self.here(before), self.here(self.now_ms));
            self.clock.take_in(Arrival { after, seen, stamped });
        }
    }

    fn looks(&mut self, count: usize) {
        (0..count).for_each(|_| self.look(30_000, &[0]));
    }

    fn offset(&self) -> Option<Offset> {
        self.clock.offset(self.here(self.now_ms))
    }

    fn ahead_ms(&self) -> i64 {
        self.clock.ahead(self.here(self.now_ms)).num_milliseconds()
    }

    #[track_caller]
    fn assert_known(&self) {
        let offset = self.offset().expect("an offset");
        assert!(holds(offset, self.off_ms), "{offset:?} without {}", self.off_ms);
    }
}

#[test]
fn an_offset_is_known_after_four_looks_that_lie_apart() {
    let mut watch = Watch::new(90_000);
    watch.looks(3);
    assert_eq!(watch.offset(), None);
    watch.looks(1);
    watch.assert_known();
    assert!(watch.offset().unwrap().is_off());

    let mut hasty = Watch::new(0);
    (0..15).for_each(|_| hasty.look(2_000, &[0]));
    assert_eq!(hasty.offset(), None, "30 s are three times ten");
    hasty.look(2_000, &[0]);
    hasty.assert_known();
}

#[test]
fn a_clock_that_was_set_is_known_again_after_a_few_looks() {
    for before in [4, 8, 16, 100] {
        for step in [3_600_000, -3_600_000, 90_000, -90_000] {
            let mut watch = Watch::new(0);
            watch.looks(before);
            watch.assert_known();
            watch.off_ms = step;
            for _ in 0..6 {
                watch.looks(1);
                let true_once = |offset| holds(offset, 0) || holds(offset, step);
                assert!(watch.offset().is_none_or(true_once), "{before} {step}: {:?}", watch.offset());
            }
            // One more: the first span had one end in each time.
            watch.looks(1);
            watch.assert_known();
        }
    }
}

#[test]
fn a_clock_that_is_set_back_between_two_looks_says_nothing() {
    let mut clock = Comparison::default();
    let arrival = Arrival { after: at(0), seen: at(-60_000), stamped: at(-30_000) };
    clock.take_in(arrival);
    assert_eq!(clock, Comparison::default());
}

const HOUR: i64 = 3_600_000;

#[test]
fn mails_that_were_moved_in_are_not_believed() {
    let mut watch = Watch::new(0);
    watch.looks(8);
    watch.look(30_000, &[0, 5 * HOUR]);
    watch.assert_known();
    watch.look(30_000, &[5 * HOUR]);
    watch.looks(1);
    watch.look(30_000, &[7 * HOUR]);
    watch.assert_known();
    watch.looks(16);
    // Many of one minute at one go, in several looks.
    (0..10).for_each(|_| watch.look(2_000, &[5 * HOUR, 5 * HOUR + 1_000]));
    watch.assert_known();
}

#[test]
fn a_look_whose_mails_contradict_each_other_says_nothing() {
    let mut watch = Watch::new(0);
    watch.looks(3);
    watch.look(30_000, &[0, 5 * HOUR, 0]);
    assert_eq!(watch.offset(), None);
    watch.looks(1);
    watch.assert_known();
}

#[test]
fn bounds_hold_for_every_fraction_of_a_second_and_every_way_to_cut_it_off() {
    for (shown, before, rounds) in
        (0..2_000).flat_map(|ms| [(ms, 0, false), (ms, 0, true), (ms, 5_000, false), (ms, 5_000, true)])
    {
        let stamped = at(whole_seconds(shown - before, rounds));
        // Shown in the moment of the look before it, and seen in the moment it is shown.
        let offset = Offset::of(Arrival { after: at(shown), seen: at(shown), stamped }).unwrap();
        assert!(holds(offset, 0), "{shown} {before} {rounds}: {offset:?}");
    }
}

#[test]
fn a_copied_mailbox_is_not_believed() {
    // From its oldest mail to its newest, faster than they once came.
    let mut watch = Watch::new(0);
    for batch in 0..100 {
        let ages: Vec<i64> = (0..50).map(|mail| (100_000 - batch * 50 - mail) * 20_000).collect();
        watch.look(15_000, &ages);
        assert_eq!(watch.offset(), None);
    }
    // One mail in each look.
    for mail in 0..100 {
        watch.look(15_000, &[(100_000 - mail) * 60_000]);
        assert_eq!(watch.offset(), None);
    }
    watch.looks(4);
    watch.assert_known();
}

#[test]
fn a_server_that_shows_one_mail_in_five_late_alarms_nobody() {
    // A poll that always comes just before the mail: an upper bound of a minute, into which a late one fits.
    let mut watch = Watch::new(0);
    for round in 0..200 {
        let (before, came) = (watch.now_ms, watch.now_ms + 500);
        watch.now_ms += 60_000;
        let stamped = at(whole_seconds(came - if round % 5 == 0 { 50_000 } else { 0 }, false));
        watch.clock.take_in(Arrival { after: at(before), seen: at(watch.now_ms), stamped });
        assert!(watch.offset().is_none_or(|offset| holds(offset, 0)), "{round}: {:?}", watch.offset());
    }
}

#[test]
fn bounds_grow_by_the_drift_while_nothing_comes() {
    let offset = Offset { least_ms: -1_000, most_ms: 500 };
    let day = TimeDelta::days(1);
    assert_eq!(offset.drifted(day), Offset { least_ms: -9_640, most_ms: 9_140 });
    let mut watch = Watch::new(0);
    watch.looks(4);
    let (now, later) = (watch.offset().unwrap(), watch.clock.offset(watch.here(watch.now_ms) + day).unwrap());
    assert!(later.least_ms <= now.least_ms - 8_640 && later.most_ms >= now.most_ms + 8_640, "{later:?}");
    assert_eq!(offset.drifted(-day), offset.drifted(day));
    assert_eq!(offset.drifted(TimeDelta::seconds(25)), Offset { least_ms: -1_002, most_ms: 502 });
    assert_eq!(offset.drifted(TimeDelta::MAX).most_ms, i64::MAX / 10_000 + 500);
}

#[test]
fn alarmed_above_thirty_seconds_and_right_again_within_twenty() {
    let off = |least_ms, most_ms| {
        let offset = Offset { least_ms, most_ms };
        (offset.is_off(), offset.is_right())
    };
    assert_eq!(off(30_000, 40_000), (false, false));
    assert_eq!(off(30_001, 40_000), (true, false));
    assert_eq!(off(-40_000, -30_001), (true, false));
    assert_eq!(off(20_001, 29_000), (false, false));
    assert_eq!(off(20_000, 29_000), (false, true));
    assert_eq!(off(-29_000, -20_000), (false, true));
    assert_eq!(off(-50_000, 50_000), (false, true), "it may be right");
}

proptest! {
    /// Looks at any times, mails at any times, stamped up to five seconds before they are shown and seen some time after
    /// the look began: the true offset always lies between the bounds.
    #[test]
    fn the_true_offset_is_never_excluded(
        off_ms in -10_000_000_i64..10_000_000,
        drift_ppm in -100_i64..=100,
        looks in prop::collection::vec((100_i64..90_000, 0_i64..2_000, 0_i64..2_000), 1..60),
        mails in prop::collection::vec((0_i64..60_000, 0_i64..=5_000, any::<bool>()), 1..80),
    ) {
        let off_at = |ms: i64| off_ms + ms * drift_ppm / 1_000_000;
        let here = |ms: i64| at(ms + off_at(ms));
        let mut shown_ms = 0;
        let mut waiting: Vec<(i64, Time)> = mails
            .iter()
            .map(|(gap, stamped_before, rounds)| {
                shown_ms += gap;
                (shown_ms, at(whole_seconds(shown_ms - stamped_before, *rounds)))
            })
            .collect();
        let mut clock = Comparison::default();
        let (mut now_ms, mut before) = (0, None);
        for (gap, until_examined, until_read) in looks {
            let started = now_ms + gap;
            let examined = started + until_examined;
            now_ms = examined + until_read;
            let (found, left): (Vec<_>, Vec<_>) = waiting.into_iter().partition(|(shown, _)| *shown <= examined);
            waiting = left;
            for (_, stamped) in found {
                let Some(after) = before else { continue };
                clock.take_in(Arrival { after, seen: here(now_ms), stamped });
            }
            let now = here(now_ms);
            let said = clock.looks.iter().map(|look| look.at(now)).chain([clock.offset(now)]);
            let known = clock.looks.iter().filter_map(|look| look.at(now)).count();
            prop_assert_eq!(clock.offset(now).is_some(), known >= LOOKS_MIN);
            for offset in said.flatten() {
                prop_assert!(holds(offset, off_at(now_ms)), "{offset:?} without {}", off_at(now_ms));
            }
            before = Some(here(started));
        }
    }

    /// However the clock is set, and whatever comes in between: what is known after quiet looks is true.
    #[test]
    fn after_any_trouble_the_truth_is_found(
        steps in prop::collection::vec((-5_000_000_i64..5_000_000, prop::collection::vec(0_i64..5_000_000, 0..4)), 1..8),
    ) {
        let mut watch = Watch::new(0);
        for (off_ms, ages) in steps {
            watch.off_ms = off_ms;
            watch.look(30_000, &ages);
        }
        // One for the span with an end in each time, and as many as are remembered.
        watch.looks(1 + LOOKS_MAX);
        let offset = watch.offset();
        prop_assert!(offset.is_some_and(|offset| holds(offset, watch.off_ms)), "{offset:?} {}", watch.off_ms);
    }
}

#[test]
fn ages_are_corrected_by_what_is_certain_only() {
    for off_ms in [90_000, 3 * HOUR] {
        let mut watch = Watch::new(off_ms);
        watch.looks(3);
        assert_eq!(watch.ahead_ms(), 0, "nothing is known yet");
        watch.looks(1);
        assert!((off_ms - 30_000..=off_ms).contains(&watch.ahead_ms()), "{} of {off_ms}", watch.ahead_ms());
        let known = watch.ahead_ms();
        watch.now_ms += HOUR;
        assert!((1..=known).contains(&watch.ahead_ms()), "without mails it only goes down");
    }
    for off_ms in [0, -90_000] {
        let mut watch = Watch::new(off_ms);
        watch.looks(16);
        assert_eq!(watch.ahead_ms(), 0, "a clock that is {off_ms} ms ahead");
    }
}

#[test]
fn a_clock_that_was_put_right_corrects_nothing_from_the_next_mail_on() {
    let mut watch = Watch::new(3 * HOUR);
    watch.looks(16);
    assert!(watch.ahead_ms() > 2 * HOUR);
    watch.off_ms = 0;
    watch.looks(1);
    assert!(watch.ahead_ms() < 20_000, "{}", watch.ahead_ms());
}
