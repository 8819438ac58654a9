"""The plugin by which Mailman finds the handler and the pipeline."""

from __future__ import annotations

from mailman.interfaces.plugin import IPlugin
from zope.interface import implementer


@implementer(IPlugin)
class Plugin:
    """See `IPlugin`."""

    resource = None

    def pre_hook(self) -> None:
        """Do nothing before Mailman opens its database."""

    def post_hook(self) -> None:
        """Do nothing after Mailman has opened its database."""
