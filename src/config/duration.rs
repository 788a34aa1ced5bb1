//! Durations as people write them: `90s`, `5m`, `1h30m`, `500ms`, `2d`.

use chrono::TimeDelta;
use thiserror::Error;

/// The units, largest first, with their length in milliseconds. `m` stands before `ms` only here: parsing takes the
/// whole run of letters, so the two cannot be confused.
const UNITS: [(&str, i64); 5] = [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1)];

/// Far above every limit of the configuration, and low enough that sums of durations cannot overflow.
const LONGEST_DAYS: i64 = 36_500;

/// Why a text is not a duration. It holds no part of the text, so that the caller decides what is quoted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum DurationError {
    #[error("not a duration; write 90s, 5m or 1h30m")]
    Grammar,
    #[error("longer than {LONGEST_DAYS} days")]
    TooLong,
}

/// Parses whole numbers with the units d, h, m, s, ms: each at most once, largest first, nothing between them.
pub fn parse(text: &str) -> Result<TimeDelta, DurationError> {
    let mut rest = text;
    let mut units = UNITS.iter();
    let mut total: i64 = 0;
    while !rest.is_empty() {
        let (digits, tail) = split_where(rest, |c| !c.is_ascii_digit());
        let (unit, tail) = split_where(tail, |c| !c.is_ascii_alphabetic());
        if digits.is_empty() {
            return Err(DurationError::Grammar);
        }
        // The iterator is not rewound: a unit that came before, or a larger one, is no longer found.
        let (_, length) = units.find(|(name, _)| *name == unit).ok_or(DurationError::Grammar)?;
        let count: i64 = digits.parse().map_err(|_| DurationError::TooLong)?;
        total = count
            .checked_mul(*length)
            .and_then(|part| total.checked_add(part))
            .ok_or(DurationError::TooLong)?;
        rest = tail;
    }
    if text.is_empty() {
        return Err(DurationError::Grammar);
    }
    TimeDelta::try_milliseconds(total)
        .filter(|duration| *duration <= TimeDelta::days(LONGEST_DAYS))
        .ok_or(DurationError::TooLong)
}

/// Prints a duration so that [`parse`] reads it back: `5m`, `1m30s`, `0s`. What is finer than a millisecond is cut
/// off; a negative duration, which `parse` does not know, begins with `-`.
pub fn display(duration: TimeDelta) -> String {
    let mut rest = duration.num_milliseconds().unsigned_abs();
    if rest == 0 {
        return "0s".to_owned();
    }
    let mut text = if duration < TimeDelta::zero() { "-".to_owned() } else { String::new() };
    for (unit, length) in UNITS {
        let count = rest / length.unsigned_abs();
        rest %= length.unsigned_abs();
        if count > 0 {
            text.push_str(&count.to_string());
            text.push_str(unit);
        }
    }
    text
}

fn split_where(text: &str, ends: impl Fn(char) -> bool) -> (&str, &str) {
    text.split_at_checked(text.find(ends).unwrap_or(text.len())).unwrap_or((text, ""))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn every_unit_is_read_and_units_add_up() {
        for (text, milliseconds) in [
            ("90s", 90_000),
            ("5m", 300_000),
            ("1h30m", 5_400_000),
            ("500ms", 500),
            ("1s500ms", 1_500),
            ("2d", 172_800_000),
            ("1d2h3m4s5ms", 93_784_005),
            ("0s", 0),
            ("36500d", 3_153_600_000_000),
        ] {
            assert_eq!(parse(text), Ok(TimeDelta::milliseconds(milliseconds)), "{text}");
        }
    }

    #[test]
    fn everything_else_is_refused() {
        for text in [
            "",
            "5",
            "m",
            "5 m",
            " 5m",
            "5m ",
            "5 minutes",
            "5min",
            "-5m",
            "+5m",
            "1.5h",
            "5M",
            "1m1h",
            "1m1m",
            "5µs",
            "٥m",
            "5mm",
            "1h30",
        ] {
            assert_eq!(parse(text), Err(DurationError::Grammar), "{text:?}");
        }
        for text in
            ["36501d", "99999999999999999999s", "9223372036854775807d", "106751991167d9223372036854775807ms"]
        {
            assert_eq!(parse(text), Err(DurationError::TooLong), "{text:?}");
        }
    }

    #[test]
    fn durations_are_printed_in_their_shortest_form() {
        for (milliseconds, text) in [
            (0, "0s"),
            (300_000, "5m"),
            (90_000, "1m30s"),
            (400_000, "6m40s"),
            (3_600_000, "1h"),
            (500, "500ms"),
            (90_000_000, "1d1h"),
            (-90_000, "-1m30s"),
        ] {
            assert_eq!(display(TimeDelta::milliseconds(milliseconds)), text);
        }
        assert_eq!(display(TimeDelta::microseconds(999)), "0s");
    }

    proptest! {
        #[test]
        fn what_is_printed_is_read_back(milliseconds in 0..=LONGEST_DAYS * 86_400_000) {
            let duration = TimeDelta::milliseconds(milliseconds);
            prop_assert_eq!(parse(&display(duration)), Ok(duration));
        }

        #[test]
        fn no_text_makes_it_panic(text in "\\PC*|[0-9dhms]{0,30}") {
            let _ = parse(&text);
        }
    }
}
