use super::*;
use chrono::Timelike;
use proptest::prelude::*;

fn schedule(zone: Tz, hours: &[&str], holidays: &[&str]) -> Schedule {
    Schedule {
        name: "office".into(),
        zone,
        hours: hours.iter().map(|text| Hours::parse(text).unwrap()).collect(),
        holidays: holidays.iter().map(|date| date.parse().unwrap()).collect(),
    }
}

fn utc(text: &str) -> Time {
    text.parse().unwrap()
}

/// Written otherwise: by the minutes of the week, from the text.
fn naively_open(zone: Tz, hours: &[&str], holidays: &[&str], at: Time) -> bool {
    const WEEK: [&str; 7] = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];
    let local = at.with_timezone(&zone);
    let minute = local.hour() * 60 + local.minute();
    let is_holiday = |days_ago: i64| {
        let date = (local.naive_local() - TimeDelta::days(days_ago)).format("%Y-%m-%d").to_string();
        holidays.contains(&date.as_str())
    };
    let today = local.weekday().num_days_from_monday() as usize;
    hours.iter().any(|text| {
        let (days, span) = text.split_once(' ').unwrap_or((text, "00:00-24:00"));
        let named = |day: usize| {
            days == "daily"
                || days.split(',').any(|part| match part.split_once('-') {
                    None => part == WEEK[day],
                    Some((first, last)) => {
                        let place = |name| WEEK.iter().position(|day| *day == name).unwrap();
                        let (first, last) = (place(first), place(last));
                        if first <= last {
                            (first..=last).contains(&day)
                        } else {
                            day >= first || day <= last
                        }
                    }
                })
        };
        let minutes = |text: &str| {
            let (hour, minute) = text.split_once(':').unwrap();
            hour.parse::<u32>().unwrap() * 60 + minute.parse::<u32>().unwrap()
        };
        let (from, to) = span.split_once('-').unwrap();
        let (from, to) = (minutes(from), minutes(to));
        let begins_today = named(today) && !is_holiday(0);
        let began_yesterday = named((today + 6) % 7) && !is_holiday(1);
        if from < to {
            begins_today && from <= minute && minute < to
        } else {
            (begins_today && minute >= from) || (began_yesterday && minute < to)
        }
    })
}

/// Around the clock changes of Paris: 29 March and 25 October 2026.
const CASES: [(&[&str], &[&str]); 6] = [
    (&["mon-fri 08:00-18:00", "sat 09:00-12:30"], &["2026-12-25", "2026-01-01", "2026-05-01"]),
    (&["daily 22:00-06:00"], &["2026-03-28", "2026-10-24"]),
    (&["sun 02:30-03:30"], &[]),
    (&["sat-mon", "wed 00:00-24:00"], &["2026-10-25"]),
    (&["fri-sun 02:00-03:00", "daily 12:00-12:01"], &[]),
    (&["sun 00:00-02:30", "sun 02:30-24:00"], &[]),
];

#[test]
fn a_year_in_paris_is_right_in_every_minute() {
    for (hours, holidays) in CASES {
        let schedule = schedule(Tz::Europe__Paris, hours, holidays);
        let mut at = utc("2026-01-01T00:00:00Z");
        let end = utc("2027-01-01T00:00:00Z");
        let mut open = schedule.is_open(at);
        let mut change = schedule.next_change(at);
        while at < end {
            let expected = naively_open(Tz::Europe__Paris, hours, holidays, at);
            assert_eq!(schedule.is_open(at), expected, "{hours:?} at {at}");
            if expected != open {
                assert_eq!(change, Some(at), "{hours:?}: the change at {at} was not foretold");
                open = expected;
                change = schedule.next_change(at);
            }
            at += TimeDelta::minutes(1);
        }
    }
}

#[test]
fn a_schedule_that_never_changes_has_no_next_change() {
    assert_eq!(schedule(Tz::UTC, &["daily"], &[]).next_change(utc("2026-11-20T03:00:00Z")), None);
    assert_eq!(schedule(Tz::UTC, &[], &[]).next_change(utc("2026-11-20T03:00:00Z")), None);
}

#[test]
fn what_is_no_hours_is_refused() {
    for text in [
        "",
        "mon-fri 8:00-18:00",
        "mon 08:00",
        "mon 08:00-25:00",
        "funday",
        "mon 08:00-08:00",
        "mon 08:00-09:00 x",
    ] {
        assert_eq!(Hours::parse(text), None, "{text}");
    }
}

proptest! {
    /// In any zone, also those whose clocks change by half an hour or at midnight.
    #[test]
    fn between_two_changes_nothing_changes(zone in 0..chrono_tz::TZ_VARIANTS.len(), hour in 0..17_500_i64, case in 0..CASES.len()) {
        let (hours, holidays) = CASES[case];
        let schedule = schedule(chrono_tz::TZ_VARIANTS[zone], hours, holidays);
        let at = utc("2026-01-01T00:00:00Z") + TimeDelta::minutes(hour * 30);
        let open = schedule.is_open(at);
        let Some(change) = schedule.next_change(at) else { return Ok(()) };
        prop_assert!(change > at && schedule.is_open(change) != open);
        let span = (change - at).num_seconds();
        for part in 0..50 {
            let between = at + TimeDelta::seconds(span * part / 50);
            prop_assert_eq!(schedule.is_open(between), open, "at {}", between);
        }
        prop_assert_eq!(schedule.is_open(change - TimeDelta::seconds(1)), open);
    }
}
