//! A small SMTP server that keeps what it is given, and can stop a client in the middle of a dialogue.

use std::io::{self, BufRead, BufReader, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use super::{AlarmMail, Inbox};

/// A moment in the delivery of one mail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Step {
    /// Connected, not yet greeted.
    Connected,
    /// `MAIL FROM` has come, not yet answered.
    Sender,
    /// `RCPT TO` has come, not yet answered.
    Recipient,
    /// `DATA` has come, not yet answered.
    Data,
    /// The whole mail has come; it is neither kept nor answered.
    BeforeAccepting,
    /// The mail is kept and answered.
    AfterAccepting,
}

#[derive(Default)]
struct State {
    mails: Vec<AlarmMail>,
    /// What the mark was when each mail was kept.
    marks: Vec<u64>,
    pause_at: Option<Step>,
    paused: bool,
    stopped: bool,
}

struct Shared {
    mark: Box<dyn Fn() -> u64 + Send + Sync>,
    state: Mutex<State>,
    changed: Condvar,
}

/// Listens without TLS until it is dropped.
pub(crate) struct Sink {
    pub(crate) port: u16,
    shared: Arc<Shared>,
    listener: Option<JoinHandle<()>>,
}

impl Sink {
    pub(crate) fn start() -> Self {
        Self::start_marking(|| 0)
    }

    /// Keeps with each mail what `mark` says before the mail is kept and answered.
    pub(crate) fn start_marking(mark: impl Fn() -> u64 + Send + Sync + 'static) -> Self {
        let port = super::free_port();
        let listener =
            TcpListener::bind((Ipv4Addr::LOCALHOST, port)).expect("a port found free a moment ago");
        let shared =
            Arc::new(Shared { mark: Box::new(mark), state: Mutex::default(), changed: Condvar::new() });
        let in_thread = Arc::clone(&shared);
        let listener = thread::spawn(move || {
            for connection in listener.incoming() {
                if in_thread.lock().stopped {
                    return;
                }
                let shared = Arc::clone(&in_thread);
                // A client that breaks the connection is what some tests want.
                thread::spawn(move || connection.and_then(|stream| converse(stream, &shared)));
            }
        });
        Self { port, shared, listener: Some(listener) }
    }

    /// Every mail so far with its mark.
    pub(crate) fn marked(&self) -> Vec<(AlarmMail, u64)> {
        let state = self.shared.lock();
        state.mails.iter().cloned().zip(state.marks.iter().copied()).collect()
    }

    /// The next client to come to this step is left waiting there; see [`Sink::wait_until_paused`].
    pub(crate) fn pause_at(&self, step: Step) {
        self.shared.lock().pause_at = Some(step);
    }

    /// True as soon as a client waits; false when none does within `limit`.
    pub(crate) fn wait_until_paused(&self, limit: Duration) -> bool {
        let state = self.shared.lock();
        let (state, _) = self.shared.changed.wait_timeout_while(state, limit, |state| !state.paused).unwrap();
        state.paused
    }

    /// Closes the waiting client's connection, as a server that dies there would.
    pub(crate) fn drop_paused(&self) {
        self.shared.lock().paused = false;
        self.shared.changed.notify_all();
    }
}

impl Inbox for Sink {
    fn mails(&self) -> Vec<AlarmMail> {
        self.shared.lock().mails.clone()
    }
}

impl Drop for Sink {
    fn drop(&mut self) {
        self.shared.lock().stopped = true;
        self.drop_paused();
        // Wakes the listener, which waits for a connection, so that it sees that it is to stop.
        drop(TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)));
        if let Some(listener) = self.listener.take() {
            let _ = listener.join();
        }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no thread panics while it holds the lock")
    }

    /// Waits here if told to; an error then ends the connection.
    fn pass(&self, step: Step) -> io::Result<()> {
        let mut state = self.lock();
        if state.pause_at != Some(step) {
            return Ok(());
        }
        state.pause_at = None;
        state.paused = true;
        self.changed.notify_all();
        drop(self.changed.wait_while(state, |state| state.paused).unwrap());
        Err(io::Error::other("dropped by the test"))
    }
}

fn converse(stream: TcpStream, shared: &Shared) -> io::Result<()> {
    stream.set_read_timeout(Some(Duration::from_secs(60)))?;
    let mut stream = BufReader::new(stream);
    shared.pass(Step::Connected)?;
    answer(&mut stream, "220 sink.example ESMTP")?;
    let mut recipients = Vec::new();
    loop {
        let line = read_line(&mut stream)?;
        let line = String::from_utf8_lossy(&line).trim_end().to_owned();
        let verb = line.split([' ', ':']).next().unwrap_or_default().to_ascii_uppercase();
        match verb.as_str() {
            "EHLO" => answer(&mut stream, "250-sink.example\r\n250 8BITMIME")?,
            "MAIL" => {
                recipients.clear();
                shared.pass(Step::Sender)?;
                answer(&mut stream, "250 2.1.0 sender ok")?;
            }
            "RCPT" => {
                shared.pass(Step::Recipient)?;
                recipients.extend(line.split(['<', '>']).nth(1).map(str::to_owned));
                answer(&mut stream, "250 2.1.5 recipient ok")?;
            }
            "DATA" => {
                shared.pass(Step::Data)?;
                answer(&mut stream, "354 go ahead")?;
                let raw = read_mail(&mut stream)?;
                shared.pass(Step::BeforeAccepting)?;
                let mark = (shared.mark)();
                let mut state = shared.lock();
                state.mails.push(AlarmMail { recipients: std::mem::take(&mut recipients), raw });
                state.marks.push(mark);
                drop(state);
                answer(&mut stream, "250 2.0.0 kept")?;
                shared.pass(Step::AfterAccepting)?;
            }
            "HELO" | "RSET" | "NOOP" => answer(&mut stream, "250 2.0.0 ok")?,
            "QUIT" => return answer(&mut stream, "221 2.0.0 bye"),
            _ => answer(&mut stream, "502 5.5.1 not here")?,
        }
    }
}

fn answer(stream: &mut BufReader<TcpStream>, line: &str) -> io::Result<()> {
    write!(stream.get_mut(), "{line}\r\n")
}

fn read_line(stream: &mut impl BufRead) -> io::Result<Vec<u8>> {
    let mut line = Vec::new();
    if stream.read_until(b'\n', &mut line)? == 0 {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    Ok(line)
}

/// Reads up to the lone dot and takes the dot stuffing away (RFC 5321, section 4.5.2).
fn read_mail(stream: &mut impl BufRead) -> io::Result<Vec<u8>> {
    let mut mail = Vec::new();
    loop {
        let line = read_line(stream)?;
        if line == b".\r\n" {
            return Ok(mail);
        }
        mail.extend_from_slice(line.strip_prefix(b".").unwrap_or(&line));
    }
}
