"""The canonical Message-ID of a message, its hash, and its identity.

These are the rules of the Go package hashheader; testdata/vectors holds both
to the same bytes.
"""

from __future__ import annotations

import enum
import hashlib
import io
import re
from base64 import b32encode
from email.message import Message
from typing import Collection, Iterable, Iterator, Tuple

_WHITE_SPACE = b" \t\r\n"

# What an identity may be made of, in the order in which it is digested.
IDENTITY_FIELDS = ("from", "to", "cc", "date", "message-id", "subject")

# Mailman's names for the SHA-1 hash.
LEGACY_FIELDS = ("message-id-hash", "x-message-id-hash")

Field = Tuple[str, bytes]
"""A header field: its lower-case name, and the bytes behind the colon."""


class Algorithm(enum.Enum):
    """A digest that names messages.  It names; it does not authenticate."""

    MD5 = "md5"
    SHA1 = "sha1"
    SHA256 = "sha256"

    @property
    def field_name(self) -> str:
        """The header field that carries the hash, such as Message-ID-MD5."""
        return "Message-ID-" + self.value.upper()


def canonical(value: bytes) -> bytes:
    """Return the canonical Message-ID of a Message-ID field's value.

    ``value`` is what stands behind the colon, byte for byte, folds included.
    Every SP, HTAB, CR and LF is deleted, since no msg-id holds any (RFC 5322,
    section 3.6.4) and relays fold long ids in mid-token; then one enclosing
    pair of angle brackets goes.  Empty means: no Message-ID.
    """
    bare = value.translate(None, _WHITE_SPACE)
    if bare.startswith(b"<") and bare.endswith(b">"):
        return bare[1:-1]
    return bare


def message_hash(algorithm: Algorithm, message_id: bytes) -> str:
    """Return the hash of a canonical Message-ID: base32 (RFC 4648, section 6)
    without padding, 26, 32 or 52 characters."""
    digest = hashlib.new(algorithm.value, message_id, usedforsecurity=False)
    return b32encode(digest.digest()).decode("ascii").rstrip("=")


def identity(found: Iterable[Field], names: Collection[str]) -> str:
    """Return the identity of a message, which tells it from others of the same
    hash: the first 128 bits, as hexadecimal digits, of a SHA-256 over the
    named fields (of IDENTITY_FIELDS), white space deleted."""
    header = list(found)
    text = b""
    for name in IDENTITY_FIELDS:
        if name in names:
            value = first(header, name)
            stripped = canonical(value) if name == "message-id" else value.translate(None, _WHITE_SPACE)
            text += name.encode("ascii") + b":" + stripped + b"\n"
    return hashlib.sha256(text).hexdigest()[:32]


def field_algorithm(name: str) -> Algorithm:
    """Return which hash a field of this name carries: names that end in
    Message-ID- and the algorithm, and Mailman's own (SHA-1).  Raises
    ValueError for other names, so that a slip cannot delete other fields."""
    if name.lower() in LEGACY_FIELDS:
        return Algorithm.SHA1
    for algorithm in Algorithm:
        if re.fullmatch("([a-z0-9-]+-)?" + algorithm.field_name, name, re.IGNORECASE):
            return algorithm
    raise ValueError(f"{name!r} does not name a hash: write Message-ID-MD5, Message-ID-SHA1 or Message-ID-SHA256")


def raw_fields(section: bytes) -> Iterator[Field]:
    """Yield each field of a header section, as it arrived, up to the empty
    line: for archivers that hold the message's bytes."""
    name, value = "", b""
    for line in io.BytesIO(section):
        text = line.rstrip(b"\r\n")
        if text[:1] in (b" ", b"\t"):
            value += line
            continue
        if name:
            yield name, value
        if not text:
            return
        raw_name, _, value = line.partition(b":")
        # White space may stand before the colon (RFC 5322, section 4.5).
        name = raw_name.rstrip(b" \t").lower().decode("latin-1")
    if name:
        yield name, value


def fields(msg: Message) -> Iterator[Field]:
    """Yield each field of a parsed message.

    The message's own accessors will not do: they replace 8-bit bytes.
    """
    for name, value in msg.raw_items():
        # The parser keeps 8-bit bytes as surrogates; Mailman's handlers may
        # have set text or a Header.
        yield name.lower(), str(value).encode("utf-8", "surrogateescape")


def first(found: Iterable[Field], name: str) -> bytes:
    """Return the value of the first field of this lower-case name, or b""."""
    return next((value for field, value in found if field == name), b"")


def message_id_of(found: Iterable[Field]) -> bytes:
    """Return the canonical Message-ID of a header: that of its first
    Message-ID field, b"" where there is none."""
    return canonical(first(found, "message-id"))
