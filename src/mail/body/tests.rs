use super::{Content, read};
use crate::mail::headers;
use crate::mail::limits::{MAX_CONTENT_TYPE, MAX_DEPTH, MAX_PARTS, MAX_TEXT, MAX_TEXTS, Notes};

fn content(mail: &str) -> (Content, Notes) {
    let mut notes = Notes::default();
    let block = headers::scan(mail.as_bytes(), false, &mut notes);
    let content = read(&block, &mut notes);
    (content, notes)
}

/// The texts of a mail without problems.
fn texts(mail: &str) -> Vec<String> {
    let (content, notes) = content(mail);
    assert!(notes.problems.is_empty() && !notes.truncated, "{mail:?}: {notes:?}");
    content.texts
}

#[test]
fn a_mail_without_mime_is_one_plain_text() {
    assert_eq!(texts("Subject: x\n\nDRYRUN.OK\n"), ["DRYRUN.OK\n"]);
    assert_eq!(
        texts("Content-Type: text/plain; charset=\"UTF-8\"; format=flowed\n\nRéseau.OK"),
        ["Réseau.OK"]
    );
    assert_eq!(texts("Content-Type: text/html; charset=utf-8\n\n<p>A.OK</p>"), ["A.OK\n"]);
    assert_eq!(texts("Content-Type: TEXT\n\nA.OK"), ["A.OK"]);
    assert!(texts("Content-Type: application/pdf\n\nA.OK").is_empty());
    assert!(texts("Content-Type: text/calendar\n\nA.OK").is_empty());
    assert!(texts("Subject: x\n\n \n\n").is_empty());
}

#[test]
fn every_text_of_a_multipart_is_kept_in_order() {
    let mail = "Content-Type: multipart/mixed; boundary=\"out er\"\n\npreamble.NOK\n--out er\n\
        Content-Type: multipart/alternative; boundary=in\n\n--in\n\nA.OK\n--in\nContent-Type: text/html\n\n<b>B.OK</b>\n--in--\n\
        --out er\nContent-Disposition: inline; filename=c.txt\nContent-Type: text/plain; name=c.txt\n\nC.OK\n--out er--\nepilogue.NOK\n";
    assert_eq!(texts(mail), ["A.OK", "B.OK", "C.OK"]);
}

#[test]
fn comments_in_a_content_type_say_nothing() {
    assert_eq!(texts("Content-Type: text/plain; charset=iso-8859-1 (Latin (1))\n\nA.OK"), ["A.OK"]);
    assert_eq!(texts("Content-Type: (x) text/plain(y); charset=(;) us-ascii\n\nA.OK"), ["A.OK"]);
    assert_eq!(
        texts("Content-Type: multipart/mixed (x); (y) boundary=\"a(b)\"\n\n--a(b)\n\nA.OK\n--a(b)--\n"),
        ["A.OK"]
    );
    // An open one is no comment, and this sender's boundary works with every mail program.
    assert_eq!(texts("Content-Type: multipart/mixed; boundary=a(b\n\n--a(b\n\nA.OK\n--a(b--\n"), ["A.OK"]);
}

#[test]
fn attachments_are_not_read() {
    let mail = "Content-Type: multipart/mixed; boundary=a\n\n--a\n\nA.OK\n--a\nContent-Disposition: attachment(x)\n\nB.NOK\n\
        --a\nContent-Disposition: ATTACHMENT; filename=c.html\nContent-Type: text/html\n\nC.NOK\n\
        --a\nContent-Type: application/octet-stream; name=d.txt\n\nD.NOK\n--a--\n";
    assert_eq!(texts(mail), ["A.OK"]);
}

#[test]
fn only_a_whole_line_is_a_delimiter() {
    let mail = "Content-Type: multipart/mixed; boundary=a\n\n--a \t\n\nx--a\n--ab\n--a-\n --a\nA.OK\n\n--a\n--a\n\nB.OK";
    assert_eq!(texts(mail), ["x--a\n--ab\n--a-\n --a\nA.OK\n", "B.OK"]);
}

#[test]
fn the_boundary_of_an_inner_multipart_may_begin_like_the_outer_one() {
    let mail = "Content-Type: multipart/mixed; boundary=a\n\n--a\nContent-Type: multipart/mixed; boundary=ab\n\n\
        --ab\n\nA.OK\n--ab\n\nB.OK\n--ab--\n--a\n\nC.OK\n--a--";
    assert_eq!(texts(mail), ["A.OK", "B.OK", "C.OK"]);
}

#[test]
fn attached_mails_and_reports_are_seen_and_not_entered() {
    let part = |kind: &str| {
        format!(
            "Content-Type: multipart/mixed; boundary=a\n\n--a\n\nA.OK\n--a\nContent-Type: {kind}\n\nSubject: x\n\nB.NOK\n--a--\n"
        )
    };
    for kind in ["message/rfc822", "Message/RFC822; name=x", "message/global"] {
        let (content, _) = content(&part(kind));
        assert_eq!(
            (content.texts.as_slice(), content.holds_message),
            (["A.OK".to_owned()].as_slice(), true),
            "{kind}"
        );
    }
    assert!(!content(&part("message/delivery-status")).0.holds_message);
    let digest = "Content-Type: multipart/digest; boundary=a\n\n--a\n\nSubject: x\n\nB.NOK\n--a--\n";
    assert!(content(digest).0.holds_message);
    assert!(content("Content-Type: multipart/report; boundary=a\n\n--a\n\nA.OK\n--a--").0.holds_report);
    assert!(content("Content-Type: multipart/REPORT").0.holds_report);
    assert!(!content("Content-Type: multipart/mixed; boundary=a\n\n--a\n\nA.OK\n--a--").0.holds_report);
}

#[test]
fn a_multipart_without_its_boundary_is_read_as_plain_text() {
    for parameter in ["", "; boundary=", "; boundary=\"\"", "; boundary=nowhere"] {
        let (content, notes) =
            content(&format!("Content-Type: multipart/mixed{parameter}\n\n--a\nA.NOK\n--a--\n"));
        assert_eq!(content.texts, ["--a\nA.NOK\n--a--\n"], "{parameter:?}");
        assert_eq!(notes.problems.len(), 1);
    }
}

#[test]
fn parts_beyond_the_limits_are_left_out_and_said() {
    let many =
        format!("Content-Type: multipart/mixed; boundary=a\n\n{}--a--", "--a\n\nx\n".repeat(MAX_PARTS));
    let (content_of_many, notes) = content(&many);
    // The container is a part too.
    assert_eq!((content_of_many.texts.len(), notes.truncated), (MAX_PARTS - 1, true));

    let nested = |depth: usize| {
        let heads: String =
            (0..depth).map(|i| format!("Content-Type: multipart/mixed; boundary=b{i}\n\n--b{i}\n")).collect();
        content(&format!("{heads}\nA.OK\n"))
    };
    let (kept, notes) = nested(MAX_DEPTH);
    assert_eq!((kept.texts.len(), notes.truncated), (1, false));
    let (kept, notes) = nested(MAX_DEPTH + 1);
    assert_eq!((kept.texts.len(), notes.truncated), (0, true));

    let long = format!("Content-Type: text/html; x={}\n\n<p>A.OK", "y".repeat(MAX_CONTENT_TYPE));
    let (kept, notes) = content(&long);
    assert_eq!((kept.texts.as_slice(), notes.truncated), (["A.OK".to_owned()].as_slice(), true));
}

#[test]
fn text_beyond_the_limits_is_cut_at_a_line() {
    let line = "é".repeat(49) + "\n";
    let (kept, notes) = content(&format!("\n{}", line.repeat(MAX_TEXT / line.len() + 1)));
    assert!(notes.truncated);
    assert_eq!(kept.texts[0].len(), MAX_TEXT / line.len() * line.len());

    let (kept, notes) = content(&format!("\n{}", "é".repeat(MAX_TEXT)));
    assert_eq!((kept.texts[0].len(), notes.truncated), (MAX_TEXT, true));

    let parts = format!("--a\n\n{}\n", "x".repeat(MAX_TEXT)).repeat(5);
    let (kept, notes) = content(&format!("Content-Type: multipart/mixed; boundary=a\n\n{parts}--a--"));
    assert_eq!((kept.texts.iter().map(String::len).sum::<usize>(), notes.truncated), (MAX_TEXTS, true));
}
