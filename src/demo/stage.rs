//! What the demo plays on: mail servers in this process, a folder with a real `watchdog.toml`, and the real service.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs::{self, DirBuilder};
use std::net::SocketAddr;
use std::os::unix::fs::DirBuilderExt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, anyhow};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use super::checkers::{CHECKERS, CYCLE, DOMAIN, SERVICES};
use crate::config::{Config, Sources};
use crate::service;
use crate::testbed::MailStore;
use crate::testbed::imap::{ImapOptions, ImapServer};
use crate::testbed::smtp::{Delivery, SmtpOptions, SmtpSink};

const FOLDER: &str = "INBOX";
const ON_CALL: &str = "oncall@elsewhere.example";
/// The service gives its last deliveries 5 s.
const GOODBYE: Duration = Duration::from_secs(8);

/// The servers and the configuration. Dropping it ends the servers and removes the files.
pub(super) struct Stage {
    pub(super) config: Config,
    pub(super) config_file: PathBuf,
    /// The shared mailbox, as the watchdog reads it.
    pub(super) mailbox: ImapServer,
    /// Where the alarms go.
    pub(super) alarms: SmtpSink,
    /// Where the checkers send their reports.
    incoming: SmtpSink,
    mails: MailStore,
    _folder: Folder,
}

impl Stage {
    /// Starts the mail servers and writes the configuration.
    ///
    /// # Errors
    /// When there is no port on the loopback interface, or no temporary folder can be written.
    pub(super) fn build() -> Result<Self> {
        let mails = MailStore::new();
        // Other users of this computer reach the port as well.
        let password = format!("{:032x}", fastrand::u128(..));
        let user = format!("monitor@{DOMAIN}");
        let no_port = "The demo cannot open a port on 127.0.0.1";
        let mailbox =
            ImapServer::start(ImapOptions::new(mails.clone(), &user, &password)).context(no_port)?;
        let delivery = Delivery { store: mails.clone(), folder_of: Arc::new(folder_of) };
        let incoming = SmtpSink::start(SmtpOptions { delivery: Some(delivery), ..SmtpOptions::default() });
        let incoming = incoming.context(no_port)?;
        let alarms = SmtpSink::start(SmtpOptions::default()).context(no_port)?;

        let folder = Folder::create()?;
        folder.write("password", &password)?;
        let text = configuration(&folder, mailbox.address(), alarms.address(), &user)?;
        let config_file = folder.write("watchdog.toml", &text)?;
        // Not the caller's environment: it may name a real mailbox.
        let environment = BTreeMap::new();
        let file = config_file.display().to_string();
        let sources = Sources { text: &text, file: &file, environment: &environment, overrides: &[] };
        let config = Config::load(&sources)?;
        Ok(Self { config, config_file, mailbox, alarms, incoming, mails, _folder: folder })
    }

    /// The port that the checkers send to.
    pub(super) fn submission_port(&self) -> u16 {
        self.incoming.address().port()
    }

    /// How many reports lie in the mailbox.
    pub(super) fn reports(&self) -> usize {
        self.mails.mails(FOLDER).len()
    }
}

fn folder_of(recipient: &str) -> Option<String> {
    let known = CHECKERS.iter().any(|(name, _)| recipient == format!("{name}+monitor@{DOMAIN}"));
    known.then(|| FOLDER.to_owned())
}

/// The configuration as its users would write it.
fn configuration(folder: &Folder, mailbox: SocketAddr, alarms: SocketAddr, user: &str) -> Result<String> {
    // A JSON string is a TOML string as well.
    let state = serde_json::to_string(&format!("sqlite:{}", folder.0.join("watchdog.db").display()))?;
    let password = serde_json::to_string(&folder.0.join("password"))?;
    let mut text = format!(
        "# Written by `bresse-watchdog demo`, and removed at its end.\n\
         [watchdog]\nname = \"bresse8\"\nstate = {state}\n\n\
         [mailbox]\nhost = \"{}\"\nport = {}\ntls = \"plain\"\nuser = \"{user}\"\npassword = {{ file = {password} }}\n\
         poll = \"1s\"\nblind_after = \"3s\"\n\n\
         [defaults]\ncycle = \"{}s\"\nmail_path_margin = \"2s\"\ntests = [\n",
        mailbox.ip(),
        mailbox.port(),
        CYCLE.as_secs()
    );
    for service in SERVICES {
        let _ = writeln!(text, "    {{ service = \"{service}\", timeout = \"1s\" }},");
    }
    text.push_str("]\n");
    for (name, provider) in CHECKERS {
        let _ = write!(text, "\n[[checker]]\nname = \"{name}\"\nprovider = \"{provider}\"\n");
    }
    let _ = write!(
        text,
        "\n[[channel]]\nname = \"backup-mail\"\ntype = \"smtp\"\nhost = \"{}\"\nport = {}\ntls = \"plain\"\n\
         from = \"bresse8@elsewhere.example\"\nto = [\"{ON_CALL}\"]\n",
        alarms.ip(),
        alarms.port()
    );
    Ok(text)
}

/// A folder of our own, removed when it is dropped.
struct Folder(PathBuf);

impl Folder {
    fn create() -> Result<Self> {
        let path = std::env::temp_dir().join(format!("bresse-demo-{:08x}", fastrand::u32(..)));
        // Not recursive: one that exists already is somebody else's. It will hold a password.
        DirBuilder::new()
            .mode(0o700)
            .create(&path)
            .with_context(|| format!("The demo cannot make the folder {}; set TMPDIR", path.display()))?;
        Ok(Self(path))
    }

    fn write(&self, name: &str, text: &str) -> Result<PathBuf> {
        let file = self.0.join(name);
        fs::write(&file, text).with_context(|| format!("The demo cannot write {}", file.display()))?;
        Ok(file)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_dir_all(&self.0) {
            tracing::error!(%error, folder = %self.0.display(), "the demo's folder could not be removed");
        }
    }
}

/// The watchdog as `run` runs it.
pub(super) struct Watchdog {
    /// None once it has ended.
    task: Option<JoinHandle<Result<()>>>,
    stop: oneshot::Sender<()>,
}

impl Watchdog {
    pub(super) fn start(config: Config) -> Self {
        let (stop, stopped) = oneshot::channel();
        let end = async {
            // Dropped without a word means the same.
            let _ = stopped.await;
        };
        Self { task: Some(tokio::spawn(service::run_until(config, end))), stop }
    }

    /// Waits until it ends although nobody told it to, and returns why. Safe to cancel.
    pub(super) async fn broke_off(&mut self) -> anyhow::Error {
        let Some(task) = &mut self.task else { return std::future::pending().await };
        let ended = task.await;
        self.task = None;
        match ended {
            Ok(Ok(())) => anyhow!("The watchdog ended in the middle of the story."),
            Ok(Err(error)) => error.context("The watchdog ended in the middle of the story"),
            Err(error) => anyhow!("The watchdog broke off in the middle of the story ({error})."),
        }
    }

    /// Tells it to end, and waits for that.
    pub(super) async fn stop(self) -> Result<()> {
        let Some(task) = self.task else { return Ok(()) };
        // It is gone already when it has just broken off; then its result tells.
        let _ = self.stop.send(());
        let ended = tokio::time::timeout(GOODBYE, task).await;
        ended.context("The watchdog does not end when it is told to")?.context("The watchdog broke off")?
    }
}
