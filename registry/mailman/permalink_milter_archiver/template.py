"""Permalink templates, such as
https://lists.example.org/archives/list/{list}/message/{sha1}/.

The Go package hashheader has the same rules; testdata/vectors holds both to
the same URLs.
"""

from __future__ import annotations

import hashlib
import re
from base64 import b32encode, urlsafe_b64encode
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Callable, Dict, Optional, Tuple
from urllib.parse import quote, urlsplit

from .message_id import Algorithm, is_added_date

_PLACEHOLDER = re.compile(r"\{([^{}]*)\}")

# The date-time of RFC 5322, section 3.3, with the zone names and the short years
# of section 4.3.
_DATE = re.compile(
    (
        r" *(?:[A-Za-z]+, *)?([0-9]{1,2}) +([A-Za-z]{3}) +([0-9]{2,4}) +([0-9]{1,2}):([0-9]{2})(?::([0-9]{2}))?"
        r" +(?:([+-])([0-9]{2})([0-9]{2})|([A-Za-z]+))(?: |\(|\Z)"
    )
    .replace(" ", "[ \t\r\n]")
    .encode("ascii")
)
_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_ZONES = {"EST": -5, "EDT": -4, "CST": -6, "CDT": -5, "MST": -7, "MDT": -6, "PST": -8, "PDT": -7}


@dataclass(frozen=True)
class Permalink:
    """The values for the placeholders of a template."""

    list: str  # list@host, lower case
    list_id: str  # the identifier of List-Id (RFC 2919)
    message_id: bytes  # canonical
    algorithm: Algorithm  # of {hash} and {token}
    token: str  # the reserved one, else the bare hash
    claim: str = ""  # the beginning of the message's identity
    date: bytes = b""  # the value of the Date field


class NoDate(ValueError):
    """The template needs a Date, and the message has none that can be read."""


def year_and_month(date: bytes) -> Optional[Tuple[str, str]]:
    """Return the year and the month in UTC of a Date field's value, or None if
    it cannot be read, if the year is outside 1900 to 9999, or if a filter added
    it."""
    match = _DATE.match(date)
    if match is None or is_added_date(date):
        return None
    day, name, year, hour, minute, second, sign, hours, minutes, zone = ((g or b"").decode("ascii") for g in match.groups())
    if name.lower() not in _MONTHS or int(second or 0) > 60 or int(minutes or 0) > 59:
        return None
    offset = timedelta(hours=int(hours or 0), minutes=int(minutes or 0)) * (-1 if sign == "-" else 1)
    offset += timedelta(hours=_ZONES.get(zone.upper(), 0))
    try:
        local = datetime(_full_year(year), _MONTHS.index(name.lower()) + 1, int(day), int(hour), int(minute))
        at = local + timedelta(seconds=int(second or 0)) - offset
    except (ValueError, OverflowError):
        return None
    return (f"{at.year:04}", f"{at.month:02}") if at.year >= 1900 else None


def _full_year(digits: str) -> int:
    if len(digits) == 2 and int(digits) < 50:
        return 2000 + int(digits)
    return int(digits) + (1900 if len(digits) < 4 else 0)


def _date_part(permalink: Permalink, index: int) -> str:
    parts = year_and_month(permalink.date)
    if parts is None:
        raise NoDate(NoDate.__doc__)
    return parts[index]


_TEXTS: Dict[str, Callable[[Permalink], "str | bytes"]] = {
    "token": lambda p: p.token,
    "message_id": lambda p: p.message_id,
    "list": lambda p: p.list,
    "listname": lambda p: p.list.partition("@")[0],
    "host": lambda p: p.list.partition("@")[2],
    "list_id": lambda p: p.list_id,
    "claim": lambda p: p.claim,
    "year": lambda p: _date_part(p, 0),
    "month": lambda p: _date_part(p, 1),
}

# What is kept of a text besides letters, digits and -._~: the pchar of RFC 3986
# in a path, nothing in a query.
_TEXT_FORMS = {"path": "!$&'()*+,;=:@", "query": ""}

_DIGESTS = ("md5", "sha1", "sha256", "hash")
_INPUTS = ("message_id", "list", "listname", "host", "list_id")
_DIGEST_FORMS: Dict[str, Callable[[bytes], str]] = {
    "base32": lambda digest: b32encode(digest).decode("ascii").rstrip("="),
    "base64url": lambda digest: urlsafe_b64encode(digest).decode("ascii").rstrip("="),
    "hex": lambda digest: digest.hex(),
}


@dataclass(frozen=True)
class _Placeholder:
    """What stands in braces: NAME, NAME:FORM, or DIGEST(INPUT,...) with or without
    a form."""

    name: str
    inputs: Tuple[str, ...]
    form: str

    def value(self, permalink: Permalink) -> str:
        if self.name in _TEXTS:
            return quote(_TEXTS[self.name](permalink), safe=_TEXT_FORMS[self.form])
        algorithm = permalink.algorithm.value if self.name == "hash" else self.name
        digest = hashlib.new(algorithm, usedforsecurity=False)
        for name in self.inputs:
            value = _TEXTS[name](permalink)
            digest.update(value.encode("utf-8") if isinstance(value, str) else value)
        return _DIGEST_FORMS[self.form](digest.digest())


def _read(text: str) -> _Placeholder:
    """Read what stands in braces.  Raises ValueError."""
    subject, formed, form = text.partition(":")
    name, listed, inputs = subject.partition("(")
    if name not in _DIGESTS and name not in _TEXTS:
        raise ValueError(f"unknown placeholder {{{text}}}: the placeholders are {', '.join((*_DIGESTS, *_TEXTS))}")
    if listed and name in _TEXTS:
        raise ValueError(f"{{{text}}}: {{{name}}} is no digest: write {', '.join(_DIGESTS)} before the parenthesis")
    names = tuple(inputs[:-1].split(",")) if listed else ("message_id",)
    if listed and not (inputs.endswith(")") and set(names) <= set(_INPUTS)):
        raise ValueError(f"{{{text}}}: write in parentheses what is digested, of {', '.join(_INPUTS)}, with commas and without spaces")
    forms = list(_TEXT_FORMS if name in _TEXTS else _DIGEST_FORMS)
    if formed and form not in forms:
        raise ValueError(f"{{{text}}}: the forms of {{{name}}} are {', '.join(forms)}")
    return _Placeholder(name, names, form or forms[0])


def check(template: str) -> str:
    """Return the template if it is valid.  Raises ValueError, which says what to
    write."""
    for text in _PLACEHOLDER.findall(template):
        try:
            _read(text)
        except ValueError as error:
            raise ValueError(f"{template!r}: {error}") from None
    if "{" in _PLACEHOLDER.sub("", template) or "}" in _PLACEHOLDER.sub("", template):
        raise ValueError(f"{template!r}: a brace is unmatched")
    parts = urlsplit(template.partition("{")[0])
    if parts.scheme not in ("http", "https") or not parts.netloc or not parts.path:
        raise ValueError(f"{template!r}: write an absolute http or https URL whose host has no placeholder")
    return template


def expand(template: str, permalink: Permalink) -> str:
    """Expand a valid template.  Raises NoDate."""
    return _PLACEHOLDER.sub(lambda match: _read(match.group(1)).value(permalink), template)
