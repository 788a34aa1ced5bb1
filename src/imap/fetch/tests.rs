use chrono::DateTime;

use super::super::peer::session;
use super::*;

const ASKED: &str = "UID FETCH 5:9 (UID INTERNALDATE BODY.PEEK[]<0.65536>)";

async fn fetched(answer: &str) -> Window<RawMail> {
    session(&[(ASKED, &format!("{answer}TAG OK done\r\n"))]).fetch(5, Some(9), &Some).await.unwrap()
}

fn uids(window: &Window<RawMail>) -> Vec<u32> {
    window.mails.iter().map(|mail| mail.uid).collect()
}

#[tokio::test]
async fn a_mail_comes_with_its_date_and_text() {
    let window =
        fetched("* 1 FETCH (UID 5 INTERNALDATE \" 1-Nov-2026 03:00:00 +0100\" BODY[]<0> {3}\r\nabc)\r\n")
            .await;
    let mail = window.cut_off(&Some).next().unwrap();
    assert_eq!((mail.uid, mail.bytes.as_slice(), mail.truncated), (5, &b"abc"[..], false));
    assert_eq!(mail.internal_date.unwrap().to_rfc3339(), "2026-11-01T02:00:00+00:00");
}

#[tokio::test]
async fn order_duplicates_and_what_was_not_asked_for_do_not_matter() {
    let window = fetched(
        "* 9 FETCH (BODY[] {1}\r\nc FLAGS (\\Seen) INTERNALDATE \"rubbish\" UID 9 SAVEDATE NIL)\r\n* 3 EXPUNGE\r\n\
         * 1 FETCH (FLAGS (\\Seen))\r\n* 1 FETCH (UID 6 FLAGS (\\Seen))\r\n* 7 EXISTS\r\n\
         * 4 FETCH (UID 4 BODY[] {1}\r\nx)\r\n* 1 FETCH (UID 6 BODY[] \"b\")\r\n* 1 FETCH (UID 6 BODY[] {1}\r\nb)\r\n",
    )
    .await;
    assert_eq!(uids(&window), [6, 9]);
    assert_eq!(window.without_text, 0);
    assert!(window.cut_off(&Some).all(|mail| mail.internal_date.is_none()));
}

#[tokio::test]
async fn a_mail_without_text_is_no_mail_but_counted_when_the_server_says_nil() {
    let window = fetched("* 1 FETCH (UID 5)\r\n* 2 FETCH (UID 6 BODY[]<0> NIL)\r\n").await;
    assert_eq!((uids(&window), window.without_text), (vec![], 1));
}

#[tokio::test]
async fn beyond_the_end_the_last_mail_comes_back_and_is_not_new() {
    let mut session =
        session(&[("UID FETCH 10:*", "* 1 FETCH (UID 9 BODY[]<0> {1}\r\nx)\r\nTAG OK done\r\n")]);
    assert!(session.fetch(10, None, &Some).await.unwrap().mails.is_empty());
}

#[tokio::test]
async fn a_refused_fetch_is_an_error_even_after_mails() {
    let mut session =
        session(&[(ASKED, "* 1 FETCH (UID 5 BODY[]<0> {1}\r\nx)\r\nTAG NO [EXPUNGEISSUED] gone\r\n")]);
    assert!(matches!(session.fetch(5, Some(9), &Some).await, Err(Error::Refused { .. })));
}

#[tokio::test]
async fn more_than_a_window_may_hold_is_an_overflow_without_mails() {
    let mail = "x".repeat(1 << 20);
    let many: String =
        (0..17).map(|_| format!("* 1 FETCH (UID 5 BODY[] {{1048576}}\r\n{mail})\r\n")).collect();
    let window = fetched(&many).await;
    assert!(window.overflow && window.mails.is_empty());
}

/// The UIDs of the window that comes next.
async fn landed(session: &mut Session, flight: &mut Flight<RawMail>) -> Option<Vec<u32>> {
    session.land(flight, &Some).await.unwrap().map(|window| uids(&window))
}

#[tokio::test]
async fn two_windows_are_asked_for_and_their_answers_may_come_in_any_order() {
    let mail = |uid| format!("* {uid} FETCH (UID {uid} BODY[]<0> {{1}}\r\nx)\r\n");
    let answer = [
        mail(4),
        mail(9),
        mail(2),
        "W2 OK done\r\n".to_owned(),
        mail(5),
        mail(70),
        "W1 OK done\r\n".to_owned(),
    ];
    let mut session = session(&[("UID FETCH 5:9", ""), ("UID FETCH 1:4", &answer.concat())]);
    let mut flight = Flight::new();
    session.ask(&mut flight, 5, Some(9)).await.unwrap();
    session.ask(&mut flight, 1, Some(4)).await.unwrap();
    assert_eq!(landed(&mut session, &mut flight).await, Some(vec![5, 9]));
    assert_eq!(landed(&mut session, &mut flight).await, Some(vec![2, 4]));
    assert_eq!(landed(&mut session, &mut flight).await, None);
}

#[tokio::test]
async fn a_window_that_was_refused_out_of_turn_is_an_error() {
    let script = [("UID FETCH 5:9", ""), ("UID FETCH 1:4", "W2 NO gone\r\nW1 OK done\r\n")];
    let (mut session, mut flight) = (session(&script), Flight::new());
    session.ask(&mut flight, 5, Some(9)).await.unwrap();
    session.ask(&mut flight, 1, Some(4)).await.unwrap();
    assert_eq!(landed(&mut session, &mut flight).await, Some(vec![]));
    assert!(matches!(session.land(&mut flight, &Some).await, Err(Error::Refused { .. })));
}

#[tokio::test]
async fn completing_a_mail_loses_nothing_of_the_windows_behind_it() {
    let long = "a".repeat(FIRST_BYTES);
    let first = format!("* 1 FETCH (UID 5 BODY[]<0> {{{FIRST_BYTES}}}\r\n{long})\r\nW1 OK done\r\n");
    let rest = "* 1 FETCH (UID 3 BODY[]<0> {1}\r\nx)\r\nW2 OK done\r\n\
                * 1 FETCH (UID 5 BODY[]<65536> {2}\r\nbb)\r\nW3 OK done\r\n";
    let mut session = session(&[("UID FETCH 5:9", ""), ("UID FETCH 1:4", &first), ("UID FETCH 5 (", rest)]);
    let mut flight = Flight::new();
    session.ask(&mut flight, 5, Some(9)).await.unwrap();
    session.ask(&mut flight, 1, Some(4)).await.unwrap();
    let window = session.land(&mut flight, &Some).await.unwrap().unwrap();
    let mut mail = window.cut_off(&Some).next().unwrap();
    session.complete(&mut mail, &mut flight, &Some).await.unwrap();
    assert_eq!((mail.bytes.len(), mail.truncated), (FIRST_BYTES + 2, false));
    assert_eq!(landed(&mut session, &mut flight).await, Some(vec![3]));
}

#[tokio::test]
async fn more_mails_than_a_window_may_hold_are_an_overflow() {
    let many: String = (0..=WINDOW_MAILS_MAX).map(|_| "* 1 FETCH (UID 5 BODY[] {1}\r\nx)\r\n").collect();
    let window = fetched(&many).await;
    assert!(window.overflow && window.mails.is_empty());
}

fn first_piece() -> RawMail {
    let bytes = vec![b'a'; FIRST_BYTES];
    RawMail { uid: 5, internal_date: None, seen: DateTime::UNIX_EPOCH, bytes, truncated: true }
}

fn piece(offset: usize, length: usize) -> String {
    format!("* 1 FETCH (UID 5 BODY[]<{offset}> {{{length}}}\r\n{})\r\nTAG OK done\r\n", "b".repeat(length))
}

#[tokio::test]
async fn a_long_mail_is_completed_and_a_very_long_one_cut_at_one_mebibyte() {
    // What the server has, and what of it is kept.
    for (length, kept, truncated) in [
        (FIRST_BYTES, FIRST_BYTES, false),
        (FIRST_BYTES + 10, FIRST_BYTES + 10, false),
        (MAIL_BYTES_MAX, MAIL_BYTES_MAX, false),
        (MAIL_BYTES_MAX + 1, MAIL_BYTES_MAX, true),
    ] {
        let (mut script, mut at) = (Vec::new(), FIRST_BYTES);
        while script.last().is_none_or(|(_, sent, wanted)| sent == wanted) && at <= MAIL_BYTES_MAX {
            let wanted = (MAIL_BYTES_MAX + 1 - at).min(8 * FIRST_BYTES);
            let sent = wanted.min(length - at);
            script.push((at, sent, wanted));
            at += sent;
        }
        let script: Vec<(String, String)> = script
            .iter()
            .map(|(at, sent, wanted)| {
                (format!("UID FETCH 5 (UID BODY.PEEK[]<{at}.{wanted}>)"), piece(*at, *sent))
            })
            .collect();
        let script: Vec<(&str, &str)> = script.iter().map(|(line, answer)| (&**line, &**answer)).collect();
        let mut mail = first_piece();
        session(&script).complete(&mut mail, &mut Flight::new(), &Some).await.unwrap();
        assert_eq!((mail.bytes.len(), mail.truncated), (kept, truncated), "{length}");
    }
}

#[tokio::test]
async fn of_a_piece_that_is_longer_than_was_asked_for_only_that_is_taken() {
    let wanted = 8 * FIRST_BYTES;
    let (next, first) = (FIRST_BYTES + wanted, piece(FIRST_BYTES, wanted + 5));
    let (asked, then) = (format!("<{FIRST_BYTES}.{wanted}>"), format!("<{next}."));
    let mut mail = first_piece();
    let mut session = session(&[(&asked, &first), (&then, &piece(next, 1))]);
    session.complete(&mut mail, &mut Flight::new(), &Some).await.unwrap();
    assert_eq!((mail.bytes.len(), mail.truncated), (next + 1, false));
}

#[tokio::test]
async fn a_mail_that_comes_whole_is_cut_at_one_mebibyte_and_known_to_be_longer() {
    for (length, truncated) in [(MAIL_BYTES_MAX, false), (MAIL_BYTES_MAX + 1, true)] {
        let mail = "x".repeat(length);
        let window = fetched(&format!("* 1 FETCH (UID 5 BODY[] {{{length}}}\r\n{mail})\r\n")).await;
        let mail = window.cut_off(&Some).next().unwrap();
        assert_eq!((mail.bytes.len(), mail.truncated), (MAIL_BYTES_MAX, truncated));
    }
}

#[tokio::test]
async fn a_mail_that_vanishes_before_it_is_completed_stays_truncated() {
    for answer in [
        "TAG OK done\r\n",
        "* 1 FETCH (UID 5 BODY[] {1}\r\nx)\r\nTAG OK done\r\n",
        "* 1 FETCH (UID 5 BODY[]<0> {1}\r\nx)\r\nTAG OK done\r\n",
        "* 1 FETCH (UID 6 BODY[]<65536> {1}\r\nx)\r\nTAG OK done\r\n",
    ] {
        let mut mail = first_piece();
        session(&[("UID FETCH 5", answer)]).complete(&mut mail, &mut Flight::new(), &Some).await.unwrap();
        assert_eq!((mail.bytes.len(), mail.truncated), (FIRST_BYTES, true));
    }
}

#[tokio::test]
async fn the_newest_mails_are_counted_from_the_end_however_sparse_their_uids_are() {
    let answer =
        "* 8 FETCH (UID 70)\r\n* 9 FETCH (UID 900)\r\n* 3 FETCH (UID 12 FLAGS ())\r\nTAG OK done\r\n";
    let mut mailbox = session(&[("FETCH 8:9 (UID)", answer)]);
    assert_eq!(mailbox.newest_uids(9, 2).await.unwrap(), [70, 900]);
    let mut small =
        session(&[("FETCH 1:2 (UID)", "* 1 FETCH (UID 5)\r\n* 2 FETCH (UID 6)\r\nTAG OK done\r\n")]);
    assert_eq!(small.newest_uids(2, 50).await.unwrap(), [5, 6]);
    assert_eq!(session(&[]).newest_uids(0, 50).await.unwrap(), Vec::<u32>::new());
}
