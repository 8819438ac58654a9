"""Reads the archiver's configuration file."""

from __future__ import annotations

from configparser import ConfigParser, SectionProxy
from dataclasses import dataclass
from email.message import Message
from pathlib import Path
from typing import List, Optional, Tuple

from . import template
from .header import OverBound, fields, first
from .message_id import IDENTITY_FIELDS, MIN_CLAIM, Algorithm, field_algorithm, identity, message_hash, message_id_of

_KEYS = {
    "general": {"url", "list_url", "algorithm", "emit", "remove", "identity"},
    "api": {"base_url", "token_file", "timeout"},
    "lmtp": {"address", "domain", "listname", "timeout"},
    "queue": {"limit", "pause"},
}

# The defaults of [queue].
DEFAULT_LIMIT = 10000
DEFAULT_PAUSE = 60.0


@dataclass(frozen=True)
class API:
    """How to reach the HTTP API of permalink-milter."""

    base_url: str
    token_file: Path
    timeout: float  # seconds


@dataclass(frozen=True)
class LMTP:
    """How to reach an archive that negotiates permalinks over LMTP."""

    address: str  # host:port or unix:/path
    domain: str  # of recipients
    listname: bool  # recipients are token+listname@domain
    timeout: float  # seconds, for each reply


@dataclass(frozen=True)
class Settings:
    """The settings of a valid configuration file."""

    url: str
    list_url: Optional[str]
    algorithm: Algorithm
    emit: Tuple[str, ...]  # hash fields that the handler writes
    remove: Tuple[str, ...]  # those that it deletes
    identity: Tuple[str, ...]
    api: Optional[API]
    lmtp: Optional[LMTP]
    queue_limit: int  # messages
    pause: float  # seconds without another try after a failure

    @property
    def delivers(self) -> bool:
        """Whether messages are handed over or confirmed."""
        return self.api is not None or self.lmtp is not None

    def permalink(self, list_address: str, list_id: str, msg: Message, token: str = "") -> Optional[str]:
        """Return a message's permalink, or None if it has no Message-ID, or no
        Date that the template needs.

        It is computed from the message alone: without a token, {token} is the
        bare hash.
        """
        try:
            header = fields(msg)
            message_id = message_id_of(header)
            if not message_id:
                return None
            token = token or message_hash(self.algorithm, message_id)
            claim = identity(header, self.identity)[:MIN_CLAIM]
            date = first(header, "date")
            link = template.Permalink(list_address.lower(), list_id, message_id, self.algorithm, token, claim, date)
            return template.expand(self.url, link)
        except (OverBound, template.NoDate):
            return None

    def list_page(self, list_address: str, list_id: str) -> Optional[str]:
        """Return the URL of the list's archive, or None if list_url is not set."""
        if self.list_url is None:
            return None
        link = template.Permalink(list_address.lower(), list_id, b"", self.algorithm, "")
        return template.expand(self.list_url, link)


def parse(parser: ConfigParser) -> Settings:
    """Read a configuration file.  Raises ValueError, which says what to
    write."""
    _check_names(parser)
    for section in _KEYS:
        if not parser.has_section(section) and section not in ("api", "lmtp"):
            parser.add_section(section)
    general, queue = parser["general"], parser["queue"]
    list_url = general.get("list_url")
    return Settings(
        url=template.check(_required(general, "url")),
        list_url=list_url and _list_url(list_url),
        algorithm=_algorithm(general.get("algorithm", "md5")),
        emit=_hash_fields(general.get("emit", "Message-ID-MD5")),
        remove=_hash_fields(general.get("remove", "X-Message-ID-Hash")),
        identity=_identity(general.get("identity", "message-id date")),
        api=_api(parser["api"]) if parser.has_section("api") else None,
        lmtp=_lmtp(parser["lmtp"]) if parser.has_section("lmtp") else None,
        queue_limit=_count(queue, "limit", DEFAULT_LIMIT),
        pause=_positive(queue, "pause", DEFAULT_PAUSE),
    )


def _check_names(parser: ConfigParser) -> None:
    for section in parser.sections():
        if section not in _KEYS:
            raise ValueError(f"unknown section [{section}]: the sections are {', '.join(_KEYS)}")
        for key in parser[section]:
            if key not in _KEYS[section]:
                raise ValueError(f"[{section}]: unknown key {key}: the keys are {', '.join(sorted(_KEYS[section]))}")


def _required(section: SectionProxy, key: str) -> str:
    value = section.get(key, "")
    if not value:
        raise ValueError(f"[{section.name}]: {key} is missing")
    return value


def _positive(section: SectionProxy, key: str, default: float) -> float:
    try:
        value = section.getfloat(key, default)
    except ValueError:
        value = 0
    if not 0 < value < 1e9:
        raise ValueError(f"[{section.name}]: {key} = {section[key]}: write a number above 0")
    return value


def _count(section: SectionProxy, key: str, default: int) -> int:
    value = _positive(section, key, default)
    if value % 1:
        raise ValueError(f"[{section.name}]: {key} = {section[key]}: write a whole number")
    return int(value)


def _list_url(text: str) -> str:
    """Check the template of a list's page, which no message can fill."""
    template.check(text)
    try:
        template.expand(text, template.Permalink("list@host", "", b"", Algorithm.MD5, ""))
    except template.NoDate:
        raise ValueError(f"[general]: list_url = {text}: a list has no date: leave out {{year}} and {{month}}") from None
    return text


def _algorithm(name: str) -> Algorithm:
    try:
        return Algorithm(name.lower())
    except ValueError:
        raise ValueError(f"[general]: algorithm = {name}: write md5, sha1 or sha256") from None


def _hash_fields(text: str) -> Tuple[str, ...]:
    names: List[str] = text.split()
    for name in names:
        field_algorithm(name)
    return tuple(names)


def _identity(text: str) -> Tuple[str, ...]:
    names = text.lower().split()
    for name in names:
        if name not in IDENTITY_FIELDS:
            raise ValueError(f"[general]: identity: {name}: the fields are {', '.join(IDENTITY_FIELDS)}")
    if not names:
        raise ValueError("[general]: identity is empty: write message-id date, which is the milter's default")
    return tuple(names)


def _api(section: SectionProxy) -> API:
    base_url = _required(section, "base_url")
    if not base_url.startswith(("http://", "https://")):
        raise ValueError(f"[api]: base_url = {base_url}: write an http or https URL")
    return API(base_url.rstrip("/"), Path(_required(section, "token_file")), _positive(section, "timeout", 5))


def _lmtp(section: SectionProxy) -> LMTP:
    address = _required(section, "address")
    port = address.rpartition(":")[2]
    if not address.startswith("unix:/") and not port.isdigit():
        raise ValueError(f"[lmtp]: address = {address}: write host:port or unix:/path")
    return LMTP(
        address, _required(section, "domain"), section.getboolean("listname", False), _positive(section, "timeout", 10)
    )
