"""Mailman's pipeline for posts, with our handler."""

from __future__ import annotations

from mailman.pipelines.base import BasePipeline
from mailman.pipelines.builtin import PostingPipeline

from ..handlers.message_id_hash import MessageIDHash

__all__ = ["PermalinkPostingPipeline"]


def _with_hash(names: tuple) -> tuple:
    """Insert the handler before the one that archives, so that archives, digests
    and subscribers all get the field."""
    at = names.index("to-archive")
    return (*names[:at], MessageIDHash.name, *names[at:])


class PermalinkPostingPipeline(BasePipeline):
    """A list selects it by its setting posting_pipeline."""

    name = "permalink-posting-pipeline"
    description = "The built-in posting pipeline, with the hash of the Message-ID."

    _default_handlers = _with_hash(PostingPipeline._default_handlers)
