"""The same filter on python3-milter. usage: filter.py SOCKET"""
import base64
import hashlib
import sys

import Milter


class Filter(Milter.Base):
    """Hashes the first Message-ID and replaces the hash fields."""

    def envfrom(self, *_args):
        self.id = None
        self.count = {"message-id-md5": 0, "x-message-id-hash": 0}
        return Milter.CONTINUE

    @Milter.noreply
    def header(self, name, value):
        name = name.lower()
        if name == "message-id" and self.id is None:
            self.id = canonical(value)
        elif name in self.count:
            self.count[name] += 1
        return Milter.CONTINUE

    def eom(self):
        for name, n in self.count.items():
            for index in range(n, 0, -1):
                self.chgheader(name, index, "")
        if self.id:
            digest = hashlib.md5(self.id.encode("utf-8", "surrogateescape")).digest()
            self.addheader("Message-ID-MD5", base64.b32encode(digest).decode().rstrip("="))
        return Milter.CONTINUE


def canonical(value):
    value = value.translate({ord(c): None for c in " \t\r\n"})
    if len(value) >= 2 and value[0] == "<" and value[-1] == ">":
        return value[1:-1]
    return value


Milter.factory = Filter
Milter.set_flags(Milter.ADDHDRS | Milter.CHGHDRS)
Milter.runmilter("bench", sys.argv[1], 60)
