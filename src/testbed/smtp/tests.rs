use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use lettre::transport::smtp::authentication::Credentials;
use lettre::{AsyncSmtpTransport, AsyncTransport, Message, Tokio1Executor};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout};

use super::{Delivery, SmtpFault, SmtpOptions, SmtpSink, Stage};
use crate::testbed::net::test_tls;
use crate::testbed::{MailStore, Tls};

const LIMIT: Duration = Duration::from_secs(10);
const SILENCE: Duration = Duration::from_millis(150);
const MAIL: &str = "Subject: DRYRUN.OK\r\n\r\n..twice\r\n.once\r\nend\r\n";

fn sink() -> SmtpSink {
    SmtpSink::start(SmtpOptions::default()).unwrap()
}

struct Client {
    stream: BufReader<TcpStream>,
}

impl Client {
    async fn connect(sink: &SmtpSink) -> Self {
        Self { stream: BufReader::new(TcpStream::connect(sink.address()).await.unwrap()) }
    }

    /// Greeted, and past EHLO.
    async fn hello(sink: &SmtpSink) -> Self {
        let mut client = Self::connect(sink).await;
        assert_eq!(client.reply().await, "220 mail.testbed.example ESMTP testbed");
        assert!(client.command("EHLO bresse1.example").await.starts_with("250-mail.testbed.example\r\n"));
        client
    }

    /// All lines of one reply; empty at the end of the connection.
    async fn reply(&mut self) -> String {
        let mut reply = String::new();
        loop {
            let before = reply.len();
            timeout(LIMIT, self.stream.read_line(&mut reply)).await.expect("no reply came").unwrap();
            if reply.split_at(before).1.as_bytes().get(3) != Some(&b'-') {
                return reply.trim_end().to_owned();
            }
        }
    }

    async fn send(&mut self, text: &str) {
        self.stream.write_all(text.as_bytes()).await.unwrap();
    }

    async fn command(&mut self, line: &str) -> String {
        self.send(&format!("{line}\r\n")).await;
        self.reply().await
    }

    /// Sends [`MAIL`]; returns the reply to the step that was not accepted, or to the final dot.
    async fn mail(&mut self) -> String {
        for command in ["MAIL FROM:<a@example.com> SIZE=50", "RCPT TO:<b@example.com>", "DATA"] {
            let reply = self.command(command).await;
            if !reply.starts_with("250 ") && !reply.starts_with("354 ") {
                return reply;
            }
        }
        self.send(&MAIL.replace("\r\n.", "\r\n..")).await;
        self.command(".").await
    }

    async fn expect_silence(&mut self) {
        let waited = timeout(SILENCE, self.stream.fill_buf()).await;
        assert!(waited.is_err(), "something came: {waited:?}");
    }

    async fn expect_end(&mut self) {
        let mut rest = Vec::new();
        timeout(LIMIT, self.stream.read_to_end(&mut rest))
            .await
            .expect("the connection did not end")
            .unwrap();
        assert_eq!(rest, b"");
    }
}

#[tokio::test]
async fn an_accepted_mail_is_kept_as_it_was_sent() {
    let sink = sink();
    let mut client = Client::hello(&sink).await;
    let before = crate::clock::now();
    assert_eq!(client.mail().await, "250 2.0.0 Accepted");
    client.command("MAIL FROM:<>").await;
    client.command("RCPT TO:<b@example.com>").await;
    client.command("rcpt to:<c@example.com>").await;
    client.command("DATA").await;
    assert_eq!(client.command("x\r\n.").await, "250 2.0.0 Accepted");
    assert_eq!(client.command("QUIT").await, "221 2.0.0 Bye");

    let mail = sink.next_mail(LIMIT).await.unwrap();
    assert_eq!(
        (mail.from.as_str(), mail.to.as_slice()),
        ("a@example.com", &["b@example.com".to_owned()][..])
    );
    assert_eq!(mail.bytes, MAIL.as_bytes());
    assert!(before <= mail.accepted_at && mail.accepted_at <= crate::clock::now());
    let report = sink.next_mail(LIMIT).await.unwrap();
    assert_eq!((report.from.as_str(), report.to.len()), ("", 2));
    assert_eq!(sink.next_mail(SILENCE).await, None);
    assert_eq!(sink.mails(), [mail, report]);
}

#[tokio::test]
async fn next_mail_waits_for_the_mail() {
    let sink = Arc::new(sink());
    let waiting = tokio::spawn({
        let sink = Arc::clone(&sink);
        async move { sink.next_mail(LIMIT).await }
    });
    tokio::time::sleep(SILENCE).await;
    assert!(!waiting.is_finished());
    Client::hello(&sink).await.mail().await;
    assert!(waiting.await.unwrap().is_some());
}

#[tokio::test]
async fn commands_out_of_order_are_refused() {
    let sink = sink();
    let mut client = Client::connect(&sink).await;
    client.reply().await;
    for (command, code) in [
        ("MAIL FROM:<a@example.com>", "503 "),
        ("EHLO x", "250-"),
        ("RCPT TO:<b@example.com>", "503 "),
        ("DATA", "503 "),
        ("MAIL FROM: a@example.com", "501 "),
        ("MAIL", "501 "),
        ("MAIL FROM:<a@example.com>", "250 "),
        ("DATA", "503 "),
        ("RCPT TO:<>", "501 "),
        ("RCPT TO:<b@example.com>", "250 "),
        ("RSET", "250 "),
        ("DATA", "503 "),
        ("AUTH PLAIN AAAA", "503 "),
        ("STARTTLS", "500 "),
        ("XFOO", "500 "),
        ("NOOP", "250 "),
        ("HELO x", "250 "),
    ] {
        let reply = client.command(command).await;
        assert!(reply.starts_with(code), "{command}: {reply}");
    }
    assert!(sink.mails().is_empty());
}

#[tokio::test]
async fn recipients_and_sizes_are_bounded() {
    let sink = sink();
    let mut client = Client::hello(&sink).await;
    client.command("MAIL FROM:<a@example.com>").await;
    for _ in 0..100 {
        assert!(client.command("RCPT TO:<b@example.com>").await.starts_with("250 "));
    }
    assert!(client.command("RCPT TO:<b@example.com>").await.starts_with("452 "));
    client.command("DATA").await;
    let line = format!("{}\r\n", "x".repeat(998));
    client.send(&line.repeat(16 * 1024 * 1024 / line.len() + 1)).await;
    assert_eq!(client.reply().await, "552 5.3.4 The mail is too large");
    client.expect_end().await;

    let mut client = Client::hello(&sink).await;
    client.send(&"x".repeat(5000)).await;
    client.expect_end().await;
    assert!(sink.mails().is_empty());
}

#[tokio::test]
async fn a_login_is_demanded_when_configured() {
    let login = Some(("user".to_owned(), "secret".to_owned()));
    let sink = SmtpSink::start(SmtpOptions { login, ..SmtpOptions::default() }).unwrap();
    let mut client = Client::hello(&sink).await;
    assert!(client.mail().await.starts_with("530 "));
    let wrong = BASE64.encode("\0user\0wrong");
    assert!(client.command(&format!("AUTH PLAIN {wrong}")).await.starts_with("535 "));
    assert!(client.command("AUTH XFOO").await.starts_with("504 "));
    assert!(client.mail().await.starts_with("530 "));

    assert_eq!(client.command("AUTH PLAIN").await, "334");
    assert!(client.command(&BASE64.encode("\0user\0secret")).await.starts_with("235 "));
    assert!(client.mail().await.starts_with("250 "));

    let mut client = Client::hello(&sink).await;
    assert_eq!(client.command("AUTH LOGIN").await, "334 VXNlcm5hbWU6");
    assert_eq!(client.command(&BASE64.encode("user")).await, "334 UGFzc3dvcmQ6");
    assert!(client.command(&BASE64.encode("secret")).await.starts_with("235 "));
    assert!(client.mail().await.starts_with("250 "));
}

#[tokio::test]
async fn each_stage_can_be_refused_hang_or_end() {
    use Stage::{Data, Dot, Greeting, Hello, Mail, Rcpt};
    for at in [Greeting, Hello, Mail, Rcpt, Data, Dot] {
        let sink = sink();
        sink.fault_once(SmtpFault::Reply { at, code: 451, text: "4.3.0 Later".into() });
        let mut client = Client::connect(&sink).await;
        let greeting = client.reply().await;
        let hello = client.command("EHLO x").await;
        let mail = client.mail().await;
        let expected = match at {
            Greeting => greeting,
            Hello => hello,
            _ => mail,
        };
        assert_eq!(expected, "451 4.3.0 Later", "{at:?}");
        client.command("EHLO x").await;
        assert_eq!(client.mail().await, "250 2.0.0 Accepted", "{at:?}");
        // A refused greeting does not keep this client from going on.
        assert_eq!(sink.mails().len(), if at == Greeting { 2 } else { 1 }, "{at:?}");
    }
    let steps = [(Mail, "MAIL FROM:<a@b>"), (Rcpt, "RCPT TO:<a@b>"), (Data, "DATA"), (Dot, "x\r\n.")];
    for (index, (at, _)) in steps.iter().enumerate() {
        for fault in [SmtpFault::Hang { at: *at }, SmtpFault::Drop { at: *at }] {
            let sink = sink();
            let mut client = Client::hello(&sink).await;
            sink.fault(fault.clone());
            for (_, command) in &steps[..index] {
                client.command(command).await;
            }
            client.send(&format!("{}\r\n", steps[index].1)).await;
            match fault {
                SmtpFault::Hang { .. } => client.expect_silence().await,
                _ => client.expect_end().await,
            }
            assert!(sink.mails().is_empty(), "{fault:?}");
        }
    }
}

#[tokio::test]
async fn a_permanent_refusal_lasts_until_cleared() {
    let sink = sink();
    sink.fault(SmtpFault::Reply {
        at: Stage::Rcpt,
        code: 550,
        text: "5.7.68 TenantInboundAttribution".into(),
    });
    let mut client = Client::hello(&sink).await;
    for _ in 0..3 {
        assert_eq!(client.mail().await, "550 5.7.68 TenantInboundAttribution");
    }
    sink.clear_faults();
    assert_eq!(client.mail().await, "250 2.0.0 Accepted");
}

#[tokio::test]
async fn a_mail_can_be_kept_although_its_sender_never_hears() {
    for fault in [SmtpFault::AcceptThenDrop, SmtpFault::AcceptThenHang] {
        let sink = sink();
        sink.fault_once(fault.clone());
        let mut client = Client::hello(&sink).await;
        for command in ["MAIL FROM:<a@b>", "RCPT TO:<a@b>", "DATA"] {
            client.command(command).await;
        }
        client.send("x\r\n.\r\n").await;
        assert_eq!(sink.next_mail(LIMIT).await.unwrap().bytes, b"x\r\n");
        match fault {
            SmtpFault::AcceptThenDrop => client.expect_end().await,
            _ => client.expect_silence().await,
        }
        assert_eq!(Client::hello(&sink).await.mail().await, "250 2.0.0 Accepted");
    }
}

#[tokio::test]
async fn a_slow_server_pauses_before_each_reply() {
    let sink = sink();
    let pause = Duration::from_millis(30);
    sink.fault(SmtpFault::Slow { pause });
    let started = Instant::now();
    assert_eq!(Client::hello(&sink).await.mail().await, "250 2.0.0 Accepted");
    assert!(started.elapsed() >= pause * 6, "{:?}", started.elapsed());
}

#[tokio::test]
async fn a_421_ends_the_connection() {
    let sink = sink();
    sink.fault(SmtpFault::Reply { at: Stage::Mail, code: 421, text: "4.3.2 Shutting down".into() });
    let mut client = Client::hello(&sink).await;
    assert_eq!(client.mail().await, "421 4.3.2 Shutting down");
    client.expect_end().await;
}

#[tokio::test]
async fn a_stopped_sink_refuses_and_comes_back_on_its_port() {
    let sink = sink();
    let mut client = Client::hello(&sink).await;
    sink.stop().await.unwrap();
    client.expect_end().await;
    assert!(TcpStream::connect(sink.address()).await.is_err());
    sink.restart().await.unwrap();
    assert_eq!(Client::hello(&sink).await.mail().await, "250 2.0.0 Accepted");
}

#[tokio::test]
async fn mails_are_delivered_into_folders_with_their_trace() {
    let store = MailStore::new();
    let folder_of = |recipient: &str| recipient.ends_with("@example.com").then(|| "INBOX".to_owned());
    let delivery = Some(Delivery { store: store.clone(), folder_of: Arc::new(folder_of) });
    let sink = SmtpSink::start(SmtpOptions { delivery, ..SmtpOptions::default() }).unwrap();
    let mut client = Client::hello(&sink).await;
    client.command("MAIL FROM:<a@example.com>").await;
    assert_eq!(client.command("RCPT TO:<x@elsewhere>").await, "550 5.1.1 No such mailbox here");
    assert_eq!(client.mail().await, "250 2.0.0 Accepted");
    let accepted = sink.next_mail(LIMIT).await.unwrap();
    let mails = store.mails("INBOX");
    assert_eq!(mails.len(), 1);
    assert_eq!(mails[0].internal_date, accepted.accepted_at);
    let expected = format!(
        "Return-Path: <a@example.com>\r\nDelivered-To: b@example.com\r\nReceived: from bresse1.example ([127.0.0.1])\
         \r\n\tby mail.testbed.example with ESMTP\r\n\tfor <b@example.com>; {}\r\n{MAIL}",
        accepted.accepted_at.to_rfc2822()
    );
    assert_eq!(String::from_utf8_lossy(&mails[0].bytes), expected);
    assert!(store.changing_commands().is_empty());
}

#[tokio::test]
async fn starttls_is_needed_first_and_then_login_is_offered() {
    let (acceptor, connector) = test_tls::pair();
    let login = Some(("user".to_owned(), "secret".to_owned()));
    let options = SmtpOptions { tls: Tls::Starttls(acceptor), login, ..SmtpOptions::default() };
    let sink = SmtpSink::start(options).unwrap();
    let mut client = Client::hello(&sink).await;
    assert!(client.mail().await.starts_with("530 "));
    let plain = BASE64.encode("\0user\0secret");
    assert!(client.command(&format!("AUTH PLAIN {plain}")).await.starts_with("538 "));
    let hello = client.command("EHLO x").await;
    assert!(hello.ends_with("250 STARTTLS") && !hello.contains("AUTH"), "{hello}");
    assert!(client.command("STARTTLS").await.starts_with("220 "));
    let stream = connector.connect(test_tls::name(), client.stream.into_inner()).await.unwrap();
    let mut stream = BufReader::new(stream);
    stream.write_all(b"MAIL FROM:<a@b>\r\nEHLO x\r\nQUIT\r\n").await.unwrap();
    let mut rest = String::new();
    timeout(LIMIT, stream.read_to_string(&mut rest)).await.unwrap().unwrap();
    assert!(rest.starts_with("503 5.5.1 EHLO first\r\n"), "{rest}");
    assert!(rest.contains("250 AUTH PLAIN LOGIN XOAUTH2\r\n") && !rest.contains("STARTTLS"), "{rest}");
}

#[tokio::test]
async fn lettre_is_understood() {
    let login = Some(("user".to_owned(), "secret".to_owned()));
    let sink = SmtpSink::start(SmtpOptions { login, ..SmtpOptions::default() }).unwrap();
    let transport = AsyncSmtpTransport::<Tokio1Executor>::builder_dangerous("127.0.0.1")
        .port(sink.address().port())
        .credentials(Credentials::new("user".into(), "secret".into()))
        .build();
    let mail = Message::builder()
        .from("bresse1@example.com".parse().unwrap())
        .to("bresse1+monitor@example.com".parse().unwrap())
        .subject("DRYRUN.OK")
        .body("MSSQL1_Service.OK\r\n.\r\nend".to_owned())
        .unwrap();
    transport.send(mail.clone()).await.unwrap();
    let accepted = sink.next_mail(LIMIT).await.unwrap();
    assert_eq!(accepted.to, ["bresse1+monitor@example.com"]);
    let sent = String::from_utf8(mail.formatted()).unwrap();
    assert_eq!(String::from_utf8(accepted.bytes).unwrap().trim_end(), sent.trim_end());
    sink.fault(SmtpFault::Reply { at: Stage::Dot, code: 452, text: "4.3.1 Later".into() });
    assert!(transport.send(mail).await.unwrap_err().is_transient());
}
