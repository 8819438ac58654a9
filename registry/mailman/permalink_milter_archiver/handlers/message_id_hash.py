"""Writes the hash of the Message-ID into a post."""

from __future__ import annotations

from email.message import Message
from typing import Any, Dict

from mailman.interfaces.handler import IHandler
from zope.interface import implementer

from ..archiver import load
from ..message_id import field_algorithm, fields, message_hash, message_id_of

__all__ = ["MessageIDHash"]


@implementer(IHandler)
class MessageIDHash:
    """See `IHandler`.

    An archiver cannot do this: what it gets is a copy of the message, and its
    permalink() only computes.
    """

    name = "permalink-message-id-hash"
    description = "Write the hash of the Message-ID, such as Message-ID-MD5."

    def process(self, mlist: Any, msg: Message, msgdata: Dict[str, Any]) -> None:
        """Replace each field of our names by the right one."""
        settings = load()
        if settings is None:
            return
        message_id = message_id_of(fields(msg))
        for name in settings.emit + settings.remove:
            del msg[name]
        for name in settings.emit if message_id else ():
            msg[name] = message_hash(field_algorithm(name), message_id)
