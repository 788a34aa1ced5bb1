//! What anybody may say to the running daemon: HTTP, and the socket for orders.

use std::fs;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, OnceLock};
use std::thread::sleep;
use std::time::Duration;

use crate::Target;

const HTTP: &[&str] = &[
    "GET /api/v1/last-seen?as_of=-1h HTTP/1.1\r\n",
    "POST /a/1?channel=x&until=9&sig=00 HTTP/1.1\r\n",
    "/lb/all",
    "/badge/bresse1.svg",
    "/api/v1/incidents/1/ack",
    "Content-Length: 5\r\n",
    "Content-Length: 99999999999\r\n",
    "Transfer-Encoding: chunked\r\n",
    "ffffffff\r\n",
    "Authorization: Bearer test-token\r\n",
    "Cookie: session=x\r\n",
    "Host: x\r\n",
    "Expect: 100-continue\r\n",
    "Connection: upgrade\r\n",
    "%00",
    "%2e%2e/",
    "?as_of=",
    "HTTP/1.0",
    "HTTP/2.0",
];
const ORDER: &[&str] = &["{\"", "}\n", "\"by\":\"x\"", "null", "[[[[[[", "\\u0000", "1e999", "\n"];
const LIMIT: Duration = Duration::from_secs(30);
/// The answer to a whole request has begun by then, mostly.
const SOON: Duration = Duration::from_millis(30);
/// Of the whole process, debug build.
const MEMORY_KIB_MAX: u64 = 150 << 10;

/// Watches a mailbox that does not answer.
struct Daemon {
    child: Child,
    port: u16,
    socket: PathBuf,
    _folder: tempfile::TempDir,
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Daemon {
    fn start() -> Self {
        let free = || TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let (port, dead, folder) = (free(), free(), tempfile::tempdir().unwrap());
        let path = |name: &str| folder.path().join(name);
        let config = format!(
            "[watchdog]\nname = \"bresse8\"\nstate = \"sqlite:{state}\"\n[mailbox]\nhost = \"127.0.0.1\"\nport = {dead}\ntls = \"plain\"\n\
             user = \"me@x.test\"\npassword = \"hunter2\"\n[web]\nlisten = \"127.0.0.1:{port}\"\n[[web.token]]\nname = \"test\"\nrole = \"admin\"\n\
             sha256 = \"{token}\"\n[[checker]]\nname = \"bresse1\"\nprovider = \"free\"\ncycle = \"5m\"\n\
             tests = [ {{ service = \"MSSQL1_Service\", timeout = \"10s\" }} ]\n[[channel]]\nname = \"record\"\ntype = \"file\"\npath = \"{record}\"\n",
            state = path("watchdog.db").display(),
            record = path("record").display(),
            // printf %s test-token | sha256sum
            token = "4c5dc9b7708905f77f5e5d16316b5dfb425e68cb326dcd55a860e90a7707031e",
        );
        fs::write(path("watchdog.toml"), config).unwrap();
        let child = Command::new(env!("CARGO_BIN_EXE_bresse-watchdog"))
            .arg("--config")
            .arg(path("watchdog.toml"))
            .arg("run")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(fs::File::create(path("log")).unwrap())
            .spawn()
            .unwrap();
        let (log, socket) = (path("log"), path("watchdog.db.socket"));
        let daemon = Self { child, port, socket, _folder: folder };
        let ready = (0..1_500).any(|_| {
            sleep(Duration::from_millis(20));
            TcpStream::connect(("127.0.0.1", port)).is_ok() && daemon.socket.exists()
        });
        assert!(ready, "the daemon does not listen: {}", fs::read_to_string(log).unwrap());
        daemon
    }

    /// What is not a whole request is not answered; nobody waits for that.
    fn http(&self, request: &[u8], patience: Duration) -> Vec<u8> {
        let stream = TcpStream::connect(("127.0.0.1", self.port)).unwrap();
        stream.set_read_timeout(Some(patience)).unwrap();
        talk(stream, request)
    }

    fn peak_memory_kib(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find(|line| line.starts_with("VmHWM:")).expect("VmHWM");
        line.split_whitespace().nth(1).unwrap().parse().unwrap()
    }

    fn assert_well(&self) {
        let request = b"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
        let answer = String::from_utf8_lossy(&self.http(request, LIMIT)).into_owned();
        assert!(answer.starts_with("HTTP/1.1 "), "{answer}");
        assert!(self.peak_memory_kib() < MEMORY_KIB_MAX, "{} KiB", self.peak_memory_kib());
    }
}

/// Whoever talks too much is cut off, which is no failure.
fn talk(mut stream: impl Read + Write, request: &[u8]) -> Vec<u8> {
    let mut answer = Vec::new();
    let _ = stream.write_all(request);
    let _ = stream.read_to_end(&mut answer);
    answer
}

pub(crate) fn targets() -> Vec<Target> {
    // Started by the first input, not by listing the targets.
    let daemon = Arc::new(OnceLock::new());
    let (at_http, at_socket) = (Arc::clone(&daemon), daemon);
    let http = move |input: &[u8]| {
        let daemon = at_http.get_or_init(Daemon::start);
        let answer = String::from_utf8_lossy(&daemon.http(input, SOON)).into_owned();
        assert!(answer.is_empty() || answer.starts_with("HTTP/1."), "{answer}");
        assert!(!answer.starts_with("HTTP/1.1 500"), "{answer}");
        daemon.assert_well();
    };
    let orders = move |input: &[u8]| {
        let daemon = at_socket.get_or_init(Daemon::start);
        let stream = UnixStream::connect(&daemon.socket).unwrap();
        stream.set_read_timeout(Some(LIMIT)).unwrap();
        let mut answer = Vec::new();
        let _ = (&stream).write_all(input);
        let _ = stream.shutdown(Shutdown::Write);
        let _ = (&stream).read_to_end(&mut answer);
        if !answer.is_empty() {
            let answer: serde_json::Value = serde_json::from_slice(&answer).expect("an answer is JSON");
            assert!(answer["done"].is_boolean() && answer["sentence"].is_string(), "{answer}");
        }
        daemon.assert_well();
    };
    let requests = [
        "/",
        "/healthz",
        "/metrics",
        "/api/v1/last-seen",
        "/lb/free",
        "/badge/bresse1.svg",
        "/api/v1/openapi.json",
    ]
    .map(|path| {
        format!(
            "GET {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer test-token\r\nConnection: close\r\n\r\n"
        )
        .into_bytes()
    });
    let given = [
        r#"{"order":"acknowledge","incident":"20261120-42","by":"Anna","until":null,"note":null}"#,
        r#"{"order":"resolve","incident":"20261120-42","by":"Anna","note":"x"}"#,
        r#"{"order":"end_silence","id":7,"by":"Anna"}"#,
    ]
    .map(|text| format!("{text}\n").into_bytes());
    let target = |name, corpus: &[Vec<u8>], words, executions, run| Target {
        name,
        corpus: corpus.to_vec(),
        words,
        executions,
        measured: false,
        run,
    };
    vec![
        target("http", &requests, HTTP, 300, Box::new(http)),
        target("control", &given, ORDER, 200, Box::new(orders)),
    ]
}
