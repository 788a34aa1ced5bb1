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

/// A time for serde in what nobody reads but the watchdog: a number of microseconds, which costs a tenth of a text to
/// write. A time with a fraction of a microsecond is a text, so that each comes back as it was.
pub(crate) mod exact {
    use std::fmt;

    use serde::de::{Error, Visitor};
    use serde::{Deserializer, Serialize, Serializer};

    use super::{DateTime, Time, Utc};

    pub(crate) fn serialize<S: Serializer>(time: &Time, serializer: S) -> Result<S::Ok, S::Error> {
        match time.timestamp_subsec_nanos() % 1_000 {
            0 => serializer.serialize_i64(time.timestamp_micros()),
            _ => time.serialize(serializer),
        }
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Time, D::Error> {
        deserializer.deserialize_any(Either)
    }

    struct Either;

    impl Visitor<'_> for Either {
        type Value = Time;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("microseconds since 1970, or RFC 3339")
        }

        fn visit_i64<E: Error>(self, micros: i64) -> Result<Time, E> {
            DateTime::from_timestamp_micros(micros).ok_or_else(|| E::custom("no such time"))
        }

        fn visit_u64<E: Error>(self, micros: u64) -> Result<Time, E> {
            self.visit_i64(i64::try_from(micros).map_err(E::custom)?)
        }

        fn visit_str<E: Error>(self, text: &str) -> Result<Time, E> {
            text.parse::<DateTime<Utc>>().map_err(E::custom)
        }
    }

    /// [`self`] for a time that may be none.
    pub(crate) mod option {
        use serde::{Deserialize, Deserializer, Serialize, Serializer};

        use super::Time;

        #[derive(Serialize, Deserialize)]
        struct Exact(#[serde(with = "super")] Time);

        pub(crate) fn serialize<S: Serializer>(
            time: &Option<Time>,
            serializer: S,
        ) -> Result<S::Ok, S::Error> {
            time.map(Exact).serialize(serializer)
        }

        pub(crate) fn deserialize<'de, D: Deserializer<'de>>(
            deserializer: D,
        ) -> Result<Option<Time>, D::Error> {
            Ok(Option::<Exact>::deserialize(deserializer)?.map(|Exact(time)| time))
        }
    }
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
    fn an_exact_time_comes_back_as_it_was() {
        #[derive(Debug, PartialEq, Serialize, serde::Deserialize)]
        struct Times(#[serde(with = "exact")] Time, #[serde(with = "exact::option")] Option<Time>);
        let noon = Utc.with_ymd_and_hms(2026, 11, 20, 12, 0, 0).unwrap();
        for (time, text) in [
            (noon, "1795176000000000"),
            (noon + TimeDelta::nanoseconds(1), "\"2026-11-20T12:00:00.000000001Z\""),
            (Time::UNIX_EPOCH - TimeDelta::microseconds(1), "-1"),
            (Time::MAX_UTC, "\"+262142-12-31T23:59:59.999999999Z\""),
        ] {
            let times = Times(time, Some(time));
            let told = serde_json::to_string(&times).unwrap();
            assert_eq!(told, format!("[{text},{text}]"));
            assert_eq!(serde_json::from_str::<Times>(&told).unwrap(), times);
        }
        assert_eq!(serde_json::from_str::<Times>("[0,null]").unwrap(), Times(Time::UNIX_EPOCH, None));
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
