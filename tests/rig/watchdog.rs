//! The built binary, run as its users run it.

use std::fs::{self, File};
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::OnceLock;
use std::thread;
use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;

use super::{PASSWORD, SERVER_PATIENCE, Signal, signal, wait_for};

/// No command may take longer, not even a first read of 100,000 mails by a debug build.
const COMMAND_LIMIT: Duration = Duration::from_secs(150);

/// A DNS server that refuses every question at once: no test asks the Internet.
fn refusing_dns() -> SocketAddr {
    static ADDRESS: OnceLock<SocketAddr> = OnceLock::new();
    *ADDRESS.get_or_init(|| {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = socket.local_addr().unwrap();
        thread::spawn(move || {
            let mut message = [0; 512];
            while let Ok((length, from)) = socket.recv_from(&mut message) {
                // RFC 1035, section 4.1.1: QR, and RCODE 5.
                message[2] |= 0x80;
                message[3] = message[3] & 0xf0 | 5;
                let _ = socket.send_to(&message[..length], from);
            }
        });
        address
    })
}

/// One installation: a directory with `watchdog.toml` and the state.
pub(crate) struct Watchdog {
    dir: TempDir,
    password: String,
    dns: SocketAddr,
}

/// How a command ended.
#[derive(Debug)]
pub(crate) struct Finished {
    /// The exit status; 128 + the signal's number if a signal ended it, as in a shell.
    pub(crate) status: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Watchdog {
    /// The configuration may take its IMAP password from the environment variable `IMAP_PASSWORD`.
    pub(crate) fn new(config: &str) -> Self {
        Self::with_password(config, PASSWORD)
    }

    pub(crate) fn with_password(config: &str, password: &str) -> Self {
        let dir = super::directory();
        // As the state's folder should be; `check` warns otherwise.
        fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o700)).unwrap();
        fs::write(dir.path().join("watchdog.toml"), config).unwrap();
        Self { dir, password: password.to_owned(), dns: refusing_dns() }
    }

    /// The DNS server that is asked what channels share.
    pub(crate) fn with_dns(self, dns: SocketAddr) -> Self {
        Self { dns, ..self }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Runs one command to its end; panics if it does not end.
    pub(crate) fn run(&self, arguments: &[&str]) -> Finished {
        // Every call has files of its own: a command may run beside the daemon.
        let output = tempfile::tempdir_in(self.dir.path()).unwrap();
        let (stdout, stderr) = (output.path().join("stdout"), output.path().join("stderr"));
        let mut child = self.spawn(arguments, &[], &stdout, &stderr);
        let status = wait_for(COMMAND_LIMIT, || child.try_wait().unwrap());
        if status.is_none() {
            let _ = child.kill();
            let _ = child.wait();
        }
        let read = |path| String::from_utf8_lossy(&fs::read(path).unwrap()).into_owned();
        let (stdout, stderr) = (read(stdout), read(stderr));
        let Some(status) = status else {
            panic!("{arguments:?} has not ended after {COMMAND_LIMIT:?}\n{stdout}\n{stderr}")
        };
        Finished { status: code(status), stdout, stderr }
    }

    /// Starts the daemon; what it logs is added to a file that [`Daemon`] shows when a test fails.
    pub(crate) fn spawn_run(&self) -> Daemon {
        self.spawn_run_with(&["run"], &[])
    }

    /// As above, with these arguments, and variables beside the usual ones.
    pub(crate) fn spawn_run_with(&self, arguments: &[&str], variables: &[(&str, &str)]) -> Daemon {
        let log = self.path("run.log");
        Daemon { child: self.spawn(arguments, variables, &self.path("run.out"), &log), log }
    }

    /// What `last-seen --format json` prints.
    pub(crate) fn last_seen(&self) -> Value {
        // A daemon that starts makes the file, and a moment later there is something in it.
        let asked = || {
            let finished = self.run(&["last-seen", "--format", "json"]);
            let starting = ["There is no state file", "is empty yet"];
            (!starting.iter().any(|word| finished.stderr.contains(word))).then_some(finished)
        };
        let finished = wait_for(SERVER_PATIENCE, asked).expect("nothing comes into the state file");
        assert_eq!(finished.status, 0, "last-seen: {}", finished.stderr);
        serde_json::from_str(&finished.stdout)
            .unwrap_or_else(|error| panic!("last-seen printed no JSON ({error}): {}", finished.stdout))
    }

    /// This checker's entry in [`Watchdog::last_seen`].
    pub(crate) fn checker(&self, name: &str) -> Value {
        let last_seen = self.last_seen();
        let checkers = last_seen["checkers"].as_array().expect("an array of checkers");
        let found = checkers.iter().find(|checker| checker["name"] == name);
        found.unwrap_or_else(|| panic!("{name} is missing in {last_seen:#}")).clone()
    }

    /// Runs one command whose standard error is a terminal, and returns what is written there.
    pub(crate) fn run_on_terminal(&self, arguments: &str) -> String {
        let command = format!("{} {arguments} 2>&1 >/dev/null", env!("CARGO_BIN_EXE_bresse-watchdog"));
        let mut script = Command::new("script");
        script.args(["--quiet", "--return", "--command", &command, "/dev/null"]).stdin(Stdio::null());
        let finished = self.at_home(&mut script).output().expect("start script, of Debian's bsdutils");
        String::from_utf8_lossy(&finished.stdout).into_owned()
    }

    /// In its directory, with its variables.
    fn at_home<'c>(&self, command: &'c mut Command) -> &'c mut Command {
        command
            .current_dir(self.dir.path())
            .env_clear()
            .env("PATH", "/usr/bin:/bin")
            .env("IMAP_PASSWORD", &self.password)
            .env("BRESSE_WATCHDOG_WATCHDOG__DNS", self.dns.to_string())
    }

    fn spawn(&self, arguments: &[&str], variables: &[(&str, &str)], stdout: &Path, stderr: &Path) -> Child {
        let append = |path| File::options().append(true).create(true).open(path).unwrap();
        self.at_home(&mut Command::new(env!("CARGO_BIN_EXE_bresse-watchdog")))
            .args(arguments)
            .envs(variables.iter().copied())
            .stdin(Stdio::null())
            .stdout(append(stdout))
            .stderr(append(stderr))
            .spawn()
            .expect("start the binary")
    }
}

/// A running `run`; killed when dropped.
pub(crate) struct Daemon {
    child: Child,
    log: PathBuf,
}

impl Daemon {
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// As a power cut would.
    pub(crate) fn kill_9(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Asks it to end; its exit status. Panics if it does not end.
    pub(crate) fn terminate(mut self) -> i32 {
        self.assert_running();
        signal(&self.child, Signal::TERM);
        let status = wait_for(SERVER_PATIENCE, || self.child.try_wait().unwrap());
        code(status.unwrap_or_else(|| panic!("`run` ignores SIGTERM\n{}", self.log())))
    }

    pub(crate) fn hang_up(&mut self) {
        self.assert_running();
        signal(&self.child, Signal::HUP);
    }

    pub(crate) fn assert_running(&mut self) {
        if let Some(status) = self.child.try_wait().unwrap() {
            panic!("`run` has ended ({status})\n{}", self.log());
        }
    }

    pub(crate) fn is_running(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }

    pub(crate) fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if thread::panicking() {
            eprintln!("what `run` logged:\n{}", self.log());
        }
    }
}

fn code(status: ExitStatus) -> i32 {
    status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or_default())
}
