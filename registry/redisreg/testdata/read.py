"""Looks a token up in the registry that Redis holds, in Python's standard
library alone: how an archiver in another language may read it.

usage: read.py HOST PORT PREFIX LIST TOKEN
"""
import base64
import socket
import sys


def hget(host, port, key, field):
    parts = [b"HGET", key, field]
    request = b"*%d\r\n" % len(parts) + b"".join(b"$%d\r\n%s\r\n" % (len(p), p) for p in parts)
    with socket.create_connection((host, port), 5) as connection:
        connection.sendall(request)
        stream = connection.makefile("rb")
        size = int(stream.readline()[1:])
        return stream.read(max(size, 0))


def uvarint(value, at):
    number, shift = 0, 0
    while True:
        byte = value[at]
        number |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if byte < 0x80:
            return number, at


def text(value, at):
    size, at = uvarint(value, at)
    return value[at:at + size].decode(), at + size


def slots(value):
    """Yields (state, identity, since, expires, url, subject) of each ordinal."""
    at = 1
    while at < len(value):
        bits, identity, since, expires, url, subject = value[at], b"", 0, 0, "", ""
        at += 1
        if bits & 3:
            identity, at = value[at:at + 16], at + 16
            since, at = uvarint(value, at)
        if bits & 4:
            expires, at = uvarint(value, at)
        if bits & 8:
            url, at = text(value, at)
        if bits & 16:
            subject, at = text(value, at)
        if bits & 32:
            at += 16  # the digest of the body
        yield ["vacant", "reserved", "archived"][bits & 3], identity.hex(), since, expires, url, subject


def main(host, port, prefix, mailing_list, token):
    name, _, ordinal = token.partition("-")
    digest = base64.b32decode(name + "=" * (-len(name) % 8))
    key = f"{prefix}v1:{{{digest[:2].hex()}}}".encode()
    value = hget(host, int(port), key, mailing_list.encode() + b"\0" + digest)
    if value and value[0] != 1:
        sys.exit("stored by a newer version")
    held = list(slots(value))
    print(*held[int(ordinal or 1) - 1])


main(*sys.argv[1:])
