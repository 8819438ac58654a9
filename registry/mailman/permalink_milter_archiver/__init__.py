"""Mailman 3 archiver: permalinks that agree with permalink-milter.

``header``, ``message_id`` and ``template`` are pure: they need neither Mailman
nor a network.  Mailman's configuration names ``archiver.Archiver``.
"""

from __future__ import annotations

from .message_id import Algorithm, canonical, message_hash, message_id_of

__all__ = ["Algorithm", "canonical", "message_hash", "message_id_of"]
__version__ = "0.1.0"
