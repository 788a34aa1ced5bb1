//! A private Dovecot that holds the shared mailbox.

use std::fs::{self, File};
use std::io::Write;
use std::os::unix::fs::chown;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use chrono::{DateTime, Utc};
use rustix::process::{Pid, Signal};
use tempfile::TempDir;

use super::{Authority, ImapClient, Protocol, end, free_port, need, signal, submit, wait_until_listening};

/// The one mailbox, into which every address is delivered.
pub(crate) const USER: &str = "monitor@domain.com";
pub(crate) const PASSWORD: &str = "right-horse-battery";

/// Nobody's user and group on Debian; mail belongs to them.
const MAIL_OWNER: u32 = 65534;

/// A running (or stopped) instance; it ends, and its mail goes, with this value.
pub(crate) struct Dovecot {
    dir: TempDir,
    process: Option<Child>,
    authority: Authority,
    /// Implicit TLS.
    pub(crate) imaps_port: u16,
    /// STARTTLS; without it LOGIN is refused.
    pub(crate) imap_port: u16,
    pub(crate) lmtp_port: u16,
    pub(crate) ca_file: PathBuf,
}

impl Dovecot {
    pub(crate) fn start() -> Self {
        Self::start_with(|authority| authority.server_certificate(false), "")
    }

    /// It keeps the mails in large files, as servers with many mails do: a day's traffic does not slow it down.
    pub(crate) fn start_for_many() -> Self {
        let many = "mail_location = mdbox:~/mdbox\nmail_fsync = never\n";
        Self::start_with(|authority| authority.server_certificate(false), many)
    }

    /// Its certificate was good until 2001.
    pub(crate) fn start_with_expired_certificate() -> Self {
        Self::start_with(|authority| authority.server_certificate(true), "")
    }

    /// Its certificate was not renewed and ends in so many days.
    pub(crate) fn start_with_certificate_for(days: i64) -> Self {
        Self::start_with(|authority| authority.server_certificate_for(days), "")
    }

    /// It holds so much and tells it (QUOTA); what is too much is refused for the time being.
    pub(crate) fn start_with_quota(kib: u32) -> Self {
        Self::start_with(|authority| authority.server_certificate(false), &quota(kib))
    }

    /// Takes effect with [`Dovecot::start_again`]. The authority stays the same.
    pub(crate) fn renew_certificate(&self, days: i64) {
        self.authority.server_certificate_for(days);
    }

    /// From [`Dovecot::start_again`] on it shows a certificate of an authority that nobody trusts, or its own again.
    pub(crate) fn show_foreign_certificate(&self, foreign: bool) {
        if foreign {
            let dir = self.path("foreign");
            fs::create_dir_all(&dir).unwrap();
            let (certificate, key) = Authority::new(&dir).server_certificate(false);
            fs::copy(certificate, self.path("server.pem")).unwrap();
            fs::copy(key, self.path("server.key")).unwrap();
        } else {
            self.authority.server_certificate(false);
        }
    }

    /// Settings that are added to the others, or take their place; they take effect with [`Dovecot::start_again`].
    pub(crate) fn configure(&self, settings: &str) {
        let mut config = File::options().append(true).open(self.config_file()).unwrap();
        config.write_all(settings.as_bytes()).unwrap();
    }

    /// Loses what it knows of INBOX beside the mails: at the next start their numbers begin anew, under a new
    /// UIDVALIDITY. Only while it is stopped.
    pub(crate) fn lose_index(&self) {
        assert!(self.process.is_none(), "Dovecot is running");
        for entry in fs::read_dir(self.path("home/Maildir")).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            if name.starts_with("dovecot") {
                fs::remove_file(path).unwrap();
            }
        }
    }

    fn start_with(certify: impl FnOnce(&Authority) -> (PathBuf, PathBuf), more: &str) -> Self {
        need("/usr/sbin/dovecot");
        need("/usr/lib/dovecot/imap");
        need("/usr/lib/dovecot/lmtp");
        let dir = super::directory();
        let authority = Authority::new(dir.path());
        let certificate = certify(&authority);
        let mut dovecot = Self {
            process: None,
            imaps_port: free_port(),
            imap_port: free_port(),
            lmtp_port: free_port(),
            ca_file: authority.ca_file(),
            authority,
            dir,
        };
        dovecot.make_maildir();
        fs::write(dovecot.path("users"), format!("{USER}:{{PLAIN}}{PASSWORD}\n")).unwrap();
        fs::write(dovecot.config_file(), dovecot.config(&certificate.0, &certificate.1) + more).unwrap();
        dovecot.start_again();
        dovecot
    }

    /// Starts after [`Dovecot::stop`], on the same ports with the same mail.
    pub(crate) fn start_again(&mut self) {
        assert!(self.process.is_none(), "Dovecot is running");
        let output = File::options().append(true).create(true).open(self.path("output")).unwrap();
        // setpriv: the server ends with the test's thread, even when the test is interrupted.
        let process = Command::new("/usr/bin/setpriv")
            .args(["--pdeathsig", "TERM", "/usr/sbin/dovecot", "-F", "-c"])
            .arg(self.config_file())
            .process_group(0)
            .stdin(Stdio::null())
            .stdout(output.try_clone().unwrap())
            .stderr(output)
            .spawn()
            .expect("start Dovecot");
        self.process = Some(process);
        for port in [self.imaps_port, self.imap_port, self.lmtp_port] {
            wait_until_listening(port, "Dovecot", &self.path("output"));
        }
    }

    /// Ends the server and every session on it; new connections are refused.
    pub(crate) fn stop(&mut self) {
        if let Some(mut process) = self.process.take() {
            end(&mut process);
        }
    }

    /// As the kernel does when the memory is used up: nobody is told goodbye.
    pub(crate) fn kill_9(&mut self) {
        if let Some(mut process) = self.process.take() {
            let _ = rustix::process::kill_process_group(Pid::from_child(&process), Signal::KILL);
            process.wait().unwrap();
        }
    }

    /// What it wrote into its log.
    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.path("output")).unwrap()
    }

    /// Lets every mail arrive that is given, fast: 100,000 take some seconds.
    ///
    /// The files are laid into the Maildir as a delivery agent would (Dovecot takes INTERNALDATE from the file's
    /// time), named so that Dovecot numbers them in the order given. Only for a mailbox that is still empty.
    pub(crate) fn fill(&self, mails: impl IntoIterator<Item = (DateTime<Utc>, Vec<u8>)>) {
        let folder = self.path("home/Maildir/cur");
        let mut count = 0_usize;
        for (date, mail) in mails {
            let size = mail.len();
            let name = format!("1000000000.M{count:09}P1.rig,S={size},W={size}:2,");
            let mut file = File::create(folder.join(name)).unwrap();
            file.write_all(&mail).unwrap();
            file.set_modified(date.into()).unwrap();
            count += 1;
        }
        assert_eq!(self.status("messages"), count.to_string(), "Dovecot does not see every mail");
    }

    /// Delivers by LMTP, as the mail server in front does: received now.
    pub(crate) fn deliver(&self, to: &str, mail: &[u8]) {
        submit(Protocol::Lmtp, self.lmtp_port, "checker@checker.example", to, mail).expect("deliver by LMTP");
    }

    /// Adds a mail with an INTERNALDATE of its own, by APPEND.
    pub(crate) fn deliver_dated(&self, mail: &[u8], date: DateTime<Utc>) {
        let mut client = self.connect();
        let date = date.format("%d-%b-%Y %H:%M:%S +0000").to_string();
        client.append("INBOX", &date, mail).expect("APPEND");
    }

    pub(crate) fn make_folder(&self, name: &str) {
        self.connect().command(&format!("CREATE {name}")).expect("CREATE");
    }

    /// Puts mails, received now, into a folder, as the server's own filter does.
    pub(crate) fn appender(&self, folder: &str) -> impl Fn(&[u8]) + Send + 'static {
        let (port, ca_file, folder) = (self.imaps_port, self.ca_file.clone(), folder.to_owned());
        move |mail| {
            let mut client = ImapClient::connect(port, &ca_file).expect("IMAP over TLS");
            client.login(USER, PASSWORD).expect("LOGIN");
            let date = Utc::now().format("%d-%b-%Y %H:%M:%S +0000").to_string();
            client.append(&folder, &date, mail).expect("APPEND");
        }
    }

    pub(crate) fn move_all(&self, from: &str, to: &str) {
        self.doveadm(&["move", "-u", USER, to, "mailbox", from, "all"]);
    }

    /// A logged-in connection over TLS.
    pub(crate) fn connect(&self) -> ImapClient {
        let mut client = ImapClient::connect(self.imaps_port, &self.ca_file).expect("IMAP over TLS");
        client.login(USER, PASSWORD).expect("LOGIN");
        client
    }

    /// All that reading could change: the folder's counters (HIGHESTMODSEQ counts every change, even one that
    /// was undone), every mail's UID and flags, and the names of all folders. Equal before and after means untouched.
    pub(crate) fn snapshot(&self) -> String {
        let counters = self.status("all");
        let flags = self.doveadm(&["fetch", "-u", USER, "uid flags guid", "mailbox", "INBOX", "all"]);
        let folders = self.doveadm(&["mailbox", "list", "-u", USER]);
        format!("{counters}\n{folders}\n{flags}")
    }

    /// One or more STATUS items of INBOX; of a single one only the value.
    pub(crate) fn status(&self, items: &str) -> String {
        let line = self.doveadm(&["-f", "flow", "mailbox", "status", "-u", USER, items, "INBOX"]);
        let line = line.trim().trim_start_matches("INBOX ").to_owned();
        line.strip_prefix(&format!("{items}=")).map_or(line.clone(), str::to_owned)
    }

    /// Every mail of INBOX as it lies there, one after the other.
    pub(crate) fn texts(&self) -> String {
        self.doveadm(&["fetch", "-u", USER, "text", "mailbox", "INBOX", "all"])
    }

    /// Deletes every mail of INBOX.
    pub(crate) fn empty(&self) {
        self.doveadm(&["expunge", "-u", USER, "mailbox", "INBOX", "all"]);
    }

    pub(crate) fn delete_oldest(&self, count: usize) {
        self.doveadm(&["expunge", "-u", USER, "mailbox", "INBOX", &format!("1:{count}")]);
    }

    fn doveadm(&self, arguments: &[&str]) -> String {
        let output = Command::new("/usr/bin/doveadm")
            .arg("-c")
            .arg(self.config_file())
            .args(arguments)
            .output()
            .expect("run doveadm");
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "doveadm {arguments:?}: {errors}");
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    fn make_maildir(&self) {
        for folder in ["home", "home/Maildir", "home/Maildir/cur", "home/Maildir/new", "home/Maildir/tmp"] {
            fs::create_dir(self.path(folder)).unwrap();
            chown(self.path(folder), Some(MAIL_OWNER), Some(MAIL_OWNER)).unwrap();
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn config_file(&self) -> PathBuf {
        self.path("dovecot.conf")
    }

    fn config(&self, certificate: &Path, key: &Path) -> String {
        let dir = self.dir.path().display();
        let (certificate, key) = (certificate.display(), key.display());
        let Self { imaps_port, imap_port, lmtp_port, .. } = self;
        format!(
            r#"
base_dir = {dir}/run
state_dir = {dir}/state
instance_name = rig
log_path = {dir}/output
listen = 127.0.0.1
protocols = imap lmtp
ssl = required
ssl_cert = <{certificate}
ssl_key = <{key}
disable_plaintext_auth = yes
auth_mechanisms = plain login
auth_failure_delay = 0
mail_location = maildir:~/Maildir
mail_uid = {MAIL_OWNER}
mail_gid = {MAIL_OWNER}
mail_max_userip_connections = 100
recipient_delimiter = +
passdb {{
  driver = passwd-file
  args = {dir}/users
}}
userdb {{
  # Every recipient is an alias of the one mailbox.
  driver = static
  args = uid={MAIL_OWNER} gid={MAIL_OWNER} home={dir}/home allow_all_users=yes
}}
namespace inbox {{
  inbox = yes
  mailbox Junk {{
    special_use = \Junk
  }}
}}
service imap-login {{
  inet_listener imap {{
    port = {imap_port}
  }}
  inet_listener imaps {{
    port = {imaps_port}
    ssl = yes
  }}
}}
service lmtp {{
  inet_listener lmtp {{
    port = {lmtp_port}
  }}
}}
service anvil {{
  # Without it, no penalty of several seconds follows a wrong password.
  unix_listener anvil-auth-penalty {{
    mode = 0
  }}
}}
"#
        )
    }
}

fn quota(kib: u32) -> String {
    format!(
        "mail_plugins = quota
protocol imap {{
  mail_plugins = quota imap_quota
}}
plugin {{
  quota = count:User quota
  quota_vsizes = yes
  quota_rule = *:storage={kib}K
  # No tenth more for the last mail.
  quota_grace = 0
}}
# 4.2.2 and not 5.2.2: the mail stays in the sender's queue.
quota_full_tempfail = yes
"
    )
}

impl Drop for Dovecot {
    fn drop(&mut self) {
        self.stop();
    }
}
