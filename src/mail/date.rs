//! `Date:` and the date of a `Received` header (RFC 5322, section 3.3), as they are met in practice.

use chrono::{DateTime, Datelike, FixedOffset, NaiveDate, Utc};

use super::comments::without_comments;

/// Longer texts hold no date.
const MAX_DATE: usize = 512;
/// A date outside of these years is a broken clock at best.
const YEARS: std::ops::Range<i32> = 2000..2100;

/// The moment a date header names, to the second; None when it names none.
///
/// Seconds may be missing, years may have two digits, the name of the day may be in any language and may be wrong.
/// A date without a zone is refused: it could be off by half a day, which is worse than not knowing.
pub fn parse_mail_date(text: &str) -> Option<DateTime<Utc>> {
    if text.len() > MAX_DATE {
        return None;
    }
    if let Some(moment) = as_most_write_it(text.trim_ascii()) {
        return YEARS.contains(&moment.year()).then_some(moment);
    }
    as_anybody_writes_it(text)
}

fn as_anybody_writes_it(text: &str) -> Option<DateTime<Utc>> {
    let text = without_comments(text)?;
    let date = without_weekday(text.trim())?;
    let parsed = match date.strip_suffix("UTC").or_else(|| date.strip_suffix("utc")) {
        // chrono knows the zones of RFC 5322, section 4.3, and UTC is not one of them.
        Some(clock) => DateTime::parse_from_rfc2822(&format!("{clock}+0000")),
        None => DateTime::parse_from_rfc2822(date),
    };
    // By the whole second: a leap second is a fraction above one to chrono.
    let moment = DateTime::from_timestamp(parsed.ok()?.timestamp(), 0)?;
    YEARS.contains(&moment.year()).then_some(moment)
}

/// The moment that an INTERNALDATE names: ` 1-Nov-2026 03:00:00 +0100` (RFC 3501, date-time); None when it names none.
pub fn parse_internal_date(text: &str) -> Option<DateTime<Utc>> {
    let (day, rest) = text.trim_ascii().split_once('-')?;
    let &[m1, m2, m3, b'-', y1, y2, y3, y4, b' ', ref clock @ ..] = rest.as_bytes() else { return None };
    moment(day.as_bytes(), [m1, m2, m3], [y1, y2, y3, y4], clock)
}

/// `Fri, 20 Nov 2026 03:11:58 +0100`, with the name of the day right or wrong, or without it. The other forms, and what is
/// no date, are None.
fn as_most_write_it(text: &str) -> Option<DateTime<Utc>> {
    let date = match text.as_bytes() {
        &[d1, d2, d3, b',', b' ', ref date @ ..] if [d1, d2, d3].iter().all(u8::is_ascii_alphabetic) => date,
        date => date,
    };
    let (day, rest) = date.split_at_checked(date.iter().position(|byte| *byte == b' ')?)?;
    let &[b' ', m1, m2, m3, b' ', y1, y2, y3, y4, b' ', ref clock @ ..] = rest else { return None };
    moment(day, [m1, m2, m3], [y1, y2, y3, y4], clock)
}

/// `clock` is `03:11:58 +0100`. A leap second is the second before it.
fn moment(day: &[u8], month: [u8; 3], year: [u8; 4], clock: &[u8]) -> Option<DateTime<Utc>> {
    const MONTHS: [&[u8; 3]; 12] =
        [b"Jan", b"Feb", b"Mar", b"Apr", b"May", b"Jun", b"Jul", b"Aug", b"Sep", b"Oct", b"Nov", b"Dec"];
    let &[h1, h2, b':', m1, m2, b':', s1, s2, b' ', sign, z1, z2, z3, z4] = clock else { return None };
    let (month, _) = (1..).zip(MONTHS).find(|(_, name)| name.eq_ignore_ascii_case(&month))?;
    let day = number(day).filter(|_| day.len() <= 2)?;
    let second = number(&[s1, s2]).filter(|second| *second <= 60)?.min(59);
    let local = NaiveDate::from_ymd_opt(i32::try_from(number(&year)?).ok()?, month, day)?.and_hms_opt(
        number(&[h1, h2])?,
        number(&[m1, m2])?,
        second,
    )?;
    let ahead = number(&[z1, z2])? * 3600 + number(&[z3, z4]).filter(|minutes| *minutes < 60)? * 60;
    let ahead = i32::try_from(ahead).ok()?;
    let zone = match sign {
        b'+' => FixedOffset::east_opt(ahead)?,
        b'-' => FixedOffset::west_opt(ahead)?,
        _ => return None,
    };
    Some(local.checked_sub_offset(zone)?.and_utc())
}

/// None when something else than digits is in it.
fn number(digits: &[u8]) -> Option<u32> {
    let digit = |byte: &u8| byte.is_ascii_digit().then(|| u32::from(byte - b'0'));
    digits.iter().try_fold(0_u32, |number, byte| number.checked_mul(10)?.checked_add(digit(byte)?))
}

/// `Fr, ` and `sáb., ` are met as well as `Fri, `; and a wrong day name would make chrono refuse a right date.
fn without_weekday(text: &str) -> Option<&str> {
    let day = text.find(|c: char| c.is_ascii_digit())?;
    let (weekday, date) = text.split_at_checked(day)?;
    weekday.chars().all(|c| c.is_alphabetic() || matches!(c, ',' | '.' | ' ' | '\t')).then_some(date)
}

#[cfg(test)]
mod tests {
    use super::{as_anybody_writes_it, as_most_write_it, parse_internal_date, parse_mail_date};

    #[test]
    fn the_short_way_and_the_long_way_agree() {
        let mut short = 0;
        for day in ["", "Fri, ", "Fr, ", "xyz, ", "Fri,", "Fri,  "] {
            for date in
                ["1 Jan 2026", "01 feb 2028", "29 Feb 2028", "29 Feb 2027", "31 Dec 2026", "0 Jan 2026"]
            {
                for time in ["00:00:00", "23:59:60", "23:59:61", "24:00:00", "9:00:00", "12:00"] {
                    for zone in ["+0000", "-0000", "+1400", "-0930", "+0060", "+2400", "GMT", "+01:00", ""] {
                        let text = format!("{day}{date} {time} {zone}");
                        let Some(moment) = as_most_write_it(&text) else { continue };
                        short += 1;
                        assert_eq!(as_anybody_writes_it(&text), Some(moment), "{text:?}");
                    }
                }
            }
        }
        assert_eq!(short, 3 * 4 * 2 * 4);
    }

    #[test]
    fn an_internal_date_is_read_as_the_rfc_writes_it() {
        let utc = |text| parse_internal_date(text).map(|date| date.format("%Y-%m-%d %H:%M:%S").to_string());
        for (text, expected) in [
            ("20-Nov-2026 03:11:58 +0100", "2026-11-20 02:11:58"),
            (" 1-Nov-2026 03:11:58 -0930", "2026-11-01 12:41:58"),
            ("01-jan-2000 00:00:00 +0000", "2000-01-01 00:00:00"),
            ("29-Feb-2028 23:59:60 +0000", "2028-02-29 23:59:59"),
        ] {
            assert_eq!(utc(text).as_deref(), Some(expected), "{text:?}");
        }
        for text in [
            "",
            "rubbish",
            "20-Nov-2026",
            "20-Nov-2026 03:11:58",
            "20-Nov-2026 03:11:58 0100",
            "20-Nov-2026 03:11:58 +01:00",
            "20-Nov-2026 03:11:58 +0160",
            "20-Nov-2026 03:11:58 +9900",
            "20-Nov-2026 03:11:58 +0100 x",
            "20-Nov-2026-1 03:11:58 +0100",
            "20-Nov-2026 03:11:58:1 +0100",
            "20-Nov-2026 03:11:61 +0100",
            "20-Nov-2026 24:11:58 +0100",
            "31-Feb-2026 03:11:58 +0100",
            "+20-Nov-2026 03:11:58 +0100",
            "20-Nov-20260 03:11:58 +0100",
            "20-Nob-2026 03:11:58 +0100",
            "20-Nov-2026 03:11:58 é100",
        ] {
            assert_eq!(utc(text), None, "{text:?}");
        }
    }

    fn utc(text: &str) -> Option<String> {
        parse_mail_date(text).map(|date| date.format("%Y-%m-%d %H:%M:%S").to_string())
    }

    #[test]
    fn the_forms_met_in_practice_are_read() {
        for (text, expected) in [
            ("Fri, 20 Nov 2026 03:11:58 +0100", "2026-11-20 02:11:58"),
            ("Fri, 20 Nov 2026 03:11:58 +0100 (CET)", "2026-11-20 02:11:58"),
            ("  Fri,20 Nov 2026  03:11:58   -0500  ", "2026-11-20 08:11:58"),
            ("20 Nov 2026 03:11:58 +0100", "2026-11-20 02:11:58"),
            ("Fri, 20 Nov 2026 03:11 +0100", "2026-11-20 02:11:00"),
            ("Fri, 20 Nov 26 03:11:58 +0100", "2026-11-20 02:11:58"),
            ("Fr, 20 Nov 2026 03:11:58 +0100", "2026-11-20 02:11:58"),
            ("ven., 20 Nov 2026 03:11:58 +0100", "2026-11-20 02:11:58"),
            ("Mon, 20 Nov 2026 03:11:58 +0100", "2026-11-20 02:11:58"),
            ("Fri,\r\n 20 Nov 2026\n\t03:11:58 +0100", "2026-11-20 02:11:58"),
            ("Fri (a (nested\\)) day), 20 Nov 2026 03:11:58 +0100", "2026-11-20 02:11:58"),
            ("fri, 20 nov 2026 03:11:58 gmt", "2026-11-20 03:11:58"),
            ("Fri, 20 Nov 2026 03:11:58 UT", "2026-11-20 03:11:58"),
            ("Fri, 20 Nov 2026 03:11:58 UTC", "2026-11-20 03:11:58"),
            ("Fri, 20 Nov 2026 03:11:58 Z", "2026-11-20 03:11:58"),
            ("Fri, 20 Nov 2026 03:11:58 EST", "2026-11-20 08:11:58"),
            ("Fri, 20 Nov 2026 03:11:58 PDT", "2026-11-20 10:11:58"),
            ("Fri, 20 Nov 2026 03:11:58 -0000", "2026-11-20 03:11:58"),
            ("Thu, 31 Dec 2026 23:59:60 +0000", "2026-12-31 23:59:59"),
            ("Sat, 1 Jan 2000 00:00:00 +0000", "2000-01-01 00:00:00"),
            ("Thu, 31 Dec 2099 23:59:59 +0000", "2099-12-31 23:59:59"),
            ("Tue, 29 Feb 2028 12:00:00 +0000", "2028-02-29 12:00:00"),
        ] {
            assert_eq!(utc(text).as_deref(), Some(expected), "{text:?}");
        }
    }

    #[test]
    fn what_is_no_certain_moment_is_refused() {
        for text in [
            "",
            " ",
            "garbage",
            "12 Jan",
            "Fri, 20 Nov 2026",
            "Fri, 20 Nov 2026 03:11:58",
            "Fri, 20 Nov 2026 03:11:58 CET",
            "Fri, 20 Nov 2026 30:11:58 +0100",
            "Fri, 31 Feb 2026 03:11:58 +0100",
            "Sun, 29 Feb 2026 03:11:58 +0100",
            "Fri, 20 Nov 4294967295 03:11:58 +0100",
            "Fri, 31 Dec 1999 23:59:59 +0000",
            "Fri, 1 Jan 2100 00:00:00 +0000",
            "Fri, 20 Nov 70 03:11:58 +0100",
            "Fri, 20 Nov 2026 03:11:58 +0100 (unclosed",
            "2026-11-20T03:11:58Z",
            "Fri Nov 20 03:11:58 2026",
            "20.11.2026",
            "Fri, 20 Nov 2026 03:11:58 +0100; more",
        ] {
            assert_eq!(utc(text), None, "{text:?}");
        }
        assert_eq!(utc(&format!("Fri, 20 Nov 2026 03:11:58 +0100{}", " ".repeat(1000))), None);
    }
}
