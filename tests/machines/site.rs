//! A daemon that serves HTTP.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::time::Duration;

use sha2::{Digest, Sha256};

use crate::rig::{Daemon, Watchdog, free_port, wait_for};
use crate::world::{SOON, config};

pub(crate) const TOKEN: &str = "read-me";

/// What was answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: String,
}

pub(crate) struct Site {
    pub(crate) watchdog: Watchdog,
    pub(crate) port: u16,
    daemon: Option<Daemon>,
}

impl Site {
    /// Starts the daemon with these parts of a configuration; `web` holds further keys of `[web]`.
    pub(crate) fn start(parts: &[&str], web: &str) -> Self {
        let mut site = Self::install(parts, web);
        site.run();
        site
    }

    pub(crate) fn install(parts: &[&str], web: &str) -> Self {
        let port = free_port();
        let hash: String =
            Sha256::digest(TOKEN.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect();
        let web = format!(
            "[web]\nlisten = \"127.0.0.1:{port}\"\n{web}\n[[web.token]]\nname = \"machine\"\nrole = \"read\"\n\
             sha256 = \"{hash}\"\n"
        );
        let watchdog = Watchdog::new(&config(&[parts, &[web.as_str()]].concat()));
        Self { watchdog, port, daemon: None }
    }

    pub(crate) fn run(&mut self) {
        self.daemon = Some(self.watchdog.spawn_run());
        // Judged at least once: only then is it well.
        self.wait_for("/healthz", |answer| answer.status == 200);
    }

    pub(crate) fn stop(&mut self) {
        assert_eq!(self.daemon.take().unwrap().terminate(), 0);
    }

    /// With the token.
    pub(crate) fn get(&self, path: &str) -> Answer {
        self.ask("GET", path, &format!("Authorization: Bearer {TOKEN}\r\n"))
    }

    pub(crate) fn ask(&self, method: &str, path: &str, headers: &str) -> Answer {
        self.try_ask(method, path, headers).unwrap_or_else(|| panic!("no answer to {path}"))
    }

    fn try_ask(&self, method: &str, path: &str, headers: &str) -> Option<Answer> {
        let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)).ok()?;
        stream.set_read_timeout(Some(Duration::from_secs(20))).ok()?;
        write!(stream, "{method} {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{headers}\r\n")
            .ok()?;
        let mut text = String::new();
        stream.read_to_string(&mut text).ok()?;
        let (head, body) = text.split_once("\r\n\r\n")?;
        let status = head.split(' ').nth(1)?.parse().ok()?;
        Some(Answer { status, head: head.to_lowercase(), body: body.to_owned() })
    }

    /// Asks until the answer is as wanted.
    #[track_caller]
    pub(crate) fn wait_for(&self, path: &str, wanted: impl Fn(&Answer) -> bool) -> Answer {
        let mut last = None;
        let ask = || {
            last = self.try_ask("GET", path, &format!("Authorization: Bearer {TOKEN}\r\n"));
            last.clone().filter(|answer| wanted(answer))
        };
        let found = wait_for(SOON, ask);
        found.unwrap_or_else(|| {
            let log = self.daemon.as_ref().map(Daemon::log);
            panic!("{path} answers {last:?}\n{}", log.unwrap_or_default())
        })
    }
}
