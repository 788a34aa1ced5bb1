#!/usr/bin/env python3
"""Verifies the ledgers of state files, written from docs/audit.md alone: verify_ledger.py [SEQ:HASH] FILE …"""
import hashlib, json, sqlite3, sys


class Text(bytes): """TEXT as it is stored; bytes are a BLOB."""


def digest(*values):
    whole = hashlib.sha256()
    for value in values:
        if value is None:
            whole.update(b"n")
        elif isinstance(value, int):
            whole.update(b"i" + value.to_bytes(8, "big", signed=True))
        else:
            whole.update((b"t" if isinstance(value, Text) else b"b") + len(value).to_bytes(8, "big") + value)
    return whole.digest()


def report_digest(*row):
    *first, content, hops = row
    pruned = content.startswith(b"pruned:") and hops == b""
    return digest(*first, bytes.fromhex(content[7:].decode()) if pruned else digest(content, hops)).hex()


def follow(entries, seq, head):
    """Each entry with its hash, as far as they follow from the one before them."""
    for number, at, kind, about, content, stored in entries:
        assert number == seq + 1, f"entry {seq + 1} is missing"
        seq, head = number, digest(head, number, at, kind, about, content)
        assert stored == head and not isinstance(stored, Text), f"entry {seq} was altered"
        yield seq, head, kind, content


def beginning(db):
    """The entry before the first one: none, or what the newest cut says, if that is as it was written."""
    cut = db.execute("SELECT content FROM ledger WHERE seq = (SELECT MAX(seq) FROM ledger WHERE kind = 'cut')").fetchone()
    try:
        seq, head = (lambda said: (said["until"], bytes.fromhex(said["sha256"])))(json.loads(cut[0])) if cut else (0, bytes(32))
    except (ValueError, TypeError, KeyError):
        seq, head = 0, bytes(32)
    entries = db.execute("SELECT * FROM ledger ORDER BY seq")
    first = entries.fetchone()
    try:
        list(follow([first] if first else [], seq, head))
    except AssertionError:
        # Not the first entry is to blame when a later one, the cut among them, is not as it was written.
        try:
            list(follow(entries, first[0], first[5]))
        except AssertionError as error:
            raise AssertionError(f"entry {first[0]} was altered" if str(error) == f"entry {first[0] + 1} was altered" else error)
    return seq, head


def verify(db, kept=0, kept_hash=""):
    db.text_factory = Text
    seq, head = beginning(db)
    assert not kept or kept > seq or (kept, kept_hash) == (seq, head.hex()), f"entry {kept} is no longer kept, or another"
    told, pruned = {}, 0
    for seq, head, kind, content in follow(db.execute("SELECT * FROM ledger ORDER BY seq"), seq, head):
        assert kept != seq or kept_hash == head.hex(), f"entry {seq} is not the one that was kept"
        said = json.loads(content)
        if kind == b"reports":
            told |= {("reports", row): hash for row, hash in enumerate(said["sha256"], said["first"])}
        elif kind == b"prune":
            pruned = max(pruned, said["reports_until"])
        elif "table" in said:
            told[said["table"], said["row"]] = said["sha256"]
    assert kept <= seq, f"entry {seq + 1} is missing"
    stored = {("reports", row[0]): report_digest(*row) for row in db.execute("SELECT * FROM reports")}
    for table in "incident_log", "steps", "deliveries", "silences_by_hand":
        stored |= {(table, row[0]): digest(*row).hex() for row in db.execute(f"SELECT * FROM {table}")}
    for row in sorted(stored.keys() | told.keys()):
        assert stored.get(row) == told.get(row), f"row {row[1]} of {row[0]} was altered, removed or inserted"
    gone = db.execute("SELECT MAX(id) FROM reports WHERE substr(content, 1, 7) = 'pruned:'").fetchone()[0] or 0
    assert gone <= pruned, f"row {gone} of reports lost its content"
    assert db.execute("PRAGMA integrity_check('ledger')").fetchone()[0] == b"ok", "the file is damaged"
    return f"{seq}:{head.hex()}"


if __name__ == "__main__":
    kept, _, kept_hash = sys.argv.pop(1).partition(":") if ":" in sys.argv[1] else ("0", "", "")
    for file in sys.argv[1:]:
        try:
            print(verify(sqlite3.connect(file), int(kept), kept_hash))
        except (AssertionError, sqlite3.Error, ValueError, TypeError) as error:
            print(f"NOT WHOLE: {error}")
