"""What is done for one message: hand it over by LMTP, then confirm it."""

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
from .message_id import fields, identity, message_hash, message_id_of
from .settings import Settings


def deliver(settings: Settings, msg: Message, data: Dict[str, Any]) -> None:
    """Do what the settings say for a message of the list data["list"], with
    data["list_id"] and the envelope sender data["sender"].  It may be repeated.
    Raises Later or Refused."""
    message_id = message_id_of(fields(msg))
    if not message_id:
        raise Refused("the message has no Message-ID")
    hash_, who = message_hash(settings.algorithm, message_id), identity(fields(msg), settings.identity)
    url = None
    if settings.lmtp is not None:
        client = lmtp.Client(settings.lmtp, data["list"].partition("@")[0])
        url = client.deliver(hash_, who, data["sender"], content(msg)).url
    if settings.api is not None:
        confirmer = api.Client(settings.api)
        token = confirmer.reserve(data["list"], hash_, who)
        url = url or settings.permalink(data["list"], data["list_id"], msg, token)
        confirmer.confirm(data["list"], token, who, url, subject(msg))


class _AsItIs(Compat32):
    """Writes header fields as they arrived.  Python folds them anew, and breaks
    some Message-IDs."""

    def fold_binary(self, name: str, value: Any) -> bytes:
        if not isinstance(value, str):
            return super().fold_binary(name, value)
        value = re.sub(r"\r?\n(?![ \t])", "\n ", value)
        return f"{name}: {value}\n".encode("utf-8", "surrogateescape")


def content(msg: Message) -> bytes:
    """Return a message with CRLF line ends."""
    out = io.BytesIO()
    try:
        BytesGenerator(out, mangle_from_=False, policy=_AsItIs()).flatten(msg)
    except (LookupError, UnicodeError, ValueError) as error:
        raise Refused(f"the message cannot be written out: {error}") from error
    return re.sub(rb"\r?\n", b"\r\n", out.getvalue())


def subject(msg: Message) -> str:
    """Return a message's subject for people, as text on one line."""
    raw = str(msg.get("subject", ""))
    try:
        raw = str(make_header(decode_header(raw)))
    except (LookupError, UnicodeError, ValueError):
        pass
    return " ".join(raw.encode("utf-8", "replace").decode("utf-8").split())
