use super::super::parse;
use super::*;

fn report(mail: &str) -> Option<DeliveryReport> {
    parse(mail.as_bytes(), false).delivery
}

/// Each recipient on a line: addresses, whether it is still tried, the status, what was said.
fn told(failed: &[Failed]) -> Vec<String> {
    let line = |one: &Failed| {
        let status = one.why.status.map(|status| status.to_string()).unwrap_or_default();
        let fate = if one.why.delayed { "delayed" } else { "failed" };
        format!("{} {fate} {status} {}", one.addresses.join(" "), one.why.said)
    };
    failed.iter().map(line).collect()
}

#[test]
fn each_recipient_of_a_status_part_is_told_with_its_own_reason() {
    let fields = "Reporting-MTA: dns; a\nArrival-Date: today\n\n\
        original-recipient : rfc822;Bresse1+2BMonitor@D.example\nFinal-Recipient: rfc822; <b@d>\nAction: FAILED (x)\n\
        Status: 5.0.0 (undefined)\nDiagnostic-Code: smtp; 550 5.7.68\n  Tenant\n\tInboundAttribution\n\n\
        Final-Recipient: rfc822;c@d\nAction: relayed\nStatus: 2.0.0\n\n\
        Final-Recipient: rfc822;e@d\nStatus: 4.4.1\n\n\
        Final-Recipient: rfc822;f@d\nAction: failed\nStatus: 4.4.7\nDiagnostic-Code: expired; and more\n\n\
        Final-Recipient: rfc822;g@d\nStatus: 2.0.0\n\n\
        Action: failed\nStatus: 5.1.1";
    assert_eq!(
        told(&in_fields(fields)),
        [
            "bresse1+2bmonitor@d.example bresse1+monitor@d.example b@d failed 5.7.68 550 5.7.68 Tenant InboundAttribution",
            "e@d delayed 4.4.1 ",
            "f@d failed 4.4.7 and more",
        ]
    );
}

#[test]
fn a_hostile_status_part_is_bounded() {
    let many: String =
        (0..500).map(|number| format!("Final-Recipient: rfc822;a{number}@d\nAction: failed\n\n")).collect();
    assert_eq!(in_fields(&many).len(), MAX_FAILED);
    let long = format!(
        "Final-Recipient: rfc822;{}\nAction: failed\nDiagnostic-Code: smtp; {}\u{1b}[2J\n{}",
        "a@b,".repeat(1000),
        "x".repeat(5000),
        " y\n".repeat(5000)
    );
    let found = in_fields(&long);
    assert!(found[0].addresses.len() <= 4 && found[0].why.said.chars().count() <= SAID_MAX + 1);
    let lines = "a@b\n550 no\n".repeat(10_000);
    assert!(in_texts(&[lines]).len() <= MAX_FAILED);
}

#[test]
fn texts_for_people_are_read_paragraph_by_paragraph() {
    for (text, expected) in [
        (
            "Hi. This is the qmail-send program at ovh.example.\nI'm afraid I wasn't able to deliver your message to the \
             following addresses.\nThis is a permanent error; I've given up. Sorry it didn't work out.\n\n<A@b>:\n203.0.113.5 \
             failed after I sent the message.\nRemote host said: 552 5.2.2 full\n\n<c@d>:\nRemote host said: 550 no\n\
             --- Below this line is a copy of the message.\n\nTo: e@f\n550 5.1.1 x\n",
            vec!["a@b failed 5.2.2 Remote host said: 552 5.2.2 full", "c@d failed  Remote host said: 550 no"],
        ),
        (
            "A message that you sent could not be delivered.\n\n  a@b\n    host mx [203.0.113.5]\n    SMTP error from remote \
             mail server after RCPT TO:<a@b>:\n    550 5.7.1 Access denied\n\n------ This is a copy of the message ------\n",
            vec!["a@b failed 5.7.1 550 5.7.1 Access denied"],
        ),
        (
            "The message has not yet been delivered to\n  a@b\n    host mx: 451 4.7.1 Greylisted\n",
            vec!["a@b delayed 4.7.1 host mx: 451 4.7.1 Greylisted"],
        ),
        (
            "Your message to a@b couldn't be delivered.\n\nRemote Server returned '550 5.7.68 TenantInboundAttribution'\n\
             Original Message Headers:\nTo: c@d\n",
            vec!["a@b failed 5.7.68 Remote Server returned '550 5.7.68 TenantInboundAttribution'"],
        ),
        ("I am away until 20 November; write to a@b.\n", vec![]),
        ("550 5.1.1 nobody\n", vec![]),
    ] {
        assert_eq!(told(&in_texts(&[text.to_owned()])), expected, "{text}");
    }
}

#[test]
fn only_a_report_about_a_delivery_is_one() {
    let with = |head: &str| format!("{head}\n\n--a\n\na@b: 550 5.1.1 no\n--a--\n");
    let read =
        |of: &str| report(&with(&format!("Content-Type: multipart/report; report-type={of}; boundary=a")));
    assert_eq!(told(&read("Delivery-Status").unwrap().failed), ["a@b failed 5.1.1 a@b: 550 5.1.1 no"]);
    assert_eq!(read("disposition-notification"), None);
    assert_eq!(read("feedback-report"), None);
    assert_eq!(report(&with("Content-Type: multipart/mixed; boundary=a")), None);
    assert!(report(&with("Return-Path: <>\nContent-Type: multipart/mixed; boundary=a")).is_some());
}

#[test]
fn the_returned_mail_tells_to_whom_it_was_addressed() {
    for part in [
        "Content-Type: text/rfc822-headers\n\nTo: A@b\nCc: c@d\n",
        "Content-Type: message/rfc822\n\nTo: A@b\nCc: c@d\n\nTo: e@f\n",
    ] {
        let mail = format!(
            "Content-Type: multipart/report; boundary=a\n\n--a\n{part}--a\nContent-Type: message/rfc822\n\nTo: g@h\n--a--\n"
        );
        assert_eq!(report(&mail).unwrap().returned_to, ["a@b", "c@d"], "{part}");
    }
}
