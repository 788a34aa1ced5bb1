use std::time::Duration;

use tokio::net::TcpStream;
use tokio::time::Instant;

use super::super::{Answer, DONE, Fault, GREETING, ImapServer, PUSH};
use super::{Client, FIRST, LIMIT, SECOND, date, server};

const FETCH: &str = "UID FETCH 1:* (UID BODY.PEEK[])";

/// A server with one fault in force until cleared, and a client that has INBOX open.
async fn faulty(fault: Fault) -> (crate::testbed::MailStore, ImapServer, Client<TcpStream>) {
    let (store, server) = server();
    let client = Client::examine(&server).await;
    server.fault(fault);
    (store, server, client)
}

fn mail(uid: u32, body: &str) -> String {
    format!("* {uid} FETCH (UID {uid} BODY[] {{{}}}\r\n{body})\r\n", body.len())
}

#[tokio::test]
async fn a_fault_applies_until_cleared_or_once() {
    let no = || Fault::on("noop", Answer::No("not today".into()));
    let (_store, server, mut client) = faulty(no()).await;
    for _ in 0..3 {
        assert_eq!(client.command("NOOP").await, ["t NO not today"]);
    }
    server.clear_faults();
    assert_eq!(client.command("NOOP").await, ["t OK NOOP completed"]);
    server.fault_once(no());
    assert_eq!(client.command("CHECK").await, ["t OK CHECK completed"]);
    assert_eq!(client.command("NOOP").await, ["t NO not today"]);
    assert_eq!(client.command("NOOP").await, ["t OK NOOP completed"]);
}

#[tokio::test]
async fn a_named_command_is_answered_as_scripted_and_the_session_goes_on() {
    let cases = [
        (Answer::No("no".into()), "t NO no"),
        (Answer::Bad("bad".into()), "t BAD bad"),
        (
            Answer::Throttled { backoff_ms: 299_961 },
            "t NO Request is throttled. Suggested Backoff Time: 299961 milliseconds",
        ),
        (Answer::Bytes(b"\x01{garbage)\r\n".to_vec()), "\x01{garbage)"),
        (Answer::Before("* XFOO (1 2 3)".into()), "* XFOO (1 2 3)"),
    ];
    for (answer, line) in cases {
        let proper_follows = matches!(answer, Answer::Before(_));
        let (_store, _server, mut client) = faulty(Fault::on("UID FETCH", answer)).await;
        client.send("t UID FETCH 1 (UID)\r\n").await;
        assert_eq!(client.line().await, line);
        if proper_follows {
            assert_eq!(client.answer().await, ["* 1 FETCH (UID 1)", "t OK UID FETCH completed"]);
        }
        assert_eq!(client.command("NOOP").await, ["t OK NOOP completed"]);
    }
}

#[tokio::test]
async fn bye_and_eof_end_the_connection() {
    let bye = Fault::on("NOOP", Answer::Bye("Connection is closed. 13".into()));
    for (fault, said) in [(bye, "* BYE Connection is closed. 13\r\n"), (Fault::on("NOOP", Answer::Eof), "")] {
        let (_store, _server, mut client) = faulty(fault).await;
        client.send("t NOOP\r\n").await;
        assert_eq!(client.rest().await, said);
    }
}

#[tokio::test]
async fn a_stalled_connection_stays_open_and_says_nothing() {
    let (_store, server, mut client) = faulty(Fault::on("NOOP", Answer::Stall)).await;
    client.send("t NOOP\r\nt2 CAPABILITY\r\n").await;
    client.expect_silence().await;
    assert_eq!(server.connections(), 1);
    // The others are still served.
    Client::examine(&server).await;
}

#[tokio::test]
async fn the_greeting_can_fail() {
    let cases = [(Answer::Bye("too many".into()), "* BYE too many\r\n"), (Answer::Eof, "")];
    for (answer, said) in cases {
        let (_store, server) = server();
        server.fault_once(Fault::on(GREETING, answer));
        assert_eq!(Client::connect(&server).await.rest().await, said);
        Client::login(&server).await;
    }
    let (_store, server) = server();
    server.fault(Fault::on(GREETING, Answer::Stall));
    Client::connect(&server).await.expect_silence().await;
}

#[tokio::test]
async fn a_fetch_can_fail_after_any_number_of_mails() {
    let sent = [String::new(), mail(1, FIRST), mail(1, FIRST) + &mail(2, SECOND)];
    for (after_mails, sent) in sent.iter().enumerate() {
        let (_store, _server, mut client) = faulty(Fault::InFetch { after_mails, answer: Answer::Eof }).await;
        client.send(&format!("t {FETCH}\r\n")).await;
        assert_eq!(client.rest().await, *sent);

        let (_store, _server, mut client) =
            faulty(Fault::InFetch { after_mails, answer: Answer::No("lost".into()) }).await;
        let answer = client.command(FETCH).await.join("\r\n");
        assert_eq!(answer, format!("{sent}t NO lost"));
    }
    let (_store, _server, mut client) =
        faulty(Fault::InFetch { after_mails: 1, answer: Answer::Stall }).await;
    client.send("t UID FETCH 1:* (UID)\r\n").await;
    assert_eq!(client.line().await, "* 1 FETCH (UID 1)");
    client.expect_silence().await;
}

#[tokio::test]
async fn an_answer_can_be_cut_at_any_byte() {
    let whole = mail(1, FIRST) + &mail(2, SECOND) + "t OK UID FETCH completed\r\n";
    for after_bytes in [0, 1, 40, whole.len() - 1] {
        let (_store, _server, mut client) = faulty(Fault::Cut { after_bytes }).await;
        client.send(&format!("t {FETCH}\r\n")).await;
        assert_eq!(client.rest().await, whole.split_at(after_bytes).0);
    }
    let (_store, server, mut client) = faulty(Fault::Cut { after_bytes: whole.len() }).await;
    assert_eq!(client.command(FETCH).await.join("\r\n") + "\r\n", whole);
    server.clear_faults();
    client.command("NOOP").await;
}

#[tokio::test]
async fn answers_can_come_in_small_pieces() {
    let pause = Duration::from_millis(2);
    let (_store, server, mut client) = faulty(Fault::Chunked { bytes: 3, pause }).await;
    let started = Instant::now();
    let answer = client.command(FETCH).await.join("\r\n");
    assert_eq!(answer, mail(1, FIRST) + &mail(2, SECOND) + "t OK UID FETCH completed");
    let writes = u32::try_from(answer.len() / 3).unwrap();
    assert!(started.elapsed() >= pause * writes, "{:?}", started.elapsed());
    server.clear_faults();
    let started = Instant::now();
    client.command(FETCH).await;
    assert!(started.elapsed() < pause * writes);
}

#[tokio::test]
async fn dates_and_bodies_of_one_mail_can_be_nil() {
    let (_store, server, mut client) = faulty(Fault::NilInternalDate { uid: 1 }).await;
    server.fault(Fault::NilBody { uid: 2 });
    assert_eq!(
        client.command("UID FETCH 1:* (INTERNALDATE BODY.PEEK[]<0.2>)").await,
        [
            "* 1 FETCH (UID 1 INTERNALDATE NIL BODY[]<0> {2}",
            "To)",
            "* 2 FETCH (UID 2 INTERNALDATE \"20-Nov-2026 03:04:05 +0000\" BODY[]<0> NIL)",
            "t OK UID FETCH completed"
        ]
    );
}

#[tokio::test]
async fn a_huge_literal_is_announced_and_never_completed() {
    let (_store, _server, mut client) = faulty(Fault::HugeLiteral { announced_bytes: 500_000_000 }).await;
    assert_eq!(client.command("UID FETCH 1 (UID)").await.len(), 2);
    client.send(&format!("t {FETCH}\r\n")).await;
    assert_eq!(client.line().await, "* 1 FETCH (UID 1 BODY[] {500000000}");
    for line in FIRST.trim_end().split("\r\n") {
        assert_eq!(client.line().await, line);
    }
    client.expect_silence().await;
}

#[tokio::test]
async fn the_right_password_can_be_refused() {
    let (_store, server) = server();
    server.fault_once(Fault::LoginRefused);
    let mut client = Client::connect(&server).await;
    client.line().await;
    let login = "LOGIN monitor \"pa\\\"ss\"";
    assert_eq!(client.command(login).await, ["t NO [AUTHENTICATIONFAILED] LOGIN failed."]);
    assert!(client.command(login).await[0].starts_with("t OK"));
}

#[tokio::test]
async fn idle_can_be_preceded_by_a_burst() {
    let (_store, _server, mut client) = faulty(Fault::IdleBurst { lines: 3 }).await;
    client.send("t IDLE\r\n").await;
    let lines = [client.line().await, client.line().await, client.line().await, client.line().await];
    assert_eq!(lines, ["* 2 EXISTS", "* 2 EXISTS", "* 2 EXISTS", "+ idling"]);
}

#[tokio::test]
async fn idle_can_be_refused_or_dead() {
    let (_store, _server, mut client) = faulty(Fault::on("IDLE", Answer::No("no idling".into()))).await;
    assert_eq!(client.command("IDLE").await, ["t NO no idling"]);

    let (store, _server, mut client) = faulty(Fault::IdleDead).await;
    client.send("t IDLE\r\n").await;
    assert_eq!(client.line().await, "+ idling");
    store.append("INBOX", "a: b\r\n\r\n", date(21));
    client.expect_silence().await;
    client.send("DONE\r\n").await;
    assert_eq!(client.line().await, "t OK IDLE completed");
    assert_eq!(client.command("NOOP").await[0], "* 3 EXISTS");
}

#[tokio::test]
async fn idle_can_fail_when_it_would_push() {
    let cases = [
        (Answer::Bye("13".into()), "* BYE 13\r\n"),
        (Answer::Eof, ""),
        (Answer::No("enough".into()), "t NO enough\r\n"),
        (Answer::Bytes(b"* XFOO\r\n".to_vec()), "* XFOO\r\nt OK IDLE completed\r\n"),
        (Answer::Before("* XFOO".into()), "* XFOO\r\n* 3 EXISTS\r\nt OK IDLE completed\r\n"),
    ];
    for (answer, said) in cases {
        let goes_on = said.contains("IDLE completed");
        let ends = said.starts_with("* BYE") || said.is_empty();
        let (store, _server, mut client) = faulty(Fault::on(PUSH, answer)).await;
        client.send("t IDLE\r\n").await;
        assert_eq!(client.line().await, "+ idling");
        store.append("INBOX", "a: b\r\n\r\n", date(21));
        if ends {
            assert_eq!(client.rest().await, said);
            continue;
        }
        if goes_on {
            client.send("DONE\r\n").await;
        }
        assert_eq!(client.answer().await.join("\r\n") + "\r\n", said);
        assert_eq!(client.command("NOOP").await.last().unwrap(), "t OK NOOP completed");
    }
}

#[tokio::test]
async fn the_end_of_idle_can_stall() {
    let (_store, _server, mut client) = faulty(Fault::on(DONE, Answer::Stall)).await;
    client.send("t IDLE\r\n").await;
    assert_eq!(client.line().await, "+ idling");
    client.send("DONE\r\n").await;
    client.expect_silence().await;
}

#[tokio::test]
async fn a_stopped_server_refuses_and_comes_back_on_its_port() {
    let (_store, server) = server();
    let address = server.address();
    let mut idle = Client::examine(&server).await;
    idle.send("t IDLE\r\n").await;
    assert_eq!(idle.line().await, "+ idling");
    for _ in 0..3 {
        server.stop().await.unwrap();
        let refused = TcpStream::connect(address).await.unwrap_err();
        assert_eq!(refused.kind(), std::io::ErrorKind::ConnectionRefused);
        server.restart().await.unwrap();
        assert_eq!(server.address(), address);
        Client::examine(&server).await;
    }
    assert_eq!(idle.rest().await, "");
}

#[tokio::test]
async fn the_port_of_a_stopped_server_is_nobody_elses() {
    let (_store, server) = server();
    server.stop().await.unwrap();
    // Without SO_REUSEADDR, as sockets get a port that did not ask for this one.
    let other = tokio::net::TcpSocket::new_v4().unwrap();
    assert!(other.bind(server.address()).is_err());
}

#[tokio::test]
async fn dropped_connections_end_and_new_ones_are_served() {
    let (_store, server) = server();
    let mut clients = [Client::examine(&server).await, Client::examine(&server).await];
    assert_eq!(server.connections(), 2);
    server.drop_connections().await;
    for client in &mut clients {
        assert_eq!(client.rest().await, "");
    }
    assert_eq!(server.connections(), 0);
    Client::examine(&server).await;
}

#[tokio::test]
async fn a_dropped_server_ends_its_sessions_and_frees_its_port() {
    let (_store, server) = server();
    let address = server.address();
    let mut client = Client::examine(&server).await;
    drop(server);
    assert_eq!(client.rest().await, "");
    let refused = tokio::time::timeout(LIMIT, async {
        while TcpStream::connect(address).await.is_ok() {
            tokio::task::yield_now().await;
        }
    });
    refused.await.expect("the port still answers");
}
