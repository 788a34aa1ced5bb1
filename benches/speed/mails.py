"""The reports of which the mailboxes are made."""

import time
from pathlib import Path

CHECKERS = 7
# Between two reports of one checker.
CYCLE_S = 300
TEMPLATES = Path(__file__).resolve().parent.parent / "mails"


def checker(number):
    return f"bresse{number + 1}"


def dates(count, checkers, newest):
    """When each of `count` reports was sent and received, oldest first, in whole seconds."""
    return [newest - (count - 1 - index) * CYCLE_S // checkers for index in range(count)]


def write_mbox(path, headers, count, checkers, newest):
    """Writes an mbox whose "From " lines hold the INTERNALDATEs. `headers`: lean or exchange."""
    template = (TEMPLATES / f"{headers}.eml").read_text(encoding="ascii")
    with open(path, "w", encoding="ascii") as mbox:
        for index, sent in enumerate(dates(count, checkers, newest)):
            name, at = checker(index % checkers), time.gmtime(sent)
            date = time.strftime("%a, %d %b %Y %H:%M:%S +0000", at)
            mail = template.replace("{checker}", name).replace("{date}", date).replace("{number}", str(index))
            mbox.write(f"From {name}@checker.example {time.strftime('%a %b %d %H:%M:%S %Y', at)}\n{mail}\n")
