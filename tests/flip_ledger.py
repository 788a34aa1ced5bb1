#!/usr/bin/env python3
"""Changes one bit of every byte of the ledger's texts and hashes, and of at_ms, one after the other: each is found."""
import sqlite3
import sys

from verify_ledger import Text, verify

db = sqlite3.connect(":memory:")
sqlite3.connect(sys.argv[1]).backup(db)
verify(db)
flipped = 0
for seq, *values in db.execute("SELECT * FROM ledger ORDER BY seq").fetchall():
    for column, value in zip(("at_ms", "kind", "about", "content", "hash"), values):
        length = 8 if isinstance(value, int) else len(value)
        for place in range(length):
            if isinstance(value, int):
                spoilt, cast = value ^ 1 << 8 * place + seq % 7, "?"
            else:
                spoilt = value[:place] + bytes([value[place] ^ 1 << (place + seq) % 8]) + value[place + 1:]
                cast = "CAST(? AS TEXT)" if isinstance(value, Text) else "?"
            db.execute(f"UPDATE ledger SET {column} = {cast} WHERE seq = ?", (spoilt if isinstance(spoilt, int) else bytes(spoilt), seq))
            try:
                verify(db)
            except AssertionError as error:
                assert str(error) == f"entry {seq} was altered", f"{column} of {seq}, byte {place}: {error}"
            else:
                sys.exit(f"{column} of entry {seq}, byte {place}: not found")
            flipped += 1
        cast = "CAST(? AS TEXT)" if isinstance(value, Text) else "?"
        db.execute(f"UPDATE ledger SET {column} = {cast} WHERE seq = ?", (value if isinstance(value, int) else bytes(value), seq))
verify(db)
print(f"{flipped} bits were changed and found")
