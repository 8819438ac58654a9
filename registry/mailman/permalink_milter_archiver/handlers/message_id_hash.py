"""Writes the hash of the Message-ID into a post."""

from __future__ import annotations

import logging
from email.message import Message
from typing import Any, Dict

from mailman.interfaces.handler import IHandler
from zope.interface import implementer

from ..archiver import load
from ..header import OverBound, fields
from ..message_id import field_algorithm, message_hash, message_id_of

__all__ = ["MessageIDHash"]

log = logging.getLogger("mailman.archiver")


@implementer(IHandler)
class MessageIDHash:
    """See `IHandler`.

    An archiver cannot do this: it gets a copy of the message.
    """

    name = "permalink-message-id-hash"
    description = "Write the hash of the Message-ID, such as Message-ID-MD5."

    def process(self, mlist: Any, msg: Message, msgdata: Dict[str, Any]) -> None:
        """Write the configured hash fields, and delete those that came in."""
        settings = load()
        if settings is None:
            return
        try:
            message_id = message_id_of(fields(msg))
        except OverBound as error:
            log.warning("permalink: %r gets no hash: %s", msg["message-id"], error)
            return
        for name in settings.emit + settings.remove:
            del msg[name]
        for name in settings.emit if message_id else ():
            msg[name] = message_hash(field_algorithm(name), message_id)
