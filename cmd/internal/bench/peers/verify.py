"""Checks the Message-ID-MD5 fields of an mbox. usage: verify.py MBOX"""
import base64
import hashlib
import mailbox
import sys

right = wrong = absent = 0
for message in mailbox.mbox(sys.argv[1], create=False):
    value = message["Message-ID-MD5"]
    id = str(message["Message-ID"] or "").translate({ord(c): None for c in " \t\r\n"})
    if id.startswith("<") and id.endswith(">"):
        id = id[1:-1]
    if value is None:
        absent += 1
        continue
    digest = hashlib.md5(id.encode("utf-8", "surrogateescape")).digest()
    if value.strip().upper().rstrip("=") == base64.b32encode(digest).decode().rstrip("="):
        right += 1
    else:
        wrong += 1
print(right, "right,", wrong, "wrong,", absent, "without")
