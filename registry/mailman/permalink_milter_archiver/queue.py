"""Queues messages for permalink-milter on disk.

Mailman's archive runner drops a message when an archiver raises an exception:
it only logs it.  So each message is queued first, and the queue is processed
each time a message comes.
"""

from __future__ import annotations

import logging
import time
from email.message import Message
from typing import Any, Callable, Dict

from .errors import Later, Refused

log = logging.getLogger("mailman.archiver")

# The bounds of one call, so that a long queue or a slow server does not keep
# the runner from other archivers.
_MESSAGES = 100
_SECONDS = 20.0

Deliver = Callable[[Message, Dict[str, Any]], None]


class Pause:
    """Delays the next try while the other side is down, so that one message
    waits for a timeout and the others do not."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.clock, self._until = clock, float("-inf")

    def begin(self, seconds: float) -> None:
        self._until = self.clock() + seconds

    @property
    def on(self) -> bool:
        return self.clock() < self._until


class Queue:
    """A queue in one of Mailman's switchboards."""

    def __init__(self, switchboard: Any, limit: int, pause: Pause, pause_seconds: float) -> None:
        self._switchboard, self._limit = switchboard, limit
        self._pause, self._pause_seconds = pause, pause_seconds

    def add(self, msg: Message, data: Dict[str, Any]) -> None:
        """Queue a message with its data for Deliver."""
        if len(self._switchboard.files) >= self._limit:
            log.error(
                "permalink: the queue is full (%d messages), %r is not handed over; see the errors above",
                self._limit,
                msg["message-id"],
            )
            return
        self._switchboard.enqueue(msg, data)

    def run(self, deliver: Deliver) -> None:
        """Hand messages over, the oldest first, until one has to wait or the
        time is up."""
        if self._pause.on:
            return
        end = self._pause.clock() + _SECONDS
        # A runner that was killed leaves its message as a backup file.
        self._switchboard.recover_backup_files()
        for filebase in self._switchboard.files[:_MESSAGES]:
            if not self._one(filebase, deliver):
                self._pause.begin(self._pause_seconds)
                return
            if self._pause.clock() > end:
                return

    def _one(self, filebase: str, deliver: Deliver) -> bool:
        """Hand one message over.  Return whether the next one may follow."""
        try:
            msg, data = self._switchboard.dequeue(filebase)
        except FileNotFoundError:
            return True  # another runner has it
        except Exception:
            log.exception("permalink: %s cannot be read; it is kept in Mailman's queue of bad messages", filebase)
            self._switchboard.finish(filebase, preserve=True)
            return True
        waits = keep = False
        try:
            deliver(msg, data)
        except Later as error:
            log.warning("permalink: %r waits: %s", msg["message-id"], error)
            self._switchboard.enqueue(msg, data)
            waits = True
        except Refused as error:
            log.error("permalink: %r is refused and kept in Mailman's queue of bad messages: %s", msg["message-id"], error)
            keep = True
        except Exception:
            log.exception("permalink: %r failed; it is kept in Mailman's queue of bad messages", msg["message-id"])
            keep = True
        self._switchboard.finish(filebase, preserve=keep)
        return not waits
