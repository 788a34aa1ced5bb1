use super::{Name, scan};
use crate::mail::limits::{MAX_FIELD, MAX_HEADER_LINE, MAX_HEADERS, Notes};

/// The values of the To fields, the body, and what was noted.
fn recipients(mail: &[u8], truncated: bool) -> (Vec<String>, String, Notes) {
    let mut notes = Notes::default();
    let block = scan(mail, truncated, &mut notes);
    let values = block.all(Name::To).map(|field| field.value().into_owned()).collect();
    (values, String::from_utf8_lossy(block.body).into_owned(), notes)
}

fn subject(mail: &[u8]) -> (String, usize) {
    let mut notes = Notes::default();
    let block = scan(mail, false, &mut notes);
    let text = block.first(Name::Subject).unwrap().text(&mut notes);
    (text, notes.problems.len())
}

#[test]
fn fields_are_found_whatever_their_case_folding_and_line_ends() {
    for mail in [
        "To: a@b\nX: y\nTO:c@d\n\nbody\n",
        "To: a@b\r\nX: y\r\nto:c@d\r\n\r\nbody\n",
        "To:\r\n a@b\r\nX-Other: y\r\n To: no\r\ntO :\tc@d \t\r\n\r\nbody\n",
        "From root Fri Nov 20 03:11:58 2026\nTo: a@b\nTo: c@d\n\nbody\n",
        ">From root Fri Nov 20 03:11:58 2026\nTo: a@b\nTo: c@d\n\nbody\n",
    ] {
        let (values, body, notes) = recipients(mail.as_bytes(), false);
        assert_eq!((values, body.as_str()), (vec!["a@b".to_owned(), "c@d".to_owned()], "body\n"), "{mail:?}");
        assert!(notes.problems.is_empty() && !notes.truncated);
    }
    let (values, _, _) = recipients(b"To: a@b,\r\n\t c@d,\n e@f\n\n", false);
    assert_eq!(values, ["a@b,\t c@d, e@f"]);
}

#[test]
fn a_body_without_a_blank_line_before_it_is_found() {
    for (mail, expected) in [
        ("To: a@b\nDRYRUN.OK\n", "DRYRUN.OK\n"),
        ("To: a@b\nWeb Shop: x\n\ny", "Web Shop: x\n\ny"),
        ("DRYRUN.OK", "DRYRUN.OK"),
        (" To: a@b\n", " To: a@b\n"),
        (": a@b\n", ": a@b\n"),
        ("\u{e9}: a@b\n", "\u{e9}: a@b\n"),
    ] {
        let (_, body, notes) = recipients(mail.as_bytes(), false);
        assert_eq!(body, expected, "{mail:?}");
        assert_eq!((notes.problems.len(), notes.truncated), (1, false));
    }
    for (mail, expected) in [("", ""), ("\n", ""), ("\r\n\r\n", "\r\n"), ("To: a@b", ""), ("\nx", "x")] {
        let (_, body, notes) = recipients(mail.as_bytes(), false);
        assert_eq!((body.as_str(), notes.problems.len()), (expected, 0), "{mail:?}");
    }
}

#[test]
fn half_a_field_at_the_end_of_a_truncated_mail_is_left_out() {
    for (mail, expected) in [
        ("To: a@b.com\nTo: c@d.co", &["a@b.com"] as &[&str]),
        // The next line could have continued it.
        ("To: a@b.com\nTo: c@d.co\n", &["a@b.com"]),
        ("To: a@b.com\nTo: c@d.com\n\n", &["a@b.com", "c@d.com"]),
    ] {
        assert_eq!(recipients(mail.as_bytes(), true).0, expected, "{mail:?}");
    }
}

#[test]
fn a_header_with_too_long_a_line_is_left_out_and_the_rest_is_read() {
    let long = "x".repeat(MAX_HEADER_LINE);
    for (mail, truncated) in [
        (format!("To: {long}\nTo: a@b\n\nbody"), true),
        (format!("To: c@d,\n {long}\nTo: a@b\n\nbody"), true),
        (format!("X-Other: {long}\nTo: a@b\n\nbody"), false),
        (format!("X-Other: c\n {long}\nTo: a@b\n\nbody"), false),
    ] {
        for mail in [mail.replace('\n', "\r\n"), mail] {
            let (values, body, notes) = recipients(mail.as_bytes(), false);
            assert_eq!((values, body.as_str()), (vec!["a@b".to_owned()], "body"));
            assert_eq!((notes.problems.len(), notes.truncated), (1, truncated));
        }
    }
    let longest = format!("To: {}\r\n\r\n", "x".repeat(MAX_HEADER_LINE - 4));
    assert!(recipients(longest.as_bytes(), false).2.problems.is_empty());
}

#[test]
fn fields_and_blocks_beyond_the_limits_are_cut_and_said() {
    let folded = format!("To: {}\n\nbody", "a@b,\n ".repeat(MAX_FIELD / 4));
    let (values, body, notes) = recipients(folded.as_bytes(), false);
    assert!(values[0].len() > MAX_FIELD - 10 && values[0].len() <= MAX_FIELD);
    assert_eq!((body.as_str(), notes.problems.len(), notes.truncated), ("body", 1, true));

    let many = format!("{}To: a@b\n\nbody", "X: y\n".repeat(MAX_HEADERS - 1));
    assert_eq!(recipients(many.as_bytes(), false).0.len(), 1);
    let (values, body, notes) = recipients(format!("X: y\n{many}").as_bytes(), false);
    assert_eq!((values.len(), body.as_str(), notes.truncated), (0, "body", true));
}

#[test]
fn subjects_are_decoded() {
    for (header, expected) in [
        ("Subject: DRYRUN.OK  MSSQL1_Service.OK ", "DRYRUN.OK  MSSQL1_Service.OK"),
        ("Subject: =?utf-8?Q?R=C3=A9seau.NOK?=", "Réseau.NOK"),
        ("Subject: =?utf-8?B?UsOpc2VhdS5OT0s=?=", "Réseau.NOK"),
        ("Subject: =?ISO-8859-1?Q?R=E9s?=\r\n =?iso-8859-1?q?eau.NOK?= x", "Réseau.NOK x"),
        ("Subject: =?utf-8*fr?Q?R=C3=A9seau.NOK?=", "Réseau.NOK"),
        ("Subject: Réseau.NOK", "Réseau.NOK"),
        ("Subject: DRYRUN.OK\r\n\tMSSQL1_Service.OK", "DRYRUN.OK MSSQL1_Service.OK"),
        ("Subject: a=?b", "a=?b"),
        ("Subject: =?utf-8?B?QQ==?= =?utf-8*fr?B?Qg==?= =?utf-8?Q?=?= =?utf-8?Q?C?=", "ABC"),
        ("Subject: =?utf-8?Q?a=0Ab=00?= \u{7}", "a b"),
        ("Subject:", ""),
    ] {
        assert_eq!(subject(header.as_bytes()), (expected.to_owned(), 0), "{header:?}");
    }
    assert_eq!(subject(b"Subject: A.OK=?utf-8?Q?x?=\n"), ("A.OK=?utf-8?Q?x?=".to_owned(), 1));
    assert_eq!(subject(b"Subject: R\xe9seau.NOK"), ("Réseau.NOK".to_owned(), 0));
    assert_eq!(subject(b"Subject: =?x-none?Q?A=2ENOK?= =?x-none?Q?=2E?="), ("A.NOK.".to_owned(), 1));
}
