use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;

use super::{Client, FIRST, LIMIT, SECOND, date, server, server_with};

#[tokio::test]
async fn commands_that_need_no_login_are_answered() {
    let (_store, server) = server();
    let mut client = Client::connect(&server).await;
    client.line().await;
    assert_eq!(
        client.command("CAPABILITY").await,
        [
            "* CAPABILITY IMAP4rev1 AUTH=PLAIN AUTH=XOAUTH2 SASL-IR ID UNSELECT IDLE LITERAL+",
            "t OK CAPABILITY completed"
        ]
    );
    assert_eq!(client.command("NOOP").await, ["t OK NOOP completed"]);
    assert_eq!(client.command("ID NIL").await[1], "t OK ID completed");
    assert_eq!(client.command("LIST \"\" *").await, ["t BAD Log in first"]);
    assert_eq!(client.command("XFOO").await, ["t BAD Unknown command XFOO"]);
    assert_eq!(client.command("STARTTLS").await, ["t BAD Unknown command STARTTLS"]);
    client.send("\r\n").await;
    assert_eq!(client.line().await, "* BAD Expected a tag");
    assert_eq!(client.command("LOGOUT").await, ["* BYE Logging out", "t OK LOGOUT completed"]);
    assert_eq!(client.rest().await, "");
}

#[tokio::test]
async fn login_takes_quoted_strings_and_both_kinds_of_literal() {
    let (_store, server) = server();
    for command in ["LOGIN monitor \"pa\\\"ss\"", "LOGIN {7+}\r\nmonitor {5+}\r\npa\"ss"] {
        let mut client = Client::connect(&server).await;
        client.line().await;
        let answer = client.command(command).await;
        assert!(answer[0].starts_with("t OK [CAPABILITY IMAP4rev1 "), "{answer:?}");
        assert_eq!(client.command("LOGIN a b").await, ["t BAD Already logged in"]);
    }
    let mut client = Client::connect(&server).await;
    client.line().await;
    client.send("t LOGIN {7}\r\n").await;
    assert_eq!(client.line().await, "+ Ready for the literal");
    client.send("monitor {5}\r\n").await;
    assert_eq!(client.line().await, "+ Ready for the literal");
    client.send("pa\"ss\r\n").await;
    assert!(client.line().await.starts_with("t OK"));
}

#[tokio::test]
async fn a_wrong_password_is_refused() {
    let (_store, server) = server();
    let mut client = Client::connect(&server).await;
    client.line().await;
    for wrong in ["LOGIN monitor wrong", "LOGIN other \"pa\\\"ss\"", "LOGIN \"\" \"\""] {
        assert_eq!(client.command(wrong).await, ["t NO [AUTHENTICATIONFAILED] LOGIN failed."]);
    }
    let plain = BASE64.encode("\0monitor\0wrong");
    let answer = client.command(&format!("AUTHENTICATE PLAIN {plain}")).await;
    assert_eq!(answer, ["t NO [AUTHENTICATIONFAILED] AUTHENTICATE failed."]);
    assert_eq!(client.command("LIST \"\" *").await, ["t BAD Log in first"]);
}

#[tokio::test]
async fn authenticate_works_with_and_without_an_initial_response() {
    let (_store, server) = server_with(|options| options.access_token = Some("token".into()));
    let plain = BASE64.encode("\0monitor\0pa\"ss");
    let xoauth2 = BASE64.encode("user=monitor\x01auth=Bearer token\x01\x01");
    for (mechanism, response) in [("PLAIN", plain), ("XOAUTH2", xoauth2)] {
        let mut client = Client::connect(&server).await;
        client.line().await;
        let answer = client.command(&format!("AUTHENTICATE {mechanism} {response}")).await;
        assert!(answer[0].starts_with("t OK"), "{answer:?}");

        let mut client = Client::connect(&server).await;
        client.line().await;
        client.send(&format!("t AUTHENTICATE {mechanism}\r\n")).await;
        assert_eq!(client.line().await, "+ ");
        client.send(&format!("{response}\r\n")).await;
        assert!(client.line().await.starts_with("t OK"));
    }
}

#[tokio::test]
async fn a_refused_token_gets_a_challenge_before_the_no() {
    let (_store, server) = server();
    let mut client = Client::connect(&server).await;
    client.line().await;
    let response = BASE64.encode("user=monitor\x01auth=Bearer old\x01\x01");
    client.send(&format!("t AUTHENTICATE XOAUTH2 {response}\r\n")).await;
    let challenge = client.line().await;
    let json = BASE64.decode(challenge.strip_prefix("+ ").unwrap()).unwrap();
    assert_eq!(serde_json::from_slice::<serde_json::Value>(&json).unwrap()["status"], "400");
    client.expect_silence().await;
    client.send("\r\n").await;
    assert_eq!(client.line().await, "t NO AUTHENTICATE failed.");
}

#[tokio::test]
async fn what_is_not_offered_is_not_understood() {
    let (_store, server) = server_with(|options| options.capabilities = vec!["IMAP4rev1".into()]);
    let mut client = Client::connect(&server).await;
    client.line().await;
    assert_eq!(client.command("AUTHENTICATE PLAIN AAAA").await, ["t BAD An initial response needs SASL-IR"]);
    assert_eq!(client.command("AUTHENTICATE PLAIN").await, ["t NO [CANNOT] Unknown mechanism"]);
    client.command("LOGIN monitor \"pa\\\"ss\"").await;
    assert_eq!(client.command("IDLE").await, ["t BAD Unknown command IDLE"]);
}

#[tokio::test]
async fn folders_are_listed_and_their_status_told() {
    let (store, server) = server();
    store.create("Junk &AOk-mail");
    let mut client = Client::login(&server).await;
    assert_eq!(
        client.command("LIST \"\" *").await,
        [
            "* LIST (\\HasNoChildren) \"/\" \"INBOX\"",
            "* LIST (\\HasNoChildren) \"/\" \"Junk &AOk-mail\"",
            "t OK LIST completed"
        ]
    );
    assert_eq!(client.command("LIST \"\" inbox").await.len(), 2);
    assert_eq!(client.command("LIST \"\" \"\"").await[0], "* LIST (\\Noselect) \"/\" \"\"");
    assert_eq!(
        client.command("STATUS inbox (MESSAGES UIDNEXT UIDVALIDITY)").await,
        ["* STATUS \"inbox\" (MESSAGES 2 UIDNEXT 3 UIDVALIDITY 1)", "t OK STATUS completed"]
    );
    assert_eq!(client.command("STATUS inbox (SIZE)").await, ["t BAD Unknown STATUS item SIZE"]);
    assert_eq!(
        client.command("STATUS None (MESSAGES)").await,
        ["t NO [NONEXISTENT] There is no folder \"None\""]
    );
}

#[tokio::test]
async fn quota_and_size_are_told_where_they_are_offered() {
    let (_store, server) = server_with(|options| {
        options.capabilities.extend(["QUOTA".to_owned(), "STATUS=SIZE".to_owned()]);
    });
    let mut client = Client::login(&server).await;
    let size = format!("* STATUS \"inbox\" (SIZE {})", FIRST.len() + SECOND.len());
    assert_eq!(client.command("STATUS inbox (SIZE)").await[0], size);
    assert_eq!(client.command("GETQUOTAROOT INBOX").await, ["t OK GETQUOTAROOT completed"]);
    server.set_quota("* QUOTA \"\" (STORAGE 10 512)\r\n");
    assert_eq!(client.command("GETQUOTAROOT INBOX").await[0], "* QUOTA \"\" (STORAGE 10 512)");

    let (_store, plain) = server_with(|_| ());
    let mut client = Client::login(&plain).await;
    assert_eq!(client.command("GETQUOTAROOT INBOX").await, ["t BAD Unknown command GETQUOTAROOT"]);
}

#[tokio::test]
async fn examine_tells_the_folders_numbers() {
    let (store, server) = server();
    store.expunge("INBOX", 2);
    let mut client = Client::login(&server).await;
    let answer = client.command("EXAMINE INBOX").await;
    for expected in [
        "* 1 EXISTS",
        "* 0 RECENT",
        "* OK [UIDVALIDITY 1] UIDs valid",
        "* OK [UIDNEXT 3] Predicted next UID",
        "t OK [READ-ONLY] EXAMINE completed",
    ] {
        assert!(answer.iter().any(|line| line == expected), "{expected}: {answer:?}");
    }
    assert!(client.command("EXAMINE None").await[0].starts_with("t NO [NONEXISTENT]"));
    assert_eq!(client.command("UID FETCH 1 (UID)").await, ["t BAD No folder is open"]);
}

#[tokio::test]
async fn fetch_gives_each_item_in_the_order_asked() {
    let (_store, server) = server();
    let mut client = Client::examine(&server).await;
    let answer = client.command("UID FETCH 1:* (UID RFC822.SIZE INTERNALDATE FLAGS)").await;
    let size = |mail: &str| mail.len();
    assert_eq!(
        answer,
        [
            format!(
                "* 1 FETCH (UID 1 RFC822.SIZE {} INTERNALDATE \" 3-Nov-2026 03:04:05 +0000\" FLAGS ())",
                size(FIRST)
            ),
            format!(
                "* 2 FETCH (UID 2 RFC822.SIZE {} INTERNALDATE \"20-Nov-2026 03:04:05 +0000\" FLAGS ())",
                size(SECOND)
            ),
            "t OK UID FETCH completed".to_owned()
        ]
    );
    assert_eq!(client.command("UID FETCH 7:9 (UID)").await, ["t OK UID FETCH completed"]);
    assert_eq!(client.command("UID FETCH 9:* FLAGS").await[0], "* 2 FETCH (UID 2 FLAGS ())");
    assert_eq!(client.command("FETCH 2 (UID)").await[0], "* 2 FETCH (UID 2)");
    for broken in
        ["UID FETCH 1", "UID FETCH 1 (ENVELOPE)", "UID FETCH x (UID)", "UID FETCH 1 (UID", "FETCH 1 ()"]
    {
        assert!(client.command(broken).await[0].starts_with("t BAD "), "{broken}");
    }
}

#[tokio::test]
async fn fetch_gives_bodies_whole_and_in_part() {
    let (_store, server) = server();
    let mut client = Client::examine(&server).await;
    let (header, text) = FIRST.split_at(FIRST.find("First body").unwrap());
    let cases = [
        ("BODY.PEEK[]", "BODY[]", FIRST),
        ("BODY.PEEK[HEADER]", "BODY[HEADER]", header),
        ("BODY.PEEK[TEXT]", "BODY[TEXT]", text),
        ("BODY.PEEK[]<0.10>", "BODY[]<0>", FIRST.split_at(10).0),
        ("BODY.PEEK[]<5.4000>", "BODY[]<5>", FIRST.split_at(5).1),
        ("BODY.PEEK[]<4000.10>", "BODY[]<4000>", ""),
        (
            "BODY.PEEK[HEADER.FIELDS (Subject x-long)]",
            "BODY[HEADER.FIELDS (Subject x-long)]",
            "Subject: DRYRUN.OK\r\nX-Long: a\r\n b\r\n\r\n",
        ),
        (
            "BODY.PEEK[HEADER.FIELDS.NOT (Subject X-Long)]<0.3>",
            "BODY[HEADER.FIELDS.NOT (Subject X-Long)]<0>",
            "To:",
        ),
    ];
    for (item, label, part) in cases {
        let answer = client.command(&format!("UID FETCH 1 ({item})")).await.join("\r\n");
        let expected =
            format!("* 1 FETCH (UID 1 {label} {{{}}}\r\n{part})\r\nt OK UID FETCH completed", part.len());
        assert_eq!(answer, expected, "{item}");
    }
    for broken in
        ["BODY.PEEK[", "BODY.PEEK[]<0>", "BODY.PEEK[]<0.0>", "BODY.PEEK[1]", "BODY.PEEK[HEADER.FIELDS]"]
    {
        let answer = client.command(&format!("UID FETCH 1 ({broken})")).await;
        assert!(answer[0].starts_with("t BAD "), "{broken}: {answer:?}");
    }
}

#[tokio::test]
async fn search_finds_by_uid_date_and_header() {
    let (_store, server) = server();
    let mut client = Client::examine(&server).await;
    let cases = [
        ("ALL", "1 2"),
        ("UID 2:*", "2"),
        ("1", "1"),
        ("SINCE 20-Nov-2026", "2"),
        ("BEFORE 20-Nov-2026", "1"),
        ("ON 3-Nov-2026", "1"),
        ("HEADER subject eshop.nok", "2"),
        ("TO \"BRESSE1+monitor@\"", "1"),
        ("CHARSET UTF-8 HEADER X-Long \"a b\" ALL", "1"),
        ("ALL SINCE 21-Nov-2026", ""),
    ];
    for (key, expected) in cases {
        let expected = format!("* SEARCH {expected}");
        let answer = client.command(&format!("UID SEARCH {key}")).await;
        assert_eq!(answer, [expected.trim_end(), "t OK UID SEARCH completed"], "{key}");
    }
    for broken in ["", "XFOO", "SINCE yesterday", "HEADER Subject", "ALL ", "CHARSET KOI8-R ALL", "UNSEEN"] {
        let answer = client.command(&format!("UID SEARCH {broken}")).await;
        assert!(answer[0].starts_with("t BAD "), "{broken}: {answer:?}");
    }
}

#[tokio::test]
async fn changes_in_the_open_folder_are_told() {
    let (store, server) = server();
    let mut client = Client::examine(&server).await;
    store.append("INBOX", "a: b\r\n\r\n", date(21));
    store.append("INBOX", "a: b\r\n\r\n", date(21));
    assert_eq!(client.command("NOOP").await, ["* 4 EXISTS", "t OK NOOP completed"]);
    store.expunge("INBOX", 1);
    store.expunge("INBOX", 3);
    assert_eq!(client.command("NOOP").await, ["* 3 EXPUNGE", "* 1 EXPUNGE", "t OK NOOP completed"]);
    assert_eq!(client.command("UID SEARCH ALL").await[0], "* SEARCH 2 4");
    store.append("INBOX", "a: b\r\n\r\n", date(21));
    let answer = client.command("UID FETCH 5:* (UID)").await;
    assert_eq!(answer, ["* 3 EXISTS", "* 3 FETCH (UID 5)", "t OK UID FETCH completed"]);
    store.expunge("INBOX", 2);
    let answer = client.command("FETCH 1 (UID)").await;
    assert_eq!(answer, ["* 1 FETCH (UID 2)", "t OK FETCH completed"], "numbers moved under a FETCH");
    assert_eq!(client.command("NOOP").await, ["* 1 EXPUNGE", "t OK NOOP completed"]);
    store.set_uidvalidity("INBOX", 2);
    client.send("t NOOP\r\n").await;
    assert_eq!(client.rest().await, "* BYE Mailbox UIDVALIDITY changed\r\n");
}

#[tokio::test]
async fn idle_pushes_changes_until_done() {
    let (store, server) = server();
    let mut client = Client::examine(&server).await;
    client.send("t IDLE\r\n").await;
    assert_eq!(client.line().await, "+ idling");
    client.expect_silence().await;
    store.append("INBOX", "a: b\r\n\r\n", date(21));
    assert_eq!(client.line().await, "* 3 EXISTS");
    store.expunge("INBOX", 1);
    assert_eq!(client.line().await, "* 1 EXPUNGE");
    store.append("Junk", "a: b\r\n\r\n", date(21));
    client.expect_silence().await;
    // A line in two pieces, with a push between them.
    client.send("DO").await;
    store.append("INBOX", "a: b\r\n\r\n", date(21));
    assert_eq!(client.line().await, "* 3 EXISTS");
    client.send("NE\r\n").await;
    assert_eq!(client.line().await, "t OK IDLE completed");
    assert_eq!(client.command("NOOP").await, ["t OK NOOP completed"]);
}

#[tokio::test]
async fn mails_appended_after_idle_was_counted_are_pushed() {
    let (store, server) = server();
    let mut client = Client::examine(&server).await;
    assert!(!server.wait_for("IDLE", 1, super::SILENCE).await);
    client.send("t IDLE\r\n").await;
    assert!(server.wait_for("IDLE", 1, LIMIT).await);
    store.append("INBOX", "a: b\r\n\r\n", date(21));
    let lines = [client.line().await, client.line().await];
    assert!(lines.contains(&"* 3 EXISTS".to_owned()), "{lines:?}");
}

#[tokio::test]
async fn unselect_and_close_leave_the_folder() {
    let (_store, server) = server();
    for command in ["UNSELECT", "CLOSE"] {
        let mut client = Client::examine(&server).await;
        assert_eq!(client.command(command).await, [format!("t OK {command} completed")]);
        assert_eq!(client.command(command).await, ["t BAD No folder is open"]);
    }
}

#[tokio::test]
async fn reading_is_counted_as_no_change_and_every_change_is_counted() {
    let (store, server) = server();
    let mut client = Client::examine(&server).await;
    client.command("UID FETCH 1:* (UID FLAGS BODY.PEEK[] BODY.PEEK[TEXT])").await;
    client.command("UID SEARCH ALL").await;
    client.command("STATUS INBOX (MESSAGES)").await;
    client.command("CLOSE").await;
    assert!(store.changing_commands().is_empty());

    client.command("SELECT INBOX").await;
    for refused in [
        "STORE 1 +FLAGS (\\Deleted)",
        "UID STORE 1 +FLAGS (\\Seen)",
        "COPY 1 Junk",
        "UID MOVE 1 Junk",
        "EXPUNGE",
        "APPEND INBOX {4+}\r\na: b",
        "CREATE Junk",
    ] {
        let answer = client.command(refused).await;
        assert_eq!(answer, ["t NO [CANNOT] Nothing is changed by IMAP here"], "{refused}");
    }
    for setting_seen in ["BODY[]", "BODY[HEADER]", "RFC822", "RFC822.TEXT"] {
        client.command(&format!("UID FETCH 1 ({setting_seen})")).await;
    }
    client.command("UID FETCH 1 (RFC822.HEADER)").await;
    let counted: Vec<(String, u64)> = store.changing_commands().into_iter().collect();
    let expected = [
        ("APPEND", 1),
        ("COPY", 1),
        ("CREATE", 1),
        ("EXPUNGE", 1),
        ("FETCH without PEEK", 4),
        ("SELECT", 1),
        ("STORE", 1),
        ("UID MOVE", 1),
        ("UID STORE", 1),
    ];
    assert_eq!(counted, expected.map(|(name, count)| (name.to_owned(), count)));
    assert_eq!(store.mails("INBOX").len(), 2);
}

#[tokio::test]
async fn commands_are_counted_by_name() {
    let (_store, server) = server();
    let mut client = Client::examine(&server).await;
    client.command("uid fetch 1 (UID)").await;
    client.command("XFOO").await;
    client.command("UID XBAR").await;
    let counted: Vec<(String, u64)> = server.commands().into_iter().collect();
    let expected = [("?", 2), ("EXAMINE", 1), ("LOGIN", 1), ("UID FETCH", 1)];
    assert_eq!(counted, expected.map(|(name, count)| (name.to_owned(), count)));
}

#[tokio::test]
async fn too_long_commands_and_literals_end_the_session() {
    let (_store, server) = server();
    for attack in [
        format!("t LOGIN {}", "a".repeat(100_000)),
        "t LOGIN {70000}\r\n".to_owned(),
        "t LOGIN {99999999999999999999+}\r\n".to_owned(),
        format!("t LOGIN {{60000+}}\r\n{} {{60000+}}\r\n", "a".repeat(60_000)),
    ] {
        let mut client = Client::connect(&server).await;
        client.line().await;
        client.send(&attack).await;
        let rest = client.rest().await;
        assert!(rest.starts_with("* BYE The ") && rest.ends_with("is too long\r\n"), "{rest}");
    }
}
