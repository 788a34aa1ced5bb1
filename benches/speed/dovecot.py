"""A private Dovecot on loopback ports, with mailboxes filled beforehand."""

import hashlib
import os
import shutil
import signal
import socket
import ssl
import subprocess
import time
from pathlib import Path

from . import mails

PASSWORD = "right-horse-battery"
# Nobody's user and group on Debian; mail belongs to them.
OWNER = 65534
PATIENCE_S = 20
# The dates of an mbox are local times.
ENVIRONMENT = {"PATH": "/usr/bin:/bin:/usr/sbin:/sbin", "TZ": "UTC"}

CONFIG = """
base_dir = {dir}/run
state_dir = {dir}/state
instance_name = benches
log_path = {dir}/dovecot.log
listen = 127.0.0.1
protocols = imap
ssl = yes
ssl_cert = <{dir}/certificate.pem
ssl_key = <{dir}/key.pem
disable_plaintext_auth = no
auth_mechanisms = plain
mail_location = mdbox:~/mdbox
mail_uid = {owner}
mail_gid = {owner}
# Only the filling writes, and it is not what is measured.
mail_fsync = never
passdb {{
  driver = passwd-file
  args = {dir}/users
}}
userdb {{
  driver = static
  args = uid={owner} gid={owner} home={dir}/home/%u allow_all_users=yes
}}
service imap-login {{
  inet_listener imap {{
    port = {plain}
  }}
  inet_listener imaps {{
    port = {tls}
    ssl = yes
  }}
}}
"""


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def what_is_missing():
    """The sentence that says why Dovecot cannot be started, or None."""
    if not os.access("/usr/lib/dovecot/imap", os.X_OK):
        return "Dovecot is missing; tests/run installs it (Debian: dovecot-imapd)"
    if shutil.which("openssl") is None:
        return "the program openssl is missing"
    if os.geteuid() != 0:
        return "Dovecot insists on root; run this as root"
    return None


class Dovecot:
    """Running between `with` and its end; `dir` holds all its files."""

    def __init__(self, dir):
        self.dir = Path(dir)
        self.plain, self.tls = free_port(), free_port()

    def __enter__(self):
        for name in ("home", "fill"):
            (self.dir / name).mkdir()
            os.chown(self.dir / name, OWNER, OWNER)
        subject = ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"]
        key, certificate = self.dir / "key.pem", self.dir / "certificate.pem"
        command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", *subject]
        subprocess.run([*command, "-keyout", key, "-out", certificate], check=True, capture_output=True)
        self.pin = hashlib.sha256(ssl.PEM_cert_to_DER_cert(certificate.read_text())).hexdigest()
        (self.dir / "users").write_text("")
        config = CONFIG.format(dir=self.dir, owner=OWNER, plain=self.plain, tls=self.tls)
        (self.dir / "dovecot.conf").write_text(config)
        self.process = subprocess.Popen(
            ["/usr/sbin/dovecot", "-F", "-c", self.dir / "dovecot.conf"],
            stdin=subprocess.DEVNULL, env=ENVIRONMENT, process_group=0,
        )
        until = time.monotonic() + PATIENCE_S
        while not self.listens():
            if time.monotonic() > until or self.process.poll() is not None:
                raise SystemExit(f"Dovecot does not start:\n{(self.dir / 'dovecot.log').read_text()}")
            time.sleep(0.05)
        return self

    def __exit__(self, *_):
        self.process.send_signal(signal.SIGTERM)
        self.process.wait()

    def listens(self):
        try:
            socket.create_connection(("127.0.0.1", self.tls)).close()
        except ConnectionRefusedError:
            return False
        return True

    def fill(self, user, headers, count, checkers=mails.CHECKERS):
        """Gives `user` an INBOX with `count` reports; returns the newest one's time."""
        with open(self.dir / "users", "a", encoding="ascii") as users:
            users.write(f"{user}:{{PLAIN}}{PASSWORD}\n")
        newest = int(time.time())
        folder = self.dir / "fill" / user
        folder.mkdir()
        mails.write_mbox(folder / "inbox", headers, count, checkers, newest)
        for path in (folder, folder / "inbox"):
            os.chown(path, OWNER, OWNER)
        self.doveadm("import", "-u", user, f"mbox:{folder}:INBOX={folder}/inbox", "", "ALL")
        shutil.rmtree(folder)
        found = self.doveadm("-f", "flow", "mailbox", "status", "-u", user, "messages", "INBOX")
        if f"messages={count}" not in found:
            raise SystemExit(f"Dovecot took {found.strip()} instead of {count} reports")
        return newest

    def doveadm(self, *arguments):
        command = ["doveadm", "-c", self.dir / "dovecot.conf", *arguments]
        return subprocess.run(command, check=True, env=ENVIRONMENT, stdout=subprocess.PIPE, text=True).stdout
