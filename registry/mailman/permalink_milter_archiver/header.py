"""The fields of a message's header section.

Messages as bytes are read by the rule of the Internet-Draft's section "Header
Sections", as the milter and all other parts of permalink-milter read them;
testdata/header holds them to the same fields.  Python's own parser differs, so
what it has parsed may have lost fields; the README says which.
"""

from __future__ import annotations

import io
import re
from email.message import Message
from typing import Iterable, List, Tuple

# The bounds of a header section, which are the same for every reader: of the
# names and values as an MTA hands them to a milter, of the fields, and of all
# bytes from the beginning of the message.
MAX_BYTES = 1 << 20
MAX_FIELDS = 2000
MAX_RAW = 2 * MAX_BYTES

_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_NAME = re.compile(rb"([!-9;-~]+)[ \t]*:")
_MAILBOX_LINE = re.compile(rb">?From ")

Field = Tuple[str, bytes]
"""A header field: its lower-case name, and the bytes after the colon."""


class OverBound(ValueError):
    """A header section is over the bounds, so its message has no Message-ID."""

    def __init__(self) -> None:
        super().__init__(f"the header section has more than {MAX_BYTES} bytes or {MAX_FIELDS} fields")


def raw_fields(message: bytes) -> List[Field]:
    """Return the fields of a message, or of a header section, as they arrived,
    folds included.  Raises OverBound."""
    start = len(_BYTE_ORDER_MARK) if message.startswith(_BYTE_ORDER_MARK) else 0
    raw, size = start, 0
    found: List[Tuple[str, bytearray]] = []
    for line in io.BytesIO(message[start:]):
        text = line.rstrip(b"\r\n")
        name = _NAME.match(text)
        if found and text[:1] in (b" ", b"\t"):
            found[-1][1].extend(line)
            size += 1 + len(text)
        elif name:
            found.append((name[1].decode("ascii").lower(), bytearray(line[name.end() :])))
            size += len(name[1]) + _sent(text[name.end() :])
        elif found or not _is_skipped(line):
            break
        raw += len(line)
        if size > MAX_BYTES or len(found) > MAX_FIELDS or raw > MAX_RAW:
            raise OverBound
    return [(name, bytes(value)) for name, value in found]


def _sent(value: bytes) -> int:
    """Return the size of a value as an MTA hands it to a milter, which is
    without one leading space."""
    return len(value) - value.startswith(b" ")


def _is_skipped(line: bytes) -> bool:
    """Report whether a line that is not a field may stand before the first."""
    return not line.strip(b" \t\r\n") or _MAILBOX_LINE.match(line) is not None


def fields(msg: Message) -> List[Field]:
    """Return the fields of a parsed message.  Raises OverBound.

    The message's own accessors cannot be used: they replace 8-bit bytes.
    """
    found: List[Field] = []
    size = 0
    for name, value in msg.raw_items():
        # The parser keeps 8-bit bytes as surrogates; Mailman's handlers may
        # have set text or a Header.
        raw = str(value).encode("utf-8", "surrogateescape")
        found.append((name.lower(), raw))
        size += len(name) + len(raw)
        if size > MAX_BYTES or len(found) > MAX_FIELDS:
            raise OverBound
    return found


def first(found: Iterable[Field], name: str) -> bytes:
    """Return the value of the first field of this lower-case name, or b""."""
    return next((value for field, value in found if field == name), b"")
