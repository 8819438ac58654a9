"""Hands one message over by LMTP, then confirms it at the API."""

from __future__ import annotations

import io
import re
from email.generator import BytesGenerator
from email.header import decode_header, make_header
from email.message import Message
from email.policy import Compat32
from typing import Any, Dict

from . import api, lmtp
from .errors import Refused
from .header import OverBound, fields
from .message_id import identity, message_hash, message_id_of
from .settings import Settings


def deliver(settings: Settings, msg: Message, data: Dict[str, Any]) -> None:
    """Hand a message over as the settings say, and confirm it.  ``data`` has the
    keys list, list_id and sender, the envelope sender.  It may be repeated.
    Raises Later or Refused."""
    try:
        header = fields(msg)
    except OverBound as error:
        raise Refused(str(error)) from None
    message_id = message_id_of(header)
    if not message_id:
        raise Refused("the message has no Message-ID")
    hash_, who = message_hash(settings.algorithm, message_id), identity(header, settings.identity)
    url = None
    if settings.lmtp is not None:
        client = lmtp.Client(settings.lmtp, data["list"].partition("@")[0])
        url = client.deliver(hash_, who, data["sender"], content(msg)).url
    if settings.api is not None:
        if url is None and settings.permalink(data["list"], data["list_id"], msg) is None:
            raise Refused("the URL template needs a Date, and the message has none that can be read")
        confirmer = api.Client(settings.api)
        token = confirmer.reserve(data["list"], hash_, who)
        url = url or settings.permalink(data["list"], data["list_id"], msg, token)
        confirmer.confirm(data["list"], token, who, url, subject(msg))


class _AsItIs(Compat32):
    """Writes header fields as they arrived.  Python would fold them anew, which
    breaks some Message-IDs."""

    def fold_binary(self, name: str, value: Any) -> bytes:
        if not isinstance(value, str):
            return super().fold_binary(name, value)
        value = re.sub(r"\r?\n(?![ \t])", "\n ", value)
        return f"{name}: {value}\n".encode("utf-8", "surrogateescape")


class _Generator(BytesGenerator):
    """Writes 8-bit text as it arrived, where Python's own generator fails."""

    _in_multipart = False

    def clone(self, fp: Any) -> _Generator:
        generator = super().clone(fp)
        generator._in_multipart = self._in_multipart
        return generator

    def write(self, s: str) -> None:
        # Python's writes ASCII only.  A handler of Mailman may have set text.
        self._fp.write(s.encode("utf-8", "surrogateescape"))

    def _handle_multipart(self, msg: Message) -> None:
        text = msg._payload  # get_payload() would replace 8-bit bytes
        if not isinstance(text, str):
            self._in_multipart = True
            super()._handle_multipart(msg)
            return
        # The parser did not find the boundary, and it never finds one with 8-bit
        # bytes.  It left the line end before an outer boundary in the text.
        if self._in_multipart:
            text = re.sub(r"(\r\n|\r|\n)\Z", "", text)
        self._write_lines(text)


def content(msg: Message) -> bytes:
    """Return a message's bytes, with CRLF line ends."""
    out = io.BytesIO()
    try:
        _Generator(out, mangle_from_=False, policy=_AsItIs()).flatten(msg)
    except (LookupError, UnicodeError, ValueError) as error:
        raise Refused(f"the message cannot be written out: {error}") from error
    return re.sub(rb"\r?\n", b"\r\n", out.getvalue())


def subject(msg: Message) -> str:
    """Return a message's subject as decoded text on one line."""
    raw = str(msg.get("subject", ""))
    try:
        raw = str(make_header(decode_header(raw)))
    except (LookupError, UnicodeError, ValueError):
        pass
    return " ".join(raw.encode("utf-8", "replace").decode("utf-8").split())
