"""Hands messages over by LMTP (RFC 2033) and negotiates their permalinks.

The recipient is the permalink's variable part at the archive's host.  The
server answers 553 to an occupied one, and names the next free one:

    RCPT TO:<7KWUTBTOSSMPYFYZ6UUJ46QCNE=01234567@archive.example.org>
    553 5.1.0 Permalink already occupied, try <7KWU…-2=01234567@archive.example.org>

The = is followed by the beginning of the message's identity, by which the
archive recognizes a message that it already has.
"""

from __future__ import annotations

import re
import smtplib
import socket
from contextlib import closing, suppress
from dataclasses import dataclass
from typing import BinaryIO, Optional, Tuple

from .errors import Later, Refused
from .message_id import MIN_CLAIM
from .settings import LMTP

MAX_TOKENS = 20

# The bound on what a server says in a session, in bytes.  A negotiation takes a
# few hundred lines at most.
MAX_REPLIES = 128 << 10


@dataclass(frozen=True)
class Receipt:
    """Where a message was archived."""

    token: str
    url: Optional[str]  # None: the archive did not name it


class _Refusal(Exception):
    def __init__(self, code: int, text: bytes) -> None:
        super().__init__(f"{code} {text.decode('utf-8', 'replace')}")
        self.code, self.text = code, text.decode("utf-8", "replace")


class _Terse:
    """A file of a server's replies that may have MAX_REPLIES bytes."""

    def __init__(self, file: BinaryIO) -> None:
        self._file, self._left = file, MAX_REPLIES
        self.close = file.close

    def readline(self, size: int) -> bytes:
        line = self._file.readline(size)
        self._left -= len(line)
        if self._left < 0:
            raise OSError(f"the server says more than {MAX_REPLIES} bytes")
        return line


class _LMTP(smtplib.LMTP):
    """Python's client keeps all lines of a reply, of which there may be no end."""

    def getreply(self) -> Tuple[int, bytes]:
        if self.file is None:
            self.file = _Terse(self.sock.makefile("rb"))
        return super().getreply()


class Client:
    """A client of one archive, for the messages of one list."""

    def __init__(self, lmtp: LMTP, listname: str) -> None:
        self._lmtp = lmtp
        self._suffix = ("+" + listname if lmtp.listname else "") + "@" + lmtp.domain

    def deliver(self, message_hash: str, identity: str, sender: str, content: bytes) -> Receipt:
        """Deliver a message under its hash or, while that is occupied, under the
        token that the archive suggests, else under the next one.  ``content``
        has CRLF line ends.  Raises Later or Refused."""
        try:
            with closing(self._connect()) as server:
                receipt = self._negotiate(server, message_hash, "=" + identity[:MIN_CLAIM], sender, content)
                with suppress(OSError, smtplib.SMTPException):
                    server.quit()
                return receipt
        except _Refusal as refusal:
            kind = Later if refusal.code < 500 else Refused
            raise kind(str(refusal)) from None
        except (OSError, smtplib.SMTPException) as error:
            raise Later(f"{self._lmtp.address}: {error}") from error

    def _connect(self) -> smtplib.LMTP:
        host, _, port = self._lmtp.address.rpartition(":")
        if self._lmtp.address.startswith("unix:"):
            host, port = self._lmtp.address[len("unix:") :], "0"
        server = _LMTP(
            host.strip("[]"), int(port), local_hostname=socket.gethostname(), timeout=self._lmtp.timeout
        )
        server.ehlo_or_helo_if_needed()
        return server

    def _negotiate(
        self, server: smtplib.LMTP, message_hash: str, claim: str, sender: str, content: bytes
    ) -> Receipt:
        ordinal, is_open, tried = 1, False, set()
        while len(tried) < MAX_TOKENS:
            tried.add(ordinal)
            recipient = _token(message_hash, ordinal) + claim + self._suffix
            try:
                if not is_open:
                    _mail(server, sender, len(content))
                    is_open = True
                _expect(server.rcpt(recipient))
                is_open = False
                text = _data(server, content)
                found = self._find(message_hash, claim, text) or (ordinal, text)
                return Receipt(_token(message_hash, found[0]), _url(found[1]))
            except _Refusal as occupied:
                if occupied.code != 553:
                    raise
                found = self._find(message_hash, claim, occupied.text)
                ordinal = found[0] if found and found[0] not in tried else max(tried) + 1
        raise Refused(f"{MAX_TOKENS} tokens are occupied; the last one tried was {recipient}")

    def _find(self, message_hash: str, claim: str, text: str) -> Optional[Tuple[int, str]]:
        """Return the ordinal in the last address of a reply that equals ours but
        for the ordinal, and the text after that address."""
        ours = re.escape(message_hash) + r"(?:-([1-9][0-9]{0,2}))?" + re.escape(claim + self._suffix)
        for match in reversed(list(re.finditer(f"<{ours}>", text, re.IGNORECASE))):
            return int(match.group(1) or 1), text[match.end() :]
        return None


def _token(message_hash: str, ordinal: int) -> str:
    return message_hash if ordinal == 1 else f"{message_hash}-{ordinal}"


def _mail(server: smtplib.LMTP, sender: str, size: int) -> None:
    options = []
    if server.has_extn("size"):
        options.append(f"SIZE={size}")
    if server.has_extn("8bitmime"):
        options.append("BODY=8BITMIME")
    _expect(server.mail(sender, options))


def _data(server: smtplib.LMTP, content: bytes) -> str:
    try:
        return _expect(server.data(content))
    except smtplib.SMTPDataError as error:
        raise _Refusal(error.smtp_code, error.smtp_error) from None


def _expect(reply: Tuple[int, bytes]) -> str:
    code, text = reply
    if code != 250:
        raise _Refusal(code, text)
    return text.decode("utf-8", "replace")


def _url(text: str) -> Optional[str]:
    match = re.search(r"https?://\S+", text)
    return match and match.group()
