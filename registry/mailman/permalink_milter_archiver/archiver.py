"""The archiver that Mailman's configuration names."""

from __future__ import annotations

import configparser
import logging
import os
from email.message import Message
from typing import Any, Optional

from mailman.config import config
from mailman.config.config import external_configuration
from mailman.core.switchboard import Switchboard
from mailman.interfaces.archiver import IArchiver
from mailman.interfaces.configuration import MissingConfigurationFileError
from zope.interface import implementer

from .delivery import deliver
from .queue import Pause, Queue
from .settings import DEFAULT_LIMIT, DEFAULT_PAUSE, Settings, parse

log = logging.getLogger("mailman.archiver")

# Shared by the process, since Mailman makes a new archiver for each message.
_PAUSE = Pause()


def load() -> Optional[Settings]:
    """Return the settings.  If the file is wrong, log the reason and return
    None, so that lists keep working."""
    try:
        return parse(external_configuration(config.archiver.permalink.configuration))
    except (MissingConfigurationFileError, configparser.Error, AttributeError, OSError, ValueError) as error:
        log.error("permalink: [archiver.permalink] configuration: %s", error)
        return None


@implementer(IArchiver)
class Archiver:
    """See `IArchiver`.  Its section is [archiver.permalink]."""

    name = "permalink"
    is_enabled = False  # Mailman sets it

    def __init__(self) -> None:
        self._settings = load()

    def list_url(self, mlist: Any) -> Optional[str]:
        """Return the URL of the list's archive, which list_url configures."""
        return self._settings and self._settings.list_page(mlist.fqdn_listname, mlist.list_id)

    def permalink(self, mlist: Any, msg: Message) -> Optional[str]:
        """Return the message's permalink, computed from the message alone."""
        return self._settings and self._settings.permalink(mlist.fqdn_listname, mlist.list_id, msg)

    def archive_message(self, mlist: Any, msg: Message) -> Optional[str]:
        """Queue the message, then hand over the queued ones.  Return the
        permalink."""
        settings = self._settings
        if settings is None:
            # It waits until the file is corrected, within the default limit.
            self._queue(DEFAULT_LIMIT, DEFAULT_PAUSE).add(msg, _data(mlist))
            return None
        if settings.delivers:
            queue = self._queue(settings.queue_limit, settings.pause)
            queue.add(msg, _data(mlist))
            queue.run(lambda queued, data: deliver(settings, queued, data))
        return self.permalink(mlist, msg)

    def _queue(self, limit: int, pause_seconds: float) -> Queue:
        directory = os.path.join(config.ARCHIVE_DIR, self.name, "queue")
        return Queue(Switchboard(self.name, directory), limit, _PAUSE, pause_seconds)


def _data(mlist: Any) -> dict:
    return {"list": mlist.fqdn_listname, "list_id": mlist.list_id, "sender": mlist.bounces_address}
