"""Small: memory and wake-ups at rest, and the size of the binary."""

import time
from pathlib import Path

from . import product, truth

# Who has used no processor time for so long has judged and stored what the start brings.
SETTLING_S = 5


def wakeups(pid):
    """Voluntary context switches of all threads: each is a thread that had waited for something."""
    total = 0
    for status in Path(f"/proc/{pid}/task").glob("*/status"):
        lines = dict(line.split(":", 1) for line in status.read_text().splitlines())
        total += int(lines["voluntary_ctxt_switches"])
    return total


def cpu_ms(pid):
    """User and system time, in steps of 10 ms."""
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) * 10


def wait_until_right(daemon, dir, checkers):
    while len(truth.table(dir)) < checkers:
        if time.perf_counter() - daemon.began > truth.PATIENCE_S:
            raise SystemExit(f"only {len(truth.table(dir))} of {checkers} checkers after {truth.PATIENCE_S} s")
        time.sleep(0.1)
    # After a restart the table is right before anything was judged: it is that of the process before.
    used = None
    while used != (used := cpu_ms(daemon.pid)):
        time.sleep(SETTLING_S)


def at_rest(dovecot, binary, user, checkers, poll, seconds):
    dir = dovecot.dir / f"rest-{user}-{poll}"
    dir.mkdir()
    product.write_config(dir, product.plain(dovecot.plain), user, checkers, poll)
    with product.Daemon(binary, dir) as daemon:
        wait_until_right(daemon, dir, checkers)
        after_reading = product.memory(daemon.pid, "VmRSS")
    # A second start finds everything in the state file.
    with product.Daemon(binary, dir) as daemon:
        wait_until_right(daemon, dir, checkers)
        switches, cpu = wakeups(daemon.pid), cpu_ms(daemon.pid)
        time.sleep(seconds)
        switches, cpu = wakeups(daemon.pid) - switches, cpu_ms(daemon.pid) - cpu
        rss = product.memory(daemon.pid, "VmRSS")
    print(f"  {checkers:>6,} checkers, poll {poll:>4}: {after_reading:5.1f} MB resident after a first read, {rss:5.1f} MB "
          f"after a restart, {switches * 60 / seconds:.0f} wake-ups and {cpu * 60 / seconds:.0f} ms CPU a minute",
          flush=True)


def measure(dovecot, binary, boxes, seconds):
    """`boxes`: user and number of checkers."""
    print(f"\nAt rest, over {seconds} s:")
    for user, checkers in boxes:
        for poll in ("60s", "1h"):
            at_rest(dovecot, binary, user, checkers, poll, seconds)
    print(f"  the binary: {binary.stat().st_size / 1e6:.1f} MB", flush=True)
