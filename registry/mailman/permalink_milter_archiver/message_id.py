"""The canonical Message-ID of a message, its hash, and its identity.

The Go package hashheader has the same rules; testdata/vectors holds both to
the same bytes.
"""

from __future__ import annotations

import enum
import hashlib
import re
from base64 import b32encode
from typing import Collection, Iterable

from .header import Field, first

_WHITE_SPACE = b" \t\r\n"

# An id must not be folded, and a line has at most 998 octets (RFC 5322, section
# 2.1.1).  MTAs break longer ones, so these name nothing.
MAX_ID = 998

# The hexadecimal digits of the shortest claim: of the beginning of an identity
# that a template or a token shows.
MIN_CLAIM = 8

# How a Date ends that a filter added to a message without one, white space
# deleted.
_DATE_ADDED = b"(addedintransit)"

# The fields that an identity may use, in the order in which they are digested.
IDENTITY_FIELDS = ("from", "to", "cc", "date", "message-id", "subject")

# Mailman's fields for the SHA-1 hash.
LEGACY_FIELDS = ("message-id-hash", "x-message-id-hash")


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
    """Return the canonical Message-ID in the value of a Message-ID field, or
    b"" if no id is left.

    ``value`` holds the bytes after the colon, folds included.  Every SP, HTAB,
    CR and LF is deleted, since no msg-id contains any (RFC 5322, section 3.6.4)
    and relays fold long ids in mid-token; then one enclosing pair of angle
    brackets is removed.
    """
    bare = value.translate(None, _WHITE_SPACE)
    if bare.startswith(b"<") and bare.endswith(b">"):
        bare = bare[1:-1]
    return bare


def message_hash(algorithm: Algorithm, message_id: bytes) -> str:
    """Return the hash of a canonical Message-ID: base32 (RFC 4648, section 6)
    without padding, 26, 32 or 52 characters."""
    digest = hashlib.new(algorithm.value, message_id, usedforsecurity=False)
    return b32encode(digest.digest()).decode("ascii").rstrip("=")


def identity(found: Iterable[Field], names: Collection[str]) -> str:
    """Return the identity of a message, which distinguishes it from others with
    the same hash: the first 128 bits, as hexadecimal digits, of a SHA-256 over
    the named fields (of IDENTITY_FIELDS), white space deleted.  A Date that a
    filter added counts as missing."""
    header = list(found)
    text = b""
    for name in IDENTITY_FIELDS:
        if name in names:
            value = message_id_of(header) if name == "message-id" else first(header, name).translate(None, _WHITE_SPACE)
            if name == "date" and is_added_date(value):
                value = b""
            text += name.encode("ascii") + b":" + value + b"\n"
    return hashlib.sha256(text).hexdigest()[:32]


def is_added_date(value: bytes) -> bool:
    """Report whether the value of a Date field is one that a filter added, which
    differs from copy to copy."""
    return value.translate(None, _WHITE_SPACE).endswith(_DATE_ADDED)


def field_algorithm(name: str) -> Algorithm:
    """Return the algorithm of the hash in a field of this name: a name that ends
    in Message-ID- and the algorithm, or one of Mailman's (SHA-1).  Raises
    ValueError for other names, so that a wrong setting cannot delete them."""
    if name.lower() in LEGACY_FIELDS:
        return Algorithm.SHA1
    for algorithm in Algorithm:
        if re.fullmatch("([a-z0-9-]+-)?" + algorithm.field_name, name, re.IGNORECASE):
            return algorithm
    raise ValueError(f"{name!r} does not name a hash: write Message-ID-MD5, Message-ID-SHA1 or Message-ID-SHA256")


def message_id_of(found: Iterable[Field]) -> bytes:
    """Return the canonical Message-ID of a header: that of the first Message-ID
    field in which an id is left, or b"" if there is none or it is too long to
    name a message."""
    ids = (canonical(value) for name, value in found if name == "message-id")
    message_id = next(filter(None, ids), b"")
    return message_id if len(message_id) <= MAX_ID else b""
