"""What an administrator would write: when was each checker last heard? Nothing is stored.

Usage: administrator.py plain|tls PORT CERTIFICATE USER PASSWORD
"""

import email
import imaplib
import ssl
import sys

WINDOW = 1000


def main():
    protection, port, certificate, user, password = sys.argv[1:]
    if protection == "tls":
        context = ssl.create_default_context(cafile=certificate)
        mailbox = imaplib.IMAP4_SSL("localhost", int(port), ssl_context=context)
    else:
        mailbox = imaplib.IMAP4("127.0.0.1", int(port))
    mailbox.login(user, password)
    count = int(mailbox.select("INBOX", readonly=True)[1][0])
    last = {}
    for first in range(1, count + 1, WINDOW):
        items = "(UID INTERNALDATE BODY.PEEK[]<0.65536>)"
        _, answers = mailbox.uid("FETCH", f"{first}:{first + WINDOW - 1}", items)
        for head, text in (answer for answer in answers if isinstance(answer, tuple)):
            mail = email.message_from_bytes(text)
            received = imaplib.Internaldate2tuple(head)
            checker = mail["To"].split("+")[0]
            if ".OK" in mail["Subject"] or ".NOK" in mail["Subject"]:
                last[checker] = max(received, last.get(checker, received))
    mailbox.logout()
    for checker, received in sorted(last.items()):
        print(checker, tuple(received))


main()
