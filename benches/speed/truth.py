"""First truth: from the start of the process to a table that is right, and to the first byte that it sends."""

import json
import socket
import sqlite3
import statistics
import subprocess
import threading
import time
from datetime import datetime, timezone

from . import mails, product

LOOKS_EVERY_S = 0.002
PATIENCE_S = 60


def table(dir):
    """Last received per checker that is ok, from the state file; empty until there is one."""
    try:
        db = sqlite3.connect(f"file:{dir / 'watchdog.db'}?mode=ro", uri=True)
        try:
            return dict(db.execute("SELECT name, last_received FROM last_seen WHERE state = 'ok'"))
        finally:
            db.close()
    except sqlite3.OperationalError:
        return {}


def expected(count, newest):
    last = mails.dates(count, mails.CHECKERS, newest)[-mails.CHECKERS:]
    numbers = [index % mails.CHECKERS for index in range(count - mails.CHECKERS, count)]
    text = [datetime.fromtimestamp(at, timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ") for at in last]
    return {mails.checker(number): at for number, at in zip(numbers, text)}


def until_right(binary, dir, wanted):
    """Seconds from the start of `run`, without any state, until every checker's line is right."""
    product.forget(dir)
    with product.Daemon(binary, dir) as daemon:
        while table(dir) != wanted:
            if time.perf_counter() - daemon.began > PATIENCE_S:
                raise SystemExit(f"no right table after {PATIENCE_S} s: {table(dir)} instead of {wanted}")
            time.sleep(LOOKS_EVERY_S)
        seconds = time.perf_counter() - daemon.began
        command = [binary, "last-seen", "--format", "json"]
        printed = subprocess.run(command, cwd=dir, check=True, stdout=subprocess.PIPE, env=product.environment()).stdout
        lines = {line["name"]: line["last_received"] for line in json.loads(printed)["checkers"]}
        if lines != wanted:
            raise SystemExit(f"last-seen prints {lines} instead of {wanted}")
    return seconds


def measure(dovecot, binary, boxes, rounds):
    """`boxes`: user, count and newest of the small mailbox and of the large one."""
    seconds = {user: [] for user, _, _ in boxes}
    for _ in range(rounds):
        for user, count, newest in boxes:
            dir = dovecot.dir / f"truth-{user}"
            dir.mkdir(exist_ok=True)
            product.write_config(dir, product.plain(dovecot.plain), user)
            seconds[user].append(until_right(binary, dir, expected(count, newest)))
    print(f"\nFirst truth: `run` without state until all {mails.CHECKERS} checkers are right, {rounds} rounds")
    medians = []
    for user, count, _ in boxes:
        medians.append(statistics.median(seconds[user]))
        each = " ".join(f"{value * 1000:.0f}" for value in seconds[user])
        print(f"  {count:>9,} reports  {medians[-1] * 1000:6.0f} ms   ({each})")
    print(f"  large / small      {medians[-1] / medians[0]:.2f}", flush=True)


def first_byte(binary, dir):
    """Seconds from the start of `run` to the first byte at a server that has greeted it."""
    listener = socket.create_server(("127.0.0.1", 0))
    product.write_config(dir, product.plain(listener.getsockname()[1]), "nobody")
    product.forget(dir)
    arrived = []

    def serve():
        connection, _ = listener.accept()
        connection.sendall(b"* OK ready\r\n")
        connection.recv(1)
        arrived.append(time.perf_counter())
        connection.close()

    server = threading.Thread(target=serve, daemon=True)
    server.start()
    with product.Daemon(binary, dir) as daemon:
        server.join(PATIENCE_S)
    listener.close()
    if not arrived:
        raise SystemExit(f"no byte within {PATIENCE_S} s:\n{(dir / product.OUTPUT).read_text()}")
    return arrived[0] - daemon.began


def measure_first_byte(dovecot, binary, rounds):
    dir = dovecot.dir / "first-byte"
    dir.mkdir()
    seconds = sorted(first_byte(binary, dir) for _ in range(rounds))
    print(f"\nStart to first IMAP byte: median {statistics.median(seconds) * 1000:.1f} ms, "
          f"slowest {seconds[-1] * 1000:.1f} ms of {rounds}", flush=True)
