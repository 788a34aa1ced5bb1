"""First read of the whole mailbox: raw socket, the product, and an administrator's script, in interleaved rounds."""

import socket
import ssl
import statistics
import subprocess
import sys
import time
from pathlib import Path

from . import product
from .dovecot import PASSWORD

ITEMS = "(UID INTERNALDATE BODY.PEEK[]<0.65536>)"
# No line that ends an answer is longer.
LINE_MAX = 4096
ADMINISTRATOR = Path(__file__).resolve().parent / "administrator.py"


class RawClient:
    """As little IMAP as possible."""

    def __init__(self, dovecot, protection):
        port = dovecot.tls if protection == "tls" else dovecot.plain
        self.socket = socket.create_connection(("127.0.0.1", port))
        if protection == "tls":
            context = ssl.create_default_context(cafile=dovecot.dir / "certificate.pem")
            self.socket = context.wrap_socket(self.socket, server_hostname="localhost")
        self.buffer = bytearray(1 << 20)
        self.await_end(b"* OK")

    def await_end(self, mark):
        """Throws bytes away up to a line that begins with `mark`; returns how many there were."""
        total, tail = 0, b""
        while True:
            count = self.socket.recv_into(self.buffer)
            if count == 0:
                raise SystemExit(f"Dovecot hung up; its last words: {tail!r}")
            total += count
            tail = (tail + bytes(self.buffer[max(0, count - LINE_MAX):count]))[-LINE_MAX:]
            if tail.endswith(b"\r\n") and tail[:-2].rpartition(b"\n")[2].startswith(mark):
                return total

    def command(self, line):
        self.socket.sendall(b"a " + line.encode() + b"\r\n")
        return self.await_end(b"a OK")


def raw(dovecot, protection, user):
    """Seconds and bytes."""
    began = time.perf_counter()
    client = RawClient(dovecot, protection)
    client.command(f"LOGIN {user} {PASSWORD}")
    client.command("EXAMINE INBOX")
    count = client.command(f"UID FETCH 1:* {ITEMS}")
    client.socket.close()
    return time.perf_counter() - began, count


def administrator(dovecot, protection, user):
    port = dovecot.tls if protection == "tls" else dovecot.plain
    command = [sys.executable, ADMINISTRATOR, protection, str(port), dovecot.dir / "certificate.pem", user, PASSWORD]
    began = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - began


def server_of(dovecot, protection):
    return product.tls(dovecot.tls, dovecot.pin) if protection == "tls" else product.plain(dovecot.plain)


def measure(dovecot, binary, user, reports, rounds):
    dir = dovecot.dir / "watchdog"
    dir.mkdir(exist_ok=True)
    for protection in ("plain", "tls"):
        # Not counted: afterwards Dovecot's caches and the machine's are filled for everybody.
        raw(dovecot, protection, user)
        product.write_config(dir, server_of(dovecot, protection), user)
        seconds = {"raw": [], "product": [], "script": []}
        passes, count = [], 0
        for _ in range(rounds):
            elapsed, count = raw(dovecot, protection, user)
            seconds["raw"].append(elapsed)
            product.forget(dir)
            passes.append(product.Measured(binary, dir, "once"))
            seconds["product"].append(passes[-1].seconds)
            seconds["script"].append(administrator(dovecot, protection, user))
        demand_all_kept(dir, reports)
        show(protection, seconds, passes, reports, count, product.state_bytes(dir))


def demand_all_kept(dir, reports):
    import sqlite3

    with sqlite3.connect(dir / "watchdog.db") as db:
        (kept,) = db.execute("SELECT COUNT(*) FROM reports").fetchone()
    if kept != reports:
        raise SystemExit(f"the product kept {kept} of {reports} reports: there is nothing to compare")


def show(protection, seconds, passes, reports, count, state):
    median = {who: statistics.median(values) for who, values in seconds.items()}
    print(f"\nFirst read, {protection}: {reports:,} reports, {count / 1e6:.0f} MB on the wire, {len(passes)} rounds")
    for who, values in seconds.items():
        each = " ".join(f"{value:.2f}" for value in values)
        print(f"  {who:8} {median[who]:8.2f} s  {reports / median[who]:9,.0f} reports/s   ({each})")
    print(f"  product / raw      {median['product'] / median['raw']:.2f}")
    print(f"  script / product   {median['script'] / median['product']:.2f}")
    print(f"  product: at most {max(one.most_mb for one in passes):.1f} MB resident, "
          f"{statistics.median(one.cpu for one in passes):.2f} CPU s, state file {state / 1e6:.1f} MB "
          f"({state / reports:.0f} bytes a report)", flush=True)
