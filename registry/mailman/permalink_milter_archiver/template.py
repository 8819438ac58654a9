"""Permalink templates, such as
https://lists.example.org/archives/list/{list}/message/{sha1}/."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Callable, Dict
from urllib.parse import quote, urlsplit

from .message_id import Algorithm, message_hash

# The pchar of RFC 3986 besides letters, digits and -._~, which quote() keeps.
_PCHAR = "!$&'()*+,;=:@"
_PLACEHOLDER = re.compile(r"\{([^{}]*)\}")


@dataclass(frozen=True)
class Permalink:
    """The values for the placeholders of a template."""

    list: str  # list@host, lower case
    list_id: str  # the identifier of List-Id (RFC 2919)
    message_id: bytes  # canonical
    algorithm: Algorithm  # of {hash} and {token}
    token: str  # the reserved one, else the bare hash


_VALUES: Dict[str, Callable[[Permalink], "str | bytes"]] = {
    "md5": lambda p: message_hash(Algorithm.MD5, p.message_id),
    "sha1": lambda p: message_hash(Algorithm.SHA1, p.message_id),
    "sha256": lambda p: message_hash(Algorithm.SHA256, p.message_id),
    "hash": lambda p: message_hash(p.algorithm, p.message_id),
    "token": lambda p: p.token,
    "message_id": lambda p: p.message_id,
    "list": lambda p: p.list,
    "listname": lambda p: p.list.partition("@")[0],
    "host": lambda p: p.list.partition("@")[2],
    "list_id": lambda p: p.list_id,
}


def check(template: str) -> str:
    """Return the template if it is valid.  Raises ValueError, which says what to
    write."""
    unknown = [name for name in _PLACEHOLDER.findall(template) if name not in _VALUES]
    if unknown:
        raise ValueError(f"{template!r}: unknown placeholder {{{unknown[0]}}}: the placeholders are {', '.join(_VALUES)}")
    if "{" in _PLACEHOLDER.sub("", template) or "}" in _PLACEHOLDER.sub("", template):
        raise ValueError(f"{template!r}: a brace is unmatched")
    parts = urlsplit(template.partition("{")[0])
    if parts.scheme not in ("http", "https") or not parts.netloc or not parts.path:
        raise ValueError(f"{template!r}: write an absolute http or https URL whose host has no placeholder")
    return template


def expand(template: str, permalink: Permalink) -> str:
    """Expand a valid template, each value percent-encoded for a path segment."""
    return _PLACEHOLDER.sub(lambda match: quote(_VALUES[match.group(1)](permalink), safe=_PCHAR), template)
