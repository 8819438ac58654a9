"""Reads the test data that every implementation of the rules is held to."""

import base64
import json
from pathlib import Path

DATA = Path(__file__).resolve().parents[3] / "testdata"


def rows():
    """Yield the vectors of Message-ID fields."""
    for line in (DATA / "vectors" / "message-id.jsonl").read_text(encoding="utf-8").splitlines():
        row = json.loads(line)
        row["header"] = base64.b64decode(row["header"])
        row["canonical"] = base64.b64decode(row["canonical"] or "")
        yield row


def peer_rows():
    """Yield what the code of other archives makes of the vectors: the canonical
    Message-ID, the class, the peer, and the variable part of its URL."""
    ids = {row["name"]: row["canonical"] for row in rows()}
    for line in (DATA / "vectors" / "peers.jsonl").read_text(encoding="utf-8").splitlines():
        row = json.loads(line)
        yield ids[row["name"]], row["class"], row["peer"], row["url_part"]


def dates():
    """Yield values of a Date field, each with its year and month or None."""
    for line in (DATA / "vectors" / "dates.jsonl").read_text(encoding="utf-8").splitlines():
        row = json.loads(line)
        yield row["date"].encode("utf-8"), row["month"]


def header_cases():
    """Yield the name and the bytes of each message with an odd header section,
    and its canonical Message-ID: b"" if it has none, None over the bounds."""
    folder = DATA / "header"
    for line in (folder / "want.tsv").read_text(encoding="ascii").splitlines()[1:]:
        name, want = line.split("\t")
        message_id = None if want.startswith("(over") else want.replace(r"\0", "\0").encode("ascii")
        yield name, (folder / name).read_bytes(), message_id
