//! What an IMAP server says, through the real client.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use bresse_watchdog::config::{Config, Mailbox, Sources};
use bresse_watchdog::imap;

use crate::Target;

/// A conversation: for each command the answer below its name, `TAG` being the command's tag. The line `=` ends an answer.
const CONVERSATIONS: [&str; 2] = [
    "GREETING\r\n* OK [CAPABILITY IMAP4rev1 AUTH=PLAIN SASL-IR IDLE QUOTA] ready\r\n=\r\n\
     AUTHENTICATE\r\n* CAPABILITY IMAP4rev1 IDLE QUOTA NAMESPACE\r\nTAG OK [ALERT] signed in\r\n=\r\n\
     CAPABILITY\r\n* CAPABILITY IMAP4rev1 IDLE QUOTA NAMESPACE\r\nTAG OK done\r\n=\r\n\
     LIST\r\n* LIST (\\HasNoChildren \\Junk) \"/\" \"Junk Email\"\r\n* LIST () \"/\" INBOX\r\nTAG OK listed\r\n=\r\n\
     GETQUOTAROOT\r\n* QUOTAROOT INBOX \"\"\r\n* QUOTA \"\" (STORAGE 10 512 MESSAGE 3 1000)\r\nTAG OK done\r\n=\r\n\
     STATUS\r\n* STATUS INBOX (MESSAGES 2 SIZE 1000)\r\nTAG OK done\r\n=\r\n\
     EXAMINE\r\n* FLAGS (\\Answered \\Seen)\r\n* OK [PERMANENTFLAGS ()] none\r\n* 2 EXISTS\r\n* 0 RECENT\r\n\
     * OK [UIDVALIDITY 7] valid\r\n* OK [UIDNEXT 12] next\r\nTAG OK [READ-ONLY] done\r\n=\r\n\
     FETCH\r\n* 1 FETCH (UID 10)\r\n* 2 FETCH (UID 11 FLAGS (\\Seen))\r\nTAG OK done\r\n=\r\n\
     UID FETCH\r\n* 1 FETCH (UID 10 INTERNALDATE \"20-Nov-2026 03:00:00 +0000\" BODY[]<0> {25}\r\n\
     Subject: DRYRUN.OK\r\n\r\nx\r\n)\r\n* 2 FETCH (UID 11 INTERNALDATE NIL BODY[]<0> \"a\\\"b\")\r\nTAG OK done\r\n=\r\n",
    "GREETING\r\n* OK ready\r\n=\r\nCAPABILITY\r\n* CAPABILITY IMAP4 LOGIN\r\nTAG OK done\r\n=\r\n\
     LOGIN\r\nTAG OK [CAPABILITY IMAP4rev1] in\r\n=\r\n\
     EXAMINE\r\n* 1 EXISTS\r\n* OK [UIDVALIDITY 1]\r\nTAG OK done\r\n=\r\n\
     FETCH\r\n* 1 FETCH (UID 1 BODYSTRUCTURE (\"TEXT\" \"PLAIN\" (\"CHARSET\" \"UTF-8\") NIL NIL \"7BIT\" 9 1))\r\n* BYE later\r\n=\r\n",
];
const WORDS: &[&str] = &[
    "* ",
    "TAG OK ",
    "TAG NO [ALERT]",
    "* BYE ",
    "+ ",
    "{5}\r\n",
    "{99999999}\r\n",
    "NIL",
    "INTERNALDATE ",
    "INTERNALDATE NIL",
    "BODY[]<0> ",
    "ENVELOPE (",
    "BODYSTRUCTURE (",
    "((((((((",
    "))))",
    "[CAPABILITY ",
    "[UIDNEXT 4294967295]",
    "[COPYUID 1 1:9 1:9]",
    "[BADCHARSET (a)]",
    "]\u{e9}",
    "* ID (\"a\" NIL)\r\n",
    "* VANISHED (EARLIER) 1:9\r\n",
    "* 4294967295 EXISTS\r\n",
    "* ACL a b c\r\n",
    "* METADATA \"\" (/a b)\r\n",
    "X-GM-LABELS (",
    "MODSEQ (9)",
    "&AOk-",
    "* SEARCH 1 2\r\n",
    "=\r\n",
];
/// Nothing is waited for on loopback; a command that does not come by then is none.
const NEXT_COMMAND: Duration = Duration::from_millis(30);

type Answers = BTreeMap<String, Vec<u8>>;

pub(crate) fn target() -> Target {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let mailbox = mailbox(listener.local_addr().unwrap().port());
    let answers = Arc::new(Mutex::new(Answers::new()));
    let served = Arc::clone(&answers);
    thread::spawn(move || listener.incoming().for_each(|stream| drop(serve(stream.unwrap(), &served))));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let runtime = Mutex::new(runtime);
    let run = move |input: &[u8]| {
        *answers.lock().unwrap() = parsed(input);
        let runtime = runtime.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let probed = runtime.block_on(imap::probe(&mailbox));
        let (folders, mails) = ([("INBOX".to_owned(), 10)], AtomicUsize::new(0));
        let on = async |_| {
            mails.fetch_add(1, Ordering::Relaxed);
            Ok::<(), ()>(())
        };
        let sampled = runtime.block_on(imap::sample(&mailbox, &folders, on));
        // Of the others only that they end; but the first leads all the way, or nothing of this would be tried.
        if input == CONVERSATIONS[0].as_bytes() {
            assert!(probed.is_ok() && sampled.is_ok(), "{probed:?}, {sampled:?}");
            assert_eq!(mails.into_inner(), 2);
        }
    };
    let corpus = CONVERSATIONS.map(|text| text.as_bytes().to_vec()).to_vec();
    Target { name: "imap", corpus, words: WORDS, executions: 150, measured: false, run: Box::new(run) }
}

fn mailbox(port: u16) -> Mailbox {
    let text = format!(
        "[watchdog]\nname = \"bresse8\"\n[mailbox]\nhost = \"127.0.0.1\"\nport = {port}\ntls = \"plain\"\nuser = \"me@x.test\"\n\
         password = \"hunter2\"\n[[channel]]\nname = \"record\"\ntype = \"file\"\npath = \"/nonexistent/record\"\n"
    );
    let sources =
        Sources { text: &text, file: "watchdog.toml", environment: &BTreeMap::new(), overrides: &[] };
    let config = Config::load_without_checkers(&sources).unwrap_or_else(|errors| panic!("{errors}"));
    config.mailboxes.into_iter().next().unwrap()
}

/// By the command's name, the bytes of its answer.
fn parsed(input: &[u8]) -> Answers {
    let mut answers = Answers::new();
    let mut rest = input;
    while !rest.is_empty() {
        let end = find(rest, b"\r\n=\r\n").unwrap_or(rest.len());
        let (answer, after) = rest.split_at(end);
        rest = after.get(5..).unwrap_or_default();
        let name = find(answer, b"\r\n").unwrap_or(answer.len());
        let body = [answer.get(name + 2..).unwrap_or_default(), b"\r\n"].concat();
        answers.insert(String::from_utf8_lossy(&answer[..name]).into_owned(), body);
    }
    answers
}

fn find(bytes: &[u8], what: &[u8]) -> Option<usize> {
    bytes.windows(what.len()).position(|window| window == what)
}

fn serve(mut stream: TcpStream, answers: &Mutex<Answers>) -> std::io::Result<()> {
    stream.set_read_timeout(Some(NEXT_COMMAND))?;
    let answers = answers.lock().unwrap().clone();
    if let Some(greeting) = answers.get("GREETING") {
        stream.write_all(greeting)?;
    }
    let mut commands = BufReader::new(stream.try_clone()?);
    loop {
        let mut line = String::new();
        if commands.read_line(&mut line)? == 0 {
            return Ok(());
        }
        let (tag, command) = line.trim_end().split_once(' ').unwrap_or_default();
        let found =
            answers.iter().rev().find(|(name, _)| !name.is_empty() && command.starts_with(name.as_str()));
        let answer = found.map_or(&b"TAG OK done\r\n"[..], |(_, answer)| answer);
        stream.write_all(&with_tag(answer, tag.as_bytes()))?;
    }
}

fn with_tag(answer: &[u8], tag: &[u8]) -> Vec<u8> {
    let (mut said, mut rest) = (Vec::new(), answer);
    while let Some(place) = find(rest, b"TAG") {
        said.extend_from_slice(&rest[..place]);
        said.extend_from_slice(tag);
        rest = &rest[place + 3..];
    }
    said.extend_from_slice(rest);
    said
}
