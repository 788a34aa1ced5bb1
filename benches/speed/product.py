"""The built binary: how it is configured, started and watched."""

import json
import os
import subprocess
import time
from pathlib import Path

from . import mails
from .dovecot import PASSWORD

ROOT = Path(__file__).resolve().parent.parent.parent
# Between two looks at the memory of a running process.
SAMPLING_S = 0.01
OUTPUT = "output"


def build():
    """Builds the release binary and returns its path."""
    subprocess.run(["cargo", "build", "--release"], cwd=ROOT, check=True)
    command = ["cargo", "metadata", "--format-version", "1", "--no-deps"]
    metadata = subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE).stdout
    return Path(json.loads(metadata)["target_directory"]) / "release" / "bresse-watchdog"


def plain(port):
    return f'host = "127.0.0.1"\nport = {port}\ntls = "plain"\n'


def tls(port, pin):
    return f'host = "localhost"\nport = {port}\ntls = "implicit"\npin_sha256 = "{pin}"\n'


def write_config(dir, server, user, checkers=mails.CHECKERS, poll="60s"):
    """Writes `watchdog.toml`. The deadline is so long that no checker falls silent while the benchmarks run."""
    blocks = "".join(
        f'[[checker]]\nname = "{mails.checker(number)}"\nprovider = "provider{number}"\n'
        f'address = "{mails.checker(number)}+monitor@domain.com"\n'
        for number in range(checkers)
    )
    (dir / "watchdog.toml").write_text(
        f'[watchdog]\nname = "bresse0"\n[mailbox]\n{server}user = "{user}"\npoll = "{poll}"\n'
        f'password = {{ env = "IMAP_PASSWORD" }}\n[defaults]\ncycle = "1d"\ntests = [\n'
        f'{{ service = "MSSQL1_Service", timeout = "10s" }}, {{ service = "ESHOP_Service", timeout = "30s" }} ]\n'
        f'{blocks}[[channel]]\nname = "nobody"\ntype = "smtp"\nhost = "127.0.0.1"\nport = 9\ntls = "plain"\n'
        f'from = "a@watchdog.example"\nto = ["b@elsewhere.example"]\n'
    )


def forget(dir):
    """Removes the state: the next start is a first start."""
    for file in dir.glob("watchdog.db*"):
        file.unlink()


def state_bytes(dir):
    return sum(file.stat().st_size for file in dir.glob("watchdog.db*"))


def environment():
    return {"PATH": "/usr/bin:/bin", "IMAP_PASSWORD": PASSWORD}


def start(binary, dir, *arguments):
    # Not a pipe: nobody would empty it meanwhile.
    with open(dir / OUTPUT, "wb") as output:
        return subprocess.Popen(
            [binary, *arguments], cwd=dir, env=environment(),
            stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT,
        )


def memory(pid, field):
    """VmRSS (now) or VmHWM (the most so far) in MB of 1,000,000 bytes; 0 when the process has ended."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except ProcessLookupError:
        return 0.0
    for line in status.splitlines():
        if line.startswith(f"{field}:"):
            return int(line.split()[1]) * 1024 / 1e6
    return 0.0


class Measured:
    """One command from its start to its end: seconds, CPU seconds, and the most memory that was resident, in MB."""

    def __init__(self, binary, dir, *arguments):
        began = time.perf_counter()
        process = start(binary, dir, *arguments)
        self.most_mb = 0.0
        # Not ru_maxrss: it holds this interpreter's memory, from which the process was forked.
        while True:
            pid, status, usage = os.wait4(process.pid, os.WNOHANG)
            if pid != 0:
                break
            self.most_mb = max(self.most_mb, memory(process.pid, "VmHWM"))
            time.sleep(SAMPLING_S)
        self.seconds = time.perf_counter() - began
        self.cpu = usage.ru_utime + usage.ru_stime
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode != 0:
            output = (dir / OUTPUT).read_text()
            raise SystemExit(f"bresse-watchdog {arguments} ended with {process.returncode}:\n{output}")


class Daemon:
    """`run`, ended at the end of `with`."""

    def __init__(self, binary, dir):
        self.began = time.perf_counter()
        self.process = start(binary, dir, "run")
        self.pid = self.process.pid

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait()
