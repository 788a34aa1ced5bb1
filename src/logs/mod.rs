//! Where log lines go: standard error as text or JSON, journald, or a server that takes GELF.
//!
//! A sink that is gone costs the lines and nothing else: nobody waits for it, and that it is gone is said once on standard
//! error, until it has taken a line again.

mod record;

use std::io::{self, IsTerminal, Write};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, ToSocketAddrs, UdpSocket};
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use tracing::{Event, Subscriber};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt};
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, registry};

use crate::clock;
use record::{IDENTIFIER, Record};

/// Where systemd-journald listens.
const JOURNALD: &str = "/run/systemd/journal/socket";

/// Where log lines go, and in which form.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Logs {
    /// To standard error.
    Text,
    /// To standard error.
    Json,
    Journald,
    /// By UDP, to `HOST:PORT`.
    Gelf(String),
}

/// From here on every log line at `level` and above goes where `logs` says.
///
/// # Errors
/// One sentence when there is no such place.
pub fn start(logs: &Logs, level: &str) -> Result<(), String> {
    // Libraries say things that are ours to judge; async-imap's lines hold mail texts.
    let filter = EnvFilter::new(format!("error,bresse_watchdog={level}"));
    let to_stderr =
        tracing_subscriber::fmt::layer().with_writer(io::stderr).with_ansi(io::stderr().is_terminal());
    match logs {
        Logs::Text => registry().with(filter).with(to_stderr.with_target(false)).init(),
        Logs::Json => registry().with(filter).with(to_stderr.json()).init(),
        Logs::Journald => {
            let sink = Sink::journald(Path::new(JOURNALD));
            registry().with(filter).with(sink.map_err(|error| error.to_string())?).init();
        }
        Logs::Gelf(place) => registry().with(filter).with(gelf(place)?).init(),
    }
    Ok(())
}

fn gelf(place: &str) -> Result<Sink, String> {
    let found = place.to_socket_addrs().map_err(|error| {
        format!(
            "--gelf: \"{place}\" cannot be found ({error}); write HOST:PORT of a GELF input that takes UDP"
        )
    })?;
    let address = found.into_iter().next().ok_or_else(|| format!("--gelf: {place} has no address"))?;
    Sink::gelf(address).map_err(|error| format!("--gelf: nothing can be sent to {place} ({error})"))
}

/// One datagram for each line.
struct Sink {
    to: Far,
    /// That it is gone was said.
    gone: AtomicBool,
}

enum Far {
    /// Not connected: a journald that was started anew is found again.
    Journald(UnixDatagram, PathBuf),
    Gelf {
        socket: UdpSocket,
        host: String,
    },
}

impl Sink {
    fn journald(path: &Path) -> io::Result<Self> {
        let socket = UnixDatagram::unbound()?;
        socket.set_nonblocking(true)?;
        Ok(Self { to: Far::Journald(socket, path.to_owned()), gone: AtomicBool::new(false) })
    }

    fn gelf(address: SocketAddr) -> io::Result<Self> {
        let any = match address {
            SocketAddr::V4(_) => SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0)),
            SocketAddr::V6(_) => SocketAddr::from((Ipv6Addr::UNSPECIFIED, 0)),
        };
        let socket = UdpSocket::bind(any)?;
        socket.connect(address)?;
        socket.set_nonblocking(true)?;
        let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
        // GELF wants one.
        let host = if host.is_empty() { IDENTIFIER.to_owned() } else { host };
        Ok(Self { to: Far::Gelf { socket, host }, gone: AtomicBool::new(false) })
    }

    fn send(&self, record: &Record) -> io::Result<()> {
        match &self.to {
            Far::Journald(socket, path) => socket.send_to(&record.journald(), path).map(drop),
            Far::Gelf { socket, host } => {
                let datagram = record.gelf(host, clock::now().timestamp_millis());
                socket.send(&datagram).map(drop)
            }
        }
    }

    /// Returns the sentence that is to be said, if there is one.
    fn write(&self, record: &Record) -> Option<String> {
        match self.send(record) {
            Ok(()) => {
                self.gone.store(false, Ordering::Relaxed);
                None
            }
            Err(error) => (!self.gone.swap(true, Ordering::Relaxed)).then(|| {
                let where_to = match &self.to {
                    Far::Journald(_, path) => format!("journald ({})", path.display()),
                    Far::Gelf { .. } => "the GELF server".to_owned(),
                };
                format!("{where_to} does not take log lines ({error}); until it does they are lost")
            }),
        }
    }
}

impl<S: Subscriber> Layer<S> for Sink {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        if let Some(sentence) = self.write(&Record::of(event)) {
            // Nobody is left to tell when that fails.
            let _ = writeln!(io::stderr(), "{sentence}");
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use tracing::subscriber::with_default;

    const PATIENCE: Duration = Duration::from_secs(10);

    fn received(datagram: io::Result<usize>, bytes: &[u8]) -> String {
        String::from_utf8_lossy(&bytes[..datagram.unwrap()]).into_owned()
    }

    #[test]
    fn journald_gets_each_line_as_one_datagram_and_is_found_again_when_it_comes_back() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("socket");
        let sink = Sink::journald(&path).unwrap();
        let record = Record {
            severity: 4,
            target: "bresse_watchdog".to_owned(),
            message: "said".to_owned(),
            fields: Vec::new(),
        };
        let said = sink.write(&record).expect("it is not there");
        assert!(said.starts_with("journald (") && said.contains("does not take log lines"), "{said}");
        assert_eq!(sink.write(&record), None, "once");
        let journald = UnixDatagram::bind(&path).unwrap();
        journald.set_read_timeout(Some(PATIENCE)).unwrap();
        let mut bytes = [0; 4096];
        with_default(registry().with(sink), || {
            tracing::warn!(mailbox = "MONITOR", error = "a\nPRIORITY=0", "the mailbox cannot be read");
        });
        let line = received(journald.recv(&mut bytes), &bytes);
        assert!(line.starts_with("MESSAGE\n"), "{line:?}");
        assert!(
            line.contains("the mailbox cannot be read mailbox=\"MONITOR\" error=\"a\\nPRIORITY=0\""),
            "{line:?}"
        );
        assert!(line.contains("BRESSE_MAILBOX\n"), "{line:?}");
    }

    #[test]
    fn a_journald_that_takes_nothing_keeps_nobody_waiting() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("socket");
        let _stuck = UnixDatagram::bind(&path).unwrap();
        let sink = Sink::journald(&path).unwrap();
        let record =
            Record { severity: 4, target: String::new(), message: "x".repeat(1000), fields: Vec::new() };
        let said: Vec<String> = (0..10_000).filter_map(|_| sink.write(&record)).collect();
        assert_eq!(said.len(), 1, "{said:?}");
    }

    #[test]
    fn a_gelf_server_gets_each_line_as_one_datagram() {
        let server = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        server.set_read_timeout(Some(PATIENCE)).unwrap();
        let sink = gelf(&server.local_addr().unwrap().to_string()).unwrap();
        with_default(registry().with(sink), || {
            tracing::error!(attempts = 3, error = "\u{1b}[31m\0", "not delivered");
        });
        let mut bytes = [0; 9_000];
        let line = received(server.recv(&mut bytes), &bytes);
        let line: serde_json::Value = serde_json::from_str(&line).unwrap();
        assert_eq!(line["short_message"], "not delivered");
        assert_eq!((&line["level"], &line["_attempts"]), (&3.into(), &"3".into()));
        assert_eq!(line["_error"], "\u{1b}[31m\0");
        assert!(line["timestamp"].as_f64().unwrap() > 1e9 && !line["host"].as_str().unwrap().is_empty());
    }

    #[test]
    fn a_place_that_is_none_is_named() {
        let error = gelf("nowhere").err().unwrap();
        assert!(error.starts_with("--gelf: \"nowhere\" cannot be found"), "{error}");
    }
}
