//! Times as people and machines read them. Pure: nothing here knows what time it is.

use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};
use chrono_tz::Tz;
use serde::{Serialize, Serializer};

use crate::config::duration;
use crate::text::quoted;

/// So much of a text that is no time is repeated.
const MOMENT_CHARS_MAX: usize = 40;

/// An instant; all arithmetic is UTC.
pub type Time = DateTime<Utc>;

/// RFC 3339 in UTC, to the second: `2026-11-20T02:58:11Z`.
pub fn rfc3339(time: Time) -> String {
    time.to_rfc3339_opts(SecondsFormat::Secs, true)
}

/// [`rfc3339`] for serde.
///
/// # Errors
/// Those of the serializer.
pub(crate) fn as_rfc3339<S: Serializer>(time: &Time, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&rfc3339(*time))
}

/// As [`as_rfc3339`], or null.
///
/// # Errors
/// Those of the serializer.
pub(crate) fn as_optional_rfc3339<S: Serializer>(
    time: &Option<Time>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    time.map(rfc3339).serialize(serializer)
}

/// A moment as people write it: RFC 3339, or a span before `now` such as `-90m`.
///
/// # Errors
/// One sentence that says how to write it.
pub fn moment(text: &str, now: Time) -> Result<Time, String> {
    let wrong =
        || format!("\"{}\" is no time; write 2026-11-20T03:00:00Z or -90m", quoted(text, MOMENT_CHARS_MAX));
    match text.strip_prefix('-') {
        Some(ago) => {
            let ago = duration::parse(ago).map_err(|error| error.to_string())?;
            now.checked_sub_signed(ago).ok_or_else(wrong)
        }
        None => DateTime::parse_from_rfc3339(text).map(|time| time.to_utc()).map_err(|_| wrong()),
    }
}

/// For machines and sums: `400`, `0.5`.
pub fn seconds(length: TimeDelta) -> f64 {
    length.num_milliseconds() as f64 / 1000.0
}

pub(crate) fn as_seconds<S: Serializer>(length: &TimeDelta, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_f64(seconds(*length))
}

/// For people: `2026-11-20 02:58:11 UTC (03:58:11 Europe/Paris)`; the local date is added when it is another day.
pub fn utc_and_local(time: Time, zone: Tz) -> String {
    let utc = time.format("%Y-%m-%d %H:%M:%S UTC");
    if zone == Tz::UTC {
        return utc.to_string();
    }
    let local = time.with_timezone(&zone);
    let form = if local.date_naive() == time.date_naive() { "%H:%M:%S" } else { "%Y-%m-%d %H:%M:%S" };
    format!("{utc} ({} {zone})", local.format(form))
}

/// A time span for people, two units at most, rounded down: `3 d 4 h`, `6 min 40 s`, `0 s`.
pub fn span(length: TimeDelta) -> String {
    let seconds = length.num_seconds().max(0);
    let (big, small) = match seconds {
        86_400.. => ((seconds / 86_400, "d"), (seconds % 86_400 / 3_600, "h")),
        3_600.. => ((seconds / 3_600, "h"), (seconds % 3_600 / 60, "min")),
        60.. => ((seconds / 60, "min"), (seconds % 60, "s")),
        _ => ((seconds, "s"), (0, "")),
    };
    if small.0 == 0 {
        format!("{} {}", big.0, big.1)
    } else {
        format!("{} {} {} {}", big.0, big.1, small.0, small.1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use chrono::TimeZone;

    #[test]
    fn people_read_utc_first_and_the_local_date_only_when_it_differs() {
        let noon = Utc.with_ymd_and_hms(2026, 11, 20, 12, 0, 0).unwrap();
        assert_eq!(utc_and_local(noon, Tz::Europe__Paris), "2026-11-20 12:00:00 UTC (13:00:00 Europe/Paris)");
        let late = Utc.with_ymd_and_hms(2026, 7, 20, 22, 30, 0).unwrap();
        assert_eq!(
            utc_and_local(late, Tz::Europe__Paris),
            "2026-07-20 22:30:00 UTC (2026-07-21 00:30:00 Europe/Paris)"
        );
        assert_eq!(utc_and_local(noon, Tz::UTC), "2026-11-20 12:00:00 UTC");
    }

    #[test]
    fn spans_have_two_units_at_most() {
        let cases = [
            (-5, "0 s"),
            (59, "59 s"),
            (60, "1 min"),
            (400, "6 min 40 s"),
            (7_200, "2 h"),
            (273_600, "3 d 4 h"),
        ];
        for (seconds, expected) in cases {
            assert_eq!(span(TimeDelta::seconds(seconds)), expected);
        }
    }
}
