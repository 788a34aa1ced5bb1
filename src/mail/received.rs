//! `Received` headers (RFC 5321, section 4.4), as Exchange, Postfix, Exim, qmail, Gmail and Dovecot's LMTP write them.

use super::Hop;
use super::date::parse_mail_date;
use super::limits::MAX_HOST;

/// Reads one unfolded `Received` value. What it does not say is None.
pub(super) fn hop(value: &str) -> Hop {
    let (trace, at) = match value.rsplit_once(';') {
        Some((trace, date)) => (trace, parse_mail_date(date)),
        None => (value, None),
    };
    let mut hop = Hop { at, ..Hop::default() };
    let mut words = Words { rest: trace };
    // Gmail leaves `from` out, and only the first word can be it: later clauses may hold a host of that name.
    let mut word = words.next();
    if word.is_some_and(|word| word.eq_ignore_ascii_case("from")) {
        hop.from = words.next().and_then(host);
        word = words.next();
    }
    while let Some(found) = word {
        if found.eq_ignore_ascii_case("by") {
            hop.by = words.next().and_then(host);
            break;
        }
        word = words.next();
    }
    hop
}

fn host(word: &str) -> Option<String> {
    (word.len() <= MAX_HOST).then(|| word.to_owned())
}

/// The words outside of comments. Comments nest (RFC 5322, section 3.2.2); one without an end takes all that follows.
struct Words<'a> {
    rest: &'a str,
}

impl<'a> Iterator for Words<'a> {
    type Item = &'a str;

    fn next(&mut self) -> Option<&'a str> {
        loop {
            self.rest = self.rest.trim_start();
            if !self.rest.starts_with('(') {
                break;
            }
            self.rest = after_comment(self.rest);
        }
        let end = end_of_word(self.rest);
        let (word, rest) = self.rest.split_at_checked(end)?;
        self.rest = rest;
        (!word.is_empty()).then_some(word)
    }
}

fn end_of_word(text: &str) -> usize {
    let ends = |c: char| c.is_whitespace() || c == '(';
    // By bytes as far as it goes: nearly all of them are ASCII.
    let ascii = text.bytes().position(|byte| !byte.is_ascii() || ends(char::from(byte)));
    match ascii.and_then(|at| text.get(at..)) {
        Some(rest) if rest.starts_with(|c: char| !c.is_ascii()) => text.find(ends).unwrap_or(text.len()),
        _ => ascii.unwrap_or(text.len()),
    }
}

fn after_comment(text: &str) -> &str {
    let mut depth = 0_usize;
    let mut escaped = false;
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'(' => depth += 1,
            b')' if depth == 1 => return text.get(at + 1..).unwrap_or_default(),
            b')' => depth -= 1,
            _ => {}
        }
    }
    ""
}

#[cfg(test)]
mod tests {
    use super::hop;

    /// Each row: who writes so, the header, and `from`, `by` and the time of day in UTC.
    const FORMS: [(&str, &str, [Option<&str>; 3]); 12] = [
        (
            "Exchange Online",
            "from PR3P194MB0001.EURP194.PROD.OUTLOOK.COM (2603:10a6:102:a0::10) by \
             DB9P194MB0002.EURP194.PROD.OUTLOOK.COM with HTTPS; Fri, 20 Nov 2026 03:11:58 +0000",
            [
                Some("PR3P194MB0001.EURP194.PROD.OUTLOOK.COM"),
                Some("DB9P194MB0002.EURP194.PROD.OUTLOOK.COM"),
                Some("03:11:58"),
            ],
        ),
        (
            "Exchange Online, from outside",
            "from smtp.free.fr (212.27.42.5) by AM7EUR03FT001.mail.protection.outlook.com (10.152.0.1) with Microsoft \
             SMTP Server (version=TLS1_2, cipher=TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384) id 15.20.9343.9 via Frontend \
             Transport; Fri, 20 Nov 2026 03:11:57 +0000",
            [Some("smtp.free.fr"), Some("AM7EUR03FT001.mail.protection.outlook.com"), Some("03:11:57")],
        ),
        (
            "Postfix",
            "from bresse1.local (unknown [192.168.1.7]) by smtp1-g21.free.fr (Postfix) with ESMTP id 4F2A for \
             <bresse1+monitor@domain.com>; Fri, 20 Nov 2026 04:11:56 +0100 (CET)",
            [Some("bresse1.local"), Some("smtp1-g21.free.fr"), Some("03:11:56")],
        ),
        (
            "Postfix, local pickup",
            "by bresse1.local (Postfix, from userid 1000) id 7E1; Fri, 20 Nov 2026 04:11:55 +0100 (CET)",
            [None, Some("bresse1.local"), Some("03:11:55")],
        ),
        (
            "Dovecot LMTP",
            "from mail.domain.com ([10.0.0.1]) by imap.domain.com with LMTP id sK1PA (envelope-from <root@b1>) for \
             <monitor@domain.com>; Fri, 20 Nov 2026 04:11:58 +0100",
            [Some("mail.domain.com"), Some("imap.domain.com"), Some("03:11:58")],
        ),
        (
            "Gmail",
            "by 2002:a05:6a10:1234:b0:5f with SMTP id k1csp1; Thu, 19 Nov 2026 19:11:58 -0800 (PST)",
            [None, Some("2002:a05:6a10:1234:b0:5f"), Some("03:11:58")],
        ),
        (
            "qmail",
            "(qmail 4242 invoked by uid 89); 20 Nov 2026 03:11:58 -0000",
            [None, None, Some("03:11:58")],
        ),
        (
            "Exim",
            "from [192.0.2.1] (helo=bresse2) by mx.example.net with esmtps (TLS1.3) (Exim 4.96) (envelope-from \
             <b@x>) id 1a; Fri, 20 Nov 2026 03:11:58 +0000",
            [Some("[192.0.2.1]"), Some("mx.example.net"), Some("03:11:58")],
        ),
        (
            "nested comments that hold a by and a semicolon",
            "from a (b (by c\\) ; d) e) by f with x; Fri, 20 Nov 2026 03:11:58 +0000",
            [Some("a"), Some("f"), Some("03:11:58")],
        ),
        (
            "names beyond ASCII",
            "from é.example\u{a0}(x) by b\u{fc}cher.example\u{2003}with x; Fri, 20 Nov 2026 03:11:58 +0000",
            [Some("é.example"), Some("b\u{fc}cher.example"), Some("03:11:58")],
        ),
        ("no date", "from a by b with ESMTP", [Some("a"), Some("b"), None]),
        ("garbage", ";;; (((", [None, None, None]),
    ];

    #[test]
    fn the_forms_of_the_common_servers_are_read() {
        for (form, header, expected) in FORMS {
            let hop = hop(header);
            let at = hop.at.map(|at| at.format("%H:%M:%S").to_string());
            assert_eq!([hop.from.as_deref(), hop.by.as_deref(), at.as_deref()], expected, "{form}");
        }
    }

    #[test]
    fn words_without_end_and_names_too_long_give_nothing() {
        assert_eq!(hop("").by, None);
        assert_eq!(hop("from").from, None);
        assert_eq!(hop("from (unclosed by b").by, None);
        assert_eq!(hop(&format!("from {} by b", "a".repeat(256))).from, None);
    }
}
