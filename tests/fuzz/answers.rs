//! What others answer when the watchdog asks them: token endpoints, DNS, mail servers and web services behind channels.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream, UdpSocket};
use std::sync::{Arc, LazyLock, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use bresse_watchdog::config::{Config, Sources};
use bresse_watchdog::engine::{Engine, Snapshot};
use bresse_watchdog::independence::Questions;
use bresse_watchdog::outbox::{Message, Sent};
use bresse_watchdog::{channel, dns, imap};
use chrono::{TimeDelta, TimeZone, Utc};
use tokio::runtime::Runtime;

use crate::{Target, Try};

const HTTP: &[&str] = &[
    "HTTP/1.1 200 OK\r\n",
    "HTTP/1.1 429 Slow down\r\n",
    "HTTP/1.1 100 Continue\r\n\r\n",
    "HTTP/1.0 503 \r\n",
    "Content-Length: 0\r\n",
    "Content-Length: 99999999999\r\n",
    "Transfer-Encoding: chunked\r\n\r\nffffffff\r\n",
    "Retry-After: 99999999999999999999\r\n",
    "Retry-After: Fri, 31 Dec 9999 23:59:59 GMT\r\n",
    "Location: http://127.0.0.1:1/\r\n",
    "{\"access_token\":\"",
    "\"expires_in\":18446744073709551615",
    "\"expires_in\":-1e999",
    "{\"error\":\"",
    "\"error_description\":\"",
    "\\ud800",
    "[[[[[[[[",
    "throttled",
];
const SMTP: &[&str] = &[
    "250 ",
    "250-",
    "220 ",
    "354 ",
    "421 4.7.0 ",
    "550 5.1.1 ",
    "999 ",
    "250-AUTH LOGIN PLAIN XOAUTH2\r\n",
    "250-STARTTLS\r\n",
    "250-SIZE 1\r\n",
    "250 8BITMIME\r\n",
    "250 SMTPUTF8\r\n",
    "\r\n=\r\n",
];
/// Nobody is waited for on loopback for longer; but a resolver repeats its question.
const SOON: Duration = Duration::from_secs(25);
/// What is repeated of a far side's own words, with the sentence around them.
const WORDS_MAX: usize = 1_000;

/// One for all targets.
static RUNTIME: LazyLock<Mutex<Runtime>> = LazyLock::new(|| {
    Mutex::new(tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime"))
});

pub(crate) fn targets() -> Vec<Target> {
    vec![oauth(), dns(), smtp(), webhooks()]
}

fn target(name: &'static str, corpus: Vec<Vec<u8>>, words: &'static [&'static str], run: Try) -> Target {
    Target { name, corpus, words, executions: 150, measured: false, run }
}

/// What ends, ends soon.
fn in_time<T>(work: impl Future<Output = T>) -> T {
    let begun = Instant::now();
    let done = RUNTIME.lock().unwrap_or_else(PoisonError::into_inner).block_on(work);
    assert!(begun.elapsed() < SOON, "{:?}", begun.elapsed());
    done
}

/// A sentence for logs and alarms stays on its line, and within bounds.
fn assert_is_a_sentence(text: &str) {
    assert!(text.chars().count() <= WORDS_MAX, "{} characters", text.chars().count());
    assert!(!text.chars().any(|c| c.is_control() && c != '\n'), "{text:?}");
}

/// Says what it is told to, piece by piece: each after something has come, but the first at once when it is to.
struct Speaker {
    port: u16,
    pieces: Arc<Mutex<Vec<Vec<u8>>>>,
}

impl Speaker {
    fn start(begins: bool) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let pieces = Arc::new(Mutex::new(Vec::<Vec<u8>>::new()));
        let told = Arc::clone(&pieces);
        thread::spawn(move || {
            for stream in listener.incoming() {
                let (stream, pieces) = (stream.unwrap(), told.lock().unwrap().clone());
                thread::spawn(move || speak(stream, &pieces, begins));
            }
        });
        Self { port, pieces }
    }

    /// The line `=` stands between two pieces.
    fn say(&self, input: &[u8]) {
        let (mut pieces, mut piece) = (Vec::new(), Vec::new());
        for line in input.split_inclusive(|byte| *byte == b'\n') {
            if line == b"=\r\n" {
                pieces.push(std::mem::take(&mut piece));
            } else {
                piece.extend_from_slice(line);
            }
        }
        pieces.push(piece);
        *self.pieces.lock().unwrap() = pieces;
    }
}

fn speak(mut stream: TcpStream, pieces: &[Vec<u8>], begins: bool) -> std::io::Result<()> {
    stream.set_read_timeout(Some(Duration::from_millis(200)))?;
    let mut heard = [0; 16_384];
    for (number, piece) in pieces.iter().enumerate() {
        if (number > 0 || !begins) && stream.read(&mut heard)? == 0 {
            return Ok(());
        }
        stream.write_all(piece)?;
    }
    stream.shutdown(Shutdown::Write)?;
    while stream.read(&mut heard)? > 0 {}
    Ok(())
}

/// A site whose mailbox and channels are at these ports.
fn site(tokens: u16, mails: u16, web: u16) -> Config {
    let text = format!(
        "[watchdog]\nname = \"bresse8\"\n[mailbox]\nhost = \"127.0.0.1\"\nport = {mails}\ntls = \"plain\"\nuser = \"me@x.test\"\n\
         oauth2 = {{ token_url = \"http://127.0.0.1:{tokens}/t\", client_id = \"c\", client_secret = \"hunter2\", scope = \"s\" }}\n\
         [[checker]]\nname = \"bresse1\"\nprovider = \"free\"\ncycle = \"5m\"\ntests = [ {{ service = \"A\", timeout = \"10s\" }} ]\n\
         [[channel]]\nname = \"mail\"\ntype = \"smtp\"\nhost = \"127.0.0.1\"\nport = {mails}\ntls = \"plain\"\n\
         from = \"a@x.test\"\nto = [\"b@x.test\"]\nuser = \"u\"\npassword = \"hunter2\"\n\
         [[channel]]\nname = \"web\"\ntype = \"webhook\"\nurl = \"http://127.0.0.1:{web}/\"\n\
         [[channel]]\nname = \"teams\"\ntype = \"teams\"\nurl = \"http://127.0.0.1:{web}/\"\n\
         [[channel]]\nname = \"manager\"\ntype = \"alertmanager\"\nurl = \"http://127.0.0.1:{web}/\"\n"
    );
    let sources =
        Sources { text: &text, file: "watchdog.toml", environment: &BTreeMap::new(), overrides: &[] };
    Config::load(&sources).unwrap_or_else(|errors| panic!("{errors}"))
}

/// The alarms of a site that cannot read its mailbox, one for each channel.
fn alarms(config: &Config) -> Vec<Message> {
    let begun = Utc.timestamp_opt(1_795_140_000, 0).unwrap();
    let mut engine = Engine::restore(config.clone(), Snapshot::default(), begun);
    engine.look_failed("MONITOR", "it is gone", begun);
    let later = begun + TimeDelta::hours(1);
    engine.tick(later);
    let alarms = engine.take_due(later);
    assert_eq!(alarms.len(), config.channels.len());
    alarms
}

/// Whether each of these channels has taken its alarm.
fn delivered(config: &Config, alarms: &[Message], channels: &[&str]) -> Vec<bool> {
    let send = |name: &&str| {
        let channel = config.channels.iter().find(|channel| channel.name == *name).unwrap();
        let alarm = alarms.iter().find(|alarm| alarm.channel == *name).unwrap();
        let sent = in_time(channel::deliver(channel, alarm, alarm.created));
        match &sent {
            Sent::Accepted(said) | Sent::Refused(said) | Sent::Failed { error: said, .. } => {
                assert_is_a_sentence(said);
            }
        }
        matches!(sent, Sent::Accepted(_))
    };
    channels.iter().map(send).collect()
}

fn oauth() -> Target {
    let (tokens, mails) = (Speaker::start(false), Speaker::start(true));
    let mailbox = site(tokens.port, mails.port, 1).mailboxes.swap_remove(0);
    let answer = |status: &str, body: &str| {
        format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\n\r\n{body}", body.len()).into_bytes()
    };
    let corpus = vec![
        answer("200 OK", r#"{"token_type":"Bearer","expires_in":3599,"access_token":"eyJ0.a-b_c"}"#),
        answer(
            "401 Unauthorized",
            r#"{"error":"invalid_client","error_description":"AADSTS7000222: The provided client secret keys are expired.\r\nTrace ID: 1"}"#,
        ),
        answer("400 Bad Request", r#"{"error":"temporarily_unavailable"}"#),
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n14\r\n{\"access_token\":\"x\"}\r\n0\r\n\r\n"
            .to_vec(),
    ];
    let good = corpus[0].clone();
    let run = move |input: &[u8]| {
        *tokens.pieces.lock().unwrap() = vec![input.to_vec()];
        mails.say(b"* BYE later\r\n");
        let refused = in_time(imap::probe(&mailbox)).expect_err("nobody is let in").to_string();
        assert_is_a_sentence(&refused);
        assert!(!refused.contains("hunter2"), "{refused}");
        assert!(input != good || !refused.contains("token"), "a token leads to the mailbox: {refused}");
    };
    target("oauth", corpus, HTTP, Box::new(run))
}

fn smtp() -> Target {
    let mails = Speaker::start(true);
    let config = site(1, mails.port, 1);
    let alarms = alarms(&config);
    let corpus = vec![
        b"220 mx ESMTP\r\n=\r\n250-mx\r\n250-AUTH PLAIN LOGIN\r\n250 8BITMIME\r\n=\r\n235 in\r\n=\r\n250 ok\r\n=\r\n250 ok\r\n=\r\n\
          354 go\r\n=\r\n250 2.0.0 queued as 4F2A\r\n=\r\n221 bye\r\n"
            .to_vec(),
        b"220 mx\r\n=\r\n250 AUTH LOGIN\r\n=\r\n334 VXNlcm5hbWU6\r\n=\r\n334 UGFzc3dvcmQ6\r\n=\r\n535 5.7.8 no\r\n".to_vec(),
        b"220 mx\r\n=\r\n250 AUTH PLAIN\r\n=\r\n235 in\r\n=\r\n250 ok\r\n=\r\n550 5.1.1 no such user\r\n".to_vec(),
        b"421 4.7.0 try again later\r\n".to_vec(),
    ];
    let good = corpus[0].clone();
    let run = move |input: &[u8]| {
        mails.say(input);
        let taken = delivered(&config, &alarms, &["mail"]);
        assert!(input != good || taken == [true]);
        let channel = config.channels.iter().find(|channel| channel.name == "mail").unwrap();
        if let Err(refused) = in_time(channel::probe(channel)) {
            assert_is_a_sentence(&refused);
        }
    };
    target("smtp", corpus, SMTP, Box::new(run))
}

fn webhooks() -> Target {
    let web = Speaker::start(false);
    let config = site(1, 1, web.port);
    let alarms = alarms(&config);
    let corpus = vec![
        b"HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n\r\n".to_vec(),
        b"HTTP/1.1 429 Too Many Requests\r\nRetry-After: 120\r\nContent-Length: 4\r\n\r\nslow".to_vec(),
        b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: Fri, 20 Nov 2026 03:10:00 GMT\r\nContent-Length: 0\r\n\r\n".to_vec(),
        b"HTTP/1.1 200 OK\r\nContent-Length: 62\r\n\r\nWebhook message delivery failed with error: Microsoft Teams 429".to_vec(),
        b"HTTP/1.1 302 Found\r\nLocation: https://elsewhere.example/\r\nContent-Length: 0\r\n\r\n".to_vec(),
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n".to_vec(),
    ];
    let good = corpus[0].clone();
    let run = move |input: &[u8]| {
        *web.pieces.lock().unwrap() = vec![input.to_vec()];
        let taken = delivered(&config, &alarms, &["web", "teams", "manager"]);
        assert!(input != good || taken == [true; 3], "{taken:?}");
    };
    target("webhook", corpus, HTTP, Box::new(run))
}

/// The counts of the sections and the sections behind the question; the number and the question are those that were asked,
/// or no resolver would look at the rest.
fn dns() -> Target {
    let udp = UdpSocket::bind("127.0.0.1:0").unwrap();
    let address = udp.local_addr().unwrap();
    let tcp = TcpListener::bind(address).unwrap();
    let answer = Arc::new(Mutex::new(Vec::<u8>::new()));
    let (by_udp, by_tcp) = (Arc::clone(&answer), Arc::clone(&answer));
    thread::spawn(move || {
        let mut question = [0; 4_096];
        while let Ok((length, from)) = udp.recv_from(&mut question) {
            let said = in_answer(&question[..length], &by_udp.lock().unwrap());
            let _ = udp.send_to(&said, from);
        }
    });
    thread::spawn(move || {
        for stream in tcp.incoming().flatten() {
            let _ = answer_over(stream, &by_tcp);
        }
    });
    let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<BTreeSet<_>>();
    let questions = Questions { domains: names(&["domain.com"]), hosts: names(&["imap.example"]) };
    let good = mail_host();
    let corpus =
        vec![good.clone(), addresses(), looping(), vec![0x81, 0x83, 0, 0, 0, 0, 0, 0], vec![0x83; 8]];
    let run = move |input: &[u8]| {
        *answer.lock().unwrap() = input.to_vec();
        let found = in_time(dns::ask(&questions, Some(address)));
        let hosts = &found.mail_hosts["domain.com"];
        assert!(
            hosts.as_ref().is_ok_and(|hosts| hosts.contains("mx.domain.com")) || input != good,
            "{hosts:?}"
        );
        assert!(hosts.as_ref().map_or(0, BTreeSet::len) <= 20 && found.addresses.len() <= 21);
        assert!(found.addresses.values().flatten().all(|addresses| addresses.len() <= 100));
    };
    target("dns", corpus, &["\0\0", "\x01", "\x0f", "\x1c", "\x02mx"], Box::new(run))
}

/// `input`: flags, three counts, and what follows the question.
fn in_answer(question: &[u8], input: &[u8]) -> Vec<u8> {
    let byte = |place: usize| input.get(place).copied().unwrap_or(0);
    // The end of the first name, and type and class.
    let end =
        12 + question.get(12..).and_then(|name| name.iter().position(|byte| *byte == 0)).unwrap_or(0) + 5;
    let mut said = question.get(..2).unwrap_or_default().to_vec();
    // RFC 1035, section 4.1.1: QR makes it an answer.
    said.extend([byte(0) | 0x80, byte(1), 0, 1]);
    said.extend((2..8).map(byte));
    said.extend_from_slice(question.get(12..end).unwrap_or_default());
    said.extend_from_slice(input.get(8..).unwrap_or_default());
    said
}

fn answer_over(mut stream: TcpStream, answer: &Mutex<Vec<u8>>) -> std::io::Result<()> {
    stream.set_read_timeout(Some(Duration::from_millis(200)))?;
    loop {
        let mut length = [0; 2];
        stream.read_exact(&mut length)?;
        let mut question = vec![0; usize::from(u16::from_be_bytes(length))];
        stream.read_exact(&mut question)?;
        let mut said = in_answer(&question, &answer.lock().unwrap());
        said.truncate(usize::from(u16::MAX));
        stream.write_all(&u16::try_from(said.len()).unwrap_or(u16::MAX).to_be_bytes())?;
        stream.write_all(&said)?;
    }
}

/// One record about the name that was asked for, which stands at offset 12.
fn record(kind: u8, data: &[u8]) -> Vec<u8> {
    let length = u8::try_from(data.len()).unwrap();
    [&[0xc0, 12, 0, kind, 0, 1, 0, 0, 0, 60, 0, length], data].concat()
}

fn with_head(records: &[Vec<u8>]) -> Vec<u8> {
    [vec![0x81, 0x80, 0, u8::try_from(records.len()).unwrap(), 0, 0, 0, 0], records.concat()].concat()
}

fn mail_host() -> Vec<u8> {
    with_head(&[record(15, b"\0\x0a\x02mx\xc0\x0c")])
}

fn addresses() -> Vec<u8> {
    with_head(&[record(1, &[192, 0, 2, 1]), record(28, &[0x20; 16]), record(5, b"\x01a\xc0\x0c")])
}

/// Names that point at themselves.
fn looping() -> Vec<u8> {
    with_head(&[record(15, &[0, 1, 0xc0, 12]), record(15, &[0, 1, 0xc0, 40]), record(5, &[0xc0, 0xff])])
}
