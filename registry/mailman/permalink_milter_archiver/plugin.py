"""The plugin through which Mailman finds the handler and the pipeline."""

from __future__ import annotations

from mailman.interfaces.plugin import IPlugin
from zope.interface import implementer


@implementer(IPlugin)
class Plugin:
    """See `IPlugin`."""

    resource = None

    def pre_hook(self) -> None:
        """Nothing is to be done before the database is there."""

    def post_hook(self) -> None:
        """Nothing is to be done after it."""
