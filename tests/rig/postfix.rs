//! A private Postfix: the relay in front of the mailbox, or the foreign server that takes the alarms.

use std::fs;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};

use tempfile::TempDir;

use super::{
    AlarmMail, Authority, Dovecot, Inbox, Protocol, end, free_port, need, submit, wait_until_listening,
};

const MASTER: &str = "/usr/lib/postfix/sbin/master";

/// After this many seconds it ends by itself, should the test have been interrupted and not have ended it.
const LONGEST_TEST_S: &str = "600";

/// Nobody's user and group on Debian; the Maildir belongs to them.
const MAIL_OWNER: u32 = 65534;

/// A running instance; it ends, and its queue goes, with this value.
pub(crate) struct Postfix {
    dir: TempDir,
    process: Child,
    /// STARTTLS is offered, not demanded.
    pub(crate) port: u16,
    /// Implicit TLS.
    pub(crate) tls_port: u16,
    pub(crate) ca_file: PathBuf,
    /// Puts every mail on hold.
    holding_port: u16,
    holds: AtomicBool,
}

impl Postfix {
    /// Takes mail for domain.com and hands it to this Dovecot by LMTP, trying again every second.
    pub(crate) fn relaying_to(dovecot: &Dovecot) -> Self {
        let transport = format!(
            "relay_domains = domain.com\nrelay_recipient_maps =\nrelay_transport = lmtp:inet:127.0.0.1:{}\n",
            dovecot.lmtp_port
        );
        Self::start(&transport)
    }

    /// As [`Postfix::relaying_to`], but mail for `address` is taken and then bounced with `reply`, which begins with an
    /// enhanced status.
    pub(crate) fn refusing(dovecot: &Dovecot, address: &str, reply: &str) -> Self {
        let transport = format!(
            "relay_domains = domain.com\nrelay_recipient_maps =\nrelay_transport = lmtp:inet:127.0.0.1:{}\n\
             transport_maps = inline:{{ {{ {address} = error:{reply} }} }}\nsmtpd_reject_unlisted_recipient = no\n",
            dovecot.lmtp_port
        );
        Self::start(&transport)
    }

    /// Takes mail for elsewhere.example and keeps it in a Maildir, read by [`Inbox::mails`].
    pub(crate) fn into_maildir() -> Self {
        Self::start("virtual_mailbox_domains = elsewhere.example\nvirtual_mailbox_maps = static:maildir/\n")
    }

    fn start(destination: &str) -> Self {
        need(MASTER);
        let dir = super::directory();
        let authority = Authority::new(dir.path());
        let (certificate, key) = authority.server_certificate(false);
        let (port, tls_port, holding_port) = (free_port(), free_port(), free_port());
        make_directories(dir.path());
        let main = main_cf(dir.path(), &certificate, &key) + destination;
        fs::write(dir.path().join("main.cf"), main).unwrap();
        fs::write(dir.path().join("master.cf"), master_cf(port, tls_port, holding_port)).unwrap();
        // It makes itself the leader of a process group, and refuses to start when it is one already.
        let process = Command::new(MASTER)
            .args(["-e", LONGEST_TEST_S, "-c"])
            .arg(dir.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("start Postfix");
        let ca_file = authority.ca_file();
        let postfix =
            Self { dir, process, port, tls_port, ca_file, holding_port, holds: AtomicBool::new(false) };
        for port in [port, tls_port, holding_port] {
            wait_until_listening(port, "Postfix", &postfix.dir.path().join("log"));
        }
        postfix
    }

    /// Hands in a mail; it has been queued when this returns.
    pub(crate) fn submit(&self, from: &str, to: &str, mail: &[u8]) -> Result<(), String> {
        let port = if self.holds.load(Ordering::SeqCst) { self.holding_port } else { self.port };
        submit(Protocol::Smtp, port, from, to, mail)
    }

    /// What is submitted from now on stays in the queue.
    pub(crate) fn hold(&self) {
        self.holds.store(true, Ordering::SeqCst);
    }

    /// Delivers what was held, within a second or two, and from now on everything.
    pub(crate) fn release(&self) {
        self.holds.store(false, Ordering::SeqCst);
        let mut postsuper = Command::new("/usr/sbin/postsuper");
        let output =
            postsuper.arg("-c").arg(self.dir.path()).args(["-H", "ALL"]).output().expect("run postsuper");
        assert!(output.status.success(), "postsuper: {}", String::from_utf8_lossy(&output.stderr));
    }
}

impl Inbox for Postfix {
    fn mails(&self) -> Vec<AlarmMail> {
        let Ok(entries) = fs::read_dir(self.dir.path().join("sink/maildir/new")) else {
            return Vec::new(); // made by the first delivery
        };
        let mut files: Vec<_> = entries.map(|entry| entry.unwrap()).collect();
        files.sort_by_key(|file| file.metadata().and_then(|meta| meta.modified()).unwrap());
        let read = |file: &fs::DirEntry| {
            let mut mail = AlarmMail { recipients: Vec::new(), raw: fs::read(file.path()).unwrap() };
            mail.recipients.extend(mail.header("Delivered-To"));
            mail
        };
        files.iter().map(read).collect()
    }
}

impl Drop for Postfix {
    fn drop(&mut self) {
        end(&mut self.process);
        if std::thread::panicking() {
            let log = fs::read_to_string(self.dir.path().join("log")).unwrap_or_default();
            let last: Vec<_> = log.lines().rev().take(20).collect();
            eprintln!("Postfix logged, newest first:\n{}", last.join("\n"));
        }
    }
}

/// What `postfix start` would make, without its changes to anything outside the directory.
fn make_directories(dir: &Path) {
    let (owner, group) = (id("-u", "postfix"), id("-g", "postfix"));
    let private = ["data", "queue/private"].map(|name| (name, 0o700));
    let shared = [("queue/public", 0o755)];
    let queues = [
        "incoming", "active", "deferred", "hold", "bounce", "defer", "flush", "trace", "corrupt", "saved",
        "maildrop",
    ];
    fs::create_dir(dir.join("queue")).unwrap();
    fs::create_dir(dir.join("queue/pid")).unwrap();
    let queues: Vec<_> = queues.iter().map(|name| (format!("queue/{name}"), 0o700)).collect();
    let named = private.into_iter().chain(shared).map(|(name, mode)| (name.to_owned(), mode));
    for (name, mode) in named.chain(queues) {
        let path = dir.join(name);
        fs::create_dir(&path).unwrap();
        chown(&path, Some(owner), Some(group)).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
    }
    fs::create_dir(dir.join("sink")).unwrap();
    chown(dir.join("sink"), Some(MAIL_OWNER), Some(MAIL_OWNER)).unwrap();
}

/// The user's or group's number, which differs from machine to machine.
fn id(kind: &str, user: &str) -> u32 {
    let output = Command::new("id").arg(kind).arg(user).output().expect("run id");
    let text = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    text.parse()
        .unwrap_or_else(|_| panic!("there is no user {user}: run ./tests/run, which installs Postfix"))
}

fn main_cf(dir: &Path, certificate: &Path, key: &Path) -> String {
    let (dir, certificate, key) = (dir.display(), certificate.display(), key.display());
    format!(
        "compatibility_level = 3.6
queue_directory = {dir}/queue
data_directory = {dir}/data
maillog_file = {dir}/log
maillog_file_prefixes = {dir}
myhostname = relay.example
mydestination =
alias_maps =
local_recipient_maps =
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
smtpd_relay_restrictions = reject_unauth_destination
smtpd_peername_lookup = no
disable_dns_lookups = yes
recipient_delimiter = +
smtpd_tls_security_level = may
smtpd_tls_cert_file = {certificate}
smtpd_tls_key_file = {key}
queue_run_delay = 1s
minimal_backoff_time = 1s
maximal_backoff_time = 1s
transport_retry_time = 1s
lmtp_destination_concurrency_failed_cohort_limit = 0
virtual_mailbox_base = {dir}/sink
virtual_uid_maps = static:{MAIL_OWNER}
virtual_gid_maps = static:{MAIL_OWNER}
"
    )
}

fn master_cf(port: u16, tls_port: u16, holding_port: u16) -> String {
    format!(
        "127.0.0.1:{port} inet n - n - - smtpd
127.0.0.1:{tls_port} inet n - n - - smtpd
  -o smtpd_tls_wrappermode=yes
127.0.0.1:{holding_port} inet n - n - - smtpd
  -o smtpd_client_restrictions=check_client_access,static:HOLD
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
tlsmgr unix - - n 1000? 1 tlsmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
flush unix n - n 1000? 0 flush
showq unix n - n - - showq
proxymap unix - - n - - proxymap
error unix - - n - - error
retry unix - - n - - error
virtual unix - n n - - virtual
lmtp unix - - n - - lmtp
anvil unix - - n - 1 anvil
postlog unix-dgram n - n - 1 postlogd
"
    )
}
