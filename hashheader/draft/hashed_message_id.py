#!/usr/bin/env python3
"""Hashed Message-ID header fields and computable permalinks (draft-hashed-message-id-00)."""
from __future__ import annotations

import base64
import hashlib
import io
import json
import re
import sys
from collections import Counter
from datetime import datetime, timedelta
from email.utils import make_msgid
from typing import Callable, Iterable, Iterator, Mapping, NamedTuple, Optional, Sequence
from urllib.parse import quote, unquote_to_bytes

ALGORITHMS = {"MD5": 128, "SHA1": 160, "SHA256": 256}  # "Algorithms": name, digest bits
IDENTITY_ORDER = ("from", "to", "cc", "date", "message-id", "subject")
MAX_SECTION, MAX_FIELDS, MAX_RAW = 1 << 20, 2000, 1 << 21  # "Bounds"
MAX_ID = 998  # "Canonical Message-ID"
MAX_IDENTIFIER = 254  # "The List of a Message"
_WHITE = b" \t\r\n"
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_FIELD = re.compile(rb"([!-9;-~]+)[ \t]*:")
_MAILBOX_LINE = re.compile(rb">?From ")
_HASH_NAME = re.compile(r"(?:[a-z0-9]+-)*message-id-(md5|sha1|sha256)|(?:x-)?message-id-hash")
_DATE = re.compile(
    r" *(?:[A-Za-z]+, *)?([0-9]{1,2}) +([A-Za-z]{3}) +([0-9]{2,4}) +([0-9]{1,2}):([0-9]{2})(?::([0-9]{2}))?"
    r" +(?:([+-])([0-9]{2})([0-9]{2})|([A-Za-z]+))(?: |\(|\Z)".replace(" ", "[ \t\r\n]").encode("ascii"))
_DATE_ADDED = b"(addedintransit)"  # "Identity"
_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_ZONES = {"EST": -5, "EDT": -4, "CST": -6, "CDT": -5, "MST": -7, "MDT": -6, "PST": -8, "PDT": -7}
_TEXTS = ("token", "message_id", "list", "listname", "host", "list_id", "claim", "year", "month")
_INPUTS = ("message_id", "list", "listname", "host", "list_id")
_TOKEN = re.compile(r"([A-Za-z2-7]+)(?:-([2-9]|[1-9][0-9]{1,2}))?", re.ASCII)


class Field(NamedTuple):
    """One header field; the name is in lower case."""

    name: str
    value: bytes
    raw: bytes


class Unnamed(ValueError):
    """Nothing names the message, and no Message-ID is derived for it."""


class OverBound(Unnamed):
    """The header section is over the bounds ("Bounds")."""


class LongID(Unnamed):
    """The canonical Message-ID is too long ("Canonical Message-ID")."""


def parse_field(raw: bytes) -> Field:
    """A field from its bytes, which start with a name and a colon."""
    name, _, value = raw.partition(b":")
    return Field(name.rstrip(b" \t").lower().decode("ascii"), value, raw)


def split_message(message: bytes) -> tuple[bytes, list[Field], bytes]:
    """"Header Sections": what is skipped, the fields, and the rest from the line that ends them."""
    start = end = len(_BYTE_ORDER_MARK) if message.startswith(_BYTE_ORDER_MARK) else 0
    raws: list[bytearray] = []
    size = 0
    for line in io.BytesIO(message[start:]):
        text = line.rstrip(b"\r\n")
        name = _FIELD.match(text)
        if raws and text[:1] in (b" ", b"\t"):
            raws[-1] += line
            size += 1 + len(text)
        elif name:
            raws.append(bytearray(line))
            size += len(name[1]) + len(text[name.end():].removeprefix(b" "))
        elif not raws and (not line.strip(_WHITE) or _MAILBOX_LINE.match(line)):
            start += len(line)
        else:
            break
        end += len(line)
        if size > MAX_SECTION or len(raws) > MAX_FIELDS or end > MAX_RAW:
            raise OverBound(f"more than {MAX_SECTION} bytes or {MAX_FIELDS} fields")
    return message[:start], [parse_field(bytes(raw)) for raw in raws], message[end:]


def split_fields(message: bytes) -> list[Field]:
    """The fields of a message's header section."""
    return split_message(message)[1]


def _squeeze(value: bytes) -> bytes:
    return value.translate(None, _WHITE)


def _first(fields: Iterable[Field], name: str) -> Optional[bytes]:
    return next((field.value for field in fields if field.name == name), None)


def canonical_value(value: bytes) -> bytes:
    """"Canonical Message-ID": the id in one Message-ID field, empty if none is left."""
    value = _squeeze(value)
    return value[1:-1] if len(value) >= 2 and value[:1] == b"<" and value[-1:] == b">" else value


def canonical(fields: Iterable[Field]) -> bytes:
    """"Canonical Message-ID": of the first field in which an id is left, empty without one; LongID."""
    ids = (canonical_value(field.value) for field in fields if field.name == "message-id")
    message_id = next(filter(None, ids), b"")
    if len(message_id) > MAX_ID:
        raise LongID(f"a Message-ID of {len(message_id)} bytes")
    return message_id


def _base32(digest: bytes) -> str:
    return base64.b32encode(digest).decode("ascii").rstrip("=")


def hash_of(message_id: bytes, algorithm: str) -> Optional[str]:
    """"Algorithms": the hash of a canonical Message-ID, None if there is nothing to hash."""
    if not message_id:
        return None
    return _base32(hashlib.new(algorithm.lower(), message_id, usedforsecurity=False).digest())


def read_hash(value: bytes, algorithm: str) -> Optional[str]:
    """"Algorithms", "Syntax": the hash in a field's value, in upper case, None if it is malformed."""
    text = value.strip(_WHITE).rstrip(b"=").upper()
    bits = ALGORITHMS[algorithm]
    unused = -bits % 5
    if not re.fullmatch(rb"[A-Z2-7]{%d}" % ((bits + unused) // 5), text):
        return None
    if b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567".index(text[-1]) % (1 << unused):
        return None
    return text.decode("ascii")


def hash_field(message_id: bytes, algorithm: str, eol: bytes = b"\r\n") -> bytes:
    """"Syntax", "Names": the header field that carries the hash."""
    return f"Message-ID-{algorithm}: {hash_of(message_id, algorithm)}".encode("ascii") + eol


def field_algorithm(name: str) -> Optional[str]:
    """"Names": the algorithm of a hash field's name, None for any other field."""
    match = _HASH_NAME.fullmatch(name.lower())
    return (match.group(1) or "sha1").upper() if match else None


def verify(fields: Sequence[Field]) -> dict[str, str]:
    """"Verification": a result for each hash field name, "none" for each absent unprefixed one."""
    results = {f"message-id-{algorithm.lower()}": "none" for algorithm in ALGORITHMS}
    message_id, names = canonical(fields), Counter(field.name for field in fields)
    for field in fields:
        algorithm = field_algorithm(field.name)
        if algorithm is None:
            continue
        value = read_hash(field.value, algorithm)
        if names[field.name] > 1 or value is None:
            results[field.name] = "permerror"
        elif not message_id:
            results[field.name] = "none"
        else:
            results[field.name] = "pass" if value == hash_of(message_id, algorithm) else "fail"
    return results


def parse_token(text: str) -> Optional[tuple[str, int]]:
    """"Syntax", "Tokens": hash and ordinal (1 for the bare hash) of a token in either case."""
    match = _TOKEN.fullmatch(text)
    values = [read_hash(match[1].encode("ascii"), name) for name in ALGORITHMS] if match else []
    value = next(filter(None, values), None)
    return (value, int(match[2] or 1)) if match and value else None


def compose_token(hash_text: str, ordinal: int = 1) -> str:
    """"Tokens": the token for the first (1) or a later message (2 to 999) of a hash."""
    token = hash_text.upper() + (f"-{ordinal}" if ordinal != 1 else "")
    if parse_token(token) != (hash_text.upper(), ordinal):
        raise ValueError(f"no token: {token}")
    return token


def _originator_value(fields: Sequence[Field], name: str) -> bytes:
    """"Identity": a value without its white space; a Date that a filter added counts as empty."""
    value = _squeeze(_first(fields, name) or b"")
    return b"" if name == "date" and value.endswith(_DATE_ADDED) else value


def identity(fields: Sequence[Field], chosen: Iterable[str] = ("message-id", "date")) -> bytes:
    """"Identity": the first 128 bits of SHA-256 over the chosen originator fields."""
    digest, names = hashlib.sha256(), {name.lower() for name in chosen}
    for name in filter(names.__contains__, IDENTITY_ORDER):
        value = canonical(fields) if name == "message-id" else _originator_value(fields, name)
        digest.update(name.encode("ascii") + b":" + value + b"\n")
    return digest.digest()[:16]


def derived(fields: Sequence[Field]) -> Optional[bytes]:
    """"Missing and Repeated Message-IDs": the derived id without brackets, None if not allowed."""
    sender = _squeeze(_first(fields, "from") or b"")
    if not sender and not _originator_value(fields, "date"):
        return None
    left, at, domain = sender.lower().rpartition(b"@")
    domain = domain[:-1] if domain.endswith(b">") else domain
    if not at or len(domain) > 253 or not re.fullmatch(rb"[a-z0-9-]+(?:\.[a-z0-9-]+)*", domain):
        domain = b"derived.invalid"
    digest = identity(fields, ("from", "to", "cc", "date", "subject"))
    return _base32(digest).encode("ascii") + b".derived@" + domain


def year_and_month(date: bytes) -> Optional[tuple[str, str]]:
    """"URL Templates": those of a Date field's value in UTC, None if it cannot be read."""
    match = _DATE.match(date)
    if not match or _squeeze(date).endswith(_DATE_ADDED):
        return None
    day, month, year, hour, minute, second, sign, hours, minutes, zone = ((g or b"").decode("ascii") for g in match.groups())
    full = int(year) + (0 if len(year) == 4 else 2000 if len(year) == 2 and int(year) < 50 else 1900)
    offset = timedelta(hours=int(hours or 0), minutes=int(minutes or 0)) * (-1 if sign == "-" else 1)
    offset += timedelta(hours=_ZONES.get(zone.upper(), 0))
    if month.lower() not in _MONTHS or int(second or 0) > 60 or int(minutes or 0) > 59:
        return None
    try:
        local = datetime(full, _MONTHS.index(month.lower()) + 1, int(day), int(hour), int(minute))
        at = local + timedelta(seconds=int(second or 0)) - offset
    except (ValueError, OverflowError):
        return None
    return (f"{at.year:04}", f"{at.month:02}") if at.year >= 1900 else None


def list_id(fields: Sequence[Field], address: bytes) -> bytes:
    """"The List of a Message", "URL Templates": the identifier of a list's List-Id, else the list's address with a dot."""
    named = _squeeze(_first(fields, "list-id") or b"")
    identifier = named[named.rfind(b"<") + 1:named.rfind(b">")] if 0 <= named.rfind(b"<") < named.rfind(b">") else b""
    post = re.search(rb"<mailto:([^>?]*)", _squeeze(_first(fields, "list-post") or b""), re.IGNORECASE)
    if post and unquote_to_bytes(post[1]).lower() == address and 0 < len(identifier) <= MAX_IDENTIFIER:
        return identifier.lower()
    return address.replace(b"@", b".", 1)


def url_values(fields: Sequence[Field], list_address: str, algorithm: str = "MD5") -> dict[str, bytes]:
    """"URL Templates": the texts for the first message of a hash on a list."""
    message_id, address = canonical(fields), list_address.encode("utf-8").lower()
    listname, _, host = address.rpartition(b"@")
    values = {"list": address, "listname": listname, "host": host, "list_id": list_id(fields, address)}
    if message_id:
        token = hash_of(message_id, algorithm) or ""
        values.update(message_id=message_id, token=token.encode("ascii"), claim=identity(fields).hex()[:8].encode("ascii"))
    date = year_and_month(_first(fields, "date") or b"")
    if date:
        values.update(year=date[0].encode("ascii"), month=date[1].encode("ascii"))
    return values


def expand(template: str, values: Mapping[str, bytes], algorithm: str = "MD5") -> str:
    """"URL Templates": the URL; KeyError if the message lacks a value, ValueError for a wrong template."""
    return re.sub(r"\{([^{}]*)\}", lambda match: _placeholder(match.group(1), values, algorithm), template)


def _placeholder(text: str, values: Mapping[str, bytes], algorithm: str) -> str:
    subject, formed, form = text.partition(":")
    name, listed, inputs = subject.partition("(")
    if name.upper() in ALGORITHMS and name.islower() or name == "hash":
        names = inputs.removesuffix(")").split(",") if listed else ["message_id"]
        if listed and not inputs.endswith(")") or not set(names) <= set(_INPUTS):
            raise ValueError(f"what is digested in {{{text}}}?")
        joined = b"".join(values[name] for name in names)
        return _digest_form(hashlib.new(algorithm.lower() if name == "hash" else name, joined, usedforsecurity=False).digest(),
                            form if formed else "base32")
    if name not in _TEXTS or listed or form not in (("path", "query") if formed else ("",)):
        raise ValueError(f"no value for {{{text}}}")
    return quote(values[name], safe="" if form == "query" else "!$&'()*+,;=:@")


def _digest_form(digest: bytes, form: str) -> str:
    forms = {"base32": _base32(digest), "base64url": base64.urlsafe_b64encode(digest).decode("ascii").rstrip("="), "hex": digest.hex()}
    if form not in forms:
        raise ValueError(f"{form!r} is no form of a digest")
    return forms[form]


def stamp(message: bytes, template: str, list_address: str, algorithm: str = "MD5") -> bytes:
    """"Border Rules", "URL Templates": the message as a filter without a registry passes it on."""
    try:
        before, fields, rest = split_message(message)
        canonical(fields)
    except Unnamed:
        return message
    eol = b"\r\n" if message.partition(b"\n")[0].endswith(b"\r") else b"\n"
    if fields and not fields[-1].raw.endswith(b"\n"):
        fields[-1] = parse_field(fields[-1].raw + eol)
    if not canonical(fields):
        host = list_address.rpartition("@")[2]
        new = derived(fields) or make_msgid(domain=host).strip("<>").encode("ascii")
        at = next((i for i, f in enumerate(fields) if f.name == "message-id"), len(fields))
        fields[at:at + 1] = [parse_field(b"Message-ID: <" + new + b">" + eol)]
    message_id = canonical(fields)
    name = f"message-id-{algorithm.lower()}"
    present = [read_hash(f.value, algorithm) for f in fields if f.name == name]
    if present != [hash_of(message_id, algorithm)]:
        fields = [f for f in fields if f.name != name]
        fields.append(parse_field(hash_field(message_id, algorithm, eol=eol)))
    try:
        url = expand(template, url_values(fields, list_address, algorithm), algorithm).encode("ascii")
    except KeyError:  # such as the year of a message without a Date
        url = b""
    prefix = template.partition("{")[0].encode("ascii")
    own = prefix if re.match(rb"[^:/]+://[^/]+/", prefix) else url  # never other sites' fields
    kept, found = [], False
    for field in fields:
        link = _squeeze(field.value).strip(b"<>") if field.name == "archived-at" else b""
        if own and link.startswith(own) and (link != url or found):
            continue
        found = found or bool(url) and link == url
        kept.append(field.raw)
    if url and not found:
        line = b"Archived-At: <" + url + b">"
        kept.append((eol + b" ").join(line[i:i + 990] for i in range(0, len(line), 990)) + eol)
    gap = b"" if re.match(rb"\r*\n|\Z", rest) else eol  # "The End of the Section"
    return before + b"".join(kept) + gap + rest


def read_vectors(text: str) -> Iterator[tuple[str, dict[str, str]]]:
    """"Test Vectors": name and entries of each vector, continued lines joined."""
    text = re.sub(r"(?<!\\)((?:\\\\)*)\\\n *", r"\1", text)
    for block in filter(None, re.split(r"\n\n+", text.strip("\n"))):
        name, *lines = block.split("\n")
        yield name, dict((re.split(r" +", line.lstrip(" "), maxsplit=1) + [""])[:2] for line in lines)


def unescape(text: str) -> bytes:
    """"Test Vectors": the bytes that an escaped text stands for."""
    plain = {b"r": b"\r", b"n": b"\n", b"t": b"\t", b"\\": b"\\"}
    return re.sub(rb"\\(?:([rnt\\])|x([0-9A-Fa-f]{2}))",
                  lambda m: plain[m[1]] if m[1] else bytes.fromhex(m[2].decode()), text.encode("ascii"))


def check_vector(entries: Mapping[str, str]) -> Iterator[str]:
    """Every disagreement with one vector of the appendix."""
    header, expected = (b"" if entries[k] == "-" else unescape(entries[k]) for k in ("field", "id"))
    message_id = canonical(split_fields(header))
    if message_id != expected:
        yield f"id: computed {message_id!r}, expected {expected!r}"
    for algorithm in ALGORITHMS:
        value = hash_of(message_id, algorithm)
        if value != entries.get(algorithm):
            yield f"{algorithm}: computed {value}, expected {entries.get(algorithm)}"
        if value:
            own = split_fields(header + hash_field(message_id, algorithm))
            if verify(own)[f"message-id-{algorithm.lower()}"] != "pass":
                yield f"{algorithm}: its own field does not pass"


def check_identity(entries: Mapping[str, str]) -> Iterator[str]:
    """Every disagreement with one vector of the appendix about identities and claims."""
    fields = split_fields(unescape(entries["header"]))
    computed = identity(fields).hex()
    if computed != entries["identity"]:
        yield f"identity: computed {computed}, expected {entries['identity']}"
    claim = f"{hash_of(canonical(fields), 'MD5')}={computed[:8]}"
    if claim != entries["claim"]:
        yield f"claim: computed {claim}, expected {entries['claim']}"


def run_vectors(path: str, check: Callable[[Mapping[str, str]], Iterator[str]]) -> int:
    """Check a file of vectors; the exit status."""
    agree = disagree = 0
    with open(path, encoding="ascii") as file:
        text = file.read()
    for name, entries in read_vectors(text):
        try:
            problems = list(check(entries))
        except (KeyError, ValueError) as error:
            problems = [f"unreadable: {error!r}"]
        for problem in problems:
            print(f"{name}: {problem}")
        agree, disagree = agree + (not problems), disagree + bool(problems)
    print(f"{agree} vectors agree, {disagree} disagree")
    return 1 if disagree or not agree else 0


def describe(header: bytes) -> dict[str, object]:
    """What the draft computes from one header section; see main."""
    try:
        fields = split_fields(header)
        message_id = canonical(fields)
    except OverBound:
        return {"canonical": None, "over": True}
    except LongID:
        return {"canonical": None, "over": False}
    new = b"" if message_id else derived(fields) or b""
    return {
        "canonical": base64.b64encode(message_id).decode("ascii") or None,
        "over": False,
        **{name.lower(): hash_of(message_id, name) for name in ALGORITHMS},
        "identity": identity(fields).hex(),
        "month": "-".join(year_and_month(_first(fields, "date") or b"") or ()) or None,
        "derived": new.decode("ascii") or None,
    }


def main(arguments: Sequence[str]) -> int:
    """The command line: vectors FILE, identities FILE, jsonl, or stamp TEMPLATE LIST.

    jsonl is for tests that compare implementations. It reads a JSON object a line, whose "header" is
    a message or its header section in base64, and prints one for each: "canonical" is the canonical
    Message-ID in base64, null if there is none; "over" is true for a section over the bounds. Then
    come the hashes, the identity, the Date's year and month in UTC, and the derived id, unless the section is over the bounds or its
    Message-ID is too long.
    """
    command = (arguments[0], len(arguments)) if arguments else ("", 0)
    if command == ("vectors", 2):
        return run_vectors(arguments[1], check_vector)
    if command == ("identities", 2):
        return run_vectors(arguments[1], check_identity)
    if command == ("jsonl", 1):
        for line in filter(str.strip, sys.stdin):
            print(json.dumps(describe(base64.b64decode(json.loads(line)["header"]))))
        return 0
    if command == ("stamp", 3):
        sys.stdout.buffer.write(stamp(sys.stdin.buffer.read(), arguments[1], arguments[2]))
        return 0
    print("usage: hashed_message_id.py vectors FILE | identities FILE | jsonl | stamp TEMPLATE LIST", file=sys.stderr)
    return 2


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
