//! A small HTTP server that keeps what it accepted, and can treat its next clients badly.

use std::collections::VecDeque;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use serde_json::Value;

use crate::rig::{Authority, free_port, wait_for};
use crate::world::SOON;

/// What becomes of one client.
#[derive(Debug, Clone)]
pub(crate) enum Fault {
    /// This status, one more header line, and a body.
    Answer(u16, &'static str, &'static str),
    /// Reads the request and never answers.
    Hang,
    /// Closes with half of the request unread.
    Reset,
    /// Says 200 and then one letter of the body at a time, never the last.
    Drip,
    /// A body without end.
    Endless,
    /// A certificate of somebody else's.
    WrongCertificate,
}

#[derive(Debug, Clone)]
pub(crate) struct Request {
    pub(crate) at: Instant,
    /// `POST /path`.
    pub(crate) line: String,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: String,
    /// It was answered 200, and the whole answer sent.
    pub(crate) accepted: bool,
}

impl Request {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.body))
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let header = self.headers.iter().find(|(header, _)| header.eq_ignore_ascii_case(name));
        header.map(|(_, value)| value.as_str())
    }

    /// `ESHOP_Service.NOK`, from a body that has everything.
    pub(crate) fn token(&self) -> String {
        let subject = self.json()["subject"].as_str().unwrap_or_default().to_owned();
        subject.split(' ').next().unwrap_or_default().to_owned()
    }
}

#[derive(Default)]
struct State {
    faults: VecDeque<Fault>,
    /// Every client from now on.
    always: Option<Fault>,
    requests: Vec<Request>,
    connections: usize,
}

/// Listens until the process ends.
pub(crate) struct Hook {
    pub(crate) port: u16,
    scheme: &'static str,
    state: Arc<Mutex<State>>,
}

impl Hook {
    pub(crate) fn start() -> Self {
        Self::listen("http", None)
    }

    /// By TLS, with a certificate of `authority`; the wrong one is made anew.
    pub(crate) fn start_tls(authority: &Authority) -> Self {
        let stranger = tempfile::tempdir().unwrap();
        let wrong = tls(&Authority::new(stranger.path()).server_certificate(false));
        Self::listen("https", Some((tls(&authority.server_certificate(false)), wrong)))
    }

    fn listen(scheme: &'static str, tls: Option<(Arc<ServerConfig>, Arc<ServerConfig>)>) -> Self {
        let port = free_port();
        let listener =
            TcpListener::bind((Ipv4Addr::LOCALHOST, port)).expect("a port found free a moment ago");
        let state = Arc::new(Mutex::new(State::default()));
        let shared = Arc::clone(&state);
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (state, tls) = (Arc::clone(&shared), tls.clone());
                // A client that breaks the connection is what some tests want.
                thread::spawn(move || serve(stream, &state, tls));
            }
        });
        Self { port, scheme, state }
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("{}://127.0.0.1:{}{path}", self.scheme, self.port)
    }

    /// The next client is treated so, after those before.
    pub(crate) fn fault_once(&self, fault: Fault) {
        self.state.lock().unwrap().faults.push_back(fault);
    }

    /// Every client is treated so, until told otherwise.
    pub(crate) fn fault(&self, fault: Option<Fault>) {
        self.state.lock().unwrap().always = fault;
    }

    pub(crate) fn requests(&self) -> Vec<Request> {
        self.state.lock().unwrap().requests.clone()
    }

    pub(crate) fn connections(&self) -> usize {
        self.state.lock().unwrap().connections
    }

    pub(crate) fn accepted(&self) -> Vec<Request> {
        self.requests().into_iter().filter(|request| request.accepted).collect()
    }

    pub(crate) fn tokens(&self) -> Vec<String> {
        self.accepted().iter().map(Request::token).collect()
    }

    pub(crate) fn expect(&self, token: &str) -> Request {
        let found = || self.accepted().into_iter().find(|request| request.token() == token);
        wait_for(SOON, found).unwrap_or_else(|| panic!("no {token}, but {:?}", self.requests()))
    }
}

fn tls((certificate, key): &(impl AsRef<Path>, impl AsRef<Path>)) -> Arc<ServerConfig> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let certificate = CertificateDer::from_pem_file(certificate).unwrap();
    let key = PrivateKeyDer::from_pem_file(key).unwrap();
    let config = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    Arc::new(config.with_no_client_auth().with_single_cert(vec![certificate], key).unwrap())
}

fn serve(
    stream: TcpStream,
    state: &Mutex<State>,
    tls: Option<(Arc<ServerConfig>, Arc<ServerConfig>)>,
) -> io::Result<()> {
    stream.set_read_timeout(Some(Duration::from_secs(60)))?;
    let fault = {
        let mut state = state.lock().unwrap();
        state.connections += 1;
        state.faults.pop_front().or_else(|| state.always.clone())
    };
    let Some((right, wrong)) = tls else { return converse(stream, state, fault) };
    let config = if matches!(fault, Some(Fault::WrongCertificate)) { wrong } else { right };
    let connection = ServerConnection::new(config).map_err(io::Error::other)?;
    converse(StreamOwned::new(connection, stream), state, fault)
}

fn converse(stream: impl Read + Write, state: &Mutex<State>, fault: Option<Fault>) -> io::Result<()> {
    let mut stream = BufReader::new(stream);
    let mut lines = Vec::new();
    loop {
        let mut line = String::new();
        if stream.read_line(&mut line)? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        match line.trim_end() {
            "" => break,
            line => lines.push(line.to_owned()),
        }
        if matches!(fault, Some(Fault::Reset)) {
            return Ok(());
        }
    }
    let line = lines.remove(0).trim_end_matches(" HTTP/1.1").to_owned();
    let pair = |line: String| line.split_once(": ").map(|(name, value)| (name.to_owned(), value.to_owned()));
    let headers: Vec<(String, String)> = lines.into_iter().filter_map(pair).collect();
    let length = headers.iter().find(|(name, _)| name.eq_ignore_ascii_case("content-length"));
    let mut body = vec![0; length.and_then(|(_, length)| length.parse().ok()).unwrap_or(0)];
    stream.read_exact(&mut body)?;
    let body = String::from_utf8_lossy(&body).into_owned();
    let number = {
        let mut state = state.lock().unwrap();
        state.requests.push(Request { at: Instant::now(), line, headers, body, accepted: false });
        state.requests.len() - 1
    };
    let to = stream.get_mut();
    match fault {
        None => {
            // Counted first: the client may be killed as soon as it has read this.
            state.lock().unwrap().requests[number].accepted = true;
            answer(to, 200, "X-Sink: yes", "ok")
        }
        Some(Fault::Answer(status, header, body)) => answer(to, status, header, body),
        Some(Fault::Hang) => {
            thread::sleep(Duration::from_secs(60));
            Ok(())
        }
        Some(Fault::Drip) => {
            to.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")?;
            for _ in 0..60 {
                to.write_all(b"o")?;
                to.flush()?;
                thread::sleep(Duration::from_secs(1));
            }
            Ok(())
        }
        Some(Fault::Endless) => {
            to.write_all(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n")?;
            loop {
                to.write_all(&[b'a'; 1 << 16])?;
            }
        }
        Some(Fault::Reset | Fault::WrongCertificate) => Ok(()),
    }
}

fn answer(to: &mut impl Write, status: u16, header: &str, body: &str) -> io::Result<()> {
    let length = body.len();
    write!(to, "HTTP/1.1 {status} Something\r\n{header}\r\nContent-Length: {length}\r\n\r\n{body}")?;
    to.flush()
}
