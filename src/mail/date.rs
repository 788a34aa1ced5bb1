//! `Date:` and the date of a `Received` header (RFC 5322, section 3.3), as they are met in practice.

use chrono::{DateTime, Datelike, Utc};

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

/// `Fr, ` and `sáb., ` are met as well as `Fri, `; and a wrong day name would make chrono refuse a right date.
fn without_weekday(text: &str) -> Option<&str> {
    let day = text.find(|c: char| c.is_ascii_digit())?;
    let (weekday, date) = text.split_at_checked(day)?;
    weekday.chars().all(|c| c.is_alphabetic() || matches!(c, ',' | '.' | ' ' | '\t')).then_some(date)
}

#[cfg(test)]
mod tests {
    use super::parse_mail_date;

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
