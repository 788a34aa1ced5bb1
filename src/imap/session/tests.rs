use async_imap::imap_proto::Status;

use super::super::peer::{SILENCE, UNASKED, session, wire};
use super::*;

#[tokio::test]
async fn examine_reads_what_the_cursor_needs() {
    let mut session = session(&[(
        "EXAMINE \"Entw&APw-rfe\"",
        "* FLAGS (\\Seen)\r\n* 12 EXISTS\r\n* 1 RECENT\r\n* OK [UIDVALIDITY 77] ok\r\n* OK [UIDNEXT 99] ok\r\n\
         * OK [Error=\"Odd\"] M365\r\nTAG OK [READ-ONLY] done\r\n",
    )]);
    let examined = session.examine("Entwürfe").await.unwrap();
    assert_eq!(examined, Examined { uidvalidity: 77, uidnext: Some(99), exists: 12 });
    assert!(!session.wire.take_news());
}

#[tokio::test]
async fn a_missing_uidnext_is_derived_from_the_last_mail() {
    let mut session = session(&[
        ("EXAMINE", "* 2 EXISTS\r\n* OK [UIDVALIDITY 7] ok\r\nTAG OK done\r\n"),
        ("UID FETCH * (UID)", "* 2 FETCH (UID 41)\r\nTAG OK done\r\n"),
    ]);
    assert_eq!(session.examine("INBOX").await.unwrap().uidnext, Some(42));
}

#[tokio::test]
async fn a_folder_without_a_count_is_not_taken_for_an_empty_one() {
    let mut session = session(&[("EXAMINE", "* OK [UIDVALIDITY 7] ok\r\nTAG OK done\r\n")]);
    assert!(matches!(session.examine("INBOX").await, Err(Error::Protocol(_))));
}

#[tokio::test]
async fn a_folder_that_does_not_exist_is_told_with_those_that_do() {
    let mut session = session(&[
        ("EXAMINE", "TAG NO [NONEXISTENT] Unknown Mailbox: Reprots\r\n"),
        (
            "LIST",
            "* LIST (\\HasNoChildren) \"/\" INBOX\r\n* LIST (\\Noselect) \"/\" \"Root\"\r\n\
                  * LIST () \"/\" \"Entw&APw-rfe\"\r\n* LIST () NIL {3}\r\na b\r\nTAG OK done\r\n",
        ),
    ]);
    let error = session.examine("Reprots").await.unwrap_err().to_string();
    assert!(error.contains("\"Reprots\" cannot be opened"), "{error}");
    assert!(error.contains("the folders there are: INBOX, Entwürfe, a b;"), "{error}");
}

#[tokio::test]
async fn a_command_fails_unless_its_own_tagged_ok_comes() {
    for (answer, told) in [
        ("TAG NO not now\r\n", "the server refuses NOOP: not now"),
        ("TAG BAD what?\r\n", "the server refuses NOOP: what?"),
        ("* BYE idle for too long\r\n", "the server ended the connection, saying: idle for too long"),
        ("* 5 EXISTS\r\n", "the server closed the connection in the middle of NOOP"),
        ("* OK still h", "the server closed the connection in the middle of NOOP"),
        ("W99 OK somebody else's\r\n", "the server closed the connection in the middle of NOOP"),
        ("* (XFOO bar\r\n", "the server sent what is not IMAP"),
        (
            "* 1 FETCH (BODY[] {99999999}\r\n",
            "the server sent what is not IMAP: an answer of more than 16 MiB",
        ),
    ] {
        let error = session(&[("NOOP", answer)]).noop().await.unwrap_err().to_string();
        assert!(error.starts_with(told), "{answer:?}: {error}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_server_that_says_nothing_is_given_up_after_thirty_seconds() {
    let mut session = session(&[("NOOP", SILENCE)]);
    let error = session.noop().await.unwrap_err().to_string();
    assert!(error.contains("has not answered NOOP for 30 s"), "{error}");
}

#[tokio::test]
async fn a_hint_at_new_mail_is_kept_until_it_is_taken() {
    let mut session = session(&[("NOOP", "* 6 EXISTS\r\nTAG OK done\r\n"), ("NOOP", "TAG OK done\r\n")]);
    session.noop().await.unwrap();
    assert!(session.wire.take_news());
    session.noop().await.unwrap();
    assert!(!session.wire.take_news());
}

#[tokio::test]
async fn a_line_break_in_a_folder_name_never_reaches_the_server() {
    let mut wire = wire(&[(UNASKED, "* OK ready\r\n")]);
    let ready = wire.read("a greeting", COMMAND_LIMIT, |response| {
        matches!(response, Response::Data { status: Status::Ok, .. })
    });
    assert!(ready.await.unwrap());
    let error =
        wire.command("EXAMINE", "EXAMINE \"a\r\nW9 DELETE INBOX\"", COMMAND_LIMIT, |_| {}).await.unwrap_err();
    assert!(error.to_string().contains("line break"), "{error}");
}

#[tokio::test]
async fn a_stack_of_parentheses_does_not_reach_the_parser() {
    let nested = format!("* 1 FETCH (BODYSTRUCTURE {}", "(".repeat(100_000));
    let error = session(&[("NOOP", &nested)]).noop().await.unwrap_err().to_string();
    assert!(error.contains("more than 256 parentheses"), "{error}");
}
