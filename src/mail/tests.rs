//! Whole mails: what comes out of real forms, and that nothing hostile costs more than its size.

use chrono::{TimeZone, Utc};
use proptest::prelude::*;

use super::Credentials;
use super::limits::{
    MAX_ADDRESS, MAX_FAILED, MAX_HEADER_LINE, MAX_HOPS, MAX_HOST, MAX_MESSAGE_ID, MAX_PARTS, MAX_PROBLEMS,
    MAX_RECIPIENTS, MAX_TEXT, MAX_TEXTS,
};
use super::{Hop, Mail, Marks, parse};
use crate::linear::assert_linear;

const POSTFIX: &str = "Return-Path: <root@bresse1.example.net>
X-Original-To: bresse1+monitor@domain.com
Delivered-To: monitor@domain.com
Received: from bresse1.example.net (unknown [192.0.2.7])
\tby mx.domain.com (Postfix) with ESMTPS id 4F2A1
\tfor <bresse1+monitor@domain.com>; Fri, 20 Nov 2026 03:11:58 +0100 (CET)
Received: by bresse1.example.net (Postfix, from userid 0)
\tid 7E1; Fri, 20 Nov 2026 03:11:55 +0100 (CET)
From: \"Bresse 1\" <Root@bresse1.example.net>
To: bresse1+monitor@domain.com, Bresse1+Monitor@Domain.com
Subject: DRYRUN.OK
Date: Fri, 20 Nov 2026 03:11:55 +0100
Message-ID: <20261120021155.7E1@bresse1.example.net>
Auto-Submitted: auto-generated

DRYRUN.OK
MSSQL1_Service.NOK
";

const EXCHANGE: &str = "Received: from A.PROD.OUTLOOK.COM (2603:10a6::1)
 by B.PROD.OUTLOOK.COM with HTTPS; Fri, 20 Nov 2026
 02:11:58 +0000
X-MS-Exchange-Organization-SCL: -1
From: =?utf-8?Q?Bresse_2=2C_x@y.z?= <bresse2@example.net>
To: Monitor <monitor@domain.com>
CC: \"bresse2+monitor@domain.com\" <bresse2+monitor@domain.com>
Subject: =?utf-8?B?UsOpc2VhdS5OT0s=?=
Date: Fri, 20 Nov 2026 02:11:55 +0000
Message-ID:
 <AB12@A.PROD.OUTLOOK.COM>
Content-Type: multipart/alternative;
\tboundary=\"_000_AB12_\"

--_000_AB12_
Content-Type: text/plain; charset=\"iso-8859-1\"
Content-Transfer-Encoding: quoted-printable

DRYRUN.OK
R=E9seau.N=
OK
--_000_AB12_
Content-Type: text/html; charset=\"utf-8\"
Content-Transfer-Encoding: base64

PHA+RFJZUlVOLk9LPC9wPg0KPHA+UiZlYWN1dGU7c2VhdS5OT0s8L3A+

--_000_AB12_--
";

const BOUNCE: &str = "Return-Path: <>
From: MAILER-DAEMON@domain.com
To: bresse1+monitor@domain.com
Content-Type: multipart/report; report-type=delivery-status; boundary=r

--r

Not delivered.
--r
Content-Type: message/rfc822

Subject: A.NOK

A.NOK
--r--
";

const HTML_REPLY: &str = "Subject: RE: A.NOK
Content-Type: text/html; charset=utf-16
Content-Transfer-Encoding: base64

//48AHAAPgBvAGsAPAAvAHAAPgA8AGIAbABvAGMAawBxAHUAbwB0AGUAPgBBAC4ATgBPAEsA
";

const CORPUS: [&str; 8] = [
    POSTFIX,
    EXCHANGE,
    BOUNCE,
    HTML_REPLY,
    "",
    "DRYRUN.OK",
    "Subject: x\nTo: a@b\nDRYRUN.OK\n\nA.NOK\n",
    "Content-Type: multipart/mixed; boundary=a\nContent-Transfer-Encoding: 8bit\n\n--a\n\nA.OK\n\n--a\n\
     Content-Transfer-Encoding: quoted-printable\n\nB=20\nC=\nD =\n=3d=A\n--a--\n",
];

fn with_crlf(mail: &str) -> String {
    mail.replace('\n', "\r\n")
}

#[test]
fn a_report_by_postfix_is_understood() {
    let at = |seconds| Some(Utc.with_ymd_and_hms(2026, 11, 20, 2, 11, seconds).unwrap());
    let host = |name: &str| Some(name.to_owned());
    assert_eq!(
        parse(POSTFIX.as_bytes(), false),
        Mail {
            message_id: Some("20261120021155.7E1@bresse1.example.net".into()),
            sent: at(55),
            from: Some("root@bresse1.example.net".into()),
            recipients: vec!["bresse1+monitor@domain.com".into(), "monitor@domain.com".into()],
            subject: "DRYRUN.OK".into(),
            texts: vec!["DRYRUN.OK\nMSSQL1_Service.NOK\n".into()],
            received: vec![
                Hop { from: host("bresse1.example.net"), by: host("mx.domain.com"), at: at(58) },
                Hop { from: None, by: host("bresse1.example.net"), at: at(55) },
            ],
            marks: Marks::default(),
            delivery: None,
            credentials: Credentials {
                author: Some("root@bresse1.example.net".into()),
                ..Credentials::default()
            },
            canary: None,
            problems: Vec::new(),
            truncated: false,
        }
    );
}

#[test]
fn a_report_by_exchange_is_understood() {
    let mail = parse(with_crlf(EXCHANGE).as_bytes(), false);
    assert_eq!(mail.message_id.as_deref(), Some("AB12@A.PROD.OUTLOOK.COM"));
    assert_eq!(mail.from.as_deref(), Some("bresse2@example.net"));
    assert_eq!(mail.recipients, ["monitor@domain.com", "bresse2+monitor@domain.com"]);
    assert_eq!(mail.subject, "Réseau.NOK");
    assert_eq!(mail.texts, ["DRYRUN.OK\nRéseau.NOK", "DRYRUN.OK\nRéseau.NOK\n"]);
    assert_eq!((mail.received.len(), mail.received[0].at.is_some()), (1, true));
    assert_eq!((mail.marks, mail.problems, mail.truncated), (Marks::default(), Vec::new(), false));
}

#[test]
fn mails_that_are_no_report_are_marked() {
    let none = Marks::default();
    let forward = Marks { forward: true, ..none };
    let delivery_report = Marks { delivery_report: true, ..none };
    for (mail, expected) in [
        (POSTFIX, none),
        (BOUNCE, Marks { forward: true, ..delivery_report }),
        (HTML_REPLY, forward),
        ("Return-Path: <>\n\nDRYRUN.OK", delivery_report),
        ("Content-Type: multipart/report; boundary=a\n\n--a\n\nDRYRUN.OK\n--a--", delivery_report),
        ("Auto-Submitted: auto-replied\n\nDRYRUN.OK", Marks { auto_replied: true, ..none }),
        ("X-Bresse-Incident: 7\n\nDRYRUN.OK", Marks { own: true, ..none }),
        ("x-bresse-incident:\n\nDRYRUN.OK", Marks { own: true, ..none }),
        ("Resent-From: a@b\n\nDRYRUN.OK", forward),
        ("Subject: =?utf-8?Q?TR=3A_A=2ENOK?=\n\nDRYRUN.OK", forward),
        ("\nlook:\n\n-----Original Message-----\nA.NOK", forward),
        ("Content-Type: text/html\n\n<p>---------- Forwarded message ---------<br>A.NOK", forward),
        // An alias or a redirect by the server leaves these and is no person.
        ("Delivered-To: a@b\nX-Forwarded-To: c@d\nX-Forwarded-For: a@b c@d\n\nDRYRUN.OK", none),
    ] {
        assert_eq!(parse(mail.as_bytes(), false).marks, expected, "{mail:?}");
    }
}

#[test]
fn a_mail_means_the_same_with_either_line_end() {
    for mail in CORPUS {
        let expected = parse(mail.as_bytes(), false);
        assert_eq!(parse(with_crlf(mail).as_bytes(), false), expected, "{mail:?}");
    }
    for mail in [POSTFIX, BOUNCE] {
        assert_eq!(
            parse(mail.replace('\n', "\r").as_bytes(), false),
            parse(mail.as_bytes(), false),
            "{mail:?}"
        );
    }
}

#[test]
fn what_is_hardly_a_mail_gives_a_mail_all_the_same() {
    assert_eq!(parse(b"", false), Mail::default());
    assert_eq!(parse(b"", true), Mail { truncated: true, ..Mail::default() });
    assert_eq!(parse(b"\r\n\r\nDRYRUN.OK", false).texts, ["\nDRYRUN.OK"]);
    assert_eq!(parse(b"DRYRUN.OK", false).texts, ["DRYRUN.OK"]);
    assert_eq!(parse(b"\n\0DRY\0RUN.OK", false).texts, ["DRYRUN.OK"]);
    assert_eq!(parse(b"Subject: A\0.OK\n", false).subject, "A .OK");
    for byte in 0..=u8::MAX {
        parse(&[byte], false);
        parse(&[byte; 1000], false);
    }
}

#[test]
fn a_truncated_mail_never_yields_half_an_address() {
    for length in 0..POSTFIX.len() {
        let mail = parse(&POSTFIX.as_bytes()[..length], true);
        assert!(mail.truncated);
        for address in mail.recipients.iter().chain(&mail.from) {
            assert!(
                ["bresse1+monitor@domain.com", "monitor@domain.com", "root@bresse1.example.net"]
                    .contains(&address.as_str()),
                "{address} after {length} bytes"
            );
        }
    }
}

#[test]
fn recipients_hops_and_identifiers_are_bounded() {
    let recipients: String = (0..=MAX_RECIPIENTS).map(|i| format!("To: a{i}@b\n")).collect();
    let mail = parse(recipients.as_bytes(), false);
    assert_eq!((mail.recipients.len(), mail.truncated), (MAX_RECIPIENTS, true));

    let mail = parse("Received: by a; x\n".repeat(MAX_HOPS + 1).as_bytes(), false);
    assert_eq!((mail.received.len(), mail.truncated), (MAX_HOPS, true));
    let mail = parse("Received: by a; x\n".repeat(MAX_HOPS).as_bytes(), false);
    assert_eq!((mail.received.len(), mail.truncated), (MAX_HOPS, false));

    let mail = parse(format!("Message-ID: <{}>\n\n", "a".repeat(MAX_MESSAGE_ID + 1)).as_bytes(), false);
    assert_eq!((mail.message_id, mail.problems.len()), (None, 1));
    let mail = parse(format!("Subject: {}\nTo: a@b\n\nA.OK", "x".repeat(MAX_HEADER_LINE)).as_bytes(), false);
    assert_eq!((mail.subject.as_str(), mail.recipients.as_slice()), ("", ["a@b".to_owned()].as_slice()));
    assert_eq!((mail.texts.as_slice(), mail.truncated), (["A.OK".to_owned()].as_slice(), true));
}

fn repeated(head: &str, unit: &str, size: usize) -> Vec<u8> {
    let mut mail = head.as_bytes().to_vec();
    mail.extend_from_slice(unit.repeat(size / unit.len()).as_bytes());
    mail
}

fn nested(size: usize) -> Vec<u8> {
    let mut mail = "Content-Type: multipart/mixed; boundary=b0\n\n".to_owned();
    for depth in 0.. {
        if mail.len() >= size {
            break;
        }
        mail += &format!("--b{depth}\nContent-Type: multipart/mixed; boundary=b{}\n\n", depth + 1);
    }
    mail.into_bytes()
}

#[test]
fn no_hostile_mail_costs_more_than_its_size() {
    const HTML: &str = "Content-Type: text/html\n\n";
    const QP: &str = "Content-Transfer-Encoding: quoted-printable\n\n";
    const BASE64: &str = "Content-Transfer-Encoding: base64\n\n";
    const MULTIPART: &str = "Content-Type: multipart/mixed; boundary=a\n\n";
    const STATUS: &str =
        "Content-Type: multipart/report; boundary=a\n\n--a\nContent-Type: message/delivery-status\n\n";
    const BOUNCE: &str = "Return-Path: <>\n\n";
    const UTF7: &str = "Content-Type: text/plain; charset=utf-7\n\n";
    let rows: [(&str, &str); 36] = [
        ("Subject: ", "=?"),
        ("Subject: ", "=?utf-8?Q?a?= "),
        ("Subject: ", "=?utf-8?Q?a?=\n "),
        ("", "a:\n"),
        ("", "To: a@b\n"),
        ("To: ", "(\"<\n "),
        ("To: x\n", " \n"),
        ("", "Received: from ((( by ;;;\n"),
        (MULTIPART, "--a\n\n"),
        (MULTIPART, "--a"),
        (MULTIPART, "--a\nContent-Type: a;a*0*=;b*0*=;c*0*=;d*0*=\n\n"),
        (HTML, "<"),
        (HTML, "<a"),
        (HTML, "<a \">"),
        (HTML, "<!--"),
        (HTML, "<style></"),
        (HTML, "<blockquote>a"),
        (HTML, "&#"),
        (QP, "="),
        (QP, "é"),
        (HTML, "<td>a"),
        (BASE64, "AA==\n"),
        (BASE64, "AAAA!\n "),
        (BASE64, "!"),
        ("Content-Type: ", "a(\n "),
        ("Date: ", "(\n "),
        ("\n", "From:\n"),
        ("\n", "De:\nEnvoyé:\nÀ:\nCc:\n"),
        (UTF7, "+AOk-"),
        ("\n", "---\n"),
        ("\n", "\r"),
        (STATUS, "Final-Recipient: rfc822; a@b\nStatus: 5.1.1\n\n"),
        (STATUS, "Diagnostic-Code: a;\n "),
        (BOUNCE, "a@b\n550 no\n"),
        (BOUNCE, "a@b 5.1.1 "),
        (BOUNCE, "@"),
    ];
    let read = |mail: &Vec<u8>| drop(parse(mail, false));
    for (head, unit) in rows {
        assert_linear(&format!("{head:?} {unit:?}"), |size| repeated(head, unit, size), read);
    }
    assert_linear("nested multiparts", nested, read);
}

fn assert_bounded(mail: &Mail) {
    assert!(mail.recipients.len() <= MAX_RECIPIENTS && mail.received.len() <= MAX_HOPS);
    for (at, address) in mail.recipients.iter().enumerate() {
        assert!(!mail.recipients[..at].contains(address), "{address} twice");
    }
    for address in mail.recipients.iter().chain(&mail.from) {
        assert!(address.len() <= MAX_ADDRESS && address.matches('@').count() == 1, "{address:?}");
        assert!(!address.contains(|c: char| c.is_whitespace() || c.is_control()), "{address:?}");
    }
    for host in mail.received.iter().flat_map(|hop| hop.from.iter().chain(&hop.by)) {
        assert!(host.len() <= MAX_HOST);
    }
    assert!(mail.message_id.as_ref().is_none_or(|id| id.len() <= MAX_MESSAGE_ID));
    assert!(!mail.subject.contains(char::is_control));
    assert!(mail.texts.len() <= MAX_PARTS && mail.texts.iter().all(|text| text.len() <= MAX_TEXT));
    assert!(mail.texts.iter().map(String::len).sum::<usize>() <= MAX_TEXTS);
    assert!(mail.texts.iter().all(|text| !text.contains(['\r', '\0'])));
    assert!(mail.problems.len() <= MAX_PROBLEMS);
    let failed = mail.delivery.iter().flat_map(|report| &report.failed);
    assert!(failed.clone().count() <= MAX_FAILED);
    for one in failed {
        assert!((1..=MAX_FAILED).contains(&one.addresses.len()) && one.why.said.chars().count() <= 201);
        assert!(!one.why.said.contains(char::is_control));
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 8000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_damage_to_a_mail_leaves_a_mail_within_the_limits(
        which in 0..CORPUS.len(),
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>(), 0..4_u8), 0..12),
    ) {
        let mut bytes = CORPUS[which].as_bytes().to_vec();
        for (place, byte, kind) in damage {
            let at = place.index(bytes.len() + 1);
            match kind {
                0 if at < bytes.len() => bytes[at] = byte,
                1 => bytes.insert(at, *b"\n\r\t\0 ?=<>\"(),;:@-&".get(usize::from(byte) % 32).unwrap_or(&byte)),
                2 if at < bytes.len() => { bytes.remove(at); }
                3 => bytes.extend_from_within(at..),
                _ => {}
            }
            bytes.truncate(64 << 10);
        }
        assert_bounded(&parse(&bytes, false));
        assert_bounded(&parse(&bytes, true));
    }

    #[test]
    fn any_text_means_the_same_with_either_line_end(
        // In UTF-16 a byte of a line end is half of a character.
        which in (0..CORPUS.len()).prop_filter("UTF-16", |&which| CORPUS[which] != HTML_REPLY),
        damage in prop::collection::vec((any::<prop::sample::Index>(), "[ -~\n\té]"), 0..8),
    ) {
        let mut mail: Vec<String> = CORPUS[which].chars().map(String::from).collect();
        for (place, text) in damage {
            mail.insert(place.index(mail.len() + 1), text);
        }
        let mail = mail.concat();
        prop_assert_eq!(parse(with_crlf(&mail).as_bytes(), false), parse(mail.as_bytes(), false));
    }
}
